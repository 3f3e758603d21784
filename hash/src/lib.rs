//! The hash functions under which a value may be committed to: upstream TLSNotary's three, with its ids.
//!
//! Both the verifier of presentations and the engine need to name them; neither depends on the other.
//!
//! ```
//! use tercet_hash::HashAlg;
//!
//! let alg: HashAlg = "blake3".parse()?;
//! assert_eq!(HashAlg::from_id(alg.id()), Some(alg));
//! # Ok::<(), tercet_hash::UnknownHashAlg>(())
//! ```

#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

use core::fmt;
use core::str::FromStr;

/// A hash function of commitments. Its discriminant is its id on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum HashAlg {
    /// SHA-256 (FIPS 180-4).
    Sha256 = 1,
    /// BLAKE3, 32 bytes of output.
    Blake3 = 2,
    /// Keccak-256 with the original padding 0x01 (as Ethereum, not SHA3-256).
    Keccak256 = 3,
}

impl HashAlg {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Blake3, Self::Keccak256];

    /// The algorithm of a wire id.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.id() == id)
    }

    /// The wire id.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// Lower-case name, as in survey files and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Keccak256 => "keccak256",
        }
    }

    /// Hash of the concatenation of `parts`.
    #[cfg(feature = "digest")]
    pub fn digest(self, parts: &[&[u8]]) -> [u8; 32] {
        match self {
            Self::Sha256 => fold(<sha2::Sha256 as sha2::Digest>::new(), parts),
            Self::Blake3 => {
                let mut hasher = blake3::Hasher::new();
                for part in parts {
                    hasher.update(part);
                }
                hasher.finalize().into()
            }
            Self::Keccak256 => fold(<sha3::Keccak256 as sha2::Digest>::new(), parts),
        }
    }
}

#[cfg(feature = "digest")]
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

impl FromStr for HashAlg {
    type Err = UnknownHashAlg;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|alg| alg.name() == s).ok_or(UnknownHashAlg)
    }
}

/// A hash algorithm name that is none of the known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown hash algorithm: use sha256, blake3 or keccak256")]
pub struct UnknownHashAlg;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_round_trip() {
        for alg in HashAlg::ALL {
            assert_eq!(alg.name().parse(), Ok(alg));
            assert_eq!(HashAlg::from_id(alg.id()), Some(alg));
        }
        assert_eq!(HashAlg::from_id(0), None);
        assert_eq!("sha-256".parse::<HashAlg>(), Err(UnknownHashAlg));
    }

    #[cfg(feature = "digest")]
    #[test]
    fn known_answers() {
        let is = |alg: HashAlg, hex: &str| assert_eq!(hex::encode(alg.digest(&[b"a", b"", b"bc"])), hex);
        is(HashAlg::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        is(HashAlg::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        is(HashAlg::Keccak256, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    }
}
