//! What surrounds every request: its id, its log line, its time limit, and the catch for panics.

use std::panic::AssertUnwindSafe;
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

const REQUEST_ID: &str = "x-request-id";

/// The middleware around the router; the state is how long one request may take.
pub(super) async fn wrap(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    // The route, not the path: ids in paths would make every line its own kind.
    let route = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let span = tracing::info_span!("request", id);

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
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/hangs", get(std::future::pending::<()>))
            .layer(axum::middleware::from_fn_with_state(Duration::from_secs(9), wrap));
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
