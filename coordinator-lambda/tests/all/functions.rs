//! What runs on a schedule.

use std::time::Duration;

use coordinator_lambda::functions::{Reaped, Refreshed, reap_once, refresh_once};
use tercet_protocol::api::{Problem, ProblemKind, QueryState, QueryStatus, SubmissionState};
use tercet_protocol::result::SignedResult;

use crate::support::parties::{Says, result};
use crate::support::reply::get;
use crate::support::{Options, START, World};

async fn refresh(world: &World) -> Refreshed {
    let mut done = refresh_once(&world.coordinator, Duration::ZERO).await.unwrap();
    assert_eq!(done.len(), 1);
    let (survey, refreshed) = done.remove(0);
    assert_eq!(survey, world.survey_id());
    refreshed
}

async fn published(world: &World) -> u64 {
    let reply = get(format!("/v1/surveys/{}/statistics", world.survey_id())).send(&world.router).await;
    reply.json::<SignedResult>().result.height
}

#[tokio::test]
async fn a_refresh_publishes_what_the_parties_release() {
    let world = World::new().await;
    let keys = [0, 1, 2].map(|i: usize| world.parties[i].key.clone());
    let releasing = move |height: u64| {
        let keys = keys.clone();
        move |query, asked: &tercet_protocol::api::PartyQuery| {
            let result = result(&keys, query, asked, height, START + height);
            (200, serde_json::to_value(QueryStatus { query, state: QueryState::Done { result } }).unwrap())
        }
    };
    world.parties[0].on_query(releasing(4));
    assert_eq!(refresh(&world).await, Refreshed::Released { height: 4 });
    assert_eq!(published(&world).await, 4);
    assert_eq!(world.parties[0].puts()[0].1.statistics.len(), 5);

    let refusal = serde_json::to_value(Problem::new(ProblemKind::TooFewNew, "wait")).unwrap();
    world.parties[0].on_query(move |_, _| (403, refusal.clone()));
    assert_eq!(refresh(&world).await, Refreshed::Refused { problem: ProblemKind::TooFewNew.urn() });
    assert_eq!(published(&world).await, 4);

    // After the survey's end there is nothing new to come.
    world.parties[0].on_query(releasing(5));
    world.clock.advance_seconds(200_000_000);
    assert_eq!(refresh(&world).await, Refreshed::Idle);
    assert_eq!(published(&world).await, 4);
}

#[tokio::test]
async fn a_refresh_takes_up_what_the_last_one_left_running() {
    let world = World::new().await;
    let Refreshed::Running { query } = refresh(&world).await else { panic!() };
    assert_eq!(refresh(&world).await, Refreshed::Running { query }, "no second query beside the first");
    let (id, asked) = world.parties[0].puts().remove(0);
    assert_eq!(id, query);
    let keys = [0, 1, 2].map(|i: usize| world.parties[i].key.clone());
    let result = result(&keys, query, &asked, 6, START);
    world.parties[0].set_query(&QueryStatus { query, state: QueryState::Done { result } });
    assert_eq!(refresh(&world).await, Refreshed::Released { height: 6 });
    let Refreshed::Running { query: next } = refresh(&world).await else { panic!() };
    assert_ne!(next, query);
}

#[tokio::test]
async fn one_refresh_at_a_time() {
    let world = World::new().await;
    let store = &world.coordinator.store;
    assert!(store.lease_refresh(world.survey_id(), START, START + 900).await.unwrap());
    assert_eq!(refresh(&world).await, Refreshed::Busy);
    // The one that had the turn was cut off: its turn ends by itself.
    world.clock.advance_seconds(900);
    assert!(matches!(refresh(&world).await, Refreshed::Running { .. }));
}

#[tokio::test]
async fn surveys_that_are_not_open_yet_are_left_alone() {
    let options = Options {
        survey: |s| s.survey.opens = s.survey.closes - Duration::from_secs(60),
        ..Options::default()
    };
    let world = World::with(options).await;
    assert_eq!(refresh(&world).await, Refreshed::Idle);
    assert!(world.parties[0].puts().is_empty());
}

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
    let mut seen = Vec::new();
    loop {
        let page = store.pending(world.survey_id(), seen.last().copied(), 7).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen.len(), 24);
    assert!(seen.windows(2).all(|w| w[0] < w[1]));
}
