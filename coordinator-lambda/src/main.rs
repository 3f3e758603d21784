//! The `coordinator` program: one binary for Lambda (when `AWS_LAMBDA_RUNTIME_API` is set) and for a local
//! server; `TERCET_FUNCTION` selects the API (default), the scheduled refresh or the reaper.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use coordinator_lambda::scheduled::{reap, refresh};
use coordinator_lambda::{Config, Coordinator, SystemClock, api};
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// The coordinator of a Tercet deployment: admits submissions, limits rates, hands queries to the three parties
/// and serves what they release. Never holds a share.
#[derive(Debug, Parser)]
#[command(name = "coordinator", version, after_help = EXAMPLES)]
struct Arguments {
    /// Configuration file (TOML). Without one, TERCET_* environment variables must give every key that has no
    /// default.
    #[arg(long, env = "TERCET_COORDINATOR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The function to run. On Lambda each is a function; locally `refresh` and `reap` run once and print what they
    /// did.
    #[arg(long, env = "TERCET_FUNCTION", value_enum, default_value_t)]
    function: Function,
}

const EXAMPLES: &str = "Examples:
  coordinator --config coordinator.toml
  TERCET_LISTEN=127.0.0.1:8080 coordinator --config coordinator.toml
  coordinator --config coordinator.toml --function reap";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Function {
    /// Serve the HTTP API.
    #[default]
    Api,
    /// Publish the statistics of every survey's new release points.
    Refresh,
    /// Bring submissions whose ticket has ended to an end.
    Reap,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let on_lambda = std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    logging(on_lambda);
    // TLS has one provider; whoever asks for the process's default gets it too. Set twice: no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let config = Config::load(arguments.config.as_deref(), std::env::vars())?;
    let listen = config.listen;
    let coordinator = Coordinator::start(config, Arc::new(SystemClock)).await.context("cannot start")?;
    let coordinator = Arc::new(coordinator);
    if on_lambda {
        return lambda(arguments.function, coordinator).await;
    }
    match arguments.function {
        Function::Api => serve(listen, coordinator).await,
        function => {
            println!("{}", once(function, &coordinator).await?);
            Ok(())
        }
    }
}

/// Serves as a Lambda function until its environment ends.
#[cfg(feature = "cloud")]
async fn lambda(function: Function, coordinator: Arc<Coordinator>) -> anyhow::Result<()> {
    use lambda_http::{LambdaEvent, service_fn};
    use tracing::Instrument as _;
    let ended = |e: lambda_http::Error| anyhow::anyhow!("the Lambda runtime ended: {e}");
    if matches!(function, Function::Api) {
        return api::lambda::serve(api::router(coordinator)).await.map_err(ended);
    }
    let run = async |event: LambdaEvent<serde_json::Value>| {
        let LambdaEvent { context, .. } = event;
        let span = tracing::info_span!("run", invocation = context.request_id, trace = context.xray_trace_id);
        once(function, &coordinator).instrument(span).await.map_err(|e| format!("{e:#}"))
    };
    lambda_http::lambda_runtime::run(service_fn(run)).await.map_err(ended)
}

#[cfg(not(feature = "cloud"))]
async fn lambda(_: Function, _: Arc<Coordinator>) -> anyhow::Result<()> {
    anyhow::bail!("this coordinator was built without the feature `cloud`, which Lambda needs")
}

/// Runs a scheduled function once and reports the outcome.
async fn once(function: Function, coordinator: &Coordinator) -> anyhow::Result<serde_json::Value> {
    match function {
        Function::Api => anyhow::bail!("the API is not a scheduled function"),
        Function::Reap => Ok(json!(reap(coordinator).await?)),
        Function::Refresh => {
            let done = refresh(coordinator).await?;
            Ok(done.iter().map(|(survey, did)| (survey.to_string(), json!(did))).collect())
        }
    }
}

/// Serves locally until SIGINT or SIGTERM; requests under way are finished.
async fn serve(listen: SocketAddr, coordinator: Arc<Coordinator>) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}: is another program using it?"))?;
    let address = listener.local_addr()?;
    if let Some(every) = coordinator.config.refresh_seconds.map(|s| Duration::from_secs(s.get())) {
        tokio::spawn(refresh_every(Arc::clone(&coordinator), every));
    }
    let app = api::router(coordinator).into_make_service_with_connect_info::<SocketAddr>();
    println!("listening http://{address}");
    std::io::stdout().flush()?;
    tracing::info!(%address, "listening");
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await.context("the server ended")
}

/// Publishes new release points again and again, as a schedule does on Lambda.
async fn refresh_every(coordinator: Arc<Coordinator>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if let Err(error) = refresh(&coordinator).await {
            tracing::error!(%error, "looking for new release points failed");
        }
    }
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping");
}

/// Logs go to stderr (Lambda: to stdout, as JSON), filtered by `RUST_LOG`.
fn logging(on_lambda: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    if on_lambda {
        // CloudWatch adds the time.
        builder.json().flatten_event(true).without_time().with_ansi(false).init();
    } else {
        builder.with_writer(std::io::stderr).init();
    }
}
