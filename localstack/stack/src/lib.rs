//! The whole system on one machine, as separate processes: S3, DynamoDB, sample exchange, local notary, three
//! parties and the coordinator, on loopback.
//!
//! Owns the data folder's layout and the processes' lives. Never computes anything of the protocol: keys, manifests
//! and surveys are made by the same code that operators use.

mod layout;
mod process;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use tercet_client::operator;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::operator::{CoordinatorInfo, Federation};
use tercet_protocol::survey::SurveyDescriptor;

pub use layout::{Layout, Ports};
pub use process::Process;

/// Names of the processes, in the order in which they start.
pub const PROCESSES: [&str; 9] =
    ["s3", "dynamodb", "exchange", "notary", "party-0", "party-1", "party-2", "coordinator", "proxy"];

/// The processes to run, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything that outlives the processes.
    pub data_dir: PathBuf,
    /// Folder of the built programs.
    pub programs: PathBuf,
    /// The built engine. Copied at the first start; later starts run the copy, which the surveys pin.
    pub engine: PathBuf,
    /// The survey's file; `None`: a survey about the sample exchange.
    pub survey: Option<PathBuf>,
    /// Accounts at the sample exchange.
    pub accounts: u32,
    /// Milliseconds of round-trip time to pretend between the parties.
    pub rtt_ms: u64,
    /// Servers of one's own, `NAME=ADDRESS:PORT` on loopback: where the forwarding notary finds them.
    pub resolve: Vec<String>,
}

/// A running system. Dropping it stops the processes.
#[derive(Debug)]
pub struct Stack {
    layout: Layout,
    ports: Ports,
    programs: PathBuf,
    options: Options,
    survey: SurveyId,
    processes: Vec<Process>,
}

impl Stack {
    /// Prepares the data folder and starts everything; `progress` hears of each step.
    pub fn start(options: Options, progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let layout = Layout::create(&options.data_dir)?;
        let ports = layout.ports()?;
        if !layout.engine().exists() {
            layout.adopt_engine(&options.engine)?;
        }
        let mut this = Self {
            programs: options.programs.clone(),
            survey: SurveyId([0; 32]),
            processes: Vec::new(),
            layout,
            ports,
            options,
        };
        for name in &PROCESSES[..4] {
            progress(name);
            this.launch(name)?;
        }
        this.survey = this.prepare()?;
        // The parties side by side: each compiles the engine, and may wait for its lease.
        let mut parties = Vec::new();
        for name in &PROCESSES[4..7] {
            progress(name);
            parties.push(this.begin(name)?);
        }
        for party in parties {
            this.processes.push(party.listens()?);
        }
        for name in &PROCESSES[7..] {
            progress(name);
            this.launch(name)?;
        }
        Ok(this)
    }

    /// The survey that was asked for.
    pub fn survey(&self) -> SurveyId {
        self.survey
    }

    /// Base URL of the coordinator.
    pub fn coordinator(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.coordinator)
    }

    /// Base URL of a party's API.
    pub fn party(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports.parties.get(index).copied().unwrap_or_default())
    }

    /// The address of a party's metrics.
    pub fn metrics(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}/metrics", self.ports.metrics.get(index).copied().unwrap_or_default())
    }

    /// Base URL of the local notary.
    pub fn notary(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.notary)
    }

    /// Base URL of the notary that forwards TLS 1.3 sessions.
    pub fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.proxy)
    }

    /// `host:port` of the sample exchange.
    pub fn exchange(&self) -> String {
        format!("127.0.0.1:{}", self.ports.exchange)
    }

    /// The data folder.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A running process's id.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.processes.iter().find(|p| p.name() == name).map(Process::pid)
    }

    /// Kills a process at once (SIGKILL).
    pub fn kill(&mut self, name: &str) -> Result<()> {
        let at = self
            .processes
            .iter()
            .position(|p| p.name() == name)
            .with_context(|| format!("{name} does not run"))?;
        self.processes.swap_remove(at).kill();
        Ok(())
    }

    /// Stops a process in good order.
    pub fn terminate(&mut self, name: &str) -> Result<()> {
        let at = self.processes.iter().position(|p| p.name() == name);
        let at = at.with_context(|| format!("{name} does not run"))?;
        self.processes.swap_remove(at).terminate();
        Ok(())
    }

    /// Starts a process that was killed or stopped.
    pub fn restart(&mut self, name: &str) -> Result<()> {
        if self.processes.iter().any(|p| p.name() == name) {
            bail!("{name} runs already");
        }
        self.launch(name)
    }

    /// Stops everything in good order.
    pub fn stop(mut self) {
        for name in PROCESSES.iter().rev() {
            if let Some(at) = self.processes.iter().position(|p| p.name() == *name) {
                self.processes.swap_remove(at).terminate();
            }
        }
    }

    /// A process that ended by itself, if one did: its name and the end of its log.
    pub fn casualty(&mut self) -> Option<String> {
        self.processes.iter_mut().find_map(Process::ended)
    }

    /// Starts a process and waits until it listens.
    fn launch(&mut self, name: &str) -> Result<()> {
        let process = self.begin(name)?.listens()?;
        self.processes.push(process);
        Ok(())
    }

    fn begin(&self, name: &str) -> Result<process::Starting> {
        let l = &self.layout;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let path = |p: PathBuf| p.display().to_string();
        let embedded = "tercet-embedded";
        let (program, args, env): (&str, Vec<String>, Vec<(&str, String)>) = match name {
            "s3" => (
                embedded,
                vec![
                    "s3".into(),
                    "--listen".into(),
                    at(self.ports.s3),
                    "--root".into(),
                    path(l.s3()),
                    "--credentials-file".into(),
                    path(l.s3_keys()),
                ],
                vec![],
            ),
            "dynamodb" => (
                embedded,
                vec![
                    "dynamodb".into(),
                    "--listen".into(),
                    at(self.ports.dynamodb),
                    "--db".into(),
                    path(l.dynamodb()),
                ],
                vec![],
            ),
            "exchange" => (
                embedded,
                vec![
                    "exchange".into(),
                    "--listen".into(),
                    at(self.ports.exchange),
                    "--state".into(),
                    path(l.exchange()),
                    "--accounts".into(),
                    self.options.accounts.to_string(),
                ],
                vec![],
            ),
            "notary" => (
                embedded,
                vec![
                    "notary".into(),
                    "--listen".into(),
                    at(self.ports.notary),
                    "--state".into(),
                    path(l.notary()),
                ],
                vec![],
            ),
            "proxy" => ("tercet-notary", self.proxy_args()?, vec![]),
            "coordinator" => (
                "coordinator",
                vec!["--config".into(), path(l.coordinator_config())],
                // The embedded DynamoDB takes any credentials; the SDK wants some.
                vec![("AWS_ACCESS_KEY_ID", "local".into()), ("AWS_SECRET_ACCESS_KEY", "local".into())],
            ),
            party => {
                let index: usize =
                    party.strip_prefix("party-").and_then(|i| i.parse().ok()).context("no such process")?;
                let (access, secret) = l.s3_key(index)?;
                (
                    "party-host",
                    vec!["--config".into(), path(l.party_config(index))],
                    vec![("AWS_ACCESS_KEY_ID", access), ("AWS_SECRET_ACCESS_KEY", secret)],
                )
            }
        };
        process::Starting::start(name, &self.programs.join(program), &args, &env, &l.log(name))
    }

    /// Arguments of the notary that forwards sessions. It finds the sample exchange and the servers of one's own by
    /// configuration: their names are in no DNS.
    fn proxy_args(&self) -> Result<Vec<String>> {
        let l = &self.layout;
        let mut args = vec![
            "run".into(),
            "--listen".into(),
            format!("127.0.0.1:{}", self.ports.proxy),
            "--key".into(),
            l.proxy_key_file().display().to_string(),
            "--surveys".into(),
            l.surveys().display().to_string(),
            "--coordinator-key".into(),
            l.coordinator_key()?.to_string(),
            // All providers of a local system have one address.
            "--sessions-by-address".into(),
            "256".into(),
        ];
        let exchange = format!("api.exchange.test={}", self.exchange());
        let own = |name: &str| self.options.resolve.iter().any(|r| r.starts_with(&format!("{name}=")));
        if !own("api.exchange.test") {
            args.extend(["--resolve".into(), exchange]);
        }
        for mapping in &self.options.resolve {
            args.extend(["--resolve".into(), mapping.clone()]);
        }
        Ok(args)
    }

    /// Keys, manifests, the survey, configuration files: makes the missing ones, and leaves the others as they are.
    fn prepare(&self) -> Result<SurveyId> {
        let l = &self.layout;
        let engine = operator::engine_digest(&l.engine())?;
        for i in 0..3 {
            let dir = l.operator(i);
            if !dir.join(operator::SETTINGS).exists() {
                let settings = operator::Settings {
                    operator: format!("local operator {i}"),
                    account: format!("{:012}", i + 1),
                    url: self.party(i),
                    peer_address: format!("127.0.0.1:{}", self.ports.peers[i]),
                    engine,
                };
                operator::init(&dir, &settings)?;
            }
        }
        let coordinator_key = l.coordinator_key()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let manifest = |i| operator::manifest(&l.operator(i), now);
        let operators = [manifest(0)?, manifest(1)?, manifest(2)?];
        let coordinator = CoordinatorInfo { url: self.coordinator(), key: coordinator_key, next_key: None };
        let federation = Federation { coordinator, operators };
        federation.verify()?;
        layout::write(&l.federation(), &serde_json::to_vec_pretty(&federation)?)?;

        let file = match &self.options.survey {
            Some(file) => file.clone(),
            None => l.sample_survey()?,
        };
        let descriptor = operator::assemble_for(&file, &federation.operators, engine, Some(l.proxy_key()?))
            .with_context(|| format!("the survey {}", file.display()))?;
        l.approve(&descriptor)?;
        l.write_configs(&self.ports, self.options.rtt_ms)?;
        Ok(descriptor.id())
    }

    /// The survey's descriptor.
    pub fn descriptor(&self) -> Result<SurveyDescriptor> {
        let path = self.layout.surveys().join(format!("{}.json", self.survey));
        Ok(SurveyDescriptor::from_bytes(std::fs::read(&path).with_context(|| path.display().to_string())?)?)
    }
}

/// The folder of a profile's programs.
pub fn programs(target_dir: &Path, profile: &str) -> PathBuf {
    target_dir.join(if profile == "dev" { "debug" } else { profile })
}
