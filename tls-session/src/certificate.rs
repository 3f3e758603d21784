//! The server's certificates and its signature over the handshake.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert, ring as algorithms};

use crate::Refusal;

/// Most certificates that a server may send.
const MAX_CHAIN: usize = 10;

/// Algorithms with which certificates may be signed.
const OF_CERTIFICATES: [&dyn SignatureVerificationAlgorithm; 8] = [
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// A root certificate that cannot serve as a trust anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootsError {
    /// Its place in the list.
    pub index: usize,
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "root certificate {} is not a certificate in DER that can serve as a trust anchor",
            self.index
        )
    }
}

impl core::error::Error for RootsError {}

/// The roots that may vouch for servers.
#[derive(Debug, Clone)]
pub struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// Reads certificates in DER.
    pub fn from_der<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, RootsError> {
        let anchor = |(index, der): (usize, &[u8])| {
            let der = CertificateDer::from(der);
            anchor_from_trusted_cert(&der).map(|a| a.to_owned()).map_err(|_| RootsError { index })
        };
        certificates.into_iter().enumerate().map(anchor).collect::<Result<_, _>>().map(Self)
    }

    /// Takes anchors that are there already, such as Mozilla's.
    pub fn from_anchors(anchors: impl IntoIterator<Item = TrustAnchor<'static>>) -> Self {
        Self(anchors.into_iter().collect())
    }
}

/// The server's certificates.
pub struct Chain<'a>(Vec<CertificateDer<'a>>);

impl<'a> Chain<'a> {
    /// Takes certificates in DER, the server's own first.
    pub fn new(certificates: Vec<&'a [u8]>) -> Result<Self, Refusal> {
        if certificates.is_empty() || certificates.len() > MAX_CHAIN {
            return Err(Refusal::ChainLength);
        }
        Ok(Self(certificates.into_iter().map(CertificateDer::from).collect()))
    }

    /// The server's own certificate, shown to be valid for this name at this time.
    pub fn verify(&self, server_name: &str, roots: &Roots, time: u64) -> Result<EndEntityCert<'_>, Refusal> {
        let (first, others) = self.0.split_first().ok_or(Refusal::ChainLength)?;
        let leaf = EndEntityCert::try_from(first).map_err(|_| Refusal::Chain)?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time));
        leaf.verify_for_usage(&OF_CERTIFICATES, &roots.0, others, time, KeyUsage::server_auth(), None, None)
            .map_err(|e| match e {
                Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Refusal::ChainTime,
                _ => Refusal::Chain,
            })?;
        let name = ServerName::try_from(server_name).map_err(|_| Refusal::ChainName)?;
        leaf.verify_is_valid_for_subject_name(&name).map_err(|_| Refusal::ChainName)?;
        Ok(leaf)
    }
}

/// Checks a CertificateVerify: the signature of the leaf's key over the transcript's hash (RFC 8446, 4.4.3).
pub fn verify_signature(
    leaf: &EndEntityCert<'_>,
    scheme: u16,
    transcript: &[u8; 32],
    signature: &[u8],
) -> Result<(), Refusal> {
    let algorithm: &dyn SignatureVerificationAlgorithm = match scheme {
        0x0403 => algorithms::ECDSA_P256_SHA256,
        0x0503 => algorithms::ECDSA_P384_SHA384,
        0x0804 => algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        0x0805 => algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        0x0806 => algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        0x0807 => algorithms::ED25519,
        _ => return Err(Refusal::SignatureScheme),
    };
    let mut signed = Vec::with_capacity(130);
    signed.extend_from_slice(&[0x20; 64]);
    signed.extend_from_slice(b"TLS 1.3, server CertificateVerify\0");
    signed.extend_from_slice(transcript);
    leaf.verify_signature(algorithm, &signed, signature).map_err(|_| Refusal::CertificateVerify)
}
