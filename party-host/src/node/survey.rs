//! One survey as this party runs it: its rules, its log, its uploads, and the session lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tercet_evidence::SurveyVerifier;
use tercet_mpc::statement::Lane;
use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::log::CommittedEntry;
use tercet_protocol::survey::{Resubmission, SurveyDescriptor};
use tokio::sync::{Mutex, watch};

use super::book::Book;
use super::pool::Pool;
use super::rules::Release;
use super::session::{Introduction, SessionError};
use crate::measures;
use crate::sandbox::Sandbox;
use crate::store::{Store, StoreError};

/// One survey at this party.
pub struct SurveyNode {
    descriptor: SurveyDescriptor,
    lanes: Vec<Lane>,
    me: u8,
    identity: std::sync::Arc<SigningKey>,
    book: RwLock<Book>,
    /// Verifies evidence.
    pub verifier: SurveyVerifier,
    /// Uploads that wait.
    pub pool: Pool,
    /// The operator's bucket.
    pub store: Store,
    /// The engine.
    pub sandbox: Sandbox,
    /// Held by the one session of this survey that may run: the log's height stands still meanwhile.
    pub session: Mutex<()>,
    /// Longest wait for a peer's frame.
    pub patience: Duration,
    /// Longest wait for proposed uploads to arrive.
    pub gather: Duration,
    /// Most submissions in a batch that this party proposes.
    pub max_batch: usize,
    /// How long this party waits for more uploads before it proposes a batch.
    pub linger: Duration,
    /// The highest height that a peer has shown since the last session that all three agreed on.
    shown: AtomicU64,
    /// Sessions that failed at this party, and the last one's reason.
    pub failures: watch::Sender<Failures>,
    /// A fault that this party's frames pass through.
    #[cfg(feature = "fault-injection")]
    pub fault: Mutex<Option<std::sync::Arc<dyn super::Fault>>>,
}

/// Sessions that failed.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    /// How many since the start.
    pub count: u64,
    /// The last one's error.
    pub last: String,
}

/// What a survey needs of its party.
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
    /// How long this party waits for more uploads before it proposes a batch.
    pub linger: Duration,
}

/// Why a survey cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum SurveyStartError {
    /// The survey itself.
    #[error(transparent)]
    Survey(#[from] tercet_protocol::survey::SurveyError),
    /// This operator is not one of the survey's parties.
    #[error("this operator's identity key {0} is not among the survey's parties: it was approved by mistake")]
    NotAParty(PublicKey),
    /// The survey pins another engine.
    #[error("the survey pins engine {pinned}, this party runs {running}: install the approved release")]
    Engine {
        /// The survey's.
        pinned: tercet_protocol::ids::EngineDigest,
        /// Ours.
        running: tercet_protocol::ids::EngineDigest,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored release cannot be read.
    #[error("stored release {0} cannot be read: restore its previous version in the bucket")]
    Release(u64),
}

impl SurveyNode {
    /// Loads log and releases and checks them.
    pub async fn load(descriptor: SurveyDescriptor, parts: Parts) -> Result<Self, SurveyStartError> {
        let Parts { identity, store, sandbox, pending, patience, gather, max_batch, linger } = parts;
        let key = identity.public();
        let me = (0u8..3)
            .zip(descriptor.parties())
            .find_map(|(i, k)| (*k == key).then_some(i))
            .ok_or(SurveyStartError::NotAParty(key))?;
        if descriptor.engine() != sandbox.digest() {
            return Err(SurveyStartError::Engine { pinned: descriptor.engine(), running: sandbox.digest() });
        }
        let id = descriptor.id();
        let mut book = Book::new(id);
        for committed in store.load_log(id, descriptor.parties()).await? {
            book.apply(&committed);
        }
        for (n, bytes) in store.list_releases(id).await? {
            book.record(serde_json::from_slice::<Release>(&bytes).map_err(|_| SurveyStartError::Release(n))?);
        }
        Ok(Self {
            verifier: SurveyVerifier::new(&descriptor)?,
            lanes: descriptor.manifest().lanes(),
            descriptor,
            me,
            identity,
            book: RwLock::new(book),
            pool: Pool::new(pending),
            store,
            sandbox,
            session: Mutex::new(()),
            patience,
            gather,
            max_batch,
            linger,
            shown: AtomicU64::new(0),
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

    /// What a second submission of one identity does.
    pub fn resubmission(&self) -> Resubmission {
        self.descriptor.manifest().survey.resubmission
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

    /// How this party introduces itself at its current height.
    pub fn introduction(&self) -> Introduction {
        Introduction {
            survey: self.id(),
            me: self.me,
            head: self.book().head(),
            engine: self.sandbox.digest(),
        }
    }

    /// Makes an entry that follows the head durable, and part of the state. The caller holds the session lock.
    pub async fn commit(&self, committed: &CommittedEntry) -> Result<(), SessionError> {
        self.store.commit(self.id(), committed).await?;
        self.book.write().unwrap_or_else(PoisonError::into_inner).apply(committed);
        self.tell_height();
        Ok(())
    }

    /// A peer has shown a height above this party's.
    pub fn behind(&self, theirs: u64) {
        self.shown.fetch_max(theirs, Ordering::Relaxed);
        self.tell_height();
    }

    /// All three are at this party's height.
    pub fn level(&self) {
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

    /// Makes a release durable and counted. The caller holds the session lock.
    pub async fn record(&self, release: Release) -> Result<(), SessionError> {
        let n = self.book().releases();
        let bytes = serde_json::to_vec(&release).map_err(|e| SessionError::Internal(e.to_string()))?;
        self.store.put_release(self.id(), n, &bytes).await?;
        self.book.write().unwrap_or_else(PoisonError::into_inner).record(release);
        Ok(())
    }
}
