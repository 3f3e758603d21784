//! The frame of every request: its id, its log line, its time limit, and the catch for panics.

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

use crate::clock::Clock;
use crate::metrics::Metrics;

use super::invocation::Invocation;
use super::problem::{Answered, Cause, response};

const REQUEST_ID: &str = "x-request-id";

/// The settings of the frame.
#[derive(Clone)]
pub(super) struct Wrapping {
    /// Longest time one request may take.
    pub limit: Duration,
    /// The target of metrics.
    pub metrics: Metrics,
    /// The time that metrics carry.
    pub clock: Arc<dyn Clock>,
}

/// The middleware around the router; the state is how long one request may take.
pub(super) async fn wrap(State(w): State<Wrapping>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    // The route, not the path: ids in paths would make every line its own kind.
    let route = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let invocation = request.extensions().get::<Invocation>().cloned().unwrap_or_default();
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    // Empty fields are left out: there is no invocation on a local server.
    let span =
        tracing::info_span!("request", id, invocation = given(&invocation.id), trace = invocation.trace);

    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut answer = match tokio::time::timeout(w.limit, work).instrument(span.clone()).await {
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
    let ms = (started.elapsed().as_secs_f64() * 1e5).round() / 100.0;
    let problem = answer.extensions().get::<Answered>().map(|a| a.0.slug());
    let route = route.as_deref().unwrap_or("unknown");
    match answer.extensions().get::<Cause>() {
        Some(cause) => {
            tracing::error!(%method, route, status, ms, problem, cause = cause.0, "request failed")
        }
        None => tracing::info!(%method, route, status, ms, problem, "request"),
    }
    w.metrics.request(w.clock.now().as_millis(), route, status, ms);
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tercet_protocol::api::PROBLEM_JSON;
    use tower::ServiceExt as _;

    use super::*;

    async fn call(path: &str, id: &str) -> Response {
        async fn panics() {
            panic!("on purpose");
        }
        let wrapping = Wrapping {
            limit: Duration::from_secs(9),
            metrics: Metrics::None,
            clock: Arc::new(crate::SystemClock),
        };
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/hangs", get(std::future::pending::<()>))
            .layer(axum::middleware::from_fn_with_state(wrapping, wrap));
        let request = http::Request::get(path).header(REQUEST_ID, id).body(Body::empty());
        router.oneshot(request.unwrap()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn panics_and_hangs_become_problems() {
        for (path, status) in [("/panics", 500), ("/hangs", 503)] {
            let answer = call(path, "abc-1").await;
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(answer.headers()["content-type"], PROBLEM_JSON);
            assert_eq!(answer.headers()[REQUEST_ID], "abc-1");
        }
        // An id that could break a log line is replaced.
        let answer = call("/panics", "a b{}").await;
        assert_eq!(answer.headers()[REQUEST_ID].len(), 16);
    }
}
