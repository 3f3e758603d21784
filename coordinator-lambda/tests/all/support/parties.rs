//! A party as the coordinator sees it: real keys, scripted answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use tercet_protocol::api::{
    PREFER, PartyQuery, Problem, ProblemKind, QueryState, QueryStatus, SubmissionState, SubmissionStatus,
};
use tercet_protocol::ids::{EntryHash, Nullifier, QueryId, Signature, SubmissionId, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::release_point::ReleasePoint;
use tercet_protocol::result::{ReleasedStatistics, SignedResult, StatisticValue};
use tercet_protocol::submission::Receipt;

/// What a party says about a submission.
#[derive(Debug, Clone)]
pub enum Says {
    /// This status.
    Status(Box<SubmissionStatus>),
    /// This status code and text.
    Raw(u16, String),
}

type OnQuery = Box<dyn Fn(QueryId, &PartyQuery) -> (u16, serde_json::Value) + Send>;

#[derive(Default)]
struct Script {
    submissions: HashMap<SubmissionId, Says>,
    /// Answers `PUT`; what it answers with 200 is also what `GET` gives from then on.
    on_query: Option<OnQuery>,
    queries: HashMap<QueryId, serde_json::Value>,
    puts: Vec<(QueryId, PartyQuery)>,
    asked: u64,
    preferred: Option<String>,
}

pub struct StubParty {
    pub index: u8,
    pub key: Arc<SigningKey>,
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl StubParty {
    pub async fn start(index: u8) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let app = Router::new()
            .route("/v1/submissions/{id}", get(submission))
            .route("/v1/queries/{id}", get(query).put(put_query))
            .with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let key = Arc::new(SigningKey::from_seed(&[index + 1; 32]).unwrap());
        Self { index, key, url, script }
    }

    pub fn say(&self, id: SubmissionId, says: Says) {
        self.script.lock().unwrap().submissions.insert(id, says);
    }

    /// How many requests about submissions it got.
    pub fn asked(&self) -> u64 {
        self.script.lock().unwrap().asked
    }

    pub fn on_query(
        &self,
        answer: impl Fn(QueryId, &PartyQuery) -> (u16, serde_json::Value) + Send + 'static,
    ) {
        self.script.lock().unwrap().on_query = Some(Box::new(answer));
    }

    /// What `GET` says about a query from now on.
    pub fn set_query(&self, status: &QueryStatus) {
        self.script.lock().unwrap().queries.insert(status.query, serde_json::to_value(status).unwrap());
    }

    /// As after a restart.
    pub fn forget_queries(&self) {
        self.script.lock().unwrap().queries.clear();
    }

    /// The `Prefer` of the last look at a query.
    pub fn preferred(&self) -> Option<String> {
        self.script.lock().unwrap().preferred.clone()
    }

    pub fn puts(&self) -> Vec<(QueryId, PartyQuery)> {
        self.script.lock().unwrap().puts.clone()
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
    match script.submissions.get(&id.parse().unwrap()) {
        None => not_found(),
        Some(Says::Status(status)) => Json(status.clone()).into_response(),
        Some(Says::Raw(status, text)) => {
            (StatusCode::from_u16(*status).unwrap(), text.clone()).into_response()
        }
    }
}

async fn query(
    State(script): State<Arc<Mutex<Script>>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut script = script.lock().unwrap();
    script.preferred = headers.get(PREFER).map(|p| p.to_str().unwrap().to_owned());
    match script.queries.get(&id.parse().unwrap()) {
        None => not_found(),
        Some(status) => Json(status.clone()).into_response(),
    }
}

async fn put_query(
    State(script): State<Arc<Mutex<Script>>>,
    Path(id): Path<String>,
    Json(query): Json<PartyQuery>,
) -> Response {
    let mut script = script.lock().unwrap();
    let id: QueryId = id.parse().unwrap();
    script.puts.push((id, query.clone()));
    let running = serde_json::to_value(QueryStatus { query: id, state: QueryState::Running }).unwrap();
    let (status, body) = script.on_query.as_ref().map_or((202, running), |answer| answer(id, &query));
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

/// A result that the keys' owners release for a query.
pub fn result(
    keys: &[Arc<SigningKey>; 3],
    query: QueryId,
    asked: &PartyQuery,
    height: u64,
    released_at: u64,
) -> SignedResult {
    let value = |name: &String| StatisticValue {
        statistic: name.clone(),
        column: (name != "count").then(|| "eth_free".to_owned()),
        unit: String::new(),
        value: Some("1.5".into()),
        ..StatisticValue::default()
    };
    let result = ReleasedStatistics {
        survey: asked.survey,
        query,
        release: ReleasePoint { number: height, time: released_at, rows: 24, units: 2, erased_rows: 0 },
        height,
        head: EntryHash([height as u8; 32]),
        filter: asked.filter.clone(),
        submissions: 24,
        not_told_apart: None,
        statistics: asked.statistics.iter().map(value).collect(),
    };
    let signatures = [0, 1, 2].map(|i: usize| result.sign(&keys[i]));
    SignedResult { result, signatures }
}
