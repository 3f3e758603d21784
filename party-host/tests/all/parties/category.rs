//! Groups of a committed category end to end, and attempts to learn who is in one.

use std::time::Duration;

use tercet_mpc::{HashAlg, ProveError, Statement};
use tercet_protocol::api::{ProblemKind, SubmissionState};
use tercet_protocol::filter::Filter;
use tercet_protocol::result::StatisticValue;
use tercet_protocol::survey::SurveyManifest;

use super::notarized::Server;
use super::statistics::{refused, released};
use super::world::{Prepared, World};

const PATIENCE: Duration = Duration::from_secs(20);
/// All of one length, so that the length tells nothing.
const SEGMENTS: [&str; 4] = ["home", "work", "farm", "ship"];

/// A survey of incomes, and ages that may be missing, by segment.
pub fn segments(statistics: &str, min_cohort: u64, min_new: u64) -> SurveyManifest {
    let text = format!(
        r#"
[survey]
name = 'segments'
title = 'Incomes by segment'
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
name = 'income'
unit = 'EUR'
prefix = '"income":'
suffix = ','
scale = 1
bits = 40

[[columns]]
name = 'age'
prefix = '"age":'
suffix = ','
scale = 0
bits = 7
missing = 'null'

[[categories]]
name = 'segment'
prefix = '"segment":"'
suffix = '"'
values = ['home', 'work', 'farm', 'ship']
"#,
        source = Server::source()
    );
    SurveyManifest::from_toml(&text).unwrap()
}

/// Somebody's submission.
#[derive(Clone, Copy)]
pub struct Person {
    pub uid: u32,
    pub segment: usize,
    pub age: Option<u32>,
}

impl Person {
    /// Tenths.
    fn income(self) -> i128 {
        1000 + 37 * i128::from(self.uid)
    }

    pub fn prepare(self, world: &World, server: &Server) -> Prepared {
        let Self { uid, segment, age } = self;
        let (income, segment) = (format!("{}.{}", self.income() / 10, self.income() % 10), SEGMENTS[segment]);
        let age = age.map_or("null".into(), |a| a.to_string());
        let body =
            format!(r#"{{"plan":"pro","income":{income},"age":{age},"segment":"{segment}","uid":{uid}}}"#);
        let seed = u64::from(uid) * 8 + self.segment as u64;
        let (presentation, secrets) = server.notarize(&body, &[&income, &age, segment], seed);
        let (presentation, statement, witnesses) = world.opened_files(presentation, &secrets);
        world.prove_all(presentation, &statement, &witnesses, 7)
    }
}

/// So many people in each segment, numbered from `first`; every ninth one without an age.
fn people(first: u32, sizes: [u32; 4]) -> Vec<Person> {
    let segments =
        sizes.iter().enumerate().flat_map(|(segment, n)| std::iter::repeat_n(segment, *n as usize));
    (first..)
        .zip(segments)
        .map(|(uid, segment)| Person { uid, segment, age: (uid % 9 != 4).then_some(10 + uid % 100) })
        .collect()
}

pub async fn join(world: &World, server: &Server, people: &[Person]) {
    let prepared: Vec<_> = people.iter().map(|p| p.prepare(world, server)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    let heights = world.heights();
    world.until_height(heights.iter().map(|h| h.0).max().unwrap()).await;
}

/// The labels of the groups that a statistic has, with their sizes.
fn groups(statistic: &StatisticValue) -> Vec<(&str, u64)> {
    statistic.parts.iter().map(|p| (p.label.as_str(), p.submissions.unwrap())).collect()
}

fn fraction(statistic: &StatisticValue, label: &str) -> (i128, i128) {
    let part = statistic.parts.iter().find(|p| p.label == label).unwrap();
    let exact = part.exact.as_ref().unwrap();
    (exact.numerator.parse().unwrap(), exact.denominator.parse().unwrap())
}

/// Whether two fractions are the same.
fn same((a, b): (i128, i128), (c, d): (i128, i128)) {
    assert_eq!(a * d, c * b);
}

const INCOMES: &str = "'count', 'sum(income)', 'count@segment', 'sum(income)@segment', 'mean(income)@segment', \
                       'variance(income)@segment', 'geometric_mean(income)@segment'";

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_category_are_exact_and_small_ones_stand_together() {
    let server = Server::start();
    let listed = format!("{INCOMES}, 'sum', 'mean(age)', 'mean(age)@segment'");
    let world = World::start_trusting(segments(&listed, 6, 3), server.root(), PATIENCE).await;
    let everybody = people(0, [12, 9, 5, 2]);
    join(&world, &server, &everybody).await;
    let names = [
        "count@segment",
        "sum(income)@segment",
        "mean(income)@segment",
        "variance(income)@segment",
        "mean(age)@segment",
        "geometric_mean(income)@segment",
        "sum",
    ];
    let result = released(&world, &names, Filter::default()).await;
    assert_eq!(result.result.submissions, 28);
    let statistics = &result.result.statistics;
    let blocks: [(&str, &[usize]); 3] = [("home", &[0]), ("work", &[1]), ("", &[2, 3])];
    for (label, of) in blocks {
        let inside: Vec<Person> = everybody.iter().filter(|p| of.contains(&p.segment)).copied().collect();
        let (n, sum) = (inside.len() as i128, inside.iter().map(|p| p.income()).sum::<i128>());
        let squares: i128 = inside.iter().map(|p| p.income().pow(2)).sum();
        same(fraction(&statistics[0], label), (n, 1));
        same(fraction(&statistics[1], label), (sum, 10));
        same(fraction(&statistics[2], label), (sum, 10 * n));
        same(fraction(&statistics[3], label), (n * squares - sum * sum, n * (n - 1) * 100));
        let ages: Vec<i128> = inside.iter().filter_map(|p| p.age).map(i128::from).collect();
        same(fraction(&statistics[4], label), (ages.iter().sum(), ages.len() as i128));
        let part = |s: &StatisticValue| s.parts.iter().find(|p| p.label == label).unwrap().clone();
        assert_eq!(part(&statistics[4]).submissions, Some(ages.len() as u64));
        let logs: f64 = inside.iter().map(|p| (p.income() as f64 / 10.0).ln()).sum();
        let near: f64 = part(&statistics[5]).value.unwrap().parse().unwrap();
        assert!((near / (logs / n as f64).exp() - 1.0).abs() < 1e-6);
    }
    for s in &statistics[..4] {
        assert_eq!(groups(s), [("home", 12), ("work", 9), ("", 7)], "{}", s.statistic);
    }
    // The whole beside them, of which only the first column's unit is EUR.
    let total: i128 = everybody.iter().map(|p| p.income()).sum();
    let sum =
        statistics.iter().find(|s| s.column.as_deref() == Some("income") && s.statistic == "sum").unwrap();
    let exact = sum.exact.as_ref().unwrap();
    same((exact.numerator.parse().unwrap(), exact.denominator.parse().unwrap()), (total, 10));

    // Nothing that could be told apart by public rows.
    let pro = Filter::default().or("plan", "pro");
    refused(&world, &["sum(income)@segment"], pro.clone(), ProblemKind::StatisticNotPermitted).await;
    refused(&world, &["sum(income)"], pro.clone(), ProblemKind::StatisticNotPermitted).await;
    released(&world, &["count"], pro).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_that_is_too_small_takes_another_group_and_an_empty_one_is_none() {
    let server = Server::start();
    let world = World::start_trusting(segments(INCOMES, 6, 3), server.root(), PATIENCE).await;
    // Everybody in one group, exactly a cohort.
    join(&world, &server, &people(0, [6, 0, 0, 0])).await;
    let result = released(&world, &["count@segment"], Filter::default()).await;
    assert_eq!(groups(&result.result.statistics[0]), [("home", 6)]);
    // Nobody was among the others, so they may stand alone from now on; two are too few, and take the last with them.
    join(&world, &server, &people(100, [0, 6, 9, 2])).await;
    let result = released(&world, &["count@segment", "mean(income)@segment"], Filter::default()).await;
    for s in &result.result.statistics {
        assert_eq!(groups(s), [("home", 6), ("work", 6), ("", 11)]);
    }
    // What was together stays together, whatever its size.
    join(&world, &server, &people(200, [0, 0, 20, 20])).await;
    let result = released(&world, &["count@segment"], Filter::default()).await;
    assert_eq!(groups(&result.result.statistics[0]), [("home", 6), ("work", 6), ("", 51)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_by_the_difference_of_two_releases() {
    let server = Server::start();
    let mut world = World::start_trusting(segments(INCOMES, 6, 3), server.root(), PATIENCE).await;
    let all = Filter::default;
    join(&world, &server, &people(0, [12, 9, 8, 7])).await;
    let names = ["sum(income)@segment"];
    let first = released(&world, &names, all()).await;
    assert_eq!(groups(&first.result.statistics[0]), [("home", 12), ("work", 9), ("farm", 8), ("ship", 7)]);
    // One person: nothing is released, by the public rule already.
    join(&world, &server, &people(50, [1, 0, 0, 0])).await;
    refused(&world, &names, all(), ProblemKind::TooFewNew).await;
    // Three, of whom three are of one group: the others are as they were.
    join(&world, &server, &people(60, [2, 0, 0, 0])).await;
    let second = released(&world, &names, all()).await;
    assert_eq!(groups(&second.result.statistics[0]), [("home", 15), ("work", 9), ("farm", 8), ("ship", 7)]);
    // Three of whom one is of another group: neither is released alone, and the two together are.
    join(&world, &server, &people(70, [0, 0, 2, 1])).await;
    let third = released(&world, &names, all()).await;
    assert_eq!(groups(&third.result.statistics[0]), [("home", 15), ("work", 9), ("", 18)]);
    // Records outlast the parties.
    for i in 0..3 {
        let node = world.parties[i].take().unwrap();
        node.stop(Duration::from_secs(5)).await;
        node.disconnect();
        drop(node);
        world.start_party(i).await;
    }
    // Somebody moves from the first group to the second, and two others come into the rest: too few in each.
    let moved = Person { segment: 1, ..people(0, [1, 0, 0, 0])[0] };
    join(&world, &server, &[moved]).await;
    join(&world, &server, &people(80, [0, 0, 1, 1])).await;
    let fourth = released(&world, &names, all()).await;
    assert_eq!(groups(&fourth.result.statistics[0]), [("", 44)]);
}

/// A sum over everybody, less one over a group that was small at the time, would be the small group's.
#[tokio::test(flavor = "multi_thread")]
async fn a_sum_over_everybody_does_not_expose_who_was_in_a_small_group() {
    let server = Server::start();
    let world = World::start_trusting(segments(INCOMES, 6, 3), server.root(), PATIENCE).await;
    join(&world, &server, &people(0, [12, 9, 7, 1])).await;
    released(&world, &["sum(income)"], Filter::default()).await;
    join(&world, &server, &people(100, [0, 0, 0, 11])).await;
    let result = released(&world, &["sum(income)@segment"], Filter::default()).await;
    assert_eq!(groups(&result.result.statistics[0]), [("home", 12), ("work", 9), ("", 19)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_cannot_choose_their_group_or_whether_they_have_a_value() {
    let server = Server::start();
    let world = World::start_trusting(
        segments(&format!("{INCOMES}, 'mean(age)@segment'"), 6, 3),
        server.root(),
        PATIENCE,
    )
    .await;
    let body = r#"{"plan":"pro","income":10.5,"age":null,"segment":"farm","uid":1}"#;
    let (presentation, secrets) = server.notarize(body, &["10.5", "null", "farm"], 9);
    let (presentation, statement, witnesses) = world.opened_files(presentation, &secrets);
    // Another column's text, of the same length, under a commitment of the provider's own.
    for (column, text) in [(1, &b"0042"[..]), (1, b"null"), (2, b"ship"), (0, b"99.5")] {
        let mut columns = statement.columns().to_vec();
        let mut witnesses = witnesses.clone();
        witnesses[column].bytes.copy_from_slice(text);
        witnesses[column].blinder[0] ^= 1;
        let preimage = [&witnesses[column].bytes[..], &witnesses[column].blinder[..]];
        columns[column].alg = HashAlg::Blake3;
        columns[column].commitment = HashAlg::Blake3.digest(&preimage);
        let other = Statement::new(columns, statement.outputs().to_vec()).unwrap();
        let forged = world.prove_all(presentation.clone(), &other, &witnesses, 9);
        for answer in world.submit(&forged, Duration::from_secs(60)).await {
            let problem = match answer {
                Err(problem) => problem,
                Ok(status) => match status.state {
                    SubmissionState::Rejected { problem } => problem,
                    other => panic!("column {column}: {other:?}"),
                },
            };
            assert_eq!(problem.known(), Some(ProblemKind::ProofInvalid), "column {column}: {problem}");
        }
    }
    // A text that is none of the values, or no number, is told so before anything is sent.
    for (body, hide, error) in [
        (body.replace("farm", "moon"), ["10.5", "null", "moon"], "Category { column: 2 }"),
        (body.replace("null", "Null"), ["10.5", "Null", "farm"], "Decimal { column: 1"),
    ] {
        let (presentation, secrets) = server.notarize(&body, &hide, 10);
        let (_, statement, witnesses) = world.opened_files(presentation, &secrets);
        let refused: Result<(), ProveError> =
            tercet_mpc::prove(&statement, &witnesses, &[0; 32], &[7; 32], &mut |_| {}).map(drop);
        assert!(format!("{refused:?}").contains(error), "{refused:?}");
    }
    // The honest one gets in all the same.
    world.accept(&world.prove_all(presentation, &statement, &witnesses, 7)).await;
}
