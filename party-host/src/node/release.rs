//! A release point: rows that waited enter the statistics, in units that never change again.
//!
//! Each party adds up its shares of each unit. Noise, where the survey has it, is drawn once, here, and stored with the sums:
//! nobody ever sees a sum without it. Secret groups are decided on here, and only here.

use std::sync::Arc;

use tercet_mpc::RingShare;
use tercet_mpc::noise::Laplace;
use tercet_mpc::statement::Part;
use tercet_protocol::ids::Commitment;
use tercet_protocol::log::{EntryBody, LogEntry, Release};
use tercet_releases::{Entering, Ledger, Point};

use super::agree::{self, Staged};
use super::engine::Engine;
use super::secret::{Asked, Groups};
use super::session::{Established, SessionError};
use super::stored::Stored;
use super::survey::SurveyNode;
use super::units::Sums;

/// The time at which a release point may be made now, if one is due and something enters. With `any`, a switch for
/// development, also if none is due.
pub fn due(survey: &SurveyNode, clock: u64, any: bool) -> Option<u64> {
    let book = survey.book();
    let ledger = book.ledger();
    let enters = |due: &u64| !ledger.entering(*due).units().is_empty();
    if let Some(due) = ledger.due(clock).filter(enters) {
        return Some(due);
    }
    let after = ledger.points().last().map(|p| p.time);
    let time = clock.max(after.map_or(0, |after| after + 1));
    let admitted = any && ledger.rules().schedule.admits_any(after, time, clock).is_ok();
    Some(time).filter(|_| admitted).filter(enters)
}

/// Runs an agreed release session to its commit; `due` and `at` are the leader's. The caller holds the survey's session lock.
pub async fn run(
    survey: &SurveyNode,
    session: Established,
    (due, at): (u64, u64),
    clock: u64,
) -> Result<(), SessionError> {
    let refuse = |what: String| SessionError::Disagreement { party: 0, what };
    let (entering, units) = {
        let book = survey.book();
        admitted(book.ledger(), due, clock, survey.releases_any).map_err(refuse)?;
        book.entering(due)
    };
    if units.is_empty() {
        return Err(refuse("proposes a release point at which nothing enters".into()));
    }
    let mut engine = Engine::new(survey, session);
    // No more segments than there are rows, or batches.
    let rows: usize = units.iter().map(Vec::len).sum();
    let segments = rows.min(survey.book().batches().len());
    engine.wire()?.allow_reads(segments);
    let mut sums = Sums::add_up(survey, &units).await?;
    noise(survey, &mut engine, &mut sums).await?;
    let secret = decide(survey, &mut engine, &entering, &sums).await?;

    let point = u64::from(entering.number);
    let (_, secrets) = engine.drawn().await?;
    let (commitments, keys) = sums.commit(survey, engine.wire()?, &secrets, point).await?;
    let segment = Arc::new(sums.segment(survey, point, keys)?);
    let entry = entry(survey, &entering, at, commitments, secret);
    let wire = engine.into_wire()?;
    agree::commit(survey, wire, entry, Staged::Rows(segment)).await?;
    tracing::info!(survey = %survey.id(), point, units = units.len(), rows = entering.rows(), "release point");
    Ok(())
}

fn admitted(ledger: &Ledger, due: u64, clock: u64, any: bool) -> Result<(), String> {
    let after = ledger.points().last().map(|p| p.time);
    let schedule = &ledger.rules().schedule;
    schedule
        .admits(after, due, clock)
        .or_else(|e| if any { schedule.admits_any(after, due, clock) } else { Err(e) })
        .map_err(|e| format!("proposes a release point that this party does not admit: {e}"))
}

fn entry(
    survey: &SurveyNode,
    entering: &Entering,
    at: u64,
    units: Vec<[Commitment; 3]>,
    secret: Vec<u64>,
) -> LogEntry {
    let (height, previous) = survey.book().head();
    let body = EntryBody::Release(Release {
        point: entering.number.into(),
        due: entering.time,
        entering: entering.digest(),
        units,
        secret,
    });
    LogEntry { survey: survey.id(), height: height + 1, previous, at, body }
}

/// Adds to each unit's sums their noise, of the survey's `[[noise]]`.
async fn noise(survey: &SurveyNode, engine: &mut Engine<'_>, sums: &mut Sums) -> Result<(), SessionError> {
    let manifest = survey.descriptor().manifest();
    let statistics = manifest.statistics();
    let noise = manifest.noise_of(&statistics);
    let of = |(i, lane): (usize, &tercet_mpc::statement::Lane)| noise.get(&lane.output).map(|n| (i, *n));
    let (lanes, terms): (Vec<usize>, Vec<Laplace>) = survey.lanes().iter().enumerate().filter_map(of).unzip();
    if lanes.len() != noise.len() {
        // Never skipped: a sum without its noise must not be stored.
        return Err(SessionError::Internal(
            "the survey has noise on a sum that has no lane of its own".into(),
        ));
    }
    let all: Vec<Laplace> = (0..sums.units()).flat_map(|_| terms.iter().copied()).collect();
    let drawn = engine.noise(&all).await?;
    for (unit, shares) in drawn.chunks(lanes.len().max(1)).enumerate() {
        sums.noise(unit, &lanes, shares);
    }
    Ok(())
}

/// Decides with the peers which secret groups have enough new rows, and opens their numbers. Gives the numbers for
/// the entry.
async fn decide(
    survey: &SurveyNode,
    engine: &mut Engine<'_>,
    entering: &Entering,
    sums: &Sums,
) -> Result<Vec<u64>, SessionError> {
    let (blocks, mut points) = {
        let book = survey.book();
        (book.groups().of_blocks(entering.number), book.ledger().points().to_vec())
    };
    if blocks.is_empty() {
        return Ok(Vec::new());
    }
    let mut stored = Stored::read(survey).await?.with(sums, entering.rows());
    let sizes = count(survey, &mut stored, &blocks)?;
    let least = survey.descriptor().manifest().rules().min_new as u64;
    let bits = engine.at_least(&sizes, least).await?;
    points.push(Point { time: entering.time, units: 0, rows: 0 });
    let rests = survey.book().groups().of_rests(entering.number, &bits, &points, entering.last);
    let asked: Vec<Asked> = rests.iter().flatten().cloned().collect();
    let rest_sizes = count(survey, &mut stored, &asked)?;
    let mut rest_bits = engine.at_least(&rest_sizes, least).await?.into_iter();
    let mut rest_sizes = rest_sizes.into_iter();
    // One share for each group: of its rows if it has enough, of nothing otherwise.
    let mut shown: Vec<Option<RingShare>> =
        sizes.into_iter().zip(&bits).map(|(size, bit)| bit.then_some(size)).collect();
    for rest in &rests {
        let decided = rest.as_ref().and_then(|_| Some((rest_sizes.next()?, rest_bits.next()?)));
        shown.push(decided.filter(|(_, bit)| *bit).map(|(size, _)| size));
    }
    let open: Vec<RingShare> = shown.iter().flatten().copied().collect();
    let mut opened = engine.open(&open).await?.into_iter();
    let mut numbers = Vec::with_capacity(shown.len());
    for size in &shown {
        let size = if size.is_some() { opened.next().unwrap_or_default() } else { 0 };
        let size = u64::try_from(size)
            .map_err(|_| SessionError::Internal("a secret group's number of rows is no number".into()))?;
        numbers.push(size);
    }
    let (blocks, rests) = numbers.split_at(bits.len());
    Ok(survey.book().groups().arrange(blocks, rests))
}

/// This party's shares of how many rows are asked about.
fn count(
    survey: &SurveyNode,
    stored: &mut Stored<'_>,
    asked: &[Asked],
) -> Result<Vec<RingShare>, SessionError> {
    let partitions = survey.book().groups().partitions().to_vec();
    let mut shares = Vec::with_capacity(asked.len());
    for of in asked {
        let blocks = partitions.get(of.partition).map(|p| p.blocks.as_slice()).unwrap_or_default();
        let lanes: Vec<_> = blocks.iter().map(|block| stored.lanes_of(&block.size, Part::Whole)).collect();
        let size = Groups::sum(
            &of.ranges,
            |block| lanes.get(block)?.clone(),
            |point, lane| stored.total(point, lane),
        );
        shares.push(size.ok_or_else(|| {
            SessionError::Internal("the survey counts a secret group by a number that is not proven".into())
        })?);
    }
    Ok(shares)
}
