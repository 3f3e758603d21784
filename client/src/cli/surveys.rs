//! `tercet survey try`.

use std::path::Path;
use std::process::ExitCode;

use tercet_client::survey_try::{self, Outcome, Saved};
use tercet_client::{Error, files};
use tercet_protocol::survey::{MAX_SURVEY_BYTES, SurveyManifest};

use super::output;

/// Tries a survey on a saved exchange. Exit status 1 means that it would be refused.
pub fn attempt(file: &Path, request: Option<&Path>, response: &Path, json: bool) -> Result<ExitCode, Error> {
    let text = files::read_text(file, MAX_SURVEY_BYTES)?;
    let response = survey_try::saved(response)?;
    let outcome = match SurveyManifest::read(&text) {
        Ok(manifest) => {
            let request = match request {
                Some(path) => survey_try::saved(path)?,
                None => Saved { bytes: survey_try::request(&manifest), ..Saved::default() },
            };
            survey_try::attempt(&manifest, &request, &response).unwrap_or_else(|e| Outcome::bad_survey(&e))
        }
        Err(e) => Outcome::bad_survey(&e),
    };
    if json {
        output::json(&outcome)?;
    } else {
        output::text(&outcome.to_text());
    }
    Ok(if outcome.admitted { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
