//! Agreement of three parties on one log, of which one may be corrupted.
//!
//! This crate decides and nothing else: it reads no clock, no store and no network, and it signs and verifies through
//! [`Crypto`]. The host hands over messages as they arrive and carries out the answers, in this order for each
//! session:
//!
//! 1. [`Machine::begin`] leaves any earlier session and gives the hello.
//! 2. [`Machine::bind`] takes the two others' hellos and gives the session's [`Task`].
//! 3. [`Machine::heard`] notes a frame that is bound to the session's id.
//! 4. [`Machine::prepare`] gives the signed prepare, which the host makes durable before it sends it.
//! 5. [`Machine::certify`] takes the two others' prepares and gives the lock, which the host makes durable.
//! 6. [`Machine::locked`] gives the vote.
//! 7. [`Machine::commit`] takes the three votes, from the session or from anybody who shows them.
//!
//! `docs/agreement.md` has the argument. The tests hold an exhaustive search over two honest parties and an arbitrary
//! third one, in which the honest parties run this code.

mod job;
mod machine;
mod rules;
mod signed;

pub use job::Task;
pub use machine::{Machine, Memory, Refusal};
#[cfg(feature = "wrong-rules")]
pub use rules::Rule;
pub use rules::Rules;
pub use signed::{Certificate, Crypto, Hello, Kinds, Prepare, Statement};
