//! Texts that are compared with public ones: a missing number's, a category's values.

use alloc::vec::Vec;

use super::{Backend, Number, decimal, fixed};
use crate::bits::Bits;
use crate::statement;

/// Bit 0 tells if the text is a public one: eight gates a byte, less one; none if their lengths differ.
fn equals<B: Backend>(b: &mut B, text: &[B::W], other: &[u8]) -> B::W {
    if text.len() != other.len() {
        return B::W::ZERO;
    }
    // Eight bytes in a word.
    let mut differs = B::W::ZERO;
    for (text, other) in text.chunks(8).zip(other.chunks(8)) {
        let mut word = B::W::ZERO;
        for (i, (byte, other)) in text.iter().zip(other).enumerate() {
            let other = b.constant((*other).into());
            word ^= (*byte ^ other) << (8 * i as u32);
        }
        let differs_here = fixed::any(b, word, 8 * text.len() as u32);
        differs = differs ^ differs_here ^ b.and(differs, differs_here, 1);
    }
    differs ^ b.constant(1)
}

/// The number that the text says, checked to be one, or to be the text of a missing value.
///
/// Where the text is that of a missing value, the circuit reads zeros as a decimal: it flips the bits in which the
/// two texts differ if the text is there, and no bits otherwise. So one circuit checks the format of both.
pub fn number<B: Backend>(b: &mut B, text: &[B::W], column: &statement::Number) -> Number<B::W> {
    let Some(other) = column.missing.as_ref().filter(|other| other.len() == text.len()) else {
        return decimal::decimal(b, text, column);
    };
    let missing = equals(b, text, other);
    let read: Vec<B::W> = text
        .iter()
        .zip(other)
        .map(|(byte, other)| *byte ^ (missing.splat() & u64::from(other ^ b'0')))
        .collect();
    Number { missing: Some(missing), ..decimal::decimal(b, &read, column) }
}

/// For each value whether the text is it; checks that it is one.
pub fn category<B: Backend>(b: &mut B, text: &[B::W], values: &[Vec<u8>]) -> Vec<B::W> {
    let hot: Vec<B::W> = values.iter().map(|value| equals(b, text, value)).collect();
    // All differ, so no two are it.
    let one = b.constant(1);
    let none = hot.iter().fold(one, |none, is| none ^ *is);
    b.zero(none, 1);
    hot
}
