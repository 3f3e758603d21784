//! The tests of the agreement: the steps one by one, and the exhaustive search.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod model;
mod search;
mod sim;
mod simulated;
mod steps;
