//! The parser (RFC 8259, strictly). It never panics, and its work and memory are linear in the document.

use std::ops::Range;

use super::{Document, MAX_BYTES, MAX_DEPTH, MAX_HOLES, MAX_NODES, Node, NodeId, Token, Value};

/// Why bytes are no document of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The position in the body.
    pub at: usize,
    /// The fault.
    pub problem: &'static str,
    /// True if it is about hidden bytes.
    pub hidden: bool,
}

/// Parses a document. `holes` are the hidden ranges of `bytes`: sorted, disjoint, not empty. The bytes in them are not
/// looked at.
pub fn parse<'a>(bytes: &'a [u8], start: usize, holes: &[Range<usize>]) -> Result<Document<'a>, Failure> {
    let mut parser = Parser {
        holes,
        next: holes.first().map_or(usize::MAX, |h| h.start),
        at: start,
        depth: 0,
        document: Document { bytes, nodes: Vec::new(), strings: Vec::new(), tokens: Vec::new() },
    };
    if bytes.len() > MAX_BYTES {
        return parser.fail("the document has more than 1 MiB");
    }
    if holes.len() > MAX_HOLES {
        return parser.fail("more than 512 values are hidden");
    }
    if let Err(e) = str::from_utf8(bytes) {
        return Err(Failure { at: e.valid_up_to(), problem: "the document is not UTF-8", hidden: false });
    }
    parser.value()?;
    parser.blanks();
    if parser.at != bytes.len() {
        return parser.fail("something follows the end of the document");
    }
    // Every hole is a value: one that is not has been met where it may not be.
    if parser.document.holes().count() != holes.len() {
        return parser.hole("hidden bytes are not one whole value");
    }
    Ok(parser.document)
}

struct Parser<'a, 'h> {
    holes: &'h [Range<usize>],
    /// The beginning of the next hole: no hole is passed but by `hidden`.
    next: usize,
    at: usize,
    depth: usize,
    document: Document<'a>,
}

impl Parser<'_, '_> {
    fn fail<T>(&self, problem: &'static str) -> Result<T, Failure> {
        let hidden = self.hole_at(self.at).is_some();
        let problem = if hidden {
            "hidden bytes are not exactly one number, or the inside of one string"
        } else {
            problem
        };
        Err(Failure { at: self.at, problem, hidden })
    }

    fn hole<T>(&self, problem: &'static str) -> Result<T, Failure> {
        Err(Failure { at: self.at, problem, hidden: true })
    }

    /// The hole that a position lies in.
    fn hole_at(&self, at: usize) -> Option<usize> {
        let index = self.holes.partition_point(|h| h.end <= at);
        self.holes.get(index).is_some_and(|h| h.start <= at).then_some(index)
    }

    /// The next byte, if it is shown.
    fn peek(&self) -> Option<u8> {
        if self.at >= self.next { None } else { self.document.bytes.get(self.at).copied() }
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn mark(&mut self, mark: u8) {
        self.document.tokens.push(Token::Mark(mark));
        self.at += 1;
    }

    /// A value whose text goes from `start` to the parser's position.
    fn node(&mut self, value: Value, first: usize, start: usize) -> Result<NodeId, Failure> {
        if self.document.nodes.len() >= MAX_NODES {
            return self.fail("the document has more than 100,000 values");
        }
        let last = self.document.tokens.len().saturating_sub(1);
        self.document.nodes.push(Node { value, span: start..self.at, tokens: (first, last) });
        Ok(self.document.nodes.len() - 1)
    }

    fn value(&mut self) -> Result<NodeId, Failure> {
        let is_root = self.document.nodes.is_empty();
        self.blanks();
        let first = self.document.tokens.len();
        if let Some(hole) = self.hole_at(self.at) {
            if is_root {
                return self.hole("the whole document is hidden");
            }
            return self.hidden(hole, false, first);
        }
        match self.peek() {
            Some(b'{') => self.object(first),
            Some(b'[') => self.array(first),
            Some(b'"') => self.text(first),
            Some(b'-' | b'0'..=b'9') => self.number(first),
            Some(b't') => self.word(b"true", Value::Bool(true), first),
            Some(b'f') => self.word(b"false", Value::Bool(false), first),
            Some(b'n') => self.word(b"null", Value::Null, first),
            Some(_) => self.fail("a JSON value is expected here"),
            None => self.fail("the document ends early"),
        }
    }

    /// A hole at the parser's position.
    fn hidden(&mut self, hole: usize, quoted: bool, first: usize) -> Result<NodeId, Failure> {
        let Some(range) = self.holes.get(hole).cloned() else {
            return self.hole("hidden bytes are not one whole value");
        };
        if range.start != self.at {
            return self.hole("hidden bytes are not one whole value");
        }
        self.at = range.end;
        self.next = self.holes.get(hole + 1).map_or(usize::MAX, |h| h.start);
        if self.hole_at(self.at).is_some() {
            return self.hole("two hidden ranges touch");
        }
        if quoted {
            if self.peek() != Some(b'"') {
                return self.hole("the whole inside of a string is hidden, or none of it");
            }
            self.at += 1;
        } else {
            // What follows a number, up to white space, only marks its end.
            let next = self.document.bytes.get(self.at).copied();
            if !matches!(next, Some(b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')) {
                return self.hole("a hidden number is hidden whole: no part of it may be shown");
            }
        }
        self.document.tokens.push(Token::Hidden);
        let start = if quoted { range.start - 1 } else { range.start };
        self.node(Value::Hidden { hole, quoted }, first, start)
    }

    fn nested(&mut self) -> Result<(), Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail("the document is nested deeper than 64") } else { Ok(()) }
    }

    fn array(&mut self, first: usize) -> Result<NodeId, Failure> {
        self.nested()?;
        let id = self.node(Value::Array(Vec::new()), first, self.at)?;
        self.mark(b'[');
        let mut elements = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.mark(b']');
        } else {
            loop {
                elements.push(self.value()?);
                self.blanks();
                match self.peek() {
                    Some(b',') => self.mark(b','),
                    Some(b']') => {
                        self.mark(b']');
                        break;
                    }
                    _ => return self.fail("a comma or ] is expected here"),
                }
            }
        }
        self.depth -= 1;
        self.close(id, Value::Array(elements));
        Ok(id)
    }

    fn object(&mut self, first: usize) -> Result<NodeId, Failure> {
        self.nested()?;
        let id = self.node(Value::Object(Vec::new()), first, self.at)?;
        self.mark(b'{');
        let mut members: Vec<(usize, NodeId)> = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.mark(b'}');
        } else {
            loop {
                self.blanks();
                if self.peek() != Some(b'"') {
                    return self.fail("a member's name in quotes is expected here");
                }
                let name = self.string()?;
                self.blanks();
                if self.peek() != Some(b':') {
                    return self.fail("a colon is expected here");
                }
                self.mark(b':');
                members.push((name, self.value()?));
                self.blanks();
                match self.peek() {
                    Some(b',') => self.mark(b','),
                    Some(b'}') => {
                        self.mark(b'}');
                        break;
                    }
                    _ => return self.fail("a comma or } is expected here"),
                }
            }
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| self.document.string(*name)).collect();
        names.sort_unstable();
        if names.windows(2).any(|w| w[0] == w[1]) {
            return self.fail("an object has two members of one name");
        }
        self.depth -= 1;
        self.close(id, Value::Object(members));
        Ok(id)
    }

    fn close(&mut self, id: NodeId, value: Value) {
        let last = self.document.tokens.len().saturating_sub(1);
        if let Some(node) = self.document.nodes.get_mut(id) {
            node.value = value;
            node.span.end = self.at;
            node.tokens.1 = last;
        }
    }

    fn word(&mut self, word: &'static [u8], value: Value, first: usize) -> Result<NodeId, Failure> {
        let end = self.at + word.len();
        if self.document.bytes.get(self.at..end) != Some(word)
            || (self.at..end).any(|i| self.hole_at(i).is_some())
        {
            return self.fail("a JSON value is expected here");
        }
        let start = self.at;
        self.document.tokens.push(Token::Word(start, end));
        self.at = end;
        self.ends()?;
        self.node(value, first, start)
    }

    /// Nothing that could belong to a number or a word follows, shown or hidden.
    fn ends(&self) -> Result<(), Failure> {
        if self.hole_at(self.at).is_some() {
            return self.hole("a number is hidden whole: no part of it may be shown");
        }
        match self.peek() {
            Some(b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') | None => Ok(()),
            Some(_) => self.fail("a value does not end where it should"),
        }
    }

    fn number(&mut self, first: usize) -> Result<NodeId, Failure> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.at;
        self.digits()?;
        if self.document.bytes.get(whole) == Some(&b'0') && self.at > whole + 1 {
            return self.fail("a number begins with a zero that says nothing");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.ends()?;
        self.document.tokens.push(Token::Word(start, self.at));
        self.node(Value::Number(start..self.at), first, start)
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.fail("a digit is expected here") } else { Ok(()) }
    }

    fn text(&mut self, first: usize) -> Result<NodeId, Failure> {
        if let Some(hole) = self.hole_at(self.at + 1) {
            self.at += 1;
            return self.hidden(hole, true, first);
        }
        let start = self.at;
        let index = self.string()?;
        self.node(Value::Text(index), first, start)
    }

    /// A shown string, from its opening quote to behind its closing one.
    fn string(&mut self) -> Result<usize, Failure> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let Some(b) = self.peek() else {
                return self.fail("a string does not end");
            };
            match b {
                b'"' => break,
                b'\\' => self.escape(&mut out)?,
                0..=0x1f => return self.fail("a string has a control character that is not escaped"),
                b => {
                    out.push(b);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        // The whole document is UTF-8, quotes and escapes are ASCII, and escapes give whole characters.
        let Ok(text) = String::from_utf8(out) else { return self.fail("a string is not UTF-8") };
        self.document.strings.push(text);
        let index = self.document.strings.len() - 1;
        self.document.tokens.push(Token::Text(index));
        Ok(index)
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.at += 1;
        let simple = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => c,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let first = self.unit()?;
                let c = match first {
                    0xd800..=0xdbff => {
                        if self.peek() != Some(b'\\') || self.document.bytes.get(self.at + 1) != Some(&b'u') {
                            return self.fail("half of a surrogate pair is alone");
                        }
                        self.at += 2;
                        let second = self.unit()?;
                        char::decode_utf16([first, second]).next().and_then(Result::ok)
                    }
                    first => char::from_u32(first.into()),
                };
                let Some(c) = c else { return self.fail("half of a surrogate pair is alone") };
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return self.fail("a string has an escape that JSON does not know"),
        };
        out.push(simple);
        self.at += 1;
        Ok(())
    }

    fn unit(&mut self) -> Result<u16, Failure> {
        let mut unit = 0u16;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            let Some(digit) = digit else { return self.fail("\\u is followed by four hexadecimal digits") };
            unit = unit << 4 | digit as u16;
            self.at += 1;
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests;
