//! The costs of a batch, a release point and a question at a party's bucket: docs/costs.md shows these numbers, and a path that
//! makes one call more fails here. Each object that is created or read is one call to KMS as well (`keyring/kms.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use tercet_protocol::api::QueryState;
use tercet_protocol::filter::Filter;

use super::world::{Prepared, World, cohort, manifest};

/// Adds a follower's calls of each kind since the last look. Deleting costs nothing.
fn count(world: &World, counted: &mut BTreeMap<String, usize>) {
    let all = world.dying[1].as_ref().unwrap().take_calls();
    for call in all.into_iter().filter(|call| !call.starts_with("delete ")) {
        *counted.entry(call).or_default() += 1;
    }
}

/// The calls since the last look, after those that are expected: a follower may write an answer after the leader has told it.
async fn settled(world: &World, expected: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    count(world, &mut counted);
    for _ in 0..1000 {
        if expected.iter().all(|(call, times)| counted.get(call) >= Some(times)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        count(world, &mut counted);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    count(world, &mut counted);
    counted
}

fn made(calls: &[(&str, usize)]) -> BTreeMap<String, usize> {
    calls.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_a_release_point_and_a_question_make_so_many_calls() {
    let world = World::start(manifest(), Duration::from_secs(20)).await;
    let prepared: Vec<Prepared> = cohort().iter().take(12).map(|n| world.prepare(n)).collect();
    let entry = [("create segments", 1), ("create prepares", 1), ("create locks", 1), ("create log", 1)];
    let point = [&entry[..], &[("create answers", 1)]].concat();
    let (entry, point, nothing) = (made(&entry), made(&point), made(&[]));
    settled(&world, &nothing).await;
    world.accept(&prepared[0]).await;
    assert_eq!(settled(&world, &entry).await, entry, "a batch");
    futures::future::join_all(prepared[1..].iter().map(|p| world.accept(p))).await;
    let height = world.heights().iter().map(|h| h.0).max().unwrap();
    world.until_height(height).await;
    settled(&world, &nothing).await;
    world.release().await.unwrap();
    let mut release = settled(&world, &point).await;
    // Who waits for the published answer reads it, as often as they look.
    release.remove("get answers");
    assert_eq!(release, point, "a release point");
    let QueryState::Done { .. } = world.query_where(&["mean"], Filter::default()).await else { panic!() };
    assert_eq!(settled(&world, &nothing).await, nothing, "a question");
}
