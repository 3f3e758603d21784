//! Which server was connected to: certificate chain, name and key exchange signature.

use core::{fmt, time::Duration};

use rustls_pki_types::{
    CertificateDer, DnsName, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, KeyUsage, ring as algs};

use crate::{
    VerifyError, WireVersion,
    wire::connection::{EphemeralKey, Handshake},
};

/// The certificate authorities that may vouch for servers.
#[derive(Clone)]
pub struct RootStore(Vec<TrustAnchor<'static>>);

/// A certificate that cannot serve as trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("root certificate {index} cannot be used (is it DER?): {reason}")]
pub struct RootError {
    /// Position in the list given.
    pub index: usize,
    /// The fault.
    pub reason: String,
}

impl RootStore {
    /// Mozilla's list, as compiled into `webpki-roots`.
    pub fn mozilla() -> Self {
        Self(webpki_roots::TLS_SERVER_ROOTS.to_vec())
    }

    /// Only these certificates, in DER.
    pub fn from_der<T: AsRef<[u8]>>(certs: impl IntoIterator<Item = T>) -> Result<Self, RootError> {
        let mut anchors = Vec::new();
        for (index, cert) in certs.into_iter().enumerate() {
            let der = CertificateDer::from(cert.as_ref());
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|e| RootError { index, reason: e.to_string() })?;
            anchors.push(anchor.to_owned());
        }
        Ok(Self(anchors))
    }

    /// Number of trust anchors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if no server can be trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for RootStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootStore({} anchors)", self.0.len())
    }
}

/// A DNS name in its canonical spelling: lower case, no trailing dot.
pub(crate) fn check_name(name: &str) -> Result<DnsName<'_>, VerifyError> {
    let parsed = DnsName::try_from(name).map_err(|_| VerifyError::ServerNameInvalid)?;
    // `DnsName` takes all-numeric labels, which is what an IPv4 address looks like.
    if name.parse::<core::net::IpAddr>().is_ok() {
        return Err(VerifyError::ServerNameInvalid);
    }
    if name.ends_with('.') || name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(VerifyError::ServerNameNotCanonical);
    }
    Ok(parsed)
}

/// An uncompressed point of P-256: the only ephemeral keys there are.
pub(crate) fn check_ephemeral_key(key: &EphemeralKey) -> Result<(), VerifyError> {
    let plain = key.0.len() == 65 && key.0.first() == Some(&4);
    let valid = plain && p256::PublicKey::from_sec1_bytes(&key.0).is_ok();
    valid.then_some(()).ok_or(VerifyError::EphemeralKeyInvalid)
}

/// The chain leads to one of `roots`, was valid at `time` (seconds since the epoch), is meant for
/// servers and covers `name`; its leaf key signed the key exchange.
pub(crate) fn verify_handshake(
    handshake: &Handshake,
    version: WireVersion,
    name: &str,
    time: u64,
    roots: &RootStore,
) -> Result<(), VerifyError> {
    let name = check_name(name)?;
    let [leaf, intermediates @ ..] = &handshake.certs[..] else {
        return Err(VerifyError::CertificatesMissing);
    };
    let leaf = CertificateDer::from(&leaf[..]);
    let intermediates: Vec<_> = intermediates.iter().map(|cert| CertificateDer::from(&cert[..])).collect();
    let cert = EndEntityCert::try_from(&leaf).map_err(|e| chain_error(&e))?;
    cert.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &roots.0,
        &intermediates,
        UnixTime::since_unix_epoch(Duration::from_secs(time)),
        KeyUsage::server_auth(),
        None,
        None,
    )
    .map_err(|e| chain_error(&e))?;
    let display = name.as_ref().to_owned();
    cert.verify_is_valid_for_subject_name(&ServerName::DnsName(name))
        .map_err(|_| VerifyError::CertificateName(display))?;
    let message = handshake.signed_message();
    let signed = kx_algorithms(version, handshake.scheme)
        .into_iter()
        .any(|alg| cert.verify_signature(alg, &message, &handshake.signature).is_ok());
    signed.then_some(()).ok_or(VerifyError::KxSignature)
}

fn chain_error(error: &webpki::Error) -> VerifyError {
    let text = error.to_string();
    match error {
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
            VerifyError::CertificateTime(text)
        }
        _ => VerifyError::CertificateChain(text),
    }
}

type Alg = &'static dyn SignatureVerificationAlgorithm;

/// The algorithms that a scheme index allows. Alpha.12 names TLS 1.2 schemes, where an ECDSA scheme fixes the hash
/// and not the curve; alpha.15 fixes both. SHA-1 and P-521 never verify.
pub(crate) fn kx_algorithms(version: WireVersion, scheme: u32) -> Vec<Alg> {
    use WireVersion::{Alpha12, Alpha15};
    match (version, scheme) {
        (Alpha12, 2) | (Alpha15, 5) => vec![algs::RSA_PKCS1_2048_8192_SHA256],
        (Alpha12, 4) | (Alpha15, 6) => vec![algs::RSA_PKCS1_2048_8192_SHA384],
        (Alpha12, 6) | (Alpha15, 7) => vec![algs::RSA_PKCS1_2048_8192_SHA512],
        (_, 8) => vec![algs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
        (_, 9) => vec![algs::RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
        (_, 10) => vec![algs::RSA_PSS_2048_8192_SHA512_LEGACY_KEY],
        (Alpha12, 11) | (Alpha15, 4) => vec![algs::ED25519],
        (Alpha12, 3) => vec![algs::ECDSA_P256_SHA256, algs::ECDSA_P384_SHA256],
        (Alpha12, 5) => vec![algs::ECDSA_P256_SHA384, algs::ECDSA_P384_SHA384],
        (Alpha15, 0) => vec![algs::ECDSA_P256_SHA256],
        (Alpha15, 1) => vec![algs::ECDSA_P256_SHA384],
        (Alpha15, 2) => vec![algs::ECDSA_P384_SHA256],
        (Alpha15, 3) => vec![algs::ECDSA_P384_SHA384],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_dns_names_pass() {
        for good in ["example.org", "a.b-c.example", "localhost", "x_y.test"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "*.a.test", "127.0.0.1", "::1", "a..b", "-a.test", "a b", "é.test"] {
            assert_eq!(check_name(bad), Err(VerifyError::ServerNameInvalid), "{bad}");
        }
        for odd in ["Example.org", "example.org."] {
            assert_eq!(check_name(odd), Err(VerifyError::ServerNameNotCanonical), "{odd}");
        }
    }
}
