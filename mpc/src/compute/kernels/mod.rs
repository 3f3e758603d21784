//! The bulk computations of verification: vectors over K and columns of bits, where a host has instructions for them.
//!
//! Pure functions. The implementations for `Vec` are the definitions; a host with wide vectors and carry-less
//! multiplication has others. Its results must be equal: a wrong one makes honest proofs fail.

mod pair;
pub mod rows;
pub mod subfield;

use alloc::vec::Vec;

use crate::field::Gf128;
pub use subfield::ROWS;

/// Bits in columns of [`ROWS`], laid out in blocks ([`rows`]), that are computed with as a whole and may live outside
/// the engine.
pub trait BitColumns: Sized {
    /// Elements of K beside them.
    type Vector: FieldVector;

    /// Takes words over: whole blocks of [`rows::BLOCK_WORDS`].
    fn new(words: Vec<u64>) -> Self;

    /// For each row, the sum of the weights of the columns whose bit is set: [`rows::row_sums`].
    fn row_sums(&self, weights: &Self::Vector) -> [Gf128; ROWS];

    /// For each column of the first, then of the second, the sum of the coefficients of the rows whose bit is set:
    /// [`rows::values`].
    fn values(halves: [&Self; 2], coefficients: &[Gf128; ROWS]) -> Self::Vector;

    /// The weighted sum of products of columns as polynomials, on the coset: [`rows::coset_sums`].
    fn coset_sums(x: [&Self; 2], y: [&Self; 2], weights: &Self::Vector) -> [Gf128; ROWS];
}

impl BitColumns for Vec<u64> {
    type Vector = Vec<Gf128>;

    fn new(words: Vec<u64>) -> Self {
        words
    }

    fn row_sums(&self, weights: &Self::Vector) -> [Gf128; ROWS] {
        rows::row_sums(self, weights)
    }

    fn values(halves: [&Self; 2], coefficients: &[Gf128; ROWS]) -> Self::Vector {
        rows::values(halves.map(Vec::as_slice), coefficients)
    }

    fn coset_sums(x: [&Self; 2], y: [&Self; 2], weights: &Self::Vector) -> [Gf128; ROWS] {
        rows::coset_sums(x.map(Vec::as_slice), y.map(Vec::as_slice), weights)
    }
}

/// A vector of K that is computed with as a whole, and may live outside the engine.
pub trait FieldVector: Sized {
    /// Takes elements over.
    fn new(elements: Vec<Gf128>) -> Self;

    /// `base, base^2, .., base^count`.
    fn powers(base: Gf128, count: usize) -> Self;

    /// All elements.
    fn elements(&self) -> Vec<Gf128>;

    /// Multiplies every element by one.
    fn scale(&mut self, by: Gf128);

    /// Multiplies element i by weight i modulo their number; by zero if there are none.
    fn weigh(&mut self, weights: &Self);

    /// Keeps `v0 + point * (v0 + v1)` of the halves (v0, v1). If the length is odd, v1 has a zero at its end.
    fn fold(&mut self, point: Gf128);

    /// For such halves of two vectors of one length: the inner products `<a0, b0>` and `<a0 + a1, b0 + b1>`.
    fn halves(&self, other: &Self) -> [Gf128; 2];

    /// The inner product, over the shorter length.
    fn dot(&self, other: &Self) -> Gf128;
}

impl FieldVector for Vec<Gf128> {
    fn new(elements: Vec<Gf128>) -> Self {
        elements
    }

    fn powers(base: Gf128, count: usize) -> Self {
        core::iter::successors(Some(base), |power| Some(*power * base)).take(count).collect()
    }

    fn elements(&self) -> Vec<Gf128> {
        self.clone()
    }

    fn scale(&mut self, by: Gf128) {
        self.iter_mut().for_each(|v| *v *= by);
    }

    fn weigh(&mut self, weights: &Self) {
        if weights.is_empty() {
            self.fill(Gf128::ZERO);
        }
        self.iter_mut().zip(weights.iter().cycle()).for_each(|(v, w)| *v *= *w);
    }

    fn fold(&mut self, point: Gf128) {
        let half = self.len().div_ceil(2);
        let (v0, v1) = self.split_at_mut(half);
        let v1 = v1.iter().copied().chain([Gf128::ZERO]);
        v0.iter_mut().zip(v1).for_each(|(a, b)| *a += point * (*a + b));
        self.truncate(half);
    }

    fn halves(&self, other: &Self) -> [Gf128; 2] {
        let (a0, a1) = self.split_at(self.len().div_ceil(2));
        let (b0, b1) = other.split_at(other.len().div_ceil(2));
        let (a1, b1) = [a1, b1].map(|v| v.iter().copied().chain([Gf128::ZERO])).into();
        let (mut low, mut top) = (Gf128::ZERO, Gf128::ZERO);
        for ((a0, a1), (b0, b1)) in a0.iter().zip(a1).zip(b0.iter().zip(b1)) {
            low += *a0 * *b0;
            top += (*a0 + a1) * (*b0 + b1);
        }
        [low, top]
    }

    fn dot(&self, other: &Self) -> Gf128 {
        self.iter().zip(other).map(|(a, b)| *a * *b).sum()
    }
}
