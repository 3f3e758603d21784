//! Checkpoints: entries that follow each other in a log once more, as one object, so that a start reads some hundred objects
//! in place of some hundred thousand.
//!
//! A checkpoint is never the only copy of anything, and nothing is believed because a checkpoint says so. It is sealed like
//! every object and bound to its survey and first height. The hash of each of its entries is computed again and must be the
//! one that the next entry names. The entry that follows the last of them, or the last one itself, is always read as an
//! object of its own with its three votes ([`super::log`]). Three votes name all entries below by hash, so a checkpoint
//! cannot differ from the log. A checkpoint that does not fit is deleted, and the entries are read instead.

use tercet_mutants::mutant;
use tercet_protocol::codec::{CodecError, Reader, Writer};
use tercet_protocol::ids::{EntryHash, SurveyId};
use tercet_protocol::log::LogEntry;

use super::{Store, StoreError, Written, number};
use crate::keyring::{ObjectKind, Place};

const TAG: &[u8] = b"tercet checkpoint v1";
/// Most entries of a checkpoint.
const MAX_ENTRIES: u64 = 1024;
/// Bytes of entries after which a checkpoint takes no more.
const ENOUGH_BYTES: usize = 1 << 20;
/// Most bytes of one entry, as a frame between parties has.
const MAX_ENTRY: usize = 64 << 20;

/// The heights of a checkpoint, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first height.
    pub first: u64,
    /// The last one, not below the first.
    pub last: u64,
}

impl Span {
    fn place(self, survey: SurveyId) -> Place {
        Place { survey, kind: ObjectKind::Checkpoint, height: self.first }
    }

    /// The object's key.
    pub(super) fn key(self, survey: SurveyId) -> String {
        format!("{}{:020}-{:020}", folder(survey), self.first, self.last)
    }

    fn parse(name: &str) -> Option<Self> {
        let (first, last) = name.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        (1..=last).contains(&first).then_some(Self { first, last })
    }
}

fn folder(survey: SurveyId) -> String {
    format!("surveys/{survey}/checkpoints/")
}

/// Why an object is no checkpoint of its place.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("its entries do not follow each other, or are others than its name says")]
    Chain,
}

/// A checkpoint that was read: its entries with their hashes. They follow each other; whether they are the log's is for votes
/// to say.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub span: Span,
    /// The hash that the first entry names as the one below.
    pub previous: EntryHash,
    pub entries: Vec<(LogEntry, EntryHash)>,
}

impl Checkpoint {
    /// Reads the bytes of [`Draft::encode`].
    pub fn decode(survey: SurveyId, span: Span, bytes: &[u8]) -> Result<Self, Unfit> {
        let mut r = Reader::new(bytes);
        if r.bytes("tag", TAG.len())? != TAG {
            return Err(CodecError::Unknown("the tag").into());
        }
        let (first, last) = (r.u64()?, r.u64()?);
        let (previous, head) = (EntryHash(r.array()?), EntryHash(r.array()?));
        if (Span { first, last }) != span || last - first >= MAX_ENTRIES {
            return Err(Unfit::Chain);
        }
        let mut below = previous;
        let mut entries = Vec::new();
        for height in first..=last {
            let bytes = r.bytes("an entry", MAX_ENTRY)?;
            let mut inner = Reader::new(bytes);
            let entry = LogEntry::read(&mut inner)?;
            inner.finish()?;
            let follows = entry.previous == below || mutant!("checkpoint-chain-not-followed");
            if entry.survey != survey || entry.height != height || !follows {
                return Err(Unfit::Chain);
            }
            below = LogEntry::hash_of(bytes);
            entries.push((entry, below));
        }
        r.finish()?;
        if below != head {
            return Err(Unfit::Chain);
        }
        Ok(Self { span, previous, entries })
    }
}

/// A checkpoint that is being gathered: entries of the log that no checkpoint holds yet.
#[derive(Debug)]
pub struct Draft {
    previous: EntryHash,
    head: (u64, EntryHash),
    count: u64,
    entries: Vec<u8>,
}

impl Draft {
    /// Begins above an entry, by its height and hash.
    pub fn above(head: (u64, EntryHash)) -> Self {
        Self { previous: head.1, head, count: 0, entries: Vec::new() }
    }

    /// Adds the entry that follows, by its hash. Gives a checkpoint that is to be written if that is enough for one.
    pub fn add(&mut self, entry: &LogEntry, hash: EntryHash) -> Option<Self> {
        let (mut bytes, mut framed) = (Writer::default(), Writer::default());
        entry.write(&mut bytes);
        framed.bytes(&bytes.finish());
        self.entries.extend_from_slice(&framed.finish());
        self.head = (entry.height, hash);
        self.count += 1;
        if self.count < MAX_ENTRIES && self.entries.len() < ENOUGH_BYTES {
            return None;
        }
        self.take()
    }

    /// Gives the entries that were gathered, if there are any; the draft goes on above them.
    pub fn take(&mut self) -> Option<Self> {
        let next = Self::above(self.head);
        let gathered = std::mem::replace(self, next);
        (gathered.count > 0).then_some(gathered)
    }

    /// Its heights; `None` if it has no entries.
    pub fn span(&self) -> Option<Span> {
        let last = self.head.0;
        (self.count > 0).then(|| Span { first: last - self.count + 1, last })
    }

    /// A tag, first and last height, the hash below the first entry and that of the last one, the entries.
    fn encode(self, span: Span) -> Vec<u8> {
        let mut w = Writer::default();
        w.bytes(TAG).u64(span.first).u64(span.last);
        w.array(self.previous.as_ref()).array(self.head.1.as_ref());
        w.array(&self.entries);
        w.finish()
    }
}

impl Store {
    /// The checkpoints that there are, in order of their first heights.
    pub async fn checkpoints(&self, survey: SurveyId) -> Result<Vec<Span>, StoreError> {
        let folder = folder(survey);
        let keys = self.inner.objects.list(&folder).await?;
        let mut spans: Vec<Span> =
            keys.iter().filter_map(|key| Span::parse(key.strip_prefix(&folder)?)).collect();
        spans.sort_unstable();
        Ok(spans)
    }

    /// Writes a checkpoint of entries that are committed. Repeating it succeeds.
    pub async fn put_checkpoint(&self, survey: SurveyId, draft: Draft) -> Result<(), StoreError> {
        let Some(span) = draft.span() else { return Ok(()) };
        let (key, plain) = (span.key(survey), draft.encode(span));
        match self.write(&span.place(survey), &key, &plain).await? {
            Written::Earlier(found) if *found != plain => Err(StoreError::Conflict { key }),
            Written::Earlier(_) | Written::Ours => Ok(()),
        }
    }

    /// The same behind the caller's back: a checkpoint that cannot be written costs the next start some time, and nothing else.
    pub fn checkpoint_later(&self, survey: SurveyId, draft: Draft) {
        let store = self.clone();
        tokio::spawn(async move {
            if let Err(e) = store.put_checkpoint(survey, draft).await {
                tracing::warn!(error = %e, "a checkpoint was not written: the next start reads its entries one by one");
            }
        });
    }

    /// Deletes a checkpoint; one that is not there counts as deleted.
    pub async fn delete_checkpoint(&self, survey: SurveyId, span: Span) -> Result<(), StoreError> {
        self.inner.objects.delete(&span.key(survey)).await
    }

    /// Opens a checkpoint, which has to be sealed for its place, and looks no further into it.
    pub(super) async fn open_checkpoint(
        &self,
        survey: SurveyId,
        span: Span,
    ) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
        self.read(&span.place(survey), &span.key(survey)).await
    }
}

#[cfg(test)]
mod tests {
    use tercet_protocol::log::EntryBody;

    use super::*;

    const SURVEY: SurveyId = SurveyId([3; 32]);

    /// Entries that follow each other from a height on.
    fn entries(first: u64, n: u64) -> Vec<(LogEntry, EntryHash)> {
        let mut previous = EntryHash([9; 32]);
        (first..first + n)
            .map(|height| {
                let body = EntryBody::Refresh { epoch: height, rows: vec![] };
                let entry = LogEntry { survey: SURVEY, height, previous, at: 7, body };
                previous = entry.hash();
                (entry, previous)
            })
            .collect()
    }

    fn draft(of: &[(LogEntry, EntryHash)]) -> Draft {
        let first = &of[0].0;
        let mut draft = Draft::above((first.height - 1, first.previous));
        of.iter().for_each(|(entry, hash)| assert!(draft.add(entry, *hash).is_none()));
        draft
    }

    fn encoded(of: &[(LogEntry, EntryHash)]) -> (Span, Vec<u8>) {
        let draft = draft(of);
        let span = draft.span().unwrap();
        (span, draft.encode(span))
    }

    #[test]
    fn entries_come_back_with_their_hashes() {
        let all = entries(5, 20);
        let (span, bytes) = encoded(&all);
        assert_eq!(span, Span { first: 5, last: 24 });
        let read = Checkpoint::decode(SURVEY, span, &bytes).unwrap();
        assert_eq!((read.span, read.previous), (span, all[0].0.previous));
        assert_eq!(read.entries, all);
        assert_eq!(Span::parse(span.key(SURVEY).rsplit_once('/').unwrap().1), Some(span));
    }

    #[test]
    fn no_byte_can_be_altered_and_no_place_exchanged() {
        let all = entries(5, 3);
        let (span, bytes) = encoded(&all);
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Checkpoint::decode(SURVEY, span, &altered).is_err(), "byte {at} altered");
            assert!(Checkpoint::decode(SURVEY, span, &bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(Checkpoint::decode(SURVEY, span, &[&bytes[..], &[0]].concat()).is_err());
        for other in [Span { first: 5, last: 8 }, Span { first: 4, last: 7 }, Span { first: 6, last: 7 }] {
            assert!(Checkpoint::decode(SURVEY, other, &bytes).is_err(), "{other:?}");
        }
        assert!(Checkpoint::decode(SurveyId([4; 32]), span, &bytes).is_err());
        // Entries of which one does not follow.
        let mut gap = entries(5, 3);
        gap[2].0.previous = EntryHash([1; 32]);
        gap[2].1 = gap[2].0.hash();
        let (span, bytes) = encoded(&gap);
        assert!(matches!(Checkpoint::decode(SURVEY, span, &bytes), Err(Unfit::Chain)));
    }

    #[test]
    fn a_draft_is_written_when_it_is_full_and_goes_on() {
        let all = entries(1, 2 * MAX_ENTRIES + 10);
        let mut draft = Draft::above((0, all[0].0.previous));
        let full: Vec<_> = all.iter().filter_map(|(e, h)| draft.add(e, *h)?.span()).collect();
        let second = Span { first: MAX_ENTRIES + 1, last: 2 * MAX_ENTRIES };
        assert_eq!(full, [Span { first: 1, last: MAX_ENTRIES }, second]);
        assert_eq!(draft.span(), Some(Span { first: second.last + 1, last: second.last + 10 }));
        assert!(draft.take().is_some() && draft.take().is_none());
    }
}
