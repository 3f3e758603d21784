//! The services as their users see them: through the AWS SDKs, a TLS client and the binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dynamodb;
mod exchange;
mod notary;
mod process;
mod s3;
mod support;
