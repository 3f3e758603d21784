//! Layouts: the claims about each byte, and claims that no session supports.
#![allow(clippy::single_range_in_vec_init, reason = "a session may hide one range")]

use tercet_tls_session::forge::{Application, Forge, Forged, Identity, TIME};
use tercet_tls_session::{Claim, Direction, Flow, Inner, Layout, Refusal, Roots, Session, open, verify};

use crate::samples::{self, NAME};

fn session(application: Vec<Application>) -> (Forged, Session) {
    let identity = Identity::new(NAME);
    let roots = Roots::from_der([&identity.root[..]]).unwrap();
    let forged = Forge { application, ..Forge::default() }.make(&identity);
    let session = verify(&forged.recorded(), NAME, &roots, TIME).unwrap();
    (forged, session)
}

#[test]
fn claims_cover_every_byte_and_hide_what_they_are_told() {
    for sample in samples::good() {
        let session = sample.verify().unwrap();
        let opened = open(&session, &sample.client, &sample.server, &sample.secret).unwrap();
        let hidden = [20..25, 40..41];
        let layout = opened.layout(&hidden, &[0..3, 700..900]).unwrap();
        layout.check(&session).unwrap();
        assert_eq!(Layout::decode(&layout.encode()).unwrap(), layout, "{}", sample.name);

        for (direction, text) in [(Direction::Client, &sample.request), (Direction::Server, &sample.response)]
        {
            let flow = layout.flow(direction);
            let shown = |at: usize| !flow.hidden().iter().any(|r| r.contains(&at));
            assert!((0..text.len()).all(|i| flow.stream()[i] == if shown(i) { text[i] } else { 0 }));
            let mut claims = layout.claims(&session, direction);
            let mut at = 0;
            for (sequence, record) in opened.records(direction).enumerate() {
                let protected = &session.records(direction)[sequence];
                let whole = record.content.iter().chain([&record.kind]).copied();
                for (place, byte) in whole.chain(vec![0; record.padding]).enumerate() {
                    let claim = claims.next().unwrap();
                    assert_eq!((claim.sequence, claim.place), (sequence, place));
                    assert_eq!(claim.ciphertext, protected.ciphertext().start + place);
                    let data = record.kind == 23 && place < record.content.len();
                    let wanted = match record.kind {
                        23 if data && !shown(at) => Claim::Hidden(at),
                        // A ticket's content, behind the four bytes of its header.
                        22 if place < record.content.len() && claim.claim == Claim::Nothing => Claim::Nothing,
                        _ => Claim::Shown(byte),
                    };
                    assert_eq!(claim.claim, wanted, "{}: record {sequence}, byte {place}", sample.name);
                    at += usize::from(data);
                }
            }
            assert_eq!((claims.next(), at), (None, text.len()));
        }
    }
}

#[test]
fn only_the_bodies_of_tickets_are_left_open() {
    let two = Application { content: Application::ticket(9).content.repeat(2), ..Application::ticket(9) };
    let padded = Application { padding: 5, ..two.clone() };
    let (forged, session) = session(vec![two, padded, Application::close(Direction::Server)]);
    let opened = open(&session, &forged.client, &forged.server, &forged.secret).unwrap();
    let layout = opened.layout(&[], &[]).unwrap();
    let claims: Vec<_> = layout.claims(&session, Direction::Server).map(|c| c.claim).collect();
    let ticket = |out: &mut Vec<Claim>| {
        out.extend([4, 0, 0, 9].map(Claim::Shown));
        out.extend([Claim::Nothing; 9]);
    };
    let mut wanted = vec![];
    for padding in [0, 5] {
        ticket(&mut wanted);
        ticket(&mut wanted);
        wanted.push(Claim::Shown(22));
        wanted.extend(vec![Claim::Shown(0); padding]);
    }
    wanted.extend([1, 0, 21].map(Claim::Shown));
    assert_eq!(claims, wanted);
}

#[test]
fn layouts_that_are_not_the_sessions_are_refused() {
    let (_, session) = session(Forge::default().application);
    let flow = |records: Vec<Inner>| {
        let data = records.iter().map(|r| if r.kind() == 23 { r.length() } else { 0 }).sum();
        Flow::new(records, &vec![b'x'; data], &[]).unwrap()
    };
    let (data, close) = (|length| Inner::Data { length }, || Inner::Close { level: 1 });
    let tickets = |n| Inner::Tickets { bodies: vec![n] };
    let client = [session.client[0].plain_length() - 1, 2];
    let lengths: Vec<_> = session.server.iter().map(|r| r.plain_length() - 1).collect();
    let server = || vec![tickets(lengths[0] - 4), data(lengths[1]), data(lengths[2]), close()];
    let check = |client: Vec<Inner>, server: Vec<Inner>| {
        Layout { client: flow(client), server: flow(server) }.check(&session)
    };
    let honest = || vec![data(client[0]), close()];
    assert_eq!(check(honest(), server()), Ok(()));
    // Another split of content and padding is a claim that only the proof refuses.
    assert_eq!(check(vec![data(client[0] - 3), close()], server()), Ok(()));
    assert_eq!(check(vec![data(client[0] + 1), close()], server()), Err(Refusal::LayoutRecords));
    assert_eq!(check(vec![data(client[0])], server()), Err(Refusal::LayoutRecords));
    assert_eq!(check(honest(), [server(), vec![data(1)]].concat()), Err(Refusal::LayoutRecords));
    assert_eq!(check(vec![tickets(client[0] - 4), close()], server()), Err(Refusal::InnerType));
    assert_eq!(check(vec![close(), close()], server()), Err(Refusal::AfterClose));
    assert_eq!(check(vec![close(), data(2)], server()), Err(Refusal::AfterClose));
}

#[test]
fn holes_are_in_order_and_within_the_data() {
    let hides =
        |holes: &[std::ops::Range<usize>]| Flow::new(vec![Inner::Data { length: 10 }], &[b'x'; 10], holes);
    for good in [&[][..], &[0..10], &[0..1, 2..3], &[9..10]] {
        assert!(hides(good).is_ok(), "{good:?}");
    }
    #[allow(clippy::reversed_empty_ranges, reason = "that is refused")]
    for bad in [&[9..11][..], &[3..3], &[0..1, 1..2], &[2..3, 0..1], &[0..4, 3..5], &[5..2]] {
        assert_eq!(hides(bad), Err(Refusal::Layout), "{bad:?}");
    }
    let many: Vec<_> = (0..1025).map(|i| 2 * i..2 * i + 1).collect();
    let long = vec![Inner::Data { length: 4000 }];
    assert_eq!(Flow::new(long, &[b'x'; 4000], &many), Err(Refusal::Layout));
}

#[test]
fn encodings_are_bounded_and_cannot_be_cut() {
    let sample = &samples::good()[0];
    let session = sample.verify().unwrap();
    let opened = open(&session, &sample.client, &sample.server, &sample.secret).unwrap();
    let encoded = opened.layout(&[5..6], &[10..20, 30..40]).unwrap().encode();
    for cut in 0..encoded.len() {
        assert_eq!(Layout::decode(&encoded[..cut]), Err(Refusal::Layout), "cut at {cut}");
    }
    assert_eq!(Layout::decode(&[&encoded[..], &[0]].concat()), Err(Refusal::Layout));
    // Every byte changed: another layout, which encodes as it stands, or a refusal.
    for at in 0..encoded.len() {
        let mut changed = encoded.clone();
        changed[at] ^= 0x10;
        if let Ok(layout) = Layout::decode(&changed) {
            assert_eq!(layout.encode(), changed, "byte {at}");
        }
    }
}
