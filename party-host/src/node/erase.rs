//! Leaving: a row's shares are deleted at all three parties, by an agreed entry.
//!
//! A row that waited is gone. The sums of a unit stay as they are: they are about `min_new` people or more, of whom the one who
//! left was one. Forming the unit anew would tell, by the difference, about that one.

use std::sync::Arc;

use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::ids::{EntryHash, Signature, SubmissionId};
use tercet_protocol::log::{EntryBody, LogEntry};
use tercet_protocol::withdrawal::{ErasureReceipt, Withdrawal};

use super::agree::{self, Staged};
use super::session::{Established, SessionError};
use super::survey::SurveyNode;

/// Decides if a withdrawal is to be followed; the problem says why not.
pub async fn check(
    survey: &SurveyNode,
    withdrawal: &Withdrawal,
) -> Result<Result<(), Problem>, SessionError> {
    let id = withdrawal.submission;
    let height = {
        let book = survey.book();
        if let Err(problem) = book.may_leave(&id) {
            return Ok(Err(problem));
        }
        book.place(&id).map_or(0, |p| p.height)
    };
    let entry = survey.store.get_entry(survey.id(), height).await?;
    let accepted = entry.iter().flat_map(|e| e.entry.accepted()).find(|a| a.submission == id);
    let Some(accepted) = accepted else {
        return Err(SessionError::Internal(format!("the log entry at height {height} cannot be found")));
    };
    let signed = withdrawal.survey == survey.id() && withdrawal.verify(&accepted.withdrawal_key).is_ok();
    let wrong = || {
        let detail =
            "the withdrawal is not signed with the key of this submission: use the receipt of its submission";
        Problem::new(ProblemKind::Malformed, detail)
    };
    Ok(if signed { Ok(()) } else { Err(wrong()) })
}

/// Runs an agreed session that erases one row, to its commit. The caller holds the survey's session lock.
pub async fn run(
    survey: &SurveyNode,
    session: Established,
    withdrawal: &Withdrawal,
    at: u64,
) -> Result<(), SessionError> {
    if let Err(problem) = check(survey, withdrawal).await? {
        let what = format!("wants to erase what this party must not: {}", problem.detail);
        return Err(SessionError::Disagreement { party: 0, what });
    }
    let id = withdrawal.submission;
    let (head, previous) = survey.book().head();
    let height = head + 1;
    let body = EntryBody::Erase { submission: id, request: withdrawal.signature };
    let entry = LogEntry { survey: survey.id(), height, previous, at, body };
    let staged = rewrite(survey, id, entry.hash()).await?;
    agree::commit(survey, session.wire, entry, staged).await?;
    tracing::info!(submission = %id, height, "erased");
    Ok(())
}

/// The rows of a submission's batch without the submission's, to be stored for the entry `by`.
pub async fn rewrite(survey: &SurveyNode, id: SubmissionId, by: EntryHash) -> Result<Staged, SessionError> {
    let moved = {
        let book = survey.book();
        book.place(&id).and_then(|place| book.moved(place.height, by))
    };
    let moved = moved.ok_or_else(|| SessionError::Internal("a submission without a batch".into()))?;
    let rows = survey.store.segment(survey.id(), moved.height, moved.old).await?.without(&id);
    Ok(Staged::Rewritten(vec![(moved, Arc::new(rows))]))
}

/// This party's signed statement that a submission's shares are deleted here; `None` while they are not.
pub fn receipt(survey: &SurveyNode, id: SubmissionId) -> Option<ErasureReceipt> {
    let book = survey.book();
    let erased = book.erased(&id)?;
    let receipt = ErasureReceipt {
        survey: survey.id(),
        submission: id,
        height: erased.height,
        entry: book.hash_at(erased.height)?,
        time: erased.at,
        entered: book.entered(&id),
        party: survey.me(),
        signature: Signature([0; 64]),
    };
    drop(book);
    Some(receipt.signed(survey.identity()))
}
