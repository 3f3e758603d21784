//! The rows that count: conditions on revealed fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::survey::{MAX_FIELD_VALUE, MAX_FIELD_VALUES, SurveyManifest};

/// Rows whose fields have one of the named values each: `{"country": ["DE", "FR"]}`. Empty: all rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub BTreeMap<String, BTreeSet<String>>);

impl Filter {
    /// True if all rows count.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with one more value admitted for a field.
    pub fn or(mut self, field: &str, value: &str) -> Self {
        self.0.entry(field.to_owned()).or_default().insert(value.to_owned());
        self
    }

    /// Rows of this filter whose field has one of these values.
    pub fn and(mut self, field: &str, values: &BTreeSet<String>) -> Self {
        let narrowed = match self.0.get(field) {
            Some(own) => own.intersection(values).cloned().collect(),
            None => values.clone(),
        };
        self.0.insert(field.to_owned(), narrowed);
        self
    }

    /// True if a row with these values, in the survey's order of fields, counts.
    pub fn matches<'a>(&self, manifest: &SurveyManifest, value: impl Fn(usize) -> Option<&'a str>) -> bool {
        self.0
            .iter()
            .all(|(field, values)| manifest.field(field).and_then(&value).is_some_and(|v| values.contains(v)))
    }

    /// Checks that the survey has the fields and admits the values; the text names the fault.
    pub fn check(&self, manifest: &SurveyManifest) -> Result<(), String> {
        for (name, values) in &self.0 {
            let shown = |text: &str| text.chars().take(64).flat_map(char::escape_debug).collect::<String>();
            let Some(field) = manifest.field(name).and_then(|i| manifest.fields.get(i)) else {
                let known: Vec<_> = manifest.fields.iter().map(|f| f.name.as_str()).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Err(format!("the survey has no field \"{}\"; it has: {known}", shown(name)));
            };
            if values.is_empty() || values.len() > MAX_FIELD_VALUES {
                return Err(format!("name 1 to {MAX_FIELD_VALUES} values of {name}"));
            }
            for value in values {
                if !field.values.is_empty() && !field.values.contains(value) {
                    let known = field.values.join(", ");
                    return Err(format!(
                        "{name} is never \"{}\" in this survey, but one of: {known}",
                        shown(value)
                    ));
                }
                if value.is_empty() || value.len() > MAX_FIELD_VALUE || value.chars().any(char::is_control) {
                    return Err(format!("a value of {name} has 1 to {MAX_FIELD_VALUE} printable bytes"));
                }
            }
        }
        Ok(())
    }

    /// Writes the form that is signed.
    pub(crate) fn write(&self, w: &mut Writer) {
        w.u64(self.0.len() as u64);
        for (field, values) in &self.0 {
            w.bytes(field.as_bytes()).u64(values.len() as u64);
            values.iter().for_each(|v| {
                w.bytes(v.as_bytes());
            });
        }
    }
}

/// As people write it: `country=DE,FR plan=pro`.
impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let conditions = self.0.iter().map(|(field, values)| {
            format!("{field}={}", values.iter().map(String::as_str).collect::<Vec<_>>().join(","))
        });
        f.write_str(&conditions.collect::<Vec<_>>().join(" "))
    }
}
