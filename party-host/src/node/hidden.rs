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

use tercet_mpc::sharing::Ring;
use tercet_mpc::{Output, PartyId, RingShare};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::sha256;
use tercet_protocol::survey::{Atom, Guard, SurveyManifest};

use super::book::Book;
use super::order::{Bound, Drawn};
use super::plan::{Partition, Plan};
use super::rules::{Hidden, Release};
use super::session::{EngineWire, SessionError, Step, Wire};
use super::survey::SurveyNode;
use crate::sandbox::{Enough, Session};
use crate::store::{LANE_BYTES, Segment};

/// A release of a guard's sums: its height, and which of a category's groups were put together.
type Earlier = (u64, BTreeSet<String>);

/// What the parties agree on before they decide: for each guard the last release of its sums.
type Agreed = Vec<(Guard, Option<Earlier>)>;

/// Decides whether the plan's sums may be opened, and writes down that they will be. Gives how a category's groups are to
/// be released. The inner error is a refusal that all parties know of.
pub async fn pass(
    survey: &SurveyNode,
    bound: &Bound,
    mut wire: Wire,
    drawn: &mut Drawn,
    plan: &Plan,
    segments: &[(u64, Arc<Segment>)],
    release: &Release,
) -> Result<(Result<Option<Partition>, Problem>, Wire), SessionError> {
    if plan.guards.is_empty() {
        return Ok((Ok(None), wire));
    }
    let manifest = survey.descriptor().manifest();
    let agreed = agree(survey, &mut wire, plan).await?;
    let mut decider = Decider { survey, bound, drawn, number: 0 };
    let groups = agreed.iter().find_map(|(guard, since)| match guard {
        Guard::Category(name) => Some(Groups::count(survey, name, since.clone(), segments)),
        _ => None,
    });
    let others: Vec<_> = agreed.iter().filter(|(guard, _)| !matches!(guard, Guard::Category(_))).collect();
    let mut questions = Questions::new(survey);
    for (guard, since) in &others {
        questions.atoms(survey, guard, since.as_ref().map(|(height, _)| *height), segments);
    }
    // A group alone; those that were put together stay so.
    let alone: Vec<u8> = groups.iter().flat_map(Groups::alone).collect();
    for (groups, value) in groups.iter().flat_map(|g| alone.iter().map(move |v| (g, v))) {
        questions.block(groups, &[*value], false);
    }
    let mut holds;
    (holds, wire) = decider.decide(questions, wire).await?;
    let of_groups = holds.split_off(others.len());
    if let Some((guard, _)) = others.iter().zip(holds).find(|(_, holds)| !holds).map(|(other, _)| *other) {
        return Ok((Err(refusal(manifest, guard)), wire));
    }
    let mut partition = None;
    if let Some(groups) = groups {
        let mut pool: BTreeSet<u8> = groups.pooled();
        let fails = alone.iter().zip(of_groups).filter(|(_, holds)| !holds).map(|(value, _)| *value);
        pool.extend(fails);
        let anybody;
        (anybody, wire) = decider.fill(&groups, &mut pool, wire).await?;
        let Some(anybody) = anybody else {
            return Ok((Err(refusal(manifest, &Guard::Category(groups.name))), wire));
        };
        partition = Some(groups.partition(&pool, anybody));
    }
    // Counted before anything is opened, by all three: who lacks this record has opened nothing.
    let hidden = plan.guards.iter().map(|guard| {
        let pool = match (guard, &partition) {
            // Groups that nobody has ever been in are free to stand alone when somebody is.
            (Guard::Category(_), Some(p)) if p.anybody => p.pool.clone(),
            _ => BTreeSet::new(),
        };
        Hidden { guard: guard.clone(), pool }
    });
    let hidden: Vec<Hidden> = hidden.collect();
    let digest = digest(&hidden)?;
    survey.record(Release { hidden, ..release.clone() }).await?;
    say_the_same(&mut wire, Step::Recorded, &digest).await?;
    Ok((Ok(partition), wire))
}

/// Asks the engine, with the peers.
struct Decider<'a> {
    survey: &'a SurveyNode,
    bound: &'a Bound,
    drawn: &'a mut Drawn,
    /// Questions so far: each has keys of its own.
    number: u64,
}

impl Decider<'_> {
    async fn decide(&mut self, asked: Questions, mut wire: Wire) -> Result<(Vec<bool>, Wire), SessionError> {
        let (context, secrets) = self.drawn.prepare(self.survey, self.bound, &mut wire).await?;
        self.number += 1;
        let mut w = Writer::tagged("tercet decision v1");
        w.array(&self.bound.id).u64(self.number);
        let session = Session { party: self.survey.me(), id: sha256(&[&w.finish()]).to_vec() };
        let sandbox = self.survey.sandbox.clone();
        let io = EngineWire::new(wire);
        let engine_io = io.clone();
        let Questions { counts, checks, .. } = asked;
        let decided = tokio::task::spawn_blocking(move || {
            sandbox.decide(&session, &context, secrets, &counts, &checks, engine_io)
        })
        .await
        .map_err(|e| SessionError::Internal(format!("the engine's thread ended: {e}")))??;
        let wire =
            io.into_wire().ok_or_else(|| SessionError::Internal("the engine kept its channels".into()))?;
        Ok((decided, wire))
    }

    /// Puts groups that would stand alone into the pool, the survey's last ones first, until it is large enough or nobody
    /// is in it. Gives whether anybody is; none if not even all together may be released.
    async fn fill(
        &mut self,
        groups: &Groups,
        pool: &mut BTreeSet<u8>,
        mut wire: Wire,
    ) -> Result<(Option<bool>, Wire), SessionError> {
        while !pool.is_empty() {
            let values: Vec<u8> = pool.iter().copied().collect();
            let mut questions = Questions::new(self.survey);
            questions.block(groups, &values, true);
            questions.nobody(groups, &values);
            let holds;
            (holds, wire) = self.decide(questions, wire).await?;
            if let [true, nobody] = holds[..] {
                return Ok((Some(!nobody), wire));
            }
            let Some(next) = groups.values().rev().find(|v| !pool.contains(v)) else {
                return Ok((None, wire));
            };
            pool.insert(next);
        }
        Ok((Some(false), wire))
    }
}

fn refusal(manifest: &SurveyManifest, guard: &Guard) -> Problem {
    let (least, new) = (manifest.survey.smallest_set(), manifest.survey.min_new);
    let what = match guard {
        Guard::Column(name) => format!("fewer than {least} submissions have a value of {name}"),
        Guard::Pairs => format!(
            "of the columns that pairs are made of, fewer than {least} submissions have all values, or some lack the same"
        ),
        Guard::Category(name) => format!("fewer than {least} submissions can be told apart by {name}"),
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
    let own: BTreeMap<Guard, BTreeSet<Earlier>> = {
        let book = survey.book();
        plan.guards.iter().map(|guard| (guard.clone(), book.released_hidden(guard))).collect()
    };
    let internal = |e: serde_json::Error| SessionError::Internal(e.to_string());
    // A map's keys in JSON are texts: a list of pairs takes any.
    let frame = serde_json::to_vec(&own.iter().collect::<Vec<_>>()).map_err(internal)?;
    let mut all = vec![own];
    for (party, frame) in wire.exchange(Step::Guards, frame).await? {
        let theirs: Vec<(Guard, BTreeSet<Earlier>)> = serde_json::from_slice(&frame).map_err(|_| {
            SessionError::Disagreement { party, what: "sent a list of releases that cannot be read".into() }
        })?;
        all.push(theirs.into_iter().collect());
    }
    let since = plan.guards.iter().map(|guard| {
        let mut times: BTreeMap<&Earlier, usize> = BTreeMap::new();
        let said = all.iter().filter_map(|releases| releases.get(guard)).flatten();
        said.for_each(|earlier| *times.entry(earlier).or_default() += 1);
        // Of one height, the groups that were put together only get more.
        let known = times.into_iter().filter(|(_, parties)| *parties >= 2).map(|(earlier, _)| earlier);
        (guard.clone(), known.max_by_key(|(height, pool)| (*height, pool.len())).cloned())
    });
    let agreed: Agreed = since.collect();
    // Whoever said one thing to one and another to the other makes them differ here.
    say_the_same(wire, Step::Agreed, &digest(&agreed)?).await?;
    Ok(agreed)
}

fn digest(agreed: &impl serde::Serialize) -> Result<[u8; 32], SessionError> {
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

/// The groups of a category, counted: for each value, and for each of its counts, what has moved.
struct Groups {
    name: String,
    labels: Vec<String>,
    since: Option<Earlier>,
    counts: Vec<Vec<Moved>>,
}

impl Groups {
    fn count(
        survey: &SurveyNode,
        name: &str,
        since: Option<Earlier>,
        segments: &[(u64, Arc<Segment>)],
    ) -> Self {
        let manifest = survey.descriptor().manifest();
        let outputs = manifest.category_counts(name);
        let all: BTreeSet<Output> = outputs.iter().flatten().copied().collect();
        let (_, sums) = sum(survey, &survey.book(), since.as_ref().map(|(h, _)| *h), &all, segments);
        let moved = |output: &Output| sums.get(output).copied().unwrap_or_default();
        let counts = outputs.iter().map(|counts| counts.iter().map(moved).collect()).collect();
        let labels = manifest.category(name).map(|(_, c)| c.values.clone()).unwrap_or_default();
        Self { name: name.to_owned(), labels, since, counts }
    }

    fn values(&self) -> impl DoubleEndedIterator<Item = u8> {
        // At most 16.
        0..self.counts.len() as u8
    }

    /// Those that were put together at the last release.
    fn pooled(&self) -> BTreeSet<u8> {
        let pool = self.since.as_ref().map(|(_, pool)| pool);
        let pooled = |v: &u8| {
            let label = self.labels.get(usize::from(*v));
            pool.zip(label).is_some_and(|(pool, label)| pool.contains(label))
        };
        self.values().filter(pooled).collect()
    }

    fn alone(&self) -> Vec<u8> {
        let pooled = self.pooled();
        self.values().filter(|v| !pooled.contains(v)).collect()
    }

    fn partition(&self, pool: &BTreeSet<u8>, anybody: bool) -> Partition {
        let pool = pool.iter().filter_map(|v| self.labels.get(usize::from(*v)).cloned()).collect();
        Partition { category: self.name.clone(), pool, anybody }
    }

    /// The counts of several groups together.
    fn together(&self, values: &[u8]) -> Vec<Moved> {
        let mut sums: Vec<Moved> = Vec::new();
        for counts in values.iter().filter_map(|v| self.counts.get(usize::from(*v))) {
            sums.resize(counts.len(), Moved::default());
            for (sum, count) in sums.iter_mut().zip(counts) {
                sum.iter_mut().zip(count).for_each(|(sum, share)| *sum = *sum + *share);
            }
        }
        sums
    }
}

/// What the engine is asked: counts, 32 bytes each, and what must hold of them.
struct Questions {
    counts: Vec<u8>,
    checks: Vec<Vec<Enough>>,
    me: u8,
    smallest_set: u64,
    min_new: u64,
}

impl Questions {
    fn new(survey: &SurveyNode) -> Self {
        let rules = &survey.descriptor().manifest().survey;
        let (smallest_set, min_new) = (rules.smallest_set(), rules.min_new);
        Self { counts: Vec::new(), checks: Vec::new(), me: survey.me(), smallest_set, min_new }
    }

    /// The number of a count, to be asked about.
    fn add(&mut self, share: RingShare) -> u32 {
        let number = (self.counts.len() / LANE_BYTES) as u32;
        self.counts.extend(share.to_lane());
        number
    }

    /// What the rule asks of a block.
    fn rule(&mut self, moved: Moved, may_be_empty: bool, since: bool) -> Vec<Enough> {
        let [all, entered, changed] = moved.map(|share| self.add(share));
        let size = Enough { count: all, at_least: self.smallest_set, or_none: may_be_empty.then_some(all) };
        let change = Enough { count: entered, at_least: self.min_new, or_none: Some(changed) };
        std::iter::once(size).chain(since.then_some(change)).collect()
    }

    /// Whether everything holds of a guard's atoms: one check.
    fn atoms(
        &mut self,
        survey: &SurveyNode,
        guard: &Guard,
        since: Option<u64>,
        segments: &[(u64, Arc<Segment>)],
    ) {
        let atoms = survey.descriptor().manifest().atoms(guard);
        let outputs: BTreeSet<Output> = atoms.iter().flat_map(|a| &a.of).map(|(output, _)| *output).collect();
        let (rows, sums) = sum(survey, &survey.book(), since, &outputs, segments);
        let mut check = Vec::new();
        for atom in &atoms {
            let moved = size(self.me, atom, rows, &sums);
            check.extend(self.rule(moved, atom.may_be_empty, since.is_some()));
        }
        self.checks.push(check);
    }

    /// Whether everything holds of some groups together: one check. Who of them has a value in a column may be nobody.
    fn block(&mut self, groups: &Groups, values: &[u8], may_be_empty: bool) {
        let mut check = Vec::new();
        for (i, moved) in groups.together(values).into_iter().enumerate() {
            check.extend(self.rule(moved, may_be_empty || i > 0, groups.since.is_some()));
        }
        self.checks.push(check);
    }

    /// Whether nobody is in some groups: one check.
    fn nobody(&mut self, groups: &Groups, values: &[u8]) {
        let zero = self.add(RingShare::default());
        let [all, ..] = groups.together(values).first().copied().unwrap_or_default();
        let all = self.add(all);
        self.checks.push(vec![Enough { count: zero, at_least: 1, or_none: Some(all) }]);
    }
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
