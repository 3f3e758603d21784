//! Failures inside the coordinator, and how each reaches the client.

use tercet_protocol::api::{Problem, ProblemKind};

use crate::store::StoreError;

/// The reason why a request is not answered: a refusal for the client, or a failure inside.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system's random generator failed.
    #[error("the operating system gave no randomness")]
    Randomness,
    /// A worker task ended early.
    #[error("a worker task ended early: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

impl Error {
    /// The problem to send. What failed inside is for the log, not for the client.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) => *problem,
            Self::Store(e) if e.is_transient() => {
                Problem::new(ProblemKind::Busy, "the registry is busy: try again shortly").retry_after(2)
            }
            Self::Store(_) | Self::Randomness | Self::Worker(_) => Problem::new(
                ProblemKind::Internal,
                "the coordinator failed: its log has the reason under this request's id",
            ),
        }
    }
}

/// Shorthand for a refusal.
pub(crate) fn refuse<T>(kind: ProblemKind, detail: impl Into<String>) -> Result<T, Error> {
    Err(Problem::new(kind, detail).into())
}
