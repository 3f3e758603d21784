//! The deployment as configured: federation and surveys, read and checked once at start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tercet_evidence::SurveyVerifier;
use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::operator::{Federation, FederationError};
use tercet_protocol::survey::{MAX_SURVEY_BYTES, Resubmission, SurveyDescriptor, SurveyError};

/// Largest federation file, in bytes.
const MAX_FEDERATION: u64 = 64 * 1024;

/// A survey that this coordinator serves.
#[derive(Debug)]
pub struct Survey {
    /// The descriptor.
    pub descriptor: SurveyDescriptor,
    /// Verifies evidence for it.
    pub verifier: SurveyVerifier,
    /// Base URLs of the three parties, in the survey's order, without a slash at the end.
    pub party_urls: [String; 3],
}

impl Survey {
    /// The survey's id.
    pub fn id(&self) -> SurveyId {
        self.descriptor.id()
    }

    /// True if a second proof of an identity takes the place of the first.
    pub fn replaces(&self) -> bool {
        self.descriptor.manifest().survey.resubmission == Resubmission::Replace
    }
}

/// The faults of a deployment's files.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than anything of its kind.
    #[error("{} has {size} bytes, more than the {max} allowed", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The most accepted.
        max: u64,
    },
    /// The federation is not JSON of its format.
    #[error("{} is not a federation file: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The fault.
        problem: String,
    },
    /// The federation breaks a rule.
    #[error("{}: {source}", path.display())]
    Federation {
        /// The file: the federation's or a survey's.
        path: PathBuf,
        /// The rule.
        source: FederationError,
    },
    /// The federation names another coordinator.
    #[error(
        "the federation names the coordinator {what} {expected}, but this one has {found}: use the matching files"
    )]
    OtherCoordinator {
        /// The part that differs.
        what: &'static str,
        /// The federation's.
        expected: String,
        /// Ours.
        found: String,
    },
    /// A survey breaks a rule.
    #[error("{}: {source}", path.display())]
    Survey {
        /// The file.
        path: PathBuf,
        /// The rule.
        source: SurveyError,
    },
}

/// Federation and surveys.
#[derive(Debug)]
pub struct Deployment {
    /// The federation.
    pub federation: Federation,
    surveys: BTreeMap<SurveyId, Arc<Survey>>,
}

impl Deployment {
    /// Reads and checks the files. `key` is this coordinator's public key, `url` its configured address.
    pub fn load(
        federation: &Path,
        surveys: &Path,
        key: PublicKey,
        url: Option<&str>,
    ) -> Result<Self, DeploymentError> {
        let bytes = read(federation, MAX_FEDERATION)?;
        let parsed: Federation = serde_json::from_slice(&bytes)
            .map_err(|e| DeploymentError::Syntax { path: federation.into(), problem: e.to_string() })?;
        parsed.verify().map_err(|source| DeploymentError::Federation { path: federation.into(), source })?;
        let named = &parsed.coordinator;
        if !named.ticket_keys().contains(&key) {
            let (expected, found) = (named.key.to_string(), key.to_string());
            return Err(DeploymentError::OtherCoordinator { what: "key", expected, found });
        }
        if let Some(url) = url.filter(|u| u.trim_end_matches('/') != named.url.trim_end_matches('/')) {
            let (expected, found) = (named.url.clone(), url.to_owned());
            return Err(DeploymentError::OtherCoordinator { what: "address", expected, found });
        }
        let mut this = Self { federation: parsed, surveys: BTreeMap::new() };
        let unreadable = |source| DeploymentError::Read { path: surveys.into(), source };
        for entry in std::fs::read_dir(surveys).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                this.add(&path)?;
            }
        }
        Ok(this)
    }

    fn add(&mut self, path: &Path) -> Result<(), DeploymentError> {
        let bytes = read(path, MAX_SURVEY_BYTES as u64)?;
        let wrong = |source| DeploymentError::Survey { path: path.into(), source };
        let descriptor = SurveyDescriptor::from_bytes(bytes).map_err(wrong)?;
        let verifier = SurveyVerifier::new(&descriptor).map_err(wrong)?;
        let operators = self
            .federation
            .in_order(descriptor.parties())
            .map_err(|source| DeploymentError::Federation { path: path.into(), source })?;
        let party_urls = operators.map(|o| o.url.trim_end_matches('/').to_owned());
        self.surveys.insert(descriptor.id(), Arc::new(Survey { descriptor, verifier, party_urls }));
        Ok(())
    }

    /// The survey with this id.
    pub fn survey(&self, id: SurveyId) -> Option<&Arc<Survey>> {
        self.surveys.get(&id)
    }

    /// All surveys, in the order of their ids.
    pub fn surveys(&self) -> impl Iterator<Item = &Arc<Survey>> {
        self.surveys.values()
    }
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, DeploymentError> {
    let unreadable = |source| DeploymentError::Read { path: path.into(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > max {
        return Err(DeploymentError::TooLarge { path: path.into(), size, max });
    }
    std::fs::read(path).map_err(unreadable)
}
