//! The routes that only read, and the frame around all routes.

use coordinator_lambda::surveys::{Deployment, DeploymentError, Documents};
use http::Method;
use tercet_protocol::api::{FederationInfo, ProblemKind, SurveySummary};
use tercet_protocol::ids::{SurveyId, sha256};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::operator::Federation;

use crate::support::reply::{Call, get};
use crate::support::{SEED, World};

#[tokio::test]
async fn the_deployment_can_be_read() {
    let world = World::new().await;
    let info: FederationInfo = get("/v1/federation").send(&world.router).await.json();
    assert_eq!(info.coordinator_key, SigningKey::from_seed(&SEED).unwrap().public());
    assert_eq!(info.operators.len(), 3);
    assert!(info.operators.iter().all(|o| o.verify().is_ok()));

    let surveys: Vec<SurveySummary> = get("/v1/surveys").send(&world.router).await.json();
    assert_eq!(surveys.len(), 1);
    assert_eq!((surveys[0].id, surveys[0].name.as_str()), (world.survey_id(), "exchange-eth-balance"));

    let path = format!("/v1/surveys/{}", world.survey_id());
    let reply = get(&path).send(&world.router).await;
    assert_eq!(reply.body, world.survey.bytes());
    assert_eq!(SurveyId(sha256(&[&reply.body])), world.survey_id());
    assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let etag = reply.header("etag").unwrap();
    assert_eq!(get(&path).header("if-none-match", etag).send(&world.router).await.status, 304);
    let unknown = format!("/v1/surveys/{}", SurveyId([1; 32]));
    get(unknown).send(&world.router).await.problem(ProblemKind::NotFound);
    get(format!("/v1/surveys/{}", "A".repeat(64))).send(&world.router).await.problem(ProblemKind::Malformed);
    get("/v1/surveys/%ff/statistics").send(&world.router).await.problem(ProblemKind::Malformed);
}

/// While the coordinator's key is being changed the federation names two, and it runs with either.
#[tokio::test]
async fn the_federation_names_this_coordinator() {
    let world = World::new().await;
    let file = world.folder.path().join("federation.json");
    let surveys = world.folder.path().join("surveys");
    let load = |seed: u8| {
        let key = SigningKey::from_seed(&[seed; 32]).unwrap().public();
        Deployment::of(&Documents::from_files(&file, &surveys).unwrap(), key, None)
    };
    assert!(matches!(load(98), Err(DeploymentError::OtherCoordinator { what: "key", .. })));
    let mut federation: Federation = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    federation.coordinator.next_key = Some(SigningKey::from_seed(&[98; 32]).unwrap().public());
    std::fs::write(&file, serde_json::to_vec(&federation).unwrap()).unwrap();
    load(98).unwrap();
    assert!(load(97).is_err());
}

#[tokio::test]
async fn health_does_not_need_the_registry_and_readiness_does() {
    let world = World::new().await;
    assert_eq!(get("/healthz").send(&world.router).await.status, 200);
    assert_eq!(get("/readyz").send(&world.router).await.status, 200);
    let World { router, database, .. } = world;
    database.shutdown().await;
    assert_eq!(get("/healthz").send(&router).await.status, 200);
    get("/readyz").send(&router).await.problem(ProblemKind::Busy);
    // A registry that is away is the service's trouble, to be tried again, not the client's fault.
    let id = SurveyId([1; 32]);
    get(format!("/v1/submissions/{id}")).send(&router).await.problem(ProblemKind::Busy);
}

#[tokio::test]
async fn other_addresses_and_methods_are_problems() {
    let world = World::new().await;
    for path in ["/", "/v1", "/v1/surveys/", "/v1/submissions", "/v2/surveys", "/v1/../healthz"] {
        get(path).send(&world.router).await.problem(ProblemKind::NotFound);
    }
    let reply = Call::new(Method::DELETE, "/v1/surveys").send(&world.router).await;
    reply.problem(ProblemKind::MethodNotAllowed);
    assert!(reply.header("allow").is_some_and(|a| a.contains("GET")), "{:?}", reply.headers);
    let reply = get(world.submissions()).send(&world.router).await;
    reply.problem(ProblemKind::MethodNotAllowed);
    assert_eq!(reply.header("allow"), Some("POST"));
}

#[tokio::test]
async fn request_ids_are_kept_or_made() {
    let world = World::new().await;
    let reply = get("/healthz").header("x-request-id", "trace-7_A").send(&world.router).await;
    assert_eq!(reply.header("x-request-id"), Some("trace-7_A"));
    let a = get("/healthz").send(&world.router).await;
    let b = get("/healthz").header("x-request-id", "no spaces, please").send(&world.router).await;
    assert_ne!(a.header("x-request-id"), b.header("x-request-id"));
}
