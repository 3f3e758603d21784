//! Filters, groups and pairs of columns end to end, and attempts to learn of one person by difference.

use std::collections::BTreeMap;
use std::time::Duration;

use tercet_evidence::{Kind, SurveyVerifier};
use tercet_mpc::order::OrderRequest;
use tercet_mpc::statement::Lane;
use tercet_mpc::{Output, ProveError, fixed};
use tercet_protocol::api::{ProblemKind, QueryState};
use tercet_protocol::filter::Filter;
use tercet_protocol::result::{SignedResult, StatisticValue};
use tercet_protocol::statistic::{Opened, permitted, release};
use tercet_protocol::survey::SurveyManifest;

use super::honest::values;
use super::world::{Prepared, World, cohort, vectors};

/// The sample survey, with the whole part of the BNB balance as a revealed field.
fn grouped() -> SurveyManifest {
    let field =
        "[[fields]]\nname = 'bnb'\nprefix = '{\"asset\":\"BNB\",\"free\":\"'\nsuffix = '.'\n\n[[columns]]";
    let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
    let text = text
        .replacen("[[columns]]", field, 1)
        .replace("method = \"GET\"", "method = \"GET\"\nformat = \"text\"\nmedia_type = \"application/json\"")
        .replace("min_cohort = 10", "min_cohort = 5")
        .replace("min_new = 5", "min_new = 2\nbudget = 100")
        .replace("\"stddev\"]", "\"stddev\", \"quantile\", \"median@bnb\", \"histogram\", \"gini\", \"mode\", \"trimmed_mean\", \"max\", \"mean@bnb\", \"count@bnb\", \"variance@bnb\"]");
    SurveyManifest::from_toml(&text).unwrap()
}

fn bnb(values: &[&str]) -> Filter {
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

/// The parties refuse with this kind, each of them for itself: each has written it down as its own decision.
pub async fn refused(world: &World, statistics: &[&str], filter: Filter, kind: ProblemKind) {
    let QueryState::Refused { problem } = world.query_where(statistics, filter.clone()).await else {
        panic!("{statistics:?} {filter}: released")
    };
    assert_eq!(problem.known(), Some(kind), "{statistics:?} {filter}: {problem}");
    for i in 0..3 {
        let survey = world.party(i).survey(world.survey_id()).unwrap().clone();
        let mut line = None;
        // The followers write a moment after the leader has answered.
        for _ in 0..500 {
            line = survey.store.read_audit(world.survey_id()).await.unwrap().pop();
            let text =
                line.as_ref().map(|(_, l)| String::from_utf8_lossy(l).into_owned()).unwrap_or_default();
            if text.contains(&kind.urn()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let line: serde_json::Value = serde_json::from_slice(&line.unwrap().1).unwrap();
        assert_eq!(line["problem"]["type"], kind.urn(), "party {i}: {line}");
        assert_eq!(
            line["problem"]["party"].as_u64().unwrap_or(i as u64),
            i as u64,
            "party {i} decides by itself"
        );
        assert_eq!(line["where"], serde_json::to_value(&filter).unwrap());
    }
}

/// Everybody's value in 10^-8 units, by the revealed field.
fn by_field(world: &World, names: &[String]) -> BTreeMap<String, Vec<i128>> {
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
    let mut request = OrderRequest::default();
    statistics
        .iter()
        .for_each(|s| request.merge(&s.measure.order(values.len() as u64, manifest.columns[0].places())));
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
        submissions: values.len() as u64,
        lanes,
        sums,
        orders: vec![(0, request, answer)],
        ..Opened::default()
    };
    release(manifest, &statistics, &opened, &BTreeMap::new())
}

/// Sums of what each provider proves of its own value: whole, filtered and grouped, against clear text.
#[tokio::test(flavor = "multi_thread")]
async fn geometric_and_harmonic_means_are_of_positive_values() {
    let names = ["geometric_mean", "harmonic_mean", "mean"];
    let mut manifest = grouped();
    manifest.survey.statistics =
        [&names[..], &["geometric_mean@bnb"]].concat().into_iter().map(Into::into).collect();
    let world = World::start(manifest, Duration::from_secs(20)).await;
    let (zero, positive): (Vec<_>, Vec<_>) =
        cohort().into_iter().partition(|n| values(std::slice::from_ref(n))[0] == 0);
    let (_, statement, witnesses) = world.opened_all(&zero[0]);
    let refused = tercet_mpc::prove(&statement, &witnesses, &[0; 32], &[7; 32], &mut |_| {}).map(drop);
    assert_eq!(refused, Err(ProveError::NotPositive { column: 0 }));

    let prepared: Vec<Prepared> = positive.iter().map(|n| world.prepare(n)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    world.until_height(1).await;
    let groups = by_field(&world, &positive);
    let everybody: Vec<i128> = groups.values().flatten().copied().collect();
    let manifest = world.survey.manifest();
    let result = released(&world, &names, Filter::default()).await;
    assert_eq!(result.result.statistics, clear(manifest, &names, &everybody));
    let near = everybody.iter().map(|v| (*v as f64 / 1e8).ln()).sum::<f64>() / everybody.len() as f64;
    let got: f64 = result.result.statistics[0].value.as_ref().unwrap().parse().unwrap();
    assert!((got / near.exp() - 1.0).abs() < 1e-6, "{got} {near}");
    let (label, values) = groups.iter().max_by_key(|(_, v)| v.len()).unwrap();
    let result = released(&world, &names[..1], bnb(&[label])).await;
    assert_eq!(result.result.statistics, clear(manifest, &names[..1], values));
    let result = released(&world, &["geometric_mean@bnb"], Filter::default()).await;
    let part = result.result.statistics[0].parts.iter().find(|p| p.label == *label).unwrap();
    assert_eq!(part.value, clear(manifest, &names[..1], values)[0].value);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_groups_give_exact_statistics_and_no_differences() {
    let mut world = World::start(grouped(), Duration::from_secs(20)).await;
    let names = cohort();
    let (last, first) = names.split_last().unwrap();
    let prepared: Vec<Prepared> = first.iter().map(|n| world.prepare(n)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    world.until_height(1).await;
    let groups = by_field(&world, first);

    // Groups with five or more rows stand alone, the others stand together.
    let result =
        released(&world, &["count", "sum", "mean@bnb", "count@bnb", "variance@bnb"], Filter::default()).await;
    assert_eq!(result.result.submissions, first.len() as u64);
    let large: Vec<_> = groups.iter().filter(|(_, v)| v.len() >= 5).collect();
    let rest: Vec<i128> = groups.iter().filter(|(_, v)| v.len() < 5).flat_map(|(_, v)| v.clone()).collect();
    assert!(large.len() >= 2 && rest.len() >= 5, "{groups:?}");
    let expected: Vec<(&str, &Vec<i128>)> =
        large.iter().map(|(label, v)| (label.as_str(), *v)).chain([("", &rest)]).collect();
    for s in result.result.statistics.iter().filter(|s| s.statistic.ends_with("@bnb")) {
        assert_eq!(s.parts.len(), expected.len(), "{}", s.statistic);
        for (part, (label, values)) in s.parts.iter().zip(&expected) {
            assert_eq!((part.label.as_str(), part.submissions), (*label, Some(values.len() as u64)));
            let exact = part.exact.as_ref().unwrap();
            let (a, b): (i128, i128) = (exact.numerator.parse().unwrap(), exact.denominator.parse().unwrap());
            let (n, sum) = (values.len() as i128, values.iter().sum::<i128>());
            let squares: i128 = values.iter().map(|v| v * v).sum();
            let unit = 100_000_000;
            let (c, d) = match s.statistic.as_str() {
                "count@bnb" => (n, 1),
                "mean@bnb" => (sum, n * unit),
                _ => (n * squares - sum * sum, n * (n - 1) * unit * unit),
            };
            // a / b is in lowest terms, so c / d is the same iff it is a multiple of it.
            assert!(c % a == 0 && d % b == 0 && c / a == d / b, "{} {label}: {a}/{b}, {c}/{d}", s.statistic);
        }
    }

    // Statistics of the values in order, of everybody, of a filter's rows and of groups, against clear text.
    let ordered =
        ["max", "quantile:0.9", "quantile:0.25", "histogram:0,1,10", "gini", "mode", "trimmed_mean:0.1"];
    let everybody: Vec<i128> = groups.values().flatten().copied().collect();
    let manifest = world.survey.manifest();
    let result = released(&world, &[&ordered[..], &["median@bnb"]].concat(), Filter::default()).await;
    let (grouped, whole) = result.result.statistics.split_last().unwrap();
    assert_eq!(whole, clear(manifest, &ordered, &everybody));
    let medians: Vec<_> =
        expected.iter().map(|(_, v)| clear(manifest, &["quantile:0.5"], v)[0].exact.clone()).collect();
    assert_eq!(grouped.parts.iter().map(|p| p.exact.clone()).collect::<Vec<_>>(), medians);
    let (label, largest) = large[0];
    let result = released(&world, &ordered, bnb(&[label])).await;
    assert_eq!(result.result.statistics, clear(manifest, &ordered, largest));

    // A filter's rows by themselves, with other statistics.
    let result = released(&world, &["sum"], bnb(&[label])).await;
    assert_eq!((result.result.submissions, &result.result.filter), (largest.len() as u64, &bnb(&[label])));
    let exact = result.result.statistics[0].exact.clone().unwrap();
    let (a, b): (i128, i128) = (exact.numerator.parse().unwrap(), exact.denominator.parse().unwrap());
    assert_eq!(a * (100_000_000 / b), largest.iter().sum::<i128>());

    // One person, by a filter, and by everybody less everybody else.
    let loners: Vec<&str> = groups.iter().filter(|(_, v)| v.len() == 1).map(|(l, _)| l.as_str()).collect();
    refused(&world, &["sum"], bnb(&loners[..1]), ProblemKind::CohortTooSmall).await;
    let others: Vec<&str> = groups.keys().map(String::as_str).filter(|l| *l != loners[0]).collect();
    refused(&world, &["mean"], bnb(&others), ProblemKind::CohortTooSmall).await;
    // The rest less all but one of it.
    let small: Vec<&str> =
        groups.iter().filter(|(l, v)| v.len() < 5 && *l != loners[0]).map(|(l, _)| l.as_str()).collect();
    refused(&world, &["mean"], bnb(&small), ProblemKind::CohortTooSmall).await;
    // What is no filter, and what this engine or survey does not do.
    refused(&world, &["mean"], Filter::default().or("country", "DE"), ProblemKind::Malformed).await;
    refused(&world, &["mean(btc)"], Filter::default(), ProblemKind::StatisticNotPermitted).await;

    // Before and after one submission: whole, groups, filter.
    let newcomer = world.prepare(last);
    world.accept(&newcomer).await;
    refused(&world, &["count"], Filter::default(), ProblemKind::TooFewNew).await;
    refused(&world, &["count@bnb"], Filter::default(), ProblemKind::TooFewNew).await;
    let label = by_field(&world, std::slice::from_ref(last)).into_keys().next().unwrap();
    let with: Vec<&str> = groups.keys().map(String::as_str).chain([label.as_str()]).collect();
    refused(&world, &["sum"], bnb(&with), ProblemKind::TooFewNew).await;

    // Rows, fields and releases outlast the parties.
    for i in 0..3 {
        let node = world.parties[i].take().unwrap();
        node.stop(Duration::from_secs(5)).await;
        node.disconnect();
        drop(node);
        world.start_party(i).await;
    }
    refused(&world, &["sum"], bnb(&with), ProblemKind::TooFewNew).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_columns_of_one_response_have_their_product() {
    let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
    let (head, column) = text.split_at(text.find("[[columns]]").unwrap());
    let identity = head.find("[identity]").unwrap();
    let second = column.replace("eth_free", "btc_free").replace("ETH", "BTC");
    let text = format!("{}{column}\n{second}", &head[..identity])
        .replace("min_cohort = 10", "min_cohort = 2")
        .replace("min_new = 5", "min_new = 2")
        .replace("\"variance\", \"stddev\"]", "\"covariance\", \"regression(btc_free,eth_free)\"]");
    let manifest = SurveyManifest::from_toml(&text).unwrap();
    // 48 bits each: the product takes two lanes.
    assert_eq!(manifest.lanes().len(), 2 + 1 + 2);
    let world = World::start(manifest, Duration::from_secs(20)).await;
    // The same account notarized twice; without an identity both count.
    let two = ["0.1.0-alpha.12/two_balances", "0.1.0-alpha.15/two_balances"].map(|n| world.prepare(n));
    for p in &two {
        world.accept(p).await;
    }
    let result =
        released(&world, &["sum", "covariance", "regression(btc_free,eth_free)"], Filter::default()).await;
    let shown: Vec<_> = result
        .result
        .statistics
        .iter()
        .map(|s| (s.statistic.as_str(), s.column.as_deref().unwrap(), s.value.as_deref(), s.unit.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("sum", "eth_free", Some("2469.12"), "ETH"),
            ("sum", "btc_free", Some("1.97530864"), "BTC"),
            // Exactly zero only if the sum of the products is exact.
            ("covariance", "eth_free,btc_free", Some("0"), "ETH*BTC"),
            ("regression(btc_free,eth_free)", "btc_free,eth_free", None, ""),
        ]
    );
}
