//! The fifth operator: a notary that Terraform deploys, and the exchange that its sessions lead to.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tercet_stack::Process;
use xtask::command::{free_port, root};

use super::deploy::{run, vectors};
use super::terraform::{Root, common};

/// The notary's account.
pub const ACCOUNT: &str = "200000000001";
/// The name under which its calls are recorded.
pub const APP: &str = "notary";
/// The name of the exchange, which is in no DNS.
const SERVER: &str = "api.exchange.test";

/// The notary's seed, in the test's folder.
const KEY: &str = "notary.key";

/// An exchange that runs, a notary's key, and the survey that lists both.
pub struct Notary {
    folder: PathBuf,
    programs: PathBuf,
    exchange: Process,
    exchange_port: u16,
    port: u16,
    /// The survey's file: the cohort's, with this notary and the exchange's root besides.
    pub survey: PathBuf,
}

#[derive(Deserialize)]
struct Account {
    api_key: String,
    eth_free: String,
}

impl Notary {
    /// Starts the exchange, makes the key, writes the survey's file.
    pub fn prepare(folder: &Path, programs: &Path) -> Result<Self> {
        let (exchange_port, port) = (free_port()?, free_port()?);
        let state = folder.join("exchange");
        let args =
            ["exchange", "--listen", &format!("127.0.0.1:{exchange_port}"), "--accounts", "1", "--state"];
        let mut args: Vec<String> = args.map(str::to_owned).into();
        args.push(state.display().to_string());
        let log = folder.join("exchange.log");
        let exchange = Process::start("exchange", &programs.join("tercet-embedded"), &args, &[], &log)?;

        let key = run(&programs.join("tercet-notary"), folder, &["key", KEY], &[])?;
        let text = std::fs::read_to_string(vectors().join("survey.toml"))?;
        let own = format!(
            "[[notaries]]\nname = \"a notary on LocalStack\"\nkind = \"proxy\"\nalgorithm = \"ed25519\"\nkey = \"{}\"\n\n\
             [identity]",
            key.trim()
        );
        let roots = [vectors().join("root.der"), state.join("root.der")];
        let roots = format!("{roots:?}");
        let text = text.replacen("[identity]", &own, 1).replacen("[\"root.der\"]", &roots, 1);
        let survey = folder.join("survey.toml");
        std::fs::write(&survey, text)?;
        Ok(Self { folder: folder.into(), programs: programs.into(), exchange, exchange_port, port, survey })
    }

    /// Its root in Terraform.
    pub fn root(endpoint: &str, coordinator_key: &str, states: &Path) -> Result<Root> {
        let mut variables: Map<String, Value> = common(endpoint, ACCOUNT);
        variables.extend([
            ("operator".to_owned(), json!("opn")),
            ("coordinator_keys".to_owned(), json!([coordinator_key])),
            // The test's own data: `destroy` must leave nothing.
            ("destroy_data".to_owned(), json!(true)),
        ]);
        Root::new("notary", "notary", states, variables)
    }

    /// Puts the seed into its secret and the survey into its bucket, as the operator does with AWS's own tools.
    pub fn fill(&self, deployed: &Root, python: &Path, operator: &[(&str, String)]) -> Result<()> {
        let outputs = deployed.outputs()?;
        let text =
            |name: &str| outputs.get(name).and_then(Value::as_str).with_context(|| format!("no `{name}`"));
        let script = root().join("localstack/checks/fill_notary.py").display().to_string();
        let args = ["-B", &script, text("secret_arn")?, KEY, text("surveys")?, "survey.json"];
        run(&python.join("python3"), &self.folder, &args, operator).map(drop)
    }

    /// Starts the notary as its container would be started: key and surveys are in the cloud.
    pub fn start(
        &self,
        deployed: &Root,
        coordinator_key: &str,
        environment: &[(&'static str, String)],
    ) -> Result<Process> {
        let outputs = deployed.outputs()?;
        let text =
            |name: &str| outputs.get(name).and_then(Value::as_str).with_context(|| format!("no `{name}`"));
        let args = [
            "run",
            "--listen",
            &format!("127.0.0.1:{}", self.port),
            "--key",
            text("secret_arn")?,
            "--surveys",
            text("surveys")?,
            "--coordinator-key",
            coordinator_key,
            "--resolve",
            &format!("{SERVER}=127.0.0.1:{}", self.exchange_port),
        ];
        let args: Vec<String> = args.map(str::to_owned).into();
        let log = self.folder.join("notary.log");
        Process::start("notary", &self.programs.join("tercet-notary"), &args, environment, &log)
    }

    /// Takes part through the notary with the exchange's one account; the value that was proven.
    pub fn take_part(&self, coordinator: &str, survey: &str) -> Result<String> {
        let accounts = std::fs::read(self.folder.join("exchange/accounts.json"))?;
        let [account] = serde_json::from_slice::<[Account; 1]>(&accounts)?;
        let header = self.folder.join("header.txt");
        std::fs::write(&header, format!("X-MBX-APIKEY: {}\n", account.api_key))?;
        let notary = format!("http://127.0.0.1:{}", self.port);
        let header = header.display().to_string();
        let args = [
            "take-part",
            "--yes",
            "--coordinator",
            coordinator,
            "--survey",
            survey,
            "--notary",
            &notary,
            "--header-file",
            &header,
            "--receipt",
            "notary-receipt.json",
        ];
        run(&self.programs.join("tercet"), &self.folder, &args, &[])?;
        Ok(account.eth_free)
    }

    /// Stops the exchange.
    pub fn stop(self) {
        self.exchange.terminate();
    }
}
