//! The local notary: from a TLS session with the sample exchange to a presentation that verifies.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tercet_embedded::exchange::{self, Exchange, SERVER_NAME};
use tercet_embedded::notary::{self, EXTENSION_ID, Info, WARNING};
use tercet_embedded::{Clock, Server};
use tlsn_verifier::notarize::{Attestation, CommitTo, Notarization, PresentationBuilder, ServerHandshake};
use tlsn_verifier::{
    Direction, Error, HashAlg, NotaryTrust, RangeSet, RootStore, TrustPolicy, VerifyError, WireVersion,
    verify,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::support::ANY;

const TIME: u64 = 1_741_091_696;

fn clock() -> Clock {
    Arc::new(|| UNIX_EPOCH + Duration::from_secs(TIME))
}

async fn start(dir: &Path) -> (Exchange, Server) {
    let mut config = exchange::Config::new(ANY, dir.join("exchange"), 8, 1);
    config.clock = clock();
    let notary = notary::Config { clock: clock(), ..notary::Config::new(ANY, dir.join("notary")) };
    (exchange::serve(config).await.unwrap(), notary::serve(notary).await.unwrap())
}

/// Status and body of the answer to a request.
async fn http(server: &Server, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: notary\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.split_off(end))
}

/// Keeps the server's handshake; the presentation's verifier checks it.
#[derive(Debug, Default)]
struct Capture(Mutex<Captured>);

#[derive(Debug, Default, Clone)]
struct Captured {
    certificates: Vec<Vec<u8>>,
    scheme: u16,
    signature: Vec<u8>,
    signed: Vec<u8>,
}

impl ServerCertVerifier for Capture {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.lock().unwrap().certificates =
            std::iter::once(leaf).chain(chain).map(|c| c.to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        _leaf: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let mut captured = self.0.lock().unwrap();
        captured.scheme = dss.scheme.into();
        captured.signature = dss.signature().to_vec();
        captured.signed = message.to_vec();
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("the exchange speaks TLS 1.2")
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// Fetches account `index`: the handshake, and both directions.
async fn fetch(exchange: &Exchange, index: usize) -> (ServerHandshake, Vec<u8>, Vec<u8>) {
    let capture = Arc::new(Capture::default());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(capture.clone())
        .with_no_client_auth();
    let stream = TcpStream::connect(exchange.server.addr()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(ServerName::try_from(SERVER_NAME).unwrap(), stream).await.unwrap();
    let sent = format!(
        "GET /api/v3/account?omitZeroBalances=true HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\
         X-MBX-APIKEY: {}\r\n\r\n",
        exchange.accounts[index].api_key
    );
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    let c = capture.0.lock().unwrap().clone();
    let server = ServerHandshake::new(SERVER_NAME, c.certificates, c.scheme, c.signature, &c.signed).unwrap();
    (server, sent.into_bytes(), received)
}

/// Commits to the balance by itself and to the rest of both directions.
fn commit(
    version: WireVersion,
    (server, sent, received): (ServerHandshake, Vec<u8>, Vec<u8>),
) -> Notarization {
    let mark = b"\"ETH\",\"free\":\"";
    let start = received.windows(mark.len()).position(|w| w == mark).unwrap() + mark.len();
    let end = start + received[start..].iter().position(|&b| b == b'"').unwrap();
    let value = RangeSet::union(std::iter::once(start..end));
    let rest = value.complement(received.len());
    let whole = RangeSet::union(std::iter::once(0..sent.len()));
    let commitments = [(Direction::Received, value), (Direction::Received, rest), (Direction::Sent, whole)]
        .map(|(direction, ranges)| CommitTo { direction, ranges, alg: HashAlg::Sha256 });
    let (sent, received) = (Zeroizing::new(sent), Zeroizing::new(received));
    let mut next = 0u8;
    let mut fill = |out: &mut [u8]| {
        out.fill_with(|| {
            next = next.wrapping_add(1);
            next
        })
    };
    Notarization::new(version, &server, sent, received, &commitments, HashAlg::Sha256, &mut fill).unwrap()
}

#[tokio::test]
async fn its_attestations_verify_in_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let (exchange, notary) = start(dir.path()).await;
    let key = notary::public_key().unwrap();
    for (index, version) in [(1, WireVersion::Alpha12), (2, WireVersion::Alpha15)] {
        let notarization = commit(version, fetch(&exchange, index).await);
        let (status, answer) = http(&notary, "POST", "/attest", &notarization.request().encode()).await;
        assert_eq!(status, 200);
        let attestation = Attestation::decode(&answer).unwrap();
        let secrets = notarization.finish(&attestation, &key).unwrap();
        let presentation = PresentationBuilder::new(&attestation, &secrets)
            .open(|c| c.ranges.as_slice().len() > 1 || c.direction == Direction::Sent)
            .unwrap()
            .build()
            .unwrap()
            .encode();

        let mut policy = TrustPolicy {
            notaries: NotaryTrust::Pinned(vec![key]),
            roots: RootStore::from_der([exchange.root.as_ref()]).unwrap(),
            server_name: Some(SERVER_NAME.to_owned()),
        };
        let verified = verify(&presentation, &policy).unwrap();
        assert_eq!((verified.wire_version, verified.connection_time), (version, TIME));
        let said: Vec<_> = verified.extensions.iter().map(|e| (&e.id[..], &e.value[..])).collect();
        assert_eq!(said, [(EXTENSION_ID, WARNING.as_bytes())]);
        // The one value that is not shown is the account's balance.
        let hidden: Vec<_> = verified.unopened().collect();
        let opening = secrets.opening_for(hidden[0]).unwrap();
        assert_eq!(hidden.len(), 1);
        assert_eq!(*opening.bytes, exchange.accounts[index].eth_free.to_string().into_bytes());

        policy.notaries = NotaryTrust::Pinned(vec![]);
        assert!(matches!(
            verify(&presentation, &policy),
            Err(Error::Verify(VerifyError::NotaryUntrusted(_)))
        ));
    }
}

#[tokio::test]
async fn it_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (_exchange, notary) = start(dir.path()).await;
    let (status, body) = http(&notary, "GET", "/info", b"").await;
    let info: Info = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(info.algorithm, "secp256k1");
    assert!(info.warning.contains("worthless as proof"));
    let key = tlsn_verifier::NotaryKey::new(
        tlsn_verifier::SignatureAlg::Secp256k1,
        &hex::decode(&info.key).unwrap(),
    );
    assert_eq!(key.unwrap(), notary::public_key().unwrap());
    let file = std::fs::read(dir.path().join("notary/notary.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Info>(&file).unwrap(), info);
    // Surveys pin it, so it stays the same.
    assert_eq!(info.key, "028cb6963ebdb1fab7f8033cc596fd9be5abc7589ba6319593ea7e4f8448cce76a");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (exchange, notary) = start(dir.path()).await;
    let request = commit(WireVersion::Alpha15, fetch(&exchange, 0).await).request().encode();
    let mut too_long = request.clone();
    too_long.push(0);
    let mut huge = request.clone();
    // The sent length: beyond what any verifier accepts.
    huge[3..7].copy_from_slice(&[0xff; 4]);
    for (body, expect) in [
        (&b""[..], 400),
        (b"nonsense", 400),
        (&request[..request.len() - 1], 400),
        (&too_long, 400),
        (&huge, 422),
    ] {
        let (status, answer) = http(&notary, "POST", "/attest", body).await;
        assert_eq!(status, expect, "{} bytes", body.len());
        let problem: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(problem["status"], expect);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    assert_eq!(http(&notary, "POST", "/attest", &request).await.0, 200);
    assert_eq!(http(&notary, "GET", "/attest", b"").await.0, 405);
    assert_eq!(http(&notary, "POST", "/attest", &vec![0; (1 << 20) + 1]).await.0, 413);
}
