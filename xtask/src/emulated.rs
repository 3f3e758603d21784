//! The roots for AWS, applied as they are: four operators, each with an account of its own on this machine, which
//! `terraform/emulator` serves. The services that LocalStack's free edition lacks (HTTP API, WAF, VPC, load balancer,
//! ECS, ECR, certificates, AWS Backup) are made here through AWS's own provider, planned again without a change, and
//! destroyed.

mod doctor;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::command::{free_port, program, root};
use crate::launch;
use crate::report::Report;
use crate::{python, terraform};

const REGION: &str = "us-east-1";
const REQUIREMENTS: &str = "terraform/emulator/requirements.txt";
/// The coordinator's account and the parties'.
const ACCOUNTS: [&str; 4] = ["900000000000", "100000000001", "100000000002", "100000000003"];
/// Variables that turn the coordinator's HTTP API into a REST API behind a firewall.
const REST: [&str; 2] = ["-var=entry=rest", "-var=waf={enabled=true}"];
/// Resources that hold data or the means to read it: `destroy` leaves them while there is any.
const KEPT: [&str; 5] = [
    "module.party.module.bucket.aws_s3_bucket.this",
    "module.party.aws_kms_key.shares",
    "module.party.aws_kms_key.storage",
    "module.party.aws_secretsmanager_secret.key[\"identity\"]",
    "module.party.aws_secretsmanager_secret_policy.key[\"identity\"]",
];

/// Runs it.
pub fn check(report: &mut Report) -> Result<()> {
    if !terraform::available() {
        return report.skip("the roots for AWS on an emulator", terraform::MISSING);
    }
    if python::find().is_err() {
        return report.skip("the roots for AWS on an emulator", python::MISSING);
    }
    let python = python::environment("emulator", REQUIREMENTS)?.join("python3");
    launch::build_tested()?;
    let scratch = tempfile::tempdir()?;
    let start = Instant::now();
    let mut operators =
        ACCOUNTS.iter().map(|a| Operator::start(a, &python, scratch.path())).collect::<Result<Vec<_>>>()?;
    // One after the other: the plugin cache does not bear two at once.
    for operator in &mut operators {
        operator.prepare(scratch.path())?;
    }
    let folder = scratch.path();
    std::thread::scope(|scope| {
        let running: Vec<_> = operators
            .iter()
            .map(|operator| {
                scope.spawn(move || {
                    if operator.index == 0 {
                        coordinator(operator, start)
                    } else {
                        party(operator, folder, start)
                    }
                })
            })
            .collect();
        let done = running.into_iter().map(|r| r.join().unwrap_or_else(|_| bail!("a thread panicked")));
        // All of them end before the first failure is told.
        done.collect::<Vec<_>>().into_iter().collect()
    })
}

/// The HTTP API with a domain, then the REST API with a firewall, on the same state.
fn coordinator(operator: &Operator, start: Instant) -> Result<()> {
    let say = |what: &str| eprintln!("[{:>4} s] coordinator: {what}", start.elapsed().as_secs());
    operator.apply(&[])?;
    say("HTTP API applied");
    operator.unchanged(&[])?;
    operator.apply(&REST)?;
    say("REST API with a firewall applied");
    operator.unchanged(&REST)?;
    let refused = operator.destroy(&REST).err().context("a protected table was destroyed")?;
    ensure!(format!("{refused:#}").contains("DeletionProtectionEnabled"), "{refused:#}");
    for kept in ["aws_dynamodb_table.registry", "aws_secretsmanager_secret.signing_key", "aws_kms_key.main"] {
        operator.has(&format!("module.coordinator.{kept}"))?;
    }
    // As terraform/README.md says.
    let meant = ["-var=deletion_protection=false"];
    operator.apply(&[&meant[..], &["-target=module.coordinator.aws_dynamodb_table.registry"]].concat())?;
    operator.destroy(&meant)?;
    say("kept what was protected, then destroyed");
    operator.empty()
}

/// Everything of a party. The first one's bucket holds data when it is destroyed.
fn party(operator: &Operator, folder: &Path, start: Instant) -> Result<()> {
    let say =
        |what: &str| eprintln!("[{:>4} s] party {}: {what}", start.elapsed().as_secs(), operator.index - 1);
    operator.apply(&[])?;
    say("applied");
    operator.unchanged(&[])?;
    if operator.index == 2 {
        doctor::check(operator, folder)?;
        say("examined by the doctor");
    }
    if operator.index == 1 {
        operator.put_share()?;
        let refused = operator.destroy(&[]).err().context("a bucket with data was destroyed")?;
        ensure!(format!("{refused:#}").contains("BucketNotEmpty"), "{refused:#}");
        for kept in KEPT {
            operator.has(kept)?;
        }
        // As terraform/README.md says.
        let meant = ["-var=destroy_data=true"];
        operator.apply(&[&meant[..], &["-target=module.party.module.bucket.aws_s3_bucket.this"]].concat())?;
        operator.destroy(&meant)?;
        say("kept its data, then destroyed");
    } else {
        operator.destroy(&[])?;
        say("destroyed");
    }
    operator.empty()
}

/// One operator's account and root.
struct Operator {
    /// 0 is the coordinator's.
    index: usize,
    endpoint: String,
    /// The account's contents before Terraform.
    facts: Value,
    variables: PathBuf,
    server: Child,
}

impl Drop for Operator {
    fn drop(&mut self) {
        // Gone already is as good.
        let _gone = self.server.kill();
        let _gone = self.server.wait();
    }
}

impl Operator {
    /// Starts the account.
    fn start(account: &str, python: &Path, folder: &Path) -> Result<Self> {
        let index = ACCOUNTS.iter().position(|a| *a == account).unwrap_or_default();
        let port = free_port()?;
        let mut server = program(python)
            .arg("-B")
            .arg(root().join("terraform/emulator/serve.py"))
            .args([account, &port.to_string(), &format!("p{index}.example.org")])
            // It ends when this pipe closes, however this process ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the emulator")?;
        let mut line = String::new();
        let out = server.stdout.take().context("the emulator has an output")?;
        BufReader::new(out).read_line(&mut line)?;
        let facts = serde_json::from_str(&line).context("the emulator did not start")?;
        let variables = folder.join(format!("{index}.tfvars.json"));
        Ok(Self { index, endpoint: format!("http://127.0.0.1:{port}"), facts, variables, server })
    }

    /// Writes the variables and makes the root ready, its state in the operator's own bucket.
    fn prepare(&mut self, folder: &Path) -> Result<()> {
        let (account, index) = (ACCOUNTS[self.index], self.index);
        let zeros = "0".repeat(64);
        let mut variables = json!({
            "region": REGION, "account_id": account, "domain_name": format!("p{index}.example.org"),
            "certificate_arn": self.facts["certificate_arn"], "zone_id": self.facts["zone_id"],
        });
        if index == 0 {
            let zip = folder.join("function.zip");
            std::fs::write(&zip, b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")?;
            variables["lambda_zip"] = json!({"api": zip, "refresh": zip, "reap": zip});
        } else {
            variables["operator"] = json!(format!("org-{index}"));
            variables["index"] = json!(index - 1);
            variables["image"] =
                json!(format!("{account}.dkr.ecr.{REGION}.amazonaws.com/tercet@sha256:{zeros}"));
            variables["engine_digest"] = json!(zeros);
            variables["peer_cidrs"] = json!(["198.51.100.7/32", "203.0.113.9/32"]);
        }
        std::fs::write(&self.variables, serde_json::to_vec_pretty(&variables)?)?;
        let bucket =
            self.facts["state_bucket"].as_str().context("the emulator made no bucket for the state")?;
        let backend = [format!("bucket={bucket}"), "key=tercet.tfstate".into(), format!("region={REGION}")];
        let mut init =
            vec!["init".to_owned(), "-no-color".into(), "-reconfigure".into(), "-lockfile=readonly".into()];
        init.extend(backend.map(|b| format!("-backend-config={b}")));
        self.run(&init).map(drop)
    }

    fn terraform(&self) -> Result<Command> {
        let kind = if self.index == 0 { "coordinator" } else { "party" };
        let data = format!("emulated-{}", self.index);
        let mut terraform = terraform::command(&format!("environments/aws/{kind}"), &data)?;
        // No AWS can be meant: every service is on loopback, and the credentials are none.
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN"] {
            terraform.env_remove(name);
        }
        terraform
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_REGION", REGION)])
            .envs([("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")])
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null());
        Ok(terraform)
    }

    fn run(&self, args: &[String]) -> Result<String> {
        let out = self.terraform()?.args(args).output().context("cannot run terraform")?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        if !out.status.success() {
            let errors = String::from_utf8_lossy(&out.stderr);
            // A plan's exit code 2 has what would change on its output.
            let what = args.first().map(String::as_str).unwrap_or_default();
            let plan = said.split_once("will perform").map_or("", |(_, plan)| plan);
            bail!("{}: terraform {what} failed:\n{plan}{errors}", ACCOUNTS[self.index]);
        }
        Ok(said)
    }

    fn act(&self, action: &[&str], more: &[&str]) -> Result<()> {
        let file = format!("-var-file={}", self.variables.display());
        let args: Vec<String> =
            action.iter().chain(more).copied().map(str::to_owned).chain(["-no-color".into(), file]).collect();
        self.run(&args).map(drop)
    }

    fn apply(&self, more: &[&str]) -> Result<()> {
        self.act(&["apply", "-auto-approve"], more)
    }

    fn destroy(&self, more: &[&str]) -> Result<()> {
        self.act(&["destroy", "-auto-approve"], more)
    }

    /// Another `apply` would change nothing.
    fn unchanged(&self, more: &[&str]) -> Result<()> {
        self.act(&["plan", "-detailed-exitcode"], more)
    }

    fn state(&self) -> Result<String> {
        self.run(&["state".into(), "list".into()])
    }

    /// A resource is in the state.
    fn has(&self, resource: &str) -> Result<()> {
        ensure!(self.state()?.lines().any(|line| line == resource), "{resource} is gone");
        Ok(())
    }

    /// The state has nothing but look-ups.
    fn empty(&self) -> Result<()> {
        let left = self.state()?;
        ensure!(left.lines().all(|line| line.contains(".data.")), "destroy left:\n{left}");
        Ok(())
    }

    /// A party's bucket.
    fn bucket(&self) -> String {
        format!("tercet-org-{}-p{}-{}", self.index, self.index - 1, ACCOUNTS[self.index])
    }

    /// Puts an object where shares lie.
    fn put_share(&self) -> Result<()> {
        let bucket = self.bucket();
        self.ask(&format!("PUT /{bucket}/store/share HTTP/1.1\r\ncontent-length: 5"), "share", b"200")
    }

    /// Sends the account a request, of which the answer's status is known.
    fn ask(&self, head: &str, body: &str, status: &[u8; 3]) -> Result<()> {
        let mut stream = TcpStream::connect(self.endpoint.trim_start_matches("http://"))?;
        let request = format!("{head}\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        ensure!(answer.ends_with(status), "the emulator answered {}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}
