//! Noise end to end: drawn once for each unit when it enters, and the same for everybody, whatever and how often they
//! ask.

use std::time::Duration;

use tercet_protocol::api::ProblemKind;
use tercet_protocol::filter::Filter;
use tercet_protocol::result::StatisticValue;
use tercet_protocol::survey::SurveyManifest;

use super::honest::values;
use super::statistics::{refused, released, statistic};
use super::world::{Prepared, World, cohort, vectors};

/// The sample survey with noise on all that it lists.
fn noised() -> SurveyManifest {
    let noise: String = [("sum", "100"), ("mean", "100"), ("variance", "200"), ("stddev", "200")]
        .map(|(s, e)| format!("[[noise]]\nstatistic = '{s}'\nepsilon = '{e}'\n\n"))
        .concat();
    let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
    SurveyManifest::from_toml(&text.replacen("[[columns]]", &format!("{noise}[[columns]]"), 1)).unwrap()
}

/// A released value as a fraction.
fn exact(value: &StatisticValue) -> (i128, i128) {
    let fraction = value.exact.as_ref().unwrap();
    (fraction.numerator.parse().unwrap(), fraction.denominator.parse().unwrap())
}

const UNIT: i128 = 100_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_drawn_once_for_each_unit_and_told() {
    let world = World::start(noised(), Duration::from_secs(20)).await;
    let names = cohort();
    let prepared: Vec<Prepared> = names.iter().map(|n| world.prepare(n)).collect();
    let (first, rest) = prepared.split_at(12);
    let listed = world.count(first).await.unwrap();
    let truth: i128 = values(&names[..12]).iter().sum();
    let [count, sum] = ["count", "sum"].map(|n| statistic(&listed, n));
    assert_eq!(count.value.as_deref(), Some("12"));
    assert!(count.noise.is_empty());
    let [added] = &sum.noise[..] else { panic!("{sum:?}") };
    assert_eq!((added.sum.as_str(), added.mechanism.as_str()), ("eth_free", "discrete-laplace"));
    assert_eq!(added.epsilon, "100");
    // From -(2^48 - 1) to 2^48 - 1, in units of 10^-8.
    assert_eq!(added.sensitivity, "5629499.5342131");
    let (a, b) = exact(sum);
    let noise = a * (UNIT / b) - truth;
    // Sixty times sensitivity / epsilon: further out once in 10^26.
    assert!(noise != 0 && noise.abs() < 60 * (1 << 49) / 100, "{noise}");

    // Whoever asks what: of the same noised sum.
    for names in [&["sum", "mean"][..], &["mean"], &["sum"], &["count", "sum"]] {
        let again = released(&world, names, Filter::default()).await;
        for s in &again.result.statistics {
            assert_eq!(s, statistic(&listed, &s.statistic));
        }
    }
    let (c, d) = exact(statistic(&listed, "mean"));
    assert_eq!(a * d, c * b * 12);
    let epsilons: Vec<_> =
        statistic(&listed, "variance").noise.iter().map(|n| (n.sum.as_str(), n.epsilon.as_str())).collect();
    assert_eq!(epsilons, [("eth_free", "100"), ("eth_free^2", "100")]);

    // Another unit has noise of its own; the first one's stays.
    let second = world.count(rest).await.unwrap();
    let (c, d) = exact(statistic(&second, "sum"));
    let all: i128 = values(&names).iter().sum();
    let both = c * (UNIT / d) - all;
    assert!(both != noise && (both - noise).abs() < 60 * (1 << 49) / 100, "{both} {noise}");
    let one: f64 = added.deviation.parse().unwrap();
    let two: f64 = statistic(&second, "sum").noise[0].deviation.parse().unwrap();
    assert!((two / one - 2f64.sqrt()).abs() < 1e-9, "{one} {two}");
    refused(&world, &["median"], Filter::default(), ProblemKind::StatisticNotPermitted).await;
    let counted = released(&world, &["count"], Filter::default()).await;
    assert_eq!(counted.result.statistics[0].value.as_deref(), Some("24"));
}
