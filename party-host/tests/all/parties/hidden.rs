//! Columns that may be missing end to end, and attempts to learn who has no value.

use std::time::Duration;

use tercet_protocol::api::ProblemKind;
use tercet_protocol::filter::Filter;
use tercet_protocol::result::SignedResult;
use tercet_protocol::survey::SurveyManifest;

use super::notarized::Server;
use super::statistics::{clear, refused, released, statistic};
use super::world::{Prepared, World};

const PATIENCE: Duration = Duration::from_secs(20);

/// A survey of ages, which may be missing, and incomes, which may not.
pub fn ages(statistics: &str, min_cohort: u64, min_new: u64) -> SurveyManifest {
    let exposes = if statistics.contains("max(age)") { "'max(age)'" } else { "" };
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
exposes = [{exposes}]

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
    let body = format!(r#"{{"plan":"{plan}","age":{age},"income":"{income}","uid":{uid}}}"#);
    let (presentation, secrets) = server.notarize(&body, &[&age, income], u64::from(uid) + 1000 * time);
    let (presentation, statement, witnesses) = world.opened_files(presentation, secrets);
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

/// The value and the number of submissions.
fn shown<'a>(answer: &'a SignedResult, name: &str) -> (Option<&'a str>, Option<u64>) {
    let s = statistic(answer, name);
    (s.value.as_deref(), s.submissions)
}

fn sum(people: &[(u32, Option<u32>)]) -> (String, u64) {
    let there: Vec<u32> = people.iter().filter_map(|(_, age)| *age).collect();
    (there.iter().sum::<u32>().to_string(), there.len() as u64)
}

/// People with ages (even numbers share a label), of whom those in `missing` have none.
fn ages_of(people: impl Iterator<Item = u32>, missing: &[u32]) -> Vec<(u32, Option<u32>)> {
    people.map(|n| (n, (!missing.contains(&n)).then_some(20 + n * n % 90))).collect()
}

const AGES: &str =
    "'count', 'count(age)', 'max(age)', 'mean(age)', 'median(age)', 'sum(age)', 'variance(age)'";

/// The survey says that it exposes the largest age.
fn exposing() -> SurveyManifest {
    ages(AGES, 5, 5)
}

/// Every kind of statistic of a column that some rows have no value of, against clear text over the rows that have one. Only
/// groups tell who has a value.
#[tokio::test(flavor = "multi_thread")]
async fn missing_values_are_left_out_exactly_and_in_groups() {
    let server = Server::start();
    let mut world = World::start_trusting(exposing(), server.root(), PATIENCE).await;
    let first = ages_of(0..17, &[1, 5, 9, 13]);
    join(&world, &server, &first).await;
    let listed = world.release().await.unwrap();
    // The same survey of people who all have an age.
    let mut complete = exposing();
    complete.columns.truncate(1);
    complete.columns[0].missing = None;
    let there: Vec<i128> = first.iter().filter_map(|(_, age)| *age).map(i128::from).collect();
    for clear in
        clear(&complete, &["max(age)", "mean(age)", "median(age)", "sum(age)", "variance(age)"], &there)
    {
        let got = statistic(&listed, &clear.statistic);
        assert_eq!((&got.value, &got.exact, got.submissions), (&clear.value, &clear.exact, Some(13)));
    }
    assert_eq!((shown(&listed, "count"), shown(&listed, "count(age)").1), ((Some("17"), None), Some(13)));

    // Five come, four of whom have an age: they wait, whoever asks.
    let second = ages_of((18..28).step_by(2), &[18]);
    join(&world, &server, &second).await;
    let listed = world.release().await.unwrap();
    assert_eq!(shown(&listed, "count").0, Some("22"));
    let (value, rows) = sum(&first);
    assert_eq!(shown(&listed, "sum(age)"), (Some(value.as_str()), Some(rows)));
    assert_eq!(statistic(&listed, "median(age)").release, Some(1));

    // Five more, one of whom has: together five, a group.
    world.restart().await;
    let third = ages_of((28..38).step_by(2), &[28, 30, 32, 34]);
    join(&world, &server, &third).await;
    let listed = world.release().await.unwrap();
    let all = [first.clone(), second, third].concat();
    let (value, rows) = sum(&all);
    assert_eq!(rows, 18);
    assert_eq!(shown(&listed, "sum(age)"), (Some(value.as_str()), Some(rows)));

    // Nobody learns by a filter who has a value.
    let pro = Filter::default().or("plan", "pro");
    refused(&world, &["mean(age)"], pro.clone(), ProblemKind::StatisticNotPermitted).await;
    released(&world, &["count"], pro).await;
}

/// Fewer values than the minimum cohort are not shown, and the rest of the list is.
#[tokio::test(flavor = "multi_thread")]
async fn too_few_values_are_not_shown() {
    let server = Server::start();
    let mut survey = exposing();
    survey.survey.min_cohort = 6;
    let world = World::start_trusting(survey, server.root(), PATIENCE).await;
    join(&world, &server, &ages_of((0..16).step_by(2), &[10, 12, 14])).await;
    let listed = world.release().await.unwrap();
    assert_eq!(shown(&listed, "count").0, Some("8"));
    for name in ["count(age)", "max(age)", "mean(age)", "median(age)", "sum(age)"] {
        assert_eq!(shown(&listed, name), (None, None), "{name}");
    }
    refused(&world, &["mean(age)"], Filter::default(), ProblemKind::CohortTooSmall).await;
}

/// A histogram counts who has come into its bins in groups that are large enough; the others wait, and so does a bin of few.
#[tokio::test(flavor = "multi_thread")]
async fn histograms_count_in_bins_that_are_large_enough() {
    let server = Server::start();
    let survey = ages("'count', 'count(age)', 'histogram:0,40,60,127(age)', 'mean(income)'", 5, 5);
    let mut world = World::start_trusting(survey, server.root(), PATIENCE).await;
    // With one label, so that they enter together: six below forty, seven from sixty on, two between, one without an age.
    let of = |from: u32, ages: &[Option<u32>]| -> Vec<(u32, Option<u32>)> {
        ages.iter().enumerate().map(|(i, age)| (from + 2 * i as u32, *age)).collect()
    };
    let young = [18, 39, 20, 30, 31, 25].map(Some);
    let old = [60, 70, 80, 90, 99, 126, 61].map(Some);
    let first = of(0, &[&young[..], &old[..], &[Some(40), Some(59), None]].concat());
    join(&world, &server, &first).await;
    let bins = |answer: &SignedResult| -> Vec<(String, String)> {
        let parts = &statistic(answer, "histogram:0,40,60,127(age)").parts;
        parts.iter().map(|p| (p.label.clone(), p.value.clone().unwrap())).collect()
    };
    let expect = |sizes: [&str; 5]| -> Vec<(String, String)> {
        let labels = ["below 0", "[0, 40)", "[40, 60)", "[60, 127]", "above 127"];
        labels.iter().zip(sizes).map(|(l, n)| ((*l).to_owned(), n.to_owned())).collect()
    };
    let listed = world.release().await.unwrap();
    assert_eq!(bins(&listed), expect(["0", "6", "0", "7", "0"]));
    assert_eq!(shown(&listed, "histogram:0,40,60,127(age)").1, Some(13));
    // Three more between: together they are five. Two more of the young wait.
    world.restart().await;
    join(&world, &server, &of(100, &[45, 46, 47, 22, 23].map(Some))).await;
    let listed = world.release().await.unwrap();
    assert_eq!(bins(&listed), expect(["0", "6", "5", "7", "0"]));
    let pro = Filter::default().or("plan", "pro");
    refused(&world, &["histogram:0,40,60,127(age)"], pro, ProblemKind::StatisticNotPermitted).await;
}

/// Pairs leave out rows that lack one of two values, and that must not tell anything about the rows that do.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_pairs_are_over_those_who_have_both() {
    let server = Server::start();
    let survey = ages("'count', 'covariance(age,income)', 'mean', 'regression(age,income)'", 5, 7);
    let world = World::start_trusting(survey, server.root(), PATIENCE).await;
    // Seven have both, seven the age, seven the income, seven neither.
    let somebody = |uid: u32| {
        let age = (uid % 4 < 2).then_some(20 + uid * uid % 60);
        let income = uid.is_multiple_of(2).then(|| income(uid));
        (age, income)
    };
    let prepared: Vec<_> = (0..28)
        .map(|uid| {
            let (age, income) = somebody(uid);
            prepare(&world, &server, uid, age, income.as_deref(), 0)
        })
        .collect();
    let listed = world.count(&prepared).await.unwrap();
    let both: Vec<(i128, i128)> = (0..28)
        .filter_map(|uid| {
            Some((somebody(uid).0?, somebody(uid).1.map(|_| 10_050 + 3_700 * i128::from(uid))?))
        })
        .map(|(age, cents)| (i128::from(age), cents))
        .collect();
    assert_eq!(both.len(), 7);
    let n = both.len() as i128;
    let (sa, si): (i128, i128) = (both.iter().map(|(a, _)| a).sum(), both.iter().map(|(_, i)| i).sum());
    let products: i128 = both.iter().map(|(a, i)| a * i).sum();
    let covariance = statistic(&listed, "covariance(age,income)");
    assert_eq!(covariance.submissions, Some(7));
    let exact = covariance.exact.as_ref().unwrap();
    let (a, b): (i128, i128) = (exact.numerator.parse().unwrap(), exact.denominator.parse().unwrap());
    assert_eq!(a * (n * (n - 1) * 100), (n * products - sa * si) * b);
    let means: Vec<_> = listed.result.statistics.iter().filter(|s| s.statistic == "mean").collect();
    let everybodys: i128 = (0..28).filter_map(|uid| somebody(uid).0).map(i128::from).sum();
    let exact = means[0].exact.as_ref().unwrap();
    let (a, b): (i128, i128) = (exact.numerator.parse().unwrap(), exact.denominator.parse().unwrap());
    assert_eq!((a * 14, means[0].submissions), (everybodys * b, Some(14)));
}
