//! Tests of evidence and policy, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod policy;
mod properties;
mod vectors;

/// The cohort's survey.
const SURVEY: &str = include_str!("../../../tests/fixtures/vectors/survey.toml");
