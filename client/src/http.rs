//! HTTP to coordinator, parties and notary: plain HTTP only on loopback, bounded answers, retries with backoff.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use serde::de::DeserializeOwned;
use tercet_protocol::api::{PROBLEM_JSON, Problem};
use tercet_protocol::keys::random;
use tercet_protocol::survey::MAX_RESULT;

use crate::error::Error;

pub use reqwest::{Method, Url};

/// Media type of uploads.
pub const OCTETS: &str = "application/octet-stream";
/// Media type of JSON bodies.
pub const JSON: &str = "application/json";
/// Longest answer accepted: a result as long as coordinators keep, and its surroundings.
const MAX_ANSWER: usize = MAX_RESULT + (64 << 10);

/// Number of retries, and the time between them.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Wait before the second attempt; doubles each time. The wait drawn is between half of it and all of it.
    pub base: Duration,
    /// Longest wait between attempts; also the longest that a server may ask for.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 4, base: Duration::from_millis(300), cap: Duration::from_secs(60) }
    }
}

impl RetryPolicy {
    /// The wait before attempt `next` (counted from 1), or none when attempts are used up or the server wants
    /// to be left alone for longer than the cap.
    fn pause(&self, next: u32, asked: Option<u64>) -> Option<Duration> {
        if next >= self.attempts {
            return None;
        }
        if let Some(seconds) = asked.filter(|s| *s > 0) {
            let wait = Duration::from_secs(seconds);
            return (wait <= self.cap).then(|| wait + self.jittered(0));
        }
        Some(self.jittered(next - 1))
    }

    /// Between half and all of the doubled base, so that many clients do not come back at the same moment.
    pub(crate) fn jittered(&self, doublings: u32) -> Duration {
        let full =
            self.base.saturating_mul(1u32.checked_shl(doublings.min(20)).unwrap_or(u32::MAX)).min(self.cap);
        let draw = random::<4>().map_or(1.0, |r| f64::from(u32::from_le_bytes(r)) / f64::from(u32::MAX));
        full.mul_f64(0.5 + draw / 2.0)
    }
}

/// Settings of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpOptions {
    /// Allow `http://` beyond loopback.
    pub allow_http: bool,
    /// Retries.
    pub retry: RetryPolicy,
}

/// A client for all servers of a deployment.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    /// For loopback addresses: a proxy from the environment cannot reach this machine's loopback.
    local: Client,
    options: HttpOptions,
}

/// One request.
pub struct Request {
    /// The server's name, for error texts.
    pub from: String,
    /// Method.
    pub method: Method,
    /// Address.
    pub url: Url,
    /// Body and its media type.
    pub body: Option<(Vec<u8>, &'static str)>,
    /// Time for one attempt, from connecting to the answer's last byte.
    pub timeout: Duration,
}

impl Request {
    /// A `GET`.
    pub fn get(from: impl Into<String>, url: Url) -> Self {
        Self { from: from.into(), method: Method::GET, url, body: None, timeout: Duration::from_secs(30) }
    }

    /// Another method, with a body.
    pub fn with_body(mut self, method: Method, body: Vec<u8>, media_type: &'static str) -> Self {
        self.method = method;
        self.body = Some((body, media_type));
        self
    }
}

/// A successful answer.
pub struct Answer {
    /// Status code, 200 to 299.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self, from: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|e| {
            Error::bad_answer(from, format!("{e} (does it run another release, or is the address wrong?)"))
        })
    }
}

/// An answer of any status.
pub struct Look {
    /// Status code.
    pub status: u16,
    /// The server's clock.
    pub date: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Look {
    async fn of(mut response: reqwest::Response) -> Result<Self, String> {
        let date = response.headers().get(DATE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| chain(&e))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err("the answer is too large".into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, date, body })
    }
}

enum Failure {
    /// No answer, or none that can be used.
    Lost {
        cause: String,
    },
    Refused(Problem),
}

/// Installs the process's TLS provider, once; a provider that is there already stays.
pub fn install_tls_provider() {
    // An error means that there is one, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// TLS with the roots that are compiled in.
fn mozilla() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

impl Http {
    /// A client.
    pub fn new(options: HttpOptions) -> Result<Self, Error> {
        install_tls_provider();
        let base = || {
            Client::builder()
                .user_agent(concat!("tercet/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(10))
        };
        let failed = |e: reqwest::Error| Error::Unreachable { from: "the network".into(), cause: chain(&e) };
        let local = base().no_proxy().tls_backend_preconfigured(mozilla()).build().map_err(failed)?;
        // The system's roots where there are any; a bare container may have none.
        let client = match base().build() {
            Ok(client) => client,
            Err(e) => {
                tracing::info!(cause = chain(&e), "the system has no root certificates; using Mozilla's");
                base().tls_backend_preconfigured(mozilla()).build().map_err(failed)?
            }
        };
        Ok(Self { client, local, options })
    }

    /// The options it was made with.
    pub fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Reads a base address. Plain HTTP would show presentations to the network and let anyone on the way answer
    /// in the server's place, so it is for loopback unless explicitly allowed.
    pub fn base(&self, text: &str) -> Result<Url, Error> {
        let bad = |why: &str| Error::usage(format!("\"{}\" cannot be used: {why}", text.escape_debug()));
        let url = Url::parse(text).map_err(|_| bad("write an address such as https://tercet.example.org"))?;
        if url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(bad("write the address without credentials, query and fragment"));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.options.allow_http || is_loopback(&url) => Ok(url),
            "http" => {
                Err(bad("plain HTTP is for loopback addresses; use https, or --allow-http if you must"))
            }
            _ => Err(bad("only https (and http on loopback) is supported")),
        }
    }

    /// Asks once and takes whatever comes, for people who look at a deployment. The error is a text for them.
    pub async fn look(&self, url: Url) -> Result<Look, String> {
        let client = if is_loopback(&url) { &self.local } else { &self.client };
        let request = client.get(url).timeout(Duration::from_secs(10));
        Look::of(request.send().await.map_err(|e| chain(&e))?).await
    }

    /// The same for a request that was made elsewhere.
    #[cfg(feature = "cloud")]
    pub(crate) async fn look_with(
        &self,
        method: Method,
        url: Url,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Look, String> {
        let client = if is_loopback(&url) { &self.local } else { &self.client };
        let mut request = client.request(method, url).timeout(Duration::from_secs(20)).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Look::of(request.send().await.map_err(|e| chain(&e))?).await
    }

    /// Sends, and retries after faults that may pass, until a success or a final refusal.
    pub async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(request).await {
                Ok(answer) => return Ok(answer),
                Err(f) => f,
            };
            let (again, asked) = match &failure {
                // Whatever is sent may be sent again: a lost answer does no harm.
                Failure::Lost { .. } => (true, None),
                Failure::Refused(p) => (may_pass(p), p.retry_after),
            };
            let pause = if again { self.options.retry.pause(attempt, asked) } else { None };
            let Some(pause) = pause else {
                let from = request.from.clone();
                return Err(match failure {
                    Failure::Lost { cause, .. } => Error::Unreachable { from, cause },
                    Failure::Refused(problem) => Error::Refused { from, problem: Box::new(problem) },
                });
            };
            match &failure {
                Failure::Lost { cause, .. } => {
                    tracing::info!(from = request.from, attempt, ?pause, %cause, "no answer; trying again");
                }
                Failure::Refused(p) => {
                    tracing::info!(from = request.from, attempt, ?pause, problem = %p, "refused for now; trying again");
                }
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Answer, Failure> {
        let client = if is_loopback(&request.url) { &self.local } else { &self.client };
        let accept = format!("{JSON}, {PROBLEM_JSON}");
        let mut builder = client
            .request(request.method.clone(), request.url.clone())
            .header(ACCEPT, accept)
            .timeout(request.timeout);
        if let Some((body, media_type)) = &request.body {
            builder = builder.header(CONTENT_TYPE, *media_type).body(body.clone());
        }
        let lost = |e: reqwest::Error| Failure::Lost { cause: chain(&e) };
        let mut response = builder.send().await.map_err(lost)?;
        let status = response.status();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                let problem = foreign(status.as_u16(), "the answer is too large to be from a Tercet server");
                return Err(Failure::Refused(problem));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            let location = headers.get(LOCATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
            return Ok(Answer { status: status.as_u16(), location, body });
        }
        Err(Failure::Refused(problem(status.as_u16(), &headers, &body)))
    }
}

/// The server's problem details, or a problem made here if something between us and the server answered.
fn problem(status: u16, headers: &HeaderMap, body: &[u8]) -> Problem {
    let seconds = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let mut problem = serde_json::from_slice(body).unwrap_or_else(|_| {
        foreign(status, "the answer is not from a Tercet server: check the address, and any proxy on the way")
    });
    problem.retry_after = problem.retry_after.or(seconds);
    problem
}

fn foreign(status: u16, detail: &str) -> Problem {
    Problem {
        kind: "about:blank".into(),
        title: format!("HTTP status {status}"),
        status,
        detail: detail.into(),
        rule: None,
        party: None,
        retry_after: None,
        position: None,
    }
}

fn may_pass(problem: &Problem) -> bool {
    problem.is_transient() || (problem.known().is_none() && matches!(problem.status, 408 | 425 | 429))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Appends path segments to a base address that may have a path of its own.
pub fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// An error with its causes: reqwest's own text leaves out the interesting part.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(e) = next {
        text = e.to_string();
        next = e.source();
    }
    match text.is_empty() {
        true if error.is_timeout() => "no answer in time".into(),
        true => error.to_string(),
        false if error.is_timeout() => format!("no answer in time ({text})"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback() {
        let http = Http::new(HttpOptions::default()).unwrap();
        for good in
            ["https://a.example", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9/base/"]
        {
            assert!(http.base(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example",
            "http://127.0.0.1.nip.io",
            "ftp://x",
            "x",
            "https://u:p@a.example",
            "https://a/?q",
        ] {
            assert_eq!(http.base(bad).unwrap_err().exit_status(), 2, "{bad}");
        }
        let allowed = Http::new(HttpOptions { allow_http: true, ..Default::default() }).unwrap();
        assert!(allowed.base("http://a.example").is_ok());
    }

    #[test]
    fn waits_grow_stay_bounded_and_honour_the_server() {
        let policy =
            RetryPolicy { attempts: 4, base: Duration::from_millis(100), cap: Duration::from_millis(300) };
        for (next, full) in [(1, 100), (2, 200), (3, 300)] {
            let wait = policy.pause(next, None).unwrap();
            assert!((full / 2..=full).contains(&(wait.as_millis() as u64)), "{wait:?}");
        }
        assert_eq!(policy.pause(4, None), None);
        assert_eq!(policy.pause(1, Some(1)), None, "the server asks for more than the cap");
        let patient = RetryPolicy { cap: Duration::from_secs(9), ..policy };
        assert!(patient.pause(1, Some(2)).unwrap() >= Duration::from_secs(2));
    }

    #[test]
    fn paths_are_appended_to_the_base() {
        let url = |t| Url::parse(t).unwrap();
        assert_eq!(join(&url("http://a/"), &["v1", "x"]).as_str(), "http://a/v1/x");
        assert_eq!(join(&url("http://a/base"), &["v1", "x"]).as_str(), "http://a/base/v1/x");
        assert_eq!(join(&url("http://a/base/"), &["v1"]).as_str(), "http://a/base/v1");
    }
}
