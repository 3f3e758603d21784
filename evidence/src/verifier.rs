//! A survey's verifier: takes evidence, and gives the values that may be counted.

use tercet_mpc::statement::{Statement, StatementError};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::kind::Kind;
use tercet_protocol::survey::{SurveyDescriptor, SurveyError, SurveyManifest};
use tlsn_verifier::RootStore;

use crate::policy::{Admitted, Policy, Refusal, Rule};
use crate::presentation::{self, Presentations};
use crate::session::{self, Sessions, VerifiedSession};
use crate::transcript::Transcript;

/// Why evidence is not accepted for a survey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The survey has no notary of this kind.
    #[error("this survey takes no evidence of the kind \"{0}\": its notaries are of another kind")]
    Kind(Kind),
    /// A presentation does not verify.
    #[error(transparent)]
    Presentation(#[from] tlsn_verifier::Error),
    /// A session does not verify.
    #[error(transparent)]
    Session(#[from] tercet_tls_session::Refusal),
    /// It verifies but is about something else.
    #[error(transparent)]
    Policy(#[from] Refusal),
}

impl Denied {
    /// The stable code of the rule that refused.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Kind(_) => "evidence-kind",
            Self::Presentation(e) => e.code(),
            Self::Session(e) => e.code(),
            Self::Policy(e) => e.rule.code(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let kind = match &denied {
            Denied::Presentation(_) | Denied::Session(_) => ProblemKind::PresentationInvalid,
            Denied::Kind(_) | Denied::Policy(_) => ProblemKind::PolicyViolated,
        };
        Problem::new(kind, denied.to_string()).rule(denied.code())
    }
}

/// Evidence that verifies, by kind.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum Verified {
    /// A presentation.
    Presentation(tlsn_verifier::Verified),
    /// A session.
    Session(Box<VerifiedSession>),
}

impl Verified {
    /// The transcript that it proves.
    pub fn transcript(&self) -> Transcript {
        match self {
            Self::Presentation(verified) => presentation::transcript(verified),
            Self::Session(verified) => session::transcript(verified),
        }
    }

    /// The statement that the provider proves to the engine.
    pub fn statement(
        &self,
        admitted: &Admitted,
        survey: &SurveyManifest,
    ) -> Result<Statement, StatementError> {
        match self {
            Self::Presentation(_) => admitted.statement(survey),
            Self::Session(verified) => verified.statement(admitted, survey),
        }
    }
}

/// Verifies evidence for one survey; made once, used for each submission.
#[derive(Debug, Clone)]
pub struct SurveyVerifier {
    policy: Policy,
    presentations: Option<Presentations>,
    sessions: Option<Sessions>,
}

pub(crate) fn invalid_key(problem: String) -> SurveyError {
    SurveyError::Invalid { key: "notaries.key".into(), problem }
}

impl SurveyVerifier {
    /// Prepares trust anchors and notary keys.
    pub fn new(descriptor: &SurveyDescriptor) -> Result<Self, SurveyError> {
        let manifest = descriptor.manifest();
        let certificates = descriptor.root_certificates()?;
        let roots = if certificates.is_empty() {
            Ok(RootStore::mozilla())
        } else {
            RootStore::from_der(&certificates)
        };
        let roots = roots.map_err(|e| SurveyError::Invalid {
            key: "source.root_certificates".into(),
            problem: e.to_string(),
        })?;
        let takes = |kind| manifest.notaries.iter().any(|n| n.kind == kind);
        let presentations =
            takes(Kind::Presentation).then(|| Presentations::new(&manifest.notaries, roots)).transpose()?;
        let sessions = takes(Kind::Session).then(|| Sessions::new(descriptor)).transpose()?;
        Ok(Self { policy: Policy::new(descriptor.id(), manifest)?, presentations, sessions })
    }

    /// Verifies evidence and applies the survey's policy.
    pub fn check(&self, kind: Kind, evidence: &[u8]) -> Result<(Verified, Admitted), Denied> {
        let verified = match kind {
            Kind::Presentation => {
                let presentations = self.presentations.as_ref().ok_or(Denied::Kind(kind))?;
                let verified = presentations.verify(evidence)?;
                if !presentations.is_valid(&verified) {
                    return Err(not_valid().into());
                }
                Verified::Presentation(verified)
            }
            Kind::Session => {
                let sessions = self.sessions.as_ref().ok_or(Denied::Kind(kind))?;
                Verified::Session(Box::new(sessions.verify(evidence)?))
            }
        };
        let admitted = self.policy.admit(&verified.transcript())?;
        Ok((verified, admitted))
    }
}

/// The notary's key is the survey's but did not count at the time of the connection.
fn not_valid() -> Refusal {
    let detail = "the notary's key did not count at the time of the connection (valid_from, valid_until)";
    Refusal { rule: Rule::NotaryTime, detail: detail.into() }
}
