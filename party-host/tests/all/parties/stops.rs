//! The crash matrix goes on: a party stops at every durable write of a release point, or of an erasure.

use std::time::Duration;

use tercet_protocol::api::{QueryState, SubmissionState};

use super::crash::Point;
use super::lost::{stop, whole};
use super::notarized::Server;
use super::outage::{income, incomes, person};
use super::refresh::{all_shares, values};
use super::world::{Prepared, World};

const PATIENCE: Duration = Duration::from_millis(800);
/// People of a unit.
const UNIT: u64 = 3;

/// Before and after each durable write of an entry, at each party.
fn points() -> impl Iterator<Item = (Point, usize)> {
    let parts = ["/segments/", "/prepares/", "/locks/", "/log/"];
    let points = parts.into_iter().flat_map(|part| [false, true].map(|after| Point { part, after }));
    points.flat_map(|point| [0, 1, 2].map(|party| (point, party)))
}

/// Waits until the party has stopped, and starts it again on what is durable.
async fn restarted(world: &mut World, party: usize, what: &str) {
    for _ in 0..1000 {
        if world.dying[party].as_ref().unwrap().is_dead() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.dying[party].as_ref().unwrap().is_dead(), "{what}: it never came to that");
    stop(world, party);
    world.start_party(party).await;
}

/// All three have the same log, and every row that it demands.
async fn level(world: &World) {
    let height = world.heights().iter().map(|h| h.0).max().unwrap();
    world.until_height(height).await;
    for party in 0..3 {
        whole(world, party).await;
    }
}

/// The people of a unit, let in.
async fn unit(world: &World, server: &Server, number: u64) -> Vec<Prepared> {
    let people: Vec<_> = (UNIT * number..UNIT * (number + 1)).map(|uid| person(world, server, uid)).collect();
    futures::future::join_all(people.iter().map(|p| world.accept(p))).await;
    level(world).await;
    people
}

fn release_of(world: &World, party: usize) -> u64 {
    world.party(party).survey_status(world.survey_id()).unwrap().release
}

/// The parties' answer to the sum of everybody who was ever counted.
async fn sum_is(world: &World, total: u64) {
    for _ in 0..50 {
        if let QueryState::Done { result } = world.query(&["sum"]).await {
            let exact = result.result.statistics[0].exact.as_ref().unwrap();
            assert_eq!(
                (exact.numerator.as_str(), exact.denominator.as_str()),
                (total.to_string().as_str(), "1")
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_any_durable_write_of_a_release_point_loses_nothing() {
    let server = Server::start();
    let mut world = World::start_trusting(incomes(UNIT), server.root(), PATIENCE).await;
    let mut made = 0;
    for (point, party) in points() {
        let what = format!("party {party} stops at {point:?}");
        unit(&world, &server, made).await;
        world.dying[party].clone().unwrap().arm(point);
        let _outcome = world.party(0).release_now(world.survey_id()).await;
        restarted(&mut world, party, &what).await;
        made += 1;
        for _ in 0..100 {
            if (0..3).all(|p| release_of(&world, p) >= made) {
                break;
            }
            let _again = world.party(0).release_now(world.survey_id()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        level(&world).await;
        // One release point, and each person in one unit.
        assert!((0..3).all(|p| release_of(&world, p) == made), "{what}");
        let shares = all_shares(&world).await;
        let rows = values(shares.each_ref());
        assert_eq!(rows.len() as u64, made * (UNIT + 1), "{what}: rows and unit sums");
    }
    sum_is(&world, (0..UNIT * made).map(income).sum()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_any_durable_write_of_an_erasure_loses_nothing() {
    let server = Server::start();
    let mut world = World::start_trusting(incomes(UNIT), server.root(), PATIENCE).await;
    let points: Vec<_> = points().collect();
    let mut people = Vec::new();
    for number in 0..points.len() as u64 / UNIT {
        people.extend(unit(&world, &server, number).await);
        world.party(0).release_now(world.survey_id()).await.unwrap();
        level(&world).await;
    }
    let before = values(all_shares(&world).await.each_ref());
    for (n, ((point, party), leaves)) in points.into_iter().zip(&people).enumerate() {
        let what = format!("party {party} stops at {point:?}");
        world.dying[party].clone().unwrap().arm(point);
        let (node, wish, id) = (world.party(0).clone(), world.wish(leaves), leaves.id());
        let asked = tokio::spawn(async move { node.withdraw(id, wish, Duration::from_millis(300)).await });
        restarted(&mut world, party, &what).await;
        asked.abort();
        // Whoever has not heard that the row is gone asks again.
        world.withdraw(leaves).await;
        level(&world).await;
        for p in 0..3 {
            let status = world.party(p).submission(leaves.id()).unwrap();
            assert!(matches!(status.state, SubmissionState::Withdrawn { .. }), "{what}: {status:?}");
            assert!(!world.holds(p, leaves).await, "{what}: party {p} still holds shares of it");
        }
        // Nothing else is gone, and nothing has changed.
        let rows = values(all_shares(&world).await.each_ref());
        assert_eq!(rows.len(), before.len() - n - 1, "{what}");
        assert!(rows.iter().all(|(id, value)| before[id] == *value), "{what}");
    }
    sum_is(&world, (0..people.len() as u64).map(income).sum()).await;
}
