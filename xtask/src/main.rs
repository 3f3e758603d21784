//! `cargo xtask`: the one way in. `cargo xtask --help` lists what there is.

mod check;
mod command;
mod engine;

use clap::{Parser, Subcommand};

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
    /// Builds the sandboxed engine and prints its path and digest.
    Engine,
    /// Runs every test: formatting, lints, the engine's build, all crates, fuzz targets.
    Test(check::Options),
}

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().task {
        Task::Engine => engine::build().map(|e| println!("{} {}", e.digest, e.path.display())),
        Task::Test(options) => check::run(&options),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
