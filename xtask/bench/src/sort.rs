//! Order statistics over stored rows: three party processes over TLS on loopback, sandboxed, malicious security.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tercet_client::coordinator::Coordinator;
use tercet_client::http::HttpOptions;
use tercet_client::query::{QueryOptions, ResultFile, query};
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};
use tercet_stack::Stack;

use crate::query::{TOGETHER, decimal, fill};
use crate::report::{Limit, Report, spread};
use crate::system::Http;
use crate::{Cli, proc, system};

/// What the ancestor of this system released, and the minimum.
const STATISTICS: [&str; 6] = ["count", "sum", "min", "max", "median", "gini"];
/// Queries after the first, of which the middle one counts.
const WARM: usize = 3;

/// Seconds that a query may take with so many rows and added milliseconds of round trip.
fn limit(rows: usize, rtt_ms: u64) -> Option<f64> {
    match (rows, rtt_ms) {
        (1_000, 0) => Some(0.1),
        (10_000, 0) => Some(0.5),
        (100_000, 0) => Some(6.0),
        (1_000_000, 0) => Some(75.0),
        (1_000, 40) => Some(1.5),
        (10_000, 40) => Some(4.0),
        _ => None,
    }
}

/// Measures it for each number of rows.
pub fn run(cli: &Cli) -> Result<Report> {
    let sizes: &[usize] = match (&cli.rows[..], cli.quick) {
        ([], true) => &[1_000],
        ([], false) => &[1_000, 10_000, 100_000],
        (rows, _) => rows,
    };
    let mut report = Report::new(
        "sort",
        format!(
            "count, sum, minimum, maximum, median and Gini of a column of 48 bits, asked at the coordinator; three \
             sandboxed parties over TLS, {} ms of round trip added; equal to clear text",
            cli.rtt_ms
        ),
    );
    for rows in sizes {
        measure(cli, *rows, &mut report).with_context(|| format!("{rows} rows"))?;
    }
    Ok(report)
}

/// The survey of the sample exchange, with other statistics.
fn survey(stack: &Stack) -> Result<PathBuf> {
    let sample = stack.layout().sample_survey()?;
    let mut manifest = SurveyManifest::from_toml(&std::fs::read_to_string(&sample)?)?;
    manifest.survey.statistics = STATISTICS.map(String::from).to_vec();
    let path = sample.with_file_name("sorted.toml");
    std::fs::write(&path, toml::to_string(&manifest)?)?;
    Ok(path)
}

fn measure(cli: &Cli, rows: usize, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = {
        let first = system::start(cli, folder.path(), 1)?;
        let file = survey(&first)?;
        first.stop();
        file
    };
    let mut stack = system::start_with(cli, folder.path(), 1, Some(file), cli.rtt_ms)?;
    for i in 0..3 {
        stack.kill(&format!("party-{i}"))?;
    }
    let runtime = system::runtime()?;
    eprintln!("filling three stores with {rows} rows");
    let survey = stack.descriptor()?;
    let (_, mut values) = runtime.block_on(fill(&stack, &survey, rows))?;
    values.sort_unstable();
    for i in 0..3 {
        stack.restart(&format!("party-{i}"))?;
    }
    runtime.block_on(ask(cli, &stack, &survey, &values, report))?;
    for i in 0..3 {
        let name = format!("party-{i}");
        let pid = stack.pid(&name).with_context(|| format!("{name} does not run"))?;
        report.figure(format!("{rows}.{name}.peak_memory"), proc::peak_memory(pid)?, "MB");
    }
    stack.stop();
    Ok(())
}

async fn ask(
    cli: &Cli,
    stack: &Stack,
    survey: &SurveyDescriptor,
    sorted: &[u128],
    report: &mut Report,
) -> Result<()> {
    let rows = sorted.len();
    let scale = u32::from(survey.manifest().columns.first().context("a survey without columns")?.scale);
    let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default())?;
    let options = QueryOptions { poll: Duration::from_millis(10), timeout: Duration::from_secs(600) };
    let names = STATISTICS.map(String::from);
    let started = Instant::now();
    let cold = loop {
        let clock = Instant::now();
        match query(&coordinator, survey, &names, options).await {
            Ok(result) => {
                check(&result, sorted, scale)?;
                break clock.elapsed().as_secs_f64();
            }
            Err(e) if started.elapsed() > TOGETHER => return Err(e.into()),
            Err(e) => {
                eprintln!("not yet: {e}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    };
    let http = Http::new();
    let before = counters(&http, stack).await?;
    let mut warm = Vec::with_capacity(WARM);
    for _ in 0..WARM {
        let clock = Instant::now();
        let result = query(&coordinator, survey, &names, options).await?;
        warm.push(clock.elapsed().as_secs_f64());
        check(&result, sorted, scale)?;
    }
    let after = counters(&http, stack).await?;
    let each = |get: fn(&Counters) -> f64| (get(&after) - get(&before)) / WARM as f64;
    report.figure(format!("{rows}.cold"), cold, "s");
    let (min, median, _) = spread(&warm);
    match limit(rows, cli.rtt_ms) {
        Some(limit) => report.limited(format!("{rows}.warm.median"), median, "s", Limit::AtMost(limit)),
        None => report.figure(format!("{rows}.warm.median"), median, "s"),
    }
    report.figure(format!("{rows}.warm.min"), min, "s");
    let rounds = each(|c| c.rounds);
    match (rows, cli.rtt_ms) {
        (1_000, 0) => report.limited(format!("{rows}.rounds"), rounds, "exchanges", Limit::AtMost(100.0)),
        _ => report.figure(format!("{rows}.rounds"), rounds, "exchanges"),
    }
    report.figure(format!("{rows}.gates"), each(|c| c.gates) / 1e6, "million");
    report.figure(format!("{rows}.sent"), each(|c| c.sent) / 1e6, "MB");
    Ok(())
}

/// The released values are those of the clear text; the signatures are verified already.
fn check(file: &ResultFile, sorted: &[u128], scale: u32) -> Result<()> {
    let n = sorted.len();
    let same = |name: &str, expected: &str| {
        let released =
            file.result.statistics.iter().find(|s| s.statistic == name).and_then(|s| s.value.as_deref());
        ensure!(released == Some(expected), "{name} is {expected}, the parties released {released:?}");
        Ok(())
    };
    same("count", &n.to_string())?;
    same("sum", &decimal(sorted.iter().sum(), scale))?;
    same("min", &decimal(sorted[0], scale))?;
    same("max", &decimal(sorted[n - 1], scale))?;
    // Twice the median is an integer, of which the last digit may be a half.
    same("median", &decimal((sorted[(n - 1) / 2] + sorted[n / 2]) * 5, scale + 1))
}

/// What party 0 has counted.
struct Counters {
    sent: f64,
    rounds: f64,
    gates: f64,
}

async fn counters(http: &Http, stack: &Stack) -> Result<Counters> {
    let body = http.get(&format!("{}/metrics", stack.party(0))).await?;
    let text = String::from_utf8_lossy(&body);
    let sum = |name: &str| -> f64 {
        text.lines()
            .filter(|l| l.split(['{', ' ']).next() == Some(name))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    Ok(Counters {
        sent: sum("tercet_peer_sent_bytes_total"),
        rounds: sum("tercet_engine_rounds_total"),
        gates: sum("tercet_engine_gates_total"),
    })
}
