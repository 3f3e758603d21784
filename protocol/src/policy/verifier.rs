//! A survey's verifier: presentation bytes in, admitted commitments out.

use std::ops::Range;

use tlsn_verifier::{Direction, NotaryTrust, PartialData, RootStore, Segment, TrustPolicy, Verified};

use super::{Admitted, Commitment, Evidence, Refusal, Revealed, admit};
use crate::api::{Problem, ProblemKind};
use crate::ids::SurveyId;
use crate::survey::{SurveyDescriptor, SurveyError, SurveyManifest};

/// Why a presentation is not accepted for a survey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It does not verify.
    #[error(transparent)]
    Presentation(#[from] tlsn_verifier::Error),
    /// It verifies but is about something else.
    #[error(transparent)]
    Policy(#[from] Refusal),
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match &denied {
            Denied::Presentation(e) => {
                Problem::new(ProblemKind::PresentationInvalid, e.to_string()).rule(e.code())
            }
            Denied::Policy(e) => Problem::new(ProblemKind::PolicyViolated, e.to_string()).rule(e.rule.code()),
        }
    }
}

/// Verifies presentations for one survey; made once, used for each submission.
#[derive(Debug, Clone)]
pub struct SurveyVerifier {
    survey: SurveyId,
    manifest: SurveyManifest,
    trust: TrustPolicy,
}

impl SurveyVerifier {
    /// Prepares trust anchors and notary keys.
    pub fn new(descriptor: &SurveyDescriptor) -> Result<Self, SurveyError> {
        let manifest = descriptor.manifest().clone();
        let mut notaries = Vec::new();
        for section in &manifest.notaries {
            notaries.extend(section.keys()?);
        }
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
        // The server's name is a rule of the survey, refused by name in `admit`.
        let trust = TrustPolicy { notaries: NotaryTrust::Pinned(notaries), roots, server_name: None };
        Ok(Self { survey: descriptor.id(), manifest, trust })
    }

    /// Verifies a presentation and applies the survey's policy.
    pub fn check(&self, presentation: &[u8]) -> Result<(Verified, Admitted), Denied> {
        let verified = tlsn_verifier::verify(presentation, &self.trust)?;
        let admitted = {
            let (sent, sent_hidden) = flat(&verified.transcript.sent);
            let (received, received_hidden) = flat(&verified.transcript.received);
            let commitments: Vec<_> = verified
                .unopened()
                .filter(|c| c.direction == Direction::Received)
                .map(|c| Commitment {
                    ranges: c.ranges.as_slice().to_vec(),
                    algorithm: c.alg,
                    digest: c.digest,
                })
                .collect();
            let evidence = Evidence {
                server_name: &verified.server_name,
                time: verified.connection_time,
                session: &verified.root,
                sent: Revealed { bytes: &sent, hidden: &sent_hidden },
                received: Revealed { bytes: &received, hidden: &received_hidden },
                commitments: &commitments,
            };
            admit(self.survey, &self.manifest, &evidence)?
        };
        Ok((verified, admitted))
    }
}

/// All bytes of a direction, hidden ones as zero, and the hidden ranges.
fn flat(data: &PartialData) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut bytes = Vec::with_capacity(data.len());
    let mut hidden = Vec::new();
    for segment in data.segments() {
        match segment {
            Segment::Revealed(_, revealed) => bytes.extend_from_slice(revealed),
            Segment::Hidden(range) => {
                bytes.resize(bytes.len() + range.len(), 0);
                hidden.push(range);
            }
        }
    }
    (bytes, hidden)
}
