//! Why a session did not reach its end.

use tercet_protocol::api::{Problem, ProblemKind};

use crate::peer::PeerError;
use crate::sandbox::SandboxError;
use crate::store::StoreError;

/// Why a session did not reach its end. Nothing was released.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A peer vanished, was late or broke the framing.
    #[error("party {party}: {source}")]
    Peer {
        /// The peer's index.
        party: u8,
        /// The fault.
        source: PeerError,
    },
    /// A peer says something else than it must.
    #[error("party {party} {what}")]
    Disagreement {
        /// The peer's index.
        party: u8,
        /// The part that differs.
        what: String,
    },
    /// A peer was late.
    #[error("party {party} did not join the session in time")]
    Late {
        /// The peer's index.
        party: u8,
    },
    /// A peer's log is shorter than ours.
    #[error("party {party} is at height {theirs}, this party at {ours}: it catches up")]
    PeerBehind {
        /// The party that is behind.
        party: u8,
        /// Our height.
        ours: u64,
        /// Theirs.
        theirs: u64,
    },
    /// A party lacks the rows of an entry that is to be finished.
    #[error("party {party} lacks the rows of an entry that is to be finished")]
    Lacking {
        /// The party.
        party: u8,
    },
    /// The locks of two parties contradict each other.
    #[error(
        "the parties show locks on two entries, and neither gives way: a party misbehaves, or two lost their state. If it \
         stays so, the operators compare their stores and abandon the entry"
    )]
    Split,
    /// The session finished the entry that an earlier one left, instead of its job.
    #[error("the session finished an entry that an earlier one had left, at height {height}")]
    Finished {
        /// The entry's height.
        height: u64,
    },
    /// A peer's log is longer than ours.
    #[error("this party is at height {ours}, party {party} at {theirs}: catching up")]
    Behind {
        /// The party that is ahead.
        party: u8,
        /// Our height.
        ours: u64,
        /// Theirs.
        theirs: u64,
    },
    /// The engine stopped.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another session holds the survey.
    #[error("another session of this survey did not end in time")]
    Occupied,
    /// Something failed inside.
    #[error("internal: {0}")]
    Internal(String),
}

impl SessionError {
    /// Stable label for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Peer { .. } => "peer",
            Self::Disagreement { .. } => "disagreement",
            Self::Behind { .. } => "behind",
            Self::Late { .. } => "late",
            Self::PeerBehind { .. } => "peer-behind",
            Self::Lacking { .. } => "lacking",
            Self::Split => "split",
            Self::Finished { .. } => "finished",
            Self::Sandbox(SandboxError::Abort { .. }) => "engine-abort",
            Self::Sandbox(_) => "engine",
            Self::Store(_) => "store",
            Self::Occupied => "occupied",
            Self::Internal(_) => "internal",
        }
    }

    /// As consumers see it.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Peer { party, source } => {
                Problem::new(ProblemKind::PartyUnavailable, source.to_string()).party(*party).retry_after(2)
            }
            Self::Late { party } | Self::PeerBehind { party, .. } | Self::Lacking { party } => {
                Problem::new(ProblemKind::PartyUnavailable, self.to_string()).party(*party).retry_after(2)
            }
            Self::Behind { .. } | Self::Occupied | Self::Split | Self::Finished { .. } => {
                Problem::new(ProblemKind::PartyUnavailable, self.to_string()).retry_after(2)
            }
            Self::Disagreement { party, .. } => {
                Problem::new(ProblemKind::Aborted, self.to_string()).party(*party).retry_after(5)
            }
            Self::Sandbox(_) => Problem::new(ProblemKind::Aborted, self.to_string()).retry_after(5),
            Self::Store(_) | Self::Internal(_) => Problem::new(
                ProblemKind::Internal,
                "the party's store or a part of it failed; the operator's log says more",
            ),
        }
    }
}
