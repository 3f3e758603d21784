//! The first level of a proof: columns of bits to polynomials, to elements of K.
//!
//! Functions are inlined into the code that compiles them for a processor's vectors; tables are looked up with bits of
//! shares as addresses within lines that are all in the nearest cache.

use alloc::vec::Vec;

use super::pair::{Pair, UNROLLED, combine, look_up};
use super::subfield::{
    self, BITS, COLUMNS, LANES, PLANES, POINTS, Plane, ROWS, THETA, extend, sum_of_products, transpose,
};
use crate::field::Gf128;

/// Words of a block.
pub const BLOCK_WORDS: usize = ROWS * LANES;

/// The blocks of a vector of words; its length is a multiple of [`BLOCK_WORDS`].
#[inline(always)]
fn blocks(words: &[u64]) -> impl Iterator<Item = [Plane; ROWS]> + '_ {
    words.as_chunks::<BLOCK_WORDS>().0.iter().map(|block| {
        let mut rows = [[0; LANES]; ROWS];
        for (row, words) in rows.iter_mut().zip(block.as_chunks::<LANES>().0) {
            *row = *words;
        }
        rows
    })
}

/// The values of `P = sum_c w_c (f_xc g_yc + f_yc g_xc)` on the coset, where f are the polynomials through the columns
/// of the first words of `x` and `y`, and g those through the second's.
#[inline(always)]
pub fn coset_sums(x: [&[u64]; 2], y: [&[u64]; 2], weights: &[Gf128]) -> [Gf128; ROWS] {
    let mut sums = [Pair::ZERO; PLANES];
    let mut planes = [[[0; LANES]; PLANES]; 4];
    let all = blocks(x[0]).zip(blocks(x[1])).zip(blocks(y[0]).zip(blocks(y[1])));
    for (((x0, x1), (y0, y1)), weights) in all.zip(weights.as_chunks::<COLUMNS>().0) {
        for (rows, planes) in [&x0, &x1, &y0, &y1].into_iter().zip(&mut planes) {
            extend(rows, planes);
        }
        let [x0, x1, y0, y1] = &mut planes;
        let points = x0.as_chunks_mut::<BITS>().0.iter_mut().zip(x1.as_chunks::<BITS>().0);
        for ((x0, x1), (y0, y1)) in points.zip(y0.as_chunks::<BITS>().0.iter().zip(y1.as_chunks::<BITS>().0))
        {
            *x0 = sum_of_products(x0, y1, y0, x1);
        }
        add_weighted(&mut sums, x0, weights);
    }
    of_planes(&sums.map(Pair::element))
}

/// Values of which bit b's sum is given at 8 s + b: the sums as coefficients of an element of the subfield.
pub fn of_planes(sums: &[Gf128; PLANES]) -> [Gf128; ROWS] {
    core::array::from_fn(|s| {
        sums[s * BITS..][..BITS].iter().rev().fold(Gf128::ZERO, |value, bit| value * THETA + *bit)
    })
}

/// Adds to each plane's sum the weights of the columns whose bit is set in it.
#[inline(always)]
fn add_weighted(sums: &mut [Pair; PLANES], planes: &[Plane; PLANES], weights: &[Gf128; COLUMNS]) {
    // Four tables at a time: more would not stay in a processor's nearest cache.
    let mut tables = [[Pair::ZERO; 256]; 4];
    for (at, weights) in weights.as_chunks::<32>().0.iter().enumerate() {
        for (table, weights) in tables.iter_mut().zip(weights.as_chunks::<8>().0) {
            combine(weights, table);
        }
        let (lane, shift) = (at / 2, at % 2 * 32);
        let groups = sums.as_chunks_mut::<UNROLLED>().0.iter_mut().zip(planes.as_chunks::<UNROLLED>().0);
        for (sums, planes) in groups {
            for (sum, plane) in sums.iter_mut().zip(planes) {
                *sum = sum.plus(look_up(&tables, (plane[lane] >> shift) as u32));
            }
        }
    }
}

/// For each row, the sum of the weights of the columns whose bit is set in `words`.
#[inline(always)]
pub fn row_sums(words: &[u64], weights: &[Gf128]) -> [Gf128; ROWS] {
    let mut sums = [Pair::ZERO; ROWS];
    let mut combinations = [Pair::ZERO; 16];
    for (rows, weights) in blocks(words).zip(weights.as_chunks::<COLUMNS>().0) {
        for (at, weights) in weights.as_chunks::<4>().0.iter().enumerate() {
            combine(weights, &mut combinations);
            let (lane, shift) = (at / 16, at % 16 * 4);
            let groups = sums.as_chunks_mut::<UNROLLED>().0.iter_mut().zip(rows.as_chunks::<UNROLLED>().0);
            for (sums, rows) in groups {
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum = sum.plus(combinations[(row[lane] >> shift & 15) as usize]);
                }
            }
        }
    }
    sums.map(Pair::element)
}

/// For each column of the first words, then of the second's, the sum of the coefficients of the rows whose bit is set:
/// with [`lagrange`]'s coefficients at a point, the values there of the polynomials through the columns.
#[inline(always)]
pub fn values(halves: [&[u64]; 2], coefficients: &[Gf128; ROWS]) -> Vec<Gf128> {
    let mut tables = [[Pair::ZERO; 256]; 4];
    for (table, coefficients) in tables.iter_mut().zip(coefficients.as_chunks::<8>().0) {
        combine(coefficients, table);
    }
    let mut out = Vec::with_capacity(halves.map(|words| columns_of(words.len())).iter().sum());
    for words in halves {
        for rows in blocks(words) {
            let columns: [u32; COLUMNS] = transpose(&rows);
            for columns in columns.as_chunks::<UNROLLED>().0 {
                out.extend_from_slice(&columns.map(|column| look_up(&tables, column).element()));
            }
        }
    }
    out
}

/// Lagrange's coefficients of the points 0..N (a subspace of the subfield) at `point`.
///
/// The polynomial that vanishes on a subspace is linearized: its derivative is the same everywhere, the product of
/// the points that are not zero.
pub(crate) fn lagrange<const N: usize>(point: Gf128) -> [Gf128; N] {
    let distances: [Gf128; N] = core::array::from_fn(|p| point + POINTS[p]);
    let derivative: Gf128 = POINTS[1..N].iter().copied().product();
    // One inversion for all (Montgomery): prefix products, then backwards.
    let mut prefix = [Gf128::ONE; N];
    for i in 1..N {
        prefix[i] = prefix[i - 1] * distances[i - 1];
    }
    let vanishing = prefix[N - 1] * distances[N - 1];
    let mut inverse = vanishing.invert();
    let factor = vanishing * derivative.invert();
    let mut coefficients = [Gf128::ZERO; N];
    for i in (0..N).rev() {
        coefficients[i] = inverse * prefix[i] * factor;
        inverse *= distances[i];
    }
    coefficients
}

/// Pads a vector of words to whole blocks.
pub fn pad(words: &mut Vec<u64>) {
    words.resize(words.len().next_multiple_of(BLOCK_WORDS), 0);
}

/// Number of columns in this many words.
pub fn columns_of(words: usize) -> usize {
    words / BLOCK_WORDS * subfield::COLUMNS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::kernels::FieldVector as _;
    use proptest::prelude::*;

    fn bit(words: &[u64], row: usize, column: usize) -> bool {
        let block = &words[column / COLUMNS * BLOCK_WORDS..];
        let c = column % COLUMNS;
        block[row * LANES + c / 64] >> (c % 64) & 1 == 1
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]
        /// Rows, coset and the challenge are values of one polynomial, and it is the one of the definition.
        #[test]
        fn everything_is_the_same_polynomial(seed: u64, gamma: u128, point: u128) {
            let mut state = seed;
            let mut vector = || -> Vec<u64> {
                (0..2 * BLOCK_WORDS).map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    state ^ state >> 29
                }).collect()
            };
            let v = [vector(), vector(), vector(), vector()];
            let (gamma, point) = (Gf128(gamma), Gf128(point));
            let columns = columns_of(v[0].len());
            let weights = <Vec<Gf128>>::powers(gamma, columns);
            let coset = coset_sums([&v[0], &v[1]], [&v[2], &v[3]], &weights);
            let products: Vec<u64> = (0..v[0].len()).map(|i| v[0][i] & v[3][i] ^ v[2][i] & v[1][i]).collect();
            let rows = row_sums(&products, &weights);
            for (r, sum) in rows.iter().enumerate() {
                let expected: Gf128 =
                    (0..columns).filter(|c| bit(&products, r, *c)).map(|c| weights[c]).sum();
                prop_assert_eq!(*sum, expected);
            }
            let all = lagrange::<{ 2 * ROWS }>(point);
            let interpolated: Gf128 = all.iter().zip(rows.iter().chain(&coset)).map(|(l, v)| *l * *v).sum();
            let coefficients = lagrange(point);
            let f = values([&v[0], &v[2]], &coefficients);
            let g = values([&v[3], &v[1]], &coefficients);
            let direct: Gf128 = (0..2 * columns).map(|c| weights[c % columns] * (f[c] * g[c])).sum();
            prop_assert_eq!(interpolated, direct);
        }
    }
}
