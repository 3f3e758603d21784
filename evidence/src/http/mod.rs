//! HTTP/1.1 (RFC 9110, RFC 9112) as the policy needs it: one request, one complete response, and a map from the body's
//! bytes to the wire.

mod chunks;
mod head;
mod request;
mod response;

pub use head::{Head, Header};
pub(crate) use request::check as check_request;
pub use response::{Response, read as read_response};
