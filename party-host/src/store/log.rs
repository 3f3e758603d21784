//! The committed log: one object for each entry, created once and never overwritten, and how a start reads them all.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tercet_mutants::mutant;
use tercet_protocol::ids::{EntryHash, PublicKey, SurveyId};
use tercet_protocol::log::{CommittedEntry, LogEntry};

use super::checkpoint::{Checkpoint, Draft, Span};
use super::{Store, StoreError, Written, entry, foreign, number};
use crate::keyring::{ObjectKind, Place};

/// Entries and checkpoints that are read at once when a party starts. Each has about a mebibyte at most.
const CONCURRENT_READS: usize = 64;

/// The progress of reading a log, shared between the reader and those who ask.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    all: AtomicU64,
}

impl Progress {
    /// Entries that are read, and entries that there are; both zero before it is known.
    pub fn entries(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }

    fn begin(&self, all: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.all.store(all, Ordering::Relaxed);
    }
}

/// An object that is to be read.
enum Wanted {
    Checkpoint(Span),
    Entry(u64),
}

/// An object that was read.
enum Found {
    Checkpoint(Checkpoint),
    /// It is none, for this reason.
    Unfit(Span, String),
    /// Three parties voted for it.
    Entry(Box<LogEntry>, EntryHash),
}

/// The objects to read of a log of this height, in order: checkpoints where there are some, entries elsewhere. The last entry is
/// always among the latter: its votes confirm all entries below it in checkpoints.
fn plan(height: u64, checkpoints: &[Span]) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let mut next = 1;
    let mut sorted: Vec<Span> = checkpoints
        .iter()
        .copied()
        .filter(|span| span.last <= height || mutant!("checkpoint-above-the-log"))
        .collect();
    // Of several with one beginning the longest comes first; the others then overlap.
    sorted.sort_unstable_by_key(|span| (span.first, std::cmp::Reverse(span.last)));
    for span in sorted {
        if span.first < next {
            continue;
        }
        wanted.extend((next..span.first).map(Wanted::Entry));
        wanted.push(Wanted::Checkpoint(span));
        next = span.last + 1;
    }
    wanted.extend((next..=height).map(Wanted::Entry));
    if matches!(wanted.last(), Some(Wanted::Checkpoint(_))) && !mutant!("newest-entry-not-read") {
        wanted.push(Wanted::Entry(height));
    }
    wanted
}

/// A log while it is being read.
struct Reading<'a, E> {
    store: Store,
    survey: SurveyId,
    head: (u64, EntryHash),
    draft: Draft,
    apply: &'a mut (dyn FnMut(LogEntry, EntryHash) -> Result<(), E> + Send),
}

impl<E: From<StoreError>> Reading<'_, E> {
    fn corrupt(&self, key: &str, height: u64) -> E {
        let why = format!("it does not follow the entry at height {}", height.saturating_sub(1));
        StoreError::corrupt(key, why).into()
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), E> {
        let Checkpoint { span, previous, entries } = checkpoint;
        if span.first != self.head.0 + 1 || previous != self.head.1 {
            return Err(self.corrupt(&span.key(self.survey), span.first));
        }
        // What stands before it in no checkpoint gets one of its own.
        if let Some(draft) = self.draft.take() {
            self.store.checkpoint_later(self.survey, draft);
        }
        for (entry, hash) in entries {
            self.head = (entry.height, hash);
            (self.apply)(entry, hash)?;
        }
        self.draft = Draft::above(self.head);
        Ok(())
    }

    fn entry(&mut self, entry: LogEntry, hash: EntryHash) -> Result<(), E> {
        let height = entry.height;
        if (height, hash) == self.head {
            // It was in a checkpoint already; three votes confirm it, and all below it.
            return Ok(());
        }
        if height != self.head.0 + 1 || entry.previous != self.head.1 {
            return Err(self.corrupt(&log_key(self.survey, height), height));
        }
        self.head = (height, hash);
        if let Some(draft) = self.draft.add(&entry, hash) {
            self.store.checkpoint_later(self.survey, draft);
        }
        (self.apply)(entry, hash)
    }
}

impl Store {
    /// Commits an entry at its height: the moment from which its batch counts. Repeating it succeeds; if another
    /// entry is there it is [`StoreError::Diverged`].
    pub async fn commit(&self, survey: SurveyId, committed: &CommittedEntry) -> Result<(), StoreError> {
        let height = committed.entry.height;
        if committed.entry.survey != survey || height == 0 {
            return Err(StoreError::Config(format!(
                "entry {height} of survey {} is not {survey}'s",
                committed.entry.survey
            )));
        }
        let key = log_key(survey, height);
        let plain = entry::encode(committed);
        match self.write(&log_place(survey, height), &key, &plain).await? {
            Written::Ours => Ok(()),
            Written::Earlier(found) => {
                let found = decode_entry(survey, height, &found)?;
                // Votes may differ: a signer can make several valid signatures of one entry.
                let (stored, offered) = (found.entry.hash(), committed.entry.hash());
                if stored == offered { Ok(()) } else { Err(StoreError::Diverged { height, stored, offered }) }
            }
        }
    }

    /// The entry at a height, if committed. Its votes are not checked again.
    pub async fn get_entry(
        &self,
        survey: SurveyId,
        height: u64,
    ) -> Result<Option<CommittedEntry>, StoreError> {
        let plain = self.read(&log_place(survey, height), &log_key(survey, height)).await?;
        plain.map(|p| decode_entry(survey, height, &p)).transpose()
    }

    /// The log's height. Heights are contiguous from 1: an entry that is missing below another one was lost. `newest`: about how
    /// high the log is.
    async fn log_height(&self, survey: SurveyId, newest: u64) -> Result<u64, StoreError> {
        let folder = log_folder(survey);
        let mut height = 0;
        for key in self.list_numbered(&folder, newest).await? {
            let n = key.strip_prefix(&folder).and_then(number).filter(|n| *n > 0);
            if n.ok_or_else(|| foreign(&key))? != height + 1 {
                return Err(StoreError::Missing { key: log_key(survey, height + 1) });
            }
            height += 1;
        }
        Ok(height)
    }

    /// Reads the whole log from height 1 and hands each entry with its hash to `apply`, in order. Every link of the chain is
    /// checked, and so are the three parties' votes on every entry that no checkpoint holds; the last entry is always one of
    /// these. Gives the entries at the log's end that no checkpoint holds.
    ///
    /// # Errors
    ///
    /// The errors of the store and of `apply`. Entries that were handed out before an error do not count. If checkpoints
    /// were used, one of them may be the reason: [`Self::replay`] without checkpoints decides.
    pub async fn replay<E: From<StoreError>>(
        &self,
        survey: SurveyId,
        parties: &[PublicKey; 3],
        checkpoints: &[Span],
        progress: &Progress,
        mut apply: impl FnMut(LogEntry, EntryHash) -> Result<(), E> + Send,
    ) -> Result<Draft, E> {
        let newest = checkpoints.iter().map(|span| span.last).max().unwrap_or(0);
        let height = self.log_height(survey, newest).await?;
        progress.begin(height);
        let nothing = (0, EntryHash([0; 32]));
        let draft = Draft::above(nothing);
        let mut log = Reading { store: self.clone(), survey, head: nothing, draft, apply: &mut apply };
        let mut read = std::pin::pin!(self.read_all(survey, *parties, plan(height, checkpoints)));
        while let Some(found) = read.try_next().await? {
            match found {
                Found::Entry(entry, hash) => log.entry(*entry, hash)?,
                Found::Checkpoint(checkpoint) => {
                    log.checkpoint(checkpoint)?;
                    // A thousand entries were applied at once: whoever asks meanwhile has a turn.
                    tokio::task::yield_now().await;
                }
                Found::Unfit(span, why) => {
                    let Span { first, last } = span;
                    tracing::warn!(first, last, why, "a checkpoint is of no use: its entries are read");
                    if let Err(e) = self.delete_checkpoint(survey, span).await {
                        tracing::warn!(error = %e, "a checkpoint that is of no use stays");
                    }
                    let entries = (first..=last).map(Wanted::Entry).collect();
                    let mut read = std::pin::pin!(self.read_all(survey, *parties, entries));
                    while let Some(found) = read.try_next().await? {
                        if let Found::Entry(entry, hash) = found {
                            log.entry(*entry, hash)?;
                            progress.done.store(log.head.0, Ordering::Relaxed);
                        }
                    }
                }
            }
            progress.done.store(log.head.0, Ordering::Relaxed);
        }
        Ok(log.draft)
    }

    /// Reads several at once and gives them in order.
    fn read_all(
        &self,
        survey: SurveyId,
        parties: [PublicKey; 3],
        wanted: Vec<Wanted>,
    ) -> impl Stream<Item = Result<Found, StoreError>> + Send + use<> {
        let store = self.clone();
        stream::iter(wanted)
            .map(move |wanted| {
                let store = store.clone();
                async move {
                    match wanted {
                        Wanted::Checkpoint(span) => store.read_checkpoint(survey, span).await,
                        Wanted::Entry(height) => store.read_entry(survey, parties, height).await,
                    }
                }
            })
            .buffered(CONCURRENT_READS)
    }

    async fn read_checkpoint(&self, survey: SurveyId, span: Span) -> Result<Found, StoreError> {
        let plain = match self.open_checkpoint(survey, span).await {
            Ok(Some(plain)) => plain,
            Ok(None) => return Ok(Found::Unfit(span, "it is not there any more".into())),
            Err(StoreError::Corrupt { reason, .. }) => return Ok(Found::Unfit(span, reason)),
            Err(e) => return Err(e),
        };
        // Hashes of a mebibyte, off the threads that serve I/O.
        let read = tokio::task::spawn_blocking(move || Checkpoint::decode(survey, span, &plain)).await;
        Ok(match read.map_err(|e| ended(&e))? {
            Ok(checkpoint) => Found::Checkpoint(checkpoint),
            Err(e) => Found::Unfit(span, e.to_string()),
        })
    }

    async fn read_entry(
        &self,
        survey: SurveyId,
        parties: [PublicKey; 3],
        height: u64,
    ) -> Result<Found, StoreError> {
        let key = log_key(survey, height);
        let committed = self.get_entry(survey, height).await?.ok_or(StoreError::Missing { key })?;
        // Three signatures take some tenths of a millisecond.
        let voted = tokio::task::spawn_blocking(move || {
            let hash = committed.voted(&parties)?;
            Ok::<_, tercet_protocol::log::LogError>((committed.entry, hash))
        });
        match voted.await.map_err(|e| ended(&e))? {
            Ok((entry, hash)) => Ok(Found::Entry(Box::new(entry), hash)),
            Err(e) => Err(StoreError::corrupt(&log_key(survey, height), e)),
        }
    }
}

fn ended(e: &tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable {
        operation: "checking the log".into(),
        retryable: true,
        reason: format!("the check ended: {e}"),
    }
}

fn log_place(survey: SurveyId, height: u64) -> Place {
    Place { survey, kind: ObjectKind::LogEntry, height }
}

fn log_folder(survey: SurveyId) -> String {
    format!("surveys/{survey}/log/")
}

fn log_key(survey: SurveyId, height: u64) -> String {
    format!("{}{height:020}", log_folder(survey))
}

fn decode_entry(survey: SurveyId, height: u64, plain: &[u8]) -> Result<CommittedEntry, StoreError> {
    let key = log_key(survey, height);
    let committed = entry::decode(plain).map_err(|e| StoreError::corrupt(&key, e))?;
    if committed.entry.survey != survey || committed.entry.height != height {
        return Err(StoreError::corrupt(&key, "it holds the entry of another survey or height"));
    }
    Ok(committed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan as text: `c` and the span of a checkpoint, or the height of an entry.
    fn planned(height: u64, spans: &[(u64, u64)]) -> String {
        let spans: Vec<Span> = spans.iter().map(|&(first, last)| Span { first, last }).collect();
        let texts: Vec<_> = plan(height, &spans)
            .iter()
            .map(|wanted| match wanted {
                Wanted::Checkpoint(span) => format!("c{}-{}", span.first, span.last),
                Wanted::Entry(height) => height.to_string(),
            })
            .collect();
        texts.join(" ")
    }

    #[test]
    fn every_height_is_read_and_the_last_with_its_votes() {
        for (height, spans, expected) in [
            (0, &[][..], ""),
            (3, &[], "1 2 3"),
            (5, &[(1, 3)], "c1-3 4 5"),
            // The last entry is read although a checkpoint holds it.
            (3, &[(1, 3)], "c1-3 3"),
            (8, &[(1, 3), (6, 7)], "c1-3 4 5 c6-7 8"),
            (8, &[(3, 5)], "1 2 c3-5 6 7 8"),
            // Above the log: nobody has voted for that here.
            (4, &[(1, 2), (3, 6)], "c1-2 3 4"),
            // Overlapping ones: the longest from each beginning, and none that reaches back.
            (9, &[(1, 2), (1, 4), (3, 6), (5, 6)], "c1-4 c5-6 7 8 9"),
        ] {
            assert_eq!(planned(height, spans), expected, "height {height}, {spans:?}");
        }
    }
}
