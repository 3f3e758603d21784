//! The request: the one that the survey asks for.

use std::ops::Range;

use tercet_protocol::survey::source::{Rules, is_refused_header, query};

use super::head::{self, Head, Header};
use crate::json;
use crate::policy::{Refusal, Rule, refuse};
use crate::transcript::Data;

/// The facts that the policy takes from a request that it admits.
pub(crate) struct Admitted {
    /// The text of the path's open segment; empty if it has none.
    pub segment: String,
    /// The positions of hidden values of credentials.
    pub hidden: Vec<Range<usize>>,
}

pub(crate) fn check(rules: &Rules, sent: &Data) -> Result<Admitted, Refusal> {
    let bytes = &sent.bytes;
    let bad = |problem: String| Refusal {
        rule: Rule::Request,
        detail: format!("the request cannot be read: {problem}"),
    };
    let shown = |at: usize| sent.is_shown(at..at + 1);
    let Some(head) = head::read(bytes, 0, &shown).map_err(bad)? else {
        return refuse(Rule::Request, "the request is not complete, or its line ends are hidden");
    };
    if !sent.is_shown(head.line.clone()) {
        return refuse(Rule::RequestTarget, "the request line must be shown");
    }
    let line = bytes.get(head.line.clone()).unwrap_or_default();
    if !line.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        return refuse(
            Rule::Request,
            "the request line has a character that no address holds: encode it (%C3%A9)",
        );
    }
    let line = String::from_utf8_lossy(line).into_owned();
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else {
        return refuse(Rule::Request, "the request must begin with a request line of HTTP/1.1");
    };
    let segment = check_target(rules, method, target)?;
    let hidden = check_headers(rules, sent, &head)?;
    check_body(rules, sent, &head)?;
    Ok(Admitted { segment, hidden })
}

fn check_target(rules: &Rules, method: &str, target: &str) -> Result<String, Refusal> {
    let (path, text) = target.split_once('?').unwrap_or((target, ""));
    let segment = rules.path.matches(path).filter(|_| method == rules.method && !target.contains('#'));
    let Some(segment) = segment else {
        let form = match rules.path.open() {
            Some((name, form)) => format!(" ({{{name}}} is of the form {})", form.name()),
            None => String::new(),
        };
        return refuse(
            Rule::RequestTarget,
            format!(
                "the request is \"{} {}\", which is not the survey's method and path{form}",
                method.escape_debug(),
                path.escape_debug()
            ),
        );
    };
    if target.ends_with('?') {
        return refuse(Rule::RequestQuery, "the request's target ends in a ? without a query");
    }
    let wrong = |detail: String| refuse(Rule::RequestQuery, detail);
    let given = match query(text) {
        Ok(given) => given,
        Err(problem) => return wrong(problem),
    };
    for (i, (name, value)) in given.iter().enumerate() {
        if given[..i].iter().any(|(n, _)| n == name) {
            return wrong(format!("the query parameter {} is given twice", name.escape_debug()));
        }
        match rules.query.iter().find(|(n, _)| n == name) {
            Some((_, wanted)) if wanted == value => {}
            Some((_, wanted)) => {
                return wrong(format!(
                    "the query parameter {} is not {}",
                    name.escape_debug(),
                    wanted.escape_debug()
                ));
            }
            None if rules.other_query.contains(name) => {}
            None => {
                return wrong(format!(
                    "the query parameter {} is not the survey's: it might change the answer's meaning (other_query lists what may be there)",
                    name.escape_debug()
                ));
            }
        }
    }
    match rules.query.iter().find(|(name, _)| !given.iter().any(|(n, _)| n == name)) {
        Some((name, value)) => {
            wrong(format!("the query parameter {}={} is missing", name.escape_debug(), value.escape_debug()))
        }
        None => Ok(segment.to_owned()),
    }
}

fn check_headers(rules: &Rules, sent: &Data, head: &Head) -> Result<Vec<Range<usize>>, Refusal> {
    let wrong = |detail: String| refuse(Rule::RequestHeader, detail);
    let value = |h: &Header| {
        String::from_utf8_lossy(sent.bytes.get(h.value.clone()).unwrap_or_default()).into_owned()
    };
    let mut hidden = Vec::new();
    for (i, h) in head.headers.iter().enumerate() {
        let name = h.name.as_str();
        if head.headers[..i].iter().any(|other| other.name == h.name) {
            let rule = if name == "host" { Rule::RequestHost } else { Rule::RequestHeader };
            return refuse(rule, format!("the request has the header {name} twice"));
        }
        if is_refused_header(name) {
            return wrong(format!("the request has the header {name}, which changes what a request means"));
        }
        if !rules.admits_header(name) {
            return wrong(format!(
                "the request has the header {name}, which the survey does not list (headers, other_headers or credentials)"
            ));
        }
        let mut inside =
            sent.hidden.iter().filter(|r| r.start < h.value.end && h.value.start < r.end).peekable();
        if inside.peek().is_none() {
            continue;
        }
        if !rules.credentials.iter().any(|n| n == name) || rules.headers.iter().any(|(n, _)| n == name) {
            return wrong(format!(
                "the value of the header {name} must be shown: it is not one of the survey's credentials"
            ));
        }
        hidden.extend(inside.cloned());
    }
    if let Some(h) = sent.hidden.iter().find(|h| !hidden.contains(h) || !within(head, h)) {
        return refuse(
            Rule::Request,
            format!("sent bytes {}..{} are hidden but are not within a credential's value", h.start, h.end),
        );
    }
    let host = head.all("host").next().map(value).unwrap_or_default().to_ascii_lowercase();
    if host.strip_suffix(":443").unwrap_or(&host) != rules.server_name {
        return refuse(
            Rule::RequestHost,
            format!("the Host header is \"{}\", not {}", host.escape_debug(), rules.server_name),
        );
    }
    if let Some(c) = head.all("connection").next().map(value)
        && !matches!(c.to_ascii_lowercase().as_str(), "close" | "keep-alive")
    {
        return wrong(format!(
            "the Connection header is \"{}\": only close and keep-alive are admitted",
            c.escape_debug()
        ));
    }
    for (name, wanted) in &rules.headers {
        match head.all(name).next().map(value) {
            Some(given) if given == *wanted => {}
            Some(given) => {
                return wrong(format!("the header {name} is \"{}\", not \"{wanted}\"", given.escape_debug()));
            }
            None => return wrong(format!("the header {name}: {wanted} is missing")),
        }
    }
    Ok(hidden)
}

/// True if a hidden range lies within one header's value.
fn within(head: &Head, range: &Range<usize>) -> bool {
    head.headers.iter().any(|h| h.value.start <= range.start && range.end <= h.value.end)
}

fn check_body(rules: &Rules, sent: &Data, head: &Head) -> Result<(), Refusal> {
    let value = |name: &str| {
        let h = head.all(name).next()?;
        Some(String::from_utf8_lossy(sent.bytes.get(h.value.clone()).unwrap_or_default()).into_owned())
    };
    let given = sent.bytes.get(head.end..).unwrap_or_default();
    let length = match value("content-length") {
        None => 0,
        Some(n) => match n.parse::<usize>() {
            Ok(parsed) if n.bytes().all(|b| b.is_ascii_digit()) => parsed,
            _ => return refuse(Rule::Request, "the request's Content-Length is no number"),
        },
    };
    if length != given.len() {
        return refuse(Rule::Request, "the sent data is not exactly one request of the stated length");
    }
    let Some(body) = &rules.body else {
        return if given.is_empty() {
            Ok(())
        } else {
            refuse(Rule::RequestBody, "the request has a body, which the survey does not state")
        };
    };
    let content_type = value("content-type").unwrap_or_default();
    if !content_type.eq_ignore_ascii_case(&body.content_type) {
        return refuse(
            Rule::RequestBody,
            format!(
                "the request's Content-Type is \"{}\", not \"{}\"",
                content_type.escape_debug(),
                body.content_type
            ),
        );
    }
    let same = if body.json {
        let parse = |bytes| json::parse(bytes, 0, &[]);
        match (parse(given), parse(body.text.as_bytes())) {
            (Ok(given), Ok(wanted)) => given.same(&wanted),
            (Err(e), _) => {
                return refuse(Rule::RequestBody, format!("the request's body is no JSON: {}", e.problem));
            }
            (_, Err(_)) => false,
        }
    } else {
        given == body.text.as_bytes()
    };
    if same { Ok(()) } else { refuse(Rule::RequestBody, "the request's body is not the survey's") }
}
