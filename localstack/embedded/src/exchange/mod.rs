//! The sample exchange: the website whose answers are proven in demonstrations and tests.
//!
//! HTTPS as TLSNotary (TLS 1.2) and a forwarding notary (TLS 1.3) can attest it: ECDHE over P-256 only, an ECDSA certificate for
//! [`SERVER_NAME`] under a CA of its own, no resumption (a resumed session has no key exchange to attest).
//! Its one endpoint answers as a real exchange's does:
//!
//! ```text
//! GET /api/v3/account?omitZeroBalances=true HTTP/1.1
//! Host: api.exchange.test
//! X-MBX-APIKEY: (64 letters and digits)
//! ```
//!
//! As real exchanges do, it takes signed requests: `timestamp` (milliseconds, of the last minutes) and behind it, as the
//! last parameter, `signature`, the HMAC-SHA256 under the account's secret of the query before it, in hexadecimal. A
//! signature that is there must be right.
//!
//! The accounts are invented, but always the same ones for the same seed. In the state folder it keeps `root.der` and
//! `root.pem` (the CA, to be trusted when a presentation is checked), `root.key.pem` (its key) and `accounts.json`
//! (every account with key and balance: the demonstration's oracle).

mod accounts;
mod respond;
mod tls;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::CertificateDer;

pub use accounts::{Account, Amount, MAX_ACCOUNTS};

use crate::server::{accept, bind};
use crate::{Clock, Error, Server, files};

/// The name in the certificate and in the `Host` header.
pub const SERVER_NAME: &str = "api.exchange.test";

/// Longest time that a client may take for the handshake, and again for its request's head.
const PATIENCE: Duration = Duration::from_secs(20);

/// The settings of [`serve`].
#[derive(Clone)]
pub struct Config {
    /// Loopback address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Folder for the CA and the list of accounts, made if needed.
    pub state: PathBuf,
    /// Number of accounts, 1 to [`MAX_ACCOUNTS`].
    pub accounts: u32,
    /// Determines everything about the accounts.
    pub seed: u64,
    /// The time in answers: their `Date` header and the account's `updateTime`.
    pub clock: Clock,
}

impl Config {
    /// A configuration with the system's clock.
    pub fn new(listen: SocketAddr, state: impl Into<PathBuf>, accounts: u32, seed: u64) -> Config {
        Config { listen, state: state.into(), accounts, seed, clock: Arc::new(SystemTime::now) }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("state", &self.state)
            .field("accounts", &self.accounts)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// A running sample exchange.
#[derive(Debug)]
pub struct Exchange {
    /// To find and to stop it. Connect to its address, but ask for [`SERVER_NAME`].
    pub server: Server,
    /// Its CA's certificate, which is also in the state folder.
    pub root: CertificateDer<'static>,
    /// All accounts, in order.
    pub accounts: Arc<[Account]>,
}

/// Starts the exchange.
///
/// # Errors
/// The address is not loopback or taken, the state folder cannot be used or is damaged, the number of accounts
/// is out of range.
pub async fn serve(config: Config) -> Result<Exchange, Error> {
    let Config { listen, state, accounts, seed, clock } = config;
    let accounts: Arc<[Account]> = accounts::derive(accounts, seed)?.into();
    files::make_folder(&state)?;
    let authority = tls::Authority::load_or_make(&state)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(authority.server_config()?));
    let list = serde_json::to_vec_pretty(&accounts[..]).map_err(|e| Error::File {
        action: "encoding",
        path: state.join("accounts.json"),
        source: e.into(),
    })?;
    files::replace(&state.join("accounts.json"), &list)?;
    let by_key: HashMap<String, usize> =
        accounts.iter().enumerate().map(|(i, a)| (a.api_key.clone(), i)).collect();

    let (listener, addr) = bind(listen).await?;
    let book = Arc::new(respond::Book { accounts: accounts.clone(), by_key });
    let mut http = http1::Builder::new();
    // Header names as the usual servers in front of an exchange write them.
    http.title_case_headers(true).timer(TokioTimer::new()).header_read_timeout(PATIENCE);

    let server = Server::spawn(addr, "https", |stopped| {
        accept(listener, stopped, move |stream, watcher| {
            let (acceptor, http, book, clock) = (acceptor.clone(), http.clone(), book.clone(), clock.clone());
            async move {
                let stream = match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(e)) => return tracing::debug!(error = %e, "TLS handshake"),
                    Err(_) => return tracing::debug!("TLS handshake took too long"),
                };
                let service = service_fn(|request: Request<Incoming>| {
                    let response = book.respond(&request, clock());
                    async move { Ok::<_, std::convert::Infallible>(response.map(|b| Full::new(Bytes::from(b)))) }
                });
                if let Err(e) = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await {
                    tracing::debug!(error = %e, "exchange connection");
                }
            }
        })
    });
    Ok(Exchange { server, root: authority.root, accounts })
}
