//! The router behind API Gateway's events.

use coordinator_lambda::api::lambda::handle;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tercet_protocol::api::{Admission, ProblemKind};

use crate::support::{Options, World};

/// An event of an HTTP API (payload 2.0).
pub fn event(method: &str, path: &str, stage: &str, source: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "isBase64Encoded": false,
        "headers": { "host": "api.example.org", "x-forwarded-for": "6.6.6.6" },
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "api.example.org", "domainPrefix": "api",
            "requestId": "r", "routeKey": "$default", "stage": stage, "time": "", "timeEpoch": 0,
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": source, "userAgent": "t" }
        }
    })
}

async fn send(world: &World, event: &Value) -> (u16, Vec<u8>) {
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let Ok(response) = handle(world.router.clone(), request).await;
    (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn stages_are_not_part_of_the_address() {
    let world = World::new().await;
    for (path, stage) in
        [("/healthz", "$default"), ("/prod/healthz", "prod"), ("/healthz", "prod"), ("/v1/surveys", "v1")]
    {
        assert_eq!(send(&world, &event("GET", path, stage, "192.0.2.1")).await.0, 200, "{path} {stage}");
    }
    let (status, body) = send(&world, &event("GET", "/other", "prod", "192.0.2.1")).await;
    assert_eq!(status, 404);
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["type"], ProblemKind::NotFound.urn());
}

#[tokio::test]
async fn a_rest_apis_event_admits_a_submission() {
    let world = World::new().await;
    let body = base64(&world.public(0, 0).encode());
    let event = json!({
        "resource": "/{proxy+}", "path": world.submissions(), "httpMethod": "POST",
        "headers": { "Content-Type": "application/octet-stream" },
        "multiValueHeaders": { "Content-Type": ["application/octet-stream"] },
        "queryStringParameters": null, "multiValueQueryStringParameters": null, "pathParameters": null,
        "stageVariables": null, "body": body, "isBase64Encoded": true,
        "requestContext": {
            "accountId": "1", "apiId": "a", "stage": "live", "requestId": "r", "resourceId": "x",
            "resourcePath": "/{proxy+}", "httpMethod": "POST", "path": format!("/live{}", world.submissions()),
            "identity": { "sourceIp": "192.0.2.7" }
        }
    });
    let (status, body) = send(&world, &event).await;
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    assert_eq!(serde_json::from_slice::<Admission>(&body).unwrap().submission, world.public(0, 0).id());
}

#[tokio::test]
async fn rates_count_by_the_gateways_address_not_by_a_header() {
    let mut limits = Options::default().limits;
    limits.status = coordinator_lambda::config::Rate { burst: 1, per_second: 0.001 };
    let world = World::with(Options { limits, ..Options::default() }).await;
    let path = format!("/v1/submissions/{}", "0".repeat(64));
    let statuses = async |source: &str| send(&world, &event("GET", &path, "$default", source)).await.0;
    assert_eq!(statuses("192.0.2.1").await, 404);
    assert_eq!(statuses("192.0.2.1").await, 429);
    assert_eq!(statuses("192.0.2.2").await, 404);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn locations_lead_below_the_federations_address() {
    let options = Options { url: "https://a.execute-api.example.org/live/", ..Options::default() };
    let world = World::with(options).await;
    world.publish(1).await;
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    let reply = crate::support::reply::post(path, "{}").send(&world.router).await;
    let location = reply.header("location").unwrap();
    assert!(location.starts_with("/live/v1/queries/"), "{location}");
}
