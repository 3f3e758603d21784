//! Entries that are final, and why an entry does not extend a log.

use serde::{Deserialize, Serialize};

use super::LogEntry;
use crate::abandonment::Abandonment;
use crate::ids::{EntryHash, PublicKey, Signature, SurveyId};

/// An entry with the three votes that make it final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommittedEntry {
    /// The entry.
    pub entry: LogEntry,
    /// Votes in party order.
    pub votes: [Signature; 3],
}

/// Why a committed entry does not extend a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A vote does not verify.
    #[error("the vote of party {0} on this entry does not verify")]
    Vote(u8),
    /// The entry belongs to another survey.
    #[error("the entry belongs to another survey")]
    Survey,
    /// The entry does not follow the log's head.
    #[error(
        "the entry at height {found} does not follow height {head}: the logs have diverged or one is behind"
    )]
    Chain {
        /// The entry's height.
        found: u64,
        /// The head's height.
        head: u64,
    },
    /// A list in it is longer than it may be.
    #[error("a list of the entry has {0} elements, more than it may have")]
    Size(usize),
    /// An entry is given up without the word of all three operators.
    #[error("the entry gives another one up without the signatures of all three operators")]
    Operators,
}

impl CommittedEntry {
    /// Checks the votes and that the entry follows `(height, hash)` in `survey`'s log.
    pub fn verify(
        &self,
        survey: SurveyId,
        parties: &[PublicKey; 3],
        head: (u64, EntryHash),
    ) -> Result<(), LogError> {
        let e = &self.entry;
        if e.survey != survey {
            return Err(LogError::Survey);
        }
        if e.height.checked_sub(1) != Some(head.0) || e.previous != head.1 {
            return Err(LogError::Chain { found: e.height, head: head.0 });
        }
        self.voted(parties).map(|_| ())
    }

    /// Checks the votes, at whatever height the entry is, and gives its hash, for which they are.
    pub fn voted(&self, parties: &[PublicKey; 3]) -> Result<EntryHash, LogError> {
        self.entry.body.fits()?;
        if Abandonment::shown(&self.entry).is_some_and(|a| a.verify(parties).is_err()) {
            return Err(LogError::Operators);
        }
        let hash = self.entry.hash();
        let message = LogEntry::vote_message(hash);
        for ((i, key), vote) in (0u8..).zip(parties).zip(&self.votes) {
            key.verify(&message, vote).map_err(|_| LogError::Vote(i))?;
        }
        Ok(hash)
    }
}
