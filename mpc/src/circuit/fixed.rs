//! Logarithm and reciprocal as circuits: [`crate::fixed`] bit by bit.

use alloc::vec;
use alloc::vec::Vec;

use super::{Backend, Number, Wide, arith};
use crate::bits::{Bits, mask};
use crate::fixed::{ENTRIES, FRACTION, INDEX, REST, SLOPE, TABLE, reciprocal_places};

/// Words of a vector with one bit for each entry of the table.
const WORDS: usize = ENTRIES / 64;

/// The entries that have bit i set, for each bit of the logarithm.
static LOGS: [[u64; WORDS]; FRACTION as usize] = planes(false);
/// The same of the differences of neighbouring entries.
static SLOPES: [[u64; WORDS]; SLOPE as usize] = planes(true);

const fn planes<const BITS: usize>(slopes: bool) -> [[u64; WORDS]; BITS] {
    let mut out = [[0; WORDS]; BITS];
    let mut entry = 0;
    while entry < ENTRIES {
        let value = if slopes { TABLE[entry + 1] - TABLE[entry] } else { TABLE[entry] };
        let mut bit = 0;
        while bit < BITS {
            out[bit][entry / 64] |= ((value >> bit & 1) as u64) << (entry % 64);
            bit += 1;
        }
        entry += 1;
    }
    out
}

/// Checks that a number is above zero, as many gates as it has bits, less one. A missing number counts as 1.
fn positive<B: Backend>(b: &mut B, x: &Number<B::W>) -> B::W {
    b.zero(x.negative, 1);
    let one = b.constant(1);
    // The magnitude of a missing number is zero.
    let magnitude = x.magnitude ^ x.missing.unwrap_or(B::W::ZERO);
    let nonzero = any(b, magnitude, x.bits);
    b.zero(nonzero ^ one, 1);
    magnitude
}

/// Bit 0 tells if one of the `width` lowest bits is set: width - 1 gates.
pub(super) fn any<B: Backend>(b: &mut B, mut x: B::W, mut width: u32) -> B::W {
    x = x & mask(width);
    while width > 1 {
        let low = width.div_ceil(2);
        let (upper, lower) = (x >> low, x & mask(low));
        x = upper ^ lower ^ b.and(upper, lower & mask(width - low), width - low);
        width = low;
    }
    x
}

/// A vector of 1024 bits whose only one is at the index: 1022 gates.
fn one_hot<B: Backend>(b: &mut B, index: B::W) -> Vec<B::W> {
    let (one, first) = (b.constant(1), index & 1);
    let mut hot = vec![first ^ one ^ (first << 1)];
    let mut size = 2;
    for k in 1..INDEX {
        let (bit, width) = (((index >> k) & 1).splat(), size.min(64));
        let moved: Vec<_> = hot.iter().map(|w| b.and(*w, bit & mask(width), width)).collect();
        hot.iter_mut().zip(&moved).for_each(|(w, m)| *w ^= *m);
        if size < 64 {
            hot[0] ^= moved[0] << size;
        } else {
            hot.extend(moved);
        }
        size *= 2;
    }
    hot
}

/// The table's entry at a one-hot index: no gates.
fn look_up<W: Bits>(hot: &[W], planes: &[[u64; WORDS]]) -> W {
    let bit =
        |plane: &[u64; WORDS]| hot.iter().zip(plane).fold(W::ZERO, |sum, (w, of)| sum ^ (*w & *of)).parity();
    planes.iter().enumerate().fold(W::ZERO, |out, (i, plane)| out ^ (bit(plane) << i as u32))
}

/// [`crate::fixed::log2`] of a positive number, which is checked: some 1850 gates. That of a missing one is zero, as
/// that of 1 is.
pub fn log2<B: Backend>(b: &mut B, number: &Number<B::W>) -> B::W {
    let magnitude = positive(b, number);
    let n = number.bits;
    if n == 1 {
        return B::W::ZERO;
    }
    // Moved up until the first bit is set.
    let mut x = magnitude;
    let mut moves = B::W::ZERO;
    let one = b.constant(1);
    for k in (0..=(n - 1).ilog2()).rev() {
        let by = 1 << k;
        let clear = any(b, x >> (n - by), by) ^ one;
        let step = (x ^ (x << by)) & mask(n);
        x ^= b.and(clear.splat() & mask(n), step, n);
        moves ^= clear << k;
    }
    // n - 1 less the moves.
    let (last, six) = (b.constant(u64::from(n - 1)), b.constant(mask(6)));
    let exponent = arith::add(b, last, moves ^ six, one, 6);
    let places = n - 1;
    let mantissa = if places >= FRACTION { x >> (places - FRACTION) } else { x << (FRACTION - places) };
    let hot = one_hot(b, (mantissa >> REST) & mask(INDEX));
    let [risen, _] = arith::product(b, mantissa & mask(REST), REST, look_up(&hot, &SLOPES), SLOPE);
    let fraction = arith::add(b, look_up(&hot, &LOGS), risen >> REST, B::W::ZERO, FRACTION);
    fraction ^ (exponent << FRACTION)
}

/// [`crate::fixed::reciprocal`] of a positive number, which is checked, by long division: (bits + 25)(2 bits + 1)
/// gates. That of a missing one is zero.
pub fn reciprocal<B: Backend>(b: &mut B, number: &Number<B::W>) -> Wide<B::W> {
    let magnitude = positive(b, number);
    let n = number.bits;
    let (one, ones) = (b.constant(1), b.constant(mask(n + 1)));
    let less = magnitude ^ ones;
    let mut out = [B::W::ZERO; 2];
    // The dividend is a one and zeros. What remains is below the divisor, twice that has a bit more.
    let mut rest = one;
    for i in (0..=reciprocal_places(n)).rev() {
        let (carries, enough) = b.carry(rest, less, one, n + 1);
        let step = (less ^ carries) & mask(n);
        rest ^= b.and(enough.splat() & mask(n), step, n);
        // At the top bit either way nothing is left.
        rest = (rest & mask(n)) << 1;
        out[(i / 64) as usize] ^= enough << (i % 64);
    }
    if let Some(missing) = number.missing {
        // That of 1 is one bit: the highest.
        let top = reciprocal_places(n);
        out[(top / 64) as usize] ^= missing << (top % 64);
    }
    out
}
