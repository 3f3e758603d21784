//! The exchange's certificate authority and its TLS configuration.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::SERVER_NAME;
use crate::{Error, files};

/// Years between which the certificates are valid: wide and fixed, so that nothing expires under a demonstration.
const VALID: (i32, i32) = (2025, 2049);

/// The certificate authority.
pub(super) struct Authority {
    key: KeyPair,
    /// Its self-signed certificate.
    pub root: CertificateDer<'static>,
}

impl Authority {
    /// Reads `root.key.pem` and `root.der` from the folder; makes a missing one.
    ///
    /// The key is written first and decides: a certificate that is not of this key is replaced, so that a
    /// start that was cut off is repaired by the next one.
    pub fn load_or_make(folder: &Path) -> Result<Authority, Error> {
        let (key_path, der_path) = (folder.join("root.key.pem"), folder.join("root.der"));
        let key = match files::read_optional(&key_path)? {
            Some(pem) => {
                let pem = Zeroizing::new(pem);
                let damaged = |reason: String| Error::Damaged { path: key_path.clone(), reason };
                let text = std::str::from_utf8(&pem).map_err(|e| damaged(e.to_string()))?;
                KeyPair::from_pem(text).map_err(|e| damaged(e.to_string()))?
            }
            None => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                files::replace(&key_path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
                key
            }
        };
        let own = key.public_key_raw();
        let stored = files::read_optional(&der_path)?.filter(|der| der.windows(own.len()).any(|w| w == own));
        let root = match stored {
            Some(der) if folder.join("root.pem").exists() => CertificateDer::from(der),
            _ => {
                let certificate = root_params().self_signed(&key)?;
                files::replace(&folder.join("root.pem"), certificate.pem().as_bytes())?;
                files::replace(&der_path, certificate.der())?;
                certificate.der().clone()
            }
        };
        Ok(Authority { key, root })
    }

    /// TLS 1.3 and 1.2, ECDHE over P-256, a fresh ECDSA certificate, no resumption. The client's order of suites counts,
    /// ChaCha20 among them.
    pub fn server_config(&self) -> Result<ServerConfig, Error> {
        let mut leaf = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
        leaf.distinguished_name = named(SERVER_NAME);
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (leaf.not_before, leaf.not_after) = valid();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let leaf = leaf.signed_by(&key, &Issuer::new(root_params(), &self.key))?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let provider =
            CryptoProvider { kx_groups: vec![ring::kx_group::SECP256R1], ..ring::default_provider() };
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Tercet sample exchange CA (for demonstrations only)");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = valid();
    params
}

fn valid() -> (time::OffsetDateTime, time::OffsetDateTime) {
    (date_time_ymd(VALID.0, 1, 1), date_time_ymd(VALID.1, 12, 31))
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_kept_and_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::load_or_make(dir.path()).unwrap().root;
        assert_eq!(Authority::load_or_make(dir.path()).unwrap().root, first);
        assert_eq!(std::fs::read(dir.path().join("root.der")).unwrap(), first.as_ref());

        // Another key's certificate, or none, as a start that was cut off may leave it.
        for cut_off in [Some(&b"other"[..]), None] {
            match cut_off {
                Some(bytes) => std::fs::write(dir.path().join("root.der"), bytes).unwrap(),
                None => std::fs::remove_file(dir.path().join("root.der")).unwrap(),
            }
            let again = Authority::load_or_make(dir.path()).unwrap();
            assert_eq!(std::fs::read(dir.path().join("root.der")).unwrap(), again.root.as_ref());
            assert!(again.root.windows(65).any(|w| w == again.key.public_key_raw()));
        }
        std::fs::write(dir.path().join("root.key.pem"), "nonsense").unwrap();
        assert!(matches!(Authority::load_or_make(dir.path()), Err(Error::Damaged { .. })));
    }
}
