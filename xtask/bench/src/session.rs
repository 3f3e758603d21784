//! Recorded TLS 1.3 sessions: the provider's proof and a party's check of it, for each suite and two sizes of response; then
//! real sessions through the notary, at three parties.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use party_host::sandbox::{Limits, Sandbox, Submission};
use ring::{aead, digest, hmac};
use tercet_kernels::Cores;
use tercet_mpc::decimal::{Excess, Notation};
use tercet_mpc::statement::session::{Hidden, InertKind, Part, Record, Role, Suite, place};
use tercet_mpc::statement::{Binding, Column, Format, Number, Output, Session};
use tercet_mpc::{HandshakeSecret, OneCore, PartyId, Proven, Statement, Workers, prove_session};
use tercet_protocol::keys::random;
use zeroize::Zeroizing;

use crate::Cli;
use crate::proc::{forget_peak_memory, memory, peak_memory};
use crate::report::{Limit, Report, spread};
use crate::verify::{measured, native, sandboxed};

/// Bytes of the response's body, with the seconds that a proof on one core may take.
const BODIES: [(&str, usize, f64); 2] = [("2kb", 2 << 10, 0.5), ("64kb", 64 << 10, 10.0)];
const SUITES: [(&str, Suite); 2] = [("aes", Suite::Aes128Gcm), ("chacha20", Suite::ChaCha20Poly1305)];
const REQUEST: usize = 500;
const HEAD: usize = 600;
const VALUE: &[u8] = b"12.34567890";
/// Content of a record at most.
const RECORD: usize = 1 << 14;

/// HKDF-Expand-Label of one block (RFC 8446, 7.1).
fn expand(secret: &[u8], label: &str, context: &[u8], length: u8) -> Vec<u8> {
    let mut info = vec![0, length, 6 + label.len() as u8];
    info.extend(b"tls13 ");
    info.extend(label.as_bytes());
    info.push(context.len() as u8);
    info.extend(context);
    info.push(1);
    let mut out = mac(secret, &info);
    out.truncate(length.into());
    out
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

/// One direction's records.
struct Sealer {
    key: aead::LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Sealer {
    fn new(suite: Suite, traffic: &[u8]) -> Result<Self> {
        let algorithm = match suite {
            Suite::Aes128Gcm => &aead::AES_128_GCM,
            Suite::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        };
        let key = expand(traffic, "key", b"", suite.key_bytes() as u8);
        let key = aead::UnboundKey::new(algorithm, &key).ok().context("a key of the suite's length")?;
        let iv = expand(traffic, "iv", b"", 12).try_into().ok().context("a nonce of twelve bytes")?;
        Ok(Self { key: aead::LessSafeKey::new(key), iv, sequence: 0 })
    }

    fn seal(&mut self, content: &[u8], inner: u8) -> Result<Vec<u8>> {
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()).for_each(|(n, s)| *n ^= s);
        self.sequence += 1;
        let mut text = [content, &[inner]].concat();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        // The tag, which stands apart, is no part of what is proven.
        let sealed = self.key.seal_in_place_separate_tag(nonce, aead::Aad::empty(), &mut text);
        let _tag = sealed.ok().context("a record within the limits")?;
        Ok(text)
    }

    /// Application data and a close_notify.
    fn records(&mut self, text: &[u8]) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for content in text.chunks(RECORD) {
            let ciphertext = self.seal(content, 23)?;
            parts.push(Part::Application { ciphertext, content: content.len() });
        }
        parts.push(Part::Other(Record::close_notify(self.seal(&[1, 0], 21)?, 1)));
        Ok(parts)
    }
}

/// A session with a column's value in its response, of which every other string is kept by the provider.
fn recorded(suite: Suite, body: usize) -> Result<(Statement, HandshakeSecret)> {
    let (secret, t1, t2): ([u8; 32], [u8; 32], [u8; 32]) = (random()?, random()?, random()?);
    let server_secret = expand(&secret, "s hs traffic", &t1, 32);
    let nothing = digest::digest(&digest::SHA256, b"");
    let master = mac(&expand(&secret, "derived", nothing.as_ref(), 32), &[0; 32]);

    let mut request = b"GET /account HTTP/1.1\r\nAuthorization: Bearer ".to_vec();
    let token = request.len();
    request.resize(REQUEST, b'k');
    let credential = Hidden {
        range: token..REQUEST,
        role: Role::Inert { kind: InertKind::HeaderValue, continued: false },
    };
    let mut response = vec![b'h'; HEAD];
    let mut hidden = vec![Hidden { range: HEAD..HEAD + VALUE.len(), role: Role::Column(0) }];
    response.extend(VALUE);
    while response.len() < HEAD + body {
        response.extend(b"\",\"asset\":\"");
        let start = response.len();
        response.extend(b"a text of the provider's own");
        let role = Role::Inert { kind: InertKind::Text, continued: false };
        hidden.push(Hidden { range: start..response.len(), role });
    }
    let sealed = |label, text: &[u8]| Sealer::new(suite, &expand(&master, label, &t2, 32))?.records(text);
    let session = Session {
        suite,
        t1,
        t2,
        server_secret: server_secret.try_into().ok().context("a secret of 32 bytes")?,
        client: place(sealed("c ap traffic", &request)?, &request, &[credential]).context("the request")?,
        server: place(sealed("s ap traffic", &response)?, &response, &hidden).context("the response")?,
    };
    let number =
        Number { scale: 8, bits: 48, excess: Excess::Reject, notation: Notation::default(), missing: None };
    let column =
        Column { length: VALUE.len() as u8, format: Format::Number(number), binding: Binding::Keystream };
    let statement = Statement::of_session(vec![column], vec![Output::Value(0), Output::Square(0)], session)?;
    Ok((statement, HandshakeSecret(Zeroizing::new(secret))))
}

fn proven(
    workers: &impl Workers,
    statement: &Statement,
    secret: &HandshakeSecret,
    context: &[u8; 32],
) -> Result<(f64, Proven)> {
    let seed = random()?;
    let start = Instant::now();
    let proven = prove_session(workers, statement, secret, context, &seed, &mut |_| {})?;
    Ok((start.elapsed().as_secs_f64(), proven))
}

/// Measures proving, upload, memory, checking; then the rate of three parties, and the check of a handshake.
pub fn run(cli: &Cli) -> Result<Report> {
    let limits = Limits { memory: 256 << 20, compute: Duration::from_secs(60) };
    let sandbox = Sandbox::load(&cli.engine, None, limits)?;
    let mut report = Report::new(
        "session",
        "recorded TLS 1.3 sessions: request of 500 bytes, head of 600, a body of which two thirds are inert; value and \
         square. parties.*: real sessions with the sample exchange through the notary, about 2 KB, at three parties",
    );
    for (size, body, seconds) in BODIES {
        for (suite_name, suite) in SUITES {
            let rounds = if cli.quick || size != "2kb" { 3 } else { 11 };
            eprintln!("proving and checking {size} with {suite_name}");
            let name = |what: &str| format!("{suite_name}.{size}.{what}");
            let (statement, secret) = recorded(suite, body)?;
            let layout = statement.layout();
            report.figure(name("and_gates"), layout.gates as f64, "gates");
            report.figure(name("byte_gates"), 2.0 * layout.inversions as f64, "gates");
            let context: [u8; 32] = random()?;
            let before = memory()?;
            forget_peak_memory()?;
            let one: Vec<_> = (0..rounds)
                .map(|_| proven(&OneCore, &statement, &secret, &context))
                .collect::<Result<_>>()?;
            report.limited(
                name("prove_memory"),
                (peak_memory(std::process::id())? - before).max(0.0),
                "MB",
                Limit::AtMost(100.0),
            );
            let times: Vec<f64> = one.iter().map(|(seconds, _)| *seconds).collect();
            report.limited(name("prove"), spread(&times).1, "s", Limit::AtMost(seconds));
            let (all, proven) = proven(&Cores::all(), &statement, &secret, &context)?;
            report.figure(name("prove_all_cores"), all, "s");
            let largest = proven.private.iter().map(|part| part.len()).max().unwrap_or_default() as f64;
            match (suite, size) {
                (Suite::Aes128Gcm, "2kb") => {
                    report.limited(name("upload"), largest, "bytes", Limit::AtMost(150_000.0));
                }
                _ => report.figure(name("upload"), largest, "bytes"),
            }

            let batch = proven.private.map(|private| {
                vec![Submission {
                    statement: statement.encode(),
                    context: context.to_vec(),
                    share_hashes: proven.public.encode().to_vec(),
                    private: private.to_vec(),
                }]
            });
            ensure!(Statement::decode(&batch[0][0].statement)? == statement, "another statement was read");
            let id = random()?;
            let (in_sandbox, _) = measured(rounds, 1, |party: PartyId, wires| {
                sandboxed(&sandbox, &batch[party.index()], id, party, wires)
            })?;
            let (natively, _) =
                measured(rounds, 1, |party, wires| native(&batch[party.index()], id, party, wires))?;
            if size == "2kb" {
                report.limited(name("check_sandbox_cpu"), in_sandbox, "ms", Limit::AtMost(2.0));
            } else {
                report.figure(name("check_sandbox_cpu"), in_sandbox, "ms");
            }
            report.figure(name("check_native_cpu"), natively, "ms");
        }
    }
    let parties = crate::submit::sessions(cli)?;
    let evidence = parties.value("evidence_cpu").context("the handshake was not measured")?;
    report.include("parties", parties);
    for (suite_name, _) in SUITES {
        let proof = report.value(&format!("{suite_name}.2kb.check_sandbox_cpu")).context("not measured")?;
        let name = format!("{suite_name}.2kb.check_with_handshake_cpu");
        report.limited(name, proof + evidence, "ms", Limit::AtMost(4.0));
    }
    Ok(report)
}
