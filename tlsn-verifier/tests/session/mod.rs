//! A TLS 1.2 session between a rustls client and server in memory, captured as `tercet notarize`
//! captures it.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring::{self, kx_group::SECP256R1},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    version::TLS12,
};
use tlsn_verifier::{
    Direction, HashAlg, NotaryTrust, RangeSet, RootStore, Secrets, TrustPolicy, WireVersion,
    notarize::{Attestation, CommitTo, Notarization, NotarizeError, NotarySigningKey, ServerHandshake},
};
use zeroize::Zeroizing;

/// The server's certificate key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::P256, Self::P384, Self::Ed25519, Self::Rsa];

    fn key(self) -> rcgen::KeyPair {
        match self {
            Self::P256 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Ed25519 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Self::Rsa => {
                let der = PrivatePkcs8KeyDer::from(&include_bytes!("rsa2048.pk8")[..]);
                rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256)
            }
        }
        .unwrap()
    }
}

pub struct Session {
    pub server: ServerHandshake,
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
    /// Within the certificates' validity.
    pub time: u64,
    root: Vec<u8>,
}

/// Keeps the handshake. The presentation's verifier checks it all again.
#[derive(Debug, Default)]
struct Capture(Mutex<Option<Captured>>);

/// Chain, scheme, signature and signed message.
type Captured = (Vec<Vec<u8>>, u16, Vec<u8>, Vec<u8>);

impl ServerCertVerifier for Capture {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(leaf).chain(intermediates);
        let chain = chain.map(|cert| cert.to_vec()).collect();
        *self.0.lock().unwrap() = Some((chain, 0, vec![], vec![]));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let mut guard = self.0.lock().unwrap();
        let capture = guard.as_mut().unwrap();
        capture.1 = u16::from(dss.scheme);
        capture.2 = dss.signature().to_vec();
        capture.3 = message.to_vec();
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.2".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}

pub fn run(kind: Kind) -> Session {
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let mut params = rcgen::CertificateParams::new(vec!["api.exchange.test".into()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = kind.key();
    let leaf = params.signed_by(&key, &issuer).unwrap();

    let mut provider = ring::default_provider();
    provider.kx_groups = vec![SECP256R1];
    let provider = Arc::new(provider);
    let server_config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let capture = Arc::new(Capture::default());
    let client_config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(capture.clone())
        .with_no_client_auth();

    let name = ServerName::try_from("api.exchange.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(client_config), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server_config)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        if !wire.is_empty() {
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        if !wire.is_empty() {
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    let (certs, scheme, signature, message) = capture.0.lock().unwrap().take().unwrap();
    let server = ServerHandshake::new("API.Exchange.Test.", certs, scheme, signature, &message);
    Session {
        server: server.unwrap(),
        sent: b"GET /account HTTP/1.1\r\nHost: api.exchange.test\r\n\r\n".to_vec(),
        received: b"HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"free\":\"1234.5\",\"uid\":\"x-7\"}"
            .to_vec(),
        time: 1_780_000_000,
        root: ca.der().to_vec(),
    }
}

impl Session {
    pub fn find(&self, needle: &[u8]) -> Range<usize> {
        let mut windows = self.received.windows(needle.len());
        let start = windows.position(|w| w == needle).unwrap();
        start..start + needle.len()
    }

    pub fn policy(&self, key: &NotarySigningKey) -> TrustPolicy {
        TrustPolicy {
            notaries: NotaryTrust::Pinned(vec![key.public()]),
            roots: RootStore::from_der([&self.root]).unwrap(),
            server_name: Some("api.exchange.test".into()),
        }
    }

    pub fn ask_for(
        &self,
        version: WireVersion,
        commit: &[CommitTo],
        alg: HashAlg,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Notarization, NotarizeError> {
        let sent = Zeroizing::new(self.sent.clone());
        let received = Zeroizing::new(self.received.clone());
        Notarization::new(version, &self.server, sent, received, commit, alg, fill)
    }

    /// The request, the value and all around the value, each under its own commitment.
    pub fn ask(&self, version: WireVersion, alg: HashAlg, fill: &mut dyn FnMut(&mut [u8])) -> Notarization {
        let value = RangeSet::from(self.find(b"1234.5"));
        let rest = value.complement(self.received.len());
        let commit = [
            (Direction::Sent, RangeSet::from(0..self.sent.len())),
            (Direction::Received, value),
            (Direction::Received, rest),
        ]
        .map(|(direction, ranges)| CommitTo { direction, ranges, alg });
        self.ask_for(version, &commit, alg, fill).unwrap()
    }

    pub fn notarize(
        &self,
        version: WireVersion,
        key: &NotarySigningKey,
        alg: HashAlg,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> (Attestation, Secrets) {
        let asked = self.ask(version, alg, fill);
        let attestation = key.attest(asked.request(), self.time, vec![], fill).unwrap();
        let secrets = asked.finish(&attestation, &key.public()).unwrap();
        (attestation, secrets)
    }
}
