//! Questions beyond the published statistics: each in its one canonical form, computed once for each release point.
//!
//! A question that the survey's rules refuse is refused here, before anything is written or sent. A question that was answered is
//! served from the table. Only a new one costs the parties something: it needs a place in the survey's rate of new
//! questions, and goes to the leading party with a ticket.

use tercet_protocol::api::{Problem, ProblemKind, QueryRequest, QueryState, QueryStatus};
use tercet_protocol::ids::{Nonce, QueryId, SurveyId};
use tercet_protocol::keys::random;
use tercet_protocol::query_ticket::{QueryTicket, Question, QuestionError};
use tercet_protocol::result::SignedResult;

use crate::admission::RateReport;
use crate::coordinator::Coordinator;
use crate::error::{Error, refuse};
use crate::parties::{PartyError, passed_on};
use crate::store::queries::{QueryOutcome, QueryRecord};
use crate::surveys::Survey;

/// The party that leads a query: the first in the survey's order.
pub(crate) const LEADER: u8 = 0;
/// Seconds for which an answer can be read.
const KEEP_ANSWER: u64 = 86_400;
/// Seconds for which the failure of a question can be read.
const KEEP_REFUSAL: u64 = 600;

impl Coordinator {
    /// Answers a question from the table, or hands it to the parties.
    pub async fn ask(
        &self,
        survey: SurveyId,
        request: QueryRequest,
        address: &str,
        report: &mut RateReport,
    ) -> Result<QueryStatus, Error> {
        let survey = self.survey(survey)?;
        let manifest = survey.descriptor.manifest();
        let question = Question::of(manifest, &request.statistics, request.filter).map_err(refused)?;
        let limits = &self.config.limits;
        self.limit("address", address, limits.address, report).await?;
        self.limit("survey", &survey.id().to_string(), limits.survey, report).await?;
        let newest = self.newest(&survey).await?;
        if question == Question::listed(manifest) {
            let query = question.id(survey.id(), newest.point.number);
            let result = self.signed_statistics(&newest).await?;
            return Ok(QueryStatus { query, state: QueryState::Done { result } });
        }
        match self.ask_at(&survey, newest.point.number, &question, address, report).await? {
            Some(status) => Ok(status),
            // The parties are further than what is published here.
            None => {
                self.fetch_releases(&survey).await?;
                let newer = self.newest(&survey).await?.point.number;
                match self.ask_at(&survey, newer, &question, address, report).await? {
                    Some(status) => Ok(status),
                    None => Err(moved_on().into()),
                }
            }
        }
    }

    /// Asks about one release point. None: the parties have a newer one.
    async fn ask_at(
        &self,
        survey: &Survey,
        release: u64,
        question: &Question,
        address: &str,
        report: &mut RateReport,
    ) -> Result<Option<QueryStatus>, Error> {
        let id = question.id(survey.id(), release);
        let now = self.clock.seconds();
        if let Some(record) = self.store.query(id, now).await? {
            match &record.outcome {
                Some(QueryOutcome::Refused(problem)) if problem.is_transient() => {}
                Some(QueryOutcome::Refused(problem)) => return Err(problem.clone().into()),
                Some(QueryOutcome::Done(_)) | None => return Ok(Some(status(record))),
            }
        }
        // One asker's new questions never use up what is there for everybody's.
        let limits = &self.config.limits;
        self.limit("asker", &format!("{}#{address}", survey.id()), limits.asker, report).await?;
        self.limit("questions", &survey.id().to_string(), limits.questions, report).await?;
        let record = QueryRecord {
            query: id,
            survey: survey.id(),
            release,
            question: question.clone(),
            asked_at: now,
            outcome: None,
        };
        let answer = match self.hand_over(survey, &record).await {
            Err(PartyError::Refused(problem)) if is_old(&problem) => return Ok(None),
            // Refused before anything was computed: nothing is written.
            Err(PartyError::Refused(problem)) => {
                return Err(passed_on(*problem, LEADER).unwrap_or_else(given_up).into());
            }
            Err(e) => {
                tracing::warn!(query = %id, party = LEADER, error = %e, "the leading party took no question");
                return Err(given_up().into());
            }
            Ok(answer) => answer,
        };
        self.store.create_query(&record, now, now + self.config.query_seconds + KEEP_REFUSAL).await?;
        self.conclude(survey, record, Some(answer)).await.map(status).map(Some)
    }

    /// Hands a question to the leading party with a ticket. Sending it again changes nothing.
    async fn hand_over(&self, survey: &Survey, record: &QueryRecord) -> Result<QueryStatus, PartyError> {
        let nonce = Nonce(random().map_err(|e| PartyError::Unreachable(e.to_string()))?);
        let expires = self.clock.seconds() + self.config.ticket_seconds;
        let ticket = QueryTicket::issue(
            &self.key,
            record.survey,
            record.release,
            record.question.clone(),
            expires,
            nonce,
        );
        self.parties.put_query(&survey.party_urls[usize::from(LEADER)], record.query, &ticket).await
    }

    /// The state of a question, after asking the leading party once if it is being computed.
    pub async fn query_status(&self, id: QueryId) -> Result<QueryStatus, Error> {
        match self.store.query(id, self.clock.seconds()).await? {
            None => refuse(ProblemKind::NotFound, "no question with this id was asked here lately: ask it"),
            Some(record) => self.progress(record).await.map(status),
        }
    }

    /// Brings a running question forward by one exchange with the leading party.
    pub async fn progress(&self, record: QueryRecord) -> Result<QueryRecord, Error> {
        if record.outcome.is_some() {
            return Ok(record);
        }
        // A survey that is no longer configured has no parties to ask.
        let Some(survey) = self.deployment().survey(record.survey).cloned() else { return Ok(record) };
        let party = &survey.party_urls[usize::from(LEADER)];
        let answer = match self.parties.query(party, record.query).await {
            Ok(Some(status)) => Ok(status),
            // It was restarted.
            Ok(None) => self.hand_over(&survey, &record).await,
            Err(e) => Err(e),
        };
        match answer {
            Ok(answer) => self.conclude(&survey, record, Some(answer)).await,
            Err(PartyError::Refused(problem)) if is_old(&problem) => self.end(record, moved_on()).await,
            Err(PartyError::TooLarge(max)) => {
                let detail = format!("the parties' answer has more than {max} bytes: ask for less at a time");
                self.end(record, Problem::new(ProblemKind::ResultTooLarge, detail)).await
            }
            Err(PartyError::Refused(problem)) if !problem.is_transient() => {
                let problem = passed_on(*problem, LEADER).unwrap_or_else(given_up);
                self.end(record, problem).await
            }
            Err(e) => {
                tracing::warn!(query = %record.query, party = LEADER, error = %e, "the leading party gave no answer about a question");
                self.conclude(&survey, record, None).await
            }
        }
    }

    /// Ends a question if the party's answer says so, or if it was asked too long ago.
    async fn conclude(
        &self,
        survey: &Survey,
        record: QueryRecord,
        answer: Option<QueryStatus>,
    ) -> Result<QueryRecord, Error> {
        let outcome = answer.and_then(|answer| read(survey, &record, answer));
        let overdue = self.clock.seconds() >= record.asked_at.saturating_add(self.config.query_seconds);
        match outcome {
            Some(outcome) => self.finish(record, outcome).await,
            None if overdue => self.end(record, given_up()).await,
            None => Ok(record),
        }
    }

    async fn end(&self, record: QueryRecord, problem: Problem) -> Result<QueryRecord, Error> {
        self.finish(record, QueryOutcome::Refused(problem)).await
    }

    async fn finish(&self, mut record: QueryRecord, outcome: QueryOutcome) -> Result<QueryRecord, Error> {
        let now = self.clock.seconds();
        let keep = match outcome {
            QueryOutcome::Done(_) => KEEP_ANSWER,
            QueryOutcome::Refused(_) => KEEP_REFUSAL,
        };
        if !self.store.finish_query(record.query, &outcome, now + keep).await? {
            // Another instance was faster: its outcome stands.
            return Ok(self.store.query(record.query, now).await?.unwrap_or(record));
        }
        record.outcome = Some(outcome);
        Ok(record)
    }
}

/// A party's answer as an outcome; `None` while it computes or when the answer cannot be believed.
fn read(survey: &Survey, record: &QueryRecord, answer: QueryStatus) -> Option<QueryOutcome> {
    if answer.query != record.query {
        tracing::warn!(query = %record.query, party = LEADER, "a party answered about another question");
        return None;
    }
    match answer.state {
        QueryState::Running => None,
        QueryState::Refused { problem } => passed_on(problem, LEADER).map(QueryOutcome::Refused),
        QueryState::Done { result } => match believable(survey, record.release, &record.question, &result) {
            Ok(()) => Some(QueryOutcome::Done(Box::new(result))),
            Err(why) => {
                tracing::error!(query = %record.query, party = LEADER, why, "a party's result is not stored");
                None
            }
        },
    }
}

/// Checks that a result answers this question at this release point and all three parties signed it.
pub(crate) fn believable(
    survey: &Survey,
    release: u64,
    question: &Question,
    result: &SignedResult,
) -> Result<(), String> {
    let answered = &result.result;
    if answered.survey != survey.id() || answered.query != question.id(survey.id(), release) {
        return Err("it answers another question".into());
    }
    if answered.release.number != release {
        return Err("it is about another release point".into());
    }
    if answered.filter != question.filter {
        return Err("it is about other rows".into());
    }
    if !answered.statistics.iter().all(|s| question.statistics.contains(&s.statistic)) {
        return Err("it has a statistic that was not asked for".into());
    }
    let given = |name: &&String| answered.statistics.iter().any(|s| s.statistic == **name);
    if let Some(name) = question.statistics.iter().find(|name| !given(name)) {
        return Err(format!("it lacks {name}"));
    }
    result.verify(survey.descriptor.parties()).map_err(|e| e.to_string())
}

fn refused(e: QuestionError) -> Problem {
    let kind = match e {
        QuestionError::NotReleased { .. } => ProblemKind::StatisticNotPermitted,
        QuestionError::Filter(_)
        | QuestionError::Empty(_)
        | QuestionError::TooMany
        | QuestionError::Spelling(_) => ProblemKind::Malformed,
    };
    Problem::new(kind, e.to_string())
}

/// True if a party refuses a ticket because it has a newer release point.
fn is_old(problem: &Problem) -> bool {
    problem.known() == Some(ProblemKind::TicketInvalid) && problem.rule.as_deref() == Some("release")
}

fn moved_on() -> Problem {
    let detail = "a new release point came while the question was being answered: ask again";
    Problem::new(ProblemKind::Busy, detail).retry_after(2)
}

fn given_up() -> Problem {
    let detail = "the parties gave no usable answer in time: ask again later";
    Problem::new(ProblemKind::PartyUnavailable, detail).party(LEADER).retry_after(60)
}

/// The record as the API shows it.
pub fn status(record: QueryRecord) -> QueryStatus {
    let state = match record.outcome {
        None => QueryState::Running,
        Some(QueryOutcome::Done(result)) => QueryState::Done { result: *result },
        Some(QueryOutcome::Refused(problem)) => QueryState::Refused { problem },
    };
    QueryStatus { query: record.query, state }
}
