//! Surveys: the owner's file, its rules, and the descriptor that every operator approves by its hash.
//!
//! The file format is described for users in `docs/survey-file.md`.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tercet_mpc::statement::MAX_OUTPUTS;
use tercet_mpc::statistics::{Permit, Statistic};
use time::OffsetDateTime;

mod about;
mod check;
mod descriptor;
mod exposes;
mod hidden;
pub mod inputs;
mod noise;
mod notary;
mod outputs;
mod place;
mod releases;
mod secret;
mod size;
pub mod source;
mod words;

pub use descriptor::{PROTOCOL_VERSION, SurveyDescriptor};
pub use exposes::{MAX_BINS, OrderList};
pub use noise::NoiseSection;
pub use notary::{NotaryAlgorithm, NotarySection};
pub use releases::{ReleasesSection, duration};
pub use secret::{Linear, SecretBlock, SecretPartition};
pub use size::MAX_RESULT;
pub use source::{
    Absent, BodyFormat, CategorySection, ColumnSection, ExcessDigits, FieldSection, Fold, IdentitySection,
    Rules, SourceSection,
};

/// Most columns of one survey.
pub const MAX_COLUMNS: usize = 16;
/// Most revealed fields of one survey.
pub const MAX_FIELDS: usize = 8;
/// Longest value of a revealed field, in bytes.
pub const MAX_FIELD_VALUE: usize = 64;
/// Most values that a survey lists for one field.
pub const MAX_FIELD_VALUES: usize = 512;
/// Most statistics that a survey lists.
pub const MAX_STATISTICS: usize = 256;
/// Longest literal (prefix, suffix) in bytes.
pub const MAX_LITERAL: usize = 256;
/// Largest survey file or descriptor in bytes.
pub const MAX_SURVEY_BYTES: usize = 256 * 1024;

/// A survey as its owner writes it (TOML): questions and rules of admission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurveyManifest {
    /// The questions and the released statistics.
    pub survey: SurveySection,
    /// When people enter the statistics. Without it, the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<ReleasesSection>,
    /// The server, and the exchange with it that counts.
    pub source: SourceSection,
    /// Notaries whose attestations are accepted.
    pub notaries: Vec<NotarySection>,
    /// The place of the provider's identity in the response. Without it, one TLS session counts as one identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentitySection>,
    /// Revealed values by which rows may be grouped and filtered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldSection>,
    /// Noise of the released sums.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<NoiseSection>,
    /// The committed values.
    pub columns: Vec<ColumnSection>,
    /// Committed texts by which rows may be grouped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategorySection>,
}

/// `[survey]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurveySection {
    /// Short name: lower-case letters, digits and hyphens.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The author: a name that providers know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// An address for questions and complaints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The purpose of the statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The time for which the parties keep the shares, in the owner's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// Earliest attested connection time.
    #[serde(with = "time::serde::rfc3339")]
    pub opens: OffsetDateTime,
    /// Latest attested connection time.
    #[serde(with = "time::serde::rfc3339")]
    pub closes: OffsetDateTime,
    /// Fewest submissions that a release may cover.
    pub min_cohort: u64,
    /// Fewest submissions that the difference of releases may tell about.
    pub min_new: u64,
    /// Most releases in the survey's life: one for each statistic, filter and height. Without it, any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
    /// Most epsilon that all releases with noise add up to: a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_budget: Option<String>,
    /// The effect of a second proof of the same identity.
    #[serde(default)]
    pub resubmission: Resubmission,
    /// Statistics that may be released.
    pub statistics: Vec<String>,
    /// Those of them that publish a single person's value: `max`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposes: Vec<String>,
}

impl SurveySection {
    /// Fewest submissions of any set that is released: the minimum cohort, or `min_new` if that is more.
    pub fn smallest_set(&self) -> u64 {
        self.min_cohort.max(self.min_new)
    }
}

/// The effect of a second proof of the same identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resubmission {
    /// It is refused.
    #[default]
    Reject,
    /// It takes the place of the first.
    Replace,
}

/// The faults of a survey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SurveyError {
    /// Not TOML or JSON of the survey format; the text names line and key.
    #[error("the survey does not parse: {0}")]
    Syntax(String),
    /// A value breaks a rule.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key, as written in the file.
        key: String,
        /// The fault, and what to write instead.
        problem: String,
    },
    /// The survey is larger than [`MAX_SURVEY_BYTES`].
    #[error("the survey has {0} bytes, more than the 262144 allowed")]
    TooLarge(usize),
}

fn invalid(key: impl Into<String>, problem: impl Into<String>) -> SurveyError {
    SurveyError::Invalid { key: key.into(), problem: problem.into() }
}

impl SurveyManifest {
    /// Reads and checks a survey file. Unknown keys are errors.
    pub fn from_toml(text: &str) -> Result<Self, SurveyError> {
        let manifest = Self::read(text)?;
        manifest.validate().map_err(|e| e.placed(text))?;
        Ok(manifest)
    }

    /// Reads a survey file without checking its rules.
    pub fn read(text: &str) -> Result<Self, SurveyError> {
        if text.len() > MAX_SURVEY_BYTES {
            return Err(SurveyError::TooLarge(text.len()));
        }
        toml::from_str(text).map_err(|e| SurveyError::Syntax(words::of_syntax(&e, text)))
    }

    /// The list of releases, parsed.
    pub fn permits(&self) -> Vec<Permit> {
        self.survey.statistics.iter().filter_map(|s| Permit::from_str(s).ok()).collect()
    }

    /// The statistics that are released when none is named: all whose parameters the survey states.
    pub fn statistics(&self) -> Vec<Statistic> {
        self.permits().iter().filter_map(Permit::statistic).collect()
    }

    /// The index of the column of this name.
    pub fn column(&self, name: &str) -> Option<u8> {
        // At most MAX_COLUMNS columns.
        (0u8..).zip(&self.columns).find_map(|(i, c)| (c.name == name).then_some(i))
    }

    /// The names of all hidden values: the columns, then the categories.
    pub fn hidden_names(&self) -> Vec<&str> {
        let columns = self.columns.iter().map(|c| c.name.as_str());
        columns.chain(self.categories.iter().map(|c| c.name.as_str())).collect()
    }

    /// The index of the revealed field of this name.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// Checks every rule that the syntax alone does not.
    pub fn validate(&self) -> Result<(), SurveyError> {
        let s = &self.survey;
        named("survey.name", &s.name)?;
        if s.title.len() > 200 || s.title.chars().any(char::is_control) {
            return Err(invalid("survey.title", "write one line of at most 200 bytes"));
        }
        s.validate_about()?;
        if s.opens >= s.closes {
            return Err(invalid("survey.closes", "must be later than survey.opens"));
        }
        if s.min_cohort == 0 {
            return Err(invalid("survey.min_cohort", "must be at least 1; 10 or more protects people"));
        }
        if s.min_new == 0 {
            return Err(invalid("survey.min_new", "must be at least 1; 5 or more protects people"));
        }
        if s.statistics.is_empty() {
            return Err(invalid("survey.statistics", "name at least one statistic"));
        }
        if s.statistics.len() > MAX_STATISTICS {
            return Err(invalid("survey.statistics", format!("list at most {MAX_STATISTICS}")));
        }
        if s.budget.is_some() {
            let problem =
                "leave it out: sums are of whole groups of min_new people, so questions need no budget";
            return Err(invalid("survey.budget", problem));
        }
        self.source_rules()?;
        if self.notaries.is_empty() || self.notaries.len() > 64 {
            return Err(invalid("notaries", "list 1 to 64 notaries whose attestations count"));
        }
        for n in &self.notaries {
            n.validate().map_err(|e| e.of(&n.name))?;
        }
        self.validate_fields()?;
        if self.columns.is_empty() || self.columns.len() + self.categories.len() > MAX_COLUMNS {
            return Err(invalid(
                "columns",
                format!("declare 1 to {MAX_COLUMNS} columns, categories included"),
            ));
        }
        let mut seen = BTreeSet::new();
        for c in &self.columns {
            named("columns.name", &c.name).map_err(|e| e.of(&c.name))?;
            if !seen.insert(&c.name) {
                return Err(invalid("columns.name", format!("\"{}\" is used twice", c.name)));
            }
            if c.unit.len() > 32 || c.unit.chars().any(char::is_control) {
                return Err(invalid("columns.unit", "write at most 32 bytes").of(&c.name));
            }
        }
        self.validate_statistics()?;
        self.validate_size()?;
        self.validate_hidden()?;
        self.validate_noise()?;
        self.validate_orders()?;
        self.validate_releases()?;
        self.validate_places()
    }

    fn validate_fields(&self) -> Result<(), SurveyError> {
        if self.fields.len() > MAX_FIELDS {
            return Err(invalid("fields", format!("declare at most {MAX_FIELDS} fields")));
        }
        let mut seen = BTreeSet::new();
        for f in &self.fields {
            named("fields.name", &f.name).map_err(|e| e.of(&f.name))?;
            if !seen.insert(&f.name) {
                return Err(invalid("fields.name", format!("\"{}\" is used twice", f.name)));
            }
            let distinct = f.values.iter().collect::<BTreeSet<_>>().len() == f.values.len();
            let plain =
                |v: &String| !v.is_empty() && v.len() <= MAX_FIELD_VALUE && !v.chars().any(char::is_control);
            if f.values.len() > MAX_FIELD_VALUES || !distinct || !f.values.iter().all(plain) {
                let problem = format!(
                    "list at most {MAX_FIELD_VALUES} different values of 1 to {MAX_FIELD_VALUE} bytes"
                );
                return Err(invalid("fields.values", problem).of(&f.name));
            }
            let in_values = |m: &String| f.values.is_empty() || f.values.contains(m);
            if !f.missing.iter().all(|m| plain(m) && in_values(m)) {
                let problem = format!(
                    "of \"{}\": write 1 to {MAX_FIELD_VALUE} bytes, one of values if these are listed",
                    f.name
                );
                return Err(invalid("fields.missing", problem));
            }
        }
        Ok(())
    }

    /// Every listed statistic is one, of columns and fields that exist, and all together fit one proof.
    fn validate_statistics(&self) -> Result<(), SurveyError> {
        for text in &self.survey.statistics {
            let wrong = |problem: String| {
                invalid("survey.statistics", format!("\"{}\": {problem}", text.escape_debug()))
            };
            let permit = Permit::from_str(text).map_err(|e| wrong(e.to_string()))?;
            if let Some(unknown) = permit.columns.iter().find(|c| self.column(c).is_none()) {
                return Err(wrong(format!("the survey has no column {unknown}")));
            }
            if permit.family.arity() == 2 && self.columns.len() < 2 {
                return Err(wrong("it takes two columns".into()));
            }
            let unknown = |f: &&String| self.field(f).is_none() && self.category(f).is_none();
            if let Some(field) = permit.group.as_ref().filter(unknown) {
                return Err(wrong(format!(
                    "the survey has no field {field}: declare it under [[fields]] or [[categories]]"
                )));
            }
        }
        let outputs = self.outputs().len();
        if outputs > MAX_OUTPUTS {
            let problem = format!(
                "they take {outputs} numbers of each provider, more than {MAX_OUTPUTS}: name the columns, as in \
                 covariance(a,b)"
            );
            return Err(invalid("survey.statistics", problem));
        }
        Ok(())
    }
}

fn named(key: &str, name: &str) -> Result<(), SurveyError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(invalid(key, "use 1 to 64 lower-case letters, digits, hyphens and underscores"));
    }
    Ok(())
}
