//! Numbers in other notations than the plain one: exponents, separators of groups, a comma as the point. The definition is
//! the clear parser's ([`crate::decimal`]).
//!
//! Characters lie in bit planes as in [`super::decimal`]. Each belongs to exactly one class; classes are told apart
//! by comparing all bits of a byte.

use super::decimal::{Digits, LANES_WITH_BIT, bit_planes, integer, magnitude, move_if, shift_down};
use super::{Backend, Number, Wide, fixed};
use crate::bits::{Bits, mask};
use crate::circuit::arith::add;
use crate::decimal::Excess;
use crate::statement;

/// Most characters behind the `e`: a sign and three digits.
const EXPONENT: u32 = 4;
/// Bits of the number of lanes that digits move, as a two's complement number: from -1017 to 1098.
const MOVE_BITS: u32 = 12;
/// Lanes that digits are moved up at first: a number has at most 19 digits.
const UP: u32 = 18;

/// The places of the characters of each class; every lane has exactly one of them.
struct Classes<W> {
    /// The digits' four bit planes, zero elsewhere.
    digits: [W; 4],
    digit: W,
    point: W,
    minus: W,
    plus: W,
    letter: W,
    separator: W,
}

/// See [`super::decimal::decimal`]. About 60 gates a character, and with exponents about 3,500 more.
pub fn decimal<B: Backend>(b: &mut B, bytes: &[B::W], column: &statement::Number) -> Number<B::W> {
    let n = bytes.len() as u32;
    let c = classes(b, bytes, column);
    // One point.
    once(b, c.point, n);
    let negative = (c.minus >> (n - 1)) & 1;
    let magnitude = if column.notation.exponents {
        let exponent = exponent(b, &c, n);
        scientific(b, c, n, column, exponent)
    } else {
        if n > 1 {
            b.zero(c.minus & mask(n - 1), n - 1);
        }
        some_digit(b, c.digit, n);
        let separators = column.notation.grouping.map(|_| groups(b, &c, n));
        magnitude(b, Digits { planes: c.digits, n }, c.point, column, separators)
    };
    Number { magnitude, negative, bits: u32::from(column.bits), missing: None }
}

fn classes<B: Backend>(b: &mut B, bytes: &[B::W], column: &statement::Number) -> Classes<B::W> {
    let n = bytes.len() as u32;
    let planes = bit_planes(bytes);
    let notation = column.notation;
    let ones = b.constant(mask(n));
    let (nothing, exponents) = (B::W::ZERO, notation.exponents);
    let point = is(b, &planes, notation.point, 0xff, n);
    let minus = is(b, &planes, b'-', 0xff, n);
    let plus = if exponents { is(b, &planes, b'+', 0xff, n) } else { nothing };
    // Either case: 0x20 is what they differ in.
    let letter = if exponents { is(b, &planes, b'e', !0x20, n) } else { nothing };
    let separator = notation.grouping.map_or(nothing, |g| is(b, &planes, g, 0xff, n));
    // Digits are 0x30 to 0x39.
    let three = is(b, &planes, b'0', 0xf0, n);
    let [_, b1, b2, b3, ..] = planes;
    let low_two = b.and(b1 ^ ones, b2 ^ ones, n);
    let above_nine = b.and(b3, low_two ^ ones, n);
    let digit = three ^ b.and(three, above_nine, n);
    b.zero(digit ^ point ^ minus ^ plus ^ letter ^ separator ^ ones, n);
    let digits = [0, 1, 2, 3].map(|k: usize| b.and(planes[k], digit, n));
    Classes { digits, digit, point, minus, plus, letter, separator }
}

/// The positions of bytes that equal `c` in the bits of `care`.
fn is<B: Backend>(b: &mut B, planes: &[B::W; 8], c: u8, care: u8, n: u32) -> B::W {
    let ones = b.constant(mask(n));
    let mut all: Option<B::W> = None;
    for (k, plane) in planes.iter().enumerate().filter(|(k, _)| care >> k & 1 == 1) {
        let same = if c >> k & 1 == 1 { *plane } else { *plane ^ ones };
        all = Some(all.map_or(same, |all| b.and(all, same, n)));
    }
    all.unwrap_or(ones)
}

/// Checks that at most one lane is set.
fn once<B: Backend>(b: &mut B, lanes: B::W, n: u32) {
    // None stands left of another.
    let second = b.and(lanes, (lanes.prefix_xor() << 1) & mask(n), n);
    b.zero(second, n);
}

/// Checks that at least one lane is set.
fn some_digit<B: Backend>(b: &mut B, digit: B::W, n: u32) {
    let any = fixed::any(b, digit, n);
    let one = b.constant(1);
    b.zero(any ^ one, 1);
}

/// Checks that separators are in every fourth lane left of the point, in all of them or in none. Bit 0 of the result
/// tells if there are any.
fn groups<B: Backend>(b: &mut B, c: &Classes<B::W>, n: u32) -> B::W {
    let ones = b.constant(mask(n));
    // The point, or the lane in front of lane 0 where there is none, moved four lanes to the left.
    let one = b.constant(1);
    let first = ((c.point << 4) ^ ((c.point.parity() ^ one) << 3)) & mask(n);
    let places = [4u32, 8, 16, 32].into_iter().fold(first, |places, by| places ^ ((places << by) & mask(n)));
    // No separator in another place.
    let wrong = b.and(c.separator, places ^ ones, n);
    b.zero(wrong, n);
    // There are some if there is one in the first place, and only then.
    let lowest = b.and(c.separator, first, n);
    let any = lowest.parity();
    let alone = b.and(c.separator, any.splat() & mask(n), n);
    b.zero(alone ^ c.separator, n);
    // Then no digit in any of their places.
    let digits = b.and(c.digit, places, n);
    let wrong = b.and(digits, any.splat() & mask(n), n);
    b.zero(wrong, n);
    // None is the first character, or the first behind a minus sign.
    b.zero((c.separator >> (n - 1)) & 1, 1);
    if n > 1 {
        let behind = b.and((c.minus >> (n - 1)) & 1, (c.separator >> (n - 2)) & 1, 1);
        b.zero(behind, 1);
    }
    any
}

/// A text's exponent.
struct Exponent<W> {
    /// Its magnitude, ten bits.
    magnitude: W,
    /// In bit 0: whether it is below zero.
    negative: W,
    /// Number of characters that it takes, the letter included: bits 0 to 2.
    length: W,
    /// The lanes of the mantissa.
    mantissa: W,
}

/// Checks everything from the letter on.
fn exponent<B: Backend>(b: &mut B, c: &Classes<B::W>, n: u32) -> Exponent<B::W> {
    once(b, c.letter, n);
    let ones = b.constant(mask(n));
    let few = n.min(EXPONENT);
    // The letter stands in lane 1 to 4: it has one to four characters behind it.
    let elsewhere = !(mask(EXPONENT + 1) & !1) & mask(n);
    b.zero(c.letter & elsewhere, n);
    // Lanes behind the letter: one-hot, so the prefix from above is its parity.
    let behind = (c.letter.parity().splat() ^ c.letter.prefix_xor()) & mask(few);
    // A sign stands right behind the letter, and a digit behind it.
    let sign_place = (c.letter >> 1) & (mask(few) & !1);
    let inner_minus = c.minus & mask(n - 1);
    let wrong = b.and(inner_minus, (sign_place ^ ones) & mask(n), n);
    b.zero(wrong, n);
    let wrong = b.and(c.plus, sign_place ^ ones, n);
    b.zero(wrong, n);
    // No point behind it.
    let wrong = b.and(c.point & mask(few), behind, few);
    b.zero(wrong, few);
    // Four characters are a sign and three digits.
    if n > EXPONENT {
        let letter = (c.letter >> EXPONENT) & 1;
        let digit = (c.digit >> (EXPONENT - 1)) & 1;
        let wrong = b.and(letter, digit, 1);
        b.zero(wrong, 1);
    }
    // The mantissa has a digit.
    let mantissa = ones ^ behind ^ c.letter;
    let digit = b.and(c.digit, mantissa, n);
    some_digit(b, digit, n);

    let digits = c.digits.map(|plane| b.and(plane & mask(few), behind, few));
    let place = |lane: u32| {
        digits.iter().enumerate().fold(B::W::ZERO, |d, (k, p)| d ^ (((*p >> lane) & 1) << k as u32))
    };
    let (units, tens, hundreds) = (place(0), place(1), place(2));
    let ten = add(b, tens << 3, tens << 1, B::W::ZERO, 7);
    let two = add(b, units, ten, B::W::ZERO, 7);
    let hundred = add(b, hundreds << 6, hundreds << 5, B::W::ZERO, 10);
    let hundred = add(b, hundred, hundreds << 2, B::W::ZERO, 10);
    let magnitude = add(b, two, hundred, B::W::ZERO, 10);
    // The letter in lane k stands for k + 1 characters.
    let at = |k: u32| (c.letter >> k) & 1;
    let length = [2u32, 3, 4, 5].into_iter().fold(B::W::ZERO, |length, k| {
        (0..3).filter(|bit| k >> bit & 1 == 1).fold(length, |length, bit| length ^ (at(k - 1) << bit))
    });
    Exponent { magnitude, negative: inner_minus.parity(), length, mantissa }
}

/// The integer of a mantissa and an exponent: digits move by scale, decimals and exponent together.
fn scientific<B: Backend>(
    b: &mut B,
    c: Classes<B::W>,
    n: u32,
    column: &statement::Number,
    exponent: Exponent<B::W>,
) -> B::W {
    // The mantissa alone, its last character in lane 0.
    let mut planes = c.digits.map(|plane| b.and(plane, exponent.mantissa, n));
    let mut point = c.point;
    for bit in 0..3 {
        let moves = ((exponent.length >> bit) & 1).splat() & mask(n);
        for plane in planes.iter_mut().chain([&mut point]) {
            let step = *plane ^ (*plane >> (1 << bit));
            *plane ^= b.and(moves, step, n);
        }
    }
    // Close the gap that the point leaves.
    let left = point.prefix_xor() & mask(n);
    for plane in &mut planes {
        let step = *plane ^ (*plane >> 1);
        *plane ^= b.and(left, step, n);
    }

    // Up by a constant, down by `moved`: the constant, less the scale, plus the decimals, less the exponent.
    let decimals = LANES_WITH_BIT
        .into_iter()
        .enumerate()
        .fold(B::W::ZERO, |count, (bit, lanes)| count ^ ((point & lanes).parity() << bit as u32));
    // Between 0 and 36: a scale is at most 18 and at least -18.
    let constant = b.constant((i64::from(UP) - i64::from(column.scale)).unsigned_abs());
    let base = add(b, decimals, constant, B::W::ZERO, MOVE_BITS);
    let one = b.constant(1);
    let subtracts = exponent.negative ^ one;
    let signed = exponent.magnitude ^ (subtracts.splat() & mask(MOVE_BITS));
    let moved = add(b, base, signed, subtracts, MOVE_BITS);

    let reject = column.excess == Excess::Reject;
    let width = n + UP;
    let mut planes: [Wide<B::W>; 4] = planes.map(|plane| [plane << UP, plane >> (64 - UP)]);
    // Moved up beyond all places: only zeros may be.
    let over = (moved >> (MOVE_BITS - 1)) & 1;
    // Moved down by 128 or more: nothing is left.
    let gone = (moved >> 7) & mask(MOVE_BITS - 8);
    let gone = fixed::any(b, gone, MOVE_BITS - 8);
    for plane in planes {
        none_if(b, over, plane, width);
        if reject {
            // Of a number below zero lanes `gone` is set too: then there are only zeros anyway.
            none_if(b, gone, plane, width);
        }
    }
    for bit in 0..7 {
        let moves = ((moved >> bit) & 1).splat();
        let by = 1u32 << bit;
        for plane in &mut planes {
            if reject {
                none_if(b, moves & 1, *plane, by.min(width));
            }
            let shifted = if by < 64 { shift_down(*plane, by) } else { [plane[1], B::W::ZERO] };
            move_if(b, moves, plane, shifted, width);
        }
    }
    if !reject {
        for plane in &mut planes {
            move_if(b, gone.splat(), plane, [B::W::ZERO; 2], width);
        }
    }
    integer(b, planes, width, u32::from(column.bits))
}

/// Checks that none of the lowest `width` lanes is set if `condition` (in bit 0) is.
fn none_if<B: Backend>(b: &mut B, condition: B::W, plane: Wide<B::W>, width: u32) {
    for (word, width) in plane.into_iter().zip([width.min(64), width.saturating_sub(64)]) {
        if width > 0 {
            let wrong = b.and(condition.splat() & mask(width), word & mask(width), width);
            b.zero(wrong, width);
        }
    }
}
