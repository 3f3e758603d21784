//! Surveys that the user has looked at and chosen, so that no coordinator can put another one in their place.
//!
//! One folder: `surveys/<id>.json` holds a descriptor's exact bytes, `coordinators.json` says which survey was chosen
//! at which coordinator. Nothing here is secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::{MAX_SURVEY_BYTES, SurveyDescriptor};

use crate::error::Error;
use crate::files::{self, Access};

const MAX_CHOICES: usize = 1 << 20;

/// The folder of remembered surveys.
#[derive(Debug, Clone)]
pub struct Memory(PathBuf);

impl Memory {
    /// In this folder, which need not exist yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    fn choices_file(&self) -> PathBuf {
        self.0.join("coordinators.json")
    }

    fn survey_file(&self, id: SurveyId) -> PathBuf {
        self.0.join("surveys").join(format!("{id}.json"))
    }

    fn choices(&self) -> Result<BTreeMap<String, SurveyId>, Error> {
        let path = self.choices_file();
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        let text = files::read(&path, MAX_CHOICES)?;
        serde_json::from_slice(&text)
            .map_err(|e| Error::usage(format!("{} is damaged ({e}): repair or remove it", path.display())))
    }

    /// The survey that was chosen at this coordinator; `None` if none was.
    pub fn chosen(&self, coordinator: &str) -> Result<Option<SurveyId>, Error> {
        Ok(self.choices()?.get(&key(coordinator)).copied())
    }

    /// The descriptor of a survey that was chosen at some coordinator; `None` if it never was.
    pub fn survey(&self, id: SurveyId) -> Result<Option<SurveyDescriptor>, Error> {
        let path = self.survey_file(id);
        if !path.exists() {
            return Ok(None);
        }
        let survey = SurveyDescriptor::from_bytes(files::read(&path, MAX_SURVEY_BYTES)?.to_vec())?;
        if survey.id() != id {
            return Err(Error::usage(format!("{} is damaged: remove it", path.display())));
        }
        Ok(Some(survey))
    }

    /// Remembers a survey as the one chosen at this coordinator.
    pub fn remember(&self, coordinator: &str, survey: &SurveyDescriptor) -> Result<(), Error> {
        let path = self.survey_file(survey.id());
        files::create_private_dir(path.parent().unwrap_or(Path::new(".")))?;
        files::write(&path, survey.bytes(), Access::Public, true)?;
        let mut choices = self.choices()?;
        choices.insert(key(coordinator), survey.id());
        let text = serde_json::to_vec_pretty(&choices).map_err(|e| Error::usage(e.to_string()))?;
        files::write(&self.choices_file(), &text, Access::Public, true)
    }
}

/// A coordinator's address as it is remembered: without a slash at the end.
fn key(coordinator: &str) -> String {
    coordinator.trim_end_matches('/').to_owned()
}
