//! Shown values: the identity, and fields.

use tercet_protocol::survey::MAX_FIELD_VALUE;
use tercet_protocol::survey::source::{Place, Scalar, Wanted};

use super::{Page, Refusal, Rule, refuse};
use crate::json::{self, NodeId, Selection, Value};

/// The content of a place.
enum Found {
    /// A value of one form.
    Scalar(Scalar),
    /// `null`, an empty text, or nothing where that is allowed.
    Nothing(&'static str),
}

pub(super) fn identity(page: &Page<'_>, wanted: &Wanted) -> Result<Scalar, Refusal> {
    match find(page, wanted, Rule::Identity, "the identity")? {
        Found::Scalar(value) => Ok(value),
        Found::Nothing(problem) => refuse(Rule::Identity, format!("the identity {problem}")),
    }
}

pub(super) fn field(
    page: &Page<'_>,
    index: usize,
    wanted: &Wanted,
    listed: &[String],
) -> Result<String, Refusal> {
    let what = format!("field {}", index + 1);
    let value = match (find(page, wanted, Rule::Field, &what)?, &wanted.missing) {
        (Found::Nothing(_), Some(missing)) => return Ok(missing.clone()),
        (Found::Nothing(problem), None) => {
            return refuse(Rule::Field, format!("{what} {problem} (missing = \"..\" would give it a group)"));
        }
        (Found::Scalar(value), _) => value,
    };
    if listed.is_empty() {
        if value.as_str().len() > MAX_FIELD_VALUE {
            return refuse(Rule::Field, format!("{what} has more than {MAX_FIELD_VALUE} bytes"));
        }
        return Ok(value.as_str().to_owned());
    }
    let same = |text: &&String| {
        Scalar::from_text(text).is_ok_and(|s| if wanted.fold { s.fold() == value } else { s == value })
    };
    match listed.iter().find(same) {
        Some(text) => Ok(text.clone()),
        None => {
            let text = value.as_str().escape_debug();
            refuse(Rule::Field, format!("{what} is \"{text}\", which the survey does not admit"))
        }
    }
}

fn find(page: &Page<'_>, wanted: &Wanted, rule: Rule, what: &str) -> Result<Found, Refusal> {
    let found = match &wanted.place {
        Place::PathSegment => text(&page.segment, rule, what)?,
        Place::Header(name) => text(&header(page, name, rule, what)?, rule, what)?,
        Place::Text { prefix, suffix } => text(&between(page, prefix, suffix, rule, what)?, rule, what)?,
        Place::Json(_) | Place::Tokens(_) => match node(page, &wanted.place, rule, what)? {
            Some(id) => scalar(page, id, rule, what)?,
            None => match &wanted.within {
                Some(within) => {
                    container(page, within, rule, what)?;
                    Found::Nothing("is absent")
                }
                None => return refuse(rule, format!("{what} is not in the response")),
            },
        },
    };
    Ok(match found {
        Found::Scalar(value) if wanted.fold => Found::Scalar(value.fold()),
        found => found,
    })
}

fn text(text: &str, rule: Rule, what: &str) -> Result<Found, Refusal> {
    if text.is_empty() {
        return Ok(Found::Nothing("is empty"));
    }
    match Scalar::from_text(text) {
        Ok(value) => Ok(Found::Scalar(value)),
        Err(problem) => refuse(rule, format!("{what} {problem}")),
    }
}

fn scalar(page: &Page<'_>, id: NodeId, rule: Rule, what: &str) -> Result<Found, Refusal> {
    let Some(document) = &page.document else { return refuse(rule, format!("{what} is of JSON")) };
    match &document.node(id).value {
        Value::Null => Ok(Found::Nothing("is null")),
        Value::Text(index) if document.string(*index).is_empty() => Ok(Found::Nothing("is empty")),
        _ => match document.scalar(id) {
            Ok(value) => Ok(Found::Scalar(value)),
            Err(problem) => refuse(rule, format!("{what} {problem}")),
        },
    }
}

/// The one value in a place of the document; nothing if there is none.
pub(super) fn node(
    page: &Page<'_>,
    place: &Place,
    rule: Rule,
    what: &str,
) -> Result<Option<NodeId>, Refusal> {
    let Some(document) = &page.document else { return refuse(rule, format!("{what} is of JSON")) };
    let selected = match place {
        Place::Json(path) => json::select(document, path),
        Place::Tokens(pattern) => json::find(document, pattern),
        _ => return refuse(rule, format!("{what} is not of JSON")),
    };
    match selected {
        Ok(Selection::One(id)) => Ok(Some(id)),
        Ok(Selection::Nothing) => Ok(None),
        Ok(Selection::Several(n)) => refuse(
            rule,
            format!(
                "{what} occurs {n} times in the response: it must occur once (a survey may name one of several, such as \
                 $.accounts[0].balance or $.accounts[?@.type=='main'].balance)"
            ),
        ),
        Err(unknown) => refuse(
            rule,
            format!(
                "{what} cannot be found for sure: {} decides about it, and it is hidden",
                unknown.member.escape_debug()
            ),
        ),
    }
}

/// The array or object that must be there where a value is absent.
pub(super) fn container(
    page: &Page<'_>,
    path: &tercet_protocol::survey::source::Path,
    rule: Rule,
    what: &str,
) -> Result<(), Refusal> {
    let found = node(page, &Place::Json(path.clone()), rule, what)?;
    let value = found.zip(page.document.as_ref()).map(|(id, document)| &document.node(id).value);
    match value {
        Some(Value::Array(_) | Value::Object(_)) => Ok(()),
        _ => refuse(
            rule,
            format!(
                "{what} is absent, and so is {path}, in which it would be: this answer says nothing about it"
            ),
        ),
    }
}

fn header(page: &Page<'_>, name: &str, rule: Rule, what: &str) -> Result<String, Refusal> {
    let header = match page.response.head.one(name) {
        Ok(Some(header)) => header,
        Ok(None) => return refuse(rule, format!("{what}: the response has no header {name}")),
        Err(problem) => return refuse(rule, format!("{what}: {problem}")),
    };
    if !page.transcript.received.is_shown(header.value.clone()) {
        return refuse(rule, format!("{what}: the header {name} must be shown"));
    }
    let value = page.transcript.received.bytes.get(header.value.clone()).unwrap_or_default();
    let Ok(text) = str::from_utf8(value) else { return refuse(rule, format!("{what} is not UTF-8")) };
    // A quoted string (RFC 9110, section 5.6.4) without escapes says what is inside.
    let inside = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    match inside {
        Some(inside) if !inside.contains(['"', '\\']) => Ok(inside.to_owned()),
        _ if text.contains('"') => refuse(rule, format!("{what}: the header {name} has quotes inside")),
        _ => Ok(text.to_owned()),
    }
}

/// The shown text between two literals, of which the first occurs once in the body.
fn between(page: &Page<'_>, prefix: &str, suffix: &str, rule: Rule, what: &str) -> Result<String, Refusal> {
    let body = &page.response.body;
    let start = find_once(body, prefix.as_bytes(), rule, what)?;
    let rest = body.get(start..).unwrap_or_default();
    let Some(len) = position(rest, suffix.as_bytes()) else {
        return refuse(rule, format!("{what}: its suffix does not follow its prefix"));
    };
    if page.holes.iter().any(|h| h.start < start + len && start < h.end) {
        return refuse(rule, format!("{what} must be shown"));
    }
    match str::from_utf8(&rest[..len]) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => refuse(rule, format!("{what} is not UTF-8")),
    }
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|w| w == needle)
}

/// The position right after the only occurrence of `needle`. Hidden bytes read as zero, which no literal holds.
pub(super) fn find_once(haystack: &[u8], needle: &[u8], rule: Rule, what: &str) -> Result<usize, Refusal> {
    let Some(first) = position(haystack, needle) else {
        return refuse(rule, format!("{what}: its prefix is not in the response"));
    };
    if position(&haystack[first + 1..], needle).is_some() {
        return refuse(
            rule,
            format!("{what}: its prefix occurs more than once in the response: it must be unique"),
        );
    }
    Ok(first + needle.len())
}
