//! Assembles a notary from its configuration, and runs it until it is told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tercet_protocol::ids::PublicKey;
use tercet_tls_session::StatementKey;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws;
use crate::config::Config;
use crate::gate::{Gate, Limits};
use crate::http::{Peer, router};
use crate::resolve::Resolver;
use crate::secrets::{self, KeyError};
use crate::surveys::{Surveys, SurveysError};
use crate::tickets::Tickets;

/// Longest time of a connection for TLS, or for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest head of a request in bytes.
const LARGEST_HEAD: usize = 16 * 1024;
/// Connections beyond the sessions: health checks, metrics, and those that are being refused.
const SPARE_CONNECTIONS: usize = 64;
/// Pause after a failed `accept` (out of file descriptors), so that it is not retried in a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The present time.
pub trait Clock: Send + Sync {
    /// Unix seconds.
    fn now(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
    }
}

/// Everything that sessions share.
pub struct Notary {
    /// Signs statements.
    pub key: StatementKey,
    /// Tickets that were taken.
    pub tickets: Tickets,
    /// Approved surveys.
    pub surveys: Surveys,
    /// Finds servers.
    pub resolver: Resolver,
    /// Bounds of sessions.
    pub limits: Limits,
    /// Counts sessions.
    pub gate: Arc<Gate>,
    /// True if a load balancer in front says where connections come from.
    pub forwarded: bool,
    /// The present time.
    pub clock: Arc<dyn Clock>,
    /// The source of `/metrics`.
    pub metrics: Option<PrometheusHandle>,
}

impl Notary {
    /// A notary with this key, which takes tickets of these coordinators for these surveys.
    pub fn new(
        key: StatementKey,
        coordinators: Vec<PublicKey>,
        surveys: Surveys,
        resolver: Resolver,
        limits: Limits,
    ) -> Self {
        Self {
            tickets: Tickets::new(coordinators, PublicKey(key.public())),
            key,
            surveys,
            resolver,
            gate: Gate::new(limits),
            limits,
            forwarded: false,
            clock: Arc::new(SystemClock),
            metrics: None,
        }
    }
}

/// Why a notary does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The surveys.
    #[error(transparent)]
    Surveys(#[from] SurveysError),
    /// The certificate of the notary's own.
    #[error("the certificate or its key cannot be used: {0}")]
    Tls(String),
    /// The socket.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The place.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Metrics.
    #[error("metrics: {0}")]
    Metrics(String),
}

/// A notary that runs.
pub struct Running {
    /// Its address.
    pub address: SocketAddr,
    /// The key under its statements.
    pub key: PublicKey,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Accepts nobody any more, and gives running sessions this much time to end.
    pub async fn stop(self, patience: Duration) {
        self.stop.cancel();
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
    }
}

/// Reads the files that the configuration names, and starts.
pub async fn run(config: &Config) -> Result<Running, ServeError> {
    let aws = aws::load().await;
    let key = secrets::read(&config.key, &aws).await?;
    let surveys = Surveys::read(&config.surveys, &key.public(), &aws).await?;
    let resolver = Resolver::dns(&config.resolvers, config.mapped());
    let coordinators = config.coordinator_keys.clone();
    let mut notary = Notary::new(key, coordinators, surveys, resolver, config.limits());
    notary.forwarded = config.forwarded;
    let metrics = PrometheusBuilder::new().install_recorder();
    notary.metrics = Some(metrics.map_err(|e| ServeError::Metrics(e.to_string()))?);
    let tls = match (&config.certificate, &config.certificate_key) {
        (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
        _ => None,
    };
    start(notary, config.listen, tls).await
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, ServeError> {
    let bad = |e: String| ServeError::Tls(e);
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|e| bad(format!("{}: {e}", certificate.display())))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| bad(format!("{}: {e}", key.display())))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|e| bad(e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Starts a notary; with `tls`, under its own certificate.
pub async fn start(
    notary: Notary,
    listen: SocketAddr,
    tls: Option<TlsAcceptor>,
) -> Result<Running, ServeError> {
    let failed = |source| ServeError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let key = PublicKey(notary.key.public());
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let connections = Arc::new(Semaphore::new(notary.limits.sessions + SPARE_CONNECTIONS));
    let accepting = accept(listener, Arc::new(notary), tls, stop.clone(), tasks.clone(), connections);
    tasks.spawn(accepting);
    tasks.close();
    Ok(Running { address, key, stop, tasks })
}

async fn accept(
    listener: TcpListener,
    notary: Arc<Notary>,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    tasks: TaskTracker,
    connections: Arc<Semaphore>,
) {
    let router = router(Arc::clone(&notary));
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = router.clone().layer(axum::Extension(Peer(peer)));
        let (tls, stop) = (tls.clone(), stop.clone());
        tasks.spawn(async move {
            match tls {
                None => http(stream, service, stop).await,
                Some(tls) => {
                    let shaken = tokio::time::timeout(PATIENCE, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        http(stream, service, stop).await;
                    }
                }
            }
            drop(permit);
        });
    }
}

async fn http<S>(stream: S, service: axum::Router, stop: CancellationToken)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    // HTTP/1 alone: a builder that takes HTTP/2 too waits for the first bytes without a limit.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_closed() {
        let (_silent, served) = tokio::io::duplex(1024);
        let ended = http(served, axum::Router::new(), CancellationToken::new());
        tokio::time::timeout(2 * PATIENCE, ended).await.expect("it keeps its place for ever");
    }
}
