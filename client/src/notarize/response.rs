//! The response: where it ends, and where the columns' values stand.

use std::ops::Range;

use tercet_protocol::survey::Committed;

use crate::error::Error;

const MAX_HEADERS: usize = 100;

enum Body {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Status code, where the body begins and how it ends; none while the head is not complete or not HTTP.
fn head(bytes: &[u8]) -> Option<(u16, usize, Body)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(start)) = response.parse(bytes) else { return None };
    let field = |name: &str| {
        response
            .headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name))
            .and_then(|h| std::str::from_utf8(h.value).ok())
    };
    let body = match (field("transfer-encoding"), field("content-length")) {
        (Some(t), _) if t.trim().eq_ignore_ascii_case("chunked") => Body::Chunked,
        (_, Some(n)) => n.trim().parse().map_or(Body::UntilClose, Body::Length),
        _ => Body::UntilClose,
    };
    Some((response.code?, start, body))
}

/// Whether one whole response is there. One that ends with the connection never is: it cannot be proved complete.
pub fn is_complete(bytes: &[u8]) -> bool {
    match head(bytes) {
        Some((_, start, Body::Length(n))) => bytes.len() >= start.saturating_add(n),
        Some((_, start, Body::Chunked)) => chunks_end(bytes, start),
        Some((_, _, Body::UntilClose)) | None => false,
    }
}

/// Whether the last, empty chunk has come.
fn chunks_end(bytes: &[u8], mut at: usize) -> bool {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(rest) else {
            return false;
        };
        let Some(end) =
            usize::try_from(size).ok().and_then(|s| at.checked_add(line)?.checked_add(s)?.checked_add(2))
        else {
            return false;
        };
        if size == 0 {
            return bytes.len() >= end;
        }
        at = end;
    }
}

/// The status line, for error texts.
pub fn status(bytes: &[u8]) -> (u16, String) {
    let code = head(bytes).map_or(0, |(code, _, _)| code);
    let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
    (code, line.iter().take(200).flat_map(|b| b.escape_ascii()).map(char::from).collect())
}

/// Where each column's value stands, in the survey's order. Error texts show no part of the response.
pub fn values(bytes: &[u8], columns: &[Committed<'_>]) -> Result<Vec<Range<usize>>, Error> {
    let start = head(bytes).map_or(bytes.len(), |(_, start, _)| start);
    let body = bytes.get(start..).unwrap_or_default();
    columns
        .iter()
        .map(|c| {
            let missing = |what: &str| Error::Exchange(format!("column {}: {what}", c.name));
            let prefix = c.prefix.as_bytes();
            let at =
                find(body, prefix).ok_or_else(|| missing("its prefix does not stand in the response"))?;
            if find(&body[at + 1..], prefix).is_some() {
                return Err(missing("its prefix stands more than once in the response"));
            }
            let from = at + prefix.len();
            match find(&body[from..], c.suffix.as_bytes()) {
                Some(0) => Err(missing("the value is empty")),
                Some(len) => Ok(start + from..start + from + len),
                None => Err(missing("its suffix does not follow the value in the response")),
            }
        })
        .collect()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_end_where_they_say() {
        let fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for whole in [&fixed[..], &chunked[..]] {
            assert!(is_complete(whole));
            for n in 0..whole.len() {
                assert!(!is_complete(&whole[..n]), "{n}");
            }
        }
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\n\r\nno length"));
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"));
        assert_eq!(status(fixed), (200, "HTTP/1.1 200 OK".into()));
    }

    #[test]
    fn values_stand_between_unique_prefix_and_suffix() {
        let column = |prefix| Committed { name: "c", prefix, suffix: "\"" };
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"a\":\"12\",\"b\":\"\",\"a\"}";
        let start = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let found = values(bytes, &[column("{\"a\":\"")]).unwrap();
        assert_eq!((found.len(), found[0].clone()), (1, start + 6..start + 8));
        for bad in ["\"z\":\"", "\"b\":\"", "\"a\""] {
            assert!(values(bytes, &[column(bad)]).is_err(), "{bad}");
        }
    }
}
