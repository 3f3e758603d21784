//! The faults of a service's start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listen address is reachable from other machines.
    #[error("{0} is not a loopback address: these services are for this machine only, use 127.0.0.1:PORT")]
    NotLoopback(SocketAddr),
    /// The port is taken, or may not be used.
    #[error("cannot listen on {addr}: {source}; pick another port, or 0 for any free one")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file or folder could not be used.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// The action that failed, such as "reading".
        action: &'static str,
        /// The address.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Another process has the state open.
    #[error("{} is in use by another process: stop it, or give this one its own folder", .0.display())]
    InUse(PathBuf),
    /// A stored file has a content that this program did not write.
    #[error("{} is damaged ({reason}): restore it, or delete it if it may be lost", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// The access keys of the S3 server are missing or malformed. Never contains a key.
    #[error("access keys: {0}")]
    Credentials(String),
    /// A bucket name that S3 does not allow.
    #[error(
        "{0:?} is not a bucket name: 3 to 63 of a-z, 0-9, '.' and '-', starting and ending with a letter or digit"
    )]
    BucketName(String),
    /// The DynamoDB emulator could not open its database.
    #[error("opening the database {name}: {reason}")]
    Database {
        /// File name, or `:memory:`.
        name: String,
        /// The emulator's error.
        reason: String,
    },
    /// The number of sample accounts is out of range.
    #[error("{0} accounts: give between 1 and {max}", max = crate::exchange::MAX_ACCOUNTS)]
    Accounts(u32),
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS configuration was refused.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The local notary's key could not be made.
    #[error("the notary's key: {0}")]
    NotaryKey(#[from] tlsn_verifier::notarize::NotarizeError),
}

impl Error {
    /// For `map_err`: the action and the path an I/O error belongs to.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }
}
