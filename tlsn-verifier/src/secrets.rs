//! The prover's secrets: the whole transcript and the blinders of its commitments.

use core::fmt;

use zeroize::Zeroizing;

use crate::{
    DecodeError, Direction, HashAlg, HashCommitment, WireVersion,
    codec::{Decode, Encode, Reader, Result, Writer},
    limits::{MAX_COMMITMENTS, MAX_HASH_SECRETS, MAX_TRANSCRIPT},
    wire::{
        connection::{CertOpening, ServerName},
        decode_any,
        transcript::{HashSecret, TranscriptCommitment, decode_tagged_secret, encode_tagged_secret},
    },
};

/// A prover's secrets file. Transcript and blinders are wiped when it is dropped, and `Debug`
/// shows only their sizes.
#[derive(PartialEq, Eq)]
pub struct Secrets {
    version: WireVersion,
    pub(crate) file: SecretsFile,
}

#[derive(PartialEq, Eq)]
pub(crate) struct SecretsFile {
    pub(crate) server_name: ServerName,
    pub(crate) opening: CertOpening,
    pub(crate) sent: Zeroizing<Vec<u8>>,
    pub(crate) received: Zeroizing<Vec<u8>>,
    pub(crate) commitments: Vec<TranscriptCommitment>,
    pub(crate) secrets: Vec<HashSecret>,
}

/// The opening of one commitment: `digest = H(bytes || blinder)`. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// The committed bytes of all ranges, in ascending order.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The commitment's blinder.
    pub blinder: Zeroizing<[u8; 16]>,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({} bytes, secret)", self.bytes.len())
    }
}

impl Secrets {
    /// Decodes either wire version; their layouts exclude each other.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (found, failure) = decode_any::<SecretsFile>(bytes);
        let first = found.into_iter().next();
        let first = first.map(|(version, file)| Self { version, file });
        first.ok_or_else(|| failure.unwrap_or(DecodeError::TrailingBytes { count: 0 }))
    }

    /// Decodes one wire version only.
    pub fn decode_as(bytes: &[u8], version: WireVersion) -> Result<Self> {
        let file = SecretsFile::from_bincode(bytes, version).map_err(|(_, error)| error)?;
        Ok(Self { version, file })
    }

    #[cfg(feature = "notarize")]
    pub(crate) fn from_file(version: WireVersion, file: SecretsFile) -> Self {
        Self { version, file }
    }

    /// The file again: exactly the bytes that were decoded.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::with_capacity(self.version, self.file.encoded_bound());
        self.file.encode(&mut w);
        Zeroizing::new(w.into_bytes())
    }

    /// The format it is in.
    pub fn wire_version(&self) -> WireVersion {
        self.version
    }

    /// The server's name as the prover wrote it.
    pub fn server_name(&self) -> &str {
        &self.file.server_name.0
    }

    /// The whole transcript of one direction.
    pub fn transcript(&self, direction: Direction) -> &[u8] {
        match direction {
            Direction::Sent => &self.file.sent,
            Direction::Received => &self.file.received,
        }
    }

    /// Finds plaintext and blinder of a commitment: by direction, ranges and algorithm, and then
    /// by recomputing the hash. `None` if these secrets do not open it.
    pub fn opening_for(&self, commitment: &HashCommitment) -> Option<Opening> {
        let data = self.transcript(commitment.direction);
        let parts = commitment.ranges.slices(data)?;
        let fits = |secret: &&HashSecret| {
            (secret.direction, HashAlg::from_id(secret.alg)) == (commitment.direction, Some(commitment.alg))
                && secret.ranges == commitment.ranges
        };
        let candidates = self.file.secrets.iter().filter(fits);
        candidates.into_iter().find_map(|secret| {
            let mut preimage = parts.clone();
            preimage.push(&secret.blinder);
            (commitment.alg.digest(&preimage) == commitment.digest).then(|| Opening {
                bytes: Zeroizing::new(parts.concat()),
                blinder: Zeroizing::new(secret.blinder),
            })
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("version", &self.version)
            .field("server_name", &self.server_name())
            .field("sent", &format_args!("{} bytes, secret", self.file.sent.len()))
            .field("received", &format_args!("{} bytes, secret", self.file.received.len()))
            .field("openings", &format_args!("{}, secret", self.file.secrets.len()))
            .finish_non_exhaustive()
    }
}

impl SecretsFile {
    /// At least the bytes of the encoding, so that writing it never moves the secrets.
    fn encoded_bound(&self) -> usize {
        let handshake = &self.opening.handshake;
        let certs: usize = handshake.certs.iter().map(|cert| cert.len() + 8).sum();
        let ranges = |set: &crate::RangeSet| 16 * set.as_slice().len();
        let commitments: usize = self
            .commitments
            .iter()
            .map(|c| match c {
                TranscriptCommitment::Hash(c) => 128 + ranges(&c.ranges),
                TranscriptCommitment::Encoding(_) => 256,
            })
            .sum();
        let secrets: usize = self.secrets.iter().map(|s| 64 + ranges(&s.ranges)).sum();
        1_024
            + self.server_name.0.len()
            + certs
            + handshake.signature.len()
            + self.sent.len()
            + self.received.len()
            + commitments
            + secrets
    }
}

impl Encode for SecretsFile {
    fn encode(&self, w: &mut Writer) {
        self.server_name.encode(w);
        self.opening.encode(w);
        w.bytes(&self.sent);
        w.bytes(&self.received);
        w.seq(&self.commitments);
        w.len(self.secrets.len());
        for secret in &self.secrets {
            encode_tagged_secret(secret, w);
        }
    }
}

impl Decode for SecretsFile {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let server_name = ServerName::decode(r)?;
        let opening = CertOpening::decode(r)?;
        let mut transcript = |what| Ok(Zeroizing::new(r.bytes(MAX_TRANSCRIPT, what)?.to_vec()));
        Ok(Self {
            server_name,
            opening,
            sent: transcript("the sent transcript")?,
            received: transcript("the received transcript")?,
            commitments: r
                .seq(MAX_COMMITMENTS, "the number of commitments", |r| TranscriptCommitment::decode(r))?,
            secrets: r.seq(MAX_HASH_SECRETS, "the number of secrets", decode_tagged_secret)?,
        })
    }
}
