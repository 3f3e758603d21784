//! Adders, multipliers, conditional negation, and the check of arithmetic shares.

use super::{Backend, Wide};
use crate::bits::{Bits, mask};

/// `a + b + carry_in` modulo 2^width (`width` 1 to 64): width - 1 gates.
pub fn add<B: Backend>(b: &mut B, x: B::W, y: B::W, carry_in: B::W, width: u32) -> B::W {
    if width == 1 {
        return x ^ y ^ carry_in;
    }
    let (carries, _) = b.carry(x, y, carry_in, width - 1);
    (x ^ y ^ carries) & mask(width)
}

/// `x + y` modulo 2^128: 127 gates.
pub fn add_wide<B: Backend>(b: &mut B, x: Wide<B::W>, y: Wide<B::W>) -> Wide<B::W> {
    let (carries, out) = b.carry(x[0], y[0], B::W::ZERO, 64);
    [x[0] ^ y[0] ^ carries, add(b, x[1], y[1], out, 64)]
}

/// The two's complement (128 bits) of a magnitude of `width` (1 to 127) bits, negated if bit 0 of `negative` is
/// set: `width` gates.
pub fn negate_if<B: Backend>(b: &mut B, magnitude: Wide<B::W>, negative: B::W, width: u32) -> Wide<B::W> {
    let sign = negative.splat();
    // Invert and add one; above the magnitude all bits are the sign, unless the carry clears them (minus zero).
    let mut half = |x: B::W, carry: B::W, width: u32| {
        if width == 0 {
            return (sign ^ carry.splat(), carry);
        }
        let inverted = x ^ (sign & mask(width));
        let (carries, out) = b.carry(inverted, B::W::ZERO, carry, width);
        let above = (sign ^ out.splat()) & !mask(width);
        (((inverted ^ carries) & mask(width)) ^ above, out)
    };
    let (low, carry) = half(magnitude[0], negative, width.min(64));
    let (high, _) = half(magnitude[1], carry, width.saturating_sub(64));
    [low, high]
}

/// The square of a number of `bits` (1 to 63) bits: about bits^2 gates.
///
/// Row i holds `x_i * (1 + 4 * (x >> (i+1)))`, weight 4^i: the products with higher bits count twice. Two bits of
/// the running sum are final after each row.
pub fn square<B: Backend>(b: &mut B, x: B::W, bits: u32) -> Wide<B::W> {
    let mut out = [B::W::ZERO; 2];
    let mut sum = B::W::ZERO;
    for i in 0..bits {
        let bit = (x >> i) & 1;
        let above = bits - 1 - i;
        let products =
            if above > 0 { b.and(bit.splat() & mask(above), x >> (i + 1), above) } else { B::W::ZERO };
        let row = bit ^ (products << 2);
        // The sum stays below 2^(bits - i + 2), and row 0 below 2^(bits + 1).
        sum = if i == 0 { row } else { add(b, sum >> 2, row, B::W::ZERO, bits - i + 2) };
        out[(i / 32) as usize] ^= (sum & 3) << (2 * i % 64);
    }
    out
}

/// The product of numbers of `n` and `m` (1 to 63) bits: about 2nm gates.
pub fn product<B: Backend>(b: &mut B, x: B::W, n: u32, y: B::W, m: u32) -> Wide<B::W> {
    let mut out = [B::W::ZERO; 2];
    let mut sum = B::W::ZERO;
    for i in 0..n {
        let bit = (x >> i) & 1;
        let row = b.and(bit.splat() & mask(m), y, m);
        sum = if i == 0 { row } else { add(b, sum >> 1, row, B::W::ZERO, m + 1) };
        out[0] ^= (sum & 1) << i;
    }
    let rest = sum >> 1;
    out[0] ^= rest << n;
    out[1] ^= rest >> (64 - n);
    out
}

/// Checks `X0 + X1 + X2 = value` modulo 2^128 for the next lane's shares: 254 gates.
pub fn check_sharing<B: Backend>(b: &mut B, value: Wide<B::W>) {
    let [x, y, z] = b.lane();
    let sum = [x[0] ^ y[0] ^ z[0], x[1] ^ y[1] ^ z[1]];
    // The carry out of bit 127 is not needed.
    let majority = |b: &mut B, i: usize, width: u32| {
        let keep = mask(width);
        b.and((x[i] ^ z[i]) & keep, (y[i] ^ z[i]) & keep, width) ^ (z[i] & keep)
    };
    let low = majority(b, 0, 64);
    let high = majority(b, 1, 63);
    let total = add_wide(b, sum, [low << 1, (high << 1) ^ (low >> 63)]);
    b.zero(total[0] ^ value[0], 64);
    b.zero(total[1] ^ value[1], 64);
}
