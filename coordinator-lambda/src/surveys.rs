//! The deployment as configured: federation and surveys, checked when they are read, at start and when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tercet_evidence::SurveyVerifier;
use tercet_protocol::ids::{PublicKey, SurveyId, sha256};
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

    /// Unix seconds at which everything about its submissions is forgotten, if that is `days` after its closing.
    pub fn forgotten(&self, days: u64) -> u64 {
        let closes = self.descriptor.manifest().survey.closes.unix_timestamp();
        u64::try_from(closes).unwrap_or(0).saturating_add(days.saturating_mul(86_400))
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
    /// The table holds no federation.
    #[error("the table {0} holds no federation: give Terraform the folder of documents (variable documents)")]
    Missing(String),
    /// A survey breaks a rule.
    #[error("{}: {source}", path.display())]
    Survey {
        /// The file.
        path: PathBuf,
        /// The rule.
        source: SurveyError,
    },
}

/// A document and where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file, or the name in the table.
    pub place: PathBuf,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
}

/// The documents of a deployment, as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// The federation.
    pub federation: Document,
    /// The surveys.
    pub surveys: Vec<Document>,
}

impl Documents {
    /// Reads the federation's file and the `*.json` of the surveys' folder.
    pub fn from_files(federation: &Path, surveys: &Path) -> Result<Self, DeploymentError> {
        let unreadable = |source| DeploymentError::Read { path: surveys.into(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(surveys).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                found.push(read(&path, MAX_SURVEY_BYTES as u64)?);
            }
        }
        found.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(Self { federation: read(federation, MAX_FEDERATION)?, surveys: found })
    }

    /// Out of the documents in a table: `federation.json` and `surveys/*.json`.
    pub fn from_table(table: &str, documents: Vec<(String, String)>) -> Result<Self, DeploymentError> {
        let (mut federation, mut surveys) = (None, Vec::new());
        for (name, text) in documents {
            let document = Document { place: name.as_str().into(), bytes: text.into_bytes() };
            if name == "federation.json" {
                federation = Some(document);
            } else if name.starts_with("surveys/") && name.ends_with(".json") {
                surveys.push(document);
            }
        }
        let federation = federation.ok_or_else(|| DeploymentError::Missing(table.to_owned()))?;
        Ok(Self { federation, surveys })
    }

    /// A text that changes whenever a document does.
    pub fn digest(&self) -> String {
        let all = std::iter::once(&self.federation).chain(&self.surveys);
        let hashes: Vec<[u8; 32]> = all.map(|d| sha256(&[&d.bytes])).collect();
        hex::encode(sha256(&[hashes.concat().as_slice()]))
    }
}

/// Federation and surveys.
#[derive(Debug)]
pub struct Deployment {
    /// The federation.
    pub federation: Federation,
    surveys: BTreeMap<SurveyId, Arc<Survey>>,
}

impl Deployment {
    /// Checks the documents. `key` is this coordinator's public key, `url` its configured address.
    pub fn of(documents: &Documents, key: PublicKey, url: Option<&str>) -> Result<Self, DeploymentError> {
        let Document { place, bytes } = &documents.federation;
        let parsed: Federation = serde_json::from_slice(bytes)
            .map_err(|e| DeploymentError::Syntax { path: place.clone(), problem: e.to_string() })?;
        parsed.verify().map_err(|source| DeploymentError::Federation { path: place.clone(), source })?;
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
        for survey in &documents.surveys {
            this.add(survey)?;
        }
        Ok(this)
    }

    fn add(&mut self, document: &Document) -> Result<(), DeploymentError> {
        let Document { place, bytes } = document;
        let wrong = |source| DeploymentError::Survey { path: place.clone(), source };
        let descriptor = SurveyDescriptor::from_bytes(bytes.clone()).map_err(wrong)?;
        let verifier = SurveyVerifier::new(&descriptor).map_err(wrong)?;
        let operators = self
            .federation
            .in_order(descriptor.parties())
            .map_err(|source| DeploymentError::Federation { path: place.clone(), source })?;
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

fn read(path: &Path, max: u64) -> Result<Document, DeploymentError> {
    let unreadable = |source| DeploymentError::Read { path: path.into(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > max {
        return Err(DeploymentError::TooLarge { path: path.into(), size, max });
    }
    Ok(Document { place: path.into(), bytes: std::fs::read(path).map_err(unreadable)? })
}
