//! The prover's side: commit, ask, keep the secrets.

use core::fmt;

use zeroize::Zeroizing;

use super::{Attestation, AttestationRequest, Fill, NotarizeError, ServerHandshake};
use crate::{
    Direction, HashAlg, NotaryKey, RangeSet, Secrets, VerifyError, WireVersion,
    codec::Encode as _,
    hash::{TypedHash, domain},
    limits::{MAX_COMMITMENTS, MAX_TRANSCRIPT},
    secrets::SecretsFile,
    wire::{
        connection::{CertOpening, ServerName},
        transcript::{HashSecret, PlaintextHash, TranscriptCommitment},
    },
};

/// A commitment to make: one hash over all the ranges together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTo {
    /// Which transcript.
    pub direction: Direction,
    /// Which bytes.
    pub ranges: RangeSet,
    /// Which hash.
    pub alg: HashAlg,
}

/// A connection that is waiting for its attestation. Holds the transcript: wiped when dropped,
/// not shown by `Debug`.
pub struct Notarization {
    request: AttestationRequest,
    secrets: Secrets,
}

impl Notarization {
    /// Commits to the server's certificates and to the given ranges of the transcript (the
    /// application data of each direction). `alg` hashes the attestation's tree and the
    /// certificate commitment; `fill` makes the blinders.
    pub fn new(
        version: WireVersion,
        server: &ServerHandshake,
        sent: Zeroizing<Vec<u8>>,
        received: Zeroizing<Vec<u8>>,
        commit: &[CommitTo],
        alg: HashAlg,
        fill: Fill<'_>,
    ) -> Result<Self, NotarizeError> {
        let length = |direction, data: &[u8]| {
            let len = data.len();
            let limit = MAX_TRANSCRIPT;
            let short = u32::try_from(len).ok().filter(|_| len <= limit);
            short.ok_or(NotarizeError::TranscriptTooLong { direction, len, limit })
        };
        let (sent_len, received_len) =
            (length(Direction::Sent, &sent)?, length(Direction::Received, &received)?);
        if commit.len() > MAX_COMMITMENTS {
            return Err(NotarizeError::TooMany("commitments"));
        }
        let mut opening = CertOpening { handshake: server.to_wire(version)?, blinder: [0; 16] };
        fill(&mut opening.blinder);
        let opened = alg.digest(&[&domain("ServerCertOpening"), &opening.to_bcs(version)]);
        let (mut commitments, mut secrets) = (Vec::new(), Vec::new());
        for (field, to) in commit.iter().enumerate() {
            let data = match to.direction {
                Direction::Sent => &sent,
                Direction::Received => &received,
            };
            let mut parts = to.ranges.slices(data).ok_or(VerifyError::CommitmentOutOfBounds {
                field: field as u32,
                direction: to.direction,
                end: to.ranges.end(),
                len: data.len() as u32,
            })?;
            let mut blinder = Zeroizing::new([0; 16]);
            fill(&mut blinder[..]);
            parts.push(&blinder[..]);
            commitments.push(PlaintextHash {
                direction: to.direction,
                ranges: to.ranges.clone(),
                hash: TypedHash::new(to.alg, to.alg.digest(&parts)),
            });
            secrets.push(HashSecret {
                direction: to.direction,
                ranges: to.ranges.clone(),
                alg: to.alg.id(),
                blinder: *blinder,
            });
        }
        let request = AttestationRequest {
            version,
            root_alg: alg,
            sent: sent_len,
            received: received_len,
            ephemeral_key: opening.handshake.ephemeral_key.clone(),
            cert_commitment: TypedHash::new(alg, opened),
            commitments: commitments.clone(),
        };
        let file = SecretsFile {
            server_name: ServerName(server.name().to_owned()),
            opening,
            sent,
            received,
            commitments: commitments.into_iter().map(TranscriptCommitment::Hash).collect(),
            secrets,
        };
        Ok(Self { request, secrets: Secrets::from_file(version, file) })
    }

    /// The request to the notary.
    pub fn request(&self) -> &AttestationRequest {
        &self.request
    }

    /// Checks that `notary` signed the attestation and that it answers the request, and gives out the secrets that
    /// belong to it.
    pub fn finish(self, attestation: &Attestation, notary: &NotaryKey) -> Result<Secrets, NotarizeError> {
        attestation.check_answers(&self.request)?;
        let signer = attestation.verify_signature()?;
        if signer != *notary {
            return Err(VerifyError::NotaryUntrusted(signer).into());
        }
        Ok(self.secrets)
    }
}

impl fmt::Debug for Notarization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notarization({:?})", self.secrets)
    }
}
