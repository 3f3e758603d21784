//! A start reads checkpoints in place of the entries, and believes none of them: whatever is wrong with one, the log that it
//! reads is that of the entries.
//!
//! Round trips are counted, not timed: each request takes its time on a clock that moves only when everybody waits, so the
//! time that has passed says how many requests followed each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use party_host::store::{Created, Draft, Objects, Span};
use tokio::time::Instant;

use super::*;

/// The time that one request takes.
const REQUEST: Duration = Duration::from_millis(35);
/// Keys in one answer.
const PAGE: usize = 1000;

/// Objects in memory behind a long way.
#[derive(Default)]
struct Far {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// The process dies where it would write a checkpoint.
    no_checkpoints: AtomicBool,
}

impl Far {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap()
    }

    /// The keys of all checkpoints.
    fn checkpoints(&self) -> Vec<String> {
        self.objects().keys().filter(|k| k.contains("/checkpoints/")).cloned().collect()
    }
}

#[async_trait]
impl Objects for Far {
    async fn ensure(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn create(&self, key: &str, body: Bytes) -> Result<Created, StoreError> {
        tokio::time::sleep(REQUEST).await;
        if key.contains("/checkpoints/") && self.no_checkpoints.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Ok(Created::Exists);
        }
        objects.insert(key.to_owned(), body);
        Ok(Created::New)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        tokio::time::sleep(REQUEST).await;
        Ok(self.objects().get(key).map(|body| body.to_vec()))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let keys: Vec<String> = {
            let objects = self.objects();
            let from = objects.range(prefix.to_owned()..).map(|(key, _)| key);
            from.take_while(|key| key.starts_with(prefix)).cloned().collect()
        };
        for _ in 0..keys.len().div_ceil(PAGE).max(1) {
            tokio::time::sleep(REQUEST).await;
        }
        Ok(keys)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        tokio::time::sleep(REQUEST).await;
        self.objects().remove(key);
        Ok(())
    }
}

/// A party's far bucket, and its keys.
struct FarWorld {
    _dir: TempDir,
    sealer: Sealer,
    objects: Arc<Far>,
}

impl FarWorld {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keyring = FileKeyring::open_or_create(&dir.path().join("store.key")).unwrap();
        let sealer = Sealer::new(Arc::new(keyring), OPERATOR);
        Self { _dir: dir, sealer, objects: Arc::new(Far::default()) }
    }

    /// A store as after a start of the process: nothing in memory.
    fn store(&self) -> Store {
        Store::new(self.objects.clone(), self.sealer.clone(), 0)
    }

    /// Commits a log and reads it once, as a party without checkpoints does, until there are this many.
    async fn filled(log: &[LogEntry], checkpoints: usize) -> Self {
        let world = Self::new();
        commit(&world.store(), log).await;
        assert_eq!(read_log(&world.store(), SURVEY).await.unwrap(), log);
        world.wait(checkpoints).await;
        world
    }

    async fn wait(&self, checkpoints: usize) {
        for _ in 0..1000 {
            if self.objects.checkpoints().len() == checkpoints {
                return;
            }
            tokio::time::sleep(REQUEST).await;
        }
        panic!("{checkpoints} checkpoints expected: {:?}", self.objects.checkpoints());
    }
}

/// Entries that follow each other; `variant` tells logs apart.
fn log(n: u64, variant: u64) -> Vec<LogEntry> {
    let mut previous = EntryHash([0; 32]);
    (1..=n)
        .map(|height| {
            let body = EntryBody::Refresh { epoch: height, rows: vec![] };
            let entry = LogEntry { survey: SURVEY, height, previous, at: variant, body };
            previous = entry.hash();
            entry
        })
        .collect()
}

async fn commit(store: &Store, log: &[LogEntry]) {
    let keys = parties();
    for entry in log {
        let votes = keys.each_ref().map(|k| entry.sign(k));
        store.commit(SURVEY, &CommittedEntry { entry: entry.clone(), votes }).await.unwrap();
    }
}

/// A checkpoint of these entries, which follow each other.
fn draft(entries: &[LogEntry]) -> Draft {
    let first = &entries[0];
    let mut draft = Draft::above((first.height - 1, first.previous));
    let full = entries.iter().find_map(|e| draft.add(e, e.hash()));
    full.unwrap_or(draft)
}

#[tokio::test(start_paused = true)]
async fn a_start_takes_few_round_trips_however_long_the_log_is() {
    const HEIGHT: u64 = 200_000;
    let world = FarWorld::new();
    let store = world.store();
    let all = log(HEIGHT, 0);
    let mut gathering = Draft::above((0, EntryHash([0; 32])));
    let full: Vec<Draft> = all.iter().filter_map(|e| gathering.add(e, e.hash())).collect();
    let held = full.last().unwrap().span().unwrap().last;
    for draft in full {
        store.put_checkpoint(SURVEY, draft).await.unwrap();
    }
    // What a checkpoint holds is listed, and not read.
    for height in 1..=held {
        world.objects.objects().insert(format!("surveys/{SURVEY}/log/{height:020}"), Bytes::new());
    }
    commit(&store, &all[held as usize..]).await;

    let clock = Instant::now();
    let read = read_log(&world.store(), SURVEY).await.unwrap();
    let round_trips = clock.elapsed().as_millis() / REQUEST.as_millis();
    assert_eq!(read, all);
    // One for the list of checkpoints; 200 lists of entries and those of larger numbers, 64 at a time; 195 checkpoints and
    // the 320 entries above them likewise.
    assert!((10..=20).contains(&round_trips), "{round_trips} round trips");
}

#[tokio::test(start_paused = true)]
async fn without_checkpoints_entries_are_read_side_by_side_and_checkpoints_are_written() {
    let all = log(2100, 0);
    let world = FarWorld::filled(&all, 2).await;
    let store = world.store();
    let spans = store.checkpoints(SURVEY).await.unwrap();
    assert_eq!(spans, [Span { first: 1, last: 1024 }, Span { first: 1025, last: 2048 }]);
    for span in spans {
        store.delete_checkpoint(SURVEY, span).await.unwrap();
    }
    let clock = Instant::now();
    assert_eq!(read_log(&world.store(), SURVEY).await.unwrap(), all);
    let round_trips = clock.elapsed().as_millis() / REQUEST.as_millis();
    // The checkpoints' list, three pages of the log, and 64 entries at a time.
    assert!((30..=45).contains(&round_trips), "{round_trips} round trips");
    world.wait(2).await;
}

/// Whatever somebody does to the bucket's checkpoints, the log that is read is the same, and the checkpoints are whole again
/// after it.
#[tokio::test(start_paused = true)]
async fn missing_altered_cut_and_exchanged_checkpoints_change_nothing() {
    let all = log(2100, 0);
    let world = FarWorld::filled(&all, 2).await;
    let keys = world.objects.checkpoints();
    let good: Vec<Bytes> = keys.iter().map(|k| world.objects.objects()[k].clone()).collect();
    let altered = |at: usize| {
        let mut body = good[0].to_vec();
        body[at] ^= 1;
        Some(Bytes::from(body))
    };
    let last = good[0].len() - 1;
    let cases: [[Option<Bytes>; 2]; 8] = [
        [None, Some(good[1].clone())],
        [Some(good[0].clone()), None],
        [None, None],
        [altered(0), Some(good[1].clone())],
        [altered(last / 2), Some(good[1].clone())],
        [altered(last), None],
        [Some(good[0].slice(..last)), Some(Bytes::new())],
        [Some(good[1].clone()), Some(good[0].clone())],
    ];
    for (case, bodies) in cases.into_iter().enumerate() {
        for (key, body) in keys.iter().zip(bodies) {
            match body {
                Some(body) => world.objects.objects().insert(key.clone(), body),
                None => world.objects.objects().remove(key),
            };
        }
        assert_eq!(read_log(&world.store(), SURVEY).await.unwrap(), all, "case {case}");
        world.wait(2).await;
        assert_eq!(world.objects.checkpoints(), keys, "case {case}");
        let clock = Instant::now();
        assert_eq!(read_log(&world.store(), SURVEY).await.unwrap(), all, "case {case}, again");
        let round_trips = clock.elapsed().as_millis() / REQUEST.as_millis();
        assert!(round_trips < 10, "case {case}: {round_trips} round trips, so a checkpoint was of no use");
    }
}

/// A bucket that was restored: its entries end below its checkpoints, which then count for nothing. Entries above the log come
/// from the two other parties.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_adds_nothing_to_the_log() {
    let all = log(2100, 0);
    let world = FarWorld::filled(&all, 2).await;
    for height in 2001..=2100 {
        world.objects.objects().remove(&format!("surveys/{SURVEY}/log/{height:020}")).unwrap();
    }
    assert_eq!(read_log(&world.store(), SURVEY).await.unwrap(), all[..2000]);
    // An entry that is gone below others is as much an error as without checkpoints.
    world.objects.objects().remove(&format!("surveys/{SURVEY}/log/{:020}", 500)).unwrap();
    let e = read_log(&world.store(), SURVEY).await.unwrap_err();
    assert!(matches!(&e, StoreError::Missing { key } if key.ends_with("00500")), "{e}");
}

/// Checkpoints of another log, sealed with this party's own key: from a restored copy of it, or by somebody who has the
/// key. Three parties' votes contradict them, wherever they are.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_another_log_is_found_by_the_votes_of_the_next_entry() {
    let (all, other) = (log(30, 0), log(30, 1));
    for held in [0..30, 0..29, 0..10, 10..20, 20..30, 29..30, 0..1] {
        let world = FarWorld::new();
        let store = world.store();
        commit(&store, &all).await;
        store.put_checkpoint(SURVEY, draft(&other[held.clone()])).await.unwrap();
        let e = read_log(&store, SURVEY).await.unwrap_err();
        assert!(matches!(&e, StoreError::Corrupt { .. }), "{held:?}: {e}");
        for span in store.checkpoints(SURVEY).await.unwrap() {
            store.delete_checkpoint(SURVEY, span).await.unwrap();
        }
        assert_eq!(read_log(&store, SURVEY).await.unwrap(), all, "{held:?}");
        // The true one in the same place is read.
        store.put_checkpoint(SURVEY, draft(&all[held.clone()])).await.unwrap();
        assert_eq!(read_log(&store, SURVEY).await.unwrap(), all, "{held:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_between_entries_and_checkpoint_loses_neither() {
    let all = log(1100, 0);
    let world = FarWorld::new();
    commit(&world.store(), &all).await;
    world.objects.no_checkpoints.store(true, Ordering::Relaxed);
    assert_eq!(read_log(&world.store(), SURVEY).await.unwrap(), all);
    tokio::time::sleep(REQUEST * 10).await;
    assert_eq!(world.objects.checkpoints(), [""; 0]);
    // The next start writes it; the one after that reads it.
    world.objects.no_checkpoints.store(false, Ordering::Relaxed);
    assert_eq!(read_log(&world.store(), SURVEY).await.unwrap(), all);
    world.wait(1).await;
    assert_eq!(read_log(&world.store(), SURVEY).await.unwrap(), all);
}
