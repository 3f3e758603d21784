//! One cheating party: every message it sends, to either peer, altered in every way. The others stop with a typed
//! error, nothing is released, no log diverges, and once the party behaves the work is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use party_host::node::{Fault, Step};
use tercet_protocol::api::{ProblemKind, QueryState, SubmissionState};
use tercet_protocol::filter::Filter;
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::SignedResult;

use super::category::{self, Person, segments};
use super::notarized::Server;
use super::statistics::{grouped, statistic};
use super::world::{World, cohort, manifest};

/// The treatment of a frame by a cheater.
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
const QUERY: [u32; 3] = [Step::Hello as u32, Step::ENGINE + 2, Step::Result as u32];

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

/// A question about everybody's sum that nobody has asked before: the number decides the rest of the question.
fn fresh(number: usize) -> Question {
    let others =
        ["count", "mean", "variance", "stddev", "count@bnb", "mean@bnb", "variance@bnb", "median", "max"];
    let with = others.iter().enumerate().filter(|(i, _)| number >> i & 1 == 1).map(|(_, name)| *name);
    let statistics = with.chain(["sum"]).map(str::to_owned).collect();
    Question { statistics, filter: Filter::default() }
}

async fn counted(patience: Duration) -> World {
    let world = World::start(grouped(), patience).await;
    let prepared: Vec<_> = cohort().iter().map(|n| world.prepare(n)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    world.until_height(1).await;
    world
}

/// A release point and its listed statistics, of honest parties: on a busy machine it may take another try.
async fn publish(world: &World) -> SignedResult {
    for _ in 0..20 {
        if world.party(0).release_now(world.survey_id()).await.is_ok() {
            let point = world.party(0).survey_status(world.survey_id()).unwrap().release;
            return world.published(point).await.unwrap();
        }
    }
    panic!("the parties do not recover")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_query_bends_a_result() {
    let world = counted(PATIENCE).await;
    let listed = publish(&world).await;
    let truth = statistic(&listed, "sum");
    let mut number = 0;
    for (from, to, step, deed) in cases(QUERY) {
        let what = format!("party {from} to {to}, step {step}, {deed:?}");
        let cheat = Arc::new(Cheat { to, step, deed, done: AtomicU64::new(0) });
        let struck = || cheat.done.load(Ordering::Relaxed) > 0;
        set(&world, from.into(), Some(cheat.clone())).await;
        // On a busy machine a session can end before it comes to the message.
        for _again in 0..10 {
            number += 1;
            match world.ask(fresh(number)).await {
                QueryState::Refused { problem } => {
                    let typed =
                        matches!(problem.known(), Some(ProblemKind::Aborted | ProblemKind::PartyUnavailable));
                    assert!(typed, "{what}: {problem}");
                }
                // A message between the two others, after the leader has what it needs, cannot change what it has.
                QueryState::Done { result } => {
                    result.verify(world.survey.parties()).unwrap();
                    assert_eq!(statistic(&result, "sum"), truth, "{what}");
                    assert!(to != 0 || !struck(), "{what}: the leader took an altered message for good");
                }
                QueryState::Running => unreachable!("the query has ended"),
            }
            if struck() {
                break;
            }
        }
        assert!(struck(), "{what}: the message never occurred");
        set(&world, from.into(), None).await;
    }
}

/// Every message of a release point: commitments to unit sums, secrets, decisions, votes. Nobody's log gets another entry than
/// the others', and once the party behaves the release point is made.
#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_release_point_bends_it() {
    use tercet_mpc::Step as Engine;
    let server = Server::start();
    let survey = segments("'count@segment', 'mean(income)@segment'", 5, 5);
    let world = World::start_trusting(survey, server.root(), PATIENCE).await;
    let people: Vec<_> = (0..9u32)
        .map(|uid| Person { uid, segment: [0, 0, 0, 0, 0, 1, 1, 1, 2][uid as usize], age: None })
        .collect();
    category::join(&world, &server, &people).await;
    let height = world.heights()[0].0;
    let engine = |s: Engine| Step::ENGINE + s as u32;
    let steps = [Step::Hello, Step::Secret, Step::Units].map(|s| s as u32);
    let steps = steps.into_iter().chain([Engine::Proof, Engine::Verdict, Engine::OpenBits].map(engine));
    for step in steps {
        for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
            if !sent_as_frame(from, to, step) {
                continue;
            }
            for deed in [Deed::FlipMiddle, Deed::Truncate] {
                let what = format!("party {from} to {to}, step {step}, {deed:?}");
                let cheat = Arc::new(Cheat { to, step, deed, done: AtomicU64::new(0) });
                set(&world, from.into(), Some(cheat.clone())).await;
                for _ in 0..10 {
                    let outcome = world.party(0).release_now(world.survey_id()).await;
                    let struck = cheat.done.load(Ordering::Relaxed) > 0;
                    assert!(!struck || outcome.is_err(), "{what}: a release point was made");
                    if struck {
                        break;
                    }
                }
                assert!(cheat.done.load(Ordering::Relaxed) > 0, "{what}: the message never occurred");
                set(&world, from.into(), None).await;
                assert!(world.heights().iter().all(|h| h.0 == height), "{what}: {:?}", world.heights());
            }
        }
    }
    let listed = publish(&world).await;
    let count = &statistic(&listed, "count@segment").parts;
    assert_eq!((count.len(), count[0].label.as_str(), count[0].submissions), (1, "home", Some(5)));
}

/// The engine's own steps are altered bit by bit in its tests; here they cross the real links and the sandbox, to the leading
/// party, which hands out the result.
#[tokio::test(flavor = "multi_thread")]
async fn no_altered_message_of_a_sort_bends_a_result() {
    use tercet_mpc::Step as Engine;
    let world = counted(PATIENCE).await;
    let step = |s: Engine| Step::ENGINE + s as u32;
    let everywhere = [Engine::Proof, Engine::Verdict, Engine::OpenBits, Engine::OpenElements].map(step);
    let mut struck_first = None;
    for from in [1u8, 2] {
        for step in everywhere.into_iter().chain([Step::Result as u32, Step::Secret as u32]) {
            for deed in [Deed::FlipMiddle, Deed::Truncate] {
                let what = format!("party {from} to 0, step {step}, {deed:?}");
                let cheat = Arc::new(Cheat { to: 0, step, deed, done: AtomicU64::new(0) });
                set(&world, from.into(), Some(cheat.clone())).await;
                for _ in 0..10 {
                    let outcome = world.party(0).release_now(world.survey_id()).await;
                    let struck = cheat.done.load(Ordering::Relaxed) > 0;
                    if struck {
                        assert!(outcome.is_err(), "{what}: the leader took an altered message for good");
                        struck_first.get_or_insert(what.clone());
                        break;
                    }
                }
                set(&world, from.into(), None).await;
            }
        }
    }
    assert!(struck_first.is_some(), "no message was altered");
    let listed = publish(&world).await;
    let names = cohort();
    let told: Vec<i128> = super::statistics::by_field(&world, &names)
        .into_values()
        .filter(|values| values.len() >= 5)
        .flatten()
        .collect();
    for clear in super::statistics::clear(world.survey.manifest(), &super::statistics::ORDERED, &told) {
        assert_eq!(statistic(&listed, &clear.statistic), &clear);
    }
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
