//! The accepting side: TLS handshakes, one HTTP/2 connection per peer, one request per session.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming as IncomingBody;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tercet_protocol::ids::PublicKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::channel::{Channel, HalfConfig, Inbound, Source};
use super::error::{AbortReason, PeerError};
use super::frame::HELLO_STEP;
use super::measure::{PeerMetrics, handshake_failed};
use super::outbox::{Outgoing, queue};
use super::session::{LiveIds, Place, PlaceOf, Session, SessionId};
use super::{IncomingSession, Limits, tls};

/// TLS handshakes at a time. More callers wait in the system's backlog; sessions are not affected.
const HANDSHAKES: usize = 64;
/// Connections kept per peer. A peer needs one; an older one may be a leftover of a peer that lost its machine.
const CONNECTIONS: usize = 2;
/// Pause after the system refused to accept (out of file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Largest request head.
const MAX_HEADERS: u32 = 8 << 10;
/// Path of a session, before its id.
pub(super) const SESSION_PATH: &str = "/session/";

/// Runs futures until the links, or one connection, are stopped.
#[derive(Debug, Clone)]
pub(super) struct Scope(pub CancellationToken);

impl<F> hyper::rt::Executor<F> for Scope
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let stop = self.0.clone();
        tokio::spawn(async move { stop.run_until_cancelled(future).await.is_some() });
    }
}

/// The peers that are let in.
pub(super) struct Admitted {
    pub acceptor: TlsAcceptor,
    /// From a key that may be presented to the key by which its peer is named.
    pub names: HashMap<PublicKey, PublicKey>,
    pub peers: HashMap<PublicKey, PeerMetrics>,
}

/// The parts of the accepting side.
pub(super) struct Server {
    pub admitted: RwLock<Arc<Admitted>>,
    pub limits: Limits,
    pub delay: Option<Duration>,
    pub incoming: mpsc::Sender<IncomingSession>,
    pub live: Arc<LiveIds>,
    pub connections: Mutex<HashMap<PublicKey, VecDeque<CancellationToken>>>,
    pub stop: CancellationToken,
}

/// Accepts connections until stopped.
pub(super) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    // The semaphore is never closed: this loop ends by cancellation.
    while let Ok(slot) = handshakes.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((tcp, from)) => {
                let (stop, server) = (server.stop.clone(), server.clone());
                tokio::spawn(
                    async move { stop.run_until_cancelled(connection(server, tcp, from, slot)).await },
                );
            }
            Err(error) => {
                warn!(%error, "the peer listener cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(server: Arc<Server>, tcp: TcpStream, from: SocketAddr, slot: OwnedSemaphorePermit) {
    let handshake = timeout(server.limits.handshake_timeout, handshake(&server, tcp)).await;
    drop(slot);
    let (tls, peer) = match handshake {
        Ok(Ok(done)) => done,
        // Load balancers look at the port this way, many times a minute.
        Ok(Err(gone)) if matches!(gone.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            debug!(%from, "a caller of the peer listener hung up");
            return;
        }
        refused => {
            handshake_failed("accept");
            let cause = match refused {
                Ok(Err(cause)) => cause.to_string(),
                _ => "handshake timeout".into(),
            };
            warn!(%from, cause, "a connection to the peer listener was refused");
            return;
        }
    };
    let stop = server.enter(peer);
    let limits = &server.limits;
    let mut http = http2::Builder::new(Scope(stop.clone()));
    http.timer(TokioTimer::new())
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window())
        .max_concurrent_streams(limits.max_sessions)
        .max_header_list_size(MAX_HEADERS)
        .keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.keep_alive);
    let service = {
        let (server, stop) = (server.clone(), stop.clone());
        service_fn(move |request| {
            let (server, stop) = (server.clone(), stop.clone());
            async move { Ok::<_, Infallible>(server.answer(peer, request, stop).await) }
        })
    };
    debug!(%peer, %from, "peer connected");
    let ended = stop.run_until_cancelled(http.serve_connection(TokioIo::new(tls), service)).await;
    debug!(%peer, %from, ?ended, "peer disconnected");
    server.leave(peer, &stop);
}

/// The peer's stream and name, its key being proven, or why there is none.
async fn handshake(server: &Server, tcp: TcpStream) -> io::Result<(TlsStream<TcpStream>, PublicKey)> {
    tcp.set_nodelay(true)?;
    let admitted = server.admitted();
    let tls = admitted.acceptor.accept(tcp).await?;
    let (_, session) = tls.get_ref();
    if session.alpn_protocol() != Some(tls::ALPN) {
        return Err(io::Error::other("does not speak h2"));
    }
    let peer = session.peer_certificates().and_then(|keys| tls::key_of(keys.first()?));
    // The verifier admitted this key, so it is one of ours; asked again because everything rests on it.
    let peer = peer.and_then(|key| admitted.names.get(&key).copied());
    let peer = peer.ok_or_else(|| io::Error::other("unknown key"))?;
    Ok((tls, peer))
}

fn refuse(status: StatusCode, code: &str, detail: &str) -> Response<Outgoing> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = status;
    *response.headers_mut() = AbortReason::new(code, detail).to_headers();
    response
}

impl Server {
    fn admitted(&self) -> Arc<Admitted> {
        self.admitted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets in others from here on. The connections of `gone`, by the keys that name them, are closed.
    pub(super) fn admit(&self, admitted: Admitted, gone: &[PublicKey]) {
        *self.admitted.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(admitted);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for stop in gone.iter().filter_map(|key| connections.remove(key)).flatten() {
            stop.cancel();
        }
    }

    /// Registers a connection of the peer; the oldest is closed when there are too many.
    fn enter(&self, peer: PublicKey) -> CancellationToken {
        let stop = self.stop.child_token();
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = connections.entry(peer).or_default();
        of_peer.push_back(stop.clone());
        if of_peer.len() > CONNECTIONS
            && let Some(oldest) = of_peer.pop_front()
        {
            oldest.cancel();
        }
        stop
    }

    /// Removes a connection that has ended, and ends its sessions.
    fn leave(&self, peer: PublicKey, stop: &CancellationToken) {
        stop.cancel();
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_peer) = connections.get_mut(&peer) {
            of_peer.retain(|other| !other.is_cancelled());
        }
    }

    /// Takes a session, or says why not.
    async fn answer(
        &self,
        peer: PublicKey,
        request: Request<IncomingBody>,
        stop: CancellationToken,
    ) -> Response<Outgoing> {
        let id: Option<SessionId> =
            request.uri().path().strip_prefix(SESSION_PATH).and_then(|id| id.parse().ok());
        let Some(id) = id else {
            return refuse(StatusCode::NOT_FOUND, "no-such-path", "expected /session/{id}");
        };
        if request.method() != Method::POST {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "expected POST");
        }
        let Some(metrics) = self.admitted().peers.get(&peer).cloned() else {
            return refuse(StatusCode::FORBIDDEN, "unknown-peer", "");
        };
        let Some(live) = self.live.claim(peer, id) else {
            return refuse(StatusCode::CONFLICT, "duplicate-session", "a session of this id is open");
        };
        let limits = &self.limits;
        let session = Session::new(id, peer, metrics);
        let place = Place::take(PlaceOf::Accepted(live), &session.metrics);
        let body = Source::Body(request.into_body());
        let mut inbound = Inbound::new(body, limits.max_hello, place.clone());
        let deadline = tokio::time::Instant::now() + limits.handshake_timeout;
        let hello = match timeout_at(deadline, inbound.frame(&session)).await {
            Ok(Ok((HELLO_STEP, hello))) => hello,
            Ok(Ok((got, _))) => {
                let fault = PeerError::WrongStep { expected: HELLO_STEP, got };
                return refuse(StatusCode::BAD_REQUEST, fault.code(), "no opening message");
            }
            Ok(Err(fault)) => return refuse(StatusCode::BAD_REQUEST, fault.code(), &fault.to_string()),
            Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "receive-deadline", "no opening message"),
        };
        inbound.set_max(limits.max_frame);
        let seat = match self.incoming.try_reserve() {
            Ok(seat) => seat,
            Err(mpsc::error::TrySendError::Full(())) => {
                return refuse(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many sessions wait here");
            }
            Err(mpsc::error::TrySendError::Closed(())) => {
                return refuse(StatusCode::SERVICE_UNAVAILABLE, "stopping", "this party is shutting down");
            }
        };
        let (queue, outbox) = queue(session.clone(), Some(place), limits.send_queue, self.delay);
        let halves = HalfConfig { max_frame: limits.max_frame, linger: limits.linger, stop };
        let channel = Channel::new(session, queue, inbound, halves);
        seat.send(IncomingSession { peer, session: id, hello, channel });
        Response::new(outbox.boxed_unsync())
    }
}
