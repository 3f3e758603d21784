//! The whole path of submissions through three party processes: upload, presentation, policy, unsealing, proof,
//! stage, vote, durable commit, signed receipt.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join3;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use http::{Method, StatusCode};
use tercet_client::coordinator::Deployment;
use tercet_evidence::Kind;
use tercet_protocol::api::{SubmissionState, SubmissionStatus};
use tercet_protocol::submission::Receipt;
use tercet_stack::{Process, Stack};

use crate::providers::{Providers, Ready, evidence_cpu};
use crate::report::{Limit, Report, percentile};
use crate::system::{self, Http};
use crate::{Cli, proc};

/// Submissions under way at once in the sustained part: a few batches' worth.
const CONCURRENCY: usize = 192;
/// Number of times that an upload that is not decided yet is asked for again.
const ATTEMPTS: usize = 20;

/// Measures it with presentations.
pub fn run(cli: &Cli) -> Result<Report> {
    let (sustained, single) = if cli.quick { (300, 30) } else { (3000, 100) };
    run_with(cli, Kind::Presentation, sustained, single, None)
}

/// Measures it with sessions of about 2 KB, in which everything is shown or inert.
pub fn sessions(cli: &Cli) -> Result<Report> {
    let (sustained, single) = if cli.quick { (100, 10) } else { (800, 50) };
    let folder = tempfile::tempdir()?;
    let survey = folder.path().join("survey.toml");
    let root = folder.path().join("data/exchange/root.der");
    // The sample survey with the zero balances of other assets, by the notary that forwards alone.
    let sample = include_str!("../../../localstack/stack/src/survey.toml")
        .replace("omitZeroBalances = \"true\"", "omitZeroBalances = \"false\"")
        .replace("\"root.der\"", &format!("{:?}", root.display().to_string()));
    let mut notaries = sample.splitn(3, "[[notaries]]");
    let (before, after) = (notaries.next().unwrap_or_default(), notaries.nth(1).unwrap_or_default());
    std::fs::write(&survey, format!("{before}[[notaries]]{after}"))?;
    run_with(cli, Kind::Session, sustained, single, Some((folder.path().join("data"), survey)))
}

/// Measures it with evidence of one kind; in a folder and with a survey of its own, if they are given.
fn run_with(
    cli: &Cli,
    kind: Kind,
    sustained: usize,
    single: usize,
    own: Option<(PathBuf, PathBuf)>,
) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let accounts = (sustained + single) as u32;
    let mut stack = match own {
        None => system::start(cli, folder.path(), accounts)?,
        Some((data, survey)) => system::start_with(cli, &data, accounts, Some(survey), 0)?,
    };
    let s3 = system::durable_s3(cli, &mut stack)?;
    let report = system::runtime()?.block_on(measure(&stack, &s3, sustained, single, kind))?;
    stack.stop();
    s3.terminate();
    Ok(report)
}

/// A submission's three answers, as they came.
struct Answered {
    ready: Ready,
    answers: [bytes::Bytes; 3],
    milliseconds: f64,
    /// Answers that said "not decided yet".
    undecided: usize,
}

async fn measure(stack: &Stack, s3: &Process, sustained: usize, single: usize, kind: Kind) -> Result<Report> {
    let providers = Providers::of(stack).await?;
    let clock = Instant::now();
    let proven = providers.prove(sustained + single, kind).await?;
    let first = proven.first().context("nothing was proven")?;
    let evidence = evidence_cpu(&providers.deployment.survey, &first.public)?;
    let preparing = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    eprintln!("asking for {} tickets", proven.len());
    let mut ready = providers.admit(proven).await?;
    let admitting = clock.elapsed().as_secs_f64();
    let admitted = ready.len() as f64;
    let upload = ready.iter().flat_map(|r| r.bodies.iter().map(bytes::Bytes::len)).max().unwrap_or_default();
    let http = Http::new();
    let load = ready.split_off(single);

    eprintln!("{single} submissions one after the other");
    let mut alone = Vec::with_capacity(single);
    for r in ready {
        alone.push(submit(&http, stack, r).await?);
    }

    eprintln!("{sustained} submissions, {CONCURRENCY} at once");
    let batches_before = batches(&http, stack).await?;
    let cpu_before = system::cpu(stack, s3)?;
    let clock = Instant::now();
    let done: Vec<Answered> = stream::iter(load)
        .map(|r| submit(&http, stack, r))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let seconds = clock.elapsed().as_secs_f64();
    let cpu_after = system::cpu(stack, s3)?;
    let batches_after = batches(&http, stack).await?;

    for answered in alone.iter().chain(&done) {
        check(&providers.deployment, answered)?;
    }
    let state = until_level(&http, stack).await?;
    // Parties tell totals rounded down to the size of a group.
    let least = providers.deployment.survey.manifest().survey.min_new.max(1);
    if state.submissions != (sustained + single) as u64 / least * least {
        bail!("{} submissions have receipts, but {} are in the logs", sustained + single, state.submissions);
    }

    let times = |all: &[Answered]| all.iter().map(|a| a.milliseconds).collect::<Vec<_>>();
    let (idle, loaded) = (times(&alone), times(&done));
    let (what, least_rate) = match kind {
        Kind::Presentation => ("SHA-256 statements", 150.0),
        Kind::Session => ("sessions of about 2 KB", 80.0),
    };
    let mut report = Report::new(
        "submit",
        format!(
            "{sustained} submissions of {what}, {CONCURRENCY} at once, first upload to last receipt; {single} alone; \
             three parties, their S3 (with fsync) and the driver on one machine; tickets by the real coordinator beforehand"
        ),
    );
    let rate = sustained as f64 / seconds;
    report.limited("rate", rate, "per s", Limit::AtLeast(least_rate));
    report.figure("evidence_cpu", evidence, "ms");
    report.figure("seconds", seconds, "s");
    report.figure("idle.p50", percentile(&idle, 0.5), "ms");
    report.figure("idle.p99", percentile(&idle, 0.99), "ms");
    report.figure("loaded.p50", percentile(&loaded, 0.5), "ms");
    report.figure("loaded.p99", percentile(&loaded, 0.99), "ms");
    for i in 0..3 {
        let name = format!("party-{i}");
        let pid = stack.pid(&name).with_context(|| format!("{name} does not run"))?;
        report.limited(format!("{name}.peak_memory"), proc::peak_memory(pid)?, "MB", Limit::AtMost(400.0));
    }
    for ((name, user, system), (_, user_before, system_before)) in cpu_after.iter().zip(&cpu_before) {
        let (user, system) = (user - user_before, system - system_before);
        report.figure(format!("{name}.cpu"), user + system, "s");
        report.figure(format!("{name}.cpu_in_kernel"), system, "s");
        if name.starts_with("party") {
            report.figure(
                format!("{name}.cpu_per_submission"),
                (user + system) / sustained as f64 * 1e3,
                "ms",
            );
        }
    }
    let (count, busy) = (batches_after.0 - batches_before.0, batches_after.1 - batches_before.1);
    report.figure("batches", count, "batches");
    report.figure("batch.mean_size", sustained as f64 / count.max(1.0), "rows");
    report.figure("batch.mean_time", busy / count.max(1.0) * 1e3, "ms");
    report.figure("batch.share_of_time", busy / seconds, "of 1");
    report.figure("undecided_answers", done.iter().map(|a| a.undecided).sum::<usize>() as f64, "answers");
    report.figure("upload.largest", upload as f64, "bytes");
    report.figure("coordinator.admission_rate", admitted / admitting, "per s");
    report.figure("providers.prepared", admitted / preparing, "per s");
    Ok(report)
}

/// Uploads to the three parties at once and waits for the three receipts.
async fn submit(http: &Http, stack: &Stack, ready: Ready) -> Result<Answered> {
    let start = Instant::now();
    let put = |i: usize| {
        let url = format!("{}/v1/submissions/{}/share", stack.party(i), ready.id);
        let body = ready.bodies[i].clone();
        async move {
            for undecided in 0..ATTEMPTS {
                match http.send(Method::PUT, &url, body.clone()).await? {
                    (StatusCode::OK, answer) => return Ok((answer, undecided)),
                    (StatusCode::ACCEPTED, _) => {}
                    (status, answer) => bail!("party {i}: {status}: {}", String::from_utf8_lossy(&answer)),
                }
            }
            bail!("party {i} does not decide")
        }
    };
    let ((a, x), (b, y), (c, z)) = try_join3(put(0), put(1), put(2)).await?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    Ok(Answered { ready, answers: [a, b, c], milliseconds, undecided: x + y + z })
}

/// Three good receipts of one log entry.
fn check(deployment: &Deployment, answered: &Answered) -> Result<()> {
    let mut receipts: Vec<Receipt> = Vec::with_capacity(3);
    for answer in &answered.answers {
        let status: SubmissionStatus = serde_json::from_slice(answer)?;
        match status.state {
            SubmissionState::Accepted { receipts: own } => receipts.extend(own),
            other => bail!("no receipt: {other:?}"),
        }
    }
    Ok(deployment.verify_receipts(answered.ready.id, &receipts)?)
}

/// The last receipt of one party may come just before another party's commit.
async fn until_level(http: &Http, stack: &Stack) -> Result<tercet_protocol::api::PartySurveyStatus> {
    let mut last = http.heights(stack).await;
    for _ in 0..50 {
        if last.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = http.heights(stack).await;
    }
    last
}

/// Batches so far at party 0, and the seconds that they took.
async fn batches(http: &Http, stack: &Stack) -> Result<(f64, f64)> {
    let text = http.get(&stack.metrics(0)).await?;
    let text = String::from_utf8_lossy(&text);
    let value = |name: &str| {
        text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap_or_default()
    };
    Ok((value("tercet_batch_seconds_count"), value("tercet_batch_seconds_sum")))
}
