//! The HTTP API: one router for Lambda and for the local server.

mod context;
mod handlers;
pub mod invocation;
#[cfg(feature = "cloud")]
pub mod lambda;
mod middleware;
pub mod operations;
mod problem;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tercet_protocol::api::{Problem, ProblemKind};

use crate::coordinator::Coordinator;
use operations::Operation;

pub use context::ClientAddress;

/// The OpenAPI document, as checked in.
pub const OPENAPI: &str = include_str!("../../openapi.json");

/// The API over a coordinator.
pub fn router(coordinator: Arc<Coordinator>) -> Router {
    let wrapping = middleware::Wrapping {
        limit: Duration::from_millis(coordinator.config.request_timeout_ms),
        metrics: coordinator.config.metrics,
        clock: Arc::clone(&coordinator.clock),
    };
    let mut router = Router::new();
    for operation in Operation::ALL {
        router = router.route(operation.path(), handlers::of(*operation));
    }
    router
        .fallback(|| async { problem::response(&not_found()) })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(crate::admission::MAX_SUBMISSION))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&coordinator), newest_documents))
        .layer(axum::middleware::from_fn_with_state(wrapping, middleware::wrap))
        .with_state(coordinator)
}

/// A request is answered by the newest documents, as far as they were looked for lately.
async fn newest_documents(State(c): State<Arc<Coordinator>>, request: Request, next: Next) -> Response {
    c.look_for_documents().await;
    next.run(request).await
}

fn not_found() -> Problem {
    Problem::new(ProblemKind::NotFound, "nothing has this address: /openapi.json lists what there is")
}

async fn method_not_allowed() -> Response {
    let detail = "this address does not take this method: the Allow header lists those it takes";
    problem::response(&Problem::new(ProblemKind::MethodNotAllowed, detail))
}
