//! The outgoing half: a queue of frames bounded in bytes, and the HTTP body that empties it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep};

use super::error::PeerError;
use super::frame::{self, HEADER};
use super::session::{Place, Session};

/// Payloads up to this length travel in one piece with their header, at the price of a copy.
const COALESCE: usize = 16 << 10;
/// Longer payloads travel in slices of this length, so that sessions take turns on the connection.
const SLICE: usize = 128 << 10;

struct Queued {
    step: u32,
    payload: Bytes,
    due: Option<Instant>,
    _room: Option<OwnedSemaphorePermit>,
}

/// The sending end of the queue.
pub(super) struct Queue {
    frames: mpsc::UnboundedSender<Queued>,
    /// One permit for each byte of room: this bounds the queue, since the channel itself is unbounded.
    room: Arc<Semaphore>,
    size: u32,
    delay: Option<Duration>,
}

/// Makes a queue with room for `size` bytes (a longer frame takes it all) and its body. `delay` holds every frame
/// back for that long, like a longer way to the peer.
pub(super) fn queue(
    session: Arc<Session>,
    place: Option<Arc<Place>>,
    size: u32,
    delay: Option<Duration>,
) -> (Queue, Outbox) {
    let (tx, rx) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(size as usize));
    let body = Outbox {
        session,
        _place: place,
        frames: rx,
        room: room.clone(),
        current: None,
        timer: None,
        ended: false,
    };
    (Queue { frames: tx, room, size, delay }, body)
}

impl Queue {
    /// Waits for room. A frame is in the queue as a whole or not at all, so dropping this future is harmless.
    /// [`PeerError::Lost`] when the stream is gone.
    pub(super) async fn push(&self, step: u32, payload: Bytes) -> Result<(), PeerError> {
        let want = u32::try_from(payload.len() + HEADER).unwrap_or(u32::MAX).min(self.size);
        let room = self.room.clone().acquire_many_owned(want).await.map_err(|_| PeerError::Lost)?;
        self.put(step, payload, Some(room))
    }

    /// The opening message: first in the queue, so there is room.
    pub(super) fn push_first(&self, payload: Bytes) -> Result<(), PeerError> {
        self.put(frame::HELLO_STEP, payload, None)
    }

    fn put(&self, step: u32, payload: Bytes, room: Option<OwnedSemaphorePermit>) -> Result<(), PeerError> {
        let due = self.delay.map(|d| Instant::now() + d);
        self.frames.send(Queued { step, payload, due, _room: room }).map_err(|_| PeerError::Lost)
    }
}

/// A frame on its way out.
struct Current {
    queued: Queued,
    header_sent: bool,
}

impl Current {
    /// The next piece, and whether it is the last.
    fn piece(&mut self) -> (Bytes, bool) {
        let payload = &mut self.queued.payload;
        if self.header_sent {
            let piece = payload.split_to(payload.len().min(SLICE));
            return (piece, payload.is_empty());
        }
        self.header_sent = true;
        // The sender has checked the length against a limit that fits.
        let header = frame::header(self.queued.step, u32::try_from(payload.len()).unwrap_or(u32::MAX));
        if payload.len() <= COALESCE {
            ([&header[..], payload].concat().into(), true)
        } else {
            (Bytes::copy_from_slice(&header), false)
        }
    }
}

/// The HTTP body of one direction of a session. Ends when the sender is dropped and the queue is empty; on a
/// fault of the session at once, telling the peer why in the trailers.
pub(super) struct Outbox {
    session: Arc<Session>,
    _place: Option<Arc<Place>>,
    frames: mpsc::UnboundedReceiver<Queued>,
    room: Arc<Semaphore>,
    current: Option<Current>,
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

/// The body type of every request and response here.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, Infallible>;

impl Outbox {
    /// Waits until the current frame may leave.
    fn poll_due(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }

    fn end(&mut self) {
        self.ended = true;
        self.current = None;
        self.room.close();
        self.frames.close();
        while self.frames.try_recv().is_ok() {}
    }
}

impl Body for Outbox {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let me = &mut *self;
        if me.ended {
            return Poll::Ready(None);
        }
        me.session.body_waker.register(cx.waker());
        if let Some(fault) = me.session.fault() {
            let reason = fault.to_peer();
            me.end();
            return Poll::Ready(reason.map(|r| Ok(Frame::trailers(r.to_headers()))));
        }
        if me.current.is_none() {
            match ready!(me.frames.poll_recv(cx)) {
                Some(queued) => me.current = Some(Current { queued, header_sent: false }),
                None => {
                    me.end();
                    return Poll::Ready(None);
                }
            }
        }
        if let Some(due) = me.current.as_ref().and_then(|c| c.queued.due.filter(|_| !c.header_sent)) {
            ready!(me.poll_due(due, cx));
        }
        let Some((piece, last)) = me.current.as_mut().map(Current::piece) else {
            return Poll::Ready(None);
        };
        me.session.count_sent(piece.len());
        if last {
            me.current = None;
            me.session.traffic.sent_frames.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // Wakes senders that wait for room in a stream that is gone.
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::error::AbortReason;
    use super::super::frame::FrameDecoder;
    use super::super::measure::PeerMetrics;
    use super::super::session::SessionId;
    use super::*;
    use tercet_protocol::ids::PublicKey;

    fn session() -> Arc<Session> {
        let (peer, id) = (PublicKey([1; 32]), SessionId([2; 32]));
        Session::new(id, peer, PeerMetrics::new(&peer))
    }

    #[tokio::test]
    async fn pieces_make_up_the_frames() {
        let (queue, mut body) = queue(session(), None, 1 << 20, None);
        let sizes = [0, 1, COALESCE, COALESCE + 1, SLICE, SLICE + 1, 3 * SLICE];
        for (step, n) in sizes.into_iter().enumerate() {
            queue.push(step as u32, vec![step as u8; n].into()).await.unwrap();
        }
        drop(queue);
        let (mut decoder, mut got) = (FrameDecoder::new(1 << 20), Vec::new());
        while let Some(piece) = body.frame().await {
            let piece = piece.unwrap().into_data().unwrap();
            assert!(piece.len() <= SLICE);
            decoder.push(piece);
            while let Some((step, payload)) = decoder.decode().unwrap() {
                assert!(payload.iter().all(|b| *b == step as u8));
                got.push(payload.len());
            }
        }
        assert_eq!(got, sizes);
        assert!(!decoder.mid_frame());
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_closes_with_the_body() {
        let (queue, mut body) = queue(session(), None, 100, None);
        queue.push(1, vec![0; 1000].into()).await.unwrap();
        let mut second = Box::pin(queue.push(2, vec![0; 10].into()));
        assert!(futures::poll!(&mut second).is_pending(), "a long frame fills the queue");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1008);
        assert_eq!(second.await, Ok(()));
        let mut third = Box::pin(queue.push(3, vec![0; 100].into()));
        assert!(futures::poll!(&mut third).is_pending());
        drop(body);
        assert_eq!(third.await, Err(PeerError::Lost));
    }

    #[tokio::test]
    async fn a_fault_overtakes_the_queue() {
        let session = session();
        let (queue, mut body) = queue(session.clone(), None, 1 << 20, None);
        queue.push(1, vec![0; 3 * SLICE].into()).await.unwrap();
        assert!(body.frame().await.unwrap().unwrap().is_data());
        let reason = AbortReason::new("mac-mismatch", "");
        session.fail(PeerError::Stopped(reason.clone()));
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(AbortReason::from_headers(&trailers), Some(reason));
        assert!(body.frame().await.is_none());
        assert_eq!(queue.push(2, Bytes::new()).await, Err(PeerError::Lost));
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_is_a_pipeline() {
        let delay = Duration::from_millis(20);
        let (queue, mut body) = queue(session(), None, 1 << 20, Some(delay));
        let start = Instant::now();
        for step in 0..10 {
            queue.push(step, Bytes::from_static(b"x")).await.unwrap();
        }
        for _ in 0..10 {
            body.frame().await.unwrap().unwrap();
            let waited = start.elapsed();
            assert!(waited >= delay && waited < 2 * delay, "{waited:?}");
        }
    }
}
