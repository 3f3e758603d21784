//! Deciding a pending submission by asking the three parties.
//!
//! The log is the parties': a submission is accepted when all three show a verified receipt for the same entry,
//! and the coordinator only finds that out. The parties may disagree, because one may lie and each may lag:
//!
//! - A verified receipt, once seen, is kept. From then on one party's word against the submission counts
//!   nothing, so a single malicious party cannot make an accepted submission a rejected one.
//! - A party speaks *against* when it says rejected for a fault of the submission; and, once the ticket has ended
//!   (plus a margin for clocks), also when it does not know the submission or gave it up without fault: until
//!   then the upload, or its repetition, may still be on its way.
//! - Two parties against decide, whatever the third shows: one of them is honest and did not vote, and an entry
//!   needs three votes. A lone receipt then proves that its signer cheats.
//! - One party against decides while no receipt is known. A party that does this to a submission which the
//!   others are about to commit gains nothing over not voting at all, which stops it as well.
//! - Anything else waits: parties that cannot be reached, or that still work on it.
//!
//! A decision is one conditional write on the record that was read, and it is final; only a submission that was
//! rejected without fault (incomplete, or a party broke down) may be posted again, as a new attempt.

use std::sync::Arc;

use tercet_protocol::api::{Problem, ProblemKind, SubmissionState, SubmissionStatus};
use tercet_protocol::ids::SubmissionId;
use tercet_protocol::submission::Receipt;

use crate::coordinator::Coordinator;
use crate::error::{Error, refuse};
use crate::parties::{PartyError, passed_on};
use crate::store::submissions::{Evidence, RecordState, SubmissionRecord};
use crate::surveys::Survey;

/// One party's account of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// Nothing usable.
    Silent,
    /// It does not know it.
    Unknown,
    /// It has it and works on it.
    Pending,
    /// It is in its log: the receipt is verified.
    Accepted(Box<Receipt>),
    /// It refused it.
    Rejected(Problem),
}

impl View {
    /// True if the party will not commit it; `over`: no ticket lets another upload in.
    fn is_against(&self, over: bool) -> bool {
        match self {
            Self::Silent | Self::Pending | Self::Accepted(_) => false,
            Self::Unknown => over,
            Self::Rejected(problem) => over || !without_fault(problem),
        }
    }
}

/// True if a rejection says nothing against the submission, so that it may be sent again.
fn without_fault(problem: &Problem) -> bool {
    problem.known() == Some(ProblemKind::Incomplete) || problem.is_transient()
}

/// The decision that three views lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Not decided yet.
    Wait,
    /// Accepted by all.
    Accept(Box<[Receipt; 3]>),
    /// Refused.
    Reject(Problem, Evidence),
}

/// The receipts known after these views: the newest of each party.
fn merged(record: &SubmissionRecord, views: &[View; 3]) -> [Option<Receipt>; 3] {
    let mut receipts = record.receipts.clone();
    for (slot, view) in receipts.iter_mut().zip(views) {
        if let View::Accepted(receipt) = view {
            *slot = Some((**receipt).clone());
        }
    }
    receipts
}

/// Decides from a pending record and three views, at a time (Unix seconds).
pub fn decide(record: &SubmissionRecord, views: &[View; 3], now: u64, settle_seconds: u64) -> Decision {
    let receipts = merged(record, views);
    if let [Some(a), Some(b), Some(c)] = &receipts
        && [b, c].iter().all(|r| (r.height, r.entry) == (a.height, a.entry))
    {
        return Decision::Accept(Box::new([a.clone(), b.clone(), c.clone()]));
    }
    let over = now >= record.expires.saturating_add(settle_seconds);
    let against = views.iter().filter(|v| v.is_against(over)).count();
    let evidence = match against {
        0 => return Decision::Wait,
        1 if receipts.iter().any(Option::is_some) => return Decision::Wait,
        1 => Evidence::OneParty,
        _ => Evidence::TwoParties,
    };
    let rejections = || views.iter().filter_map(|v| if let View::Rejected(p) = v { Some(p) } else { None });
    let rejection = rejections().find(|p| !without_fault(p)).or_else(|| rejections().next()).cloned();
    let problem = rejection.unwrap_or_else(|| {
        let missing = (0u8..).zip(views).find_map(|(i, v)| (*v == View::Unknown).then_some(i));
        let problem = Problem::new(
            ProblemKind::Incomplete,
            "not every party received its part before the ticket ended: submit again",
        );
        match missing {
            Some(party) => problem.party(party),
            None => problem,
        }
    });
    Decision::Reject(problem, evidence)
}

impl Coordinator {
    /// The state of a submission, after asking the parties if it is not decided.
    pub async fn submission_status(&self, id: SubmissionId) -> Result<SubmissionStatus, Error> {
        match self.store.submission(id).await? {
            None => refuse(ProblemKind::NotFound, "no submission with this id was admitted here"),
            Some(record) => Ok(status(self.settle(record).await?)),
        }
    }

    /// Tries to decide a pending submission, and gives the record after that.
    pub async fn settle(&self, record: SubmissionRecord) -> Result<SubmissionRecord, Error> {
        if record.state != RecordState::Pending {
            return Ok(record);
        }
        // A survey that is no longer configured has no parties to ask: its submissions stay as they are.
        let Some(survey) = self.deployment().survey(record.survey).cloned() else { return Ok(record) };
        let views = self.views(&survey, &record).await;
        self.apply(record, &views).await
    }

    /// Applies three views to a pending record, and gives the record after that.
    pub async fn apply(
        &self,
        record: SubmissionRecord,
        views: &[View; 3],
    ) -> Result<SubmissionRecord, Error> {
        let id = record.submission;
        match decide(&record, views, self.clock.seconds(), self.config.settle_seconds) {
            Decision::Accept(receipts) => {
                if self.store.accept(&record, &receipts).await? {
                    tracing::info!(submission = %id, height = receipts[0].height, "submission accepted");
                }
            }
            Decision::Reject(problem, evidence) => {
                let retryable = without_fault(&problem);
                if self.store.reject(&record, &problem, retryable, evidence).await? {
                    tracing::info!(submission = %id, problem = problem.kind, party = problem.party, "submission rejected");
                }
            }
            Decision::Wait => {
                let receipts = merged(&record, views);
                if receipts == record.receipts {
                    return Ok(record);
                }
                self.store.note_receipts(id, &receipts).await?;
            }
        }
        // Whatever the write did, the table has the truth now: another instance may have been faster.
        Ok(self.store.submission(id).await?.unwrap_or(record))
    }

    /// Asks the three parties at once.
    async fn views(&self, survey: &Arc<Survey>, record: &SubmissionRecord) -> [View; 3] {
        let ask = |party: u8| self.view(survey, record, party);
        let (a, b, c) = tokio::join!(ask(0), ask(1), ask(2));
        [a, b, c]
    }

    async fn view(&self, survey: &Arc<Survey>, record: &SubmissionRecord, party: u8) -> View {
        let id = record.submission;
        let url = &survey.party_urls[usize::from(party)];
        let status = match self.parties.submission(url, id).await {
            Ok(Some(status)) => status,
            Ok(None) => return View::Unknown,
            Err(e) => {
                tracing::warn!(party, submission = %id, error = %e, "a party gave no answer about a submission");
                if let PartyError::Refused(problem) = &e {
                    tracing::debug!(party, kind = problem.kind, "the party's problem");
                }
                return View::Silent;
            }
        };
        if status.submission != id || status.survey != record.survey {
            tracing::warn!(party, submission = %id, "a party answered about another submission");
            return View::Silent;
        }
        match status.state {
            SubmissionState::Pending | SubmissionState::Withdrawn { .. } => View::Pending,
            SubmissionState::Rejected { problem } => match passed_on(problem, party) {
                Some(problem) => View::Rejected(problem),
                None => View::Silent,
            },
            SubmissionState::Accepted { receipts } => {
                let good = |r: &Receipt| {
                    r.party == party
                        && (r.submission, r.survey, r.nullifier) == (id, record.survey, record.nullifier)
                        && r.verify(survey.descriptor.parties()).is_ok()
                };
                match receipts.into_iter().find(good) {
                    Some(receipt) => View::Accepted(Box::new(receipt)),
                    None => {
                        tracing::warn!(party, submission = %id, "a party's receipt does not verify");
                        View::Silent
                    }
                }
            }
        }
    }
}

/// The record as the API shows it.
pub fn status(record: SubmissionRecord) -> SubmissionStatus {
    let state = match record.state {
        RecordState::Pending => SubmissionState::Pending,
        RecordState::Accepted => {
            SubmissionState::Accepted { receipts: record.receipts.into_iter().flatten().collect() }
        }
        RecordState::Rejected { problem, .. } => SubmissionState::Rejected { problem },
        RecordState::Withdrawn { receipts } => SubmissionState::Withdrawn { receipts },
    };
    SubmissionStatus { submission: record.submission, survey: record.survey, state }
}
