//! Making attestations, secrets and presentations (feature `notarize`).
//!
//! For the local notary and for fixtures. The flow of a prover that speaks TLS 1.2 by itself:
//!
//! 1. [`ServerHandshake::new`] from the handshake that the TLS library verified;
//! 2. [`Notarization::new`] commits to ranges of the transcript; its
//!    [`request`](Notarization::request) carries no plaintext and goes to the notary;
//! 3. the notary's [`NotarySigningKey::attest`] signs;
//! 4. [`Notarization::finish`] checks the answer and gives [`Attestation`] and
//!    [`Secrets`](crate::Secrets);
//! 5. [`PresentationBuilder`] opens the parts to be shown.
//!
//! Such a notary signs the prover's word alone: it has not taken part in the TLS session. Randomness is always passed
//! in as a `fill` function.

mod attestation;
mod builder;
mod handshake;
mod key;
mod prover;
mod request;

pub use attestation::Attestation;
pub use builder::PresentationBuilder;
pub use handshake::ServerHandshake;
pub use key::NotarySigningKey;
pub use prover::{CommitTo, Notarization};
pub use request::AttestationRequest;

use crate::{DecodeError, Direction, VerifyError};

/// Fills a buffer with random bytes.
pub type Fill<'a> = &'a mut dyn FnMut(&mut [u8]);

/// Why an attestation or presentation could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotarizeError {
    /// The private key is zero or above the curve's order.
    #[error("not a private key of {0}")]
    SigningKey(crate::SignatureAlg),
    /// Not ECDHE on P-256.
    #[error("the handshake's signed parameters are not TLS 1.2 ECDHE on secp256r1; offer only that group")]
    KeyExchange,
    /// The scheme does not exist in this format, or the signature is not by the leaf certificate.
    #[error("the server's key exchange signature (scheme {0:#06x}) does not verify in this format")]
    KxSignature(u16),
    /// The transcript is larger than verifiers accept.
    #[error("{len} bytes were {direction}; the limit is {limit}")]
    TranscriptTooLong {
        /// Which transcript.
        direction: Direction,
        /// Its length.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A count above a limit of [`crate::limits`].
    #[error("too many {0}")]
    TooMany(&'static str),
    /// This crate's verifier would refuse the result.
    #[error("verifiers would refuse this: {0}")]
    Refused(#[from] VerifyError),
    /// The notary's answer is about something else than the request.
    #[error("the attestation does not answer the request: its {0} differs")]
    Answer(&'static str),
    /// The secrets do not open a commitment that is to be opened.
    #[error("the secrets do not open commitment field {0}: they belong to another attestation")]
    Secrets(u32),
    /// Not an attestation request.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}
