//! The honest run, and the sandbox's own promises.

use std::time::Duration;

use party_host::sandbox::{IMPORTS, Limits, Sandbox, SandboxError};
use tercet_protocol::api::{ProblemKind, QueryState};
use tercet_protocol::ids::EngineDigest;

use super::statistics::{clear, statistic};
use super::world::{World, cohort, manifest, sandbox, vectors};

/// The cohort's values in 10^-8 units, from the vectors' own notes.
pub fn values(names: &[String]) -> Vec<i128> {
    let value = |name: &String| {
        let text = std::fs::read_to_string(vectors().join(name).join("meta.json")).unwrap();
        let meta: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (whole, fraction) = meta["value"].as_str().unwrap().split_once('.').unwrap();
        assert_eq!(fraction.len(), 8);
        format!("{whole}{fraction}").parse::<i128>().unwrap()
    };
    names.iter().map(value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cohort_gets_in_once_and_comes_out_as_exact_statistics() {
    let mut world = World::start(manifest(), Duration::from_secs(20)).await;
    let names = cohort();
    let prepared: Vec<_> = names.iter().map(|n| world.prepare(n)).collect();
    let (first, rest) = prepared.split_at(9);
    // A unit of nine: fewer than the minimum cohort, so nothing is shown.
    assert!(world.count(first).await.is_none());
    match world.query(&["sum"]).await {
        QueryState::Refused { problem } => assert_eq!(problem.known(), Some(ProblemKind::CohortTooSmall)),
        other => panic!("{other:?}"),
    }
    let listed = world.count(rest).await.unwrap();
    // The same upload again is answered by the same receipt.
    world.accept(&prepared[0]).await;

    let values = values(&names);
    let clear = clear(&manifest(), &["count", "mean", "stddev", "sum", "variance"], &values);
    assert_eq!(listed.result.statistics, clear);
    assert_eq!((listed.result.release.rows, listed.result.release.units), (24, 2));
    let QueryState::Done { result } = world.query(&["count", "sum", "mean", "variance"]).await else {
        panic!()
    };
    result.verify(world.survey.parties()).unwrap();
    for s in &result.result.statistics {
        assert_eq!(s, statistic(&listed, &s.statistic));
    }
    match world.query(&["max"]).await {
        QueryState::Refused { problem } => {
            assert_eq!(problem.known(), Some(ProblemKind::StatisticNotPermitted))
        }
        other => panic!("{other:?}"),
    }
    // A restarted party knows its log, its answers and its receipts.
    world.restart().await;
    world.accept(&prepared[3]).await;
    assert_eq!(world.published(2).await.unwrap(), listed);
    let QueryState::Done { result: again } = world.query(&["sum"]).await else { panic!() };
    assert_eq!(again.result.statistics[0], *statistic(&listed, "sum"));
}

/// Every statistic of sorted values equals that of the clear text, in surveys whose lists the rules allow.
#[tokio::test(flavor = "multi_thread")]
async fn sorted_values_come_out_as_the_clear_text_says() {
    const LISTS: [&[&str]; 2] = [
        &["gini", "iqr", "max", "min", "mode", "quantile_nearest:0.5"],
        &["lorenz:0.5", "median", "quantile:0.25", "sum"],
    ];
    for list in LISTS {
        let mut survey = manifest();
        survey.survey.statistics = list.iter().map(ToString::to_string).collect();
        // One survey has fewer rows than `gini` needs where `min_new` is five.
        let exposed = ["gini", "max", "min", "mode"];
        survey.survey.exposes =
            list.iter().filter(|n| exposed.contains(n)).map(ToString::to_string).collect();
        let world = World::start(survey.clone(), Duration::from_secs(20)).await;
        let names = cohort();
        let prepared: Vec<_> = names.iter().map(|n| world.prepare(n)).collect();
        let listed = world.count(&prepared).await.unwrap();
        let clear = clear(&survey, list, &values(&names));
        for s in &clear {
            assert_eq!(statistic(&listed, &s.statistic), s);
        }
        // Asked again, in any order, they are what was published.
        let QueryState::Done { result } = world.query(&list[1..3]).await else { panic!() };
        for s in &result.result.statistics {
            assert_eq!(s, statistic(&listed, &s.statistic));
        }
    }
}

/// An upload that only one party has cannot be decided: it is handed back when that party stops, and taken again later.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_party_hands_back_what_it_has_not_decided() {
    let mut world = World::start(manifest(), Duration::from_secs(20)).await;
    let prepared = world.prepare(&cohort()[0]);
    let (node, body, id) = (world.party(1).clone(), world.upload_body(&prepared, 1), prepared.id());
    let waiting = tokio::spawn({
        let (node, body) = (node.clone(), body.clone());
        async move { node.upload(id, body, Duration::from_secs(60)).await }
    });
    // It is in the pool before the party is told to stop.
    for _ in 0..2_000 {
        if node.submission(id).is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(node.submission(id).is_some(), "the upload did not arrive");
    node.stop(Duration::from_secs(5)).await;
    let back = waiting.await.unwrap().unwrap_err();
    assert_eq!((back.known(), back.is_transient()), (Some(ProblemKind::PartyUnavailable), true));
    assert!(back.retry_after.is_some());
    // Nothing new is taken either, and it is not ready.
    let late = node.upload(id, body, Duration::from_secs(60)).await.unwrap_err();
    assert_eq!(late.known(), Some(ProblemKind::PartyUnavailable));
    assert!(node.ready().is_err());
    node.disconnect();
    drop((world.parties[1].take(), node));
    world.start_party(1).await;
    world.accept(&prepared).await;
}

#[test]
fn the_engine_imports_what_is_documented_and_nothing_else() {
    assert_eq!(sandbox().imports(), IMPORTS);
}

#[test]
fn another_engine_than_the_approved_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.wasm");
    std::fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
    let limits = Limits { memory: 1 << 20, compute: Duration::from_secs(1) };
    let approved = EngineDigest([7; 32]);
    assert!(
        matches!(Sandbox::load(&path, Some(approved), limits), Err(SandboxError::Digest { expected, .. }) if expected == approved)
    );
    std::fs::write(&path, b"no component").unwrap();
    assert!(matches!(Sandbox::load(&path, None, limits), Err(SandboxError::Load(_))));
    assert!(matches!(Sandbox::load(&dir.path().join("none"), None, limits), Err(SandboxError::Read { .. })));
}
