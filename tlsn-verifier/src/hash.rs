//! Hash algorithms, typed digests and the domain separation of attestation fields.

use core::fmt;

use sha2::Digest as _;

use crate::{
    codec::{Decode, Encode, Reader, Result, Writer},
    limits::MAX_HASH,
};

/// A hash algorithm that upstream defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashAlg {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// BLAKE3, 32-byte output.
    Blake3,
    /// Keccak-256 with the original padding, as in Ethereum (not SHA3-256).
    Keccak256,
}

impl HashAlg {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Blake3, Self::Keccak256];

    /// The algorithm of a wire id.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.id() == id)
    }

    /// The wire id.
    pub fn id(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Blake3 => 2,
            Self::Keccak256 => 3,
        }
    }

    /// Lower-case name, as in survey files and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Keccak256 => "keccak256",
        }
    }

    /// Hash of the concatenation of `parts`.
    pub fn digest(self, parts: &[&[u8]]) -> [u8; 32] {
        match self {
            Self::Sha256 => fold(sha2::Sha256::new(), parts),
            Self::Blake3 => {
                let mut hasher = blake3::Hasher::new();
                for part in parts {
                    hasher.update(part);
                }
                hasher.finalize().into()
            }
            Self::Keccak256 => fold(sha3::Keccak256::new(), parts),
        }
    }
}

fn fold<D>(mut hasher: D, parts: &[&[u8]]) -> [u8; 32]
where
    D: sha2::Digest<OutputSize = sha2::digest::consts::U32>,
{
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl fmt::Display for HashAlg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::str::FromStr for HashAlg {
    type Err = UnknownHashAlg;

    fn from_str(s: &str) -> core::result::Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|alg| alg.name() == s).ok_or(UnknownHashAlg)
    }
}

/// A hash algorithm name that is none of the known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown hash algorithm: use sha256, blake3 or keccak256")]
pub struct UnknownHashAlg;

/// Algorithm id and value as they stand in a file: either may be nonsense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypedHash {
    pub(crate) alg: u8,
    pub(crate) value: Vec<u8>,
}

impl TypedHash {
    #[cfg_attr(not(feature = "notarize"), expect(dead_code, reason = "made only by `notarize`"))]
    pub(crate) fn new(alg: HashAlg, value: [u8; 32]) -> Self {
        Self { alg: alg.id(), value: value.to_vec() }
    }
}

impl Encode for TypedHash {
    fn encode(&self, w: &mut Writer) {
        w.u8(self.alg);
        w.bytes(&self.value);
    }
}

impl Decode for TypedHash {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { alg: r.u8("a hash algorithm")?, value: r.bytes(MAX_HASH, "a hash")?.to_vec() })
    }
}

/// The 16 bytes that separate one kind of hashed structure from the others: the head of the
/// BLAKE3 hash of the type's name as upstream writes it, whatever the hash algorithm in use.
pub(crate) fn domain(type_name: &str) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(type_name.as_bytes()).as_bytes()[..16]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let hex = |alg: HashAlg| hex::encode(alg.digest(&[b"a", b"", b"bc"]));
        assert_eq!(hex(HashAlg::Sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hex(HashAlg::Blake3), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(
            hex(HashAlg::Keccak256),
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
        );
    }

    #[test]
    fn names_and_ids_round_trip() {
        for alg in HashAlg::ALL {
            assert_eq!(alg.name().parse(), Ok(alg));
            assert_eq!(HashAlg::from_id(alg.id()), Some(alg));
        }
        assert_eq!(HashAlg::from_id(0), None);
        assert_eq!("sha-256".parse::<HashAlg>(), Err(UnknownHashAlg));
    }

    #[test]
    fn domains_are_those_of_upstream() {
        assert_eq!(hex::encode(domain("VerifyingKey")), "aec37d45b99c4e4b637706b1e978a3eb");
        assert_eq!(
            hex::encode(domain("tlsn_core::transcript::TranscriptCommitment")),
            "bd0ab9ac6ea93ebda2500e8769e63a9e"
        );
    }
}
