//! One HTTPS exchange over TLS 1.2, keeping what a TLSNotary attestation binds: the certificate chain and the
//! server's signature over both randoms and its ephemeral key.

use std::fmt;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::response;
use crate::error::Error;

/// Longest time for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest response, headers included.
const MAX_RECEIVED: usize = tlsn_verifier::limits::MAX_TRANSCRIPT;

/// The handshake, as the TLS library verified it.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The server's certificates, DER, leaf first.
    pub certificates: Vec<Vec<u8>>,
    /// The server's signature scheme (TLS `SignatureScheme`).
    pub scheme: u16,
    /// Its signature of `signed`.
    pub signature: Vec<u8>,
    /// Both randoms and the server's ephemeral key: `client_random || server_random || ServerECDHParams`
    /// (RFC 8422 section 5.4).
    pub signed: Vec<u8>,
}

/// A finished exchange. `Debug` shows sizes only.
pub struct Exchange {
    /// The handshake.
    pub handshake: Handshake,
    /// The response, whole.
    pub received: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({} bytes received, secret)", self.received.len())
    }
}

/// Verifies like any client, and keeps the chain and the signature.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    certificates: Vec<Vec<u8>>,
    signed: Option<Signed>,
}

#[derive(Debug, Clone)]
struct Signed {
    scheme: u16,
    signature: Vec<u8>,
    message: Vec<u8>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let chain = std::iter::once(end_entity).chain(intermediates).map(|c| c.to_vec()).collect();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).certificates = chain;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let valid = self.inner.verify_tls12_signature(message, cert, dss)?;
        let signed = Signed {
            scheme: dss.scheme.into(),
            signature: dss.signature().to_vec(),
            message: message.to_vec(),
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).signed = Some(signed);
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl Witness {
    fn handshake(&self) -> Option<Handshake> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Signed { scheme, signature, message } = seen.signed.clone()?;
        Some(Handshake { certificates: seen.certificates.clone(), scheme, signature, signed: message })
    }
}

/// The ring provider with the only key exchange that TLSNotary speaks.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups: vec![ring::kx_group::SECP256R1], ..ring::default_provider() })
}

fn config(roots: &[Vec<u8>]) -> Result<(ClientConfig, Arc<Witness>), Error> {
    let bad = |e: &dyn fmt::Display| Error::Exchange(format!("TLS cannot be set up: {e}"));
    let mut store = RootCertStore::empty();
    if roots.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for der in roots {
        store.add(CertificateDer::from_slice(der)).map_err(|e| bad(&e))?;
    }
    let provider = provider();
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
        .build()
        .map_err(|e| bad(&e))?;
    let witness = Arc::new(Witness { inner, seen: Mutex::default() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .map_err(|e| bad(&e))?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    // A resumed session has no certificate and no signature to attest.
    config.resumption = Resumption::disabled();
    Ok((config, witness))
}

/// Sends `request` to `address` (`host:port`) as `server` and reads one response.
pub async fn exchange(
    server: &str,
    address: &str,
    roots: &[Vec<u8>],
    request: &[u8],
) -> Result<Exchange, Error> {
    let run = run(server, address, roots, request);
    timeout(TIMEOUT, run).await.unwrap_or_else(|_| {
        Err(Error::Exchange(format!("{server} did not answer within {} s", TIMEOUT.as_secs())))
    })
}

async fn run(server: &str, address: &str, roots: &[Vec<u8>], request: &[u8]) -> Result<Exchange, Error> {
    let failed =
        |what: &str, e: &dyn fmt::Display| Error::Exchange(format!("{what} {server} ({address}): {e}"));
    let (config, witness) = config(roots)?;
    let name = ServerName::try_from(server.to_owned())
        .map_err(|_| Error::Usage(format!("\"{}\" is not a server name", server.escape_debug())))?;
    let tcp = TcpStream::connect(address).await.map_err(|e| failed("cannot connect to", &e))?;
    let mut tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(|e| failed("no TLS 1.2 connection with P-256 key exchange to", &e))?;
    tls.write_all(request).await.map_err(|e| failed("cannot send to", &e))?;
    tls.flush().await.map_err(|e| failed("cannot send to", &e))?;

    // Room for everything from the start: a growing buffer would leave copies behind.
    let mut received = Zeroizing::new(Vec::with_capacity(MAX_RECEIVED + 1));
    while !response::is_complete(&received)? {
        match tls.read_buf(&mut *received).await {
            Ok(0) => break,
            Ok(_) if received.len() > MAX_RECEIVED => {
                return Err(Error::Exchange(format!(
                    "{server} sent more than the {MAX_RECEIVED} bytes that can be proved"
                )));
            }
            Ok(_) => {}
            // Whether the response is whole is told by its framing; many servers skip close_notify.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(failed("cannot read from", &e)),
        }
    }
    if !response::is_complete(&received)? {
        return Err(Error::Exchange(format!(
            "{server} closed the connection before its response was complete"
        )));
    }
    let handshake = witness.handshake().ok_or_else(|| {
        Error::Exchange(format!(
            "{server} did not sign an ephemeral P-256 key, so nothing binds the data to it"
        ))
    })?;
    Ok(Exchange { handshake, received })
}
