//! A bucket that was lost, or is old, or lacks pieces: the party comes back with every row, and the next answer is right.

use std::time::Duration;

use super::world::{World, cohort, manifest};

/// Long, since nothing here is withheld.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn stop(world: &mut World, party: usize) {
    world.parties[party].take().unwrap().disconnect();
}

pub async fn whole(world: &World, party: usize) {
    let survey = world.party(party).survey(world.survey_id()).unwrap().clone();
    for _ in 0..2000 {
        if !survey.lacks_rows() && survey.lag() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("party {party} still lacks rows of {:?}", survey.lacking());
}

/// All rows of a party as they lie in its bucket, by height.
pub async fn rows(world: &World, party: usize) -> Vec<(u64, Vec<u8>)> {
    let survey = world.party(party).survey(world.survey_id()).unwrap().clone();
    let mut all = Vec::new();
    for (height, name) in survey.store.list_segments(survey.id(), 0).await.unwrap() {
        let segment = survey.store.segment(survey.id(), height, name).await.unwrap();
        all.push((height, segment.encode(&name).to_vec()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_whose_bucket_is_lost_comes_back_with_every_row() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let prepared: Vec<_> = cohort().iter().take(8).map(|n| world.prepare(n)).collect();
    for (i, p) in prepared.iter().enumerate().take(6) {
        world.accept(p).await;
        world.until_height(i as u64 + 1).await;
    }
    for lost in 0..3usize {
        let before = rows(&world, lost).await;
        stop(&mut world, lost);
        world.start_party_on(lost, &format!("-after-{lost}")).await;
        let height = world.heights().iter().map(|h| h.0).max().unwrap();
        world.until_height(height).await;
        whole(&world, lost).await;
        assert!(rows(&world, lost).await == before, "party {lost} has other rows than before");
    }
    // All three go on: with rows of before, and with new ones.
    for p in &prepared[6..] {
        world.accept(p).await;
    }
    let heights = world.heights();
    assert!(heights.iter().all(|h| *h == heights[0]), "{heights:?}");
}

/// The first rows, some in the middle, and the last ones.
#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_are_gone_are_found_and_taken_from_the_others() {
    let mut world = World::start(manifest(), PATIENCE).await;
    for i in 0..4u64 {
        world.accept(&world.prepare(&cohort()[i as usize])).await;
        world.until_height(i + 1).await;
    }
    let before = rows(&world, 1).await;
    let survey = world.party(1).survey(world.survey_id()).unwrap().clone();
    let names = survey.store.list_segments(survey.id(), 0).await.unwrap();
    for (height, name) in [names[0], names[2], names[3]] {
        survey.store.delete_segment(survey.id(), height, name).await.unwrap();
    }
    drop(survey);
    stop(&mut world, 1);
    world.start_party(1).await;
    whole(&world, 1).await;
    assert!(rows(&world, 1).await == before);
    world.accept(&world.prepare(&cohort()[4])).await;
}

/// Objects that are lost, exchanged or damaged while the party runs: who comes upon one lacks those rows from then on, takes them
/// from the others, and the answers are right.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_open_any_more_are_found_when_they_are_read_and_taken_from_the_others() {
    use party_host::store::Objects as _;
    use tercet_protocol::api::QueryState;

    let world = World::start(manifest(), PATIENCE).await;
    let prepared: Vec<_> = cohort().iter().take(12).map(|n| world.prepare(n)).collect();
    for (height, p) in (1..).zip(&prepared) {
        world.accept(p).await;
        world.until_height(height).await;
    }
    let before = rows(&world, 1).await;
    let survey = world.party(1).survey(world.survey_id()).unwrap().clone();
    let names = survey.store.list_segments(survey.id(), 0).await.unwrap();
    let objects = world.dying[1].clone().unwrap();
    let key = |(height, name): (u64, tercet_protocol::ids::EntryHash)| {
        format!("surveys/{}/segments/{height:020}-{name}", world.survey_id())
    };
    // The first one is damaged, one has another one's content, and the newest is gone.
    let other = objects.get(&key(names[5])).await.unwrap().unwrap();
    for (place, content) in
        [(names[0], Some(b"damaged".to_vec())), (names[3], Some(other)), (names[11], None)]
    {
        survey.store.delete_segment(survey.id(), place.0, place.1).await.unwrap();
        if let Some(content) = content {
            objects.create(&key(place), content.into()).await.unwrap();
        }
    }
    // Each try comes upon one of them.
    let mut point = 0;
    for _ in 0..40 {
        if let Ok(made) = world.party(0).release_now(world.survey_id()).await {
            point = made.release;
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(point, 1, "{:?}", survey.failures.borrow().last);
    let QueryState::Done { result } = world.query(&["count", "sum"]).await else { panic!("no answer") };
    assert_eq!(result.result.submissions, 12);
    let listed = world.published(1).await.unwrap();
    let sum = |of: &tercet_protocol::result::SignedResult| {
        of.result.statistics.iter().find(|s| s.statistic == "sum").unwrap().value.clone()
    };
    assert_eq!(sum(&result), sum(&listed));
    let after = rows(&world, 1).await;
    assert!(before.iter().all(|row| after.contains(row)), "party 1 has other rows than before");
}

/// An entry that all are locked on, and one of them has lost its bucket with the entry and its rows: the two others supply
/// both, and the entry is finished.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_entry_is_finished_with_a_party_that_lost_it() {
    use std::sync::Arc;

    use bytes::Bytes;
    use party_host::node::{Fault, Step};

    struct NoVotes;
    impl Fault for NoVotes {
        fn on_send(&self, _: u8, step: u32, frame: Bytes) -> Option<Bytes> {
            (step != Step::Vote as u32).then_some(frame)
        }
    }
    for lost in 0..3usize {
        let mut world = World::start(manifest(), Duration::from_secs(2)).await;
        let survey = |world: &World, p: usize| world.party(p).survey(world.survey_id()).unwrap().clone();
        for p in 0..3 {
            *survey(&world, p).fault.lock().await = Some(Arc::new(NoVotes));
        }
        let prepared = world.prepare(&cohort()[0]);
        let _pending = world.submit(&prepared, Duration::from_millis(300)).await;
        for _ in 0..2000 {
            if (0..3).all(|p| survey(&world, p).unfinished()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let kept = (lost + 1) % 3;
        stop(&mut world, lost);
        for p in (0..3).filter(|p| *p != lost) {
            *survey(&world, p).fault.lock().await = None;
        }
        world.start_party_on(lost, "-new").await;
        world.until_height(1).await;
        assert_eq!(rows(&world, lost).await.len(), rows(&world, kept).await.len());
        world.accept(&prepared).await;
    }
}

/// True if any of a party's stored rows is this submission's.
async fn holds(world: &World, party: usize, id: tercet_protocol::ids::SubmissionId) -> bool {
    let survey = world.party(party).survey(world.survey_id()).unwrap().clone();
    for (height, name) in survey.store.list_segments(survey.id(), 0).await.unwrap() {
        let segment = survey.store.segment(survey.id(), height, name).await.unwrap();
        if segment.submissions().contains(&id) {
            return true;
        }
    }
    false
}

/// A bucket as it was two entries ago, one of which erased a row that it still holds; and an empty one, after the erasure.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_bucket_is_brought_up_to_date_and_erased_rows_do_not_come_back() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let prepared: Vec<_> = cohort().iter().take(5).map(|n| world.prepare(n)).collect();
    let leaves = prepared[0].id();
    for (height, p) in (1..).zip(&prepared[..2]) {
        world.accept(p).await;
        world.until_height(height).await;
    }
    assert!(holds(&world, 2, leaves).await);
    stop(&mut world, 2);
    world.start_party_on(2, "-while").await;
    world.until_height(2).await;
    whole(&world, 2).await;
    world.accept(&prepared[2]).await;
    world.until_height(3).await;
    world.withdraw(&prepared[0]).await;
    world.until_height(4).await;

    for (bucket, next) in [("", 3), ("-empty", 4)] {
        stop(&mut world, 2);
        world.start_party_on(2, bucket).await;
        let height = world.heights().iter().map(|h| h.0).max().unwrap();
        world.until_height(height).await;
        whole(&world, 2).await;
        assert!(!holds(&world, 2, leaves).await, "the erased row is in bucket {bucket:?}");
        assert!(holds(&world, 2, prepared[1].id()).await && holds(&world, 2, prepared[2].id()).await);
        world.accept(&prepared[next]).await;
    }
}
