//! Tercet's MPC engine: sharing among three parties, the provider's proof, statistics.
//!
//! Owns everything that is computed on shares, and the proof that shares belong to a notarized value. Must never do
//! input or output, read a clock or draw randomness: it talks through [`net::Transport`] and takes its seeds as
//! arguments. It depends on nothing of ours but the switches of `mutants/`. `docs/protocol.md` holds the security argument.
//!
//! [`Statement`] says what a provider proves, [`prove`] proves it, [`verify_batch`] checks many proofs among the three parties,
//! and [`open_sums`] opens sums of accepted values: `examples/three_parties.rs` does all of it. Statistics have names:
//!
//! ```
//! use tercet_mpc::statistics::{Permit, Statistic};
//!
//! let asked: Statistic = "quantile:0.90(balance)".parse()?;
//! assert_eq!(asked.to_string(), "quantile:0.9(balance)");
//! let listed: Permit = "quantile:0.9".parse()?;
//! assert!(listed.covers(&asked));
//! # Ok::<(), tercet_mpc::statistics::StatisticError>(())
//! ```

#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

extern crate alloc;

pub mod batch;
pub mod bits;
pub mod circuit;
pub mod compute;
pub mod decimal;
pub mod field;
pub mod fixed;
pub mod hash;
pub mod net;
pub mod noise;
pub mod order;
mod party;
pub mod proof;
pub mod prss;
pub mod refresh;
pub mod rows;
pub mod sharing;
pub mod statement;
pub mod statistics;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;

pub use batch::{Accepted, Item, Verdict, check_private, verify_batch};
pub use net::{Abort, Cost, Peer, Session, Step, Transport};
pub use party::PartyId;
pub use proof::{
    ColumnWitness, HandshakeSecret, OneCore, Progress, ProveError, Proven, Reject, ShareHashes, Workers,
    prove, prove_on, prove_session,
};
pub use sharing::{RingShare, open_sums, sum_rows};
pub use statement::{Binding, Column, Condition, Format, HashAlg, Output, Statement, Term};

use tercet_mutants::mutant;

/// The version of everything here that two machines must agree on: circuits, encodings, transcripts, frames.
pub const PROTOCOL_VERSION: u16 = 2;
