//! The program itself: as a local server, as a Lambda function, and when something is wrong.

use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::lambda::event;
use crate::support::World;

fn coordinator(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coordinator"));
    command
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "not-so-secret")
        .env("TERCET_COORDINATOR_CONFIG", world.folder.path().join("coordinator.toml"))
        .env("TERCET_DYNAMODB_ENDPOINT", world.database.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn no_secrets(output: &Output) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    for secret in ["not-so-secret", &"42".repeat(32), &"B".repeat(32)] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn it_serves_locally_until_it_is_told_to_stop() {
    let world = World::new().await;
    let mut child = coordinator(&world).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line.strip_prefix("listening http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /v1/surveys HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains(&world.survey_id().to_string()), "{reply}");
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    no_secrets(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("/v1/surveys"), "the request is logged");
}

#[tokio::test]
async fn scheduled_functions_run_once_and_say_what_they_did() {
    let world = World::new().await;
    world.admitted(0, 0).await;
    let output = coordinator(&world).env("TERCET_FUNCTION", "reap").output().await.unwrap();
    assert!(output.status.success());
    let did: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(did["seen"], 1);
    world.parties[1].publish(&world.statistics_of(2));
    let output = coordinator(&world).args(["--function", "refresh"]).output().await.unwrap();
    let did: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(did[world.survey_id().to_string()]["published"]["release"], 2);
    no_secrets(&output);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let world = World::new().await;
    let cases: [(&str, &str, &str); 4] = [
        ("TERCET_COORDINATOR_CONFIG", "/nowhere.toml", "/nowhere.toml"),
        ("TERCET_SIGNING_KEY_FILE", "/nowhere", "/nowhere"),
        ("TERCET_PUBLIC_URL", "http://127.0.0.1:2", "address"),
        ("TERCET_LIMITS__ADDRESS__BURST", "0", "limits.address.burst"),
    ];
    for (name, value, want) in cases {
        let output = coordinator(&world).env(name, value).output().await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(want), "{name}: {text}");
        no_secrets(&output);
    }
    let output = coordinator(&world).arg("--nonsense").output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Speaks the Lambda Runtime API's side of the service: one invocation, then silence.
#[tokio::test]
async fn it_runs_as_a_lambda_function() {
    let world = World::new().await;
    let (answers, mut answered) = mpsc::unbounded_channel::<Bytes>();
    let next = Arc::new(Mutex::new(vec![event("GET", "/prod/v1/surveys", "prod", "192.0.2.1")]));
    let take = |State(next): State<Arc<Mutex<Vec<Value>>>>| async move {
        let event = next.lock().unwrap().pop();
        match event {
            None => std::future::pending::<Response>().await,
            Some(event) => {
                let headers = [
                    ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
                    ("lambda-runtime-deadline-ms", "4102444800000"),
                    ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:1:function:api"),
                    ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0"),
                ];
                (headers, event.to_string()).into_response()
            }
        }
    };
    let answer = move |body: Bytes| async move {
        answers.send(body).unwrap();
        http::StatusCode::ACCEPTED
    };
    let runtime = axum::Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(take))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
        .with_state(next);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, runtime).await });

    let mut child = coordinator(&world)
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "api")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "s")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "g")
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let answer: Value = serde_json::from_slice(&answered.recv().await.unwrap()).unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert!(answer["body"].as_str().unwrap().contains(&world.survey_id().to_string()), "{answer}");
    // Its log is JSON, one object a line, with the request's id.
    loop {
        let line: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        if line["message"] == "request" {
            assert_eq!((&line["status"], &line["route"]), (&200.into(), &"/v1/surveys".into()), "{line}");
            assert_eq!(line["span"]["id"].as_str().map(str::len), Some(16), "{line}");
            break;
        }
    }
    child.kill().await.unwrap();
}
