//! Decisions about groups whose members nobody knows: taken by the parties on shared counts, before anything that is
//! summed over such a group is opened.
//!
//! A group passes if it has enough rows and if, since sums over it were last released, no row of it has changed or
//! enough have come in. Then every linear combination of all its released sums depends on nobody or on at least so many
//! rows (`docs/protocol.md`, section 9). One bit for each guard is opened.
//!
//! What was released before is what two of the three have written down: each writes before anybody opens, and opens
//! only when the others say that they have written, so what one honest party lacks was never opened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tercet_mpc::sharing::Ring;
use tercet_mpc::{Output, PartyId, RingShare};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::sha256;
use tercet_protocol::survey::{Atom, Guard, SurveyManifest};

use super::book::Book;
use super::order::{Bound, Drawn};
use super::plan::Plan;
use super::rules::{Hidden, Release};
use super::session::{EngineWire, SessionError, Step, Wire};
use super::survey::SurveyNode;
use crate::sandbox::{Enough, Session};
use crate::store::{LANE_BYTES, Segment};

/// Heights at which sums of a guard were released, ascending.
type Heights = BTreeMap<Guard, BTreeSet<u64>>;

/// What the parties agree on before they decide.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Agreed {
    /// The guards, and at which height sums of each were released last.
    since: Vec<(Guard, Option<u64>)>,
}

/// Decides whether the plan's sums may be opened, and writes down that they will be. The inner error is a refusal that
/// all parties know of.
pub async fn pass(
    survey: &SurveyNode,
    bound: &Bound,
    mut wire: Wire,
    drawn: &mut Drawn,
    plan: &Plan,
    segments: &[(u64, Arc<Segment>)],
    release: &Release,
) -> Result<(Result<(), Problem>, Wire), SessionError> {
    if plan.guards.is_empty() {
        return Ok((Ok(()), wire));
    }
    let agreed = agree(survey, &mut wire, plan).await?;
    let (counts, checks) = questions(survey, &agreed, segments);
    let (context, secrets) = drawn.prepare(survey, bound, &mut wire).await?;
    let mut w = Writer::tagged("tercet decision v1");
    w.array(&bound.id);
    let session = Session { party: survey.me(), id: sha256(&[&w.finish()]).to_vec() };
    let sandbox = survey.sandbox.clone();
    let io = EngineWire::new(wire);
    let engine_io = io.clone();
    let decided = tokio::task::spawn_blocking(move || {
        sandbox.decide(&session, &context, secrets, &counts, &checks, engine_io)
    })
    .await
    .map_err(|e| SessionError::Internal(format!("the engine's thread ended: {e}")))??;
    let mut wire =
        io.into_wire().ok_or_else(|| SessionError::Internal("the engine kept its channels".into()))?;
    let failed = agreed.since.iter().zip(decided).find(|(_, holds)| !holds).map(|((guard, _), _)| guard);
    if let Some(guard) = failed {
        return Ok((Err(refusal(survey.descriptor().manifest(), guard)), wire));
    }
    // Counted before anything is opened, by all three: who lacks this record has opened nothing.
    let hidden = plan.guards.iter().map(|guard| Hidden { guard: guard.clone() }).collect();
    survey.record(Release { hidden, ..release.clone() }).await?;
    say_the_same(&mut wire, Step::Recorded, &digest(&agreed)?).await?;
    Ok((Ok(()), wire))
}

fn refusal(manifest: &SurveyManifest, guard: &Guard) -> Problem {
    let (least, new) = (manifest.survey.smallest_set(), manifest.survey.min_new);
    let what = match guard {
        Guard::Column(name) => format!("fewer than {least} submissions have a value of {name}"),
        Guard::Pairs => format!(
            "of the columns that pairs are made of, fewer than {least} submissions have all values, or some lack the same"
        ),
    };
    Problem::new(
        ProblemKind::CohortTooSmall,
        format!(
            "{what}, or since the last release fewer than {new} of them have come in while some have changed: wait until more \
             people have taken part, or ask about other columns"
        ),
    )
}

/// Finds with the others when sums of each guard were released last.
async fn agree(survey: &SurveyNode, wire: &mut Wire, plan: &Plan) -> Result<Agreed, SessionError> {
    let own: Heights = {
        let book = survey.book();
        plan.guards.iter().map(|guard| (guard.clone(), book.released_hidden(guard))).collect()
    };
    let internal = |e: serde_json::Error| SessionError::Internal(e.to_string());
    // A map's keys in JSON are texts: a list of pairs takes any.
    let frame = serde_json::to_vec(&own.iter().collect::<Vec<_>>()).map_err(internal)?;
    let mut all = vec![own];
    for (party, frame) in wire.exchange(Step::Guards, frame).await? {
        let theirs: Vec<(Guard, BTreeSet<u64>)> = serde_json::from_slice(&frame).map_err(|_| {
            SessionError::Disagreement { party, what: "sent a list of releases that cannot be read".into() }
        })?;
        all.push(theirs.into_iter().collect());
    }
    let height = survey.book().head().0;
    let since = plan.guards.iter().map(|guard| {
        let said = all.iter().filter_map(|heights| heights.get(guard)).flatten();
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        said.filter(|h| **h <= height).for_each(|h| *times.entry(*h).or_default() += 1);
        let last = times.into_iter().rev().find(|(_, parties)| *parties >= 2).map(|(h, _)| h);
        (guard.clone(), last)
    });
    let agreed = Agreed { since: since.collect() };
    // Whoever said one thing to one and another to the other makes them differ here.
    say_the_same(wire, Step::Agreed, &digest(&agreed)?).await?;
    Ok(agreed)
}

fn digest(agreed: &Agreed) -> Result<[u8; 32], SessionError> {
    let bytes = serde_json::to_vec(agreed).map_err(|e| SessionError::Internal(e.to_string()))?;
    Ok(sha256(&[b"tercet guards v1", &bytes]))
}

async fn say_the_same(wire: &mut Wire, step: Step, digest: &[u8; 32]) -> Result<(), SessionError> {
    for (party, theirs) in wire.exchange(step, digest.to_vec()).await? {
        if theirs[..] != digest[..] {
            return Err(SessionError::Disagreement {
                party,
                what: "counts other releases than this party: try again".into(),
            });
        }
    }
    Ok(())
}

/// What a row has to do with a release after another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Motion {
    /// It counts now.
    pub live: bool,
    /// It counts now and did not count then.
    pub entered: bool,
    /// It counted then and does not count now.
    pub left: bool,
}

/// One share for each of: all rows, those that came in, those that changed.
type Moved = [RingShare; 3];

/// Counts, 32 bytes each, and for each guard what must hold of them.
fn questions(
    survey: &SurveyNode,
    agreed: &Agreed,
    segments: &[(u64, Arc<Segment>)],
) -> (Vec<u8>, Vec<Vec<Enough>>) {
    let manifest = survey.descriptor().manifest();
    let rules = &manifest.survey;
    let book = survey.book();
    let mut counts: Vec<u8> = Vec::new();
    let mut checks = Vec::with_capacity(agreed.since.len());
    for (guard, since) in &agreed.since {
        let atoms = manifest.atoms(guard);
        let outputs: BTreeSet<Output> = atoms.iter().flat_map(|a| &a.of).map(|(output, _)| *output).collect();
        let (rows, sums) = sum(survey, &book, *since, &outputs, segments);
        let mut check = Vec::new();
        for atom in &atoms {
            let first = (counts.len() / LANE_BYTES) as u32;
            size(survey.me(), atom, rows, &sums).iter().for_each(|share| counts.extend(share.to_lane()));
            let (all, entered, changed) = (first, first + 1, first + 2);
            let or_none = atom.may_be_empty.then_some(all);
            check.push(Enough { count: all, at_least: rules.smallest_set(), or_none });
            if since.is_some() {
                check.push(Enough { count: entered, at_least: rules.min_new, or_none: Some(changed) });
            }
        }
        checks.push(check);
    }
    (counts, checks)
}

/// Numbers of rows, and sums of outputs over them.
fn sum(
    survey: &SurveyNode,
    book: &Book,
    since: Option<u64>,
    outputs: &BTreeSet<Output>,
    segments: &[(u64, Arc<Segment>)],
) -> ([u64; 3], BTreeMap<Output, Moved>) {
    let lane = |output: &Output| survey.lanes().iter().position(|l| l.output == *output);
    let lanes: Vec<(Output, usize)> = outputs.iter().filter_map(|o| Some((*o, lane(o)?))).collect();
    let mut rows = [0; 3];
    let mut sums = vec![Moved::default(); lanes.len()];
    for (_, segment) in segments {
        for (i, id) in segment.submissions().iter().enumerate() {
            let (Some(row), Some(motion)) = (segment.row(i), book.motion(id, since)) else { continue };
            let in_set = [motion.live, motion.entered, motion.entered || motion.left];
            let row = row.as_chunks::<LANE_BYTES>().0;
            for (set, _) in in_set.into_iter().enumerate().filter(|(_, inside)| *inside) {
                rows[set] += 1;
                for (sums, (_, lane)) in sums.iter_mut().zip(&lanes) {
                    sums[set] = sums[set] + RingShare::from_lane(&row[*lane]);
                }
            }
        }
    }
    (rows, lanes.into_iter().map(|(output, _)| output).zip(sums).collect())
}

/// The shared size of an atom, among all rows, those that came in, and those that changed.
fn size(me: u8, atom: &Atom, rows: [u64; 3], sums: &BTreeMap<Output, Moved>) -> Moved {
    // Two's complement is the ring's.
    let factor = |n: i64| i128::from(n).cast_unsigned();
    let party = PartyId::from_index(me.into()).unwrap_or(PartyId::P0);
    std::array::from_fn(|set| {
        let public = u128::from(rows[set]).wrapping_mul(factor(atom.rows));
        let shares = atom.of.iter().map(|(output, times)| {
            sums.get(output).map_or(RingShare::default(), |moved| moved[set] * factor(*times))
        });
        shares.fold(RingShare::constant(party, Ring(public)), |sum, share| sum + share)
    })
}
