//! Release points: fetched from the parties, published once, served for ever.

use coordinator_lambda::releases::Refreshed;
use coordinator_lambda::scheduled::refresh_once;
use tercet_protocol::api::{Problem, ProblemKind, ReleaseList, ReleaseNow};
use tercet_protocol::result::SignedResult;

use crate::support::World;
use crate::support::parties::{result, sign};
use crate::support::reply::{Reply, get, post};

async fn refresh(world: &World) -> Refreshed {
    let done = refresh_once(&world.coordinator).await.unwrap();
    assert_eq!(done.len(), 1);
    assert_eq!(done[0].0, world.survey_id());
    done[0].1
}

impl World {
    async fn newest(&self) -> Reply {
        get(format!("/v1/surveys/{}/statistics", self.survey_id())).send(&self.router).await
    }

    async fn point(&self, number: impl std::fmt::Display) -> Reply {
        get(format!("/v1/surveys/{}/releases/{number}/statistics", self.survey_id())).send(&self.router).await
    }

    async fn list(&self) -> Vec<u64> {
        let reply = get(format!("/v1/surveys/{}/releases", self.survey_id())).send(&self.router).await;
        assert_eq!(reply.status, 200);
        let list: ReleaseList = reply.json();
        assert_eq!(list.survey, self.survey_id());
        list.releases.iter().map(|p| p.number).collect()
    }
}

#[tokio::test]
async fn new_release_points_are_published_and_served_for_ever() {
    let world = World::new().await;
    world.newest().await.problem(ProblemKind::NothingReleased);
    assert_eq!(refresh(&world).await, Refreshed::Nothing);
    assert!(world.list().await.is_empty());
    let first = world.publish(1).await;
    let reply = world.newest().await;
    assert_eq!(reply.json::<SignedResult>(), first);
    assert_eq!(reply.header("cache-control"), Some("public, max-age=10"));
    let etag = reply.header("etag").unwrap().to_owned();
    let reply = world.point(1).await;
    assert_eq!(reply.json::<SignedResult>(), first);
    assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(reply.header("etag"), Some(&*etag));
    let path = format!("/v1/surveys/{}/statistics", world.survey_id());
    for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".into()] {
        let reply = get(&path).header("if-none-match", &known).send(&world.router).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{known}");
    }
    assert_eq!(refresh(&world).await, Refreshed::Nothing, "nothing is done when nothing is new");

    // Two more at once, of which only one party has the older.
    world.parties[2].publish(&world.statistics_of(2));
    let third = world.statistics_of(3);
    world.parties.iter().for_each(|p| p.publish(&third));
    assert_eq!(refresh(&world).await, Refreshed::Published { release: 3 });
    assert_eq!(world.list().await, [3, 2, 1]);
    assert_ne!(world.newest().await.header("etag"), Some(&*etag));
    assert_eq!(world.newest().await.json::<SignedResult>(), third);
    assert_eq!(world.point(1).await.json::<SignedResult>(), first, "the older ones stay");
    for unknown in ["0", "4", "18446744073709551615"] {
        world.point(unknown).await.problem(ProblemKind::NotFound);
    }
    for bad in ["-1", "x", "1.0"] {
        world.point(bad).await.problem(ProblemKind::Malformed);
    }
}

#[tokio::test]
async fn what_is_published_cannot_be_replaced() {
    let world = World::new().await;
    let first = world.publish(1).await;
    // Even something that three parties signed does not take the place of what is there.
    let mut other = world.statistics_of(1).result;
    other.statistics[0].value = Some("99".into());
    let other = sign(&world.keys(), other);
    world.parties.iter().for_each(|p| p.publish(&other));
    assert!(!world.coordinator.store.publish(&other).await.unwrap());
    refresh(&world).await;
    assert_eq!(world.point(1).await.json::<SignedResult>(), first);
}

#[tokio::test]
async fn only_what_three_parties_signed_about_the_listed_statistics_is_published() {
    let world = World::new().await;
    let good = world.statistics_of(1);
    let altered = |edit: fn(&mut SignedResult)| {
        let mut bad = good.clone();
        edit(&mut bad);
        bad
    };
    let mut narrow = world.listed();
    narrow.statistics.pop_first();
    let bad = [
        altered(|r| r.result.submissions += 1),
        altered(|r| r.result.release.rows += 1),
        altered(|r| r.signatures.swap(1, 2)),
        sign(&world.keys(), altered(|r| r.result.statistics.truncate(1)).result),
        // Signed by all, but about less than the survey lists.
        result(&world.keys(), world.survey_id(), 1, &narrow),
    ];
    for signed in bad {
        world.parties.iter().for_each(|p| p.publish(&signed));
        assert_eq!(refresh(&world).await, Refreshed::Awaited { release: 1 });
        assert!(world.list().await.is_empty());
    }
    // Another number than it is asked for.
    let second = sign(&world.keys(), world.statistics_of(2).result);
    world.parties.iter().for_each(|p| p.publish(&second));
    world.parties.iter().for_each(|p| p.publish(&good));
    world.parties[0].claim(1);
    assert_eq!(refresh(&world).await, Refreshed::Published { release: 2 });
    assert_eq!(world.list().await, [2, 1]);
}

/// One party lies about its log, or keeps its statistics to itself: the others are enough.
#[tokio::test]
async fn one_party_cannot_freeze_what_is_published() {
    let world = World::new().await;
    world.parties[0].claim(u64::MAX);
    assert_eq!(refresh(&world).await, Refreshed::Awaited { release: u64::MAX });
    world.parties[2].publish(&world.statistics_of(5));
    assert_eq!(refresh(&world).await, Refreshed::Published { release: 5 });
    world.parties[2].claim(0);
    world.parties[1].publish(&world.statistics_of(6));
    assert_eq!(refresh(&world).await, Refreshed::Published { release: 6 });
    assert_eq!(world.list().await, [6, 5]);
}

#[tokio::test]
async fn a_release_point_can_be_wished_for_in_development() {
    let world = World::new().await;
    let path = format!("/v1/surveys/{}/releases", world.survey_id());
    let wish = async || post(&path, "").send(&world.router).await;
    let refusal =
        Problem::new(ProblemKind::DevelopmentOnly, "this party makes release points when they are due");
    world.parties[0].on_release_now(403, &refusal);
    assert_eq!(wish().await.problem(ProblemKind::DevelopmentOnly), refusal.party(0));
    let signed = world.statistics_of(1);
    world.parties.iter().for_each(|p| p.publish(&signed));
    world.parties[0].on_release_now(200, ReleaseNow { survey: world.survey_id(), release: 1, made: true });
    let reply = wish().await;
    assert_eq!(reply.status, 200);
    assert!(reply.json::<ReleaseNow>().made);
    assert_eq!(world.newest().await.json::<SignedResult>(), signed, "and it is published at once");
    world.parties[0].on_release_now(200, serde_json::json!({}));
    wish().await.problem(ProblemKind::PartyUnavailable);
}

#[tokio::test]
async fn parties_that_do_not_answer_are_told_apart_from_nothing_new() {
    let world = World::new().await;
    let urls = world.parties.each_ref().map(|p| p.url.clone());
    assert!(urls.iter().all(|u| u.starts_with("http://")));
    assert_eq!(refresh(&world).await, Refreshed::Nothing);
    let World { coordinator, parties, .. } = world;
    parties.iter().for_each(|p| p.stop());
    assert_eq!(refresh_once(&coordinator).await.unwrap()[0].1, Refreshed::Unreachable);
}
