//! Keys at rest: who wraps the data keys ([`KeyWrapper`]), and the envelope that binds every stored object to
//! its place ([`Sealer`]).
//!
//! Owns the format of everything that leaves this process for storage. Never logs or prints a key.

mod envelope;
mod file;
#[cfg(feature = "cloud")]
mod kms;

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use zeroize::Zeroizing;

pub use envelope::{EnvelopeError, MAX_KEY_ID, MAX_WRAPPED_KEY, ObjectKind, Place, Sealer};
pub use file::FileKeyring;
#[cfg(feature = "cloud")]
pub use kms::KmsKeyring;

/// A data key: 32 bytes for AES-256-GCM, wiped when dropped. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey(pub Zeroizing<[u8; 32]>);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// A data key under a wrapping key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The key that wraps it, in the wrapper's own naming. At most [`MAX_KEY_ID`] bytes.
    pub key_id: String,
    /// The wrapped key, in the wrapper's own format. At most [`MAX_WRAPPED_KEY`] bytes.
    pub bytes: Vec<u8>,
}

/// Wraps and unwraps data keys: a key file ([`FileKeyring`]) or KMS ([`KmsKeyring`]).
///
/// `context` is authenticated and not stored: unwrapping under any other context fails.
#[async_trait]
pub trait KeyWrapper: Send + Sync + fmt::Debug {
    /// Wraps under the current key.
    async fn wrap(&self, data_key: &DataKey, context: &[u8]) -> Result<WrappedKey, KeyringError>;

    /// Unwraps under whichever key `wrapped` names; older keys still unwrap after a rotation.
    async fn unwrap(&self, wrapped: &WrappedKey, context: &[u8]) -> Result<DataKey, KeyringError>;
}

/// The reasons why a key cannot be had. The texts say what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The wrapping service does not answer.
    #[error("the key service does not answer: {reason}. Check that it is reachable and try again")]
    Unavailable {
        /// The service's message.
        reason: String,
    },
    /// The KMS key cannot be used.
    #[error(
        "the KMS key {key} cannot be used ({code}): it must exist, be enabled and let this task's role use it. A key \
         that has ever wrapped an object must stay"
    )]
    KmsKey {
        /// The key.
        key: String,
        /// KMS's message.
        code: String,
    },
    /// An object names a KMS key that the configuration does not list.
    #[error(
        "an object is wrapped under the KMS key {key}, which is neither `keys.store` nor listed in `keys.store_previous`. If it was this \
         party's key, list it; if not, somebody else wrote the object"
    )]
    KmsKeyNotListed {
        /// The key that the object names.
        key: String,
    },
    /// No such wrapping key.
    #[error(
        "key `{id}` is not in the keyring: a key that has ever wrapped an object must stay in it. Restore it from \
         your backup of the key file"
    )]
    UnknownKey {
        /// The key that the object names.
        id: String,
    },
    /// The wrapped key is damaged or belongs to another place.
    #[error("the wrapped data key does not open: it was altered, or belongs to another object")]
    Refused,
    /// The operating system gave no randomness.
    #[error("the operating system's random generator failed: restart the process on a healthy host")]
    NoRandomness,
    /// The key file cannot be read or written.
    #[error("key file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The fault, and the way out.
        reason: String,
    },
    /// Others can read the key file.
    #[error(
        "key file {} has mode {mode:03o}, so others can read it: run `chmod 600` on it, and rotate the key if they may \
         have",
        path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Fills an array from the operating system.
fn random<const N: usize>() -> Result<[u8; N], KeyringError> {
    tercet_protocol::keys::random().map_err(|_| KeyringError::NoRandomness)
}
