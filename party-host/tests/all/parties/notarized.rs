//! Presentations of made-up pages, signed by a local notary: for texts that upstream's vectors have not.

use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{self, kx_group::SECP256R1};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::version::TLS12;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, ServerConnection,
    SignatureScheme,
};
use tercet_evidence::Secrets;
use tlsn_verifier::notarize::{
    CommitTo, Notarization, NotarySigningKey, PresentationBuilder, ServerHandshake,
};
use tlsn_verifier::{Direction, HashAlg, RangeSet, SignatureAlg, WireVersion};
use zeroize::Zeroizing;

const NAME: &str = "api.exchange.test";
const REQUEST: &[u8] = b"GET /me HTTP/1.1\r\nHost: api.exchange.test\r\n\r\n";
/// Within the certificate's time.
const TIME: u64 = 1_780_000_000;

/// One handshake with a server, of which any number of pages are said to come.
pub struct Server {
    handshake: ServerHandshake,
    root: Vec<u8>,
    notary: NotarySigningKey,
}

/// The server's handshake: chain, scheme, signature and signed message.
type Handshake = (Vec<Vec<u8>>, u16, Vec<u8>, Vec<u8>);

#[derive(Debug, Default)]
struct Shown(Mutex<Handshake>);

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.lock().unwrap().0 = std::iter::once(leaf).chain(others).map(|c| c.to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let mut shown = self.0.lock().unwrap();
        (shown.1, shown.2, shown.3) = (signed.scheme.into(), signed.signature().to_vec(), message.to_vec());
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.2".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

impl Server {
    /// Makes certificates and shakes hands.
    pub fn start() -> Self {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(params, ca_key);
        let mut params = rcgen::CertificateParams::new(vec![NAME.into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap();

        let mut provider = ring::default_provider();
        provider.kx_groups = vec![SECP256R1];
        let provider = Arc::new(provider);
        let versions = [&TLS12];
        let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions);
        let server = server.unwrap().with_no_client_auth();
        let der = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let server = server.with_single_cert(vec![leaf.der().clone()], der).unwrap();
        let shown = Arc::new(Shown::default());
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions).unwrap();
        let client = client.dangerous().with_custom_certificate_verifier(shown.clone()).with_no_client_auth();
        let mut client =
            ClientConnection::new(Arc::new(client), ServerName::try_from(NAME).unwrap()).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets().unwrap();
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        let (chain, scheme, signature, signed) = shown.0.lock().unwrap().clone();
        Self {
            handshake: ServerHandshake::new(NAME, chain, scheme, signature, &signed).unwrap(),
            root: ca.der().to_vec(),
            notary: NotarySigningKey::new(SignatureAlg::Secp256k1, &[7; 32]).unwrap(),
        }
    }

    /// The trust anchor, DER.
    pub fn root(&self) -> Vec<u8> {
        self.root.clone()
    }

    /// `[source]` and `[[notaries]]` of a survey about this server's page.
    pub fn source() -> String {
        let notary = NotarySigningKey::new(SignatureAlg::Secp256k1, &[7; 32]).unwrap();
        let key = hex::encode(notary.public().to_sec1_compressed());
        format!(
            "[source]\nserver_name = '{NAME}'\nroot_certificates = ['root.der']\nmethod = 'GET'\npath = '/me'\n\n\
             [[notaries]]\nname = 'a test'\nalgorithm = 'secp256k1'\nkey = '{key}'\n\n"
        )
    }

    /// Presentation and secrets of a page, with these texts of it committed each by itself and hidden, in order.
    pub fn notarize(&self, body: &str, hide: &[&str], seed: u64) -> (Vec<u8>, Secrets) {
        let page = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut from = page.find(body).unwrap();
        let mut hidden = Vec::new();
        for text in hide {
            let start = from + page[from..].find(text).unwrap();
            from = start + text.len();
            hidden.push(start..from);
        }
        let rest = RangeSet::union(hidden.iter().cloned()).complement(page.len());
        let commit = hidden
            .iter()
            .map(|range| (Direction::Received, RangeSet::from(range.clone())))
            .chain([(Direction::Received, rest), (Direction::Sent, RangeSet::from(0..REQUEST.len()))])
            .map(|(direction, ranges)| CommitTo { direction, ranges, alg: HashAlg::Blake3 })
            .collect::<Vec<_>>();
        let mut counter = 0u64;
        let mut fill = move |out: &mut [u8]| {
            for chunk in out.chunks_mut(32) {
                let hash = HashAlg::Blake3.digest(&[&seed.to_le_bytes(), &counter.to_le_bytes()]);
                chunk.copy_from_slice(&hash[..chunk.len()]);
                counter += 1;
            }
        };
        let (sent, received) = (Zeroizing::new(REQUEST.to_vec()), Zeroizing::new(page.into_bytes()));
        let version = WireVersion::Alpha15;
        let asked =
            Notarization::new(version, &self.handshake, sent, received, &commit, HashAlg::Sha256, &mut fill)
                .unwrap();
        let attestation = self.notary.attest(asked.request(), TIME, vec![], &mut fill).unwrap();
        let secrets = asked.finish(&attestation, &self.notary.public()).unwrap();
        let shown = |ranges: &RangeSet| hidden.iter().all(|h| *ranges != RangeSet::from(h.clone()));
        let presentation = PresentationBuilder::new(&attestation, &secrets)
            .open(|c| c.direction == Direction::Sent || shown(&c.ranges))
            .unwrap();
        (presentation.build().unwrap().encode(), secrets.into())
    }
}
