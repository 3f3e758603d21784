//! A client that holds a party's key, or none, and says whatever it likes. Built on rustls and hyper alone, so
//! that it also checks the link's wire format independently.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::channel::mpsc;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub type Parts = mpsc::UnboundedReceiver<io::Result<Frame<Bytes>>>;

/// Trusts every server: the rogue does not care.
#[derive(Debug)]
struct Anyone {
    raw: bool,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }
    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}

/// The credentials that the rogue brings to the handshake.
pub struct Guise {
    pub version: &'static SupportedProtocolVersion,
    /// Seed of the key that it holds.
    pub key: Option<u8>,
    /// Presents this public key instead of its own.
    pub claim: Option<[u8; 32]>,
    pub alpn: Option<&'static [u8]>,
    pub raw: bool,
}

impl Guise {
    /// Everything right, with the key of this seed.
    pub fn proper(seed: u8) -> Self {
        Self { version: &rustls::version::TLS13, key: Some(seed), claim: None, alpn: Some(b"h2"), raw: true }
    }
}

pub async fn handshake(at: SocketAddr, guise: Guise) -> io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[guise.version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone { raw: guise.raw }));
    let mut config = match guise.key {
        None => builder.with_no_client_auth(),
        Some(seed) => {
            // RFC 8410: PKCS #8 version 1 of an Ed25519 seed, SubjectPublicKeyInfo of a public key.
            let pkcs8 = [&hex::decode("302e020100300506032b657004220420").unwrap()[..], &[seed; 32]].concat();
            let key = PrivatePkcs8KeyDer::from(pkcs8);
            let signer = rustls::crypto::ring::sign::any_eddsa_type(&key).unwrap();
            let public = guise.claim.unwrap_or(super::public(seed).0);
            let spki = [&hex::decode("302a300506032b6570032100").unwrap()[..], &public].concat();
            let certified = CertifiedKey::new(vec![CertificateDer::from(spki)], signer);
            builder.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(
                certified,
            ))))
        }
    };
    config.alpn_protocols = guise.alpn.into_iter().map(Into::into).collect();
    let tcp = TcpStream::connect(at).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("x.invalid").unwrap(), tcp).await
}

/// Remembers the tasks of a connection, so that it can vanish.
#[derive(Debug, Clone, Default)]
struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let task = tokio::spawn(async move { drop(future.await) });
        self.0.lock().unwrap().push(task.abort_handle());
    }
}

/// An HTTP/2 connection of a party that holds the key of this seed.
pub struct Rogue {
    requests: SendRequest<StreamBody<Parts>>,
    connection: tokio::task::JoinHandle<()>,
    tasks: Tasks,
}

/// One request under way.
pub struct Call {
    pub body: mpsc::UnboundedSender<io::Result<Frame<Bytes>>>,
    pub answer: tokio::task::JoinHandle<hyper::Result<Response<Incoming>>>,
}

impl Call {
    pub fn say(&self, bytes: impl AsRef<[u8]>) {
        // Fails when the server has hung up, which some tests provoke.
        let _ = self.body.unbounded_send(Ok(Frame::data(Bytes::copy_from_slice(bytes.as_ref()))));
    }

    /// The opening message `hello`.
    pub fn hello(&self) {
        self.say(frame(u32::MAX, b"hello"));
    }

    /// Ends the request's body in good order.
    pub fn end(self) -> tokio::task::JoinHandle<hyper::Result<Response<Incoming>>> {
        self.answer
    }

    /// The answer's status and abort code.
    pub async fn verdict(self) -> (u16, String) {
        let answer = self.answer.await.unwrap().unwrap();
        let code = answer.headers().get("tercet-abort").map(|v| v.to_str().unwrap().to_owned());
        (answer.status().as_u16(), code.unwrap_or_default())
    }
}

pub fn frame(step: u32, payload: &[u8]) -> Vec<u8> {
    [&step.to_be_bytes()[..], &(payload.len() as u32).to_be_bytes(), payload].concat()
}

impl Rogue {
    pub async fn connect(at: SocketAddr, seed: u8) -> Self {
        let tls = handshake(at, Guise::proper(seed)).await.unwrap();
        let tasks = Tasks::default();
        let http = hyper::client::conn::http2::Builder::new(tasks.clone());
        let (requests, connection) = http.handshake(TokioIo::new(tls)).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { requests, connection, tasks }
    }

    pub fn request(&mut self, method: &str, path: &str) -> Call {
        let (body, parts) = mpsc::unbounded();
        let request = Request::builder().method(method).uri(format!("https://x.invalid{path}"));
        let answer = self.requests.send_request(request.body(StreamBody::new(parts)).unwrap());
        Call { body, answer: tokio::spawn(answer) }
    }

    /// Opens a session and says hello.
    pub fn open(&mut self, n: u64) -> Call {
        let request = self.request("POST", &format!("/session/{}", super::id(n)));
        request.hello();
        request
    }

    /// Waits until the other side closes the connection.
    pub async fn closed(self) {
        self.connection.await.unwrap();
    }

    /// Closes the socket without a word.
    pub fn vanish(self) {
        self.connection.abort();
        self.tasks.0.lock().unwrap().drain(..).for_each(|task| task.abort());
    }
}
