//! The coordinator: admission, rate limits, the registry of submissions and queries, and the cached statistics,
//! as one axum router that runs on Lambda or as a local server.
//!
//! Owns everything in the DynamoDB table. Trusted for availability only: each party checks for itself what
//! matters. Never holds a share, a secret of a provider or a key of a party.

pub mod admission;
pub mod api;
pub mod aws;
pub mod clock;
pub mod config;
pub mod coordinator;
pub mod error;
pub mod metrics;
mod notaries;
pub mod parties;
pub mod queries;
pub mod releases;
pub mod scheduled;
pub mod secrets;
pub mod settle;
pub mod store;
pub mod surveys;
pub mod token;
pub mod withdrawals;

pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use coordinator::Coordinator;
