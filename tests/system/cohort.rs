//! The cohort of real presentations through the whole system, by way of the `tercet` command.

use std::process::Command;

use serde_json::Value;

use crate::world::{World, cohort, told, vectors};

/// A decimal text in 10^-8 units.
fn units(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<8}").parse().unwrap()
}

fn reduced(a: i128, b: i128) -> (String, String) {
    let (mut x, mut y) = (a.abs(), b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    ((a / x).to_string(), (b / x).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cohort_is_accepted_and_its_statistics_are_exact() {
    let world = World::start(vectors().join("survey.toml")).await;
    let programs = tercet_stack::programs(
        &std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| vectors().join("../../../target"), Into::into),
        "dev",
    );
    let url = world.stack.coordinator();
    let survey = world.stack.survey().to_string();
    let tercet = |args: &[&str]| {
        let mut command = Command::new(programs.join("tercet"));
        // Receipts go to the current folder.
        command.current_dir(world.dir.path()).env("TERCET_COORDINATOR", &url).env("TERCET_SURVEY", &survey);
        let output = command.args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let (mut values, mut kept) = (Vec::new(), Vec::new());
    for dir in cohort() {
        let file = |name: &str| dir.join(name).display().to_string();
        let out = tercet(&[
            "submit",
            "--presentation",
            &file("presentation.bin"),
            "--secrets",
            &file("secrets.bin"),
            "--yes",
            "--json",
        ]);
        let receipt: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(receipt["receipts"].as_array().unwrap().len(), 3);
        kept.push(receipt["receipt_file"].as_str().unwrap().to_owned());
        let status: Value =
            serde_json::from_str(&tercet(&["status", receipt["submission"].as_str().unwrap(), "--json"]))
                .unwrap();
        assert_eq!(status["state"], "accepted");
        let meta: Value =
            serde_json::from_str(&std::fs::read_to_string(dir.join("meta.json")).unwrap()).unwrap();
        values.push(units(meta["value"].as_str().unwrap()));
    }
    let made: Value = serde_json::from_str(&tercet(&["release", "--wait", "--json"])).unwrap();
    assert_eq!((&made["release"], &made["made"]), (&1.into(), &true.into()));
    let file = world.dir.path().join("result.json");
    let out = tercet(&["query", "--json", "--output", &file.display().to_string()]);
    let result: Value = serde_json::from_str(&out).unwrap();
    let (n, unit) = (values.len() as i128, 100_000_000i128);
    let sum: i128 = values.iter().sum();
    let squares: i128 = values.iter().map(|v| v * v).sum();
    let expected = [
        ("count", reduced(n, 1)),
        ("sum", reduced(sum, unit)),
        ("mean", reduced(sum, unit * n)),
        ("variance", reduced(n * squares - sum * sum, n * (n - 1) * unit * unit)),
    ];
    assert_eq!(result["result"]["release"]["number"], 1);
    assert_eq!(result["result"]["release"]["rows"], values.len());
    let statistics = result["result"]["statistics"].as_array().unwrap();
    for (name, (numerator, denominator)) in expected {
        let s = statistics.iter().find(|s| s["statistic"] == name).unwrap();
        assert_eq!(
            (s["exact"]["numerator"].as_str(), s["exact"]["denominator"].as_str()),
            (Some(&*numerator), Some(&*denominator)),
            "{name}"
        );
    }
    // One of them leaves. What was published stays, and says later that one was erased.
    let erased: Value =
        serde_json::from_str(&tercet(&["withdraw", "--receipt", &kept[0], "--yes", "--json"])).unwrap();
    assert_eq!(erased["state"], "withdrawn");
    assert_eq!(erased["receipts"][2]["entered"]["unit_rows"], values.len());
    let again: Value = serde_json::from_str(&tercet(&["published", "--release", "1", "--json"])).unwrap();
    assert_eq!(again, result);
    let verify = || {
        let mut command = Command::new(programs.join("tercet"));
        command.arg("verify-result").arg(&file).args(["--survey", &survey]).output().unwrap()
    };
    let verified = verify();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let altered = std::fs::read_to_string(&file).unwrap().replacen("\"count\"", "\"sum\"", 1);
    std::fs::write(&file, altered).unwrap();
    let refused = verify();
    assert_eq!(refused.status.code(), Some(1), "an altered result verifies");
    world.stack.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn real_sessions_submit_under_their_own_manifest() {
    // All real sessions are of one account: without an identity, each session counts once.
    let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
    let (start, end) = (text.find("[identity]").unwrap(), text.find("[[columns]]").unwrap());
    let text = format!("{}{}", &text[..start], &text[end..])
        .replace("min_cohort = 10", "min_cohort = 1")
        .replace("bits = 48", "bits = 60");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("survey.toml"), text).unwrap();
    std::fs::copy(vectors().join("root.der"), dir.path().join("root.der")).unwrap();
    let world = World::start(dir.path().join("survey.toml")).await;
    let mut accepted = 0;
    for version in ["0.1.0-alpha.12", "0.1.0-alpha.15"] {
        for entry in std::fs::read_dir(vectors().join(version)).unwrap() {
            let dir = entry.unwrap().path();
            let name = dir.file_name().unwrap().to_string_lossy().into_owned();
            // `real_mpc_enc*` rest on the older encoding commitments, which are refused by name.
            if name.starts_with("real_") && !name.contains("_enc") {
                world.submit(&dir).await.unwrap_or_else(|e| panic!("{version}/{name}: {e}"));
                accepted += 1;
            }
        }
    }
    assert!(accepted >= 7, "{accepted}");
    assert_eq!(world.agreed().await.submissions, told(accepted));
    world.stack.stop();
}
