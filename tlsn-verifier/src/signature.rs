//! Notary keys and signatures.

use core::fmt;

use k256::ecdsa::signature::hazmat::PrehashVerifier as _;

use crate::{VerifyError, hash::HashAlg};

/// The signature scheme of a notary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignatureAlg {
    /// ECDSA on secp256k1 over SHA-256, s in the lower half.
    Secp256k1,
    /// ECDSA on NIST P-256 over SHA-256, either s (upstream's signers do not normalise it).
    Secp256r1,
    /// ECDSA on secp256k1 over Keccak-256 with a recovery byte of 27 or 28, s in the lower half.
    Secp256k1Eth,
}

impl SignatureAlg {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Secp256k1, Self::Secp256r1, Self::Secp256k1Eth];

    /// The algorithm of a wire id.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.id() == id)
    }

    /// The wire id of the signature algorithm.
    pub fn id(self) -> u8 {
        match self {
            Self::Secp256k1 => 1,
            Self::Secp256r1 => 2,
            Self::Secp256k1Eth => 3,
        }
    }

    /// The wire id of the algorithm of its public keys.
    pub fn key_id(self) -> u8 {
        match self {
            Self::Secp256k1 | Self::Secp256k1Eth => 1,
            Self::Secp256r1 => 2,
        }
    }

    /// Lower-case name, as in survey files and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secp256k1 => "secp256k1",
            Self::Secp256r1 => "secp256r1",
            Self::Secp256k1Eth => "secp256k1eth",
        }
    }

    pub(crate) fn prehash(self, message: &[u8]) -> [u8; 32] {
        match self {
            Self::Secp256k1 | Self::Secp256r1 => HashAlg::Sha256.digest(&[message]),
            Self::Secp256k1Eth => HashAlg::Keccak256.digest(&[message]),
        }
    }
}

impl fmt::Display for SignatureAlg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::str::FromStr for SignatureAlg {
    type Err = NotaryKeyError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|alg| alg.name() == s).ok_or(NotaryKeyError::Algorithm)
    }
}

/// A notary's public key with the algorithm that it signs with. Two are equal when algorithm and
/// point are, whichever SEC1 form they came in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NotaryKey {
    alg: SignatureAlg,
    /// SEC1, compressed; a point of the curve.
    point: [u8; 33],
}

/// Bytes or text that are not a notary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotaryKeyError {
    /// Unknown algorithm name.
    #[error("unknown notary key algorithm: use secp256k1, secp256r1 or secp256k1eth")]
    Algorithm,
    /// Not SEC1, or not a point of the curve.
    #[error("not a {0} public key: give 33 (compressed) or 65 (uncompressed) bytes in SEC1 form")]
    Point(SignatureAlg),
    /// Not hexadecimal.
    #[error("a notary key is written in hexadecimal")]
    Hex,
}

impl NotaryKey {
    /// A key in compressed (33 bytes) or uncompressed (65 bytes) SEC1 form.
    pub fn new(alg: SignatureAlg, sec1: &[u8]) -> Result<Self, NotaryKeyError> {
        let error = NotaryKeyError::Point(alg);
        if !matches!((sec1.len(), sec1.first()), (33, Some(2 | 3)) | (65, Some(4))) {
            return Err(error);
        }
        let compressed = match alg {
            SignatureAlg::Secp256k1 | SignatureAlg::Secp256k1Eth => {
                let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(sec1);
                key.map_err(|_| error)?.to_sec1_point(true).to_bytes()
            }
            SignatureAlg::Secp256r1 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(sec1);
                key.map_err(|_| error)?.to_sec1_point(true).to_bytes()
            }
        };
        let point = <[u8; 33]>::try_from(&*compressed).map_err(|_| error)?;
        Ok(Self { alg, point })
    }

    /// Every key that SEC1 bytes without an algorithm can mean: to trust them is to trust the holder of the private
    /// key, whichever curve and hash it uses.
    pub fn candidates(sec1: &[u8]) -> Vec<Self> {
        let algs = SignatureAlg::ALL.into_iter();
        algs.filter_map(|alg| Self::new(alg, sec1).ok()).collect()
    }

    /// The algorithm it signs with.
    pub fn alg(&self) -> SignatureAlg {
        self.alg
    }

    /// Compressed SEC1 form, 33 bytes.
    pub fn to_sec1_compressed(&self) -> [u8; 33] {
        self.point
    }

    /// SEC1 in the form that upstream's signers write: compressed for secp256k1 (33 bytes),
    /// uncompressed for P-256 (65 bytes).
    pub fn to_sec1(&self) -> Vec<u8> {
        match (self.alg, p256::ecdsa::VerifyingKey::from_sec1_bytes(&self.point)) {
            (SignatureAlg::Secp256r1, Ok(key)) => key.to_sec1_point(false).to_bytes().into_vec(),
            _ => self.point.to_vec(),
        }
    }

    /// Checks the notary's signature over `message` (`r || s`, and for Ethereum the recovery
    /// byte, which must be the right one).
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        let invalid = |_| VerifyError::SignatureInvalid;
        let numbers = |_| VerifyError::SignatureMalformed("r or s is not a number below the order");
        let prehash = self.alg.prehash(message);
        let (rs, recovery) = match (self.alg, signature) {
            (SignatureAlg::Secp256k1Eth, [rs @ .., v]) if rs.len() == 64 => (rs, Some(*v)),
            (SignatureAlg::Secp256k1Eth, _) => {
                return Err(VerifyError::SignatureMalformed("it must have 65 bytes"));
            }
            (_, rs) if rs.len() == 64 => (rs, None),
            _ => return Err(VerifyError::SignatureMalformed("it must have 64 bytes")),
        };
        if self.alg == SignatureAlg::Secp256r1 {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&self.point).map_err(invalid)?;
            let signature = p256::ecdsa::Signature::from_slice(rs).map_err(numbers)?;
            return key.verify_prehash(&prehash, &signature).map_err(invalid);
        }
        let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(&self.point).map_err(invalid)?;
        let signature = k256::ecdsa::Signature::from_slice(rs).map_err(numbers)?;
        if signature.normalize_s() != signature {
            return Err(VerifyError::SignatureMalformed("s is in the upper half"));
        }
        key.verify_prehash(&prehash, &signature).map_err(invalid)?;
        match recovery {
            None => Ok(()),
            Some(v) => {
                let id = v.checked_sub(27).filter(|v| *v < 2);
                let id = id
                    .and_then(k256::ecdsa::RecoveryId::from_byte)
                    .ok_or(VerifyError::SignatureMalformed("the recovery byte must be 27 or 28"))?;
                let recovered = k256::ecdsa::VerifyingKey::recover_from_prehash(&prehash, &signature, id);
                match recovered {
                    Ok(recovered) if recovered == key => Ok(()),
                    _ => Err(VerifyError::SignatureMalformed("the recovery byte is wrong")),
                }
            }
        }
    }
}

impl fmt::Display for NotaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.alg, hex::encode(self.to_sec1()))
    }
}

impl fmt::Debug for NotaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotaryKey({self})")
    }
}

impl core::str::FromStr for NotaryKey {
    type Err = NotaryKeyError;

    /// `algorithm:hex`, as [`Display`](fmt::Display) writes it.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (alg, key) = s.split_once(':').ok_or(NotaryKeyError::Algorithm)?;
        let key = hex::decode(key).map_err(|_| NotaryKeyError::Hex)?;
        Self::new(alg.parse()?, &key)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const K1: &str = "035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c";
    const R1: &str = "041e0a387c4a1a75d2cbaa349a4b9514934e16f6dce0011600954a5d75432699957de300c16ab41737315c670ad50c7abd56017cfcb9829d3bebcfa1dbe5101f40";

    #[test]
    fn keys_compare_by_point() {
        let text = format!("secp256r1:{R1}");
        let key: NotaryKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let again = NotaryKey::new(SignatureAlg::Secp256r1, &key.to_sec1_compressed());
        assert_eq!(again, Ok(key));
        let key: NotaryKey = format!("secp256k1:{K1}").parse().unwrap();
        assert_eq!(hex::encode(key.to_sec1()), K1);
        let eth = format!("secp256k1eth:{K1}").parse().unwrap();
        assert_ne!(key, eth);
        assert!(NotaryKey::candidates(&key.to_sec1()).contains(&key));
        assert!(NotaryKey::candidates(&key.to_sec1()).contains(&eth));
    }

    #[test]
    fn what_is_not_a_key_is_named() {
        let r1 = hex::decode(R1).unwrap();
        let parse = |alg, bytes: &[u8]| NotaryKey::new(alg, bytes);
        for alg in SignatureAlg::ALL {
            for bytes in [&r1[..64], &r1[1..], &[0; 33], &[4; 65], &[]] {
                assert_eq!(parse(alg, bytes), Err(NotaryKeyError::Point(alg)));
            }
        }
        // Hybrid form: the same point with a tag that SEC1 allows and upstream does not write.
        let mut hybrid = r1.clone();
        hybrid[0] = 6 | (hybrid[64] & 1);
        assert!(parse(SignatureAlg::Secp256r1, &hybrid).is_err());
        assert!(parse(SignatureAlg::Secp256k1, &r1).is_err());
        assert_eq!("rsa:00".parse::<NotaryKey>(), Err(NotaryKeyError::Algorithm));
        assert_eq!("secp256k1:0".parse::<NotaryKey>(), Err(NotaryKeyError::Hex));
    }
}
