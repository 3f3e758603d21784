//! The router as a Lambda function behind API Gateway (REST or HTTP API) or a function URL.

use std::convert::Infallible;
use std::future::Future;

use axum::Router;
use axum::response::Response;
use http::Uri;
use http::uri::PathAndQuery;
use lambda_http::RequestExt as _;
use lambda_http::request::RequestContext;
use lambda_http::tower::{Service as _, service_fn};

use super::context::GatewayAddress;
use super::invocation::Invocation;

/// Serves until the Lambda environment ends.
pub async fn serve(router: Router) -> Result<(), lambda_http::Error> {
    lambda_http::run(service_fn(move |request| handle(router.clone(), request))).await
}

/// One request.
pub fn handle(
    mut router: Router,
    mut request: lambda_http::Request,
) -> impl Future<Output = Result<Response, Infallible>> + Send {
    if let Some(uri) = without_stage(&request) {
        *request.uri_mut() = uri;
    }
    let gateway = request.request_context_ref().map(|context| match context {
        RequestContext::ApiGatewayV1(c) => GatewayAddress(c.identity.source_ip.clone()),
        RequestContext::ApiGatewayV2(c) => GatewayAddress(c.http.source_ip.clone()),
        _ => GatewayAddress(None),
    });
    if let Some(gateway) = gateway {
        request.extensions_mut().insert(gateway);
    }
    let invocation = request
        .lambda_context_ref()
        .map(|c| Invocation { id: c.request_id.clone(), trace: c.xray_trace_id.clone() });
    if let Some(invocation) = invocation {
        request.extensions_mut().insert(invocation);
    }
    router.call(request)
}

/// The address without API Gateway's stage in front, which a REST API without its own domain puts there.
fn without_stage(request: &lambda_http::Request) -> Option<Uri> {
    let stage = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(c) => c.stage.as_deref()?,
        RequestContext::ApiGatewayV2(c) => c.stage.as_deref()?,
        _ => return None,
    };
    let uri = request.uri();
    let rest = uri.path().strip_prefix('/')?.strip_prefix(stage)?;
    // A stage that is named like our own first segment ("v1") is left alone where it is ours.
    let ours =
        |path: &str| ["/v1/", "/healthz", "/readyz", "/openapi.json"].iter().any(|p| path.starts_with(p));
    if !ours(rest) {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{rest}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}
