//! Reading a survey's log at a start, by its checkpoints if they hold together with the entries, and without them otherwise.

use tercet_protocol::ids::PublicKey;
use tercet_protocol::log::LogEntry;
use tercet_protocol::survey::SurveyDescriptor;

use super::book::Book;
use super::supply;
use crate::store::{Draft, Progress, Span, Store, StoreError};

/// The reasons for which a survey cannot run here.
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
    /// The stored log does not hold together.
    #[error(transparent)]
    Inconsistent(#[from] super::book::Inconsistent),
}

impl SurveyStartError {
    /// True if the content that was read is wrong; false if reading it failed.
    fn is_of_content(&self) -> bool {
        matches!(self, Self::Inconsistent(_) | Self::Store(StoreError::Corrupt { .. }))
    }
}

/// The state that the log amounts to.
pub struct Replayed {
    /// Who waits, who is counted, who has left.
    pub book: Book,
    /// The heights of entries that bring rows.
    pub with_rows: Vec<u64>,
    /// The entries that no checkpoint holds.
    pub draft: Draft,
}

/// Reads the log. What does not hold together with checkpoints is read once more without them: the entries are the judges.
pub async fn read(
    store: &Store,
    survey: &SurveyDescriptor,
    progress: &Progress,
) -> Result<Replayed, SurveyStartError> {
    let checkpoints = store.checkpoints(survey.id()).await?;
    match with(store, survey, &checkpoints, progress).await {
        Err(e) if !checkpoints.is_empty() && e.is_of_content() => {
            tracing::warn!(error = %e, "the log does not hold together with its checkpoints: it is read without them");
            for span in checkpoints {
                store.delete_checkpoint(survey.id(), span).await?;
            }
            with(store, survey, &[], progress).await
        }
        read => read,
    }
}

async fn with(
    store: &Store,
    survey: &SurveyDescriptor,
    checkpoints: &[Span],
    progress: &Progress,
) -> Result<Replayed, SurveyStartError> {
    let id = survey.id();
    let (mut book, mut with_rows) = (Book::new(id, survey.manifest()), Vec::new());
    let apply = |entry: LogEntry, hash| {
        book.extend(&entry, hash)?;
        if supply::has_rows(&entry) {
            with_rows.push(entry.height);
        }
        Ok::<_, SurveyStartError>(())
    };
    let draft = store.replay(id, survey.parties(), checkpoints, progress, apply).await?;
    Ok(Replayed { book, with_rows, draft })
}
