//! Released values: order, columns, units, groups.

use std::collections::BTreeMap;

use tercet_mpc::fixed;
use tercet_mpc::statement::{Lane, Part};
use tercet_protocol::filter::Filter;
use tercet_protocol::statistic::{Opened, Ordered, Scope, Target, permitted, release, targets};
use tercet_protocol::survey::SurveyManifest;

use crate::survey::wide;

const ALL: &str = "\"variance\", \"quantile:0.5\", \"covariance\", \"regression\", \"mean@country\"";

/// The numbers that the parties would open about rows of two columns.
fn opened(survey: &SurveyManifest, names: &[&str], rows: &[[i64; 2]]) -> Opened {
    use tercet_mpc::Output;
    let lanes: Vec<Lane> = survey.lanes();
    let sum = |lane: &Lane| -> u128 {
        let of = |r: &[i64; 2]| match lane.output {
            Output::Value(c) => i128::from(r[usize::from(c)]),
            Output::Square(c) => i128::from(r[usize::from(c)]).pow(2),
            Output::Product(a, b) => i128::from(r[usize::from(a)]) * i128::from(r[usize::from(b)]),
            Output::Log(c) => fixed::log2(r[usize::from(c)].unsigned_abs()).into(),
            Output::Reciprocal(c) => {
                let bits = survey.columns[usize::from(c)].bits.into();
                fixed::reciprocal(r[usize::from(c)].unsigned_abs(), bits) as i128
            }
            Output::Present(_) | Output::Given(..) => panic!("columns that may not be missing"),
        };
        let part = |v: i128| match lane.part {
            Part::Whole => v,
            Part::Low => v & i128::from(u64::MAX),
            Part::High => v >> 64,
        };
        rows.iter().map(of).map(part).sum::<i128>() as u128
    };
    let sums = lanes.iter().map(sum).collect();
    let mut this = Opened { submissions: rows.len() as u64, lanes, sums, ..Opened::default() };
    for name in names {
        let statistic = permitted(survey, name).unwrap();
        for target in targets(survey, statistic.family(), &statistic.columns) {
            if let Target::One(c) = target {
                let request = statistic.measure.order(this.submissions, survey.columns[usize::from(c)].scale);
                let values: Vec<i64> = rows.iter().map(|r| r[usize::from(c)]).collect();
                let answer = request.answer(&values);
                this.orders.push(Ordered { column: c, values: values.len() as u64, request, answer });
            }
        }
    }
    this
}

#[test]
fn values_come_in_the_order_asked_for_each_column_with_their_units() {
    let survey = SurveyManifest::from_toml(&wide(ALL)).unwrap();
    let names =
        ["quantile:0.5(btc)", "count", "variance", "covariance", "regression(btc,eth_free)", "mean@country"];
    let rows = [[100, 300], [200, 500], [300, 700]].map(|r: [i64; 2]| r.map(|v| v * 1_000_000));
    let statistics: Vec<_> = names.iter().map(|n| permitted(&survey, n).unwrap()).collect();
    let whole = opened(&survey, &names[..1], &rows);
    let group = |label: &str, rows: &[[i64; 2]]| {
        let scope = Scope { group: Some(("country".into(), label.into())), partition: None };
        (scope, opened(&survey, &[], rows))
    };
    let everything =
        BTreeMap::from([(Scope::default(), whole), group("DE", &rows[..2]), group("FR", &rows[2..])]);
    let released = release(&survey, &statistics, &|_, _| None, &everything);
    let shown: Vec<_> = released
        .iter()
        .map(|s| {
            (
                s.statistic.as_str(),
                s.column.as_deref().unwrap_or("-"),
                s.value.as_deref().unwrap_or("-"),
                s.unit.as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("quantile:0.5(btc)", "btc", "5", "BTC"),
            ("count", "-", "3", ""),
            ("variance", "eth_free", "1", "ETH^2"),
            ("variance", "btc", "4", "BTC^2"),
            ("covariance", "eth_free,btc", "2", "ETH*BTC"),
            ("regression(btc,eth_free)", "btc,eth_free", "-", ""),
            ("mean@country", "eth_free", "-", "ETH"),
            ("mean@country", "btc", "-", "BTC"),
        ]
    );
    let parts = |i: usize| -> Vec<_> {
        let part = |p: &tercet_protocol::result::PartValue| {
            (p.label.clone(), p.submissions, p.value.clone().unwrap(), p.unit.clone())
        };
        released[i].parts.iter().map(part).collect()
    };
    let line = [("slope", "0.5", "ETH/BTC"), ("intercept", "-0.5", "ETH")];
    assert_eq!(parts(5), line.map(|(l, v, u)| (l.into(), None, v.into(), u.into())));
    let groups = [("DE", 2, "4", "BTC"), ("FR", 1, "7", "BTC")];
    assert_eq!(parts(7), groups.map(|(l, n, v, u)| (l.into(), Some(n), v.into(), u.into())));
}

#[test]
fn what_is_undefined_has_no_value_and_no_parts() {
    let survey = SurveyManifest::from_toml(&wide(ALL)).unwrap();
    let statistics = ["variance", "regression"].map(|n| permitted(&survey, n).unwrap());
    let one = BTreeMap::from([(Scope::default(), opened(&survey, &[], &[[1, 2]]))]);
    let released = release(&survey, &statistics, &|_, _| None, &one);
    assert_eq!(released.len(), 3);
    assert!(released.iter().all(|s| s.value.is_none() && s.parts.is_empty() && s.exact.is_none()));
}

#[test]
fn filters_name_fields_and_values_that_exist() {
    let survey = SurveyManifest::from_toml(&wide("\"gini\"")).unwrap();
    let filter = Filter::default().or("country", "DE").or("country", "FR");
    assert_eq!(filter.check(&survey), Ok(()));
    assert_eq!(filter.to_string(), "country=DE,FR");
    assert!(filter.matches(&survey, |_| Some("FR")) && !filter.matches(&survey, |_| Some("IT")));
    assert!(Filter::default().matches(&survey, |_| None));
    assert_eq!(serde_json::to_string(&filter).unwrap(), r#"{"country":["DE","FR"]}"#);
    for bad in [Filter::default().or("city", "DE"), Filter::default().or("country", "IT")] {
        assert!(bad.check(&survey).is_err(), "{bad}");
    }
    let narrowed = filter.and("country", &["FR".to_owned(), "IT".to_owned()].into());
    assert_eq!(narrowed, Filter::default().or("country", "FR"));
    let nothing = narrowed.and("country", &["DE".to_owned()].into());
    assert!(!nothing.matches(&survey, |_| Some("FR")) && nothing.check(&survey).is_err());
}
