//! One cheating party: every message it sends, to either peer, altered in every way. The others stop with a typed
//! error, nothing is released, no log diverges, and once the party behaves the work is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use party_host::node::{Fault, Step};
use tercet_protocol::api::{ProblemKind, QueryState, SubmissionState};
use tercet_protocol::result::SignedResult;
use tercet_protocol::survey::SurveyManifest;

use super::category::{self, Person, segments};
use super::hidden::{ages, join};
use super::notarized::Server;
use super::world::{World, cohort, manifest, vectors};

/// What a cheater does to a frame.
#[derive(Debug, Clone, Copy)]
enum Deed {
    FlipFirst,
    FlipLast,
    FlipMiddle,
    Truncate,
    Extend,
    Garbage,
    Drop,
}

const DEEDS: [Deed; 7] = [
    Deed::FlipFirst,
    Deed::FlipLast,
    Deed::FlipMiddle,
    Deed::Truncate,
    Deed::Extend,
    Deed::Garbage,
    Deed::Drop,
];

/// The last one is for votes only.
const SIGNED_DEEDS: [Deed; 2] = [Deed::FlipMiddle, Deed::Drop];

/// The messages of a batch and of a query, as steps on the wire.
const BATCH: [u32; 5] =
    [Step::Hello as u32, Step::Have as u32, Step::ENGINE + 1, Step::Prepare as u32, Step::Vote as u32];
const QUERY: [u32; 4] = [Step::Hello as u32, Step::Decision as u32, Step::ENGINE + 2, Step::Result as u32];

/// Short, so that a frame that never comes costs little; long enough for a busy machine.
const PATIENCE: Duration = Duration::from_millis(800);

struct Cheat {
    to: u8,
    step: u32,
    deed: Deed,
    done: AtomicU64,
}

impl Fault for Cheat {
    fn on_send(&self, party: u8, step: u32, frame: Bytes) -> Option<Bytes> {
        if party != self.to || step != self.step {
            return Some(frame);
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        let mut bytes = frame.to_vec();
        let len = bytes.len();
        let flip = |bytes: &mut Vec<u8>, at: usize| {
            if let Some(b) = bytes.get_mut(at) {
                *b ^= 1;
            }
        };
        match self.deed {
            Deed::FlipFirst => flip(&mut bytes, 0),
            Deed::FlipLast => flip(&mut bytes, len.saturating_sub(1)),
            Deed::FlipMiddle => flip(&mut bytes, len / 2),
            Deed::Truncate => bytes.truncate(len.saturating_sub(1)),
            Deed::Extend => bytes.push(0),
            Deed::Garbage => bytes = b"\xff\x00garbage".repeat(5),
            Deed::Drop => return None,
        }
        Some(bytes.into())
    }
}

/// The hello of a channel's opener goes out as the session's opening, which is not a frame of its own.
fn sent_as_frame(from: u8, to: u8, step: u32) -> bool {
    step != Step::Hello as u32 || from > to
}

async fn set(world: &World, party: usize, fault: Option<Arc<dyn Fault>>) {
    *world.party(party).survey(world.survey_id()).unwrap().fault.lock().await = fault;
}

fn failures(world: &World, party: usize) -> u64 {
    world.party(party).survey(world.survey_id()).unwrap().failures.borrow().count
}

/// From here on somebody may be locked, and then the entry is finished.
fn lets_in(step: u32) -> bool {
    [Step::Prepare as u32, Step::Vote as u32].contains(&step)
}

fn cases<const N: usize>(steps: [u32; N]) -> Vec<(u8, u8, u32, Deed)> {
    let mut out = Vec::new();
    for from in 0..3u8 {
        for to in (0..3u8).filter(|t| *t != from) {
            for step in steps.into_iter().filter(|s| sent_as_frame(from, to, *s)) {
                // A spoiled prepare or vote still lets a submission in, and the cohort is no larger than these cases.
                let deeds = match lets_in(step) {
                    true if step == Step::Vote as u32 => &SIGNED_DEEDS[..],
                    true => &SIGNED_DEEDS[..1],
                    false => &DEEDS[..],
                };
                out.extend(deeds.iter().map(|deed| (from, to, step, *deed)));
            }
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_batch_gets_a_wrong_row_in() {
    let world = World::start(manifest(), PATIENCE).await;
    let names = cohort();
    let mut waiting = names.iter().map(|n| world.prepare(n));
    let mut next = waiting.next().unwrap();
    let mut cheating = None;
    for (from, to, step, deed) in cases(BATCH) {
        let what = format!("party {from} to {to}, step {step}, {deed:?}");
        let cheat = Arc::new(Cheat { to, step, deed, done: AtomicU64::new(0) });
        let before = world.heights();
        let failed = [0, 1, 2].map(|p| failures(&world, p));
        // One cheat takes over from another: a try between the two would be an honest one.
        set(&world, from.into(), Some(cheat.clone())).await;
        if let Some(other) = cheating.replace(from).filter(|other| *other != from) {
            set(&world, other.into(), None).await;
        }
        let answers = world.submit(&next, Duration::from_millis(30)).await;
        // Until the cheat has struck and somebody stopped because of it, or the batch came through regardless.
        let mut struck = false;
        for _ in 0..4000 {
            struck = cheat.done.load(Ordering::Relaxed) > 0;
            let stopped = (0..3).any(|p| failures(&world, p) > failed[p]);
            if struck && (stopped || world.heights() != before) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(struck, "{what}: the message never occurred");
        drop(answers);
        // A prepare or a vote can be spoiled for one party after another has all three: then the entry is finished, and
        // whoever is behind catches up.
        if lets_in(step) {
            set(&world, from.into(), None).await;
            cheating = None;
            world.accept(&next).await;
            world.until_height(before[0].0 + 1).await;
            next = waiting.next().unwrap();
        } else {
            assert_eq!(world.heights(), before, "{what}: a batch was committed");
        }
    }
    if let Some(party) = cheating {
        set(&world, party.into(), None).await;
    }
    world.accept(&next).await;
    let heights = world.heights();
    assert!(heights.iter().all(|h| *h == heights[0]), "{heights:?}");
}

/// What honest parties release; a machine too busy for the short patience may need another try.
async fn released(world: &World, statistic: &str) -> SignedResult {
    for _ in 0..10 {
        match world.query(&[statistic]).await {
            QueryState::Done { result } => return result,
            QueryState::Refused { problem } => assert!(problem.is_transient(), "{problem}"),
            QueryState::Running => unreachable!("the query has ended"),
        }
    }
    panic!("the parties do not recover")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_query_bends_a_result() {
    queries_with(manifest(), "sum", cases(QUERY), &identical).await;
}

/// The engine's own steps are altered bit by bit in its tests; here they cross the real links and the sandbox.
#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_sort_bends_a_result() {
    use tercet_mpc::Step as Engine;
    let mut survey = manifest();
    survey.survey.statistics.push("median".into());
    let everywhere = [Engine::Proof, Engine::Verdict, Engine::OpenBits, Engine::OpenElements]
        .map(|s| Step::ENGINE + s as u32);
    // The passes of a shuffle, of which only the last goes both ways.
    let passes = [(0, 1), (1, 2), (2, 0), (0, 2)];
    let to_previous = [Engine::And, Engine::Product].map(|s| Step::ENGINE + s as u32);
    let mut cases = Vec::new();
    for from in 0..3u8 {
        for to in (0..3u8).filter(|t| *t != from) {
            let steps = [Step::Secret as u32, Step::Pace as u32].into_iter().chain(everywhere);
            let previous = to_previous.into_iter().filter(|_| to == (from + 2) % 3);
            let pass = passes.contains(&(from, to)).then_some(Step::ENGINE + Engine::Shuffle as u32);
            for step in steps.chain(previous).chain(pass) {
                cases.extend([Deed::FlipMiddle, Deed::Truncate].map(|deed| (from, to, step, deed)));
            }
        }
    }
    queries_with(survey, "median", cases, &identical).await;
}

/// Who has a value is decided on before anything is opened: no altered message changes a decision or what follows it.
#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_decision_bends_a_result() {
    let server = Server::start();
    let world = World::start_trusting(ages("'sum(age)'", 5, 2), server.root(), PATIENCE).await;
    let people: Vec<_> = (0..8u32).map(|n| (n, if n == 3 { None } else { Some(20 + n) })).collect();
    join(&world, &server, &people).await;
    queries_in(&world, "sum(age)", decisions(), &identical).await;
}

/// The same where groups of a category are decided on, one after another, and sums of several are opened as one.
#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_category_bends_a_result() {
    let server = Server::start();
    let survey = segments("'mean(income)@segment'", 3, 2);
    let world = World::start_trusting(survey, server.root(), PATIENCE).await;
    let people: Vec<_> = (0..9u32)
        .map(|uid| Person { uid, segment: [0, 0, 0, 0, 1, 1, 1, 2, 2][uid as usize], age: None })
        .collect();
    category::join(&world, &server, &people).await;
    queries_in(&world, "mean(income)@segment", decisions(), &identical).await;
}

/// The messages of a decision and of what follows it.
fn decisions() -> Vec<(u8, u8, u32, Deed)> {
    use tercet_mpc::Step as Engine;
    let step = |s: Engine| Step::ENGINE + s as u32;
    let mut cases = Vec::new();
    for from in 0..3u8 {
        for to in (0..3u8).filter(|t| *t != from) {
            let host = [Step::Secret, Step::Guards, Step::Agreed, Step::Recorded].map(|s| s as u32);
            let engine = [Engine::Proof, Engine::Verdict, Engine::OpenBits, Engine::OpenSums].map(step);
            let and = (to == (from + 2) % 3).then_some(step(Engine::And));
            for step in host.into_iter().chain(engine).chain(and) {
                cases.extend([Deed::FlipMiddle, Deed::Truncate].map(|deed| (from, to, step, deed)));
            }
        }
    }
    cases
}

/// Each release has noise of its own, so that it is near the truth and not the same.
#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_noised_query_bends_a_result() {
    use tercet_mpc::Step as Engine;
    let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
    let noise = "[[noise]]\nstatistic = 'sum'\nepsilon = '1'\n\n[[columns]]";
    let text = text
        .replacen("[[columns]]", noise, 1)
        .replace("min_new = 5", "min_new = 5\nprivacy_budget = '1000'")
        .replace("[\"count\", \"sum\", \"mean\", \"variance\", \"stddev\"]", "[\"sum\"]");
    let survey = SurveyManifest::from_toml(&text).unwrap();
    let step = |s: Engine| Step::ENGINE + s as u32;
    let mut cases = Vec::new();
    for from in 0..3u8 {
        for to in (0..3u8).filter(|t| *t != from) {
            let everywhere = [Engine::Proof, Engine::Verdict, Engine::OpenSums].map(step);
            let and = (to == (from + 2) % 3).then_some(step(Engine::And));
            for step in [Step::Secret as u32].into_iter().chain(everywhere).chain(and) {
                cases.extend([Deed::FlipMiddle, Deed::Truncate].map(|deed| (from, to, step, deed)));
            }
        }
    }
    queries_with(survey, "sum", cases, &|honest, other| {
        let value = |r: &SignedResult| r.result.statistics[0].value.as_ref().unwrap().parse::<f64>().unwrap();
        let added = &honest.result.statistics[0].noise[0];
        assert_eq!(other.result.statistics[0].noise[0], *added);
        let deviation: f64 = added.deviation.parse().unwrap();
        // Of two draws; more than sixty deviations apart once in 10^30.
        (value(honest) - value(other)).abs() < 60.0 * deviation
    })
    .await;
}

fn identical(a: &SignedResult, b: &SignedResult) -> bool {
    a.result.statistics == b.result.statistics
}

/// Runs a query for each way of cheating: refused, or released as it is among honest parties.
async fn queries_with(
    survey: SurveyManifest,
    statistic: &str,
    cases: Vec<(u8, u8, u32, Deed)>,
    same: &dyn Fn(&SignedResult, &SignedResult) -> bool,
) {
    let world = World::start(survey, PATIENCE).await;
    let prepared: Vec<_> = cohort().iter().take(12).map(|n| world.prepare(n)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    world.until_height(1).await;
    queries_in(&world, statistic, cases, same).await;
}

/// The same in a world with rows.
async fn queries_in(
    world: &World,
    statistic: &str,
    cases: Vec<(u8, u8, u32, Deed)>,
    same: &dyn Fn(&SignedResult, &SignedResult) -> bool,
) {
    let honest = released(world, statistic).await;
    for (from, to, step, deed) in cases {
        let what = format!("party {from} to {to}, step {step}, {deed:?}");
        let cheat = Arc::new(Cheat { to, step, deed, done: AtomicU64::new(0) });
        let struck = || cheat.done.load(Ordering::Relaxed) > 0;
        set(world, from.into(), Some(cheat.clone())).await;
        // On a busy machine a session can end before it comes to the message.
        for _ in 0..10 {
            match world.query(&[statistic]).await {
                QueryState::Refused { problem } => {
                    let typed =
                        matches!(problem.known(), Some(ProblemKind::Aborted | ProblemKind::PartyUnavailable));
                    assert!(typed, "{what}: {problem}");
                }
                // A message between the two others, after the leader has what it needs, cannot change what it has; a
                // pace below the slowest changes nothing at all, nor does a list that two others contradict.
                QueryState::Done { result } => {
                    result.verify(world.survey.parties()).unwrap();
                    assert!(same(&honest, &result), "{what}: {:?}", result.result.statistics);
                    assert!(
                        to != 0 || [Step::Pace as u32, Step::Guards as u32].contains(&step) || !struck(),
                        "{what}: the leader took an altered message for good"
                    );
                }
                QueryState::Running => unreachable!("the query has ended"),
            }
            if struck() {
                break;
            }
        }
        assert!(struck(), "{what}: the message never occurred");
        set(world, from.into(), None).await;
    }
    assert!(same(&honest, &released(world, statistic).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_misses_a_commit_catches_up_and_loses_no_receipt() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let names = cohort();
    for (i, name) in names.iter().take(6).enumerate() {
        let victim = i % 3;
        let prepared = world.prepare(name);
        // The victim never sees the last vote: the two others commit without it.
        let cheat =
            Cheat { to: victim as u8, step: Step::Vote as u32, deed: Deed::Drop, done: AtomicU64::new(0) };
        set(&world, (victim + 1) % 3, Some(Arc::new(cheat))).await;
        let answers = world.submit(&prepared, Duration::from_secs(2)).await;
        set(&world, (victim + 1) % 3, None).await;
        // The victim dies on top of it, and comes back on its durable state.
        let node = world.parties[victim].take().unwrap();
        node.disconnect();
        drop(node);
        world.start_party(victim).await;
        world.accept(&prepared).await;
        world.until_height(i as u64 + 1).await;
        for a in answers.into_iter().flatten() {
            if let SubmissionState::Accepted { receipts } = a.state {
                let head = world.heights()[0];
                assert!(receipts[0].height <= head.0, "a receipt's entry is gone");
            }
        }
    }
}
