//! Words of bits under GF(2)-linear operations, and bit-tight streams of them.
//!
//! Circuits are written over [`Bits`], which offers nothing but linear maps: XOR, shifts, masks by public constants,
//! prefix sums. AND, addition and constants, which are not linear, go through [`crate::circuit::Backend`]; so the
//! same code is right for plain values and for shares.

use alloc::vec::Vec;
use core::ops::{BitAnd, BitXor, BitXorAssign, Shl, Shr};

/// 64 lanes of bits, or several such words side by side.
pub trait Bits:
    Copy
    + Default
    + BitXor<Output = Self>
    + BitXorAssign
    + BitAnd<u64, Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
    /// All bits zero.
    const ZERO: Self;

    /// Bit i of the result is the XOR of bits 0..=i.
    fn prefix_xor(self) -> Self;

    /// The XOR of all bits, in bit 0.
    fn parity(self) -> Self;

    /// Bit 0 in every lane.
    fn splat(self) -> Self;
}

/// The `width` lowest bits set; `width` is at most 64.
pub const fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

/// N words side by side: one plain value (N = 1), or the same wires of N shares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Words<const N: usize>(pub [u64; N]);

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> zeroize::DefaultIsZeroes for Words<N> {}

impl<const N: usize> Words<N> {
    #[inline(always)]
    fn map(self, f: impl Fn(u64) -> u64) -> Self {
        Self(self.0.map(f))
    }
}

impl<const N: usize> BitXor for Words<N> {
    type Output = Self;
    #[inline(always)]
    fn bitxor(mut self, other: Self) -> Self {
        self ^= other;
        self
    }
}

impl<const N: usize> BitXorAssign for Words<N> {
    #[inline(always)]
    fn bitxor_assign(&mut self, other: Self) {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a ^= b;
        }
    }
}

impl<const N: usize> BitAnd<u64> for Words<N> {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, mask: u64) -> Self {
        self.map(|a| a & mask)
    }
}

impl<const N: usize> Shl<u32> for Words<N> {
    type Output = Self;
    /// Shifts of 64 or more give zero.
    #[inline(always)]
    fn shl(self, by: u32) -> Self {
        if by >= 64 { Self::ZERO } else { self.map(|a| a << by) }
    }
}

impl<const N: usize> Shr<u32> for Words<N> {
    type Output = Self;
    /// Shifts of 64 or more give zero.
    #[inline(always)]
    fn shr(self, by: u32) -> Self {
        if by >= 64 { Self::ZERO } else { self.map(|a| a >> by) }
    }
}

impl<const N: usize> Bits for Words<N> {
    const ZERO: Self = Self([0; N]);

    #[inline(always)]
    fn prefix_xor(self) -> Self {
        let mut a = self;
        for by in [1, 2, 4, 8, 16, 32] {
            a ^= a << by;
        }
        a
    }

    #[inline(always)]
    fn parity(self) -> Self {
        self.map(|a| u64::from(a.count_ones() & 1))
    }

    #[inline(always)]
    fn splat(self) -> Self {
        self.map(|a| 0u64.wrapping_sub(a & 1))
    }
}

/// Appends words of any width to a stream, bit-tight.
#[derive(Clone, Default)]
pub struct BitWriter<W> {
    words: Vec<W>,
    current: W,
    fill: u32,
}

impl<W: Bits> BitWriter<W> {
    /// A stream with room for `bits` bits.
    pub fn with_capacity(bits: usize) -> Self {
        Self { words: Vec::with_capacity(bits / 64 + 1), current: W::ZERO, fill: 0 }
    }

    /// Appends the `width` (at most 64) lowest bits of `word`; the bits above are zero already.
    #[inline(always)]
    pub fn push(&mut self, word: W, width: u32) {
        self.current ^= word << self.fill;
        let end = self.fill + width;
        if end >= 64 {
            self.words.push(self.current);
            self.current = word >> (64 - self.fill);
            self.fill = end - 64;
        } else {
            self.fill = end;
        }
    }

    /// Bits written.
    pub fn len(&self) -> usize {
        self.words.len() * 64 + self.fill as usize
    }

    /// True if nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stream, padded with zero bits.
    pub fn finish(mut self) -> Vec<W> {
        if self.fill > 0 {
            self.words.push(self.current);
        }
        self.words
    }
}

/// Reads words of any width from a bit-tight stream; past its end come zeros.
#[derive(Clone)]
pub struct BitReader<'a, W> {
    words: &'a [W],
    position: usize,
}

impl<'a, W: Bits> BitReader<'a, W> {
    /// Starts at the first bit.
    pub fn new(words: &'a [W]) -> Self {
        Self { words, position: 0 }
    }

    fn word(&self, i: usize) -> W {
        self.words.get(i).copied().unwrap_or(W::ZERO)
    }

    /// The next `width` (at most 64) bits.
    #[inline(always)]
    pub fn read(&mut self, width: u32) -> W {
        let (i, s) = (self.position / 64, (self.position % 64) as u32);
        self.position += width as usize;
        let mut word = self.word(i) >> s;
        if s + width > 64 {
            word ^= self.word(i + 1) << (64 - s);
        }
        word & mask(width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn streams_give_back_what_was_written(items in prop::collection::vec((any::<u64>(), 0u32..=64), 0..60)) {
            let mut w = BitWriter::with_capacity(0);
            for &(v, width) in &items {
                w.push(Words([v & mask(width), !v & mask(width)]), width);
            }
            let total: usize = items.iter().map(|i| i.1 as usize).sum();
            prop_assert_eq!(w.len(), total);
            let words = w.finish();
            prop_assert_eq!(words.len(), total.div_ceil(64));
            let mut r = BitReader::new(&words);
            for &(v, width) in &items {
                prop_assert_eq!(r.read(width).0, [v & mask(width), !v & mask(width)]);
            }
            prop_assert_eq!(r.read(64).0, [0, 0]);
        }

        #[test]
        fn scans(v: u64) {
            let prefix = Words([v]).prefix_xor().0[0];
            for i in 0..64 {
                prop_assert_eq!(prefix >> i & 1, u64::from((v << (63 - i)).count_ones() & 1));
            }
            prop_assert_eq!(Words([v]).parity().0[0], prefix >> 63);
            prop_assert_eq!(Words([v]).splat().0[0], if v & 1 == 1 { u64::MAX } else { 0 });
        }
    }
}
