//! One binary for all of the client's integration tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;
mod doctor;
mod exchanges;
mod field_cases;
mod fixtures;
mod latency;
mod leaving;
mod notarizing;
mod operators;
mod querying;
mod recording;
mod standing;
mod storing;
mod stub;
mod submitting;
mod vectors;
mod zoo;
