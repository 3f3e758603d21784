//! One binary for all of the client's integration tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixtures;
mod vectors;
