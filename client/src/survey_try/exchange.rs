//! Saved exchanges: bytes as a browser or curl wrote them, with marks around hidden parts.

use std::ops::Range;
use std::path::Path;

use crate::error::Error;
use crate::files;

/// Largest file, in bytes.
pub const MAX_FILE: usize = 4 << 20;

const OPEN: &[u8] = "⟦".as_bytes();
const CLOSE: &[u8] = "⟧".as_bytes();

/// A request or a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Its bytes, without marks.
    pub bytes: Vec<u8>,
    /// The texts between marks.
    pub hidden: Vec<Range<usize>>,
    /// True if two marks have nothing between them: nothing can be hidden there.
    pub empty: bool,
}

/// Reads a file.
pub fn saved(path: &Path) -> Result<Saved, Error> {
    let bytes = files::read(path, MAX_FILE)?;
    parse(&bytes).map_err(|problem| Error::usage(format!("{}: {problem}", path.display())))
}

/// True if a response says that its body is in chunks, and no chunk's size stands at its beginning.
pub fn is_taken_apart(response: &Saved) -> bool {
    let Ok(Some(head)) = tercet_evidence::http::read_head(&response.bytes) else { return false };
    let chunked = head.all("transfer-encoding").next().is_some();
    chunked && !response.bytes.get(head.end).is_some_and(u8::is_ascii_hexdigit)
}

/// Takes the marks out of a file's bytes. The error says which mark is wrong.
pub fn parse(bytes: &[u8]) -> Result<Saved, &'static str> {
    let mut saved = Saved::default();
    let mut start = None;
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(OPEN) {
            if start.replace(saved.bytes.len()).is_some() {
                return Err("a ⟦ is inside another: marks do not nest");
            }
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix(CLOSE) {
            match start.take() {
                Some(from) if from < saved.bytes.len() => saved.hidden.push(from..saved.bytes.len()),
                Some(_) => saved.empty = true,
                None => return Err("a ⟧ has no ⟦ in front of it"),
            }
            rest = tail;
        } else {
            saved.bytes.push(*first);
            rest = tail;
        }
    }
    if start.is_some() {
        return Err("a ⟦ has no ⟧ behind it");
    }
    // Ranges that touch are one hidden range.
    saved.hidden.dedup_by(|next, last| {
        let touch = last.end == next.start;
        if touch {
            last.end = next.end;
        }
        touch
    });
    Ok(line_ends(saved))
}

/// An editor may have written the head's line ends as line feeds alone: where no line ends in CR LF, they are restored.
fn line_ends(saved: Saved) -> Saved {
    let Saved { bytes, hidden, empty } = &saved;
    if bytes.windows(2).any(|w| w == b"\r\n") {
        return saved;
    }
    // The end of the last head: interim responses have heads of their own.
    let mut head = 0;
    loop {
        let rest = bytes.get(head..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|w| w == b"\n\n") else { break };
        head += end + 2;
        if !rest.starts_with(b"HTTP/1.1 1") {
            break;
        }
    }
    let shift = |at: usize| at + bytes.iter().take(at.min(head)).filter(|b| **b == b'\n').count();
    let moved = hidden.iter().map(|r| shift(r.start)..shift(r.end)).collect();
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for (i, b) in bytes.iter().enumerate() {
        if *b == b'\n' && i < head {
            out.push(b'\r');
        }
        out.push(*b);
    }
    Saved { bytes: out, hidden: moved, empty: *empty }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_out() {
        let saved = parse("A\r\n\r\nx⟦12⟧y⟦é⟧".as_bytes()).unwrap();
        assert_eq!((saved.bytes.as_slice(), saved.hidden), ("A\r\n\r\nx12yé".as_bytes(), vec![6..8, 9..11]));
        assert_eq!(parse("⟦a⟧⟦b⟧".as_bytes()).unwrap().hidden, [Range { start: 0, end: 2 }]);
        assert!(parse("a⟦⟧b".as_bytes()).unwrap().empty);
        for bad in ["⟦", "⟧", "⟦a⟦b⟧⟧", "a⟧b⟦c⟧"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_body_without_its_chunks_is_known() {
        for (head, body, apart) in [
            ("Transfer-Encoding: chunked", "{\"a\":1}", true),
            ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n", false),
            ("Content-Length: 2", "{}", false),
        ] {
            let saved = parse(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes()).unwrap();
            assert_eq!(is_taken_apart(&saved), apart, "{head} {body}");
        }
    }

    #[test]
    fn line_feeds_alone_are_restored_in_heads() {
        let saved = parse("GET / HTTP/1.1\nCookie: ⟦abc⟧\n\n{\n⟦1⟧}".as_bytes()).unwrap();
        assert_eq!(saved.bytes, b"GET / HTTP/1.1\r\nCookie: abc\r\n\r\n{\n1}");
        let texts: Vec<_> = saved.hidden.iter().map(|r| &saved.bytes[r.clone()]).collect();
        assert_eq!(texts, [&b"abc"[..], b"1"]);
        let saved = parse(b"HTTP/1.1 103 E\n\nHTTP/1.1 200 OK\nA: b\n\n1\n\n").unwrap();
        assert_eq!(saved.bytes, b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n1\n\n");
    }
}
