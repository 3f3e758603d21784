//! The HTTP client to the parties. What a party says is one party's word: callers check signatures.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tercet_protocol::api::{PREFER, PartyQuery, Problem, QueryStatus, SubmissionStatus};
use tercet_protocol::ids::{QueryId, SubmissionId};

/// Largest answer read from a party, in bytes: a result with every statistic of 16 columns is far smaller.
const MAX_ANSWER: usize = 1024 * 1024;
/// Longest text of a party's problem that is passed on, in bytes.
const MAX_DETAIL: usize = 1_000;

/// The HTTP client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client to the parties cannot be set up: {0}")]
pub struct ClientError(String);

/// A party gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum PartyError {
    /// No answer in time.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It refused.
    #[error("refused: {0}")]
    Refused(Box<Problem>),
    /// The answer is too long or not of the expected form.
    #[error("answered something unreadable: {0}")]
    Unreadable(String),
}

/// Talks to the parties. Cheap to clone; connections are kept.
#[derive(Debug, Clone)]
pub struct Parties {
    http: reqwest::Client,
    timeout: Duration,
}

impl Parties {
    /// With this much patience for one answer. TLS by rustls on ring, trusting Mozilla's roots.
    pub fn new(timeout: Duration) -> Result<Self, ClientError> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|e| ClientError(e.to_string()))?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tercet-coordinator/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| ClientError(e.to_string()))?;
        Ok(Self { http, timeout })
    }

    /// A submission's status at a party; none if the party does not know it.
    pub async fn submission(
        &self,
        party: &str,
        id: SubmissionId,
    ) -> Result<Option<SubmissionStatus>, PartyError> {
        self.answer(self.http.get(format!("{party}/v1/submissions/{id}"))).await
    }

    /// A query's status at a party, which may take `wait` seconds longer for its end; none if the party does not know it.
    pub async fn query(
        &self,
        party: &str,
        id: QueryId,
        wait: u64,
    ) -> Result<Option<QueryStatus>, PartyError> {
        let mut request = self.http.get(format!("{party}/v1/queries/{id}"));
        if wait > 0 {
            let patience = self.timeout + Duration::from_secs(wait);
            request = request.header(PREFER, format!("wait={wait}")).timeout(patience);
        }
        self.answer(request).await
    }

    /// Hands a query to the party that leads it. Sending it again changes nothing.
    pub async fn put_query(
        &self,
        party: &str,
        id: QueryId,
        query: &PartyQuery,
    ) -> Result<QueryStatus, PartyError> {
        let sent = self.answer(self.http.put(format!("{party}/v1/queries/{id}")).json(query)).await?;
        sent.ok_or_else(|| PartyError::Unreadable("it does not know the address".into()))
    }

    /// The JSON body of a success, none for "not found".
    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Option<T>, PartyError> {
        let unreachable = |e: reqwest::Error| PartyError::Unreachable(e.without_url().to_string());
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(PartyError::Unreadable(format!("more than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status == http::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map(Some)
                .map_err(|e| PartyError::Unreadable(e.to_string()));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(PartyError::Refused(Box::new(problem))),
            Err(_) => Err(PartyError::Unreadable(format!("status {status} without a problem document"))),
        }
    }
}

/// A party's problem as it is passed on: of a kind this version knows, of bounded length, and naming the party.
/// None for an unknown kind.
pub(crate) fn passed_on(problem: Problem, party: u8) -> Option<Problem> {
    let kind = problem.known()?;
    let clip = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect::<String>();
    let mut clean =
        Problem::new(kind, clip(&problem.detail)).party(problem.party.filter(|p| *p < 3).unwrap_or(party));
    clean.rule = problem.rule.as_deref().map(clip);
    clean.retry_after = problem.retry_after.map(|s| s.min(86_400));
    Some(clean)
}
