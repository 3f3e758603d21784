//! `cargo xtask localstack`: the cloud on this machine, without Docker.

mod deploy;
pub mod e2e;
mod host;
mod terraform;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, run as run_command, target_dir};
use host::LocalStack;
pub use host::free_port;

/// The task.
#[derive(clap::Subcommand)]
pub enum Task {
    /// Starts LocalStack in the background.
    Up(Place),
    /// Stops it.
    Down(Place),
    /// Deploys everything with Terraform, uses it, checks it and destroys it, on a LocalStack of its own.
    E2e(e2e::Options),
}

/// Longest time until LocalStack stops.
const PATIENCE: Duration = Duration::from_secs(20);

/// The region of everything on this machine.
const REGION: &str = "us-east-1";

/// Which one.
#[derive(clap::Args)]
pub struct Place {
    /// Port on loopback.
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// Where it keeps its state; by default `localstack` in the target folder.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Place {
    fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(host::default_folder)
    }

    fn pid_file(&self) -> PathBuf {
        self.folder().join(format!("{}.pid", self.port))
    }
}

/// Does it.
pub fn run(task: &Task) -> Result<()> {
    match task {
        Task::Up(place) => up(place),
        Task::Down(place) => down(place),
        Task::E2e(options) => e2e::run_task(options),
    }
}

fn up(place: &Place) -> Result<()> {
    if host::healthy(place.port) {
        println!("LocalStack answers on http://127.0.0.1:{} already", place.port);
        return Ok(());
    }
    let bin = host::install()?;
    let embedded = embedded()?;
    let folder = place.folder();
    let options = host::Options { folder: &folder, port: place.port, embedded: &embedded, stays: true };
    let localstack = LocalStack::start(&bin, &options)?;
    let pid = localstack.pid().context("it has just been started")?;
    std::fs::write(place.pid_file(), pid.to_string())?;
    println!("LocalStack answers on {}", localstack.endpoint());
    println!(
        "its log is {}; stop it with: cargo xtask localstack down",
        folder.join("localstack.log").display()
    );
    localstack.detach();
    Ok(())
}

fn down(place: &Place) -> Result<()> {
    let file = place.pid_file();
    let Ok(pid) = std::fs::read_to_string(&file) else {
        bail!("no LocalStack was started here on port {} (there is no {})", place.port, file.display());
    };
    let pid: u32 = pid.trim().parse().with_context(|| format!("{} is damaged", file.display()))?;
    // The process with this id may be another by now: only one that is LocalStack is stopped.
    let runs = || {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|command| command.contains("localstack.runtime.main"))
    };
    if runs() {
        host::signal(pid, "-TERM")?;
        let start = Instant::now();
        // It closes its port at once, but may wait for its own threads for ever.
        while runs() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
        }
        if runs() {
            host::signal(pid, "-KILL")?;
        }
    }
    std::fs::remove_file(&file)?;
    println!("stopped");
    Ok(())
}

/// Builds `tercet-embedded`.
fn embedded() -> Result<PathBuf> {
    run_command(cargo().args(["build", "--quiet", "-p", "tercet-embedded", "--bins"]))?;
    Ok(tercet_stack::programs(&target_dir(), "dev").join("tercet-embedded"))
}
