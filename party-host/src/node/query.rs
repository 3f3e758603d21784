//! The answer to a question at a release point: sums of unit sums, opened together, and the listed columns in order.
//!
//! The answer is a function of the log and of the stored shares: the same question at the same release point has the same
//! answer, whoever asks and whatever was asked before.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use tercet_mpc::order::OrderRequest;
use tercet_mpc::statement::Lane;
use tercet_mpc::{Output, RingShare};
use tercet_protocol::api::Problem;
use tercet_protocol::ids::{EntryHash, Signature};
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::{ReleasedStatistics, SignedResult, StatisticValue};
use tercet_protocol::statistic::{Opened, Ordered, Scope, Statistic, Target, release};
use tercet_protocol::survey::SurveyManifest;
use tercet_releases::UnitId;

use super::book::Book;
use super::engine::Engine;
use super::plan::{Plan, Set, Sorting, Units, partition_of, plan};
use super::renewal;
use super::secret::Groups;
use super::session::{Established, SessionError, Step, Wire};
use super::stored::Stored;
use super::survey::SurveyNode;
use crate::measures;
use crate::store::LANE_BYTES;

/// Decides if the rules allow a question now; the problem says why not.
pub fn judge(survey: &SurveyNode, question: &Question) -> Result<Plan, Problem> {
    plan(&survey.book(), survey.descriptor().manifest(), question)
}

/// Runs an agreed session about the newest release point. The caller holds the survey's session lock.
pub async fn run(
    survey: &SurveyNode,
    session: Established,
    question: &Question,
    point: u64,
) -> Result<SignedResult, SessionError> {
    let manifest = survey.descriptor().manifest();
    let refused = |what: String| SessionError::Disagreement { party: 0, what };
    let plan = judge(survey, question)
        .map_err(|p| refused(format!("asks what this party's rules refuse: {}", p.detail)))?;
    if plan.point.public.number != point {
        return Err(refused("asks about another release point than the newest".into()));
    }
    let mut engine = Engine::new(survey, session);
    let mut opened = open(survey, &mut engine, &plan).await?;
    if !plan.sortings.is_empty() {
        let batches = survey.book().batches().len();
        engine.wire()?.allow_reads(batches);
    }
    for sorting in &plan.sortings {
        let ordered = sort(survey, &mut engine, sorting).await?;
        if let Some(of) = opened.get_mut(&sorting.scope) {
            of.orders.extend(ordered);
        }
    }
    for histogram in &plan.histograms {
        let of = opened.entry(histogram.scope.clone()).or_default();
        of.submissions = histogram.counts.values;
        of.orders.push(histogram.counts.clone());
    }
    let before = earlier(survey, engine.wire()?, &plan).await?;
    let mut statistics = {
        let book = survey.book();
        let partition = |s: &Statistic, t: Target| partition_of(&book, manifest, s, t);
        release(manifest, &plan.statistics, &partition, &opened)
    };
    serve(&mut statistics, manifest, &plan, &before);
    for value in &mut statistics {
        let Ok(statistic) = value.statistic.parse::<Statistic>() else { continue };
        let ungrouped = statistic.group.as_ref().and_then(|field| plan.ungrouped.get(field).copied());
        let unbinned = || plan.unbinned(&statistic, manifest.column(value.column.as_deref()?)?);
        value.not_told_apart = ungrouped.or_else(unbinned).filter(|rows| *rows > 0);
    }
    let head = survey.book().hash_at(plan.point.height);
    let result = ReleasedStatistics {
        survey: survey.id(),
        query: question.id(survey.id(), point),
        release: plan.point.public,
        height: plan.point.height,
        head: head.ok_or_else(|| SessionError::Internal("a release point above the log".into()))?,
        filter: question.filter.clone(),
        submissions: plan.rows,
        not_told_apart: Some(plan.not_told_apart).filter(|rows| *rows > 0),
        statistics,
    };
    let signed = sign(survey, engine.wire()?, result).await?;
    survey.keep(question, &signed).await?;
    tracing::info!(query = %signed.result.query, point, submissions = plan.rows, "released");
    metrics::counter!(measures::RELEASES).increment(1);
    Ok(signed)
}

async fn sign(
    survey: &SurveyNode,
    wire: &mut Wire,
    result: ReleasedStatistics,
) -> Result<SignedResult, SessionError> {
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
    Ok(SignedResult { result, signatures })
}

/// Opens the sums of all sets at once.
async fn open(
    survey: &SurveyNode,
    engine: &mut Engine<'_>,
    plan: &Plan,
) -> Result<BTreeMap<Scope, Opened>, SessionError> {
    if plan.sets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let manifest = survey.descriptor().manifest();
    let noise = manifest.noise_of(&manifest.statistics());
    let missing =
        || SessionError::Internal("a statistic needs a sum that is not proven or not stored".into());
    let mut shares: Vec<RingShare> = Vec::new();
    let mut prepared: Vec<(Scope, Opened)> = Vec::new();
    let mut stored = Stored::read(survey).await?;
    for (scope, set) in &plan.sets {
        let (lanes, own) = sum(survey, &mut stored, set).ok_or_else(missing)?;
        shares.extend(own);
        // Noise may take a sum of squares below zero.
        let signed = |lane: Lane| Lane { signed: lane.signed || noise.contains_key(&lane.output), ..lane };
        let units = match &set.units {
            Units::Known(units) => units.len() as u64,
            Units::Secret { .. } => 0,
        };
        let opened = Opened {
            submissions: set.rows,
            units,
            lanes: lanes.into_iter().map(signed).collect(),
            noise: noise.clone(),
            ..Opened::default()
        };
        prepared.push((scope.clone(), opened));
    }
    let mut sums = engine.open(&shares).await?.into_iter();
    for (_, opened) in &mut prepared {
        opened.sums = sums.by_ref().take(opened.lanes.len()).collect();
    }
    Ok(prepared.into_iter().collect())
}

/// The lanes of a set's outputs, and this party's shares of their sums.
fn sum(survey: &SurveyNode, stored: &mut Stored<'_>, set: &Set) -> Option<(Vec<Lane>, Vec<RingShare>)> {
    let book = survey.book();
    let (mut lanes, mut shares) = (Vec::new(), Vec::new());
    match &set.units {
        Units::Known(units) => {
            for (i, lane) in
                survey.lanes().iter().enumerate().filter(|(_, l)| set.outputs.contains(&l.output))
            {
                let mut sum = RingShare::default();
                for unit in units {
                    sum = sum + stored.unit(book.ledger(), *unit, i)?;
                }
                lanes.push(*lane);
                shares.push(sum);
            }
        }
        Units::Secret { partition, block } => {
            let of = book.groups().partitions().get(*partition)?;
            let units: Vec<_> = book
                .groups()
                .units()
                .iter()
                .filter(|u| u.partition == *partition && (block.is_none() || u.block == *block))
                .collect();
            for output in &set.outputs {
                for part in parts(survey.lanes(), *output) {
                    let linear = |block: usize| stored.lanes_of(&of.within(block, *output)?, part.part);
                    let of_blocks: Vec<_> = (0..of.blocks.len()).map(linear).collect();
                    let negative = of_blocks.iter().flatten().flatten().any(|(_, times)| *times < 0);
                    let mut sum = RingShare::default();
                    for unit in &units {
                        let of = |block: usize| of_blocks.get(block)?.clone();
                        sum = sum + Groups::sum(&unit.ranges, of, |point, lane| stored.total(point, lane))?;
                    }
                    lanes.push(Lane { output: *output, signed: part.signed || negative, ..part });
                    shares.push(sum);
                }
            }
        }
    }
    Some((lanes, shares))
}

/// The lanes that an output has, or would have.
fn parts(lanes: &[Lane], output: Output) -> Vec<Lane> {
    let own: Vec<Lane> = lanes.iter().filter(|l| l.output == output).copied().collect();
    if !own.is_empty() {
        return own;
    }
    // A term is divided as it is under a condition.
    let like = |l: &&Lane| matches!(l.output, Output::Given(term, _) if term == output.term());
    let first = lanes.iter().find(like).map(|l| l.output);
    lanes.iter().filter(|l| Some(l.output) == first).copied().collect()
}

/// Sorts a column of everybody, or of one group, and reads the listed statistics off it.
async fn sort(
    survey: &SurveyNode,
    engine: &mut Engine<'_>,
    sorting: &Sorting,
) -> Result<Option<Ordered>, SessionError> {
    let manifest = survey.descriptor().manifest();
    let column = sorting.whose.column;
    let internal = |what: &str| SessionError::Internal(what.to_owned());
    let section = manifest
        .columns
        .get(usize::from(column))
        .ok_or_else(|| internal("a plan with a column that the survey has not"))?;
    let lane = |output: Output| {
        let found = survey.lanes().iter().position(|l| l.output == output);
        found.ok_or_else(|| internal("a column without a lane for its values"))
    };
    let mut lanes = vec![lane(Output::Value(column))?];
    let (units, present) = {
        let book = survey.book();
        sorted_units(&book, manifest, sorting)
    };
    if present.is_some() {
        lanes.push(lane(Output::Present(column))?);
    }
    let (rows, count) = rows(survey, &units, &lanes).await?;
    let values = present.unwrap_or(count);
    let mut request = OrderRequest::default();
    sorting.measures.iter().for_each(|m| request.merge(&m.order(values, section.scale)));
    if request.is_empty() {
        return Ok(None);
    }
    let reading = engine.read_order(section.bits, present, rows, &request).await?;
    metrics::counter!(measures::ENGINE_ROUNDS).increment(reading.rounds);
    metrics::counter!(measures::ENGINE_GATES).increment(reading.gates);
    tracing::info!(rows = count, values, rounds = reading.rounds, gates = reading.gates, "sorted");
    Ok(Some(Ordered { column, values, request, answer: reading.answer }))
}

/// The units whose rows are put in order, and how many of these have a value, where some have none.
fn sorted_units(
    book: &Book,
    manifest: &SurveyManifest,
    sorting: &Sorting,
) -> (BTreeSet<UnitId>, Option<u64>) {
    let column = sorting.whose.column;
    let units = (0..).zip(book.ledger().units());
    if manifest.optional().get(usize::from(column)).copied().unwrap_or(false) {
        let clean = renewal::clean(book.ledger(), book.groups(), column);
        let inside = |unit| clean.iter().any(|(range, _)| renewal::within(unit, range));
        let units = units.filter(|(_, unit)| inside(unit)).map(|(id, _)| id).collect();
        return (units, Some(clean.iter().map(|(_, rows)| rows).sum()));
    }
    let inside = |unit: &tercet_releases::Unit| match &sorting.whose.group {
        None => true,
        Some((field, value)) => unit.label.get(*field) == Some(value),
    };
    (units.filter(|(_, unit)| inside(unit)).map(|(id, _)| id).collect(), None)
}

/// The given lanes of all rows of these units that were not erased, and how many rows that are.
async fn rows(
    survey: &SurveyNode,
    units: &BTreeSet<UnitId>,
    lanes: &[usize],
) -> Result<(Vec<Vec<u8>>, u64), SessionError> {
    let wanted: Vec<(u64, EntryHash)> = {
        let book = survey.book();
        book.batches().into_iter().filter_map(|h| Some((h, book.rows_at(h)?))).collect()
    };
    let (mut all, mut count) = (Vec::with_capacity(wanted.len()), 0);
    let mut segments = std::pin::pin!(survey.store.read_segments(survey.id(), wanted));
    // One after the other: all of them together take many times the memory of the lanes that are kept.
    while let Some((_, segment)) = segments.try_next().await? {
        let book = survey.book();
        let mut out = Vec::with_capacity(segment.submissions().len() * lanes.len() * LANE_BYTES);
        for (i, id) in segment.submissions().iter().enumerate() {
            let counted = book.unit_of(id).is_some_and(|unit| units.contains(&unit));
            if let Some(row) = segment.row(i).filter(|_| counted) {
                let row = row.as_chunks::<LANE_BYTES>().0;
                lanes.iter().for_each(|l| out.extend_from_slice(&row[*l]));
                count += 1;
            }
        }
        all.push(out);
    }
    Ok((all, count))
}

/// The answers to the survey's own question at earlier release points, of which parts of this one are served. A party that
/// lacks one takes it from a peer: it has three signatures.
async fn earlier(
    survey: &SurveyNode,
    wire: &mut Wire,
    plan: &Plan,
) -> Result<BTreeMap<u64, SignedResult>, SessionError> {
    let points: BTreeSet<u64> = plan.earlier.iter().map(|e| e.point).collect();
    let mut known = BTreeMap::new();
    if points.is_empty() {
        return Ok(known);
    }
    for point in &points {
        if let Some(answer) = survey.listed(*point).await? {
            known.insert(*point, answer);
        }
    }
    let own: Vec<&SignedResult> = known.values().collect();
    let frame = serde_json::to_vec(&own).map_err(|e| SessionError::Internal(e.to_string()))?;
    let question = Question::listed(survey.descriptor().manifest());
    for (party, frame) in wire.exchange(Step::Earlier, frame).await? {
        let theirs: Vec<SignedResult> = serde_json::from_slice(&frame).map_err(|_| {
            SessionError::Disagreement { party, what: "sent earlier answers that cannot be read".into() }
        })?;
        for answer in theirs {
            let point = answer.result.release.number;
            if !points.contains(&point) || known.contains_key(&point) {
                continue;
            }
            let ours = answer.result.query == question.id(survey.id(), point);
            if !ours || answer.verify(survey.parties()).is_err() {
                let what = "sent an earlier answer that the three parties have not signed".into();
                return Err(SessionError::Disagreement { party, what });
            }
            survey.keep(&question, &answer).await?;
            known.insert(point, answer);
        }
    }
    Ok(known)
}

/// Fills in the parts that are served as computed before.
fn serve(
    statistics: &mut [StatisticValue],
    manifest: &SurveyManifest,
    plan: &Plan,
    before: &BTreeMap<u64, SignedResult>,
) {
    for of in &plan.earlier {
        // What was computed at the newest release point itself needs no other number.
        let here = Some(of.point).filter(|point| *point != plan.point.public.number);
        let Some(answer) = before.get(&of.point) else { continue };
        let column = name(manifest, of.target);
        let same = |v: &&StatisticValue| {
            let statistic = v.statistic.parse::<Statistic>().ok();
            let alike =
                statistic.is_some_and(|s| s.measure == of.statistic.measure && s.group == of.statistic.group);
            alike && v.column == column
        };
        let Some(found) = answer.result.statistics.iter().find(same) else { continue };
        let asked = of.statistic.to_string();
        let own = statistics.iter_mut().find(|v| v.statistic == asked && v.column == column);
        let Some(own) = own else { continue };
        match &of.label {
            None => {
                *own = StatisticValue {
                    statistic: own.statistic.clone(),
                    release: found.release.or(here),
                    ..found.clone()
                };
            }
            Some(label) => {
                let part = found.parts.iter().find(|p| p.label == *label);
                let place = own.parts.iter_mut().find(|p| p.label == *label);
                if let (Some(part), Some(place)) = (part, place) {
                    let release = part.release.or(here);
                    *place = tercet_protocol::result::PartValue { release, ..part.clone() };
                }
            }
        }
    }
}

fn name(manifest: &SurveyManifest, target: Target) -> Option<String> {
    let Target::One(column) = target else { return None };
    manifest.columns.get(usize::from(column)).map(|c| c.name.clone())
}
