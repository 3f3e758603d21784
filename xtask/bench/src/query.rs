//! Sums over many rows in many units: a release point, and questions after it, with parties that were just started and again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use tercet_client::coordinator::Coordinator;
use tercet_client::http::HttpOptions;
use tercet_client::query::{QueryOptions, ResultFile, await_published, query};
use tercet_protocol::api::ReleaseNow;
use tercet_protocol::survey::{FieldSection, SurveyDescriptor, SurveyManifest};
use tercet_stack::Stack;

use crate::fill::{Rows, decimal, fill};
use crate::report::{Limit, Report, spread};
use crate::system::Http;
use crate::{Cli, proc, system};

/// Rows of a batch, as parties commit them under load (their default bound).
pub const ROWS: usize = 128;
/// Rows of a unit here.
const UNIT: usize = 20;
/// Questions after the first, all different: an answered question is not computed again.
const WARM: [&[&str]; 5] =
    [&["mean"], &["variance"], &["count", "mean"], &["sum", "stddev"], &["count", "sum", "mean"]];
/// Times that an answered question is asked again.
const STORED: usize = 50;
/// Longest wait for the parties to find each other after their start.
pub const TOGETHER: Duration = Duration::from_secs(60);

/// Measures it.
pub fn run(cli: &Cli) -> Result<Report> {
    let rows = if cli.quick { 10_000 } else { 100_000 };
    let folder = tempfile::tempdir()?;
    let file = {
        let first = system::start(cli, folder.path(), 1)?;
        let file = survey(&first)?;
        first.stop();
        file
    };
    let mut stack = system::start_with(cli, folder.path(), 1, Some(file), 0)?;
    for i in 0..3 {
        stack.terminate(&format!("party-{i}"))?;
    }
    let runtime = system::runtime()?;
    eprintln!("filling three stores with {rows} rows");
    let clock = Instant::now();
    let survey = stack.descriptor()?;
    let what = Rows { all: rows, in_batch: ROWS, labels: rows / UNIT };
    let (batches, values) = runtime.block_on(fill(&stack, &survey, what, &[0, 1, 2]))?;
    let scale = survey.manifest().columns.first().context("a survey without columns")?.places();
    let sum = decimal(values.iter().sum(), u32::from(scale));
    let filling = clock.elapsed().as_secs_f64();

    for i in 0..3 {
        stack.restart(&format!("party-{i}"))?;
    }
    let (release, listed) = runtime.block_on(release(&stack, &survey))?;
    check(&listed, rows, &sum)?;
    for i in 0..3 {
        stack.terminate(&format!("party-{i}"))?;
    }
    let clock = Instant::now();
    for i in 0..3 {
        stack.restart(&format!("party-{i}"))?;
    }
    let starting = clock.elapsed().as_secs_f64() / 3.0;
    let Spent { cold, of_party, warm, stored } = runtime.block_on(measure(&stack, &survey, rows, &sum))?;
    let mut report = Report::new(
        "query",
        format!(
            "sums over {rows} rows in {} units of {UNIT}, from {batches} batches, asked at the coordinator, three signatures \
             verified, count and sum equal to clear text; cold: the first question after the parties' start",
            rows / UNIT
        ),
    );
    report.limited("cold.party", of_party, "s", Limit::AtMost(0.05));
    report.limited("cold", cold, "s", Limit::AtMost(1.0));
    let (min, median, max) = spread(&warm);
    report.limited("warm.median", median, "s", Limit::AtMost(1.0));
    report.figure("warm.min", min, "s");
    report.figure("warm.max", max, "s");
    report.limited("stored.median", spread(&stored).1, "s", Limit::AtMost(0.005));
    report.figure("release", release, "s");
    report.figure("party.start", starting, "s");
    for i in 0..3 {
        let name = format!("party-{i}");
        let pid = stack.pid(&name).with_context(|| format!("{name} does not run"))?;
        report.figure(format!("{name}.peak_memory"), proc::peak_memory(pid)?, "MB");
    }
    report.figure("filling", filling, "s");
    stack.stop();
    Ok(report)
}

/// The survey of the sample exchange with two fields of 100 and of 50 values: 5,000 labels.
fn survey(stack: &Stack) -> Result<PathBuf> {
    let sample = stack.layout().sample_survey()?;
    let mut manifest = SurveyManifest::from_toml(&std::fs::read_to_string(&sample)?)?;
    let field = |name: &str, values: usize| FieldSection {
        name: name.into(),
        prefix: Some(format!("\"{name}\":\"")),
        suffix: Some("\"".into()),
        values: (0..values).map(|i| format!("{name}{i}")).collect(),
        ..FieldSection::default()
    };
    manifest.fields = vec![field("region", 100), field("kind", 50)];
    let path = sample.with_file_name("labelled.toml");
    std::fs::write(&path, toml::to_string(&manifest)?)?;
    Ok(path)
}

/// Makes a release point at party 0, and waits for its listed statistics; the seconds that party 0 took for both.
pub async fn release(stack: &Stack, survey: &SurveyDescriptor) -> Result<(f64, ResultFile)> {
    let http = Http::new();
    let url = format!("{}/v1/surveys/{}/releases", stack.party(0), survey.id());
    let started = Instant::now();
    let (seconds, now) = loop {
        let clock = Instant::now();
        let (status, body) = http.send(Method::POST, &url, Bytes::new()).await?;
        if status.is_success() {
            break (clock.elapsed().as_secs_f64(), serde_json::from_slice::<ReleaseNow>(&body)?);
        }
        // The parties' links come up in the seconds after their start.
        let text = String::from_utf8_lossy(&body);
        ensure!(started.elapsed() < TOGETHER, "no release point: {status}: {text}");
        eprintln!("not yet: {text}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    ensure!(now.release == 1, "a release point of these rows, not {}", now.release);
    let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default())?;
    let listed = await_published(&coordinator, survey, now.release, TOGETHER).await?;
    Ok((seconds, listed))
}

/// Asks.
async fn measure(stack: &Stack, survey: &SurveyDescriptor, rows: usize, sum: &str) -> Result<Spent> {
    let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default())?;
    let options = QueryOptions { poll: Duration::from_millis(10), ..QueryOptions::default() };
    let ask = async |names: &[&str]| {
        let names: Vec<String> = names.iter().copied().map(String::from).collect();
        let clock = Instant::now();
        let result = query(&coordinator, survey, &names, options).await?;
        Ok::<_, tercet_client::Error>((clock.elapsed().as_secs_f64(), result))
    };
    let http = Http::new();
    let started = Instant::now();
    // The first question that the parties can hold together.
    let (cold, of_party) = loop {
        let before = at_party(&http, stack).await?;
        match ask(&["count", "sum"]).await {
            Ok((seconds, result)) => {
                check(&result, rows, sum)?;
                break (seconds, at_party(&http, stack).await? - before);
            }
            Err(e) if started.elapsed() > TOGETHER => return Err(e.into()),
            Err(e) => {
                eprintln!("not yet: {e}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    };
    let mut warm = Vec::with_capacity(WARM.len());
    for names in WARM {
        warm.push(ask(names).await?.0);
    }
    // A question that was answered before: nothing is computed, and no party hears of it.
    let url = format!("{}/v1/surveys/{}/queries", stack.coordinator(), survey.id());
    let body = Bytes::from_static(b"{\"statistics\":[\"count\",\"sum\"]}");
    let mut stored = Vec::with_capacity(STORED);
    for _ in 0..STORED {
        let clock = Instant::now();
        let (status, answer) = http.post_json(&url, body.clone()).await?;
        stored.push(clock.elapsed().as_secs_f64());
        ensure!(
            status == StatusCode::OK && String::from_utf8_lossy(&answer).contains(sum),
            "a question that was answered before is answered {status}"
        );
    }
    Ok(Spent { cold, of_party, warm, stored })
}

/// Seconds that questions took.
struct Spent {
    /// The first one, at the coordinator.
    cold: f64,
    /// The part of party 0.
    of_party: f64,
    /// Further ones.
    warm: Vec<f64>,
    /// The first one again.
    stored: Vec<f64>,
}

/// The seconds that party 0 has spent on requests about queries so far.
async fn at_party(http: &Http, stack: &Stack) -> Result<f64> {
    let body = http.get(&stack.metrics(0)).await?;
    let text = String::from_utf8_lossy(&body);
    let of_queries = |l: &&str| {
        l.starts_with("tercet_http_request_seconds_sum{") && l.contains("route=\"/v1/queries/{id}\"")
    };
    Ok(text.lines().filter(of_queries).filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// The released count and sum are the true ones; the signatures are verified already.
fn check(file: &ResultFile, rows: usize, sum: &str) -> Result<()> {
    let of = |name: &str| {
        file.result.statistics.iter().find(|s| s.statistic == name).and_then(|s| s.value.clone())
    };
    let (count, released) = (of("count"), of("sum"));
    ensure!(
        count.as_deref() == Some(&rows.to_string()),
        "{rows} rows are stored, the parties counted {count:?}"
    );
    ensure!(released.as_deref() == Some(sum), "the sum is {sum}, the parties released {released:?}");
    Ok(())
}
