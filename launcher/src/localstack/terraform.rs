//! The roots for LocalStack, each with a state of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use xtask::terraform;

/// One operator's root, variables and state.
pub struct Root {
    /// The operator's name in messages.
    pub name: String,
    kind: &'static str,
    state: PathBuf,
    /// The arguments that name its state and its variables.
    files: [String; 2],
}

impl Root {
    /// The root `environments/localstack/<kind>` for an operator, whose state and variables are kept in `folder`.
    pub fn new(kind: &'static str, name: &str, folder: &Path, variables: Map<String, Value>) -> Result<Self> {
        let place = folder.join(name);
        std::fs::create_dir_all(&place)?;
        let state = place.join("terraform.tfstate");
        let values = place.join("variables.tfvars.json");
        std::fs::write(&values, serde_json::to_vec_pretty(&Value::Object(variables))?)?;
        let files = [format!("-state={}", state.display()), format!("-var-file={}", values.display())];
        Ok(Self { name: name.into(), kind, state, files })
    }

    /// Fetches providers and modules; once for each kind.
    pub fn init(&self) -> Result<()> {
        self.run(&["init", "-input=false", "-no-color"]).map(drop)
    }

    /// Applies.
    pub fn apply(&self) -> Result<()> {
        let [state, variables] = &self.files;
        self.run(&["apply", "-auto-approve", "-input=false", "-no-color", state, variables]).map(drop)
    }

    /// Checks that another `apply` would change nothing; if not, gives the plan.
    pub fn unchanged(&self) -> Result<()> {
        let [state, variables] = &self.files;
        let args = ["plan", "-detailed-exitcode", "-input=false", "-no-color", state, variables];
        let out = self.command(&args)?.output().context("terraform plan")?;
        match out.status.code() {
            Some(0) => Ok(()),
            Some(2) => bail!("{}: a second apply would change something:\n{}", self.name, text(&out.stdout)),
            _ => bail!("{}: terraform plan failed:\n{}{}", self.name, text(&out.stdout), text(&out.stderr)),
        }
    }

    /// Destroys.
    pub fn destroy(&self) -> Result<()> {
        let [state, variables] = &self.files;
        self.run(&["destroy", "-auto-approve", "-input=false", "-no-color", state, variables])?;
        let left: Value = serde_json::from_slice(&std::fs::read(&self.state)?)?;
        match left["resources"].as_array() {
            Some(resources) if resources.is_empty() => Ok(()),
            _ => bail!("{}: destroy left resources in its state", self.name),
        }
    }

    /// The outputs' values.
    pub fn outputs(&self) -> Result<Map<String, Value>> {
        let out = self.run(&["output", "-json", &self.files[0]])?;
        let all: Map<String, Value> = serde_json::from_slice(&out)?;
        Ok(all.into_iter().map(|(name, output)| (name, output["value"].clone())).collect())
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let folder = format!("environments/localstack/{}", self.kind);
        let mut command = terraform::command(&folder, &format!("localstack-{}", self.kind))?;
        // The roots bring their own credentials; the caller's must not get near.
        command.args(args).env_remove("AWS_PROFILE").env_remove("AWS_ENDPOINT_URL").stdin(Stdio::null());
        Ok(command)
    }

    fn run(&self, args: &[&str]) -> Result<Vec<u8>> {
        let what = args.first().copied().unwrap_or_default();
        let out = self.command(args)?.output().context("cannot run terraform")?;
        if !out.status.success() {
            let output = format!("{}{}", text(&out.stdout), text(&out.stderr));
            let lines: Vec<_> = output.lines().collect();
            let end = lines[lines.len().saturating_sub(60)..].join("\n");
            bail!("{}: terraform {what} failed:\n{end}", self.name);
        }
        Ok(out.stdout)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The variables that all roots have.
pub fn common(endpoint: &str, account: &str) -> Map<String, Value> {
    let values = json!({"localstack_endpoint": endpoint, "account_id": account, "region": super::REGION});
    values.as_object().cloned().unwrap_or_default()
}
