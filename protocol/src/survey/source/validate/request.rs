//! `[source]`: server, request, and the form of the answer.

use std::net::IpAddr;

use super::super::{Body, BodyFormat, ORDINARY_HEADERS, SourceSection, is_refused_header, query};
use super::json;
use crate::survey::{SurveyError, invalid};

pub(super) fn server(source: &SourceSection) -> Result<(), SurveyError> {
    let name = &source.server_name;
    if name.parse::<IpAddr>().is_ok() || name.starts_with('[') {
        let problem =
            "is an address: certificates name servers, so write the DNS name, such as api.example.com";
        return Err(invalid("source.server_name", problem));
    }
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if name.len() > 253 || !name.contains('.') || !name.split('.').all(label) {
        return Err(invalid("source.server_name", "write a lower-case DNS name such as api.example.com"));
    }
    if !matches!(source.method.as_str(), "GET" | "POST") {
        return Err(invalid("source.method", "must be GET or POST"));
    }
    if source.root_certificates.len() > 64 {
        return Err(invalid("source.root_certificates", "list at most 64"));
    }
    let network = |text: &String| {
        let (address, length) = text.split_once('/')?;
        let most = if address.parse::<IpAddr>().ok()?.is_ipv4() { 32 } else { 128 };
        length.parse::<u8>().ok().filter(|l| *l <= most)
    };
    if source.addresses.len() > 64 || !source.addresses.iter().all(|a| network(a).is_some()) {
        return Err(invalid("source.addresses", "list at most 64 networks, such as \"203.0.113.0/24\""));
    }
    Ok(())
}

pub(super) type Parameters = (Vec<(String, String)>, Vec<String>);

pub(super) fn parameters(source: &SourceSection) -> Result<Parameters, SurveyError> {
    let visible = |t: &str| t.bytes().all(|b| b.is_ascii_graphic());
    let mut required = Vec::new();
    for (name, value) in &source.query {
        let plain = !name.is_empty()
            && name.len() + value.len() <= 1024
            && visible(name)
            && visible(value)
            && !name.contains(['&', '=', '#'])
            && !value.contains(['&', '#']);
        if !plain {
            let problem = "write names and values as they are in the URL (percent-encoded)";
            return Err(invalid("source.query", problem));
        }
        required
            .extend(query(&format!("{name}={value}")).map_err(|problem| invalid("source.query", problem))?);
    }
    let mut others = Vec::new();
    for name in &source.other_query {
        let decoded = query(name).map_err(|problem| invalid("source.other_query", problem))?;
        let [(name, value)] = &decoded[..] else {
            return Err(invalid("source.other_query", "write each parameter's name as a text of its own"));
        };
        if !value.is_empty() || required.iter().any(|(n, _)| n == name) {
            let problem = format!("\"{name}\": list names alone, of parameters that query does not state");
            return Err(invalid("source.other_query", problem));
        }
        others.push(name.clone());
    }
    let mut names: Vec<_> = required.iter().map(|(n, _)| n).chain(&others).collect();
    names.sort_unstable();
    if names.windows(2).any(|w| w[0] == w[1]) {
        return Err(invalid("source.query", "two parameters have one name once they are decoded"));
    }
    Ok((required, others))
}

pub(super) fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

pub(super) fn header_name(key: &str, name: &str) -> Result<String, SurveyError> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
        return Err(invalid(key, format!("\"{}\" is no header's name", name.escape_debug())));
    }
    if is_refused_header(&lower) {
        return Err(invalid(key, format!("{name} changes what a request means: it is never admitted")));
    }
    if ORDINARY_HEADERS.contains(&lower.as_str()) && key != "source.headers" {
        return Err(invalid(key, format!("{name} may always be there, shown: leave it out")));
    }
    Ok(lower)
}

pub(super) fn required_headers(source: &SourceSection) -> Result<Vec<(String, String)>, SurveyError> {
    let one = |(name, value): (&String, &String)| {
        let name = header_name("source.headers", name)?;
        let visible = |b: u8| b.is_ascii_graphic() || b == b' ';
        if value.is_empty() || value.len() > 1024 || !value.bytes().all(visible) || value.trim() != value {
            return Err(invalid("source.headers", format!("{name}: write a value of printable ASCII")));
        }
        if name == "host" {
            return Err(invalid("source.headers", "Host is the server's name: leave it out"));
        }
        Ok((name, value.clone()))
    };
    source.required_headers().iter().map(one).collect()
}

pub(super) fn body(source: &SourceSection) -> Result<Option<Body>, SurveyError> {
    let (text, json) = match (&source.body, &source.body_json) {
        (Some(_), Some(_)) => return Err(invalid("source.body_json", "write body or body_json, not both")),
        (Some(text), None) => (text, false),
        (None, Some(text)) => (text, true),
        (None, None) if source.method == "POST" => {
            let problem = "a POST request's body says what is asked: state it, as body_json = '{\"query\":\"..\"}' (compared as \
                           JSON) or body = '..' (byte by byte)";
            return Err(invalid("source.body", problem));
        }
        (None, None) if source.content_type.is_some() => {
            return Err(invalid(
                "source.content_type",
                "is the request's, of a survey with body or body_json",
            ));
        }
        (None, None) => return Ok(None),
    };
    if text.len() > 16 * 1024 {
        return Err(invalid("source.body", "has more than 16384 bytes"));
    }
    if json {
        json::strict(text)
            .map_err(|problem| invalid("source.body_json", format!("is no JSON: {problem}")))?;
    }
    if source.content_type.is_some() && source.headers.keys().any(|n| n.eq_ignore_ascii_case("content-type"))
    {
        return Err(invalid("source.content_type", "is in source.headers too: say it once"));
    }
    let content_type = match source.body_type() {
        Some(value) if !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') => {
            value.to_owned()
        }
        _ => {
            let problem =
                "write the Content-Type of the request's body, such as \"application/x-www-form-urlencoded\"";
            return Err(invalid("source.content_type", problem));
        }
    };
    Ok(Some(Body { content_type, text: text.clone(), json }))
}

pub(super) fn media_type(source: &SourceSection) -> Result<Option<String>, SurveyError> {
    let Some(text) = &source.media_type else {
        return match source.format {
            BodyFormat::Json => Ok(None),
            BodyFormat::Text => {
                let problem =
                    "format = \"text\" needs the media type that the server states, such as \"text/html\"";
                Err(invalid("source.media_type", problem))
            }
        };
    };
    let token =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    let typed = text.split_once('/').is_some_and(|(a, b)| token(a) && token(b));
    if !typed && text != "none" {
        return Err(invalid(
            "source.media_type",
            "write a media type without parameters, such as \"text/html\"",
        ));
    }
    Ok(Some(text.to_ascii_lowercase()))
}

pub(super) fn guard(source: &SourceSection) -> Result<Option<String>, SurveyError> {
    match &source.guard {
        Some(_) if source.format == BodyFormat::Text => Err(invalid("source.guard", "is of JSON only")),
        Some(text) if text.is_empty() || text.len() > 64 => {
            Err(invalid("source.guard", "write 1 to 64 bytes"))
        }
        guard => Ok(guard.clone()),
    }
}
