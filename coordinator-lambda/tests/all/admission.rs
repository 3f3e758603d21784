//! `POST /v1/surveys/{id}/submissions`.

use std::collections::BTreeSet;

use coordinator_lambda::api;
use coordinator_lambda::config::Limits;
use tercet_protocol::api::{Admission, Problem, ProblemKind, SubmissionState, SubmissionStatus};
use tercet_protocol::ids::SurveyId;
use tercet_protocol::keys::SigningKey;
use tercet_protocol::submission::{PublicPart, ShareHashes};
use tercet_protocol::survey::Resubmission;

use crate::support::reply::post;
use crate::support::{Options, SEED, START, World};

#[tokio::test]
async fn the_cohort_is_admitted_with_valid_tickets() {
    let world = World::new().await;
    let key = SigningKey::from_seed(&SEED).unwrap().public();
    let mut nullifiers = BTreeSet::new();
    for provider in 0..24 {
        let public = world.public(provider, 0);
        let reply = post(world.submissions(), public.encode())
            .header("content-type", "application/octet-stream")
            .send(&world.router)
            .await;
        assert_eq!(reply.status, 201, "{provider}");
        let admission: Admission = reply.json();
        assert_eq!(admission.submission, public.id());
        assert_eq!(reply.header("location"), Some(&*format!("/v1/submissions/{}", public.id())));
        let ticket = admission.ticket;
        assert_eq!(ticket.verify(&key), Ok(()));
        assert_eq!((ticket.survey, ticket.submission), (world.survey_id(), public.id()));
        assert_eq!(ticket.expires, START + 300);
        assert_eq!(world.status(public.id()).await.state, SubmissionState::Pending);
        nullifiers.insert(world.nullifier(provider));
    }
    assert_eq!(nullifiers.len(), 24);
    assert_eq!(world.unfinished().await, 24);
}

#[tokio::test]
async fn submissions_and_identities_are_forgotten_some_time_after_the_survey() {
    let world = World::with(Options { config: |c| c.keep_days = 10, ..Options::default() }).await;
    let public = world.public(0, 0);
    let reply = post(world.submissions(), public.encode())
        .header("content-type", "application/octet-stream")
        .send(&world.router)
        .await;
    assert_eq!(reply.status, 201);
    let closes = world.survey.manifest().survey.closes.unix_timestamp() as u64;
    for kind in ["submission#", "identity#"] {
        assert_eq!(world.forgotten(kind).await, [closes + 10 * 86_400], "{kind}");
    }
    // Its decision changes nothing about that.
    world.clock.advance_seconds(1_000);
    world.status(public.id()).await;
    for kind in ["submission#", "identity#"] {
        assert_eq!(world.forgotten(kind).await, [closes + 10 * 86_400], "{kind}");
    }
}

#[tokio::test]
async fn what_is_not_a_submission_is_refused_before_anything_is_spent() {
    let world = World::new().await;
    let good = world.public(0, 0);
    let encoded = good.encode();
    let other_survey = PublicPart { survey: SurveyId([1; 32]), ..good.clone() }.encode();
    // The share hashes end the encoding, after their length: one byte fewer of them, with a length that says so.
    let mut short_hashes = encoded[..encoded.len() - 1].to_vec();
    let length = encoded.len() - ShareHashes::BYTES - 4;
    short_hashes[length..length + 4].copy_from_slice(&(ShareHashes::BYTES as u32 - 1).to_le_bytes());
    let no_body = Vec::new();
    let bodies = [
        &no_body,
        &encoded[..encoded.len() - 1].to_vec(),
        &[&encoded[..], b"x"].concat(),
        &other_survey,
        &short_hashes,
    ];
    for body in bodies {
        let reply = post(world.submissions(), body.clone()).send(&world.router).await;
        reply.problem(ProblemKind::Malformed);
        assert!(reply.header("ratelimit").is_none(), "refused before the rates");
    }
    let reply =
        post(world.submissions(), encoded.clone()).header("content-type", "text/plain").send(&world.router);
    reply.await.problem(ProblemKind::Malformed);
    let large = vec![0; coordinator_lambda::admission::MAX_SUBMISSION + 1];
    post(world.submissions(), large).send(&world.router).await.problem(ProblemKind::TooLarge);
    let unknown = format!("/v1/surveys/{}/submissions", SurveyId([1; 32]));
    post(unknown, encoded.clone()).send(&world.router).await.problem(ProblemKind::NotFound);
    post("/v1/surveys/xyz/submissions", encoded).send(&world.router).await.problem(ProblemKind::Malformed);
    assert_eq!(world.unfinished().await, 0);
}

#[tokio::test]
async fn presentations_that_do_not_verify_are_refused_with_the_verifiers_code() {
    let world = World::new().await;
    let mut codes = BTreeSet::new();
    let length = world.public(0, 0).evidence.len();
    for at in (0..length).step_by(length / 12) {
        let mut public = world.public(0, 0);
        public.evidence[at] ^= 0x10;
        let reply = post(world.submissions(), public.encode()).send(&world.router).await;
        assert_eq!(reply.status, 422, "byte {at}");
        codes.insert(reply.problem(ProblemKind::PresentationInvalid).rule.unwrap());
    }
    assert!(codes.len() > 1, "{codes:?}");
    assert_eq!(world.unfinished().await, 0);
    world.admitted(0, 0).await;
}

#[tokio::test]
async fn presentations_about_something_else_are_refused_with_the_rule() {
    let options = Options { survey: |s| s.source.path = "/api/v3/other".into(), ..Options::default() };
    let world = World::with(options).await;
    let problem = world.submit(0, 0).await.problem(ProblemKind::PolicyViolated);
    assert_eq!(problem.rule.as_deref(), Some("request-target"));
}

#[tokio::test]
async fn an_identity_has_one_submission_under_way() {
    let world = World::new().await;
    let first = world.admitted(0, 1).await;
    let problem = world.submit(0, 2).await.problem(ProblemKind::IdentityPending);
    assert_eq!(problem.retry_after, Some(300));
    world.clock.advance_seconds(100);
    let problem = world.submit(0, 2).await.problem(ProblemKind::IdentityPending);
    assert_eq!(problem.retry_after, Some(200));
    // Nobody asked for the first one's status: the second's admission finds out by itself.
    world.all_accept(0, first);
    world.submit(0, 2).await.problem(ProblemKind::IdentityUsed);
    assert!(matches!(world.status(first).await.state, SubmissionState::Accepted { .. }));
    world.submit(0, 2).await.problem(ProblemKind::IdentityUsed);
    assert_eq!(world.unfinished().await, 0);
    // Another identity is not concerned.
    world.admitted(1, 1).await;
}

#[tokio::test]
async fn an_identity_is_free_again_when_its_submission_is_refused_or_incomplete() {
    let world = World::new().await;
    let first = world.admitted(0, 1).await;
    world.rejects(2, first, Problem::new(ProblemKind::ShareInvalid, "does not open"));
    let second = world.admitted(0, 2).await;
    assert!(matches!(world.status(first).await.state, SubmissionState::Rejected { .. }));
    // The second one's provider vanishes.
    world.clock.advance_seconds(306);
    world.admitted(0, 3).await;
    assert!(matches!(world.status(second).await.state, SubmissionState::Rejected { .. }));
    assert_eq!(world.unfinished().await, 1);
}

#[tokio::test]
async fn sending_the_same_submission_again_is_safe() {
    let world = World::new().await;
    let first: Admission = world.submit(0, 1).await.json();
    let id = first.submission;
    world.clock.advance_seconds(100);
    let again = world.submit(0, 1).await;
    assert_eq!(again.status, 201);
    assert_eq!(again.json::<Admission>(), first, "the same ticket in the first half of its life");
    world.clock.advance_seconds(100);
    let later: Admission = world.submit(0, 1).await.json();
    assert_eq!(later.ticket.expires, START + 200 + 300);
    assert_eq!(world.unfinished().await, 1);
    // The first ticket's end is not the submission's.
    world.clock.advance_seconds(150);
    assert_eq!(world.status(id).await.state, SubmissionState::Pending);

    world.all_accept(0, id);
    world.status(id).await;
    let done = world.submit(0, 1).await;
    assert_eq!(done.status, 200);
    let SubmissionState::Accepted { receipts } = done.json::<SubmissionStatus>().state else { panic!() };
    assert_eq!(receipts.len(), 3);
}

#[tokio::test]
async fn a_refused_submission_stays_refused_and_an_incomplete_one_may_be_sent_again() {
    let world = World::new().await;
    let refused = world.admitted(0, 1).await;
    world.rejects(1, refused, Problem::new(ProblemKind::ProofInvalid, "no").party(0));
    world.status(refused).await;
    let problem = world.submit(0, 1).await.problem(ProblemKind::ProofInvalid);
    assert_eq!(problem.party, Some(0), "who found it is kept");

    let incomplete = world.admitted(1, 1).await;
    world.clock.advance_seconds(400);
    let SubmissionState::Rejected { problem } = world.status(incomplete).await.state else { panic!() };
    assert_eq!(problem.known(), Some(ProblemKind::Incomplete));
    assert_eq!(world.admitted(1, 1).await, incomplete);
    assert_eq!(world.status(incomplete).await.state, SubmissionState::Pending);
    assert_eq!(world.unfinished().await, 1);
    world.all_accept(1, incomplete);
    assert!(matches!(world.status(incomplete).await.state, SubmissionState::Accepted { .. }));
    assert_eq!(world.unfinished().await, 0);
}

#[tokio::test]
async fn sixteen_at_once_of_one_identity_admit_exactly_one() {
    let world = World::new().await;
    let routers: Vec<_> = (0..4).map(|_| api::router(world.another())).collect();
    let calls = (0..16_u8).map(|variant| {
        let body = world.public(0, variant).encode();
        let router = routers[usize::from(variant) % 4].clone();
        let path = world.submissions();
        tokio::spawn(async move { post(path, body).send(&router).await })
    });
    let mut admitted = 0;
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        match reply.status {
            201 => admitted += 1,
            _ => drop(reply.problem(ProblemKind::IdentityPending)),
        }
    }
    assert_eq!(admitted, 1);
    assert_eq!(world.unfinished().await, 1);
}

#[tokio::test]
async fn sixteen_at_once_of_one_submission_are_one_admission() {
    let world = World::new().await;
    let calls = (0..16).map(|_| {
        let (router, path, body) = (world.router.clone(), world.submissions(), world.public(0, 0).encode());
        tokio::spawn(async move { post(path, body).send(&router).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        assert_eq!(reply.status, 201);
        assert_eq!(reply.json::<Admission>().ticket.expires, START + 300);
    }
    assert_eq!(world.unfinished().await, 1);
}

#[tokio::test]
async fn a_full_survey_tells_the_place_in_line_until_one_ends() {
    let limits = Limits { max_unfinished: 2, unfinished_shards: 1, ..Options::default().limits };
    let world = World::with(Options { limits, ..Options::default() }).await;
    let first = world.admitted(0, 0).await;
    world.admitted(1, 0).await;
    let full = async |provider, variant| {
        let problem = world.submit(provider, variant).await.problem(ProblemKind::RateLimited);
        assert_eq!((problem.status, problem.rule.as_deref()), (429, Some("unfinished")));
        (problem.position.unwrap(), problem.retry_after.unwrap())
    };
    for place in 1..=3 {
        world.clock.advance_seconds(1);
        assert_eq!(full(place + 1, 0).await, (place as u16, 2));
    }
    // Who asks again keeps its place, who stops asking loses it.
    world.clock.advance_seconds(50);
    assert_eq!(full(3, 0).await.0, 2);
    world.clock.advance_seconds(20);
    assert_eq!(full(4, 0).await.0, 2, "the first of the line has gone, this one and provider 3 have not");
    // A refused admission left nothing behind, not even a claim on the identity.
    full(2, 1).await;
    world.all_accept(0, first);
    world.status(first).await;
    world.admitted(2, 0).await;
}

#[tokio::test]
async fn at_once_no_more_are_admitted_than_may_be_under_way() {
    let limits = Limits { max_unfinished: 5, unfinished_shards: 1, ..Options::default().limits };
    let world = World::with(Options { limits, ..Options::default() }).await;
    let routers: Vec<_> = (0..3).map(|_| api::router(world.another())).collect();
    let calls = (0..12).map(|provider| {
        let call = post(world.submissions(), world.public(provider, 0).encode());
        let router = routers[provider % 3].clone();
        tokio::spawn(async move { call.send(&router).await })
    });
    let mut admitted = 0;
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        match reply.status {
            201 => admitted += 1,
            _ => assert!(reply.problem(ProblemKind::RateLimited).position.is_some()),
        }
    }
    assert_eq!((admitted, world.unfinished().await), (5, 5));
}

#[tokio::test]
async fn with_replacement_an_accepted_identity_may_come_again() {
    let options = Options { survey: |s| s.survey.resubmission = Resubmission::Replace, ..Options::default() };
    let world = World::with(options).await;
    let first = world.admitted(0, 1).await;
    world.all_accept(0, first);
    let second = world.admitted(0, 2).await;
    world.submit(0, 3).await.problem(ProblemKind::IdentityPending);
    // The second fails: the first one stands, and a third may come.
    world.rejects(0, second, Problem::new(ProblemKind::ProofInvalid, "no"));
    world.status(second).await;
    let third = world.admitted(0, 3).await;
    world.all_accept(0, third);
    for id in [first, third] {
        assert!(matches!(world.status(id).await.state, SubmissionState::Accepted { .. }));
    }
    assert_eq!(world.unfinished().await, 0);
}
