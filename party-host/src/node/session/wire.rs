//! The two channels of a session, between its parties and for the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{SessionError, Step};
use crate::peer::{AbortReason, Channel};
use crate::sandbox::{Direction, PeerIo, SessionOver};

/// A fault that is injected into a party's frames: tests make a party misbehave with it.
#[cfg(feature = "fault-injection")]
pub trait Fault: Send + Sync + 'static {
    /// The fate of a frame for `party`; `None`: it is never sent.
    fn on_send(&self, party: u8, step: u32, frame: Bytes) -> Option<Bytes>;
}

/// Time that a party is given for each stored object that it may have to read: far more than one takes, since many are read at once.
const EACH_READ: Duration = Duration::from_millis(3);
/// Longest time that is given for reading.
const LONGEST_READ: Duration = Duration::from_secs(600);

/// The two channels of a session.
pub struct Wire {
    me: u8,
    next: Channel,
    previous: Channel,
    patience: Duration,
    /// The session's name, once it is known: the first frame in each direction carries it.
    name: Option<[u8; 32]>,
    /// On which of the two channels it was sent and seen.
    said: [bool; 2],
    heard: [bool; 2],
    /// All three have exchanged a frame since it is known.
    exchanged: bool,
    #[cfg(feature = "fault-injection")]
    fault: Option<Arc<dyn Fault>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("me", &self.me)
            .field("next", &self.next)
            .field("previous", &self.previous)
            .finish()
    }
}

impl Wire {
    /// Joins the channels to party `me` + 1 and `me` - 1.
    pub fn new(me: u8, next: Channel, previous: Channel, patience: Duration) -> Self {
        Self {
            me,
            next,
            previous,
            patience,
            name: None,
            said: [false; 2],
            heard: [false; 2],
            exchanged: false,
            #[cfg(feature = "fault-injection")]
            fault: None,
        }
    }

    /// Makes this party's frames pass through a fault.
    #[cfg(feature = "fault-injection")]
    pub fn with_fault(mut self, fault: Option<Arc<dyn Fault>>) -> Self {
        self.fault = fault;
        self
    }

    /// The frame as it leaves this party; `None` if a fault swallows it.
    #[cfg(feature = "fault-injection")]
    fn outgoing(&self, party: u8, step: u32, frame: Bytes) -> Option<Bytes> {
        match &self.fault {
            Some(fault) => fault.on_send(party, step, frame),
            None => Some(frame),
        }
    }

    #[cfg(not(feature = "fault-injection"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the twin with fault injection needs both"
    )]
    fn outgoing(&self, _party: u8, _step: u32, frame: Bytes) -> Option<Bytes> {
        Some(frame)
    }

    /// From here on the first frame in each direction carries the session's name.
    pub(super) fn bind(&mut self, name: [u8; 32]) {
        self.name = Some(name);
    }

    /// The parties of which a frame came that is bound to this session.
    pub fn heard(&self) -> Vec<u8> {
        let parties = [(self.me + 1) % 3, (self.me + 2) % 3];
        parties.into_iter().zip(self.heard).filter_map(|(p, heard)| heard.then_some(p)).collect()
    }

    /// True if all three have exchanged a frame that is bound to this session. The three agree on it, since they take
    /// the same steps.
    pub fn exchanged(&self) -> bool {
        self.exchanged
    }

    /// The frame with the session's name, if it is the first one.
    fn named(&mut self, d: Direction, frame: Bytes) -> Bytes {
        let said = &mut self.said[usize::from(d == Direction::Previous)];
        match self.name {
            Some(name) if !std::mem::replace(said, true) => [&name[..], &frame[..]].concat().into(),
            _ => frame,
        }
    }

    /// The frame without the session's name, which the first one has to carry.
    fn unnamed(&mut self, d: Direction, party: u8, mut frame: Bytes) -> Result<Bytes, SessionError> {
        let heard = &mut self.heard[usize::from(d == Direction::Previous)];
        let Some(name) = self.name.filter(|_| !*heard) else { return Ok(frame) };
        if !frame.starts_with(&name) {
            let what = "is in another session than this party: it was told something else".into();
            return Err(SessionError::Disagreement { party, what });
        }
        *heard = true;
        Ok(frame.split_off(name.len()))
    }

    /// Waits longer for the peers from here on: what comes next lets each party read so many stored objects by itself, and one that was
    /// just started, with a store that is far away, takes minutes for what another has in memory. All three know from the log how many
    /// there are.
    pub fn allow_reads(&mut self, objects: usize) {
        let read = EACH_READ.saturating_mul(u32::try_from(objects).unwrap_or(u32::MAX));
        self.patience += read.min(LONGEST_READ);
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    pub(super) fn channel(&mut self, d: Direction) -> (u8, &mut Channel) {
        match d {
            Direction::Next => ((self.me + 1) % 3, &mut self.next),
            Direction::Previous => ((self.me + 2) % 3, &mut self.previous),
        }
    }

    pub(super) async fn send(&mut self, d: Direction, step: u32, frame: Bytes) -> Result<(), SessionError> {
        let deadline = self.deadline();
        let party = self.channel(d).0;
        let frame = self.named(d, frame);
        let Some(frame) = self.outgoing(party, step, frame) else { return Ok(()) };
        let (_, channel) = self.channel(d);
        channel.send(step, frame, deadline).await.map_err(|source| SessionError::Peer { party, source })
    }

    pub(super) async fn receive(&mut self, d: Direction, step: u32) -> Result<Bytes, SessionError> {
        let deadline = self.deadline();
        let (party, channel) = self.channel(d);
        channel.limit(Step::limit(step));
        let frame =
            channel.recv(step, deadline).await.map_err(|source| SessionError::Peer { party, source })?;
        self.unnamed(d, party, frame)
    }

    /// Sends the same frame to both peers and returns their frames: (next, previous).
    pub async fn exchange(&mut self, step: Step, frame: Vec<u8>) -> Result<[(u8, Bytes); 2], SessionError> {
        let frame = Bytes::from(frame);
        self.exchange_each(step, [frame.clone(), frame]).await
    }

    /// Sends one frame each to the next and the previous party and returns their frames, in this order.
    pub async fn exchange_each(
        &mut self,
        step: Step,
        [to_next, to_previous]: [Bytes; 2],
    ) -> Result<[(u8, Bytes); 2], SessionError> {
        let step = step as u32;
        self.send(Direction::Next, step, to_next).await?;
        self.send(Direction::Previous, step, to_previous).await?;
        let next = self.receive(Direction::Next, step).await?;
        let previous = self.receive(Direction::Previous, step).await?;
        self.exchanged |= self.name.is_some();
        Ok([((self.me + 1) % 3, next), ((self.me + 2) % 3, previous)])
    }

    /// Tells both peers why this party stops.
    pub fn abort(self, error: &SessionError) {
        let reason = AbortReason::new(error.code(), "this party stopped the session");
        self.next.abort(reason.clone());
        self.previous.abort(reason);
    }
}

/// The wire as the engine's blocking thread uses it; the session gets it back afterwards.
#[derive(Clone, Debug)]
pub struct EngineWire(Arc<Mutex<Wire>>);

impl EngineWire {
    /// Lends the wire.
    pub fn new(wire: Wire) -> Self {
        Self(Arc::new(Mutex::new(wire)))
    }

    /// Takes the wire back; `None` while the engine still holds it.
    pub fn into_wire(self) -> Option<Wire> {
        Arc::into_inner(self.0).map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PeerIo for EngineWire {
    fn send(&mut self, to: Direction, step: u32, frame: Vec<u8>) -> Result<(), SessionOver> {
        let mut wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = wire.deadline();
        let party = wire.channel(to).0;
        let step = step.saturating_add(Step::ENGINE);
        let frame = wire.named(to, Bytes::from(frame));
        let Some(frame) = wire.outgoing(party, step, frame) else { return Ok(()) };
        let (_, channel) = wire.channel(to);
        channel.blocking_send(step, frame, deadline).map_err(|e| SessionOver(format!("party {party}: {e}")))
    }

    fn receive(&mut self, from: Direction, step: u32) -> Result<Vec<u8>, SessionOver> {
        let mut wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = wire.deadline();
        let (party, channel) = wire.channel(from);
        let step = step.saturating_add(Step::ENGINE);
        channel.limit(Step::limit(step));
        let frame =
            channel.blocking_recv(step, deadline).map_err(|e| SessionOver(format!("party {party}: {e}")))?;
        wire.unnamed(from, party, frame).map(Vec::from).map_err(|e| SessionOver(e.to_string()))
    }
}
