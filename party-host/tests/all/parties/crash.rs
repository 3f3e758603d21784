//! The crash matrix of a party: it stops at every durable write of a batch, before the write or right after it, and starts
//! again on what is durable. Nothing is lost, and nothing comes in twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use party_host::store::{Created, Objects, StoreError};
use tercet_protocol::api::SubmissionState;

use super::world::{World, cohort, manifest};

/// The point at which a party stops: the first write of an object whose key has this part, before it or after it.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub part: &'static str,
    pub after: bool,
}

/// A storage service that misbehaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// There is no room: nothing is written, everything is read.
    Full,
    /// It answers 500 or 503 to everything.
    Errors,
    /// It writes, and then answers 500.
    LateErrors,
    /// It never answers.
    Silent,
}

/// A bucket whose process can stop at a named point: from there on nothing is written or read any more.
pub struct Dying {
    inner: Arc<dyn Objects>,
    point: Mutex<Option<Point>>,
    dead: AtomicBool,
    outage: Mutex<Option<Outage>>,
    /// Calls that the outage has spoiled.
    spoiled: AtomicU64,
    calls: Mutex<Vec<String>>,
}

impl Dying {
    pub fn new(inner: Arc<dyn Objects>) -> Self {
        let (point, outage) = (Mutex::new(None), Mutex::new(None));
        let calls = Mutex::new(Vec::new());
        Self { inner, point, dead: AtomicBool::new(false), outage, spoiled: AtomicU64::new(0), calls }
    }

    /// The calls since the last look: the operation and the kind of object, such as `create log`.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keys are `surveys/ID/KIND/NAME`, or `KIND/NAME`.
    fn note(&self, operation: &str, key: &str) {
        let parts: Vec<&str> = key.split('/').collect();
        let kind = if parts[0] == "surveys" { parts.get(2) } else { parts.first() };
        let call = format!("{operation} {}", kind.copied().unwrap_or_default());
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    pub fn set(&self, outage: Option<Outage>) {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = outage;
    }

    pub fn spoiled(&self) -> u64 {
        self.spoiled.load(Ordering::Relaxed)
    }

    fn outage(&self) -> Option<Outage> {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service's treatment of a call at its beginning.
    async fn begin(&self, writes: bool) -> Result<(), StoreError> {
        self.alive()?;
        loop {
            match self.outage() {
                Some(Outage::Full) if writes => return Err(self.spoils("507 no space left", false)),
                Some(Outage::Errors) => return Err(self.spoils("503 slow down", true)),
                Some(Outage::Silent) => {
                    self.spoiled.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                _ => return Ok(()),
            }
        }
    }

    fn spoils(&self, reason: &str, retryable: bool) -> StoreError {
        self.spoiled.fetch_add(1, Ordering::Relaxed);
        let operation = "the storage service's answer".into();
        StoreError::Unavailable { operation, retryable, reason: reason.into() }
    }

    fn alive(&self) -> Result<(), StoreError> {
        let stopped = || StoreError::Unavailable {
            operation: "this test's process".into(),
            retryable: false,
            reason: "it has stopped".into(),
        };
        if self.dead.load(Ordering::Relaxed) { Err(stopped()) } else { Ok(()) }
    }

    pub fn arm(&self, point: Point) {
        *self.point.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Objects for Dying {
    async fn ensure(&self) -> Result<(), StoreError> {
        self.inner.ensure().await
    }

    async fn create(&self, key: &str, body: Bytes) -> Result<Created, StoreError> {
        self.begin(true).await?;
        self.note("create", key);
        if self.outage() == Some(Outage::LateErrors) {
            self.inner.create(key, body).await?;
            return Err(self.spoils("500 internal error", true));
        }
        let point = *self.point.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(point) = point.filter(|p| key.contains(p.part)) {
            if point.after {
                self.inner.create(key, body).await?;
            }
            self.dead.store(true, Ordering::Relaxed);
            self.alive()?;
            unreachable!("it is dead");
        }
        self.inner.create(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.begin(false).await?;
        self.note("get", key);
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.begin(false).await?;
        self.note("list", prefix);
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.begin(false).await?;
        self.note("delete", key);
        self.inner.delete(key).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_any_durable_write_of_a_batch_loses_nothing() {
    let mut world = World::start(manifest(), Duration::from_millis(800)).await;
    let mut height = 0;
    let mut waiting = cohort().into_iter();
    for part in ["/segments/", "/prepares/", "/locks/", "/log/"] {
        for after in [false, true] {
            for party in 0..3usize {
                let what = format!("party {party} stops {} {part}", if after { "after" } else { "before" });
                let prepared = world.prepare(&waiting.next().unwrap());
                world.dying[party].clone().unwrap().arm(Point { part, after });
                let answers = world.submit(&prepared, Duration::from_secs(3)).await;
                for _ in 0..1000 {
                    if world.dying[party].as_ref().unwrap().is_dead() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert!(world.dying[party].as_ref().unwrap().is_dead(), "{what}: it never came to that");
                world.parties[party].take().unwrap().disconnect();
                world.start_party(party).await;
                world.accept(&prepared).await;
                height += 1;
                world.until_height(height).await;
                assert!(world.heights().iter().all(|h| h.0 == height), "{what}: {:?}", world.heights());
                // A receipt that was given before the stop is still good.
                for answer in answers.into_iter().flatten() {
                    if let SubmissionState::Accepted { receipts } = answer.state {
                        let stands = world.party(0).submission(prepared.id()).unwrap();
                        let SubmissionState::Accepted { receipts: now } = stands.state else {
                            panic!("{what}: {stands:?}");
                        };
                        assert_eq!(
                            (now[0].height, now[0].entry),
                            (receipts[0].height, receipts[0].entry),
                            "{what}"
                        );
                    }
                }
            }
        }
    }
}
