//! The whole system as its users run it: separate processes, real sockets, real files, killed at will.
//!
//! Needs the built programs and engine: `cargo xtask test` builds them first.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cohort;
mod crash;
mod start;
mod world;
