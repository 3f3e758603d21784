//! `cargo xtask demo`: the main job from end to end, with honest and dishonest providers, checked against a
//! clear-text oracle.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tercet_client::Error;
use tercet_client::coordinator::{Coordinator, Deployment};
use tercet_client::http::{HttpOptions, Url};
use tercet_client::notarize::{self, Headers, Notarized, Plan};
use tercet_client::query::{self, QueryOptions, ResultFile};
use tercet_client::submit::{self, Prepared, SubmitOptions};
use tercet_evidence::{Kind, SurveyVerifier};
use tercet_mpc::{HashAlg, Statement};
use tercet_protocol::api::Problem;
use tercet_protocol::keys::random;
use tercet_protocol::submission::PublicPart;
use tercet_stack::Stack;
use tlsn_verifier::WireVersion;

use crate::{oracle, up};

/// Providers that work at the same time.
const CONCURRENCY: usize = 4;

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// Honest providers, 10 or more: the sample survey releases nothing below.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(10..=5000))]
    providers: u32,
    /// Print the outcome as one JSON object, as the last line.
    #[arg(long)]
    json: bool,
}

/// An account of the sample exchange.
#[derive(Deserialize)]
struct Account {
    api_key: String,
    eth_free: String,
}

/// An attack and what became of it.
#[derive(Serialize)]
struct Refusal {
    attack: &'static str,
    by: String,
    kind: String,
    rule: Option<String>,
    reason: String,
}

/// What a provider needs.
struct Providers {
    coordinator: Coordinator,
    deployment: Deployment,
    notary: Url,
    exchange: String,
    roots: Vec<Vec<u8>>,
}

#[derive(Default, Serialize)]
struct Seconds {
    build: f64,
    start: f64,
    submit: f64,
    attacks: f64,
    query: f64,
    stop: f64,
}

fn lap(since: &mut Instant) -> f64 {
    let seconds = since.elapsed().as_secs_f64();
    *since = Instant::now();
    (seconds * 1000.0).round() / 1000.0
}

/// Runs it.
pub fn run(options: &Options) -> Result<()> {
    // TLS has one provider; the first to ask installs it.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut seconds = Seconds::default();
    let mut clock = Instant::now();
    let folder = tempfile::tempdir()?;
    let stack = up::build(folder.path().to_path_buf(), None, options.providers + 1, 0, "dev")?;
    seconds.build = lap(&mut clock);
    let stack = Stack::start(stack, &mut |name| eprintln!("starting {name}"))?;
    seconds.start = lap(&mut clock);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(flow(options, &stack, &mut seconds, &mut clock));
    if outcome.is_err() {
        eprintln!("the processes' logs:");
        for name in tercet_stack::PROCESSES {
            let log = std::fs::read_to_string(stack.layout().log(name)).unwrap_or_default();
            for line in log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev() {
                eprintln!("  {name}: {line}");
            }
        }
    }
    let outcome = outcome?;
    stack.stop();
    seconds.stop = lap(&mut clock);
    report(options, &outcome, &seconds)
}

struct Outcome {
    accepted: usize,
    refusals: Vec<Refusal>,
    result: ResultFile,
    rows: Vec<Row>,
}

/// A released statistic beside the oracle's.
struct Row {
    name: String,
    released: String,
    oracle: String,
}

async fn flow(
    options: &Options,
    stack: &Stack,
    seconds: &mut Seconds,
    clock: &mut Instant,
) -> Result<Outcome> {
    let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default())?;
    let survey = coordinator.survey(stack.survey()).await?;
    let deployment = coordinator.deployment(survey).await?;
    let exchange_dir = stack.layout().exchange();
    let providers = Providers {
        coordinator,
        deployment,
        notary: Url::parse(&stack.notary())?,
        exchange: stack.exchange(),
        roots: vec![std::fs::read(exchange_dir.join("root.der"))?],
    };
    let accounts = accounts(&exchange_dir)?;
    let (honest, forger) = accounts.split_at(options.providers as usize);
    let forger = forger.first().context("the exchange has too few accounts")?;

    let bar = ProgressBar::new(honest.len() as u64);
    bar.set_style(ProgressStyle::with_template("providers {bar:30} {pos}/{len} {elapsed}")?);
    let receipts: Vec<()> = stream::iter(honest.iter().enumerate())
        .map(|(i, account)| {
            let (providers, bar) = (&providers, &bar);
            async move {
                let notarized = providers.notarize(account, i).await?;
                providers.submit(&notarized).await.map_err(|e| anyhow!("provider {i}: {e}"))?;
                bar.inc(1);
                Ok::<_, anyhow::Error>(())
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    bar.finish();
    seconds.submit = lap(clock);
    eprintln!("{} providers fetched, notarized, proved and hold three receipts each", receipts.len());

    let refusals = vec![
        providers.forged_value(forger).await?,
        providers.repeated_identity(&honest[0]).await?,
        providers.tampered_presentation(forger).await?,
    ];
    seconds.attacks = lap(clock);

    let survey = &providers.deployment.survey;
    let result = query::query(&providers.coordinator, survey, &[], QueryOptions::default()).await?;
    // `query` verified the signatures; the file's own check is what an outsider runs.
    result.verify(Some(survey.id()), None)?;
    let rows = compare(honest, &result, u32::from(survey.manifest().columns[0].places()))?;
    seconds.query = lap(clock);
    Ok(Outcome { accepted: receipts.len(), refusals, result, rows })
}

fn accounts(exchange_dir: &Path) -> Result<Vec<Account>> {
    Ok(serde_json::from_slice(&std::fs::read(exchange_dir.join("accounts.json"))?)?)
}

fn compare(honest: &[Account], result: &ResultFile, scale: u32) -> Result<Vec<Row>> {
    let values: Vec<BigInt> =
        honest.iter().map(|a| oracle::parse(&a.eth_free, scale as usize)).collect::<Result<_>>()?;
    let row = |s: &tercet_protocol::result::StatisticValue| {
        let released = s.value.clone().unwrap_or_else(|| "undefined".into());
        Ok(Row {
            name: s.statistic.clone(),
            released,
            oracle: oracle::statistic(&s.statistic, &values, scale)?,
        })
    };
    result.result.statistics.iter().map(row).collect()
}

impl Providers {
    async fn notarize(&self, account: &Account, index: usize) -> Result<Notarized> {
        let mut headers = Headers::default();
        headers.add("the account", &format!("X-MBX-APIKEY: {}", account.api_key))?;
        let hashes = [
            tlsn_verifier::HashAlg::Sha256,
            tlsn_verifier::HashAlg::Blake3,
            tlsn_verifier::HashAlg::Keccak256,
        ];
        let plan = Plan {
            url: "https://api.exchange.test/api/v3/account?omitZeroBalances=true".into(),
            connect: Some(self.exchange.clone()),
            headers,
            survey: self.deployment.survey.manifest().clone(),
            roots: self.roots.clone(),
            hash: hashes[index % hashes.len()],
            format: if index.is_multiple_of(2) { WireVersion::Alpha15 } else { WireVersion::Alpha12 },
        };
        Ok(notarize::notarize(self.coordinator.http(), &self.notary, &plan).await?)
    }

    async fn submit(&self, n: &Notarized) -> Result<(), Error> {
        let options = SubmitOptions::default();
        submit::submit(&self.coordinator, &self.deployment, &n.presentation, &n.secrets, options, &|_| {})
            .await
            .map(|_| ())
    }

    /// Shares and proves another value than the notary attested, with an otherwise perfect proof.
    async fn forged_value(&self, account: &Account) -> Result<Refusal> {
        let notarized = self.notarize(account, 0).await?;
        let survey = &self.deployment.survey;
        let (verified, admitted) =
            SurveyVerifier::new(survey)?.check(Kind::Presentation, &notarized.presentation)?;
        let mut witness = notarized.secrets.witness(&verified, &admitted)?.pop().context("no opening")?;
        witness.bytes[0] = if witness.bytes[0] == b'9' { b'1' } else { b'9' };
        let honest = verified.statement(&admitted, survey.manifest())?;
        let mut columns = honest.columns().to_vec();
        columns[0].alg = HashAlg::Sha256;
        columns[0].commitment = HashAlg::Sha256.digest(&[&witness.bytes, &*witness.blinder]);
        let forged = Statement::new(columns, honest.outputs().to_vec())?;
        let mut public = PublicPart {
            survey: survey.id(),
            kind: Kind::Presentation,
            evidence: notarized.presentation.clone(),
            share_hashes: Vec::new(),
        };
        let proven = tercet_mpc::prove(&forged, &[witness], &public.proof_context(), &random()?, &mut |_| {})
            .map_err(|e| anyhow!("the forger's own proof: {e}"))?;
        public.share_hashes = proven.public.encode().to_vec();
        let prepared = Prepared::from_parts(public, proven.private);
        let upload =
            submit::upload(&self.coordinator, &self.deployment, &prepared, SubmitOptions::default(), &|_| {});
        refusal("forged value", upload.await.map(|_| ()))
    }

    /// Notarizes a second time as the same person.
    async fn repeated_identity(&self, account: &Account) -> Result<Refusal> {
        let again = self.notarize(account, 1).await?;
        refusal("repeated identity", self.submit(&again).await)
    }

    /// Changes one revealed byte of a presentation.
    async fn tampered_presentation(&self, account: &Account) -> Result<Refusal> {
        let mut notarized = self.notarize(account, 0).await?;
        let at = notarized
            .presentation
            .windows(6)
            .position(|w| w == b"\"uid\":")
            .context("no uid in the presentation")?;
        notarized.presentation[at + 6] ^= 1;
        let public = PublicPart {
            survey: self.deployment.survey.id(),
            kind: Kind::Presentation,
            evidence: notarized.presentation,
            share_hashes: vec![0; tercet_mpc::ShareHashes::BYTES],
        };
        refusal("tampered presentation", self.coordinator.admit(&public).await.map(|_| ()))
    }
}

/// The refusal of an attack; anything else is a failure of the demonstration.
fn refusal(attack: &'static str, outcome: Result<(), Error>) -> Result<Refusal> {
    match outcome {
        Ok(()) => bail!("{attack}: it was accepted"),
        Err(Error::Refused { from, problem }) => {
            let Problem { kind, rule, detail, title, .. } = *problem;
            eprintln!("refused as it should be: {attack}, by {from}: {title}: {detail}");
            Ok(Refusal { attack, by: from, kind, rule, reason: detail })
        }
        Err(other) => bail!("{attack}: failed otherwise than by a refusal: {other}"),
    }
}

fn report(options: &Options, outcome: &Outcome, seconds: &Seconds) -> Result<()> {
    let differs = outcome.rows.iter().filter(|r| r.released != r.oracle).count();
    let ok = differs == 0 && outcome.accepted == options.providers as usize && outcome.refusals.len() == 3;
    println!("{:<20} {:>36} {:>36}", "statistic", "three parties, signed", "clear-text oracle");
    for r in &outcome.rows {
        println!(
            "{:<20} {:>36} {:>36}{}",
            r.name,
            r.released,
            r.oracle,
            if r.released == r.oracle { "" } else { "  DIFFERS" }
        );
    }
    println!(
        "three signatures verified over height {} and {} submissions",
        outcome.result.result.height, outcome.result.result.submissions
    );
    if options.json {
        let of = |get: fn(&Row) -> &String| -> serde_json::Map<String, serde_json::Value> {
            outcome.rows.iter().map(|r| (r.name.clone(), get(r).clone().into())).collect()
        };
        println!(
            "{}",
            json!({
                "statistics": of(|r| &r.released),
                "oracle": of(|r| &r.oracle),
                "accepted": outcome.accepted,
                "refused": outcome.refusals.len(),
                "refusals": outcome.refusals,
                "signatures_verified": 3,
                "match": ok,
                "seconds": seconds,
            })
        );
    }
    if ok { Ok(()) } else { bail!("{differs} statistics differ from the oracle") }
}
