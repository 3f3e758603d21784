//! Bodies: a ticket before the rest, a deadline, and a cap on bodies that are being read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use futures::StreamExt as _;
use tercet_protocol::api::{Problem, ProblemKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::respond::Failure;

/// For a small body, and for the ticket at the start of a large one.
const SOON: Duration = Duration::from_secs(10);
/// For the whole of a large body.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of bodies that may be under way at a time, in KiB.
const IN_FLIGHT_KIB: usize = 64 * 1024;

/// The budget that all requests' bodies share.
#[derive(Debug, Clone)]
pub struct Bodies {
    room: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(IN_FLIGHT_KIB)) }
    }
}

/// A body that is read in steps, never more than allowed and never later than its deadline.
pub struct Reading {
    stream: axum::body::BodyDataStream,
    read: Vec<u8>,
    deadline: Instant,
    _room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Starts reading; room for more than a few bytes is taken with [`Reading::grant`].
    pub fn begin(&self, body: Body) -> Reading {
        let deadline = Instant::now() + SOON;
        Reading { stream: body.into_data_stream(), read: Vec::new(), deadline, _room: None }
    }

    /// A small body, whole.
    pub async fn small(&self, body: Body, max: usize) -> Result<Bytes, Failure> {
        let most = announced(&body, max)?;
        let mut reading = self.begin(body);
        reading.grant(self, most)?;
        reading.all(most).await
    }
}

/// The length that the body states; refused if that is more than `max` bytes, and `max` if it states none.
pub fn announced(body: &Body, max: usize) -> Result<usize, Failure> {
    let hint = body.size_hint();
    let most = usize::try_from(hint.upper().unwrap_or(max as u64)).unwrap_or(usize::MAX);
    if most > max {
        return Err(too_large(max));
    }
    Ok(most)
}

fn too_large(max: usize) -> Failure {
    let detail = format!("the body has more than the {max} bytes that are taken here");
    Failure(Problem::new(ProblemKind::TooLarge, detail))
}

impl Reading {
    /// At least the first `n` bytes, without the rest being asked for.
    pub async fn first(&mut self, n: usize) -> Result<&[u8], Failure> {
        while self.read.len() < n && self.more(usize::MAX).await? {}
        self.read.get(..n).ok_or_else(|| {
            Failure(Problem::new(ProblemKind::Malformed, "the body ends before the ticket at its start does"))
        })
    }

    /// Takes room for `max` bytes, or says that there is none; and allows the time that a large body takes.
    pub fn grant(&mut self, bodies: &Bodies, max: usize) -> Result<(), Failure> {
        let kib = u32::try_from(max.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = bodies.room.clone().try_acquire_many_owned(kib).map_err(|_| {
            let detail = "as much is being sent to this party as it takes at a time";
            Failure(Problem::new(ProblemKind::Busy, detail).retry_after(2))
        })?;
        self._room = Some(room);
        Ok(())
    }

    /// Allows the time that a large body takes.
    pub fn patient(&mut self) {
        self.deadline = Instant::now() + WHOLE;
    }

    /// The whole body, of at most `max` bytes.
    pub async fn all(mut self, max: usize) -> Result<Bytes, Failure> {
        while self.more(max).await? {}
        Ok(self.read.into())
    }

    async fn more(&mut self, max: usize) -> Result<bool, Failure> {
        let next = timeout_at(self.deadline, self.stream.next()).await.map_err(|_| {
            Failure(Problem::new(ProblemKind::TooSlow, "the body did not arrive in time: send it again"))
        })?;
        let Some(piece) = next else { return Ok(false) };
        let piece = piece.map_err(|e| {
            Failure(Problem::new(ProblemKind::Malformed, format!("the body could not be read: {e}")))
        })?;
        if self.read.len().saturating_add(piece.len()) > max {
            return Err(too_large(max));
        }
        self.read.extend_from_slice(&piece);
        Ok(true)
    }
}
