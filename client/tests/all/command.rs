//! The command itself: golden files of help and offline output, and runs against stub servers whose whole output
//! is searched for secrets.

use std::fs;
use std::process::{Output, Stdio};

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
    command.args(args).env_remove("TERCET_COORDINATOR").env_remove("TERCET_SURVEY");
    // Nothing is remembered, and nobody is there to be asked.
    command.env("TERCET_CONFIG_DIR", "/nonexistent").stdin(Stdio::null()).kill_on_drop(true);
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

    let survey = stub.survey_id().to_string();
    let args = [
        "submit",
        "-vv",
        "--coordinator",
        &url,
        "--survey",
        &survey,
        "--presentation",
        &presentation,
        "--secrets",
        &secrets,
    ];
    let submitted = tercet(&[&args[..], &["--yes", "--json", "--receipt", receipt_arg]].concat()).await;
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    let done: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    assert_eq!((&done["state"], &done["receipt_file"]), (&"accepted".into(), &receipt_arg.into()));
    let kept: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
    assert_eq!((&kept["receipts"], &kept["submission"]), (&done["receipts"], &done["submission"]));
    assert!(
        kept["how_to_withdraw"]
            .as_str()
            .unwrap()
            .contains(&format!("tercet withdraw --receipt {receipt_arg}"))
    );
    let withdrawal_key = kept["withdrawal_key"].as_str().unwrap().to_owned();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&receipt).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let id = done["submission"].as_str().unwrap();

    // Nothing secret in any output, the most talkative log included.
    let all = stdout(&submitted) + &stderr(&submitted);
    assert!(all.contains("DEBUG") || all.contains("INFO") || !stderr(&submitted).contains("error"));
    let sent = String::from_utf8(hex::decode(v.text("secret_sent_hex")).unwrap()).unwrap();
    let key = sent.split("X-MBX-APIKEY: ").nth(1).unwrap().trim().to_owned();
    for secret in [v.text("value"), v.text("blinder_hex"), &key, &withdrawal_key] {
        assert!(!secret.is_empty() && !all.contains(secret), "a secret shows: {secret}");
    }

    let status = tercet(&["status", id, "--coordinator", &url]).await;
    assert!(status.status.success());
    assert!(stdout(&status).starts_with("accepted: three receipts verified"), "{}", stdout(&status));

    let at = ["--coordinator", &url, "--survey", &survey];
    let run = async |args: &[&str]| tercet(&[args, &at[..]].concat()).await;
    let query = run(&["query", "--statistic", "mean", "--output", result_arg]).await;
    assert!(query.status.success(), "{}", stderr(&query));
    assert!(stdout(&query).contains("signatures of all three parties verified"), "{}", stdout(&query));
    let verified = tercet(&["verify-result", result_arg, "--survey", &survey]).await;
    assert!(verified.status.success(), "{}", stderr(&verified));
    let other = tercet(&["verify-result", result_arg, "--survey", &"0".repeat(64)]).await;
    assert_eq!(other.status.code(), Some(1));
    // A file that names its own keys proves nothing.
    let unpinned = tercet(&["verify-result", result_arg, "--json"]).await;
    assert_eq!(unpinned.status.code(), Some(1));
    assert!(stderr(&unpinned).contains("error (unpinned)"), "{}", stderr(&unpinned));

    // What --json prints is the same kind of file, and says which release point it is about.
    let printed = run(&["query", "--json"]).await;
    let file: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(file["result"]["release"]["number"], 1);
    assert_eq!(file["result"]["statistics"].as_array().unwrap().len(), 5);
    fs::write(&result, &printed.stdout).unwrap();
    let verified = tercet(&["verify-result", result_arg, "--survey", &survey, "--json"]).await;
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified["verdict"], "verified");
    // So are the coordinator's own answers, with the survey's descriptor.
    let descriptor = dir.path().join("survey.json");
    let descriptor_arg = descriptor.to_str().unwrap();
    fs::write(&descriptor, stub.with(|w| w.survey.bytes().to_vec())).unwrap();
    fs::write(&result, serde_json::to_vec(&stub.with(|w| w.listed())).unwrap()).unwrap();
    let verified = tercet(&["verify-result", result_arg, "--descriptor", descriptor_arg]).await;
    assert!(verified.status.success(), "{}", stderr(&verified));

    let released = run(&["release", "--wait", "--json"]).await;
    let released: Value = serde_json::from_slice(&released.stdout).unwrap();
    assert_eq!((&released["release"], &released["made"]), (&1.into(), &true.into()));
    for release in [&[][..], &["--release", "1"]] {
        let published = run(&[&["published"], release].concat()).await;
        assert!(published.status.success() && stdout(&published).contains("release point 1"), "{release:?}");
    }
    let missing = run(&["published", "--release", "2"]).await;
    assert_eq!(missing.status.code(), Some(1));

    // Leaving needs the receipt and a yes.
    let unasked = tercet(&["withdraw", "--receipt", receipt_arg]).await;
    assert_eq!(unasked.status.code(), Some(2));
    assert!(stub.with(|w| w.withdrawn.is_empty()));
    let left = tercet(&["withdraw", "--receipt", receipt_arg, "--yes"]).await;
    assert!(left.status.success(), "{}", stderr(&left));
    assert!(stdout(&left).contains("counted from release point 1"), "{}", stdout(&left));
    assert!(!(stdout(&left) + &stderr(&left)).contains(&withdrawal_key));
    assert_eq!(stub.with(|w| w.withdrawn.len()), 1);
}

/// Everything that can be wrong on this machine is found before anything is sent, and no file is lost.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_unasked_and_no_file_is_replaced() {
    let stub = Stub::honest().await;
    let (url, survey) = (stub.url(), stub.survey_id().to_string());
    let v = Vector::load(&vectors().join("cohort/provider04"));
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (presentation, secrets) = (file("p.bin"), file("s.bin"));
    fs::write(&presentation, v.presentation()).unwrap();
    fs::write(&secrets, v.secrets()).unwrap();
    let base = ["submit", "--coordinator", &url, "--presentation", &presentation, "--secrets", &secrets];
    let submit = async |more: &[&str]| tercet(&[&base[..], more].concat()).await;
    let sent = || stub.count(axum::http::Method::POST, "", "");

    // No coordinator chooses the survey.
    let unnamed = submit(&["--yes"]).await;
    assert_eq!((unnamed.status.code(), sent()), (Some(2), 0));
    assert!(
        stderr(&unnamed).contains(&survey) && stderr(&unnamed).contains("--survey"),
        "{}",
        stderr(&unnamed)
    );
    for command in ["query", "published", "release"] {
        assert_eq!(tercet(&[command, "--coordinator", &url]).await.status.code(), Some(2), "{command}");
    }
    // Nobody is there to say yes.
    let unasked = submit(&["--survey", &survey]).await;
    assert_eq!((unasked.status.code(), sent()), (Some(2), 0));
    // A dry run says what the survey publishes, and sends nothing.
    let dry = submit(&["--survey", &survey, "--dry-run"]).await;
    assert!(dry.status.success() && sent() == 0, "{}", stderr(&dry));
    for words in [
        "the average",
        "at least 5 people",
        "operator 1",
        "tercet withdraw",
        "none is published",
        "Nothing was sent",
    ] {
        assert!(stderr(&dry).contains(words), "{words:?} is not in\n{}", stderr(&dry));
    }
    // Where the receipt goes is checked first: the secrets, a folder that is not there, what is no file.
    let nowhere = file("none/r.json");
    for (receipt, code) in [(secrets.as_str(), 2), (&nowhere, 2), ("/dev/null", 2)] {
        let refused = submit(&["--survey", &survey, "--yes", "--receipt", receipt]).await;
        assert_eq!((refused.status.code(), sent()), (Some(code), 0), "{receipt}: {}", stderr(&refused));
    }
    assert_eq!(fs::read(&secrets).unwrap(), v.secrets());
    // Results do not replace files either.
    let args = ["query", "--coordinator", &url, "--survey", &survey, "--output", &secrets];
    assert_eq!((tercet(&args).await.status.code(), sent()), (Some(2), 0));
    let forced = tercet(&[&args[..], &["--force"]].concat()).await;
    assert!(forced.status.success(), "{}", stderr(&forced));
    assert_ne!(fs::read(&secrets).unwrap(), v.secrets());
    fs::write(&secrets, v.secrets()).unwrap();

    // Without --receipt it is kept in the current folder. The same files again are the same submission.
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tercet"));
        command.args(base).args(["--survey", &survey, "--yes", "--json"]).current_dir(dir.path());
        let output = command.env("TERCET_CONFIG_DIR", "/nonexistent").output().await.unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let done: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(dir.path().join(done["receipt_file"].as_str().unwrap()).is_file());
    }
}

/// The receipt's place was there when it was looked at, and is gone when three parties have accepted.
#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_submission_never_ends_as_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("receipts");
    fs::create_dir(&folder).unwrap();
    let gone = folder.clone();
    let stub = Stub::start(move |call, _| {
        if call.is(axum::http::Method::PUT, "/p", "/share") {
            let _ = fs::remove_dir_all(&gone);
        }
        None
    })
    .await;
    let (url, survey) = (stub.url(), stub.survey_id().to_string());
    let v = Vector::load(&vectors().join("cohort/provider05"));
    let receipt = folder.join("r.json");
    let output = tercet(&[
        "submit",
        "--coordinator",
        &url,
        "--survey",
        &survey,
        "--presentation",
        &path(&v, "presentation.bin"),
        "--secrets",
        &path(&v, "secrets.bin"),
        "--yes",
        "--receipt",
        receipt.to_str().unwrap(),
    ])
    .await;
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("error (accepted-but)") && said.contains("IS accepted"), "{said}");
}

/// A full disk is no success.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn output_that_does_not_arrive_is_no_success() {
    let stub = Stub::honest().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tercet"));
    let survey = stub.survey_id().to_string();
    command.args(["published", "--format", "csv", "--coordinator", &stub.url(), "--survey", &survey]);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
    // Not output(), which would put a pipe in the file's place.
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("incomplete"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_root_certificates_will_do() {
    let stub = Stub::honest().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tercet"));
    let survey = stub.survey_id().to_string();
    command.args(["published", "--coordinator", &stub.url(), "--survey", &survey]);
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
    let survey = stub.survey_id().to_string();
    let query = tercet(&["query", "--coordinator", &url, "--survey", &survey, "--json"]).await;
    assert_eq!(query.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&query.stdout).unwrap();
    assert_eq!(error["error"]["code"], "too-few-new");
    assert_eq!(error["error"]["problem"]["type"], "urn:tercet:problem:too-few-new");
    assert!(stderr(&query).contains("hint: tercet published"), "{}", stderr(&query));
    assert!(!stderr(&query).contains('\u{1b}'), "a server's text must not steer the terminal");

    let v = Vector::load(&vectors().join("cohort/provider03"));
    let (presentation, secrets) = (path(&v, "presentation.bin"), path(&v, "secrets.bin"));
    let dir = tempfile::tempdir().unwrap();
    let receipt = dir.path().join("r.json");
    let receipt = receipt.to_str().unwrap();
    let args = ["submit", "--coordinator", &url, "--survey", &survey, "--yes", "--receipt", receipt];
    let files = ["--presentation", &presentation, "--secrets", &secrets];
    let again = tercet(&[&args[..], &files].concat()).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("error (identity-used)"), "{}", stderr(&again));
    let unknown = tercet(&["status", &"0".repeat(64), "--coordinator", "http://127.0.0.1:9"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("unreachable"), "{}", stderr(&unknown));
    let plain = ["published", "--survey", &survey, "--coordinator", "http://tercet.example.org"];
    let plain = tercet(&plain).await;
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
