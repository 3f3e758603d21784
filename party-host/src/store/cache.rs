//! Opened segments in memory, so that a query does not read and decrypt again what the last one did.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tercet_protocol::ids::{EntryHash, SurveyId};

use super::Segment;

/// The identity of a segment; segments never change.
type Key = (SurveyId, u64, EntryHash);

/// The least recently used segments go when the rest would exceed the bound.
pub struct SegmentCache {
    inner: Mutex<Inner>,
    max_bytes: usize,
}

struct Inner {
    segments: LruCache<Key, Arc<Segment>>,
    bytes: usize,
}

impl SegmentCache {
    /// Holds at most `max_bytes` of segments; 0 holds none.
    pub fn new(max_bytes: usize) -> Self {
        Self { inner: Mutex::new(Inner { segments: LruCache::unbounded(), bytes: 0 }), max_bytes }
    }

    /// A segment that is held; counts as its use.
    pub fn get(&self, survey: SurveyId, height: u64, entry: EntryHash) -> Option<Arc<Segment>> {
        self.lock().segments.get(&(survey, height, entry)).cloned()
    }

    /// Holds a segment, unless it alone exceeds the bound.
    pub fn insert(&self, survey: SurveyId, height: u64, entry: EntryHash, segment: Arc<Segment>) {
        let weight = segment.weight();
        if weight > self.max_bytes {
            return;
        }
        let mut inner = self.lock();
        if let Some(old) = inner.segments.put((survey, height, entry), segment) {
            inner.bytes -= old.weight();
        }
        inner.bytes += weight;
        while inner.bytes > self.max_bytes {
            let Some((_, old)) = inner.segments.pop_lru() else { break };
            inner.bytes -= old.weight();
        }
    }

    /// Lets go of a segment.
    pub fn remove(&self, survey: SurveyId, height: u64, entry: EntryHash) {
        let mut inner = self.lock();
        if let Some(old) = inner.segments.pop(&(survey, height, entry)) {
            inner.bytes -= old.weight();
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere cannot leave the map half-changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SegmentCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentCache({} of {} bytes)", self.bytes(), self.max_bytes)
    }
}

#[cfg(test)]
mod tests {
    use tercet_protocol::ids::SubmissionId;
    use zeroize::Zeroizing;

    use super::*;

    const SURVEY: SurveyId = SurveyId([1; 32]);
    const ENTRY: EntryHash = EntryHash([2; 32]);

    fn segment(rows: usize) -> Arc<Segment> {
        let ids = vec![SubmissionId([0; 32]); rows];
        Arc::new(
            Segment::new(ids, 1, Zeroizing::new(vec![0; rows * 32]), Zeroizing::new(vec![0; rows * 64]))
                .unwrap(),
        )
    }

    #[test]
    fn the_least_recently_used_go_first_and_bytes_are_bounded() {
        let one = segment(10).weight();
        let cache = SegmentCache::new(3 * one);
        for height in 1..=3 {
            cache.insert(SURVEY, height, ENTRY, segment(10));
        }
        assert!(cache.get(SURVEY, 1, ENTRY).is_some());
        cache.insert(SURVEY, 4, ENTRY, segment(10));
        let held: Vec<_> = (1..=4).filter(|h| cache.get(SURVEY, *h, ENTRY).is_some()).collect();
        assert_eq!(held, [1, 3, 4]);
        assert_eq!(cache.bytes(), 3 * one);
        // Again under the same key: counted once.
        cache.insert(SURVEY, 4, ENTRY, segment(10));
        assert_eq!(cache.bytes(), 3 * one);
        // Larger than everything together: not held, and nothing is pushed out for it.
        cache.insert(SURVEY, 5, ENTRY, segment(100));
        assert_eq!(cache.bytes(), 3 * one);
        for height in 1..=4 {
            cache.remove(SURVEY, height, ENTRY);
        }
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn nothing_is_mistaken_for_another() {
        let cache = SegmentCache::new(1 << 20);
        cache.insert(SURVEY, 1, ENTRY, segment(1));
        assert!(cache.get(SurveyId([9; 32]), 1, ENTRY).is_none());
        assert!(cache.get(SURVEY, 2, ENTRY).is_none());
        assert!(cache.get(SURVEY, 1, EntryHash([9; 32])).is_none());
        assert!(SegmentCache::new(0).get(SURVEY, 1, ENTRY).is_none());
    }
}
