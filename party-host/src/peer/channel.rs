//! A session as the engine's host sees it: a sender and a receiver of frames.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming as IncomingBody;
use tercet_protocol::ids::PublicKey;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::{AbortReason, PeerError};
use super::frame::{FrameDecoder, HELLO_STEP};
use super::outbox::Queue;
use super::session::{Place, Session, SessionHandle, SessionId};

/// Longest time for which a sender whose stream is gone waits for the reason, which comes the other way.
const REASON_GRACE: Duration = Duration::from_secs(1);

/// One session with one peer. Dropping it (or its halves) without [`Channel::abort`] ends it in good order: frames
/// that were sent are still delivered, and the peer sees [`PeerError::Closed`] if it expects more. Drop it soon after
/// an error: only then the peer's further frames are read and thrown away.
#[derive(Debug)]
pub struct Channel {
    sender: Sender,
    receiver: Receiver,
}

impl Channel {
    pub(super) fn new(session: Arc<Session>, queue: Queue, inbound: Inbound, cfg: HalfConfig) -> Self {
        let handle = Handle::current();
        let sender =
            Sender { session: session.clone(), queue, max_frame: cfg.max_frame, handle: handle.clone() };
        let receiver =
            Receiver { session, inbound: Some(inbound), handle, linger: cfg.linger, stop: cfg.stop };
        Self { sender, receiver }
    }

    /// [`Sender::send`].
    pub async fn send(&mut self, step: u32, frame: Bytes, deadline: Instant) -> Result<(), PeerError> {
        self.sender.send(step, frame, deadline).await
    }

    /// [`Receiver::recv`].
    pub async fn recv(&mut self, step: u32, deadline: Instant) -> Result<Bytes, PeerError> {
        self.receiver.recv(step, deadline).await
    }

    /// Refuses frames longer than `max` bytes from here on, before anything of them is kept.
    pub fn limit(&mut self, max: usize) {
        if let Some(inbound) = &mut self.receiver.inbound {
            inbound.set_max(max);
        }
    }

    /// [`Sender::blocking_send`].
    pub fn blocking_send(&mut self, step: u32, frame: Bytes, deadline: Instant) -> Result<(), PeerError> {
        self.sender.blocking_send(step, frame, deadline)
    }

    /// [`Receiver::blocking_recv`].
    pub fn blocking_recv(&mut self, step: u32, deadline: Instant) -> Result<Bytes, PeerError> {
        self.receiver.blocking_recv(step, deadline)
    }

    /// Both halves, for use from two tasks or threads.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Watches and ends the session from elsewhere.
    pub fn handle(&self) -> SessionHandle {
        self.sender.handle()
    }

    /// Ends the session; the peer's calls return [`PeerError::Aborted`] with this reason.
    pub fn abort(self, reason: AbortReason) {
        self.handle().abort(reason);
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.sender.session.id
    }

    /// The peer's key, proven in the handshake.
    pub fn peer(&self) -> PublicKey {
        self.sender.session.peer
    }
}

/// Settings of a channel's halves.
#[derive(Debug, Clone)]
pub(super) struct HalfConfig {
    pub max_frame: usize,
    pub linger: Duration,
    pub stop: CancellationToken,
}

/// Sends frames. Dropping it ends this direction once everything is delivered.
pub struct Sender {
    session: Arc<Session>,
    queue: Queue,
    max_frame: usize,
    handle: Handle,
}

impl Sender {
    /// Queues a frame for the peer; waits while the queue is full, which is how a slow peer slows this side
    /// down. Returning does not mean that the peer has the frame. A deadline that passes ends the session.
    /// Dropping the future leaves the session as it was, without the frame.
    pub async fn send(&mut self, step: u32, frame: Bytes, deadline: Instant) -> Result<(), PeerError> {
        if let Some(fault) = self.session.fault() {
            return Err(fault.clone());
        }
        if step == HELLO_STEP {
            return Err(self.session.fail(PeerError::ReservedStep(step)));
        }
        if frame.len() > self.max_frame {
            let fault = PeerError::FrameTooLarge { step, len: frame.len(), max: self.max_frame };
            return Err(self.session.fail(fault));
        }
        let pushed = tokio::select! {
            biased;
            fault = self.session.faulted() => Err(fault),
            pushed = timeout_at(deadline, self.queue.push(step, frame)) => {
                pushed.unwrap_or(Err(PeerError::SendDeadline(step)))
            }
        };
        match pushed {
            Ok(()) => Ok(()),
            Err(PeerError::Lost) => {
                // The peer has closed this direction; its reason arrives in the other one.
                let reason = timeout_at(deadline.min(Instant::now() + REASON_GRACE), self.session.faulted());
                Err(match reason.await {
                    Ok(fault) => fault,
                    Err(_) => self.session.fail(PeerError::Lost),
                })
            }
            Err(fault) => Err(self.session.fail(fault)),
        }
    }

    /// [`Self::send`] for a thread that may block, such as one of `spawn_blocking`.
    ///
    /// # Panics
    /// When called from async code, where blocking is a programming error.
    pub fn blocking_send(&mut self, step: u32, frame: Bytes, deadline: Instant) -> Result<(), PeerError> {
        let handle = self.handle.clone();
        handle.block_on(self.send(step, frame, deadline))
    }

    /// Watches and ends the session from elsewhere.
    pub fn handle(&self) -> SessionHandle {
        SessionHandle(self.session.clone())
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sender").field(&self.session).finish()
    }
}

/// The source of the peer's stream.
#[derive(Debug)]
pub(super) enum Source {
    /// The peer's answer is not there yet. The task that waits for it hands over the body, or faults the session.
    Answer(oneshot::Receiver<IncomingBody>),
    /// The stream.
    Body(IncomingBody),
}

/// The incoming half without its manners at the end: a source and the decoder of its frames.
#[derive(Debug)]
pub(super) struct Inbound {
    source: Source,
    decoder: FrameDecoder,
    _place: Arc<Place>,
}

impl Inbound {
    pub(super) fn new(source: Source, max_frame: usize, place: Arc<Place>) -> Self {
        Self { source, decoder: FrameDecoder::new(max_frame), _place: place }
    }

    pub(super) fn set_max(&mut self, max_frame: usize) {
        self.decoder.set_max(max_frame);
    }

    /// The next piece of the stream, None at its end. Safe to drop at any point.
    async fn piece(&mut self, session: &Session) -> Result<Option<Bytes>, PeerError> {
        let body = match &mut self.source {
            Source::Body(body) => body,
            Source::Answer(answer) => {
                let Ok(body) = answer.await else {
                    // The answering task faults the session before it gives up; otherwise it was stopped.
                    return Err(session.fault().cloned().unwrap_or(PeerError::Lost));
                };
                self.source = Source::Body(body);
                return Ok(Some(Bytes::new()));
            }
        };
        match body.frame().await {
            None => Ok(None),
            Some(Err(_)) => Err(PeerError::Lost),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    session.count_received(data.len());
                    Ok(Some(data))
                }
                Err(frame) => match frame.trailers_ref().and_then(AbortReason::from_headers) {
                    Some(reason) => Err(PeerError::Aborted(reason)),
                    None => Ok(Some(Bytes::new())),
                },
            },
        }
    }

    /// The next frame. Safe to drop at any point.
    pub(super) async fn frame(&mut self, session: &Session) -> Result<(u32, Bytes), PeerError> {
        loop {
            if let Some(frame) = self.decoder.decode()? {
                session.traffic.received_frames.fetch_add(1, Ordering::Relaxed);
                return Ok(frame);
            }
            match self.piece(session).await? {
                Some(piece) => self.decoder.push(piece),
                None if self.decoder.mid_frame() => return Err(PeerError::Truncated),
                None => return Err(PeerError::Closed),
            }
        }
    }

    /// Reads the stream to its end and throws it away, so that the peer is not held up in sending and hears how
    /// the session ends; an abort by the peer still reaches this party's sender.
    async fn drain(mut self, session: &Session) {
        loop {
            match self.piece(session).await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(fault) => {
                    if session.fault().is_none() && matches!(fault, PeerError::Aborted(_)) {
                        session.fail(fault);
                    }
                    return;
                }
            }
        }
    }
}

/// Receives frames in the order of the protocol's steps. Memory is bounded by the stream's flow-control window:
/// nothing is read ahead of the calls.
#[derive(Debug)]
pub struct Receiver {
    session: Arc<Session>,
    inbound: Option<Inbound>,
    handle: Handle,
    linger: Duration,
    stop: CancellationToken,
}

impl Receiver {
    /// The peer's next frame, which must be of this `step`. Anything else, and a deadline that passes, ends the
    /// session and tells the peer. Dropping the future loses nothing.
    pub async fn recv(&mut self, step: u32, deadline: Instant) -> Result<Bytes, PeerError> {
        if let Some(fault) = self.session.fault() {
            return Err(fault.clone());
        }
        let Some(inbound) = &mut self.inbound else { return Err(PeerError::Lost) };
        let frame = tokio::select! {
            biased;
            fault = self.session.faulted() => Err(fault),
            frame = timeout_at(deadline, inbound.frame(&self.session)) => {
                frame.unwrap_or(Err(PeerError::ReceiveDeadline(step)))
            }
        };
        match frame {
            Ok((got, payload)) if got == step => Ok(payload),
            Ok((got, _)) => Err(self.session.fail(PeerError::WrongStep { expected: step, got })),
            Err(fault) => Err(self.session.fail(fault)),
        }
    }

    /// [`Self::recv`] for a thread that may block, such as one of `spawn_blocking`.
    ///
    /// # Panics
    /// When called from async code, where blocking is a programming error.
    pub fn blocking_recv(&mut self, step: u32, deadline: Instant) -> Result<Bytes, PeerError> {
        let handle = self.handle.clone();
        handle.block_on(self.recv(step, deadline))
    }

    /// Watches and ends the session from elsewhere.
    pub fn handle(&self) -> SessionHandle {
        SessionHandle(self.session.clone())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Dropping an HTTP/2 stream that is not read to its end resets it, in both directions: the peer would
        // lose our last frames or the reason of an abort. So it is read on for a while.
        let Some(inbound) = self.inbound.take() else { return };
        let (session, linger, stop) = (self.session.clone(), self.linger, self.stop.clone());
        self.handle.spawn(async move {
            // Both ways to leave early are fine: the stream is then reset.
            let _ = stop.run_until_cancelled(timeout(linger, inbound.drain(&session))).await;
        });
    }
}
