//! Which invocation a request is: Lambda may run one twice, and both runs carry the same id.

use axum::extract::FromRequestParts;
use http::request::Parts;
use tercet_protocol::ids::sha256;
use tercet_protocol::keys::random;

/// Lambda's id and trace of an invocation, as a request extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's request id, the same when an invocation is repeated.
    pub id: String,
    /// The X-Ray trace, where tracing is on.
    pub trace: Option<String>,
}

/// Names one request so that repeating it changes nothing: derived from the invocation, random without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestToken(pub [u8; 16]);

impl RequestToken {
    /// The token of an invocation.
    pub fn of(invocation: &Invocation) -> Self {
        let hash = sha256(&[b"tercet request token v1", invocation.id.as_bytes()]);
        let mut token = [0; 16];
        token.copy_from_slice(&hash[..16]);
        Self(token)
    }
}

impl<S: Sync> FromRequestParts<S> for RequestToken {
    type Rejection = super::problem::Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.extensions.get::<Invocation>() {
            Some(invocation) => Ok(Self::of(invocation)),
            None => Ok(Self(random().map_err(|_| crate::error::Error::Randomness)?)),
        }
    }
}
