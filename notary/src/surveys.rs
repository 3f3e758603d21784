//! The surveys that the operator has approved: for each, the one server that sessions may lead to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tercet_protocol::ids::SurveyId;
use tercet_protocol::kind::Kind;
use tercet_protocol::survey::{NotarySection, SurveyDescriptor, SurveyError};

/// The port of servers.
const PORT: u16 = 443;

/// A survey as a notary needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The survey.
    pub id: SurveyId,
    /// Its server's name.
    pub server_name: String,
    /// The server's port.
    pub port: u16,
    /// First second in which sessions count (Unix).
    pub opens: u64,
    /// Last second in which they count (Unix).
    pub closes: u64,
}

/// Why approved surveys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SurveysError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is no assembled survey.
    #[error("{}: {source}", path.display())]
    Survey {
        /// Which.
        path: PathBuf,
        /// The fault.
        source: SurveyError,
    },
}

/// Approved surveys by their id.
#[derive(Debug, Clone, Default)]
pub struct Surveys(BTreeMap<SurveyId, Served>);

impl Surveys {
    /// Reads a folder of assembled surveys, one `.json` file each. Those that do not list the notary with this key are
    /// not served: its statements would count nowhere.
    pub fn read(folder: &Path, key: &[u8; 32]) -> Result<Self, SurveysError> {
        let unreadable = |source| SurveysError::Read { path: folder.into(), source };
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                let bytes = std::fs::read(&path)
                    .map_err(|source| SurveysError::Read { path: path.clone(), source })?;
                let survey = SurveyDescriptor::from_bytes(bytes)
                    .map_err(|source| SurveysError::Survey { path, source })?;
                let lists =
                    |n: &NotarySection| n.kind == Kind::Session && n.key_bytes().is_ok_and(|k| k == key);
                if survey.manifest().notaries.iter().any(lists) {
                    found.insert(survey.id(), Served::of(&survey));
                } else {
                    tracing::warn!(survey = %survey.id(), "not served: the survey does not list this notary's key");
                }
            }
        }
        Ok(Self(found))
    }

    /// These surveys.
    pub fn new(all: impl IntoIterator<Item = Served>) -> Self {
        Self(all.into_iter().map(|s| (s.id, s)).collect())
    }

    /// The survey of this id, if it is approved.
    pub fn get(&self, id: SurveyId) -> Option<&Served> {
        self.0.get(&id)
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = SurveyId> + '_ {
        self.0.keys().copied()
    }
}

impl Served {
    /// The part of a survey that a notary needs.
    pub fn of(survey: &SurveyDescriptor) -> Self {
        let manifest = survey.manifest();
        let second = |t: i64| u64::try_from(t).unwrap_or(0);
        Self {
            id: survey.id(),
            server_name: manifest.source.server_name.clone(),
            port: PORT,
            opens: second(manifest.survey.opens.unix_timestamp()),
            closes: second(manifest.survey.closes.unix_timestamp()),
        }
    }

    /// True if sessions count at this time.
    pub fn is_open(&self, now: u64) -> bool {
        (self.opens..=self.closes).contains(&now)
    }
}
