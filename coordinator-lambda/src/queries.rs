//! Queries: handing them to the parties, verifying what comes back, publishing it.

use tercet_protocol::api::{PartyQuery, Problem, ProblemKind, QueryRequest, QueryState, QueryStatus};
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::{QueryId, SurveyId};
use tercet_protocol::result::SignedResult;
use tercet_protocol::statistic;

use crate::admission::RateReport;
use crate::coordinator::Coordinator;
use crate::error::{Error, refuse};
use crate::parties::{PartyError, passed_on};
use crate::store::queries::{QueryOutcome, QueryRecord};
use crate::surveys::Survey;

/// The party that leads a query: the first in the survey's order.
const LEADER: u8 = 0;
/// Most statistics in one request.
const MAX_STATISTICS: usize = 64;
/// How long a query can be read, in seconds.
const KEEP_SECONDS: u64 = 7 * 86_400;

/// Which exchange with the leading party about a query it is.
#[derive(Debug, Clone, Copy)]
pub enum Asking {
    /// The first: it cannot know it yet.
    First,
    /// A later one.
    Again {
        /// Seconds that it may take longer, for the query's end.
        wait: u64,
    },
}

impl Coordinator {
    /// Checks, limits, enters and hands over a query; the status is already final if the parties refuse at once.
    pub async fn ask(
        &self,
        survey: SurveyId,
        request: QueryRequest,
        address: &str,
        report: &mut RateReport,
    ) -> Result<QueryStatus, Error> {
        let survey = self.survey(survey)?;
        let statistics = permitted(&survey, request.statistics)?;
        if let Err(problem) = request.filter.check(survey.descriptor.manifest()) {
            return refuse(ProblemKind::Malformed, problem);
        }
        let limits = &self.config.limits;
        self.limit("address", address, limits.address, report).await?;
        self.limit("survey", &survey.id().to_string(), limits.survey, report).await?;
        // Named after the request: an invocation that runs twice asks once.
        let record = self.new_query(&survey, QueryId(report.token.0), statistics, request.filter).await?;
        self.progress(record, Asking::First).await.map(status)
    }

    /// Enters the query `query` about `statistics` of the rows that `filter` selects.
    pub(crate) async fn new_query(
        &self,
        survey: &Survey,
        query: QueryId,
        statistics: Vec<String>,
        filter: Filter,
    ) -> Result<QueryRecord, Error> {
        let asked_at = self.clock.seconds();
        let record = QueryRecord { query, survey: survey.id(), statistics, filter, asked_at, outcome: None };
        self.store.create_query(&record, asked_at + KEEP_SECONDS).await?;
        Ok(record)
    }

    /// Where a query stands, asking the leading party if it is running, and waiting so many seconds for its end, but no
    /// longer than the configuration lets.
    pub async fn query_status(&self, id: QueryId, wait: u64) -> Result<QueryStatus, Error> {
        match self.store.query(id, self.clock.seconds()).await? {
            None => {
                refuse(ProblemKind::NotFound, "no query with this id was asked here in the last seven days")
            }
            Some(record) => {
                let wait = wait.min(self.config.query_wait_seconds);
                self.progress(record, Asking::Again { wait }).await.map(status)
            }
        }
    }

    /// Brings a running query forward by one exchange with the leading party.
    pub async fn progress(&self, mut record: QueryRecord, asking: Asking) -> Result<QueryRecord, Error> {
        if record.outcome.is_some() {
            return Ok(record);
        }
        // A survey that is no longer configured has no parties to ask.
        let Some(survey) = self.deployment.survey(record.survey).cloned() else { return Ok(record) };
        let id = record.query;
        let party = &survey.party_urls[usize::from(LEADER)];
        let known = match asking {
            Asking::First => Ok(None),
            Asking::Again { wait } => self.parties.query(party, id, wait).await,
        };
        let answer = match known {
            Ok(Some(status)) => Ok(status),
            // New to it, or it was restarted.
            Ok(None) => {
                let query = PartyQuery {
                    survey: record.survey,
                    statistics: record.statistics.clone(),
                    filter: record.filter.clone(),
                };
                self.parties.put_query(party, id, &query).await
            }
            Err(e) => Err(e),
        };
        let outcome = match answer {
            Ok(status) => self.read(&survey, &record, status),
            Err(PartyError::Refused(problem)) if !problem.is_transient() => {
                passed_on(*problem, LEADER).map(QueryOutcome::Refused)
            }
            Err(e) => {
                tracing::warn!(query = %id, party = LEADER, error = %e, "the leading party gave no answer about a query");
                None
            }
        };
        let overdue = self.clock.seconds() >= record.asked_at.saturating_add(self.config.query_seconds);
        let outcome = outcome.or_else(|| overdue.then(|| QueryOutcome::Refused(given_up())));
        let Some(outcome) = outcome else { return Ok(record) };
        if !self.store.finish_query(id, &outcome).await? {
            // Another instance was faster: its outcome stands.
            return Ok(self.store.query(id, self.clock.seconds()).await?.unwrap_or(record));
        }
        // What is published is about everybody.
        if let QueryOutcome::Done(result) = &outcome
            && result.result.filter.is_empty()
        {
            let published = self.store.publish(result).await?;
            tracing::info!(query = %id, height = result.result.height, published, "statistics released");
        }
        record.outcome = Some(outcome);
        Ok(record)
    }

    /// A party's answer as an outcome; none while it computes or when the answer cannot be believed.
    fn read(&self, survey: &Survey, record: &QueryRecord, status: QueryStatus) -> Option<QueryOutcome> {
        if status.query != record.query {
            tracing::warn!(query = %record.query, party = LEADER, "a party answered about another query");
            return None;
        }
        match status.state {
            QueryState::Running => None,
            QueryState::Refused { problem } => passed_on(problem, LEADER).map(QueryOutcome::Refused),
            QueryState::Done { result } => match believable(survey, record, &result) {
                Ok(()) => Some(QueryOutcome::Done(Box::new(result))),
                Err(why) => {
                    tracing::error!(query = %record.query, party = LEADER, why, "a party's result is not stored");
                    None
                }
            },
        }
    }
}

/// Whether a result answers this query and all three parties signed it.
fn believable(survey: &Survey, record: &QueryRecord, result: &SignedResult) -> Result<(), String> {
    let released = &result.result;
    if released.survey != record.survey || released.query != record.query {
        return Err("it is about another query".into());
    }
    if released.filter != record.filter {
        return Err("it is about other rows".into());
    }
    let asked = |name: &String| record.statistics.contains(name);
    if !released.statistics.iter().all(|s| asked(&s.statistic)) {
        return Err("it has a statistic that was not asked for".into());
    }
    if let Some(name) =
        record.statistics.iter().find(|n| !released.statistics.iter().any(|s| s.statistic == **n))
    {
        return Err(format!("it lacks {name}"));
    }
    result.verify(survey.descriptor.parties()).map_err(|e| e.to_string())
}

/// The names asked for, each once and in its usual spelling; none: all that the survey lists with their parameters.
fn permitted(survey: &Survey, names: Vec<String>) -> Result<Vec<String>, Error> {
    let manifest = survey.descriptor.manifest();
    if names.is_empty() {
        let all = survey.statistics();
        let listed = survey.listed().join(", ");
        return match all.is_empty() {
            false => Ok(all),
            true => refuse(
                ProblemKind::Malformed,
                format!("name the statistics, with parameters, out of: {listed}"),
            ),
        };
    }
    if names.len() > MAX_STATISTICS {
        return refuse(ProblemKind::Malformed, format!("ask for at most {MAX_STATISTICS} statistics"));
    }
    let mut wanted: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let Some(asked) = statistic::permitted(manifest, &name).map(|a| a.to_string()) else {
            let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            let released = survey.listed().join(", ");
            let detail = format!("the survey does not release \"{shown}\"; it releases: {released}");
            return refuse(ProblemKind::StatisticNotPermitted, detail);
        };
        if !wanted.contains(&asked) {
            wanted.push(asked);
        }
    }
    Ok(wanted)
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
