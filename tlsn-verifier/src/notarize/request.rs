//! The prover's request to the notary.

use super::{Attestation, Fill, NotarizeError, NotarySigningKey};
use crate::{
    DecodeError, Direction, Extension, HashAlg, RangeSet, VerifyError, WireVersion,
    codec::{Decode, Encode, Reader, Result as DecodeResult, Writer},
    hash::TypedHash,
    identity::check_ephemeral_key,
    limits::{MAX_COMMITMENTS, MAX_EXTENSION, MAX_EXTENSIONS, MAX_TRANSCRIPT},
    verify::check_commitments,
    wire::{
        attestation::{Body, Field, Header, SignedBody, TypedBytes},
        connection::{ConnectionInfo, EphemeralKey, TlsVersion},
        presentation::merkle_root,
        transcript::{PlaintextHash, TranscriptCommitment},
    },
};

/// A request for an attestation: commitments and lengths, no plaintext, no names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationRequest {
    pub(crate) version: WireVersion,
    pub(crate) root_alg: HashAlg,
    pub(crate) sent: u32,
    pub(crate) received: u32,
    pub(crate) ephemeral_key: EphemeralKey,
    pub(crate) cert_commitment: TypedHash,
    pub(crate) commitments: Vec<PlaintextHash>,
}

/// First byte of an encoded request: this crate's own format, upstream's differs by release.
const FORMAT: u8 = 1;

impl AttestationRequest {
    /// The wire version that the attestation will have.
    pub fn wire_version(&self) -> WireVersion {
        self.version
    }

    /// Bytes of the transcript in one direction.
    pub fn transcript_len(&self, direction: Direction) -> u32 {
        match direction {
            Direction::Sent => self.sent,
            Direction::Received => self.received,
        }
    }

    /// Direction, ranges and algorithm of each commitment.
    pub fn commitments(&self) -> impl Iterator<Item = (Direction, &RangeSet, Option<HashAlg>)> {
        let each = self.commitments.iter();
        each.map(|c| (c.direction, &c.ranges, HashAlg::from_id(c.hash.alg)))
    }

    /// For the wire between prover and notary.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.version, 1_024);
        w.u8(FORMAT);
        w.u8(match self.version {
            WireVersion::Alpha12 => 12,
            WireVersion::Alpha15 => 15,
        });
        w.u8(self.root_alg.id());
        w.u32(self.sent);
        w.u32(self.received);
        self.ephemeral_key.encode(&mut w);
        self.cert_commitment.encode(&mut w);
        w.len(self.commitments.len());
        for commitment in &self.commitments {
            commitment.direction.encode(&mut w);
            commitment.ranges.encode(&mut w);
            commitment.hash.encode(&mut w);
        }
        w.into_bytes()
    }

    /// The inverse of [`encode`](Self::encode); bounded and exact.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotarizeError> {
        // The version a reader starts with matters only to types that a request does not contain.
        let request = Self::from_bincode(bytes, WireVersion::Alpha15);
        Ok(request.map_err(|(_, error)| error)?)
    }
}

impl Decode for AttestationRequest {
    fn decode(r: &mut Reader<'_>) -> DecodeResult<Self> {
        let invalid = |what, tag: u8, offset| DecodeError::InvalidTag { what, tag: tag.into(), offset };
        let format = r.u8("the request's format")?;
        if format != FORMAT {
            return Err(invalid("the request's format", format, 0));
        }
        let version = match r.u8("the wire version")? {
            12 => WireVersion::Alpha12,
            15 => WireVersion::Alpha15,
            tag => return Err(invalid("the wire version", tag, 1)),
        };
        let alg = r.u8("the root's algorithm")?;
        let root_alg = HashAlg::from_id(alg).ok_or(invalid("the root's algorithm", alg, 2))?;
        Ok(Self {
            version,
            root_alg,
            sent: r.u32("the sent length")?,
            received: r.u32("the received length")?,
            ephemeral_key: EphemeralKey::decode(r)?,
            cert_commitment: TypedHash::decode(r)?,
            commitments: r.seq(MAX_COMMITMENTS, "the number of commitments", |r| {
                Ok(PlaintextHash {
                    direction: Direction::decode(r)?,
                    ranges: RangeSet::decode(r)?,
                    hash: TypedHash::decode(r)?,
                })
            })?,
        })
    }
}

impl NotarySigningKey {
    /// Signs a prover's request, as connected at `time` (seconds since the Unix epoch, the notary's own clock).
    /// Requests that verifiers would refuse are refused here already. `fill` chooses the attestation's id.
    pub fn attest(
        &self,
        request: &AttestationRequest,
        time: u64,
        extensions: Vec<Extension>,
        fill: Fill<'_>,
    ) -> Result<Attestation, NotarizeError> {
        check_request(request, &extensions)?;
        let public = self.public();
        let (version, alg) = (request.version, request.root_alg);
        let mut ids = 0..;
        // Unwrap-free: the range has 2^32 ids and the limits allow 600 fields.
        let mut id = || ids.next().unwrap_or(u32::MAX);
        let body = Body {
            verifying_key: Field {
                id: id(),
                data: TypedBytes { alg: public.alg().key_id(), data: public.to_sec1() },
            },
            connection_info: Field {
                id: id(),
                data: ConnectionInfo {
                    time,
                    version: TlsVersion::V1_2,
                    sent: request.sent,
                    received: request.received,
                },
            },
            ephemeral_key: Field { id: id(), data: request.ephemeral_key.clone() },
            cert_commitment: Field { id: id(), data: request.cert_commitment.clone() },
            extensions: extensions.into_iter().map(|data| Field { id: id(), data }).collect(),
            commitments: request
                .commitments
                .iter()
                .map(|c| Field { id: id(), data: TranscriptCommitment::Hash(c.clone()) })
                .collect(),
        };
        check_commitments(&body)?;
        let leaves = body.leaves(version, alg);
        let hashes = leaves.into_iter().map(|(_, hash)| hash).collect();
        // Unwrap-free: a body has at least four leaves.
        let root = merkle_root(alg, hashes).unwrap_or_default();
        let mut header = Header { id: [0; 16], version: 0, root: TypedHash::new(alg, root) };
        fill(&mut header.id);
        let signature = TypedBytes { alg: public.alg().id(), data: self.sign(&header.to_bcs(version))? };
        let signed = SignedBody { signature, header, body };
        Ok(Attestation::from_signed(version, signed))
    }
}

fn check_request(request: &AttestationRequest, extensions: &[Extension]) -> Result<(), NotarizeError> {
    for direction in Direction::ALL {
        let len = request.transcript_len(direction) as usize;
        if len > MAX_TRANSCRIPT {
            let limit = MAX_TRANSCRIPT;
            return Err(NotarizeError::TranscriptTooLong { direction, len, limit });
        }
    }
    check_ephemeral_key(&request.ephemeral_key)?;
    let commitment = &request.cert_commitment;
    if HashAlg::from_id(commitment.alg).is_none() {
        return Err(VerifyError::CertCommitmentAlgUnknown(commitment.alg).into());
    }
    if commitment.value.len() != 32 {
        return Err(VerifyError::CertCommitmentMismatch.into());
    }
    if request.commitments.len() > MAX_COMMITMENTS {
        return Err(NotarizeError::TooMany("commitments"));
    }
    let large = |e: &Extension| e.id.len().max(e.value.len()) > MAX_EXTENSION;
    if extensions.len() > MAX_EXTENSIONS || extensions.iter().any(large) {
        return Err(NotarizeError::TooMany("extensions, or one is too large"));
    }
    Ok(())
}
