//! Ed25519 signing keys, and HPKE for messages that only one party may read.

use std::fmt;

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::ids::{PublicKey, SealingKey, Signature};

type Kem = X25519HkdfSha256;

/// The faults of a key, a signature or a sealed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no randomness.
    #[error("the operating system's random generator failed")]
    NoRandomness,
    /// Not a key of this kind.
    #[error("not a valid key: expected {0}")]
    Invalid(&'static str),
    /// The signature does not belong to this key and message.
    #[error("the signature is not this key's signature of this message")]
    BadSignature,
    /// The message was sealed to another key or for another place, or was altered.
    #[error("cannot be opened: sealed to another key, for another submission or party, or altered")]
    CannotOpen,
}

/// Fills an array from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|_| KeyError::NoRandomness)?;
    Ok(out)
}

/// Checks a message's signature by the party of this index.
pub fn verify_of(
    parties: &[PublicKey; 3],
    party: u8,
    message: &[u8],
    signature: &Signature,
) -> Result<(), KeyError> {
    let key = parties.get(usize::from(party)).ok_or(KeyError::Invalid("a party index of 0 to 2"))?;
    key.verify(message, signature)
}

/// An Ed25519 key pair. Its `Debug` shows the public half only.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// From a 32-byte seed (RFC 8032's private key).
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(Self)
            .map_err(|_| KeyError::Invalid("a 32-byte Ed25519 seed"))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(out)
    }

    /// Signs. `message` carries its own domain separator ([`crate::codec::Writer::tagged`]).
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut out = [0; 64];
        out.copy_from_slice(self.0.sign(message).as_ref());
        Signature(out)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl PublicKey {
    /// Checks a signature.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, &signature.0)
            .map_err(|_| KeyError::BadSignature)
    }
}

/// A party's HPKE private key. Its `Debug` shows the public half only.
pub struct OpeningKey {
    private: <Kem as hpke::Kem>::PrivateKey,
    public: SealingKey,
}

impl OpeningKey {
    /// Derives the key pair from a 32-byte seed (RFC 9180 section 7.1.3, DeriveKeyPair).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (private, public) = Kem::derive_keypair(seed);
        Self { private, public: SealingKey(public.to_bytes().into()) }
    }

    /// The public half.
    pub fn public(&self) -> SealingKey {
        self.public
    }

    /// Opens a message that [`SealingKey::seal`] made with the same `info` and `aad`.
    pub fn open(&self, sealed: &[u8], info: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (enc, text) = sealed.split_at_checked(32).ok_or(KeyError::CannotOpen)?;
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(|_| KeyError::CannotOpen)?;
        hpke::setup_receiver::<AesGcm256, HkdfSha256, Kem>(&OpModeR::Base, &self.private, &enc, info)
            .and_then(|mut c| c.open(text, aad))
            .map(Zeroizing::new)
            .map_err(|_| KeyError::CannotOpen)
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpeningKey({})", self.public)
    }
}

impl SealingKey {
    /// Seals `message` to this key: the 32-byte encapsulated key, then AES-256-GCM ciphertext
    /// (RFC 9180, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode).
    pub fn seal(&self, message: &[u8], info: &[u8], aad: &[u8]) -> Result<Vec<u8>, KeyError> {
        const WANT: KeyError = KeyError::Invalid("an X25519 public key");
        let key = <Kem as hpke::Kem>::PublicKey::from_bytes(&self.0).map_err(|_| WANT)?;
        let (enc, mut ctx) =
            hpke::setup_sender::<AesGcm256, HkdfSha256, Kem>(&OpModeS::Base, &key, info).map_err(|_| WANT)?;
        let mut out = enc.to_bytes().to_vec();
        out.extend(ctx.seal(message, aad).map_err(|_| WANT)?);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_messages_open_only_in_their_place() {
        let key = OpeningKey::from_seed(&[7; 32]);
        let other = OpeningKey::from_seed(&[8; 32]);
        let sealed = key.public().seal(b"share", b"info", b"aad").unwrap();
        assert_eq!(*key.open(&sealed, b"info", b"aad").unwrap(), b"share");
        assert_eq!(other.open(&sealed, b"info", b"aad").unwrap_err(), KeyError::CannotOpen);
        assert_eq!(key.open(&sealed, b"inf0", b"aad").unwrap_err(), KeyError::CannotOpen);
        assert_eq!(key.open(&sealed, b"info", b"aae").unwrap_err(), KeyError::CannotOpen);
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert_eq!(key.open(&bad, b"info", b"aad").unwrap_err(), KeyError::CannotOpen, "byte {i}");
            assert_eq!(
                key.open(&sealed[..i], b"info", b"aad").unwrap_err(),
                KeyError::CannotOpen,
                "cut at {i}"
            );
        }
    }

    #[test]
    fn signatures_bind_key_and_message() {
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let sig = key.sign(b"message");
        assert_eq!(key.public().verify(b"message", &sig), Ok(()));
        assert_eq!(key.public().verify(b"massage", &sig), Err(KeyError::BadSignature));
        let other = SigningKey::from_seed(&[2; 32]).unwrap();
        assert_eq!(other.public().verify(b"message", &sig), Err(KeyError::BadSignature));
    }

    #[test]
    fn debug_shows_no_secret() {
        let seed = [0xab; 32];
        let shown = format!("{:?} {:?}", SigningKey::from_seed(&seed).unwrap(), OpeningKey::from_seed(&seed));
        assert!(!shown.contains("abababab"), "{shown}");
    }
}
