//! The shared state of a session's two halves: its identity, its first fault, its counts.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::task::AtomicWaker;
use metrics::Gauge;
use tercet_protocol::ids::PublicKey;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::error::{AbortReason, PeerError};
use super::measure::{PeerMetrics, Traffic, TrafficCount};

/// Names a session between two parties; chosen by the side that opens it and never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 32]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// A text that is not a session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id has 64 lower-case hexadecimal digits")]
pub struct InvalidSessionId;

impl FromStr for SessionId {
    type Err = InvalidSessionId;
    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let mut out = [0; 32];
        if text.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(text, &mut out).is_err() {
            return Err(InvalidSessionId);
        }
        Ok(Self(out))
    }
}

/// Sessions that peers have open here; one id of one peer is in use at most once at a time.
#[derive(Debug, Default)]
pub(super) struct LiveIds(Mutex<HashSet<(PublicKey, SessionId)>>);

impl LiveIds {
    /// `None` while the peer has an open session of this id.
    pub(super) fn claim(self: &Arc<Self>, peer: PublicKey, id: SessionId) -> Option<LiveId> {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert((peer, id)).then(|| LiveId { ids: self.clone(), key: (peer, id) })
    }
}

/// Gives the id back when dropped.
#[derive(Debug)]
pub(super) struct LiveId {
    ids: Arc<LiveIds>,
    key: (PublicKey, SessionId),
}

impl Drop for LiveId {
    fn drop(&mut self) {
        self.ids.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// A session's place among the open ones, until both of its streams have ended: shared by them, not by handles.
pub(super) struct Place {
    sessions: Gauge,
    _of: PlaceOf,
}

/// Held for its drop, which gives the place back.
#[expect(dead_code, reason = "never read")]
pub(super) enum PlaceOf {
    /// One of the sessions this party may have open to the peer.
    Opened(OwnedSemaphorePermit),
    /// The peer's session id.
    Accepted(LiveId),
}

impl Place {
    pub(super) fn take(of: PlaceOf, metrics: &PeerMetrics) -> Arc<Self> {
        metrics.sessions.increment(1.0);
        Arc::new(Self { sessions: metrics.sessions.clone(), _of: of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.decrement(1.0);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// Shared by a session's sender, receiver, body and handles.
pub(super) struct Session {
    pub id: SessionId,
    pub peer: PublicKey,
    pub metrics: PeerMetrics,
    pub traffic: TrafficCount,
    /// The outgoing body's task, which tells the peer of a fault.
    pub body_waker: AtomicWaker,
    fault: OnceLock<PeerError>,
    faulted: CancellationToken,
}

impl Session {
    pub(super) fn new(id: SessionId, peer: PublicKey, metrics: PeerMetrics) -> Arc<Self> {
        Arc::new(Self {
            id,
            peer,
            metrics,
            traffic: TrafficCount::default(),
            body_waker: AtomicWaker::new(),
            fault: OnceLock::new(),
            faulted: CancellationToken::new(),
        })
    }

    /// Ends the session, unless a fault has ended it before; gives the fault that counts.
    pub(super) fn fail(&self, fault: PeerError) -> PeerError {
        if self.fault.set(fault.clone()).is_ok() {
            self.metrics.fault(fault.code());
            self.faulted.cancel();
            self.body_waker.wake();
        }
        self.fault().cloned().unwrap_or(fault)
    }

    /// The fault that ended the session.
    pub(super) fn fault(&self) -> Option<&PeerError> {
        self.fault.get()
    }

    /// Waits for a fault.
    pub(super) async fn faulted(&self) -> PeerError {
        self.faulted.cancelled().await;
        // The token is cancelled only after the fault is set.
        self.fault().cloned().unwrap_or(PeerError::Lost)
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.traffic.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.metrics.sent.increment(bytes as u64);
    }

    pub(super) fn count_received(&self, bytes: usize) {
        self.traffic.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.metrics.received.increment(bytes as u64);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Watches and ends a session from outside the two halves, for example from the task that supervises a
/// blocking engine.
#[derive(Debug, Clone)]
pub struct SessionHandle(pub(super) Arc<Session>);

impl SessionHandle {
    /// Ends the session in both directions: pending calls on either half return [`PeerError::Stopped`] at once,
    /// the peer's return [`PeerError::Aborted`]. Frames not sent yet are dropped. Without effect on a session
    /// that a fault has ended before.
    pub fn abort(&self, reason: AbortReason) {
        self.0.fail(PeerError::Stopped(reason));
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The peer's key, proven in the handshake.
    pub fn peer(&self) -> PublicKey {
        self.0.peer
    }

    /// The session's traffic so far.
    pub fn traffic(&self) -> Traffic {
        self.0.traffic.read()
    }

    /// The fault that ended the session.
    pub fn fault(&self) -> Option<PeerError> {
        self.0.fault().cloned()
    }

    /// Waits until a fault ends the session. Never returns for one that ends well.
    pub async fn faulted(&self) -> PeerError {
        self.0.faulted().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling_and_one_owner() {
        let id = SessionId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [id.to_string().to_uppercase(), id.to_string() + "0", String::new(), "zz".repeat(32)] {
            assert_eq!(bad.parse::<SessionId>(), Err(InvalidSessionId), "{bad}");
        }
        let ids = Arc::new(LiveIds::default());
        let (a, b) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let held = ids.claim(a, id);
        assert!(held.is_some() && ids.claim(a, id).is_none() && ids.claim(b, id).is_some());
        drop(held);
        assert!(ids.claim(a, id).is_some());
    }

    #[tokio::test]
    async fn the_first_fault_counts() {
        let (peer, id) = (PublicKey([1; 32]), SessionId([2; 32]));
        let session = Session::new(id, peer, PeerMetrics::new(&peer));
        assert_eq!(session.fail(PeerError::Closed), PeerError::Closed);
        assert_eq!(session.fail(PeerError::Lost), PeerError::Closed);
        assert_eq!(session.faulted().await, PeerError::Closed);
    }
}
