//! `cargo xtask fuzz`: builds the fuzz targets with coverage counters, on stable Rust, and runs them.
//!
//! All targets are one program (`fuzz/`), linked with libFuzzer. The workspace's own crates are compiled through
//! `fuzz/rustc-coverage.sh`, which adds the counters; dependencies are those of the tests' build.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{self, MEMBERS, cargo, root, target_dir};

/// The targets to run.
#[derive(clap::Args)]
pub struct Options {
    /// The target; without it, all, one after another. `--list` names them.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Runs this one input instead of searching: to look at a crash again.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Names the targets.
    #[arg(long)]
    list: bool,
}

/// Bounds of one run; no input of any target comes near them.
const LIMITS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=10"];
/// Seconds and inputs for each target in `cargo xtask test`.
const BRIEF: [&str; 2] = ["-max_total_time=3", "-runs=200000"];

/// Runs one target or all for longer. Their findings are kept in the target folder, and the next run adds to them.
pub fn run(options: &Options) -> Result<()> {
    let fuzzer = Fuzzer::build()?;
    if options.list {
        fuzzer.targets.iter().for_each(|t| println!("{t}"));
        return Ok(());
    }
    let chosen: Vec<&String> = match &options.target {
        None => fuzzer.targets.iter().collect(),
        Some(name) => {
            let found = fuzzer.targets.iter().find(|t| *t == name);
            vec![
                found
                    .with_context(|| format!("no target is called {name}: see `cargo xtask fuzz --list`"))?,
            ]
        }
    };
    for target in chosen {
        let mut fuzz = fuzzer.command(target);
        if let Some(input) = &options.input {
            let input = std::path::absolute(input).with_context(|| input.display().to_string())?;
            ensure!(fuzz.arg(input).status()?.success(), "{target}: the input still fails");
            continue;
        }
        let corpus = fuzzer.artifacts.join("corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
        let status = fuzz
            .arg(format!("-max_total_time={}", options.seconds))
            .arg(&corpus)
            .env("TERCET_FUZZ_SEEDS", &corpus)
            .status()?;
        fuzzer.judge(target, status, None)?;
    }
    Ok(())
}

/// Runs every target for a few seconds, as many at once as there are processors.
pub fn briefly() -> Result<()> {
    let fuzzer = Fuzzer::build()?;
    let logs = tempfile::tempdir()?;
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(target) = fuzzer.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match fuzzer.brief(target, logs.path()) {
                        Ok(summary) => eprintln!("{target}: {summary}"),
                        Err(e) => failures.lock().unwrap_or_else(PoisonError::into_inner).push(e),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    for failure in &failures {
        eprintln!("{failure:#}");
    }
    ensure!(failures.is_empty(), "{} of {} fuzz targets failed", failures.len(), fuzzer.targets.len());
    Ok(())
}

struct Fuzzer {
    program: PathBuf,
    targets: Vec<String>,
    /// Where inputs that fail are kept.
    artifacts: PathBuf,
}

impl Fuzzer {
    fn build() -> Result<Self> {
        let mut build = cargo();
        build.args(["build", "--quiet", "--bin", "tercet-fuzz"]);
        // An example is asked for too, because cargo then settles features with the tests' dependencies in view, as in
        // the step before, so that nothing but our own crates is compiled again. This one is an empty library: programs
        // other than libFuzzer's cannot be linked with coverage counters.
        build.args(["--example", "features"]).args(MEMBERS);
        build.env("RUSTC_WORKSPACE_WRAPPER", root().join("fuzz/rustc-coverage.sh"));
        command::run(&mut build)?;
        let artifacts = target_dir().join("fuzz");
        fs::create_dir_all(&artifacts).with_context(|| artifacts.display().to_string())?;
        let program = target_dir().join("debug").join("tercet-fuzz");
        let list = crate::command::program(&program)
            .env("TERCET_FUZZ_TARGET", "list")
            .stderr(Stdio::null())
            .output();
        let list = list.with_context(|| format!("cannot run {}", program.display()))?;
        let targets: Vec<_> = String::from_utf8_lossy(&list.stdout).lines().map(str::to_owned).collect();
        ensure!(list.status.success() && !targets.is_empty(), "{} names no targets", program.display());
        Ok(Self { program, targets, artifacts })
    }

    fn command(&self, target: &str) -> Command {
        let mut fuzz = crate::command::program(&self.program);
        fuzz.env("TERCET_FUZZ_TARGET", target).stdin(Stdio::null()).args(LIMITS);
        fuzz.arg(format!("-artifact_prefix={}/{target}-", self.artifacts.display()));
        fuzz
    }

    /// One short run from the seeds alone. Gives libFuzzer's last line.
    fn brief(&self, target: &str, logs: &Path) -> Result<String> {
        let corpus = logs.join(target);
        fs::create_dir(&corpus)?;
        let log = logs.join(format!("{target}.log"));
        let file = File::create(&log)?;
        let mut fuzz = self.command(target);
        fuzz.args(BRIEF).arg(&corpus).env("TERCET_FUZZ_SEEDS", &corpus);
        let status = fuzz.stdout(file.try_clone()?).stderr(file).status()?;
        let log = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        self.judge(target, status, Some(&log))?;
        ensure!(
            log.contains("inline 8-bit counters"),
            "{target} ran without coverage counters: fuzz/rustc-coverage.sh has no effect with this compiler"
        );
        Ok(log.lines().last().unwrap_or_default().to_owned())
    }

    /// Reports the failure and its input.
    fn judge(&self, target: &str, status: ExitStatus, log: Option<&str>) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let kept = self.artifacts.join(format!("{target}-*"));
        let Some(log) = log else {
            bail!(
                "fuzz target {target} ended with {status}; inputs that fail are kept as {}",
                kept.display()
            );
        };
        let tail: Vec<_> = log.lines().rev().take(40).collect();
        tail.iter().rev().for_each(|line| eprintln!("{target}: {line}"));
        match log.lines().find_map(|l| l.split_once("Test unit written to ")) {
            Some((_, input)) => bail!(
                "fuzz target {target} failed on the input {input}\nrun it again: cargo xtask fuzz {target} --input {input}"
            ),
            None => bail!("fuzz target {target} ended with {status} without an input of its own"),
        }
    }
}
