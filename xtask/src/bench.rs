//! `cargo xtask bench`: builds the measured programs, and starts the measuring.

use clap::ValueEnum;

use anyhow::Result;

use crate::command::{cargo, program, programs, run as run_command};
use crate::engine;
use crate::launch::SYSTEM;

/// The figure to measure.
#[derive(clap::Args)]
pub struct Options {
    /// The figure to measure.
    #[arg(value_enum)]
    name: Name,
    /// One JSON object per line instead of tables.
    #[arg(long)]
    json: bool,
    /// Less of everything: minutes become seconds.
    #[arg(long)]
    quick: bool,
    /// Rows of a column, for what is measured over rows; may be given several times.
    #[arg(long, value_name = "N")]
    rows: Vec<usize>,
    /// Milliseconds to add to every round trip between parties, where whole parties are measured.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    rtt_ms: u64,
    /// Cargo profile; figures of any other than `release` say little.
    #[arg(long, hide = true, default_value = "release")]
    profile: String,
}

/// A benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The provider's proof: time, gates, upload.
    Prove,
    /// One party's check of a batch: CPU in the sandbox and native, traffic.
    Verify,
    /// The whole path through three party processes: rate, latency, memory, CPU of each process.
    Submit,
    /// Statistics over 100,000 stored rows.
    Query,
    /// AND gates with malicious security, in the sandbox and native.
    Ands,
    /// Order statistics of stored rows through three party processes.
    Sort,
    /// Quantiles of stored rows through three party processes.
    Quantiles,
    /// Every statistic of stored rows at once, through three party processes.
    Statistics,
    /// The start of a party with 200,000 log entries and 1,000,000 rows, on a store beside it and on one far away.
    Start,
    /// A lost bucket of 100,000 rows, taken from the two other parties.
    Rebuild,
    /// Recorded TLS 1.3 sessions: proof, upload, memory, a party's check in the sandbox and native.
    Session,
    /// All of them.
    All,
}

/// Builds and runs.
pub fn run(options: &Options) -> Result<()> {
    eprintln!(
        "building the engine and the programs with profile {} (the first time takes many minutes)",
        options.profile
    );
    let engine = engine::build()?.path;
    let mut build = cargo();
    build.args(["build", "--bins", "--profile", &options.profile, "-p", "tercet-bench"]);
    // Always all of them: another selection would unify other features, and build libraries twice.
    build.args(SYSTEM);
    run_command(&mut build)?;
    let programs = programs(&options.profile);
    let name = options.name.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
    let mut bench = program(programs.join("tercet-bench"));
    bench
        .arg(name)
        .arg("--programs")
        .arg(&programs)
        .arg("--engine")
        .arg(engine)
        .args(["--profile", &options.profile]);
    bench.args(["--rtt-ms", &options.rtt_ms.to_string()]);
    for rows in &options.rows {
        bench.args(["--rows", &rows.to_string()]);
    }
    if options.json {
        bench.arg("--json");
    }
    if options.quick {
        bench.arg("--quick");
    }
    run_command(&mut bench)
}
