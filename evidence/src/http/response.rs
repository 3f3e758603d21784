//! The response: exactly one final one, complete, of status 200.

use std::ops::Range;

use super::chunks;
use super::head::{self, Head, Header};
use crate::policy::{Refusal, Rule, refuse};
use crate::transcript::Data;

/// Most interim responses in front of the final one.
const MAX_INTERIM: usize = 16;
/// Oldest answer of a cache that counts, in seconds.
const MAX_AGE: u64 = 3600;

/// A response, and the positions of its body's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The final response's head.
    pub head: Head,
    /// The body without its transfer coding. Hidden bytes are zero.
    pub body: Vec<u8>,
    /// The positions of the body in the received data: ranges in ascending order.
    pub pieces: Vec<Range<usize>>,
    /// The fields behind a chunked body.
    pub trailers: Vec<Header>,
    /// The media type without parameters, in lower case; `None`: it is not stated.
    pub media_type: Option<String>,
    /// Behind everything.
    pub end: usize,
}

impl Response {
    /// The positions of a range of the body in the received data: as many ranges as it has chunks.
    pub fn on_wire(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        let mut start = 0;
        for piece in &self.pieces {
            let end = start + piece.len();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                out.push(piece.start + from - start..piece.start + to - start);
            }
            start = end;
        }
        out
    }

    /// The hidden ranges of the body, in its own positions: those that touch are one.
    pub fn holes(&self, hidden: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for piece in &self.pieces {
            let first = hidden.partition_point(|h| h.end <= piece.start);
            for h in hidden.get(first..).unwrap_or_default().iter().take_while(|h| h.start < piece.end) {
                let (from, to) = (h.start.max(piece.start), h.end.min(piece.end));
                let hole = start + from - piece.start..start + to - piece.start;
                match out.last_mut() {
                    Some(last) if last.end == hole.start => last.end = hole.end,
                    _ => out.push(hole),
                }
            }
            start += piece.len();
        }
        out
    }
}

/// Reads the response; `None` while it is not complete. A fault is refused as soon as it is seen, before all of the
/// response is there.
pub fn read(received: &Data) -> Result<Option<Response>, Refusal> {
    let shown = |at: usize| received.is_shown(at..at + 1);
    let bytes = &received.bytes;
    let mut start = 0;
    for _ in 0..=MAX_INTERIM {
        let Some(head) = head::read(bytes, start, &shown).map_err(bad)? else { return Ok(None) };
        if !received.is_shown(head.line.clone()) {
            return refuse(Rule::Response, "the response's status line must be shown");
        }
        let line = String::from_utf8_lossy(bytes.get(head.line.clone()).unwrap_or_default()).into_owned();
        let (one_one, status) = status(&line)?;
        match status {
            100 | 102 | 103 if one_one => {
                if head.all("content-length").chain(head.all("transfer-encoding")).next().is_some() {
                    return refuse(Rule::Response, "an interim response states a length, which it has not");
                }
                start = head.end;
            }
            200 => return complete(received, head, one_one),
            _ => {
                return refuse(
                    Rule::Response,
                    format!("the server answered \"{}\": only a 200 counts", line.escape_debug()),
                );
            }
        }
    }
    refuse(Rule::Response, "more than 16 interim responses come before the answer")
}

fn bad(problem: String) -> Refusal {
    Refusal { rule: Rule::Response, detail: format!("the response cannot be read: {problem}") }
}

fn status(line: &str) -> Result<(bool, u16), Refusal> {
    let (version, rest) = line.split_at_checked(8).unwrap_or((line, ""));
    let digits = rest.get(1..4).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let spaced = rest.starts_with(' ') && rest.get(4..).is_some_and(|r| r.is_empty() || r.starts_with(' '));
    match (version, digits.and_then(|d| d.parse().ok())) {
        ("HTTP/1.1" | "HTTP/1.0", Some(status)) if spaced => Ok((version == "HTTP/1.1", status)),
        _ if line.starts_with("HTTP/2") || line.starts_with("HTTP/3") => refuse(
            Rule::Response,
            "the response is of HTTP/2 or HTTP/3, which evidence is not about: fetch it with HTTP/1.1 (curl --http1.1)",
        ),
        _ => refuse(Rule::Response, "the response does not begin with a status line of HTTP/1.1 or HTTP/1.0"),
    }
}

/// The rule by which the body ends.
enum Length {
    Stated(usize),
    Chunked,
}

fn complete(received: &Data, head: Head, one_one: bool) -> Result<Option<Response>, Refusal> {
    let text = |h: &Header| -> Result<String, Refusal> {
        if !received.is_shown(h.value.clone()) {
            return refuse(Rule::Response, format!("the response's header {} must be shown", h.name));
        }
        let value = received.bytes.get(h.value.clone()).unwrap_or_default();
        Ok(String::from_utf8_lossy(value).to_ascii_lowercase())
    };
    let one = |name: &str| head.one(name).map_err(bad)?.map(text).transpose();
    let encoding = one("content-encoding")?;
    if encoding.as_ref().is_some_and(|e| e != "identity") {
        let coding = encoding.unwrap_or_default();
        return refuse(
            Rule::Response,
            format!(
                "the response is compressed ({}): ask for Accept-Encoding: identity; a server that compresses all the same cannot be used",
                coding.escape_debug()
            ),
        );
    }
    if one("content-range")?.is_some() {
        return refuse(Rule::Response, "the response is a part of something (Content-Range)");
    }
    if let Some(age) = one("age")?
        && !age.parse::<u64>().is_ok_and(|age| age <= MAX_AGE)
    {
        return refuse(
            Rule::Response,
            format!("the response lay in a cache for more than {MAX_AGE} s (Age: {})", age.escape_debug()),
        );
    }
    let media_type = media_type(one("content-type")?)?;
    let length = match (one("content-length")?, one("transfer-encoding")?) {
        (Some(_), Some(_)) => {
            return refuse(
                Rule::Response,
                "the response states its length twice: Content-Length and Transfer-Encoding",
            );
        }
        (Some(n), None) => match n.parse::<usize>() {
            Ok(n_) if n.bytes().all(|b| b.is_ascii_digit()) => Length::Stated(n_),
            _ => {
                return refuse(
                    Rule::Response,
                    format!("the response's Content-Length is no number: {}", n.escape_debug()),
                );
            }
        },
        (None, Some(coding)) if coding == "chunked" && one_one => Length::Chunked,
        (None, Some(coding)) => {
            return refuse(
                Rule::Response,
                format!("the response has a transfer coding other than chunked: {}", coding.escape_debug()),
            );
        }
        (None, None) => {
            return refuse(
                Rule::Response,
                "the response states no length (neither Content-Length nor chunks), so it cannot be known to be complete",
            );
        }
    };
    let bytes = &received.bytes;
    let shown = |at: usize| received.is_shown(at..at + 1);
    let (pieces, trailers, end) = match length {
        Length::Stated(n) => match head.end.checked_add(n) {
            Some(end) if end <= bytes.len() => (std::iter::once(head.end..end).collect(), Vec::new(), end),
            Some(_) => return Ok(None),
            None => return refuse(Rule::Response, "the response's Content-Length is too large"),
        },
        Length::Chunked => match chunks::read(bytes, head.end, &shown).map_err(bad)? {
            Some(c) => (c.data, c.trailers, c.end),
            None => return Ok(None),
        },
    };
    let body = pieces.iter().flat_map(|p| bytes.get(p.clone()).unwrap_or_default()).copied().collect();
    Ok(Some(Response { head, body, pieces, trailers, media_type, end }))
}

/// The media type of a `Content-Type`, whose charset can only be UTF-8.
fn media_type(content_type: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(text) = content_type else { return Ok(None) };
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        if name.trim() == "charset" && !matches!(value, "utf-8" | "utf8" | "us-ascii") {
            return refuse(
                Rule::Response,
                format!("the response's charset is {}: only UTF-8 is read", value.escape_debug()),
            );
        }
    }
    Ok(Some(media_type))
}
