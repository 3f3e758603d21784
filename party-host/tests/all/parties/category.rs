//! Groups of a committed category end to end, and attempts to learn who is in one.

use std::time::Duration;

use tercet_mpc::{Binding, HashAlg, ProveError, Statement};
use tercet_protocol::api::{ProblemKind, SubmissionState};
use tercet_protocol::filter::Filter;
use tercet_protocol::result::{SignedResult, StatisticValue};
use tercet_protocol::survey::SurveyManifest;

use super::notarized::Server;
use super::statistics::{refused, released, statistic};
use super::world::{NOW, Prepared, World};

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
        let (presentation, statement, witnesses) = world.opened_files(presentation, secrets);
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

/// True if two fractions are the same.
fn same((a, b): (i128, i128), (c, d): (i128, i128)) {
    assert_eq!(a * d, c * b);
}

const INCOMES: &str = "'count', 'sum(income)', 'count@segment', 'sum(income)@segment', 'mean(income)@segment', \
                       'variance(income)@segment'";

/// The sum of everybody's income, in tenths, and how many they are.
fn everybody(answer: &SignedResult) -> (i128, Option<u64>) {
    let sum = statistic(answer, "sum(income)");
    let exact = sum.exact.as_ref().unwrap();
    let (a, b): (i128, i128) = (exact.numerator.parse().unwrap(), exact.denominator.parse().unwrap());
    (a * (10 / b), sum.submissions)
}

fn incomes<'a>(people: impl IntoIterator<Item = &'a Person>) -> i128 {
    people.into_iter().map(|p| p.income()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_category_are_exact_and_small_ones_wait() {
    let server = Server::start();
    let listed = format!("{INCOMES}, 'mean(age)', 'mean(age)@segment'");
    let world = World::start_trusting(segments(&listed, 6, 5), server.root(), PATIENCE).await;
    let all = people(0, [12, 9, 5, 2]);
    join(&world, &server, &all).await;
    let listed = world.release().await.unwrap();
    assert_eq!(listed.result.submissions, 28);
    for (segment, label) in [(0, "home"), (1, "work")] {
        let inside: Vec<Person> = all.iter().filter(|p| p.segment == segment).copied().collect();
        let (n, sum) = (inside.len() as i128, incomes(&inside));
        let squares: i128 = inside.iter().map(|p| p.income().pow(2)).sum();
        let of = |name: &str| fraction(statistic(&listed, name), label);
        same(of("count@segment"), (n, 1));
        same(of("sum(income)@segment"), (sum, 10));
        same(of("mean(income)@segment"), (sum, 10 * n));
        same(of("variance(income)@segment"), (n * squares - sum * sum, n * (n - 1) * 100));
        let ages: Vec<i128> = inside.iter().filter_map(|p| p.age).map(i128::from).collect();
        same(of("mean(age)@segment"), (ages.iter().sum(), ages.len() as i128));
        let part = statistic(&listed, "mean(age)@segment").parts.iter().find(|p| p.label == label).unwrap();
        assert_eq!(part.submissions, Some(ages.len() as u64));
    }
    // Five are a unit, and not enough to be shown; two wait, and are in no sum yet.
    assert_eq!(groups(statistic(&listed, "count@segment")), [("home", 12), ("work", 9)]);
    assert_eq!(everybody(&listed), (incomes(all.iter().filter(|p| p.segment < 3)), Some(26)));

    // Nothing that could be told apart by public rows.
    let pro = Filter::default().or("plan", "pro");
    refused(&world, &["sum(income)@segment"], pro.clone(), ProblemKind::StatisticNotPermitted).await;
    refused(&world, &["sum(income)"], pro.clone(), ProblemKind::StatisticNotPermitted).await;
    released(&world, &["count"], pro).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_by_the_difference_of_two_release_points() {
    let server = Server::start();
    let mut world = World::start_trusting(segments(INCOMES, 5, 5), server.root(), PATIENCE).await;
    let first = people(0, [12, 9, 8, 1]);
    join(&world, &server, &first).await;
    let listed = world.release().await.unwrap();
    assert_eq!(groups(statistic(&listed, "count@segment")), [("farm", 8), ("home", 12), ("work", 9)]);
    assert_eq!(everybody(&listed), (incomes(first.iter().filter(|p| p.segment < 3)), Some(29)));
    // Five come, four of them of one group and one of another: no group changes, and nor does everybody.
    let second = people(100, [4, 1, 0, 0]);
    join(&world, &server, &second).await;
    let after = world.release().await.unwrap();
    assert_eq!(after.result.submissions, 35);
    assert_eq!(groups(statistic(&after, "count@segment")), groups(statistic(&listed, "count@segment")));
    assert_eq!(everybody(&after), everybody(&listed));
    // Clocks and units outlast the parties. Five more of whom one makes the four of "home" enough.
    world.restart().await;
    let third = people(200, [1, 1, 1, 2]);
    join(&world, &server, &third).await;
    let last = world.release().await.unwrap();
    assert_eq!(groups(statistic(&last, "count@segment")), [("farm", 8), ("home", 17), ("work", 9)]);
    // Who has waited twice the patience is pooled: the one of "ship" who came first, the one of "work"; too few by themselves.
    world.clock.set(NOW + 9 * 86_400);
    let fourth = people(300, [0, 0, 2, 3]);
    join(&world, &server, &fourth).await;
    let pooled = world.release().await.unwrap();
    let everyone = [first, second, third, fourth].concat();
    // "ship" has 1 + 2 + 3 by now, and is a unit of its own; of the others two and three wait for less than five.
    assert_eq!(
        groups(statistic(&pooled, "count@segment")),
        [("farm", 8), ("home", 17), ("ship", 6), ("work", 9)]
    );
    let waiting = incomes(everyone.iter().filter(|p| (p.segment == 1 || p.segment == 2) && p.uid >= 100));
    assert_eq!(everybody(&pooled), (incomes(&everyone) - waiting, Some(40)));
    // One more of each: all five who waited for long are a unit that no group has.
    let fifth = people(400, [5, 0, 0, 0]);
    join(&world, &server, &fifth).await;
    world.clock.set(NOW + 18 * 86_400);
    let rest = world.release().await.unwrap();
    assert_eq!(
        groups(statistic(&rest, "count@segment")),
        [("farm", 8), ("home", 22), ("ship", 6), ("work", 9)]
    );
    let all = incomes(&everyone) + incomes(&fifth);
    assert_eq!(everybody(&rest), (all, Some(50)));
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_cannot_choose_their_group_or_whether_they_have_a_value() {
    let server = Server::start();
    let world = World::start_trusting(
        segments(&format!("{INCOMES}, 'mean(age)@segment'"), 6, 5),
        server.root(),
        PATIENCE,
    )
    .await;
    let body = r#"{"plan":"pro","income":10.5,"age":null,"segment":"farm","uid":1}"#;
    let (presentation, secrets) = server.notarize(body, &["10.5", "null", "farm"], 9);
    let (presentation, statement, witnesses) = world.opened_files(presentation, secrets);
    // Another column's text, of the same length, under a commitment of the provider's own.
    for (column, text) in [(1, &b"0042"[..]), (1, b"null"), (2, b"ship"), (0, b"99.5")] {
        let mut columns = statement.columns().to_vec();
        let mut witnesses = witnesses.clone();
        witnesses[column].bytes.copy_from_slice(text);
        witnesses[column].blinder[0] ^= 1;
        let preimage = [&witnesses[column].bytes[..], &witnesses[column].blinder[..]];
        let commitment = HashAlg::Blake3.digest(&preimage);
        columns[column].binding = Binding::Hash { alg: HashAlg::Blake3, commitment };
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
        let (_, statement, witnesses) = world.opened_files(presentation, secrets);
        let refused: Result<(), ProveError> =
            tercet_mpc::prove(&statement, &witnesses, &[0; 32], &[7; 32], &mut |_| {}).map(drop);
        assert!(format!("{refused:?}").contains(error), "{refused:?}");
    }
    // The honest one gets in all the same.
    world.accept(&world.prove_all(presentation, &statement, &witnesses, 7)).await;
}
