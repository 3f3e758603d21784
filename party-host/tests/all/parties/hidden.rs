//! Columns that may be missing end to end, and attempts to learn who has no value.

use std::time::Duration;

use tercet_protocol::api::ProblemKind;
use tercet_protocol::filter::Filter;
use tercet_protocol::result::StatisticValue;
use tercet_protocol::survey::SurveyManifest;

use super::notarized::Server;
use super::statistics::{clear, refused, released};
use super::world::{Prepared, World};

const PATIENCE: Duration = Duration::from_secs(20);

/// A survey of ages, which may be missing, and incomes, which may not.
pub fn ages(statistics: &str, min_cohort: u64, min_new: u64) -> SurveyManifest {
    let text = format!(
        r#"
[survey]
name = 'ages'
title = 'Ages and incomes'
opens = '2025-01-01T00:00:00Z'
closes = '2030-01-01T00:00:00Z'
min_cohort = {min_cohort}
min_new = {min_new}
resubmission = 'replace'
statistics = [{statistics}]

{source}
[identity]
prefix = '"uid":'
suffix = '}}'

[[fields]]
name = 'plan'
prefix = '"plan":"'
suffix = '"'

[[columns]]
name = 'age'
unit = 'years'
prefix = '"age":'
suffix = ','
scale = 0
bits = 7
missing = 'null'

[[columns]]
name = 'income'
unit = 'EUR'
prefix = '"income":'
suffix = ','
scale = 2
bits = 40
missing = 'unknown'
"#,
        source = Server::source()
    );
    SurveyManifest::from_toml(&text).unwrap()
}

fn income(uid: u32) -> String {
    format!("{}.5", 100 + 37 * uid)
}

/// Somebody's submission, the `time`-th.
fn prepare(
    world: &World,
    server: &Server,
    uid: u32,
    age: Option<u32>,
    income: Option<&str>,
    time: u64,
) -> Prepared {
    let (age, income) = (age.map_or("null".into(), |a| a.to_string()), income.unwrap_or("unknown"));
    let plan = if uid.is_multiple_of(2) { "pro" } else { "free" };
    let body = format!(r#"{{"plan":"{plan}","age":{age},"income":{income},"uid":{uid}}}"#);
    let (presentation, secrets) = server.notarize(&body, &[&age, income], u64::from(uid) + 1000 * time);
    let (presentation, statement, witnesses) = world.opened_files(presentation, &secrets);
    world.prove_all(presentation, &statement, &witnesses, 7)
}

/// Lets people in with these ages, all in one batch or a few.
pub async fn join(world: &World, server: &Server, people: &[(u32, Option<u32>)]) {
    let prepared: Vec<_> =
        people.iter().map(|(uid, age)| prepare(world, server, *uid, *age, Some(&income(*uid)), 0)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    let heights = world.heights();
    world.until_height(heights.iter().map(|h| h.0).max().unwrap()).await;
}

fn same_value(got: &StatisticValue, clear: &StatisticValue) {
    assert_eq!((&got.statistic, &got.value, &got.exact), (&clear.statistic, &clear.value, &clear.exact));
    let parts =
        |s: &StatisticValue| s.parts.iter().map(|p| (p.label.clone(), p.value.clone())).collect::<Vec<_>>();
    assert_eq!(parts(got), parts(clear), "{}", got.statistic);
}

/// Every kind of statistic of a column that some have no value of, against clear text over those who have one.
#[tokio::test(flavor = "multi_thread")]
async fn missing_values_are_left_out_exactly() {
    const NAMES: [&str; 14] = [
        "sum(age)",
        "mean(age)",
        "variance(age)",
        "stddev_population(age)",
        "geometric_mean(age)",
        "harmonic_mean(age)",
        "max(age)",
        "median(age)",
        "quantile:0.3(age)",
        "gini(age)",
        "trimmed_mean:0.1(age)",
        "mode(age)",
        "lorenz:0.5(age)",
        "histogram:0,30,127(age)",
    ];
    let server = Server::start();
    let listed = [&NAMES[..], &["count", "count(age)", "stddev(age)"]].concat();
    let listed: Vec<String> = listed.iter().map(|n| format!("'{n}'")).collect();
    let survey = ages(&listed.join(", "), 5, 3);
    let world = World::start_trusting(survey.clone(), server.root(), PATIENCE).await;
    let people: Vec<_> =
        (0..17u32).map(|n| (n, if n % 4 == 1 { None } else { Some(1 + n * n % 90) })).collect();
    join(&world, &server, &people).await;

    let result = released(&world, &[&NAMES[..], &["count", "count(age)"]].concat(), Filter::default()).await;
    let there: Vec<i128> = people.iter().filter_map(|(_, age)| *age).map(i128::from).collect();
    // The same survey of people who all have an age.
    let mut complete = survey.clone();
    complete.columns.truncate(1);
    complete.columns[0].missing = None;
    complete.survey.statistics =
        NAMES.iter().map(ToString::to_string).chain(["stddev(age)".into()]).collect();
    let expected = clear(&complete, &NAMES, &there);
    assert_eq!(result.result.submissions, 17);
    for (got, clear) in result.result.statistics.iter().zip(&expected) {
        same_value(got, clear);
        assert_eq!(got.submissions, Some(13), "{}", got.statistic);
    }
    let [.., count, count_age] = &result.result.statistics[..] else { panic!() };
    assert_eq!((count.value.as_deref(), count.submissions), (Some("17"), None));
    assert_eq!((count_age.value.as_deref(), count_age.submissions), (Some("13"), Some(13)));

    // Nobody learns by a filter who has a value.
    let pro = Filter::default().or("plan", "pro");
    refused(&world, &["mean(age)"], pro.clone(), ProblemKind::StatisticNotPermitted).await;
    released(&world, &["count"], pro).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_values_are_no_cohort_and_changes_are_enough_or_none() {
    let server = Server::start();
    let mut world = World::start_trusting(
        ages("'count', 'count(age)', 'mean(age)', 'max(age)'", 6, 3),
        server.root(),
        PATIENCE,
    )
    .await;
    let all = Filter::default;
    // Eight people, of whom five have a value: one fewer than a cohort.
    let people: Vec<_> = (0..8u32).map(|n| (n, (n < 5).then_some(30 + n))).collect();
    join(&world, &server, &people).await;
    refused(&world, &["mean(age)"], all(), ProblemKind::CohortTooSmall).await;
    refused(&world, &["count(age)"], all(), ProblemKind::CohortTooSmall).await;
    refused(&world, &["max(age)"], all(), ProblemKind::CohortTooSmall).await;
    released(&world, &["count"], all()).await;
    // The attempt counts as a release: nobody watches for the one who makes a cohort of them.
    join(&world, &server, &[(8, Some(40))]).await;
    refused(&world, &["mean(age)"], all(), ProblemKind::TooFewNew).await;
    join(&world, &server, &[(9, Some(41)), (10, None)]).await;
    let result = released(&world, &["mean(age)"], all()).await;
    assert_eq!((result.result.submissions, result.result.statistics[0].submissions), (11, Some(7)));

    // Three come in, one of them with a value: the difference would be that value.
    join(&world, &server, &[(11, Some(50)), (12, None), (13, None)]).await;
    refused(&world, &["mean(age)"], all(), ProblemKind::CohortTooSmall).await;
    // Everybody restarts: what was released is known to the logs.
    for i in 0..3 {
        let node = world.parties[i].take().unwrap();
        node.stop(Duration::from_secs(5)).await;
        node.disconnect();
        drop(node);
        world.start_party(i).await;
    }
    refused(&world, &["mean(age)"], all(), ProblemKind::CohortTooSmall).await;
    join(&world, &server, &[(14, Some(51)), (15, Some(52)), (16, None)]).await;
    let result = released(&world, &["mean(age)"], all()).await;
    assert_eq!(result.result.statistics[0].submissions, Some(10));
    // Three without a value: the same as before.
    join(&world, &server, &[(17, None), (18, None), (19, None)]).await;
    let again = released(&world, &["mean(age)"], all()).await;
    assert_eq!(again.result.statistics[0].value, result.result.statistics[0].value);

    // Somebody takes a value back, and two others come in with one: three changed, but two are new.
    let taken = prepare(&world, &server, 0, None, Some(&income(0)), 1);
    world.accept(&taken).await;
    join(&world, &server, &[(20, Some(60)), (21, Some(61))]).await;
    refused(&world, &["mean(age)"], all(), ProblemKind::CohortTooSmall).await;
}

/// Pairs leave out who lacks one of two values, and that must not tell of who does.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_pairs_are_over_those_who_have_both() {
    let server = Server::start();
    let survey =
        ages("'mean', 'covariance(age,income)', 'correlation(age,income)', 'regression(age,income)'", 4, 2);
    let world = World::start_trusting(survey, server.root(), PATIENCE).await;
    let somebody = |uid: u32| {
        // Eight have both; four lack the age, four the income.
        let age = (uid % 4 != 1).then_some(20 + uid * uid % 60);
        let income = (uid % 4 != 2).then(|| income(uid));
        prepare(&world, &server, uid, age, income.as_deref(), 0)
    };
    let prepared: Vec<_> = (0..16).map(somebody).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    world.until_height(1).await;
    let names = ["mean", "covariance(age,income)", "correlation(age,income)", "regression(age,income)"];
    let result = released(&world, &names, Filter::default()).await;
    let both: Vec<(f64, f64)> = (0..16u32)
        .filter(|uid| ![1, 2].contains(&(uid % 4)))
        .map(|uid| (f64::from(20 + uid * uid % 60), income(uid).parse().unwrap()))
        .collect();
    let n = both.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| both.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| both.iter().map(of).sum::<f64>();
    let xy = sum(&|p| (p.0 - x) * (p.1 - y));
    let (xx, yy) = (sum(&|p| (p.0 - x).powi(2)), sum(&|p| (p.1 - y).powi(2)));
    let statistics = &result.result.statistics;
    let value = |i: usize| statistics[i].value.as_ref().unwrap().parse::<f64>().unwrap();
    let close = |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 1e-6, "{got} {expected}");
    // Two means, over those who have one, then the pairs.
    assert_eq!(statistics.iter().map(|s| s.submissions).collect::<Vec<_>>(), [12, 12, 8, 8, 8].map(Some));
    close(value(2), xy / (n - 1.0));
    close(value(3), xy / (xx * yy).sqrt());
    close(statistics[4].parts[0].value.as_ref().unwrap().parse().unwrap(), xy / xx);
    close(statistics[4].parts[1].value.as_ref().unwrap().parse().unwrap(), y - x * xy / xx);

    // One more without an income: everybody's ages less theirs would be one person's.
    let lonely = prepare(&world, &server, 100, Some(33), None, 0);
    let other = prepare(&world, &server, 101, Some(34), Some("7"), 0);
    world.accept(&lonely).await;
    world.accept(&other).await;
    refused(&world, &["mean(age)"], Filter::default(), ProblemKind::CohortTooSmall).await;
    refused(&world, &["mean"], Filter::default(), ProblemKind::CohortTooSmall).await;
    refused(&world, &["covariance(age,income)"], Filter::default(), ProblemKind::CohortTooSmall).await;
}
