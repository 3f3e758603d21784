//! JSON with holes: a parser that keeps each number's text, refuses texts that two readers could read in two ways, and
//! knows the hidden values.

mod eval;
mod parse;
mod tokens;

use std::ops::Range;

use tercet_protocol::survey::source::Scalar;

pub use eval::{Selection, Unknown, compared, select};
pub use parse::{Failure, parse};
pub use tokens::{equal_to, find};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 64;
/// Most values of one document.
pub const MAX_NODES: usize = 100_000;
/// Largest document, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Most hidden values of one document: an account with hundreds of balances hides them all.
pub const MAX_HOLES: usize = 512;

/// Index of a value in its document.
pub type NodeId = usize;

/// A parsed document.
#[derive(Debug)]
pub struct Document<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    /// All strings, unescaped: values and names.
    strings: Vec<String>,
    tokens: Vec<Token>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The value itself.
    pub value: Value,
    /// Its position; the position of a string includes its quotes.
    pub span: Range<usize>,
    /// Its first and its last token.
    tokens: (usize, usize),
}

/// The content of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number: the position of its text.
    Number(Range<usize>),
    /// A string: its index among the document's.
    Text(usize),
    /// A hidden number, or the hidden inside of a string.
    Hidden {
        /// Index of the hole.
        hole: usize,
        /// True if it is in quotes.
        quoted: bool,
    },
    /// An array.
    Array(Vec<NodeId>),
    /// An object: names (strings' indices) and values.
    Object(Vec<(usize, NodeId)>),
}

/// A token, for literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// One of `{ } [ ] : ,`.
    Mark(u8),
    /// A string: its index among the document's.
    Text(usize),
    /// A number or `true`, `false`, `null`: its position.
    Word(usize, usize),
    /// A hidden value.
    Hidden,
}

impl Document<'_> {
    /// The root.
    pub const ROOT: NodeId = 0;

    /// A value.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True if there are none, which no document is.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A string of the document.
    pub fn string(&self, index: usize) -> &str {
        self.strings.get(index).map_or("", String::as_str)
    }

    /// A number's text, as it is written.
    pub fn number(&self, at: &Range<usize>) -> &str {
        self.bytes.get(at.clone()).and_then(|b| str::from_utf8(b).ok()).unwrap_or("")
    }

    /// The one form of a shown number or string. The error names the kind of the value instead.
    pub fn scalar(&self, id: NodeId) -> Result<Scalar, &'static str> {
        match &self.node(id).value {
            Value::Number(at) => Scalar::from_number(self.number(at)),
            Value::Text(index) => Scalar::from_text(self.string(*index)),
            Value::Null => Err("is null"),
            Value::Bool(_) => Err("is true or false"),
            Value::Array(_) => Err("is an array"),
            Value::Object(_) => Err("is an object"),
            Value::Hidden { .. } => Err("is hidden: it must be shown"),
        }
    }

    /// The hidden values, in the order of their holes.
    pub fn holes(&self) -> impl Iterator<Item = (NodeId, usize, bool)> + '_ {
        self.nodes.iter().enumerate().filter_map(|(id, node)| match node.value {
            Value::Hidden { hole, quoted } => Some((id, hole, quoted)),
            _ => None,
        })
    }

    /// True if two documents without holes say the same: members in any order, numbers by their exact value, strings by
    /// their characters.
    pub fn same(&self, other: &Document<'_>) -> bool {
        self.equal(Self::ROOT, other, Self::ROOT)
    }

    fn equal(&self, a: NodeId, other: &Document<'_>, b: NodeId) -> bool {
        match (&self.node(a).value, &other.node(b).value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => {
                exact(self.number(a)).is_some_and(|a| exact(other.number(b)) == Some(a))
            }
            (Value::Text(a), Value::Text(b)) => self.string(*a) == other.string(*b),
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.equal(*a, other, *b))
            }
            (Value::Object(a), Value::Object(b)) => {
                let find = |name: &str| b.iter().find(|(n, _)| other.string(*n) == name);
                let same = |(name, a): &(usize, NodeId)| {
                    find(self.string(*name)).is_some_and(|(_, b)| self.equal(*a, other, *b))
                };
                a.len() == b.len() && a.iter().all(same)
            }
            _ => false,
        }
    }
}

/// A number's exact decimal value: sign, significant digits, weight of the last one. A number of any size: the exponent's
/// digits are compared, not computed with, where they are too many.
fn exact(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0').trim_end_matches('0').to_owned();
    if significant.is_empty() {
        return Some((false, significant, 0));
    }
    let stripped = digits.len() - digits.trim_end_matches('0').len();
    // An exponent beyond i64 equals nothing, not even itself: such a body is refused.
    let exponent: i64 = exponent.trim_start_matches('+').parse().ok()?;
    let weight = exponent.checked_add(stripped as i64)?.checked_sub(fraction.len() as i64)?;
    Some((negative, significant, weight))
}
