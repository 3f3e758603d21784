//! `cargo xtask drill`: an operator's work when a bucket is lost, or old, or a party dies, rehearsed on a local system of
//! real processes. It says what was seen.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use num_bigint::BigInt;
use serde::Deserialize;
use serde_json::json;
use tercet_client::coordinator::{Coordinator, Deployment};
use tercet_client::http::{HttpOptions, Request, Url};
use tercet_client::query;
use tercet_protocol::api::PartySurveyStatus;
use tercet_stack::Stack;
use xtask::deploy;
use xtask::launched::{Drill, Loss};

use crate::forwarded::Forwarded;
use crate::{oracle, up};

/// People who take part before anything happens, and as many after it.
const PEOPLE: usize = 10;
/// The party that it happens to.
const VICTIM: usize = 2;
/// Longest wait for a party to be back.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Account {
    api_key: String,
    api_secret: String,
    eth_free: String,
}

struct Rehearsal {
    stack: Stack,
    coordinator: Coordinator,
    deployment: Deployment,
    forwarded: Forwarded,
    accounts: Vec<Account>,
    done: usize,
}

/// Runs it.
pub fn run(options: &Drill) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let system = up::system(folder.path().to_path_buf(), None, 4 * PEOPLE as u32, 0)?;
    let stack = Stack::start(system, &mut |name| eprintln!("starting {name}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut rehearsal = Rehearsal::new(stack).await?;
        let outcome = rehearsal.rehearse(options.kind).await;
        rehearsal.stack.stop();
        outcome
    })
}

impl Rehearsal {
    async fn new(stack: Stack) -> Result<Self> {
        let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default())?;
        let deployment = coordinator.deployment(coordinator.survey(stack.survey()).await?).await?;
        let accounts = std::fs::read(stack.layout().exchange().join("accounts.json"))?;
        Ok(Self {
            forwarded: Forwarded::of(&deployment.survey, &stack.proxy())?,
            accounts: serde_json::from_slice(&accounts)?,
            stack,
            coordinator,
            deployment,
            done: 0,
        })
    }

    async fn rehearse(&mut self, kind: Loss) -> Result<()> {
        self.take_part(PEOPLE).await?;
        self.release().await?;
        match kind {
            Loss::Lost => self.replace_bucket("after-the-loss/", "its bucket is empty").await?,
            Loss::Old => {
                self.replace_bucket("meanwhile/", "it works with another bucket for a while").await?;
                self.take_part(PEOPLE).await?;
                self.release().await?;
                self.replace_bucket("", "its first bucket is put back, which is older").await?;
            }
            Loss::Chart => {
                self.kill(VICTIM)?;
                self.as_in_a_pod()?;
                self.stack.restart(&format!("party-{VICTIM}"))?;
                self.until_equal(VICTIM, "it runs with the configuration of the chart").await?;
            }
            Loss::Crash => {
                for party in 0..3 {
                    self.take_part(PEOPLE / 5).await?;
                    self.kill(party)?;
                    self.stack.restart(&format!("party-{party}"))?;
                    self.until_equal(party, "it was killed").await?;
                }
            }
        }
        self.take_part(PEOPLE).await?;
        self.release().await
    }

    /// The next accounts take part; each of them gets three receipts.
    async fn take_part(&mut self, people: usize) -> Result<()> {
        for _ in 0..people {
            let account = self.accounts.get(self.done).context("the exchange has too few accounts")?;
            let (key, secret) = (&account.api_key, &account.api_secret);
            self.forwarded.submit(&self.coordinator, &self.deployment, key, secret).await?;
            self.done += 1;
        }
        println!("{} people took part, each with three receipts", self.done);
        Ok(())
    }

    /// Makes a release point, and compares the published statistics with the clear text.
    async fn release(&self) -> Result<()> {
        let survey = &self.deployment.survey;
        let now = self.coordinator.release_now(survey.id()).await?;
        ensure!(now.made, "no release point was made");
        let published = query::published(&self.coordinator, survey, Some(now.release)).await?;
        published.verify(Some(survey.id()), None)?;
        let scale = u32::from(survey.manifest().columns[0].places());
        let values: Vec<BigInt> = self.accounts[..self.done]
            .iter()
            .map(|a| oracle::parse(&a.eth_free, scale as usize))
            .collect::<Result<_>>()?;
        // Who is in a group that is too small still waits: then there is nothing to compare with.
        let all = published.result.submissions == self.done as u64;
        for s in published.result.statistics.iter().filter(|_| all) {
            let (released, truth) =
                (s.value.clone().unwrap_or_default(), oracle::statistic(&s.statistic, &values, scale)?);
            ensure!(released == truth, "{}: {released} was released, the truth is {truth}", s.statistic);
        }
        let compared = if all { "equal to the clear text" } else { "signed by all three" };
        println!(
            "release point {}: {} people counted, {compared}",
            now.release, published.result.submissions
        );
        Ok(())
    }

    fn kill(&mut self, party: usize) -> Result<()> {
        self.stack.kill(&format!("party-{party}"))
    }

    /// The victim dies, and comes back with another part of its bucket.
    async fn replace_bucket(&mut self, prefix: &str, what: &str) -> Result<()> {
        self.kill(VICTIM)?;
        set_prefix(&self.stack.layout().party_config(VICTIM), prefix)?;
        self.stack.restart(&format!("party-{VICTIM}"))?;
        self.until_equal(VICTIM, what).await
    }

    /// Gives the victim the configuration that the chart renders for its store. Where the pod has volumes and ports of its own, this
    /// machine's folders and ports take their place; everything else is as rendered.
    fn as_in_a_pod(&self) -> Result<()> {
        let (layout, ports) = (self.stack.layout(), self.stack.layout().ports()?);
        let zeros = "0".repeat(64);
        let values = json!({
            "image": format!("registry.example.org/party@sha256:{zeros}"), "engineDigest": zeros,
            "keys": {"secret": "keys"}, "documents": {"federation": "federation", "surveys": "surveys"},
            "store": {"bucket": format!("tercet-party-{VICTIM}"), "endpoint": format!("http://127.0.0.1:{}", ports.s3)},
            "peer": {"cidrs": ["127.0.0.1/32"]}, "metrics": {"namespace": "monitoring"}, "settings": {"limits": {"lease_seconds": 3}},
        });
        // JSON is YAML.
        let file = layout.root().join("values.yaml");
        std::fs::write(&file, serde_json::to_vec(&values)?)?;
        let mut text = deploy::config(&file)?;
        let place = |path: PathBuf| path.display().to_string();
        for (in_the_pod, here) in [
            ("0.0.0.0:8080", format!("127.0.0.1:{}", ports.parties[VICTIM])),
            ("0.0.0.0:7443", format!("127.0.0.1:{}", ports.peers[VICTIM])),
            ("0.0.0.0:9090", format!("127.0.0.1:{}", ports.metrics[VICTIM])),
            ("/etc/tercet/federation/federation.json", place(layout.federation())),
            ("/etc/tercet/surveys", place(layout.surveys())),
            ("/usr/share/tercet/party_wasm.wasm", place(layout.engine())),
            ("/run/tercet/keys", place(layout.operator(VICTIM))),
        ] {
            ensure!(text.contains(in_the_pod), "the chart renders no {in_the_pod}:\n{text}");
            text = text.replace(in_the_pod, &here);
        }
        // The development system makes release points when it is asked to.
        text += "\n[releases]\nany_time = true\n";
        std::fs::write(layout.party_config(VICTIM), text)?;
        Ok(())
    }

    /// Waits until a party has the others' log.
    async fn until_equal(&self, party: usize, what: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            let mut heads = Vec::new();
            for p in 0..3 {
                heads.push(self.head(p).await?);
            }
            if heads.iter().all(|h| *h == heads[0]) {
                let seconds = start.elapsed().as_secs_f64();
                println!("party {party}: {what}; back at height {} after {seconds:.1} s", heads[0].0);
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                bail!("party {party}: {what}; the parties stay at {heads:?}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn head(&self, party: usize) -> Result<(u64, String)> {
        let url = format!("{}/v1/surveys/{}", self.stack.party(party), self.stack.survey());
        let answer = self.coordinator.http().send(&Request::get("a party", Url::parse(&url)?)).await?;
        let status: PartySurveyStatus = serde_json::from_slice(&answer.body)?;
        Ok((status.height, status.head.to_string()))
    }
}

/// Lets a party keep its objects below another prefix of its bucket.
fn set_prefix(config: &Path, prefix: &str) -> Result<()> {
    let text = std::fs::read_to_string(config)?;
    let lines = text.lines().filter(|line| !line.starts_with("prefix = "));
    let with = |line: &str| match line {
        "[store]" => format!("[store]\nprefix = \"{prefix}\"\n"),
        line => format!("{line}\n"),
    };
    std::fs::write(config, lines.map(with).collect::<String>())?;
    Ok(())
}
