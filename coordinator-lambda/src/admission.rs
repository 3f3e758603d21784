//! Admission: `POST /v1/surveys/{id}/submissions`.
//!
//! Cheap checks come first, then the rates, then the presentation (the expensive part, and only bytes that are new
//! are verified), then one conditional write on the identity. The resulting ticket only keeps floods away from the
//! parties: they check everything that matters for themselves.

use std::sync::Arc;
use std::time::Duration;

use tercet_protocol::api::{Admission, Problem, ProblemKind, SubmissionStatus};
use tercet_protocol::ids::{Nullifier, PublicKey, SubmissionId, SurveyId};
use tercet_protocol::submission::{MAX_EVIDENCE, PublicPart, Ticket};

use crate::config::Rate;
use crate::coordinator::Coordinator;
use crate::error::{Error, refuse};
use crate::settle::status;
use crate::store::bucket::Taken;
use crate::store::submissions::{Admit, Admitted, RecordState, SubmissionRecord};
use crate::surveys::Survey;
use crate::token::RequestToken;

/// Largest body of a submission, in bytes: the evidence and the other fields of the public part.
pub const MAX_SUBMISSION: usize = MAX_EVIDENCE + 2048;

/// Longest time that a submission is told to wait when a survey is full, in seconds.
const LONGEST_WAIT: u64 = 30;

/// Number of times that an admission looks again at an identity whose other submission has just been decided.
const ROUNDS: usize = 3;

/// An admission's success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Admitted now, or before and still undecided.
    Admitted(Admission),
    /// The same submission was accepted before.
    Accepted(SubmissionStatus),
}

/// The rates' verdict on a request, for the response's headers. Filled also when the request is refused.
#[derive(Debug, Clone)]
pub struct RateReport {
    /// The request: the same token never counts twice.
    pub token: RequestToken,
    /// The buckets' answers.
    pub lines: Vec<RateLine>,
}

impl RateReport {
    /// An empty one.
    pub fn of(token: RequestToken) -> Self {
        Self { token, lines: Vec::new() }
    }
}

/// One bucket's answer.
#[derive(Debug, Clone)]
pub struct RateLine {
    /// The bucket's name, as the headers show it.
    pub scope: &'static str,
    /// Its rate.
    pub rate: Rate,
    /// Its answer.
    pub taken: Taken,
}

impl Coordinator {
    /// Takes a token from a bucket and notes its answer in `report`.
    pub async fn limit(
        &self,
        scope: &'static str,
        key: &str,
        rate: Rate,
        report: &mut RateReport,
    ) -> Result<(), Error> {
        let taken = self.store.take(scope, key, rate, self.clock.now(), report.token).await?;
        report.lines.push(RateLine { scope, rate, taken });
        if taken.allowed {
            return Ok(());
        }
        let wait = whole_seconds(taken.reset);
        let detail = format!("the rate limit \"{scope}\" is used up: try again in {wait} s");
        Err(Problem::new(ProblemKind::RateLimited, detail).rule(scope).retry_after(wait).into())
    }

    /// The survey with this id.
    pub fn survey(&self, id: SurveyId) -> Result<Arc<Survey>, Error> {
        match self.deployment().survey(id).cloned() {
            Some(survey) => Ok(survey),
            None => {
                refuse(ProblemKind::NotFound, "this coordinator has no survey with this id: see /v1/surveys")
            }
        }
    }

    /// Admits the public part in `body` to a survey, for a client at `address`.
    pub async fn admit(
        &self,
        survey: SurveyId,
        body: &[u8],
        address: &str,
        report: &mut RateReport,
    ) -> Result<Outcome, Error> {
        let survey = self.survey(survey)?;
        let public = decode(&survey, body)?;
        let id = public.id();
        if let Some(outcome) = self.before_evidence(&survey, id, address, report).await? {
            return Ok(outcome);
        }
        let withdrawal_key = public.withdrawal_key;
        let nullifier = verify(Arc::clone(&survey), public).await?;
        self.enter(&survey, id, nullifier, withdrawal_key, report).await
    }

    /// The checks before the evidence is looked at: the rates of the address and the survey, and the answer to a submission
    /// that is known already.
    pub async fn before_evidence(
        &self,
        survey: &Survey,
        id: SubmissionId,
        address: &str,
        report: &mut RateReport,
    ) -> Result<Option<Outcome>, Error> {
        let limits = &self.config.limits;
        self.limit("address", address, limits.address, report).await?;
        self.limit("survey", &survey.id().to_string(), limits.survey, report).await?;
        self.seen_before(id).await
    }

    /// The answer to a submission that is in the table; `None` if it is not, or may be tried again.
    async fn seen_before(&self, id: SubmissionId) -> Result<Option<Outcome>, Error> {
        let Some(record) = self.store.submission(id).await? else { return Ok(None) };
        // An expired ticket: the parties may have decided without anybody asking here since.
        let over = record.state == RecordState::Pending && record.expires <= self.clock.seconds();
        let record = if over { self.settle(record).await? } else { record };
        match record.state {
            RecordState::Pending => self.ticket_again(record).await.map(Some),
            RecordState::Accepted => Ok(Some(Outcome::Accepted(status(record)))),
            RecordState::Rejected { retryable: true, .. } => Ok(None),
            RecordState::Rejected { problem, .. } => Err(problem.into()),
            RecordState::Withdrawn { .. } => refuse(
                ProblemKind::Withdrawn,
                "it was erased as its provider wished, and cannot be sent again",
            ),
        }
    }

    /// A ticket for a submission that is pending: the same one during the first half of its life, then a new one.
    async fn ticket_again(&self, record: SubmissionRecord) -> Result<Outcome, Error> {
        let now = self.clock.seconds();
        let mut expires = record.expires;
        if expires.saturating_sub(now) < self.config.ticket_seconds.div_ceil(2) {
            let later = now + self.config.ticket_seconds;
            if self.store.renew(record.submission, expires, later).await? {
                expires = later;
            } else if let Some(newer) = self.store.submission(record.submission).await? {
                // Lost to another request with the same submission: its ticket is as good.
                expires = newer.expires;
            }
        }
        Ok(self.ticket(record.survey, record.submission, expires))
    }

    fn ticket(&self, survey: SurveyId, submission: SubmissionId, expires: u64) -> Outcome {
        let ticket = Ticket::issue(&self.key, survey, submission, expires);
        Outcome::Admitted(Admission { submission, ticket })
    }

    /// Enters a verified submission under its identity, if the identity's rate allows it.
    pub async fn enter(
        &self,
        survey: &Survey,
        id: SubmissionId,
        nullifier: Nullifier,
        withdrawal_key: PublicKey,
        report: &mut RateReport,
    ) -> Result<Outcome, Error> {
        let limits = &self.config.limits;
        self.limit("identity", &format!("{}#{nullifier}", survey.id()), limits.identity, report).await?;
        for _ in 0..ROUNDS {
            let expires = self.clock.seconds() + self.config.ticket_seconds;
            let admit = Admit {
                submission: id,
                survey: survey.id(),
                nullifier,
                withdrawal_key,
                expires,
                forgotten: survey.forgotten(self.config.keep_days),
                replace: survey.replaces(),
                max_unfinished: limits.max_unfinished,
                shards: limits.unfinished_shards,
            };
            match self.store.admit(&admit).await? {
                Admitted::New => return Ok(self.ticket(survey.id(), id, expires)),
                Admitted::Exists => {
                    if let Some(outcome) = self.seen_before(id).await? {
                        return Ok(outcome);
                    }
                }
                Admitted::IdentityUsed => {
                    return refuse(
                        ProblemKind::IdentityUsed,
                        "a submission of this identity is accepted already",
                    );
                }
                Admitted::IdentityPending(other) => self.identity_pending(other).await?,
                Admitted::Full => return Err(self.full(survey, id).await?.into()),
            }
        }
        let detail = "the identity's other submission was decided just now: try again";
        Err(Problem::new(ProblemKind::IdentityPending, detail).retry_after(1).into())
    }

    /// As many submissions are under way as may be: when to try again, and how many wait before this one.
    async fn full(&self, survey: &Survey, id: SubmissionId) -> Result<Problem, Error> {
        let now = self.clock.now();
        // Longer than any answer below tells it to wait, so that who keeps asking keeps its place.
        let until = now.as_secs() + 2 * LONGEST_WAIT;
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let shards = self.config.limits.unfinished_shards;
        let before = self.store.wait(survey.id(), id, shards, micros, until).await?;
        let wait = (2 + u64::from(before) / 25).min(LONGEST_WAIT);
        let detail = format!(
            "as many submissions of this survey are under way as may be at a time; about {before} wait before this \
             one: send it again in {wait} s"
        );
        let problem = Problem::new(ProblemKind::RateLimited, detail).rule("unfinished");
        Ok(problem.retry_after(wait).position(before.saturating_add(1)))
    }

    /// Another submission holds the identity. Perhaps the parties have decided it without anybody asking here:
    /// then the admission may look again, otherwise it is refused.
    async fn identity_pending(&self, other: SubmissionId) -> Result<(), Error> {
        let Some(record) = self.store.submission(other).await? else { return Ok(()) };
        let record = self.settle(record).await?;
        if record.state != RecordState::Pending {
            return Ok(());
        }
        let wait = record.expires.saturating_sub(self.clock.seconds()).max(1);
        let detail = "another submission of this identity is under way: wait for it to be decided";
        Err(Problem::new(ProblemKind::IdentityPending, detail).retry_after(wait).into())
    }
}

/// The public part, if it is one and for this survey.
fn decode(survey: &Survey, body: &[u8]) -> Result<PublicPart, Error> {
    let public = match PublicPart::decode(body) {
        Ok(public) => public,
        Err(e) => {
            return refuse(
                ProblemKind::Malformed,
                format!("the body is not a submission's public part: {e}"),
            );
        }
    };
    if public.survey != survey.id() {
        return refuse(
            ProblemKind::Malformed,
            "the submission is made for another survey than the address names",
        );
    }
    Ok(public)
}

/// Verifies the evidence under the survey's policy, away from the threads that serve requests.
async fn verify(survey: Arc<Survey>, public: PublicPart) -> Result<Nullifier, Error> {
    let checked = tokio::task::spawn_blocking(move || {
        let (evidence, admitted) =
            survey.verifier.check(public.kind, &public.evidence).map_err(Problem::from)?;
        // The parties would refuse a statement that cannot be made; better here, before anything is uploaded.
        match evidence.statement(&admitted, survey.descriptor.manifest()) {
            Ok(_) => Ok(admitted.nullifier),
            Err(e) => Err(Problem::new(ProblemKind::PolicyViolated, e.to_string()).rule("statement")),
        }
    });
    checked.await?.map_err(|problem: Problem| problem.into())
}

/// Whole seconds, at least one.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
}
