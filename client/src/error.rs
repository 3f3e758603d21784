//! The faults of a command, with the exit status and the stable code that scripts rely on.

use tercet_evidence::{Denied, Kind, Refusal};
use tercet_protocol::api::Problem;
use tercet_protocol::ids::{SubmissionId, SurveyId};
use tercet_protocol::keys::KeyError;
use tercet_protocol::operator::FederationError;
use tercet_protocol::result::BadResult;
use tercet_protocol::survey::SurveyError;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument or a file named by one cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A presentation or secrets file is refused.
    #[error("{0}")]
    Presentation(#[from] tlsn_verifier::Error),
    /// A recorded session is refused.
    #[error("{0}")]
    Session(#[from] tercet_tls_session::Refusal),
    /// A folder does not hold a recorded session.
    #[error("{0}")]
    Recording(String),
    /// The evidence is valid but does not fit the survey.
    #[error("the evidence does not fit the survey: {0}")]
    Policy(#[from] Refusal),
    /// The survey takes other evidence.
    #[error("this survey takes no evidence of the kind \"{0}\": its notaries are of another kind")]
    Kind(Kind),
    /// The value, or its opening, cannot be submitted.
    #[error("{0}")]
    Value(String),
    /// A survey is malformed.
    #[error("{0}")]
    Survey(#[from] SurveyError),
    /// The operators' manifests do not fit together or are not theirs.
    #[error("{0}")]
    Federation(#[from] FederationError),
    /// A key, signature or sealing failed.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// A result's signature does not verify.
    #[error("{0}")]
    Result(#[from] BadResult),
    /// Coordinator or party refused.
    #[error("{from} refused: {problem}")]
    Refused {
        /// Its sender, for people.
        from: String,
        /// Why.
        problem: Box<Problem>,
    },
    /// A notary refused a session.
    #[error("the notary refused: {detail}")]
    Notary {
        /// Its stable name of the reason.
        code: String,
        /// The reason for people.
        detail: String,
    },
    /// No answer, even after retries.
    #[error("{from} cannot be reached: {cause}; check the address and try again")]
    Unreachable {
        /// Its sender, for people.
        from: String,
        /// The last failure.
        cause: String,
    },
    /// An answer that the protocol does not allow or that does not verify.
    #[error("{from} gave an answer that cannot be trusted: {what}")]
    BadAnswer {
        /// Its sender, for people.
        from: String,
        /// The fault.
        what: String,
    },
    /// Something that had to finish in time did not.
    #[error("{0}")]
    TimedOut(String),
    /// A submission that may or may not be accepted yet.
    #[error(
        "submission {id} is not confirmed: {cause}. Sending the same files again is safe: it stays one submission"
    )]
    Unconfirmed {
        /// The submission.
        id: SubmissionId,
        /// Why.
        cause: Box<Error>,
    },
    /// A submission that ended incomplete: its id cannot be used again.
    #[error("submission {id} did not reach all parties in time; send it again")]
    Spent {
        /// The submission.
        id: SubmissionId,
    },
    /// Accepted by all three parties, but something that was to follow failed.
    #[error("submission {id} IS accepted by all three parties, but {cause}. {what_to_do}")]
    AcceptedBut {
        /// The submission.
        id: SubmissionId,
        /// The error that it ended with.
        cause: Box<Error>,
        /// The advice.
        what_to_do: &'static str,
    },
    /// The user was asked and did not agree.
    #[error("stopped, as you wished: {0}")]
    Declined(&'static str),
    /// A result that is signed, but by keys that nobody here has chosen to trust.
    #[error(
        "the signatures are those of survey {0}, which the file brings along itself, and that proves nothing: compare the          survey's id with a source that you trust, and give it with --survey"
    )]
    Unpinned(SurveyId),
    /// Reading or writing a file failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// The action that failed.
        what: &'static str,
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The user stopped it.
    #[error("interrupted; starting the same command again is safe")]
    Interrupted,
    /// A TLS or HTTP exchange with the data's server failed.
    #[error("{0}")]
    Exchange(String),
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Kind(kind) => Self::Kind(kind),
            Denied::Presentation(e) => Self::Presentation(e),
            Denied::Session(e) => Self::Session(e),
            Denied::Policy(e) => Self::Policy(e),
        }
    }
}

impl Error {
    /// The process's exit status: 2 for wrong usage, 1 for everything else.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Io { .. } => 2,
            _ => 1,
        }
    }

    /// A stable name of the reason, in kebab case.
    pub fn code(&self) -> String {
        match self {
            Self::Usage(_) => "usage".into(),
            Self::Presentation(e) => e.code().into(),
            Self::Session(e) => e.code().into(),
            Self::Recording(_) => tercet_tls_session::Refusal::Evidence.code().into(),
            Self::Policy(r) => r.rule.code().into(),
            Self::Kind(_) => "evidence-kind".into(),
            Self::Value(_) => "value".into(),
            Self::Survey(_) => "survey".into(),
            Self::Federation(_) => "federation".into(),
            Self::Key(_) => "key".into(),
            Self::Result(_) => "bad-signature".into(),
            Self::Refused { problem, .. } => match problem.known() {
                Some(kind) => kind.slug().into(),
                None => format!("http-{}", problem.status),
            },
            Self::Notary { code, .. } => code.clone(),
            Self::Unreachable { .. } => "unreachable".into(),
            Self::BadAnswer { .. } => "bad-answer".into(),
            Self::TimedOut(_) => "timed-out".into(),
            Self::Unconfirmed { .. } => "unconfirmed".into(),
            Self::Spent { .. } => "incomplete".into(),
            Self::AcceptedBut { .. } => "accepted-but".into(),
            Self::Declined(_) => "declined".into(),
            Self::Unpinned(_) => "unpinned".into(),
            Self::Io { .. } => "io".into(),
            Self::Interrupted => "interrupted".into(),
            Self::Exchange(_) => "exchange".into(),
        }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn bad_answer(from: impl Into<String>, what: impl Into<String>) -> Self {
        Self::BadAnswer { from: from.into(), what: what.into() }
    }
}
