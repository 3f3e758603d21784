//! `party-host`: runs one operator's party.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use party_host::config::Config;
use party_host::documents::DocumentPlace;
use party_host::keyring::FileKeyring;
use party_host::node::Node;
use party_host::store::StoreError;
use party_host::{aws, health, serve};
use tercet_protocol::abandonment::Consent;
use tercet_protocol::ids::{EntryHash, SurveyId};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Vectors of megabytes come and go in every computation; the allocators of C libraries ask the system for each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs one operator's party of a Tercet deployment.
#[derive(Parser)]
#[command(
    name = "party-host",
    version,
    after_help = "\
Example:
  party-host --config /etc/tercet/party.toml
  party-host healthcheck --config /etc/tercet/party.toml

The configuration file and the environment variables that override it are described in docs/operators.md.
Secrets are read from the files or Secrets Manager entries named there, never from arguments or the environment."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file, or s3://BUCKET/KEY. Without one, TERCET_PARTY_* variables must give every key that has no default.
    #[arg(long, env = "TERCET_PARTY_CONFIG", value_name = "FILE", global = true)]
    config: Option<DocumentPlace>,
    /// Log lines as JSON instead of text.
    #[arg(long, env = "TERCET_LOG_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    log_json: bool,
    /// Seconds for which running sessions may go on when the party is told to stop.
    #[arg(long, env = "TERCET_STOP_SECONDS", default_value_t = 20)]
    stop_seconds: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Asks the party that runs beside whether it is alive; for a container's health check.
    Healthcheck {
        /// Where the party listens; without it the configuration says so.
        #[arg(long, value_name = "ADDRESS")]
        at: Option<SocketAddr>,
    },
    /// Makes the key file that wraps the data keys of everything in the store, for a party that cannot make it at its first start because
    /// its keys come from a Secret. Never replaces one.
    StoreKey {
        /// Where to write it.
        file: PathBuf,
    },
    /// Takes everything that this party's bucket lacks from the two other parties, and ends. A party does the same by
    /// itself when it starts.
    Rebuild,
    /// Gives all stored rows new shares together with the two other parties, and ends. An old copy of a bucket is worth
    /// nothing beside another party's new one.
    Refresh,
    /// Gives up the entry on which a survey stands still because two parties lost its rows. Each operator runs it on their own
    /// party and sends the others what it prints; then one of them runs it with all three.
    Abandon {
        /// The survey.
        #[arg(long, value_name = "ID")]
        survey: SurveyId,
        /// The entry; without it the one that this party is locked on.
        #[arg(long, value_name = "HASH", conflicts_with = "consents")]
        entry: Option<EntryHash>,
        /// The three operators' consents, each a file with what this command printed.
        #[arg(long, value_name = "FILE", num_args = 3)]
        consents: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    // With huge pages the allocator keeps four times the memory under load. A system that refuses costs only that.
    #[cfg(target_os = "linux")]
    let _left_on = rustix::thread::disable_transparent_huge_pages(true);
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if cli.log_json {
        log.json().init()
    } else {
        log.init()
    }

    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: no runtime: {e}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!(error = %e, "the party does not run");
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    match &cli.command {
        Some(Command::Healthcheck { at: Some(at) }) => return Ok(health::check(*at).await?),
        Some(Command::StoreKey { file }) => {
            FileKeyring::create(file)?;
            println!("{} is there; back it up: without it the bucket is noise", file.display());
            return Ok(());
        }
        _ => {}
    }
    let config = match &cli.config {
        Some(place @ DocumentPlace::Object { .. }) => {
            let text = place.read(&aws::load(None).await).await?;
            let text = String::from_utf8(text).map_err(|_| format!("{place} is not text"))?;
            Config::parse(Some((place, &text)), std::env::vars())?
        }
        Some(DocumentPlace::File(path)) => Config::load(Some(path), std::env::vars())?,
        None => Config::load(None, std::env::vars())?,
    };
    if let Some(Command::Healthcheck { .. }) = cli.command {
        return Ok(health::check(config.listen).await?);
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reload = signal(SignalKind::hangup())?;
    let patience = Duration::from_secs(cli.stop_seconds);
    let (running, mut loading) = serve::start(config, serve::metrics()?).await?;
    tracing::info!(api = %running.address, "the API listens; the party is starting");
    println!("loading http://{}", running.address);
    let node = tokio::select! {
        loaded = loading.end() => match loaded {
            Ok(node) => node,
            Err(e) => {
                // The lease goes back: the next start need not wait for its end.
                running.stop(patience).await?;
                return Err(e.into());
            }
        },
        _ = terminate.recv() => return Ok(running.stop(patience).await?),
        _ = interrupt.recv() => return Ok(running.stop(patience).await?),
        () = running.replaced() => return Err(StoreError::Leased.into()),
    };
    tracing::info!(api = %running.address, "running");
    println!("listening http://{}", running.address);
    if matches!(cli.command, Some(Command::Rebuild)) {
        node.rebuild(|line| println!("{line}")).await;
        return Ok(running.stop(patience).await?);
    }
    if matches!(cli.command, Some(Command::Refresh)) {
        node.refresh(|line| println!("{line}")).await;
        return Ok(running.stop(patience).await?);
    }
    if let Some(Command::Abandon { survey, entry, consents }) = &cli.command {
        let outcome = abandon(&node, *survey, *entry, consents).await;
        running.stop(patience).await?;
        return outcome.map_err(Into::into);
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => running.look_at_documents(),
            () = running.replaced() => return Err(StoreError::Leased.into()),
        }
    }
    tracing::info!("stopping");
    running.stop(patience).await?;
    Ok(())
}

/// Prints this operator's consent, or acts on those of all three.
async fn abandon(
    node: &Arc<Node>,
    survey: SurveyId,
    entry: Option<EntryHash>,
    files: &[PathBuf],
) -> Result<(), String> {
    if files.is_empty() {
        let consent = node.consent(survey, entry)?;
        let text = serde_json::to_string(&consent).map_err(|e| e.to_string())?;
        println!("{text}");
        return Ok(());
    }
    let mut consents = Vec::with_capacity(files.len());
    for file in files {
        let shown = file.display();
        let text = std::fs::read(file).map_err(|e| format!("{shown}: {e}"))?;
        let consent: Consent = serde_json::from_slice(&text)
            .map_err(|e| format!("{shown}: not what `party-host abandon` printed: {e}"))?;
        if consent.abandoned.survey != survey {
            return Err(format!("{shown}: it is about another survey"));
        }
        consents.push(consent);
    }
    node.abandon(&consents, |line| println!("{line}")).await
}
