//! TLS 1.3 with raw public keys (RFC 7250): no certificates, no authority. Each side holds the other's Ed25519
//! key from the operator manifests, and a key that is not there ends the handshake.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey as TlsSigningKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, SignatureAlgorithm, SignatureScheme,
};
use tercet_protocol::ids::PublicKey;
use tercet_protocol::keys::SigningKey;

/// The one application protocol spoken.
pub(super) const ALPN: &[u8] = b"h2";

/// DER of an Ed25519 SubjectPublicKeyInfo up to the key itself (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn spki(key: &PublicKey) -> Vec<u8> {
    [&SPKI_PREFIX[..], &key.0].concat()
}

/// The Ed25519 key in a SubjectPublicKeyInfo; `None` for any other encoding or algorithm.
pub(super) fn key_of(spki: &[u8]) -> Option<PublicKey> {
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok().map(PublicKey)
}

/// The party's own key in the form rustls asks for.
#[derive(Debug, Clone)]
struct LinkKey(Arc<SigningKey>);

impl TlsSigningKey for LinkKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(&self.0.public())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for LinkKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).0.to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Accepts exactly the listed keys, as server or client.
#[derive(Debug)]
struct Pinned {
    keys: Vec<PublicKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn check(&self, presented: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        let known = key_of(presented).is_some_and(|key| self.keys.contains(&key));
        if known && chain.is_empty() {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        presented: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(presented.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

/// TLS 1.2 is not offered, so its signatures never come up.
const NO_TLS12: Error = Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13);

/// The checks of a signature on both sides: TLS 1.3 and Ed25519 only, by the raw key that was presented.
macro_rules! ed25519_by_raw_key {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(NO_TLS12)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.check_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    ed25519_by_raw_key!();
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    ed25519_by_raw_key!();
}

fn parts(
    own: &Arc<SigningKey>,
    keys: Vec<PublicKey>,
) -> (Arc<CryptoProvider>, Arc<Pinned>, Arc<CertifiedKey>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Pinned { keys, algorithms: provider.signature_verification_algorithms };
    let presented = CertificateDer::from(spki(&own.public()));
    let certified = CertifiedKey::new(vec![presented], Arc::new(LinkKey(own.clone())));
    (provider, Arc::new(pinned), Arc::new(certified))
}

/// For accepting the `peers`. No resumption: every connection proves its key anew.
pub(super) fn server(own: &Arc<SigningKey>, peers: Vec<PublicKey>) -> Result<Arc<ServerConfig>, Error> {
    let (provider, pinned, certified) = parts(own, peers);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(pinned)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// For dialing the one peer that has these `keys`.
pub(super) fn client(own: &Arc<SigningKey>, keys: Vec<PublicKey>) -> Result<Arc<ClientConfig>, Error> {
    let (provider, pinned, certified) = parts(own, keys);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ed25519_keys_are_read() {
        let key = PublicKey([7; 32]);
        assert_eq!(key_of(&spki(&key)), Some(key));
        let good = spki(&key);
        for i in 0..SPKI_PREFIX.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            assert_eq!(key_of(&bad), None, "byte {i}");
        }
        assert_eq!(key_of(&good[..43]), None);
        assert_eq!(key_of(&[&good[..], &[0]].concat()), None);
    }
}
