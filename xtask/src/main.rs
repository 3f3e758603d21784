//! `cargo xtask`: the one way in. `cargo xtask --help` lists what there is.

#[cfg(test)]
mod architecture;
mod bench;
mod book;
mod check;
mod command;
mod container;
mod demo;
mod deny;
#[cfg(test)]
mod documents;
mod drill;
mod emulated;
mod engine;
mod forwarded;
mod fuzz;
mod localstack;
mod model_check;
mod mutants;
mod oracle;
mod package;
mod python;
mod reproducible;
mod sbom;
mod simulate;
mod terraform;
mod up;
mod workflows;

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
    /// Runs the whole system once, with honest and dishonest providers, and checks what comes out.
    Demo(demo::Options),
    /// Starts the whole system and leaves it running until Ctrl-C.
    Up(up::Options),
    /// Runs every test: formatting, lints, the engine's build, all crates, fuzz targets.
    Test(check::Options),
    /// Measures speed and size, beside the limits that the project sets itself.
    Bench(bench::Options),
    /// Rehearses a lost bucket, an old one, or parties that are killed, on a local system.
    Drill(drill::Options),
    /// Searches all states of the parties' agreement, with one of them corrupted.
    ModelCheck(model_check::Options),
    /// Simulates three parties with random failures, one of them corrupted.
    Simulate(simulate::Options),
    /// Alters the program in many ways and sees whether the tests notice.
    Mutants(mutants::Options),
    /// Searches for inputs that break a decoder.
    Fuzz(fuzz::Options),
    /// Packs the coordinator for Lambda, reproducibly.
    Package(package::Options),
    /// Makes the party host's container image, reproducibly and without a container engine.
    Container(container::Options),
    /// Writes the party host's software bill of materials (CycloneDX).
    Sbom(sbom::Options),
    /// Runs the cloud on this machine: LocalStack without Docker.
    #[command(subcommand)]
    Localstack(localstack::Task),
    /// Builds the sandboxed engine and prints its digest and path.
    Engine,
}

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().task {
        Task::Demo(options) => demo::run(&options),
        Task::Up(options) => up::run(&options),
        Task::Test(options) => check::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Drill(options) => drill::run(&options),
        Task::ModelCheck(options) => model_check::check(&options),
        Task::Simulate(options) => simulate::simulate(&options),
        Task::Mutants(options) => mutants::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Package(options) => package::run_task(&options),
        Task::Container(options) => container::run_task(&options),
        Task::Sbom(options) => sbom::run_task(&options),
        Task::Localstack(task) => localstack::run(&task),
        Task::Engine => engine::build().map(|e| println!("{} {}", e.digest, e.path.display())),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
