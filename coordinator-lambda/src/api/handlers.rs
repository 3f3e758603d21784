//! One function per operation.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::str::FromStr;
use tercet_protocol::api::{
    FederationInfo, Problem, ProblemKind, QueryRequest, QueryState, ReleaseList, SubmissionState,
    SurveySummary,
};
use tercet_protocol::ids::SurveyId;
use tercet_protocol::notary::TicketRequest;

use super::context::ClientAddress;
use super::operations::Operation;
use super::problem::Failure;
use crate::admission::{Outcome, RateReport, whole_seconds};
use crate::coordinator::Coordinator;
use crate::error::{Error, refuse};
use crate::store::releases::Published;
use crate::token::RequestToken;

type Shared = State<Arc<Coordinator>>;
type Answer = Result<Response, Failure>;
type PathId = Result<Path<String>, PathRejection>;

/// Largest JSON body, in bytes.
const MAX_JSON: usize = 16 * 1024;
/// Most release points in one list: some years of daily ones.
const MAX_LISTED: i32 = 1_000;
/// For documents that never change.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The handler of an operation.
pub(super) fn of(operation: Operation) -> MethodRouter<Arc<Coordinator>> {
    match operation {
        Operation::Health => get(health),
        Operation::Ready => get(ready),
        Operation::Document => get(document),
        Operation::Federation => get(federation),
        Operation::Surveys => get(surveys),
        Operation::Survey => get(survey),
        Operation::Submit => post(submit),
        Operation::NotaryTicket => post(notary_ticket),
        Operation::Withdraw => post(withdraw),
        Operation::SubmissionStatus => get(submission_status),
        Operation::Query => post(query),
        Operation::QueryStatus => get(query_status),
        Operation::Releases => get(releases),
        Operation::ReleaseNow => post(release_now),
        Operation::ReleaseStatistics => get(release_statistics),
        Operation::Statistics => get(statistics),
    }
}

async fn health() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

async fn ready(State(c): Shared) -> Answer {
    match c.store.ready().await {
        Ok(()) => Ok(Json(json!({ "status": "ready" })).into_response()),
        Err(e) => {
            tracing::warn!(error = %e, "not ready");
            let detail = "the registry does not answer";
            Err(crate::error::Error::from(Problem::new(ProblemKind::Busy, detail).retry_after(5)).into())
        }
    }
}

async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], super::OPENAPI).into_response()
}

async fn federation(State(c): Shared) -> Json<FederationInfo> {
    Json(c.federation())
}

async fn surveys(State(c): Shared) -> Json<Vec<SurveySummary>> {
    Json(c.surveys())
}

async fn survey(State(c): Shared, id: PathId, headers: HeaderMap) -> Answer {
    let survey = c.survey(id_of(id, "survey")?)?;
    // The id is the hash of these bytes: they can never change.
    let etag = format!("\"{}\"", survey.id());
    Ok(cacheable(&headers, &etag, FOREVER, || Bytes::copy_from_slice(survey.descriptor.bytes())))
}

async fn submit(
    State(c): Shared,
    id: PathId,
    address: ClientAddress,
    token: RequestToken,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let survey: SurveyId = id_of(id, "survey")?;
    let body = whole(body, crate::admission::MAX_SUBMISSION)?;
    content_type(&headers, "application/octet-stream")?;
    let mut report = RateReport::of(token);
    let answer = match c.admit(survey, &body, &address.0, &mut report).await {
        Ok(Outcome::Admitted(admission)) => {
            let location = c.location(&format!("/v1/submissions/{}", admission.submission));
            (StatusCode::CREATED, [(LOCATION, location)], Json(admission)).into_response()
        }
        Ok(Outcome::Accepted(status)) => Json(status).into_response(),
        Err(e) => Failure(e).into_response(),
    };
    Ok(with_rates(answer, &report))
}

async fn notary_ticket(
    State(c): Shared,
    id: PathId,
    address: ClientAddress,
    token: RequestToken,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let survey: SurveyId = id_of(id, "survey")?;
    let body = whole(body, MAX_JSON)?;
    content_type(&headers, "application/json")?;
    let request: TicketRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(e) => {
            let detail = format!("the body does not name a notary's key: {e}");
            return refuse(ProblemKind::Malformed, detail).map_err(Failure);
        }
    };
    let mut report = RateReport::of(token);
    let answer = match c.notary_ticket(survey, request.notary, &address.0, &mut report).await {
        Ok(ticket) => (StatusCode::CREATED, Json(ticket)).into_response(),
        Err(e) => Failure(e).into_response(),
    };
    Ok(with_rates(answer, &report))
}

async fn submission_status(
    State(c): Shared,
    id: PathId,
    address: ClientAddress,
    token: RequestToken,
) -> Answer {
    let id = id_of(id, "submission")?;
    Ok(limited_status(&c, &address, token, c.submission_status(id)).await)
}

async fn query(
    State(c): Shared,
    id: PathId,
    address: ClientAddress,
    token: RequestToken,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let survey: SurveyId = id_of(id, "survey")?;
    let body = whole(body, MAX_JSON)?;
    let request =
        if body.is_empty() { QueryRequest::default() } else { json_body(&headers, &body, "a query")? };
    let mut report = RateReport::of(token);
    let answer = match c.ask(survey, request, &address.0, &mut report).await {
        Ok(status) => {
            let code = match status.state {
                QueryState::Running => StatusCode::ACCEPTED,
                QueryState::Done { .. } | QueryState::Refused { .. } => StatusCode::OK,
            };
            let location = c.location(&format!("/v1/queries/{}", status.query));
            (code, [(LOCATION, location)], Json(status)).into_response()
        }
        Err(e) => Failure(e).into_response(),
    };
    Ok(with_rates(answer, &report))
}

async fn query_status(State(c): Shared, id: PathId, address: ClientAddress, token: RequestToken) -> Answer {
    let id = id_of(id, "query")?;
    Ok(limited_status(&c, &address, token, c.query_status(id)).await)
}

async fn withdraw(
    State(c): Shared,
    id: PathId,
    address: ClientAddress,
    token: RequestToken,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let id = id_of(id, "submission")?;
    let body = whole(body, MAX_JSON)?;
    let withdrawal = json_body(&headers, &body, "a withdrawal")?;
    let mut report = RateReport::of(token);
    let answer = match c.withdraw(id, &withdrawal, &address.0, &mut report).await {
        Ok(status) => {
            let code = match status.state {
                SubmissionState::Withdrawn { .. } => StatusCode::OK,
                _ => StatusCode::ACCEPTED,
            };
            (code, Json(status)).into_response()
        }
        Err(e) => Failure(e).into_response(),
    };
    Ok(with_rates(answer, &report))
}

async fn releases(State(c): Shared, id: PathId) -> Answer {
    let survey = c.survey(id_of(id, "survey")?)?;
    let published = c.store.releases(survey.id(), MAX_LISTED).await.map_err(Error::from)?;
    let releases = published.into_iter().map(|p| p.point).collect();
    let cache = format!("public, max-age={}", c.config.statistics_max_age);
    Ok(([(CACHE_CONTROL, cache)], Json(ReleaseList { survey: survey.id(), releases })).into_response())
}

async fn release_now(State(c): Shared, id: PathId, address: ClientAddress, token: RequestToken) -> Answer {
    let survey = id_of(id, "survey")?;
    let mut report = RateReport::of(token);
    let answer = match c.release_now(survey, &address.0, &mut report).await {
        Ok(now) => Json(now).into_response(),
        Err(e) => Failure(e).into_response(),
    };
    Ok(with_rates(answer, &report))
}

async fn release_statistics(
    State(c): Shared,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let Ok(Path((survey, number))) = path else {
        return refuse(ProblemKind::Malformed, "the address is not text").map_err(Failure);
    };
    let survey = c.survey(id_of(Ok(Path(survey)), "survey")?)?;
    let number: u64 = id_of(Ok(Path(number)), "release point")?;
    let Some(published) = c.store.release(survey.id(), number).await.map_err(Error::from)? else {
        let detail =
            "no release point with this number is published: GET the survey's /releases for those that are";
        return refuse(ProblemKind::NotFound, detail).map_err(Failure);
    };
    // Signed by three parties and never changed.
    published_text(&c, &headers, &published, FOREVER).await
}

async fn statistics(State(c): Shared, id: PathId, headers: HeaderMap) -> Answer {
    let survey = c.survey(id_of(id, "survey")?)?;
    let newest = c.newest(&survey).await?;
    let cache = format!("public, max-age={}", c.config.statistics_max_age);
    published_text(&c, &headers, &newest, &cache).await
}

async fn published_text(c: &Coordinator, headers: &HeaderMap, published: &Published, cache: &str) -> Answer {
    let text = c.statistics(published).await?;
    Ok(cacheable(headers, &format!("\"{}\"", published.result), cache, || Bytes::from(text)))
}

/// A JSON object in a body.
fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8], what: &str) -> Result<T, Failure> {
    content_type(headers, "application/json")?;
    // By way of an object: a list would read as the fields in order.
    let fields: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    fields.and_then(|f| serde_json::from_value(Value::Object(f))).map_err(|e| {
        Failure(Problem::new(ProblemKind::Malformed, format!("the body is not {what}: {e}")).into())
    })
}

/// A status, if the address may ask for one now; only then is `status` begun.
async fn limited_status<T: Serialize>(
    c: &Coordinator,
    address: &ClientAddress,
    token: RequestToken,
    status: impl Future<Output = Result<T, Error>>,
) -> Response {
    let mut report = RateReport::of(token);
    let asked = async {
        c.limit("status", &address.0, c.config.limits.status, &mut report).await?;
        status.await
    };
    let answer = match asked.await {
        Ok(status) => Json(status).into_response(),
        Err(e) => Failure(e).into_response(),
    };
    with_rates(answer, &report)
}

/// An id from the path.
fn id_of<T: FromStr<Err: std::fmt::Display>>(text: PathId, what: &str) -> Result<T, Failure> {
    let Ok(Path(text)) = text else {
        return refuse(ProblemKind::Malformed, format!("the {what} in the address is not text"))
            .map_err(Failure);
    };
    text.parse().map_err(|e| {
        Failure(
            Problem::new(ProblemKind::Malformed, format!("the {what} in the address is not an id: {e}"))
                .into(),
        )
    })
}

/// The body, if it arrived whole and is not too long.
fn whole(body: Result<Bytes, BytesRejection>, max: usize) -> Result<Bytes, Failure> {
    let too_large = || Problem::new(ProblemKind::TooLarge, format!("send at most {max} bytes"));
    match body {
        Ok(bytes) if bytes.len() <= max => Ok(bytes),
        Ok(_) => Err(Failure(too_large().into())),
        Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Failure(too_large().into())),
        Err(e) => {
            Err(Failure(Problem::new(ProblemKind::Malformed, format!("the body did not arrive: {e}")).into()))
        }
    }
}

/// Demands a content type; a missing one is accepted.
fn content_type(headers: &HeaderMap, wanted: &str) -> Result<(), Failure> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().ok().and_then(|v| v.split(';').next()).unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    refuse(ProblemKind::Malformed, format!("send the body as {wanted}")).map_err(Failure)
}

/// A JSON body with its validator: 304 if the client has it already.
fn cacheable(request: &HeaderMap, etag: &str, cache: &str, body: impl FnOnce() -> Bytes) -> Response {
    let headers = [(ETAG, etag.to_owned()), (CACHE_CONTROL, cache.to_owned())];
    let known =
        request.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    // Weak comparison, as RFC 9110 section 13.1.2 wants it for this header: a proxy may have weakened ours.
    let matches = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
    if known.map(str::trim).any(matches) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(CONTENT_TYPE, "application/json")], body()).into_response()
}

/// Adds `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): quota `q` and the window
/// `w` in which an empty bucket fills; remaining requests `r` and seconds `t` until there are more.
fn with_rates(mut response: Response, report: &RateReport) -> Response {
    let list = |item: fn(&crate::admission::RateLine) -> String| {
        HeaderValue::try_from(report.lines.iter().map(item).collect::<Vec<_>>().join(", "))
    };
    let policy = list(|l| {
        let window = (f64::from(l.rate.burst) / l.rate.per_second).ceil().max(1.0);
        format!("\"{}\";q={};w={window:.0}", l.scope, l.rate.burst)
    });
    let now = list(|l| format!("\"{}\";r={};t={}", l.scope, l.taken.remaining, whole_seconds(l.taken.reset)));
    if let (false, Ok(policy), Ok(now)) = (report.lines.is_empty(), policy, now) {
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("ratelimit-policy"), policy);
        headers.insert(HeaderName::from_static("ratelimit"), now);
    }
    response
}
