//! Surveys: the owner's file, its rules, and the descriptor that every operator approves by its hash.
//!
//! The file format is described for users in `docs/survey-file.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tercet_mpc::statement::MAX_OUTPUTS;
use tercet_mpc::statistics::{Permit, Statistic};
use time::OffsetDateTime;
use tlsn_verifier::{NotaryKey, SignatureAlg};

mod about;
mod check;
mod descriptor;
mod exposes;
mod hidden;
mod noise;
mod place;
mod releases;
mod secret;
mod size;

pub use descriptor::{PROTOCOL_VERSION, SurveyDescriptor};
pub use exposes::{MAX_BINS, OrderList};
pub use noise::NoiseSection;
pub use releases::{ReleasesSection, duration};
pub use secret::{Linear, SecretBlock, SecretPartition};
pub use size::MAX_RESULT;

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

/// What a survey asks and admits, as its owner writes it (TOML).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurveyManifest {
    /// What is asked and released.
    pub survey: SurveySection,
    /// When people enter the statistics. Without it, the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<ReleasesSection>,
    /// Which exchange with which server counts.
    pub source: SourceSection,
    /// Notaries whose attestations are accepted.
    pub notaries: Vec<NotarySection>,
    /// Where the provider's identity stands in the response. Without it, one TLS session counts as one identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentitySection>,
    /// Revealed values by which rows may be grouped and filtered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldSection>,
    /// Noise of what is released.
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
    /// Who asks: a name that providers know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where questions and complaints go: an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// What the statistics are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// How long the parties keep the shares, in the owner's words.
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
    /// What a second proof of the same identity does.
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

/// What a second proof of the same identity does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resubmission {
    /// It is refused.
    #[default]
    Reject,
    /// It takes the place of the first.
    Replace,
}

/// `[source]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    /// The server's DNS name, also demanded in the `Host` header.
    pub server_name: String,
    /// Trust anchors: files beside a survey file, base64 DER in a descriptor. Empty: Mozilla's roots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root_certificates: Vec<String>,
    /// The request's method.
    pub method: String,
    /// The request's path.
    pub path: String,
    /// Query parameters the request must have, each exactly once. Others may stand beside them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
}

/// `[[notaries]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotarySection {
    /// For people.
    pub name: String,
    /// The key's kind.
    pub algorithm: NotaryAlgorithm,
    /// SEC1 public key, compressed or not, in hexadecimal.
    pub key: String,
}

/// Notary signature algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotaryAlgorithm {
    /// ECDSA over secp256k1 (SHA-256 or, as Ethereum signs, Keccak-256).
    Secp256k1,
    /// ECDSA over P-256 with SHA-256.
    Secp256r1,
}

/// `[identity]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySection {
    /// Literal in front of the identity.
    pub prefix: String,
    /// Literal behind it.
    pub suffix: String,
}

/// `[[fields]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSection {
    /// Short name: lower-case letters, digits, hyphens and underscores.
    pub name: String,
    /// Literal in front of the value.
    pub prefix: String,
    /// Literal behind the value.
    pub suffix: String,
    /// The values that are admitted; none: any of 1 to 64 printable bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// `[[columns]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSection {
    /// Short name: lower-case letters, digits, hyphens and underscores.
    pub name: String,
    /// The unit, for people.
    #[serde(default)]
    pub unit: String,
    /// Literal in front of the value.
    pub prefix: String,
    /// Literal behind the value.
    pub suffix: String,
    /// The integer computed with is value * 10^scale (0 to 18).
    pub scale: u8,
    /// The integer's magnitude is below 2^bits (1 to 63).
    pub bits: u8,
    /// What to do with non-zero digits beyond the scale.
    #[serde(default, skip_serializing_if = "ExcessDigits::is_default")]
    pub excess_digits: ExcessDigits,
    /// The text that stands where there is no value (`null`); without it, every submission has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// `[[categories]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategorySection {
    /// Short name: lower-case letters, digits, hyphens and underscores.
    pub name: String,
    /// Literal in front of the value.
    pub prefix: String,
    /// Literal behind the value.
    pub suffix: String,
    /// The values that there are, 2 to 16. Of those that are too few to stand alone, the last ones are put together first.
    pub values: Vec<String>,
}

/// A committed text, of a column or a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Literal in front of it.
    pub prefix: &'a str,
    /// Literal behind it.
    pub suffix: &'a str,
}

/// What to do with non-zero digits beyond the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExcessDigits {
    /// The submission is refused.
    #[default]
    Reject,
    /// They are dropped (toward zero).
    Truncate,
}

impl ExcessDigits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is wrong with a survey.
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
        /// What is wrong and what to write instead.
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
        if text.len() > MAX_SURVEY_BYTES {
            return Err(SurveyError::TooLarge(text.len()));
        }
        let manifest: Self = toml::from_str(text).map_err(|e| SurveyError::Syntax(e.to_string()))?;
        manifest.validate().map_err(|e| e.placed(text))?;
        Ok(manifest)
    }

    /// What may be released, parsed.
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

    /// All committed texts: the columns, then the categories.
    pub fn committed(&self) -> Vec<Committed<'_>> {
        let columns = self.columns.iter().map(|c| (&c.name, &c.prefix, &c.suffix));
        let categories = self.categories.iter().map(|c| (&c.name, &c.prefix, &c.suffix));
        columns.chain(categories).map(|(name, prefix, suffix)| Committed { name, prefix, suffix }).collect()
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
        self.source.validate()?;
        if self.notaries.is_empty() || self.notaries.len() > 64 {
            return Err(invalid("notaries", "list 1 to 64 notaries whose attestations count"));
        }
        for n in &self.notaries {
            n.keys()?;
        }
        if let Some(id) = &self.identity {
            literal("identity.prefix", &id.prefix, true)?;
            literal("identity.suffix", &id.suffix, false)?;
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
            named("columns.name", &c.name)?;
            if !seen.insert(&c.name) {
                return Err(invalid("columns.name", format!("\"{}\" is used twice", c.name)));
            }
            literal("columns.prefix", &c.prefix, true)?;
            literal("columns.suffix", &c.suffix, false)?;
            if c.unit.len() > 32 || c.unit.chars().any(char::is_control) {
                return Err(invalid("columns.unit", "write at most 32 bytes"));
            }
            if c.scale > 18 {
                return Err(invalid("columns.scale", "must be 0 to 18"));
            }
            if c.bits == 0 || c.bits > 63 {
                return Err(invalid("columns.bits", "must be 1 to 63"));
            }
        }
        self.validate_statistics()?;
        self.validate_size()?;
        self.validate_hidden()?;
        self.validate_noise()?;
        self.validate_orders()?;
        self.validate_releases()
    }

    fn validate_fields(&self) -> Result<(), SurveyError> {
        if self.fields.len() > MAX_FIELDS {
            return Err(invalid("fields", format!("declare at most {MAX_FIELDS} fields")));
        }
        let mut seen = BTreeSet::new();
        for f in &self.fields {
            named("fields.name", &f.name)?;
            if !seen.insert(&f.name) {
                return Err(invalid("fields.name", format!("\"{}\" is used twice", f.name)));
            }
            literal("fields.prefix", &f.prefix, true)?;
            literal("fields.suffix", &f.suffix, false)?;
            let distinct = f.values.iter().collect::<BTreeSet<_>>().len() == f.values.len();
            let plain =
                |v: &String| !v.is_empty() && v.len() <= MAX_FIELD_VALUE && !v.chars().any(char::is_control);
            if f.values.len() > MAX_FIELD_VALUES || !distinct || !f.values.iter().all(plain) {
                let problem = format!(
                    "list at most {MAX_FIELD_VALUES} different values of 1 to {MAX_FIELD_VALUE} bytes"
                );
                return Err(invalid("fields.values", problem));
            }
            if f.values.iter().any(|v| v.contains(&f.suffix)) {
                return Err(invalid(
                    "fields.values",
                    "a value ends before the first suffix, so none contains it",
                ));
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

/// A literal that must not be able to occur inside a JSON string: with `quoted`, it contains an unescaped quote.
fn literal(key: &str, text: &str, quoted: bool) -> Result<(), SurveyError> {
    if text.is_empty() || text.len() > MAX_LITERAL {
        return Err(invalid(key, format!("write 1 to {MAX_LITERAL} bytes")));
    }
    let bytes = text.as_bytes();
    let unescaped = (0..bytes.len())
        .any(|i| bytes[i] == b'"' && (i > 0 && bytes[i - 1] != b'\\' || i == 0 && bytes.len() > 1));
    if text.contains("\0") {
        return Err(invalid(key, "must not contain a zero byte"));
    }
    if quoted && !unescaped {
        return Err(invalid(
            key,
            "must contain an unescaped quote (\"), so that it cannot be forged inside a JSON string",
        ));
    }
    Ok(())
}

impl NotarySection {
    /// The keys that this entry stands for. A secp256k1 notary may sign in Ethereum's way too.
    pub fn keys(&self) -> Result<Vec<NotaryKey>, SurveyError> {
        let bytes = hex::decode(&self.key)
            .map_err(|_| invalid("notaries.key", "write the SEC1 key in hexadecimal"))?;
        let algorithms: &[SignatureAlg] = match self.algorithm {
            NotaryAlgorithm::Secp256k1 => &[SignatureAlg::Secp256k1, SignatureAlg::Secp256k1Eth],
            NotaryAlgorithm::Secp256r1 => &[SignatureAlg::Secp256r1],
        };
        let key =
            |a: &SignatureAlg| NotaryKey::new(*a, &bytes).map_err(|e| invalid("notaries.key", e.to_string()));
        algorithms.iter().map(key).collect()
    }
}

impl SourceSection {
    fn validate(&self) -> Result<(), SurveyError> {
        let name = &self.server_name;
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if name.len() > 253 || !name.contains('.') || !name.split('.').all(label) {
            return Err(invalid("source.server_name", "write a lower-case DNS name such as api.example.com"));
        }
        if !matches!(self.method.as_str(), "GET" | "POST") {
            return Err(invalid("source.method", "must be GET or POST"));
        }
        let visible = |t: &str| t.bytes().all(|b| b.is_ascii_graphic());
        if !self.path.starts_with('/')
            || self.path.len() > 1024
            || !visible(&self.path)
            || self.path.contains(['?', '#'])
        {
            return Err(invalid("source.path", "write the path alone, beginning with /, without ? or #"));
        }
        for (k, v) in &self.query {
            if k.is_empty()
                || k.len() + v.len() > 1024
                || !visible(k)
                || !visible(v)
                || k.contains(['&', '=', '#'])
                || v.contains(['&', '#'])
            {
                return Err(invalid(
                    "source.query",
                    "write names and values as they stand in the URL (percent-encoded)",
                ));
            }
        }
        if self.root_certificates.len() > 64 {
            return Err(invalid("source.root_certificates", "list at most 64"));
        }
        Ok(())
    }
}
