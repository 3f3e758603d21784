//! The cloud on one machine: the services around Tercet as loopback servers, without an account, Docker or
//! anything to install.
//!
//! | Module | What it stands in for | How real |
//! |---|---|---|
//! | [`s3`] | Amazon S3 | its API (through `s3s`): signatures, conditional writes, ranges, paged lists |
//! | [`dynamodb`] | Amazon DynamoDB | its API (`dynoxide` over SQLite): conditions, transactions, paging, TTL |
//! | [`exchange`] | the website whose data is proven | TLS 1.3 and 1.2, its own CA, invented accounts |
//! | [`notary`] | a TLSNotary notary | real attestation format, **worthless as proof**: everybody has its key |
//!
//! Each has a `serve` function that starts it on the current Tokio runtime and returns a [`Server`] to stop it
//! with; the binary `tercet-embedded` runs one of them as a process. None of them ever listens on anything but
//! loopback: they are for demonstrations, development and tests, and hold no production data.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod dynamodb;
mod error;
pub mod exchange;
mod files;
pub mod notary;
pub mod s3;
mod server;

pub use error::Error;
pub use server::Server;

/// Tells the time; tests give a fixed one.
pub type Clock = std::sync::Arc<dyn Fn() -> std::time::SystemTime + Send + Sync>;
