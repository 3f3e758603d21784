//! The tests of the agreement: the steps one by one, and the exhaustive search.

#![allow(
    clippy::needless_range_loop,
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::wrong_self_convention,
    reason = "a model of three parties counts them by index, and fails by panicking"
)]

mod model;
mod search;
mod sim;
mod simulated;
mod steps;
