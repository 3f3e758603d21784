//! The scheduled functions: `refresh` publishes new release points, `reap` brings forgotten submissions to an end.
//! Both may run twice at once or be cut off anywhere: every step is one conditional write.

use std::sync::Arc;

use futures::StreamExt as _;
use serde::Serialize;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::keys::random;

use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::releases::Refreshed;
use crate::store::submissions::{LISTS, RecordState};
use crate::surveys::Survey;

/// Submissions read at once by the reaper.
const PAGE: i32 = 100;
/// Surveys whose parties are asked for new release points at the same time.
const SURVEYS_AT_ONCE: usize = 4;
/// Submissions that the reaper asks the parties about at the same time.
const AT_ONCE: usize = 8;

/// Runs [`refresh_once`] and counts the outcomes.
pub async fn refresh(c: &Coordinator) -> Result<Vec<(SurveyId, Refreshed)>, Error> {
    let done = refresh_once(c).await;
    let surveys = done.as_deref().unwrap_or_default();
    let count = |kind: fn(&Refreshed) -> bool| surveys.iter().filter(|(_, r)| kind(r)).count() as f64;
    let values = [
        ("Released", "Count", count(|r| matches!(r, Refreshed::Published { .. }))),
        ("Awaited", "Count", count(|r| matches!(r, Refreshed::Awaited { .. }))),
        ("Unreachable", "Count", count(|r| matches!(r, Refreshed::Unreachable))),
        ("Failed", "Count", f64::from(u8::from(done.is_err()))),
    ];
    c.config.metrics.run(c.clock.now().as_millis(), "refresh", &values);
    done
}

/// Runs [`reap_once`] and counts the outcomes.
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

/// The outcome of a reaping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reaped {
    /// Pending submissions looked at.
    pub seen: u64,
    /// Number that are now accepted.
    pub accepted: u64,
    /// Number that are now rejected.
    pub rejected: u64,
    /// Number whose look-up failed in the registry.
    pub failed: u64,
}

/// Looks for new release points of every survey and publishes their statistics. A failure of one survey is logged and
/// does not keep the others waiting.
pub async fn refresh_once(c: &Coordinator) -> Result<Vec<(SurveyId, Refreshed)>, Error> {
    c.look_for_documents().await;
    let surveys: Vec<Arc<Survey>> = c.deployment().surveys().cloned().collect();
    // Parties of one survey that do not answer keep only a few others waiting.
    let mut looks = futures::stream::iter(surveys).map(|survey| look(c, survey)).buffered(SURVEYS_AT_ONCE);
    let mut done = Vec::new();
    let mut failure = None;
    while let Some((survey, refreshed)) = looks.next().await {
        match refreshed {
            Ok(refreshed) => done.push((survey, refreshed)),
            Err(e) => {
                tracing::error!(%survey, error = %e, "a survey's release points could not be fetched");
                failure = Some(e);
            }
        }
    }
    failure.map_or(Ok(done), Err)
}

async fn look(c: &Coordinator, survey: Arc<Survey>) -> (SurveyId, Result<Refreshed, Error>) {
    let early = is_early(&survey, c.clock.seconds());
    let refreshed = if early { Ok(Refreshed::Idle) } else { c.fetch_releases(&survey).await };
    (survey.id(), refreshed)
}

fn is_early(survey: &Survey, now: u64) -> bool {
    let opens = survey.descriptor.manifest().survey.opens.unix_timestamp();
    i64::try_from(now).is_ok_and(|now| now < opens)
}

/// Asks the parties about every pending submission whose ticket has ended, so that each reaches its end although
/// nobody asks for it.
pub async fn reap_once(c: &Coordinator) -> Result<Reaped, Error> {
    c.look_for_documents().await;
    let mut reaped = Reaped::default();
    // A run that is cut off, because parties answer slowly, began elsewhere than the one before.
    let first = random().map_or(0, u16::from_le_bytes) % LISTS;
    for survey in c.deployment().surveys() {
        for list in (first..LISTS).chain(0..first) {
            reap_list(c, survey.id(), list, &mut reaped).await?;
        }
    }
    Ok(reaped)
}

async fn reap_list(c: &Coordinator, survey: SurveyId, list: u16, reaped: &mut Reaped) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = c.store.pending(survey, list, after, PAGE).await?;
        let Some(last) = page.last().copied() else { return Ok(()) };
        // A page that is not full is the list's last.
        let full = i32::try_from(page.len()).is_ok_and(|n| n >= PAGE);
        after = Some(last);
        let mut ends = futures::stream::iter(page).map(|id| reap_one(c, id)).buffer_unordered(AT_ONCE);
        while let Some(end) = ends.next().await {
            reaped.seen += 1;
            match end {
                Ok(Some(RecordState::Accepted | RecordState::Withdrawn { .. })) => reaped.accepted += 1,
                Ok(Some(RecordState::Rejected { .. })) => reaped.rejected += 1,
                Ok(Some(RecordState::Pending) | None) => {}
                Err(e) => {
                    tracing::error!(error = %e, "a pending submission could not be looked at");
                    reaped.failed += 1;
                }
            }
        }
        if !full {
            return Ok(());
        }
    }
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
