//! The data folder.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tercet_client::operator;
use tercet_protocol::ids::PublicKey;
use tercet_protocol::keys::{SigningKey, random};
use tercet_protocol::survey::SurveyDescriptor;

const FIRST_PORT: u32 = 20_000;
const BLOCK_SIZE: u32 = 16;
const BLOCKS: u32 = 700;

/// The loopback ports of a data folder: chosen once, so that addresses survive restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// S3.
    pub s3: u16,
    /// DynamoDB.
    pub dynamodb: u16,
    /// Sample exchange.
    pub exchange: u16,
    /// Local notary.
    pub notary: u16,
    /// The notary that forwards TLS 1.3 sessions.
    pub proxy: u16,
    /// Coordinator.
    pub coordinator: u16,
    /// The parties' APIs.
    pub parties: [u16; 3],
    /// The parties' peer links.
    pub peers: [u16; 3],
    /// The parties' metrics.
    pub metrics: [u16; 3],
}

impl Ports {
    /// A block of free ports below the range that the system gives to outgoing connections: a port of that range
    /// can be taken at any moment before its server starts. Each call in a process looks at other blocks.
    fn pick() -> Result<Self> {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let calls = CALLS.fetch_add(1, Ordering::Relaxed);
        let first = std::process::id().wrapping_mul(31).wrapping_add(calls.wrapping_mul(97));
        let block = (0..BLOCKS)
            // At most 20,000 + 700 * 16, which fits.
            .map(|i| (FIRST_PORT + first.wrapping_add(i) % BLOCKS * BLOCK_SIZE) as u16)
            .find(|base| (0..BLOCK_SIZE as u16).all(|i| TcpListener::bind(("127.0.0.1", base + i)).is_ok()))
            .context("no free block of ports on loopback: stop systems that you no longer need")?;
        let mut ports = block..;
        let mut port = || ports.next().context("a block has enough ports");
        Ok(Self {
            s3: port()?,
            dynamodb: port()?,
            exchange: port()?,
            notary: port()?,
            proxy: port()?,
            coordinator: port()?,
            parties: [port()?, port()?, port()?],
            peers: [port()?, port()?, port()?],
            metrics: [port()?, port()?, port()?],
        })
    }
}

/// Paths in the data folder.
#[derive(Debug, Clone)]
pub struct Layout(PathBuf);

/// Writes a file whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with_mode(path, bytes, 0o644)
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let partial = path.with_extension("partial");
    let place = || format!("cannot write {}", path.display());
    // A leftover of a crash would keep its mode.
    let _gone = std::fs::remove_file(&partial);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial)
        .with_context(place)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(place)?;
    std::fs::rename(&partial, path).with_context(place)
}

impl Layout {
    /// Makes the folder and its subfolders.
    pub fn create(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root)?;
        let this = Self(root);
        let own = ["coordinator", "survey", "proxy"].map(|name| this.0.join(name));
        for dir in [this.surveys(), this.s3(), this.logs()].into_iter().chain(own) {
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(this)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The engine that the surveys here pin.
    pub fn engine(&self) -> PathBuf {
        self.0.join("engine.wasm")
    }

    /// Objects.
    pub fn s3(&self) -> PathBuf {
        self.0.join("s3")
    }

    /// Access keys of the S3 server.
    pub fn s3_keys(&self) -> PathBuf {
        self.0.join("s3-keys.toml")
    }

    /// Tables.
    pub fn dynamodb(&self) -> PathBuf {
        self.0.join("dynamodb.sqlite")
    }

    /// State of the sample exchange.
    pub fn exchange(&self) -> PathBuf {
        self.0.join("exchange")
    }

    /// State of the local notary.
    pub fn notary(&self) -> PathBuf {
        self.0.join("notary")
    }

    /// The key of the notary that forwards sessions.
    pub fn proxy_key_file(&self) -> PathBuf {
        self.0.join("proxy/notary.key")
    }

    /// Approved surveys.
    pub fn surveys(&self) -> PathBuf {
        self.0.join("surveys")
    }

    /// The deployment.
    pub fn federation(&self) -> PathBuf {
        self.0.join("federation.json")
    }

    /// An operator's keys.
    pub fn operator(&self, index: usize) -> PathBuf {
        self.0.join(format!("operator-{index}"))
    }

    /// A party's configuration.
    pub fn party_config(&self, index: usize) -> PathBuf {
        self.operator(index).join("party.toml")
    }

    /// The coordinator's configuration.
    pub fn coordinator_config(&self) -> PathBuf {
        self.0.join("coordinator/coordinator.toml")
    }

    fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// A process's log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// The folder's ports, picked at the first start.
    pub fn ports(&self) -> Result<Ports> {
        let path = self.0.join("ports.json");
        match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let ports = Ports::pick()?;
                self.make_s3_keys()?;
                write(&path, &serde_json::to_vec_pretty(&ports)?)?;
                Ok(ports)
            }
            Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Takes the built engine as this folder's.
    pub fn adopt_engine(&self, built: &Path) -> Result<()> {
        let bytes =
            std::fs::read(built).with_context(|| format!("cannot read the engine {}", built.display()))?;
        write(&self.engine(), &bytes)
    }

    fn make_s3_keys(&self) -> Result<()> {
        let mut text = String::from("# One access key an operator, for its own bucket.\n");
        for i in 0..3 {
            let secret = hex::encode(random::<20>()?);
            text += &format!(
                "[[key]]\naccess_key = \"operator-{i}\"\nsecret_key = \"{secret}\"\nbuckets = [\"tercet-party-{i}\"]\n"
            );
        }
        write_with_mode(&self.s3_keys(), text.as_bytes(), 0o600)
    }

    /// An operator's access key and secret.
    pub fn s3_key(&self, index: usize) -> Result<(String, String)> {
        let text = std::fs::read_to_string(self.s3_keys())?;
        let secret = text
            .lines()
            .filter_map(|l| l.strip_prefix("secret_key = \"")?.strip_suffix('"'))
            .nth(index)
            .with_context(|| format!("{} holds no key for operator {index}", self.s3_keys().display()))?;
        Ok((format!("operator-{index}"), secret.into()))
    }

    /// The coordinator's public key; its seed is made at the first start.
    pub fn coordinator_key(&self) -> Result<PublicKey> {
        Self::seed(&self.0.join("coordinator/signing.key"))
    }

    /// The public key of the notary that forwards sessions; its seed is made at the first start.
    pub fn proxy_key(&self) -> Result<PublicKey> {
        Self::seed(&self.proxy_key_file())
    }

    /// The public half of a key file, which is made if it is not there.
    fn seed(path: &Path) -> Result<PublicKey> {
        if !path.exists() {
            write_with_mode(path, format!("{}\n", hex::encode(random::<32>()?)).as_bytes(), 0o600)?;
        }
        let mut seed = [0; 32];
        hex::decode_to_slice(std::fs::read_to_string(path)?.trim(), &mut seed)
            .with_context(|| format!("{} is not a key file", path.display()))?;
        Ok(SigningKey::from_seed(&seed)?.public())
    }

    /// A survey about the sample exchange, with the local notary's key.
    pub fn sample_survey(&self) -> Result<PathBuf> {
        let path = self.0.join("survey/survey.toml");
        let root = std::fs::read(self.exchange().join("root.der"))
            .context("the sample exchange wrote no certificate")?;
        write(&self.0.join("survey/root.der"), &root)?;
        let info: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.notary().join("notary.json"))?)?;
        let key = info["key"].as_str().context("the local notary's file names no key")?;
        write(&path, include_str!("survey.toml").replace("@notary-key@", key).as_bytes())?;
        Ok(path)
    }

    /// Puts a survey where coordinator and parties find it, with the approvals of all three operators.
    pub fn approve(&self, descriptor: &SurveyDescriptor) -> Result<()> {
        let path = self.surveys().join(format!("{}.json", descriptor.id()));
        if !path.exists() {
            write(&path, descriptor.bytes())?;
        }
        for i in 0..3 {
            operator::sign_approval(&self.operator(i), descriptor.id(), &self.surveys())?;
        }
        Ok(())
    }

    /// Writes the programs' configuration files.
    pub fn write_configs(&self, ports: &Ports, rtt_ms: u64) -> Result<()> {
        for i in 0..3 {
            let text = format!(
                "listen = \"127.0.0.1:{}\"\npeer_listen = \"127.0.0.1:{}\"\nmetrics_listen = \"127.0.0.1:{}\"\n\
                 federation = \"../federation.json\"\nsurveys = \"../surveys\"\nengine = \"../engine.wasm\"\n\n\
                 [keys]\nidentity = \"identity.key\"\nsealing = \"sealing.key\"\npeer = \"peer.key\"\nstore = \"store.key\"\n\n\
                 [store]\nbucket = \"tercet-party-{i}\"\nendpoint = \"http://127.0.0.1:{}\"\nregion = \"us-east-1\"\ncreate_bucket = true\n\n\
                 [limits]\nlease_seconds = 3\nadded_rtt_ms = {rtt_ms}\n\n\
                 # For development: release points whenever somebody asks for one.\n[releases]\nany_time = true\n",
                ports.parties[i], ports.peers[i], ports.metrics[i], ports.s3
            );
            write(&self.party_config(i), text.as_bytes())?;
        }
        // All providers of a local system have one address.
        let text = format!(
            "listen = \"127.0.0.1:{}\"\npublic_url = \"http://127.0.0.1:{}\"\ntable = \"tercet\"\ncreate_table = true\n\
             dynamodb_endpoint = \"http://127.0.0.1:{}\"\nregion = \"us-east-1\"\nfederation = \"../federation.json\"\n\
             surveys = \"../surveys\"\nsigning_key_file = \"signing.key\"\nrefresh_seconds = 2\n\n\
             [limits.address]\nburst = 5000\nper_second = 1000.0\n\n[limits.status]\nburst = 5000\nper_second = 1000.0\n\n\
             [limits.survey]\nburst = 5000\nper_second = 1000.0\n\n\
             [limits.asker]\nburst = 5000\nper_second = 1000.0\n\n\
             [limits.questions]\nburst = 5000\nper_second = 1000.0\n",
            ports.coordinator, ports.coordinator, ports.dynamodb
        );
        write(&self.coordinator_config(), text.as_bytes())
    }
}
