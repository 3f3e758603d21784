//! The bytes that a provider has to hide: the places of the values in a response that is wholly known.
//!
//! The provider's tools use this before anything is notarized. The policy then judges the result like anybody's.

use std::ops::Range;

use tercet_protocol::survey::source::{BodyFormat, Hidden, Place, Rules};

use crate::http::{self, Response};
use crate::json::{self, Document, Selection, Value};
use crate::policy::{Refusal, Rule, refuse};
use crate::transcript::Data;

/// The place of a hidden value. `Debug` shows no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Located {
    /// Index of the column, categories behind the columns.
    pub column: usize,
    /// The position in the received data: ranges in ascending order.
    pub pieces: Vec<Range<usize>>,
    /// True if it is in quotes.
    pub quoted: bool,
    /// The text itself.
    pub text: Vec<u8>,
}

impl std::fmt::Debug for Located {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Located")
            .field("column", &self.column)
            .field("pieces", &self.pieces)
            .finish_non_exhaustive()
    }
}

/// Finds all values that are to be hidden in a whole, known response. Columns that are publicly without a value are left
/// out; whether they may be is the policy's to say.
pub fn locate(rules: &Rules, received: &[u8]) -> Result<Vec<Located>, Refusal> {
    let data = Data { bytes: received.to_vec(), hidden: Vec::new() };
    let Some(response) = http::read_response(&data)? else {
        return refuse(Rule::Response, "the response is not complete");
    };
    let start = body_start(rules, &response);
    let document = match rules.format {
        BodyFormat::Text => None,
        BodyFormat::Json => Some(json::parse(&response.body, start, &[]).map_err(|f| Refusal {
            rule: Rule::Json,
            detail: format!("the body is no JSON, at its byte {}: {}", f.at, f.problem),
        })?),
    };
    let mut all = Vec::new();
    for (column, wanted) in rules.committed.iter().enumerate() {
        let found = match (&document, &wanted.place) {
            (_, Place::Text { prefix, suffix }) => Some((text(&response, wanted, prefix, suffix)?, false)),
            (Some(document), place) => node(document, wanted, place)?,
            (None, _) => None,
        };
        let Some((range, quoted)) = found else { continue };
        let text = response.body.get(range.clone()).unwrap_or_default().to_vec();
        all.push(Located { column, pieces: response.on_wire(&range), quoted, text });
    }
    Ok(all)
}

fn body_start(rules: &Rules, response: &Response) -> usize {
    let mark = if response.body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let guard = rules.guard.as_deref().unwrap_or_default();
    let guarded = response.body.get(mark..).unwrap_or_default().starts_with(guard.as_bytes());
    if guarded { mark + guard.len() } else { mark }
}

/// The position of a value's text in the body, true if in quotes; `None` if there is nothing to hide.
fn node(
    document: &Document<'_>,
    wanted: &Hidden,
    place: &Place,
) -> Result<Option<(Range<usize>, bool)>, Refusal> {
    let name = &wanted.name;
    let selected = match place {
        Place::Json(path) => json::select(document, path),
        Place::Tokens(pattern) => json::find(document, pattern),
        _ => return Ok(None),
    };
    let id = match selected {
        Ok(Selection::One(id)) => id,
        Ok(Selection::Several(n)) => {
            return refuse(
                Rule::Column,
                format!("column {name} occurs {n} times in the response: it must occur once"),
            );
        }
        // What its absence means is the policy's to say.
        Ok(Selection::Nothing) if wanted.absent.is_some() => return Ok(None),
        Ok(Selection::Nothing) | Err(_) => {
            return refuse(
                Rule::Column,
                format!(
                    "column {name}: its place is not in the response (absent and within say what that means)"
                ),
            );
        }
    };
    let node = document.node(id);
    match &node.value {
        Value::Text(index) if document.string(*index).is_empty() => {
            if wanted.empty_is_missing {
                return Ok(None);
            }
            refuse(
                Rule::Column,
                format!("column {name}: its text is empty (missing = \"\" would admit that)"),
            )
        }
        Value::Text(_) => Ok(Some((node.span.start + 1..node.span.end - 1, true))),
        Value::Number(_) | Value::Null | Value::Bool(_) => Ok(Some((node.span.clone(), false))),
        _ => refuse(Rule::Column, format!("column {name}: there is an array or object in its place")),
    }
}

fn text(response: &Response, wanted: &Hidden, prefix: &str, suffix: &str) -> Result<Range<usize>, Refusal> {
    let missing = |what: &str| refuse(Rule::Column, format!("column {}: {what}", wanted.name));
    let position = |from: usize, needle: &str| {
        let rest = response.body.get(from..).unwrap_or_default();
        rest.windows(needle.len().max(1)).position(|w| w == needle.as_bytes()).map(|at| from + at)
    };
    let Some(at) = position(0, prefix) else { return missing("its prefix is not in the response") };
    if position(at + 1, prefix).is_some() {
        return missing("its prefix occurs more than once in the response");
    }
    let from = at + prefix.len();
    match position(from, suffix) {
        Some(end) if end == from => missing("the value is empty"),
        Some(end) => Ok(from..end),
        None => missing("its suffix does not follow the value in the response"),
    }
}

/// Checks that a request is one that the survey admits, before it is sent.
pub fn check_request(rules: &Rules, sent: &[u8], hidden: &[Range<usize>]) -> Result<(), Refusal> {
    let data = Data { bytes: sent.to_vec(), hidden: hidden.to_vec() };
    http::check_request(rules, &data).map(|_| ())
}

/// The positions of the values of a request's credentials, which a client keeps hidden.
pub fn credentials(rules: &Rules, sent: &[u8]) -> Vec<Range<usize>> {
    let Ok(Some(head)) = http::read_head(sent) else { return Vec::new() };
    let required = |name: &str| rules.headers.iter().any(|(n, _)| n == name);
    let secret = head.headers.iter().filter(|h| rules.credentials.contains(&h.name) && !required(&h.name));
    secret.map(|h| h.value.clone()).filter(|r| !r.is_empty()).collect()
}

/// Everything of a response that may be hidden, given evidence that can prove properties of hidden bytes: `received`
/// hides the columns' values already. Identity, fields, and the values that the survey's filters read stay shown.
pub fn everything(rules: &Rules, received: &Data) -> Vec<Range<usize>> {
    let Ok(Some(response)) = http::read_response(received) else { return received.hidden.clone() };
    let mut hidden = received.hidden.clone();
    for h in &response.head.headers {
        let read =
            rules.identity.iter().chain(&rules.fields).any(|w| w.place == Place::Header(h.name.clone()));
        if !read && PRIVATE_HEADERS.contains(&h.name.as_str()) && !h.value.is_empty() {
            hidden.push(h.value.clone());
        }
    }
    let holes = response.holes(&received.hidden);
    let start = body_start(rules, &response);
    if rules.format == BodyFormat::Json
        && let Ok(document) = json::parse(&response.body, start, &holes)
    {
        let shown = needed(rules, &document);
        let places = (0..document.len()).filter(|id| !shown.contains(id));
        let places = places.filter_map(|id| {
            let node = document.node(id);
            match &node.value {
                Value::Text(_) if node.span.len() > 2 => Some(node.span.start + 1..node.span.end - 1),
                Value::Number(_) => Some(node.span.clone()),
                _ => None,
            }
        });
        // As many as one document may have.
        let room = json::MAX_HOLES.saturating_sub(holes.len());
        hidden.extend(places.take(room).flat_map(|range| response.on_wire(&range)));
    }
    hidden.sort_by_key(|r| r.start);
    hidden
}

/// Response headers that hold credentials.
const PRIVATE_HEADERS: [&str; 5] =
    ["set-cookie", "authentication-info", "x-csrf-token", "x-auth-token", "x-access-token"];

/// The values that a survey needs to see: identity, fields, and all that its paths compare.
fn needed(rules: &Rules, document: &Document<'_>) -> std::collections::BTreeSet<usize> {
    let mut out = std::collections::BTreeSet::new();
    let shown = rules.identity.iter().chain(&rules.fields).map(|w| &w.place);
    for place in shown.clone().chain(rules.committed.iter().map(|h| &h.place)) {
        match place {
            Place::Json(path) => out.extend(json::compared(document, path)),
            Place::Tokens(pattern) => out.extend(json::equal_to(document, pattern)),
            _ => {}
        }
    }
    for place in shown {
        let found = match place {
            Place::Json(path) => json::select(document, path),
            Place::Tokens(pattern) => json::find(document, pattern),
            _ => continue,
        };
        if let Ok(Selection::One(id)) = found {
            out.insert(id);
        }
    }
    out
}
