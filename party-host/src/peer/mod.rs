//! Links between the three parties: TLS 1.3 with pinned Ed25519 keys on both sides, HTTP/2, one bidirectional
//! stream (`POST /session/{id}`) per session, length-prefixed frames that name their protocol step.
//!
//! Each party keeps one connection to each peer, over which all the sessions that it opens run, and serves the
//! peer's. A session is independent of all others: it has its own flow-control window, and the connection's
//! window is the sum of them, so that a session nobody reads cannot hold up the rest. A fault ends its session
//! with a typed error on both sides and nothing else. The link proves *which party* speaks and keeps order;
//! nonces, versions and log heights are for the opening message, which it only carries.
//!
//! Never logs or looks into a frame's content.

mod channel;
mod dialer;
mod error;
mod frame;
mod measure;
mod outbox;
mod server;
mod session;
mod tls;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tercet_protocol::ids::PublicKey;
use tercet_protocol::keys::SigningKey;
use tercet_protocol::operator::OperatorManifest;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use channel::{Channel, Receiver, Sender};
pub use error::{AbortReason, PeerError, StartError};
pub use frame::FrameDecoder;
pub use measure::{
    BYTES_RECEIVED, BYTES_SENT, CONNECTED, HANDSHAKE_FAILURES, RECONNECTS, SESSION_FAULTS, SESSIONS, Traffic,
};
pub use session::{InvalidSessionId, SessionHandle, SessionId};

use channel::{HalfConfig, Inbound, Source};
use dialer::Peer;
use session::{LiveIds, Place, PlaceOf, Session};

/// Bounds of the links. The two ends of a link should agree on `max_frame` and `max_sessions`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest frame payload in bytes. A session's receiver holds up to one such frame.
    pub max_frame: usize,
    /// Longest opening message in bytes.
    pub max_hello: usize,
    /// Open sessions per peer and direction of opening.
    pub max_sessions: u32,
    /// Incoming sessions that may wait for [`PeerLinks::accept`]; more are refused as busy.
    pub accept_queue: usize,
    /// Bytes of one session that may be under way unread; times `max_sessions` at most 2^31 - 1.
    pub stream_window: u32,
    /// Bytes of one session that may wait here to be sent. A single longer frame may, alone.
    pub send_queue: u32,
    /// For resolving, connecting and the TLS handshake.
    pub connect_timeout: Duration,
    /// Longest time for which [`PeerLinks::open`] waits for a connection.
    pub open_timeout: Duration,
    /// For a caller's TLS handshake, and for a session's opening message.
    pub handshake_timeout: Duration,
    /// Between HTTP/2 pings, and for their answers.
    pub keep_alive: Duration,
    /// Time for which a session that this side is done with is kept so that the last frames arrive.
    pub linger: Duration,
    /// First pause before dialing again; it doubles from try to try.
    pub backoff_min: Duration,
    /// Longest pause before dialing again.
    pub backoff_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: 64 << 20,
            max_hello: 64 << 10,
            max_sessions: 64,
            accept_queue: 64,
            stream_window: 4 << 20,
            send_queue: 4 << 20,
            connect_timeout: Duration::from_secs(5),
            open_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(10),
            linger: Duration::from_secs(30),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Room for every session's window, so that sessions nobody reads cannot use up the connection's.
    fn connection_window(&self) -> u32 {
        self.stream_window.saturating_mul(self.max_sessions)
    }

    fn check(&self) -> Result<(), StartError> {
        let window = u64::from(self.stream_window) * u64::from(self.max_sessions);
        if self.max_sessions == 0 || self.accept_queue == 0 || self.send_queue == 0 {
            Err(StartError::Limits("max_sessions, accept_queue and send_queue must be at least 1"))
        } else if self.stream_window < 65_535 || window > 0x7fff_ffff {
            Err(StartError::Limits("stream_window must be 65535 or more, times max_sessions under 2^31"))
        } else if u32::try_from(self.max_frame).is_err() || u32::try_from(self.max_hello).is_err() {
            Err(StartError::Limits("max_frame and max_hello must be under 2^32"))
        } else if self.accept_queue > tokio::sync::Semaphore::MAX_PERMITS {
            Err(StartError::Limits("accept_queue is too large"))
        } else if self.keep_alive.is_zero() || self.backoff_min.is_zero() {
            Err(StartError::Limits("keep_alive and backoff_min must not be zero"))
        } else {
            Ok(())
        }
    }
}

/// A peer as the operators' manifests describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its link key, by which it is named here.
    pub key: PublicKey,
    /// The key that will replace it: accepted as well, for the same peer.
    pub next_key: Option<PublicKey>,
    /// `host:port`, resolved at each dial.
    pub address: String,
}

impl KnownPeer {
    fn keys(&self) -> Vec<PublicKey> {
        [Some(self.key), self.next_key].into_iter().flatten().collect()
    }
}

impl From<&OperatorManifest> for KnownPeer {
    fn from(m: &OperatorManifest) -> Self {
        Self { key: m.peer_key, next_key: m.next_peer_key, address: m.peer_address.clone() }
    }
}

/// The party's own identity, and its peers.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// This party's link key; its public half is one of the peer keys of the operator's manifest.
    pub key: Arc<SigningKey>,
    /// The peers.
    pub peers: Vec<KnownPeer>,
    /// Bounds.
    pub limits: Limits,
    /// For benchmarks: makes the peers seem this far away (round trip) by holding each frame back for half of it.
    pub rtt: Option<Duration>,
}

/// A session that a peer opened.
#[derive(Debug)]
pub struct IncomingSession {
    /// The peer's key, proven in the handshake.
    pub peer: PublicKey,
    /// The session's id.
    pub session: SessionId,
    /// The opening message.
    pub hello: Bytes,
    /// The session. To decline it, [`Channel::abort`] it with the reason.
    pub channel: Channel,
}

/// The state of this party's connection to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// The peer.
    pub peer: PublicKey,
    /// True if the connection is up.
    pub connected: bool,
    /// The fault that keeps it down.
    pub fault: Option<PeerError>,
}

/// The running links. Dropping them closes every connection; their sessions end with [`PeerError::Lost`].
pub struct PeerLinks {
    key: Arc<SigningKey>,
    peers: RwLock<HashMap<PublicKey, Dialed>>,
    server: Arc<server::Server>,
    incoming: Mutex<mpsc::Receiver<IncomingSession>>,
    limits: Limits,
    delay: Option<Duration>,
    address: SocketAddr,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// A peer that is dialed until it is stopped.
#[derive(Clone)]
struct Dialed {
    known: KnownPeer,
    peer: Arc<Peer>,
    stop: CancellationToken,
}

/// Whom the accepting side lets in: these, and nobody else.
fn admitted(key: &Arc<SigningKey>, peers: &[Dialed]) -> Result<server::Admitted, StartError> {
    let mut seen = HashSet::from([key.public()]);
    // From the key that a peer presents to the one by which it is named.
    let mut names = HashMap::new();
    for Dialed { known, .. } in peers {
        for presented in known.keys() {
            if !seen.insert(presented) {
                return Err(StartError::DuplicateKey(presented));
            }
            names.insert(presented, known.key);
        }
    }
    let acceptor = TlsAcceptor::from(tls::server(key, names.keys().copied().collect())?);
    let peers = peers.iter().map(|p| (p.known.key, p.peer.metrics.clone())).collect();
    Ok(server::Admitted { acceptor, names, peers })
}

impl PeerLinks {
    /// Serves `listener` and dials every peer in the background. Needs a tokio runtime; does not wait for peers.
    pub fn start(listener: TcpListener, config: PeerConfig) -> Result<Self, StartError> {
        let PeerConfig { key, peers, limits, rtt } = config;
        limits.check()?;
        measure::describe();
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let delay = rtt.map(|rtt| rtt / 2);
        let (tx, rx) = mpsc::channel(limits.accept_queue);
        let server = Arc::new(server::Server {
            admitted: RwLock::new(Arc::new(admitted(&key, &[])?)),
            limits: limits.clone(),
            delay,
            incoming: tx,
            live: Arc::new(LiveIds::default()),
            connections: Default::default(),
            stop: stop.clone(),
        });
        let links = Self {
            key,
            peers: RwLock::default(),
            server: server.clone(),
            incoming: Mutex::new(rx),
            limits,
            delay,
            address,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        };
        links.replace(peers)?;
        let serving = links.stop.clone();
        tokio::spawn(async move { serving.run_until_cancelled(server::serve(listener, server)).await });
        Ok(links)
    }

    /// Talks to these peers from here on, and to no others. Connections to those that stay as they were stay up; sessions with
    /// the others end with [`PeerError::Lost`].
    ///
    /// # Errors
    ///
    /// Two peers have one key, or TLS refuses one. Nothing has changed then.
    pub fn replace(&self, known: Vec<KnownPeer>) -> Result<(), StartError> {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Vec::with_capacity(known.len());
        let mut fresh = Vec::new();
        for known in known {
            if let Some(dialed) = peers.get(&known.key).filter(|dialed| dialed.known == known) {
                next.push(dialed.clone());
                continue;
            }
            let tls = tls::client(&self.key, known.keys())?;
            let peer = Peer::new(known.key, known.address.clone(), &self.limits);
            let dialed = Dialed { known, peer, stop: self.stop.child_token() };
            fresh.push((dialed.clone(), tls));
            next.push(dialed);
        }
        let admitted = admitted(&self.key, &next)?;
        let next: HashMap<_, _> = next.into_iter().map(|dialed| (dialed.known.key, dialed)).collect();
        let stays =
            |old: &Dialed| next.get(&old.known.key).is_some_and(|new| Arc::ptr_eq(&new.peer, &old.peer));
        let gone: Vec<PublicKey> =
            peers.values().filter(|old| !stays(old)).map(|old| old.known.key).collect();
        for key in &gone {
            if let Some(old) = peers.get(key) {
                old.stop.cancel();
            }
        }
        self.server.admit(admitted, &gone);
        for (Dialed { peer, stop, .. }, tls) in fresh {
            let (limits, inner) = (self.limits.clone(), stop.clone());
            tokio::spawn(
                async move { stop.run_until_cancelled(peer.keep_connected(tls, limits, inner)).await },
            );
        }
        *peers = next;
        Ok(())
    }

    fn peer(&self, key: &PublicKey) -> Option<Arc<Peer>> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(key).map(|dialed| dialed.peer.clone())
    }

    /// The address of the listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Opens a session. Waits for a connection, up to `open_timeout`, but not for the peer's answer: a refusal
    /// shows as [`PeerError::Refused`] on the channel. `session` must be fresh.
    pub async fn open(
        &self,
        peer: PublicKey,
        session: SessionId,
        hello: Bytes,
    ) -> Result<Channel, PeerError> {
        let limits = &self.limits;
        if hello.len() > limits.max_hello {
            return Err(PeerError::HelloTooLarge { len: hello.len(), max: limits.max_hello });
        }
        let peer = self.peer(&peer).ok_or(PeerError::UnknownPeer(peer))?;
        let slot = peer.slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| PeerError::TooManySessions(limits.max_sessions as usize))?;
        let connection = peer.connected(limits.open_timeout).await?;
        let shared = Session::new(session, peer.key, peer.metrics.clone());
        let place = Place::take(PlaceOf::Opened(slot), &peer.metrics);
        let (queue, outbox) =
            outbox::queue(shared.clone(), Some(place.clone()), limits.send_queue, self.delay);
        queue.push_first(hello)?;
        let answer =
            dialer::request(connection, session, outbox.boxed_unsync(), shared.clone(), self.stop.clone())?;
        let inbound = Inbound::new(Source::Answer(answer), limits.max_frame, place);
        let halves =
            HalfConfig { max_frame: limits.max_frame, linger: limits.linger, stop: self.stop.clone() };
        Ok(Channel::new(shared, queue, inbound, halves))
    }

    /// The next session that a peer opened, in order of arrival. None after [`Self::shutdown`]. Safe to drop.
    pub async fn accept(&self) -> Option<IncomingSession> {
        let mut incoming = self.incoming.lock().await;
        self.stop.run_until_cancelled(incoming.recv()).await.flatten()
    }

    /// The state of this party's own connections, in no particular order.
    pub fn status(&self) -> Vec<LinkStatus> {
        let status = |dialed: &Dialed| {
            let down = dialed.peer.down();
            LinkStatus { peer: dialed.known.key, connected: down.is_none(), fault: down.flatten() }
        };
        self.peers.read().unwrap_or_else(PoisonError::into_inner).values().map(status).collect()
    }

    /// Closes the listener and every connection.
    pub fn shutdown(&self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for PeerLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerLinks").field("address", &self.address).finish_non_exhaustive()
    }
}
