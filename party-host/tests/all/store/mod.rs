//! The store against a real S3 API in this process.
//!
//! Covered: round trips, races of conditional writes, lost answers, damaged and swapped objects, rotation, that
//! nothing readable is stored ([`contents`]); failures before and after every write ([`crash`]); starts by checkpoints, and by
//! checkpoints that are missing, stale, altered or exchanged ([`checkpoints`]). Not failures:
//! repeating a call that succeeded, a staged segment without an entry, votes that differ on one entry.

mod checkpoints;
mod contents;
mod crash;
mod lease;
mod races;

use std::path::PathBuf;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use party_host::keyring::{FileKeyring, Sealer};
use party_host::store::{Objects as _, Progress, S3Objects, Segment, Store, StoreConfig, StoreError};
use tempfile::TempDir;
use tercet_embedded::s3::{Config, Key, Keys, serve};
use tercet_protocol::ids::{Commitment, EntryHash, Nullifier, PublicKey, SubmissionId, SurveyId, sha256};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::log::{Accepted, CommittedEntry, EntryBody, LogEntry};
use zeroize::Zeroizing;

const BUCKET: &str = "operator-a";
const SURVEY: SurveyId = SurveyId([0x51; 32]);
const OPERATOR: PublicKey = PublicKey([0x0a; 32]);
const CACHE: usize = 1 << 20;

/// One operator's bucket and key file.
struct World {
    dir: TempDir,
    server: tercet_embedded::Server,
}

impl World {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = Key { access_key: "AK".into(), secret_key: "SK".into(), buckets: None };
        let server = serve(Config {
            listen: ([127, 0, 0, 1], 0).into(),
            root: dir.path().join("s3"),
            keys: Keys::new(vec![key]),
            buckets: vec![],
            sync: false,
        })
        .await
        .unwrap();
        FileKeyring::create(&dir.path().join("store.key")).unwrap();
        Self { dir, server }
    }

    fn key_file(&self) -> PathBuf {
        self.dir.path().join("store.key")
    }

    fn sealer(&self) -> Sealer {
        Sealer::new(Arc::new(FileKeyring::open(&self.key_file()).unwrap()), OPERATOR)
    }

    fn config(&self) -> StoreConfig {
        StoreConfig {
            bucket: BUCKET.into(),
            prefix: "party/".into(),
            region: None,
            endpoint: Some(self.server.url()),
            create_bucket: true,
            cache_mib: 1,
            added_ms: 0,
        }
    }

    async fn objects(&self) -> Arc<S3Objects> {
        Arc::new(S3Objects::new(&self.config(), credentials("SK")).await.unwrap())
    }

    /// A store as after a start of the process: nothing in memory.
    async fn store(&self) -> Store {
        let store = Store::open(&self.config(), credentials("SK"), self.sealer()).await.unwrap();
        store.ensure_bucket().await.unwrap();
        store
    }
}

fn credentials(secret: &str) -> Option<SharedCredentialsProvider> {
    let credentials = Credentials::new("AK", secret, None, None, "test");
    Some(SharedCredentialsProvider::new(credentials))
}

fn parties() -> [SigningKey; 3] {
    [1, 2, 3].map(|i| SigningKey::from_seed(&[i; 32]).unwrap())
}

fn public() -> [PublicKey; 3] {
    parties().each_ref().map(SigningKey::public)
}

fn hash(label: &str, n: u64) -> [u8; 32] {
    sha256(&[label.as_bytes(), &n.to_le_bytes()])
}

/// A batch of two rows with three lanes; `variant` tells batches of one height apart.
fn batch(height: u64, previous: EntryHash, variant: u64) -> (CommittedEntry, Arc<Segment>) {
    let ids = [0, 1].map(|row| SubmissionId(hash("submission", (height << 32) | (variant << 8) | row)));
    let accepted = ids.map(|submission| Accepted {
        submission,
        nullifier: Nullifier(sha256(&[b"nullifier", submission.as_ref()])),
        replaces: None,
        fields: Vec::new(),
        rows: [Commitment([1; 32]); 3],
        withdrawal_key: PublicKey([2; 32]),
    });
    let body = EntryBody::Batch { accepted: accepted.to_vec() };
    let entry = LogEntry { survey: SURVEY, height, previous, at: height, body };
    let votes = parties().each_ref().map(|k| entry.sign(k));
    let shares =
        ids.iter().flat_map(|id| (0..3u8).flat_map(|lane| sha256(&[b"share", id.as_ref(), &[lane]])));
    let segment =
        Segment::new(ids.to_vec(), 3, Zeroizing::new(shares.collect()), Zeroizing::new(vec![7; 128]))
            .unwrap();
    (CommittedEntry { entry, votes }, Arc::new(segment))
}

/// The first `n` batches of one chain.
fn chain(n: u64) -> Vec<(CommittedEntry, Arc<Segment>)> {
    let mut previous = EntryHash([0; 32]);
    let mut out = Vec::new();
    for height in 1..=n {
        let next = batch(height, previous, 0);
        previous = next.0.entry.hash();
        out.push(next);
    }
    out
}

/// Stages and commits.
async fn store_batch(
    store: &Store,
    (entry, segment): &(CommittedEntry, Arc<Segment>),
) -> Result<(), StoreError> {
    let (height, hash) = (entry.entry.height, entry.entry.hash());
    store.put_segment(SURVEY, height, hash, segment.clone()).await?;
    store.commit(SURVEY, entry).await
}

/// The log as a start reads it.
async fn read_log(store: &Store, survey: SurveyId) -> Result<Vec<LogEntry>, StoreError> {
    let (mut log, progress) = (Vec::new(), Progress::default());
    let checkpoints = store.checkpoints(survey).await?;
    let apply = |entry, _| {
        log.push(entry);
        Ok::<_, StoreError>(())
    };
    store.replay(survey, &public(), &checkpoints, &progress, apply).await?;
    assert_eq!(progress.entries(), (log.len() as u64, log.len() as u64));
    Ok(log)
}

#[tokio::test]
async fn a_bucket_is_made_only_if_configured() {
    let w = World::start().await;
    let config = StoreConfig { create_bucket: false, ..w.config() };
    let store = Store::open(&config, credentials("SK"), w.sealer()).await.unwrap();
    let e = store.ensure_bucket().await.unwrap_err();
    assert!(matches!(&e, StoreError::Config(text) if text.contains("does not exist")), "{e}");
    w.store().await;
    store.ensure_bucket().await.unwrap();
}

#[tokio::test]
async fn bad_configurations_are_refused() {
    let w = World::start().await;
    let bad = [
        StoreConfig { bucket: String::new(), ..w.config() },
        StoreConfig { prefix: "party".into(), ..w.config() },
        StoreConfig { prefix: "/".into(), ..w.config() },
        StoreConfig { endpoint: Some("localhost:9000".into()), ..w.config() },
    ];
    for config in bad {
        let e = S3Objects::new(&config, credentials("SK")).await.unwrap_err();
        assert!(matches!(e, StoreError::Config(_)), "{e}");
    }
}

#[tokio::test]
async fn failures_tell_whether_trying_again_helps() {
    let w = World::start().await;
    w.store().await;
    let wrong = S3Objects::new(&w.config(), credentials("another")).await.unwrap();
    let e = wrong.get("keycheck").await.unwrap_err();
    assert!(!e.is_retryable() && e.to_string().contains("credentials"), "{e}");
    assert!(!format!("{e} {e:?} {wrong:?}").contains("another"), "{e:?}");
    let store = w.store().await;
    w.server.shutdown().await;
    let e = store.get_entry(SURVEY, 1).await.unwrap_err();
    assert!(e.is_retryable(), "{e:?}");
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let w = World::start().await;
    let store = w.store().await;
    let chain = chain(5);
    for b in &chain {
        store_batch(&store, b).await.unwrap();
    }
    for n in 0..3 {
        store.put_answer(SURVEY, n, &hash("answer", n)).await.unwrap();
    }

    let store = w.store().await;
    assert_eq!(store.cache().bytes(), 0);
    let entries: Vec<_> = chain.iter().map(|(e, _)| e.clone()).collect();
    let log: Vec<_> = entries.iter().map(|e| e.entry.clone()).collect();
    assert_eq!(read_log(&store, SURVEY).await.unwrap(), log);
    assert_eq!(store.get_entry(SURVEY, 3).await.unwrap().as_ref(), Some(&entries[2]));
    assert_eq!(store.get_entry(SURVEY, 6).await.unwrap(), None);
    let heads: Vec<_> = entries.iter().map(|e| (e.entry.height, e.entry.hash())).collect();
    assert_eq!(store.list_segments(SURVEY, 0).await.unwrap(), heads);
    for n in 0..3 {
        assert_eq!(store.answer(SURVEY, n).await.unwrap(), Some(Zeroizing::new(hash("answer", n).to_vec())));
    }
    assert_eq!(store.answer(SURVEY, 3).await.unwrap(), None);

    // Another survey in the same bucket sees nothing of it.
    let other = SurveyId([0x52; 32]);
    assert!(read_log(&store, other).await.unwrap().is_empty());
    assert!(store.list_segments(other, 0).await.unwrap().is_empty());
    assert_eq!(store.answer(other, 0).await.unwrap(), None);
}

#[tokio::test]
async fn segments_stream_in_the_order_asked_for() {
    use futures::StreamExt as _;
    let w = World::start().await;
    let store = w.store().await;
    let chain = chain(40);
    for b in &chain {
        store_batch(&store, b).await.unwrap();
    }
    let store = w.store().await;
    for _ in 0..2 {
        let wanted = chain.iter().rev().map(|(e, _)| (e.entry.height, e.entry.hash()));
        let got: Vec<_> = store.read_segments(SURVEY, wanted).map(Result::unwrap).collect().await;
        let expected: Vec<_> = chain.iter().rev().map(|(e, s)| (e.entry.height, s.clone())).collect();
        assert_eq!(got, expected);
    }
    assert_eq!(store.cache().bytes(), chain.iter().map(|(_, s)| s.weight()).sum::<usize>());
}

#[tokio::test]
async fn a_staged_segment_can_be_dropped_and_a_lost_one_is_noticed() {
    let w = World::start().await;
    let store = w.store().await;
    let (entry, segment) = batch(1, EntryHash([0; 32]), 0);
    let hash = entry.entry.hash();
    store.put_segment(SURVEY, 1, hash, segment.clone()).await.unwrap();
    assert!(read_log(&store, SURVEY).await.unwrap().is_empty());
    store.delete_segment(SURVEY, 1, hash).await.unwrap();
    store.delete_segment(SURVEY, 1, hash).await.unwrap();
    let e = store.segment(SURVEY, 1, hash).await.unwrap_err();
    assert!(matches!(e, StoreError::Missing { .. }), "{e}");
    store.put_segment(SURVEY, 1, hash, segment).await.unwrap();
}

#[tokio::test]
async fn a_gap_in_the_log_is_an_error() {
    let w = World::start().await;
    let store = w.store().await;
    for b in &chain(3) {
        store_batch(&store, b).await.unwrap();
    }
    let objects = w.objects().await;
    objects.delete(&format!("surveys/{SURVEY}/log/{:020}", 2)).await.unwrap();
    let e = read_log(&store, SURVEY).await.unwrap_err();
    assert!(matches!(&e, StoreError::Missing { key } if key.ends_with("00002")), "{e}");
}

#[tokio::test]
async fn the_log_is_verified_against_the_keys_of_the_parties() {
    let w = World::start().await;
    let store = w.store().await;
    // The store's caller verifies before it commits; whatever is there nevertheless is caught on the next start.
    let (mut first, _) = batch(1, EntryHash([0; 32]), 0);
    first.votes.swap(0, 1);
    store.commit(SURVEY, &first).await.unwrap();
    let e = read_log(&store, SURVEY).await.unwrap_err();
    assert!(matches!(&e, StoreError::Corrupt { reason, .. } if reason.contains("vote")), "{e}");
}

#[tokio::test]
async fn oversized_records_and_misplaced_entries_are_refused() {
    let w = World::start().await;
    let store = w.store().await;
    let large = vec![0; party_host::store::MAX_RECORD + 1];
    let e = store.put_answer(SURVEY, 0, &large).await.unwrap_err();
    assert!(matches!(e, StoreError::TooLarge { .. }), "{e}");
    let (entry, _) = batch(1, EntryHash([0; 32]), 0);
    assert!(matches!(store.commit(SurveyId([1; 32]), &entry).await, Err(StoreError::Config(_))));
    assert!(read_log(&store, SURVEY).await.unwrap().is_empty());
}
