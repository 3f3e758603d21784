//! The tests of the agreement: the steps one by one, and the exhaustive search.

mod model;
mod search;
mod sim;
mod simulated;
mod steps;
