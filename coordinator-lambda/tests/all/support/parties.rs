//! A party as the coordinator sees it: real keys, scripted answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use tercet_protocol::api::{
    PartySurveyStatus, Problem, ProblemKind, QueryState, QueryStatus, ReleaseNow, SubmissionState,
    SubmissionStatus,
};
use tercet_protocol::ids::{EngineDigest, EntryHash, Nullifier, QueryId, Signature, SubmissionId, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::query_ticket::{QueryTicket, Question};
use tercet_protocol::release_point::ReleasePoint;
use tercet_protocol::result::{ReleasedStatistics, SignedResult, StatisticValue};
use tercet_protocol::submission::Receipt;
use tercet_protocol::withdrawal::{Entered, ErasureReceipt, Withdrawal};

/// A party's answer about a submission.
#[derive(Debug, Clone)]
pub enum Says {
    /// This status.
    Status(Box<SubmissionStatus>),
    /// This status code and text.
    Raw(u16, String),
}

type OnQuery = Box<dyn Fn(QueryId, &QueryTicket) -> (u16, serde_json::Value) + Send>;

#[derive(Default)]
struct Script {
    submissions: HashMap<SubmissionId, Says>,
    /// Answers `PUT`; a 200 answer is also the answer of `GET` from then on.
    on_query: Option<OnQuery>,
    queries: HashMap<QueryId, serde_json::Value>,
    puts: Vec<(QueryId, QueryTicket)>,
    asked: u64,
    /// The newest release point it claims.
    release: u64,
    results: HashMap<u64, serde_json::Value>,
    /// The answer to a wish for a release point: a status and a body.
    release_now: Option<(u16, serde_json::Value)>,
    /// The answers to withdrawals.
    withdrawals: HashMap<SubmissionId, Says>,
    withdrawn: u64,
}

pub struct StubParty {
    pub index: u8,
    pub key: Arc<SigningKey>,
    pub url: String,
    script: Arc<Mutex<Script>>,
    task: tokio::task::JoinHandle<()>,
}

impl StubParty {
    /// It answers nobody any more.
    pub fn stop(&self) {
        self.task.abort();
    }

    pub async fn start(index: u8) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let app = Router::new()
            .route("/v1/submissions/{id}", get(submission))
            .route("/v1/submissions/{id}/withdraw", post(withdraw))
            .route("/v1/surveys/{id}", get(survey))
            .route("/v1/surveys/{id}/releases", post(release_now))
            .route("/v1/surveys/{id}/releases/{number}/statistics", get(release))
            .route("/v1/queries/{id}", get(query).put(put_query))
            .with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
        let key = Arc::new(SigningKey::from_seed(&[index + 1; 32]).unwrap());
        Self { index, key, url, script, task }
    }

    pub fn say(&self, id: SubmissionId, says: Says) {
        self.script.lock().unwrap().submissions.insert(id, says);
    }

    /// Number of requests about submissions that it got.
    pub fn asked(&self) -> u64 {
        self.script.lock().unwrap().asked
    }

    pub fn on_query(
        &self,
        answer: impl Fn(QueryId, &QueryTicket) -> (u16, serde_json::Value) + Send + 'static,
    ) {
        self.script.lock().unwrap().on_query = Some(Box::new(answer));
    }

    /// Sets the answer of `GET` about a query from now on.
    pub fn set_query(&self, status: &QueryStatus) {
        self.script.lock().unwrap().queries.insert(status.query, serde_json::to_value(status).unwrap());
    }

    /// As after a restart.
    pub fn forget_queries(&self) {
        self.script.lock().unwrap().queries.clear();
    }

    pub fn puts(&self) -> Vec<(QueryId, QueryTicket)> {
        self.script.lock().unwrap().puts.clone()
    }

    /// It claims to have release points up to this one.
    pub fn claim(&self, release: u64) {
        self.script.lock().unwrap().release = release;
    }

    /// It has a release point's statistics.
    pub fn publish(&self, signed: &SignedResult) {
        let mut script = self.script.lock().unwrap();
        let number = signed.result.release.number;
        script.release = script.release.max(number);
        script.results.insert(number, serde_json::to_value(signed).unwrap());
    }

    /// Sets the answer to a wish for a release point.
    pub fn on_release_now(&self, status: u16, body: impl serde::Serialize) {
        self.script.lock().unwrap().release_now = Some((status, serde_json::to_value(body).unwrap()));
    }

    /// Sets the answer to the withdrawal of a submission.
    pub fn on_withdraw(&self, id: SubmissionId, says: Says) {
        self.script.lock().unwrap().withdrawals.insert(id, says);
    }

    /// Number of withdrawals that it got.
    pub fn withdrawn(&self) -> u64 {
        self.script.lock().unwrap().withdrawn
    }

    /// Its receipt for an erasure.
    pub fn erasure(
        &self,
        survey: SurveyId,
        submission: SubmissionId,
        entered: Option<Entered>,
    ) -> ErasureReceipt {
        ErasureReceipt {
            survey,
            submission,
            height: 9,
            entry: EntryHash([9; 32]),
            time: 1_795_000_100,
            entered,
            party: self.index,
            signature: Signature([0; 64]),
        }
        .signed(&self.key)
    }

    /// Its receipt.
    pub fn receipt(
        &self,
        survey: SurveyId,
        submission: SubmissionId,
        nullifier: Nullifier,
        height: u64,
    ) -> Receipt {
        let mut entry = [7; 32];
        entry[0] = height as u8;
        Receipt {
            survey,
            submission,
            nullifier,
            height,
            entry: EntryHash(entry),
            party: self.index,
            signature: Signature([0; 64]),
        }
        .signed(&self.key)
    }
}

async fn submission(State(script): State<Arc<Mutex<Script>>>, Path(id): Path<String>) -> Response {
    let mut script = script.lock().unwrap();
    script.asked += 1;
    said(script.submissions.get(&id.parse().unwrap()))
}

fn said(says: Option<&Says>) -> Response {
    match says {
        None => not_found(),
        Some(Says::Status(status)) => Json(status.clone()).into_response(),
        Some(Says::Raw(status, text)) => {
            (StatusCode::from_u16(*status).unwrap(), text.clone()).into_response()
        }
    }
}

async fn withdraw(
    State(script): State<Arc<Mutex<Script>>>,
    Path(id): Path<String>,
    Json(withdrawal): Json<Withdrawal>,
) -> Response {
    let mut script = script.lock().unwrap();
    script.withdrawn += 1;
    assert_eq!(withdrawal.submission.to_string(), id);
    said(script.withdrawals.get(&withdrawal.submission))
}

async fn survey(State(script): State<Arc<Mutex<Script>>>, Path(id): Path<String>) -> Response {
    let release = script.lock().unwrap().release;
    Json(PartySurveyStatus {
        survey: id.parse().unwrap(),
        height: 0,
        head: EntryHash([0; 32]),
        submissions: 0,
        release,
        party: 0,
        engine: EngineDigest([9; 32]),
    })
    .into_response()
}

async fn release(
    State(script): State<Arc<Mutex<Script>>>,
    Path((_, number)): Path<(String, u64)>,
) -> Response {
    match script.lock().unwrap().results.get(&number) {
        Some(signed) => Json(signed.clone()).into_response(),
        None => not_found(),
    }
}

async fn release_now(State(script): State<Arc<Mutex<Script>>>, Path(id): Path<String>) -> Response {
    let script = script.lock().unwrap();
    match &script.release_now {
        Some((status, body)) => (StatusCode::from_u16(*status).unwrap(), Json(body.clone())).into_response(),
        None => {
            let now = ReleaseNow { survey: id.parse().unwrap(), release: script.release, made: true };
            Json(now).into_response()
        }
    }
}

async fn query(State(script): State<Arc<Mutex<Script>>>, Path(id): Path<String>) -> Response {
    let script = script.lock().unwrap();
    match script.queries.get(&id.parse().unwrap()) {
        None => not_found(),
        Some(status) => Json(status.clone()).into_response(),
    }
}

async fn put_query(
    State(script): State<Arc<Mutex<Script>>>,
    Path(id): Path<String>,
    Json(ticket): Json<QueryTicket>,
) -> Response {
    let mut script = script.lock().unwrap();
    let id: QueryId = id.parse().unwrap();
    script.puts.push((id, ticket.clone()));
    let running = serde_json::to_value(QueryStatus { query: id, state: QueryState::Running }).unwrap();
    let (status, body) = script.on_query.as_ref().map_or((202, running), |answer| answer(id, &ticket));
    if status < 300 {
        script.queries.insert(id, body.clone());
    }
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(Problem::new(ProblemKind::NotFound, "never heard of it"))).into_response()
}

/// A status to say.
pub fn says(survey: SurveyId, submission: SubmissionId, state: SubmissionState) -> Says {
    Says::Status(Box::new(SubmissionStatus { submission, survey, state }))
}

/// The result that the keys' owners sign about a question at a release point.
pub fn result(
    keys: &[Arc<SigningKey>; 3],
    survey: SurveyId,
    release: u64,
    question: &Question,
) -> SignedResult {
    let value = |name: &String| StatisticValue {
        statistic: name.clone(),
        column: (name != "count").then(|| "eth_free".to_owned()),
        value: Some(format!("{release}.5")),
        ..StatisticValue::default()
    };
    let result = ReleasedStatistics {
        survey,
        query: question.id(survey, release),
        release: ReleasePoint {
            number: release,
            time: 1_795_000_000 + release,
            rows: 24,
            units: 2,
            erased_rows: 0,
        },
        height: 2 * release,
        head: EntryHash([release as u8; 32]),
        filter: question.filter.clone(),
        submissions: 24,
        not_told_apart: None,
        statistics: question.statistics.iter().map(value).collect(),
    };
    sign(keys, result)
}

/// The three signatures.
pub fn sign(keys: &[Arc<SigningKey>; 3], result: ReleasedStatistics) -> SignedResult {
    let signatures = [0, 1, 2].map(|i: usize| result.sign(&keys[i]));
    SignedResult { result, signatures }
}
