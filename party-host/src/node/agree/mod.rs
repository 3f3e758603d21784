//! The way of an entry of any kind to its end: its parts are staged, the three parties prepare, lock and vote, the
//! entry is committed. `docs/agreement.md` has the rules and their argument; the crate `tercet-agreement` decides, and
//! this module carries out its decisions.
//!
//! Nothing else writes the log, but for entries that a party takes from a peer with three votes ([`super::catchup`]).

mod finish;
mod memory;
mod scheme;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tercet_agreement::{Hello, Refusal};
use tercet_protocol::ids::{EntryHash, Signature, SurveyId};
use tercet_protocol::log::{CommittedEntry, LogEntry};

pub use finish::finish;
pub use memory::{Agreement, Found};
pub use scheme::{Keys, Names, decode_certificate, decode_prepare, encode_certificate, encode_prepare};

use super::book::Moved;
use super::session::{SessionError, Step, Wire};
use super::survey::SurveyNode;
use crate::store::{Pending, Segment, Store, StoreError};
use scheme::{Record, RowsAt};

/// Segments that are written at the same time.
const WRITTEN_AT_ONCE: usize = 16;

/// The data that has to be on durable storage before a party prepares an entry.
#[derive(Debug, Clone)]
pub enum Staged {
    /// The rows that the entry brings: of a batch its submissions', of a release point the sums of its units.
    Rows(Arc<Segment>),
    /// Nothing: the entry brings no rows.
    Nothing,
    /// The rows of earlier entries, without those that are erased or with new shares. They take the place of the earlier ones,
    /// which are deleted after the commit.
    Rewritten(Vec<(Moved, Arc<Segment>)>),
}

impl Staged {
    /// The place of the rows, and the rows themselves.
    fn split(self) -> (RowsAt, Vec<Arc<Segment>>) {
        match self {
            Self::Rows(rows) => (RowsAt::Own, vec![rows]),
            Self::Nothing => (RowsAt::Nowhere, Vec::new()),
            Self::Rewritten(all) => {
                let (moved, rows) = all.into_iter().unzip();
                (RowsAt::Instead(moved), rows)
            }
        }
    }
}

impl From<Refusal> for SessionError {
    fn from(refusal: Refusal) -> Self {
        let what = refusal.to_string();
        match refusal {
            Refusal::Behind { party, ours, theirs } => Self::Behind { party, ours, theirs },
            Refusal::Ahead { party, ours, theirs } => Self::PeerBehind { party, ours, theirs },
            Refusal::Diverged { party } => {
                let what = "has another log at the same height: stop and compare the three logs".into();
                Self::Disagreement { party, what }
            }
            Refusal::Prepare { party } => {
                Self::Disagreement { party, what: "prepared another entry than this party".into() }
            }
            Refusal::Vote { party } => {
                Self::Disagreement { party, what: "voted for another entry than this party".into() }
            }
            Refusal::Split => Self::Split,
            Refusal::Abandoned
            | Refusal::NotConfirmed { .. }
            | Refusal::OtherEntry
            | Refusal::Chain
            | Refusal::OutOfTurn => Self::Internal(what),
        }
    }
}

/// Leaves any session and says hello for a new one. The caller holds the survey's session lock.
pub async fn begin(survey: &SurveyNode) -> Result<Hello<Names>, SessionError> {
    if survey.agreement().unsure {
        let head = survey.agreement().machine.head();
        let found = Found::read(&survey.store, survey.id(), head).await?;
        survey.agreement().take(found);
    }
    Ok(survey.agreement().machine.begin())
}

/// Makes an entry final with both peers. The caller holds the survey's session lock, and has checked that this party
/// agrees with the entry.
pub async fn commit(
    survey: &SurveyNode,
    wire: Wire,
    entry: LogEntry,
    staged: Staged,
) -> Result<(CommittedEntry, Wire), SessionError> {
    let (at, rows) = staged.split();
    settle(survey, wire, entry, at, rows).await
}

/// Unix time in milliseconds: it keeps a party's numbers growing where the latest one was lost.
fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Makes rows durable under their names.
async fn stage(
    store: &Store,
    survey: SurveyId,
    places: &[(u64, EntryHash)],
    rows: &[Arc<Segment>],
) -> Result<(), StoreError> {
    let all: Vec<_> = places.iter().zip(rows).collect();
    for some in all.chunks(WRITTEN_AT_ONCE) {
        let mut writing = Vec::with_capacity(some.len());
        for ((height, name), rows) in some {
            writing.push(store.put_segment(survey, *height, *name, Arc::clone(rows)));
        }
        futures::future::try_join_all(writing).await?;
    }
    Ok(())
}

/// Prepare, lock, vote, commit. `rows` are staged first, in the order of their places; empty if they are staged
/// already.
async fn settle(
    survey: &SurveyNode,
    mut wire: Wire,
    entry: LogEntry,
    rows_at: RowsAt,
    rows: Vec<Arc<Segment>>,
) -> Result<(CommittedEntry, Wire), SessionError> {
    let (id, hash) = (survey.id(), entry.hash());
    if !wire.exchanged() {
        wire.exchange(Step::Confirm, Vec::new()).await?;
    }
    let prepare = {
        let mut agreement = survey.agreement();
        wire.heard().into_iter().for_each(|party| agreement.machine.heard(party));
        agreement.machine.prepare(&survey.keys(), hash, milliseconds())?
    };
    let places = rows_at.places(&entry);
    let record = Record { prepare: prepare.clone(), rows: rows_at, entry: entry.clone() };
    let name = Pending { lock: false, height: entry.height, number: prepare.number };
    // Both are durable before anybody hears of the prepare; one without the other says nothing.
    let staging = stage(&survey.store, id, &places, &rows);
    let bytes = record.encode();
    survey.certain(tokio::try_join!(staging, survey.store.put_pending(id, name, &bytes)))?;
    let obsolete = survey.agreement().prepared(record);
    obsolete.delete(&survey.store, id).await;

    let mut others = Vec::with_capacity(2);
    for (party, frame) in wire.exchange(Step::Prepare, encode_prepare(&prepare)).await? {
        let theirs = decode_prepare(&frame).map_err(|_| malformed(party, "prepare"))?;
        others.push((party, theirs));
    }
    let others =
        <[_; 2]>::try_from(others).map_err(|_| SessionError::Internal("two peers expected".into()))?;
    let lock = survey.agreement().machine.certify(&survey.keys(), others)?;
    let name = Pending { lock: true, ..name };
    survey.certain(survey.store.put_pending(id, name, &encode_certificate(&lock)).await)?;
    let (vote, obsolete) = {
        let mut agreement = survey.agreement();
        let obsolete = agreement.locked_durably(name.number);
        (agreement.machine.locked(&survey.keys())?, obsolete)
    };
    obsolete.delete(&survey.store, id).await;
    let mut votes = [vote; 3];
    for (party, theirs) in wire.exchange(Step::Vote, vote.0.to_vec()).await? {
        votes[usize::from(party)] =
            Signature(<[u8; 64]>::try_from(&theirs[..]).map_err(|_| malformed(party, "vote"))?);
    }
    let committed = CommittedEntry { entry, votes };
    survey.commit(&committed).await?;
    Ok((committed, wire))
}

fn malformed(party: u8, what: &str) -> SessionError {
    SessionError::Disagreement { party, what: format!("sent a malformed {what}") }
}
