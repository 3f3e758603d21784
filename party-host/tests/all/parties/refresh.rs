//! New shares of everything that is stored: the answers stay, an old copy of one party's bucket is worth nothing beside a new one
//! of another party's, and nobody can bring another value in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use party_host::node::{Fault, Step};
use party_host::store::{Segment, StoreError};
use tercet_mpc::sharing::{LANE_BYTES, Replicated, Ring, RingShare};
use tercet_protocol::api::QueryState;
use tercet_protocol::ids::SubmissionId;
use tercet_protocol::log::EntryBody;

use super::crash::Point;
use super::lost::{rows, stop, whole};
use super::world::{Prepared, World, cohort, manifest};

const PATIENCE: Duration = Duration::from_secs(20);
const HOUR: u64 = 3600;

fn epoch(world: &World, party: usize) -> u64 {
    world.party(party).survey(world.survey_id()).unwrap().book().epochs().epoch()
}

/// Asks party `by` for a refresh and waits until all three have it.
async fn refresh(world: &World, by: usize) {
    let before = epoch(world, 0);
    world.party(by).refresh(|_| {}).await;
    let height = world.heights().iter().map(|h| h.0).max().unwrap();
    world.until_height(height).await;
    assert!((0..3).all(|p| epoch(world, p) == before + 1));
}

/// A party's shares of every stored row, units among them. Each row lies in its bucket once, as soon as what a commit replaces is
/// deleted.
async fn shares(world: &World, party: usize) -> BTreeMap<SubmissionId, Vec<RingShare>> {
    for _ in 0..500 {
        if let Some(all) = once_each(world, party).await {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("party {party} holds a row twice");
}

/// None if a row lies there twice, or objects are being deleted.
async fn once_each(world: &World, party: usize) -> Option<BTreeMap<SubmissionId, Vec<RingShare>>> {
    let survey = world.party(party).survey(world.survey_id()).unwrap().clone();
    let mut all = BTreeMap::new();
    for (height, name) in survey.store.list_segments(survey.id(), 0).await.unwrap() {
        let segment: Arc<Segment> = match survey.store.segment(survey.id(), height, name).await {
            Err(StoreError::Missing { .. }) => return None,
            segment => segment.unwrap(),
        };
        for (i, id) in segment.submissions().iter().enumerate() {
            let lanes = segment.row(i).unwrap().as_chunks::<LANE_BYTES>().0;
            let earlier = all.insert(*id, lanes.iter().map(RingShare::from_lane).collect());
            if earlier.is_some() {
                return None;
            }
        }
    }
    Some(all)
}

pub async fn all_shares(world: &World) -> [BTreeMap<SubmissionId, Vec<RingShare>>; 3] {
    [shares(world, 0).await, shares(world, 1).await, shares(world, 2).await]
}

/// The values behind three parties' shares.
pub fn values(of: [&BTreeMap<SubmissionId, Vec<RingShare>>; 3]) -> BTreeMap<SubmissionId, Vec<Ring>> {
    let value = |id: &SubmissionId, lane: usize| Replicated::reconstruct(of.map(|s| s[id][lane]));
    let row = |(id, lanes): (&SubmissionId, &Vec<RingShare>)| {
        (*id, (0..lanes.len()).map(|lane| value(id, lane).expect("two holders differ")).collect())
    };
    of[0].iter().map(row).collect()
}

/// The answer to a question; after a start the links need a moment.
async fn statistics(world: &World, asked: &[&str]) -> String {
    let mut state = world.query(asked).await;
    for _ in 0..50 {
        if let QueryState::Done { result } = &state {
            return serde_json::to_string(&result.result.statistics).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        state = world.query(asked).await;
    }
    panic!("{state:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_changes_every_share_and_no_answer() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let prepared: Vec<Prepared> = cohort().iter().take(16).map(|n| world.prepare(n)).collect();
    world.count(&prepared[..12]).await.unwrap();
    // One that waits, and one that has left.
    world.accept(&prepared[12]).await;
    world.withdraw(&prepared[3]).await;
    world.until_height(world.heights()[0].0).await;
    let asked = ["sum", "mean", "variance"];
    let before = statistics(&world, &asked).await;
    let old = all_shares(&world).await;
    let secrets = values(old.each_ref());

    for (by, epochs) in [(0, 1), (2, 2)] {
        refresh(&world, by).await;
        let new = all_shares(&world).await;
        assert_eq!(values(new.each_ref()), secrets);
        assert_eq!(epoch(&world, 1), epochs);
        for (id, lanes) in &secrets {
            for (lane, value) in lanes.iter().enumerate() {
                for a in 0..3usize {
                    let (one, other) = (&old[a][id][lane], &new[a][id][lane]);
                    assert!(one.own != other.own && one.next != other.next, "a share stays");
                    // All shares that two thieves have between them, an old and a new one.
                    let theirs = &new[(a + 1) % 3][id][lane];
                    for middle in [one.next, theirs.own] {
                        assert_ne!(one.own.0.wrapping_add(middle.0).wrapping_add(theirs.next.0), value.0);
                    }
                }
            }
        }
        // Computed anew from the new shares: what was asked before is forgotten at a start.
        world.restart().await;
        world.until_height(1).await;
        assert_eq!(statistics(&world, &asked).await, before);
        let now = world.clock_now();
        world.clock.set(now + HOUR);
    }

    // What comes after it is as ever: rows, erasures of refreshed rows, and a bucket that is lost.
    world.accept(&prepared[13]).await;
    world.withdraw(&prepared[12]).await;
    world.withdraw(&prepared[5]).await;
    for lost in 0..3usize {
        let height = world.heights().iter().map(|h| h.0).max().unwrap();
        world.until_height(height).await;
        let kept = rows(&world, lost).await;
        stop(&mut world, lost);
        world.start_party_on(lost, "-after").await;
        world.until_height(height).await;
        whole(&world, lost).await;
        assert!(rows(&world, lost).await == kept, "party {lost} has other rows than before");
    }
    assert_eq!(statistics(&world, &asked).await, before);
    world.accept(&prepared[14]).await;
}

/// A bucket of an older epoch gets its shares again as if they were lost, and keeps nothing of the old ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_an_older_epoch_gets_its_new_shares_from_the_others() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let prepared: Vec<Prepared> = cohort().iter().take(4).map(|n| world.prepare(n)).collect();
    for (height, p) in (1..).zip(&prepared[..3]) {
        world.accept(p).await;
        world.until_height(height).await;
    }
    let old = all_shares(&world).await;
    for party in [2, 0] {
        stop(&mut world, party);
        world.start_party_on(party, "-while").await;
        let height = world.heights().iter().map(|h| h.0).max().unwrap();
        world.until_height(height).await;
        whole(&world, party).await;
        refresh(&world, 1).await;
        stop(&mut world, party);
        world.start_party_on(party, "").await;
        let height = world.heights().iter().map(|h| h.0).max().unwrap();
        world.until_height(height).await;
        whole(&world, party).await;
        let new = all_shares(&world).await;
        assert_eq!(values(new.each_ref()), values(old.each_ref()));
        for (id, lanes) in &old[party] {
            assert!(lanes.iter().zip(&new[party][id]).all(|(a, b)| a.own != b.own && a.next != b.next));
        }
        let now = world.clock_now();
        world.clock.set(now + HOUR);
    }
    world.accept(&prepared[3]).await;
}

/// An epoch begins an hour after the one before: asking more often adds nothing to the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_within_the_hour_is_not_begun() {
    let world = World::start(manifest(), PATIENCE).await;
    world.accept(&world.prepare(&cohort()[0])).await;
    world.until_height(1).await;
    refresh(&world, 0).await;
    for by in 0..3 {
        world.party(by).refresh(|_| {}).await;
    }
    world.accept(&world.prepare(&cohort()[1])).await;
    assert!((0..3).all(|p| epoch(&world, p) == 1), "{:?}", world.heights());
}

/// Alters its messages of one step: to one party, or the same to both, as a party does that lies consistently.
struct Liar {
    step: Step,
    to: Vec<u8>,
    lies: AtomicU64,
}

impl Fault for Liar {
    fn on_send(&self, party: u8, step: u32, frame: Bytes) -> Option<Bytes> {
        if step != self.step as u32 || !self.to.contains(&party) {
            return Some(frame);
        }
        self.lies.fetch_add(1, Ordering::Relaxed);
        let mut bytes = frame.to_vec();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        Some(bytes.into())
    }
}

async fn set(world: &World, party: usize, fault: Option<Arc<dyn Fault>>) {
    *world.party(party).survey(world.survey_id()).unwrap().fault.lock().await = fault;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_lies_in_a_refresh_changes_nothing() {
    let world = World::start(manifest(), Duration::from_millis(800)).await;
    for i in 0..2u64 {
        world.accept(&world.prepare(&cohort()[i as usize])).await;
        world.until_height(i + 1).await;
    }
    let secrets = values(all_shares(&world).await.each_ref());
    for step in [Step::Secret, Step::Units, Step::Prepare, Step::Vote] {
        for liar in 0..3u8 {
            let others: Vec<u8> = (0..3).filter(|p| *p != liar).collect();
            let about_shares = matches!(step, Step::Secret | Step::Units);
            let to_one = about_shares.then(|| vec![others[0]]);
            for to in to_one.into_iter().chain([others.clone()]) {
                let what = format!("party {liar} lies to {to:?} in {step:?}");
                let before = epoch(&world, 0);
                let fault = Arc::new(Liar { step, to, lies: AtomicU64::new(0) });
                set(&world, liar.into(), Some(fault.clone())).await;
                let survey = world.party(0).survey(world.survey_id()).unwrap().clone();
                survey.ask_for_refresh();
                // After failures the leader takes half a minute for the next try.
                for _ in 0..6000 {
                    if fault.lies.load(Ordering::Relaxed) > 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert!(fault.lies.load(Ordering::Relaxed) > 0, "{what}: it never came to that");
                // With a lie about shares there is no entry, however often it is tried.
                if about_shares {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    assert!((0..3).all(|p| epoch(&world, p) == before), "{what}: {:?}", world.heights());
                }
                set(&world, liar.into(), None).await;
                for _ in 0..4000 {
                    if (0..3).all(|p| epoch(&world, p) > before) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert!((0..3).all(|p| epoch(&world, p) == before + 1), "{what}: {:?}", world.heights());
                let height = world.heights().iter().map(|h| h.0).max().unwrap();
                world.until_height(height).await;
                assert_eq!(values(all_shares(&world).await.each_ref()), secrets, "{what}");
                let now = world.clock_now();
                world.clock.set(now + HOUR);
            }
        }
    }
}

/// A stop at every durable write of a refresh, before it and right after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_any_durable_write_of_a_refresh_loses_nothing() {
    let mut world = World::start(manifest(), Duration::from_millis(800)).await;
    for i in 0..3u64 {
        world.accept(&world.prepare(&cohort()[i as usize])).await;
        world.until_height(i + 1).await;
    }
    let secrets = values(all_shares(&world).await.each_ref());
    for part in ["/segments/", "/prepares/", "/locks/", "/log/"] {
        for after in [false, true] {
            for party in 0..3usize {
                let what = format!("party {party} stops {} {part}", if after { "after" } else { "before" });
                let before = epoch(&world, 1);
                world.dying[party].clone().unwrap().arm(Point { part, after });
                let leader = world.party(0).survey(world.survey_id()).unwrap().clone();
                leader.ask_for_refresh();
                drop(leader);
                for _ in 0..1000 {
                    if world.dying[party].as_ref().unwrap().is_dead() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert!(world.dying[party].as_ref().unwrap().is_dead(), "{what}: it never came to that");
                stop(&mut world, party);
                world.start_party(party).await;
                // The leader forgets the wish with a stop; what was prepared by all three is finished without it.
                for _ in 0..100 {
                    if (0..3).all(|p| epoch(&world, p) > before) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                world.party(1).refresh(|_| {}).await;
                for p in 0..3 {
                    whole(&world, p).await;
                }
                let height = world.heights().iter().map(|h| h.0).max().unwrap();
                world.until_height(height).await;
                assert!((0..3).all(|p| epoch(&world, p) == before + 1), "{what}: {:?}", world.heights());
                // Each row once, with new shares of the old value, and nothing of the old epoch is left.
                assert_eq!(values(all_shares(&world).await.each_ref()), secrets, "{what}");
                let now = world.clock_now();
                world.clock.set(now + HOUR);
            }
        }
    }
    let survey = world.party(0).survey(world.survey_id()).unwrap().clone();
    let height = survey.book().head().0;
    let newest = survey.store.get_entry(survey.id(), height).await.unwrap().unwrap();
    assert!(matches!(newest.entry.body, EntryBody::Refresh { epoch: 24, .. }), "{:?}", newest.entry);
}
