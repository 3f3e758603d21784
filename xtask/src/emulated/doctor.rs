//! `tercet operator doctor` about a party that Terraform applied to the emulator: it must find what is as it has to be, and
//! what is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{ACCOUNTS, Operator, REGION};
use crate::command::{program, programs};

/// Checks that a party passes right after its first `apply`.
const GOOD: [&str; 9] = [
    "account",
    "aws-clock",
    "bucket-policy",
    "bucket-encryption",
    "bucket-versions",
    "bucket-public-access",
    "bucket-lifecycle",
    "kms-key",
    "federation",
];
/// Checks that it cannot pass yet: it is stopped, its secrets are empty, no copy was made, and nobody is told of anything.
const DIFFERS: [&str; 6] = ["secret", "service", "backup", "alarms", "guards", "api"];

/// Asks the doctor, then takes the bucket's policy away and asks again.
pub(super) fn check(operator: &Operator, folder: &Path) -> Result<()> {
    let patient = Patient::new(operator, folder)?;
    let seen = patient.examine()?;
    for check in GOOD {
        ensure!(seen.get(check).is_some_and(|states| states == "good"), "{check} is not good: {seen:?}");
    }
    for check in DIFFERS {
        ensure!(
            seen.get(check).is_some_and(|states| states == "differs"),
            "{check} does not differ: {seen:?}"
        );
    }
    let bucket = operator.bucket();
    operator.ask(&format!("DELETE /{bucket}?policy HTTP/1.1\r\ncontent-length: 0"), "", b"204")?;
    let seen = patient.examine()?;
    ensure!(
        seen.get("bucket-policy").is_some_and(|s| s == "differs"),
        "the policy is gone, unseen: {seen:?}"
    );
    // As the doctor says.
    operator.apply(&[])?;
    let seen = patient.examine()?;
    ensure!(seen.get("bucket-policy").is_some_and(|s| s == "good"), "the policy is back, unseen: {seen:?}");
    Ok(())
}

/// The files that the doctor is given.
struct Patient<'a> {
    operator: &'a Operator,
    folder: PathBuf,
}

impl<'a> Patient<'a> {
    fn new(operator: &'a Operator, folder: &Path) -> Result<Self> {
        let folder = folder.join(format!("doctor-{}", operator.index));
        std::fs::create_dir_all(&folder)?;
        let this = Self { operator, folder };
        std::fs::write(this.folder.join("engine.wasm"), b"engine")?;
        for (i, account) in ACCOUNTS[1..].iter().enumerate() {
            let (dir, name, port) = (format!("keys-{i}"), format!("operator {i}"), i + 1);
            // Nobody listens there, which the doctor says.
            let (url, peer) = (format!("http://127.0.0.1:{port}"), format!("127.0.0.1:{port}"));
            let words = ["operator", "init", "--dir", &dir, "--operator", &name, "--account", account];
            let more = ["--url", &url, "--peer-address", &peer, "--engine", "engine.wasm"];
            this.tercet(&[&words[..], &more[..]].concat())?;
            let manifest = this.tercet(&["operator", "publish", "--dir", &dir])?;
            std::fs::write(this.folder.join(format!("{i}.json")), manifest)?;
        }
        let key = this.tercet(&["coordinator", "init", "--dir", "coordinator"])?;
        let words =
            ["federation", "assemble", "--coordinator-url", "http://127.0.0.1:9", "--coordinator-key"];
        let more = ["--operator", "0.json", "--operator", "1.json", "--operator", "2.json"];
        this.tercet(&[&words[..], &[key.trim()], &more[..], &["--out", "federation.json"]].concat())?;
        let deployment = operator.run(&["output".into(), "-json".into(), "doctor".into()])?;
        std::fs::write(this.folder.join("deployment.json"), deployment)?;
        Ok(this)
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut tercet = program(programs("dev").join("tercet"));
        tercet
            .args(words)
            .current_dir(&self.folder)
            .env("AWS_ENDPOINT_URL", &self.operator.endpoint)
            .envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_REGION", REGION)])
            .envs([("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")])
            .env("AWS_EC2_METADATA_DISABLED", "true");
        tercet
    }

    fn tercet(&self, words: &[&str]) -> Result<String> {
        let out = self.command(words).output().context("cannot run tercet")?;
        ensure!(out.status.success(), "tercet {words:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    }

    /// The doctor's findings: each check with its state, or with `differs` if it was made of several things and one differs.
    fn examine(&self) -> Result<BTreeMap<String, String>> {
        let dir = format!("keys-{}", self.operator.index - 1);
        let words = ["operator", "doctor", "--dir", &dir, "--federation", "federation.json"];
        let out =
            self.command(&[&words[..], &["--deployment", "deployment.json", "--json"]].concat()).output()?;
        ensure!(out.status.code() == Some(1), "the doctor ended with {}", out.status);
        let report: Value = serde_json::from_slice(&out.stdout)
            .with_context(|| String::from_utf8_lossy(&out.stderr).into_owned())?;
        let mut seen = BTreeMap::new();
        for finding in report["findings"].as_array().context("the report has no findings")? {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            let (check, state) = (text("check"), text("state"));
            ensure!(
                (state == "differs") == finding["mend"].is_string(),
                "{check} does not say what mends it"
            );
            let worst = seen.entry(check).or_insert_with(|| state.clone());
            if state == "differs" {
                *worst = state;
            }
        }
        Ok(seen)
    }
}
