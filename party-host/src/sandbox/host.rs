//! The engine's imports: its two peers; [`super::field`] has the vectors.

use std::time::Instant;

use wasmtime::{StoreLimits, StoreLimitsBuilder};
use zeroize::Zeroizing;

use super::Limits;
use super::bindings::tercet::engine::host::{Host, Peer};
use super::field::Vectors;

/// A peer, seen from this party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Party i + 1 mod 3.
    Next,
    /// Party i - 1 mod 3.
    Previous,
}

/// Why a session is over for the engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SessionOver(pub String);

/// Frames to and from the peers of one session. Called from the engine's blocking thread.
pub trait PeerIo: Send {
    /// Sends a frame.
    fn send(&mut self, to: Direction, step: u32, frame: Vec<u8>) -> Result<(), SessionOver>;
    /// Waits for a frame.
    fn receive(&mut self, from: Direction, step: u32) -> Result<Vec<u8>, SessionOver>;
}

/// For calls that speak to no peer.
pub(super) struct Nobody;

impl PeerIo for Nobody {
    fn send(&mut self, _: Direction, _: u32, _: Vec<u8>) -> Result<(), SessionOver> {
        Err(SessionOver("this call has no peers".into()))
    }

    fn receive(&mut self, _: Direction, _: u32) -> Result<Vec<u8>, SessionOver> {
        Err(SessionOver("this call has no peers".into()))
    }
}

/// The secrets that a session shares with each peer alone. Its `Debug` shows neither.
#[derive(Clone)]
pub struct PairSecrets {
    /// With party i + 1.
    pub next: Zeroizing<[u8; 32]>,
    /// With party i - 1.
    pub previous: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for PairSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairSecrets(..)")
    }
}

/// One instance's state.
pub(super) struct State {
    io: Box<dyn PeerIo>,
    secrets: Option<PairSecrets>,
    store: StoreLimits,
    pub(super) vectors: Vectors,
    limits: Limits,
    /// When the engine last got control back: time spent waiting for peers is not its own.
    running_since: Instant,
    over: Option<SessionOver>,
}

impl State {
    pub fn new(io: Box<dyn PeerIo>, secrets: Option<PairSecrets>, limits: Limits) -> Self {
        let store = StoreLimitsBuilder::new().memory_size(limits.memory).trap_on_grow_failure(true).build();
        let vectors = Vectors::new(limits.memory);
        Self { io, secrets, store, vectors, limits, running_since: Instant::now(), over: None }
    }

    pub fn limits(&mut self) -> &mut StoreLimits {
        &mut self.store
    }

    pub fn within_time(&self) -> bool {
        self.running_since.elapsed() < self.limits.compute
    }

    pub fn take_over(&mut self) -> Option<SessionOver> {
        self.over.take()
    }

    /// Runs a blocking exchange; after the first failure every further one fails without being tried.
    fn exchange<T>(&mut self, f: impl FnOnce(&mut dyn PeerIo) -> Result<T, SessionOver>) -> Option<T> {
        let result = match self.over {
            Some(_) => None,
            None => f(&mut *self.io).map_err(|e| self.over = Some(e)).ok(),
        };
        self.running_since = Instant::now();
        result
    }
}

impl From<Peer> for Direction {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Next => Self::Next,
            Peer::Previous => Self::Previous,
        }
    }
}

impl Host for State {
    fn send(&mut self, to: Peer, step: u32, frame: Vec<u8>) -> bool {
        self.exchange(|io| io.send(to.into(), step, frame)).is_some()
    }

    fn receive(&mut self, from: Peer, step: u32) -> Option<Vec<u8>> {
        self.exchange(|io| io.receive(from.into(), step))
    }

    fn secret(&mut self, of: Peer) -> Option<Vec<u8>> {
        let secrets = self.secrets.as_ref()?;
        Some(match of {
            Peer::Next => secrets.next.to_vec(),
            Peer::Previous => secrets.previous.to_vec(),
        })
    }
}
