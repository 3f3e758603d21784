//! Private keys of notaries.

use core::fmt;

use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use zeroize::Zeroizing;

use super::{Fill, NotarizeError};
use crate::{NotaryKey, SignatureAlg};

/// A notary's private key. Signatures are deterministic (RFC 6979), as upstream's are.
#[derive(Clone)]
pub struct NotarySigningKey {
    public: NotaryKey,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    K256(k256::ecdsa::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl NotarySigningKey {
    /// A key from its 32 bytes, big-endian.
    pub fn new(alg: SignatureAlg, bytes: &[u8; 32]) -> Result<Self, NotarizeError> {
        let error = NotarizeError::SigningKey(alg);
        let (secret, sec1) = match alg {
            SignatureAlg::Secp256k1 | SignatureAlg::Secp256k1Eth => {
                let key = k256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| error.clone())?;
                let sec1 = key.verifying_key().to_sec1_point(true).to_bytes();
                (Secret::K256(key), sec1)
            }
            SignatureAlg::Secp256r1 => {
                let key = p256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| error.clone())?;
                let sec1 = key.verifying_key().to_sec1_point(true).to_bytes();
                (Secret::P256(key), sec1)
            }
        };
        let public = NotaryKey::new(alg, &sec1).map_err(|_| error)?;
        Ok(Self { public, secret })
    }

    /// A fresh key.
    pub fn generate(alg: SignatureAlg, fill: Fill<'_>) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            fill(&mut bytes[..]);
            // Fails with probability below 2^-31, and then for these bytes only.
            if let Ok(key) = Self::new(alg, &bytes) {
                return key;
            }
        }
    }

    /// The key's 32 bytes, big-endian: to store it, nothing else.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(match &self.secret {
            Secret::K256(key) => key.to_bytes().into(),
            Secret::P256(key) => key.to_bytes().into(),
        })
    }

    /// The key that verifiers pin.
    pub fn public(&self) -> NotaryKey {
        self.public
    }

    /// `r || s`, for Ethereum followed by 27 or 28.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NotarizeError> {
        let alg = self.public.alg();
        let prehash = alg.prehash(message);
        let error = |_| NotarizeError::SigningKey(alg);
        match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign_prehash(&prehash).map_err(error)?;
                Ok(signature.to_bytes().to_vec())
            }
            Secret::K256(key) => {
                let (signature, recovery) = key.sign_prehash_recoverable(&prehash);
                let mut out = signature.to_bytes().to_vec();
                if alg == SignatureAlg::Secp256k1Eth {
                    out.push(27 + recovery.to_byte());
                }
                Ok(out)
            }
        }
    }
}

impl fmt::Debug for NotarySigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotarySigningKey({}, secret)", self.public)
    }
}
