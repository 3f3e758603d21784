//! Filters, groups, order statistics and pairs of columns end to end, at release points, against clear text.

use std::collections::BTreeMap;
use std::time::Duration;

use party_host::clock::Clock as _;
use tercet_evidence::{Kind, SurveyVerifier};
use tercet_mpc::order::OrderRequest;
use tercet_mpc::statement::Lane;
use tercet_mpc::{Output, ProveError, fixed};
use tercet_protocol::api::{ProblemKind, QueryState};
use tercet_protocol::filter::Filter;
use tercet_protocol::result::{SignedResult, StatisticValue};
use tercet_protocol::statistic::{Opened, Ordered, Scope, permitted, release};
use tercet_protocol::survey::SurveyManifest;

use super::honest::values;
use super::notarized::Server;
use super::world::{NOW, Prepared, World, cohort, vectors};

/// The statistics of values in order that [`grouped`] lists.
pub const ORDERED: [&str; 2] = ["max", "median"];

/// The sample survey, with the whole part of the BNB balance as a revealed field.
pub fn grouped() -> SurveyManifest {
    let field =
        "[[fields]]\nname = 'bnb'\nprefix = '{\"asset\":\"BNB\",\"free\":\"'\nsuffix = '.'\n\n[[columns]]";
    let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
    let text = text
        .replacen("[[columns]]", field, 1)
        .replace("method = \"GET\"", "method = \"GET\"\nformat = \"text\"\nmedia_type = \"application/json\"")
        .replace("min_cohort = 10", "min_cohort = 5")
        .replace("min_new = 5", "min_new = 5\nexposes = [\"max\"]")
        .replace(
            "\"stddev\"]",
            "\"stddev\", \"median\", \"max\", \"mean@bnb\", \"count@bnb\", \"variance@bnb\"]",
        );
    SurveyManifest::from_toml(&text).unwrap()
}

pub fn bnb(values: &[&str]) -> Filter {
    values.iter().fold(Filter::default(), |f, v| f.or("bnb", v))
}

pub async fn released(world: &World, statistics: &[&str], filter: Filter) -> SignedResult {
    match world.query_where(statistics, filter).await {
        QueryState::Done { result } => {
            result.verify(world.survey.parties()).unwrap();
            result
        }
        other => panic!("{statistics:?}: {other:?}"),
    }
}

/// The rules refuse with this kind, before any session: no party's log or store notices.
pub async fn refused(world: &World, statistics: &[&str], filter: Filter, kind: ProblemKind) {
    let sessions = world.sessions();
    let QueryState::Refused { problem } = world.query_where(statistics, filter.clone()).await else {
        panic!("{statistics:?} {filter}: released")
    };
    assert_eq!(problem.known(), Some(kind), "{statistics:?} {filter}: {problem}");
    assert_eq!(world.sessions(), sessions, "a session was opened for what the rules refuse");
}

/// A statistic of an answer.
pub fn statistic<'a>(answer: &'a SignedResult, name: &str) -> &'a StatisticValue {
    let found = answer.result.statistics.iter().find(|s| s.statistic == name);
    found.unwrap_or_else(|| panic!("{name} is not in {:?}", answer.result.statistics))
}

/// Everybody's value in 10^-8 units, by the revealed field.
pub fn by_field(world: &World, names: &[String]) -> BTreeMap<String, Vec<i128>> {
    let verifier = SurveyVerifier::new(&world.survey).unwrap();
    let mut groups: BTreeMap<String, Vec<i128>> = BTreeMap::new();
    for (name, value) in names.iter().zip(values(names)) {
        let presentation = std::fs::read(vectors().join(name).join("presentation.bin")).unwrap();
        let (_, admitted) = verifier.check(Kind::Presentation, &presentation).unwrap();
        groups.entry(admitted.fields[0].clone()).or_default().push(value);
    }
    groups
}

/// Statistics of one column in clear text: the evaluation itself is compared with numpy elsewhere.
pub fn clear(manifest: &SurveyManifest, names: &[&str], values: &[i128]) -> Vec<StatisticValue> {
    let statistics: Vec<_> = names.iter().map(|n| permitted(manifest, n).unwrap()).collect();
    let integers: Vec<i64> = values.iter().map(|v| i64::try_from(*v).unwrap()).collect();
    let count = values.len() as u64;
    let mut request = OrderRequest::default();
    statistics.iter().for_each(|s| request.merge(&s.measure.order(count, manifest.columns[0].scale)));
    let answer = request.answer(&integers);
    let lanes = manifest.lanes();
    let sum = |lane: &Lane| match lane.output {
        Output::Value(_) => values.iter().sum::<i128>() as u128,
        Output::Square(_) => values.iter().map(|v| v * v).sum::<i128>() as u128,
        Output::Log(_) => integers.iter().map(|v| u128::from(fixed::log2(v.unsigned_abs()))).sum(),
        Output::Reciprocal(_) => {
            let bits = manifest.columns[0].bits.into();
            integers.iter().map(|v| fixed::reciprocal(v.unsigned_abs(), bits)).sum()
        }
        Output::Product(..) | Output::Present(_) | Output::Given(..) => panic!("a survey of one column"),
    };
    let sums = lanes.iter().map(sum).collect();
    let opened = Opened {
        submissions: count,
        lanes,
        sums,
        orders: vec![Ordered { column: 0, values: count, request, answer }],
        ..Opened::default()
    };
    let opened = BTreeMap::from([(Scope::default(), opened)]);
    release(manifest, &statistics, &|_, _| None, &opened)
}

/// Sums of numbers that each provider proves about its own value: whole, filtered and grouped, against clear text.
#[tokio::test(flavor = "multi_thread")]
async fn geometric_and_harmonic_means_are_of_positive_values() {
    let names = ["geometric_mean", "harmonic_mean", "mean"];
    let mut manifest = grouped();
    manifest.survey.exposes.clear();
    manifest.survey.statistics =
        [&names[..], &["geometric_mean@bnb"]].concat().into_iter().map(Into::into).collect();
    manifest.survey.min_new = 9;
    let world = World::start(manifest, Duration::from_secs(20)).await;
    let (zero, positive): (Vec<_>, Vec<_>) =
        cohort().into_iter().partition(|n| values(std::slice::from_ref(n))[0] == 0);
    let (_, statement, witnesses) = world.opened_all(&zero[0]);
    let refused = tercet_mpc::prove(&statement, &witnesses, &[0; 32], &[7; 32], &mut |_| {}).map(drop);
    assert_eq!(refused, Err(ProveError::NotPositive { column: 0 }));

    let prepared: Vec<Prepared> = positive.iter().map(|n| world.prepare(n)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    // Nobody's label is frequent enough, so all wait until they give it up.
    world.clock.set(NOW + 10 * 86_400);
    world.release().await;
    let groups = by_field(&world, &positive);
    let everybody: Vec<i128> = groups.values().flatten().copied().collect();
    let manifest = world.survey.manifest();
    let result = released(&world, &names, Filter::default()).await;
    assert_eq!(result.result.statistics, clear(manifest, &names, &everybody));
    let near = everybody.iter().map(|v| (*v as f64 / 1e8).ln()).sum::<f64>() / everybody.len() as f64;
    let got: f64 = result.result.statistics[0].value.as_ref().unwrap().parse().unwrap();
    assert!((got / near.exp() - 1.0).abs() < 1e-6, "{got} {near}");
    assert_eq!(result.result.release.units, 1);
}

/// The exact value of a part.
fn exact(part: &tercet_protocol::result::PartValue) -> (i128, i128) {
    let exact = part.exact.as_ref().unwrap();
    (exact.numerator.parse().unwrap(), exact.denominator.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_groups_are_of_whole_units_and_exact() {
    let mut world = World::start(grouped(), Duration::from_secs(20)).await;
    let names = cohort();
    let prepared: Vec<Prepared> = names.iter().map(|n| world.prepare(n)).collect();
    assert!(matches!(world.query(&["count"]).await, QueryState::Refused { problem }
        if problem.known() == Some(ProblemKind::NothingReleased)));
    let first = world.count(&prepared).await.unwrap();
    let groups = by_field(&world, &names);
    let large: Vec<(&String, &Vec<i128>)> = groups.iter().filter(|(_, v)| v.len() >= 5).collect();
    let told: Vec<i128> = large.iter().flat_map(|(_, v)| (*v).clone()).collect();
    let everybody: Vec<i128> = groups.values().flatten().copied().collect();
    assert!(large.len() >= 2 && everybody.len() - told.len() >= 5, "{groups:?}");
    // Labels that five share are units; the others wait.
    assert_eq!(first.result.submissions, told.len() as u64);
    assert_eq!((first.result.release.number, first.result.release.units), (1, large.len() as u64));
    let manifest = world.survey.manifest().clone();
    let sums = ["count", "mean", "stddev", "sum", "variance"];
    for clear in clear(&manifest, &[&sums[..], &ORDERED].concat(), &told) {
        assert_eq!(*statistic(&first, &clear.statistic), clear);
    }

    // Those who waited long enough give up their label, and are not told apart.
    world.clock.set(NOW + 5 * 86_400);
    let second = world.release().await.unwrap();
    assert_eq!(second.result.submissions, everybody.len() as u64);
    for clear in clear(&manifest, &sums, &everybody) {
        assert_eq!(*statistic(&second, &clear.statistic), clear);
    }
    for name in ["mean@bnb", "count@bnb", "variance@bnb"] {
        let s = statistic(&second, name);
        assert_eq!(s.not_told_apart, Some((everybody.len() - told.len()) as u64));
        assert_eq!(s.parts.len(), large.len());
        for (part, (label, values)) in s.parts.iter().zip(&large) {
            assert_eq!((&part.label, part.submissions), (*label, Some(values.len() as u64)));
            let (a, b) = exact(part);
            let (n, sum) = (values.len() as i128, values.iter().sum::<i128>());
            let squares: i128 = values.iter().map(|v| v * v).sum();
            let unit = 100_000_000;
            let (c, d) = match name {
                "count@bnb" => (n, 1),
                "mean@bnb" => (sum, n * unit),
                _ => (n * squares - sum * sum, n * (n - 1) * unit * unit),
            };
            // a / b is in lowest terms, so c / d is the same iff it is a multiple of it.
            assert!(c % a == 0 && d % b == 0 && c / a == d / b, "{name} {label}: {a}/{b}, {c}/{d}");
        }
    }
    // Values in order: anew only if enough have entered; otherwise those of the first release point.
    let lists = manifest.order_lists();
    let least = lists.iter().find(|l| l.column == 0 && l.field.is_none()).unwrap().least;
    let entered = (everybody.len() - told.len()) as u64;
    for name in ORDERED {
        let (of, point) = if entered >= least { (&everybody, None) } else { (&told, Some(1)) };
        let clear = &clear(&manifest, &[name], of)[0];
        let got = statistic(&second, name);
        assert_eq!((&got.value, &got.exact, got.release), (&clear.value, &clear.exact, point), "{name}");
    }

    // A filter's units, and what it does not tell apart.
    let (label, largest) = large[0];
    let result = released(&world, &["sum"], bnb(&[label])).await;
    assert_eq!(result.result.statistics, clear(&manifest, &["sum"], largest));
    assert_eq!(result.result.not_told_apart, Some((everybody.len() - told.len()) as u64));
    let both: Vec<&str> = large.iter().map(|(l, _)| l.as_str()).collect();
    let result = released(&world, &["mean", "count"], bnb(&both)).await;
    assert_eq!(statistic(&result, "mean"), &clear(&manifest, &["mean"], &told)[0]);

    // One person, by a filter; values in order of a group; what is no filter, and what this survey does not do.
    let loner = groups.iter().find(|(_, v)| v.len() == 1).unwrap().0;
    refused(&world, &["sum"], bnb(&[loner]), ProblemKind::CohortTooSmall).await;
    refused(&world, &["median"], bnb(&[label]), ProblemKind::StatisticNotPermitted).await;
    refused(&world, &["mean"], Filter::default().or("country", "DE"), ProblemKind::StatisticNotPermitted)
        .await;
    refused(&world, &["mean(btc)"], Filter::default(), ProblemKind::StatisticNotPermitted).await;
    refused(&world, &["quantile:0.9"], Filter::default(), ProblemKind::StatisticNotPermitted).await;

    // What was published outlasts the parties, and stays what it was.
    world.restart().await;
    assert_eq!(world.published(1).await.unwrap(), first);
    assert_eq!(world.published(2).await.unwrap(), second);
    assert_eq!(world.clock.now(), NOW + 5 * 86_400);
}

/// A survey of two balances of 48 bits each, whose product takes two lanes.
fn balances() -> SurveyManifest {
    let column = |name: &str, unit: &str| {
        format!(
            "[[columns]]\nname = '{name}'\nunit = '{unit}'\nprefix = '\"{name}\":'\nsuffix = ','\nscale = 2\nbits = 48\n\n"
        )
    };
    let text = format!(
        r#"
[survey]
name = 'balances'
title = 'Two balances'
opens = '2025-01-01T00:00:00Z'
closes = '2030-01-01T00:00:00Z'
min_cohort = 7
min_new = 7
statistics = ['covariance', 'regression(b,a)', 'sum']

{source}
[identity]
prefix = '"uid":'
suffix = '}}'

{a}{b}"#,
        source = Server::source(),
        a = column("a", "ETH"),
        b = column("b", "BTC"),
    );
    SurveyManifest::from_toml(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_columns_of_one_response_have_their_product() {
    let server = Server::start();
    let manifest = balances();
    assert_eq!(manifest.lanes().len(), 2 + 1 + 2);
    let world = World::start_trusting(manifest, server.root(), Duration::from_secs(20)).await;
    let hundredths = |uid: i128| (12_345_678_901 + 7 * uid * uid, 99 + 100 * uid);
    let prepared: Vec<Prepared> = (0..8u32)
        .map(|uid| {
            let (a, b) = hundredths(uid.into());
            let text = |n: i128| format!("{}.{:02}", n / 100, n % 100);
            let (a, b) = (text(a), text(b));
            let body = format!(r#"{{"a":{a},"b":{b},"uid":{uid}}}"#);
            let (presentation, secrets) = server.notarize(&body, &[&a, &b], uid.into());
            let (presentation, statement, witnesses) = world.opened_files(presentation, secrets);
            world.prove_all(presentation, &statement, &witnesses, 7)
        })
        .collect();
    let listed = world.count(&prepared).await.unwrap();
    let rows: Vec<(i128, i128)> = (0..8).map(hundredths).collect();
    let n = rows.len() as i128;
    let (a, b): (i128, i128) = (rows.iter().map(|r| r.0).sum(), rows.iter().map(|r| r.1).sum());
    let products: i128 = rows.iter().map(|(a, b)| a * b).sum();
    let squares: i128 = rows.iter().map(|(_, b)| b * b).sum();
    let same = |(x, y): (i128, i128), (c, d): (i128, i128)| assert_eq!(x * d, y * c);
    let value = |name: &str, column: &str| {
        let of = |s: &&StatisticValue| s.statistic == name && s.column.as_deref() == Some(column);
        listed.result.statistics.iter().find(of).unwrap()
    };
    let fraction = |f: &tercet_protocol::result::Fraction| {
        (f.numerator.parse::<i128>().unwrap(), f.denominator.parse::<i128>().unwrap())
    };
    same(fraction(value("sum", "a").exact.as_ref().unwrap()), (a, 100));
    same(fraction(value("sum", "b").exact.as_ref().unwrap()), (b, 100));
    // Right only if the sum of the products is exact.
    let covariance = value("covariance", "a,b");
    assert_eq!(covariance.unit, "ETH*BTC");
    same(fraction(covariance.exact.as_ref().unwrap()), (n * products - a * b, n * (n - 1) * 10_000));
    let slope = &value("regression(b,a)", "b,a").parts[0];
    assert_eq!((slope.label.as_str(), slope.unit.as_str()), ("slope", "ETH/BTC"));
    same(fraction(slope.exact.as_ref().unwrap()), (n * products - a * b, n * squares - b * b));
}
