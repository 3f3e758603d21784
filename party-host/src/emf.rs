//! The metrics that alarms and the dashboard use, as lines on standard output in CloudWatch's embedded metric format. CloudWatch
//! turns such lines of a container's log into metrics, so the party needs no collector beside it that would share its role.
//! Source: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};

use crate::clock::Clock;

/// Time between two writes of the lines.
const EVERY: Duration = Duration::from_secs(60);

/// One metric as the Prometheus exporter renders it: name, labels, value.
type Sample<'t> = (&'t str, Vec<(&'t str, &'t str)>, f64);

/// Writes the metrics every minute, for ever. `names` are the metrics to write; `party` is a dimension of all of them.
pub async fn write(
    handle: PrometheusHandle,
    clock: std::sync::Arc<dyn Clock>,
    namespace: String,
    party: String,
    names: &'static [&'static str],
) {
    let mut writer = Writer { namespace, party, names, before: BTreeMap::new() };
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let lines = writer.lines(&handle.render(), clock.now());
        // One write, so that lines of the log never mix with these. A closed output loses the metric and nothing else.
        let _lost = std::io::stdout().lock().write_all(lines.as_bytes());
    }
}

struct Writer {
    namespace: String,
    party: String,
    names: &'static [&'static str],
    /// Counters as they were last written: CloudWatch adds up the values that it receives.
    before: BTreeMap<String, f64>,
}

impl Writer {
    /// The lines for one rendering of all metrics at `now` (Unix time in seconds).
    fn lines(&mut self, rendered: &str, now: u64) -> String {
        let counters: Vec<&str> =
            rendered.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
        let mut out = String::new();
        for line in rendered.lines() {
            let Some((name, labels, value)) = sample(line) else { continue };
            if !self.names.contains(&name) {
                continue;
            }
            let counted = counters.contains(&name);
            let value = match counted {
                true => value - self.before.insert(key(name, &labels), value).unwrap_or(0.0),
                false => value,
            };
            let unit = if counted { "Count" } else { "None" };
            out.push_str(&self.document(name, &labels, value, unit, now).to_string());
            out.push('\n');
        }
        out
    }

    fn document(&self, name: &str, labels: &[(&str, &str)], value: f64, unit: &str, now: u64) -> Value {
        let mut dimensions = vec![json!(["party"])];
        let mut members =
            Map::from_iter([("party".to_owned(), json!(self.party)), (name.to_owned(), json!(value))]);
        if !labels.is_empty() {
            let named = std::iter::once("party").chain(labels.iter().map(|(label, _)| *label));
            dimensions.push(json!(named.collect::<Vec<_>>()));
            members.extend(labels.iter().map(|(label, text)| ((*label).to_owned(), json!(text))));
        }
        let directive = json!({
            "Namespace": self.namespace, "Dimensions": dimensions, "Metrics": [{"Name": name, "Unit": unit}],
        });
        let stamp = json!({"Timestamp": now.saturating_mul(1000), "CloudWatchMetrics": [directive]});
        members.insert("_aws".to_owned(), stamp);
        Value::Object(members)
    }
}

fn key(name: &str, labels: &[(&str, &str)]) -> String {
    labels.iter().fold(name.to_owned(), |key, (label, value)| format!("{key},{label}={value}"))
}

/// Reads `name{label="value",...} 1.5`. Our label values hold no quotes, commas or braces: they are our own words and hexadecimal ids.
fn sample(line: &str) -> Option<Sample<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let (head, value) = line.rsplit_once(' ')?;
    let value: f64 = value.parse().ok()?;
    let Some((name, labels)) = head.split_once('{') else { return Some((head, Vec::new(), value)) };
    let labels = labels.strip_suffix('}')?.split(',').map(|pair| {
        let (label, text) = pair.split_once('=')?;
        Some((label, text.strip_prefix('"')?.strip_suffix('"')?))
    });
    Some((name, labels.collect::<Option<_>>()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["tercet_submissions_total", "tercet_log_lag"];

    fn writer() -> Writer {
        Writer {
            namespace: "Tercet/Party/p0".into(),
            party: "p0".into(),
            names: NAMES,
            before: BTreeMap::new(),
        }
    }

    fn rendered(count: u64) -> String {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("tercet_submissions_total", "outcome" => "accepted").absolute(count);
            metrics::gauge!("tercet_log_lag", "survey" => "ab".repeat(32)).set(3.0);
            metrics::counter!("tercet_other_total").absolute(9);
        });
        recorder.handle().render()
    }

    #[test]
    fn counters_are_sent_as_what_was_added_and_gauges_as_they_are() {
        let mut writer = writer();
        let mut read = |count| -> Vec<Value> {
            let lines = writer.lines(&rendered(count), 1_795_000_000);
            lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
        };
        for (count, added) in [(5, 5.0), (5, 0.0), (12, 7.0)] {
            let documents = read(count);
            assert_eq!(documents.len(), 2, "{documents:?}");
            let counted = documents.iter().find(|d| d.get(NAMES[0]).is_some()).unwrap();
            assert_eq!((&counted[NAMES[0]], &counted["outcome"]), (&json!(added), &json!("accepted")));
            let lag = documents.iter().find(|d| d.get(NAMES[1]).is_some()).unwrap();
            assert_eq!((&lag[NAMES[1]], &lag["survey"]), (&json!(3.0), &json!("ab".repeat(32))));
        }
    }

    /// The rules of the format: every metric and dimension that the directive names is a member at the top.
    #[test]
    fn directives_name_members_that_exist() {
        for line in writer().lines(&rendered(1), 1_795_000_000).lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            let directive = &document["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(document["_aws"]["Timestamp"], 1_795_000_000_000_u64);
            for name in directive["Dimensions"].as_array().unwrap().iter().flat_map(|d| d.as_array().unwrap())
            {
                assert!(document[name.as_str().unwrap()].is_string(), "{name} in {document}");
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(document[metric["Name"].as_str().unwrap()].is_f64(), "{metric}");
            }
            assert_eq!(directive["Dimensions"][0], json!(["party"]), "alarms look under the party alone");
        }
    }
}
