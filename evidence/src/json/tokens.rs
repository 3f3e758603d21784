//! Finds a value by the tokens around it: the older way of naming a place in JSON.

use tercet_protocol::survey::source::{Pattern, Token as Wanted};

use super::{Document, NodeId, Selection, Token, Unknown, Value};

/// The values that the pattern surrounds.
pub fn find(document: &Document<'_>, pattern: &Pattern) -> Result<Selection, Unknown> {
    let mut found: Option<NodeId> = None;
    let mut count = 0;
    for id in 0..document.len() {
        let node = document.node(id);
        if matches!(node.value, Value::Array(_) | Value::Object(_)) {
            continue;
        }
        let (first, last) = node.tokens;
        if fits(document, pattern, first, last)? {
            found = Some(id);
            count += 1;
        }
    }
    Ok(match (found, count) {
        (Some(id), 1) => Selection::One(id),
        (None, _) => Selection::Nothing,
        (_, n) => Selection::Several(n),
    })
}

/// Compares the pattern with the surroundings of the tokens `first..=last`. It is compared from the value outward, so
/// the name in front of a value, which is always shown, decides first.
fn fits(document: &Document<'_>, pattern: &Pattern, first: usize, last: usize) -> Result<bool, Unknown> {
    for (distance, wanted) in (1..).zip(pattern.before.iter().rev()) {
        let Some(at) = first.checked_sub(distance) else { return Ok(false) };
        if !same(document, at, wanted)? {
            return Ok(false);
        }
    }
    for (distance, wanted) in (1..).zip(&pattern.after) {
        if !same(document, last + distance, wanted)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same(document: &Document<'_>, at: usize, wanted: &Wanted) -> Result<bool, Unknown> {
    Ok(match (document.tokens.get(at), wanted) {
        (Some(Token::Mark(a)), Wanted::Mark(b)) => a == b,
        (Some(Token::Text(a)), Wanted::Text(b)) => document.string(*a) == b,
        (Some(Token::Word(from, to)), Wanted::Word(b)) => document.number(&(*from..*to)) == b,
        (Some(Token::Hidden), Wanted::Text(text) | Wanted::Word(text)) => {
            return Err(Unknown { member: format!("the value that would be \"{}\"", text.escape_debug()) });
        }
        _ => false,
    })
}

/// All values that are compared with a pattern's texts where its names occur: these must be shown.
pub fn equal_to(document: &Document<'_>, pattern: &Pattern) -> Vec<NodeId> {
    let mut out = Vec::new();
    for id in 0..document.len() {
        let node = document.node(id);
        if !matches!(node.value, Value::Text(_) | Value::Number(_)) {
            continue;
        }
        // Shown in front of which value would this token be compared? Of any within the pattern's reach.
        let reach = pattern.before.len();
        let text = match document.tokens.get(node.tokens.0) {
            Some(Token::Text(index)) => document.string(*index),
            Some(Token::Word(from, to)) => document.number(&(*from..*to)),
            _ => continue,
        };
        let listed = pattern.before.iter().chain(&pattern.after).any(|t| match t {
            Wanted::Text(t) | Wanted::Word(t) => t == text,
            Wanted::Mark(_) => false,
        });
        let names = (1..=reach).any(|d| {
            let name = document.tokens.get(node.tokens.1 + d);
            matches!(name, Some(Token::Text(i)) if pattern.before.iter().any(|t| matches!(t, Wanted::Text(t) if t == document.string(*i))))
        });
        if listed || names {
            out.push(id);
        }
    }
    out
}
