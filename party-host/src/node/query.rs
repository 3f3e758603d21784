//! A query: each party's rules, the opening, the signed result.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use tercet_mpc::noise::Laplace;
use tercet_mpc::statement::Lane;
use tercet_mpc::{Condition, Output, RingShare, Term};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::Signature;
use tercet_protocol::release_point::ReleasePoint;
use tercet_protocol::result::{ReleasedStatistics, SignedResult};
use tercet_protocol::statistic::{Opened, OpenedGroup, Statistic, release as evaluate};
use tercet_protocol::survey::SurveyManifest;

use super::book::{Book, Selector};
use super::hidden;
use super::order::{self, Bound, Drawn};
use super::plan::{Plan, PlannedSet, plan};
use super::session::{EngineWire, Established, Job, SessionError, Step, Wire};
use super::survey::SurveyNode;
use crate::measures;
use crate::sandbox::Session;
use crate::store::{LANE_BYTES, Segment};

/// Difference of clocks that a party puts up with when the leader dates a release, in seconds.
const CLOCK_SKEW: u64 = 300;

/// Runs an agreed query session. The inner error is a refusal by the rules, which all parties know of. The caller
/// holds the survey's session lock.
pub async fn run(
    survey: &SurveyNode,
    session: Established,
    job: &Job,
    now: u64,
) -> Result<Result<SignedResult, Problem>, SessionError> {
    let Job::Query { query, statistics, filter, released_at } = job else {
        return Err(SessionError::Internal("a query session with another job".into()));
    };
    let Established { id, nonces, mut wire } = session;
    let manifest = survey.descriptor().manifest();
    let decided = if released_at.abs_diff(now) > CLOCK_SKEW {
        Err(Problem::new(ProblemKind::Aborted, "the parties' clocks differ by more than five minutes"))
    } else {
        let book = survey.book();
        plan(manifest, survey.lanes(), &book, statistics, filter).and_then(|plan| {
            let names = plan.statistics.iter().map(Statistic::to_string).collect();
            let sets = plan.sets.iter().map(|s| s.filter.clone()).collect();
            let release = book.may_release(manifest, filter, names, plan.epsilon(), sets)?;
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
    let (mut plan, release) = match decided {
        Ok(ok) => ok,
        Err(own) => {
            audit(survey, statistics, filter, &own).await;
            return Ok(Err(own.party(survey.me())));
        }
    };
    if let Some(refusal) = refusals.into_iter().flatten().next() {
        audit(survey, statistics, filter, &refusal).await;
        return Ok(Err(refusal));
    }

    // Counted before anything is opened: from here on a peer may learn the result even if this party stops.
    survey.record(release.clone()).await?;
    let segments = segments(survey, &plan).await?;
    let bound = Bound { id, nonces };
    let mut drawn = Drawn::default();
    let (passed, wire) = hidden::pass(survey, &bound, wire, &mut drawn, &plan, &segments, &release).await?;
    match passed {
        Ok(partition) => {
            partition.iter().for_each(|p| plan.divide(manifest, survey.lanes(), p));
        }
        Err(refusal) => {
            audit(survey, statistics, filter, &refusal).await;
            return Ok(Err(refusal));
        }
    }
    let (sums, wire) = open(survey, &bound, wire, &mut drawn, &plan, &segments).await?;
    let mut sets = opened(survey, &plan, sums);
    let (orders, mut wire) = order::read(survey, &bound, wire, &mut drawn, &plan, &sets, &segments).await?;
    sets.iter_mut().zip(orders).for_each(|(set, orders)| set.orders = orders);
    let (height, head) = survey.book().head();
    let (whole, groups) = grouped(&plan, sets);
    let submissions = whole.submissions;
    let statistics = evaluate(manifest, &plan.statistics, &whole, &groups);
    let result = ReleasedStatistics {
        survey: survey.id(),
        query: *query,
        release: ReleasePoint { number: height, time: *released_at, ..ReleasePoint::default() },
        height,
        head,
        filter: filter.clone(),
        submissions,
        not_told_apart: None,
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
    metrics::counter!(measures::RELEASES).increment(1);
    Ok(Ok(SignedResult { result, signatures }))
}

/// Leaves a refusal in the operator's audit log. The caller holds the session lock, so numbers do not collide.
async fn audit(survey: &SurveyNode, statistics: &[String], filter: &Filter, refusal: &Problem) {
    metrics::counter!(measures::REFUSALS).increment(1);
    tracing::warn!(survey = %survey.id(), ?statistics, %filter, kind = refusal.kind, detail = refusal.detail, "release refused");
    let line = serde_json::json!({
        "event": "release-refused", "statistics": statistics, "where": filter, "problem": refusal
    });
    let written = async {
        let n = survey.store.next_audit(survey.id()).await?;
        survey.store.append_audit(survey.id(), n, line.to_string().as_bytes()).await
    };
    // A refusal stands whether or not it could be written down; the log line above says it too.
    if let Err(e) = written.await {
        tracing::error!(error = %e, "the audit line could not be stored");
    }
}

/// The rows of every height, unless the plan opens nothing.
async fn segments(survey: &SurveyNode, plan: &Plan) -> Result<Vec<(u64, Arc<Segment>)>, SessionError> {
    if plan.guards.is_empty() && plan.sets.iter().all(|s| s.lanes.is_empty() && s.orders.is_empty()) {
        return Ok(Vec::new());
    }
    let wanted: Vec<_> = {
        let book = survey.book();
        (1..=book.head().0).filter_map(|h| Some((h, book.hash_at(h)?))).collect()
    };
    let segments: Vec<_> = survey.store.read_segments(survey.id(), wanted).try_collect().await?;
    match segments.iter().find(|(_, s)| s.lanes() as usize != survey.lanes().len()) {
        None => Ok(segments),
        Some((height, _)) => {
            Err(SessionError::Internal(format!("the segment at height {height} has another number of lanes")))
        }
    }
}

/// Opens the sums of every set's lanes, set by set, with the noise that the plan has for them.
async fn open(
    survey: &SurveyNode,
    bound: &Bound,
    mut wire: Wire,
    drawn: &mut Drawn,
    plan: &Plan,
    segments: &[(u64, Arc<Segment>)],
) -> Result<(Vec<u128>, Wire), SessionError> {
    let lanes = plan.sets.iter().map(|s| s.lanes.len()).sum::<usize>();
    if lanes == 0 {
        return Ok((Vec::new(), wire));
    }
    let sets = Selected::all(&survey.book(), survey.descriptor().manifest(), plan);
    let rows: Vec<_> = segments
        .iter()
        .map(|(_, segment)| match &sets[..] {
            [only] if only.also.is_empty() => project(&survey.book(), segment, only),
            sets => combine(&survey.book(), segment, sets),
        })
        .collect();
    let session = Session { party: survey.me(), id: bound.id.to_vec() };
    let lanes = u32::try_from(lanes).unwrap_or(u32::MAX);
    let sandbox = survey.sandbox.clone();
    let noise: Vec<Option<Laplace>> = plan
        .sets
        .iter()
        .flat_map(|set| set.lanes.iter().map(|l| set.noise.get(&survey.lanes().get(*l)?.output).copied()))
        .collect();
    let drawing = match noise.iter().any(Option::is_some) {
        true => Some(drawn.prepare(survey, bound, &mut wire).await?),
        false => None,
    };
    let io = EngineWire::new(wire);
    let engine_io = io.clone();
    let opening = move || match drawing {
        Some((context, secrets)) => {
            sandbox.open_noised_sums(&session, &context, secrets, lanes, &rows, &noise, engine_io)
        }
        None => sandbox.open_sums(&session, lanes, &rows, engine_io),
    };
    let sums = tokio::task::spawn_blocking(opening)
        .await
        .map_err(|e| SessionError::Internal(format!("the engine's thread ended: {e}")))??;
    let wire = io.into_wire().ok_or_else(|| SessionError::Internal("the engine kept its channels".into()))?;
    Ok((sums, wire))
}

/// Some rows and lanes.
pub(super) struct Selected<'p> {
    pub selector: Selector,
    pub lanes: &'p [usize],
    /// Further lanes that are added to these, each to the one in its place.
    pub also: &'p [Vec<usize>],
}

impl<'p> Selected<'p> {
    fn all(book: &Book, manifest: &SurveyManifest, plan: &'p Plan) -> Vec<Self> {
        let sums = plan.sets.iter().filter(|s| !s.lanes.is_empty());
        let selected = |s: &'p PlannedSet| Self {
            selector: book.selector(manifest, &s.filter),
            lanes: &s.lanes,
            also: &s.also,
        };
        sums.map(selected).collect()
    }
}

/// A lane of a row, which has all lanes.
fn lane(row: &[u8], lane: usize) -> &[u8; LANE_BYTES] {
    &row.as_chunks().0[lane]
}

/// The planned lanes of the rows that count.
pub(super) fn project(book: &Book, segment: &Segment, set: &Selected<'_>) -> Vec<u8> {
    let all = book.all_count(&set.selector);
    if all && set.lanes.len() == segment.lanes() as usize {
        return segment.shares().to_vec();
    }
    let mut out = Vec::with_capacity(segment.submissions().len() * set.lanes.len() * LANE_BYTES);
    for (i, id) in segment.submissions().iter().enumerate() {
        if let Some(row) = segment.row(i).filter(|_| all || book.counts(&set.selector, id)) {
            set.lanes.iter().for_each(|l| out.extend_from_slice(lane(row, *l)));
        }
    }
    out
}

/// One row of all sets' lanes side by side: this segment's sums. Adding shares needs no peer, and rows of all sets
/// would be as many times larger as there are sets.
fn combine(book: &Book, segment: &Segment, sets: &[Selected<'_>]) -> Vec<u8> {
    let mut sums = vec![RingShare::default(); sets.iter().map(|s| s.lanes.len()).sum()];
    for (i, id) in segment.submissions().iter().enumerate() {
        let Some(row) = segment.row(i) else { continue };
        let mut rest = &mut sums[..];
        for set in sets {
            let (own, others) = rest.split_at_mut(set.lanes.len());
            if book.counts(&set.selector, id) {
                for lanes in std::iter::once(set.lanes).chain(set.also.iter().map(Vec::as_slice)) {
                    own.iter_mut()
                        .zip(lanes)
                        .for_each(|(sum, l)| *sum = *sum + RingShare::from_lane(lane(row, *l)));
                }
            }
            rest = others;
        }
    }
    sums.iter().flat_map(|s| s.to_lane()).collect()
}

/// The opened sums of each set.
fn opened(survey: &SurveyNode, plan: &Plan, sums: Vec<u128>) -> Vec<Opened> {
    let mut sums = sums.into_iter();
    let opened = |set: &PlannedSet| {
        // Noise may take a sum of squares below zero.
        let signed =
            |lane: Lane| Lane { signed: lane.signed || set.noise.contains_key(&lane.output), ..lane };
        // In a category's group the condition is known to hold.
        let shown = |lane: Lane| match lane.output {
            Output::Given(term, Condition::Is(..)) => {
                Lane { output: Output::always(term).unwrap_or(lane.output), ..lane }
            }
            _ => lane,
        };
        Opened {
            submissions: set.rows,
            lanes: set
                .lanes
                .iter()
                .filter_map(|i| survey.lanes().get(*i).copied())
                .map(signed)
                .map(shown)
                .collect(),
            sums: sums.by_ref().take(set.lanes.len()).collect(),
            orders: Vec::new(),
            noise: set.noise.clone(),
        }
    };
    let mut sets: Vec<Opened> = plan.sets.iter().map(opened).collect();
    count_groups(survey.descriptor().manifest(), plan, &mut sets);
    sets
}

/// The sizes of a category's groups: opened, and of all others together what is left of everybody.
fn count_groups(manifest: &SurveyManifest, plan: &Plan, sets: &mut [Opened]) {
    let mut rest = sets.first().map_or(0, |whole| whole.submissions);
    for (set, opened) in plan.sets.iter().zip(sets) {
        let Some((category, label)) = &set.group else { continue };
        if manifest.category(category).is_none() {
            continue;
        }
        let one = |l: &Lane| l.output.term() == Term::One;
        let size = opened.lanes.iter().zip(&opened.sums).find(|(l, _)| one(l)).map(|(_, n)| *n);
        let size = size.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        // The one without a label comes last.
        opened.submissions = if label.is_empty() { rest } else { size };
        rest = rest.saturating_sub(size);
    }
}

/// What was opened, about the asked rows and by field about each group.
fn grouped(plan: &Plan, sets: Vec<Opened>) -> (Opened, BTreeMap<String, Vec<OpenedGroup>>) {
    let mut whole = Opened::default();
    let mut groups: BTreeMap<String, Vec<OpenedGroup>> = BTreeMap::new();
    for (set, opened) in plan.sets.iter().zip(sets) {
        match &set.group {
            None => whole = opened,
            Some((field, label)) => {
                groups.entry(field.clone()).or_default().push(OpenedGroup { label: label.clone(), opened });
            }
        }
    }
    (whole, groups)
}
