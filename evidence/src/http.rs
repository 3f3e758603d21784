//! HTTP/1.1 as policy needs it: one request, one complete response, and a map from body bytes to the wire.

use tercet_protocol::survey::SourceSection;

use crate::policy::{Refusal, Rule, refuse};
use crate::transcript::Data;

const MAX_HEADERS: usize = 100;

/// A response's body without its transfer coding.
pub(crate) struct Body {
    /// The body's bytes; hidden ones are zero.
    pub bytes: Vec<u8>,
    /// For each body byte, its offset in the received data.
    pub raw: Vec<usize>,
}

impl Body {
    /// Where on the wire body position `at` stands; also right behind the last byte.
    pub fn raw_after(&self, at: usize) -> Option<usize> {
        match self.raw.get(at) {
            Some(&raw) => Some(raw),
            None => at.checked_sub(1).and_then(|last| self.raw.get(last)).map(|last| last + 1),
        }
    }
}

/// Hidden bytes as a harmless header character, so that the parser sees well-formed text.
fn filled(part: &Data) -> Vec<u8> {
    let mut bytes = part.bytes.clone();
    for h in &part.hidden {
        if let Some(hidden) = bytes.get_mut(h.clone()) {
            hidden.fill(b'x');
        }
    }
    bytes
}

pub(crate) fn check_request(source: &SourceSection, sent: &Data) -> Result<(), Refusal> {
    let bytes = filled(sent);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(&bytes) {
        Ok(httparse::Status::Complete(n)) => n,
        Ok(httparse::Status::Partial) => return refuse(Rule::Request, "the request is not complete"),
        Err(e) => return refuse(Rule::Request, format!("the request is not HTTP/1.1: {e}")),
    };
    let line_end = bytes.windows(2).position(|w| w == b"\r\n").unwrap_or(head);
    if !sent.is_shown(0..line_end + 2) {
        return refuse(Rule::RequestTarget, "the request line must be revealed");
    }
    // A leading blank line is tolerated by parsers, but then the request line is not at offset 0.
    if line_end == 0 || request.version != Some(1) {
        return refuse(Rule::Request, "the request must begin with its request line and be HTTP/1.1");
    }
    check_target(source, request.method.unwrap_or_default(), request.path.unwrap_or_default())?;

    let base = bytes.as_ptr() as usize;
    let value_ranges: Vec<_> = request
        .headers
        .iter()
        .map(|h| {
            let start = (h.value.as_ptr() as usize).saturating_sub(base);
            start..start + h.value.len()
        })
        .collect();
    if let Some(h) =
        sent.hidden.iter().find(|h| !value_ranges.iter().any(|v| v.start <= h.start && h.end <= v.end))
    {
        return refuse(
            Rule::Request,
            format!("sent bytes {}..{} are hidden but are not within a header's value", h.start, h.end),
        );
    }
    let mut host = None;
    let mut length = 0usize;
    for (h, range) in request.headers.iter().zip(&value_ranges) {
        let name = h.name.to_ascii_lowercase();
        if matches!(name.as_str(), "host" | "content-length" | "transfer-encoding")
            && !sent.is_shown(range.clone())
        {
            return refuse(Rule::Request, format!("the header {name} must be revealed"));
        }
        match name.as_str() {
            "host" if host.is_some() => return refuse(Rule::RequestHost, "the request has two Host headers"),
            "host" => host = Some(String::from_utf8_lossy(h.value).to_ascii_lowercase()),
            "transfer-encoding" => {
                return refuse(Rule::Request, "requests with a transfer coding are not accepted");
            }
            "content-length" => {
                length = match std::str::from_utf8(h.value).ok().and_then(|v| v.parse().ok()) {
                    Some(n) => n,
                    None => return refuse(Rule::Request, "the request's Content-Length is not a number"),
                }
            }
            _ => {}
        }
    }
    let host = host.unwrap_or_default();
    if host.strip_suffix(":443").unwrap_or(&host) != source.server_name {
        return refuse(
            Rule::RequestHost,
            format!("the Host header is \"{}\", not {}", host.escape_debug(), source.server_name),
        );
    }
    if head.checked_add(length) != Some(bytes.len()) {
        return refuse(Rule::Request, "the sent data is not exactly one request");
    }
    Ok(())
}

fn check_target(source: &SourceSection, method: &str, target: &str) -> Result<(), Refusal> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if method != source.method || path != source.path {
        let (got, want) = (format!("{method} {path}"), format!("{} {}", source.method, source.path));
        return refuse(
            Rule::RequestTarget,
            format!("the request is \"{}\", not \"{want}\"", got.escape_debug()),
        );
    }
    for (name, value) in &source.query {
        let mut given =
            query.split('&').map(|p| p.split_once('=').unwrap_or((p, ""))).filter(|(n, _)| n == name);
        match (given.next(), given.next()) {
            (Some((_, v)), None) if v == value => {}
            (None, _) => {
                return refuse(Rule::RequestQuery, format!("the query parameter {name}={value} is missing"));
            }
            (Some(_), None) => {
                return refuse(Rule::RequestQuery, format!("the query parameter {name} is not {value}"));
            }
            (Some(_), Some(_)) => {
                return refuse(Rule::RequestQuery, format!("the query parameter {name} is given twice"));
            }
        }
    }
    Ok(())
}

pub(crate) fn response_body(received: &Data) -> Result<Body, Refusal> {
    let bytes = filled(received);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(&bytes) {
        Ok(httparse::Status::Complete(n)) => n,
        Ok(httparse::Status::Partial) => {
            return refuse(Rule::Response, "the response's head is not complete");
        }
        Err(e) => return refuse(Rule::Response, format!("the response is not HTTP/1.1: {e}")),
    };
    if !received.is_shown(0..head) {
        return refuse(Rule::Response, "the response's whole head must be revealed");
    }
    if !bytes.starts_with(b"HTTP/1.1 ") || response.code != Some(200) {
        return refuse(
            Rule::Response,
            "the response must begin with a status line of HTTP/1.1 and status 200",
        );
    }
    let mut length = None;
    let mut chunked = false;
    for h in response.headers.iter() {
        let value = String::from_utf8_lossy(h.value).to_ascii_lowercase();
        match h.name.to_ascii_lowercase().as_str() {
            "content-length" | "transfer-encoding" if length.is_some() || chunked => {
                return refuse(Rule::Response, "the response states its length twice");
            }
            "content-length" => match value.parse::<usize>() {
                Ok(n) if value.bytes().all(|b| b.is_ascii_digit()) => length = Some(n),
                _ => return refuse(Rule::Response, "the response's Content-Length is not a number"),
            },
            "transfer-encoding" if value == "chunked" => chunked = true,
            "transfer-encoding" => {
                return refuse(Rule::Response, "the response has a transfer coding other than chunked");
            }
            "content-encoding" if value != "identity" => {
                return refuse(
                    Rule::Response,
                    "the response is compressed: ask for Accept-Encoding: identity",
                );
            }
            _ => {}
        }
    }
    let raw: Vec<usize> = if chunked {
        chunks(received, head)?
    } else {
        match length {
            Some(n) if head.checked_add(n) == Some(bytes.len()) => (head..bytes.len()).collect(),
            Some(_) => {
                return refuse(
                    Rule::Response,
                    "the received data is not exactly one response of the stated length",
                );
            }
            None => {
                return refuse(
                    Rule::Response,
                    "the response states no length, so it cannot be known to be complete",
                );
            }
        }
    };
    Ok(Body { bytes: raw.iter().map(|&i| received.bytes[i]).collect(), raw })
}

/// Offsets of the data bytes of a chunked body that ends exactly where the received data ends.
fn chunks(received: &Data, mut at: usize) -> Result<Vec<usize>, Refusal> {
    let bytes = &received.bytes;
    let bad = |what: &str| refuse(Rule::Response, format!("the chunked body {what}"));
    let mut raw = Vec::new();
    loop {
        let rest = &bytes[at..];
        let Some(eol) = rest.windows(2).take(64).position(|w| w == b"\r\n") else {
            return bad("has no chunk size");
        };
        // Hidden bytes read as zero and so are no digits: chunk sizes are always revealed.
        let digits = &rest[..eol];
        if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return bad("has an unreadable chunk size");
        }
        let size =
            digits.iter().fold(0usize, |n, d| n * 16 + char::from(*d).to_digit(16).unwrap_or(0) as usize);
        let start = at + eol + 2;
        let Some(end) = start.checked_add(size).filter(|e| e + 2 <= bytes.len()) else {
            return bad("is cut off");
        };
        if &bytes[end..end + 2] != b"\r\n" {
            return bad("has trailers or a chunk of another length than stated");
        }
        at = end + 2;
        if size == 0 {
            return if at == bytes.len() { Ok(raw) } else { bad("is followed by more data") };
        }
        raw.extend(start..end);
    }
}
