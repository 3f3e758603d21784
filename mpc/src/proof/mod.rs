//! The provider's proof: a fully linear proof over GF(2^128) that three shares belong to a committed, well-formed
//! value (Boneh, Boyle, Corrigan-Gibbs, Gilboa, Ishai, CRYPTO 2019), with points that form subspaces.
//!
//! `docs/protocol.md` has the protocol, its soundness and its zero knowledge.

mod extension;
mod gates;
mod hashes;
mod points;
mod prover;
mod share;
#[cfg(test)]
pub(crate) mod tests;
mod transcript;
mod verifier;

pub use gates::{OneCore, Workers, add};
pub use hashes::{Reject, ShareHashes};
pub use prover::{
    ColumnWitness, HandshakeSecret, Phase, Progress, ProveError, Proven, prove, prove_on, prove_session,
};
pub use share::{PRIVATE_MAX_BYTES, PrivatePart, Share};
pub(crate) use transcript::Transcript;
pub use transcript::{Challenges, challenges};
pub use verifier::{Opening, check, open};
