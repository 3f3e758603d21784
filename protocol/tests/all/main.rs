//! Tests of surveys and documents, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hidden;
mod releases;
mod statistics;
mod survey;

/// `docs/problems.md` describes every kind of problem.
#[test]
fn every_problem_is_documented() {
    let text = include_str!("../../../docs/problems.md");
    for kind in tercet_protocol::api::ProblemKind::ALL {
        assert!(text.contains(&format!("| `{}` | {} |", kind.slug(), kind.status())), "{}", kind.slug());
    }
}
