//! One survey as this party runs it: its rules, its log, its uploads, and the session lock.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use lru::LruCache;
use tercet_evidence::SurveyVerifier;
use tercet_mpc::statement::Lane;
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::ids::{EntryHash, PublicKey, QueryId, SubmissionId, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::log::{CommittedEntry, EntryBody, LogEntry};
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::SignedResult;
use tercet_protocol::survey::SurveyDescriptor;
use tercet_protocol::withdrawal::Withdrawal;
use tokio::sync::{Mutex, Notify, watch};

use super::agree::{Agreement, Keys};
use super::book::Book;
use super::pool::Pool;
use super::replay::{self, Replayed, SurveyStartError};
use super::session::SessionError;
use super::shelf::{Holdings, Shelf};
use super::{rebuild, supply};
use crate::measures;
use crate::sandbox::Sandbox;
use crate::store::{Draft, Progress, Store, StoreError};

/// Answers kept in memory.
const ANSWERS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// Most wishes to leave that wait.
const MAX_LEAVING: usize = 4096;

/// One survey at this party.
pub struct SurveyNode {
    descriptor: SurveyDescriptor,
    lanes: Vec<Lane>,
    me: u8,
    identity: std::sync::Arc<SigningKey>,
    book: RwLock<Book>,
    agreement: StdMutex<Agreement>,
    /// The rows in the bucket.
    shelf: StdMutex<Shelf>,
    /// The entries that no checkpoint holds yet.
    draft: StdMutex<Draft>,
    /// Verifies evidence.
    pub verifier: SurveyVerifier,
    /// Uploads that wait.
    pub pool: Pool,
    /// The operator's bucket.
    pub store: Store,
    /// The engine.
    pub sandbox: Sandbox,
    /// The lock of the survey's only running session: the log's height does not change meanwhile.
    pub session: Mutex<()>,
    /// Longest wait for a peer's frame.
    pub patience: Duration,
    /// Longest wait for proposed uploads to arrive.
    pub gather: Duration,
    /// Most submissions in a batch that this party proposes.
    pub max_batch: usize,
    /// Time for which this party waits for more uploads before it proposes a batch.
    pub linger: Duration,
    /// True if release points are admitted that are not due, for development.
    pub releases_any: bool,
    /// Something was asked for that party 0 starts by itself.
    pub asked: Notify,
    /// An operator wants new shares of all rows. Party 0 acts on it.
    refresh: AtomicBool,
    /// Wishes to leave, in the order in which they came.
    leaving: StdMutex<VecDeque<Withdrawal>>,
    /// Answers that were given lately, by the question's id.
    answers: StdMutex<LruCache<QueryId, SignedResult>>,
    /// A peer asks for a session because something is to be finished, or it is behind.
    pub unfinished: tokio::sync::Notify,
    /// The highest height that a peer has shown since the last session that all three agreed on.
    shown: AtomicU64,
    sessions: AtomicU64,
    /// Sessions that failed at this party, and the last one's reason.
    pub failures: watch::Sender<Failures>,
    /// A fault that this party's frames pass through.
    #[cfg(feature = "fault-injection")]
    pub fault: Mutex<Option<std::sync::Arc<dyn super::Fault>>>,
}

/// Sessions that failed.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    /// Number since the start.
    pub count: u64,
    /// The last one's error.
    pub last: String,
}

/// The parts of a survey's node that its party gives.
pub struct Parts {
    /// Signs entries, receipts and results.
    pub identity: std::sync::Arc<SigningKey>,
    /// The operator's bucket.
    pub store: Store,
    /// The engine.
    pub sandbox: Sandbox,
    /// Most uploads that may wait.
    pub pending: usize,
    /// Longest wait for a peer's frame.
    pub patience: Duration,
    /// Longest wait for proposed uploads to arrive.
    pub gather: Duration,
    /// Most submissions in a batch that this party proposes.
    pub max_batch: usize,
    /// Time for which this party waits for more uploads before it proposes a batch.
    pub linger: Duration,
    /// True if release points are admitted that are not due, for development.
    pub releases_any: bool,
}

impl SurveyNode {
    /// Loads the log and checks it, and deletes erased rows that a crash left. `progress` tells the progress.
    pub async fn load(
        descriptor: SurveyDescriptor,
        parts: Parts,
        progress: &Progress,
    ) -> Result<Self, SurveyStartError> {
        let Parts { identity, store, sandbox, pending, patience, gather, max_batch, linger, releases_any } =
            parts;
        let key = identity.public();
        let me = (0u8..3)
            .zip(descriptor.parties())
            .find_map(|(i, k)| (*k == key).then_some(i))
            .ok_or(SurveyStartError::NotAParty(key))?;
        if descriptor.engine() != sandbox.digest() {
            return Err(SurveyStartError::Engine { pinned: descriptor.engine(), running: sandbox.digest() });
        }
        let id = descriptor.id();
        let Replayed { book, with_rows, draft } = replay::read(&store, &descriptor, progress).await?;
        let agreement = Agreement::load(&store, id, me, book.head()).await?;
        let shelf = rebuild::tidy(&store, id, &book, &with_rows, &agreement.staged()).await?;
        if !shelf.lacking().is_empty() {
            tracing::warn!(
                entries = shelf.lacking().len(),
                "rows of these entries are not in the bucket: they are taken from the two other parties"
            );
        }
        Ok(Self {
            verifier: SurveyVerifier::new(&descriptor)?,
            lanes: descriptor.manifest().lanes(),
            descriptor,
            me,
            identity,
            book: RwLock::new(book),
            agreement: StdMutex::new(agreement),
            shelf: StdMutex::new(shelf),
            draft: StdMutex::new(draft),
            unfinished: Notify::new(),
            pool: Pool::new(pending),
            store,
            sandbox,
            session: Mutex::new(()),
            patience,
            gather,
            max_batch,
            linger,
            releases_any,
            asked: Notify::new(),
            refresh: AtomicBool::new(false),
            leaving: StdMutex::default(),
            answers: StdMutex::new(LruCache::new(ANSWERS)),
            shown: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            failures: watch::Sender::default(),
            #[cfg(feature = "fault-injection")]
            fault: Mutex::default(),
        })
    }

    /// The survey's id.
    pub fn id(&self) -> SurveyId {
        self.descriptor.id()
    }

    /// The survey.
    pub fn descriptor(&self) -> &SurveyDescriptor {
        &self.descriptor
    }

    /// This party's index.
    pub fn me(&self) -> u8 {
        self.me
    }

    /// The parties' identity keys.
    pub fn parties(&self) -> &[PublicKey; 3] {
        self.descriptor.parties()
    }

    /// Signs entries, receipts and results.
    pub fn identity(&self) -> &SigningKey {
        &self.identity
    }

    /// The arithmetic lanes of a row.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The log's state. Never held across an await.
    pub fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// This party's side of the agreement. Never held across an await, and changed by the holder of the session lock.
    pub fn agreement(&self) -> MutexGuard<'_, Agreement> {
        self.agreement.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs for this party and verifies the three.
    pub fn keys(&self) -> Keys<'_> {
        Keys { survey: self.id(), identity: &self.identity, parties: self.parties() }
    }

    /// After a failed write of a record of the agreement, nobody knows the bucket's contents: they are read again
    /// before the next session.
    pub fn certain<T>(&self, written: Result<T, StoreError>) -> Result<T, SessionError> {
        if written.is_err() {
            self.agreement().unsure = true;
        }
        Ok(written?)
    }

    /// True if this party is locked on an entry that has to be finished first.
    pub fn unfinished(&self) -> bool {
        let agreement = self.agreement();
        agreement.locked().is_some() || agreement.unsure
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Heights of entries whose rows this party lacks.
    pub fn lacking(&self) -> Vec<u64> {
        self.shelf().lacking().iter().copied().collect()
    }

    /// True if this party lacks the rows of the entry at a height.
    pub fn lacks(&self, height: u64) -> bool {
        self.shelf().lacking().contains(&height)
    }

    /// True if this party lacks any rows: it takes part in no session until it has them.
    pub fn lacks_rows(&self) -> bool {
        !self.shelf().lacking().is_empty()
    }

    /// True if the log demands rows of this name, and they were there when they were last looked for.
    pub fn holds(&self, height: u64, name: &EntryHash) -> bool {
        self.shelf().holds(height, name)
    }

    /// The rows of the entry at a height are not in the bucket.
    pub fn lack(&self, height: u64) {
        self.shelf().lack(height);
    }

    /// They are now.
    pub fn supplied(&self, height: u64) {
        let name = self.book().rows_at(height);
        if let Some(name) = name {
            self.shelf().put(height, name);
        }
    }

    /// This party's account of the rows beside its log.
    pub fn holdings(&self) -> Holdings {
        let epoch = self.book().epochs().epoch();
        self.shelf().holdings(epoch)
    }

    /// An entry that brings rows, or changes where they lie, is in the log. Rows that were lacking still are.
    fn shelve(&self, entry: &LogEntry) {
        let book = self.book();
        let heights = match &entry.body {
            EntryBody::Batch { .. } | EntryBody::Release(_) if supply::has_rows(entry) => vec![entry.height],
            EntryBody::Erase { submission, .. } => {
                book.place(submission).map(|p| p.height).into_iter().collect()
            }
            EntryBody::Refresh { rows, .. } => rows.iter().map(|r| r.height).collect(),
            EntryBody::Batch { .. } | EntryBody::Release(_) | EntryBody::Void { .. } => Vec::new(),
        };
        let mut shelf = self.shelf();
        for height in heights {
            if let Some(name) = book.rows_at(height).filter(|_| !shelf.lacking().contains(&height)) {
                shelf.put(height, name);
            }
        }
    }

    /// Makes an entry durable that follows the head and has three votes, and part of the state. The caller holds the
    /// session lock.
    pub async fn commit(&self, committed: &CommittedEntry) -> Result<(), SessionError> {
        let (entry, hash) = (&committed.entry, committed.entry.hash());
        let mut machine = self.agreement().machine.clone();
        machine.commit(&self.keys(), entry.previous, hash, &committed.votes)?;
        self.certain(self.store.commit(self.id(), committed).await)?;
        let applied = self.book.write().unwrap_or_else(PoisonError::into_inner).extend(entry, hash);
        applied.map_err(|e| SessionError::Internal(e.to_string()))?;
        self.shelve(entry);
        let full = self.draft.lock().unwrap_or_else(PoisonError::into_inner).add(entry, hash);
        if let Some(full) = full {
            self.store.checkpoint_later(self.id(), full);
        }
        let obsolete = {
            let mut agreement = self.agreement();
            agreement.machine = machine;
            agreement.committed(hash)
        };
        obsolete.delete(&self.store, self.id()).await;
        self.tell_height();
        Ok(())
    }

    /// A peer has shown a height above this party's.
    pub fn behind(&self, theirs: u64) {
        self.shown.fetch_max(theirs, Ordering::Relaxed);
        self.tell_height();
    }

    /// Sessions that all three parties agreed on since the start.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// All three are at this party's height, in a session that they agreed on.
    pub fn level(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        self.shown.store(0, Ordering::Relaxed);
        self.tell_height();
    }

    /// Entries by which this party is behind the highest that a peer has shown.
    pub fn lag(&self) -> u64 {
        self.shown.load(Ordering::Relaxed).saturating_sub(self.book().head().0)
    }

    fn tell_height(&self) {
        let (height, lag) = (self.book().head().0, self.lag());
        let id = self.id().to_string();
        metrics::gauge!(measures::LOG_HEIGHT, "survey" => id.clone()).set(height as f64);
        metrics::gauge!(measures::LOG_LAG, "survey" => id).set(lag as f64);
    }

    /// Takes a wish to leave. Party 0 acts on it; the others hear of it from party 0.
    pub fn withdraw(&self, wish: Withdrawal) -> Result<(), Problem> {
        if self.me != 0 {
            return Ok(());
        }
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        if !leaving.iter().any(|w| w.submission == wish.submission) {
            if leaving.len() >= MAX_LEAVING {
                return Err(Problem::new(ProblemKind::Busy, "many people leave at once").retry_after(5));
            }
            leaving.push_back(wish);
        }
        drop(leaving);
        self.asked.notify_one();
        Ok(())
    }

    /// The oldest wish to leave that has not been dealt with.
    pub fn next_withdrawal(&self) -> Option<Withdrawal> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    /// A wish to leave has been dealt with.
    pub fn withdrawn(&self, id: &SubmissionId) {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).retain(|w| w.submission != *id);
    }

    /// An operator wants new shares of all rows.
    pub fn ask_for_refresh(&self) {
        self.refresh.store(true, Ordering::Relaxed);
        self.asked.notify_one();
    }

    /// True if an operator wants new shares of all rows, and they are not being made yet.
    pub fn asked_for_refresh(&self) -> bool {
        self.refresh.load(Ordering::Relaxed)
    }

    /// The wish for new shares has been dealt with.
    pub fn refresh_begun(&self) {
        self.refresh.store(false, Ordering::Relaxed);
    }

    /// An answer that was given lately.
    pub fn answered(&self, id: &QueryId) -> Option<SignedResult> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Keeps an answer: the survey's own question for ever, others as long as there is room in memory.
    pub async fn keep(&self, question: &Question, answer: &SignedResult) -> Result<(), SessionError> {
        if *question == Question::listed(self.descriptor.manifest()) {
            let bytes = serde_json::to_vec(answer).map_err(|e| SessionError::Internal(e.to_string()))?;
            self.store.put_answer(self.id(), answer.result.release.number, &bytes).await?;
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.put(answer.result.query, answer.clone());
        Ok(())
    }

    /// The answer to the survey's own question at a release point, if this party has it.
    pub async fn listed(&self, point: u64) -> Result<Option<SignedResult>, SessionError> {
        let id = Question::listed(self.descriptor.manifest()).id(self.id(), point);
        if let Some(answer) = self.answered(&id) {
            return Ok(Some(answer));
        }
        let Some(bytes) = self.store.answer(self.id(), point).await? else { return Ok(None) };
        let answer: SignedResult = serde_json::from_slice(&bytes).map_err(|_| {
            SessionError::Internal(format!("the stored answer at release point {point} cannot be read"))
        })?;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.put(id, answer.clone());
        Ok(Some(answer))
    }
}
