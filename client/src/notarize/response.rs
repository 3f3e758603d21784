//! The response: where it ends.

use tercet_evidence::{Data, http};

use crate::error::Error;

/// True if one whole response is there. An answer that is of no use is refused as soon as it is seen: one that is
/// compressed, states no length, or is no 200.
pub fn is_complete(bytes: &[u8]) -> Result<bool, Error> {
    let data = Data { bytes: bytes.to_vec(), hidden: Vec::new() };
    let response = http::read_response(&data).map_err(|e| Error::Exchange(e.detail))?;
    Ok(response.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_end_where_they_say() {
        let fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let chunked =
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for whole in [&fixed[..], &chunked[..]] {
            assert!(is_complete(whole).unwrap());
            for n in 0..whole.len() {
                assert!(!is_complete(&whole[..n]).unwrap(), "{n}");
            }
        }
    }

    #[test]
    fn what_makes_a_response_useless_is_named_at_once() {
        for (head, cause) in [
            ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "states no length"),
            ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 58\r\n\r\n", "compressed (gzip)"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 42, 42\r\n\r\n", "Content-Length is no number"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n",
                "transfer coding other than chunked",
            ),
            ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "folded"),
            ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "401"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "twice"),
        ] {
            let error = is_complete(head.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(cause), "{head}: {error}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "X-H: v\r\n".repeat(120));
        assert!(is_complete(many.as_bytes()).unwrap());
        let many = format!("HTTP/1.1 200 OK\r\n{}", "X-H: v\r\n".repeat(300));
        assert!(is_complete(many.as_bytes()).unwrap_err().to_string().contains("256 headers"));
    }
}
