//! `tercet-embedded`: one of the loopback services as a process.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tercet_embedded::{Error, Server, dynamodb, exchange, notary, s3};
use tokio::signal::unix::{SignalKind, signal};

/// Loopback services for running Tercet on one machine: S3, DynamoDB, a sample exchange, a local notary.
///
/// Each prints one line `listening URL` on standard output once it accepts connections, logs to standard error
/// (filter with RUST_LOG) and stops on SIGTERM or SIGINT. None listens on anything but loopback.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    service: Service,
}

#[derive(Debug, Subcommand)]
enum Service {
    /// The S3 API over a folder
    #[command(after_help = "Examples:
  tercet-embedded s3 --listen 127.0.0.1:9000 --root ./objects --credentials-file keys.toml \\
    --bucket shares-1 --bucket shares-2
  AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… tercet-embedded s3 --root ./objects

The credentials file (chmod 600) has one table per access key:
  [[key]]
  access_key = \"operator-1\"
  secret_key = \"…\"
  buckets = [\"shares-1\"]      # without this line: every bucket")]
    S3(S3),
    /// The DynamoDB API over SQLite
    #[command(after_help = "Examples:
  tercet-embedded dynamodb --listen 127.0.0.1:8000 --db ./tables.sqlite
  tercet-embedded dynamodb --db :memory:")]
    Dynamodb(Dynamodb),
    /// The sample exchange: HTTPS over TLS 1.3 and 1.2 with invented accounts
    #[command(after_help = "Examples:
  tercet-embedded exchange --listen 127.0.0.1:8443 --state ./exchange --accounts 25 --seed 1
  jq -r '\"X-MBX-APIKEY: \" + .[0].api_key' exchange/accounts.json |
    curl --header @- --cacert exchange/root.pem --resolve api.exchange.test:8443:127.0.0.1 \\
    'https://api.exchange.test:8443/api/v3/account?omitZeroBalances=true'")]
    Exchange(Exchange),
    /// The local notary: real attestation format, worthless as proof
    #[command(after_help = "Examples:
  tercet-embedded notary --listen 127.0.0.1:7047 --state ./notary
  curl http://127.0.0.1:7047/info

Everybody has this notary's key: use it to try things out and in tests, never in a survey that matters.")]
    Notary(Notary),
}

#[derive(Debug, Args)]
struct Listen {
    /// Loopback address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[derive(Debug, Args)]
struct S3 {
    #[command(flatten)]
    listen: Listen,
    /// Folder of the objects
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// File with access keys; without it AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are used
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
    /// Bucket to make if it is not there; may be repeated
    #[arg(long = "bucket", value_name = "NAME")]
    buckets: Vec<String>,
    /// Force every write to the disk before answering, to outlive a power failure
    #[arg(long)]
    sync: bool,
}

#[derive(Debug, Args)]
struct Dynamodb {
    #[command(flatten)]
    listen: Listen,
    /// Database file, or `:memory:`
    #[arg(long, value_name = "FILE")]
    db: PathBuf,
}

#[derive(Debug, Args)]
struct Exchange {
    #[command(flatten)]
    listen: Listen,
    /// Folder for the CA certificate and the list of accounts
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Number of accounts
    #[arg(long, value_name = "N", default_value_t = 25)]
    accounts: u32,
    /// Seed the accounts are derived from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
struct Notary {
    #[command(flatten)]
    listen: Listen,
    /// Folder to write `notary.json` to: what `GET /info` answers
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return failed(&e),
    };
    match runtime.block_on(run(cli.service)) {
        Ok(code) => code,
        Err(e) => failed(e.as_ref()),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("tercet-embedded: {error}");
    ExitCode::FAILURE
}

async fn run(service: Service) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // Before anything is started, so that no signal is missed.
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut server = start(service).await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening {}", server.url())?;
    out.flush()?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = server.ended() => {
            eprintln!("tercet-embedded: the service ended by itself, see the log above");
            return Ok(ExitCode::FAILURE);
        }
    }
    tracing::info!("stopping");
    server.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn start(service: Service) -> Result<Server, Error> {
    match service {
        Service::S3(S3 { listen, root, credentials_file, buckets, sync }) => {
            let keys = match credentials_file {
                Some(path) => s3::Keys::from_file(&path)?,
                None => s3::Keys::from_env()?,
            };
            s3::serve(s3::Config { listen: listen.listen, root, keys, buckets, sync }).await
        }
        Service::Dynamodb(Dynamodb { listen, db }) => {
            let memory = db.as_os_str() == ":memory:";
            let store = if memory { dynamodb::Store::Memory } else { dynamodb::Store::File(db) };
            dynamodb::serve(dynamodb::Config { listen: listen.listen, store }).await
        }
        Service::Exchange(Exchange { listen, state, accounts, seed }) => {
            let config = exchange::Config::new(listen.listen, state, accounts, seed);
            Ok(exchange::serve(config).await?.server)
        }
        Service::Notary(Notary { listen, state }) => {
            notary::serve(notary::Config::new(listen.listen, state)).await
        }
    }
}
