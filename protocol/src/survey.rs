//! Surveys: the owner's file, its rules, and the descriptor that every operator approves by its hash.
//!
//! The file format is described for users in `docs/survey-file.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use tercet_mpc::statistics::Statistic;
use time::OffsetDateTime;
use tlsn_verifier::{NotaryKey, SignatureAlg};

use crate::ids::{EngineDigest, PublicKey, SurveyId, sha256};

/// Most columns of one survey.
pub const MAX_COLUMNS: usize = 16;
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
    /// Which exchange with which server counts.
    pub source: SourceSection,
    /// Notaries whose attestations are accepted.
    pub notaries: Vec<NotarySection>,
    /// Where the provider's identity stands in the response. Without it, one TLS session counts as one identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentitySection>,
    /// The committed values.
    pub columns: Vec<ColumnSection>,
}

/// `[survey]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurveySection {
    /// Short name: lower-case letters, digits and hyphens.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Earliest attested connection time.
    #[serde(with = "time::serde::rfc3339")]
    pub opens: OffsetDateTime,
    /// Latest attested connection time.
    #[serde(with = "time::serde::rfc3339")]
    pub closes: OffsetDateTime,
    /// Fewest submissions that a release may cover.
    pub min_cohort: u64,
    /// Fewest submissions added or replaced between two releases of one aggregate.
    pub min_new: u64,
    /// What a second proof of the same identity does.
    #[serde(default)]
    pub resubmission: Resubmission,
    /// Statistics that may be released.
    pub statistics: Vec<String>,
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
        manifest.validate()?;
        Ok(manifest)
    }

    /// The statistics that may be released, parsed.
    pub fn statistics(&self) -> Vec<Statistic> {
        self.survey.statistics.iter().filter_map(|s| Statistic::from_str(s).ok()).collect()
    }

    /// Checks every rule that the syntax alone does not.
    pub fn validate(&self) -> Result<(), SurveyError> {
        let s = &self.survey;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let named = |key: &str, name: &str| {
            if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
                Err(invalid(key, "use 1 to 64 lower-case letters, digits, hyphens and underscores"))
            } else {
                Ok(())
            }
        };
        named("survey.name", &s.name)?;
        if s.title.len() > 200 || s.title.chars().any(char::is_control) {
            return Err(invalid("survey.title", "write one line of at most 200 bytes"));
        }
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
        for name in &s.statistics {
            if Statistic::from_str(name).is_err() {
                let known: Vec<_> = Statistic::ALL.iter().map(ToString::to_string).collect();
                return Err(invalid(
                    "survey.statistics",
                    format!("\"{}\" is not a statistic; known: {}", name.escape_debug(), known.join(", ")),
                ));
            }
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
        if self.columns.is_empty() || self.columns.len() > MAX_COLUMNS {
            return Err(invalid("columns", format!("declare 1 to {MAX_COLUMNS} columns")));
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
        Ok(())
    }
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

/// A survey as it runs: the owner's rules, the trust anchors themselves, the three parties and the engine.
///
/// Its id is the SHA-256 of the exact bytes, so nobody needs a canonical form of JSON: the bytes are kept and
/// passed on unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct SurveyDescriptor {
    bytes: Vec<u8>,
    id: SurveyId,
    body: DescriptorBody,
}

/// Version of the protocol between parties, clients and coordinator; part of every survey's id.
pub const PROTOCOL_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescriptorBody {
    protocol: u32,
    /// The parties' identity keys, in party order.
    parties: [PublicKey; 3],
    engine: EngineDigest,
    manifest: SurveyManifest,
}

impl SurveyDescriptor {
    /// Assembles a descriptor. `roots` are DER certificates that replace the manifest's file names.
    pub fn assemble(
        mut manifest: SurveyManifest,
        roots: &[Vec<u8>],
        parties: [PublicKey; 3],
        engine: EngineDigest,
    ) -> Result<Self, SurveyError> {
        manifest.source.root_certificates = roots.iter().map(|r| BASE64.encode(r)).collect();
        let body = DescriptorBody { protocol: PROTOCOL_VERSION, parties, engine, manifest };
        let bytes = serde_json::to_vec_pretty(&body).map_err(|e| SurveyError::Syntax(e.to_string()))?;
        Self::from_bytes(bytes)
    }

    /// Reads and checks a descriptor; its id is the hash of `bytes`.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SurveyError> {
        if bytes.len() > MAX_SURVEY_BYTES {
            return Err(SurveyError::TooLarge(bytes.len()));
        }
        let body: DescriptorBody =
            serde_json::from_slice(&bytes).map_err(|e| SurveyError::Syntax(e.to_string()))?;
        if body.protocol != PROTOCOL_VERSION {
            return Err(invalid(
                "protocol",
                format!("this program speaks version {PROTOCOL_VERSION}, not {}", body.protocol),
            ));
        }
        let [a, b, c] = body.parties;
        if a == b || b == c || a == c {
            return Err(invalid("parties", "three different operators are needed, each with its own key"));
        }
        let this = Self { id: SurveyId(sha256(&[&bytes])), bytes, body };
        this.manifest().validate()?;
        this.root_certificates()?;
        Ok(this)
    }

    /// The exact bytes that [`Self::id`] is the hash of.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The survey's id.
    pub fn id(&self) -> SurveyId {
        self.id
    }

    /// The owner's rules.
    pub fn manifest(&self) -> &SurveyManifest {
        &self.body.manifest
    }

    /// The parties' identity keys, in party order.
    pub fn parties(&self) -> &[PublicKey; 3] {
        &self.body.parties
    }

    /// The engine that every party must run.
    pub fn engine(&self) -> EngineDigest {
        self.body.engine
    }

    /// The trust anchors, DER. Empty: Mozilla's roots.
    pub fn root_certificates(&self) -> Result<Vec<Vec<u8>>, SurveyError> {
        let decode = |c: &String| {
            BASE64.decode(c).map_err(|_| {
                invalid("source.root_certificates", "a descriptor holds base64 DER certificates")
            })
        };
        self.manifest().source.root_certificates.iter().map(decode).collect()
    }
}
