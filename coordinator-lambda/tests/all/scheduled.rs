//! The scheduled reaper. The refresh is in [`crate::releases`].

use std::collections::BTreeSet;

use coordinator_lambda::scheduled::{Reaped, reap_once};
use tercet_protocol::api::{Problem, ProblemKind, SubmissionState};

use crate::support::World;
use crate::support::parties::Says;

#[tokio::test]
async fn the_reaper_ends_what_nobody_asks_about() {
    let world = World::new().await;
    let accepted = world.admitted(0, 0).await;
    let rejected = world.admitted(1, 0).await;
    let vanished = world.admitted(2, 0).await;
    let silent = world.admitted(3, 0).await;
    world.all_accept(0, accepted);
    world.rejects(1, rejected, Problem::new(ProblemKind::ProofInvalid, "no"));
    world.all_say(silent, Says::Raw(500, String::new()));
    let before = reap_once(&world.coordinator).await.unwrap();
    assert_eq!(before, Reaped { seen: 4, ..Reaped::default() }, "tickets still run");
    assert_eq!(world.parties[0].asked(), 0);

    world.clock.advance_seconds(306);
    let fresh = world.admitted(4, 0).await;
    let reaped = reap_once(&world.coordinator).await.unwrap();
    assert_eq!(reaped, Reaped { seen: 5, accepted: 1, rejected: 2, failed: 0 });
    assert_eq!(world.unfinished().await, 2);
    assert!(matches!(world.status(accepted).await.state, SubmissionState::Accepted { .. }));
    let SubmissionState::Rejected { problem } = world.status(vanished).await.state else { panic!() };
    assert_eq!(problem.known(), Some(ProblemKind::Incomplete));

    // Run twice, or two at once: nothing more happens.
    let other = world.another();
    let (a, b) = tokio::join!(reap_once(&world.coordinator), reap_once(&other));
    for again in [a.unwrap(), b.unwrap()] {
        assert_eq!(again, Reaped { seen: 2, ..Reaped::default() });
    }
    world.all_accept(3, silent);
    world.all_accept(4, fresh);
    assert_eq!(reap_once(&world.coordinator).await.unwrap().accepted, 1);
}

#[tokio::test]
async fn the_reaper_sees_all_pages() {
    let world = World::new().await;
    for variant in 0..24 {
        world.admitted(variant, 0).await;
    }
    let store = &world.coordinator.store;
    let mut all = BTreeSet::new();
    for list in 0..16 {
        let mut seen = Vec::new();
        loop {
            let page = store.pending(world.survey_id(), list, seen.last().copied(), 1).await.unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert!(seen.windows(2).all(|w| w[0] < w[1]));
        all.extend(seen);
    }
    assert_eq!(all.len(), 24);
}
