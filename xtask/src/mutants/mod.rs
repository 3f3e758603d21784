//! `cargo xtask mutants`: alters the program and sees whether the tests notice.
//!
//! Named mutants ([`list`]) are switches in the code that exist in test builds only, thrown by an environment variable: one
//! build tests all of them. With `--all`, `cargo-mutants` makes others.

mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{self, MEMBERS, cargo, root};
use crate::report::Report;
use list::{LIB, LIES, MUTANTS, Mutant, Tests};

/// The mutants to run.
#[derive(clap::Args)]
pub struct Options {
    /// Only the named mutants with this text in their names.
    name: Option<String>,
    /// Also lets cargo-mutants alter the engine and the parties' rules, wherever it can. Takes hours.
    #[arg(long)]
    all: bool,
    /// With `--all`, only this part of the work: K/N, K from 0 on.
    #[arg(long, value_name = "K/N", requires = "all")]
    shard: Option<String>,
}

/// Longest time of an altered program, which may wait for something that never comes: after this the test has
/// noticed.
const LONGEST: Duration = Duration::from_secs(120);

/// The files that cargo-mutants alters.
const FILES: [&str; 12] = [
    "mpc/src/compute/**/*.rs",
    "mpc/src/proof/**/*.rs",
    "mpc/src/circuit/**/*.rs",
    "mpc/src/batch.rs",
    "mpc/src/net.rs",
    "mpc/src/sharing.rs",
    "mpc/src/prss.rs",
    "mpc/src/rows.rs",
    "mpc/src/order.rs",
    "mpc/src/noise.rs",
    "releases/src/**/*.rs",
    "party-host/src/node/**/*.rs",
];

/// Mutants of cargo-mutants that may survive: a line each, its text and after a colon and two spaces the reason.
const EXPLAINED: &str = include_str!("explained.txt");

/// Runs the named mutants, and if asked, cargo-mutants.
pub fn run(options: &Options) -> Result<()> {
    named(options.name.as_deref())?;
    if options.all { others(options.shard.as_deref()) } else { Ok(()) }
}

/// The step of `cargo xtask test`.
pub fn step(_: &mut Report) -> Result<()> {
    named(None)
}

/// Every named mutant must make its test fail, and every switch in the code must have a test.
fn named(only: Option<&str>) -> Result<()> {
    compare(&switches(&root())?)?;
    let chosen: Vec<&Mutant> =
        MUTANTS.iter().filter(|m| only.is_none_or(|only| m.name.contains(only))).collect();
    ensure!(!chosen.is_empty(), "no mutant has that name: see xtask/src/mutants/list.rs");
    let programs = build()?;
    let program = |tests: &Tests| {
        let (package, target) = *tests;
        let found = programs.get(&(package.to_owned(), target.to_owned()));
        found.with_context(|| format!("{package} has no tests \"{target}\" that were built"))
    };
    // What fails without a mutant says nothing about it.
    for (tests, test) in chosen.iter().map(|m| (m.tests, m.test)).collect::<BTreeSet<_>>() {
        ensure!(passes(program(&tests)?, test, None)?, "{}: {test} fails without any mutant", tests.0);
    }
    let next = AtomicUsize::new(0);
    let survivors = Mutex::new(Vec::new());
    let worker = || -> Result<()> {
        while let Some(mutant) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let alive = passes(program(&mutant.tests)?, mutant.test, Some(mutant.name))?;
            eprintln!("{} {}", if alive { "SURVIVES" } else { "noticed " }, mutant.name);
            if alive {
                survivors.lock().unwrap_or_else(PoisonError::into_inner).push(mutant);
            }
        }
        Ok(())
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    let survivors = survivors.into_inner().unwrap_or_else(PoisonError::into_inner);
    let names: Vec<String> = survivors.iter().map(|m| format!("{} ({})", m.name, m.test)).collect();
    ensure!(survivors.is_empty(), "{} mutants survive: {}", survivors.len(), names.join(", "));
    eprintln!("all {} named mutants are noticed", chosen.len());
    Ok(())
}

/// Runs one test, with or without a mutant, and tells if it passes.
fn passes(program: &Path, test: &str, mutant: Option<&str>) -> Result<bool> {
    let mut command = command::program(program);
    command.args(["--exact", test]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // What fails because of a mutant is no case to keep in the tree.
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    if let Some(name) = mutant {
        command.env("TERCET_MUTANT", name);
    }
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let end = Instant::now() + LONGEST;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > end => {
                child.kill()?;
                child.wait()?;
                return Ok(false);
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let output = std::io::read_to_string(child.stdout.take().context("no output")?)?;
    ensure!(output.contains("running 1 test"), "{}: no test is called {test}", program.display());
    Ok(status.success())
}

/// Builds the tests as `cargo xtask test` does: the programs by package and name.
fn build() -> Result<BTreeMap<(String, String), PathBuf>> {
    let mut build = cargo();
    build
        .args([
            "test",
            "--quiet",
            "--no-run",
            "--lib",
            "--test",
            "all",
            "--message-format=json-render-diagnostics",
        ])
        .args(MEMBERS);
    let output = build.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the tests do not build");
    let mut programs = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let Some(executable) = message["executable"].as_str() else { continue };
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let lib = message["target"]["kind"][0] == "lib";
        let target = if lib { LIB.to_owned() } else { text(&message["target"]["name"]) };
        let package = package(&text(&message["package_id"])).to_owned();
        programs.insert((package, target), PathBuf::from(executable));
    }
    Ok(programs)
}

/// The name in a package's id: `path+file:///folder#name@version`, or `path+file:///name#version`.
fn package(id: &str) -> &str {
    let (path, rest) = id.rsplit_once('#').unwrap_or((id, ""));
    match rest.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next().unwrap_or(path),
    }
}

/// Every switch in the crates' sources, lies aside.
fn switches(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for member in std::fs::read_dir(folder)? {
        let source = member?.path().join("src");
        if source.is_dir() && source.parent().is_none_or(|p| !p.ends_with("xtask")) {
            collect(&source, &mut found)?;
        }
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let names = text.split("mutant!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(names.filter(|n| !n.starts_with(LIES) && *n != "name").map(str::to_owned));
        }
    }
    Ok(())
}

/// The list and the switches must be the same.
fn compare(switches: &BTreeSet<String>) -> Result<()> {
    let listed: BTreeSet<String> = MUTANTS.iter().map(|m| m.name.to_owned()).collect();
    let unlisted: Vec<_> = switches.difference(&listed).cloned().collect();
    let unknown: Vec<_> = listed.difference(switches).cloned().collect();
    ensure!(unlisted.is_empty(), "no test is named for: {} (xtask/src/mutants/list.rs)", unlisted.join(", "));
    ensure!(unknown.is_empty(), "no switch in the code is called: {}", unknown.join(", "));
    Ok(())
}

/// Lets cargo-mutants alter the code, and prints the alterations that no test noticed and nobody has explained.
fn others(shard: Option<&str>) -> Result<()> {
    ensure!(
        command::exists("cargo-mutants"),
        "cargo-mutants is not installed: `cargo install --locked cargo-mutants`, or leave --all out"
    );
    let out = command::target_dir().join("mutants");
    let mut mutants = cargo();
    mutants.args(["mutants", "--no-shuffle", "--all-features", "--timeout", "120", "--output"]).arg(&out);
    FILES.iter().for_each(|file| _ = mutants.args(["--file", file]));
    if let Some(shard) = shard {
        mutants.args(["--shard", shard]);
    }
    // It ends with an error where mutants survive: what counts is its list.
    let status = mutants.stdin(Stdio::null()).status()?;
    let missed = out.join("mutants.out").join("missed.txt");
    let missed = std::fs::read_to_string(&missed)
        .with_context(|| format!("cargo-mutants ended with {status} and left no {}", missed.display()))?;
    let explained: BTreeSet<&str> =
        EXPLAINED.lines().filter_map(|line| line.split_once(":  ")).map(|(text, _)| text).collect();
    let unexplained: Vec<&str> =
        missed.lines().filter(|line| !explained.contains(without_place(line))).collect();
    unexplained.iter().for_each(|line| println!("SURVIVES {line}"));
    ensure!(unexplained.is_empty(), "{} mutants survive that nobody has explained", unexplained.len());
    Ok(())
}

/// A mutant's text with its file and without line and column, which other changes move.
fn without_place(line: &str) -> &str {
    line.splitn(4, ':').nth(3).map_or(line, str::trim)
}
