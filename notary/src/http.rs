//! The HTTP side: the beginning of sessions, and the operator's tools.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use metrics::counter;
use serde::Deserialize;
use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::notary::{MAX_TEXT, NotaryInfo};

use crate::gate::Full;
use crate::serve::Notary;
use crate::session;

/// Largest frame of a WebSocket, in bytes: a few TLS records.
const MAX_FRAME: usize = 64 * 1024;

/// The address that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// All routes.
pub fn router(notary: Arc<Notary>) -> Router {
    Router::new()
        .route("/v1/sessions", get(begin))
        .route("/v1/notary", get(info))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .with_state(notary)
}

#[derive(Deserialize)]
struct Asked {
    survey: SurveyId,
}

async fn begin(
    State(notary): State<Arc<Notary>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(Query(Asked { survey })) = asked else {
        return problem(StatusCode::BAD_REQUEST, "survey-missing", "name the survey: /v1/sessions?survey=ID");
    };
    let Some(survey) = notary.surveys.get(survey).cloned() else {
        let detail = "this notary's operator has not approved a survey of this id";
        return problem(StatusCode::NOT_FOUND, "survey-unknown", detail);
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let pass = match notary.gate.enter(address(&notary, peer, &headers)) {
        Ok(pass) => pass,
        Err(full) => {
            let (status, code) = match full {
                Full::All => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                Full::Address => (StatusCode::TOO_MANY_REQUESTS, "busy-address"),
            };
            counter!("tercet_notary_sessions_total", "outcome" => code).increment(1);
            return problem(status, code, &full.to_string());
        }
    };
    upgrade
        .max_message_size(MAX_FRAME.max(MAX_TEXT))
        .max_frame_size(MAX_FRAME)
        .on_upgrade(move |socket| session::serve(notary, survey, socket, pass))
}

/// The caller's address: the connection's other end, or the address that the load balancer in front gives.
fn address(notary: &Notary, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded = || {
        // A load balancer appends; what stands before is the provider's own word.
        let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse().ok()
    };
    notary.forwarded.then(forwarded).flatten().unwrap_or(peer.ip())
}

async fn info(State(notary): State<Arc<Notary>>) -> Json<NotaryInfo> {
    Json(NotaryInfo {
        key: PublicKey(notary.key.public()),
        surveys: notary.surveys.ids().collect(),
        mapped: notary.resolver.mapped().map(str::to_owned).collect(),
    })
}

async fn metrics(State(notary): State<Arc<Notary>>) -> Response {
    let text = notary.metrics.as_ref().map(|m| m.render()).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": "about:blank", "status": status.as_u16(), "code": code, "detail": detail,
    });
    (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
