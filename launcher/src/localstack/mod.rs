//! `cargo xtask localstack`: the cloud on this machine, without Docker.

mod deploy;
mod e2e;
mod host;
mod notary;
mod terraform;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::command::programs;
use xtask::launched::{Localstack, Place};

use host::LocalStack;

/// Longest time until LocalStack stops.
const PATIENCE: Duration = Duration::from_secs(20);

/// The region of everything on this machine.
const REGION: &str = "us-east-1";

/// Does it.
pub fn run(task: &Localstack) -> Result<()> {
    match task {
        Localstack::Up(place) => up(place),
        Localstack::Down(place) => down(place),
        Localstack::E2e(options) => e2e::run_task(options),
    }
}

fn up(place: &Place) -> Result<()> {
    if host::healthy(place.port) {
        println!("LocalStack answers on http://127.0.0.1:{} already", place.port);
        return Ok(());
    }
    let bin = host::install()?;
    let embedded = programs("dev").join("tercet-embedded");
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
