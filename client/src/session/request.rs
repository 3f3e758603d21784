//! The request: the part that the survey fixes, the results of its templates, and the provider's additions.

use std::collections::BTreeMap;
use std::fmt;

use tercet_protocol::survey::inputs::{Template, TemplateSection, Values};
use zeroize::Zeroizing;

use super::FromCurl;
use crate::error::Error;
use crate::notarize::Headers;

/// A survey's rules of the request.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The server's name, for `Host`.
    pub host: String,
    /// The method.
    pub method: String,
    /// The path; one `{name}` in it is a parameter.
    pub path: String,
    /// Required query parameters, percent-encoded.
    pub query: BTreeMap<String, String>,
    /// Templates of further query parameters, in order.
    pub parameters: Vec<TemplateSection>,
    /// Required headers.
    pub headers: BTreeMap<String, String>,
    /// Templates of further headers.
    pub request_headers: Vec<TemplateSection>,
    /// Content type and body.
    pub body: Option<(String, String)>,
}

/// The provider's additions. `Debug` shows names only.
#[derive(Default)]
pub struct Credentials {
    /// Headers.
    pub headers: Headers,
    /// Parameters of path and query.
    pub parameters: Vec<(String, Zeroizing<String>)>,
    /// The values of the survey's inputs.
    pub values: Values,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        f.debug_struct("Credentials")
            .field("headers", &self.headers)
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Takes the headers of a browser's command, and the parameters of its address that `wanted` takes. The
    /// parameters that the survey makes itself are left out.
    pub fn take_from(&mut self, found: FromCurl, wanted: impl Fn(&str) -> bool) -> Result<(), Error> {
        let url = crate::http::Url::parse(&found.url)
            .map_err(|_| Error::usage("the copied command's address cannot be read"))?;
        let wanted = url.query_pairs().filter(|(name, _)| wanted(name));
        let pairs = wanted.map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned())));
        self.parameters.extend(pairs);
        self.headers.append(found.headers);
        Ok(())
    }
}

/// A request's bytes. `Debug` shows their number.
pub struct MadeRequest(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for MadeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MadeRequest({} bytes)", self.0.len())
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(3 * text.len()));
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
            continue;
        }
        out.push('%');
        for digit in [b >> 4, b & 15] {
            out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
        }
    }
    out
}

pub(super) fn text(parts: &[&str]) -> Zeroizing<String> {
    // Room for everything from the start: a growing text would leave copies behind.
    let mut out = Zeroizing::new(String::with_capacity(parts.iter().map(|p| p.len()).sum()));
    parts.iter().for_each(|p| out.push_str(p));
    out
}

impl Shape {
    /// Makes the request at `unix_ms`.
    pub fn make(&self, mut given: Credentials, unix_ms: u64) -> Result<MadeRequest, Error> {
        given.values.unix_ms = unix_ms;
        let path = self.path(&mut given)?;
        let plain = |s: &str| Zeroizing::new(s.to_owned());
        given.values.set("method", plain(&self.method));
        given.values.set("path", path.clone());
        let body = self.body.as_ref().map(|(_, body)| body.as_str()).unwrap_or_default();
        given.values.set("body", plain(body));
        let query = self.query(&mut given)?;

        let mut lines = vec![text(&["Host: ", &self.host])];
        let mut fixed = vec![("Accept-Encoding", "identity"), ("Connection", "close")];
        let named = |name: &str| self.headers.keys().any(|n| n.eq_ignore_ascii_case(name));
        if !named("accept") {
            fixed.insert(0, ("Accept", "*/*"));
        }
        lines.extend(fixed.iter().filter(|(n, _)| !named(n)).map(|(n, v)| text(&[n, ": ", v])));
        lines.extend(self.headers.iter().map(|(n, v)| text(&[n, ": ", v])));
        if let Some((kind, body)) = &self.body {
            lines.push(text(&["Content-Type: ", kind]));
            lines.push(text(&["Content-Length: ", &body.len().to_string()]));
        }
        for template in &self.request_headers {
            let value = evaluate(template, &given.values)?;
            if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
                return Err(Error::usage(format!(
                    "the value of the header {} must be printable ASCII, and not empty: check the inputs",
                    template.name
                )));
            }
            lines.push(text(&[&template.name, ": ", &value]));
        }
        lines.extend(given.headers.iter().map(|(n, v)| text(&[n, ": ", v])));
        for (i, line) in lines.iter().enumerate() {
            let name = line.split_once(':').map_or("", |(n, _)| n);
            let again =
                |l: &Zeroizing<String>| l.split_once(':').is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
            if lines[..i].iter().any(again) {
                return Err(Error::usage(format!("the header {} is given twice", name.escape_debug())));
            }
        }
        let target = if query.is_empty() { path } else { text(&[&path, "?", &query]) };
        let mut parts = vec![self.method.as_str(), " ", &target, " HTTP/1.1\r\n"];
        for line in &lines {
            parts.extend([line.as_str(), "\r\n"]);
        }
        parts.extend(["\r\n", body]);
        let mut bytes = Zeroizing::new(Vec::with_capacity(parts.iter().map(|p| p.len()).sum()));
        parts.iter().for_each(|p| bytes.extend_from_slice(p.as_bytes()));
        Ok(MadeRequest(bytes))
    }

    fn path(&self, given: &mut Credentials) -> Result<Zeroizing<String>, Error> {
        let Some((before, rest)) = self.path.split_once('{') else {
            return Ok(Zeroizing::new(self.path.clone()));
        };
        let (open, after) = rest
            .split_once('}')
            .ok_or_else(|| Error::usage("the survey's path has a brace that is not closed"))?;
        // `{name}` or `{name:form}`.
        let name = open.split_once(':').map_or(open, |(name, _)| name);
        let at = given.parameters.iter().position(|(n, _)| n == name).ok_or_else(|| {
            Error::usage(format!("the survey's path needs a value: give --param {name}=VALUE"))
        })?;
        let (_, value) = given.parameters.remove(at);
        Ok(text(&[before, &encode(&value), after]))
    }

    fn query(&self, given: &mut Credentials) -> Result<Zeroizing<String>, Error> {
        let mut query = Zeroizing::new(String::new());
        let mut names: Vec<String> = Vec::new();
        // Name and value are percent-encoded.
        let mut add = |query: &mut Zeroizing<String>, name: &str, value: &str| {
            if names.iter().any(|n| n == name) {
                let name = name.escape_debug();
                return Err(Error::usage(format!("the query parameter {name} is given twice")));
            }
            names.push(name.to_owned());
            let sign = if query.is_empty() { "" } else { "&" };
            *query = text(&[query, sign, name, "=", value]);
            Ok(())
        };
        for (name, value) in &self.query {
            add(&mut query, name, value)?;
        }
        for (name, value) in &given.parameters {
            add(&mut query, &encode(name), &encode(value))?;
        }
        for template in &self.parameters {
            given.values.set("query", query.clone());
            let value = evaluate(template, &given.values)?;
            add(&mut query, &encode(&template.name), &encode(&value))?;
        }
        given.values.set("query", query.clone());
        Ok(query)
    }
}

fn evaluate(template: &TemplateSection, values: &Values) -> Result<Zeroizing<String>, Error> {
    Template::parse(&template.value)
        .and_then(|t| t.evaluate(values))
        .map_err(|e| Error::usage(format!("the survey's template of {}: {e}", template.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, value: &str) -> TemplateSection {
        TemplateSection { name: name.into(), value: value.into() }
    }

    #[test]
    fn a_signed_request_is_made_of_the_surveys_templates() {
        let shape = Shape {
            host: "api.exchange.test".into(),
            method: "GET".into(),
            path: "/api/v3/account/{id:name}".into(),
            query: BTreeMap::from([("omitZeroBalances".into(), "true".into())]),
            parameters: vec![
                section("timestamp", "{unix_ms()}"),
                section("signature", "{hmac_sha256_hex(secret, query)}"),
            ],
            request_headers: vec![section("X-MBX-APIKEY", "{key}")],
            headers: BTreeMap::from([("Accept".into(), "application/json".into())]),
            body: None,
        };
        let mut given = Credentials::default();
        let secret = |s: &str| Zeroizing::new(s.to_owned());
        given.values.set("secret", secret("s3cr3t"));
        given.values.set("key", secret("k3y"));
        given.parameters = vec![("id".into(), secret("a b")), ("recvWindow".into(), secret("5000"))];
        assert!(!format!("{given:?}").contains("5000"));
        let request = shape.make(given, 1_800_000_000_000).unwrap();
        let signed = "omitZeroBalances=true&recvWindow=5000&timestamp=1800000000000";
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s3cr3t");
        let signature = hex::encode(ring::hmac::sign(&key, signed.as_bytes()));
        let wanted = format!(
            "GET /api/v3/account/a%20b?{signed}&signature={signature} HTTP/1.1\r\nHost: api.exchange.test\r\n\
             Accept-Encoding: identity\r\nConnection: close\r\nAccept: application/json\r\nX-MBX-APIKEY: k3y\r\n\r\n"
        );
        assert_eq!(String::from_utf8_lossy(&request.0), wanted);
        assert!(!format!("{request:?}").contains("k3y"));
    }

    #[test]
    fn what_is_missing_or_twice_is_told() {
        let shape = Shape { method: "GET".into(), path: "/u/{id}".into(), ..Shape::default() };
        let error = shape.make(Credentials::default(), 0).unwrap_err().to_string();
        assert!(error.contains("--param id=VALUE"), "{error}");
        let secret = |s: &str| Zeroizing::new(s.to_owned());
        let twice = Credentials {
            parameters: vec![("a".into(), secret("1")), ("a".into(), secret("2"))],
            ..Default::default()
        };
        let shape = Shape { method: "GET".into(), path: "/".into(), ..Shape::default() };
        assert!(shape.make(twice, 0).unwrap_err().to_string().contains("twice"));
        let injected = Shape { request_headers: vec![section("X", "{key}")], ..shape };
        let mut given = Credentials::default();
        given.values.set("key", secret("a\r\nB: c"));
        assert!(injected.make(given, 0).is_err());
    }
}
