//! How an entry of any kind becomes final: what belongs to it is staged, the three parties vote, the entry is committed.
//!
//! Nothing else writes the log, but for entries that a party takes from a peer with three votes ([`super::catchup`]).

use std::sync::Arc;

use tercet_protocol::ids::{EntryHash, Signature};
use tercet_protocol::log::{CommittedEntry, LogEntry};

use super::session::{SessionError, Step, Wire};
use super::survey::SurveyNode;
use crate::store::Segment;

/// What has to be on durable storage before a party votes for an entry.
#[derive(Debug, Clone)]
pub enum Staged {
    /// The entry brings no rows.
    Nothing,
    /// The rows that the entry brings: of a batch its submissions', of a release point the sums of its units.
    Rows(Arc<Segment>),
    /// The rows of an earlier entry without those that are erased. They take the place of the earlier ones.
    Rewritten {
        /// The earlier entry's height.
        height: u64,
        /// The name under which its rows are stored now; deleted after the commit.
        old: EntryHash,
        /// Their name from this entry on ([`super::book::rewritten`]).
        new: EntryHash,
        /// What is left of its rows.
        rows: Arc<Segment>,
    },
}

/// Makes an entry final with both peers. The caller holds the survey's session lock, and has checked that this party
/// agrees with the entry.
pub async fn commit(
    survey: &SurveyNode,
    mut wire: Wire,
    entry: LogEntry,
    staged: Staged,
) -> Result<(CommittedEntry, Wire), SessionError> {
    // Staged: whoever sees three votes can rely on all three having their rows on durable storage.
    let id = survey.id();
    let obsolete = match staged {
        Staged::Nothing => None,
        Staged::Rows(rows) => {
            survey.store.put_segment(id, entry.height, entry.hash(), rows).await?;
            None
        }
        Staged::Rewritten { height, old, new, rows } => {
            survey.store.put_segment(id, height, new, rows).await?;
            Some((height, old))
        }
    };
    let vote = entry.sign(survey.identity());
    let mut votes = [vote; 3];
    for (party, theirs) in wire.exchange(Step::Vote, vote.0.to_vec()).await? {
        let signature = <[u8; 64]>::try_from(&theirs[..])
            .map(Signature)
            .map_err(|_| SessionError::Disagreement { party, what: "sent a malformed vote".into() })?;
        if entry.verify_vote(&survey.parties()[usize::from(party)], &signature).is_err() {
            return Err(SessionError::Disagreement {
                party,
                what: format!("voted for another {} than this party", entry.body.kind()),
            });
        }
        votes[usize::from(party)] = signature;
    }
    let committed = CommittedEntry { entry, votes };
    survey.commit(&committed).await?;
    if let Some((height, old)) = obsolete {
        // A crash before this leaves the old rows; the next start deletes them.
        survey.store.delete_segment(id, height, old).await?;
    }
    Ok((committed, wire))
}
