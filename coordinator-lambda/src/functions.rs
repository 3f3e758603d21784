//! What runs on a schedule: `refresh` keeps the published statistics new, `reap` brings forgotten submissions to
//! an end. Both may run twice at once or be cut off anywhere: every step is one conditional write.

use std::time::Duration;

use futures::StreamExt as _;
use serde::Serialize;
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::{QueryId, SurveyId};
use tercet_protocol::keys::random;

use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::queries::Asking;
use crate::store::queries::{QueryOutcome, QueryRecord};
use crate::store::submissions::RecordState;
use crate::surveys::Survey;

/// How long one refresh may have its turn, in seconds: longer than any Lambda that runs it.
const LEASE_SECONDS: u64 = 900;
/// How long after its close a survey is still refreshed, in seconds: the last batch may come late.
const AFTER_CLOSE: i64 = 86_400;
/// Between two looks at a running query.
const POLL: Duration = Duration::from_millis(500);
/// Submissions read at once by the reaper.
const PAGE: i32 = 100;
/// Submissions that the reaper asks the parties about at the same time.
const AT_ONCE: usize = 8;

/// Runs [`refresh_once`] and counts what it did.
pub async fn refresh(c: &Coordinator, patience: Duration) -> Result<Vec<(SurveyId, Refreshed)>, Error> {
    let done = refresh_once(c, patience).await;
    let surveys = done.as_deref().unwrap_or_default();
    let count = |kind: fn(&Refreshed) -> bool| surveys.iter().filter(|(_, r)| kind(r)).count() as f64;
    let values = [
        ("Released", "Count", count(|r| matches!(r, Refreshed::Released { .. }))),
        ("Refused", "Count", count(|r| matches!(r, Refreshed::Refused { .. }))),
        ("Failed", "Count", f64::from(u8::from(done.is_err()))),
    ];
    c.config.metrics.run(c.clock.now().as_millis(), "refresh", &values);
    done
}

/// Runs [`reap_once`] and counts what it did.
pub async fn reap(c: &Coordinator) -> Result<Reaped, Error> {
    let done = reap_once(c).await;
    let reaped = done.as_ref().copied().unwrap_or_default();
    let values = [
        ("Seen", "Count", reaped.seen as f64),
        ("Accepted", "Count", reaped.accepted as f64),
        ("Rejected", "Count", reaped.rejected as f64),
        ("Failed", "Count", reaped.failed as f64 + f64::from(u8::from(done.is_err()))),
    ];
    c.config.metrics.run(c.clock.now().as_millis(), "reap", &values);
    done
}

/// What a refresh did with one survey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refreshed {
    /// A new result is there, of this log height.
    Released {
        /// The height.
        height: u64,
    },
    /// The parties refused, with this problem type: too few new submissions, for instance.
    Refused {
        /// The problem's type URN.
        problem: String,
    },
    /// The parties are still computing; the next refresh looks again.
    Running {
        /// The query.
        query: QueryId,
    },
    /// Another instance is at it.
    Busy,
    /// Not open yet, or closed and published.
    Idle,
}

/// What a reaping did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reaped {
    /// Pending submissions looked at.
    pub seen: u64,
    /// Of those, now accepted.
    pub accepted: u64,
    /// Of those, now rejected.
    pub rejected: u64,
    /// Of those, looked at in vain: the registry failed.
    pub failed: u64,
}

/// Asks the parties for all statistics of every open survey and publishes what they release. Waits up to
/// `patience` for each survey's parties. A failure of one survey is logged and does not keep the others waiting.
pub async fn refresh_once(c: &Coordinator, patience: Duration) -> Result<Vec<(SurveyId, Refreshed)>, Error> {
    let mut done = Vec::new();
    let mut failure = None;
    for survey in c.deployment.surveys() {
        match refresh_survey(c, survey, patience).await {
            Ok(refreshed) => done.push((survey.id(), refreshed)),
            Err(e) => {
                tracing::error!(survey = %survey.id(), error = %e, "a survey's refresh failed");
                failure = Some(e);
            }
        }
    }
    failure.map_or(Ok(done), Err)
}

async fn refresh_survey(c: &Coordinator, survey: &Survey, patience: Duration) -> Result<Refreshed, Error> {
    let now = c.clock.seconds();
    if !is_open(survey, now) && c.store.published(survey.id()).await?.is_some() || is_early(survey, now) {
        return Ok(Refreshed::Idle);
    }
    // A survey may list families only, whose parameters somebody has to choose.
    if survey.statistics().is_empty() {
        return Ok(Refreshed::Idle);
    }
    if !c.store.lease_refresh(survey.id(), now, now + LEASE_SECONDS).await? {
        return Ok(Refreshed::Busy);
    }
    let left = match c.store.refresh_running(survey.id()).await? {
        Some(id) => c.store.query(id, now).await?.filter(|q| q.outcome.is_none()),
        None => None,
    };
    let refreshed = match left {
        Some(query) => finish(c, query, Asking::Again { wait: 0 }, patience).await,
        None => {
            let id = QueryId(random().map_err(|_| Error::Randomness)?);
            let query = c.new_query(survey, id, survey.statistics(), Filter::default()).await?;
            finish(c, query, Asking::First, patience).await
        }
    };
    let running = match &refreshed {
        Ok(Refreshed::Running { query }) => Some(*query),
        _ => None,
    };
    c.store.end_refresh(survey.id(), running).await?;
    refreshed
}

async fn finish(
    c: &Coordinator,
    mut record: QueryRecord,
    mut asking: Asking,
    patience: Duration,
) -> Result<Refreshed, Error> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        record = c.progress(record, asking).await?;
        asking = Asking::Again { wait: c.config.query_wait_seconds };
        match record.outcome {
            Some(QueryOutcome::Done(result)) => {
                return Ok(Refreshed::Released { height: result.result.height });
            }
            Some(QueryOutcome::Refused(problem)) => return Ok(Refreshed::Refused { problem: problem.kind }),
            None if tokio::time::Instant::now() + POLL >= deadline => {
                return Ok(Refreshed::Running { query: record.query });
            }
            None => tokio::time::sleep(POLL).await,
        }
    }
}

fn is_early(survey: &Survey, now: u64) -> bool {
    let opens = survey.descriptor.manifest().survey.opens.unix_timestamp();
    i64::try_from(now).is_ok_and(|now| now < opens)
}

fn is_open(survey: &Survey, now: u64) -> bool {
    let closes = survey.descriptor.manifest().survey.closes.unix_timestamp();
    i64::try_from(now).is_ok_and(|now| now <= closes.saturating_add(AFTER_CLOSE))
}

/// Asks the parties about every pending submission whose ticket has ended, so that each reaches its end although
/// nobody asks for it.
pub async fn reap_once(c: &Coordinator) -> Result<Reaped, Error> {
    let mut reaped = Reaped::default();
    for survey in c.deployment.surveys() {
        let mut after = None;
        loop {
            let page = c.store.pending(survey.id(), after, PAGE).await?;
            let Some(last) = page.last().copied() else { break };
            after = Some(last);
            let mut ends = futures::stream::iter(page).map(|id| reap_one(c, id)).buffer_unordered(AT_ONCE);
            while let Some(end) = ends.next().await {
                reaped.seen += 1;
                match end {
                    Ok(Some(RecordState::Accepted)) => reaped.accepted += 1,
                    Ok(Some(RecordState::Rejected { .. })) => reaped.rejected += 1,
                    Ok(Some(RecordState::Pending) | None) => {}
                    Err(e) => {
                        tracing::error!(error = %e, "a pending submission could not be looked at");
                        reaped.failed += 1;
                    }
                }
            }
        }
    }
    Ok(reaped)
}

async fn reap_one(
    c: &Coordinator,
    id: tercet_protocol::ids::SubmissionId,
) -> Result<Option<RecordState>, Error> {
    match c.store.submission(id).await? {
        Some(record) if record.expires <= c.clock.seconds() => Ok(Some(c.settle(record).await?.state)),
        Some(record) => Ok(Some(record.state)),
        None => Ok(None),
    }
}
