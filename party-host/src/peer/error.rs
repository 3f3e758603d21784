//! The faults of a peer link, and how one party tells another.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use tercet_protocol::ids::PublicKey;

/// Header (of a refusal) or trailer (of an abort) with the stable code.
const CODE_HEADER: HeaderName = HeaderName::from_static("tercet-abort");
/// Header or trailer with the text for people.
const DETAIL_HEADER: HeaderName = HeaderName::from_static("tercet-detail");

/// Why a session was ended on purpose: a stable code for programs and a text for people. Both cross the
/// wire, so neither may hold anything derived from a share. Whatever is given or received is cut to size and
/// to harmless characters, so that a peer's text can be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct AbortReason {
    code: String,
    detail: String,
}

impl AbortReason {
    /// Longest code.
    pub const MAX_CODE: usize = 64;
    /// Longest text.
    pub const MAX_DETAIL: usize = 256;

    /// `code` keeps lower-case letters, digits and `-`; `detail` keeps printable ASCII.
    pub fn new(code: &str, detail: &str) -> Self {
        let code: String = code
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
            .take(Self::MAX_CODE)
            .collect();
        let detail: String = detail
            .chars()
            .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
            .take(Self::MAX_DETAIL)
            .collect();
        Self { code: if code.is_empty() { "unspecified".into() } else { code }, detail: detail.trim().into() }
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The text for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn to_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // Both strings are printable ASCII by construction, which is what a header value may hold.
        for (name, text) in [(CODE_HEADER, &self.code), (DETAIL_HEADER, &self.detail)] {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// `None` if the headers carry no abort.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or_default();
        headers.contains_key(CODE_HEADER).then(|| Self::new(text(CODE_HEADER), text(DETAIL_HEADER)))
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            f.write_str(&self.code)
        } else {
            write!(f, "{}: {}", self.code, self.detail)
        }
    }
}

impl fmt::Debug for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AbortReason({self})")
    }
}

/// Why a session could not begin or cannot go on. The first fault of a session is its last word: every later
/// call on either half gives the same error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Asked for a key that is not configured.
    #[error("{0} is not a peer of this party: compare the survey's parties with the federation file")]
    UnknownPeer(PublicKey),
    /// No connection within the time allowed.
    #[error("peer {peer} cannot be reached ({cause}): check its address, its firewall and that it runs")]
    Unreachable {
        /// The peer's key.
        peer: PublicKey,
        /// The fault of the last attempt.
        cause: String,
    },
    /// The endpoint at the peer's address and this party do not accept one another's keys or TLS.
    #[error("peer {peer}: TLS handshake refused ({cause}): compare both operators' published peer keys")]
    Authentication {
        /// The peer's key.
        peer: PublicKey,
        /// The handshake's fault.
        cause: String,
    },
    /// As many sessions are open to this peer as the limits allow.
    #[error("{0} sessions are already open to this peer: wait for one to end")]
    TooManySessions(usize),
    /// The opening message is larger than allowed.
    #[error("the session's opening message has {len} bytes, at most {max} are allowed")]
    HelloTooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The peer did not take the session.
    #[error("the peer refused the session ({0})")]
    Refused(AbortReason),
    /// The peer ended the session on purpose.
    #[error("the peer aborted the session ({0})")]
    Aborted(AbortReason),
    /// This party ended the session on purpose.
    #[error("this party aborted the session ({0})")]
    Stopped(AbortReason),
    /// The next frame belongs to another step than the protocol is at.
    #[error("expected a frame of step {expected}, the peer sent one of step {got}")]
    WrongStep {
        /// The step asked for.
        expected: u32,
        /// The step the frame names.
        got: u32,
    },
    /// A frame longer than allowed, refused before any memory was set aside for it.
    #[error("a frame of step {step} has {len} bytes, at most {max} are allowed")]
    FrameTooLarge {
        /// The frame's step.
        step: u32,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The step number is reserved for the link itself.
    #[error("step number {0} is reserved")]
    ReservedStep(u32),
    /// The peer ended its stream in the middle of a frame.
    #[error("the peer's stream ended in the middle of a frame")]
    Truncated,
    /// The peer ended its stream in good order while a frame was still expected.
    #[error("the peer ended the session early")]
    Closed,
    /// The stream or the connection broke.
    #[error("the connection to the peer was lost: retry with a new session")]
    Lost,
    /// The peer's frame did not come in time.
    #[error("the peer's frame of step {0} did not arrive before the deadline")]
    ReceiveDeadline(u32),
    /// The peer did not take this party's frame in time.
    #[error("the peer did not take the frame of step {0} before the deadline")]
    SendDeadline(u32),
}

impl PeerError {
    /// A stable code: metric label, log field, and the reason that the other side gets.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPeer(_) => "unknown-peer",
            Self::Unreachable { .. } => "unreachable",
            Self::Authentication { .. } => "authentication",
            Self::TooManySessions(_) => "too-many-sessions",
            Self::HelloTooLarge { .. } => "hello-too-large",
            Self::Refused(_) => "refused",
            Self::Aborted(_) => "aborted",
            Self::Stopped(_) => "stopped",
            Self::WrongStep { .. } => "wrong-step",
            Self::FrameTooLarge { .. } => "frame-too-large",
            Self::ReservedStep(_) => "reserved-step",
            Self::Truncated => "truncated",
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::ReceiveDeadline(_) => "receive-deadline",
            Self::SendDeadline(_) => "send-deadline",
        }
    }

    /// The message to the peer when this fault ends a session. `None` where the peer knows already or is gone.
    pub(super) fn to_peer(&self) -> Option<AbortReason> {
        match self {
            Self::Stopped(reason) => Some(reason.clone()),
            Self::Refused(_) | Self::Aborted(_) | Self::Lost => None,
            fault => Some(AbortReason::new(fault.code(), &fault.to_string())),
        }
    }
}

/// Why the peer links could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A peer's key is this party's own, or is listed twice.
    #[error("peer key {0} is listed twice or is this party's own: each party needs a peer key of its own")]
    DuplicateKey(PublicKey),
    /// A limit makes no sense.
    #[error("peer link limits: {0}")]
    Limits(&'static str),
    /// rustls refused the configuration.
    #[error("TLS for the peer links cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The listening socket is unusable.
    #[error("the peer listener's address cannot be read: {0}")]
    Listener(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_survive_the_headers_and_are_tamed() {
        let reason = AbortReason::new("mac-mismatch", "row 7");
        assert_eq!(AbortReason::from_headers(&reason.to_headers()), Some(reason));
        assert_eq!(AbortReason::from_headers(&HeaderMap::new()), None);
        let wild = AbortReason::new("Evil\n\u{1b}[31m", &"x\r\n\u{e9}".repeat(1000));
        assert_eq!(wild.code(), "vil31m");
        assert_eq!(wild.detail().len(), AbortReason::MAX_DETAIL);
        assert!(wild.detail().bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(AbortReason::from_headers(&wild.to_headers()), Some(wild));
        assert_eq!(AbortReason::new("", "").to_string(), "unspecified");
    }
}
