//! Configuration: a TOML file, then `TERCET_PARTY_*` environment variables; neither ever holds a secret.
//! docs/operators.md has the table of keys.

pub(crate) mod error;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use serde::Deserialize;
use tercet_protocol::keys::{OpeningKey, SigningKey};
use tercet_protocol::log::MAX_BATCH;

pub use self::error::ConfigError;
use crate::documents::DocumentPlace;
use crate::node::{ENGINE_BASE, ENGINE_EACH};
use crate::secrets::{EarlierKmsKeys, SeedPlace, WrappingPlace};
use crate::store::StoreConfig;

/// The file's content. Relative paths are relative to the file; in a file that lies in a bucket, those of documents are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of the public API. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Address of the peer link.
    pub peer_listen: SocketAddr,
    /// Address of the metrics, which is not to be reached from outside. Without it the party shows no metrics.
    #[serde(default)]
    pub metrics_listen: Option<SocketAddr>,
    /// The deployment: coordinator and operators (JSON, `tercet_protocol::operator::Federation`).
    pub federation: DocumentPlace,
    /// Folder of the survey descriptors that this operator approved, one `.json` each.
    pub surveys: DocumentPlace,
    /// The engine component (`party_wasm.wasm`). Its SHA-256 must be the one that the surveys pin.
    pub engine: PathBuf,
    /// Engines of earlier releases, for surveys that pin them: such a survey goes on after the party was updated.
    #[serde(default)]
    pub earlier_engines: Vec<PathBuf>,
    /// The places of the keys.
    pub keys: KeyPlaces,
    /// The share store.
    pub store: StoreConfig,
    /// Batching.
    #[serde(default)]
    pub batch: BatchConfig,
    /// Limits.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Release points.
    #[serde(default)]
    pub releases: ReleasesConfig,
    /// Metrics for CloudWatch; without this section they are at `metrics_listen` only.
    #[serde(default)]
    pub cloudwatch: Option<CloudWatchConfig>,
}

/// Metrics as lines on standard output that CloudWatch reads ([`crate::emf`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudWatchConfig {
    /// CloudWatch's namespace of the metrics.
    pub namespace: String,
    /// Value of the dimension `party`.
    pub party: String,
}

/// The places of the keys: files that their owner alone can read, or ARNs of secrets and of a KMS key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPlaces {
    /// Signs receipts, log entries and results.
    pub identity: SeedPlace,
    /// Opens sealed private parts.
    pub sealing: SeedPlace,
    /// The sealing key before the last rotation. While it is given, private parts that were sealed to it are opened
    /// too.
    #[serde(default)]
    pub sealing_previous: Option<SeedPlace>,
    /// The peer link's TLS key.
    pub peer: SeedPlace,
    /// Wraps the data keys of everything in the store.
    pub store: WrappingPlace,
    /// KMS keys that wrapped data keys before `store`, which still unwrap; written with commas between their ARNs.
    #[serde(default)]
    pub store_previous: EarlierKmsKeys,
}

/// The settings by which uploads are gathered into batches.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Most submissions in one batch.
    pub max: usize,
    /// Milliseconds that the leading party waits for more uploads before it proposes a batch.
    pub linger_ms: u64,
    /// Milliseconds that the others wait for uploads that are proposed but not here yet.
    pub gather_ms: u64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { max: 128, linger_ms: 5, gather_ms: 400 }
    }
}

/// When people enter the statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReleasesConfig {
    /// True if this party admits release points that are not due: for development only. In use, the survey's timetable alone
    /// decides who is counted together.
    pub any_time: bool,
}

/// Bounds on memory and time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Uploads held until they are decided. More are answered 503.
    pub pending: usize,
    /// Memory of one engine instance, in MiB.
    pub engine_memory_mib: usize,
    /// Seconds of computation between two exchanges after which an engine instance is stopped.
    pub engine_seconds: u64,
    /// Seconds to wait for a peer's frame.
    pub peer_seconds: u64,
    /// Seconds for which the lease on the bucket lasts; it is renewed three times as often. After a crash a start waits a
    /// little longer than this.
    pub lease_seconds: u64,
    /// Milliseconds of round-trip time to pretend between the parties, for measurements. 0 in use.
    pub added_rtt_ms: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            pending: tercet_protocol::submission::MAX_PENDING,
            engine_memory_mib: 256,
            engine_seconds: 60,
            peer_seconds: 20,
            lease_seconds: 30,
            added_rtt_ms: 0,
        }
    }
}

/// Prefix of the environment variables that set keys: `TERCET_PARTY_STORE__BUCKET` is `store.bucket`.
pub const ENV_PREFIX: &str = "TERCET_PARTY_";
/// Names the configuration file; not a key of it.
const CONFIG_FILE: &str = "TERCET_PARTY_CONFIG";
/// Shorter names that were there first.
const ALIASES: [(&str, &str); 2] =
    [("TERCET_PARTY_BUCKET", "STORE__BUCKET"), ("TERCET_PARTY_S3_ENDPOINT", "STORE__ENDPOINT")];

impl Config {
    /// Reads `file` (`None`: the environment alone) and applies the `TERCET_PARTY_*` variables in `env`; variables
    /// that are no key are refused. Relative paths are relative to the file.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Self::parse(None, env) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(Some((&DocumentPlace::File(path.into()), &text)), env)
    }

    /// The same for a file's text and where it was read.
    pub fn parse(
        file: Option<(&DocumentPlace, &str)>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = match file {
            None => toml::Table::new(),
            Some((place, text)) => toml::from_str(text)
                .map_err(|e| ConfigError::Syntax { path: place.to_string(), problem: e.to_string() })?,
        };
        let mut names = Vec::new();
        for (name, value) in env {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, key)| *key);
            if let Some(key) = alias.or_else(|| name.strip_prefix(ENV_PREFIX)).filter(|_| name != CONFIG_FILE)
            {
                set(&mut table, &name, key, &value)?;
                names.push(name);
            }
        }
        names.sort();
        let place = match (file, names.is_empty()) {
            (Some((place, _)), true) => place.to_string(),
            (Some((place, _)), false) => format!("{place} with {}", names.join(", ")),
            (None, _) => format!("the environment ({})", names.join(", ")),
        };
        let mut config: Self = toml::Value::Table(table).try_into().map_err(|e: toml::de::Error| {
            ConfigError::Syntax { path: place.clone(), problem: e.message().to_owned() }
        })?;
        config.fits().map_err(|problem| ConfigError::Syntax { path: place, problem })?;
        if let Some((place, _)) = file {
            config.rebase(&place.folder());
        }
        Ok(config)
    }

    /// Checks that the bounds agree with each other: an engine must hold the largest batch that this party proposes.
    fn fits(&self) -> Result<(), String> {
        let (most, mib) = (self.batch.max, self.limits.engine_memory_mib);
        if most == 0 || most > MAX_BATCH {
            return Err(format!("batch.max = {most}: it must be from 1 to {MAX_BATCH}"));
        }
        let needed = (ENGINE_BASE + most * ENGINE_EACH).div_ceil(1 << 20);
        if mib < needed {
            return Err(format!(
                "limits.engine_memory_mib = {mib} does not hold batches of batch.max = {most}: give the engine {needed} MiB or \
                 more, or make batches smaller"
            ));
        }
        Ok(())
    }

    fn rebase(&mut self, folder: &DocumentPlace) {
        self.federation.rebase(folder);
        self.surveys.rebase(folder);
        let base = folder.local();
        self.engine = base.join(&self.engine);
        self.earlier_engines.iter_mut().for_each(|path| *path = base.join(&*path));
        let keys = &mut self.keys;
        for place in [&mut keys.identity, &mut keys.sealing, &mut keys.peer] {
            place.rebase(base);
        }
        if let Some(place) = &mut keys.sealing_previous {
            place.rebase(base);
        }
        keys.store.rebase(base);
    }
}

/// Keys whose value is text, whatever it looks like.
const TEXT_KEYS: [&str; 15] = [
    "listen",
    "peer_listen",
    "metrics_listen",
    "federation",
    "surveys",
    "engine",
    "identity",
    "sealing",
    "sealing_previous",
    "peer",
    "bucket",
    "prefix",
    "region",
    "endpoint",
    "namespace",
];

/// Sets one key from an environment variable, as the kind of value that the text reads as.
fn set(table: &mut toml::Table, name: &str, key: &str, value: &str) -> Result<(), ConfigError> {
    let path = key.to_ascii_lowercase();
    let mut keys: Vec<&str> = path.split("__").collect();
    let last = keys.pop().unwrap_or_default();
    let mut at = table;
    for key in &keys {
        let next = at.entry(*key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let section = || ConfigError::Environment(name.to_owned(), format!("\"{key}\" is not a section"));
        at = next.as_table_mut().ok_or_else(section)?;
    }
    // The one key whose name is also a section's.
    let is_text = TEXT_KEYS.contains(&last) || keys == ["keys"];
    let text = || toml::Value::String(value.to_owned());
    let value = match (value.parse::<i64>(), value) {
        _ if is_text => text(),
        (Ok(number), _) => toml::Value::Integer(number),
        (_, "true" | "false") => toml::Value::Boolean(value == "true"),
        _ => text(),
    };
    at.insert(last.to_owned(), value);
    Ok(())
}

/// The operator's working keys.
#[derive(Debug)]
pub struct Keys {
    /// Signs receipts, log entries and results.
    pub identity: SigningKey,
    /// Open sealed private parts: the published key, then the one before it during a rotation.
    pub sealing: Vec<OpeningKey>,
    /// The peer link's TLS key.
    pub peer: SigningKey,
}

impl Keys {
    /// Reads the keys from where the configuration says they are.
    pub async fn load(places: &KeyPlaces, aws: &SdkConfig) -> Result<Self, ConfigError> {
        let signing = async |place: &SeedPlace| {
            SigningKey::from_seed(&*place.read(aws).await?).map_err(|_| ConfigError::Key(place.name()))
        };
        let mut sealing = vec![OpeningKey::from_seed(&*places.sealing.read(aws).await?)];
        if let Some(previous) = &places.sealing_previous {
            sealing.push(OpeningKey::from_seed(&*previous.read(aws).await?));
        }
        Ok(Self { identity: signing(&places.identity).await?, sealing, peer: signing(&places.peer).await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::WrappingPlace;

    const FILE: &str = "listen = \"127.0.0.1:0\"\npeer_listen = \"127.0.0.1:0\"\nfederation = \"f.json\"\n\
        surveys = \"s\"\nengine = \"e.wasm\"\n[keys]\nidentity = \"i\"\nsealing = \"s\"\npeer = \"p\"\nstore = \"st\"\n\
        [store]\nbucket = \"b\"\n";

    fn load(text: Option<&str>, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("party.toml");
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(text.map(|_| path.as_path()), env)
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let kms = "arn:aws:kms:eu-central-1:1:key/2";
        let env = [
            ("TERCET_PARTY_STORE__BUCKET", "123"),
            ("TERCET_PARTY_S3_ENDPOINT", "http://127.0.0.1:1"),
            ("TERCET_PARTY_LIMITS__PENDING", "7"),
            ("TERCET_PARTY_STORE__CREATE_BUCKET", "true"),
            ("TERCET_PARTY_KEYS__STORE", kms),
            ("TERCET_PARTY_CONFIG", "ignored"),
            ("TERCET_STOP_SECONDS", "5"),
        ];
        let config = load(Some(FILE), &env).unwrap();
        assert_eq!(
            (config.store.bucket.as_str(), config.store.create_bucket, config.limits.pending),
            ("123", true, 7)
        );
        assert_eq!(config.store.endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(config.keys.store, WrappingPlace::Kms(kms.into()));
        assert!(
            matches!(&config.federation, DocumentPlace::File(p) if p.is_absolute())
                && matches!(&config.keys.peer, SeedPlace::File(p) if p.is_absolute())
        );
    }

    #[test]
    fn earlier_kms_keys_are_a_list_of_arns() {
        let [one, two] = [1, 2].map(|i| format!("arn:aws:kms:eu-central-1:1:key/{i}"));
        let earlier = |text: &str| load(Some(FILE), &[("TERCET_PARTY_KEYS__STORE_PREVIOUS", text)]);
        assert!(load(Some(FILE), &[]).unwrap().keys.store_previous.0.is_empty());
        assert_eq!(earlier(&format!("{one}, {two}")).unwrap().keys.store_previous.0, [one.clone(), two]);
        for bad in ["store.key".to_owned(), "arn:aws:s3:::b".to_owned(), format!("{one},x")] {
            assert!(earlier(&bad).unwrap_err().to_string().to_ascii_lowercase().contains("kms"), "{bad}");
        }
    }

    #[test]
    fn the_environment_alone_is_enough() {
        let env = [
            ("TERCET_PARTY_LISTEN", "0.0.0.0:1"),
            ("TERCET_PARTY_PEER_LISTEN", "0.0.0.0:2"),
            ("TERCET_PARTY_FEDERATION", "/f"),
            ("TERCET_PARTY_SURVEYS", "/s"),
            ("TERCET_PARTY_ENGINE", "/e"),
            ("TERCET_PARTY_KEYS__IDENTITY", "/i"),
            ("TERCET_PARTY_KEYS__SEALING", "/s"),
            ("TERCET_PARTY_KEYS__PEER", "/p"),
            ("TERCET_PARTY_KEYS__STORE", "/st"),
            ("TERCET_PARTY_STORE__BUCKET", "b"),
        ];
        assert_eq!(load(None, &env).unwrap().engine, Path::new("/e"));
        assert!(load(None, &env[1..]).unwrap_err().to_string().contains("listen"));
    }

    #[test]
    fn bounds_that_do_not_fit_each_other_are_refused() {
        let of = |max: usize, mib: usize| {
            load(Some(&format!("{FILE}[batch]\nmax = {max}\n[limits]\nengine_memory_mib = {mib}\n")), &[])
        };
        for (max, mib) in [(1, 65), (128, 72), (128, 256), (1024, 128)] {
            assert!(of(max, mib).is_ok(), "{max} submissions in {mib} MiB");
        }
        for (max, mib, words) in [
            (0, 256, "batch.max"),
            (1025, 4096, "batch.max"),
            (1024, 127, "128 MiB or more"),
            (128, 64, "72 MiB or more"),
        ] {
            let error = of(max, mib).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(&max.to_string()), "{error}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        for (text, env, want) in [
            ("bukcet = 1\n", None, "bukcet"),
            ("", Some(("TERCET_PARTY_STORE__BUKCET", "b")), "bukcet"),
            ("", Some(("TERCET_PARTY_IDENTITY_KEY", "x")), "identity_key"),
            ("", Some(("TERCET_PARTY_LISTEN__PORT", "x")), "TERCET_PARTY_LISTEN__PORT"),
            ("", Some(("TERCET_PARTY_LISTEN", "nowhere")), "TERCET_PARTY_LISTEN"),
            ("", Some(("TERCET_PARTY_KEYS__STORE", "arn:aws:s3:::b")), "kms"),
        ] {
            let error = load(Some(&format!("{text}{FILE}")), env.as_slice()).unwrap_err().to_string();
            assert!(error.contains(want), "{text:?} {env:?}: {error}");
        }
    }
}
