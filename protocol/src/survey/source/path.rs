//! JSONPath (RFC 9535), the part that can be evaluated on documents with hidden values: names, indices from 0,
//! wildcards, and filters that compare members with strings and integers.

use std::fmt;

use super::scalar::Scalar;

/// Most segments of a path, and most members that one filter's side goes through.
const MAX_SEGMENTS: usize = 64;

/// A path from the document's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Its segments, in order. None: the root itself.
    pub segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// The member of this name.
    Name(String),
    /// The element of this index, from 0.
    Index(usize),
    /// All members or elements.
    Wildcard,
    /// The members or elements of which all comparisons hold.
    Filter(Vec<Comparison>),
}

/// A comparison in a filter: the value of a member, however deep, and a constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Names from the element (`@`) down to the value.
    pub names: Vec<String>,
    /// The constant that it is compared with.
    pub value: Scalar,
}

/// Why a text is no path of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub struct PathError {
    /// The position, counted in characters from 1.
    pub at: usize,
    /// The fault, and what to write instead.
    pub problem: String,
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut parser = Parser { chars: text.chars().collect(), at: 0 };
        if !parser.eat('$') {
            return parser.fail("a path begins with $, the whole document");
        }
        let mut segments = Vec::new();
        while !parser.ended() {
            segments.push(parser.segment()?);
            if segments.len() > MAX_SEGMENTS {
                return parser.fail("a path has at most 64 segments");
            }
        }
        Ok(Self { segments })
    }

    /// True if this path goes on where the other one ends.
    pub fn continues(&self, other: &Self) -> bool {
        self.segments.len() > other.segments.len() && self.segments.starts_with(&other.segments)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.segments {
            match segment {
                Segment::Name(name) => member(f, name)?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Wildcard => f.write_str("[*]")?,
                Segment::Filter(all) => {
                    f.write_str("[?")?;
                    for (i, one) in all.iter().enumerate() {
                        f.write_str(if i == 0 { "@" } else { "&&@" })?;
                        one.names.iter().try_for_each(|name| member(f, name))?;
                        match &one.value {
                            Scalar::Integer(digits) => write!(f, "=={digits}")?,
                            Scalar::Text(text) => write!(f, "=={}", quoted(text))?,
                        }
                    }
                    f.write_str("]")?;
                }
            }
        }
        Ok(())
    }
}

fn member(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let short = name.chars().all(plain) && name.starts_with(|c: char| !c.is_numeric());
    if short { write!(f, ".{name}") } else { write!(f, "[{}]", quoted(name)) }
}

/// A string as it is written in a path.
fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "'"
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn fail<T>(&self, problem: impl Into<String>) -> Result<T, PathError> {
        Err(PathError { at: self.at + 1, problem: problem.into() })
    }

    fn ended(&self) -> bool {
        self.at >= self.chars.len()
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn segment(&mut self) -> Result<Segment, PathError> {
        if self.eat('.') {
            return match self.peek() {
                Some('.') => self.fail("a path says every step: .. is not supported"),
                Some('*') => {
                    self.at += 1;
                    Ok(Segment::Wildcard)
                }
                _ => Ok(Segment::Name(self.name()?)),
            };
        }
        if !self.eat('[') {
            return self.fail("write .name, ['name'], [0], [*] or [?@.name=='text'] here");
        }
        self.blanks();
        let segment = match self.peek() {
            Some('*') => {
                self.at += 1;
                Segment::Wildcard
            }
            Some('?') => {
                self.at += 1;
                Segment::Filter(self.filter()?)
            }
            Some('\'' | '"') => Segment::Name(self.string()?),
            Some('-') => return self.fail("indices count from 0 at the front"),
            Some(c) if c.is_ascii_digit() => Segment::Index(self.index()?),
            _ => return self.fail("write 'name', a number, * or ? inside the brackets"),
        };
        self.blanks();
        match self.peek() {
            Some(']') => self.at += 1,
            Some(',' | ':') => {
                return self.fail("lists and slices are not supported: one selector in brackets");
            }
            _ => return self.fail("a closing ] is missing"),
        }
        Ok(segment)
    }

    /// A name without quotes.
    fn name(&mut self) -> Result<String, PathError> {
        let start = self.at;
        while let Some(c) = self.peek() {
            if !(c.is_ascii_alphabetic()
                || c == '_'
                || !c.is_ascii()
                || (self.at > start && c.is_ascii_digit()))
            {
                break;
            }
            self.at += 1;
        }
        if self.at == start {
            return self.fail("a name is missing; write other names as ['like this']");
        }
        Ok(self.chars[start..self.at].iter().collect())
    }

    fn index(&mut self) -> Result<usize, PathError> {
        let digits = self.digits();
        match digits.parse() {
            Ok(index) if digits == "0" || !digits.starts_with('0') => Ok(index),
            _ => self.fail("this is no index: write 0, 1, 2, .."),
        }
    }

    fn digits(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    fn string(&mut self) -> Result<String, PathError> {
        let Some(quote) = self.peek() else { return self.fail("a quote is missing") };
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else { return self.fail("the closing quote is missing") };
            self.at += 1;
            match c {
                c if c == quote => return Ok(out),
                '\\' => out.push(self.escape()?),
                c if c.is_control() => return self.fail("write control characters as \\u00XX"),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, PathError> {
        let c = self.peek();
        self.at += 1;
        Ok(match c {
            Some(c @ ('\'' | '"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let first = self.unit();
                let second = match first {
                    Some(0xd800..=0xdbff) if self.eat('\\') && self.eat('u') => self.unit(),
                    _ => None,
                };
                match char::decode_utf16(first.into_iter().chain(second)).next() {
                    Some(Ok(c)) => c,
                    _ => return self.fail("this is no character: write \\u and four hexadecimal digits"),
                }
            }
            _ => return self.fail("this escape is not one of JSON"),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u16> {
        let digits: String = self.chars.get(self.at..self.at + 4)?.iter().collect();
        self.at += 4;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| u16::from_str_radix(&digits, 16).ok())?
    }

    fn filter(&mut self) -> Result<Vec<Comparison>, PathError> {
        let mut all = Vec::new();
        loop {
            self.blanks();
            all.push(self.comparison()?);
            self.blanks();
            match (self.peek(), self.chars.get(self.at + 1)) {
                (Some('&'), Some('&')) => self.at += 2,
                (Some('|'), _) => return self.fail("a filter joins its comparisons by && only"),
                _ => return Ok(all),
            }
            if all.len() == 8 {
                return self.fail("a filter has at most 8 comparisons");
            }
        }
    }

    fn comparison(&mut self) -> Result<Comparison, PathError> {
        if !self.eat('@') {
            return self.fail("a filter compares a member of the element, such as @.asset=='ETH'");
        }
        let mut names = Vec::new();
        loop {
            if self.eat('.') {
                names.push(self.name()?);
            } else if self.eat('[') {
                if !matches!(self.peek(), Some('\'' | '"')) {
                    return self.fail("a filter goes through names only");
                }
                names.push(self.string()?);
                if !self.eat(']') {
                    return self.fail("a closing ] is missing");
                }
            } else {
                break;
            }
        }
        if names.is_empty() || names.len() > MAX_SEGMENTS {
            return self.fail("name the member that is compared: @.name");
        }
        self.blanks();
        if !(self.eat('=') && self.eat('=')) {
            return self.fail("a filter compares with == only");
        }
        self.blanks();
        Ok(Comparison { names, value: self.constant()? })
    }

    fn constant(&mut self) -> Result<Scalar, PathError> {
        match self.peek() {
            Some('\'' | '"') => {
                let text = self.string()?;
                Scalar::from_text(&text).map_or_else(
                    |problem| self.fail(format!("this text can equal nothing: it {problem}")),
                    Ok,
                )
            }
            Some(c) if c == '-' || c.is_ascii_digit() => {
                let start = self.at;
                self.eat('-');
                self.digits();
                let text: String = self.chars[start..self.at].iter().collect();
                Scalar::from_number(&text).map_or_else(|_| self.fail("write an integer below 10^40"), Ok)
            }
            _ => self.fail("compare with a text in quotes or an integer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        for (text, written) in [
            ("$", "$"),
            ("$.a.b", "$.a.b"),
            ("$['a b'][0]", "$['a b'][0]"),
            ("$[\"x\"].*", "$.x[*]"),
            ("$.balances[?@.asset=='ETH'].free", "$.balances[?@.asset=='ETH'].free"),
            ("$.b[? @.a.c == \"x\\u0041\" && @['k'] == -7 ].v", "$.b[?@.a.c=='xA'&&@.k==-7].v"),
            ("$.b[?@.id=='77'].v", "$.b[?@.id==77].v"),
            ("$['it\\'s']", "$['it\\'s']"),
            ("$['\\ud83d\\ude00']", "$['😀']"),
            ("$.größe", "$.größe"),
        ] {
            let path = Path::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(path.to_string(), written, "{text}");
            assert_eq!(Path::parse(written).unwrap(), path, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "a",
            "$.",
            "$..a",
            "$[",
            "$[]",
            "$[1",
            "$[-1]",
            "$[01]",
            "$[0,1]",
            "$[0:2]",
            "$.a b",
            "$[?@.a]",
            "$[?@.a<1]",
            "$[?@.a==1||@.b==2]",
            "$[?@.a=='x]",
            "$[?@[0]==1]",
            "$[?@==1]",
            "$[?$.a==1]",
            "$[?@.a==1.5]",
            "$[?@.a==null]",
            "$[?@.a=='']",
            "$['\\ud800']",
            "$['\\x']",
            "$[?length(@.a)==1]",
            "$.1a",
            "$ .a",
            "$[99999999999999999999999]",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_path_goes_on_where_another_ends() {
        let path = |t| Path::parse(t).unwrap();
        assert!(path("$.a[?@.b==1].c").continues(&path("$.a")));
        assert!(path("$.a").continues(&path("$")));
        assert!(!path("$.a").continues(&path("$.a")));
        assert!(!path("$.b.c").continues(&path("$.a")));
    }
}
