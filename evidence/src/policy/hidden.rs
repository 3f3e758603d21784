//! Hidden bytes: the columns' values, and bytes that may be inert.

use std::ops::Range;

use tercet_protocol::survey::source::{Hidden, Place, Rules};

use super::values::{container, find_once, node};
use super::{AdmittedColumn, Binding, Direction, Inert, InertPlace, MAX_VALUE, Page, Refusal, Rule, refuse};
use crate::json::Value;
use crate::transcript::Bindings;

/// Response headers that the policy reads: never hidden.
const JUDGED: [&str; 6] =
    ["content-type", "content-length", "transfer-encoding", "content-encoding", "content-range", "age"];

/// A hidden value, and the index of its hole; `None` if there is publicly no value.
pub(super) fn column(page: &Page<'_>, wanted: &Hidden) -> Result<(AdmittedColumn, Option<usize>), Refusal> {
    let what = format!("column {}", wanted.name);
    let (hole, quoted) = match &wanted.place {
        Place::Text { prefix, suffix } => (text(page, prefix, suffix, &what)?, false),
        place => match node(page, place, Rule::Column, &what)? {
            None => return Ok((absent(page, wanted, &what)?, None)),
            Some(id) => {
                let value = page.document.as_ref().map(|d| (&d.node(id).value, d));
                match value {
                    Some((Value::Hidden { hole, quoted }, _)) => (*hole, *quoted),
                    Some((Value::Text(index), d))
                        if d.string(*index).is_empty() && wanted.empty_is_missing =>
                    {
                        return Ok((no_value(), None));
                    }
                    Some((Value::Number(_) | Value::Text(_) | Value::Null, _)) => {
                        return refuse(
                            Rule::Column,
                            format!("{what}: its value is shown: hide it, and commit to it"),
                        );
                    }
                    _ => {
                        return refuse(
                            Rule::Column,
                            format!("{what}: there is no number or text in its place"),
                        );
                    }
                }
            }
        },
    };
    match wanted.quoted {
        Some(true) if !quoted => {
            return refuse(Rule::Column, format!("{what}: its value must be in quotes"));
        }
        Some(false) if quoted => {
            return refuse(Rule::Column, format!("{what}: its value must be without quotes"));
        }
        _ => {}
    }
    let range = page.holes.get(hole).cloned().unwrap_or_default();
    if range.len() > MAX_VALUE {
        return refuse(
            Rule::Column,
            format!("{what}: the value has {} bytes, more than {MAX_VALUE}", range.len()),
        );
    }
    let pieces = page.response.on_wire(&range);
    let binding = bind(page, &pieces, &what)?;
    Ok((AdmittedColumn { pieces, quoted, binding }, Some(hole)))
}

fn no_value() -> AdmittedColumn {
    AdmittedColumn { pieces: Vec::new(), quoted: false, binding: Binding::Absent }
}

fn absent(page: &Page<'_>, wanted: &Hidden, what: &str) -> Result<AdmittedColumn, Refusal> {
    match &wanted.absent {
        // Whether that means zero or a missing value is the column's format.
        Some((within, _)) => {
            container(page, within, Rule::Column, what)?;
            Ok(no_value())
        }
        None => refuse(
            Rule::Column,
            format!("{what}: its place is not in the response (absent and within say what that means)"),
        ),
    }
}

/// The hole between two literals.
fn text(page: &Page<'_>, prefix: &str, suffix: &str, what: &str) -> Result<usize, Refusal> {
    let start = find_once(&page.response.body, prefix.as_bytes(), Rule::Column, what)?;
    let Some((index, hole)) = page.holes.iter().enumerate().find(|(_, h)| h.start == start) else {
        return refuse(Rule::Column, format!("{what}: no hidden value begins right after the prefix"));
    };
    let behind = page.response.body.get(hole.end..).unwrap_or_default();
    if !behind.starts_with(suffix.as_bytes()) {
        return refuse(Rule::Column, format!("{what}: the suffix does not follow the hidden value"));
    }
    Ok(index)
}

fn bind(page: &Page<'_>, pieces: &[Range<usize>], what: &str) -> Result<Binding, Refusal> {
    let Bindings::Hashes(commitments) = &page.transcript.bindings else { return Ok(Binding::Keystream) };
    let mut usable = commitments.iter().filter(|c| c.ranges == pieces);
    match (usable.next(), usable.next()) {
        (Some(c), None) => Ok(Binding::Hash { alg: c.algorithm, commitment: c.digest }),
        (None, _) => refuse(
            Rule::Commitment,
            format!("{what}: the attestation has no hash commitment to exactly the hidden value"),
        ),
        (Some(_), Some(_)) => {
            refuse(Rule::Commitment, format!("{what}: several commitments to the value; there must be one"))
        }
    }
}

/// All hidden bytes of the response that are no columns' values: each must be exactly one place that may be inert, and the
/// evidence must be able to prove it.
pub(super) fn inert(page: &Page<'_>, claimed: &[usize], rules: &Rules) -> Result<Vec<Inert>, Refusal> {
    let proves = page.transcript.proves_inert();
    let received = |pieces, place| Inert { direction: Direction::Received, pieces, place };
    let mut out = Vec::new();
    let read: Vec<&str> = rules
        .identity
        .iter()
        .chain(&rules.fields)
        .filter_map(|w| if let Place::Header(name) = &w.place { Some(name.as_str()) } else { None })
        .collect();
    for range in &page.transcript.received.hidden {
        if page.response.pieces.iter().any(|p| p.start <= range.start && range.end <= p.end) {
            continue;
        }
        let header = page
            .response
            .head
            .headers
            .iter()
            .find(|h| h.value.start <= range.start && range.end <= h.value.end);
        let Some(header) = header else {
            return refuse(
                Rule::Hidden,
                format!(
                    "received bytes {}..{} are hidden and lie neither in the body nor in a header's value",
                    range.start, range.end
                ),
            );
        };
        let name = header.name.as_str();
        if JUDGED.contains(&name) || read.contains(&name) {
            return refuse(Rule::Hidden, format!("the response's header {name} must be shown"));
        }
        if !proves {
            return refuse(
                Rule::Hidden,
                format!(
                    "the response's header {name} is hidden: of a presentation everything but the columns' values is shown; \
                     evidence of the kind \"proxy\" may keep it hidden"
                ),
            );
        }
        out.push(received(vec![range.clone()], InertPlace::Header));
    }
    let holes: Vec<(usize, bool)> = match &page.document {
        Some(document) => document.holes().map(|(_, hole, quoted)| (hole, quoted)).collect(),
        None => (0..page.holes.len()).map(|hole| (hole, false)).collect(),
    };
    for (hole, quoted) in holes.into_iter().filter(|(hole, _)| !claimed.contains(hole)) {
        let range = page.holes.get(hole).cloned().unwrap_or_default();
        let pieces = page.response.on_wire(&range);
        if page.document.is_none() || !proves {
            let (from, to) = (pieces.first().map_or(0, |p| p.start), pieces.last().map_or(0, |p| p.end));
            return refuse(
                Rule::Hidden,
                format!("received bytes {from}..{to} are hidden but are no column's value: show them"),
            );
        }
        out.push(received(pieces, if quoted { InertPlace::Text } else { InertPlace::Number }));
    }
    Ok(out)
}
