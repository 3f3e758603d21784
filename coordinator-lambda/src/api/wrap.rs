//! What surrounds every request: its id, its log line, its time limit, and the catch for panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use http::HeaderValue;
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::keys::random;
use tracing::Instrument as _;

use super::problem::{Answered, Cause, response};
use crate::coordinator::Coordinator;

const REQUEST_ID: &str = "x-request-id";

/// The middleware around the router.
pub(super) async fn wrap(
    State(coordinator): State<Arc<Coordinator>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    // The route, not the path: ids in paths would make every line its own kind.
    let route = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let span = tracing::info_span!("request", id);
    let limit = Duration::from_millis(coordinator.config.request_timeout_ms);

    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut answer = match tokio::time::timeout(limit, work).instrument(span.clone()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            // The panic hook has logged message and place.
            let mut answer =
                response(&Problem::new(ProblemKind::Internal, "the coordinator failed: see its log"));
            answer.extensions_mut().insert(Cause("panic".into()));
            answer
        }
        Err(_) => {
            let detail = "the coordinator took too long: what it began is safe, send the request again";
            response(&Problem::new(ProblemKind::Busy, detail).retry_after(2))
        }
    };

    let _entered = span.enter();
    let status = answer.status().as_u16();
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let problem = answer.extensions().get::<Answered>().map(|a| a.0.slug());
    let route = route.as_deref().unwrap_or("unknown");
    match answer.extensions().get::<Cause>() {
        Some(cause) => {
            tracing::error!(%method, route, status, ms, problem, cause = cause.0, "request failed")
        }
        None => tracing::info!(%method, route, status, ms, problem, "request"),
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    answer
}

/// The client's request id if it is a harmless one, else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok());
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    match given.filter(harmless) {
        Some(id) => id.to_owned(),
        // Without randomness there is an id still, if not a unique one.
        None => hex::encode(random::<8>().unwrap_or_default()),
    }
}
