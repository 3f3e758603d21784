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
//!
//! ```
//! use tercet_agreement::{Crypto, Kinds, Machine, Memory, Statement, Task};
//!
//! // Entries and sessions are numbers here, and a signature is its signer and its content.
//! #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
//! struct Names;
//! impl Kinds for Names {
//!     type Entry = u32;
//!     type Session = u32;
//!     type Signature = (u8, String);
//! }
//! struct Signer(u8);
//! impl Crypto<Names> for Signer {
//!     fn sign_prepare(&self, statement: &Statement<Names>) -> (u8, String) {
//!         (self.0, format!("{statement:?}"))
//!     }
//!     fn is_prepare(&self, party: u8, statement: &Statement<Names>, signature: &(u8, String)) -> bool {
//!         *signature == (party, format!("{statement:?}"))
//!     }
//!     fn sign_vote(&self, entry: &u32) -> (u8, String) {
//!         (self.0, entry.to_string())
//!     }
//!     fn is_vote(&self, party: u8, entry: &u32, signature: &(u8, String)) -> bool {
//!         *signature == (party, entry.to_string())
//!     }
//! }
//!
//! // Three parties whose logs end with entry 7 at height 4 agree on entry 8.
//! let mut all = [0, 1, 2].map(|me| Machine::<Names>::new(me, 4, 7, Memory::default()));
//! let others = |me: usize| [(me + 1) % 3, (me + 2) % 3];
//! let hellos = all.each_mut().map(Machine::begin);
//! for me in 0..3 {
//!     let heard = others(me).map(|i| (i as u8, &hellos[i]));
//!     let task = all[me].bind(&Signer(me as u8), 1, heard).unwrap();
//!     assert!(matches!(task, Task::Free));
//!     others(me).iter().for_each(|i| all[me].heard(*i as u8));
//! }
//! let prepares = [0, 1, 2].map(|me| all[me].prepare(&Signer(me as u8), 8, 1_000).unwrap());
//! let votes = [0, 1, 2].map(|me| {
//!     let signer = Signer(me as u8);
//!     all[me].certify(&signer, others(me).map(|i| (i as u8, prepares[i].clone()))).unwrap();
//!     all[me].locked(&signer).unwrap()
//! });
//! for (me, machine) in all.iter_mut().enumerate() {
//!     machine.commit(&Signer(me as u8), 7, 8, &votes).unwrap();
//!     assert_eq!(machine.head(), (5, 8));
//! }
//! ```

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
