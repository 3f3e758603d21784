//! The honest run, and the sandbox's own promises.

use std::collections::BTreeMap;
use std::time::Duration;

use party_host::sandbox::{IMPORTS, Limits, Sandbox, SandboxError};
use tercet_protocol::api::{ProblemKind, QueryState};
use tercet_protocol::ids::EngineDigest;

use tercet_mpc::order::OrderRequest;
use tercet_mpc::statement::{Lane, Output, Part};
use tercet_mpc::statistics::Statistic;
use tercet_protocol::statistic::{Opened, release};

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
    for p in first {
        world.accept(p).await;
    }
    match world.query(&["sum"]).await {
        QueryState::Refused { problem } => assert_eq!(problem.known(), Some(ProblemKind::CohortTooSmall)),
        other => panic!("{other:?}"),
    }
    futures::future::join_all(rest.iter().map(|p| world.accept(p))).await;
    world.until_height(1).await;
    // The same upload again is answered by the same receipt.
    world.accept(&prepared[0]).await;

    let QueryState::Done { result } = world.query(&["count", "sum", "mean", "variance"]).await else {
        panic!()
    };
    result.verify(world.survey.parties()).unwrap();
    let values = values(&names);
    let (n, sum) = (values.len() as i128, values.iter().sum::<i128>());
    let squares: i128 = values.iter().map(|v| v * v).sum();
    let exact = |name: &str| {
        let s = result.result.statistics.iter().find(|s| s.statistic == name).unwrap();
        let f = s.exact.clone().unwrap();
        (f.numerator.parse::<i128>().unwrap(), f.denominator.parse::<i128>().unwrap())
    };
    let unit = 100_000_000i128;
    let same = |(a, b): (i128, i128), (c, d): (i128, i128)| {
        // Fractions in lowest terms are equal when their terms are.
        let gcd = |mut x: i128, mut y: i128| {
            while y != 0 {
                (x, y) = (y, x % y);
            }
            x.abs()
        };
        let g = gcd(c, d);
        assert_eq!((a, b), (c / g, d / g));
    };
    same(exact("count"), (n, 1));
    same(exact("sum"), (sum, unit));
    same(exact("mean"), (sum, unit * n));
    same(exact("variance"), (n * squares - sum * sum, n * (n - 1) * unit * unit));

    match world.query(&["max"]).await {
        QueryState::Refused { problem } => {
            assert_eq!(problem.known(), Some(ProblemKind::StatisticNotPermitted))
        }
        other => panic!("{other:?}"),
    }
    // A restarted party knows its log, its releases and its receipts.
    for i in 0..3 {
        let node = world.parties[i].take().unwrap();
        node.stop(Duration::from_secs(5)).await;
        node.disconnect();
        drop(node);
        world.start_party(i).await;
    }
    world.accept(&prepared[3]).await;
    let QueryState::Done { result: again } = world.query(&["sum"]).await else { panic!() };
    assert_eq!(again.result.statistics[0].value, result.result.statistics[1].value);
}

/// Every statistic of sorted values, in one query, as what the clear text says: the same evaluation of the answer that
/// sorting the cohort's values by themselves gives.
#[tokio::test(flavor = "multi_thread")]
async fn sorted_values_come_out_as_the_clear_text_says() {
    const NAMES: [&str; 15] = [
        "min",
        "max",
        "median",
        "quantile:0.9",
        "quantile:0.125",
        "quantile_nearest:0.9",
        "iqr",
        "trimmed_mean:0.1",
        "gini",
        "lorenz:0.2,0.5,0.8",
        "top_share:0.1",
        "mode",
        "histogram:0,1,10,100,1000",
        "sum",
        "count",
    ];
    let mut survey = manifest();
    survey.survey.statistics = NAMES.map(String::from).to_vec();
    let world = World::start(survey.clone(), Duration::from_secs(20)).await;
    let names = cohort();
    let prepared: Vec<_> = names.iter().map(|n| world.prepare(n)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    world.until_height(1).await;
    let answer = world.query(&NAMES).await;
    let QueryState::Done { result } = answer else { panic!("{answer:?}") };
    result.verify(world.survey.parties()).unwrap();

    let values = values(&names);
    let rows = values.len() as u64;
    let statistics: Vec<Statistic> = NAMES.iter().map(|n| n.parse().unwrap()).collect();
    let mut request = OrderRequest::default();
    for s in &statistics {
        request.merge(&s.measure.order(rows, survey.columns[0].places()));
    }
    let plain: Vec<i64> = values.iter().map(|v| i64::try_from(*v).unwrap()).collect();
    let opened = Opened {
        submissions: rows,
        lanes: vec![Lane { output: Output::Value(0), part: Part::Whole, signed: true }],
        sums: vec![values.iter().sum::<i128>().cast_unsigned()],
        orders: vec![(0, request.clone(), request.answer(&plain))],
        ..Opened::default()
    };
    assert_eq!(result.result.statistics, release(&survey, &statistics, &opened, &BTreeMap::new()));
    let largest = result.result.statistics[1].exact.clone().unwrap();
    let (top, unit) = (plain.iter().max().unwrap(), 100_000_000);
    assert_eq!(
        i128::from(*top) * largest.denominator.parse::<i128>().unwrap(),
        largest.numerator.parse::<i128>().unwrap() * unit
    );
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
