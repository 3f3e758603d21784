//! One log: a party that withholds votes, comes back with another bucket or stops anywhere does not make the logs of the
//! two others differ, and an unfinished entry of a session is finished without help.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use party_host::node::{Fault, Step};
use tercet_protocol::api::SubmissionState;
use tercet_protocol::ids::EntryHash;

use super::world::{World, cohort, manifest};

const PATIENCE: Duration = Duration::from_millis(800);

/// Keeps frames of one step from some parties.
pub struct Withhold {
    step: Step,
    from: Vec<u8>,
    kept: AtomicU64,
}

impl Withhold {
    pub fn new(step: Step, from: &[u8]) -> Arc<Self> {
        Arc::new(Self { step, from: from.to_vec(), kept: AtomicU64::new(0) })
    }
}

impl Fault for Withhold {
    fn on_send(&self, party: u8, step: u32, frame: Bytes) -> Option<Bytes> {
        if step == self.step as u32 && self.from.contains(&party) {
            self.kept.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(frame)
    }
}

pub async fn set(world: &World, party: usize, fault: Option<Arc<dyn Fault>>) {
    *world.party(party).survey(world.survey_id()).unwrap().fault.lock().await = fault;
}

fn stop(world: &mut World, party: usize) {
    let node = world.parties[party].take().unwrap();
    node.disconnect();
}

pub async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: it does not come to that");
}

pub fn height(world: &World, party: usize) -> u64 {
    world.party(party).survey_status(world.survey_id()).unwrap().height
}

/// The entry that a party has committed at a height.
async fn entry_at(world: &World, party: usize, height: u64) -> Option<EntryHash> {
    let survey = world.party(party).survey(world.survey_id()).unwrap().clone();
    survey.store.get_entry(world.survey_id(), height).await.unwrap().map(|c| c.entry.hash())
}

pub fn locked(world: &World, party: usize) -> bool {
    world.party(party).survey(world.survey_id()).unwrap().unfinished()
}

/// The trace that made two honest logs differ for good when one vote was all that an entry took: party 0 takes the two
/// votes for one entry and keeps its own; then, with another bucket, it is to agree on another entry with party 1 alone;
/// then it shows party 2 the first one.
#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_keeps_its_vote_makes_no_logs_differ() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let [a, b, c] = [0, 1, 2].map(|i| world.prepare(&cohort()[i]));

    set(&world, 0, Some(Withhold::new(Step::Vote, &[1, 2]))).await;
    let _pending = world.submit(&a, Duration::from_millis(300)).await;
    until("party 0 has three votes", || height(&world, 0) == 1).await;
    let first = world.heights()[0];
    stop(&mut world, 0);
    assert!([1, 2].iter().all(|p| height(&world, *p) == 0 && locked(&world, *p)));

    // As if it had never had the first entry, and with its vote for party 1 alone.
    world.start_party_on(0, "-other").await;
    set(&world, 0, Some(Withhold::new(Step::Vote, &[2]))).await;
    let _pending = world.submit(&b, Duration::from_secs(3)).await;
    for party in [1, 2] {
        let entry = entry_at(&world, party, 1).await;
        assert!(entry.is_none_or(|e| e == first.1), "party {party} has another entry");
    }
    stop(&mut world, 0);

    // With its first bucket again: the others catch up with it.
    world.start_party(0).await;
    world.until_height(1).await;
    for party in 0..3 {
        assert_eq!(entry_at(&world, party, 1).await, Some(first.1), "party {party}");
    }
    for prepared in [&a, &b, &c] {
        world.accept(prepared).await;
    }
    let heights = world.heights();
    assert!(heights.iter().all(|h| *h == heights[0]), "{heights:?}");
}

/// All three are locked and none has a vote of another: the next session, which nobody asked for with an upload, ends
/// it. Also when all three were restarted in between: the lock is durable.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_left_is_finished_by_itself() {
    let mut world = World::start(manifest(), PATIENCE).await;
    for (n, restart) in [false, true].into_iter().enumerate() {
        let prepared = world.prepare(&cohort()[n]);
        for party in 0..3 {
            set(&world, party, Some(Withhold::new(Step::Vote, &[0, 1, 2]))).await;
        }
        let _pending = world.submit(&prepared, Duration::from_millis(300)).await;
        until("all are locked", || (0..3).all(|p| locked(&world, p))).await;
        assert!((0..3).all(|p| height(&world, p) == n as u64));
        for party in 0..3 {
            if restart {
                stop(&mut world, party);
            } else {
                set(&world, party, None).await;
            }
        }
        if restart {
            for party in 0..3 {
                world.start_party(party).await;
            }
        }
        world.until_height(n as u64 + 1).await;
        until("nobody is locked", || (0..3).all(|p| !locked(&world, p))).await;
        world.accept(&prepared).await;
    }
    assert_eq!(world.heights()[0].0, 2, "nothing came in twice");
}

/// One party is locked, the two others are not, since its prepares did not reach them: the entry is finished all the
/// same, and nothing else gets to its height.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_one_party_is_followed() {
    for owner in 0..3usize {
        let world = World::start(manifest(), PATIENCE).await;
        let [a, b] = [0, 1].map(|i| world.prepare(&cohort()[i]));
        let others: Vec<u8> = (0..3u8).filter(|p| usize::from(*p) != owner).collect();
        set(&world, owner, Some(Withhold::new(Step::Prepare, &others))).await;
        let _pending = world.submit(&a, Duration::from_millis(300)).await;
        until("one is locked", || locked(&world, owner)).await;
        assert!(others.iter().all(|p| !locked(&world, (*p).into())));
        set(&world, owner, None).await;
        world.accept(&b).await;
        world.accept(&a).await;
        assert!(a_stands_first(&world, &a, &b).await, "party {owner}");
    }
}

async fn a_stands_first(world: &World, a: &super::world::Prepared, b: &super::world::Prepared) -> bool {
    let height = |p: &super::world::Prepared| {
        let status = world.party(1).submission(p.id()).unwrap();
        let SubmissionState::Accepted { receipts } = status.state else { panic!("{status:?}") };
        receipts[0].height
    };
    height(a) == 1 && height(b) == 2
}

/// A session that finishes an entry, in which one party alters its messages.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_withheld_in_a_finishing_session_loses_the_entry() {
    for step in [Step::Confirm, Step::Prepare, Step::Vote] {
        let world = World::start(manifest(), PATIENCE).await;
        let prepared = world.prepare(&cohort()[0]);
        for party in 0..3 {
            set(&world, party, Some(Withhold::new(Step::Vote, &[0, 1, 2]))).await;
        }
        let _pending = world.submit(&prepared, Duration::from_millis(300)).await;
        until("all are locked", || (0..3).all(|p| locked(&world, p))).await;
        let cheat = Withhold::new(step, &[0]);
        for party in [0, 2] {
            set(&world, party, None).await;
        }
        set(&world, 1, Some(cheat.clone())).await;
        until("the message is withheld", || cheat.kept.load(Ordering::Relaxed) > 0).await;
        set(&world, 1, None).await;
        world.until_height(1).await;
        world.accept(&prepared).await;
    }
}

/// The rows of an erasure that all are locked on lie at an earlier height. A start in between neither forgets the lock nor
/// deletes them.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_on_an_erasure_outlives_a_restart() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let [leaves, stays] = [0, 1].map(|i| world.prepare(&cohort()[i]));
    world.accept(&leaves).await;
    world.until_height(1).await;
    for party in 0..3 {
        set(&world, party, Some(Withhold::new(Step::Vote, &[0, 1, 2]))).await;
    }
    let wish = world.wish(&leaves);
    let _pending = world.party(0).withdraw(leaves.id(), wish, Duration::from_millis(300)).await;
    until("all are locked", || (0..3).all(|p| locked(&world, p))).await;
    for party in 0..3 {
        stop(&mut world, party);
    }
    for party in 0..3 {
        world.start_party(party).await;
        let finished = height(&world, party) == 2;
        assert!(locked(&world, party) || finished, "party {party} forgot its lock");
    }
    world.until_height(2).await;
    for party in 0..3 {
        let status = world.party(party).submission(leaves.id()).unwrap();
        assert!(matches!(status.state, SubmissionState::Withdrawn { .. }), "{status:?}");
    }
    world.accept(&stays).await;
}
