//! The start of a party with a long log: when it answers, and when it is ready; with and without checkpoints, on a store beside
//! it and on one that is far away.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use tercet_stack::Stack;

use crate::fill::{Rows, fill, store};
use crate::report::{Limit, Report};
use crate::system::Http;
use crate::{Cli, proc, system};

/// The party that is started. The others do not run.
const PARTY: &str = "party-0";
/// Time of a request to a far store: a read and the opening of its key, in the cloud.
const FAR_MS: u64 = 35;
/// Entries above the last checkpoint, at most.
const TAIL: u64 = 1024;

/// Measures it.
pub fn run(cli: &Cli) -> Result<Report> {
    let (entries, in_batch) = if cli.quick { (10_000, 5) } else { (200_000, 5) };
    let rows = entries * in_batch;
    let folder = tempfile::tempdir()?;
    let mut stack = system::start(cli, folder.path(), 1)?;
    for i in 0..3 {
        stack.terminate(&format!("party-{i}"))?;
    }
    let runtime = system::runtime()?;
    eprintln!("filling a store with {entries} entries of {in_batch} rows");
    let clock = Instant::now();
    let survey = stack.descriptor()?;
    let what = Rows { all: rows, in_batch, labels: 2 };
    let (written, _) = runtime.block_on(fill(&stack, &survey, what, &[0]))?;
    ensure!(written == entries, "{written} entries were written");
    let filling = clock.elapsed().as_secs_f64();
    let mut report = Report::new(
        "start",
        format!(
            "one party process with {entries} log entries and {rows} rows, from its start to /healthz and /readyz; its S3 server \
             on the same machine, and with {FAR_MS} ms added to every request"
        ),
    );
    let first = started(&runtime, &mut stack)?;
    report.figure("without_checkpoints.ready", first.ready, "s");
    report.figure("without_checkpoints.peak_memory", first.memory, "MB");
    eprintln!("waiting for checkpoints");
    runtime.block_on(async {
        let (store, _) = store(&stack, 0).await?;
        let clock = Instant::now();
        loop {
            let held = store.checkpoints(survey.id()).await?.last().map_or(0, |span| span.last);
            if held + TAIL > entries as u64 {
                return Ok(());
            }
            ensure!(clock.elapsed() < Duration::from_secs(120), "checkpoints end at height {held}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })?;
    stack.terminate(PARTY)?;
    let near = started(&runtime, &mut stack)?;
    stack.terminate(PARTY)?;
    report.limited("healthz", near.healthz, "s", Limit::AtMost(1.0));
    report.limited("ready", near.ready, "s", Limit::AtMost(10.0));
    report.figure("peak_memory", near.memory, "MB");

    let config = stack.layout().party_config(0);
    let text = std::fs::read_to_string(&config)?;
    ensure!(text.contains("[store]\n"), "a configuration without a store: {}", config.display());
    std::fs::write(&config, text.replace("[store]\n", &format!("[store]\nadded_ms = {FAR_MS}\n")))?;
    let far = started(&runtime, &mut stack)?;
    report.limited("far.healthz", far.healthz, "s", Limit::AtMost(1.0));
    report.limited("far.ready", far.ready, "s", Limit::AtMost(20.0));
    report.figure("filling", filling, "s");
    stack.stop();
    Ok(report)
}

/// Seconds from a process's start, and its memory in MB.
struct Start {
    healthz: f64,
    ready: f64,
    memory: f64,
}

fn started(runtime: &tokio::runtime::Runtime, stack: &mut Stack) -> Result<Start> {
    let party = stack.party(0);
    let clock = Instant::now();
    // Watched beside the start, which returns when the party is ready.
    let watching = runtime.spawn(watch(party, clock));
    stack.restart(PARTY)?;
    let (healthz, ready) = runtime.block_on(watching)??;
    let pid = stack.pid(PARTY).context("the party does not run")?;
    Ok(Start { healthz, ready, memory: proc::peak_memory(pid)? })
}

async fn watch(party: String, clock: Instant) -> Result<(f64, f64)> {
    let http = Http::new();
    let ok = async |path: &str| {
        let answer = http.send(Method::GET, &format!("{party}{path}"), Bytes::new()).await;
        answer.is_ok_and(|(status, _)| status == StatusCode::OK)
    };
    let mut times = [0.0; 2];
    for (time, path) in times.iter_mut().zip(["/healthz", "/readyz"]) {
        while !ok(path).await {
            ensure!(clock.elapsed() < Duration::from_secs(600), "{path} is not answered");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        *time = clock.elapsed().as_secs_f64();
    }
    let [healthz, ready] = times;
    Ok((healthz, ready))
}
