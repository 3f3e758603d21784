//! The texts that a survey's author asks of a provider, and how the request is made of them.
//!
//! `[[source.inputs]]` declares the questions: an API key, an account's number. `[[source.parameters]]` and
//! `[[source.request_headers]]` are templates of query parameters and headers:
//!
//! ```toml
//! [[source.inputs]]
//! name = "api_secret"
//! label = "Secret of a read-only API key"
//! secret = true
//!
//! [[source.parameters]]
//! name = "timestamp"
//! value = "{unix_ms()}"
//!
//! [[source.parameters]]
//! name = "signature"
//! value = "{hmac_sha256_hex(api_secret, query)}"
//! ```
//!
//! An expression in braces is a name, a text in quotes, a function's result, or several of them joined with `+`. A
//! name is an input's, or one of `method`, `path`, `query` (as far as it is made, encoded) and `body`. Templates
//! belong to the client: nobody else evaluates them, and their results are checked like any request.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ring::hmac;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{SurveyError, invalid};

/// Most inputs, parameters or headers of one survey.
const MAX_EACH: usize = 32;
/// Longest template.
const MAX_TEMPLATE: usize = 1024;
/// Deepest nesting of functions.
const MAX_DEPTH: usize = 8;
/// Names that every template may use.
const BUILT_IN: [&str; 4] = ["method", "path", "query", "body"];

/// `[[source.inputs]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSection {
    /// The name in templates: lower-case letters, digits and underscores.
    pub name: String,
    /// The question to the provider.
    pub label: String,
    /// True if it is typed unseen and never given as an argument.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// `[[source.parameters]]` and `[[source.request_headers]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSection {
    /// Name of the parameter or header.
    pub name: String,
    /// Its value's template.
    pub value: String,
}

/// The values of names while a request is made. `Debug` is not implemented: it holds secrets.
#[derive(Default)]
pub struct Values {
    known: Vec<(String, Zeroizing<String>)>,
    /// The present, milliseconds since the Unix epoch: the same in all templates of one request.
    pub unix_ms: u64,
}

impl Values {
    /// Sets the value of a name.
    pub fn set(&mut self, name: &str, value: Zeroizing<String>) {
        self.known.retain(|(n, _)| n != name);
        self.known.push((name.to_owned(), value));
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.known.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Checks names and templates of a survey.
pub fn check(
    inputs: &[InputSection],
    parameters: &[TemplateSection],
    headers: &[TemplateSection],
) -> Result<(), SurveyError> {
    for (key, count) in [
        ("source.inputs", inputs.len()),
        ("source.parameters", parameters.len()),
        ("source.request_headers", headers.len()),
    ] {
        if count > MAX_EACH {
            return Err(invalid(key, format!("list at most {MAX_EACH}")));
        }
    }
    for (i, input) in inputs.iter().enumerate() {
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let name = &input.name;
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !first || name.len() > 32 || !name.bytes().all(letters) || BUILT_IN.contains(&name.as_str()) {
            let problem = "a name has 1 to 32 lower-case letters, digits and underscores, begins with a letter and is not \
                 method, path, query or body";
            return Err(invalid("source.inputs.name", problem));
        }
        if inputs[..i].iter().any(|other| other.name == *name) {
            return Err(invalid("source.inputs.name", format!("\"{name}\" is there twice")));
        }
        if input.label.is_empty() || input.label.len() > 200 || input.label.chars().any(char::is_control) {
            return Err(invalid("source.inputs.label", "write one line of 1 to 200 bytes"));
        }
    }
    for (key, templates) in [("source.parameters", parameters), ("source.request_headers", headers)] {
        for (i, template) in templates.iter().enumerate() {
            let name = &template.name;
            if name.is_empty() || templates[..i].iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
                return Err(invalid(
                    key,
                    format!("the name \"{}\" is empty or is there twice", name.escape_debug()),
                ));
            }
            let parsed = Template::parse(&template.value).map_err(|e| invalid(format!("{key}.value"), e))?;
            for used in parsed.names() {
                if !BUILT_IN.contains(&used) && !inputs.iter().any(|input| input.name == used) {
                    let problem = format!("\"{used}\" is no input: declare it in [[source.inputs]]");
                    return Err(invalid(format!("{key}.value"), problem));
                }
            }
        }
    }
    Ok(())
}

/// A template, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Expression>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Text(String),
    Name(String),
    UnixMs,
    HmacSha256Hex(Box<[Template; 2]>),
    Base64(Box<Template>),
}

impl Template {
    /// Parses text with expressions in braces; `{{` and `}}` mean braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEMPLATE {
            return Err(format!("a template has at most {MAX_TEMPLATE} bytes"));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                literal.push(c);
                rest = after;
            } else if c == '{' {
                let mut parser = Parser(&rest[1..]);
                if !literal.is_empty() {
                    parts.push(Expression::Text(std::mem::take(&mut literal)));
                }
                parts.extend(parser.sum(0)?.0);
                rest = parser.0.trim_start().strip_prefix('}').ok_or("a brace is not closed")?;
            } else if c == '}' {
                return Err("a closing brace is alone: write }} for a brace".into());
            } else {
                literal.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        if !literal.is_empty() {
            parts.push(Expression::Text(literal));
        }
        Ok(Self(parts))
    }

    /// All names it uses.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().flat_map(Expression::names).collect()
    }

    /// Its text for one request.
    pub fn evaluate(&self, values: &Values) -> Result<Zeroizing<String>, String> {
        let parts: Vec<_> = self.0.iter().map(|e| e.evaluate(values)).collect::<Result<_, _>>()?;
        // Room for everything from the start: a growing text would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|p| p.len()).sum()));
        parts.iter().for_each(|p| text.push_str(p));
        Ok(text)
    }
}

impl Expression {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Text(_) | Self::UnixMs => Vec::new(),
            Self::Name(name) => vec![name],
            Self::HmacSha256Hex(both) => both.iter().flat_map(Template::names).collect(),
            Self::Base64(text) => text.names(),
        }
    }

    fn evaluate(&self, values: &Values) -> Result<Zeroizing<String>, String> {
        Ok(Zeroizing::new(match self {
            Self::Text(text) => text.clone(),
            Self::Name(name) => {
                values.get(name).ok_or_else(|| format!("\"{name}\" has no value"))?.to_owned()
            }
            Self::UnixMs => values.unix_ms.to_string(),
            Self::HmacSha256Hex(both) => {
                let [key, text] = both.each_ref().map(|t| t.evaluate(values));
                let key = hmac::Key::new(hmac::HMAC_SHA256, key?.as_bytes());
                hex::encode(hmac::sign(&key, text?.as_bytes()))
            }
            Self::Base64(text) => BASE64.encode(text.evaluate(values)?.as_bytes()),
        }))
    }
}

/// Reads an expression from the front of a text.
struct Parser<'a>(&'a str);

impl Parser<'_> {
    fn eat(&mut self, c: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Terms joined with `+`.
    fn sum(&mut self, depth: usize) -> Result<Template, String> {
        let mut parts = vec![self.term(depth)?];
        while self.eat('+') {
            parts.push(self.term(depth)?);
        }
        Ok(Template(parts))
    }

    fn term(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > MAX_DEPTH {
            return Err("functions are nested too deeply".into());
        }
        self.0 = self.0.trim_start();
        for quote in ['"', '\''] {
            if self.eat(quote) {
                let (text, rest) = self.0.split_once(quote).ok_or("a text in quotes is not closed")?;
                self.0 = rest;
                return Ok(Expression::Text(text.to_owned()));
            }
        }
        let end = self.0.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        if name.is_empty() {
            return Err("a name, a function or a text in quotes is missing".into());
        }
        if !self.eat('(') {
            return Ok(Expression::Name(name.to_owned()));
        }
        let mut given = Vec::new();
        while !self.eat(')') {
            if !given.is_empty() && !self.eat(',') {
                return Err(format!("the parentheses of {name} are not closed"));
            }
            given.push(self.sum(depth + 1)?);
        }
        let wrong = |want: &str| Err(format!("write {want}"));
        match name {
            "unix_ms" => match given[..] {
                [] => Ok(Expression::UnixMs),
                _ => wrong("unix_ms()"),
            },
            "hmac_sha256_hex" => match <[Template; 2]>::try_from(given) {
                Ok(both) => Ok(Expression::HmacSha256Hex(Box::new(both))),
                Err(_) => wrong("hmac_sha256_hex(secret, text)"),
            },
            "base64" => match <[Template; 1]>::try_from(given) {
                Ok([text]) => Ok(Expression::Base64(Box::new(text))),
                Err(_) => wrong("base64(text)"),
            },
            other => Err(format!("there is no function {other}: use unix_ms, hmac_sha256_hex or base64")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(text: &str) -> Result<String, String> {
        let mut values = Values { unix_ms: 1_499_827_319_559, ..Values::default() };
        let mut set = |n: &str, v: &str| values.set(n, Zeroizing::new(v.to_owned()));
        set("key", "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j");
        set("user", "Aladdin");
        set(
            "query",
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        );
        Template::parse(text)?.evaluate(&values).map(|t| t.to_string())
    }

    #[test]
    fn requests_are_signed_as_exchanges_document_it() {
        // The worked example of Binance's documentation of signed endpoints.
        let signature = evaluate("{hmac_sha256_hex(key, query)}").unwrap();
        assert_eq!(signature, "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71");
        // RFC 7617's example of Basic authentication.
        let basic = evaluate("Basic {base64(user + \":\" + 'open sesame')}");
        assert_eq!(basic.unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(evaluate("{unix_ms()}").unwrap(), "1499827319559");
        assert_eq!(evaluate("a{{b}}c{ user }d{user}").unwrap(), "a{b}cAladdindAladdin");
        assert_eq!(evaluate("").unwrap(), "");
    }

    #[test]
    fn bad_templates_are_refused() {
        for bad in [
            "{",
            "}",
            "{}",
            "{user",
            "{user}}",
            "{user +}",
            "{\"a}",
            "{unix_ms(user)}",
            "{hmac_sha256_hex(user)}",
            "{hmac_sha256_hex(user user)}",
            "{base64()}",
            "{exec(user)}",
            "{user user}",
            "{base64(user}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let deep = format!("{{{}user{}}}", "base64(".repeat(20), ")".repeat(20));
        assert!(Template::parse(&deep).unwrap_err().contains("deeply"));
        assert!(Template::parse(&"x".repeat(1025)).is_err());
        assert!(evaluate("{nobody}").unwrap_err().contains("nobody"));
    }

    #[test]
    fn surveys_declare_what_their_templates_use() {
        let input = |name: &str| InputSection { name: name.into(), label: "Key".into(), secret: true };
        let template = |name: &str, value: &str| TemplateSection { name: name.into(), value: value.into() };
        let good =
            [template("timestamp", "{unix_ms()}"), template("signature", "{hmac_sha256_hex(key, query)}")];
        assert_eq!(check(&[input("key")], &good, &[template("X-Key", "{key}")]), Ok(()));
        assert!(check(&[], &good, &[]).is_err());
        for bad in ["", "Key", "1key", "query", "a-b", &"k".repeat(33)] {
            assert!(check(&[input(bad)], &[], &[]).is_err(), "{bad}");
        }
        assert!(check(&[input("key"), input("key")], &[], &[]).is_err());
        assert!(check(&[], &[template("a", "1"), template("A", "2")], &[]).is_err());
        assert!(check(&[], &[], &[template("X", "{")]).is_err());
    }
}
