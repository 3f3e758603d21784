//! Uploads that wait for their decision, and the decisions that no log keeps.
//!
//! All of it lives in memory: an upload without a receipt can be sent again, and a party that forgot a refusal
//! comes to the same one again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tercet_mutants::mutant;
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::ids::{Commitment, Nullifier, PublicKey, SubmissionId};
use tercet_protocol::log::Accepted;
use tercet_protocol::submission::ShareHashes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Memory for waiting uploads per survey, in bytes: the part of one session of 2 KB has 150 KB, the longest 2.3 MB.
const MAX_BYTES: usize = 256 << 20;
/// Refusals remembered per survey.
const REMEMBERED: usize = 20_000;

/// An upload that passed this party's own checks.
pub struct Upload {
    /// The submission.
    pub id: SubmissionId,
    /// Its identity's nullifier.
    pub nullifier: Nullifier,
    /// Values of the survey's revealed fields.
    pub fields: Vec<String>,
    /// Commitments to the row's three shares.
    pub rows: [Commitment; 3],
    /// The key that a withdrawal is signed with.
    pub withdrawal_key: PublicKey,
    /// The statement, encoded.
    pub statement: Vec<u8>,
    /// The context to which the proof is bound.
    pub context: [u8; 32],
    /// The published hashes of the shares.
    pub share_hashes: ShareHashes,
    /// This party's part, opened.
    pub private: Zeroizing<Vec<u8>>,
    /// Bytes of an engine's memory that it takes in a batch, at the party where it takes most.
    pub weight: usize,
    /// Unix seconds at which the ticket runs out.
    pub expires: u64,
}

impl Upload {
    /// Bytes that it takes while it waits.
    fn size(&self) -> usize {
        self.private.len() + self.statement.len() + ShareHashes::BYTES
    }

    /// The log's line if it is accepted and replaces nothing.
    pub fn candidate(&self) -> Accepted {
        let Self { id, nullifier, fields, rows, withdrawal_key, .. } = self;
        Accepted {
            submission: *id,
            nullifier: *nullifier,
            replaces: None,
            fields: fields.clone(),
            rows: *rows,
            withdrawal_key: *withdrawal_key,
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({})", self.id)
    }
}

/// The outcome of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log.
    Accepted,
    /// It was refused for good.
    Rejected(Problem),
}

struct Waiting {
    upload: Arc<Upload>,
    outcome: watch::Sender<Option<Outcome>>,
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<SubmissionId, Waiting>,
    /// Bytes of all that wait.
    bytes: usize,
    order: VecDeque<SubmissionId>,
    rejected: HashMap<SubmissionId, Problem>,
    rejected_order: VecDeque<SubmissionId>,
}

/// One survey's pool.
pub struct Pool {
    inner: Mutex<Inner>,
    arrived: Notify,
    capacity: usize,
    max_bytes: usize,
}

impl Pool {
    /// An empty pool for at most `capacity` uploads.
    pub fn new(capacity: usize) -> Self {
        Self { inner: Mutex::default(), arrived: Notify::new(), capacity, max_bytes: MAX_BYTES }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every critical section leaves the maps consistent, so a panic elsewhere does no harm here.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an upload; the same one twice waits together. The receiver shows the outcome.
    pub fn add(&self, upload: Upload) -> Result<watch::Receiver<Option<Outcome>>, Problem> {
        let mut inner = self.lock();
        if let Some(w) = inner.waiting.get(&upload.id) {
            return Ok(w.outcome.subscribe());
        }
        let size = upload.size();
        // One upload alone always finds room.
        let full = !inner.waiting.is_empty() && inner.bytes.saturating_add(size) > self.max_bytes;
        if full || inner.waiting.len() >= self.capacity {
            return Err(
                Problem::new(ProblemKind::Busy, "too many uploads wait for their decision").retry_after(1)
            );
        }
        let (outcome, receiver) = watch::channel(None);
        let id = upload.id;
        // Whoever sends a refused submission again wants it decided again.
        inner.rejected.remove(&id);
        inner.order.push_back(id);
        inner.bytes += size;
        inner.waiting.insert(id, Waiting { upload: Arc::new(upload), outcome });
        drop(inner);
        self.arrived.notify_waiters();
        Ok(receiver)
    }

    /// Waits with others for an upload that is here already.
    pub fn join(&self, id: &SubmissionId) -> Option<watch::Receiver<Option<Outcome>>> {
        self.lock().waiting.get(id).map(|w| w.outcome.subscribe())
    }

    /// An upload that waits.
    pub fn get(&self, id: &SubmissionId) -> Option<Arc<Upload>> {
        self.lock().waiting.get(id).map(|w| w.upload.clone())
    }

    /// Why an upload was refused, if it was and is remembered.
    pub fn rejection(&self, id: &SubmissionId) -> Option<Problem> {
        self.lock().rejected.get(id).cloned()
    }

    /// The oldest waiting uploads: at most `max`, and no more than take `room` bytes together, but for a single one.
    pub fn oldest(&self, max: usize, room: usize) -> Vec<SubmissionId> {
        let mut inner = self.lock();
        let Inner { waiting, order, .. } = &mut *inner;
        // An upload that was decided and came again stands in the order twice.
        let mut seen = HashSet::new();
        order.retain(|id| waiting.contains_key(id) && seen.insert(*id));
        let mut taken = 0usize;
        let fits = |id: &SubmissionId| {
            let first = taken == 0;
            taken = taken.saturating_add(waiting.get(id).map_or(0, |w| w.upload.weight.max(1)));
            first || taken <= room || mutant!("batch-larger-than-the-engine")
        };
        order.iter().copied().take(max).take_while(fits).collect()
    }

    /// Moves uploads behind all others, so that one whose counterparts are missing does not hold up the rest.
    pub fn postpone(&self, ids: &HashSet<SubmissionId>) {
        let mut inner = self.lock();
        let (back, front): (VecDeque<_>, VecDeque<_>) =
            inner.order.drain(..).partition(|id| ids.contains(id));
        inner.order = front;
        inner.order.extend(back);
    }

    /// Number of waiting uploads.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Waits until an upload is there.
    pub async fn until_any(&self) {
        loop {
            let arrived = self.arrived.notified();
            if self.len() > 0 {
                return;
            }
            arrived.await;
        }
    }

    /// Waits until no upload waits, at most `patience`.
    pub async fn until_none(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.len() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until all of `ids` are there, at most `patience`.
    pub async fn until_all(&self, ids: &[SubmissionId], patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let arrived = self.arrived.notified();
            let missing = {
                let inner = self.lock();
                ids.iter().any(|id| !inner.waiting.contains_key(id))
            };
            if !missing || tokio::time::timeout_at(deadline, arrived).await.is_err() {
                return;
            }
        }
    }

    /// Remembers why an upload was refused before it came in here. One that waits under the same id is not touched.
    pub fn refuse(&self, id: SubmissionId, problem: &Problem) {
        if self.get(&id).is_none() {
            self.decide(id, Outcome::Rejected(problem.clone()));
        }
    }

    /// Decides an upload: it leaves the pool and its waiters hear of it.
    pub fn decide(&self, id: SubmissionId, outcome: Outcome) {
        let mut inner = self.lock();
        if let Outcome::Rejected(problem) = &outcome {
            inner.rejected.insert(id, problem.clone());
            inner.rejected_order.push_back(id);
            while inner.rejected_order.len() > REMEMBERED {
                if let Some(old) = inner.rejected_order.pop_front() {
                    inner.rejected.remove(&old);
                }
            }
        }
        if let Some(w) = inner.waiting.remove(&id) {
            inner.bytes = inner.bytes.saturating_sub(w.upload.size());
            drop(inner);
            w.outcome.send_replace(Some(outcome));
        }
    }

    /// Refuses uploads whose ticket ran out before every party had its part.
    pub fn expire(&self, now: u64) {
        let late: Vec<_> =
            self.lock().waiting.values().filter(|w| w.upload.expires < now).map(|w| w.upload.id).collect();
        for id in late {
            let why = "another party did not receive its part before the ticket ran out; submit again";
            self.decide(id, Outcome::Rejected(Problem::new(ProblemKind::Incomplete, why)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(n: u8, expires: u64) -> Upload {
        Upload {
            id: SubmissionId([n; 32]),
            nullifier: Nullifier([n; 32]),
            fields: Vec::new(),
            rows: [Commitment([0; 32]); 3],
            withdrawal_key: PublicKey([0; 32]),
            statement: Vec::new(),
            context: [0; 32],
            share_hashes: ShareHashes::default(),
            private: Zeroizing::new(vec![0xab; 8]),
            weight: 10,
            expires,
        }
    }

    #[test]
    fn uploads_leave_with_their_outcome() {
        let pool = Pool::new(2);
        let first = pool.add(upload(1, 10)).unwrap();
        let again = pool.add(upload(1, 10)).unwrap();
        pool.add(upload(2, 20)).unwrap();
        assert_eq!(pool.add(upload(3, 20)).unwrap_err().known(), Some(ProblemKind::Busy));
        pool.decide(SubmissionId([1; 32]), Outcome::Accepted);
        assert_eq!(*first.borrow(), Some(Outcome::Accepted));
        assert_eq!(*again.borrow(), Some(Outcome::Accepted));
        assert_eq!(pool.len(), 1);
        pool.expire(20);
        assert_eq!(pool.len(), 1, "valid up to and including its last second");
        pool.expire(21);
        assert_eq!(pool.len(), 0);
        assert_eq!(pool.rejection(&SubmissionId([2; 32])).unwrap().known(), Some(ProblemKind::Incomplete));
    }

    #[test]
    fn postponed_uploads_go_last() {
        let pool = Pool::new(9);
        for n in 1..=3 {
            pool.add(upload(n, 10)).unwrap();
        }
        let [a, b, c] = [1, 2, 3].map(|n| SubmissionId([n; 32]));
        pool.postpone(&HashSet::from([a]));
        assert_eq!(pool.oldest(9, usize::MAX), [b, c, a]);
        pool.decide(b, Outcome::Accepted);
        assert_eq!(pool.oldest(9, usize::MAX), [c, a]);
    }

    #[test]
    fn a_batch_takes_no_more_memory_than_there_is() {
        let pool = Pool::new(9);
        for n in 1..=4 {
            pool.add(upload(n, 10)).unwrap();
        }
        for (room, most, expected) in
            [(usize::MAX, 3, 3), (40, 9, 4), (39, 9, 3), (20, 9, 2), (9, 9, 1), (0, 9, 1)]
        {
            assert_eq!(pool.oldest(most, room).len(), expected, "{room} bytes, {most} at most");
        }
    }

    #[test]
    fn an_upload_that_comes_again_is_proposed_once() {
        let pool = Pool::new(9);
        let id = SubmissionId([1; 32]);
        pool.add(upload(1, 10)).unwrap();
        pool.decide(id, Outcome::Rejected(Problem::new(ProblemKind::ShareMismatch, "")));
        assert!(pool.rejection(&id).is_some());
        pool.add(upload(1, 10)).unwrap();
        assert_eq!(pool.oldest(9, usize::MAX), [id]);
        assert!(pool.rejection(&id).is_none(), "decided anew");
    }

    #[test]
    fn debug_shows_no_share() {
        assert!(!format!("{:?}", upload(1, 1)).contains("171"));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_all_are_there_or_patience_is_over() {
        let pool = Pool::new(9);
        pool.add(upload(1, 10)).unwrap();
        let ids = [SubmissionId([1; 32]), SubmissionId([2; 32])];
        let start = Instant::now();
        pool.until_all(&ids, Duration::from_millis(300)).await;
        assert_eq!(start.elapsed(), Duration::from_millis(300));
        let both = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pool.add(upload(2, 10)).unwrap();
        };
        let start = Instant::now();
        tokio::join!(pool.until_all(&ids, Duration::from_millis(300)), both);
        assert_eq!(start.elapsed(), Duration::from_millis(50));
    }

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let each = upload(1, 10).size();
        let pool = Pool { max_bytes: 2 * each + 4, ..Pool::new(9) };
        pool.add(upload(1, 10)).unwrap();
        pool.add(upload(2, 10)).unwrap();
        assert_eq!(pool.add(upload(3, 10)).unwrap_err().known(), Some(ProblemKind::Busy));
        pool.add(upload(1, 10)).unwrap();
        pool.decide(SubmissionId([1; 32]), Outcome::Accepted);
        pool.add(upload(3, 10)).unwrap();
        pool.expire(11);
        assert_eq!(pool.lock().bytes, 0);
        // One that is larger than all the room gets in alone.
        let pool = Pool { max_bytes: each - 1, ..Pool::new(9) };
        pool.add(upload(4, 10)).unwrap();
        assert_eq!(pool.add(upload(5, 10)).unwrap_err().known(), Some(ProblemKind::Busy));
    }

    #[test]
    fn a_refusal_at_the_door_is_remembered_but_touches_nothing_that_waits() {
        let pool = Pool::new(9);
        let problem = Problem::new(ProblemKind::ShareMismatch, "");
        pool.add(upload(1, 10)).unwrap();
        pool.refuse(SubmissionId([1; 32]), &problem);
        assert!(pool.rejection(&SubmissionId([1; 32])).is_none() && pool.len() == 1);
        pool.refuse(SubmissionId([2; 32]), &problem);
        assert_eq!(pool.rejection(&SubmissionId([2; 32])), Some(problem));
        pool.add(upload(2, 10)).unwrap();
        assert!(pool.rejection(&SubmissionId([2; 32])).is_none(), "sent again, it is decided again");
    }
}
