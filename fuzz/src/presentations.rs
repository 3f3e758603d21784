//! TLSNotary files.

use std::sync::LazyLock;

use tlsn_verifier::{
    Direction, HashCommitment, NotaryTrust, Presentation, RootStore, Secrets, TrustPolicy, WireVersion,
    verify,
};

use crate::fixtures;

const VERSIONS: [WireVersion; 2] = [WireVersion::Alpha12, WireVersion::Alpha15];

/// Any notary: signatures that a mutation spoils do not hide what stands behind the check of the key.
static OPEN: LazyLock<TrustPolicy> = LazyLock::new(|| TrustPolicy {
    notaries: NotaryTrust::AnyAndReport,
    roots: RootStore::from_der([fixtures::root()]).unwrap(),
    server_name: None,
});

/// Decoding in both versions is canonical; what verifies is consistent in itself.
pub fn presentation(data: &[u8]) {
    for version in VERSIONS {
        if let Ok(presentation) = Presentation::decode_as(data, version) {
            assert_eq!(presentation.wire_version(), version);
            assert_eq!(presentation.encode(), data, "{version:?}");
        }
    }
    let Ok(presentation) = Presentation::decode(data) else { return };
    assert_eq!(presentation.encode(), data);
    let Ok(verified) = presentation.verify(&OPEN) else { return };
    for commitment in &verified.commitments {
        let transcript = verified.transcript.direction(commitment.direction);
        let ranges = commitment.ranges.as_slice();
        assert!(!ranges.is_empty() && ranges.iter().all(|r| r.start < r.end && r.end <= transcript.len()));
        assert!(ranges.windows(2).all(|w| w[0].end < w[1].start));
    }
    for direction in [Direction::Sent, Direction::Received] {
        let transcript = verified.transcript.direction(direction);
        let revealed: usize = transcript.revealed().iter().map(|r| r.len()).sum();
        let hidden: usize = transcript.hidden().iter().map(|r| r.len()).sum();
        assert_eq!(revealed + hidden, transcript.len());
    }
}

/// The commitments of all vectors that verify.
static COMMITMENTS: LazyLock<Vec<HashCommitment>> = LazyLock::new(|| {
    let all = fixtures::presentations();
    let mut found: Vec<_> =
        all.iter().filter_map(|p| verify(p, &OPEN).ok()).flat_map(|v| v.commitments).collect();
    // Enough of each kind; every one is looked up for every input.
    found.sort_by_key(|c| (c.direction, c.ranges.as_slice().len(), c.ranges.len(), c.field));
    found.dedup_by_key(|c| (c.direction, c.alg, c.ranges.clone()));
    found.truncate(32);
    found
});

/// Decoding is canonical; an opening hashes to its commitment.
pub fn secrets(data: &[u8]) {
    for version in VERSIONS {
        if let Ok(secrets) = Secrets::decode_as(data, version) {
            assert_eq!(secrets.wire_version(), version);
            assert_eq!(*secrets.encode(), data, "{version:?}");
        }
    }
    let Ok(secrets) = Secrets::decode(data) else { return };
    assert_eq!(*secrets.encode(), data);
    assert!(!format!("{secrets:?}").is_empty());
    for commitment in COMMITMENTS.iter() {
        if let Some(opening) = secrets.opening_for(commitment) {
            assert_eq!(opening.bytes.len(), commitment.ranges.len());
            assert_eq!(
                commitment.alg.digest(&[&opening.bytes, &opening.blinder[..]]),
                commitment.digest,
                "an opening that does not open"
            );
        }
    }
}
