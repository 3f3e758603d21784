//! Presentations of TLSNotary as evidence.

use std::ops::Range;

use tercet_protocol::kind::Kind;
use tercet_protocol::survey::{NotaryAlgorithm, NotarySection, SurveyError};
use tlsn_verifier::{
    Direction, NotaryKey, NotaryTrust, PartialData, RootStore, Segment, SignatureAlg, TrustPolicy, Verified,
};

use crate::transcript::{Bindings, Commitment, Data, Transcript};
use crate::verifier::invalid_key;

/// Verifies presentations by a survey's notaries.
#[derive(Debug, Clone)]
pub(crate) struct Presentations {
    trust: TrustPolicy,
    notaries: Vec<(NotaryKey, NotarySection)>,
}

impl Presentations {
    /// Prepares the keys of the survey's notaries of this kind.
    pub(crate) fn new(notaries: &[NotarySection], roots: RootStore) -> Result<Self, SurveyError> {
        let mut known = Vec::new();
        for section in notaries.iter().filter(|n| n.kind == Kind::Presentation) {
            known.extend(keys(section)?.into_iter().map(|key| (key, section.clone())));
        }
        let pinned = known.iter().map(|(key, _)| *key).collect();
        // The server's name is a rule of the survey, refused by name in the policy.
        let trust = TrustPolicy { notaries: NotaryTrust::Pinned(pinned), roots, server_name: None };
        Ok(Self { trust, notaries: known })
    }

    /// Verifies a presentation.
    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<Verified, tlsn_verifier::Error> {
        tlsn_verifier::verify(bytes, &self.trust)
    }

    /// True if the key that signed counted when the connection was made.
    pub(crate) fn is_valid(&self, verified: &Verified) -> bool {
        let signed = |(key, section): &(NotaryKey, NotarySection)| {
            *key == verified.notary_key && section.is_valid_at(verified.connection_time)
        };
        self.notaries.iter().any(signed)
    }
}

/// The keys that an entry means. A secp256k1 notary may sign in Ethereum's way too.
fn keys(section: &NotarySection) -> Result<Vec<NotaryKey>, SurveyError> {
    let bytes = section.key_bytes()?;
    let algorithms: &[SignatureAlg] = match section.algorithm {
        NotaryAlgorithm::Secp256k1 => &[SignatureAlg::Secp256k1, SignatureAlg::Secp256k1Eth],
        NotaryAlgorithm::Secp256r1 => &[SignatureAlg::Secp256r1],
        NotaryAlgorithm::Ed25519 => &[],
    };
    algorithms.iter().map(|a| NotaryKey::new(*a, &bytes).map_err(|e| invalid_key(e.to_string()))).collect()
}

/// The transcript of a verified presentation.
pub fn transcript(verified: &Verified) -> Transcript {
    let commitments = verified
        .unopened()
        .filter(|c| c.direction == Direction::Received)
        .map(|c| Commitment { ranges: c.ranges.as_slice().to_vec(), algorithm: c.alg, digest: c.digest });
    Transcript {
        kind: Kind::Presentation,
        server: verified.server_name.clone(),
        time: verified.connection_time,
        session: verified.root.to_vec(),
        sent: flat(&verified.transcript.sent),
        received: flat(&verified.transcript.received),
        bindings: Bindings::Hashes(commitments.collect()),
    }
}

/// All bytes of a direction, hidden ones as zero, and the hidden ranges.
fn flat(data: &PartialData) -> Data {
    let mut bytes = Vec::with_capacity(data.len());
    let mut hidden = Vec::new();
    for segment in data.segments() {
        match segment {
            Segment::Revealed(_, revealed) => bytes.extend_from_slice(revealed),
            Segment::Hidden(range) => {
                bytes.resize(bytes.len() + range.len(), 0);
                hidden.push(range);
            }
        }
    }
    Data { bytes, hidden }
}

/// The commitment that a column rests on, for the prover's secrets to open.
pub fn commitment<'a>(
    verified: &'a Verified,
    pieces: &[Range<usize>],
    digest: [u8; 32],
) -> Option<&'a tlsn_verifier::HashCommitment> {
    verified
        .unopened()
        .find(|c| c.direction == Direction::Received && c.ranges.as_slice() == pieces && c.digest == digest)
}
