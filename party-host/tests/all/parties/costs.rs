//! The costs of a batch, a release point and a question at a party's bucket: docs/costs.md shows these numbers, and a path that
//! makes one call more fails here. Each object that is created or read is one call to KMS as well (`keyring/kms.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use tercet_protocol::api::QueryState;
use tercet_protocol::filter::Filter;

use super::world::{Prepared, World, cohort, manifest};

/// Number of calls of each kind by a follower since the last look.
fn calls(world: &World) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for call in world.dying[1].as_ref().unwrap().take_calls() {
        *counted.entry(call).or_default() += 1;
    }
    counted
}

fn made(calls: &[(&str, usize)]) -> BTreeMap<String, usize> {
    calls.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_a_release_point_and_a_question_make_so_many_calls() {
    let world = World::start(manifest(), Duration::from_secs(20)).await;
    let prepared: Vec<Prepared> = cohort().iter().take(12).map(|n| world.prepare(n)).collect();
    calls(&world);
    world.accept(&prepared[0]).await;
    let batch = [("create segments", 1), ("create prepares", 1), ("create locks", 1), ("create log", 1)];
    assert_eq!(calls(&world), made(&batch), "a batch");
    futures::future::join_all(prepared[1..].iter().map(|p| world.accept(p))).await;
    calls(&world);
    world.release().await.unwrap();
    let release = [
        ("create answers", 1),
        ("create segments", 1),
        ("create prepares", 1),
        ("create locks", 1),
        ("create log", 1),
    ];
    assert_eq!(calls(&world), made(&release), "a release point");
    let QueryState::Done { .. } = world.query_where(&["mean"], Filter::default()).await else { panic!() };
    assert_eq!(calls(&world), made(&[]), "a question");
}
