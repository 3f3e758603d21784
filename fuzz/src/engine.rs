//! The engine's decoders: statements, shares, a peer's frames, the decimal format.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex};

use tercet_mpc::decimal::{DecimalError, Excess, Notation, Scaling, parse_decimal};
use tercet_mpc::net::{Abort, Peer, Step, Transport};
use tercet_mpc::proof::{Opening, PRIVATE_MAX_BYTES, PrivatePart, challenges, check};
use tercet_mpc::statement::session::{InertKind, Inner, Record, Run, Suite};
use tercet_mpc::statement::{Binding, Condition, Format, Layout, Number, Term};
use tercet_mpc::testing::{Delivery, TestWorld};
use tercet_mpc::{
    Column, ColumnWitness, HashAlg, Item, Output, PartyId, Proven, Session, ShareHashes, Statement, Verdict,
    prove, verify_batch,
};
use tercet_protocol::ids::sha256;
use zeroize::Zeroizing;

const CTX: [u8; 32] = [8; 32];
const SESSION: [u8; 32] = [9; 32];

/// A statement, its honest proof, and the frames that each party hears when the three check it: from its next party,
/// then from its previous one.
struct Honest {
    statement: Statement,
    layout: Layout,
    proven: Proven,
    heard: [[Vec<u8>; 2]; 3],
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let (value, blinder) = (b"-12.5", [0x33; 16]);
    let commitment = sha256(&[value, &blinder]);
    let column = Column::number(HashAlg::Sha256, value.len() as u8, 2, 30, Excess::Reject, commitment);
    let statement = Statement::new(vec![column], vec![Output::Value(0), Output::Square(0)]).unwrap();
    let witness = ColumnWitness { bytes: Zeroizing::new(value.to_vec()), blinder: Zeroizing::new(blinder) };
    let proven = prove(&statement, &[witness], &CTX, &[5; 32], &mut |_| {}).unwrap();

    let wire = Arc::new(Mutex::new(Vec::new()));
    let tap = wire.clone();
    let world = TestWorld::intercepted(1, move |envelope, frame| {
        tap.lock().unwrap().push((envelope, frame.clone()));
        Delivery::Frame(frame)
    });
    let verdicts = world.run(|party, net| {
        let private = Some(&proven.private[party.index()][..]);
        let item = Item { statement: &statement, ctx: &CTX, public: &proven.public, private };
        verify_batch(&mut Session::new(party, SESSION), &[item], net)
    });
    assert!(verdicts.iter().all(|v| matches!(v.as_deref(), Ok([Verdict::Accepted(_)]))), "{verdicts:?}");
    let wire = wire.lock().unwrap();
    let frame = |from: PartyId, to: PartyId| {
        wire.iter().find(|(e, _)| (e.from, e.to) == (from, to)).map(|(_, f)| f.clone()).unwrap()
    };
    let heard = PartyId::ALL.map(|p| [frame(p.next(), p), frame(p.prev(), p)]);
    Honest { layout: statement.layout(), statement, proven, heard }
});

/// Splits the party off the front of an input.
fn party(data: &[u8]) -> Option<(PartyId, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((PartyId::from_index(usize::from(first % 3))?, rest))
}

/// Decoding is canonical, and every size that follows from a statement is within its cap.
pub fn statement(data: &[u8]) {
    let Ok(statement) = Statement::decode(data) else { return };
    assert_eq!(statement.encode(), data);
    let shape = statement.shape();
    assert_eq!(shape.shape(), shape);
    assert_eq!(shape.lanes(), statement.lanes());
    let layout = statement.layout();
    assert_eq!(layout, shape.layout());
    assert_eq!(layout.lanes, statement.lanes().len());
    for party in PartyId::ALL {
        assert!(PrivatePart::encoded_bytes(party, &layout) <= PRIVATE_MAX_BYTES, "{layout:?}");
    }
}

pub fn statement_seeds() -> Vec<Vec<u8>> {
    let column = |alg, length, scale, bits, excess| Column::number(alg, length, scale, bits, excess, [3; 32]);
    let small = column(HashAlg::Blake3, 1, 0, 1, Excess::Truncate);
    let large = column(HashAlg::Keccak256, 64, 18, 63, Excess::Reject);
    let two = vec![Output::Product(0, 1), Output::Product(1, 0), Output::Square(1), Output::Value(0)];
    let format = Format::Number(Number {
        scale: 0,
        bits: 9,
        excess: Excess::Reject,
        notation: Notation::default(),
        missing: Some(b"null".to_vec()),
    });
    let optional = Column { format, ..small.clone() };
    let format = Format::Category(vec![b"DE".to_vec(), b"FR".to_vec()]);
    let category = Column { format, ..small.clone() };
    let hidden = vec![
        Output::Present(0),
        Output::Given(Term::Present(0), Condition::Present(1)),
        Output::Given(Term::Square(1), Condition::Is(2, 1)),
        Output::Given(Term::One, Condition::Is(2, 0)),
        Output::Given(Term::One, Condition::Below(0, -3)),
    ];
    let record = |inner, content: usize, runs| Record { inner, ciphertext: vec![7; content + 1], runs };
    let inert = |kind, continued, length| Run::Inert { kind, continued, length };
    let recorded = tercet_mpc::statement::Session {
        suite: Suite::Aes128Gcm,
        t1: [1; 32],
        t2: [2; 32],
        server_secret: [3; 32],
        client: vec![
            record(
                Inner::Application,
                9,
                vec![Run::Shown(b"GET".to_vec()), inert(InertKind::HeaderValue, false, 6)],
            ),
            Record::close_notify(vec![7; 3], 1),
        ],
        server: vec![
            Record::tickets(vec![7; 9], &[4]),
            record(
                Inner::Application,
                3,
                vec![Run::Column { column: 0, length: 1 }, inert(InertKind::Text, false, 2)],
            ),
            record(Inner::Application, 1, vec![inert(InertKind::Text, true, 1)]),
        ],
    };
    let from_session = Column { binding: Binding::Keystream, ..small.clone() };
    let session = Statement::of_session(vec![from_session], vec![Output::Value(0)], recorded).unwrap();
    vec![
        Statement::new(vec![optional.clone(), optional, category], hidden).unwrap().encode(),
        HONEST.statement.encode(),
        session.encode(),
        Statement::new(vec![small.clone()], vec![Output::Value(0)]).unwrap().encode(),
        Statement::new(vec![small, large], two).unwrap().encode(),
    ]
}

/// Decoding is canonical.
pub fn share_hashes(data: &[u8]) {
    match ShareHashes::decode(data) {
        Some(hashes) => assert_eq!(&hashes.encode()[..], data),
        None => assert_ne!(data.len(), ShareHashes::BYTES),
    }
}

pub fn share_hashes_seeds() -> Vec<Vec<u8>> {
    vec![HONEST.proven.public.encode().to_vec()]
}

/// Decoding is canonical, and only the committed shares pass.
pub fn private_part(data: &[u8]) {
    let Some((party, data)) = party(data) else { return };
    let Some(private) = PrivatePart::decode(party, &HONEST.layout, data) else { return };
    assert_eq!(private.encode()[..], *data);
    let honest = *data == HONEST.proven.private[party.index()][..];
    let shares = private.shares(&HONEST.statement, &HONEST.layout, &CTX, &HONEST.proven.public);
    assert_eq!(shares.is_ok(), honest);
}

pub fn private_part_seeds() -> Vec<Vec<u8>> {
    (0u8..).zip(&HONEST.proven.private).map(|(party, private)| [&[party], &private[..]].concat()).collect()
}

/// Decoding is canonical, and the check takes any three openings.
pub fn opening(data: &[u8]) {
    let layout = &HONEST.layout;
    let parts: Vec<_> =
        data.chunks(Opening::bytes(layout)).filter_map(|c| Opening::decode(layout, c)).collect();
    let mut encoded = Vec::new();
    parts.iter().for_each(|o| o.encode(&mut encoded));
    assert!(data.starts_with(&encoded));
    if let [a, b, c, ..] = &parts[..] {
        let challenges = challenges(&HONEST.statement, &CTX, &HONEST.proven.public, layout.log_rows);
        // Openings are not secret from one who makes them up, so some pass: only a panic would be wrong here.
        let _ = check(layout, &challenges, [a, b, c]);
    }
}

pub fn opening_seeds() -> Vec<Vec<u8>> {
    let bytes = Opening::bytes(&HONEST.layout);
    // The opening ends what a party sends to its next.
    let sent = |p: PartyId| {
        let frame = &HONEST.heard[p.next().index()][Peer::Prev as usize];
        frame[frame.len() - bytes..].to_vec()
    };
    vec![PartyId::ALL.map(sent).concat(), vec![0; 3 * bytes]]
}

/// Agrees with a reading of the format by its text alone, without arithmetic on the way.
pub fn decimal(data: &[u8]) {
    let &[scale, bits, options, ref text @ ..] = data else { return };
    let (scale, bits) = ((scale % 37) as i8 - 18, bits % 63 + 1);
    let excess = if options % 2 == 0 { Excess::Reject } else { Excess::Truncate };
    let notation = match options / 2 % 4 {
        0 => Notation::default(),
        1 => Notation { exponents: true, ..Notation::default() },
        2 => Notation { grouping: Some(b','), ..Notation::default() },
        _ => Notation { grouping: Some(b'.'), point: b',', ..Notation::default() },
    };
    // Exponents are compared with the circuit's and the parser's own tests.
    let parsed = parse_decimal(text, Scaling { scale, bits, excess }, notation);
    if !notation.exponents || !text.iter().any(|b| matches!(b, b'e' | b'E')) {
        let expected = read(text, scale, bits, excess, notation);
        assert_eq!(parsed.is_ok(), expected.is_some(), "{parsed:?}");
        if let (Ok(value), Some(expected)) = (parsed, expected) {
            assert_eq!(i128::from(value), expected);
        }
    }
    if let Ok(value) = parsed {
        assert!(value.unsigned_abs() >> bits == 0);
    }
    if let Err(DecimalError::Character { at }) = parsed {
        assert!(at < text.len());
    }
}

fn read(text: &[u8], scale: i8, bits: u8, excess: Excess, notation: Notation) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once(char::from(notation.point)).unwrap_or((text, ""));
    let whole = match notation.grouping.map(char::from) {
        Some(mark) if whole.contains(mark) => {
            let groups: Vec<&str> = whole.split(mark).collect();
            let right = groups[1..].iter().all(|g| g.len() == 3) && (1..=3).contains(&groups[0].len());
            right.then(|| groups.concat())?
        }
        _ => whole.to_owned(),
    };
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if !digits(&whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    // The integer's digits, and those that are cut.
    let all = format!("{:0>64}{fraction:0<64}", whole);
    let at = (all.len() - fraction.len().max(64)).checked_add_signed(scale.into())?;
    let (kept, cut) = all.split_at(at);
    if excess == Excess::Reject && cut.contains(|c| c != '0') {
        return None;
    }
    let scaled = kept.trim_start_matches('0');
    // 2^63 has 19 digits.
    let magnitude: i128 = match scaled.len() {
        0 => 0,
        1..=19 => scaled.parse().ok()?,
        _ => return None,
    };
    (magnitude >> bits == 0).then_some(sign * magnitude)
}

pub fn decimal_seeds() -> Vec<Vec<u8>> {
    let texts =
        ["0", "-0.5", "00012", ".5", "5.", "-281474.97671065", "9223372036854775807", "1.2.3", "1e3", "--1"];
    texts
        .iter()
        .flat_map(|t| {
            [[26, 47, 0], [18, 62, 1], [36, 62, 3], [9, 62, 4]].map(|head| [&head, t.as_bytes()].concat())
        })
        .collect()
}

/// Frames that were recorded, or made up.
struct Script([VecDeque<Vec<u8>>; 2]);

impl Transport for Script {
    fn send(&mut self, _: Peer, _: Step, _: Vec<u8>) -> Result<(), Abort> {
        Ok(())
    }

    fn recv(&mut self, from: Peer, step: Step) -> Result<Vec<u8>, Abort> {
        let lost = Abort::Transport { peer: PartyId::P0, step, reason: "the script ends here" };
        self.0[from as usize].pop_front().ok_or(lost)
    }
}

/// One honest party among made-up frames, or with a made-up private part: it accepts only items that are honest
/// throughout.
pub fn batch(data: &[u8]) {
    let (Some((party, rest)), Some(first)) = (party(data), data.first()) else { return };
    let honest = &HONEST.heard[party.index()];
    let private = &HONEST.proven.private[party.index()];
    let (private, heard) = if first / 3 % 2 == 0 {
        let Some((len, frames)) = rest.split_first_chunk::<2>() else { return };
        let (next, prev) = frames.split_at(frames.len().min(u16::from_le_bytes(*len).into()));
        (&private[..], [next.to_vec(), prev.to_vec()])
    } else {
        (rest, honest.clone())
    };
    let untouched = heard == *honest && *private == HONEST.proven.private[party.index()][..];
    let Honest { statement, proven, .. } = &*HONEST;
    let item = Item { statement, ctx: &CTX, public: &proven.public, private: Some(private) };
    let mut session = Session::new(party, SESSION);
    let mut net = Script(heard.map(|frame| VecDeque::from([frame])));
    let verdicts = verify_batch(&mut session, &[item], &mut net);
    let accepted = matches!(verdicts.as_deref(), Ok([Verdict::Accepted(_)]));
    assert_eq!(accepted, untouched, "{verdicts:?}");
    if verdicts.is_err() {
        let again = verify_batch(&mut session, &[], &mut net);
        assert!(matches!(again, Err(Abort::Closed { .. })), "an aborted session goes on: {again:?}");
    }
}

pub fn batch_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for ((party, [next, prev]), private) in (0u8..).zip(&HONEST.heard).zip(&HONEST.proven.private) {
        let len = u16::try_from(next.len()).unwrap().to_le_bytes();
        seeds.push([&[party][..], &len, next, prev].concat());
        seeds.push([&[party + 3][..], private].concat());
    }
    seeds
}
