//! The field K = GF(2^128) = GF(2)[x] / (x^128 + x^7 + x^2 + x + 1).
//!
//! Bit i of the integer is the coefficient of x^i. All operations run in constant time: carry-less products are
//! made from integer products of operands with holes (the technique of BearSSL's `ghash_ctmul`), without tables.

use core::iter::{Product, Sum};
use core::ops::{Add, AddAssign, Mul, MulAssign};

/// An element of K.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct Gf128(pub u128);

impl Gf128 {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(1);
    /// Bytes of one element's encoding.
    pub const BYTES: usize = 16;

    /// From 16 little-endian bytes; every string is an element.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    /// 16 little-endian bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// The product, usable in constants.
    pub const fn times(self, other: Self) -> Self {
        Self(mul(self.0, other.0))
    }

    /// The square: bits spread apart, then reduced; several times cheaper than a product.
    pub const fn square(self) -> Self {
        Self(reduce(spread(self.0 as u64), spread((self.0 >> 64) as u64)))
    }

    /// The inverse, by Fermat (a^(2^128 - 2)) with Itoh and Tsujii's addition chain: 127 squarings, 12 products.
    /// Zero maps to zero.
    pub fn invert(self) -> Self {
        // power = a^(2^k - 1) for k = 1, 2, 4, .., 64; the product of the powers shifted by 2^(sum of the
        // smaller k) is a^(2^127 - 1), and its square is the inverse.
        let (mut power, mut result) = (self, self);
        let mut k = 1;
        while k < 64 {
            power = power.square_times(k) * power;
            k *= 2;
            result = result.square_times(k) * power;
        }
        result.square()
    }

    /// self^(2^n).
    fn square_times(self, n: u32) -> Self {
        (0..n).fold(self, |a, _| a.square())
    }
}

/// Interleaves the bits of `x` with zeros.
const fn spread(x: u64) -> u128 {
    let mut y = x as u128;
    y = (y | (y << 32)) & 0x00000000_ffffffff_00000000_ffffffff;
    y = (y | (y << 16)) & 0x0000ffff_0000ffff_0000ffff_0000ffff;
    y = (y | (y << 8)) & 0x00ff00ff_00ff00ff_00ff00ff_00ff00ff;
    y = (y | (y << 4)) & 0x0f0f0f0f_0f0f0f0f_0f0f0f0f_0f0f0f0f;
    y = (y | (y << 2)) & 0x33333333_33333333_33333333_33333333;
    (y | (y << 1)) & 0x55555555_55555555_55555555_55555555
}

/// The carry-less product of two 64-bit polynomials.
///
/// Four bits of distance between used positions leave room for sums of up to 15 terms; `y` gives at most 15 per
/// class here because its top four bits are treated apart.
const fn clmul(x: u64, y: u64) -> u128 {
    const M: u64 = 0x1111_1111_1111_1111;
    const fn wide(a: u64, b: u64) -> u128 {
        a as u128 * b as u128
    }
    let low = y & 0x0fff_ffff_ffff_ffff;
    let (x0, x1, x2, x3) = (x & M, x & (M << 1), x & (M << 2), x & (M << 3));
    let (y0, y1, y2, y3) = (low & M, low & (M << 1), low & (M << 2), low & (M << 3));
    let z0 = wide(x0, y0) ^ wide(x1, y3) ^ wide(x2, y2) ^ wide(x3, y1);
    let z1 = wide(x0, y1) ^ wide(x1, y0) ^ wide(x2, y3) ^ wide(x3, y2);
    let z2 = wide(x0, y2) ^ wide(x1, y1) ^ wide(x2, y0) ^ wide(x3, y3);
    let z3 = wide(x0, y3) ^ wide(x1, y2) ^ wide(x2, y1) ^ wide(x3, y0);
    const W: u128 = 0x1111_1111_1111_1111_1111_1111_1111_1111;
    let z = (z0 & W) | (z1 & (W << 1)) | (z2 & (W << 2)) | (z3 & (W << 3));
    const fn term(x: u64, y: u64, bit: u32) -> u128 {
        ((x & (0u64.wrapping_sub((y >> bit) & 1))) as u128) << bit
    }
    z ^ term(x, y, 60) ^ term(x, y, 61) ^ term(x, y, 62) ^ term(x, y, 63)
}

/// A 256-bit polynomial, low and high half, modulo the field's.
const fn reduce(low: u128, high: u128) -> u128 {
    // high * (x^7 + x^2 + x + 1); what leaves the top (7 bits at most) is folded once more.
    let over = (high >> 127) ^ (high >> 126) ^ (high >> 121);
    let high = high ^ over;
    low ^ high ^ (high << 1) ^ (high << 2) ^ (high << 7)
}

const fn mul(a: u128, b: u128) -> u128 {
    let (a0, a1, b0, b1) = (a as u64, (a >> 64) as u64, b as u64, (b >> 64) as u64);
    let low = clmul(a0, b0);
    let high = clmul(a1, b1);
    let middle = clmul(a0 ^ a1, b0 ^ b1) ^ low ^ high;
    reduce(low ^ (middle << 64), high ^ (middle >> 64))
}

impl zeroize::DefaultIsZeroes for Gf128 {}

impl Mul for Gf128 {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(mul(self.0, other.0))
    }
}

impl MulAssign for Gf128 {
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

#[expect(clippy::suspicious_arithmetic_impl, reason = "addition in characteristic 2 is XOR")]
impl Add for Gf128 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
}

#[expect(clippy::suspicious_op_assign_impl, reason = "addition in characteristic 2 is XOR")]
impl AddAssign for Gf128 {
    fn add_assign(&mut self, other: Self) {
        self.0 ^= other.0;
    }
}

impl Sum for Gf128 {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl Product for Gf128 {
    fn product<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ONE, Mul::mul)
    }
}

/// `sum c_i x^(k-1-i)` over the k given coefficients (Horner): the first has the highest power.
pub fn horner(x: Gf128, coefficients: impl IntoIterator<Item = Gf128>) -> Gf128 {
    coefficients.into_iter().fold(Gf128::ZERO, |acc, c| acc * x + c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shift and add, the definition.
    fn slow(a: u128, b: u128) -> u128 {
        let (mut a, mut r) = (a, 0);
        for i in 0..128 {
            if b >> i & 1 == 1 {
                r ^= a;
            }
            a = (a << 1) ^ if a >> 127 == 1 { 0x87 } else { 0 };
        }
        r
    }

    #[test]
    fn extremes() {
        for a in [0, 1, 2, u128::MAX, 1 << 127, u64::MAX as u128, (u64::MAX as u128) << 64] {
            for b in [0, 1, 0x87, u128::MAX, 1 << 127, 0xffff_ffff_ffff_ffff_u128, 0xf << 60, 0xf << 124] {
                assert_eq!((Gf128(a) * Gf128(b)).0, slow(a, b), "{a:x} * {b:x}");
            }
        }
        assert_eq!(Gf128::ZERO.invert(), Gf128::ZERO);
        assert_eq!(Gf128::ONE.invert(), Gf128::ONE);
    }

    proptest! {
        #[test]
        fn product_is_the_definition(a: u128, b: u128) {
            prop_assert_eq!((Gf128(a) * Gf128(b)).0, slow(a, b));
            prop_assert_eq!(Gf128(a).square(), Gf128(a) * Gf128(a));
        }

        #[test]
        fn inverse(a in 1u128..) {
            prop_assert_eq!(Gf128(a) * Gf128(a).invert(), Gf128::ONE);
        }

        #[test]
        fn horner_is_the_sum_of_powers(x: u128, c: [u128; 5]) {
            let x = Gf128(x);
            let expected: Gf128 = (0..5).map(|i| Gf128(c[i]) * (0..4 - i).map(|_| x).product()).sum();
            prop_assert_eq!(horner(x, c.map(Gf128)), expected);
        }
    }
}
