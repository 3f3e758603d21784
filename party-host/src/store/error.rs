//! The faults of the store, and what the operator can do about each.

use tercet_protocol::ids::EntryHash;

use crate::keyring::{EnvelopeError, KeyringError};

/// A store failure. Nothing that was reported as stored is lost by any of them.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage service did not carry out the operation.
    #[error("{operation} failed: {reason}. {}", advice(*.retryable))]
    Unavailable {
        /// The operation.
        operation: String,
        /// True if the same call can succeed later. Every call of the store may be repeated.
        retryable: bool,
        /// The answer of the service or the network.
        reason: String,
    },
    /// The content of an object is not this party's.
    #[error(
        "object {key} is damaged: {reason}. Restore its previous version in the bucket, or rebuild this party from the \
         other two"
    )]
    Corrupt {
        /// The object's key.
        key: String,
        /// The fault.
        reason: String,
    },
    /// An object that has to be there is not.
    #[error(
        "object {key} is missing: restore its previous version in the bucket, or rebuild this party from the other two"
    )]
    Missing {
        /// The object's key.
        key: String,
    },
    /// Another entry was committed at this height.
    #[error(
        "height {height} already holds entry {stored}, not {offered}: another process writes to this bucket, or the \
         parties' logs have diverged. Stop this party and compare its log with the others'"
    )]
    Diverged {
        /// The height.
        height: u64,
        /// The entry in the bucket.
        stored: EntryHash,
        /// The entry that was to be committed.
        offered: EntryHash,
    },
    /// Something else was stored under this number first.
    #[error(
        "object {key} was written by somebody else first: read the newest state and decide again. If it happens with \
         one process only, check that no second one uses this bucket"
    )]
    Conflict {
        /// The object's key.
        key: String,
    },
    /// More than an object may hold.
    #[error("{what} has {len} bytes, more than the {max} that one object may hold")]
    TooLarge {
        /// The object that was to be stored.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
    /// The key that opens an object cannot be had.
    #[error("object {key}: {source}")]
    Keyring {
        /// The object's key.
        key: String,
        /// Why.
        source: KeyringError,
    },
    /// Another process of this party holds the lease on the bucket.
    #[error(
        "another process of this party uses this bucket, or did until a moment ago. A party runs once: stop the other \
         process; if none runs, check that no other deployment was given this bucket and these keys"
    )]
    Leased,
    /// The configuration cannot work.
    #[error("store configuration: {0}")]
    Config(String),
}

impl StoreError {
    /// True if the same call can succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { retryable, .. } => *retryable,
            Self::Keyring { source, .. } => matches!(source, KeyringError::Unavailable { .. }),
            _ => false,
        }
    }

    pub(super) fn corrupt(key: &str, reason: impl std::fmt::Display) -> Self {
        Self::Corrupt { key: key.into(), reason: reason.to_string() }
    }

    pub(super) fn envelope(key: &str, e: EnvelopeError) -> Self {
        match e {
            EnvelopeError::Keyring(source) => Self::Keyring { key: key.into(), source },
            e => Self::corrupt(key, e),
        }
    }
}

fn advice(retryable: bool) -> &'static str {
    if retryable {
        "It was retried; check the network and the storage service, and try again"
    } else {
        "Trying again will not help: check bucket name, region, credentials and the bucket's and key's policies"
    }
}
