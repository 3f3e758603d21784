//! The notary: forwards a provider's TLS 1.3 connection to a survey's server and signs the bytes that passed.
//!
//! It sees ciphertext, the provider's address, the server's name and the time. It resolves the server's name itself,
//! connects only to a global address that all of its resolvers name, takes nothing for granted that a provider says,
//! and keeps nothing but counters.
//!
//! **Everything rests on this**: the peer that the notary connects to is the server, and nobody alters bytes between
//! the two. A provider has the keys of its session; somebody who controls the notary's path can forge, together with
//! a provider.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod address;
mod aws;
pub mod config;
mod gate;
pub mod health;
mod http;
mod relay;
mod resolve;
mod secrets;
pub mod serve;
mod session;
mod surveys;
mod tickets;

use std::path::Path;

use tercet_protocol::ids::PublicKey;

pub use address::is_global;
pub use gate::Limits;
pub use resolve::{Lookup, LookupError, Resolver, Servers};
pub use secrets::KeyError;
pub use serve::{Clock, Notary, Running, SystemClock, start};
pub use surveys::{Served, Surveys, SurveysError, SurveysPlace};

/// Makes a notary's key in a new file that only its owner can read; its public half.
pub fn make_key(file: &Path) -> Result<PublicKey, KeyError> {
    secrets::make(file).map(PublicKey)
}
