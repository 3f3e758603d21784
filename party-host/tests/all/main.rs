//! Integration tests of the party host, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod approvals;
mod aws;
mod bounds;
mod parties;
mod peer;
mod refusals;
mod reload;
mod sandbox;
mod starting;
mod store;
