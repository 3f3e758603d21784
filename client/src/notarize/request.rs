//! The request: headers with secrets, and which bytes of it stay hidden.

use std::fmt;
use std::ops::Range;

use tercet_protocol::survey::source::Rules;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::http::Url;

/// Set by this client, or read by the survey's policy: not for the user to change.
const RESERVED: [&str; 8] = [
    "host",
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "transfer-encoding",
    "expect",
    "upgrade",
];

/// Request headers whose values are secret. `Debug` shows the names only.
#[derive(Default)]
pub struct Headers(Vec<(String, Zeroizing<String>)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| format_args!("{name}: (secret)").to_string()))
            .finish()
    }
}

impl Headers {
    /// Adds others.
    pub(crate) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// Names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds the headers of a text, one `Name: value` a line. Error texts name `source` and line, never the text.
    pub fn add(&mut self, source: &str, text: &str) -> Result<(), Error> {
        for (i, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let bad = |what: &str| Error::Usage(format!("{source}, line {}: {what}", i + 1));
            let (name, value) =
                line.split_once(':').ok_or_else(|| bad("write headers as \"Name: value\""))?;
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(token) {
                return Err(bad("this is not a header name"));
            }
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(bad("this header is set by tercet itself"));
            }
            let value = value.trim();
            if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\t') {
                return Err(bad("a header's value must be printable ASCII, and not empty"));
            }
            self.0.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        }
        Ok(())
    }
}

/// A request in the form in which it is sent, and its hidden ranges.
pub struct Request {
    /// All bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The secret headers' values.
    pub hidden: Vec<Range<usize>>,
}

/// The survey's request at this address: it asks for one uncompressed response and the end of the connection.
pub fn build(rules: &Rules, url: &Url, headers: &Headers) -> Request {
    let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
    let mut head =
        format!("{} {}{query} HTTP/1.1\r\nHost: {}\r\n", rules.method, url.path(), rules.server_name);
    let usual = [("accept", "Accept: */*\r\n"), ("accept-encoding", "Accept-Encoding: identity\r\n")];
    for (name, line) in usual {
        if !rules.headers.iter().any(|(n, _)| n == name) {
            head.push_str(line);
        }
    }
    head.push_str("Connection: close\r\n");
    for (name, value) in &rules.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = rules.body.as_ref();
    if let Some(body) = body {
        head.push_str(&format!(
            "Content-Type: {}\r\nContent-Length: {}\r\n",
            body.content_type,
            body.text.len()
        ));
    }
    let body = body.map_or("", |b| &b.text);
    let secret: usize = headers.0.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(head.len() + secret + 2 + body.len()));
    let mut hidden = Vec::new();
    bytes.extend_from_slice(head.as_bytes());
    for (name, value) in &headers.0 {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        hidden.push(bytes.len()..bytes.len() + value.len());
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    Request { bytes, hidden }
}

#[cfg(test)]
mod tests {
    use tercet_protocol::survey::SurveyManifest;

    use super::*;

    #[test]
    fn secret_values_are_hidden_and_never_shown() {
        let mut headers = Headers::default();
        headers.add("a file", "X-Key:  s3cr3t \r\n\nCookie: a=b").unwrap();
        let url = Url::parse("https://api.exchange.test/v1?x=1").unwrap();
        let survey =
            SurveyManifest::from_toml(include_str!("../../../tests/fixtures/vectors/survey.toml")).unwrap();
        let request = build(&survey.source_rules().unwrap(), &url, &headers);
        let shown: Vec<_> = request.hidden.iter().map(|r| &request.bytes[r.clone()]).collect();
        assert_eq!(shown, [&b"s3cr3t"[..], b"a=b"]);
        assert!(request.bytes.starts_with(b"GET /v1?x=1 HTTP/1.1\r\nHost: api.exchange.test\r\n"));
        assert!(request.bytes.ends_with(b"Cookie: a=b\r\n\r\n"));
        let debug = format!("{headers:?}");
        assert!(debug.contains("X-Key") && !debug.contains("s3cr3t"), "{debug}");
    }

    #[test]
    fn bad_headers_are_refused_without_repeating_them() {
        for bad in
            ["s3cr3t", ": s3cr3t", "Host: s3cr3t", "X Y: s3cr3t", "X:", "X: s3cr3t\u{7f}", "X: s3cr3té"]
        {
            let error = Headers::default().add("a file", bad).unwrap_err();
            assert_eq!(error.exit_status(), 2, "{bad}");
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }
}
