//! Metrics in CloudWatch's embedded metric format (EMF): one JSON line on standard output, which CloudWatch turns
//! into metrics without any further request. Namespace `Tercet/Coordinator`, dimension `Function`, for requests also
//! `Route`. Alarms and dashboards refer to the names and units here.

use std::io::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Tercet/Coordinator";

/// The target of metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metrics {
    /// Nowhere. The log still has every request.
    #[default]
    None,
    /// To standard output, for CloudWatch.
    Emf,
}

/// A number with its name and unit.
pub type Measured = (&'static str, &'static str, f64);

impl Metrics {
    /// One answered request of the API. `now_ms`: Unix time in milliseconds.
    pub fn request(self, now_ms: u128, route: &str, status: u16, ms: f64) {
        let one = |yes: bool| f64::from(u8::from(yes));
        let values = [
            ("Requests", "Count", 1.0),
            ("Latency", "Milliseconds", ms),
            ("Errors", "Count", one(status >= 500)),
            ("Refusals", "Count", one((400..500).contains(&status))),
            ("RateLimited", "Count", one(status == 429)),
        ];
        self.emit(now_ms, "api", Some(route), &values);
    }

    /// The outcome of a run of a scheduled function.
    pub fn run(self, now_ms: u128, function: &'static str, values: &[Measured]) {
        self.emit(now_ms, function, None, values);
    }

    fn emit(self, now_ms: u128, function: &str, route: Option<&str>, values: &[Measured]) {
        if self == Self::None {
            return;
        }
        let line = format!("{}\n", document(now_ms, function, route, values));
        // One write, so that lines of concurrent requests never mix. A closed output only loses the metric.
        let _lost = std::io::stdout().lock().write_all(line.as_bytes());
    }
}

fn document(now_ms: u128, function: &str, route: Option<&str>, values: &[Measured]) -> Value {
    let mut dimensions = vec![json!(["Function"])];
    let mut out = Map::from_iter([("Function".to_owned(), json!(function))]);
    if let Some(route) = route {
        dimensions.push(json!(["Function", "Route"]));
        out.insert("Route".to_owned(), json!(route));
    }
    let metrics: Vec<_> = values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics});
    let now = u64::try_from(now_ms).unwrap_or(u64::MAX);
    out.insert("_aws".to_owned(), json!({"Timestamp": now, "CloudWatchMetrics": [directive]}));
    out.extend(values.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))));
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of the format: every metric and dimension named in the directive is a member at the top.
    #[test]
    fn directives_name_members_that_exist() {
        let doc = document(1_795_000_000_000, "api", Some("/v1/surveys"), &[("Requests", "Count", 1.0)]);
        let directive = &doc["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], NAMESPACE);
        for set in directive["Dimensions"].as_array().unwrap() {
            for name in set.as_array().unwrap() {
                assert!(doc[name.as_str().unwrap()].is_string(), "{name}");
            }
        }
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(doc[metric["Name"].as_str().unwrap()].is_f64(), "{metric}");
        }
        assert_eq!(doc["_aws"]["Timestamp"], 1_795_000_000_000_u64);
    }
}
