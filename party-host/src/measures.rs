//! The party's metrics by name. A test checks that all metrics which Terraform watches in CloudWatch are among them.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

/// Decided submissions; label `outcome`: `accepted` or `rejected`.
pub const SUBMISSIONS: &str = "tercet_submissions_total";
/// Seconds from proposing a batch to its end.
pub const BATCH_SECONDS: &str = "tercet_batch_seconds";
/// Height of a survey's log; label `survey`.
pub const LOG_HEIGHT: &str = "tercet_log_height";
/// The highest height that a peer has shown, minus this party's; label `survey`.
pub const LOG_LAG: &str = "tercet_log_lag";
/// Sessions with the peers that ended early; label `reason`.
pub const SESSIONS_FAILED: &str = "tercet_sessions_failed_total";
/// Results that were released.
pub const RELEASES: &str = "tercet_releases_total";
/// Queries that the release rules refused.
pub const REFUSALS: &str = "tercet_refusals_total";
/// Exchanges of the engine.
pub const ENGINE_ROUNDS: &str = "tercet_engine_rounds_total";
/// Gates that the engine evaluated.
pub const ENGINE_GATES: &str = "tercet_engine_gates_total";
/// Answered requests; labels `route` and `status`.
pub const HTTP_REQUESTS: &str = "tercet_http_requests_total";
/// Seconds until the answer; label `route`.
pub const HTTP_SECONDS: &str = "tercet_http_request_seconds";

/// Changed documents that were not taken while the party ran; label `document`: `federation` or `surveys`.
pub const DOCUMENTS_REFUSED: &str = "tercet_documents_refused_total";

/// The metrics of Terraform's alarms and dashboard, which [`crate::emf`] sends to CloudWatch.
pub const WATCHED: &[&str] = &[SESSIONS_FAILED, SUBMISSIONS, LOG_HEIGHT, LOG_LAG, RELEASES, REFUSALS];

/// Describes all metrics to the exporter, and shows counters before their first event: a reader that comes every
/// minute would otherwise take the first event for the counter's beginning.
pub fn announce() {
    describe_counter!(SUBMISSIONS, "Decided submissions");
    describe_histogram!(BATCH_SECONDS, "Seconds from proposing a batch to its end");
    describe_gauge!(LOG_HEIGHT, "Height of a survey's log");
    describe_gauge!(LOG_LAG, "Entries by which the log is behind the highest that a peer has shown");
    describe_counter!(SESSIONS_FAILED, "Sessions with the peers that ended early");
    describe_counter!(RELEASES, "Results that were released");
    describe_counter!(REFUSALS, "Queries that the release rules refused");
    describe_counter!(ENGINE_ROUNDS, "Exchanges of the engine");
    describe_counter!(ENGINE_GATES, "Gates that the engine evaluated");
    describe_counter!(HTTP_REQUESTS, "Answered requests");
    describe_histogram!(HTTP_SECONDS, "Seconds until the answer");
    describe_counter!(DOCUMENTS_REFUSED, "Changed documents that were not taken while the party ran");
    for document in ["federation", "surveys"] {
        counter!(DOCUMENTS_REFUSED, "document" => document).absolute(0);
    }
    for outcome in ["accepted", "rejected"] {
        counter!(SUBMISSIONS, "outcome" => outcome).absolute(0);
    }
    for name in [RELEASES, REFUSALS] {
        counter!(name).absolute(0);
    }
    // The reason that an operator has to act on (docs/operators.md).
    for reason in ["disagreement", "engine-abort", "split"] {
        counter!(SESSIONS_FAILED, "reason" => reason).absolute(0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Every name with the labels that it is counted under.
    fn known() -> BTreeMap<&'static str, &'static [&'static str]> {
        BTreeMap::from([
            (SUBMISSIONS, &["outcome"] as &[_]),
            (BATCH_SECONDS, &[]),
            (LOG_HEIGHT, &["survey"]),
            (LOG_LAG, &["survey"]),
            (SESSIONS_FAILED, &["reason"]),
            (RELEASES, &[]),
            (REFUSALS, &[]),
            (ENGINE_ROUNDS, &[]),
            (ENGINE_GATES, &[]),
            (HTTP_REQUESTS, &["route", "status"]),
            (HTTP_SECONDS, &["route"]),
            (DOCUMENTS_REFUSED, &["document"]),
        ])
    }

    fn terraform(file: &str) -> String {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform/modules/party");
        std::fs::read_to_string(root.join(file)).unwrap()
    }

    fn names(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
            .filter(|word| word.starts_with("tercet_"))
            .collect()
    }

    #[test]
    fn what_terraform_watches_is_what_the_party_counts() {
        let text = terraform("observe.tf");
        let known = known();
        let sent: BTreeSet<&str> = WATCHED.iter().copied().collect();
        assert!(sent.iter().all(|name| known.contains_key(name)), "{sent:?}");
        // Alarms and dashboard use nothing that is not sent.
        let used = names(&text);
        assert!(used.len() >= 5 && used.is_subset(&sent), "{used:?}, but only {sent:?} are sent");
        // The runbook's list too is of metrics that there are.
        let runbook = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md");
        let runbook = std::fs::read_to_string(runbook).unwrap();
        for name in names(&runbook) {
            assert!(known.contains_key(name), "docs/operators.md names {name}");
        }
    }

    #[test]
    fn counters_are_there_from_the_start() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, announce);
        let text = recorder.handle().render();
        for line in [
            "tercet_submissions_total{outcome=\"accepted\"} 0",
            "tercet_sessions_failed_total{reason=\"engine-abort\"} 0",
            "tercet_releases_total 0",
            "tercet_refusals_total 0",
            "# HELP tercet_releases_total Results that were released",
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
    }

    /// The alarm counts the failures of a peer that contradicts this party, and none that an ordinary restart causes.
    #[test]
    fn the_alarm_for_cheating_counts_no_ordinary_failure() {
        let text = terraform("service.tf");
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node/session/error.rs");
        let source = std::fs::read_to_string(source).unwrap();
        let codes: BTreeSet<_> = text
            .split("$.fields.code = \\\"")
            .skip(1)
            .map(|code| code.split_once("\\\"").unwrap().0)
            .collect();
        assert!(codes.contains("disagreement"), "{codes:?}");
        for code in &codes {
            assert!(source.contains(&format!("=> \"{code}\",")), "no session ends with \"{code}\"");
        }
        for ordinary in ["peer", "late", "behind", "peer-behind", "lacking", "finished", "occupied", "store"]
        {
            assert!(!codes.contains(ordinary), "{ordinary} is no contradiction");
        }
    }
}
