//! Evidence: from the bytes that a provider sends to a server's statement about one person.
//!
//! ```text
//! evidence ──▶ a kind's own module ──▶ Transcript ──▶ policy ──▶ Admitted ──▶ the engine's statement
//! ```
//!
//! [`Kind`] is closed. Each kind has one module, which proves that a server sent certain bytes and makes a
//! [`Transcript`] of them: [`presentation`] for TLSNotary, [`session`] for TLS 1.3 through a notary. The [`policy`]
//! decides whether the transcript answers the survey's question; it knows nothing of kinds. Coordinator, parties and
//! client all run this crate, and each party decides for itself. It does no I/O, reads no clock and draws no randomness.
//!
//! ```no_run
//! use tercet_evidence::{Kind, SurveyVerifier};
//! use tercet_protocol::survey::SurveyDescriptor;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let survey = SurveyDescriptor::from_bytes(std::fs::read("survey.json")?)?;
//! let verifier = SurveyVerifier::new(&survey)?;
//! match verifier.check(Kind::Presentation, &std::fs::read("presentation.bin")?) {
//!     Ok((_, admitted)) => println!("counted once, as {}", admitted.nullifier),
//!     Err(denied) => println!("refused by the rule {}", denied.code()),
//! }
//! # Ok(())
//! # }
//! ```

pub mod http;
pub mod json;
pub mod plan;
pub mod policy;
pub mod presentation;
mod secrets;
pub mod session;
mod transcript;
mod verifier;

pub use policy::{
    Admitted, AdmittedColumn, Binding, Direction, Inert, InertPlace, MAX_VALUE, Policy, Refusal, Rule,
};
pub use secrets::{NotOpened, Secrets, Witness};
pub use session::VerifiedSession;
pub use tercet_protocol::kind::Kind;
pub use transcript::{Bindings, Commitment, Data, Transcript};
pub use verifier::{Denied, SurveyVerifier, Verified};
