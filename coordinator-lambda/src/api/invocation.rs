//! Which invocation a request is: Lambda may run one twice, and both runs carry the same id.

use axum::extract::FromRequestParts;
use http::request::Parts;
use tercet_protocol::keys::random;

use crate::token::RequestToken;

/// Lambda's id and trace of an invocation, as a request extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's request id, the same when an invocation is repeated.
    pub id: String,
    /// The X-Ray trace, where tracing is on.
    pub trace: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for RequestToken {
    type Rejection = super::problem::Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.extensions.get::<Invocation>() {
            Some(invocation) => Ok(Self::of(&invocation.id)),
            None => Ok(Self(random().map_err(|_| crate::error::Error::Randomness)?)),
        }
    }
}
