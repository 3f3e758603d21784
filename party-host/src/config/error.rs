//! The faults of a configuration, of the documents that it names, and of its keys.

use std::path::PathBuf;

/// The faults of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A document in a bucket cannot be read.
    #[error("cannot read {place}: {problem}")]
    Object {
        /// Its place.
        place: String,
        /// The reason, and the way out.
        problem: String,
    },
    /// The configuration does not parse.
    #[error("{path}: {problem}")]
    Syntax {
        /// The file, or the environment variables.
        path: String,
        /// The fault, and its place.
        problem: String,
    },
    /// A key file or secret is not 64 hexadecimal digits.
    #[error("{0} must hold a 32-byte seed as 64 hexadecimal digits: make keys with `tercet operator init`")]
    Key(String),
    /// A secret cannot be read.
    #[error("the secret {arn} cannot be read: {problem}")]
    Secret {
        /// Its ARN.
        arn: String,
        /// The reason, and the way out.
        problem: String,
    },
    /// A key file can be read by others.
    #[error("{} can be read by others than its owner: chmod 600 it", .0.display())]
    Permissions(PathBuf),
    /// An environment variable names a section where a value is meant, or the other way round.
    #[error("environment variable {0}: {1}")]
    Environment(String, String),
}
