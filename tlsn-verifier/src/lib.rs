//! (docs follow)

mod codec;
mod error;
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
pub use hash::{HashAlg, UnknownHashAlg};
pub use identity::{RootError, RootStore};
pub use ranges::{Direction, RangeSet};
pub use secrets::{Opening, Secrets};
pub use signature::{NotaryKey, NotaryKeyError, SignatureAlg};
pub use transcript::{PartialData, PartialTranscript, Segment};
pub use verify::{HashCommitment, NotaryTrust, Presentation, TrustPolicy, Verified, verify};
pub use wire::{WireVersion, attestation::Extension};
