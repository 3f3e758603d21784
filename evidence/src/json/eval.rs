//! Evaluates paths on documents with hidden values. A result that depends on a hidden value is *unknown*, never
//! guessed: a provider who could hide the member that a filter reads would choose the element.

use tercet_protocol::survey::source::{Comparison, Path, Scalar, Segment};

use super::{Document, NodeId, Value};

/// A comparison that touches a hidden value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The member that is hidden.
    pub member: String,
}

/// The values that a path selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Nothing.
    Nothing,
    /// Exactly one value.
    One(NodeId),
    /// More, this many.
    Several(usize),
}

/// Evaluates a path.
pub fn select(document: &Document<'_>, path: &Path) -> Result<Selection, Unknown> {
    let mut nodes = vec![Document::ROOT];
    for segment in &path.segments {
        let mut next = Vec::new();
        for id in nodes {
            step(document, id, segment, &mut next)?;
        }
        nodes = next;
    }
    Ok(match nodes[..] {
        [] => Selection::Nothing,
        [one] => Selection::One(one),
        _ => Selection::Several(nodes.len()),
    })
}

fn step(
    document: &Document<'_>,
    id: NodeId,
    segment: &Segment,
    out: &mut Vec<NodeId>,
) -> Result<(), Unknown> {
    match segment {
        Segment::Name(name) => out.extend(member(document, id, name)),
        Segment::Index(index) => {
            if let Value::Array(elements) = &document.node(id).value {
                out.extend(elements.get(*index));
            }
        }
        Segment::Wildcard => out.extend(children(document, id)),
        Segment::Filter(comparisons) => {
            for child in children(document, id) {
                // Each comparison is made, also where an earlier one fails: the answer must not depend on what is hidden.
                let mut all = true;
                for comparison in comparisons {
                    all &= holds(document, child, comparison)?;
                }
                if all {
                    out.push(child);
                }
            }
        }
    }
    Ok(())
}

fn children(document: &Document<'_>, id: NodeId) -> Vec<NodeId> {
    match &document.node(id).value {
        Value::Array(elements) => elements.clone(),
        Value::Object(members) => members.iter().map(|(_, value)| *value).collect(),
        _ => Vec::new(),
    }
}

fn member(document: &Document<'_>, id: NodeId, name: &str) -> Option<NodeId> {
    let Value::Object(members) = &document.node(id).value else { return None };
    members.iter().find(|(n, _)| document.string(*n) == name).map(|(_, value)| *value)
}

fn holds(document: &Document<'_>, element: NodeId, comparison: &Comparison) -> Result<bool, Unknown> {
    let mut id = element;
    for name in &comparison.names {
        match member(document, id, name) {
            Some(next) => id = next,
            // A hidden value is a number or a string: it has no members.
            None => return Ok(false),
        }
    }
    if let Value::Hidden { .. } = document.node(id).value {
        return Err(Unknown { member: comparison.names.join(".") });
    }
    // ASCII has one form only: most texts are compared as they stand.
    if let (Value::Text(index), Scalar::Text(wanted)) = (&document.node(id).value, &comparison.value) {
        let text = document.string(*index);
        if text == wanted || text.is_ascii() {
            return Ok(text == wanted);
        }
    }
    Ok(document.scalar(id).is_ok_and(|value| value == comparison.value))
}

/// All values that evaluating a path compares with constants.
pub fn compared(document: &Document<'_>, path: &Path) -> Vec<NodeId> {
    let mut out = Vec::new();
    let mut nodes = vec![Document::ROOT];
    for segment in &path.segments {
        let mut next = Vec::new();
        for id in nodes {
            if let Segment::Filter(comparisons) = segment {
                for child in children(document, id) {
                    for comparison in comparisons {
                        let mut names = comparison.names.iter();
                        let found = names.try_fold(child, |at, name| member(document, at, name));
                        out.extend(found);
                    }
                    next.push(child);
                }
            } else {
                let _ = step(document, id, segment, &mut next);
            }
        }
        nodes = next;
    }
    out
}
