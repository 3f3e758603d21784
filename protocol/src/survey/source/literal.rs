//! Literals in JSON: the older way to give a value's place, by the text in front of it and the text behind it.
//!
//! A literal is read as tokens of JSON and compared with the document's tokens, so that neither white space nor the
//! spelling of a string counts, and nothing inside a string is ever taken for it.

/// A token of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// One of `{ } [ ] : ,`.
    Mark(u8),
    /// A whole string, unescaped.
    Text(String),
    /// A number's text, or `true`, `false`, `null`.
    Word(String),
}

/// Tokens around a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Right in front of it.
    pub before: Vec<Token>,
    /// Right behind it. Empty where the literal says only that the value ends there.
    pub after: Vec<Token>,
}

impl Pattern {
    /// Reads a prefix and a suffix. The error names the fault.
    pub fn parse(prefix: &str, suffix: &str) -> Result<Self, &'static str> {
        // The value's own quotes belong to the value.
        let Some((mut before, open)) = tokens(prefix) else { return Err(NOT_JSON) };
        match open {
            Rest::Nothing | Rest::Quote => {}
            Rest::Text | Rest::Word => return Err(INSIDE),
        }
        // A prefix may begin with the quote that ends the string in front.
        if before.is_empty() || !before.iter().any(|t| matches!(t, Token::Text(_))) {
            return Err(NOT_JSON);
        }
        if !matches!(before.last(), Some(Token::Mark(b':' | b',' | b'['))) {
            return Err(NOT_JSON);
        }
        let suffix = suffix.strip_prefix('"').unwrap_or(suffix);
        let Some((mut after, _)) = tokens(suffix) else { return Err(BEHIND) };
        if !matches!(after.first(), None | Some(Token::Mark(b',' | b'}' | b']'))) {
            return Err(BEHIND);
        }
        if suffix.starts_with(|c: char| !matches!(c, ',' | '}' | ']' | ' ' | '\t' | '\r' | '\n')) {
            return Err(BEHIND);
        }
        // In JSON a value ends where it ends: marks alone tell nothing about which value it is.
        if !after.iter().any(|t| !matches!(t, Token::Mark(_))) {
            after.clear();
        }
        before.shrink_to_fit();
        Ok(Self { before, after })
    }
}

impl Pattern {
    /// The text in front of the value, as JSON.
    pub fn in_front(&self) -> String {
        let token = |t: &Token| match t {
            Token::Mark(mark) => char::from(*mark).to_string(),
            Token::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Token::Word(word) => word.clone(),
        };
        self.before.iter().map(token).collect()
    }
}

const NOT_JSON: &str = "is not the text in front of a value in JSON, such as \"balance\": with its quotes; \
    write at = \"$.balance\" instead, or format = \"text\" under [source] if the answer is no JSON";
const INSIDE: &str = "ends inside a string or number: in JSON a value is hidden whole; choose another value, \
    or format = \"text\" under [source]";
const BEHIND: &str = "is not what may follow a value in JSON (a comma or a closing bracket): in JSON a value ends where it \
    ends; write at = \"$.name\" instead, or format = \"text\" under [source] if the answer is no JSON";

/// The end of a literal's text.
enum Rest {
    Nothing,
    /// With an opening quote.
    Quote,
    /// Inside a string.
    Text,
    /// Behind a word that may go on.
    Word,
}

/// The tokens of a literal, and how it ends.
fn tokens(text: &str) -> Option<(Vec<Token>, Rest)> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.bytes().next() else { return Some((out, Rest::Nothing)) };
        match first {
            b'{' | b'}' | b'[' | b']' | b':' | b',' => {
                out.push(Token::Mark(first));
                rest = &rest[1..];
            }
            b'"' => match string_end(rest) {
                Some(end) => {
                    out.push(Token::Text(serde_json::from_str(&rest[..end]).ok()?));
                    rest = &rest[end..];
                }
                None if rest.len() == 1 => return Some((out, Rest::Quote)),
                None => return Some((out, Rest::Text)),
            },
            b'a'..=b'z' | b'0'..=b'9' | b'-' => {
                let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
                let end = rest.bytes().position(|b| !word(b)).unwrap_or(rest.len());
                if end == rest.len() {
                    return Some((out, Rest::Word));
                }
                let value: serde_json::Value = serde_json::from_str(&rest[..end]).ok()?;
                let plain = value.is_number() || value.is_boolean() || value.is_null();
                out.push(Token::Word(plain.then(|| rest[..end].to_owned())?));
                rest = &rest[end..];
            }
            _ => return None,
        }
    }
}

/// The end of a string that begins with a quote, behind its closing quote.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (i, b) in text.bytes().enumerate().skip(1) {
        match b {
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

    #[test]
    fn literals_are_read_as_tokens() {
        let text = |t: &str| Token::Text(t.into());
        let p = Pattern::parse("{\"asset\":\"ETH\",\"free\":\"", "\",\"locked\":").unwrap();
        let mark = Token::Mark;
        let before =
            [mark(b'{'), text("asset"), mark(b':'), text("ETH"), mark(b','), text("free"), mark(b':')];
        assert_eq!(p.before, before);
        assert_eq!(p.after, [mark(b','), text("locked"), mark(b':')]);
        for suffix in ["\"", "\"}", ",", "}", "}]", "\",", " }"] {
            let p = Pattern::parse("\"uid\":", suffix).unwrap_or_else(|e| panic!("{suffix}: {e}"));
            assert_eq!((p.before.len(), p.after.len()), (2, 0), "{suffix}");
        }
        assert_eq!(Pattern::parse("\"id\":7,\"b\" : [", "]").unwrap().before.len(), 7);
    }

    #[test]
    fn what_is_not_in_front_of_a_value_is_refused() {
        for (prefix, suffix) in [
            ("\"Balance: ", " EUR"),
            ("uid:", "}"),
            ("<uid>", "</uid>"),
            ("\"uid\"", "}"),
            (":", "}"),
            ("\"", "\""),
            ("{", "}"),
            ("\"balance\":\"EUR ", "\""),
            ("\"balance\":1", "}"),
            ("\"balance\":\"", "0"),
            ("\"balance\":", "00,"),
            ("\"balance\":\"", " EUR\""),
            ("\"balance\":\"", ".00\""),
            ("\"a\":tru,\"b\":", "}"),
        ] {
            assert!(Pattern::parse(prefix, suffix).is_err(), "{prefix} {suffix}");
        }
    }
}
