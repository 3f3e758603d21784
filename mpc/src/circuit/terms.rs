//! Outputs: terms of the columns, and the conditions under which they count.

use super::{Backend, Number, Read, Wide, arith, fixed};
use crate::bits::{Bits, mask};
use crate::statement::{Condition, Term, Width};

/// A term's value, 128 bits in two's complement.
pub fn term<B: Backend>(b: &mut B, columns: &[Read<B::W>], term: Term) -> Wide<B::W> {
    let number = |c: u8| match columns.get(usize::from(c)) {
        Some(Read::Number(number)) => *number,
        // A statement's terms are of its numbers.
        _ => Number { magnitude: B::W::ZERO, negative: B::W::ZERO, bits: 1, missing: None },
    };
    match term {
        Term::One => [b.constant(1), B::W::ZERO],
        Term::Present(c) => [present(b, number(c).missing), B::W::ZERO],
        Term::Value(c) => {
            let x = number(c);
            arith::negate_if(b, [x.magnitude, B::W::ZERO], x.negative, x.bits)
        }
        Term::Square(c) => {
            let x = number(c);
            arith::square(b, x.magnitude, x.bits)
        }
        Term::Product(c, d) => {
            let (x, y) = (number(c), number(d));
            let magnitude = arith::product(b, x.magnitude, x.bits, y.magnitude, y.bits);
            arith::negate_if(b, magnitude, x.negative ^ y.negative, x.bits + y.bits)
        }
        Term::Log(c) => [fixed::log2(b, &number(c)), B::W::ZERO],
        Term::Reciprocal(c) => fixed::reciprocal(b, &number(c)),
    }
}

/// A text of another length than that of a missing value says one.
fn present<B: Backend>(b: &mut B, missing: Option<B::W>) -> B::W {
    missing.unwrap_or(B::W::ZERO) ^ b.constant(1)
}

/// Whether a condition holds, in bit 0: no gates.
pub fn condition<B: Backend>(b: &mut B, columns: &[Read<B::W>], condition: Condition) -> B::W {
    let (Condition::Present(c) | Condition::Is(c, _)) = condition;
    match (columns.get(usize::from(c)), condition) {
        (Some(Read::Number(number)), Condition::Present(_)) => present(b, number.missing),
        (Some(Read::Category(hot)), Condition::Is(_, value)) => {
            hot.get(usize::from(value)).copied().unwrap_or(B::W::ZERO)
        }
        // A statement's conditions are of its columns.
        _ => B::W::ZERO,
    }
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
