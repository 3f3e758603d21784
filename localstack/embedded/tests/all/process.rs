//! The binary: arguments, refusals, stopping.

use crate::support::{Process, command};

/// Exit code and standard error.
fn refused(args: &[&str]) -> (Option<i32>, String) {
    let output = command(args, &[]).output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn addresses_beyond_this_machine_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_str().unwrap();
    for args in [
        &["exchange", "--state", state, "--listen", "0.0.0.0:0"][..],
        &["dynamodb", "--db", ":memory:", "--listen", "192.0.2.1:8000"],
        &["dynamodb", "--db", ":memory:", "--listen", "[::]:0"],
    ] {
        let (code, text) = refused(args);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("is not a loopback address"), "{text}");
    }
}

#[test]
fn missing_keys_and_arguments_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = refused(&["s3", "--root", dir.path().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--credentials-file"), "{text}");
    assert_eq!(refused(&["s3"]).0, Some(2));
    // Secrets are never arguments.
    assert_eq!(refused(&["s3", "--root", ".", "--secret-key", "hush"]).0, Some(2));
    let (code, text) = refused(&["exchange", "--state", dir.path().to_str().unwrap(), "--accounts", "0"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("between 1 and"), "{text}");
}

#[test]
fn each_service_says_where_it_listens_and_stops_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("exchange");
    let exchange = Process::start(&["exchange", "--state", state.to_str().unwrap(), "--accounts", "3"], &[]);
    assert!(exchange.url.starts_with("https://127.0.0.1:"), "{}", exchange.url);
    assert!(state.join("accounts.json").exists());
    let dynamodb = Process::start(&["dynamodb", "--db", ":memory:"], &[]);
    assert!(dynamodb.url.starts_with("http://127.0.0.1:"), "{}", dynamodb.url);
    let state = dir.path().join("notary");
    let notary = Process::start(&["notary", "--state", state.to_str().unwrap()], &[]);
    assert!(notary.url.starts_with("http://127.0.0.1:"), "{}", notary.url);
    assert_eq!(exchange.terminate(), Some(0));
    assert_eq!(notary.terminate(), Some(0));
    assert_eq!(dynamodb.terminate(), Some(0));
}

#[test]
fn the_help_is_as_recorded() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.trycmd");
}
