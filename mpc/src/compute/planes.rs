//! Bit-sliced numbers: one plane of bits for each power of two, 64 rows in a word.

use alloc::vec;
use alloc::vec::Vec;

use super::Bits;
use crate::PartyId;

impl Bits {
    pub(super) fn zero(words: usize) -> Self {
        Self { own: vec![0; words], next: vec![0; words] }
    }

    pub(super) fn words(&self) -> usize {
        self.own.len()
    }

    /// XOR, word by word.
    pub(super) fn xor(&self, other: &Self) -> Self {
        let xor = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
        Self { own: xor(&self.own, &other.own), next: xor(&self.next, &other.next) }
    }

    pub(super) fn xor_assign(&mut self, other: &Self) {
        for (a, b) in [(&mut self.own, &other.own), (&mut self.next, &other.next)] {
            a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
        }
    }

    /// The complement: share 0 carries the constant.
    pub(super) fn not(&self, party: PartyId) -> Self {
        let flip = |words: &[u64], holder: PartyId| match holder {
            PartyId::P0 => words.iter().map(|w| !w).collect(),
            _ => words.to_vec(),
        };
        Self { own: flip(&self.own, party), next: flip(&self.next, party.next()) }
    }

    /// A public plane: share 0.
    pub(super) fn public(party: PartyId, plane: Vec<u64>) -> Self {
        let part = |holder: PartyId| match holder {
            PartyId::P0 => plane.clone(),
            _ => vec![0; plane.len()],
        };
        Self { own: part(party), next: part(party.next()) }
    }

    /// Only the bits that are set in a public plane.
    pub(super) fn masked(&self, plane: &[u64]) -> Self {
        let mask = |words: &[u64]| words.iter().zip(plane).map(|(w, p)| w & p).collect();
        Self { own: mask(&self.own), next: mask(&self.next) }
    }

    /// Only the bits that are not set in a public plane.
    pub(super) fn without(&self, plane: &[u64]) -> Self {
        let others: Vec<u64> = plane.iter().map(|p| !p).collect();
        self.masked(&others)
    }

    /// Row r gets the bit of row r - distance; the first rows get zeros.
    pub(super) fn later(&self, distance: usize) -> Self {
        let (words, bits) = (distance / 64, distance % 64);
        let shift = |from: &[u64]| -> Vec<u64> {
            let at = |w: usize| w.checked_sub(words).and_then(|w| from.get(w)).copied().unwrap_or(0);
            (0..from.len())
                .map(|w| {
                    let below = if w == 0 || bits == 0 { 0 } else { at(w - 1) >> (64 - bits) };
                    at(w) << bits | below
                })
                .collect()
        };
        Self { own: shift(&self.own), next: shift(&self.next) }
    }

    /// Appends another's words.
    pub(super) fn extend(&mut self, other: &Self) {
        self.own.extend_from_slice(&other.own);
        self.next.extend_from_slice(&other.next);
    }

    /// The words `from..from + count`.
    pub(super) fn slice(&self, from: usize, count: usize) -> Self {
        let part = |words: &[u64]| words.get(from..from + count).unwrap_or_default().to_vec();
        Self { own: part(&self.own), next: part(&self.next) }
    }

    /// Cuts into pieces of this many words.
    pub(super) fn split(&self, words: usize) -> Vec<Self> {
        (0..self.words() / words.max(1)).map(|i| self.slice(i * words, words)).collect()
    }

    /// All pieces, one after another.
    pub(super) fn concat<'a>(pieces: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for piece in pieces {
            all.extend(piece);
        }
        all
    }
}

/// Shared unsigned numbers, one for each row; `planes[k]` holds bit k of all of them.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub planes: Vec<Bits>,
}

impl Numbers {
    /// Numbers of `width` bits known to the parties that hold share `index`: that share is the number, the others are
    /// zero. `own`, `next`: the planes of the party's own number and of its next.
    pub fn from_share(party: PartyId, index: PartyId, own: &[Vec<u64>], next: &[Vec<u64>]) -> Self {
        let planes = own.iter().zip(next).map(|(own, next)| {
            let mut bits = Bits::zero(own.len());
            if party == index {
                bits.own.copy_from_slice(own);
            } else if party.next() == index {
                bits.next.copy_from_slice(next);
            }
            bits
        });
        Self { planes: planes.collect() }
    }

    /// Appends planes of zeros up to `width`.
    pub fn widen(&mut self, width: u32) {
        let words = self.planes.first().map_or(0, Bits::words);
        self.planes.resize(width as usize, Bits::zero(words));
    }

    /// From both shares of XOR-shared rows.
    pub fn from_rows(own: &[u128], next: &[u128], width: u32) -> Self {
        let planes = planes_of(own, width).into_iter().zip(planes_of(next, width));
        Self { planes: planes.map(|(own, next)| Bits { own, next }).collect() }
    }

    /// Both shares of the rows.
    pub fn rows(&self, rows: usize) -> [Vec<u128>; 2] {
        let own: Vec<_> = self.planes.iter().map(|p| p.own.as_slice()).collect();
        let next: Vec<_> = self.planes.iter().map(|p| p.next.as_slice()).collect();
        [rows_of(&own, rows), rows_of(&next, rows)]
    }
}

/// Bit k of every value, 64 values in a word; rows past the end are zero.
pub(super) fn planes_of(values: &[u128], width: u32) -> Vec<Vec<u64>> {
    let words = values.len().div_ceil(64);
    let mut planes = vec![vec![0; words]; width as usize];
    let (low, high) = planes.split_at_mut(64.min(width as usize));
    for (w, values) in values.chunks(64).enumerate() {
        // Shifts by a constant: others are calls on machines without registers of 128 bits.
        square(low, w, values, |v| v as u64);
        square(high, w, values, |v| (v >> 64) as u64);
    }
    planes
}

/// Fewer planes than this are gathered bit by bit.
const FEW: usize = 6;

/// Up to 64 planes of up to 64 values.
fn square(planes: &mut [Vec<u64>], word: usize, values: &[u128], half: impl Fn(u128) -> u64) {
    if planes.len() < FEW {
        for (k, plane) in planes.iter_mut().enumerate() {
            let bits = values.iter().enumerate().map(|(r, v)| (half(*v) >> k & 1) << r);
            plane[word] = bits.fold(0, |all, bit| all | bit);
        }
        return;
    }
    let mut square: [u64; 64] = core::array::from_fn(|r| values.get(r).map_or(0, |v| half(*v)));
    transpose(&mut square);
    for (plane, bits) in planes.iter_mut().zip(square) {
        plane[word] = bits;
    }
}

/// Opened numbers, of planes one after another.
pub(super) fn opened_rows(opened: &[u64], rows: usize) -> Vec<u128> {
    let planes: Vec<&[u64]> = opened.chunks(rows.div_ceil(64).max(1)).collect();
    rows_of(&planes, rows)
}

/// The inverse of [`planes_of`].
pub(super) fn rows_of(planes: &[&[u64]], rows: usize) -> Vec<u128> {
    let mut out = vec![0; rows];
    for (w, out) in out.chunks_mut(64).enumerate() {
        for (half, planes) in planes.chunks(64).enumerate() {
            let mut square: [u64; 64] = core::array::from_fn(|k| planes.get(k).map_or(0, |p| p[w]));
            transpose(&mut square);
            for (row, bits) in out.iter_mut().zip(square) {
                *row |= if half == 0 { u128::from(bits) } else { u128::from(bits) << 64 };
            }
        }
    }
    out
}

/// Transposes a square of bits (Warren, Hacker's Delight, 7-3): bit c of word r becomes bit r of word c.
fn transpose(square: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, 0x0000_0000_ffff_ffff_u64);
    while width > 0 {
        let mut k = 0;
        while k < 64 {
            let t = (square[k] >> width ^ square[k + width]) & mask;
            square[k] ^= t << width;
            square[k + width] ^= t;
            k = (k + width + 1) & !width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn planes_and_rows_are_inverse(rows in prop::collection::vec(any::<u128>(), 0..200), width in 1u32..=128) {
            let rows: Vec<u128> = rows.into_iter().map(|r| if width == 128 { r } else { r & ((1 << width) - 1) }).collect();
            let planes = planes_of(&rows, width);
            for (k, plane) in planes.iter().enumerate() {
                for (r, row) in rows.iter().enumerate() {
                    prop_assert_eq!(plane[r / 64] >> (r % 64) & 1, (row >> k & 1) as u64);
                }
            }
            let planes: Vec<_> = planes.iter().map(|p| p.as_slice()).collect();
            prop_assert_eq!(rows_of(&planes, rows.len()), rows);
        }
    }
}
