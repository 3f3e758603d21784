//! One binary for all of the crate's integration tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sessions;
