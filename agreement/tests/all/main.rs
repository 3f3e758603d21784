//! The tests of the agreement: the steps one by one, and the exhaustive search.

mod model;
mod search;
mod steps;
