//! The survey's file and descriptor, and its rules on transcripts and whole presentations.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use tercet_evidence::{
    Admitted, Binding, Bindings, Commitment, Data, Kind, MAX_VALUE, Policy, SurveyVerifier, Transcript,
};
use tercet_mpc::HashAlg;
use tercet_protocol::ids::{EngineDigest, SurveyId, sha256};
use tercet_protocol::survey::{SurveyDescriptor, SurveyError, SurveyManifest};

use crate::fixtures;

/// A file that is accepted says the same after it was written and read again, and makes valid statements.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(manifest) = SurveyManifest::from_toml(text) else { return };
    sound(&manifest);
    let written = toml::to_string(&manifest).unwrap();
    assert_eq!(SurveyManifest::from_toml(&written).unwrap(), manifest, "{written}");
    let engine = EngineDigest([7; 32]);
    match SurveyDescriptor::assemble(manifest, &[fixtures::root()], fixtures::parties(), engine) {
        Ok(assembled) => descriptor(assembled.bytes()),
        // Pretty JSON can be longer than its TOML.
        Err(SurveyError::TooLarge(_)) => {}
        Err(e) => panic!("a valid file makes no descriptor: {e}"),
    }
}

fn sound(manifest: &SurveyManifest) {
    assert!(!manifest.statistics().is_empty());
    assert!(manifest.lanes().len() >= manifest.columns.len(), "the columns are no valid statement");
}

pub fn manifest_seeds() -> Vec<Vec<u8>> {
    let survey = fixtures::survey_file();
    let bare = survey
        .replace("root_certificates = [\"root.der\"]", "")
        .replace("[identity]", "[[columns]]\nname='x'\nscale=0\nbits=1");
    let category = "[[categories]]\nname='g'\nprefix='\"g\":\"'\nsuffix='\"'\nvalues=['a', 'b']\n\n[[columns]]\nmissing = 'null'\n";
    let hidden = survey.replace("[[columns]]\n", category).replace("\"mean\"", "\"mean\", \"sum@g\"");
    vec![survey.into(), bare.into(), hidden.into()]
}

/// An accepted descriptor keeps its exact bytes, and prepares a verifier or gives a reason.
pub fn descriptor(data: &[u8]) {
    let Ok(descriptor) = SurveyDescriptor::from_bytes(data.to_vec()) else { return };
    assert_eq!(descriptor.bytes(), data);
    assert_eq!(descriptor.id(), SurveyId(sha256(&[data])));
    sound(descriptor.manifest());
    let _ = SurveyVerifier::new(&descriptor);
}

pub fn descriptor_seeds() -> Vec<Vec<u8>> {
    vec![fixtures::SURVEY.bytes().to_vec()]
}

const TIME: u64 = 1_741_091_696;

/// A made-up transcript: one byte of options, the length of the sent part (`u16`), the sent part, the received one.
/// Zero bytes are hidden, each run of them a range of its own with a commitment.
pub fn transcript(data: &[u8]) {
    let Some((&[options, low, high], rest)) = data.split_first_chunk() else { return };
    let (sent, received) = rest.split_at(rest.len().min(u16::from_le_bytes([low, high]).into()));
    let (sent_hidden, received_hidden) = (runs(sent), runs(received));
    let mut commitments: Vec<_> = received_hidden.iter().cloned().map(commitment).collect();
    match options % 4 {
        1 => commitments.extend(commitments.clone()),
        2 => commitments.truncate(1),
        3 => commitments.iter_mut().for_each(|c| c.ranges.insert(0, 0..1)),
        _ => {}
    }
    let transcript = Transcript {
        kind: Kind::Presentation,
        server: if options & 4 == 0 { "api.exchange.test".into() } else { "other.exchange.test".into() },
        time: if options & 8 == 0 { TIME } else { u64::MAX },
        session: vec![1; 32],
        sent: Data { bytes: sent.to_vec(), hidden: sent_hidden },
        received: Data { bytes: received.to_vec(), hidden: received_hidden.clone() },
        bindings: Bindings::Hashes(commitments),
    };
    for survey in SURVEYS.iter() {
        let policy = Policy::new(SurveyId([5; 32]), survey).unwrap();
        let Ok(admitted) = policy.admit(&transcript) else { continue };
        assert_eq!(options & 0xf, options & 0xf & 2, "admitted with a wrong server, time or commitment");
        assert!(sent.starts_with(b"GET /api/v3/account?"));
        assert!(received.starts_with(b"HTTP/1."));
        let names = survey.hidden_names();
        assert_eq!(admitted.columns.len(), names.len());
        let pieces: usize = admitted.columns.iter().map(|c| c.pieces.len()).sum();
        assert_eq!(pieces, received_hidden.len(), "something else is hidden");
        for column in &admitted.columns {
            assert!(
                column.pieces.iter().all(|p| received_hidden.contains(p)) && column.length() <= MAX_VALUE
            );
            assert_eq!(column.binding, Binding::Hash { alg: HashAlg::Sha256, commitment: [9; 32] });
            // In front of the first piece stands, up to white space and chunk framing, what a value follows.
            let before = received[..column.pieces[0].start].last().copied();
            assert!(
                matches!(before, Some(b'"' | b':' | b',' | b'[' | b' ' | b'\t' | b'\r' | b'\n')),
                "{before:?}"
            );
        }
    }
}

fn commitment(range: Range<usize>) -> Commitment {
    Commitment { ranges: vec![range], algorithm: HashAlg::Sha256, digest: [9; 32] }
}

/// The runs of zero bytes.
fn runs(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (i, _) in bytes.iter().enumerate().filter(|(_, b)| **b == 0) {
        match runs.last_mut() {
            Some(run) if run.end == i => run.end += 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}

/// The cohort's survey, without identities, and with a second column.
static SURVEYS: LazyLock<[SurveyManifest; 3]> = LazyLock::new(|| {
    let survey = SurveyManifest::from_toml(&fixtures::survey_file()).unwrap();
    let anonymous = SurveyManifest { identity: None, ..survey.clone() };
    let mut two = survey.clone();
    let mut second = two.columns[0].clone();
    second.name = "btc_free".into();
    second.prefix = second.prefix.map(|p| p.replace("ETH", "BTC"));
    two.columns.push(second);
    [survey, anonymous, two]
});

pub fn transcript_seeds() -> Vec<Vec<u8>> {
    let sent = "GET /api/v3/account?omitZeroBalances=true HTTP/1.1\r\nHost: api.exchange.test\r\nX-Key: \0\0\0\0\r\n\r\n";
    let one = "{\"balances\":[{\"asset\":\"ETH\",\"free\":\"\0\0\0\0\",\"locked\":\"0\"}],\"uid\":77}";
    let two = one.replace("}]", "},{\"asset\":\"BTC\",\"free\":\"\0\0\",\"locked\":\"0\"}]");
    let seed = |options: u8, head: &str, body: &str| {
        let length = u16::try_from(sent.len()).unwrap().to_le_bytes();
        let response = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
        [&[options][..], &length, sent.as_bytes(), response.as_bytes()].concat()
    };
    let plain = |options, body: &str| seed(options, &format!("Content-Length: {}", body.len()), body);
    let (a, b) = one.split_at(12);
    let chunked = format!("{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", a.len(), b.len());
    vec![
        plain(0, one),
        plain(2, one),
        plain(1, one),
        plain(0, &two),
        seed(0, "Transfer-Encoding: chunked", &chunked),
        seed(0, "Content-Length: 4\r\nTransfer-Encoding: chunked", &chunked),
    ]
}

static VERIFIER: LazyLock<SurveyVerifier> = LazyLock::new(|| SurveyVerifier::new(&fixtures::SURVEY).unwrap());

fn facts(admitted: &Admitted) -> Vec<[u8; 32]> {
    let digests = admitted.columns.iter().filter_map(|c| match c.binding {
        Binding::Hash { commitment, .. } => Some(commitment),
        Binding::Keystream | Binding::Absent => None,
    });
    std::iter::once(admitted.nullifier.0).chain(digests).collect()
}

/// The values that the vectors prove.
static PROVEN: LazyLock<HashSet<Vec<[u8; 32]>>> = LazyLock::new(|| {
    let all = fixtures::presentations();
    let proven: HashSet<_> = all
        .iter()
        .filter_map(|p| VERIFIER.check(Kind::Presentation, p).ok())
        .map(|(_, a)| facts(&a))
        .collect();
    assert!(proven.len() >= 24, "the cohort is not admitted");
    proven
});

/// Whatever is admitted, the notary attested: no change makes another identity or commitment out of it.
pub fn check(data: &[u8]) {
    if let Ok((_, admitted)) = VERIFIER.check(Kind::Presentation, data) {
        assert!(PROVEN.contains(&facts(&admitted)), "a forgery is admitted: {admitted:?}");
    }
}
