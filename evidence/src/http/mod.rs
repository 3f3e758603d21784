//! HTTP/1.1 (RFC 9110, RFC 9112) as the policy needs it: one request, one complete response, and a map from the body's
//! bytes to the wire.

mod chunks;
mod head;
mod request;
mod response;

pub use head::{Head, Header};
pub(crate) use request::check as check_request;
/// Reads the head of a request or response without hidden bytes; `None` while it is not complete. The error names the
/// fault.
pub fn read_head(bytes: &[u8]) -> Result<Option<Head>, String> {
    head::read(bytes, 0, &|_| true)
}

pub use response::{Response, read as read_response};
