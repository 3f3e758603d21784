//! The HTTP client to the parties. An answer is one party's word, and callers check signatures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// No connection, or one that broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time, just now or a moment ago.
    #[error("gave no answer in time")]
    Silent,
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
///
/// Whoever asks holds a function's instance for as long as a party is silent, and a party can be silent at will. So one that gave no answer in
/// time is left alone for a while: each instance waits once in that time, and not once a request.
#[derive(Debug, Clone)]
pub struct Parties {
    http: reqwest::Client,
    /// For how long a silent party is left alone.
    rest: Duration,
    /// When parties were silent, by their addresses.
    silent: Arc<Mutex<BTreeMap<String, Instant>>>,
}

impl Parties {
    /// With this much patience for one answer, and this long a rest for a party that gave none. TLS by rustls on ring, trusting Mozilla's roots.
    pub fn new(timeout: Duration, rest: Duration) -> Result<Self, ClientError> {
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
        Ok(Self { http, rest, silent: Arc::default() })
    }

    /// A submission's status at a party; `None` if the party does not know it.
    pub async fn submission(
        &self,
        party: &str,
        id: SubmissionId,
    ) -> Result<Option<SubmissionStatus>, PartyError> {
        self.answer(party, self.http.get(format!("{party}/v1/submissions/{id}"))).await
    }

    /// The state of a party's log of a survey; `None` if it does not run it.
    pub async fn survey(&self, party: &str, id: SurveyId) -> Result<Option<PartySurveyStatus>, PartyError> {
        self.answer(party, self.http.get(format!("{party}/v1/surveys/{id}"))).await
    }

    /// The signed statistics of a release point; `None` if the party does not have them.
    pub async fn release(
        &self,
        party: &str,
        id: SurveyId,
        number: u64,
    ) -> Result<Option<SignedResult>, PartyError> {
        let url = format!("{party}/v1/surveys/{id}/releases/{number}/statistics");
        self.answer(party, self.http.get(url)).await
    }

    /// Asks a party of a development deployment to lead a release point now.
    pub async fn release_now(&self, party: &str, id: SurveyId) -> Result<ReleaseNow, PartyError> {
        let request = self.http.post(format!("{party}/v1/surveys/{id}/releases")).timeout(AGREEMENT);
        known(self.asked(request).await?)
    }

    /// A query's status at a party; `None` if the party does not know it.
    pub async fn query(&self, party: &str, id: QueryId) -> Result<Option<QueryStatus>, PartyError> {
        self.answer(party, self.http.get(format!("{party}/v1/queries/{id}"))).await
    }

    /// Hands a query to the party that leads it. Sending it again changes nothing.
    pub async fn put_query(
        &self,
        party: &str,
        id: QueryId,
        ticket: &QueryTicket,
    ) -> Result<QueryStatus, PartyError> {
        known(self.answer(party, self.http.put(format!("{party}/v1/queries/{id}")).json(ticket)).await?)
    }

    /// Hands a provider's wish to leave to a party. Sending it again changes nothing.
    pub async fn withdraw(
        &self,
        party: &str,
        withdrawal: &Withdrawal,
    ) -> Result<Option<SubmissionStatus>, PartyError> {
        let url = format!("{party}/v1/submissions/{}/withdraw", withdrawal.submission);
        self.asked(self.http.post(url).json(withdrawal).timeout(AGREEMENT)).await
    }

    /// The JSON body of a success, none for "not found". A party that was silent a moment ago is not asked.
    async fn answer<T: DeserializeOwned>(
        &self,
        party: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Option<T>, PartyError> {
        let resting = lock(&self.silent).get(party).is_some_and(|since| since.elapsed() < self.rest);
        if resting {
            return Err(PartyError::Silent);
        }
        let answer = self.asked(request).await;
        let mut silent = lock(&self.silent);
        match &answer {
            Err(PartyError::Silent) => silent.insert(party.to_owned(), Instant::now()),
            _ => silent.remove(party),
        };
        answer
    }

    /// The JSON body of a success, none for "not found".
    async fn asked<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Option<T>, PartyError> {
        let unreachable = |e: reqwest::Error| match e.is_timeout() {
            true => PartyError::Silent,
            false => PartyError::Unreachable(e.without_url().to_string()),
        };
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

/// An answer that has to be there: "not found" is none.
fn known<T>(sent: Option<T>) -> Result<T, PartyError> {
    sent.ok_or_else(|| PartyError::Unreadable("it does not know the address".into()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A party that takes connections and says nothing, and the number of connections that it took.
    async fn silent() -> (String, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = taken.clone();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                open.push(stream);
            }
        });
        (url, taken)
    }

    #[tokio::test]
    async fn a_silent_party_is_waited_for_once_and_not_at_each_request() {
        let (party, taken) = silent().await;
        let patient = Parties::new(Duration::from_millis(100), Duration::from_secs(3_600)).unwrap();
        for _ in 0..10 {
            let answer = patient.submission(&party, SubmissionId([1; 32])).await;
            assert!(matches!(answer, Err(PartyError::Silent)), "{answer:?}");
            let answer = patient.clone().survey(&party, SurveyId([1; 32])).await;
            assert!(matches!(answer, Err(PartyError::Silent)), "{answer:?}");
        }
        assert_eq!(taken.load(Ordering::SeqCst), 1);
        // Another party is asked, and a party that refuses connections is no silent one.
        let answer = patient.submission("http://127.0.0.1:1", SubmissionId([1; 32])).await;
        assert!(matches!(answer, Err(PartyError::Unreachable(_))), "{answer:?}");
        let restless = Parties::new(Duration::from_millis(100), Duration::ZERO).unwrap();
        for _ in 0..2 {
            assert!(restless.submission(&party, SubmissionId([1; 32])).await.is_err());
        }
        assert_eq!(taken.load(Ordering::SeqCst), 3, "without a rest it is asked each time");
    }
}
