//! Finds a value by the tokens around it: the older way of naming a place in JSON.

use std::collections::BTreeMap;

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

/// All values that finding a pattern compares with its texts: these must be shown, and no others.
pub fn compared_with(document: &Document<'_>, pattern: &Pattern) -> Vec<NodeId> {
    let scalar = |id: &NodeId| matches!(document.node(*id).value, Value::Text(_) | Value::Number(_));
    let values: BTreeMap<usize, NodeId> =
        (0..document.len()).filter(scalar).map(|id| (document.node(id).tokens.0, id)).collect();
    let mut out = Vec::new();
    for id in 0..document.len() {
        let node = document.node(id);
        if matches!(node.value, Value::Array(_) | Value::Object(_)) {
            continue;
        }
        let (first, last) = node.tokens;
        // In the order of `fits`, which stops where something differs.
        let before = (1..).zip(pattern.before.iter().rev()).map(|(n, wanted)| (first.checked_sub(n), wanted));
        let after = (1..).zip(&pattern.after).map(|(n, wanted)| (last.checked_add(n), wanted));
        for (at, wanted) in before.chain(after) {
            let Some(at) = at else { break };
            if !matches!(wanted, Wanted::Mark(_)) {
                out.extend(values.get(&at));
            }
            if same(document, at, wanted) != Ok(true) {
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
    fn only_what_is_compared_must_be_shown() {
        let text = r#"{"uid":7,"note":"ETH","balances":[{"asset":"BTC","free":"1","locked":"2"},{"asset":"ETH","free":"3","locked":"4"},
            {"free":"5","asset":"BNB"}],"last":"x"}"#;
        let document = parse(text.as_bytes(), 0, &[]).unwrap();
        let shown = |prefix: &str, suffix: &str| {
            let pattern = Pattern::parse(prefix, suffix).unwrap();
            let found = compared_with(&document, &pattern);
            found.into_iter().map(|id| &text[document.node(id).span.clone()]).collect::<Vec<_>>()
        };
        // Of all elements whose members stand in the pattern's order, the one that tells.
        assert_eq!(shown("{\"asset\":\"ETH\",\"free\":\"", "\""), ["\"BTC\"", "\"ETH\""]);
        assert_eq!(shown("\"free\":\"", "\""), Vec::<&str>::new());
        // What stands behind is read only where all in front fits.
        assert_eq!(
            shown("\"asset\":\"ETH\",\"free\":\"", "\",\"locked\":\"4\""),
            ["\"BTC\"", "\"ETH\"", "\"4\""]
        );
    }
}
