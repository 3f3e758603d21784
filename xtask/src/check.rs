//! `cargo xtask test`: everything that CI runs.

use anyhow::{Result, bail};

use crate::command::{self, MEMBERS, cargo, exists, root};
use crate::report::Report;
use crate::{book, deny, deploy, emulated, engine, fuzz, launch, mutants, terraform, workflows};

/// The steps to run.
#[derive(clap::Args)]
pub struct Options {
    /// Fails where an optional tool is missing, instead of saying so and going on. On in CI.
    #[arg(long, env = "CI", value_parser = clap::builder::FalseyValueParser::new())]
    strict: bool,
    /// Runs only the steps with this text in their names.
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
}

type Step = (&'static str, fn(&mut Report) -> Result<()>);

const STEPS: &[Step] = &[
    ("formatting", |_| command::run(cargo().args(["fmt", "--all", "--check"]))),
    ("engine", |_| engine::build().map(|e| println!("engine {}", e.digest))),
    ("engine lints", |_| {
        command::run(engine::cargo_wasm("clippy").args(["--quiet", "--", "-D", "warnings"]))
    }),
    ("lints", |_| {
        let mut clippy = cargo();
        clippy.args(["clippy", "--quiet", "--all-targets"]).args(MEMBERS);
        command::run(clippy.args(["--", "-D", "warnings"]))
    }),
    ("dependencies", deny::check),
    ("workflows", workflows::check),
    ("book", book::check),
    ("upstream's npm build", npm),
    ("tests", |_| {
        let mut test = cargo();
        test.args(["test", "--no-fail-fast"]).args(MEMBERS);
        command::run(test.env("TERCET_ENGINE", engine::build()?.path))
    }),
    ("mutants", mutants::step),
    ("terraform", terraform::check),
    ("terraform policy scan", terraform::scan),
    ("roots for AWS on an emulator", emulated::check),
    ("deployments", deploy::check),
    ("fuzz targets", |_| fuzz::briefly()),
    ("localstack", localstack),
];

/// Runs all steps.
pub fn run(options: &Options) -> Result<()> {
    let mut report = Report::new(options.strict);
    let only = options.only.as_deref();
    let chosen = |name: &str| only.is_none_or(|only| name.contains(only));
    let steps: Vec<&Step> = STEPS.iter().filter(|(name, _)| chosen(name)).collect();
    if steps.is_empty() {
        let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        bail!("no step has that name; there are: {}", names.join(", "));
    }
    for (name, step) in steps {
        let start = std::time::Instant::now();
        eprintln!("== {name}");
        step(&mut report)?;
        eprintln!("== {name}: done in {} s", start.elapsed().as_secs());
    }
    report.say();
    Ok(())
}

/// Four operators deploy on LocalStack; providers submit, a consumer asks.
fn localstack(report: &mut Report) -> Result<()> {
    match terraform::missing_for_localstack() {
        Some(missing) => report.skip("the end-to-end run on LocalStack", missing),
        None => launch::run_beside(&["localstack", "e2e"]),
    }
}

/// Installs upstream's own verifier, which a test of `tlsn-verifier` uses as a second opinion.
fn npm(report: &mut Report) -> Result<()> {
    if !exists("node") || !exists("npm") {
        return report.skip("second opinion of upstream's verifier", "Node.js with npm");
    }
    command::run(
        command::program("npm")
            .args(["ci", "--no-audit", "--no-fund", "--silent"])
            .current_dir(root().join("tlsn-verifier/tests/npm")),
    )
}
