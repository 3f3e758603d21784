//! Rates, shared by every instance over one table.

use std::time::Duration;

use coordinator_lambda::api;
use coordinator_lambda::config::{Limits, Rate};
use tercet_protocol::api::ProblemKind;

use crate::support::reply::{Reply, get, post};
use crate::support::{Options, World};

async fn world(edit: impl FnOnce(&mut Limits)) -> World {
    let mut limits = Options::default().limits;
    edit(&mut limits);
    let world = World::with(Options { limits, ..Options::default() }).await;
    world.publish(1).await;
    world
}

/// Number of 200 requests at once, spread over four instances, that get through.
async fn flood(world: &World, address: &str) -> usize {
    let routers: Vec<_> = (0..4).map(|_| api::router(world.another())).collect();
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    let calls = (0..200).map(|i| {
        let (router, path, address) = (routers[i % 4].clone(), path.clone(), address.to_owned());
        tokio::spawn(async move { post(path, "{}").from(&address).send(&router).await })
    });
    let mut passed = 0;
    for call in calls.collect::<Vec<_>>() {
        let reply: Reply = call.await.unwrap();
        match reply.status {
            200 => passed += 1,
            _ => drop(reply.problem(ProblemKind::RateLimited)),
        }
    }
    passed
}

#[tokio::test]
async fn two_hundred_at_once_over_many_instances_get_the_configured_rate() {
    let world = world(|l| l.address = Rate { burst: 40, per_second: 10.0 }).await;
    let within = |got: usize, want: f64| assert!((got as f64 - want).abs() <= want * 0.05, "{got} of {want}");
    within(flood(&world, "192.0.2.1:1").await, 40.0);
    world.clock.advance(Duration::from_millis(2_500));
    within(flood(&world, "192.0.2.1:2").await, 25.0);
    world.clock.advance_seconds(3_600);
    within(flood(&world, "192.0.2.1:3").await, 40.0);
    // Another address has its own.
    within(flood(&world, "192.0.2.2:1").await, 40.0);
}

#[tokio::test]
async fn a_surveys_rate_is_for_everybody_together() {
    let world = world(|l| l.survey = Rate { burst: 3, per_second: 1.0 }).await;
    for provider in 0..3 {
        world.admitted(provider, 0).await;
    }
    let reply = world.submit(3, 0).await;
    assert_eq!(reply.problem(ProblemKind::RateLimited).rule.as_deref(), Some("survey"));
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    post(path, "").from("203.0.113.1:1").send(&world.router).await.problem(ProblemKind::RateLimited);
    world.clock.advance_seconds(1);
    world.admitted(3, 0).await;
}

#[tokio::test]
async fn an_identitys_rate_bounds_its_attempts() {
    let world = world(|l| l.identity = Rate { burst: 2, per_second: 0.01 }).await;
    world.admitted(0, 0).await;
    world.submit(0, 1).await.problem(ProblemKind::IdentityPending);
    let problem = world.submit(0, 2).await.problem(ProblemKind::RateLimited);
    assert_eq!((problem.rule.as_deref(), problem.retry_after), (Some("identity"), Some(100)));
    // The submission that is under way can still be sent again: it is not verified again.
    world.admitted(0, 0).await;
    world.admitted(1, 0).await;
}

#[tokio::test]
async fn status_requests_have_their_own_rate() {
    let world = world(|l| l.status = Rate { burst: 2, per_second: 1.0 }).await;
    let id = world.admitted(0, 0).await;
    let path = format!("/v1/submissions/{id}");
    for _ in 0..2 {
        assert_eq!(get(&path).send(&world.router).await.status, 200);
    }
    get(&path).send(&world.router).await.problem(ProblemKind::RateLimited);
    get("/v1/queries/00000000000000000000000000000000")
        .send(&world.router)
        .await
        .problem(ProblemKind::RateLimited);
    // Neither what asks nobody nor another address is concerned.
    assert_eq!(get("/v1/surveys").send(&world.router).await.status, 200);
    assert_eq!(get(&path).from("[2001:db8::1]:1").send(&world.router).await.status, 200);
}

#[tokio::test]
async fn headers_tell_quota_rest_and_waiting_time() {
    let world = world(|l| {
        l.address = Rate { burst: 3, per_second: 0.5 };
        l.survey = Rate { burst: 100, per_second: 100.0 };
    })
    .await;
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    let reply = post(&path, "").send(&world.router).await;
    assert_eq!(reply.header("ratelimit-policy"), Some("\"address\";q=3;w=6, \"survey\";q=100;w=1"));
    assert_eq!(reply.header("ratelimit"), Some("\"address\";r=2;t=2, \"survey\";r=99;t=1"));
    post(&path, "").send(&world.router).await;
    post(&path, "").send(&world.router).await;
    let reply = post(&path, "").send(&world.router).await;
    assert_eq!(reply.problem(ProblemKind::RateLimited).retry_after, Some(2));
    assert_eq!(reply.header("ratelimit"), Some("\"address\";r=0;t=2"));
    assert_eq!(reply.header("retry-after"), Some("2"));
    // Waiting as long as it says is enough.
    world.clock.advance_seconds(2);
    assert_eq!(post(&path, "").send(&world.router).await.status, 200);
}

/// Posts a query as each of these invocations twice at once, over two instances; all must pass.
async fn twice_each(world: &World, invocations: std::ops::Range<usize>) {
    let routers = [api::router(world.another()), api::router(world.another())];
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    let calls = invocations.flat_map(|i| [(i, 0), (i, 1)]).map(|(i, instance)| {
        let (router, path): (_, String) = (routers[instance].clone(), path.clone());
        tokio::spawn(async move {
            let reply = post(path, "{}").invocation(&format!("invocation-{i}")).send(&router).await;
            (i, reply.header("location").map(str::to_owned), reply.status)
        })
    });
    let mut places = std::collections::BTreeMap::new();
    for call in calls.collect::<Vec<_>>() {
        let (i, place, status) = call.await.unwrap();
        assert_eq!(status, 200);
        let first = places.entry(i).or_insert_with(|| place.clone());
        assert_eq!(*first, place, "invocation {i} made two queries");
    }
}

#[tokio::test]
async fn an_invocation_that_runs_twice_counts_once() {
    let world = world(|l| l.address = Rate { burst: 200, per_second: 0.001 }).await;
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    // More than a bucket remembers, in groups as they would be under way together.
    for group in 0..4 {
        twice_each(&world, group * 25..(group + 1) * 25).await;
    }
    let reply = post(path, "{}").send(&world.router).await;
    let rest = reply.header("ratelimit").unwrap();
    assert!(rest.starts_with("\"address\";r=99;"), "200 - 100 - 1 are left: {rest}");
}

/// One address cannot use up the new questions of everybody else.
#[tokio::test]
async fn one_asker_leaves_questions_for_others() {
    let world = world(|l| {
        l.asker = Rate { burst: 2, per_second: 0.1 };
        l.questions = Rate { burst: 3, per_second: 0.001 };
    })
    .await;
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    let ask = async |name: &str, from: &str| {
        let body = format!("{{\"statistics\":[\"{name}\"]}}");
        post(&path, body).from(from).send(&world.router).await
    };
    for name in ["mean", "sum"] {
        assert_eq!(ask(name, "192.0.2.1:1").await.status, 202);
    }
    for name in ["count", "variance", "stddev"] {
        let problem = ask(name, "192.0.2.1:1").await.problem(ProblemKind::RateLimited);
        assert_eq!(problem.rule.as_deref(), Some("asker"));
    }
    assert_eq!(ask("count", "192.0.2.2:1").await.status, 202);
    let problem = ask("variance", "192.0.2.2:1").await.problem(ProblemKind::RateLimited);
    assert_eq!(problem.rule.as_deref(), Some("questions"));
}

/// Only questions that the parties have to compute count: an answered question costs nobody anything.
#[tokio::test]
async fn new_questions_have_a_rate_of_their_own() {
    let world = world(|l| l.questions = Rate { burst: 2, per_second: 0.1 }).await;
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    let ask = async |names: &str, from: &str| {
        let body = format!("{{\"statistics\":[{names}]}}");
        post(&path, body).from(from).send(&world.router).await
    };
    assert_eq!(ask("\"mean\"", "192.0.2.1:1").await.status, 202);
    assert_eq!(ask("\"sum\"", "192.0.2.2:1").await.status, 202);
    let problem = ask("\"count\"", "192.0.2.3:1").await.problem(ProblemKind::RateLimited);
    assert_eq!((problem.rule.as_deref(), problem.retry_after), (Some("questions"), Some(10)));
    assert_eq!(ask("\"mean\"", "192.0.2.4:1").await.status, 202, "under way already");
    assert_eq!(ask("", "192.0.2.4:1").await.status, 200, "published");
    world.clock.advance_seconds(10);
    assert_eq!(ask("\"count\"", "192.0.2.3:1").await.status, 202);
}
