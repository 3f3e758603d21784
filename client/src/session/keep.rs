//! TLS 1.3 by rustls, keeping the handshake secret that the proof later starts from.
//!
//! rustls hands out no handshake secret. Its key schedule is computed by the suite's HKDF, which a provider may
//! replace: ours is ring's, and notes the secret that a key exchange gives.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock};
use rustls::crypto::{ActiveKeyExchange, CipherSuiteCommon, CryptoProvider, SupportedKxGroup, hmac, ring};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite, Tls13CipherSuite};
use rustls_pki_types::CertificateDer;
use tercet_tls_session::HandshakeSecret;

use crate::error::Error;

thread_local! {
    /// Secrets of the key exchanges in the call of [`keeping`] that runs on this thread.
    static KEPT: RefCell<Option<Vec<HandshakeSecret>>> = const { RefCell::new(None) };
}

/// Runs one step of a TLS connection; the handshake secrets that came about in it. Others are never noted.
pub fn keeping<T>(step: impl FnOnce() -> T) -> (T, Vec<HandshakeSecret>) {
    KEPT.with_borrow_mut(|kept| *kept = Some(Vec::new()));
    let result = step();
    (result, KEPT.take().unwrap_or_default())
}

fn keep(hkdf: &dyn Hkdf, salt: Option<&[u8]>, secret: &[u8]) {
    KEPT.with_borrow_mut(|kept| {
        if let (Some(kept), Some(salt)) = (kept, salt) {
            // HKDF-Extract is HMAC under the salt. Only suites with SHA-256 are offered.
            let tag = hkdf.hmac_sign(&OkmBlock::new(salt), secret);
            if let Ok(secret) = tag.as_ref().try_into() {
                kept.push(HandshakeSecret(secret));
            }
        }
    });
}

/// ring's HKDF, which also keeps the secret of the key exchange.
struct Keeping(&'static dyn Hkdf);

impl Hkdf for Keeping {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        self.0.extract_from_zero_ikm(salt)
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        keep(self.0, salt, secret);
        self.0.extract_from_secret(salt, secret)
    }

    fn extract_from_kx_shared_secret(
        &self,
        salt: Option<&[u8]>,
        exchange: Box<dyn ActiveKeyExchange>,
        peer: &[u8],
    ) -> Result<Box<dyn HkdfExpander>, rustls::Error> {
        let shared = exchange.complete_for_tls_version(peer, &rustls::version::TLS13)?;
        Ok(self.extract_from_secret(salt, shared.secret_bytes()))
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        self.0.expander_for_okm(okm)
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> hmac::Tag {
        self.0.hmac_sign(key, message)
    }
}

type Suite = LazyLock<Option<Tls13CipherSuite>>;

static CHACHA20: Suite = LazyLock::new(|| wrapped(ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256));
static AES_128: Suite = LazyLock::new(|| wrapped(ring::cipher_suite::TLS13_AES_128_GCM_SHA256));

fn wrapped(suite: SupportedCipherSuite) -> Option<Tls13CipherSuite> {
    let suite = suite.tls13()?;
    let common = &suite.common;
    Some(Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: common.suite,
            hash_provider: common.hash_provider,
            confidentiality_limit: common.confidentiality_limit,
        },
        hkdf_provider: Box::leak(Box::new(Keeping(suite.hkdf_provider))),
        aead_alg: suite.aead_alg,
        quic: None,
    })
}

/// The group of the one key share that is sent. A server that wants another asks for a retry, which cannot be
/// proven: then a new session begins with the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Every server of TLS 1.3 must have it.
    P256,
    /// The group of servers that do not have P-256.
    X25519,
}

/// A configuration: TLS 1.3 only, no resumption, HTTP/1.1 only, one key share, and suites that can be proven.
pub fn config(roots: &[Vec<u8>], group: Group) -> Result<ClientConfig, Error> {
    let bad = |e: &dyn std::fmt::Display| Error::Exchange(format!("TLS cannot be set up: {e}"));
    let (p256, x25519) = (ring::kx_group::SECP256R1, ring::kx_group::X25519);
    let kx_groups: Vec<&'static dyn SupportedKxGroup> = match group {
        Group::P256 => vec![p256, x25519],
        Group::X25519 => vec![x25519, p256],
    };
    let suites = [&CHACHA20, &AES_128];
    let cipher_suites = suites.iter().filter_map(|s| s.as_ref()).map(SupportedCipherSuite::Tls13).collect();
    let provider = CryptoProvider { cipher_suites, kx_groups, ..ring::default_provider() };
    let mut store = RootCertStore::empty();
    if roots.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for der in roots {
        store.add(CertificateDer::from_slice(der)).map_err(|e| bad(&e))?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| bad(&e))?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
