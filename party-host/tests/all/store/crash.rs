//! A process that dies at a write, at each write in turn, before or after it took effect.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use party_host::store::{Created, Objects};

use super::*;

const HEIGHTS: u64 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// Fails the write with number `at`, and everything after it as a dead process would.
struct Dying {
    inner: Arc<S3Objects>,
    writes: AtomicUsize,
    at: usize,
    when: When,
}

impl Dying {
    fn dead() -> StoreError {
        StoreError::Unavailable {
            operation: "test".into(),
            retryable: false,
            reason: "the process died".into(),
        }
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.writes.load(Ordering::SeqCst) > self.at { Err(Self::dead()) } else { Ok(()) }
    }

    async fn write<T>(&self, apply: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.alive()?;
        let dies = self.writes.fetch_add(1, Ordering::SeqCst) == self.at;
        if dies && self.when == When::Before {
            return Err(Self::dead());
        }
        let done = apply.await?;
        if dies { Err(Self::dead()) } else { Ok(done) }
    }
}

#[async_trait::async_trait]
impl Objects for Dying {
    async fn ensure(&self) -> Result<(), StoreError> {
        self.inner.ensure().await
    }
    async fn create(&self, key: &str, body: Bytes) -> Result<Created, StoreError> {
        self.write(self.inner.create(key, body)).await
    }
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.alive()?;
        self.inner.get(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.alive()?;
        self.inner.list(prefix).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.write(self.inner.delete(key)).await
    }
}

/// Everything that was acknowledged to the outside: it must never be lost.
#[derive(Debug, Default, Clone, Copy)]
struct Acknowledged {
    height: u64,
    answers: u64,
}

fn answer(n: u64) -> Vec<u8> {
    format!("answer {n}").into_bytes()
}

/// One life of a party: looks at the bucket, clears staged batches away, and goes on to the end.
async fn live(store: &Store, done: &mut Acknowledged) -> Result<(), StoreError> {
    store.ensure_bucket().await?;
    let chain = chain(HEIGHTS);
    let log = read_log(store, SURVEY).await?;
    let height = log.len() as u64;
    let segments = store.list_segments(SURVEY, 0).await?;
    for (h, entry) in segments.iter().filter(|(h, _)| *h > height) {
        store.delete_segment(SURVEY, *h, *entry).await?;
    }
    for b in &chain[log.len()..] {
        // A batch that is staged and then dropped, as when the vote fails.
        let other = batch(b.0.entry.height, b.0.entry.previous, 1);
        let hash = other.0.entry.hash();
        store.put_segment(SURVEY, b.0.entry.height, hash, other.1).await?;
        store_batch(store, b).await?;
        done.height = b.0.entry.height;
        store.delete_segment(SURVEY, b.0.entry.height, hash).await?;
    }
    for point in 0..HEIGHTS {
        store.put_answer(SURVEY, point, &answer(point)).await?;
        done.answers = done.answers.max(point + 1);
    }
    Ok(())
}

/// Checks the invariants that hold at any moment, whoever died when.
async fn check(store: &Store, done: Acknowledged, context: &str) {
    let chain = chain(HEIGHTS);
    let log = read_log(store, SURVEY).await.unwrap();
    assert!(log.len() as u64 >= done.height, "{context}: a committed entry is lost");
    for (i, entry) in log.iter().enumerate() {
        assert_eq!(*entry, chain[i].0.entry, "{context}");
        let segment = store.segment(SURVEY, entry.height, entry.hash()).await.unwrap();
        assert_eq!(segment, chain[i].1, "{context}");
    }
    for point in 0..done.answers {
        let kept = store.answer(SURVEY, point).await.unwrap();
        assert_eq!(**kept.unwrap(), answer(point), "{context}: an answer is forgotten or altered");
    }
}

/// Runs one life that dies at write `at`; says whether it got that far.
async fn dies(w: &World, at: usize, when: When) -> bool {
    let context = format!("write {at}, {when:?}");
    let inner = w.objects().await;
    let dying = Arc::new(Dying { inner, writes: AtomicUsize::new(0), at, when });
    let mut done = Acknowledged::default();
    let died = live(&Store::new(dying, w.sealer(), CACHE), &mut done).await.is_err();

    let store = w.store().await;
    check(&store, done, &context).await;
    live(&store, &mut done).await.unwrap_or_else(|e| panic!("{context}: {e}"));
    let store = w.store().await;
    check(&store, Acknowledged { height: HEIGHTS, answers: HEIGHTS }, &context).await;
    died
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_write_loses_nothing_acknowledged() {
    for when in [When::Before, When::After] {
        let mut at = 0;
        // Every boundary of a whole life, however many it has.
        while dies(&World::start().await, at, when).await {
            at += 1;
        }
        assert!(at >= 15, "only {at} writes were interrupted");
    }
}

#[tokio::test]
async fn a_crash_during_the_recovery_is_recovered_from_too() {
    for first in [3, 4, 5, 6] {
        for second in 0..4 {
            let w = World::start().await;
            for (at, when) in [(first, When::After), (second, When::After)] {
                let inner = w.objects().await;
                let dying = Arc::new(Dying { inner, writes: AtomicUsize::new(0), at, when });
                let mut done = Acknowledged::default();
                // Two deaths in a row; what either acknowledged is checked below by the complete state.
                let _ = live(&Store::new(dying, w.sealer(), CACHE), &mut done).await;
                check(&w.store().await, done, &format!("{first}, {second}")).await;
            }
            live(&w.store().await, &mut Acknowledged::default()).await.unwrap();
            let all = Acknowledged { height: HEIGHTS, answers: HEIGHTS };
            check(&w.store().await, all, &format!("{first}, {second}")).await;
        }
    }
}
