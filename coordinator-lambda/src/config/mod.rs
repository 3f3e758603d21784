//! Configuration: a TOML file, then `TERCET_*` environment variables. The crate's README has the table of keys.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::metrics::Metrics;

mod limits;

pub use limits::{Limits, Rate};

/// Prefix of the environment variables that override keys of the file: `TERCET_LIMITS__ADDRESS__BURST` is
/// `limits.address.burst`.
pub const ENV_PREFIX: &str = "TERCET_";

/// Keys whose value is text, whatever it looks like.
const TEXT_KEYS: [&str; 10] = [
    "listen",
    "public_url",
    "table",
    "dynamodb_endpoint",
    "region",
    "federation",
    "surveys",
    "signing_key_file",
    "signing_key_secret",
    "metrics",
];
/// Keys whose value is a path, relative to the file.
const PATH_KEYS: [&str; 3] = ["federation", "surveys", "signing_key_file"];
/// Set by Lambda: the folder of the function's own files.
const LAMBDA_TASK_ROOT: &str = "LAMBDA_TASK_ROOT";
/// The other keys. `TERCET_*` variables of other names belong to other programs and are ignored.
const OTHER_KEYS: [&str; 13] = [
    "party_rest_seconds",
    "keep_days",
    "create_table",
    "documents_seconds",
    "ticket_seconds",
    "settle_seconds",
    "query_seconds",
    "party_timeout_ms",
    "refresh_seconds",
    "request_timeout_ms",
    "statistics_max_age",
    "trusted_proxies",
    "limits",
];

/// The coordinator's configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address of the local server; port 0 picks one. Not used on Lambda.
    #[serde(default = "loopback")]
    pub listen: SocketAddr,
    /// Base URL under which clients reach this coordinator; must equal the federation's when given.
    #[serde(default)]
    pub public_url: Option<String>,
    /// The DynamoDB table's name.
    pub table: String,
    /// Makes the table at start when it is missing. For local use: in the cloud Terraform makes it.
    #[serde(default)]
    pub create_table: bool,
    /// The address of DynamoDB, when it is not the region's own endpoint.
    #[serde(default)]
    pub dynamodb_endpoint: Option<String>,
    /// AWS region; without it the SDK's usual places are asked.
    #[serde(default)]
    pub region: Option<String>,
    /// File with the federation (JSON). Without it and `surveys`, both are read from the table, where Terraform puts them.
    #[serde(default)]
    pub federation: Option<PathBuf>,
    /// Folder of survey descriptors, one `*.json` each.
    #[serde(default)]
    pub surveys: Option<PathBuf>,
    /// Seconds between two looks whether federation and surveys have changed.
    #[serde(default = "documents_seconds")]
    pub documents_seconds: u64,
    /// File with the 32-byte seed of the key that signs tickets, raw or in hexadecimal.
    #[serde(default)]
    pub signing_key_file: Option<PathBuf>,
    /// Name or ARN of a secret in Secrets Manager with that seed, instead of the file.
    #[serde(default)]
    pub signing_key_secret: Option<String>,
    /// The target of metrics: `none`, or `emf` for CloudWatch, which is the default on Lambda.
    #[serde(default)]
    pub metrics: Metrics,
    /// Days after a survey's closing for which its submissions and the hashes of its identities are kept. Until then people can ask for
    /// their receipts and withdraw.
    #[serde(default = "keep_days")]
    pub keep_days: u64,
    /// Lifetime of a ticket, in seconds.
    #[serde(default = "ticket_seconds")]
    pub ticket_seconds: u64,
    /// Seconds after a ticket's end from which on a party's "unknown" is final: covers the difference between clocks.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u64,
    /// After how many seconds without an answer a query is given up.
    #[serde(default = "query_seconds")]
    pub query_seconds: u64,
    /// Seconds for which a party that gave no answer in time is not asked again by the same process.
    #[serde(default = "party_rest_seconds")]
    pub party_rest_seconds: u64,
    /// Longest wait for one answer of a party, in milliseconds.
    #[serde(default = "party_timeout_ms")]
    pub party_timeout_ms: u64,
    /// Seconds between two looks of the local server for new release points. Without it, it never looks: on Lambda
    /// the function `refresh` runs on a schedule.
    #[serde(default)]
    pub refresh_seconds: Option<NonZeroU64>,
    /// Longest time one request may take, in milliseconds.
    #[serde(default = "request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// `max-age` of published statistics, in seconds.
    #[serde(default = "statistics_max_age")]
    pub statistics_max_age: u64,
    /// Number of reverse proxies in front that append to `X-Forwarded-For`.
    #[serde(default)]
    pub trusted_proxies: u8,
    /// Rates and bounds.
    #[serde(default)]
    pub limits: Limits,
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
fn documents_seconds() -> u64 {
    30
}
fn keep_days() -> u64 {
    365
}
fn ticket_seconds() -> u64 {
    300
}
fn settle_seconds() -> u64 {
    5
}
fn query_seconds() -> u64 {
    600
}
fn party_rest_seconds() -> u64 {
    10
}
fn party_timeout_ms() -> u64 {
    3_000
}
fn request_timeout_ms() -> u64 {
    25_000
}
fn statistics_max_age() -> u64 {
    10
}

/// Where federation and surveys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a file and a folder.
    Files {
        /// The federation's file.
        federation: &'a Path,
        /// The surveys' folder.
        surveys: &'a Path,
    },
    /// In the table.
    Table,
}

/// The faults of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text does not parse or has an unknown key.
    #[error("{place}: {problem}")]
    Syntax {
        /// The file or variable.
        place: String,
        /// The fault, with line and key.
        problem: String,
    },
    /// A value breaks a rule.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// The fault, and what to write instead.
        problem: String,
    },
}

pub(crate) fn invalid(key: &str, problem: impl fmt::Display) -> ConfigError {
    ConfigError::Invalid { key: key.into(), problem: problem.to_string() }
}

impl Config {
    /// Reads `file` (`None`: the environment alone) and applies the `TERCET_*` variables in `env`. Relative paths in
    /// the file are relative to it.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = match file {
            None => toml::Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { path: path.into(), source })?;
                toml::from_str(&text).map_err(|e| ConfigError::Syntax {
                    place: path.display().to_string(),
                    problem: e.to_string(),
                })?
            }
        };
        let base = file.and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
        for key in PATH_KEYS {
            if let Some(toml::Value::String(path)) = table.get_mut(key) {
                *path = base.join(&*path).display().to_string();
            }
        }
        let mut env: BTreeMap<String, String> = env.into_iter().collect();
        let on_lambda = env.remove(LAMBDA_TASK_ROOT).is_some();
        let names: BTreeMap<String, String> = env.into_iter().filter(|(k, _)| is_override(k)).collect();
        for (name, value) in &names {
            set(&mut table, name, value)?;
        }
        if on_lambda {
            table.entry("metrics").or_insert_with(|| toml::Value::String("emf".into()));
        }
        let place = match file {
            Some(path) if names.is_empty() => path.display().to_string(),
            Some(path) => format!("{} with {}", path.display(), list(names.keys())),
            None => format!("environment ({})", list(names.keys())),
        };
        let config: Self = toml::Value::Table(table)
            .try_into()
            .map_err(|e: toml::de::Error| ConfigError::Syntax { place, problem: e.message().to_owned() })?;
        config.validate()?;
        Ok(config)
    }

    /// Where federation and surveys are.
    pub fn documents(&self) -> Place<'_> {
        match (&self.federation, &self.surveys) {
            (Some(federation), Some(surveys)) => Place::Files { federation, surveys },
            _ => Place::Table,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(3..=255).contains(&self.table.len()) || !self.table.chars().all(plain) {
            return Err(invalid("table", "write 3 to 255 letters, digits, hyphens, underscores and dots"));
        }
        let url = |key: &str, value: &Option<String>| match value {
            Some(u) if !(u.starts_with("http://") || u.starts_with("https://")) => {
                Err(invalid(key, "write a URL that begins with http:// or https://"))
            }
            _ => Ok(()),
        };
        url("public_url", &self.public_url)?;
        url("dynamodb_endpoint", &self.dynamodb_endpoint)?;
        if self.federation.is_some() != self.surveys.is_some() {
            let one = if self.federation.is_some() { "surveys" } else { "federation" };
            return Err(invalid(
                one,
                "give federation and surveys, or neither: then both are read from the table",
            ));
        }
        if self.signing_key_file.is_some() == self.signing_key_secret.is_some() {
            return Err(crate::secrets::one_place());
        }
        let l = &self.limits;
        for (key, rate) in [
            ("address", l.address),
            ("status", l.status),
            ("survey", l.survey),
            ("identity", l.identity),
            ("asker", l.asker),
            ("questions", l.questions),
        ] {
            if rate.burst == 0 || rate.burst > 1_000_000 {
                return Err(invalid(&format!("limits.{key}.burst"), "must be 1 to 1000000"));
            }
            if !(1e-4..=1e6).contains(&rate.per_second) {
                return Err(invalid(&format!("limits.{key}.per_second"), "must be 0.0001 to 1000000"));
            }
        }
        let range = |key: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(invalid(key, format!("must be {low} to {high}")))
            }
        };
        range("limits.max_unfinished", l.max_unfinished.into(), 1, 10_000_000)?;
        range("limits.unfinished_shards", l.unfinished_shards.into(), 1, 1_000)?;
        range("documents_seconds", self.documents_seconds, 1, 3_600)?;
        range("keep_days", self.keep_days, 1, 3_650)?;
        range("ticket_seconds", self.ticket_seconds, 1, 86_400)?;
        range("settle_seconds", self.settle_seconds, 0, 3_600)?;
        range("query_seconds", self.query_seconds, 1, 86_400)?;
        range("party_rest_seconds", self.party_rest_seconds, 0, 600)?;
        range("party_timeout_ms", self.party_timeout_ms, 1, 60_000)?;
        range("request_timeout_ms", self.request_timeout_ms, 100, 900_000)?;
        range("statistics_max_age", self.statistics_max_age, 0, 86_400)
    }
}

fn is_override(name: &str) -> bool {
    let Some(key) = name.strip_prefix(ENV_PREFIX).map(str::to_ascii_lowercase) else { return false };
    let first = key.split("__").next().unwrap_or_default();
    TEXT_KEYS.contains(&first) || OTHER_KEYS.contains(&first)
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Sets one key from an environment variable, as the kind of value that the text reads as.
fn set(table: &mut toml::Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let path = name[ENV_PREFIX.len()..].to_ascii_lowercase();
    let mut keys: Vec<&str> = path.split("__").collect();
    let last = keys.pop().unwrap_or_default();
    let mut at = table;
    for key in keys {
        let next = at.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = next.as_table_mut().ok_or_else(|| invalid(name, format!("\"{key}\" is not a section")))?;
    }
    let text = || toml::Value::String(value.to_owned());
    let value = match (value.parse::<i64>(), value.parse::<f64>(), value) {
        _ if TEXT_KEYS.contains(&last) => text(),
        (Ok(i), _, _) => toml::Value::Integer(i),
        (_, Ok(f), _) => toml::Value::Float(f),
        (_, _, "true" | "false") => toml::Value::Boolean(value == "true"),
        _ => text(),
    };
    at.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str =
        "table = \"tercet\"\nfederation = \"f.json\"\nsurveys = \"surveys\"\nsigning_key_file = \"key\"\n";

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let text = format!("{MINIMAL}[limits]\naddress = {{ burst = 3, per_second = 1 }}\n");
        let env = [
            ("TERCET_LIMITS__ADDRESS__BURST", "7"),
            ("TERCET_TABLE", "4711"),
            ("TERCET_OF_ANOTHER_PROGRAM", "x"),
        ];
        let config = load(&text, &env).unwrap();
        assert_eq!(config.limits.address, Rate { burst: 7, per_second: 1.0 });
        assert_eq!(config.limits.survey, Limits::default().survey);
        assert_eq!(config.table, "4711");
        let Place::Files { federation, .. } = config.documents() else { panic!() };
        assert!(federation.is_absolute(), "relative to the file: {}", federation.display());
    }

    #[test]
    fn unknown_and_wrong_keys_are_refused_by_name() {
        for (text, env, want) in [
            ("tabel = \"x\"\n", None, "tabel"),
            ("[limits]\nadress = 1\n", None, "adress"),
            ("", Some(("TERCET_LIMITS__ADRESS__BURST", "1")), "adress"),
            ("", Some(("TERCET_LIMITS__ADDRESS__BURST", "0")), "limits.address.burst"),
            ("ticket_seconds = 0\n", None, "ticket_seconds"),
            ("documents_seconds = 0\n", None, "documents_seconds"),
            ("public_url = \"ftp://x\"\n", None, "public_url"),
            ("listen = \"nowhere\"\n", None, ""),
            ("", Some(("TERCET_SIGNING_KEY_SECRET", "both")), "either"),
            ("metrics = \"statsd\"\n", None, "statsd"),
        ] {
            let error = load(&format!("{MINIMAL}{text}"), env.as_slice()).unwrap_err().to_string();
            assert!(error.contains(want), "{text:?} {env:?}: {error}");
        }
    }

    #[test]
    fn without_files_federation_and_surveys_are_in_the_table() {
        let env = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let lambda = [
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("TERCET_TABLE", "tercet"),
            ("TERCET_SIGNING_KEY_SECRET", "s"),
        ];
        let config = Config::load(None, env(&lambda)).unwrap();
        assert_eq!(config.documents(), Place::Table);
        assert_eq!(config.metrics, Metrics::Emf);
        let config =
            Config::load(None, env(&[lambda.as_slice(), &[("TERCET_METRICS", "none")]].concat())).unwrap();
        assert_eq!(config.metrics, Metrics::None);
        let half = [lambda.as_slice(), &[("TERCET_FEDERATION", "f.json")]].concat();
        assert!(Config::load(None, env(&half)).unwrap_err().to_string().contains("surveys"));
    }
}
