//! The command itself: golden files of help and offline output, and runs against stub servers whose whole output
//! is searched for secrets.

use std::fs;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::fixtures::{Vector, vectors};
use crate::notarizing::{Site, site};
use crate::stub::{Stub, problem};
use tercet_protocol::api::ProblemKind;

#[test]
fn golden_files() {
    // Widths of the developer's terminal must not matter.
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.trycmd");
}

async fn tercet(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tercet"));
    command.args(args).env_remove("TERCET_COORDINATOR").kill_on_drop(true);
    command.output().await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn path(v: &Vector, name: &str) -> String {
    v.folder.join(name).to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn submit_status_query_verify() {
    let stub = Stub::honest().await;
    let url = stub.url();
    let v = Vector::load(&vectors().join("cohort/provider03"));
    let (presentation, secrets) = (path(&v, "presentation.bin"), path(&v, "secrets.bin"));
    let dir = tempfile::tempdir().unwrap();
    let receipt = dir.path().join("receipt.json");
    let result = dir.path().join("result.json");
    let (receipt_arg, result_arg) = (receipt.to_str().unwrap(), result.to_str().unwrap());

    let args =
        ["submit", "-vv", "--coordinator", &url, "--presentation", &presentation, "--secrets", &secrets];
    let submitted = tercet(&[&args[..], &["--json", "--receipt", receipt_arg]].concat()).await;
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    let done: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    assert_eq!(done["state"], "accepted");
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(&receipt).unwrap()).unwrap(), done);
    let id = done["submission"].as_str().unwrap();

    // Nothing secret in any output, the most talkative log included.
    let all = stdout(&submitted) + &stderr(&submitted);
    assert!(all.contains("DEBUG") || all.contains("INFO") || !stderr(&submitted).contains("error"));
    let sent = String::from_utf8(hex::decode(v.text("secret_sent_hex")).unwrap()).unwrap();
    let key = sent.split("X-MBX-APIKEY: ").nth(1).unwrap().trim().to_owned();
    for secret in [v.text("value"), v.text("blinder_hex"), &key] {
        assert!(!secret.is_empty() && !all.contains(secret), "a secret shows: {secret}");
    }

    let status = tercet(&["status", id, "--coordinator", &url]).await;
    assert!(status.status.success());
    assert!(stdout(&status).starts_with("accepted: three receipts verified"), "{}", stdout(&status));

    let query =
        tercet(&["query", "--coordinator", &url, "--statistic", "mean", "--output", result_arg]).await;
    assert!(query.status.success(), "{}", stderr(&query));
    assert!(stdout(&query).contains("signatures of all three parties verified"), "{}", stdout(&query));
    let survey = stub.with(|w| w.survey.id().to_string());
    let verified = tercet(&["verify-result", result_arg, "--survey", &survey]).await;
    assert!(verified.status.success(), "{}", stderr(&verified));
    let other = tercet(&["verify-result", result_arg, "--survey", &"0".repeat(64)]).await;
    assert_eq!(other.status.code(), Some(1));

    // What --json prints is the same kind of file.
    let printed = tercet(&["query", "--coordinator", &url, "--json"]).await;
    fs::write(&result, &printed.stdout).unwrap();
    let verified = tercet(&["verify-result", result_arg, "--json"]).await;
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&verified["verdict"], &verified["survey_pinned"]), (&"verified".into(), &false.into()));

    let published = tercet(&["published", "--coordinator", &url]).await;
    assert!(published.status.success() && stdout(&published).contains("mean"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_root_certificates_will_do() {
    let stub = Stub::honest().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tercet"));
    command.args(["published", "--coordinator", &stub.url()]);
    command.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_named_and_say_what_to_do() {
    let stub = Stub::start(|call, _| match call.path.as_str() {
        p if p.ends_with("/queries") => Some(problem(ProblemKind::TooFewNew, "2 new, 5 needed \u{1b}[31m")),
        p if p.ends_with("/submissions") => Some(problem(ProblemKind::IdentityUsed, "uid has taken part")),
        _ => None,
    })
    .await;
    let url = stub.url();
    let query = tercet(&["query", "--coordinator", &url, "--json"]).await;
    assert_eq!(query.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&query.stdout).unwrap();
    assert_eq!(error["error"]["code"], "too-few-new");
    assert_eq!(error["error"]["problem"]["type"], "urn:tercet:problem:too-few-new");
    assert!(stderr(&query).contains("hint: tercet published"), "{}", stderr(&query));
    assert!(!stderr(&query).contains('\u{1b}'), "a server's text must not steer the terminal");

    let v = Vector::load(&vectors().join("cohort/provider03"));
    let (presentation, secrets) = (path(&v, "presentation.bin"), path(&v, "secrets.bin"));
    let args = ["submit", "--coordinator", &url, "--presentation", &presentation, "--secrets", &secrets];
    let again = tercet(&args).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("error (identity-used)"), "{}", stderr(&again));
    let unknown = tercet(&["status", &"0".repeat(64), "--coordinator", "http://127.0.0.1:9"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("unreachable"), "{}", stderr(&unknown));
    let plain = tercet(&["published", "--coordinator", "http://tercet.example.org"]).await;
    assert_eq!(plain.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn notarize_reads_secrets_from_a_file_and_warns() {
    let site = site().await;
    let key = &site.exchange.accounts[1].api_key;
    let folder = site.dir.path();
    fs::write(folder.join("key.txt"), format!("X-MBX-APIKEY: {key}\n")).unwrap();
    let survey = fs::read_to_string(vectors().join("survey.toml")).unwrap();
    let listed = "035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c";
    let local = hex::encode(tercet_embedded::notary::public_key().unwrap().to_sec1_compressed());
    let survey = survey.replace(listed, &local).replace("root.der", "exchange/root.pem");
    fs::write(folder.join("survey.toml"), survey).unwrap();

    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (notary, address) = (site.notary.url(), site.exchange.server.addr().to_string());
    let (out, survey, header) = (file("out"), file("survey.toml"), file("key.txt"));
    let page = Site::page();
    let args = [
        "notarize",
        &page,
        "-vv",
        "--notary",
        &notary,
        "--out",
        &out,
        "--survey-file",
        &survey,
        "--connect",
        &address,
        "--header-file",
        &header,
        "--json",
    ];
    let done = tercet(&args).await;
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stderr(&done).contains("worthless as proof"));
    assert!(!(stdout(&done) + &stderr(&done)).contains(key.as_str()));
    let made: Value = serde_json::from_slice(&done.stdout).unwrap();
    let root = file("exchange/root.pem");
    let shown =
        tercet(&["inspect", made["presentation"].as_str().unwrap(), "--notary", &local, "--root", &root])
            .await;
    assert!(shown.status.success(), "{}", stderr(&shown));
    assert!(!stdout(&shown).contains(key.as_str()));
}
