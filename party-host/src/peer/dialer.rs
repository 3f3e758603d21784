//! The dialing side: one connection to each peer, kept up in the background.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming as IncomingBody;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tercet_protocol::ids::PublicKey;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::{AbortReason, PeerError};
use super::measure::{PeerMetrics, handshake_failed};
use super::outbox::Outgoing;
use super::server::{SESSION_PATH, Scope};
use super::session::{Session, SessionId};
use super::{Limits, tls};

/// Stands in TLS and HTTP where a host name must; keys, not names, identify peers.
const HOST: &str = "peer.invalid";

/// The state of the link to a peer.
#[derive(Clone)]
enum Link {
    /// No connection. `attempts` counts the failed ones, `fault` is the last one's.
    Down {
        attempts: u64,
        fault: Option<PeerError>,
    },
    Up(SendRequest<Outgoing>),
}

/// One peer as this party dials it.
pub(super) struct Peer {
    pub key: PublicKey,
    pub metrics: PeerMetrics,
    /// One permit per session that this party may have open to the peer.
    pub slots: Arc<Semaphore>,
    address: String,
    link: watch::Sender<Link>,
    /// Somebody waits for the link: dial now rather than after the pause.
    wanted: Notify,
}

impl Peer {
    pub(super) fn new(key: PublicKey, address: String, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            key,
            metrics: PeerMetrics::new(&key),
            slots: Arc::new(Semaphore::new(limits.max_sessions as usize)),
            address,
            link: watch::Sender::new(Link::Down { attempts: 0, fault: None }),
            wanted: Notify::new(),
        })
    }

    /// `None` while the connection is up; otherwise the fault that keeps it down, if one is known.
    pub(super) fn down(&self) -> Option<Option<PeerError>> {
        match &*self.link.borrow() {
            Link::Up(_) => None,
            Link::Down { fault, .. } => Some(fault.clone()),
        }
    }

    /// The connection, waiting up to `limit` for it. A refused handshake is reported at once, since waiting does
    /// not mend it.
    pub(super) async fn connected(&self, limit: Duration) -> Result<SendRequest<Outgoing>, PeerError> {
        let mut link = self.link.subscribe();
        let deadline = Instant::now() + limit;
        let mut before = None;
        loop {
            let fault = match &*link.borrow_and_update() {
                Link::Up(connection) if !connection.is_closed() => return Ok(connection.clone()),
                Link::Up(_) => None,
                Link::Down { attempts, fault } => {
                    let before = *before.get_or_insert(*attempts);
                    if matches!(fault, Some(PeerError::Authentication { .. })) && *attempts > before {
                        return fault.clone().map_or(Err(PeerError::Lost), Err);
                    }
                    fault.clone()
                }
            };
            self.wanted.notify_one();
            tokio::select! {
                changed = link.changed() => if changed.is_err() { return Err(self.unreachable("shut down")) },
                () = sleep_until(deadline) => {
                    return Err(fault.unwrap_or_else(|| self.unreachable("no answer in time")));
                }
            }
        }
    }

    fn unreachable(&self, cause: impl ToString) -> PeerError {
        PeerError::Unreachable { peer: self.key, cause: cause.to_string() }
    }

    /// TLS faults concern keys and configuration, all others the way there.
    fn fault(&self, error: &io::Error) -> PeerError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => PeerError::Authentication { peer: self.key, cause: tls.to_string() },
            None => self.unreachable(error),
        }
    }

    async fn handshake(&self, tls: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let host = ServerName::try_from(HOST).map_err(io::Error::other)?;
        let mut tls = tls.connect(host, tcp).await?;
        if tls.get_ref().1.alpn_protocol() != Some(tls::ALPN) {
            return Err(io::Error::other(rustls::Error::NoApplicationProtocol));
        }
        // In TLS 1.3 this side is done before the other has looked at its key. The other side's first words,
        // HTTP/2 settings or an alert, tell.
        if tls.fill_buf().await?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(tls)
    }

    /// Keeps the connection up until stopped.
    pub(super) async fn keep_connected(
        self: Arc<Self>,
        config: Arc<rustls::ClientConfig>,
        limits: Limits,
        stop: CancellationToken,
    ) {
        let connector = TlsConnector::from(config);
        let (mut attempts, mut pause, mut connections) = (0, limits.backoff_min, 0u64);
        loop {
            let fault = match timeout(limits.connect_timeout, self.handshake(&connector)).await {
                Ok(Ok(tls)) => {
                    pause = limits.backoff_min;
                    connections += 1;
                    if connections > 1 {
                        self.metrics.reconnects.increment(1);
                    }
                    info!(peer = %self.key, address = self.address, "connected to peer");
                    self.hold(tls, &limits, stop.child_token()).await;
                    self.metrics.connected.set(0.0);
                    PeerError::Lost
                }
                Ok(Err(error)) => self.fault(&error),
                Err(_) => self.unreachable("timeout"),
            };
            if matches!(fault, PeerError::Authentication { .. }) {
                handshake_failed("dial");
            }
            if self.down() != Some(Some(fault.clone())) {
                warn!(peer = %self.key, address = self.address, %fault, "no connection to peer");
            }
            attempts += 1;
            self.link.send_replace(Link::Down { attempts, fault: Some(fault) });
            tokio::select! {
                () = sleep(pause) => {}
                // At least the shortest pause, however many ask.
                () = async { tokio::join!(self.wanted.notified(), sleep(limits.backoff_min)); } => {}
            }
            pause = (pause * 2).min(limits.backoff_max);
        }
    }

    /// Offers the connection to sessions until it ends.
    async fn hold(&self, tls: TlsStream<TcpStream>, limits: &Limits, stop: CancellationToken) {
        let _stop_all_of_it = stop.clone().drop_guard();
        let mut http = http2::Builder::new(Scope(stop));
        http.timer(TokioTimer::new())
            .initial_stream_window_size(limits.stream_window)
            .initial_connection_window_size(limits.connection_window())
            .max_header_list_size(16 << 10)
            .keep_alive_interval(limits.keep_alive)
            .keep_alive_timeout(limits.keep_alive)
            .keep_alive_while_idle(true);
        if let Ok((requests, connection)) = http.handshake(TokioIo::new(tls)).await {
            self.metrics.connected.set(1.0);
            self.link.send_replace(Link::Up(requests));
            // Its errors reach the sessions; here only the end matters.
            let _ = connection.await;
        }
    }
}

/// Sends the request that opens a session and waits for the answer in the background: the first frames need not
/// wait for a round trip. Gives where the answer's body will appear.
pub(super) fn request(
    mut connection: SendRequest<Outgoing>,
    id: SessionId,
    body: Outgoing,
    session: Arc<Session>,
    stop: CancellationToken,
) -> Result<oneshot::Receiver<IncomingBody>, PeerError> {
    let uri = Uri::builder().scheme("https").authority(HOST).path_and_query(format!("{SESSION_PATH}{id}"));
    let request = uri
        .build()
        .and_then(|uri| Request::builder().method(Method::POST).uri(uri).body(body))
        .map_err(|_| PeerError::Lost)?;
    let (mut tx, rx) = oneshot::channel();
    let answer = connection.send_request(request);
    tokio::spawn(async move {
        let answer = tokio::select! {
            answer = answer => answer.map_err(|_| PeerError::Lost).and_then(accepted),
            () = tx.closed() => return,
            () = stop.cancelled() => Err(PeerError::Lost),
        };
        match answer {
            // A receiver that is gone drops the body, which resets the stream.
            Ok(body) => drop(tx.send(body)),
            Err(fault) => drop(session.fail(fault)),
        }
    });
    Ok(rx)
}

fn accepted(response: Response<IncomingBody>) -> Result<IncomingBody, PeerError> {
    if response.status() == StatusCode::OK {
        return Ok(response.into_body());
    }
    let reason = AbortReason::from_headers(response.headers());
    Err(PeerError::Refused(reason.unwrap_or_else(|| AbortReason::new("http", response.status().as_str()))))
}
