//! Searches, properties and simulations of the release rules.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod combinations;
mod fraction;
mod orders;
mod people;
mod properties;
mod searches;
mod secrets;
mod simulation;
