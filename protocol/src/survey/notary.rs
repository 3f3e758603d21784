//! `[[notaries]]`: whose evidence counts, of which kind, and until when.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{SurveyError, invalid};
use crate::kind::Kind;

/// `[[notaries]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotarySection {
    /// For people.
    pub name: String,
    /// The kind of evidence that it signs.
    #[serde(default = "presentation", skip_serializing_if = "is_presentation")]
    pub kind: Kind,
    /// The key's kind.
    pub algorithm: NotaryAlgorithm,
    /// Public key in hexadecimal: a SEC1 point, compressed or not, or the 32 bytes of an Ed25519 key. Or the key in PEM
    /// (`BEGIN PUBLIC KEY`).
    pub key: String,
    /// Connections before this time do not count.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<OffsetDateTime>,
    /// Connections after this time do not count: a retired or stolen key ends without ending the survey.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<OffsetDateTime>,
}

fn presentation() -> Kind {
    Kind::Presentation
}

fn is_presentation(kind: &Kind) -> bool {
    *kind == Kind::Presentation
}

/// Notary signature algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotaryAlgorithm {
    /// ECDSA over secp256k1 (SHA-256 or, as Ethereum signs, Keccak-256).
    Secp256k1,
    /// ECDSA over P-256 with SHA-256.
    Secp256r1,
    /// Ed25519, of notaries that forward TLS 1.3 sessions.
    Ed25519,
}

impl NotaryAlgorithm {
    /// The kind of evidence whose notaries have such keys.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Secp256k1 | Self::Secp256r1 => Kind::Presentation,
            Self::Ed25519 => Kind::Session,
        }
    }

    /// The algorithm's DER in a `SubjectPublicKeyInfo`: id-ecPublicKey and the curve's name (RFC 5480), or id-Ed25519
    /// (RFC 8410).
    fn spki_algorithm(self) -> &'static [u8] {
        match self {
            Self::Secp256k1 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a",
            Self::Secp256r1 => {
                b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
            }
            Self::Ed25519 => b"\x30\x05\x06\x03\x2b\x65\x70",
        }
    }
}

impl NotarySection {
    /// The key's bytes: a SEC1 point, or an Ed25519 key. Whether they lie on the curve is the verifier's to say.
    pub fn key_bytes(&self) -> Result<Vec<u8>, SurveyError> {
        let wrong = |problem: &str| invalid("notaries.key", problem);
        let bytes = if self.key.contains("-----BEGIN") {
            self.point_of_pem().ok_or_else(|| {
                wrong("this PEM holds no public key of the stated algorithm: give the block that begins with BEGIN PUBLIC KEY")
            })?
        } else {
            hex::decode(self.key.trim())
                .map_err(|_| wrong("write the key in hexadecimal, or the whole PEM block BEGIN PUBLIC KEY"))?
        };
        match (self.algorithm, bytes.len(), bytes.first()) {
            (NotaryAlgorithm::Ed25519, 32, _) => Ok(bytes),
            (NotaryAlgorithm::Ed25519, ..) => Err(wrong("an Ed25519 key has 32 bytes")),
            (_, 33, Some(2 | 3)) | (_, 65, Some(4)) => Ok(bytes),
            _ => {
                Err(wrong("a SEC1 key has 33 bytes and begins with 02 or 03, or 65 bytes and begins with 04"))
            }
        }
    }

    /// The point in a key that is written as PEM; `None` if it is written otherwise or is of another algorithm.
    fn point_of_pem(&self) -> Option<Vec<u8>> {
        let (_, rest) = self.key.split_once("-----BEGIN PUBLIC KEY-----")?;
        let (body, _) = rest.split_once("-----END PUBLIC KEY-----")?;
        let body: String = body.split_whitespace().collect();
        let der = BASE64.decode(body).ok()?;
        // SEQUENCE { algorithm, BIT STRING without unused bits }, all lengths below 128.
        let [0x30, length, rest @ ..] = &der[..] else { return None };
        let rest = rest.strip_prefix(self.algorithm.spki_algorithm())?;
        let [0x03, bits, 0, point @ ..] = rest else { return None };
        let fits = usize::from(*length) + 2 == der.len() && usize::from(*bits) == point.len() + 1;
        fits.then(|| point.to_vec())
    }

    /// True if a connection at this time (Unix seconds) counts.
    pub fn is_valid_at(&self, time: u64) -> bool {
        let Ok(time) = i64::try_from(time) else { return false };
        self.valid_from.is_none_or(|from| from.unix_timestamp() <= time)
            && self.valid_until.is_none_or(|until| time <= until.unix_timestamp())
    }

    pub(super) fn validate(&self) -> Result<(), SurveyError> {
        self.key_bytes()?;
        if self.algorithm.kind() != self.kind {
            let problem = "notaries of kind \"tlsnotary\" (the default) have secp256k1 or secp256r1 keys, those of kind \"proxy\" have ed25519";
            return Err(invalid("notaries.algorithm", problem));
        }
        match (self.valid_from, self.valid_until) {
            (Some(from), Some(until)) if from >= until => {
                Err(invalid("notaries.valid_until", "must be later than valid_from"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(key: &str, algorithm: NotaryAlgorithm) -> NotarySection {
        NotarySection {
            name: "n".into(),
            kind: Kind::Presentation,
            algorithm,
            key: key.into(),
            valid_from: None,
            valid_until: None,
        }
    }

    #[test]
    fn keys_are_read_in_hexadecimal_and_in_pem() {
        // The same point, by OpenSSL: its hexadecimal, and its PEM.
        let hex = "047cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc4766997807775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1";
        let mut der = vec![0x30, 0x59];
        der.extend(NotaryAlgorithm::Secp256r1.spki_algorithm());
        der.extend([0x03, 0x42, 0x00]);
        der.extend(hex::decode(hex).unwrap());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der));
        let r1 = NotaryAlgorithm::Secp256r1;
        assert_eq!(section(&pem, r1).key_bytes(), section(hex, r1).key_bytes());
        assert!(section(&pem, NotaryAlgorithm::Secp256k1).key_bytes().is_err());
        for bad in ["", "xx", "0505", &hex[2..], &pem[..60]] {
            assert!(section(bad, r1).key_bytes().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_counts_in_its_time() {
        let at = |n| OffsetDateTime::from_unix_timestamp(n).unwrap();
        let n = NotarySection {
            valid_from: Some(at(10)),
            valid_until: Some(at(20)),
            ..section("", NotaryAlgorithm::Secp256r1)
        };
        let counts = [9, 10, 20, 21, u64::MAX].map(|t| n.is_valid_at(t));
        assert_eq!(counts, [false, true, true, false, false]);
        assert!(section("", NotaryAlgorithm::Secp256r1).is_valid_at(0));
    }
}
