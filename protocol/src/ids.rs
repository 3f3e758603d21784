//! Identifiers: 32-byte hashes with a type each, written as lower-case hexadecimal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// SHA-256, the hash of every identifier here.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut h = ring::digest::Context::new(&ring::digest::SHA256);
    for p in parts {
        h.update(p);
    }
    let mut out = [0; 32];
    out.copy_from_slice(h.finish().as_ref());
    out
}

/// A text that is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} lower-case hexadecimal digits")]
pub struct InvalidId(usize);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex::encode(self.0))
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> Result<Self, InvalidId> {
                let mut out = [0; $len];
                // One spelling per value: an identifier is also a key and part of a URL.
                if s.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(s, &mut out).is_err() {
                    return Err(InvalidId($len * 2));
                }
                Ok(Self(out))
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    };
}

id!(
    /// SHA-256 of a survey descriptor's exact bytes ([`crate::survey::SurveyDescriptor`]).
    SurveyId, 32);
id!(
    /// Hash of a submission's public part: the same upload has the same id.
    SubmissionId, 32);
id!(
    /// Admits a person once per survey: a hash of the survey id and the revealed identity.
    Nullifier, 32);
id!(
    /// Hash of a log entry ([`crate::log::LogEntry`]).
    EntryHash, 32);
id!(
    /// SHA-256 of one share of a row or of a unit's sums together with 32 secret bytes, so that nobody can test guesses.
    Commitment, 32);
id!(
    /// Hash of a question about a survey at a release point ([`crate::query_ticket::Question::id`]): the same
    /// question has the same id.
    QueryId, 16);
id!(
    /// A random number that is used once.
    Nonce, 16);
id!(
    /// SHA-256 of the engine's component file.
    EngineDigest, 32);
id!(
    /// An Ed25519 public key (RFC 8032).
    PublicKey, 32);
id!(
    /// An Ed25519 signature (RFC 8032).
    Signature, 64);
id!(
    /// An X25519 public key for HPKE (RFC 9180, DHKEM(X25519, HKDF-SHA256)).
    SealingKey, 32);
