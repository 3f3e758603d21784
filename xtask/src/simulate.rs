//! The simulation of three parties over many seeds.

use anyhow::{Context as _, Result};
use clap::Args;

use crate::command::{cargo, run};

/// The size of a simulation.
#[derive(Args)]
pub struct Options {
    /// Runs, of 200 operations each.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
}

/// Runs it; a violation names its seed.
pub fn simulate(options: &Options) -> Result<()> {
    let seeds = options.seeds.to_string();
    let args = ["run", "--release", "-p", "tercet-agreement", "--example", "simulate", "--", &seeds];
    run(cargo().args(args)).context("a seed above violates an invariant: keep it as a test")
}
