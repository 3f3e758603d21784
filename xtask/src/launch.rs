//! Building and starting the launcher: the program behind the commands that need the workspace's crates.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::command::{MEMBERS, cargo, program, programs, run};
use crate::launched::{Launched, Localstack};
use crate::{engine, terraform};

/// Selects the programs of a system on one machine, without the parts that only a cloud needs.
pub const SYSTEM: [&str; 11] = [
    "--no-default-features",
    "-p",
    "party-host",
    "-p",
    "coordinator-lambda",
    "-p",
    "tercet-client",
    "-p",
    "tercet-embedded",
    "-p",
    "tercet-notary",
];

/// The package of the launcher.
const LAUNCHER: &str = "tercet-launcher";

/// Builds the programs for a command, and becomes the launcher, with the words that this program was started with.
pub fn launch(task: &Launched) -> Result<()> {
    let start = Instant::now();
    build(task)?;
    let mut launcher = launcher();
    // For the demonstration's account of its time.
    launcher.env("TERCET_BUILD_SECONDS", start.elapsed().as_secs_f64().to_string());
    let error = launcher.args(std::env::args_os().skip(1)).exec();
    Err(error).with_context(|| format!("cannot run {launcher:?}"))
}

/// Builds all programs as the tests do. What `launch` builds for a demonstration has other features of the dependencies, and
/// would take minutes more after the tests.
pub fn build_tested() -> Result<()> {
    run(cargo().args(["build", "--bins"]).args(tested()))
}

/// Runs the launcher with these words, beside this program, for a step of `cargo xtask test`.
pub fn run_beside(words: &[&str]) -> Result<()> {
    build_tested()?;
    engine::build()?;
    run(launcher().args(words))
}

fn launcher() -> Command {
    program(programs("dev").join(LAUNCHER))
}

/// The launcher, the programs that it starts, and the engine. A system's programs are always built all at once and with
/// the launcher: another selection would settle other features of the dependencies, and build half of them twice.
fn build(task: &Launched) -> Result<()> {
    let (selection, engine) = match task {
        Launched::Package(_) => (vec!["-p", LAUNCHER], false),
        Launched::Container(options) if !options.trial => (vec!["-p", LAUNCHER], true),
        Launched::Localstack(Localstack::E2e(_)) => (tested(), std::env::var_os("TERCET_ENGINE").is_none()),
        Launched::Localstack(_) => (system(), false),
        Launched::Demo(_) | Launched::Up(_) | Launched::Drill(_) | Launched::Container(_) => (system(), true),
    };
    if matches!(task, Launched::Localstack(Localstack::E2e(_)))
        && let Some(missing) = terraform::missing_for_localstack()
    {
        bail!("{missing} is needed");
    }
    eprintln!("building the programs (the first time takes minutes)");
    run(cargo().args(["build", "--bins"]).args(selection))?;
    if engine {
        engine::build()?;
    }
    Ok(())
}

/// All programs, with the features of the tests: with an example in the selection, cargo settles them alike.
fn tested() -> Vec<&'static str> {
    [&["--example", "features"], &MEMBERS[..]].concat()
}

fn system() -> Vec<&'static str> {
    [&SYSTEM[..], &["-p", LAUNCHER]].concat()
}
