//! `cargo xtask`: the one way in. `cargo xtask --help` lists what there is.
//!
//! Owns the command line, the building, and the checks that run other programs. Never depends on another crate of the
//! workspace, and on few others, so that it is built in seconds: commands that need the workspace's crates are in the
//! launcher, which this crate builds and then becomes.

#[cfg(test)]
mod architecture;
mod bench;
mod book;
mod check;
pub mod command;
mod deny;
pub mod deploy;
#[cfg(test)]
mod documents;
mod emulated;
pub mod engine;
mod fuzz;
mod launch;
pub mod launched;
mod model_check;
mod mutants;
pub mod python;
mod report;
pub mod reproducible;
mod sbom;
mod simulate;
pub mod terraform;
#[cfg(test)]
mod tidy;
mod workflows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use launched::Launched;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Builds, runs, tests and measures Tercet",
    version
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    #[command(flatten)]
    Launched(Launched),
    /// Runs every test: formatting, lints, the engine's build, all crates, fuzz targets.
    Test(check::Options),
    /// Measures speed and size, beside the limits that the project sets itself.
    Bench(bench::Options),
    /// Searches all states of the parties' agreement, with one of them corrupted.
    ModelCheck(model_check::Options),
    /// Simulates three parties with random failures, one of them corrupted.
    Simulate(simulate::Options),
    /// Alters the program in many ways and sees whether the tests notice.
    Mutants(mutants::Options),
    /// Searches for inputs that break a decoder.
    Fuzz(fuzz::Options),
    /// Writes the party host's software bill of materials (CycloneDX).
    Sbom(sbom::Options),
    /// Builds the sandboxed engine and prints its digest and path.
    Engine,
}

/// Parses the command line and carries it out.
pub fn main() -> ExitCode {
    ended(match Cli::parse().task {
        Task::Launched(task) => launch::launch(&task),
        Task::Test(options) => check::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::ModelCheck(options) => model_check::check(&options),
        Task::Simulate(options) => simulate::simulate(&options),
        Task::Mutants(options) => mutants::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Sbom(options) => sbom::run_task(&options),
        Task::Engine => engine::build().map(|e| println!("{} {}", e.digest, e.path.display())),
    })
}

/// The exit code of a command's result; an error is printed.
pub fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
