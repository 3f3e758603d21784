//! Verifies TLSNotary presentations of upstream 0.1.0-alpha.12 and of alpha.14/15, and reads the
//! prover's secrets that belong to them. Feature `notarize` makes attestations, secrets and
//! presentations in both formats.
//!
//! A presentation shows parts of a TLS 1.2 session with a server, attested by a notary that took
//! part in the session's cryptography. [`verify`] checks it whole and returns [`Verified`]:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tlsn_verifier::{NotaryTrust, RootStore, TrustPolicy};
//!
//! let policy = TrustPolicy {
//!     notaries: NotaryTrust::Pinned(vec![
//!         "secp256k1:035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c".parse()?,
//!     ]),
//!     roots: RootStore::mozilla(),
//!     server_name: Some("api.exchange.test".into()),
//! };
//! let verified = tlsn_verifier::verify(&std::fs::read("presentation.bin")?, &policy)?;
//! for hidden in verified.unopened() {
//!     println!("{} {}: {} {:02x?}", hidden.direction, hidden.ranges, hidden.alg, hidden.digest);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It never trusts a length, never allocates before it has checked a [limit](limits), reads no
//! clock and no system randomness, and does no I/O.
//!
//! # What is checked
//!
//! In this order; each refusal has its own variant of [`DecodeError`] or [`VerifyError`].
//!
//! 1. The file decodes exactly, within the limits, with canonical ranges.
//! 2. All fields of the attestation body are there, and their Merkle root is the header's.
//! 3. The header is version 0 and signed by the key in the body; that key is pinned.
//! 4. The connection is TLS 1.2; every commitment, opened or not, has a known algorithm and a
//!    32-byte digest, lies within the transcript, and no other one has the same ranges and
//!    algorithm.
//! 5. The server's certificates and handshake are those committed to; the chain was valid at the
//!    attested time for the name shown; the leaf key signed the attested ephemeral key.
//! 6. Every revealed byte is covered by an opening of an attested commitment.
//!
//! Not checked, because it is the caller's business: the age of the attested time, the meaning of the revealed bytes,
//! the text around a hidden range, the content of extensions, and certificate revocation.
//!
//! # Stricter than upstream
//!
//! | Upstream accepts | Here | Why |
//! |---|---|---|
//! | bytes after the end | refused | one content, one file |
//! | unsorted, overlapping, adjacent or empty ranges | refused | upstream normalises before hashing; so they are not authenticated as written |
//! | header versions other than 0 | refused | nobody knows what they mean |
//! | fields hidden behind Merkle hashes | refused | a hidden commitment could contradict a shown one |
//! | wrong leaf count or algorithm, leftover hashes in the Merkle proof | refused | not authenticated |
//! | unopened commitments of any algorithm, length and range | refused unless usable | upstream does not look at them |
//! | two commitments of one algorithm over the same ranges | refused | which one counts? Different algorithms are fine |
//! | no identity proof, no transcript proof | refused | proves nothing about any server |
//! | any notary | only pinned ones, or [`NotaryTrust::AnyAndReport`] | the key is part of the file |
//! | attested TLS 1.3 | refused | the proof is of a TLS 1.2 handshake |
//! | server names in upper case or with a trailing dot | refused | the spelling is the prover's choice; one name, one spelling |
//! | any name that the certificate covers | same, unless [`TrustPolicy::server_name`] pins one | wildcard certificates are ordinary; who knows the host should pin it |
//! | a wrong recovery byte in Ethereum signatures | refused | otherwise a byte that nothing authenticates |
//! | high s in P-256 signatures | accepted | upstream's P-256 signers produce it half of the time; do not use signatures as ids |
//! | values revealed in clear | accepted | the transcript says so |
//! | the same opening twice, fields in any order | accepted | harmless: [`Verified`] sorts by attested position |
//! | encoding commitments (alpha.12) | accepted if there is at most one and nothing rests on it | see below |
//!
//! Everything that upstream rejects is rejected.
//!
//! **Not supported**: alpha.12's older *encoding commitments* are not opened. A presentation that opens one is
//! refused as [`VerifyError::EncodingUnsupported`], secrets that contain one as [`DecodeError::EncodingSecrets`].
//! Upstream kept hash commitments, and a proof about a hidden value needs them.
//!
//! The format is described in `tests/fixtures/vectors/FORMAT.md` of this repository.

mod codec;
mod error;
mod export;
mod hash;
mod identity;
pub mod limits;
#[cfg(feature = "notarize")]
pub mod notarize;
mod ranges;
mod secrets;
mod signature;
mod transcript;
mod verify;
mod wire;

pub use error::{DecodeError, Error, VerifyError};
pub use export::{ExportError, presentation_bytes};
pub use hash::{HashAlg, UnknownHashAlg};
pub use identity::{RootError, RootStore};
pub use ranges::{Direction, RangeSet};
pub use secrets::{Opening, Secrets};
pub use signature::{NotaryKey, NotaryKeyError, SignatureAlg};
pub use transcript::{PartialData, PartialTranscript, Segment};
pub use verify::{HashCommitment, NotaryTrust, Presentation, TrustPolicy, Verified, verify};
pub use wire::{WireVersion, attestation::Extension};
