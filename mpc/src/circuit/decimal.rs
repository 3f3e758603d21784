//! The decimal format as a circuit: bytes to the scaled integer, any position of the point.
//!
//! Characters lie side by side in bit planes (lane 0 is the *last* character), so every check is one word of gates
//! per rule. The point, once known to be the only one, is a one-hot vector over positions, so "left of the point",
//! "number of decimals" and their bits are linear. Digits are moved by that number (a barrel shifter) to the place of
//! their weight; places that must be empty are checked to be zero; one multiply-add per digit (`10a + d` is a single
//! addition) gives the integer.

use super::{Backend, Number, Wide};
use crate::bits::{Bits, mask};
use crate::circuit::arith::add;
use crate::circuit::notation;
use crate::decimal::{Excess, Notation};
use crate::{mutant, statement};

/// `bytes`: one per word, in text order. About 23 gates a character, and 2 bits^2 / 3 for the integer.
pub fn decimal<B: Backend>(b: &mut B, bytes: &[B::W], column: &statement::Number) -> Number<B::W> {
    if column.notation != Notation::default() {
        return notation::decimal(b, bytes, column);
    }
    let (digits, point, negative) = characters(b, bytes);
    let magnitude = magnitude(b, digits, point, column, None);
    Number { magnitude, negative, bits: u32::from(column.bits), missing: None }
}

/// Digits in four bit planes, with the point's lane, one-hot or zero; the digit at the point does not matter.
/// `separators`, in bit 0: set if separators are in their places left of the point, in every fourth lane.
pub(super) fn magnitude<B: Backend>(
    b: &mut B,
    Digits { mut planes, n }: Digits<B::W>,
    point: B::W,
    column: &statement::Number,
    separators: Option<B::W>,
) -> B::W {
    // From the point (included) leftward.
    let left = point.prefix_xor() & mask(n);
    // Of a scale below zero, whole numbers are made first.
    let scale = u32::try_from(column.scale).unwrap_or(0);
    let reject = column.excess == Excess::Reject;

    // Close the gap that the point leaves.
    for plane in &mut planes {
        let step = *plane ^ (*plane >> 1);
        *plane ^= b.and(left, step, n);
    }

    // Digits beyond the scale: their lane plus the scale is still right of the point.
    let cut = (n - 1).saturating_sub(scale);
    if reject && cut > 0 {
        let beyond = (point.parity().splat() ^ (left >> scale)) & mask(cut);
        for plane in planes {
            let nonzero = b.and(beyond, plane & mask(cut), cut);
            b.zero(nonzero, cut);
        }
    }

    // Lane e has weight 10^(e + scale - decimals): up by the scale, down by the number of decimals, which is the
    // point's lane.
    let width = n + scale;
    let mut planes = planes.map(|plane| [plane << scale, plane >> (64 - scale)]);
    for (bit, lanes) in LANES_WITH_BIT.into_iter().enumerate().take_while(|(bit, _)| (n - 1) >> bit != 0) {
        let moves = (point & lanes).parity().splat();
        for plane in &mut planes {
            let moved = shift_down(*plane, 1 << bit);
            move_if(b, moves, plane, moved, width);
        }
    }
    if let Some(separators) = separators {
        for plane in &mut planes {
            let closed = without_fourths(*plane, scale, width);
            move_if(b, separators.splat(), plane, closed, width);
        }
    }

    // Digits below ten to the power of a negative scale are the lowest lanes now.
    let below = u32::from(column.scale.min(0).unsigned_abs()).min(width);
    if below > 0 {
        for plane in &mut planes {
            if reject {
                b.zero(plane[0] & mask(below), below);
            }
            *plane = shift_down(*plane, below);
        }
    }
    if width == below {
        return B::W::ZERO;
    }
    integer(b, planes, width - below, u32::from(column.bits))
}

/// The four bit planes of `n` digits.
pub(super) struct Digits<W> {
    pub planes: [W; 4],
    pub n: u32,
}

/// `plane` becomes `moved` if `moves` (in every lane) is set: `width` gates.
pub(super) fn move_if<B: Backend>(
    b: &mut B,
    moves: B::W,
    plane: &mut Wide<B::W>,
    moved: Wide<B::W>,
    width: u32,
) {
    for (i, width) in [width.min(64), width.saturating_sub(64)].into_iter().enumerate() {
        if width > 0 {
            let step = (plane[i] ^ moved[i]) & mask(width);
            plane[i] ^= b.and(moves & mask(width), step, width);
        }
    }
}

/// The lanes from `start` upward without every fourth of them.
fn without_fourths<W: Bits>(plane: Wide<W>, start: u32, width: u32) -> Wide<W> {
    let bit = |at: u32| if at < 64 { (plane[0] >> at) & 1 } else { (plane[1] >> (at - 64)) & 1 };
    let mut out = [plane[0] & mask(start), W::ZERO];
    let kept = (start..width).filter(|at| (at - start) % 4 != 3);
    for (to, from) in (start..).zip(kept) {
        out[(to / 64) as usize] ^= bit(from) << (to % 64);
    }
    out
}

/// Bit e of entry k is bit k of e.
pub(super) const LANES_WITH_BIT: [u64; 6] = [
    0xaaaa_aaaa_aaaa_aaaa,
    0xcccc_cccc_cccc_cccc,
    0xf0f0_f0f0_f0f0_f0f0,
    0xff00_ff00_ff00_ff00,
    0xffff_0000_ffff_0000,
    0xffff_ffff_0000_0000,
];

/// Towards bit 0 by less than 64.
pub(super) fn shift_down<W: Bits>(x: Wide<W>, by: u32) -> Wide<W> {
    [(x[0] >> by) ^ (x[1] << (64 - by)), x[1] >> by]
}

/// Checks the characters. Returns the digits' four bit planes (zero at the minus sign, unspecified at the point),
/// the point's lane (one-hot or zero) and the sign in bit 0.
fn characters<B: Backend>(b: &mut B, bytes: &[B::W]) -> (Digits<B::W>, B::W, B::W) {
    let n = bytes.len() as u32;
    let planes = bit_planes(bytes);
    let ones = b.constant(mask(n));
    // Digits are 0x30 to 0x39, '.' is 0x2e, '-' is 0x2d.
    let [b0, b1, b2, b3, digit, b5, b6, b7] = planes;
    b.zero(b5 ^ ones, n);
    b.zero(b6, n);
    b.zero(b7, n);
    let other = digit ^ ones;
    let below_two = b.and(b1 ^ ones, b2 ^ ones, n);
    let above_nine = b.and(b3, below_two ^ ones, n);
    b.zero(above_nine ^ other, n);
    let without_four = b.and(other, b2 ^ ones, n);
    b.zero(without_four, n);
    let neither = b.and(other, b0 ^ b1 ^ ones, n);
    b.zero(neither, n);
    let point = b.and(other, b1, n);
    let minus = other ^ point;

    // One point: none stands left of another.
    let second = b.and(point, (point.prefix_xor() << 1) & mask(n), n);
    b.zero(second, n);
    // A minus sign is the first character.
    if n > 1 {
        b.zero(minus & mask(n - 1), n - 1);
    }
    // A digit: three characters always have one, given the two rules above.
    match n {
        1 => b.zero(other, 1),
        2 => {
            let both = b.and(other >> 1, other & 1, 1);
            b.zero(both, 1);
        }
        _ => {}
    }
    // Where the minus sign stands, the planes hold 0xd; take it away.
    let planes = [b0 ^ minus, b1, b2 ^ minus, b3 ^ minus];
    (Digits { planes, n }, point, (minus >> (n - 1)) & 1)
}

/// Plane k has bit k of every byte, the last one in lane 0.
pub(super) fn bit_planes<W: Bits>(bytes: &[W]) -> [W; 8] {
    let mut planes = [W::ZERO; 8];
    for (lane, byte) in bytes.iter().rev().enumerate() {
        for (k, plane) in planes.iter_mut().enumerate() {
            *plane ^= ((*byte >> k as u32) & 1) << lane as u32;
        }
    }
    planes
}

/// The number whose decimal digits are given by planes of `width` lanes, lane 0 the units; checks that it is
/// below 2^bits.
pub(super) fn integer<B: Backend>(b: &mut B, planes: [Wide<B::W>; 4], width: u32, bits: u32) -> B::W {
    // As many digits as the largest value has.
    let digits = width.min(mask(bits).ilog10() + 1);
    for plane in planes {
        let above = shift_down(plane, digits);
        let count = width - digits;
        b.zero(above[0], count.min(64));
        if !mutant!("decimal-high-digits") {
            b.zero(above[1], count.saturating_sub(64));
        }
    }
    let [d0, d1, d2, d3] = planes.map(|plane| plane[0] & mask(digits));
    // A digit as 4 a2 + 2 a1 + a0 + d3 + nine: up to seven by three bits that fill the gap of 8 * acc, one more by
    // the gap of 2 * acc, one more by the carry.
    let nine = b.and(d0, d3, digits);
    let (a0, a1, a2) = (d0 ^ d3 ^ nine, d1 ^ d3, d2 ^ d3);
    let mut acc = B::W::ZERO;
    let mut acc_width = 0;
    for k in 0..digits {
        let lane = digits - 1 - k;
        let bit = |plane: B::W| (plane >> lane) & 1;
        // 10^19 < 2^64, and there are at most 19 digits.
        acc_width = (10u64.pow(k + 1) - 1).ilog2() + 1;
        acc = if k == 0 {
            bit(d0) ^ (bit(d1) << 1) ^ (bit(d2) << 2) ^ (bit(d3) << 3)
        } else {
            let eight = (acc << 3) ^ bit(a0) ^ (bit(a1) << 1) ^ (bit(a2) << 2);
            add(b, eight, (acc << 1) ^ bit(d3), bit(nine), acc_width)
        };
    }
    if acc_width > bits {
        b.zero(acc >> bits, acc_width - bits);
    }
    acc & mask(bits)
}
