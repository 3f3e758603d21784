//! Finds a value by the tokens around it: the older way of naming a place in JSON.

use std::collections::{BTreeMap, BTreeSet};

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

/// All values that are compared with a pattern's texts when it is looked for: these must be shown. Every comparison
/// of [`find`] is made here too, so that with these values shown it never meets a hidden one.
pub fn equal_to(document: &Document<'_>, pattern: &Pattern) -> BTreeSet<NodeId> {
    let mut owners = BTreeMap::new();
    for id in 0..document.len() {
        let node = document.node(id);
        if matches!(node.value, Value::Text(_) | Value::Number(_)) {
            owners.insert(node.tokens.0, id);
        }
    }
    let mut out = BTreeSet::new();
    for id in 0..document.len() {
        let node = document.node(id);
        if matches!(node.value, Value::Array(_) | Value::Object(_)) {
            continue;
        }
        let (first, last) = node.tokens;
        let before = (1..).zip(pattern.before.iter().rev()).map(|(d, wanted)| (first.checked_sub(d), wanted));
        let after = (1..).zip(&pattern.after).map(|(d, wanted)| (Some(last + d), wanted));
        for (at, wanted) in before.chain(after) {
            let Some(at) = at else { break };
            if matches!(wanted, Wanted::Text(_) | Wanted::Word(_)) {
                out.extend(owners.get(&at));
            }
            if !matches!(same(document, at, wanted), Ok(true)) {
                break;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn only_values_that_a_pattern_is_compared_with_must_be_shown() {
        let text =
            br#"{"rows":[{"asset":"BTC","free":"1.5"},{"asset":"ETH","free":"2.5"}],"note":"ETH","n":3}"#;
        let pattern = Pattern::parse(r#"{"asset":"ETH","free":""#, "\"").unwrap();
        let document = parse(text, 0, &[]).unwrap();
        let shown = equal_to(&document, &pattern);
        let text_of = |id: &NodeId| match document.node(*id).value {
            Value::Text(index) => document.string(index).to_owned(),
            _ => panic!("a text"),
        };
        assert_eq!(shown.iter().map(text_of).collect::<Vec<_>>(), ["BTC", "ETH"]);

        // With all others hidden, the value is found all the same.
        let holes: Vec<_> = (0..document.len())
            .filter(|id| !shown.contains(id))
            .filter_map(|id| match (&document.node(id).value, document.node(id).span.clone()) {
                (Value::Text(_), span) => Some(span.start + 1..span.end - 1),
                (Value::Number(_), span) => Some(span),
                _ => None,
            })
            .collect();
        assert_eq!(holes.len(), 4);
        let hidden = parse(text, 0, &holes).unwrap();
        assert!(matches!(find(&hidden, &pattern), Ok(Selection::One(_))));
    }
}
