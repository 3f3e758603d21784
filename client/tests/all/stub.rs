//! A coordinator and three parties in one HTTP server with real keys, honest unless a test's hook answers first.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tercet_client::coordinator::{Coordinator, Deployment};
use tercet_client::http::{HttpOptions, RetryPolicy};
use tercet_client::operator;
use tercet_client::query::QueryOptions;
use tercet_client::submit::SubmitOptions;
use tercet_protocol::api::{
    Admission, FederationInfo, PROBLEM_JSON, Problem, ProblemKind, QueryRequest, QueryState, QueryStatus,
    ReleaseNow, SubmissionState, SubmissionStatus, SurveySummary,
};
use tercet_protocol::ids::{EngineDigest, EntryHash, Nullifier, QueryId, Signature, SubmissionId, SurveyId};
use tercet_protocol::keys::{OpeningKey, SigningKey};
use tercet_protocol::operator::OperatorManifest;
use tercet_protocol::query_ticket::Question;
use tercet_protocol::release_point::ReleasePoint;
use tercet_protocol::result::{Fraction, ReleasedStatistics, SignedResult, StatisticValue};
use tercet_protocol::submission::{PublicPart, Receipt, ShareUpload, Ticket, open_private};
use tercet_protocol::survey::SurveyDescriptor;
use tercet_protocol::withdrawal::{Entered, ErasureReceipt, Withdrawal};

use crate::fixtures::vectors;

/// The newest release point.
pub const RELEASE: u64 = 1;

/// A request as hooks see it.
pub struct Call {
    pub method: Method,
    /// Path, `/p0`, `/p1`, `/p2` in front for the parties.
    pub path: String,
    /// Number of earlier requests of this method and path.
    pub nth: usize,
}

impl Call {
    pub fn is(&self, method: Method, start: &str, end: &str) -> bool {
        self.method == method && self.path.starts_with(start) && self.path.ends_with(end)
    }
}

type Hook = Box<dyn FnMut(&Call, &mut World) -> Option<Response> + Send>;

/// The knowledge of coordinator and parties.
pub struct World {
    pub survey: SurveyDescriptor,
    pub coordinator: SigningKey,
    pub identities: [SigningKey; 3],
    pub opening: [OpeningKey; 3],
    pub manifests: Vec<OperatorManifest>,
    /// Public parts admitted.
    pub admitted: HashMap<SubmissionId, PublicPart>,
    /// Private parts received, opened.
    pub shares: [HashMap<SubmissionId, Vec<u8>>; 3],
    /// Every request: method and path.
    pub log: Vec<(Method, String)>,
    pub queries: HashMap<QueryId, QueryRequest>,
    /// Withdrawals that were signed with the key of the public part.
    pub withdrawn: Vec<SubmissionId>,
    /// The release point at which withdrawn rows had entered.
    pub entered: Option<Entered>,
}

pub struct Stub {
    pub addr: SocketAddr,
    world: Arc<Mutex<(World, Hook)>>,
    _dirs: tempfile::TempDir,
}

/// Quick retries for tests.
pub fn options() -> HttpOptions {
    let retry = RetryPolicy { attempts: 4, base: Duration::from_millis(1), cap: Duration::from_secs(2) };
    HttpOptions { allow_http: false, retry }
}

pub fn submit_options() -> SubmitOptions {
    SubmitOptions {
        timeout: Duration::from_secs(20),
        poll: Duration::from_millis(2),
        grace: Duration::from_millis(50),
    }
}

pub fn query_options() -> QueryOptions {
    QueryOptions { timeout: Duration::from_secs(20), poll: Duration::from_millis(1) }
}

pub fn problem(kind: ProblemKind, detail: &str) -> Response {
    problem_response(Problem::new(kind, detail))
}

pub fn problem_response(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap();
    let body = serde_json::to_vec(&problem).unwrap();
    (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
}

pub fn json<T: Serialize>(status: u16, value: &T) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/json")], serde_json::to_vec(value).unwrap()).into_response()
}

impl Stub {
    pub async fn start(hook: impl FnMut(&Call, &mut World) -> Option<Response> + Send + 'static) -> Self {
        Self::with_survey(&vectors().join("survey.toml"), hook).await
    }

    /// With another survey file.
    pub async fn with_survey(
        survey: &Path,
        hook: impl FnMut(&Call, &mut World) -> Option<Response> + Send + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let dirs = tempfile::tempdir().unwrap();
        let world = World::new(addr, dirs.path(), survey);
        let world: Arc<Mutex<(World, Hook)>> = Arc::new(Mutex::new((world, Box::new(hook))));
        let router = Router::new().fallback(serve).with_state(world.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, world, _dirs: dirs }
    }

    pub async fn honest() -> Self {
        Self::start(|_, _| None).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn coordinator(&self) -> Coordinator {
        Coordinator::new(&self.url(), options()).unwrap()
    }

    pub async fn deployment(&self) -> (Coordinator, Deployment) {
        let coordinator = self.coordinator();
        let survey = coordinator.survey(self.survey_id()).await.unwrap();
        let deployment = coordinator.deployment(survey).await.unwrap();
        (coordinator, deployment)
    }

    pub fn survey_id(&self) -> SurveyId {
        self.with(|w| w.survey.id())
    }

    /// Runs with the world locked.
    pub fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        let mut guard: MutexGuard<'_, (World, Hook)> = self.world.lock().unwrap();
        f(&mut guard.0)
    }

    pub fn count(&self, method: Method, start: &str, end: &str) -> usize {
        self.with(|w| {
            w.log.iter().filter(|(m, p)| *m == method && p.starts_with(start) && p.ends_with(end)).count()
        })
    }
}

impl World {
    fn new(addr: SocketAddr, dirs: &Path, survey: &Path) -> Self {
        let engine = EngineDigest([7; 32]);
        let manifests = [0, 1, 2].map(|i| {
            let dir = dirs.join(format!("op{i}"));
            let settings = operator::Settings {
                operator: format!("operator {i}"),
                account: format!("{i:012}"),
                url: format!("http://{addr}/p{i}"),
                peer_address: format!("127.0.0.1:{}", 7000 + i),
                engine,
            };
            operator::init(&dir, &settings).unwrap();
            operator::manifest(&dir, 1_700_000_000).unwrap()
        });
        let seed = |i: i32, name: &str| operator::read_seed(&dirs.join(format!("op{i}")).join(name)).unwrap();
        let survey = operator::assemble(survey, &manifests, engine).unwrap();
        Self {
            survey,
            coordinator: SigningKey::from_seed(&[9; 32]).unwrap(),
            identities: [0, 1, 2].map(|i| SigningKey::from_seed(&seed(i, operator::IDENTITY_KEY)).unwrap()),
            opening: [0, 1, 2].map(|i| OpeningKey::from_seed(&seed(i, operator::SEALING_KEY))),
            manifests: manifests.to_vec(),
            admitted: HashMap::new(),
            shares: Default::default(),
            log: Vec::new(),
            queries: HashMap::new(),
            withdrawn: Vec::new(),
            entered: Some(Entered { release: 1, time: 1_750_000_000, unit_rows: 24 }),
        }
    }

    pub fn receipt(&self, id: SubmissionId, party: usize) -> Receipt {
        let receipt = Receipt {
            survey: self.survey.id(),
            submission: id,
            nullifier: Nullifier([3; 32]),
            height: 4,
            entry: EntryHash([5; 32]),
            party: party as u8,
            signature: Signature([0; 64]),
        };
        receipt.signed(&self.identities[party])
    }

    pub fn status(&self, id: SubmissionId, state: SubmissionState) -> SubmissionStatus {
        SubmissionStatus { submission: id, survey: self.survey.id(), state }
    }

    pub fn complete(&self, id: SubmissionId) -> bool {
        self.shares.iter().all(|s| s.contains_key(&id))
    }

    /// The release point's question with these names, and its id.
    pub fn question(&self, request: &QueryRequest) -> (Question, QueryId) {
        let manifest = self.survey.manifest();
        let question = Question::of(manifest, &request.statistics, request.filter.clone()).unwrap();
        let id = question.id(self.survey.id(), RELEASE);
        (question, id)
    }

    /// The survey's listed statistics, at the newest release point.
    pub fn listed(&self) -> SignedResult {
        let (question, id) = self.question(&QueryRequest::default());
        self.result(id, &question.statistics.into_iter().collect::<Vec<_>>())
    }

    pub fn erasure(&self, id: SubmissionId, party: usize) -> ErasureReceipt {
        ErasureReceipt {
            survey: self.survey.id(),
            submission: id,
            height: 9,
            entry: EntryHash([6; 32]),
            time: 1_750_000_500,
            entered: self.entered,
            party: party as u8,
            signature: Signature([0; 64]),
        }
        .signed(&self.identities[party])
    }

    pub fn result(&self, query: QueryId, statistics: &[String]) -> SignedResult {
        let value = |name: &String| StatisticValue {
            statistic: name.clone(),
            column: (name != "count").then(|| "eth_free".into()),
            unit: if name == "count" { String::new() } else { "ETH".into() },
            value: Some("1.5".into()),
            exact: Some(Fraction { numerator: "3".into(), denominator: "2".into() }),
            ..StatisticValue::default()
        };
        let result = ReleasedStatistics {
            survey: self.survey.id(),
            query,
            release: ReleasePoint {
                number: RELEASE,
                time: 1_750_000_000,
                rows: 24,
                units: 1,
                erased_rows: 0,
            },
            height: 4,
            head: EntryHash([5; 32]),
            filter: self.queries.get(&query).map(|q| q.filter.clone()).unwrap_or_default(),
            submissions: 24,
            not_told_apart: None,
            statistics: statistics.iter().map(value).collect(),
        };
        self.signed(result)
    }

    pub fn signed(&self, result: ReleasedStatistics) -> SignedResult {
        let signatures = self.identities.each_ref().map(|k| result.sign(k));
        SignedResult { result, signatures }
    }

    fn answer(&mut self, method: &Method, path: &str, body: &Bytes) -> Response {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let party = segments[0].strip_prefix('p').and_then(|i| i.parse::<usize>().ok());
        match (method.as_str(), party, &segments[usize::from(party.is_some())..]) {
            ("GET", None, ["v1", "federation"]) => json(
                200,
                &FederationInfo {
                    coordinator_key: self.coordinator.public(),
                    operators: self.manifests.clone(),
                },
            ),
            ("GET", None, ["v1", "surveys"]) => {
                let s = &self.survey.manifest().survey;
                json(
                    200,
                    &[SurveySummary { id: self.survey.id(), name: s.name.clone(), title: s.title.clone() }],
                )
            }
            ("GET", None, ["v1", "surveys", _]) => self.survey.bytes().to_vec().into_response(),
            ("GET", None, ["v1", "surveys", _, "statistics"]) => json(200, &self.listed()),
            ("GET", None, ["v1", "surveys", _, "releases", number, "statistics"]) => match *number {
                "1" => json(200, &self.listed()),
                _ => problem(ProblemKind::NotFound, "no such release point"),
            },
            ("POST", None, ["v1", "surveys", _, "releases"]) => {
                json(200, &ReleaseNow { survey: self.survey.id(), release: RELEASE, made: true })
            }
            ("POST", None, ["v1", "submissions", id, "withdraw"]) => {
                let id: SubmissionId = id.parse().unwrap();
                let wish: Withdrawal = serde_json::from_slice(body).unwrap();
                if wish.verify(&self.admitted[&id].withdrawal_key).is_err() {
                    return problem(ProblemKind::Malformed, "not its key");
                }
                self.withdrawn.push(id);
                let receipts = (0..3).map(|p| self.erasure(id, p)).collect();
                json(200, &self.status(id, SubmissionState::Withdrawn { receipts }))
            }
            ("POST", None, ["v1", "surveys", _, "submissions"]) => self.admit(body),
            ("GET", None, ["v1", "submissions", id]) => {
                let id: SubmissionId = id.parse().unwrap();
                let receipts = (0..3).map(|p| self.receipt(id, p)).collect();
                let state = if self.complete(id) {
                    SubmissionState::Accepted { receipts }
                } else {
                    SubmissionState::Pending
                };
                json(200, &self.status(id, state))
            }
            ("PUT", Some(p), ["v1", "submissions", id, "share"]) => {
                let id: SubmissionId = id.parse().unwrap();
                let upload = ShareUpload::decode(body).unwrap();
                upload.ticket.verify(&self.coordinator.public()).unwrap();
                assert_eq!(PublicPart::decode(&upload.public).unwrap().id(), id);
                let private = open_private(&self.opening[p], id, p as u8, &upload.sealed).unwrap();
                self.shares[p].insert(id, private.to_vec());
                self.party_status(id, p)
            }
            ("GET", Some(p), ["v1", "submissions", id]) => self.party_status(id.parse().unwrap(), p),
            ("POST", None, ["v1", "surveys", _, "queries"]) => {
                let request: QueryRequest = serde_json::from_slice(body).unwrap();
                let (_, query) = self.question(&request);
                self.queries.insert(query, request);
                let mut response = json(202, &QueryStatus { query, state: QueryState::Running });
                response
                    .headers_mut()
                    .insert(header::LOCATION, format!("/v1/queries/{query}").parse().unwrap());
                response
            }
            ("GET", None, ["v1", "queries", id]) => {
                let query: QueryId = id.parse().unwrap();
                let looks = self.log.iter().filter(|(m, p)| m == Method::GET && p == path).count();
                if looks < 3 {
                    return json(200, &QueryStatus { query, state: QueryState::Running });
                }
                let (question, _) = self.question(&self.queries[&query]);
                let all: Vec<String> = question.statistics.into_iter().collect();
                json(
                    200,
                    &QueryStatus { query, state: QueryState::Done { result: self.result(query, &all) } },
                )
            }
            _ => problem(ProblemKind::NotFound, path),
        }
    }

    fn admit(&mut self, body: &Bytes) -> Response {
        let public = PublicPart::decode(body).unwrap();
        let id = public.id();
        assert_eq!(public.survey, self.survey.id());
        self.admitted.insert(id, public);
        if self.complete(id) {
            let receipts = (0..3).map(|p| self.receipt(id, p)).collect();
            return json(200, &self.status(id, SubmissionState::Accepted { receipts }));
        }
        let ticket = Ticket::issue(&self.coordinator, self.survey.id(), id, 1_900_000_000);
        json(201, &Admission { submission: id, ticket })
    }

    fn party_status(&self, id: SubmissionId, party: usize) -> Response {
        if !self.shares[party].contains_key(&id) {
            return problem(ProblemKind::NotFound, "never seen");
        }
        match self.complete(id) {
            true => {
                let receipts = vec![self.receipt(id, party)];
                json(200, &self.status(id, SubmissionState::Accepted { receipts }))
            }
            false => json(202, &self.status(id, SubmissionState::Pending)),
        }
    }
}

async fn serve(State(state): State<Arc<Mutex<(World, Hook)>>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 4 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let mut guard = state.lock().unwrap();
    let (world, hook) = &mut *guard;
    let nth = world.log.iter().filter(|(m, p)| *m == parts.method && *p == path).count();
    world.log.push((parts.method.clone(), path.clone()));
    let call = Call { method: parts.method, path, nth };
    match hook(&call, world) {
        Some(response) => response,
        None => world.answer(&call.method, &call.path, &body),
    }
}
