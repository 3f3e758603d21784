//! The store of one party: its shares, the agreed log, and the published answers, sealed in the operator's bucket.
//!
//! | Key below the configured prefix | Content |
//! |---|---|
//! | `keycheck` | proves at start that this keyring and identity open this bucket |
//! | `lease/{number}` | the lease of the one process that runs |
//! | `surveys/{id}/segments/{height}-{name}` | shares of one batch, or of the sums of units; staged before the vote. The name is the entry's hash, or tells which erasure the rows were rewritten for |
//! | `surveys/{id}/log/{height}` | committed entries; what is staged counts from here on |
//! | `surveys/{id}/checkpoints/{first}-{last}` | the entries from one height to another once more, as one object: a start reads it instead of them |
//! | `surveys/{id}/prepares/{height}-{number}`, `.../locks/{height}-{number}` | what this party has signed and locked above its log |
//! | `surveys/{id}/abandoned/{height}` | the three operators' word that an entry of this height is given up |
//! | `surveys/{id}/answers/{release point}` | the published statistics |
//!
//! Heights and numbers have 20 digits, so keys sort by number. Objects are created once and never overwritten:
//! one conditional write decides every race. Every method may be repeated after any failure. A segment without a
//! log entry is harmless, and an entry is committed only after its segment is stored.
//!
//! Never reads a clock and never logs content.

mod cache;
mod checkpoint;
mod entry;
mod error;
mod lease;
mod listing;
mod log;
mod objects;
mod pending;
mod s3;
mod segment;

use std::fmt;
use std::sync::Arc;

use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use tercet_protocol::ids::{EntryHash, SurveyId};
use zeroize::Zeroizing;

pub use cache::SegmentCache;
pub use checkpoint::{Draft, Span};
pub use error::StoreError;
pub use lease::Lease;
pub use log::Progress;
pub use objects::{Created, MAX_OBJECT, Objects};
pub use pending::Pending;
#[cfg(feature = "cloud")]
pub(crate) use s3::chain;
pub use s3::{S3Objects, StoreConfig};
pub use segment::{KEY_BYTES, LANE_BYTES, MAX_LANES, MAX_ROWS, MAX_SHARE_BYTES, Segment, SegmentError};

use crate::keyring::{ObjectKind, Place, Sealer};

/// Memory for opened segments unless configured, in MiB: a million rows of three lanes.
pub const DEFAULT_CACHE_MIB: usize = 128;
/// Most bytes of one answer.
pub const MAX_RECORD: usize = 16 * 1024 * 1024;
/// Segments that are read at once: enough to hide the latency of many small objects, few enough that large ones do not
/// fill the memory.
const CONCURRENT_READS: usize = 32;

const KEY_CHECK: &str = "keycheck";
const KEY_CHECK_TEXT: &[u8] = b"tercet key check v1";

/// One operator's store. Cheap to clone; clones share the connection and the cache.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    objects: Arc<dyn Objects>,
    sealer: Sealer,
    cache: SegmentCache,
    lease: std::sync::OnceLock<Arc<Lease>>,
}

/// The outcome of a conditional write.
enum Written {
    /// The object is there, written by this call.
    Ours,
    /// It was there already, with this content.
    Earlier(Zeroizing<Vec<u8>>),
}

impl Store {
    /// A store in S3. Without `credentials` the SDK's usual chain applies. Call [`Self::ensure_bucket`] next.
    pub async fn open(
        config: &StoreConfig,
        credentials: Option<SharedCredentialsProvider>,
        sealer: Sealer,
    ) -> Result<Self, StoreError> {
        let objects = S3Objects::new(config, credentials).await?;
        Ok(Self::new(Arc::new(objects), sealer, config.cache_mib.saturating_mul(1 << 20)))
    }

    /// A store over any object service, with `cache_bytes` of memory for opened segments.
    pub fn new(objects: Arc<dyn Objects>, sealer: Sealer, cache_bytes: usize) -> Self {
        let cache = SegmentCache::new(cache_bytes);
        Self { inner: Arc::new(Inner { objects, sealer, cache, lease: std::sync::OnceLock::new() }) }
    }

    /// The check at start: the bucket exists (or is made, if configured), the service honours conditional writes,
    /// and this keyring and identity are the ones that the bucket's objects were sealed with.
    pub async fn ensure_bucket(&self) -> Result<(), StoreError> {
        self.inner.objects.ensure().await?;
        let place = Place { survey: SurveyId([0; 32]), kind: ObjectKind::KeyCheck, height: 0 };
        match self.write(&place, KEY_CHECK, KEY_CHECK_TEXT).await {
            Ok(Written::Ours) => {
                let again = Bytes::from(self.seal(&place, KEY_CHECK, KEY_CHECK_TEXT).await?);
                match self.inner.objects.create(KEY_CHECK, again).await? {
                    Created::Exists => Ok(()),
                    Created::New => Err(StoreError::Config(
                        "the storage service ignores `If-None-Match: *` and overwrites objects: use a service that \
                         honours conditional writes"
                            .into(),
                    )),
                }
            }
            Ok(Written::Earlier(text)) if *text == KEY_CHECK_TEXT => Ok(()),
            Ok(Written::Earlier(_)) => Err(StoreError::corrupt(KEY_CHECK, "it has another content")),
            Err(StoreError::Corrupt { reason, .. }) => Err(StoreError::Config(format!(
                "object {KEY_CHECK} does not open ({reason}): check that bucket, prefix, key file and operator \
                 identity belong together"
            ))),
            Err(e) => Err(e),
        }
    }

    /// Stages a batch's shares. Repeating it with the same segment succeeds; another segment for the same entry is
    /// a [`StoreError::Conflict`].
    pub async fn put_segment(
        &self,
        survey: SurveyId,
        height: u64,
        entry: EntryHash,
        segment: Arc<Segment>,
    ) -> Result<(), StoreError> {
        let key = segment_key(survey, height, entry);
        let place = Place { survey, kind: ObjectKind::Segment, height };
        let plain = segment.encode(&entry);
        match self.write(&place, &key, &plain).await? {
            Written::Earlier(found) if found != plain => return Err(StoreError::Conflict { key }),
            Written::Earlier(_) | Written::Ours => {}
        }
        self.inner.cache.insert(survey, height, entry, segment);
        Ok(())
    }

    /// Deletes a staged segment that will never be committed. One that is not there counts as deleted.
    pub async fn delete_segment(
        &self,
        survey: SurveyId,
        height: u64,
        entry: EntryHash,
    ) -> Result<(), StoreError> {
        self.inner.cache.remove(survey, height, entry);
        self.inner.objects.delete(&segment_key(survey, height, entry)).await
    }

    /// Height and name of the segment of a survey that has this key, if one has.
    pub fn segment_of(survey: SurveyId, key: &str) -> Option<(u64, EntryHash)> {
        let (height, entry) = key.strip_prefix(&segment_prefix(survey))?.split_once('-')?;
        Some((number(height)?, entry.parse().ok()?))
    }

    /// All segments, staged and committed, in order of height. `newest`: about how high the log is; the answer does not depend
    /// on it, only how long it takes.
    pub async fn list_segments(
        &self,
        survey: SurveyId,
        newest: u64,
    ) -> Result<Vec<(u64, EntryHash)>, StoreError> {
        let keys = self.list_numbered(&segment_prefix(survey), newest).await?;
        keys.iter().map(|key| Self::segment_of(survey, key).ok_or_else(|| foreign(key))).collect()
    }

    /// One segment, from memory or the bucket.
    pub async fn segment(
        &self,
        survey: SurveyId,
        height: u64,
        entry: EntryHash,
    ) -> Result<Arc<Segment>, StoreError> {
        if let Some(segment) = self.inner.cache.get(survey, height, entry) {
            return Ok(segment);
        }
        let key = segment_key(survey, height, entry);
        let place = Place { survey, kind: ObjectKind::Segment, height };
        let plain = self.read(&place, &key).await?.ok_or_else(|| StoreError::Missing { key: key.clone() })?;
        let segment = Segment::decode(&entry, &plain).map_err(|e| StoreError::corrupt(&key, e))?;
        let segment = Arc::new(segment);
        self.inner.cache.insert(survey, height, entry, segment.clone());
        Ok(segment)
    }

    /// Checks that a segment is there and opens.
    pub async fn has_segment(
        &self,
        survey: SurveyId,
        height: u64,
        entry: EntryHash,
    ) -> Result<bool, StoreError> {
        match self.segment(survey, height, entry).await {
            Ok(_) => Ok(true),
            Err(StoreError::Missing { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Segments in the order asked for, several read at once and none further ahead than that.
    pub fn read_segments<I>(
        &self,
        survey: SurveyId,
        wanted: I,
    ) -> impl Stream<Item = Result<(u64, Arc<Segment>), StoreError>> + Send + use<I>
    where
        I: IntoIterator<Item = (u64, EntryHash)>,
        I::IntoIter: Send,
    {
        let store = self.clone();
        stream::iter(wanted)
            .map(move |(height, entry)| {
                let store = store.clone();
                async move { Ok((height, store.segment(survey, height, entry).await?)) }
            })
            .buffered(CONCURRENT_READS)
    }

    /// The memory for opened segments.
    pub fn cache(&self) -> &SegmentCache {
        &self.inner.cache
    }

    /// Keeps the answer to the survey's own question at a release point, for ever. Repeating it with the same answer succeeds;
    /// another one is a [`StoreError::Conflict`].
    pub async fn put_answer(&self, survey: SurveyId, point: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > MAX_RECORD {
            return Err(StoreError::TooLarge { what: "the answer", len: bytes.len(), max: MAX_RECORD });
        }
        let key = answer_key(survey, point);
        match self.write(&answer_place(survey, point), &key, bytes).await? {
            Written::Earlier(found) if *found != bytes => Err(StoreError::Conflict { key }),
            Written::Earlier(_) | Written::Ours => Ok(()),
        }
    }

    /// The answer that [`Self::put_answer`] kept.
    pub async fn answer(
        &self,
        survey: SurveyId,
        point: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.read(&answer_place(survey, point), &answer_key(survey, point)).await
    }

    async fn seal(&self, place: &Place, key: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.inner.sealer.seal(place, plain).await.map_err(|e| StoreError::envelope(key, e))
    }

    async fn read(&self, place: &Place, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(sealed) = self.inner.objects.get(key).await? else { return Ok(None) };
        self.inner.sealer.open(place, sealed).await.map(Some).map_err(|e| StoreError::envelope(key, e))
    }

    /// Creates an object, or gives the one that is there.
    async fn write(&self, place: &Place, key: &str, plain: &[u8]) -> Result<Written, StoreError> {
        let sealed = Bytes::from(self.seal(place, key, plain).await?);
        if self.inner.objects.create(key, sealed.clone()).await? == Created::New {
            return Ok(Written::Ours);
        }
        let Some(found) = self.inner.objects.get(key).await? else {
            return Err(StoreError::Unavailable {
                operation: format!("writing {key}"),
                retryable: true,
                reason: "another writer was at work on it".into(),
            });
        };
        // Sealing is randomised, so these very bytes can only come from this call: its answer was lost on the way
        // and the SDK tried again.
        if found == sealed {
            return Ok(Written::Ours);
        }
        let found = self.inner.sealer.open(place, found).await.map_err(|e| StoreError::envelope(key, e))?;
        Ok(Written::Earlier(found))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("sealer", &self.inner.sealer).field("cache", &self.inner.cache).finish()
    }
}

fn answer_place(survey: SurveyId, point: u64) -> Place {
    Place { survey, kind: ObjectKind::Answer, height: point }
}

fn answer_key(survey: SurveyId, point: u64) -> String {
    format!("surveys/{survey}/answers/{point:020}")
}

fn segment_prefix(survey: SurveyId) -> String {
    format!("surveys/{survey}/segments/")
}

fn segment_key(survey: SurveyId, height: u64, entry: EntryHash) -> String {
    format!("{}{height:020}-{entry}", segment_prefix(survey))
}

/// Reads a 20-digit number, the one spelling that keys have.
fn number(text: &str) -> Option<u64> {
    (text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn foreign(key: &str) -> StoreError {
    StoreError::corrupt(key, "it has no name that this store gives, so something else wrote it")
}
