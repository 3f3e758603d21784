//! Points of interpolation: subspaces of K spanned by a Cantor basis, so that weights come from a product tree
//! with one product per weight and no inversion, and coset values interpolate by folding.
//!
//! The basis has b0 = 1 and b(k+1)^2 + b(k+1) = b(k) (D. G. Cantor, "On arithmetical algorithms over finite
//! fields", 1989). With S(x) = x^2 + x and U(k) = span(b0, .., b(k-1)), the monic polynomial that vanishes on U(k)
//! is S applied k times, it is GF(2)-linear, it maps b(m) to b(m-k), and its linear coefficient is 1; therefore
//! `Z(x) / (x + v)` is the Lagrange weight of every point v at once.

use alloc::vec;
use alloc::vec::Vec;

use crate::field::Gf128;

const BASIS: [Gf128; 13] = [
    Gf128(0x00000000000000000000000000000001),
    Gf128(0x295ac0b1f4731af9676aac9fa4b20b08),
    Gf128(0xa2134422cd4054c9ff1099c31bbe8f22),
    Gf128(0x7959d70ce1ee694253b85b6402b1e848),
    Gf128(0x08f6b313e935b8e2cabcd8e4694e5644),
    Gf128(0x49c93216352821984d48b16661e860ec),
    Gf128(0x053d8555a9979a1ca13fe8ac5560ce0c),
    Gf128(0x4d52354a3a3d8c865cb10fbabcf00118),
    Gf128(0x2ccae6ed8d6b4cd0e18c55b8e07d3612),
    Gf128(0x210d8fbe72672c66588b6244c5d74470),
    Gf128(0xc211182c85e148b3d047dada84654da4),
    Gf128(0x104d101e47f1f112fed3b473eeb39df8),
    Gf128(0xce955ea0da2a682bbf199eb4f675f2ac),
];

/// The subspace V of n = 2^log points, in the order of their coordinates.
#[derive(Clone, Debug)]
pub struct Subspace {
    log: u32,
    points: Vec<Gf128>,
}

impl Subspace {
    /// `log` is at most 12 ([`crate::statement::Layout::LOG_ROWS`]).
    pub fn new(log: u32) -> Self {
        let mut points = vec![Gf128::ZERO];
        for base in BASIS.into_iter().take(log as usize) {
            points.extend_from_within(..);
            let half = points.len() / 2;
            points[half..].iter_mut().for_each(|p| *p += base);
        }
        Self { log, points }
    }

    /// The first basis element outside V: it shifts V to the coset that carries the proof's values. Z maps it to 1.
    pub fn shift(&self) -> Gf128 {
        BASIS[self.log as usize]
    }

    /// The point of this index.
    #[cfg(test)]
    pub fn point(&self, index: usize) -> Gf128 {
        self.points[index]
    }

    /// Z(x), which vanishes exactly on V.
    pub fn vanishing(&self, x: Gf128) -> Gf128 {
        self.levels(x)[self.log as usize]
    }

    /// S^k(x) for k = 0..=log.
    fn levels(&self, x: Gf128) -> Vec<Gf128> {
        let mut x = x;
        let mut levels = vec![x];
        for _ in 0..self.log {
            x = x.square() + x;
            levels.push(x);
        }
        levels
    }

    /// `root * Z(x) / (x + v)` for every v in V; defined for x in V too. n - 1 products.
    pub fn weights(&self, x: Gf128, root: Gf128) -> Vec<Gf128> {
        let levels = self.levels(x);
        let mut nodes = vec![root];
        for k in (0..self.log as usize).rev() {
            // A node is a coset a + U(k+1); what reaches each half is Z(k) at the other half.
            nodes = nodes
                .iter()
                .enumerate()
                .flat_map(|(m, &node)| {
                    let upper = node * (levels[k] + self.points[2 * m]);
                    [upper + node, upper]
                })
                .collect();
        }
        nodes
    }

    /// Values on V of a polynomial of degree below n become those on V + s. 2 log(n) n / 2 products.
    pub fn extend(&self, values: &mut [Gf128]) {
        let log = self.log as usize;
        for k in 0..log {
            for (m, block) in values.chunks_exact_mut(2 << k).enumerate() {
                let (low, high) = block.split_at_mut(1 << k);
                for (low, high) in low.iter_mut().zip(high) {
                    *high += *low;
                    *low += self.points[2 * m] * *high;
                }
            }
        }
        for k in (0..log).rev() {
            for (m, block) in values.chunks_exact_mut(2 << k).enumerate() {
                let point = self.points[2 * m] + BASIS[log - k];
                let (low, high) = block.split_at_mut(1 << k);
                for (low, high) in low.iter_mut().zip(high) {
                    *low += point * *high;
                    *high += *low;
                }
            }
        }
    }

    /// The value at x of the polynomial of degree below n with the given values on V. n - 1 products.
    pub fn interpolate(&self, x: Gf128, values: impl IntoIterator<Item = Gf128>) -> Gf128 {
        let mut nodes: Vec<_> = values.into_iter().collect();
        nodes.resize(self.points.len(), Gf128::ZERO);
        for z in self.levels(x).into_iter().take(self.log as usize) {
            let half = nodes.len() / 2;
            for m in 0..half {
                let (lower, upper) = (nodes[2 * m], nodes[2 * m + 1]);
                nodes[m] = lower + (lower + upper) * (z + self.points[2 * m]);
            }
            nodes.truncate(half);
        }
        nodes[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basis_is_cantors() {
        assert_eq!(BASIS[0], Gf128::ONE);
        for pair in BASIS.windows(2) {
            assert_eq!(pair[1].square() + pair[1], pair[0]);
        }
        for log in [6, 8, 12] {
            let v = Subspace::new(log);
            assert_eq!(v.points.len(), 1 << log);
            assert_eq!(v.vanishing(v.shift()), Gf128::ONE);
            assert!(v.points.iter().all(|p| v.vanishing(*p) == Gf128::ZERO));
        }
    }

    #[test]
    fn weights_and_folding_are_lagrange() {
        let v = Subspace::new(6);
        let values: Vec<_> =
            (1..=64u128).map(|i| Gf128(i.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))).collect();
        for x in [Gf128(12345 << 70), v.shift(), v.points[17], v.points[63]] {
            // The textbook formula.
            let expected: Gf128 = (0..64)
                .map(|j| {
                    let others = (0..64).filter(|i| *i != j);
                    let top: Gf128 = others.clone().map(|i| x + v.points[i]).product();
                    let bottom: Gf128 = others.map(|i| v.points[j] + v.points[i]).product();
                    values[j] * top * bottom.invert()
                })
                .sum();
            assert_eq!(v.interpolate(x, values.iter().copied()), expected);
            let weights = v.weights(x, Gf128(7));
            let dot: Gf128 = weights.iter().zip(&values).map(|(w, y)| *w * *y).sum();
            assert_eq!(dot, Gf128(7) * expected);
        }
    }
}
