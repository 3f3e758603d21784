//! Configuration: one TOML file; environment variables override addresses and places, never secrets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tercet_protocol::keys::{OpeningKey, SigningKey};
use zeroize::Zeroizing;

use crate::store::StoreConfig;

/// The file's content. Relative paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of the public API. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Address of the peer link.
    pub peer_listen: SocketAddr,
    /// The deployment: coordinator and operators (JSON, `tercet_protocol::operator::Federation`).
    pub federation: PathBuf,
    /// Folder of the survey descriptors that this operator approved, one `.json` each.
    pub surveys: PathBuf,
    /// The engine component (`party_wasm.wasm`). Its SHA-256 must be the one that the surveys pin.
    pub engine: PathBuf,
    /// Key files.
    pub keys: KeyFiles,
    /// The share store.
    pub store: StoreConfig,
    /// Batching.
    #[serde(default)]
    pub batch: BatchConfig,
    /// Limits.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// Files of 32-byte seeds in hexadecimal, readable by the owner alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFiles {
    /// Signs receipts, log entries and results.
    pub identity: PathBuf,
    /// Opens sealed private parts.
    pub sealing: PathBuf,
    /// The peer link's TLS key.
    pub peer: PathBuf,
    /// The store's key file; made at the first start.
    pub store: PathBuf,
}

/// How uploads are gathered into batches.
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
    /// Milliseconds of round-trip time to pretend between the parties, for measurements. 0 in use.
    pub added_rtt_ms: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { pending: 4096, engine_memory_mib: 256, engine_seconds: 60, peer_seconds: 20, added_rtt_ms: 0 }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file does not parse.
    #[error("{path}: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        problem: String,
    },
    /// A key file is not 64 hexadecimal digits.
    #[error("{0} must hold a 32-byte seed as 64 hexadecimal digits: make keys with `tercet operator init`")]
    Key(PathBuf),
    /// A key file can be read by others.
    #[error("{0} can be read by others than its owner: chmod 600 it")]
    Permissions(PathBuf),
    /// An override does not parse.
    #[error("environment variable {0}: {1}")]
    Environment(&'static str, String),
}

impl Config {
    /// Reads the file and applies overrides from the environment (`var` looks a variable up).
    pub fn load(path: &Path, var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|e| ConfigError::Syntax { path: path.into(), problem: e.to_string() })?;
        let base = path.parent().unwrap_or(Path::new("."));
        let keys = &mut config.keys;
        for p in [
            &mut config.federation,
            &mut config.surveys,
            &mut config.engine,
            &mut keys.identity,
            &mut keys.sealing,
            &mut keys.peer,
            &mut keys.store,
        ] {
            *p = base.join(&*p);
        }
        let address = |name: &'static str, into: &mut SocketAddr| match var(name) {
            None => Ok(()),
            Some(v) => v
                .parse()
                .map(|a| *into = a)
                .map_err(|_| ConfigError::Environment(name, format!("\"{v}\" is not host:port"))),
        };
        address("TERCET_PARTY_LISTEN", &mut config.listen)?;
        address("TERCET_PARTY_PEER_LISTEN", &mut config.peer_listen)?;
        if let Some(bucket) = var("TERCET_PARTY_BUCKET") {
            config.store.bucket = bucket;
        }
        if let Some(endpoint) = var("TERCET_PARTY_S3_ENDPOINT") {
            config.store.endpoint = Some(endpoint);
        }
        Ok(config)
    }
}

/// The operator's working keys, read from their files.
#[derive(Debug)]
pub struct Keys {
    /// Signs receipts, log entries and results.
    pub identity: SigningKey,
    /// Opens sealed private parts.
    pub sealing: OpeningKey,
    /// Seed of the peer link's TLS key.
    pub peer: PeerSeed,
}

/// The seed of the peer link's Ed25519 key. Its `Debug` shows nothing.
pub struct PeerSeed(pub Zeroizing<[u8; 32]>);

impl std::fmt::Debug for PeerSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerSeed(..)")
    }
}

impl Keys {
    /// Reads the key files.
    pub fn load(files: &KeyFiles) -> Result<Self, ConfigError> {
        let identity = SigningKey::from_seed(&*read_seed(&files.identity)?)
            .map_err(|_| ConfigError::Key(files.identity.clone()))?;
        Ok(Self {
            identity,
            sealing: OpeningKey::from_seed(&*read_seed(&files.sealing)?),
            peer: PeerSeed(read_seed(&files.peer)?),
        })
    }
}

/// Reads a 32-byte seed from a file that only its owner can read.
pub fn read_seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| ConfigError::Read { path: path.into(), source })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(ConfigError::Permissions(path.into()));
        }
    }
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| ConfigError::Key(path.into()))?;
    Ok(seed)
}
