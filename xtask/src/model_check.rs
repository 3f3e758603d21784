//! The exhaustive search over the parties' agreement, in its long form.

use anyhow::{Context as _, Result};
use clap::Args;

use crate::command::{cargo, run};

/// The search to run.
#[derive(Args)]
pub struct Options {
    /// Sessions that each of the two honest parties starts, from 1 to 4. Four take some minutes and 2 GB of memory.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    sessions: u8,
}

/// Runs it, and prints states, seconds, and the trace of the failure that each rule prevents.
pub fn check(options: &Options) -> Result<()> {
    let sessions = options.sessions.to_string();
    let args = [
        "run",
        "--release",
        "-p",
        "tercet-agreement",
        "--features",
        "wrong-rules",
        "--example",
        "model-check",
    ];
    run(cargo().args(args).args(["--", &sessions]))
        .context("the search found what it must not find, or missed it")
}
