//! Heads: a start line and header fields, strictly. Hidden bytes are allowed in values only.

use std::ops::Range;

/// Most header fields of one head.
const MAX_HEADERS: usize = 256;
/// Longest line, in bytes.
const MAX_LINE: usize = 64 * 1024;

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name in lower case.
    pub name: String,
    /// The position of its value, without the white space around it.
    pub value: Range<usize>,
}

/// A head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The position of its first line, without its end.
    pub line: Range<usize>,
    /// Its fields, in order.
    pub headers: Vec<Header>,
    /// Behind the empty line.
    pub end: usize,
}

impl Head {
    /// The fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Header> + 'a {
        self.headers.iter().filter(move |h| h.name == name)
    }

    /// The only field of this name; an error if there are several.
    pub fn one(&self, name: &str) -> Result<Option<&Header>, String> {
        let mut all = self.headers.iter().filter(|h| h.name == name);
        match (all.next(), all.next()) {
            (first, None) => Ok(first),
            _ => Err(format!("the header {name} occurs twice")),
        }
    }
}

/// Reads a head from `start`; nothing while it is not complete. `shown` says whether a byte is shown: hidden ones are
/// taken for any character of a value.
pub(crate) fn read(
    bytes: &[u8],
    start: usize,
    shown: &dyn Fn(usize) -> bool,
) -> Result<Option<Head>, String> {
    let Some(first) = line(bytes, start, shown)? else { return Ok(None) };
    let mut at = first.end + 2;
    let Some(headers) = fields(bytes, &mut at, shown)? else { return Ok(None) };
    Ok(Some(Head { line: first, headers, end: at }))
}

/// Reads header fields up to the empty line, and moves behind it.
pub(crate) fn fields(
    bytes: &[u8],
    at: &mut usize,
    shown: &dyn Fn(usize) -> bool,
) -> Result<Option<Vec<Header>>, String> {
    let mut headers = Vec::new();
    loop {
        let Some(line) = line(bytes, *at, shown)? else { return Ok(None) };
        *at = line.end + 2;
        if line.is_empty() {
            return Ok(Some(headers));
        }
        if headers.len() == MAX_HEADERS {
            return Err(format!("it has more than {MAX_HEADERS} headers"));
        }
        headers.push(field(bytes, line, shown)?);
    }
}

/// A line that ends in CR LF, without them.
fn line(bytes: &[u8], start: usize, shown: &dyn Fn(usize) -> bool) -> Result<Option<Range<usize>>, String> {
    let mut at = start;
    loop {
        if at - start > MAX_LINE {
            return Err("a line of its head has more than 64 KiB".into());
        }
        match bytes.get(at) {
            None => return Ok(None),
            Some(b'\r') if shown(at) => {
                return match bytes.get(at + 1) {
                    Some(b'\n') if shown(at + 1) => Ok(Some(start..at)),
                    None => Ok(None),
                    _ => Err("a line of its head has a carriage return inside".into()),
                };
            }
            Some(b'\n') if shown(at) => {
                return Err("a line of its head ends without a carriage return".into());
            }
            Some(0) if shown(at) => return Err("its head has a zero byte".into()),
            _ => at += 1,
        }
    }
}

fn field(bytes: &[u8], line: Range<usize>, shown: &dyn Fn(usize) -> bool) -> Result<Header, String> {
    if matches!(bytes.get(line.start), Some(b' ' | b'\t')) && shown(line.start) {
        return Err(
            "a header is folded over two lines, which HTTP has given up (RFC 9112, section 5.2)".into()
        );
    }
    let token = |i: &usize| {
        shown(*i)
            && bytes.get(*i).is_some_and(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
    };
    let name_end = line.clone().take_while(token).last().map_or(line.start, |last| last + 1);
    let name = bytes.get(line.start..name_end).unwrap_or_default();
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    if name.is_empty() || bytes.get(name_end) != Some(&b':') || !shown(name_end) {
        return Err("a line of its head is no header: \"Name: value\", with its name shown".into());
    }
    let blank = |i: usize| shown(i) && matches!(bytes.get(i), Some(b' ' | b'\t'));
    let (mut from, mut to) = (name_end + 1, line.end);
    while from < to && blank(from) {
        from += 1;
    }
    while from < to && blank(to - 1) {
        to -= 1;
    }
    let control = |i: usize| shown(i) && bytes.get(i).is_some_and(|b| b.is_ascii_control() && *b != b'\t');
    if (from..to).any(control) {
        return Err(format!("the header {name} has a control character"));
    }
    Ok(Header { name, value: from..to })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<Head>, String> {
        read(text.as_bytes(), 0, &|_| true)
    }

    #[test]
    fn heads_are_read_strictly() {
        let text = "HTTP/1.1 200 OK\r\nA-b: \t x y \r\nc:\r\n\r\nrest";
        let head = of(text).unwrap().unwrap();
        let values: Vec<_> = head.headers.iter().map(|h| (h.name.as_str(), &text[h.value.clone()])).collect();
        assert_eq!(values, [("a-b", "x y"), ("c", "")]);
        assert_eq!((&text[head.line.clone()], &text[head.end..]), ("HTTP/1.1 200 OK", "rest"));
        for n in 0..head.end {
            assert_eq!(of(&text[..n]), Ok(None), "{n}");
        }
        for bad in [
            "A\r\nb : c\r\n\r\n",
            "A\r\nb: c\n\r\n",
            "A\r\nb: c\r\n d\r\n\r\n",
            "A\r\n: c\r\n\r\n",
            "A\r\nb\r\n\r\n",
            "A\r\nb: \0\r\n\r\n",
            "A\r\nb: \u{1}\r\n\r\n",
            "A\rB\r\n\r\n",
            "A\nB: c\r\n\r\n",
            "A\r\nb\u{e9}: c\r\n\r\n",
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
        let many = |n: usize| format!("A\r\n{}\r\n", "x: y\r\n".repeat(n));
        assert!(of(&many(256)).is_ok());
        assert!(of(&many(257)).is_err());
    }

    #[test]
    fn hidden_bytes_stand_in_values_only() {
        let text = "A\r\nkey: 12345\r\n\r\n";
        let hide = |range: Range<usize>| read(text.as_bytes(), 0, &move |i| !range.contains(&i));
        assert!(hide(8..13).unwrap().is_some());
        assert!(hide(3..5).is_err());
        assert!(hide(6..7).is_err());
        // A hidden line end is none.
        assert_eq!(hide(8..15).unwrap(), None);
    }
}
