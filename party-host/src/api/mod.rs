//! The party's public API.
//!
//! | Route | Does |
//! |---|---|
//! | `PUT /v1/submissions/{id}/share` | takes an upload, waits for the decision: 200 with receipt, 202, or a problem |
//! | `GET /v1/submissions/{id}` | where a submission stands here |
//! | `POST /v1/submissions/{id}/withdraw` | erases a submission at its provider's signed wish: 200 with receipt, 202, or a problem |
//! | `GET /v1/surveys/{id}` | height and head of a survey's log, newest release point |
//! | `GET /v1/surveys/{id}/releases/{n}/statistics` | the listed statistics of a release point |
//! | `POST /v1/surveys/{id}/releases` | a release point now (party 0, for development) |
//! | `PUT /v1/queries/{id}`, `GET /v1/queries/{id}` | starts the query of a ticket (party 0), says where it stands (`Prefer: wait=N`: once it has ended) |
//! | `GET /v1/operator` | the operator's signed manifest |
//! | `GET /healthz`, `/readyz` | liveness, readiness |
//!
//! While the party starts, `/healthz` answers 200, and all else 503 with a sentence about how far it is and `Retry-After`. Where
//! several surveys are loaded, requests about those that are loaded are answered.
//!
//! Metrics are on a listener of their own ([`metrics_router`]): they say how much the party does and with whom, which is not for everybody.

mod body;
mod host;
mod listen;
mod respond;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::de::DeserializeOwned;
use tercet_protocol::api::{PREFER, Problem, ProblemKind, SubmissionState, SubmissionStatus, preferred_wait};
use tercet_protocol::ids::SubmissionId;
use tercet_protocol::query_ticket::QueryTicket;
use tercet_protocol::submission::{MAX_UPLOAD, ShareUpload};
use tercet_protocol::withdrawal::Withdrawal;

use crate::node::Node;
pub use body::Bodies;
use body::announced;
pub use host::Host;
pub use listen::{Bounds, serve};
use listen::{Connection, Known};
use respond::{Failure, json};

/// Upper bound of long polling: an upload without a decision gets 202 after this time, and `Prefer: wait` on a
/// question is capped to it.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// Time for which the refusal of a question without a valid ticket is held back: a flood of them costs its sender
/// connections, and this party almost nothing. The coordinator, whose tickets are valid, never waits for it.
pub const HELD_BACK: Duration = Duration::from_millis(300);
/// Largest JSON body.
const MAX_JSON: usize = 64 * 1024;

/// The state that the handlers share.
#[derive(Clone)]
pub struct App {
    /// The party, or its start while there is none.
    pub host: Arc<Host>,
    /// The bodies that are being read.
    pub bodies: Bodies,
}

impl App {
    fn node(&self) -> Result<&Arc<Node>, Failure> {
        self.host.running()
    }
}

/// A problem for an id that is not found while some surveys are not loaded yet: it may belong to one of those.
fn absent(node: &Node, detail: &str) -> Failure {
    Failure(match node.loading() {
        None => Problem::new(ProblemKind::NotFound, detail),
        Some(what) => Problem::new(ProblemKind::PartyUnavailable, what).retry_after(5),
    })
}

/// The API's routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/submissions/{id}/share", put(upload))
        .route("/v1/submissions/{id}", get(submission))
        .route("/v1/submissions/{id}/withdraw", post(withdraw))
        .route("/v1/surveys/{id}", get(survey))
        .route("/v1/surveys/{id}/releases", post(release_now))
        .route("/v1/surveys/{id}/releases/{n}/statistics", get(statistics))
        .route("/v1/queries/{id}", get(query).put(put_query))
        .route("/v1/operator", get(operator))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async {
            Failure(Problem::new(ProblemKind::NotFound, "see /v1/operator, or the documentation"))
        })
        .method_not_allowed_fallback(|| async {
            Failure(Problem::new(ProblemKind::MethodNotAllowed, "another method is meant here"))
        })
        .layer(middleware::from_fn(respond::trace))
        .with_state(app)
}

/// The routes of the operator's own listener: `GET /metrics`, for Prometheus.
pub fn metrics_router(metrics: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(|| async move { metrics.render() }))
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|e| Failure(Problem::new(ProblemKind::Malformed, format!("the id in the address: {e}"))))
}

async fn json_body<T: DeserializeOwned>(app: &App, request: Request) -> Result<T, Failure> {
    let bytes = app.bodies.small(request.into_body(), MAX_JSON).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Failure(Problem::new(ProblemKind::Malformed, format!("the body: {e}"))))
}

/// The ticket comes first: nothing else of an upload is read before a valid ticket.
async fn ticketed_body(
    app: &App,
    id: SubmissionId,
    request: Request,
) -> Result<(Bytes, Option<Known>), Failure> {
    let node = app.node()?;
    let connection = request.extensions().get::<Connection>().cloned();
    let length = announced(request.body(), MAX_UPLOAD)?;
    let mut reading = app.bodies.begin(request.into_body());
    node.admits(id, reading.first(ShareUpload::HEAD).await?)?;
    let known = connection.map(|c| c.known());
    reading.grant(&app.bodies, length)?;
    reading.patient();
    Ok((reading.all(length).await?, known))
}

async fn upload(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let id = parse(&id)?;
    let (body, _known) = ticketed_body(&app, id, request).await?;
    let status = app.node()?.upload(id, body, LONGEST_WAIT).await?;
    let code = match status.state {
        SubmissionState::Accepted { .. } => StatusCode::OK,
        SubmissionState::Pending => StatusCode::ACCEPTED,
        SubmissionState::Rejected { problem } => return Err(Failure(problem)),
        SubmissionState::Withdrawn { .. } => {
            let detail = "it was erased as its provider wished, and cannot be sent again";
            return Err(Failure(Problem::new(ProblemKind::Withdrawn, detail)));
        }
    };
    Ok((code, json(&status)).into_response())
}

async fn submission(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Failure> {
    let id = parse(&id)?;
    let node = app.node()?;
    match node.submission(id) {
        Some(status) => Ok(json::<SubmissionStatus>(&status)),
        None => Err(absent(node, "this party has no such submission")),
    }
}

async fn withdraw(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let id = parse(&id)?;
    let node = app.node()?;
    let wish: Withdrawal = json_body(&app, request).await?;
    let status = node.withdraw(id, wish, LONGEST_WAIT).await?;
    let code = match status.state {
        SubmissionState::Withdrawn { .. } => StatusCode::OK,
        _ => StatusCode::ACCEPTED,
    };
    Ok((code, json(&status)).into_response())
}

async fn statistics(
    State(app): State<App>,
    Path((id, point)): Path<(String, u64)>,
) -> Result<Response, Failure> {
    Ok(json(&app.node()?.statistics(parse(&id)?, point).await?))
}

async fn release_now(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Failure> {
    Ok(json(&app.node()?.release_now(parse(&id)?).await?))
}

async fn survey(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Failure> {
    let id = parse(&id)?;
    let node = app.node()?;
    node.survey(id)?;
    match node.survey_status(id) {
        Some(status) => Ok(json(&status)),
        None => Err(absent(node, "this party does not run this survey")),
    }
}

async fn put_query(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let asked = async {
        let (id, node) = (parse(&id)?, app.node()?);
        let ticket: QueryTicket = json_body(&app, request).await?;
        Ok::<_, Failure>(node.start_query(id, ticket)?)
    };
    match asked.await {
        Ok(status) => Ok((StatusCode::ACCEPTED, json(&status)).into_response()),
        Err(refusal) => {
            let unsigned =
                matches!(refusal.0.known(), Some(ProblemKind::Malformed | ProblemKind::TicketInvalid));
            if unsigned && refusal.0.rule.is_none() {
                tokio::time::sleep(HELD_BACK).await;
            }
            Err(refusal)
        }
    }
}

async fn query(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let wait = headers.get(PREFER).and_then(|p| preferred_wait(p.to_str().ok()?)).unwrap_or_default();
    let wait = Duration::from_secs(wait).min(LONGEST_WAIT);
    let node = app.node()?;
    match node.query_ended(parse(&id)?, wait).await {
        Some(status) => Ok(json(&status)),
        None => Err(absent(node, "this party has no such query")),
    }
}

async fn operator(State(app): State<App>) -> Result<Response, Failure> {
    let manifest = app.node()?.manifest();
    manifest.map(|m| json(&m)).ok_or_else(|| {
        Failure(Problem::new(ProblemKind::Internal, "the deployment does not list this operator"))
    })
}

async fn ready(State(app): State<App>) -> Result<&'static str, Failure> {
    match app.node()?.ready() {
        Ok(()) => Ok("ready\n"),
        Err(why) => Err(Failure(Problem::new(ProblemKind::PartyUnavailable, why).retry_after(2))),
    }
}
