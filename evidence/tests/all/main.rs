//! Tests of evidence and policy, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// The beginning of a survey file, on which these tests do not depend.
macro_rules! survey_head {
    () => {
        "[survey]\nname = \"s\"\ntitle = \"s\"\nopens = \"2025-01-01T00:00:00Z\"\ncloses = \"2030-01-01T00:00:00Z\"\n\
         min_cohort = 10\nmin_new = 5\nstatistics = [\"count\", \"mean\"]\n"
    };
}

mod changes;
mod policy;
mod properties;
mod sessions;
mod vectors;

/// The cohort's survey.
const SURVEY: &str = include_str!("../../../tests/fixtures/vectors/survey.toml");

/// `docs/source-rules.md` describes every rule.
#[test]
fn every_rule_is_documented() {
    let text = include_str!("../../../docs/source-rules.md");
    for rule in tercet_evidence::Rule::ALL {
        assert!(text.contains(&format!("| `{}` |", rule.code())), "{}", rule.code());
    }
}
