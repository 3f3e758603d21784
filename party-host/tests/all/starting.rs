//! A party that is starting: it answers at once, and names the present step.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Method, Request};
use party_host::api::{App, Bodies, Host, router};
use party_host::store::Progress;
use tercet_protocol::ids::{QueryId, SubmissionId, SurveyId};
use tower::ServiceExt as _;

use crate::parties::world::{World, cohort, manifest};

/// Asks; gives the status, the value of `Retry-After`, and the body.
async fn ask(host: &Arc<Host>, method: Method, path: &str) -> (u16, Option<String>, String) {
    let app = App { host: host.clone(), bodies: Bodies::default() };
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let answer = router(app).oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let retry = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
    let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
    (status, retry, String::from_utf8(body.to_vec()).unwrap())
}

/// Every route but that of liveness.
fn routes() -> Vec<(Method, String)> {
    let (survey, submission, query) = (SurveyId([9; 32]), SubmissionId([9; 32]), QueryId([9; 16]));
    vec![
        (Method::GET, "/readyz".into()),
        (Method::GET, "/v1/operator".into()),
        (Method::PUT, format!("/v1/submissions/{submission}/share")),
        (Method::GET, format!("/v1/submissions/{submission}")),
        (Method::POST, format!("/v1/submissions/{submission}/withdraw")),
        (Method::GET, format!("/v1/surveys/{survey}")),
        (Method::POST, format!("/v1/surveys/{survey}/releases")),
        (Method::GET, format!("/v1/surveys/{survey}/releases/1/statistics")),
        (Method::GET, format!("/v1/queries/{query}")),
        (Method::PUT, format!("/v1/queries/{query}")),
    ]
}

#[tokio::test]
async fn before_there_is_a_party_it_is_alive_and_not_ready() {
    let host = Arc::new(Host::default());
    host.does("waiting for the lease on the bucket");
    assert_eq!(ask(&host, Method::GET, "/healthz").await.0, 200);
    for (method, path) in routes() {
        let (status, retry, body) = ask(&host, method.clone(), &path).await;
        assert_eq!((status, retry.as_deref()), (503, Some("5")), "{method} {path}: {body}");
        assert!(body.contains("waiting for the lease on the bucket"), "{method} {path}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_that_is_being_loaded_keeps_no_other_one_back() {
    let world = World::start(manifest(), Duration::from_secs(20)).await;
    let prepared = world.prepare(&cohort()[0]);
    world.accept(&prepared).await;
    let host = Arc::new(Host::from(world.party(0).clone()));
    let get = async |path: String| ask(&host, Method::GET, &path).await;
    let (runs, loads, strange) = (world.survey_id(), SurveyId([9; 32]), SurveyId([8; 32]));
    assert_eq!(get("/readyz".into()).await.0, 200);

    world.party(0).loads(loads, Arc::new(Progress::default()), true);
    let (status, retry, body) = get(format!("/v1/surveys/{loads}")).await;
    assert_eq!((status, retry.is_some()), (503, true), "{body}");
    assert!(body.contains(&loads.to_string()), "{body}");
    let (status, _, body) = get("/readyz".into()).await;
    assert!(status == 503 && body.contains(&loads.to_string()), "{status} {body}");
    assert_eq!(get("/healthz".into()).await.0, 200);
    assert_eq!(get("/v1/operator".into()).await.0, 200);
    assert_eq!(get(format!("/v1/surveys/{runs}")).await.0, 200);
    assert_eq!(get(format!("/v1/surveys/{strange}")).await.0, 404);
    // A submission may be one of that survey: only when it is loaded is it known that it is not here.
    let unknown = format!("/v1/submissions/{}", SubmissionId([9; 32]));
    assert_eq!(get(unknown.clone()).await.0, 503);
    assert_eq!(get(format!("/v1/submissions/{}", prepared.id())).await.0, 200);
    world.accept(&world.prepare(&cohort()[1])).await;

    // One that is approved while the party runs is no reason to take it out of service.
    world.party(0).loads(loads, Arc::new(Progress::default()), false);
    assert_eq!(get("/readyz".into()).await.0, 200);
    assert_eq!(get(format!("/v1/surveys/{loads}")).await.0, 503);
    assert_eq!(get(unknown.clone()).await.0, 503);

    world.party(0).gives_up(&loads);
    assert_eq!(get(unknown).await.0, 404);
    assert_eq!(get("/readyz".into()).await.0, 200);
    assert_eq!(get(format!("/v1/surveys/{loads}")).await.0, 404);
}

/// A party that starts is no party that cheats: the others' sessions end for the reason that it says.
#[tokio::test(flavor = "multi_thread")]
async fn peers_of_a_starting_party_hear_that_it_is_starting() {
    let world = World::start(manifest(), Duration::from_secs(5)).await;
    world.accept(&world.prepare(&cohort()[0])).await;
    world.party(1).loads(world.survey_id(), Arc::new(Progress::default()), true);
    let prepared = world.prepare(&cohort()[1]);
    let body = world.upload_body(&prepared, 0);
    let leader = world.party(0).clone();
    let waiting =
        tokio::spawn(async move { leader.upload(prepared.id(), body, Duration::from_secs(60)).await });
    let survey = world.party(0).survey(world.survey_id()).unwrap();
    let mut failures = survey.failures.subscribe();
    let told = failures.wait_for(|f| f.last.contains("reads the survey's log"));
    let told = tokio::time::timeout(Duration::from_secs(30), told).await.is_ok();
    assert!(told, "the leader heard something else: {:?}", survey.failures.borrow().last);
    waiting.abort();
}
