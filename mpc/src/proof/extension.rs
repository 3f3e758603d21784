//! The prover's extension of columns of gates from their rows V to the coset V + s, 64 N columns at a time.
//!
//! All points, and all that gates take in, lie in GF(2^16) = U(16), a subfield of K. Elements of it are bit-sliced:
//! plane e holds the coefficients of `ZETA^e`, one bit for each of 64 N columns. Values on V become coefficients in
//! the basis of products of vanishing polynomials, and these become values on the coset, both in log n steps of n/2
//! butterflies (S.-J. Lin, W.-H. Chung, Y. S. Han, "Novel polynomial basis and its application to Reed-Solomon
//! erasure codes", FOCS 2014; with a Cantor basis all their normalizing factors are one). A butterfly multiplies by
//! a public point, which is a fixed list of XORs of planes. Neither addresses nor branches depend on values.

use alloc::vec::Vec;

use crate::bits::Words;
use crate::field::Gf128;

/// Bits of an element of GF(2^16).
pub const BITS: usize = 16;

/// A root of x^16 + x^5 + x^3 + x + 1 in K.
pub const ZETA: Gf128 = Gf128(0x1051_8b1a_85d1_a9a4_f1ed_65d8_4a58_7405);

/// The remainder of x^16 modulo that polynomial.
const REST: u16 = 0x2b;

/// The Cantor basis up to `points::BASIS`'s use, in coordinates of powers of [`ZETA`].
const BASIS: [u16; 13] =
    [0x0001, 0x0733, 0x8f9e, 0x281a, 0x98c5, 0xa1e1, 0x41cc, 0x009d, 0xf51b, 0x3fbc, 0xe209, 0xb17d, 0xcd3b];

/// The root of AES's polynomial (`compute::kernels::subfield::THETA`) in these coordinates.
const THETA: u16 = 0x41cd;

/// One element for each of 64 N columns.
pub type Element<const N: usize> = [[u64; N]; BITS];

const fn times_zeta(x: u16) -> u16 {
    (x << 1) ^ if x & 0x8000 == 0 { 0 } else { REST }
}

const fn times(a: u16, b: u16) -> u16 {
    let (mut a, mut r, mut i) = (a, 0, 0);
    while i < BITS {
        if b >> i & 1 == 1 {
            r ^= a;
        }
        a = times_zeta(a);
        i += 1;
    }
    r
}

/// The point of V + .. with this index: bit k of it counts basis element k.
fn point(index: usize) -> u16 {
    let chosen = BASIS.iter().enumerate().filter(|(k, _)| index >> k & 1 == 1);
    chosen.fold(0, |point, (_, base)| point ^ base)
}

/// Powers of AES's root (`square`: of its square): the images of a byte's bits (of its square's).
pub fn byte_basis(square: bool) -> [u16; 8] {
    let step = if square { times(THETA, THETA) } else { THETA };
    let mut power = 1;
    core::array::from_fn(|_| {
        let current = power;
        power = times(power, step);
        current
    })
}

/// Products by public elements, as lists of XORs: `16 * from + to`.
struct Products {
    steps: Vec<u8>,
    /// The end of each element's list.
    ends: Vec<usize>,
}

impl Products {
    fn new(elements: impl Iterator<Item = u16>) -> Self {
        let mut this = Self { steps: Vec::new(), ends: Vec::new() };
        for element in elements {
            let mut row = element;
            for from in 0..BITS as u8 {
                this.steps.extend((0..BITS as u8).filter(|to| row >> to & 1 == 1).map(|to| 16 * from + to));
                row = times_zeta(row);
            }
            this.ends.push(this.steps.len());
        }
        this
    }

    fn of(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.steps[start..self.ends[i]]
    }
}

/// Adds a product.
#[inline(always)]
fn add_product<const N: usize>(to: &mut Element<N>, steps: &[u8], x: &Element<N>) {
    for step in steps {
        let from = x[usize::from(step >> 4)];
        for (to, from) in to[usize::from(step & 15)].iter_mut().zip(from) {
            *to ^= from;
        }
    }
}

#[inline(always)]
fn add<const N: usize>(to: &mut Element<N>, x: &Element<N>) {
    for (to, x) in to.iter_mut().flatten().zip(x.iter().flatten()) {
        *to ^= x;
    }
}

/// The extension from V, of 2^log points, to V + s.
pub struct Extension {
    log: u32,
    /// For the points of even index in V and V + s.
    products: Products,
}

impl Extension {
    pub fn new(log: u32) -> Self {
        Self { log, products: Products::new((0..1 << log).map(|i| point(2 * i))) }
    }

    /// Values on V to values on V + s. `width`: planes of the values on V that are not zero.
    pub fn extend<const N: usize>(&self, values: &mut [Element<N>], width: usize) {
        for k in 0..self.log {
            let half = 1 << k;
            for (m, block) in values.chunks_exact_mut(2 * half).enumerate() {
                // The vanishing polynomial of U(k) at the block's first point is point 2m.
                let mut steps = self.products.of(m);
                if k == 0 {
                    steps = &steps[..steps.partition_point(|step| usize::from(step >> 4) < width)];
                }
                let (low, high) = block.split_at_mut(half);
                for (low, high) in low.iter_mut().zip(high) {
                    add(high, low);
                    add_product(low, steps, high);
                }
            }
        }
        for k in (0..self.log).rev() {
            let half = 1 << k;
            // The same at the point shifted by s: it maps s to basis element log - k.
            let shift = (1usize << (self.log - k)) / 2;
            for (m, block) in values.chunks_exact_mut(2 * half).enumerate() {
                let steps = self.products.of(m + shift);
                let (low, high) = block.split_at_mut(half);
                for (low, high) in low.iter_mut().zip(high) {
                    add_product(low, steps, high);
                    add(high, low);
                }
            }
        }
    }
}

/// The product of two elements.
#[inline(always)]
pub fn product<const N: usize>(a: &Element<N>, b: &Element<N>) -> Element<N> {
    let mut wide = [[0; N]; 2 * BITS - 1];
    for (i, a) in a.iter().enumerate() {
        for (wide, b) in wide[i..].iter_mut().zip(b) {
            for (wide, (a, b)) in wide.iter_mut().zip(a.iter().zip(b)) {
                *wide ^= a & b;
            }
        }
    }
    for e in (BITS..2 * BITS - 1).rev() {
        let over = wide[e];
        for at in [0, 1, 3, 5] {
            for (to, over) in wide[e - BITS + at].iter_mut().zip(over) {
                *to ^= over;
            }
        }
    }
    core::array::from_fn(|e| wide[e])
}

/// For each plane, adds the weights of the columns whose bit is set: `to[e] += sum_l weight_l bit_(e, l)`.
#[inline(always)]
pub fn weigh<const N: usize>(planes: &Element<N>, weights: &[Gf128], to: &mut [Gf128; BITS]) {
    let (mut low, mut high) = ([0u64; BITS], [0u64; BITS]);
    for (n, weights) in weights.chunks(64).enumerate().take(N) {
        let mut words: [u64; BITS] = core::array::from_fn(|e| planes[e][n]);
        for weight in weights {
            let (l, h) = (weight.0 as u64, (weight.0 >> 64) as u64);
            for e in 0..BITS {
                let keep = 0u64.wrapping_sub(words[e] & 1);
                low[e] ^= l & keep;
                high[e] ^= h & keep;
                words[e] >>= 1;
            }
        }
    }
    for (e, to) in to.iter_mut().enumerate() {
        to.0 ^= u128::from(high[e]) << 64 | u128::from(low[e]);
    }
}

/// The same of plane 0 alone.
#[inline(always)]
pub fn weigh_bits<const N: usize>(plane: &[u64; N], weights: &[Gf128]) -> Gf128 {
    let mut sum = 0;
    for (word, weights) in plane.iter().zip(weights.chunks(64)) {
        for (i, weight) in weights.iter().enumerate() {
            sum ^= weight.0 & 0u128.wrapping_sub(u128::from(word >> i & 1));
        }
    }
    Gf128(sum)
}

/// Adds bits to the elements of n rows: `image` where a column's bit of that row is set. The stream holds columns of n
/// bits; those from `first` on are taken, `count` of them, and behind its end there are zeros.
pub fn load<const N: usize>(
    stream: &[Words<1>],
    first: usize,
    count: usize,
    image: u16,
    rows: &mut [Element<N>],
) {
    let words = rows.len() / 64;
    for (w, rows) in rows.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        for lane in 0..N {
            let mut square = zeroize::Zeroizing::new([0; 64]);
            for (c, to) in square.iter_mut().enumerate().take(count.saturating_sub(64 * lane)) {
                *to = stream.get((first + 64 * lane + c) * words + w).map_or(0, |word| word.0[0]);
            }
            transpose(&mut square);
            for (row, bits) in rows.iter_mut().zip(square.iter()) {
                for e in (0..BITS).filter(|e| image >> e & 1 == 1) {
                    row[e][lane] ^= bits;
                }
            }
        }
    }
}

/// Bit c of word r becomes bit r of word c.
fn transpose(m: &mut [u64; 64]) {
    let (mut j, mut mask) = (32, 0x0000_0000_ffff_ffff_u64);
    while j != 0 {
        let mut k = 0;
        while k < 64 {
            let t = ((m[k] >> j) ^ m[k + j]) & mask;
            m[k] ^= t << j;
            m[k + j] ^= t;
            k = (k + j + 1) & !j;
        }
        j >>= 1;
        mask ^= mask << j;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::compute::kernels::subfield;
    use crate::field::horner;
    use crate::proof::points::Subspace;

    fn embed(x: u16) -> Gf128 {
        horner(ZETA, (0..BITS).rev().map(|e| Gf128(u128::from(x >> e & 1))))
    }

    /// Column c's element.
    fn column<const N: usize>(element: &Element<N>, c: usize) -> u16 {
        (0..BITS).fold(0, |x, e| x | ((element[e][c / 64] >> (c % 64) & 1) as u16) << e)
    }

    fn random() -> impl FnMut() -> u64 {
        let mut state = 7u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 29
        }
    }

    #[test]
    fn coordinates_are_those_of_the_points() {
        let power = |n: u32| (0..n).map(|_| ZETA).product::<Gf128>();
        assert_eq!(power(16), power(5) + power(3) + ZETA + Gf128::ONE);
        for log in 0..BASIS.len() as u32 {
            assert_eq!(embed(BASIS[log as usize]), Subspace::new(log).shift());
        }
        assert_eq!(embed(THETA), subfield::THETA);
        for (a, b) in [(0x1234, 0xfedc), (1, 0xffff), (0x8000, 0x8000)] {
            assert_eq!(embed(times(a, b)), embed(a) * embed(b));
        }
        let (bits, squares) = (byte_basis(false), byte_basis(true));
        assert!((0..8).all(|i| embed(squares[i]) == embed(bits[i]).square()));
    }

    #[test]
    fn extension_is_the_interpolation() {
        for log in [1, 3, 6, 7] {
            let rows = Subspace::new(log);
            let mut next = random();
            let mut values: Vec<Element<2>> =
                (0..1 << log).map(|_| core::array::from_fn(|_| [next(), next()])).collect();
            let before = values.clone();
            Extension::new(log).extend(&mut values, BITS);
            for c in [0, 63, 64, 127] {
                let on_rows = || before.iter().map(|v| embed(column(v, c)));
                let mut whole: Vec<Gf128> = on_rows().collect();
                rows.extend(&mut whole);
                for (i, value) in values.iter().enumerate() {
                    let x = embed(point(i)) + rows.shift();
                    assert_eq!(embed(column(value, c)), rows.interpolate(x, on_rows()), "{log} {c} {i}");
                    assert_eq!(whole[i], embed(column(value, c)));
                }
            }
            // Bits only: the short lists give the same.
            let mut bits: Vec<Element<1>> = (0..1 << log).map(|_| [[0]; BITS]).collect();
            bits.iter_mut().for_each(|b| b[0] = [next()]);
            let mut same = bits.clone();
            Extension::new(log).extend(&mut bits, 1);
            Extension::new(log).extend(&mut same, BITS);
            assert!(bits == same);
        }
    }

    #[test]
    fn products_and_sums_are_the_definition() {
        let mut next = random();
        let mut element = || -> Element<2> { core::array::from_fn(|_| [next(), next()]) };
        let (a, b) = (element(), element());
        let c = product(&a, &b);
        assert!((0..128).all(|i| column(&c, i) == times(column(&a, i), column(&b, i))));
        let weights: Vec<Gf128> = (1..=100u128).map(|i| Gf128(i.wrapping_mul(u128::MAX / 7))).collect();
        let mut sums = [Gf128::ONE; BITS];
        weigh(&a, &weights, &mut sums);
        for (e, sum) in sums.iter().enumerate() {
            let set = weights.iter().enumerate().filter(|(l, _)| column(&a, *l) >> e & 1 == 1);
            assert_eq!(*sum, Gf128::ONE + set.map(|(_, w)| *w).sum());
        }
        assert_eq!(weigh_bits(&a[0], &weights), sums[0] + Gf128::ONE);
    }

    #[test]
    fn columns_are_loaded_as_they_stand() {
        let mut next = random();
        // 70 columns of 128 rows, the last one cut off.
        let stream: Vec<Words<1>> = (0..70 * 2 - 1).map(|_| Words([next()])).collect();
        let mut rows = vec![[[0u64; 2]; BITS]; 128];
        load(&stream, 3, 67, 0b101, &mut rows);
        load(&stream, 3, 67, 0b100, &mut rows);
        for (j, row) in rows.iter().enumerate() {
            for c in 0..128 {
                let word = if c < 67 { stream.get((3 + c) * 2 + j / 64).map_or(0, |w| w.0[0]) } else { 0 };
                assert_eq!(u64::from(column(row, c)), word >> (j % 64) & 1);
            }
        }
    }
}
