//! `tercet operator store` against a service whose secrets' own policy denies reading to everybody but the program, as on AWS.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tercet_client::operator;
use tercet_protocol::ids::EngineDigest;

/// The version that each secret holds, and what was asked, in order.
#[derive(Default)]
struct Secrets {
    versions: BTreeMap<String, String>,
    asked: Vec<String>,
}

async fn answer(State(secrets): State<Arc<Mutex<Secrets>>>, headers: HeaderMap, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    let mut secrets = secrets.lock().unwrap();
    let operation = headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap().to_owned();
    let id = request["SecretId"].as_str().unwrap().to_owned();
    secrets.asked.push(operation.clone());
    match operation.as_str() {
        "DescribeSecret" => {
            let stages = secrets.versions.get(&id).map(|version| json!({version: ["AWSCURRENT"]}));
            json!({"ARN": id, "VersionIdsToStages": stages}).to_string().into_response()
        }
        "PutSecretValue" => {
            assert_eq!(request["SecretString"].as_str().unwrap().len(), 64);
            let version = request["ClientRequestToken"].as_str().unwrap().to_owned();
            secrets.versions.insert(id, version.clone());
            json!({"VersionId": version}).to_string().into_response()
        }
        // An explicit deny wins over whatever else the caller may do.
        _ => (
            StatusCode::BAD_REQUEST,
            json!({"__type": "AccessDeniedException", "Message": "with an explicit deny in a resource-based policy"})
                .to_string(),
        )
            .into_response(),
    }
}

fn store(endpoint: &str, keys: &Path, arns: &Path, more: &[&str]) -> Output {
    let mut tercet = Command::new(env!("CARGO_BIN_EXE_tercet"));
    tercet
        .args(["operator", "store", "--region", "eu-central-1", "--dir"])
        .arg(keys)
        .arg("--secrets")
        .arg(arns);
    tercet
        .args(more)
        .env("AWS_ENDPOINT_URL", endpoint)
        .envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")])
        .env("AWS_EC2_METADATA_DISABLED", "true");
    tercet.output().unwrap()
}

fn keys(folder: &Path) {
    let settings = operator::Settings {
        operator: "operator".into(),
        account: "111111111111".into(),
        url: "https://p.example.org".into(),
        peer_address: "p.example.org:7443".into(),
        engine: EngineDigest([7; 32]),
    };
    operator::init(folder, &settings).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_stored_without_reading_a_secret() {
    let secrets = Arc::new(Mutex::new(Secrets::default()));
    let router = Router::new().route("/", post(answer)).with_state(secrets.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    keys(&first);
    keys(&second);
    let arns = dir.path().join("secrets.json");
    let named =
        json!({"identity": "arn:i", "sealing": "arn:s", "peer": "arn:p", "sealing_previous": "arn:o"});
    std::fs::write(&arns, named.to_string()).unwrap();
    let run = async |keys: &Path, more: &'static [&'static str]| {
        let (endpoint, keys, arns) = (endpoint.clone(), keys.to_owned(), arns.clone());
        tokio::task::spawn_blocking(move || store(&endpoint, &keys, &arns, more)).await.unwrap()
    };
    let said =
        |out: &Output| String::from_utf8_lossy(&[&out.stdout[..], &out.stderr[..]].concat()).into_owned();

    let empty = run(&first, &[]).await;
    assert!(empty.status.success(), "{}", said(&empty));
    let again = run(&first, &[]).await;
    assert!(again.status.success() && said(&again).contains("was there already"), "{}", said(&again));
    let had = secrets.lock().unwrap().versions.clone();
    assert_eq!(had.len(), 3);
    let other = run(&second, &[]).await;
    assert!(!other.status.success() && said(&other).contains("--replace"), "{}", said(&other));
    assert_eq!(secrets.lock().unwrap().versions, had, "another key is left alone");
    let replaced = run(&second, &["--replace"]).await;
    assert!(replaced.status.success(), "{}", said(&replaced));
    assert_ne!(secrets.lock().unwrap().versions, had);
    let secrets = secrets.lock().unwrap();
    assert!(
        secrets.asked.iter().all(|o| o == "DescribeSecret" || o == "PutSecretValue"),
        "{:?}",
        secrets.asked
    );
}
