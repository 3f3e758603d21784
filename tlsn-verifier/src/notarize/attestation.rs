//! The notary's answer.

use super::{AttestationRequest, NotarizeError};
use crate::{
    DecodeError, Extension, HashCommitment, NotaryKey, VerifyError, WireVersion,
    codec::{Decode as _, Encode as _},
    verify::{body_root, check_commitments, check_signature},
    wire::{attestation::SignedBody, decode_any, transcript::TranscriptCommitment},
};

/// A signed attestation, in the format of upstream's attestation files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    version: WireVersion,
    pub(crate) signed: SignedBody,
}

impl Attestation {
    pub(crate) fn from_signed(version: WireVersion, signed: SignedBody) -> Self {
        Self { version, signed }
    }

    /// Decodes either wire version, told apart by the signed root.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (found, failure) = decode_any::<SignedBody>(bytes);
        let found: Vec<_> = found.into_iter().map(|(version, signed)| Self { version, signed }).collect();
        let right = found.iter().position(|a| body_root(&a.signed, a.version).is_ok());
        let chosen = found.into_iter().nth(right.unwrap_or(0));
        let empty = DecodeError::UnexpectedEnd { what: "the file", offset: 0 };
        chosen.ok_or_else(|| failure.unwrap_or(empty))
    }

    /// Decodes one wire version only.
    pub fn decode_as(bytes: &[u8], version: WireVersion) -> Result<Self, DecodeError> {
        let signed = SignedBody::from_bincode(bytes, version).map_err(|(_, error)| error)?;
        Ok(Self { version, signed })
    }

    /// The file.
    pub fn encode(&self) -> Vec<u8> {
        self.signed.to_bincode(self.version)
    }

    /// The format it is in.
    pub fn wire_version(&self) -> WireVersion {
        self.version
    }

    /// When the connection was made, in seconds since the Unix epoch.
    pub fn connection_time(&self) -> u64 {
        self.signed.body.connection_info.data.time
    }

    /// Checks root and signature, and tells who signed.
    pub fn verify_signature(&self) -> Result<NotaryKey, VerifyError> {
        body_root(&self.signed, self.version)?;
        check_signature(&self.signed)
    }

    /// The attested hash commitments, in attested order, none opened.
    pub fn commitments(&self) -> Result<Vec<HashCommitment>, VerifyError> {
        check_commitments(&self.signed.body).map(|(commitments, _)| commitments)
    }

    /// The notary's additions, in attested order.
    pub fn extensions(&self) -> Vec<Extension> {
        let mut fields: Vec<_> = self.signed.body.extensions.iter().collect();
        fields.sort_by_key(|field| field.id);
        fields.into_iter().map(|f| f.data.clone()).collect()
    }

    /// The id that the notary chose.
    pub fn id(&self) -> [u8; 16] {
        self.signed.header.id
    }

    /// The request that a prover would have had to make to get this attestation; `None` if it has commitments that
    /// cannot be asked for.
    pub fn to_request(&self) -> Option<AttestationRequest> {
        let body = &self.signed.body;
        let info = &body.connection_info.data;
        let hash = |commitment: &TranscriptCommitment| match commitment {
            TranscriptCommitment::Hash(hash) => Some(hash.clone()),
            TranscriptCommitment::Encoding(_) => None,
        };
        Some(AttestationRequest {
            version: self.version,
            root_alg: crate::HashAlg::from_id(self.signed.header.root.alg)?,
            sent: info.sent,
            received: info.received,
            ephemeral_key: body.ephemeral_key.data.clone(),
            cert_commitment: body.cert_commitment.data.clone(),
            commitments: body.commitments.iter().map(|field| hash(&field.data)).collect::<Option<_>>()?,
        })
    }

    /// The attestation answers exactly this request.
    pub(crate) fn check_answers(&self, request: &AttestationRequest) -> Result<(), NotarizeError> {
        let answered = self.to_request().ok_or(NotarizeError::Answer("kind of commitments"))?;
        let parts = [
            ("wire version", self.version == request.version),
            ("root algorithm", answered.root_alg == request.root_alg),
            ("transcript length", (answered.sent, answered.received) == (request.sent, request.received)),
            ("ephemeral key", answered.ephemeral_key == request.ephemeral_key),
            ("certificate commitment", answered.cert_commitment == request.cert_commitment),
            ("commitments", answered.commitments == request.commitments),
        ];
        match parts.into_iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(NotarizeError::Answer(what)),
            None => Ok(()),
        }
    }
}
