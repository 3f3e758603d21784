//! A name for each request.

use tercet_protocol::ids::sha256;

/// Names one request so that repeating it changes nothing: derived from Lambda's id of the invocation, random without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestToken(pub [u8; 16]);

impl RequestToken {
    /// The token of an invocation.
    pub fn of(invocation: &str) -> Self {
        let hash = sha256(&[b"tercet request token v1", invocation.as_bytes()]);
        let mut token = [0; 16];
        token.copy_from_slice(&hash[..16]);
        Self(token)
    }
}
