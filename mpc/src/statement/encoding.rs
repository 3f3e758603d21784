//! Canonical bytes of a statement: they enter the proof's transcript.

use alloc::vec::Vec;

use super::{
    Column, Condition, Format, HashAlg, MAX_COLUMNS, MAX_OUTPUTS, Number, Output, Statement, StatementError,
    Term,
};
use crate::decimal::{Excess, Notation};

/// 2: columns that may be missing, categories, conditions. 3: notations, scales below zero.
const VERSION: u8 = 3;
const OUTPUT_BYTES: usize = 6;

impl Statement {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        // At most MAX_COLUMNS and MAX_OUTPUTS: both fit.
        let mut out = alloc::vec![VERSION, self.columns.len() as u8, self.outputs.len() as u8];
        for c in &self.columns {
            out.extend([c.alg.id(), c.length]);
            out.extend(c.commitment);
            match &c.format {
                Format::Number(Number { scale, bits, excess, notation, missing }) => {
                    let kind = if missing.is_some() { 2 } else { 1 };
                    out.extend([kind, scale.to_le_bytes()[0], *bits, *excess as u8]);
                    out.extend([u8::from(notation.exponents), notation.grouping.unwrap_or(0), notation.point]);
                    missing.iter().for_each(|text| put(&mut out, text));
                }
                Format::Category(values) => {
                    // At most MAX_CATEGORIES.
                    out.extend([3, values.len() as u8]);
                    values.iter().for_each(|text| put(&mut out, text));
                }
            }
        }
        for output in &self.outputs {
            out.extend(match output.term() {
                Term::One => [0, 0, 0],
                Term::Value(c) => [1, c, 0],
                Term::Square(c) => [2, c, 0],
                Term::Product(a, b) => [3, a, b],
                Term::Log(c) => [4, c, 0],
                Term::Reciprocal(c) => [5, c, 0],
                Term::Present(c) => [6, c, 0],
            });
            out.extend(match output.condition() {
                None => [0, 0, 0],
                Some(Condition::Present(c)) => [1, c, 0],
                Some(Condition::Is(c, value)) => [2, c, value],
            });
        }
        out
    }

    /// Reads [`Self::encode`]'s bytes, all of them.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let mut rest = bytes;
        let Some([VERSION, columns, outputs]) = take(&mut rest) else {
            return Err(StatementError::Encoding);
        };
        let (columns, outputs) = (usize::from(columns), usize::from(outputs));
        if columns > MAX_COLUMNS {
            return Err(StatementError::Columns(columns));
        }
        if outputs > MAX_OUTPUTS {
            return Err(StatementError::Outputs(outputs));
        }
        let columns: Option<Vec<_>> = (0..columns).map(|_| column(&mut rest)).collect();
        let columns = columns.ok_or(StatementError::Encoding)?;
        if rest.len() != OUTPUT_BYTES * outputs {
            return Err(StatementError::Encoding);
        }
        let outputs: Option<Vec<_>> = rest.chunks_exact(OUTPUT_BYTES).map(output).collect();
        Self::new(columns, outputs.ok_or(StatementError::Encoding)?)
    }
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    // At most MAX_VALUE_BYTES.
    out.push(text.len() as u8);
    out.extend_from_slice(text);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn text(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let [length] = take(rest)?;
    let (text, tail) = rest.split_at_checked(length.into())?;
    *rest = tail;
    Some(text.to_vec())
}

fn column(rest: &mut &[u8]) -> Option<Column> {
    let [alg, length] = take(rest)?;
    let alg = HashAlg::from_id(alg)?;
    let commitment = take(rest)?;
    let format = match take(rest)? {
        [kind @ (1 | 2)] => {
            let [scale, bits, excess, exponents, grouping, point] = take(rest)?;
            let notation = Notation {
                exponents: match exponents {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
                grouping: (grouping != 0).then_some(grouping),
                point,
            };
            let scale = i8::from_le_bytes([scale]);
            let excess = match excess {
                0 => Excess::Reject,
                1 => Excess::Truncate,
                _ => return None,
            };
            let missing = if kind == 2 { Some(text(rest)?) } else { None };
            Format::Number(Number { scale, bits, excess, notation, missing })
        }
        [3] => {
            let [values] = take(rest)?;
            Format::Category((0..values).map(|_| text(rest)).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some(Column { alg, length, format, commitment })
}

fn output(bytes: &[u8]) -> Option<Output> {
    let &[kind, a, b, given, c, value] = bytes else { return None };
    let term = match [kind, a, b] {
        [0, 0, 0] => Term::One,
        [1, c, 0] => Term::Value(c),
        [2, c, 0] => Term::Square(c),
        [3, a, b] => Term::Product(a, b),
        [4, c, 0] => Term::Log(c),
        [5, c, 0] => Term::Reciprocal(c),
        [6, c, 0] => Term::Present(c),
        _ => return None,
    };
    match [given, c, value] {
        [0, 0, 0] => Output::always(term),
        [1, c, 0] => Some(Output::Given(term, Condition::Present(c))),
        [2, c, value] => Some(Output::Given(term, Condition::Is(c, value))),
        _ => None,
    }
}
