//! The HTTP client to the parties. An answer is one party's word, and callers check signatures.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tercet_protocol::api::{PartySurveyStatus, Problem, QueryStatus, ReleaseNow, SubmissionStatus};
use tercet_protocol::ids::{QueryId, SubmissionId, SurveyId};
use tercet_protocol::query_ticket::QueryTicket;
use tercet_protocol::result::SignedResult;
use tercet_protocol::survey::MAX_RESULT;
use tercet_protocol::withdrawal::Withdrawal;

/// Largest answer read from a party, in bytes: a result as long as the table keeps, and its surroundings.
const MAX_ANSWER: usize = MAX_RESULT - 4096;
/// Longest wait for a release point or an erasure that all three parties have to agree on.
const AGREEMENT: Duration = Duration::from_secs(15);
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
    /// The answer is too long.
    #[error("answered with more than {0} bytes")]
    TooLarge(usize),
    /// The answer is not of the expected form.
    #[error("answered something unreadable: {0}")]
    Unreadable(String),
}

/// Talks to the parties. Cheap to clone; connections are kept.
#[derive(Debug, Clone)]
pub struct Parties {
    http: reqwest::Client,
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
        Ok(Self { http })
    }

    /// A submission's status at a party; `None` if the party does not know it.
    pub async fn submission(
        &self,
        party: &str,
        id: SubmissionId,
    ) -> Result<Option<SubmissionStatus>, PartyError> {
        self.answer(self.http.get(format!("{party}/v1/submissions/{id}"))).await
    }

    /// The state of a party's log of a survey; `None` if it does not run it.
    pub async fn survey(&self, party: &str, id: SurveyId) -> Result<Option<PartySurveyStatus>, PartyError> {
        self.answer(self.http.get(format!("{party}/v1/surveys/{id}"))).await
    }

    /// The signed statistics of a release point; `None` if the party does not have them.
    pub async fn release(
        &self,
        party: &str,
        id: SurveyId,
        number: u64,
    ) -> Result<Option<SignedResult>, PartyError> {
        self.answer(self.http.get(format!("{party}/v1/surveys/{id}/releases/{number}/statistics"))).await
    }

    /// Asks a party of a development deployment to lead a release point now.
    pub async fn release_now(&self, party: &str, id: SurveyId) -> Result<ReleaseNow, PartyError> {
        let request = self.http.post(format!("{party}/v1/surveys/{id}/releases")).timeout(AGREEMENT);
        self.known(request).await
    }

    /// A query's status at a party; `None` if the party does not know it.
    pub async fn query(&self, party: &str, id: QueryId) -> Result<Option<QueryStatus>, PartyError> {
        self.answer(self.http.get(format!("{party}/v1/queries/{id}"))).await
    }

    /// Hands a query to the party that leads it. Sending it again changes nothing.
    pub async fn put_query(
        &self,
        party: &str,
        id: QueryId,
        ticket: &QueryTicket,
    ) -> Result<QueryStatus, PartyError> {
        self.known(self.http.put(format!("{party}/v1/queries/{id}")).json(ticket)).await
    }

    /// Hands a provider's wish to leave to a party. Sending it again changes nothing.
    pub async fn withdraw(
        &self,
        party: &str,
        withdrawal: &Withdrawal,
    ) -> Result<Option<SubmissionStatus>, PartyError> {
        let url = format!("{party}/v1/submissions/{}/withdraw", withdrawal.submission);
        self.answer(self.http.post(url).json(withdrawal).timeout(AGREEMENT)).await
    }

    /// The JSON body of a success; "not found" is no answer.
    async fn known<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, PartyError> {
        let sent = self.answer(request).await?;
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
                return Err(PartyError::TooLarge(MAX_ANSWER));
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
/// `None` for an unknown kind.
pub(crate) fn passed_on(problem: Problem, party: u8) -> Option<Problem> {
    let kind = problem.known()?;
    let clip = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect::<String>();
    let mut clean =
        Problem::new(kind, clip(&problem.detail)).party(problem.party.filter(|p| *p < 3).unwrap_or(party));
    clean.rule = problem.rule.as_deref().map(clip);
    clean.retry_after = problem.retry_after.map(|s| s.min(86_400));
    Some(clean)
}
