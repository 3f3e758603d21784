//! The author, the purpose and the duration of a survey: the facts that a provider reads before anything is sent.

use super::{SurveyError, SurveySection, invalid};

/// Longest text of one of these keys, in bytes.
const MAX_TEXT: usize = 500;

impl SurveySection {
    /// Checks the texts: one line of printable characters each.
    pub(super) fn validate_about(&self) -> Result<(), SurveyError> {
        let texts = [
            ("survey.owner", &self.owner),
            ("survey.contact", &self.contact),
            ("survey.purpose", &self.purpose),
            ("survey.retention", &self.retention),
        ];
        for (key, text) in texts {
            let Some(text) = text else { continue };
            if text.trim().is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
                return Err(invalid(
                    key,
                    format!("write one line of 1 to {MAX_TEXT} bytes, or leave it out"),
                ));
            }
        }
        Ok(())
    }

    /// The missing texts: `survey check` asks for them.
    pub fn missing_about(&self) -> Vec<&'static str> {
        let texts = [
            ("owner", &self.owner),
            ("contact", &self.contact),
            ("purpose", &self.purpose),
            ("retention", &self.retention),
        ];
        texts.into_iter().filter_map(|(key, text)| text.is_none().then_some(key)).collect()
    }
}
