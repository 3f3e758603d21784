//! Four operators on one machine, and a fifth who runs a notary: their documents, their states, their secrets, their processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use tercet_protocol::survey::SurveyDescriptor;
use tercet_stack::Process;
use xtask::command::{free_port, root};
use xtask::launched::Arch;

use super::REGION;
use super::notary::{self, Notary};
use super::terraform::{Root, common};
use crate::package;

/// The accounts: twelve digits each, which LocalStack takes for accounts.
const COORDINATOR_ACCOUNT: &str = "900000000000";
const PARTY_ACCOUNTS: [&str; 3] = ["100000000001", "100000000002", "100000000003"];
/// The names of callers, for the policies that are asked about them (`terraform/policies/recorded.mjs`).
const OPERATOR: &str = "operator";
const PARTY: &str = "party";
/// The id that LocalStack's REST API is given, so that its address is known before it exists.
const REST_API: &str = "tercet";

/// The materials of a deployment.
pub struct Materials<'a> {
    /// Everything that is written.
    pub folder: &'a Path,
    /// The address of LocalStack.
    pub endpoint: String,
    /// Folder of the built programs.
    pub programs: PathBuf,
    /// The engine.
    pub engine: PathBuf,
    /// The coordinator's program for Lambda.
    pub bootstrap: PathBuf,
    /// The exchange, the notary's key, and the survey's file.
    pub notary: &'a Notary,
    /// Folder of the Python that has AWS's own SDK.
    pub python: PathBuf,
    /// Settings of the coordinator's functions.
    pub settings: Map<String, Value>,
}

/// Four operators who have deployed.
pub struct Deployment {
    folder: PathBuf,
    endpoint: String,
    programs: PathBuf,
    /// The coordinator's state, then the parties', then the notary's.
    pub roots: Vec<Root>,
    /// The survey.
    pub survey: SurveyDescriptor,
    /// The coordinator's address.
    pub url: String,
    parties: Vec<Process>,
    /// The notary's process.
    notary: Option<Process>,
}

impl Deployment {
    /// Follows docs/operators.md and docs/notary.md for the five operators: keys, manifests, federation, survey, approval, Terraform,
    /// secrets, and starting the parties.
    pub fn make(m: &Materials<'_>, progress: &dyn Fn(&str)) -> Result<Self> {
        let tercet = |args: &[&str]| run(&m.programs.join("tercet"), m.folder, args, &[]);
        let ports: Vec<u16> = (0..6).map(|_| free_port()).collect::<Result<_>>()?;
        let url = format!("{}/_aws/execute-api/{REST_API}/live", m.endpoint);
        let engine = m.engine.display().to_string();

        progress("keys, manifests, federation, survey");
        let key = tercet(&["coordinator", "init", "--dir", "coordinator-keys"])?;
        for (i, account) in PARTY_ACCOUNTS.iter().enumerate() {
            let (dir, name) = (format!("keys-{i}"), format!("operator {i}"));
            let (api, peer) =
                (format!("http://127.0.0.1:{}", ports[i]), format!("127.0.0.1:{}", ports[3 + i]));
            tercet(&[
                "operator",
                "init",
                "--dir",
                &dir,
                "--operator",
                &name,
                "--account",
                account,
                "--url",
                &api,
                "--peer-address",
                &peer,
                "--engine",
                &engine,
            ])?;
            let manifest = tercet(&["operator", "publish", "--dir", &dir])?;
            std::fs::write(m.folder.join(format!("operator-{i}.json")), manifest)?;
        }
        let operators = [
            "--operator",
            "operator-0.json",
            "--operator",
            "operator-1.json",
            "--operator",
            "operator-2.json",
        ];
        std::fs::create_dir_all(m.folder.join("deployment/surveys"))?;
        let federation =
            ["federation", "assemble", "--coordinator-url", &url, "--coordinator-key", key.trim()];
        tercet(&[&federation, &operators[..], &["--out", "deployment/federation.json"]].concat())?;
        let digest = tercet_client::operator::engine_digest(&m.engine)?.to_string();
        let survey_file = m.notary.survey.display().to_string();
        let assemble = [
            "survey",
            "assemble",
            "--survey-file",
            &survey_file,
            "--engine",
            &digest,
            "--out",
            "survey.json",
        ];
        tercet(&[&assemble, &operators[..]].concat())?;
        let survey = SurveyDescriptor::from_bytes(std::fs::read(m.folder.join("survey.json"))?)?;
        let id = survey.id().to_string();
        for i in 0..3 {
            let (dir, surveys) = (format!("keys-{i}"), format!("approved-{i}"));
            tercet(&["survey", "approve", "survey.json", "--id", &id, "--dir", &dir, "--surveys", &surveys])?;
        }
        std::fs::copy(m.folder.join("survey.json"), m.folder.join("deployment/surveys/survey.json"))?;

        let mut this = Self {
            folder: m.folder.into(),
            endpoint: m.endpoint.clone(),
            programs: m.programs.clone(),
            roots: Vec::new(),
            survey,
            url,
            parties: Vec::new(),
            notary: None,
        };
        this.apply(m, key.trim(), progress)?;
        progress("secrets");
        this.store_secrets()?;
        progress("party hosts");
        this.write_configs(&ports, &m.engine)?;
        for i in 0..3 {
            this.start_party(i)?;
        }
        progress("the notary");
        let deployed = this.roots.last().context("the notary has a state")?;
        m.notary.fill(deployed, &m.python, &this.credentials(notary::ACCOUNT, OPERATOR))?;
        let environment = this.credentials(notary::ACCOUNT, notary::APP);
        this.notary = Some(m.notary.start(deployed, key.trim(), &environment)?);
        Ok(this)
    }

    fn apply(&mut self, m: &Materials<'_>, key: &str, progress: &dyn Fn(&str)) -> Result<()> {
        progress("package");
        let arch = Arch::here()?;
        let out = self.folder.join("package");
        let package = package::pack(&m.bootstrap, arch, &out)?;
        let states = self.folder.join("terraform");
        let mut variables = common(&self.endpoint, COORDINATOR_ACCOUNT);
        variables.extend([
            ("lambda_zip".to_owned(), json!(package.lambda_zip)),
            ("lambda_architecture".to_owned(), json!(arch.name())),
            ("rest_api_id".to_owned(), json!(REST_API)),
            ("documents".to_owned(), json!(self.folder.join("deployment"))),
            ("settings".to_owned(), Value::Object(m.settings.clone())),
        ]);
        self.roots.push(Root::new("coordinator", "coordinator", &states, variables)?);
        for (i, account) in PARTY_ACCOUNTS.iter().enumerate() {
            let mut variables = common(&self.endpoint, account);
            variables.extend([
                ("operator".to_owned(), json!(format!("op{i}"))),
                ("index".to_owned(), json!(i)),
                // The test's own data: `destroy` must leave nothing.
                ("destroy_data".to_owned(), json!(true)),
            ]);
            self.roots.push(Root::new("party", &format!("party-{i}"), &states, variables)?);
        }
        self.roots.push(Notary::root(&self.endpoint, key, &states)?);
        progress("terraform apply, five states");
        for of_a_kind in [0, 1, self.roots.len() - 1] {
            self.roots[of_a_kind].init()?;
        }
        self.each(Root::apply)?;
        let outputs = self.roots[0].outputs()?;
        let url =
            outputs.get("url").and_then(Value::as_str).context("the coordinator's state has no `url`")?;
        if url.trim_end_matches('/') != self.url {
            bail!("the API is at {url}, but the federation says {}", self.url);
        }
        Ok(())
    }

    /// Does the same with all states at once, as their operators would.
    pub fn each(&self, act: fn(&Root) -> Result<()>) -> Result<()> {
        std::thread::scope(|scope| {
            let running: Vec<_> = self.roots.iter().map(|root| scope.spawn(move || act(root))).collect();
            let done = running.into_iter().map(|r| r.join().unwrap_or_else(|_| bail!("a thread panicked")));
            // All of them end before the first failure is told.
            done.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn store_secrets(&self) -> Result<()> {
        let stores = [("coordinator", "coordinator-keys", COORDINATOR_ACCOUNT)]
            .into_iter()
            .map(|(command, dir, account)| (command, dir.to_owned(), account))
            .chain(PARTY_ACCOUNTS.iter().enumerate().map(|(i, a)| ("operator", format!("keys-{i}"), *a)));
        for ((command, dir, account), root) in stores.zip(&self.roots) {
            let arns = self.folder.join(format!("{}-secrets.json", root.name));
            let outputs = root.outputs()?;
            std::fs::write(
                &arns,
                serde_json::to_vec(outputs.get("secret_arns").context("no `secret_arns`")?)?,
            )?;
            let arns = arns.display().to_string();
            let args = [command, "store", "--dir", &dir, "--secrets", &arns];
            run(&self.programs.join("tercet"), &self.folder, &args, &self.credentials(account, OPERATOR))?;
        }
        Ok(())
    }

    /// The environment with which the SDK of a process talks to LocalStack as this account, and under which name its calls
    /// are recorded.
    fn credentials(&self, account: &str, app: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_SDK_UA_APP_ID", app.to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", account.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "localstack".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            // A trial does not wait a day for its release point.
            ("TERCET_PARTY_RELEASES__ANY_TIME", "true".to_owned()),
            // Parties are killed here: the next start need not wait long.
            ("TERCET_PARTY_LIMITS__LEASE_SECONDS", "3".to_owned()),
        ]
    }

    /// The parties' configuration, as Terraform writes it for the container, with this machine's addresses and paths.
    fn write_configs(&self, ports: &[u16], engine: &Path) -> Result<()> {
        for (i, root) in self.roots.iter().skip(1).take(PARTY_ACCOUNTS.len()).enumerate() {
            let outputs = root.outputs()?;
            let text = |name: &str| {
                outputs.get(name).and_then(Value::as_str).with_context(|| format!("no `{name}`"))
            };
            let secret = |name: &str| {
                outputs["secret_arns"][name].as_str().with_context(|| format!("no secret `{name}`"))
            };
            let config = format!(
                "listen = \"127.0.0.1:{}\"\npeer_listen = \"127.0.0.1:{}\"\nfederation = \"deployment/federation.json\"\n\
                 surveys = \"approved-{i}\"\nengine = \"{}\"\n\n[keys]\nidentity = \"{}\"\nsealing = \"{}\"\npeer = \"{}\"\n\
                 store = \"{}\"\n\n[store]\nbucket = \"{}\"\nprefix = \"{}\"\nregion = \"{REGION}\"\nendpoint = \"{}\"\n",
                ports[i],
                ports[3 + i],
                engine.display(),
                secret("identity")?,
                secret("sealing")?,
                secret("peer")?,
                text("kms_key_arn")?,
                text("bucket")?,
                text("store_prefix")?,
                self.endpoint,
            );
            std::fs::write(self.folder.join(format!("party-{i}.toml")), config)?;
        }
        Ok(())
    }

    /// Starts a party and waits until it listens.
    pub fn start_party(&mut self, index: usize) -> Result<()> {
        let name = format!("party-{index}");
        let config = self.folder.join(format!("{name}.toml")).display().to_string();
        let process = Process::start(
            &name,
            &self.programs.join("party-host"),
            &["--config".to_owned(), config],
            &self.credentials(PARTY_ACCOUNTS[index], PARTY),
            &self.folder.join(format!("{name}.log")),
        )?;
        self.parties.push(process);
        Ok(())
    }

    /// Kills a party at once.
    pub fn kill_party(&mut self, index: usize) -> Result<()> {
        let name = format!("party-{index}");
        let at = self.parties.iter().position(|p| p.name() == name).context("no such party runs")?;
        self.parties.swap_remove(at).kill();
        Ok(())
    }

    /// Stops the parties and the notary in good order.
    pub fn stop_processes(&mut self) {
        self.parties.drain(..).chain(self.notary.take()).for_each(Process::terminate);
    }

    /// The address of LocalStack.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The input of `localstack/checks`, as JSON.
    pub fn facts(&self) -> Result<Value> {
        let operators: Vec<Value> = accounts()
            .zip(&self.roots)
            .map(|(account, root)| {
                let mut facts = json!({"name": root.name, "account": account, "outputs": root.outputs()?});
                if let Some(index) = root.name.strip_prefix("party-") {
                    let manifest = std::fs::read(self.folder.join(format!("operator-{index}.json")))?;
                    let manifest: Value = serde_json::from_slice(&manifest)?;
                    facts["identity"] = manifest["identity"].clone();
                }
                Ok(facts)
            })
            .collect::<Result<_>>()?;
        Ok(json!({"endpoint": self.endpoint, "region": REGION, "operators": operators}))
    }
}

/// All five accounts, the coordinator's first, the notary's last.
pub fn accounts() -> impl Iterator<Item = &'static str> {
    std::iter::once(COORDINATOR_ACCOUNT).chain(PARTY_ACCOUNTS).chain([notary::ACCOUNT])
}

/// The folder with the cohort of real presentations.
pub fn vectors() -> PathBuf {
    root().join("tests/fixtures/vectors")
}

/// Runs a program; its standard output.
pub fn run(program: &Path, folder: &Path, args: &[&str], env: &[(&str, String)]) -> Result<String> {
    let out = xtask::command::program(program)
        .args(args)
        .envs(env.iter().map(|(k, v)| (k, v)))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !out.status.success() {
        bail!("{} {} failed: {}", program.display(), args.join(" "), String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
