//! A running system to measure, and a lean HTTP client for it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use party_host::config::Config;
use tercet_protocol::api::PartySurveyStatus;
use tercet_stack::{Options, PROCESSES, Process, Stack};

use crate::{Cli, proc};

/// Starts the whole system in `folder` with this many accounts at the sample exchange.
pub fn start(cli: &Cli, folder: &Path, accounts: u32) -> Result<Stack> {
    start_with(cli, folder, accounts, None, 0)
}

/// The same with a survey of one's own, and with a longer way between the parties.
pub fn start_with(
    cli: &Cli,
    folder: &Path,
    accounts: u32,
    survey: Option<PathBuf>,
    rtt_ms: u64,
) -> Result<Stack> {
    let options = Options {
        data_dir: folder.into(),
        programs: cli.programs.clone(),
        engine: cli.engine.clone(),
        survey,
        accounts,
        rtt_ms,
        resolve: Vec::new(),
    };
    Stack::start(options, &mut |name| eprintln!("starting {name}"))
}

/// Replaces the system's S3 server by one that forces every object to the disk before it answers, so that a commit is
/// as durable as in the cloud.
pub fn durable_s3(cli: &Cli, stack: &mut Stack) -> Result<Process> {
    let endpoint =
        Config::load(Some(&stack.layout().party_config(0)), [])?.store.endpoint.unwrap_or_default();
    let listen =
        endpoint.strip_prefix("http://").context("the parties' S3 server has no address of its own")?;
    stack.kill("s3")?;
    let layout = stack.layout();
    let (root, keys) = (layout.s3().display().to_string(), layout.s3_keys().display().to_string());
    let args =
        ["s3", "--listen", listen, "--root", &root, "--credentials-file", &keys, "--sync"].map(String::from);
    Process::start("s3", &cli.programs.join("tercet-embedded"), &args, &[], &layout.log("s3"))
}

/// A runtime for the driver: as many threads as a client on the same machine may well take.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// HTTP/1.1 with keep-alive, nothing else.
#[derive(Clone)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

impl Http {
    /// A client that keeps every connection.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// One request; status and body of the answer.
    pub async fn send(&self, method: Method, url: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        self.send_as("application/octet-stream", method, url, body).await
    }

    /// A `POST` of JSON; status and body of the answer.
    pub async fn post_json(&self, url: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        self.send_as("application/json", Method::POST, url, body).await
    }

    async fn send_as(
        &self,
        kind: &str,
        method: Method,
        url: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes)> {
        let request =
            Request::builder().method(method).uri(url).header("content-type", kind).body(Full::new(body))?;
        let answer = self.0.request(request).await.with_context(|| url.to_owned())?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// A successful `GET`.
    pub async fn get(&self, url: &str) -> Result<Bytes> {
        match self.send(Method::GET, url, Bytes::new()).await? {
            (status, body) if status.is_success() => Ok(body),
            (status, body) => bail!("{url}: {status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// The heights of the three parties' logs. They must agree.
    pub async fn heights(&self, stack: &Stack) -> Result<PartySurveyStatus> {
        let mut all = Vec::with_capacity(3);
        for i in 0..3 {
            let body = self.get(&format!("{}/v1/surveys/{}", stack.party(i), stack.survey())).await?;
            all.push(serde_json::from_slice::<PartySurveyStatus>(&body)?);
        }
        match &all[..] {
            [a, b, c]
                if (a.height, a.head) == (b.height, b.head) && (a.height, a.head) == (c.height, c.head) =>
            {
                Ok(a.clone())
            }
            _ => bail!("the parties' logs differ: {all:?}"),
        }
    }
}

/// CPU seconds (own code, kernel) of every process so far, the driver last. The S3 server is not the stack's own.
pub fn cpu(stack: &Stack, s3: &Process) -> Result<Vec<(String, f64, f64)>> {
    let mut all = Vec::with_capacity(PROCESSES.len() + 1);
    for name in PROCESSES {
        let own = stack.pid(name).or((name == s3.name()).then(|| s3.pid()));
        let pid = own.with_context(|| format!("{name} does not run"))?;
        let (user, system) = proc::cpu(pid)?;
        all.push((name.to_owned(), user, system));
    }
    let (user, system) = proc::cpu(std::process::id())?;
    all.push(("driver".into(), user, system));
    Ok(all)
}
