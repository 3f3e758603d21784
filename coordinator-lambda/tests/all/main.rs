//! The coordinator against a real DynamoDB API and stub parties with real keys: every route and every refusal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admission;
mod costs;
mod crash;
mod documents;
mod lambda;
mod limits;
mod load;
mod notaries;
mod openapi;
mod process;
mod queries;
mod releases;
mod routes;
mod scheduled;
mod status;
mod support;
mod withdrawals;
