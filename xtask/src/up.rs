//! `cargo xtask up`: the whole system, left running.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tercet_client::coordinator::Coordinator;
use tercet_client::http::HttpOptions;
use tercet_protocol::ids::{SurveyId, sha256};
use tercet_stack::Stack;

use crate::command::{cargo, root, run as run_command, target_dir};
use crate::engine;

/// The system to run.
#[derive(clap::Args)]
pub struct Options {
    /// The survey's file; without it, a survey about the sample exchange.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Where everything is kept; the same folder continues where it stopped. By default a folder of its own for
    /// each survey file, under `.tercet`.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Accounts at the sample exchange.
    #[arg(long, value_name = "N", default_value_t = 100)]
    accounts: u32,
    /// Milliseconds of round-trip time to pretend between the parties.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    rtt_ms: u64,
    /// A server of your own: the notary that forwards sessions connects to this loopback address when a survey's server
    /// has this name. May be given several times.
    #[arg(long, value_name = "NAME=ADDRESS:PORT")]
    resolve: Vec<String>,
    /// Make a release point every so many seconds, if anybody enters. Without it, when the survey's schedule says so, and
    /// when `tercet release` asks for one.
    #[arg(long, value_name = "SECONDS")]
    release_every: Option<NonZeroU64>,
}

/// The programs that a system is made of.
pub const PACKAGES: [&str; 5] =
    ["party-host", "coordinator-lambda", "tercet-client", "tercet-embedded", "tercet-notary"];

/// Builds programs and engine, and says how to run them with this data folder.
pub fn build(
    data_dir: PathBuf,
    survey: Option<PathBuf>,
    accounts: u32,
    rtt_ms: u64,
    profile: &str,
) -> Result<tercet_stack::Options> {
    eprintln!("building the engine and the programs (the first time takes minutes)");
    let engine = engine::build()?.path;
    let mut build = cargo();
    build.args(["build", "--quiet", "--bins", "--profile", profile]);
    for package in PACKAGES {
        build.args(["-p", package]);
    }
    run_command(&mut build)?;
    let survey =
        survey.map(|s| std::path::absolute(&s).with_context(|| s.display().to_string())).transpose()?;
    let programs = tercet_stack::programs(&target_dir(), profile);
    Ok(tercet_stack::Options { data_dir, programs, engine, survey, accounts, rtt_ms, resolve: Vec::new() })
}

/// A folder for one survey file: two surveys in one folder would be one coordinator's, and clients had to choose.
fn default_data_dir(manifest: Option<&Path>) -> Result<PathBuf> {
    let base = root().join(".tercet");
    let Some(path) = manifest else { return Ok(base.join("sample")) };
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let digest = SurveyId(sha256(&[&bytes])).to_string();
    Ok(base.join(&digest[..16]))
}

/// Wishes for a release point again and again. That nothing enters is no failure.
async fn release_every(url: String, survey: SurveyId, every: Duration) {
    let coordinator = match Coordinator::new(&url, HttpOptions::default()) {
        Ok(coordinator) => coordinator,
        Err(e) => return eprintln!("no release points: {e}"),
    };
    loop {
        tokio::time::sleep(every).await;
        match coordinator.release_now(survey).await {
            Ok(now) if now.made => eprintln!("release point {}", now.release),
            Ok(_) => {}
            Err(e) => eprintln!("no release point: {e}"),
        }
    }
}

/// Runs until Ctrl-C.
pub fn run(options: &Options) -> Result<()> {
    let manifest = options.manifest.clone();
    let data_dir = match &options.data_dir {
        Some(dir) => dir.clone(),
        None => default_data_dir(options.manifest.as_deref())?,
    };
    let mut stack = build(data_dir, manifest, options.accounts, options.rtt_ms, "dev")?;
    stack.resolve.clone_from(&options.resolve);
    let programs = stack.programs.clone();
    let mut stack = Stack::start(stack, &mut |name| eprintln!("starting {name}"))?;

    let url = stack.coordinator();
    let survey = stack.survey();
    let tercet = programs.join("tercet");
    println!("coordinator {url}");
    println!("survey {survey}");
    println!("notary {}", stack.proxy());
    println!("\nTry:");
    println!("  curl {url}/v1/surveys");
    println!("  curl {url}/v1/surveys/{survey}/statistics");
    if options.manifest.is_none() {
        let layout = stack.layout();
        println!(
            "  jq -r '\"X-MBX-APIKEY: \" + .[0].api_key' {} > header.txt",
            layout.exchange().join("accounts.json").display()
        );
        println!(
            "  {} notarize 'https://api.exchange.test/api/v3/account?omitZeroBalances=true' --connect {} --notary {} \
             --coordinator {url} --survey {survey} --root {} --header-file header.txt --out proof",
            tercet.display(),
            stack.exchange(),
            stack.notary(),
            layout.exchange().join("root.pem").display()
        );
    }
    if options.manifest.is_none() {
        let accounts = stack.layout().exchange().join("accounts.json");
        println!(
            "  jq -r '\"api_key=\" + .[1].api_key, \"api_secret=\" + .[1].api_secret' {} > inputs.txt",
            accounts.display()
        );
    }
    println!(
        "  {} take-part --coordinator {url} --survey {survey} --notary {} --input-file inputs.txt",
        tercet.display(),
        stack.proxy()
    );
    println!(
        "  {} submit --coordinator {url} --survey {survey} --presentation proof/presentation.bin --secrets \
         proof/secrets.bin --receipt receipt.json",
        tercet.display()
    );
    println!("  {} release --coordinator {url} --survey {survey} --wait", tercet.display());
    println!("  {} published --coordinator {url} --survey {survey}", tercet.display());
    println!("  {} query --coordinator {url} --survey {survey} --statistic mean", tercet.display());
    println!("  {} withdraw --receipt receipt.json", tercet.display());
    println!("\nLogs are in {}. Ctrl-C stops everything.", stack.layout().root().join("logs").display());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let casualty = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        if let Some(every) = options.release_every {
            tokio::spawn(release_every(url.clone(), survey, Duration::from_secs(every.get())));
        }
        loop {
            tokio::select! {
                end = tokio::signal::ctrl_c() => return end.map(|()| None),
                _ = terminate.recv() => return Ok(None),
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    if let Some(casualty) = stack.casualty() {
                        return Ok(Some(casualty));
                    }
                }
            }
        }
    })?;
    eprintln!("stopping");
    stack.stop();
    match casualty {
        None => Ok(()),
        Some(text) => bail!("{text}"),
    }
}

/// Prints the last lines of every process's log, after a failure.
pub fn last_lines(stack: &Stack) {
    eprintln!("the processes' logs:");
    for name in tercet_stack::PROCESSES {
        let log = std::fs::read_to_string(stack.layout().log(name)).unwrap_or_default();
        for line in log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev() {
            eprintln!("  {name}: {line}");
        }
    }
}
