//! Noise end to end: what is released differs from the truth by what the result says, and the budget ends it.

use std::time::Duration;

use tercet_protocol::api::ProblemKind;
use tercet_protocol::filter::Filter;
use tercet_protocol::result::StatisticValue;
use tercet_protocol::survey::SurveyManifest;

use super::honest::values;
use super::statistics::{refused, released};
use super::world::{Prepared, World, cohort, vectors};

/// The sample survey with noise on all that it lists.
fn noised() -> SurveyManifest {
    let noise: String = [("sum", "100"), ("mean", "100"), ("variance", "200"), ("stddev", "200")]
        .map(|(s, e)| format!("[[noise]]\nstatistic = '{s}'\nepsilon = '{e}'\n\n"))
        .concat();
    let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
    let text = text
        .replacen("[[columns]]", &format!("{noise}[[columns]]"), 1)
        .replace("min_new = 5", "min_new = 5\nprivacy_budget = '450'");
    SurveyManifest::from_toml(&text).unwrap()
}

/// A released value as a fraction.
fn exact(value: &StatisticValue) -> (i128, i128) {
    let fraction = value.exact.as_ref().unwrap();
    (fraction.numerator.parse().unwrap(), fraction.denominator.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_added_told_and_counted() {
    let world = World::start(noised(), Duration::from_secs(20)).await;
    let names = cohort();
    let prepared: Vec<Prepared> = names.iter().map(|n| world.prepare(n)).collect();
    futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
    world.until_height(1).await;
    let survey = world.party(1).survey(world.survey_id()).unwrap().clone();
    assert_eq!(survey.lag(), 0);
    survey.behind(1000);
    assert!(survey.lag() > 900);
    let truth: i128 = values(&names).iter().sum();
    let unit = 100_000_000;

    let mut seen = Vec::new();
    for _ in 0..2 {
        let result = released(&world, &["count", "sum", "mean"], Filter::default()).await.result;
        let [count, sum, mean] = &result.statistics[..] else { panic!("{result:?}") };
        assert_eq!(count.value.as_deref(), Some(names.len().to_string().as_str()));
        assert!(count.noise.is_empty());
        let [added] = &sum.noise[..] else { panic!("{sum:?}") };
        assert_eq!((added.sum.as_str(), added.mechanism.as_str()), ("eth_free", "discrete-laplace"));
        assert_eq!(added.epsilon, "100");
        // From -(2^48 - 1) to 2^48 - 1, in units of 10^-8.
        assert_eq!(added.sensitivity, "5629499.5342131");
        assert_eq!(sum.noise, mean.noise);
        let (a, b) = exact(sum);
        let noise = a * (unit / b) - truth;
        // Sixty times sensitivity / epsilon: further out once in 10^26.
        assert!(noise != 0 && noise.abs() < 60 * (1 << 49) / 100, "{noise}");
        // The mean is of the same noised sum.
        let (c, d) = exact(mean);
        assert_eq!(a * d, c * b * names.len() as i128);
        seen.push(noise);
    }
    assert_ne!(seen[0], seen[1]);

    // All three agreed on a session since.
    assert_eq!(survey.lag(), 0);

    // Both sums of a variance have noise, half of its epsilon each.
    let result = released(&world, &["variance"], Filter::default()).await.result;
    let epsilons: Vec<_> =
        result.statistics[0].noise.iter().map(|n| (n.sum.as_str(), n.epsilon.as_str())).collect();
    assert_eq!(epsilons, [("eth_free", "100"), ("eth_free^2", "100")]);

    // 100 + 100 + 200 of 450 are spent. Nothing is drawn for what would be more.
    refused(&world, &["sum"], Filter::default(), ProblemKind::BudgetSpent).await;
    let counted = released(&world, &["count"], Filter::default()).await;
    assert!(counted.result.statistics[0].noise.is_empty());
}
