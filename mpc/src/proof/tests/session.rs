//! Recorded sessions: proven and checked with exact values; forged ones refused.

extern crate std;

use super::*;
use crate::circuit::Counter;
use crate::statement::session::{InertKind, Inner, Record, Role, Run, Suite};
use crate::statement::{Binding, Session, SessionError, StatementError};

mod sample;

use sample::{hide, inert, sample};

const VALUE: &[u8] = b"12.34567890";
const UNITS: u128 = 1_234_567_890;

/// Gates of a compression of SHA-256, with a secret block and with a public one.
const SECRET_BLOCK: usize = 22_696;
const PUBLIC_BLOCK: usize = 16_248;

fn columns() -> Vec<Column> {
    let number =
        Number { scale: 8, bits: 48, excess: Excess::Reject, notation: Notation::default(), missing: None };
    vec![Column { length: 11, format: Format::Number(number), binding: Binding::Keystream }]
}

fn of(session: Session) -> Statement {
    Statement::of_session(columns(), vec![Output::Value(0), Output::Square(0)], session).unwrap()
}

fn proven(statement: &Statement, secret: &HandshakeSecret, seed: u8) -> Result<Proven, ProveError> {
    prove_session(&OneCore, statement, secret, &CTX, &[seed; 32], &mut |_| {})
}

/// The parties' verdict on a prover who commits to any gates.
fn claimed(statement: &Statement, secret: &[u8], streams: &Streams<Words<1>>) -> Result<(), Reject> {
    let (shares, hashes) = forge(statement, secret, &lanes(statement), streams);
    open_all(statement, &hashes, &shares)
}

/// The lanes as the forger splits them.
fn lanes(statement: &Statement) -> Vec<[u128; 3]> {
    let layout = statement.layout();
    let pair = [0, 1].map(|i| Share::expand(i, &[i as u8 + 1; 32], &layout));
    let values = [UNITS, UNITS * UNITS].into_iter();
    let split = |(x, (a, b)): (u128, (u128, u128))| [a, b, x.wrapping_sub(a).wrapping_sub(b)];
    values.zip(pair[0].lanes(&layout).zip(pair[1].lanes(&layout))).map(split).collect()
}

fn streams(statement: &Statement, secret: &[u8]) -> Streams<Words<1>> {
    evaluate(statement, &statement.layout(), secret, &lanes(statement))
}

/// The wires that follow from a prover's claims about gates' outputs and inverses.
fn claim(
    statement: &Statement,
    secret: &[u8],
    out: Vec<Words<1>>,
    inverses: [Vec<Words<1>>; 8],
) -> Streams<Words<1>> {
    let mut bits = BitWriter::with_capacity(256);
    secret.iter().for_each(|b| bits.push(Words([u64::from(*b)]), 8));
    let bits = bits.finish();
    let word = |x: u128| [Words([x as u64]), Words([(x >> 64) as u64])];
    let lanes: Vec<_> = lanes(statement).into_iter().map(|x| x.map(word)).collect();
    let known = inverses.each_ref().map(Vec::as_slice);
    let mut shares = Shares::new([0], &bits, &lanes, &out, known, 0);
    circuit::evaluate(&mut shares, statement);
    let others = shares.finish();
    Streams { out, inverses, ..others }
}

fn satisfied(streams: &Streams<Words<1>>) -> bool {
    streams.zeros.iter().all(|w| w.0 == [0])
}

#[test]
fn recorded_sessions_are_proven() {
    for name in ["rustls-ec", "rustls-ec-chacha", "openssl-small-fragments", "node-ec"] {
        let sample = sample(name);
        let s = sample.statement();
        let layout = s.layout();
        let p = proven(&s, &sample.secret, 1).unwrap();
        let shares = shares(&p, &layout);
        assert_eq!(open_all(&s, &p.public, &shares), Ok(()), "{name}");
        for (lane, expected) in [UNITS, UNITS * UNITS].into_iter().enumerate() {
            let sum =
                shares.iter().fold(0u128, |sum, x| sum.wrapping_add(x.lanes(&layout).nth(lane).unwrap()));
            assert_eq!(sum, expected, "{name}");
        }
        assert_eq!(Statement::decode(&s.encode()).as_ref(), Ok(&s), "{name}");
        // 2 KB of response: what a provider uploads to a party.
        let largest = p.private.iter().map(|part| part.len()).max().unwrap();
        let limit = if sample.suite == Suite::Aes128Gcm { 150_000 } else { 200_000 };
        assert!(largest <= limit, "{name}: {largest} bytes");
    }
}

#[test]
fn the_keys_are_half_a_million_gates() {
    let sample = sample("rustls-ec");
    let layout = sample.statement().layout();
    let keys = 19 * SECRET_BLOCK + 9 * PUBLIC_BLOCK;
    assert!((keys..keys + 6_000).contains(&layout.gates), "{layout:?}");
    // Request of 217 bytes, its alert, response of 88 and 2,046 bytes, its alert, tickets of 162.
    let blocks = [218, 3, 89, 2047, 3, 163].map(|bytes: usize| bytes.div_ceil(16));
    // Of the tickets only the blocks with headers and type are used: of the bytes 0, 81 and 162.
    let unread = blocks[5] - 3;
    assert_eq!(layout.inversions, 2 * 40 + 160 * (blocks.iter().sum::<usize>() - unread));
}

#[test]
fn provers_are_told_that_a_session_is_not_what_they_say() {
    let sample = sample("rustls-ec");
    let hidden = sample.hidden();
    let honest = sample.session(&hidden);
    let refused = |session: Session| proven(&of(session), &sample.secret, 1).map(drop).unwrap_err();
    let change = |change: &dyn Fn(&mut Session)| {
        let mut session = honest.clone();
        change(&mut session);
        session
    };
    let flip = |run: &mut Run| match run {
        Run::Shown(bytes) => bytes[0] ^= 1,
        _ => panic!("hidden"),
    };
    let data =
        |records: &mut Vec<Record>| records.iter().position(|r| r.inner == Inner::Application).unwrap();
    let changes: [&dyn Fn(&mut Session); 9] = [
        &|s| s.t1[0] ^= 1,
        &|s| s.t2[31] ^= 1,
        &|s| s.server_secret[7] ^= 1,
        &|s| flip(&mut s.client[0].runs[0]),
        &|s| {
            let at = data(&mut s.server);
            flip(&mut s.server[at].runs[0]);
        },
        &|s| s.client[0].ciphertext[3] ^= 0x80,
        // The byte of the type; the padding has none here.
        &|s| *s.server.last_mut().unwrap().ciphertext.last_mut().unwrap() ^= 1,
        // A ticket's header.
        &|s| s.server[0].ciphertext[0] ^= 1,
        // Suites differ in their keys' labels.
        &|s| s.suite = Suite::ChaCha20Poly1305,
    ];
    for (i, c) in changes.iter().enumerate() {
        assert_eq!(refused(change(c)), ProveError::Session, "change {i}");
    }
    // Another secret.
    let mut other = sample.secret.clone();
    other.0[31] ^= 1;
    assert_eq!(proven(&of(honest.clone()), &other, 1).map(drop), Err(ProveError::Session));
    // Text where a number stands, and the other way round; a quote inside a string.
    for (what, kind) in [
        (&b"\"free\""[..], InertKind::Text),
        (b"\"free\"", InertKind::EscapedText),
        (b"354937868,", InertKind::Number),
        (b"HTTP/1.1 200 OK\r\n", InertKind::HeaderValue),
        (b"account", InertKind::Number),
    ] {
        let mut hidden = hidden.clone();
        let (direction, text) = if what == b"account" { (0, &sample.request) } else { (1, &sample.response) };
        hidden[direction].retain(|h| h.role == Role::Column(0));
        hidden[direction].push(hide(text, what, inert(kind)));
        hidden[direction].sort_by_key(|h| h.range.start);
        assert_eq!(refused(sample.session(&hidden)), ProveError::Session, "{what:?}");
    }
    // The wrong kind of secret.
    let kind = prove(&of(honest), &[witness(VALUE)], &CTX, &[1; 32], &mut |_| {}).map(drop);
    assert!(matches!(kind, Err(ProveError::Kind { .. })));
}

#[test]
fn the_parties_refuse_what_the_prover_cannot_prove() {
    let sample = sample("rustls-ec");
    let honest = sample.session(&sample.hidden());
    let s = of(honest.clone());
    assert_eq!(claimed(&s, &sample.secret.0[..], &streams(&s, &sample.secret.0[..])), Ok(()));
    let mut secret = sample.secret.0.clone();
    secret[0] ^= 1;
    assert_eq!(claimed(&s, &secret[..], &streams(&s, &secret[..])), Err(Reject::Unsatisfied));
    for place in 0..4 {
        let mut session = honest.clone();
        match place {
            // Another byte shown, the column's ciphertext, padding that is not zero, another hash.
            0 => {
                session.client[0].runs[0] = {
                    let Run::Shown(mut bytes) = session.client[0].runs[0].clone() else { panic!() };
                    bytes[4] ^= 1;
                    Run::Shown(bytes)
                }
            }
            1 => session.server[2].ciphertext[1000] ^= 1,
            2 => session.server[2].ciphertext.push(0),
            _ => session.t2[0] ^= 1,
        }
        let s = of(session);
        let streams = streams(&s, &sample.secret.0[..]);
        assert!(!satisfied(&streams), "{place}");
        assert_eq!(claimed(&s, &sample.secret.0[..], &streams), Err(Reject::Unsatisfied), "{place}");
    }
}

/// The forgery of a request under keys that are not the session's, with the key planted instead of searched for: the
/// client's records are sealed under another master secret. If the circuit did not derive the client's keys from the
/// session's secret, both directions would hold.
#[test]
fn a_request_under_other_keys_is_refused() {
    let sample = sample("rustls-ec");
    let honest = sample.session(&sample.hidden());
    let mut planted = sample.secret.0.clone();
    planted[5] ^= 0x10;

    // The request, with another credential, under the planted secret.
    let mut forged = honest.clone();
    let keystream = client_keystream(&forged, &planted);
    let mut at = 0;
    for record in &mut forged.client {
        let mut text: Vec<u8> = Vec::new();
        for run in &record.runs {
            match run {
                Run::Shown(bytes) => text.extend(bytes),
                other => text.extend(vec![b'k'; other.len()]),
            }
        }
        text.push(record.inner as u8);
        record.ciphertext = text.iter().zip(&keystream[at..]).map(|(a, b)| a ^ b).collect();
        at += text.len();
    }
    let s = of(forged);
    let (mine, other) = (streams(&s, &sample.secret.0[..]), streams(&s, &planted[..]));
    assert!(!satisfied(&mine) && !satisfied(&other));
    assert_eq!(claimed(&s, &sample.secret.0[..], &mine), Err(Reject::Unsatisfied));
    assert_eq!(claimed(&s, &planted[..], &other), Err(Reject::Unsatisfied));

    // Each half by itself holds under its own secret; the first 256 checked wires are those of the handshake's secret.
    let half = |secret: &[u8; 32], client: bool| {
        let mut session = s.session().unwrap().clone();
        if client {
            session.server.clear()
        } else {
            session.client.clear()
        }
        let zeros = texts(&session, secret).1;
        zeros[4..].iter().all(|w| w.0 == [0])
    };
    assert!(half(&planted, true) && half(&sample.secret.0, false));
    assert!(!half(&planted, false) && !half(&sample.secret.0, true));
}

/// Column 0's text, and the checked wires.
fn texts(session: &Session, secret: &[u8; 32]) -> (Vec<u8>, Vec<Words<1>>) {
    let mut bits = BitWriter::with_capacity(256);
    secret.iter().for_each(|b| bits.push(Words([u64::from(*b)]), 8));
    let bits = bits.finish();
    let mut plain = circuit::Plain::new(&bits, &[], &Counter::default());
    let texts = circuit::texts(&mut plain, session, 1);
    (texts[0].iter().map(|byte| byte.0[0] as u8).collect(), plain.finish().zeros)
}

/// The client's keystream under a secret: its records as one column, with zeros for ciphertext.
fn client_keystream(session: &Session, secret: &[u8; 32]) -> Vec<u8> {
    let mut blank = session.clone();
    blank.server.clear();
    for record in &mut blank.client {
        let length = record.ciphertext.len();
        let runs = vec![Run::Column { column: 0, length }];
        *record = Record { inner: Inner::Application, ciphertext: vec![0; length + 1], runs };
    }
    texts(&blank, secret).0
}

#[test]
fn a_wrong_inverse_is_an_invalid_proof() {
    let sample = sample("rustls-ec");
    let s = sample.statement();
    let secret = &sample.secret.0[..];
    let honest = streams(&s, secret);
    // A byte of the last round whose text is inert and stays so: no checked wire notices.
    let inversions = s.layout().inversions;
    let lie = (0..inversions).rev().find_map(|i| {
        let mut inverses = honest.inverses.clone();
        inverses[0][i / 64] ^= Words([1 << (i % 64)]);
        let streams = claim(&s, secret, honest.out.clone(), inverses);
        let gates = |s: &Streams<Words<1>>| {
            (0..s.out.len()).all(|w| s.left[w].0[0] & s.right[w].0[0] == s.out[w].0[0])
        };
        (satisfied(&streams) && gates(&streams)).then_some(streams)
    });
    let lie = lie.expect("an inert byte of the number's kind may be another digit");
    assert_eq!(claimed(&s, secret, &lie), Err(Reject::InvalidProof));
}

#[test]
fn two_layouts_of_a_session_share_no_mask() {
    let sample = sample("rustls-ec");
    let hidden = sample.hidden();
    let mut fewer = hidden.clone();
    fewer[1].retain(|h| h.role != inert(InertKind::Number));
    // One byte's role; the same sizes; another output; another padding's place would be another ciphertext.
    let mut other_kind = hidden.clone();
    for h in &mut other_kind[1] {
        if h.role == inert(InertKind::Number) {
            h.role = inert(InertKind::HeaderValue);
        }
    }
    let first = of(sample.session(&hidden));
    let output = Statement::of_session(columns(), vec![Output::Value(0)], sample.session(&hidden)).unwrap();
    let all = [first.clone(), of(sample.session(&fewer)), of(sample.session(&other_kind)), output];
    let all: Vec<Proven> = all.iter().map(|s| proven(s, &sample.secret, 1).unwrap()).collect();
    let again = proven(&first, &sample.secret, 1).unwrap();
    assert_eq!((again.public, &again.private), (all[0].public, &all[0].private));
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            assert!((0..2).all(|k| a.public.seeds[k] != b.public.seeds[k]));
            for (a, b) in a.private.iter().zip(&b.private) {
                // No share, and no mask of the proof: bytes agree by chance only, one in 256.
                let (length, front) = (a.len().min(b.len()), 34);
                let equal = (front..length).filter(|at| a[*at] == b[*at]).count();
                assert!(equal <= (length - front) / 100 + 8, "{equal} equal bytes of {length}");
            }
        }
    }
}

#[test]
fn openings_of_a_session_look_random() {
    let sample = sample("rustls-ec");
    let s = sample.statement();
    let layout = s.layout();
    let mut ones = vec![0u32; 2 * layout.columns];
    let rounds = 5;
    for seed in 0..rounds {
        let p = proven(&s, &sample.secret, seed).unwrap();
        let c = challenges(&s, &CTX, &p.public, layout.log_rows);
        let openings = open(&s, &layout, &c, shares(&p, &layout).each_ref()).map(|o| {
            let mut out = Vec::new();
            o.encode(&mut out);
            out
        });
        let [first, second, third] = &openings;
        for (column, ones) in ones.iter_mut().enumerate() {
            for at in 16 * column..16 * column + 16 {
                *ones += (first[at] ^ second[at] ^ third[at]).count_ones();
            }
        }
    }
    // Each opened element, the byte gates' too, and all together.
    let bits = 128 * u32::from(rounds);
    let spread = |ones: u32, bits: u32| f64::from(ones.abs_diff(bits / 2)) / (f64::from(bits) / 4.0).sqrt();
    let worst = ones.iter().map(|ones| spread(*ones, bits)).fold(0.0, f64::max);
    assert!(worst < 6.5, "{worst} standard deviations");
    let all: u32 = ones.iter().sum();
    assert!(spread(all, bits * ones.len() as u32) < 5.0, "{all}");
}

#[test]
fn sessions_are_checked_before_they_are_circuits() {
    let sample = sample("rustls-ec");
    let honest = sample.session(&sample.hidden());
    let refused = |change: &dyn Fn(&mut Session)| {
        let mut session = honest.clone();
        change(&mut session);
        match Statement::of_session(columns(), vec![Output::Value(0)], session) {
            Err(StatementError::Session(error)) => Some(error),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        }
    };
    let changes: [&dyn Fn(&mut Session); 16] = [
        // Too much text; too many records that have hardly any.
        &|s| s.server = vec![s.server[2].clone(); 48],
        &|s| {
            let empty = Record { inner: Inner::Application, ciphertext: vec![0], runs: Vec::new() };
            s.server.extend(vec![empty; 1000]);
            s.client.extend(s.server[4..].to_vec());
        },
        &|s| s.client.clear(),
        &|s| s.server.clear(),
        &|s| s.client = vec![s.client[0].clone(); 1025],
        // Content without room for its type; an empty run; alike neighbours; something that is left open.
        &|s| s.client[0].ciphertext.truncate(217),
        &|s| s.client[0].runs.push(Run::Shown(Vec::new())),
        &|s| {
            let Run::Shown(mut bytes) = s.client[0].runs[0].clone() else { panic!() };
            let rest = bytes.split_off(5);
            s.client[0].runs[0] = Run::Shown(bytes);
            s.client[0].runs.insert(1, Run::Shown(rest));
        },
        &|s| s.client[0].runs[0] = Run::Ticket { length: s.client[0].runs[0].len() },
        &|s| s.client[0].runs[0] = Run::Column { column: 0, length: s.client[0].runs[0].len() },
        // Tickets from the client; a header that says another length; another message.
        &|s| s.client[0].inner = Inner::Handshake,
        &|s| s.server[0].runs[0] = Run::Shown(vec![4, 0, 0, 78]),
        &|s| s.server[0].runs[0] = Run::Shown(vec![24, 0, 0, 77]),
        // An alert that is not close_notify, or not the last.
        &|s| s.client[1].runs[0] = Run::Shown(vec![2, 40]),
        &|s| s.client.swap(0, 1),
        // A place goes on that nobody began.
        &|s| {
            for run in s.client[0].runs.iter_mut() {
                if let Run::Inert { continued, .. } = run {
                    *continued = true;
                }
            }
        },
    ];
    for (i, change) in changes.iter().enumerate() {
        let error = refused(change);
        assert!(error.is_some(), "change {i}");
        assert_eq!(error == Some(SessionError::Size), i < 5, "change {i}");
    }
    assert_eq!(refused(&|_| {}), None);
    // The column's length; a column under a hash; a session's column without one.
    let with = |column: Column, session| Statement::of_session(vec![column], vec![Output::Value(0)], session);
    let shorter = Column { length: 10, ..columns()[0].clone() };
    assert_eq!(
        with(shorter, honest.clone()),
        Err(StatementError::Session(SessionError::Column { column: 0, expected: 10, got: 11 }))
    );
    let hashed = Column::number(HashAlg::Blake3, 11, 8, 48, Excess::Reject, [0; 32]);
    assert_eq!(with(hashed, honest), Err(StatementError::Binding(0)));
    assert_eq!(Statement::new(columns(), vec![Output::Value(0)]), Err(StatementError::Binding(0)));
}

#[test]
fn statements_of_sessions_have_one_encoding() {
    let s = sample("openssl-small-fragments").statement();
    let bytes = s.encode();
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(other) = Statement::decode(&changed) {
            assert!(other != s && other.encode() == changed);
        }
        assert!(Statement::decode(&bytes[..at]).is_err());
    }
    assert_eq!(s.shape().layout(), s.layout());
    assert_eq!(s.shape().shape(), s.shape());
}

#[test]
fn the_largest_session_is_within_the_limits() {
    // As much text as there may be, each byte of the kind that costs most gates.
    // Three records of 16 KiB in each direction; or as many as possible of one byte.
    let cases = [
        (Suite::Aes128Gcm, (1 << 14) - 128, 3),
        (Suite::ChaCha20Poly1305, (1 << 14) - 128, 3),
        (Suite::ChaCha20Poly1305, 1, 767),
        (Suite::ChaCha20Poly1305, 1, 768),
    ];
    for (suite, length, records) in cases {
        let inert = Run::Inert { kind: InertKind::EscapedText, continued: false, length };
        let record = Record { inner: Inner::Application, ciphertext: vec![0; length + 1], runs: vec![inert] };
        let column = Run::Column { column: 0, length: 11 };
        let first = Record { inner: Inner::Application, ciphertext: vec![0; 12], runs: vec![column] };
        let session = Session {
            suite,
            t1: [0; 32],
            t2: [0; 32],
            server_secret: [0; 32],
            client: vec![record.clone(); records],
            server: [vec![first], vec![record; records]].concat(),
        };
        let bytes = session.text_bytes();
        let statement = Statement::of_session(columns(), vec![Output::Value(0)], session);
        assert_eq!(statement.is_ok(), records < 768, "{bytes}");
        if let Ok(statement) = statement {
            let layout = statement.layout();
            for party in PartyId::ALL {
                assert!(PrivatePart::encoded_bytes(party, &layout) <= PRIVATE_MAX_BYTES, "{layout:?}");
            }
            assert_eq!(Statement::decode(&statement.encode()).as_ref(), Ok(&statement));
        }
    }
}
