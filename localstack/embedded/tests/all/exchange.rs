//! The sample exchange under TLS clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName};
use tercet_embedded::exchange::{self, Account, Amount, Config, Exchange, SERVER_NAME};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::ANY;

/// The time in the vectors' answers: `Date` and, in milliseconds, `updateTime`.
const VECTORS_TIME: Duration = Duration::from_millis(1_741_091_696_123);

async fn start(state: &Path) -> Exchange {
    let mut config = Config::new(ANY, state, 8, 1);
    config.clock = Arc::new(|| UNIX_EPOCH + VECTORS_TIME);
    exchange::serve(config).await.unwrap()
}

fn connector(
    root: &CertificateDer<'static>,
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let config =
        ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions).unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

async fn connect(exchange: &Exchange, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(exchange.server.addr()).await?;
    connector.connect(ServerName::try_from(SERVER_NAME).unwrap(), stream).await
}

/// Sends a request and reads to the end of the connection, which must be a proper one.
async fn ask(exchange: &Exchange, connector: &TlsConnector, request: &[u8]) -> String {
    let mut stream = connect(exchange, connector).await.unwrap();
    assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "never resumed");
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Request and response of every provider of the cohort.
fn vectors() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/vectors/cohort");
    let text = |meta: &serde_json::Value, name: &str| {
        String::from_utf8(hex::decode(meta[name].as_str().unwrap()).unwrap()).unwrap()
    };
    let mut vectors = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let meta = std::fs::read(entry.unwrap().path().join("meta.json")).unwrap();
        let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
        vectors.push((text(&meta, "secret_sent_hex"), text(&meta, "secret_recv_hex")));
    }
    assert!(vectors.len() >= 24);
    vectors
}

/// Replaces the text between two marks, of which there must be exactly one pair.
fn replace(text: &str, before: &str, after: &str, new: &str) -> String {
    assert_eq!(text.matches(before).count(), 1, "{before}");
    let start = text.find(before).unwrap() + before.len();
    let end = start + text[start..].find(after).unwrap();
    format!("{}{new}{}", &text[..start], &text[end..])
}

#[tokio::test]
async fn requests_and_answers_are_those_of_the_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let exchange = start(dir.path()).await;
    let connector = connector(&exchange.root, ring::default_provider(), &[&rustls::version::TLS12]);
    for (i, (sent, received)) in vectors().into_iter().enumerate() {
        let Account { api_key, uid, eth_free, bnb_free, .. } =
            &exchange.accounts[i % exchange.accounts.len()];
        let request = replace(&sent, "X-MBX-APIKEY: ", "\r\n", api_key);
        let answer = ask(&exchange, &connector, request.as_bytes()).await;

        let expected = replace(&received, "\"ETH\",\"free\":\"", "\"", &eth_free.to_string());
        let expected = replace(&expected, "\"BNB\",\"free\":\"", "\"", &bnb_free.to_string());
        let expected = replace(&expected, "\"uid\":", "}", &uid.to_string());
        let body = expected.split_once("\r\n\r\n").unwrap().1.len();
        let expected = replace(&expected, "Content-Length: ", "\r\n", &body.to_string());
        assert_eq!(answer, expected);
    }
}

#[tokio::test]
async fn refusals_have_the_same_form() {
    let dir = tempfile::tempdir().unwrap();
    let exchange = start(dir.path()).await;
    let connector = connector(&exchange.root, ring::default_provider(), &[&rustls::version::TLS12]);
    let (sent, _) = vectors().remove(0);
    // The key in the vectors is not one of this exchange's.
    let answer = ask(&exchange, &connector, sent.as_bytes()).await;
    let body = r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#;
    let head = "HTTP/1.1 401 Unauthorized\r\nDate: Tue, 04 Mar 2025 12:34:56 GMT\r\n\
                Content-Type: application/json;charset=UTF-8\r\nContent-Length: 70\r\nConnection: close\r\n\
                Server: nginx\r\n\r\n";
    assert_eq!(answer, format!("{head}{body}"));
}

#[tokio::test]
async fn tls_1_2_and_1_3_over_p_256_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let exchange = start(dir.path()).await;
    let default = ring::default_provider;
    let newer = connector(&exchange.root, default(), &[&rustls::version::TLS13]);
    assert!(connect(&exchange, &newer).await.is_ok());
    let x25519 = CryptoProvider { kx_groups: vec![ring::kx_group::X25519], ..default() };
    let other_group = connector(&exchange.root, x25519, &[&rustls::version::TLS12]);
    assert!(connect(&exchange, &other_group).await.is_err());

    let dir = tempfile::tempdir().unwrap();
    let another = start(dir.path()).await;
    let other_root = connector(&another.root, default(), &[&rustls::version::TLS12]);
    assert!(connect(&exchange, &other_root).await.is_err());

    let both = [&rustls::version::TLS13, &rustls::version::TLS12];
    let stream = connect(&exchange, &connector(&exchange.root, default(), &both)).await.unwrap();
    let tls = stream.get_ref().1;
    assert_eq!(tls.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(tls.negotiated_key_exchange_group().unwrap().name(), rustls::NamedGroup::secp256r1);
    // The root in the chain as well would only make presentations larger.
    assert_eq!(tls.peer_certificates().unwrap().len(), 1);
}

#[tokio::test]
async fn accounts_and_root_are_written_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path()).await;
    let list = std::fs::read(dir.path().join("accounts.json")).unwrap();
    let list: Vec<Account> = serde_json::from_slice(&list).unwrap();
    assert_eq!(list, first.accounts.to_vec());
    assert_eq!(list[3].eth_free, Amount::from_units(0));
    assert_eq!(list[5].eth_free, Amount::from_units(482_100_000_001));
    first.server.shutdown().await;

    let second = start(dir.path()).await;
    assert_eq!(second.accounts, first.accounts);
    assert_eq!(second.root, first.root);
    assert_eq!(std::fs::read(dir.path().join("root.der")).unwrap(), second.root.as_ref());
    let pem = std::fs::read_to_string(dir.path().join("root.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    let connector = connector(&second.root, ring::default_provider(), &[&rustls::version::TLS12]);
    assert!(connect(&second, &connector).await.is_ok());
}
