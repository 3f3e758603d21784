//! The launcher: it starts the whole system on this machine and uses it, for the commands of `cargo xtask` that need the
//! workspace's crates.
//!
//! Owns the demonstration with its clear-text oracle, the drills, the packages and the trials of both. `cargo xtask` builds
//! it together with the programs that it starts, and hands its own command line over.

mod container;
mod demo;
mod drill;
mod forwarded;
mod localstack;
mod oracle;
mod package;
mod up;

use std::process::ExitCode;

use clap::Parser;
use xtask::launched::Launched;

/// The words of `cargo xtask`.
#[derive(Parser)]
#[command(
    name = "tercet-launcher",
    bin_name = "cargo xtask",
    about = "Starts the whole system on this machine: `cargo xtask` builds and runs this program",
    version
)]
struct Cli {
    #[command(subcommand)]
    task: Launched,
}

fn main() -> ExitCode {
    // TLS has one provider; the first to ask installs it.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    xtask::ended(match Cli::parse().task {
        Launched::Demo(options) => demo::run(&options),
        Launched::Up(options) => up::run(&options),
        Launched::Drill(options) => drill::run(&options),
        Launched::Package(options) => package::run_task(&options),
        Launched::Container(options) => container::run_task(&options),
        Launched::Localstack(task) => localstack::run(&task),
    })
}
