//! The figures of speed and size that the project promises, measured; `cargo xtask bench` builds and runs this.
//!
//! Owns the measuring. Never asserts a time: it writes the figure beside the limit. It does fail if the measured
//! program gives a wrong answer.

mod ands;
mod fill;
mod proc;
mod prove;
mod providers;
mod query;
mod rebuild;
mod report;
mod session;
mod sort;
mod start;
mod statements;
mod submit;
mod system;
mod verify;
mod wires;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::Report;

/// The figure to measure, and the programs to measure it with.
#[derive(Parser)]
#[command(name = "tercet-bench", about = "Measures; started by `cargo xtask bench`")]
pub struct Cli {
    /// The figure to measure.
    #[arg(value_enum)]
    name: Name,
    /// One JSON object per line instead of tables.
    #[arg(long)]
    json: bool,
    /// Less of everything: minutes become seconds.
    #[arg(long)]
    quick: bool,
    /// Rows of a column, for figures over rows.
    #[arg(long, value_name = "N")]
    rows: Vec<usize>,
    /// Milliseconds that are added to every round trip between parties.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    rtt_ms: u64,
    /// Folder of the built programs.
    #[arg(long, value_name = "DIR")]
    programs: PathBuf,
    /// The built engine.
    #[arg(long, value_name = "FILE")]
    engine: PathBuf,
    /// The profile that all of it was built with, for the report.
    #[arg(long)]
    profile: String,
}

/// A benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The provider's proof.
    Prove,
    /// One party's check, in the sandbox and native.
    Verify,
    /// The whole path through three party processes.
    Submit,
    /// Statistics over stored rows.
    Query,
    /// AND gates with malicious security, in the sandbox and native.
    Ands,
    /// Order statistics of stored rows through three party processes.
    Sort,
    /// Quantiles of stored rows.
    Quantiles,
    /// Every statistic of stored rows.
    Statistics,
    /// The start of a party with a long log.
    Start,
    /// A lost bucket, taken from the two other parties.
    Rebuild,
    /// Recorded TLS 1.3 sessions: the provider's proof and one party's check.
    Session,
    /// All of them.
    All,
}

/// Measures, and tells.
type Bench = fn(&Cli) -> anyhow::Result<Report>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // TLS has one provider; the first to ask installs it.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let benches: [(Name, Bench); 11] = [
        (Name::Prove, prove::run),
        (Name::Verify, verify::run),
        (Name::Session, session::run),
        (Name::Submit, submit::run),
        (Name::Query, query::run),
        (Name::Start, start::run),
        (Name::Rebuild, rebuild::run),
        (Name::Ands, ands::run),
        (Name::Sort, sort::run),
        (Name::Quantiles, sort::quantiles),
        (Name::Statistics, sort::statistics),
    ];
    for (name, run) in benches {
        if cli.name != name && cli.name != Name::All {
            continue;
        }
        match run(&cli) {
            Ok(report) => report.print(&cli),
            Err(e) => {
                eprintln!("error: {e:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
