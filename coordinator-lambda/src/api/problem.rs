//! Problem details as responses.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use tercet_protocol::api::{PROBLEM_JSON, Problem, ProblemKind};

use crate::error::Error;

/// The kind of problem that a response carries, for the log.
#[derive(Debug, Clone)]
pub(super) struct Answered(pub ProblemKind);

/// Why the answer is a failure inside; for the log, never for the client.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub String);

/// The response for a problem.
pub(super) fn response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response =
        (status, [(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))], body).into_response();
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(kind) = problem.known() {
        response.extensions_mut().insert(Answered(kind));
    }
    response
}

/// The error of a handler.
pub struct Failure(pub Error);

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let cause = match &self.0 {
            Error::Refused(_) => None,
            inside => Some(Cause(inside.to_string())),
        };
        let mut answer = response(&self.0.into_problem());
        if let Some(cause) = cause {
            answer.extensions_mut().insert(cause);
        }
        answer
    }
}
