//! `tercet-notary`: forwards TLS 1.3 sessions and signs the bytes that passed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tercet_notary::config::Config;
use tercet_notary::{health, make_key, serve};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Forwards providers' TLS 1.3 sessions to the servers of approved surveys, and signs the bytes that passed.
#[derive(Debug, Parser)]
#[command(
    name = "tercet-notary",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  tercet-notary key notary.key
  tercet-notary run --key notary.key --surveys surveys --coordinator-key 5f0c…9a

docs/notary.md describes how a notary is run, and what depends on it."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log lines as JSON instead of text.
    #[arg(long, env = "TERCET_LOG_JSON", global = true, value_parser = clap::builder::FalseyValueParser::new())]
    log_json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the notary.
    Run {
        #[command(flatten)]
        config: Box<Config>,
        /// Seconds for which running sessions may go on when the notary is told to stop.
        #[arg(long, env = "TERCET_STOP_SECONDS", default_value_t = 20)]
        stop_seconds: u64,
    },
    /// Makes a key in a new file and prints its public half, which surveys list.
    Key {
        /// The file.
        file: PathBuf,
    },
    /// Asks the notary that runs beside whether it is alive; for a container's health check.
    Healthcheck {
        /// Where it listens.
        #[arg(long, env = "TERCET_NOTARY_LISTEN", default_value = "127.0.0.1:8090")]
        listen: SocketAddr,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if cli.log_json {
        log.json().init()
    } else {
        log.init()
    }
    match run(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    let (config, stop_seconds) = match command {
        Command::Key { file } => {
            println!("{}", make_key(&file)?);
            return Ok(());
        }
        Command::Healthcheck { listen } => return Ok(health::check(listen).await?),
        Command::Run { config, stop_seconds } => (config, stop_seconds),
    };
    config.check()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = serve::run(&config).await?;
    for mapping in &config.mappings {
        tracing::warn!(
            name = mapping.name,
            "mapped for development: statements about it are worthless as proof"
        );
    }
    tracing::info!(address = %running.address, key = %running.key, "running");
    let scheme = if config.certificate.is_some() { "https" } else { "http" };
    println!("listening {scheme}://{}", running.address);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    running.stop(Duration::from_secs(stop_seconds)).await;
    Ok(())
}
