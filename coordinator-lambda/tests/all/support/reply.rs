//! Calls of a router, and the properties that every reply must have.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use coordinator_lambda::api::invocation::Invocation;
use coordinator_lambda::api::operations::{EVERYWHERE, Operation};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tercet_protocol::api::{PROBLEM_JSON, Problem, ProblemKind};
use tower::ServiceExt as _;

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {text}", self.status))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    /// The problem, which must be of this kind.
    pub fn problem(&self, kind: ProblemKind) -> Problem {
        let problem: Problem = self.json();
        assert_eq!(problem.known(), Some(kind), "{problem:?}");
        problem
    }
}

/// A request to make.
pub struct Call {
    request: http::request::Builder,
    method: Method,
    path: String,
    address: String,
    body: Vec<u8>,
    invocation: Option<Invocation>,
}

pub fn get(path: impl Into<String>) -> Call {
    Call::new(Method::GET, path)
}

pub fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Call {
    Call { body: body.into(), ..Call::new(Method::POST, path) }
}

impl Call {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        let request = Request::builder().method(method.clone()).uri(&path);
        Self { request, method, path, address: "192.0.2.1:5000".into(), body: Vec::new(), invocation: None }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn from(mut self, address: &str) -> Self {
        self.address = address.into();
        self
    }

    /// As part of a Lambda invocation with this id.
    pub fn invocation(mut self, id: &str) -> Self {
        self.invocation = Some(Invocation { id: id.into(), trace: None });
        self
    }

    /// Sends it and checks the properties that every reply must have.
    pub async fn send(self, router: &Router) -> Reply {
        let mut request = self.request.body(Body::from(self.body)).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.address.parse::<SocketAddr>().unwrap()));
        if let Some(invocation) = self.invocation {
            request.extensions_mut().insert(invocation);
        }
        let response = router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let reply = Reply { status: parts.status.as_u16(), headers: parts.headers, body };
        check(&self.method, &self.path, &reply);
        reply
    }
}

/// Every reply has a request id; every error is a problem document whose kind its operation declares.
fn check(method: &Method, path: &str, reply: &Reply) {
    assert!(reply.header("x-request-id").is_some(), "{method} {path}");
    let operation = Operation::ALL.iter().find(|o| o.method() == *method && fits(o.path(), path));
    if reply.status < 400 {
        let declared = operation.expect("a success of an operation").successes();
        assert!(declared.contains(&reply.status), "{method} {path}: {} is not declared", reply.status);
        return;
    }
    assert_eq!(reply.header("content-type"), Some(PROBLEM_JSON), "{method} {path}");
    let problem: Problem = reply.json();
    let kind = problem.known().unwrap();
    assert_eq!((problem.status, kind.status()), (reply.status, reply.status), "{problem:?}");
    assert_eq!(problem.title, kind.title());
    assert_eq!(problem.retry_after.map(|s| s.to_string()).as_deref(), reply.header("retry-after"));
    let declared = match operation {
        Some(o) => o.problems().contains(&kind) || EVERYWHERE.contains(&kind),
        None => matches!(kind, ProblemKind::NotFound | ProblemKind::MethodNotAllowed),
    };
    assert!(declared, "{method} {path}: {kind:?} is not declared");
}

fn fits(pattern: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let (a, b): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    a.len() == b.len() && a.iter().zip(b).all(|(p, s)| p.starts_with('{') || *p == s)
}
