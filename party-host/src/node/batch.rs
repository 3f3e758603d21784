//! A batch: who has which uploads, one check by the engine, stage, vote, commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use tercet_mpc::Reject;
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::ids::SubmissionId;
use tercet_protocol::log::{EntryBody, LogEntry, MAX_BATCH};
use zeroize::{Zeroize as _, Zeroizing};

use super::agree::{self, Staged};
use super::pool::{Outcome, Upload};
use super::session::{EngineWire, Established, SessionError, Step};
use super::survey::SurveyNode;
use crate::measures;
use crate::sandbox::{AcceptedRow, Rejection, Session, Submission, Verdict};
use crate::store::{KEY_BYTES, Segment};

/// Memory of an engine that a batch does not fill: the program itself, and the check of one submission at a time.
pub const ENGINE_BASE: usize = 64 << 20;
/// Memory of one submission of a batch besides its statement and its private part: hashes, openings, messages.
const BESIDES: usize = 8 << 10;
/// Memory that one submission of a column or two takes. Those of recorded sessions take several times as much: batches of them
/// are smaller.
pub const ENGINE_EACH: usize = 64 << 10;

/// The bytes of an engine's memory that a submission takes in a batch: the parts are handed over, and read once more.
pub fn weight(private_part: usize, statement: usize) -> usize {
    2 * (private_part + statement) + BESIDES
}

/// The bytes that an engine with so much memory has for the submissions of a batch.
pub fn room(memory: usize) -> usize {
    memory.saturating_sub(ENGINE_BASE)
}

/// The outcome of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Submissions now in the log.
    pub accepted: usize,
    /// Submissions refused.
    pub rejected: usize,
    /// Proposed uploads that some party does not have yet.
    pub missing: HashSet<SubmissionId>,
}

/// Runs an agreed batch session to its commit; `at` is the entry's time. The caller holds the survey's session lock.
pub async fn run(
    survey: &SurveyNode,
    session: Established,
    proposed: &[SubmissionId],
    at: u64,
) -> Result<Summary, SessionError> {
    let Established { id, mut wire, .. } = session;
    let start = Instant::now();
    if proposed.is_empty() || proposed.len() > MAX_BATCH {
        return Err(SessionError::Disagreement {
            party: 0,
            what: format!("proposed {} submissions", proposed.len()),
        });
    }
    // A stale copy could make a party sign and store one submission twice under two orders.
    if proposed.iter().collect::<HashSet<_>>().len() != proposed.len() {
        return Err(SessionError::Disagreement { party: 0, what: "proposed one submission twice".into() });
    }
    survey.pool.until_all(proposed, survey.gather).await;
    let have: Vec<u8> = proposed.iter().map(|id| u8::from(survey.pool.get(id).is_some())).collect();
    let mut everywhere = have.clone();
    for (party, theirs) in wire.exchange(Step::Have, have).await? {
        if theirs.len() != proposed.len() || theirs.iter().any(|b| *b > 1) {
            return Err(SessionError::Disagreement {
                party,
                what: "sent a malformed list of its uploads".into(),
            });
        }
        everywhere.iter_mut().zip(&theirs).for_each(|(mine, theirs)| *mine &= theirs);
    }
    let mut summary = Summary::default();
    let mut uploads = Vec::with_capacity(proposed.len());
    for (id, here) in proposed.iter().zip(everywhere) {
        match survey.pool.get(id) {
            Some(upload) if here == 1 => uploads.push(upload),
            // Decided or expired since we said that we have it: the others count on it, so the batch cannot go on.
            None if here == 1 => {
                return Err(SessionError::Internal("an upload left the pool during its batch".into()));
            }
            _ => {
                summary.missing.insert(*id);
            }
        }
    }
    if uploads.is_empty() {
        return Ok(summary);
    }

    let (verdicts, wire) = check(survey, id, wire, &uploads).await?;
    let mut decided: Vec<(SubmissionId, Problem)> = Vec::new();
    let mut valid = Vec::new();
    for (upload, verdict) in uploads.iter().zip(verdicts) {
        match verdict {
            Verdict::Accepted(AcceptedRow { row, keys }) => {
                valid.push((upload, Zeroizing::new(row), Zeroizing::new(keys)));
            }
            Verdict::Rejected(Rejection { by, reason }) => {
                let problem = problem(reason.into());
                decided.push((upload.id, by.into_iter().fold(problem, Problem::party)));
            }
        }
    }
    let outcomes = survey.book().admit(at, valid.iter().map(|(u, ..)| u.candidate()));
    let mut accepted = Vec::new();
    // Sized at once: growing would leave copies of shares behind.
    let mut shares = Zeroizing::new(Vec::with_capacity(valid.iter().map(|(_, row, _)| row.len()).sum()));
    let mut keys = Zeroizing::new(Vec::with_capacity(valid.len() * KEY_BYTES));
    for (outcome, (_, row, own)) in outcomes.into_iter().zip(&valid) {
        match outcome {
            Ok(a) => {
                accepted.push(a);
                shares.extend_from_slice(row);
                keys.extend_from_slice(own);
            }
            Err(refused) => decided.push(refused),
        }
    }

    if !accepted.is_empty() {
        let ids: Vec<_> = accepted.iter().map(|a| a.submission).collect();
        let (height, previous) = survey.book().head();
        let body = EntryBody::Batch { accepted };
        let entry = LogEntry { survey: survey.id(), height: height + 1, previous, at, body };
        let segment =
            Segment::new(ids.clone(), u32::try_from(survey.lanes().len()).unwrap_or(u32::MAX), shares, keys)
                .map_err(|e| {
                    SessionError::Internal(format!("the engine's shares do not fit a segment: {e}"))
                })?;
        agree::commit(survey, wire, entry, Staged::Rows(Arc::new(segment))).await?;
        summary.accepted = ids.len();
        for id in ids {
            survey.pool.decide(id, Outcome::Accepted);
        }
    }
    summary.rejected = decided.len();
    for (id, problem) in decided {
        tracing::info!(submission = %id, kind = problem.kind, rule = problem.rule, "refused");
        survey.pool.decide(id, Outcome::Rejected(problem));
    }
    metrics::histogram!(measures::BATCH_SECONDS).record(start.elapsed().as_secs_f64());
    metrics::counter!(measures::SUBMISSIONS, "outcome" => "accepted").increment(summary.accepted as u64);
    metrics::counter!(measures::SUBMISSIONS, "outcome" => "rejected").increment(summary.rejected as u64);
    Ok(summary)
}

/// The engine's check of all uploads in one exchange.
async fn check(
    survey: &SurveyNode,
    id: [u8; 32],
    wire: super::session::Wire,
    uploads: &[Arc<Upload>],
) -> Result<(Vec<Verdict>, super::session::Wire), SessionError> {
    let batch: Vec<Submission> = uploads
        .iter()
        .map(|u| Submission {
            statement: u.statement.clone(),
            context: u.context.to_vec(),
            share_hashes: u.share_hashes.encode().to_vec(),
            private: u.private.to_vec(),
        })
        .collect();
    let session = Session { party: survey.me(), id: id.to_vec() };
    let sandbox = survey.sandbox.clone();
    let io = EngineWire::new(wire);
    let engine_io = io.clone();
    let verdicts = tokio::task::spawn_blocking(move || {
        let mut batch = batch;
        let verdicts = sandbox.verify_batch(&session, &batch, engine_io);
        batch.iter_mut().for_each(|s| s.private.zeroize());
        verdicts
    })
    .await
    .map_err(|e| SessionError::Internal(format!("the engine's thread ended: {e}")))??;
    let wire = io.into_wire().ok_or_else(|| SessionError::Internal("the engine kept its channels".into()))?;
    Ok((verdicts, wire))
}

/// A fault that the engine found, as the provider sees it.
pub fn problem(reason: Reject) -> Problem {
    let (kind, detail) = match reason {
        Reject::SeedHash | Reject::WitnessHash | Reject::ProofHash | Reject::RowHash => (
            ProblemKind::ShareMismatch,
            "a share that was sent to a party is not the one whose hash is public",
        ),
        Reject::Binding => (
            ProblemKind::ProofInvalid,
            "the proof was made for another presentation, statement or survey, or for other share hashes",
        ),
        Reject::MissingPrivate | Reject::MalformedPrivate => {
            (ProblemKind::ShareInvalid, "a private part does not have the form that the statement demands")
        }
        Reject::Unsatisfied | Reject::InvalidProof => (
            ProblemKind::ProofInvalid,
            "the shared value is not the one that the notary attested, or it breaks the column's format or range",
        ),
    };
    Problem::new(kind, detail).rule(reason.code())
}
