//! One operator's party: takes sealed shares, checks them with the two other parties in a sandboxed engine,
//! keeps them encrypted in the operator's own bucket, and releases signed statistics under the operator's rules.
//!
//! Owns the operator's keys, log and shares. Never trusts the coordinator or a peer for anything it can check.

#![allow(clippy::result_large_err, reason = "a refusal is a whole problem document; none is on a hot path")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod api;
pub mod aws;
pub mod clock;
pub mod config;
pub mod documents;
pub mod emf;
pub mod health;
pub mod keyring;
pub mod measures;
pub mod node;
pub mod peer;
mod private;
pub mod reload;
pub mod sandbox;
pub mod secrets;
pub mod serve;
pub mod store;
