//! Outputs: terms of the columns, and the conditions under which they count.

use alloc::vec::Vec;

use super::{Backend, Number, Read, Wide, arith, fixed};
use crate::bits::{Bits, mask};
use crate::statement::{Condition, Term, Width};

/// Outputs' terms; one of several outputs is computed once.
pub struct Terms<'a, W> {
    columns: &'a [Read<W>],
    known: Vec<(Term, Wide<W>)>,
}

impl<'a, W: Bits> Terms<'a, W> {
    pub fn new(columns: &'a [Read<W>]) -> Self {
        Self { columns, known: Vec::new() }
    }

    fn number(&self, column: u8) -> Number<W> {
        match self.columns.get(usize::from(column)) {
            Some(Read::Number(number)) => *number,
            // A statement's terms are of its numbers.
            _ => Number { magnitude: W::ZERO, negative: W::ZERO, bits: 1, missing: None },
        }
    }

    /// A term's value, 128 bits in two's complement.
    pub fn term<B: Backend<W = W>>(&mut self, b: &mut B, term: Term) -> Wide<W> {
        if let Some((_, value)) = self.known.iter().find(|(known, _)| *known == term) {
            return *value;
        }
        let value = match term {
            Term::One => [b.constant(1), W::ZERO],
            Term::Present(c) => [present(b, self.number(c).missing), W::ZERO],
            Term::Value(c) => {
                let x = self.number(c);
                arith::negate_if(b, [x.magnitude, W::ZERO], x.negative, x.bits)
            }
            Term::Square(c) => {
                let x = self.number(c);
                arith::square(b, x.magnitude, x.bits)
            }
            Term::Product(c, d) => {
                let (x, y) = (self.number(c), self.number(d));
                let magnitude = arith::product(b, x.magnitude, x.bits, y.magnitude, y.bits);
                arith::negate_if(b, magnitude, x.negative ^ y.negative, x.bits + y.bits)
            }
            Term::Log(c) => [fixed::log2(b, &self.number(c)), W::ZERO],
            Term::Reciprocal(c) => fixed::reciprocal(b, &self.number(c)),
        };
        self.known.push((term, value));
        value
    }

    /// Bit 0 tells if a condition holds. No gates, but of an edge.
    pub fn condition<B: Backend<W = W>>(&mut self, b: &mut B, condition: Condition) -> W {
        match condition {
            Condition::Present(c) => present(b, self.number(c).missing),
            Condition::Is(c, value) => match self.columns.get(usize::from(c)) {
                Some(Read::Category(hot)) => hot.get(usize::from(value)).copied().unwrap_or(W::ZERO),
                // A statement's conditions are of its columns.
                _ => W::ZERO,
            },
            Condition::Below(c, edge) => self.below(b, c, edge),
        }
    }

    /// Bit 0 tells if there is a value, and it is below the edge: one gate more than its bits, one more if it may be
    /// missing.
    ///
    /// Value and edge plus 2^bits are between 0 and 2^(bits + 1): value - edge then carries out of bits + 1 bits exactly
    /// where the value is not below.
    fn below<B: Backend<W = W>>(&mut self, b: &mut B, column: u8, edge: i64) -> W {
        let Number { bits, missing, .. } = self.number(column);
        let [value, _] = self.term(b, Term::Value(column));
        let (offset, width) = (1u128 << bits, bits + 1);
        let one = b.constant(1);
        let value = (value & mask(width)) ^ (one << bits);
        let edge = offset.wrapping_add_signed(edge.into());
        let minus_edge = b.constant(((2 * offset - edge) & u128::from(mask(width))) as u64);
        let (_, not_below) = b.carry(value, minus_edge, W::ZERO, width);
        let below = not_below ^ one;
        match missing {
            Some(missing) => b.and(below, missing ^ one, 1),
            None => below,
        }
    }
}

/// A text of another length than that of a missing value says one.
fn present<B: Backend>(b: &mut B, missing: Option<B::W>) -> B::W {
    missing.unwrap_or(B::W::ZERO) ^ b.constant(1)
}

/// The number if bit 0 of `keep` is set, otherwise zero: one gate a bit. Above a magnitude all bits are the sign.
pub fn keep_if<B: Backend>(b: &mut B, x: Wide<B::W>, keep: B::W, width: Width) -> Wide<B::W> {
    let sign = if width.signed { b.and((x[1] >> 63) & 1, keep, 1) } else { B::W::ZERO };
    let mut half = |x: B::W, width: u32| {
        let kept =
            if width > 0 { b.and(x & mask(width), keep.splat() & mask(width), width) } else { B::W::ZERO };
        kept ^ (sign.splat() & !mask(width))
    };
    [half(x[0], width.bits.min(64)), half(x[1], width.bits.saturating_sub(64))]
}
