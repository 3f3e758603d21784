//! A query: each party's rules, the opening, the signed result.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use tercet_mpc::statement::{Lane, Output};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::ids::Signature;
use tercet_protocol::result::{ReleasedStatistics, SignedResult};
use tercet_protocol::statistic::{Opened, Statistic, permitted, release as evaluate};
use tercet_protocol::survey::SurveyManifest;

use super::book::Aggregate;
use super::session::{EngineWire, Established, Job, SessionError, Step, Wire};
use super::survey::SurveyNode;
use crate::sandbox::Session;
use crate::store::{LANE_BYTES, Segment};

/// Difference of clocks that a party puts up with when the leader dates a release, in seconds.
const CLOCK_SKEW: u64 = 300;

/// A query that the survey permits: what it reveals, and which lanes that takes.
struct Plan {
    statistics: Vec<Statistic>,
    aggregates: Vec<Aggregate>,
    /// Indices of the lanes to open, in order.
    lanes: Vec<usize>,
}

/// Runs an agreed query session. The inner error is a refusal by the rules, which all parties know of. The caller
/// holds the survey's session lock.
pub async fn run(
    survey: &SurveyNode,
    session: Established,
    job: &Job,
    now: u64,
) -> Result<Result<SignedResult, Problem>, SessionError> {
    let Job::Query { query, statistics, released_at } = job else {
        return Err(SessionError::Internal("a query session with another job".into()));
    };
    let Established { id, mut wire, .. } = session;
    let manifest = survey.descriptor().manifest();
    let decided = if released_at.abs_diff(now) > CLOCK_SKEW {
        Err(Problem::new(ProblemKind::Aborted, "the parties' clocks differ by more than five minutes"))
    } else {
        plan(manifest, survey.lanes(), statistics).and_then(|plan| {
            let release = survey.book().may_release(manifest, &plan.aggregates)?;
            Ok((plan, release))
        })
    };
    let verdict = decided.as_ref().err().cloned().map(|p| p.party(survey.me()));
    let frame = serde_json::to_vec(&verdict).map_err(|e| SessionError::Internal(e.to_string()))?;
    let mut refusals = vec![verdict];
    for (party, frame) in wire.exchange(Step::Decision, frame).await? {
        let theirs: Option<Problem> = serde_json::from_slice(&frame).map_err(|_| {
            SessionError::Disagreement { party, what: "sent a decision that cannot be read".into() }
        })?;
        refusals.push(theirs.map(|p| p.party(party)));
    }
    let (plan, release) = match decided {
        Ok(ok) => ok,
        Err(own) => {
            audit(survey, statistics, &own).await;
            return Ok(Err(own.party(survey.me())));
        }
    };
    if let Some(refusal) = refusals.into_iter().flatten().next() {
        audit(survey, statistics, &refusal).await;
        return Ok(Err(refusal));
    }

    // Counted before anything is opened: from here on a peer may learn the result even if this party stops.
    survey.record(release).await?;
    let (sums, mut wire) = open(survey, id, wire, &plan).await?;
    let (height, head, submissions) = {
        let book = survey.book();
        let (height, head) = book.head();
        (height, head, book.live())
    };
    let opened = opened(survey, &plan, submissions, sums);
    let statistics = evaluate(manifest, &plan.statistics, &opened);
    let result = ReleasedStatistics {
        survey: survey.id(),
        query: *query,
        height,
        head,
        submissions,
        released_at: *released_at,
        statistics,
    };
    let own = result.sign(survey.identity());
    let mut signatures = [own; 3];
    let message = result.message();
    for (party, theirs) in wire.exchange(Step::Result, own.0.to_vec()).await? {
        let signature = <[u8; 64]>::try_from(&theirs[..]).map(Signature);
        let key = &survey.parties()[usize::from(party)];
        match signature {
            Ok(s) if key.verify(&message, &s).is_ok() => signatures[usize::from(party)] = s,
            _ => {
                return Err(SessionError::Disagreement {
                    party,
                    what: "signed another result than this party".into(),
                });
            }
        }
    }
    tracing::info!(query = %query, height, submissions, "released");
    metrics::counter!("tercet_releases_total").increment(1);
    Ok(Ok(SignedResult { result, signatures }))
}

/// Leaves a refusal in the operator's audit log. The caller holds the session lock, so numbers do not collide.
async fn audit(survey: &SurveyNode, statistics: &[String], refusal: &Problem) {
    metrics::counter!("tercet_refusals_total").increment(1);
    tracing::warn!(survey = %survey.id(), ?statistics, kind = refusal.kind, detail = refusal.detail, "release refused");
    let line =
        serde_json::json!({ "event": "release-refused", "statistics": statistics, "problem": refusal });
    let written = async {
        let n = survey.store.next_audit(survey.id()).await?;
        survey.store.append_audit(survey.id(), n, line.to_string().as_bytes()).await
    };
    // A refusal stands whether or not it could be written down; the log line above says it too.
    if let Err(e) = written.await {
        tracing::error!(error = %e, "the audit line could not be stored");
    }
}

/// What the asked statistics reveal. Refuses what the survey does not permit.
fn plan(manifest: &SurveyManifest, lanes: &[Lane], names: &[String]) -> Result<Plan, Problem> {
    if names.is_empty() || names.len() > 64 {
        return Err(Problem::new(ProblemKind::Malformed, "ask for 1 to 64 statistics"));
    }
    let mut statistics = Vec::new();
    let mut aggregates = BTreeSet::new();
    for name in names {
        let Some(statistic) = permitted(manifest, name) else {
            let detail = format!("\"{}\" is not among the survey's statistics", name.escape_debug());
            return Err(Problem::new(ProblemKind::StatisticNotPermitted, detail));
        };
        if !statistics.contains(&statistic) {
            statistics.push(statistic);
        }
        aggregates.insert(Aggregate::Count);
        for column in &manifest.columns {
            if statistic.needs_sum() {
                aggregates.insert(Aggregate::Sum(column.name.clone()));
            }
            if statistic.needs_squares() {
                aggregates.insert(Aggregate::SumOfSquares(column.name.clone()));
            }
        }
    }
    let wanted = |lane: &Lane| match lane.output {
        Output::Value(c) => aggregates.contains(&Aggregate::Sum(column_name(manifest, c))),
        Output::Square(c) => aggregates.contains(&Aggregate::SumOfSquares(column_name(manifest, c))),
        Output::Product(..) => false,
    };
    let lanes = lanes.iter().enumerate().filter(|(_, l)| wanted(l)).map(|(i, _)| i).collect();
    Ok(Plan { statistics, aggregates: aggregates.into_iter().collect(), lanes })
}

fn column_name(manifest: &SurveyManifest, column: u8) -> String {
    manifest.columns.get(usize::from(column)).map(|c| c.name.clone()).unwrap_or_default()
}

/// Sums the rows that count and opens the planned lanes.
async fn open(
    survey: &SurveyNode,
    id: [u8; 32],
    wire: Wire,
    plan: &Plan,
) -> Result<(Vec<u128>, Wire), SessionError> {
    if plan.lanes.is_empty() {
        return Ok((Vec::new(), wire));
    }
    let wanted: Vec<_> = {
        let book = survey.book();
        (1..=book.head().0).filter_map(|h| Some((h, book.hash_at(h)?))).collect()
    };
    let segments: Vec<_> = survey.store.read_segments(survey.id(), wanted).try_collect().await?;
    let mut rows = Vec::with_capacity(segments.len());
    for (height, segment) in &segments {
        if segment.lanes() as usize != survey.lanes().len() {
            return Err(SessionError::Internal(format!(
                "the segment at height {height} has another number of lanes"
            )));
        }
        rows.push(project(survey, segment, &plan.lanes));
    }
    let session = Session { party: survey.me(), id: id.to_vec() };
    let lanes = u32::try_from(plan.lanes.len()).unwrap_or(u32::MAX);
    let sandbox = survey.sandbox.clone();
    let io = EngineWire::new(wire);
    let engine_io = io.clone();
    let sums = tokio::task::spawn_blocking(move || sandbox.open_sums(&session, lanes, &rows, engine_io))
        .await
        .map_err(|e| SessionError::Internal(format!("the engine's thread ended: {e}")))??;
    let wire = io.into_wire().ok_or_else(|| SessionError::Internal("the engine kept its channels".into()))?;
    Ok((sums, wire))
}

/// The planned lanes of the rows that count.
fn project(survey: &SurveyNode, segment: &Segment, lanes: &[usize]) -> Vec<u8> {
    let book = survey.book();
    let all_lanes = lanes.len() == segment.lanes() as usize;
    if all_lanes && book.all_count() {
        return segment.shares().to_vec();
    }
    let mut out = Vec::with_capacity(segment.submissions().len() * lanes.len() * LANE_BYTES);
    for (i, id) in segment.submissions().iter().enumerate() {
        if let Some(row) = segment.row(i).filter(|_| book.counts(id)) {
            for lane in lanes {
                out.extend_from_slice(&row[lane * LANE_BYTES..(lane + 1) * LANE_BYTES]);
            }
        }
    }
    out
}

/// The opened sums by column.
fn opened(survey: &SurveyNode, plan: &Plan, submissions: u64, sums: Vec<u128>) -> Opened {
    let lanes = plan.lanes.iter().filter_map(|i| survey.lanes().get(*i).copied()).collect();
    Opened { submissions, lanes, sums }
}
