//! Chunked bodies (RFC 9112, section 7.1): sizes, extensions, trailers.

use std::ops::Range;

use super::head::{self, Header};

/// Longest line of a chunk's size and extensions, in bytes.
const MAX_LINE: usize = 4096;
/// Largest chunk, in hexadecimal digits behind leading zeros.
const MAX_DIGITS: usize = 8;

/// A chunked body.
pub(super) struct Chunked {
    /// The positions of the chunks' data.
    pub data: Vec<Range<usize>>,
    /// The fields behind the last chunk.
    pub trailers: Vec<Header>,
    /// Behind the body.
    pub end: usize,
}

/// Reads a chunked body from `at`; nothing while it is not complete. All framing must be shown.
pub(super) fn read(
    bytes: &[u8],
    mut at: usize,
    shown: &dyn Fn(usize) -> bool,
) -> Result<Option<Chunked>, String> {
    let mut data = Vec::new();
    loop {
        let Some((size, start)) = size(bytes, at, shown)? else { return Ok(None) };
        if size == 0 {
            let mut end = start;
            let Some(trailers) = head::fields(bytes, &mut end, shown)? else { return Ok(None) };
            for forbidden in [
                "content-length",
                "transfer-encoding",
                "content-encoding",
                "content-type",
                "content-range",
                "trailer",
            ] {
                if trailers.iter().any(|t| t.name == forbidden) {
                    return Err(format!(
                        "the chunked body has the trailer {forbidden}, which is allowed in the head only"
                    ));
                }
            }
            return Ok(Some(Chunked { data, trailers, end }));
        }
        let Some(end) = start.checked_add(size) else { return Err("a chunk is too large".into()) };
        match (bytes.get(end), bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) if shown(end) && shown(end + 1) => {}
            (None, _) | (Some(b'\r'), None) => return Ok(None),
            _ => return Err("a chunk has another length than stated".into()),
        }
        data.push(start..end);
        at = end + 2;
    }
}

/// A chunk's size, and where its data begins.
fn size(bytes: &[u8], start: usize, shown: &dyn Fn(usize) -> bool) -> Result<Option<(usize, usize)>, String> {
    let mut line = Vec::new();
    let mut at = start;
    loop {
        if line.len() > MAX_LINE {
            return Err("a chunk's size line has more than 4096 bytes".into());
        }
        let Some(b) = bytes.get(at) else { return Ok(None) };
        if !shown(at) {
            return Err("a chunk's size is hidden: hide within the chunks' data only".into());
        }
        if *b == b'\r' {
            match bytes.get(at + 1) {
                Some(b'\n') if shown(at + 1) => break,
                None => return Ok(None),
                _ => return Err("a chunk's size line does not end in CR LF".into()),
            }
        }
        line.push(*b);
        at += 1;
    }
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let zeros = line.iter().take_while(|b| **b == b'0').count();
    if digits == 0 || digits - zeros > MAX_DIGITS {
        return Err("a chunk has an unreadable size".into());
    }
    let size =
        line[..digits].iter().fold(0, |n, d| n * 16 + char::from(*d).to_digit(16).unwrap_or(0) as usize);
    extensions(&line[digits..])?;
    Ok(Some((size, at + 2)))
}

/// `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`, and white space behind it.
fn extensions(mut rest: &[u8]) -> Result<(), String> {
    let bad = || Err("a chunk's size is followed by something that is no extension".to_owned());
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    loop {
        rest = blanks(rest);
        let Some((first, after)) = rest.split_first() else { return Ok(()) };
        if *first != b';' {
            return bad();
        }
        rest = blanks(after);
        let name = rest.iter().take_while(|b| token(b)).count();
        if name == 0 {
            return bad();
        }
        rest = blanks(&rest[name..]);
        let Some((b'=', after)) = rest.split_first() else { continue };
        rest = blanks(after);
        if rest.first() == Some(&b'"') {
            let Some(end) = quoted(rest) else { return bad() };
            rest = &rest[end..];
        } else {
            let value = rest.iter().take_while(|b| token(b)).count();
            if value == 0 {
                return bad();
            }
            rest = &rest[value..];
        }
    }
}

fn blanks(text: &[u8]) -> &[u8] {
    let blank = text.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    &text[blank..]
}

/// The end of a quoted string, behind its closing quote.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (i, b) in text.iter().enumerate().skip(1) {
        match b {
            b if b.is_ascii_control() && *b != b'\t' => return None,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<String>, String> {
        let chunked = read(text.as_bytes(), 0, &|_| true)?;
        Ok(chunked.filter(|c| c.end == text.len()).map(|c| c.data.into_iter().map(|r| &text[r]).collect()))
    }

    #[test]
    fn bodies_are_read() {
        for text in [
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "3   \r\nabc\r\n002\t\r\nde\r\n000\r\n\r\n",
            "0000000003\r\nabc\r\n0000000002\r\nde\r\n0000000000\r\n\r\n",
            "3;a\r\nabc\r\n2 ; b = \"x\\\"y;\" ;c=d\r\nde\r\n0;last\r\n\r\n",
            "5\r\nabcde\r\n0\r\nServer-Timing: db;dur=3\r\nX: y\r\n\r\n",
        ] {
            assert_eq!(of(text), Ok(Some("abcde".into())), "{text:?}");
            for n in 0..text.len() {
                assert_eq!(of(&text[..n]), Ok(None), "{text:?} {n}");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            "\r\nabc",
            "x\r\n",
            "3 4\r\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n",
            "-3\r\n",
            "+3\r\n",
            "0x3\r\n",
            "123456789\r\n",
            "3;\r\nabc\r\n",
            "3;a=\r\nabc\r\n",
            "3;a=\"x\r\nabc\r\n",
            "3\rabc",
            "3\nabc\r\n",
            "3 \n\r\nabc\r\n",
            "3,4\r\nabc\r\n",
            "0\r\nContent-Length: 3\r\n\r\n",
            "0\r\nno header\r\n\r\n",
        ] {
            assert!(of(text).is_err(), "{text:?}");
        }
    }
}
