//! `cargo xtask demo`: the main job from end to end, with honest and dishonest providers, checked against a
//! clear-text oracle.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tercet_client::Error;
use tercet_client::coordinator::{Coordinator, Deployment};
use tercet_client::http::{HttpOptions, JSON, Method, Request, Url};
use tercet_client::notarize::{self, Headers, Notarized, Plan};
use tercet_client::query::{self, QueryOptions, ResultFile};
use tercet_client::submit::{self, Prepared, SubmitOptions, Submitted};
use tercet_client::withdraw::{self, Erased, ReceiptFile, WithdrawalKey};
use tercet_evidence::{Kind, SurveyVerifier};
use tercet_mpc::{Binding, HashAlg, Statement};
use tercet_protocol::api::{Problem, QueryRequest};
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::{Nonce, PublicKey};
use tercet_protocol::keys::{SigningKey, random};
use tercet_protocol::query_ticket::{QueryTicket, Question};
use tercet_protocol::submission::{PublicPart, ShareHashes};
use tercet_stack::Stack;
use tercet_tls_session::Evidence;
use tlsn_verifier::WireVersion;
use xtask::launched::Demo;
use zeroize::Zeroizing;

use crate::forwarded::{Forwarded, restated, tampered};
use crate::{oracle, up};

/// Providers that work at the same time.
const CONCURRENCY: usize = 4;

/// An account of the sample exchange.
#[derive(Deserialize)]
struct Account {
    api_key: String,
    api_secret: String,
    eth_free: String,
    index: u32,
}

impl Account {
    /// The value of the sample survey's field, by which groups are told apart.
    fn maker_fee(&self) -> &'static str {
        // As the sample exchange has it: ten accounts of each kind in turn.
        if (self.index / 10).is_multiple_of(2) { "15" } else { "10" }
    }
}

/// An attack and its outcome.
#[derive(Serialize)]
struct Refusal {
    attack: &'static str,
    by: String,
    kind: String,
    rule: Option<String>,
    reason: String,
}

/// The tools of a provider.
struct Providers {
    coordinator: Coordinator,
    deployment: Deployment,
    notary: Url,
    exchange: String,
    roots: Vec<Vec<u8>>,
    forwarded: Forwarded,
}

#[derive(Default, Serialize)]
struct Seconds {
    build: f64,
    start: f64,
    submit: f64,
    attacks: f64,
    release: f64,
    query: f64,
    withdraw: f64,
    stop: f64,
}

fn lap(since: &mut Instant) -> f64 {
    let seconds = since.elapsed().as_secs_f64();
    *since = Instant::now();
    (seconds * 1000.0).round() / 1000.0
}

/// Runs it.
pub fn run(options: &Demo) -> Result<()> {
    let mut seconds = Seconds::default();
    let mut clock = Instant::now();
    let folder = tempfile::tempdir()?;
    let stack = up::system(folder.path().to_path_buf(), None, options.providers + 2, 0)?;
    // Of `cargo xtask`, which built the programs before it became this one.
    let built = std::env::var("TERCET_BUILD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.build = built.unwrap_or_default();
    let stack = Stack::start(stack, &mut |name| eprintln!("starting {name}"))?;
    seconds.start = lap(&mut clock);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(flow(options, &stack, &mut seconds, &mut clock));
    if outcome.is_err() {
        up::last_lines(&stack);
    }
    let outcome = outcome?;
    stack.stop();
    seconds.stop = lap(&mut clock);
    report(options, &outcome, &seconds)
}

struct Outcome {
    accepted: usize,
    /// Refused as they should be.
    refusals: Vec<Refusal>,
    /// The statistics that were published at the release point.
    published: ResultFile,
    rows: Vec<Row>,
    /// The answer about one group.
    filtered: ResultFile,
    filtered_rows: Vec<Row>,
    /// The two who left: one was waiting and one was counted.
    left: [Erased; 2],
}

/// A released statistic beside the oracle's.
struct Row {
    name: String,
    released: String,
    oracle: String,
}

async fn flow(options: &Demo, stack: &Stack, seconds: &mut Seconds, clock: &mut Instant) -> Result<Outcome> {
    let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default())?;
    let survey = coordinator.survey(stack.survey()).await?;
    let deployment = coordinator.deployment(survey).await?;
    let exchange_dir = stack.layout().exchange();
    let forwarded = Forwarded::of(&deployment.survey, &stack.proxy())?;
    let providers = Providers {
        forwarded,
        coordinator,
        deployment,
        notary: Url::parse(&stack.notary())?,
        exchange: stack.exchange(),
        roots: vec![std::fs::read(exchange_dir.join("root.der"))?],
    };
    let accounts = accounts(&exchange_dir)?;
    let (honest, others) = accounts.split_at(options.providers as usize);
    let [forger, latecomer] = others else { bail!("the exchange has other accounts than it was asked for") };

    let bar = ProgressBar::new(honest.len() as u64);
    bar.set_style(ProgressStyle::with_template("providers {bar:30} {pos}/{len} {elapsed}")?);
    let receipts: Vec<(usize, Submitted)> = stream::iter(honest.iter().enumerate())
        .map(|(i, account)| {
            let (providers, bar) = (&providers, &bar);
            async move {
                // One in four brings a presentation, the others a session that the notary forwarded.
                let done = if i.is_multiple_of(4) {
                    providers.submit(&providers.notarize(account, i).await?).await
                } else {
                    providers.submit_session(account).await
                };
                let done = done.map_err(|e| anyhow!("provider {i}: {e}"))?;
                bar.inc(1);
                Ok::<_, anyhow::Error>((i, done))
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    bar.finish();
    seconds.submit = lap(clock);
    // The first account's group is always large enough to enter.
    let counted = receipts.iter().find(|(i, _)| *i == 0).context("the first provider is missing")?.1.clone();
    eprintln!("{} providers fetched, notarized, proved and hold three receipts each", receipts.len());

    let mut refusals = vec![
        providers.forged_value(forger).await?,
        providers.repeated_identity(&honest[0]).await?,
        providers.tampered_presentation(forger).await?,
        providers.session_again(&honest[1]).await?,
        providers.altered_session(forger, "tampered record of a session", tampered).await?,
        providers.altered_session(forger, "session stated by a notary of one's own", restated).await?,
        providers.too_early().await?,
    ];
    seconds.attacks = lap(clock);

    // People enter the statistics in groups, at a release point. Whose group is too small waits.
    let survey = &providers.deployment.survey;
    let now = providers.coordinator.release_now(survey.id()).await?;
    ensure!(now.made, "no release point was made");
    let patience = Duration::from_secs(30);
    let published = query::await_published(&providers.coordinator, survey, now.release, patience).await?;
    // That verified the signatures; the file's own check is what an outsider runs.
    published.verify(Some(survey.id()), None)?;
    let smallest = survey.manifest().survey.min_new as usize;
    let of = |fee: &str| honest.iter().filter(|a| a.maker_fee() == fee).collect::<Vec<_>>();
    let groups = ["15", "10"].map(of);
    let entered: Vec<&Account> = groups.iter().filter(|g| g.len() >= smallest).flatten().copied().collect();
    let scale = u32::from(survey.manifest().columns[0].places());
    let rows = compare(&entered, &published, scale)?;
    eprintln!(
        "release point {}: {} of {} providers entered in {} groups, {} wait",
        now.release,
        entered.len(),
        honest.len(),
        published.result.release.units,
        honest.len() - entered.len()
    );
    seconds.release = lap(clock);

    let request = |fee: &str, statistics: &[&str]| QueryRequest {
        statistics: statistics.iter().map(|s| (*s).to_owned()).collect(),
        filter: Filter::default().or("maker_fee", fee),
    };
    let asked = request("15", &["count", "sum", "mean", "stddev"]);
    let filtered = query::ask(&providers.coordinator, survey, &asked, QueryOptions::default()).await?;
    let filtered_rows = compare(&groups[0], &filtered, scale)?;
    eprintln!("asked about one group: {} providers whose maker fee is 15", filtered.result.submissions);
    refusals.push(providers.without_ticket(&stack.party(0), now.release).await?);
    if groups[1].len() < smallest {
        let small = request("10", &["sum"]);
        let answer = query::ask(&providers.coordinator, survey, &small, QueryOptions::default()).await;
        refusals.push(refusal("a question about too few", answer.map(|_| ()))?);
    }
    seconds.query = lap(clock);

    // One leaves who was never counted, and one who was.
    let waiting = providers.submit(&providers.notarize(latecomer, 1).await?).await?;
    refusals.push(providers.withdraw_another(&waiting).await?);
    let left = [providers.withdraw(&waiting).await?, providers.withdraw(&counted).await?];
    ensure!(
        left[0].receipts.iter().all(|r| r.entered.is_none()),
        "a waiting row is said to have been counted"
    );
    ensure!(left[1].receipts.iter().all(|r| r.entered.is_some()), "a counted row is said to have waited");
    for erased in &left {
        erased.to_text().lines().for_each(|line| eprintln!("left: {line}"));
    }
    // What was published stays as it is.
    let again = query::published(&providers.coordinator, survey, Some(now.release)).await?;
    ensure!(again == published, "a withdrawal changed what was published");
    seconds.withdraw = lap(clock);
    Ok(Outcome { accepted: receipts.len(), refusals, published, rows, filtered, filtered_rows, left })
}

fn accounts(exchange_dir: &Path) -> Result<Vec<Account>> {
    Ok(serde_json::from_slice(&std::fs::read(exchange_dir.join("accounts.json"))?)?)
}

fn compare(honest: &[&Account], result: &ResultFile, scale: u32) -> Result<Vec<Row>> {
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

    /// Takes part through the notary that forwards.
    async fn submit_session(&self, account: &Account) -> Result<Submitted, Error> {
        let Account { api_key, api_secret, .. } = account;
        self.forwarded.submit(&self.coordinator, &self.deployment, api_key, api_secret).await
    }

    /// Makes a second session as the same person.
    async fn session_again(&self, account: &Account) -> Result<Refusal> {
        refusal("repeated identity, by a second session", self.submit_session(account).await.map(|_| ()))
    }

    /// Shows a session that was altered.
    async fn altered_session(
        &self,
        account: &Account,
        attack: &'static str,
        alter: fn(&mut Evidence) -> Result<()>,
    ) -> Result<Refusal> {
        let (key, secret) = (&account.api_key, &account.api_secret);
        let session = self.forwarded.session(&self.coordinator, key, secret).await?;
        let mut evidence = Evidence::decode(&self.forwarded.evidence(&session)?.0)?;
        alter(&mut evidence)?;
        let public = self.forwarded.public(&evidence);
        refusal(attack, self.coordinator.admit(&public).await.map(|_| ()))
    }

    async fn submit(&self, n: &Notarized) -> Result<Submitted, Error> {
        let options = SubmitOptions::default();
        submit::submit(&self.coordinator, &self.deployment, &n.presentation, &n.secrets, options, &|_| {})
            .await
    }

    /// The receipt file that `tercet submit` would have written.
    fn receipt(&self, done: &Submitted) -> Result<ReceiptFile> {
        let key = done.withdrawal.as_ref().context("a submission without a withdrawal key")?;
        Ok(ReceiptFile::new(self.coordinator.url().as_str(), done, key, "receipt.json"))
    }

    async fn withdraw(&self, done: &Submitted) -> Result<Erased> {
        let file = self.receipt(done)?;
        let patience = Duration::from_secs(60);
        Ok(withdraw::withdraw(&self.coordinator, &self.deployment, &file, patience).await?)
    }

    /// Wishes to have another person's submission erased, with a key of one's own.
    async fn withdraw_another(&self, victim: &Submitted) -> Result<Refusal> {
        let file = self.receipt(victim)?;
        let file =
            ReceiptFile { withdrawal_key: WithdrawalKey::from_seed(Zeroizing::new(random()?)), ..file };
        let patience = Duration::from_secs(5);
        let outcome = withdraw::withdraw(&self.coordinator, &self.deployment, &file, patience).await;
        refusal("withdrawing another's submission", outcome.map(|_| ()))
    }

    /// Asks before anybody has entered.
    async fn too_early(&self) -> Result<Refusal> {
        let survey = &self.deployment.survey;
        let answer = query::query(&self.coordinator, survey, &[], QueryOptions::default()).await;
        refusal("a question before the first release point", answer.map(|_| ()))
    }

    /// Puts a question straight at a party, past the coordinator's limits, with a ticket of one's own making.
    async fn without_ticket(&self, party: &str, release: u64) -> Result<Refusal> {
        let survey = &self.deployment.survey;
        let question = Question::of(survey.manifest(), &["sum".to_owned()], Filter::default())?;
        let key = SigningKey::from_seed(&random()?)?;
        let expires = u64::MAX;
        let ticket = QueryTicket::issue(&key, survey.id(), release, question, expires, Nonce(random()?));
        let url = Url::parse(&format!("{party}/v1/queries/{}", ticket.query()))?;
        let body = serde_json::to_vec(&ticket)?;
        let request = Request::get("party 0", url).with_body(Method::PUT, body, JSON);
        let answer = self.coordinator.http().send(&request).await;
        refusal("a question without the coordinator's ticket", answer.map(|_| ()))
    }

    /// Shares and proves another value than the notary attested, with an otherwise perfect proof.
    async fn forged_value(&self, account: &Account) -> Result<Refusal> {
        let notarized = self.notarize(account, 0).await?;
        let survey = &self.deployment.survey;
        let (verified, admitted) =
            SurveyVerifier::new(survey)?.check(Kind::Presentation, &notarized.presentation)?;
        let mut witness = notarized.secrets.columns(&verified, &admitted)?.pop().context("no opening")?;
        witness.bytes[0] = if witness.bytes[0] == b'9' { b'1' } else { b'9' };
        let honest = verified.statement(&admitted, survey.manifest())?;
        let mut columns = honest.columns().to_vec();
        let commitment = HashAlg::Sha256.digest(&[&witness.bytes, &*witness.blinder]);
        columns[0].binding = Binding::Hash { alg: HashAlg::Sha256, commitment };
        let forged = Statement::new(columns, honest.outputs().to_vec())?;
        let mut public = PublicPart {
            survey: survey.id(),
            kind: Kind::Presentation,
            withdrawal_key: PublicKey([0; 32]),
            evidence: notarized.presentation.clone(),
            share_hashes: ShareHashes::default(),
        };
        let proven = tercet_mpc::prove(&forged, &[witness], &public.proof_context(), &random()?, &mut |_| {})
            .map_err(|e| anyhow!("the forger's own proof: {e}"))?;
        public.share_hashes = proven.public;
        let prepared = Prepared::from_parts(public, proven.private);
        let upload =
            submit::upload(&self.coordinator, &self.deployment, &prepared, SubmitOptions::default(), &|_| {});
        refusal("forged value", upload.await.map(|_| ()))
    }

    /// Notarizes a second time as the same person.
    async fn repeated_identity(&self, account: &Account) -> Result<Refusal> {
        let again = self.notarize(account, 1).await?;
        refusal("repeated identity", self.submit(&again).await.map(|_| ()))
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
            withdrawal_key: PublicKey([0; 32]),
            evidence: notarized.presentation,
            share_hashes: ShareHashes::default(),
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

fn report(options: &Demo, outcome: &Outcome, seconds: &Seconds) -> Result<()> {
    let all = || outcome.rows.iter().chain(&outcome.filtered_rows);
    let differs = all().filter(|r| r.released != r.oracle).count();
    let ok = differs == 0 && outcome.accepted == options.providers as usize && outcome.refusals.len() >= 6;
    println!("{:<20} {:>36} {:>36}", "statistic", "three parties, signed", "clear-text oracle");
    table(&outcome.rows);
    let released = &outcome.published.result;
    println!(
        "three signatures verified over release point {} and {} submissions in {} groups",
        released.release.number, released.submissions, released.release.units
    );
    println!("\nof those whose maker fee is 15, in one group of {}:", outcome.filtered.result.submissions);
    table(&outcome.filtered_rows);
    println!("\n{} attacks refused, {} people left", outcome.refusals.len(), outcome.left.len());
    if options.json {
        let of = |get: fn(&Row) -> &String, rows: &[Row]| -> serde_json::Map<String, serde_json::Value> {
            rows.iter().map(|r| (r.name.clone(), get(r).clone().into())).collect()
        };
        println!(
            "{}",
            json!({
                "statistics": of(|r| &r.released, &outcome.rows),
                "oracle": of(|r| &r.oracle, &outcome.rows),
                "release": released.release,
                "filter": {
                    "where": outcome.filtered.result.filter,
                    "submissions": outcome.filtered.result.submissions,
                    "statistics": of(|r| &r.released, &outcome.filtered_rows),
                    "oracle": of(|r| &r.oracle, &outcome.filtered_rows),
                },
                "accepted": outcome.accepted,
                "refused": outcome.refusals.len(),
                "refusals": outcome.refusals,
                "withdrawn": outcome.left,
                "signatures_verified": 3,
                "match": ok,
                "seconds": seconds,
            })
        );
    }
    if ok { Ok(()) } else { bail!("{differs} statistics differ from the oracle") }
}

fn table(rows: &[Row]) {
    for r in rows {
        let mark = if r.released == r.oracle { "" } else { "  DIFFERS" };
        println!("{:<20} {:>36} {:>36}{mark}", r.name, r.released, r.oracle);
    }
}
