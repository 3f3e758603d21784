//! Metrics of the peer links, and each session's own count of its traffic.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use tercet_protocol::ids::PublicKey;

/// Frame bytes (headers included) sent to a peer; label `peer`.
pub const BYTES_SENT: &str = "tercet_peer_sent_bytes_total";
/// Frame bytes (headers included) received from a peer; label `peer`.
pub const BYTES_RECEIVED: &str = "tercet_peer_received_bytes_total";
/// Open sessions; label `peer`.
pub const SESSIONS: &str = "tercet_peer_sessions";
/// 1 while this party's own connection to the peer is up; label `peer`.
pub const CONNECTED: &str = "tercet_peer_connected";
/// Connections made after the first; label `peer`.
pub const RECONNECTS: &str = "tercet_peer_reconnects_total";
/// TLS handshakes that failed; label `side`: `accept` or `dial`.
pub const HANDSHAKE_FAILURES: &str = "tercet_peer_handshake_failures_total";
/// Sessions that ended with a fault; labels `peer` and `code` ([`super::PeerError::code`]).
pub const SESSION_FAULTS: &str = "tercet_peer_session_faults_total";

/// Names and units for the exporter.
pub(super) fn describe() {
    describe_counter!(BYTES_SENT, Unit::Bytes, "Session frames sent to a peer");
    describe_counter!(BYTES_RECEIVED, Unit::Bytes, "Session frames received from a peer");
    describe_gauge!(SESSIONS, "Open peer sessions");
    describe_gauge!(CONNECTED, "1 while the own connection to the peer is up");
    describe_counter!(RECONNECTS, "Connections to a peer after the first");
    describe_counter!(HANDSHAKE_FAILURES, "Failed TLS handshakes of peer links");
    describe_counter!(SESSION_FAULTS, "Peer sessions that ended with a fault");
}

/// One peer's metrics.
#[derive(Clone)]
pub(super) struct PeerMetrics {
    label: String,
    pub sent: Counter,
    pub received: Counter,
    pub sessions: Gauge,
    pub connected: Gauge,
    pub reconnects: Counter,
}

impl PeerMetrics {
    pub(super) fn new(peer: &PublicKey) -> Self {
        // Eight digits tell three parties apart and keep the label readable.
        let label = hex::encode(&peer.0[..4]);
        Self {
            sent: counter!(BYTES_SENT, "peer" => label.clone()),
            received: counter!(BYTES_RECEIVED, "peer" => label.clone()),
            sessions: gauge!(SESSIONS, "peer" => label.clone()),
            connected: gauge!(CONNECTED, "peer" => label.clone()),
            reconnects: counter!(RECONNECTS, "peer" => label.clone()),
            label,
        }
    }

    pub(super) fn fault(&self, code: &'static str) {
        counter!(SESSION_FAULTS, "peer" => self.label.clone(), "code" => code).increment(1);
    }
}

/// Counts a failed handshake.
pub(super) fn handshake_failed(side: &'static str) {
    counter!(HANDSHAKE_FAILURES, "side" => side).increment(1);
}

/// The traffic of a session so far. Bytes count frame headers, not HTTP/2 and TLS overhead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes handed to the connection.
    pub sent_bytes: u64,
    /// Bytes read by the receiver.
    pub received_bytes: u64,
    /// Frames handed to the connection; the opener's first is the opening message.
    pub sent_frames: u64,
    /// Frames read by the receiver.
    pub received_frames: u64,
}

#[derive(Debug, Default)]
pub(super) struct TrafficCount {
    pub sent_bytes: AtomicU64,
    pub received_bytes: AtomicU64,
    pub sent_frames: AtomicU64,
    pub received_frames: AtomicU64,
}

impl TrafficCount {
    pub(super) fn read(&self) -> Traffic {
        // Four independent counters: no ordering between them is promised.
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        Traffic {
            sent_bytes: get(&self.sent_bytes),
            received_bytes: get(&self.received_bytes),
            sent_frames: get(&self.sent_frames),
            received_frames: get(&self.received_frames),
        }
    }
}
