//! Statistics of stored rows' order: three party processes over TLS on loopback, sandboxed, malicious security.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use party_host::config::LimitsConfig;
use tercet_client::query::ResultFile;
use tercet_mpc::order::OrderRequest;
use tercet_mpc::statement::Output;
use tercet_protocol::result::StatisticValue;
use tercet_protocol::statistic::{self, Opened, Ordered, Scope};
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};
use tercet_stack::Stack;

use crate::fill::{Rows, fill, lane_value};
use crate::query::{ROWS, release};
use crate::report::{Limit, Report};
use crate::system::Http;
use crate::{Cli, ands, proc, system};

/// The question.
struct Workload {
    name: &'static str,
    what: &'static str,
    statistics: &'static [&'static str],
    /// Those of them that publish one person's value.
    exposes: &'static [&'static str],
    /// True if the project promises times for it.
    promised: bool,
}

/// The statistics that the ancestor of this system released, and the minimum.
const SORT: Workload = Workload {
    name: "sort",
    what: "count, sum, minimum, maximum, median and Gini",
    statistics: &["count", "sum", "min", "max", "median", "gini"],
    exposes: &["min", "max"],
    promised: true,
};

/// Many ranks of one sorted column.
const QUANTILES: Workload = Workload {
    name: "quantiles",
    what: "nine quantiles and the interquartile range",
    statistics: &[
        "quantile:0.01",
        "quantile:0.05",
        "quantile:0.1",
        "quantile:0.25",
        "quantile:0.5",
        "quantile:0.75",
        "quantile:0.9",
        "quantile:0.95",
        "quantile:0.99",
        "iqr",
    ],
    exposes: &[],
    promised: false,
};

/// Everything that can be asked of one column, but for histograms, which are proven as categories and not sorted.
const STATISTICS: Workload = Workload {
    name: "statistics",
    what: "every statistic",
    statistics: &[
        "count",
        "sum",
        "mean",
        "variance",
        "variance_population",
        "stddev",
        "stddev_population",
        "min",
        "max",
        "median",
        "quantile:0.9",
        "quantile_nearest:0.9",
        "iqr",
        "trimmed_mean:0.1",
        "mode",
        "gini",
        "lorenz:0.1,0.5,0.9",
        "top_share:0.01",
    ],
    exposes: &["min", "max", "mode"],
    promised: false,
};

/// Seconds that a release point and its statistics may take with this many rows and added milliseconds of round trip.
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

/// Measures the sort, and the reading of its result.
pub fn run(cli: &Cli) -> Result<Report> {
    workload(cli, &SORT)
}

/// Measures quantiles.
pub fn quantiles(cli: &Cli) -> Result<Report> {
    workload(cli, &QUANTILES)
}

/// Measures all statistics of a column at once.
pub fn statistics(cli: &Cli) -> Result<Report> {
    workload(cli, &STATISTICS)
}

/// Measures for each number of rows, and how cost grows from one to the next.
fn workload(cli: &Cli, workload: &Workload) -> Result<Report> {
    let sizes: &[usize] = match (&cli.rows[..], cli.quick) {
        ([], true) => &[1_000],
        ([], false) if workload.promised => &[1_000, 10_000, 100_000],
        ([], false) => &[10_000],
        (rows, _) => rows,
    };
    let mut report = Report::new(
        workload.name,
        format!(
            "a release point and {} of a column of 48 bits, from the wish for it to the last signature; three sandboxed parties \
             over TLS, {} ms of round trip added; equal to clear text",
            workload.what, cli.rtt_ms
        ),
    );
    let mut last: Option<(usize, Spent)> = None;
    for rows in sizes {
        let spent = measure(cli, *rows, workload, &mut report).with_context(|| format!("{rows} rows"))?;
        if let Some((before, less)) = last {
            let order = |n: usize| n as f64 * (n as f64).ln();
            let expected = order(*rows) / order(before);
            let name = |what| format!("{before}_to_{rows}.{what}");
            report.figure(name("time"), spent.seconds / less.seconds / expected, "of n log n");
            report.figure(name("gates"), spent.gates / less.gates / expected, "of n log n");
        }
        last = Some((*rows, spent));
    }
    Ok(report)
}

/// The costs of a query.
#[derive(Clone, Copy)]
struct Spent {
    seconds: f64,
    gates: f64,
}

/// The survey of the sample exchange, with other statistics.
fn survey(stack: &Stack, workload: &Workload) -> Result<PathBuf> {
    let sample = stack.layout().sample_survey()?;
    let mut manifest = SurveyManifest::from_toml(&std::fs::read_to_string(&sample)?)?;
    let texts = |names: &[&str]| names.iter().copied().map(String::from).collect();
    manifest.survey.statistics = texts(workload.statistics);
    manifest.survey.exposes = texts(workload.exposes);
    let path = sample.with_file_name("sorted.toml");
    std::fs::write(&path, toml::to_string(&manifest)?)?;
    Ok(path)
}

fn measure(cli: &Cli, rows: usize, workload: &Workload, report: &mut Report) -> Result<Spent> {
    let folder = tempfile::tempdir()?;
    let file = {
        let first = system::start(cli, folder.path(), 1)?;
        let file = survey(&first, workload)?;
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
    let what = Rows { all: rows, in_batch: ROWS, labels: 2 };
    let (_, values) = runtime.block_on(fill(&stack, &survey, what, &[0, 1, 2]))?;
    let expected = expected(survey.manifest(), &values)?;
    for i in 0..3 {
        give_memory(&stack.layout().party_config(i), rows)?;
    }
    for i in 0..3 {
        stack.restart(&format!("party-{i}"))?;
    }
    let promised = if workload.promised { limit(rows, cli.rtt_ms) } else { None };
    let spent = runtime.block_on(ask(&stack, &survey, rows, &expected, promised, report))?;
    for i in 0..3 {
        let name = format!("party-{i}");
        let pid = stack.pid(&name).with_context(|| format!("{name} does not run"))?;
        report.figure(format!("{rows}.{name}.peak_memory"), proc::peak_memory(pid)?, "MB");
    }
    stack.stop();
    if workload.promised {
        let [sandboxed, native] = ands::sort(cli, rows)?;
        report.figure(format!("{rows}.alone.sandbox.cpu"), sandboxed.cpu(), "s");
        report.figure(format!("{rows}.alone.native.cpu"), native.cpu(), "s");
    }
    Ok(spent)
}

/// Sets the bound on an engine's memory in a party's configuration as `docs/operators.md` says, where the default is too
/// small for the rows.
fn give_memory(config: &Path, rows: usize) -> Result<()> {
    let mib = 128 + rows.div_ceil(1000);
    let default = LimitsConfig::default().engine_memory_mib;
    if mib > default {
        let text = std::fs::read_to_string(config)?;
        let limits = "[limits]\n";
        ensure!(text.matches(limits).count() == 1, "a configuration without limits: {}", config.display());
        std::fs::write(config, text.replace(limits, &format!("{limits}engine_memory_mib = {mib}\n")))?;
    }
    Ok(())
}

/// The expected result, from the values in clear text.
fn expected(manifest: &SurveyManifest, values: &[u128]) -> Result<Vec<StatisticValue>> {
    let scale = manifest.columns.first().context("a survey without columns")?.scale;
    let rows = values.len() as u64;
    let statistics = manifest.statistics();
    let mut request = OrderRequest::default();
    statistics.iter().for_each(|s| request.merge(&s.measure.order(rows, scale)));
    let plain = values.iter().map(|v| i64::try_from(*v)).collect::<Result<Vec<_>, _>>()?;
    let lanes: Vec<_> = manifest.lanes();
    let mut sums = vec![0; lanes.len()];
    for (sum, lane) in sums.iter_mut().zip(&lanes) {
        ensure!(matches!(lane.output, Output::Value(0) | Output::Square(0)), "a survey of one column");
        for value in values {
            *sum += lane_value(lane, *value)?;
        }
    }
    let answer = request.answer(&plain);
    let orders = vec![Ordered { column: 0, values: rows, request, answer }];
    let opened = Opened { submissions: rows, lanes, sums, orders, ..Opened::default() };
    let opened = BTreeMap::from([(Scope::default(), opened)]);
    Ok(statistic::release(manifest, &statistics, &|_, _| None, &opened))
}

async fn ask(
    stack: &Stack,
    survey: &SurveyDescriptor,
    rows: usize,
    expected: &[StatisticValue],
    promised: Option<f64>,
    report: &mut Report,
) -> Result<Spent> {
    let http = Http::new();
    let before = counters(&http, stack).await?;
    let (seconds, listed) = release(stack, survey).await?;
    check(&listed, expected)?;
    let after = counters(&http, stack).await?;
    let each = |get: fn(&Counters) -> f64| get(&after) - get(&before);
    match promised {
        Some(limit) => report.limited(format!("{rows}.release"), seconds, "s", Limit::AtMost(limit)),
        None => report.figure(format!("{rows}.release"), seconds, "s"),
    }
    let rounds = each(|c| c.rounds);
    match (rows, promised) {
        (1_000, Some(_)) => {
            report.limited(format!("{rows}.rounds"), rounds, "exchanges", Limit::AtMost(100.0))
        }
        _ => report.figure(format!("{rows}.rounds"), rounds, "exchanges"),
    }
    let gates = each(|c| c.gates) / 1e6;
    report.figure(format!("{rows}.gates"), gates, "million");
    report.figure(format!("{rows}.sent"), each(|c| c.sent) / 1e6, "MB");
    Ok(Spent { seconds, gates })
}

/// The released values are those of the clear text; the signatures are verified already.
fn check(file: &ResultFile, expected: &[StatisticValue]) -> Result<()> {
    for (released, expected) in file.result.statistics.iter().zip(expected) {
        ensure!(released == expected, "expected {expected:?}, the parties released {released:?}");
    }
    ensure!(file.result.statistics.len() == expected.len(), "another number of statistics than asked");
    Ok(())
}

/// The counters of party 0.
struct Counters {
    sent: f64,
    rounds: f64,
    gates: f64,
}

async fn counters(http: &Http, stack: &Stack) -> Result<Counters> {
    let body = http.get(&stack.metrics(0)).await?;
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
