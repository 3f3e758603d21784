//! TLSNotary files.

use std::sync::LazyLock;

use tlsn_verifier::notarize::{Attestation, AttestationRequest, NotarySigningKey};
use tlsn_verifier::{
    Direction, HashCommitment, NotaryTrust, Presentation, RootStore, Secrets, SignatureAlg, TrustPolicy,
    WireVersion, verify,
};

use crate::fixtures;

const VERSIONS: [WireVersion; 2] = [WireVersion::Alpha12, WireVersion::Alpha15];

/// Any notary: signatures that a mutation spoils do not hide the code behind the check of the key.
static OPEN: LazyLock<TrustPolicy> = LazyLock::new(|| TrustPolicy {
    notaries: NotaryTrust::AnyAndReport,
    roots: RootStore::from_der([fixtures::root()]).unwrap(),
    server_name: None,
});

/// Decoding in both versions is canonical; a presentation that verifies is consistent in itself.
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

/// Decoding is canonical, and an attestation can be asked for.
pub fn attestation(data: &[u8]) {
    for version in VERSIONS {
        if let Ok(attestation) = Attestation::decode_as(data, version) {
            assert_eq!(attestation.encode(), data, "{version:?}");
        }
    }
    let Ok(attestation) = Attestation::decode(data) else { return };
    assert_eq!(attestation.encode(), data);
    let _ = (attestation.verify_signature(), attestation.commitments());
    if let Some(wanted) = attestation.to_request() {
        assert_eq!(AttestationRequest::decode(&wanted.encode()), Ok(wanted));
    }
}

/// Decoding is canonical; the local notary refuses a request or gives an attestation that answers it.
pub fn request(data: &[u8]) {
    let Ok(request) = AttestationRequest::decode(data) else { return };
    assert_eq!(request.encode(), data);
    let key = NotarySigningKey::new(SignatureAlg::Secp256k1, &[1; 32]).unwrap();
    let Ok(attestation) = key.attest(&request, 1, Vec::new(), &mut |bytes| bytes.fill(5)) else { return };
    assert_eq!(attestation.verify_signature(), Ok(key.public()));
    assert_eq!(attestation.to_request(), Some(request));
    assert!(attestation.commitments().is_ok());
}

pub fn request_seeds() -> Vec<Vec<u8>> {
    let all = fixtures::attestations();
    let requests = all.iter().filter_map(|a| Attestation::decode(a).ok()?.to_request());
    requests.map(|r| r.encode()).collect()
}
