//! Everything that party 0 starts by itself: erasures and new shares that were asked for, release points that are due, and
//! their listed statistics.

use std::sync::Arc;
use std::time::Duration;

use tercet_protocol::api::{Problem, ProblemKind, ReleaseNow};
use tercet_protocol::query_ticket::Question;
use tercet_protocol::withdrawal::Withdrawal;

use super::session::{Job, SessionError};
use super::{Node, SurveyNode, erase, lead, query, release};

/// Time between two looks of party 0 at the clock.
const TICK: Duration = Duration::from_secs(1);

/// Party 0's loop for a survey.
pub(super) async fn run(node: Arc<Node>, survey: Arc<SurveyNode>) {
    if survey.me() != 0 {
        return;
    }
    let mut stop = node.stop.subscribe();
    let mut failures = 0u32;
    // What was found not to be due, so that it is not computed each second.
    let mut idle = None;
    while !*stop.borrow() {
        let pause = TICK * (1 << failures.min(5));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = survey.asked.notified(), if failures == 0 => {}
            _ = stop.changed() => {}
        }
        match step(&node, &survey, &mut idle).await {
            Ok(()) => failures = 0,
            Err(e) => {
                failures = failures.saturating_add(1);
                tracing::warn!(survey = %survey.id(), error = %e, code = e.code(), "will be tried again");
            }
        }
    }
}

async fn step(
    node: &Arc<Node>,
    survey: &Arc<SurveyNode>,
    idle: &mut Option<(u64, u64)>,
) -> Result<(), SessionError> {
    while let Some(withdrawal) = survey.next_withdrawal() {
        if erase::receipt(survey, withdrawal.submission).is_none() {
            erase(node, survey, &withdrawal).await?;
        }
        survey.withdrawn(&withdrawal.submission);
    }
    publish(node, survey).await?;
    refresh(node, survey).await?;
    let clock = node.clock.now();
    let state = (survey.book().head().0, survey.book().ledger().due(clock).unwrap_or(0));
    if state.1 == 0 || *idle == Some(state) {
        return Ok(());
    }
    match release::due(survey, clock, false) {
        Some(due) => {
            lead_release(node, survey, due).await?;
            publish(node, survey).await
        }
        None => {
            *idle = Some(state);
            Ok(())
        }
    }
}

async fn erase(
    node: &Arc<Node>,
    survey: &Arc<SurveyNode>,
    withdrawal: &Withdrawal,
) -> Result<(), SessionError> {
    if let Err(problem) = erase::check(survey, withdrawal).await? {
        tracing::warn!(submission = %withdrawal.submission, detail = problem.detail, "withdrawal refused");
        return Ok(());
    }
    let job = Job::Erase { withdrawal: withdrawal.clone(), at: node.clock.now() };
    lead::run(node, survey, &job).await.map(|_| ())
}

async fn lead_release(node: &Arc<Node>, survey: &Arc<SurveyNode>, due: u64) -> Result<(), SessionError> {
    let job = Job::Release { due, at: node.clock.now() };
    lead::run(node, survey, &job).await.map(|_| ())
}

/// Goes on with the newest epoch of shares, or begins another one if an operator asked for it.
async fn refresh(node: &Arc<Node>, survey: &Arc<SurveyNode>) -> Result<(), SessionError> {
    loop {
        let at = node.clock.now();
        let due = survey.book().epochs().due(at);
        let goes_on = due.as_ref().is_some_and(|part| part.goes_on);
        if !goes_on && !survey.asked_for_refresh() {
            return Ok(());
        }
        if due.is_some() {
            lead::run(node, survey, &Job::Refresh { at }).await?;
        }
        if !goes_on {
            survey.refresh_begun();
        }
    }
}

/// Computes the listed statistics of the newest release point, unless that has been done.
async fn publish(node: &Arc<Node>, survey: &Arc<SurveyNode>) -> Result<(), SessionError> {
    let Some(point) = survey.book().newest().map(|p| p.public.number) else { return Ok(()) };
    if survey.listed(point).await?.is_some() {
        return Ok(());
    }
    let question = Question::listed(survey.descriptor().manifest());
    if query::judge(survey, &question).is_err() {
        // Fewer rows than the minimum cohort: there is nothing to publish yet.
        return Ok(());
    }
    let job = Job::Query { release: point, ticket: None };
    lead::run(node, survey, &job).await.map(|_| ())
}

/// A release point now, although none is due: a switch for development.
pub(super) async fn now(node: &Arc<Node>, survey: &Arc<SurveyNode>) -> Result<ReleaseNow, Problem> {
    if !survey.releases_any {
        let detail = "release points are due by the survey's timetable only; `[releases] any_time = true` in the parties' \
                      configuration admits others, for development";
        return Err(Problem::new(ProblemKind::DevelopmentOnly, detail));
    }
    if survey.me() != 0 {
        let detail = "release points are led by the survey's party 0: send it there";
        return Err(Problem::new(ProblemKind::Malformed, detail));
    }
    let due = release::due(survey, node.clock.now(), true);
    let made = due.is_some();
    if let Some(due) = due {
        lead_release(node, survey, due).await.map_err(|e| e.problem())?;
    }
    publish(node, survey).await.map_err(|e| e.problem())?;
    let release = survey.book().newest().map_or(0, |p| p.public.number);
    Ok(ReleaseNow { survey: survey.id(), release, made })
}
