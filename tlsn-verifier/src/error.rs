//! Why a file was refused. Every reason has its own variant, a stable [`code`](VerifyError::code)
//! for machines and a sentence for people.

use crate::{Direction, hash::HashAlg};

/// The bytes are not a well-formed file of either wire version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Larger than [`limits::MAX_FILE`](crate::limits::MAX_FILE).
    #[error("the file has {size} bytes; {limit} is the most this verifier reads")]
    FileTooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The file stops in the middle.
    #[error("the file ends inside {what} at byte {offset}: it is cut short or not a file of this kind")]
    UnexpectedEnd {
        /// The item that was being read.
        what: &'static str,
        /// The position.
        offset: usize,
    },
    /// Something follows the end.
    #[error("{count} bytes follow the end of the content; remove them")]
    TrailingBytes {
        /// Superfluous bytes.
        count: usize,
    },
    /// An enum variant or option tag that does not exist.
    #[error("{tag} is not a valid choice for {what} at byte {offset}")]
    InvalidTag {
        /// The item that was being read.
        what: &'static str,
        /// The value found.
        tag: u32,
        /// The position.
        offset: usize,
    },
    /// A length or count above the documented limit (see [`crate::limits`]).
    #[error("{what} at byte {offset}: {value} is above the limit of {limit}")]
    TooLong {
        /// The item that was being read.
        what: &'static str,
        /// The value found.
        value: u64,
        /// The limit.
        limit: usize,
        /// The position.
        offset: usize,
    },
    /// Text that is not UTF-8.
    #[error("{what} at byte {offset} is not valid text")]
    NotUtf8 {
        /// The item that was being read.
        what: &'static str,
        /// The position.
        offset: usize,
    },
    /// Ranges that upstream would normalise silently.
    #[error(
        "the ranges at byte {offset} are not canonical: they must be sorted, disjoint, not adjacent and not empty"
    )]
    RangesNotCanonical {
        /// The start of the range set.
        offset: usize,
    },
    /// The revealed bytes and the index that places them differ in length.
    #[error("{indexed} {direction} bytes are indexed but {given} are given")]
    IndexLengthMismatch {
        /// Which transcript.
        direction: Direction,
        /// Bytes covered by the ranges.
        indexed: usize,
        /// Bytes in the file.
        given: usize,
    },
    /// A revealed range ends after the transcript.
    #[error("the {direction} ranges end at {end} but the transcript has {len} bytes")]
    IndexOutOfBounds {
        /// Which transcript.
        direction: Direction,
        /// End of the last range.
        end: usize,
        /// Bytes of the transcript.
        len: usize,
    },
    /// An alpha.12 secrets file with encoding commitments.
    #[error(
        "these secrets rest on the older encoding commitments of 0.1.0-alpha.12, which this verifier does not open; notarize again with hash commitments"
    )]
    EncodingSecrets,
}

impl DecodeError {
    /// Stable name of the reason, in kebab case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FileTooLarge { .. } => "file-too-large",
            Self::UnexpectedEnd { .. } => "unexpected-end",
            Self::TrailingBytes { .. } => "trailing-bytes",
            Self::InvalidTag { .. } => "invalid-tag",
            Self::TooLong { .. } => "too-long",
            Self::NotUtf8 { .. } => "not-utf8",
            Self::RangesNotCanonical { .. } => "ranges-not-canonical",
            Self::IndexLengthMismatch { .. } => "index-length-mismatch",
            Self::IndexOutOfBounds { .. } => "index-out-of-bounds",
            Self::EncodingSecrets => "encoding-unsupported",
        }
    }
}

/// A well-formed presentation that proves nothing, or not enough. In the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Only version 0 of the attestation header exists.
    #[error("the attestation header has version {0}; only version 0 is known")]
    HeaderVersion(u32),
    /// Unknown signature algorithm.
    #[error("the notary's signature names the unknown algorithm {0}")]
    SignatureAlgUnknown(u8),
    /// Unknown hash algorithm of the header's root.
    #[error("the header's root names the unknown hash algorithm {0}")]
    RootAlgUnknown(u8),
    /// The header's root is not a 32-byte digest.
    #[error("the header's root has {0} bytes instead of 32")]
    RootLength(usize),
    /// Two fields of the body share an id.
    #[error("two fields of the attestation body have the id {0}")]
    FieldIdDuplicate(u32),
    /// Field ids are the leaves' positions, so they count from 0 without gaps.
    #[error("field id {0} is beyond the last field: ids count from 0 without gaps")]
    FieldIdBeyondEnd(u32),
    /// The body proof names another hash algorithm than the header.
    #[error("the body proof names hash algorithm {proof} but the header names {header}")]
    MerkleAlgMismatch {
        /// In the proof.
        proof: u8,
        /// In the header.
        header: u8,
    },
    /// Fields of the body are left out (Merkle helper hashes replace them).
    #[error(
        "the presentation shows {shown} of {total} attested fields; this verifier wants them all, so that no commitment can be hidden"
    )]
    BodyIncomplete {
        /// Fields shown.
        shown: usize,
        /// Fields the proof claims to exist.
        total: u64,
    },
    /// The proof claims fewer fields than it shows.
    #[error("the body proof counts {total} fields but {shown} are shown")]
    MerkleLeafCount {
        /// Fields shown.
        shown: usize,
        /// Fields the proof claims to exist.
        total: u64,
    },
    /// Helper hashes in the proof of a complete body.
    #[error("the body proof carries {0} hashes that a complete body does not need")]
    MerkleLeftover(usize),
    /// The body is not the one that the header commits to.
    #[error("the attestation body does not match the signed header: a field was changed, added or removed")]
    RootMismatch,
    /// The notary key in the body has an unknown algorithm or is not a point on its curve.
    #[error("the notary key is not a valid {0} public key")]
    NotaryKeyInvalid(&'static str),
    /// The notary key's algorithm does not fit the signature's.
    #[error("a key of algorithm {key} cannot make signatures of algorithm {signature}")]
    NotaryKeyAlgMismatch {
        /// Algorithm id of the key.
        key: u8,
        /// Algorithm id of the signature.
        signature: u8,
    },
    /// Signature of the wrong length or with impossible numbers.
    #[error("the notary's signature is malformed: {0}")]
    SignatureMalformed(&'static str),
    /// The signature does not verify.
    #[error("the notary's signature does not verify")]
    SignatureInvalid,
    /// A valid signature by a notary that the caller did not name.
    #[error("the notary {0} is not among the trusted ones")]
    NotaryUntrusted(crate::NotaryKey),
    /// Attested as something other than TLS 1.2.
    #[error("the connection is attested as TLS 1.3, but the proof describes a TLS 1.2 handshake")]
    TlsVersion,
    /// The attested transcript is larger than this verifier handles.
    #[error("the attested transcript has {len} {direction} bytes; the limit is {limit}")]
    TranscriptTooLong {
        /// Which transcript.
        direction: Direction,
        /// Bytes attested.
        len: u32,
        /// Bytes allowed.
        limit: usize,
    },
    /// A commitment with an unknown hash algorithm.
    #[error("commitment field {field} names the unknown hash algorithm {alg}")]
    CommitmentAlgUnknown {
        /// Field id.
        field: u32,
        /// Algorithm id.
        alg: u8,
    },
    /// A commitment whose digest is not 32 bytes.
    #[error("commitment field {field} has a digest of {len} bytes instead of 32")]
    CommitmentDigestLength {
        /// Field id.
        field: u32,
        /// Bytes found.
        len: usize,
    },
    /// A commitment to nothing.
    #[error("commitment field {field} covers no bytes")]
    CommitmentEmpty {
        /// Field id.
        field: u32,
    },
    /// A commitment to bytes that do not exist.
    #[error("commitment field {field} ends at {end} but {len} bytes were {direction}")]
    CommitmentOutOfBounds {
        /// Field id.
        field: u32,
        /// Which transcript.
        direction: Direction,
        /// End of the last range.
        end: usize,
        /// Attested length.
        len: u32,
    },
    /// Two commitments of one algorithm over the same ranges.
    #[error(
        "commitment fields {first} and {second} cover the same {direction} ranges with the same algorithm"
    )]
    CommitmentAmbiguous {
        /// Field id.
        first: u32,
        /// Field id.
        second: u32,
        /// Which transcript.
        direction: Direction,
    },
    /// More than one encoding commitment (alpha.12).
    #[error("the attestation has {0} encoding commitments; at most one is valid")]
    EncodingMultiple(usize),
    /// No server identity proof.
    #[error("the presentation does not prove which server was connected to")]
    IdentityMissing,
    /// No transcript proof.
    #[error("the presentation reveals nothing of the transcript")]
    TranscriptMissing,
    /// The certificate commitment has an unknown hash algorithm.
    #[error("the certificate commitment names the unknown hash algorithm {0}")]
    CertCommitmentAlgUnknown(u8),
    /// The certificates shown are not the ones committed to.
    #[error("the server's certificates and handshake do not match the attested commitment")]
    CertCommitmentMismatch,
    /// The ephemeral key in the handshake is not the attested one.
    #[error("the handshake's ephemeral key is not the attested one")]
    EphemeralKeyMismatch,
    /// The ephemeral key is not an uncompressed P-256 point.
    #[error("the server's ephemeral key is not an uncompressed P-256 point")]
    EphemeralKeyInvalid,
    /// Not a DNS name.
    #[error("the server name is not a DNS name")]
    ServerNameInvalid,
    /// Upper case or a trailing dot.
    #[error("the server name is not canonical: write it in lower case without a trailing dot")]
    ServerNameNotCanonical,
    /// Another server than the caller asked for.
    #[error("the presentation is about {found}, not about {wanted}")]
    ServerNameUnexpected {
        /// In the presentation.
        found: String,
        /// In the policy.
        wanted: String,
    },
    /// The chain is empty.
    #[error("the presentation carries no server certificate")]
    CertificatesMissing,
    /// The chain does not lead to a trusted root, or a certificate in it is malformed or unfit.
    #[error("the server's certificate chain is not trusted: {0}")]
    CertificateChain(String),
    /// A certificate was not valid at the attested connection time.
    #[error("a server certificate was not valid at the attested connection time: {0}")]
    CertificateTime(String),
    /// The leaf certificate is for other names.
    #[error("the server's certificate is not valid for {0}")]
    CertificateName(String),
    /// The handshake was not signed by the certificate's key.
    #[error("the server's key exchange signature does not verify with its certificate")]
    KxSignature,
    /// Revealed transcript of another length than attested.
    #[error("the revealed {direction} transcript has {revealed} bytes in total but {attested} are attested")]
    TranscriptLength {
        /// Which transcript.
        direction: Direction,
        /// In the presentation.
        revealed: usize,
        /// In the attestation.
        attested: u32,
    },
    /// The presentation opens encoding commitments (alpha.12).
    #[error(
        "this presentation uses the older encoding commitments of 0.1.0-alpha.12, which this verifier does not open; notarize with hash commitments"
    )]
    EncodingUnsupported,
    /// An opening with an unknown hash algorithm.
    #[error("an opening names the unknown hash algorithm {0}")]
    OpeningAlgUnknown(u8),
    /// An opening of bytes that do not exist or are not revealed.
    #[error("an opening covers {direction} bytes that the presentation does not reveal")]
    OpeningNotRevealed {
        /// Which transcript.
        direction: Direction,
    },
    /// Overlapping openings that together cover more than
    /// [`limits::MAX_OPENED`](crate::limits::MAX_OPENED) bytes.
    #[error("the openings cover more than {limit} bytes together")]
    OpeningsTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// An opening that fits no attested commitment.
    #[error("a {alg} opening of {direction} bytes matches no attested commitment")]
    OpeningMismatch {
        /// Which transcript.
        direction: Direction,
        /// Algorithm of the opening.
        alg: HashAlg,
    },
    /// Revealed bytes that no opened commitment covers.
    #[error("the presentation shows {direction} bytes that no opened commitment covers")]
    TranscriptUnauthenticated {
        /// Which transcript.
        direction: Direction,
    },
}

impl VerifyError {
    /// Stable name of the reason, in kebab case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HeaderVersion(_) => "header-version",
            Self::SignatureAlgUnknown(_) => "signature-alg-unknown",
            Self::RootAlgUnknown(_) => "root-alg-unknown",
            Self::RootLength(_) => "root-length",
            Self::FieldIdDuplicate(_) => "field-id-duplicate",
            Self::FieldIdBeyondEnd(_) => "field-id-beyond-end",
            Self::MerkleAlgMismatch { .. } => "merkle-alg-mismatch",
            Self::BodyIncomplete { .. } => "body-incomplete",
            Self::MerkleLeafCount { .. } => "merkle-leaf-count",
            Self::MerkleLeftover(_) => "merkle-leftover",
            Self::RootMismatch => "root-mismatch",
            Self::NotaryKeyInvalid(_) => "notary-key-invalid",
            Self::NotaryKeyAlgMismatch { .. } => "notary-key-alg-mismatch",
            Self::SignatureMalformed(_) => "signature-malformed",
            Self::SignatureInvalid => "signature-invalid",
            Self::NotaryUntrusted(_) => "notary-untrusted",
            Self::TlsVersion => "tls-version",
            Self::TranscriptTooLong { .. } => "transcript-too-long",
            Self::CommitmentAlgUnknown { .. } => "commitment-alg-unknown",
            Self::CommitmentDigestLength { .. } => "commitment-digest-length",
            Self::CommitmentEmpty { .. } => "commitment-empty",
            Self::CommitmentOutOfBounds { .. } => "commitment-out-of-bounds",
            Self::CommitmentAmbiguous { .. } => "commitment-ambiguous",
            Self::EncodingMultiple(_) => "encoding-multiple",
            Self::IdentityMissing => "identity-missing",
            Self::TranscriptMissing => "transcript-missing",
            Self::CertCommitmentAlgUnknown(_) => "cert-commitment-alg-unknown",
            Self::CertCommitmentMismatch => "cert-commitment-mismatch",
            Self::EphemeralKeyMismatch => "ephemeral-key-mismatch",
            Self::EphemeralKeyInvalid => "ephemeral-key-invalid",
            Self::ServerNameInvalid => "server-name-invalid",
            Self::ServerNameNotCanonical => "server-name-not-canonical",
            Self::ServerNameUnexpected { .. } => "server-name-unexpected",
            Self::CertificatesMissing => "certificates-missing",
            Self::CertificateChain(_) => "certificate-chain",
            Self::CertificateTime(_) => "certificate-time",
            Self::CertificateName(_) => "certificate-name",
            Self::KxSignature => "kx-signature",
            Self::TranscriptLength { .. } => "transcript-length",
            Self::EncodingUnsupported => "encoding-unsupported",
            Self::OpeningAlgUnknown(_) => "opening-alg-unknown",
            Self::OpeningNotRevealed { .. } => "opening-not-revealed",
            Self::OpeningsTooLarge { .. } => "openings-too-large",
            Self::OpeningMismatch { .. } => "opening-mismatch",
            Self::TranscriptUnauthenticated { .. } => "transcript-unauthenticated",
        }
    }
}

/// Either step of [`verify`](crate::verify) failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a well-formed presentation.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Well-formed but refused.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Error {
    /// Stable name of the reason, in kebab case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Decode(e) => e.code(),
            Self::Verify(e) => e.code(),
        }
    }
}
