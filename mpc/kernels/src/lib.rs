//! Bulk products in K = GF(2^128) and sums over columns of bits, with the processor's carry-less multiplication and bit
//! matrices.
//!
//! Owns the fast twin of `tercet_mpc::compute::kernels`, and the project's only `unsafe`: the call into functions that
//! are compiled for an instruction set, after asking the processor whether it has it, and loads and stores of its
//! registers. Where it has not, the portable functions serve. It also spreads a prover's work over several cores. Must
//! never compute anything else.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod cores;
#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod processor;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod processor;

pub use cores::Cores;
use tercet_mpc::compute::kernels::{ROWS, rows};
use tercet_mpc::compute::{BitColumns, FieldVector};
use tercet_mpc::field::Gf128;

/// A vector of K, computed with at the processor's best. Its `Debug` shows its length only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Vector(Vec<Gf128>);

impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vector({} elements)", self.0.len())
    }
}

impl Vector {
    /// From two words an element, the low one first.
    pub fn from_words(words: &[u64]) -> Self {
        let element = |[low, high]: &[u64; 2]| Gf128(u128::from(*high) << 64 | u128::from(*low));
        Self(words.as_chunks().0.iter().map(element).collect())
    }

    /// Two words an element, the low one first.
    pub fn to_words(&self) -> Vec<u64> {
        self.0.iter().flat_map(|e| [e.0 as u64, (e.0 >> 64) as u64]).collect()
    }

    fn even(&mut self) {
        if self.0.len() % 2 == 1 {
            self.0.push(Gf128::ZERO);
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FieldVector for Vector {
    fn new(elements: Vec<Gf128>) -> Self {
        Self(elements)
    }

    fn powers(base: Gf128, count: usize) -> Self {
        let mut powers = Vec::with_capacity(count);
        powers.extend((count > 0).then_some(base));
        // The last is base^len, so the next len powers are these times it.
        while let (true, Some(&last)) = (powers.len() < count, powers.last()) {
            let known = powers.len();
            let more = known.min(count - known);
            powers.extend_from_within(..more);
            run(Call::Scale(&mut powers[known..], last));
        }
        Self(powers)
    }

    fn elements(&self) -> Vec<Gf128> {
        self.0.clone()
    }

    fn scale(&mut self, by: Gf128) {
        run(Call::Scale(&mut self.0, by));
    }

    fn weigh(&mut self, weights: &Self) {
        if weights.is_empty() {
            self.0.fill(Gf128::ZERO);
        }
        for part in self.0.chunks_mut(weights.len().max(1)) {
            run(Call::Multiply(part, &weights.0));
        }
    }

    fn fold(&mut self, point: Gf128) {
        self.even();
        let half = self.0.len() / 2;
        let (v0, v1) = self.0.split_at_mut(half);
        run(Call::Fold(v0, v1, point));
        self.0.truncate(half);
    }

    fn halves(&self, other: &Self) -> [Gf128; 2] {
        let (a0, a1) = self.0.split_at(self.0.len().div_ceil(2));
        let (b0, b1) = other.0.split_at(other.0.len().div_ceil(2));
        let [low, top] = run(Call::Halves((a0, a1), (b0, b1)));
        // The middle of an odd length has no partner.
        let alone = match (a0.get(a1.len()), b0.get(b1.len())) {
            (Some(a), Some(b)) => *a * *b,
            _ => Gf128::ZERO,
        };
        [low + alone, top + alone]
    }

    fn dot(&self, other: &Self) -> Gf128 {
        let [dot, _] = run(Call::Dot(&self.0, &other.0));
        dot
    }
}

/// Columns of bits, computed with at the processor's best. Its `Debug` shows their length only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Columns(Vec<u64>);

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Columns({} words)", self.0.len())
    }
}

impl Columns {
    /// Words of 64 bits.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl BitColumns for Columns {
    type Vector = Vector;

    fn new(words: Vec<u64>) -> Self {
        Self(words)
    }

    fn row_sums(&self, weights: &Vector) -> [Gf128; ROWS] {
        let mut sums = [Gf128::ZERO; ROWS];
        run(Call::RowSums(&self.0, &weights.0, &mut sums));
        sums
    }

    fn values(halves: [&Self; 2], coefficients: &[Gf128; ROWS]) -> Vector {
        let mut values = Vec::new();
        run(Call::Values(halves.map(|h| h.0.as_slice()), coefficients, &mut values));
        Vector(values)
    }

    fn coset_sums(x: [&Self; 2], y: [&Self; 2], weights: &Vector) -> [Gf128; ROWS] {
        let mut sums = [Gf128::ZERO; ROWS];
        run(Call::CosetSums(x.map(|c| c.0.as_slice()), y.map(|c| c.0.as_slice()), &weights.0, &mut sums));
        sums
    }
}

/// Halves of a vector.
type Pair<'a> = (&'a [Gf128], &'a [Gf128]);

/// One call, so that there is one place where the processor is asked.
enum Call<'a> {
    Scale(&'a mut [Gf128], Gf128),
    Multiply(&'a mut [Gf128], &'a [Gf128]),
    Fold(&'a mut [Gf128], &'a [Gf128], Gf128),
    Halves(Pair<'a>, Pair<'a>),
    Dot(&'a [Gf128], &'a [Gf128]),
    RowSums(&'a [u64], &'a [Gf128], &'a mut [Gf128; ROWS]),
    Values([&'a [u64]; 2], &'a [Gf128; ROWS], &'a mut Vec<Gf128>),
    CosetSums([&'a [u64]; 2], [&'a [u64]; 2], &'a [Gf128], &'a mut [Gf128; ROWS]),
}

/// Carries out the call; gives the sums if it has some.
#[allow(unsafe_code, reason = "the instruction set is checked in the line before")]
fn run(call: Call<'_>) -> [Gf128; 2] {
    #[cfg(target_arch = "x86_64")]
    if avx512::there() {
        // Safety: as below.
        return unsafe { avx512::run(call) };
    }
    narrow(call)
}

/// The same on registers of 128 bits (the loops over bits: of 256).
#[allow(unsafe_code, reason = "the instruction set is checked in the line before")]
fn narrow(call: Call<'_>) -> [Gf128; 2] {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if processor::there() {
        // Safety: the processor has what `run` is compiled for.
        return unsafe { processor::run(call) };
    }
    portable(call)
}

/// The same on any processor.
fn portable(call: Call<'_>) -> [Gf128; 2] {
    let mut sums = [Gf128::ZERO; 2];
    match call {
        Call::Scale(values, by) => values.iter_mut().for_each(|v| *v *= by),
        Call::Multiply(a, b) => a.iter_mut().zip(b).for_each(|(a, b)| *a *= *b),
        Call::Fold(v0, v1, point) => v0.iter_mut().zip(v1).for_each(|(a, b)| *a += point * (*a + *b)),
        Call::Halves((a0, a1), (b0, b1)) => {
            for ((a0, a1), (b0, b1)) in a0.iter().zip(a1).zip(b0.iter().zip(b1)) {
                sums[0] += *a0 * *b0;
                sums[1] += (*a0 + *a1) * (*b0 + *b1);
            }
        }
        Call::Dot(a, b) => sums[0] = a.iter().zip(b).map(|(a, b)| *a * *b).sum(),
        Call::RowSums(words, weights, to) => *to = rows::row_sums(words, weights),
        Call::Values(halves, coefficients, to) => *to = rows::values(halves, coefficients),
        Call::CosetSums(x, y, weights, to) => *to = rows::coset_sums(x, y, weights),
    }
    sums
}

/// The loops over slices, compiled for an instruction set. `V`, `load`, `store`, `xor`, `wide` and `reduce` are the
/// processor's. Loops, not iterators with closures: a closure would not be compiled for the instruction set.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! loops {
    ($feature:literal) => {
        #[target_feature(enable = $feature)]
        pub fn run(call: crate::Call<'_>) -> [Gf128; 2] {
            use crate::Call;
            let mut sums = [Gf128::ZERO; 2];
            match call {
                Call::Scale(values, by) => {
                    let by = load(by);
                    for value in values {
                        *value = store(reduce(wide(load(*value), by)));
                    }
                }
                Call::Multiply(a, b) => {
                    for (a, b) in a.iter_mut().zip(b) {
                        *a = store(reduce(wide(load(*a), load(*b))));
                    }
                }
                Call::Fold(v0, v1, point) => {
                    let point = load(point);
                    for (a, b) in v0.iter_mut().zip(v1) {
                        let value = load(*a);
                        *a = store(xor(value, reduce(wide(point, xor(value, load(*b))))));
                    }
                }
                Call::Halves((a0, a1), (b0, b1)) => {
                    let zero = load(Gf128::ZERO);
                    let (mut low, mut top) = ((zero, zero), (zero, zero));
                    for ((a0, a1), (b0, b1)) in a0.iter().zip(a1).zip(b0.iter().zip(b1)) {
                        let (a0, a1, b0, b1) = (load(*a0), load(*a1), load(*b0), load(*b1));
                        let (l, t) = (wide(a0, b0), wide(xor(a0, a1), xor(b0, b1)));
                        low = (xor(low.0, l.0), xor(low.1, l.1));
                        top = (xor(top.0, t.0), xor(top.1, t.1));
                    }
                    sums = [store(reduce(low)), store(reduce(top))];
                }
                Call::Dot(a, b) => {
                    let zero = load(Gf128::ZERO);
                    let mut sum = (zero, zero);
                    for (a, b) in a.iter().zip(b) {
                        let product = wide(load(*a), load(*b));
                        sum = (xor(sum.0, product.0), xor(sum.1, product.1));
                    }
                    sums[0] = store(reduce(sum));
                }
                // Inlined, so that they use the processor's vectors.
                Call::RowSums(words, weights, to) => *to = crate::rows::row_sums(words, weights),
                Call::Values(halves, coefficients, to) => *to = crate::rows::values(halves, coefficients),
                Call::CosetSums(x, y, weights, to) => *to = crate::rows::coset_sums(x, y, weights),
            }
            sums
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use loops;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use tercet_mpc::compute::kernels::rows::BLOCK_WORDS;
    use tercet_mpc::compute::kernels::subfield::COLUMNS;

    /// This processor's ways, besides the portable one.
    fn ways() -> Vec<fn(Call<'_>) -> [Gf128; 2]> {
        let mut ways: Vec<fn(Call<'_>) -> [Gf128; 2]> = vec![run];
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if processor::there() {
            ways.push(narrow);
        }
        ways
    }

    fn both(values: &[u128]) -> (Vector, Vec<Gf128>) {
        let values: Vec<Gf128> = values.iter().copied().map(Gf128).collect();
        (Vector::new(values.clone()), values)
    }

    /// Runs the same on the fast vector and on the definition.
    macro_rules! same {
        ($values:expr, |$v:ident| $call:expr) => {{
            let (mut fast, mut slow) = $values.clone();
            let fast_answer = {
                let $v = &mut fast;
                $call
            };
            let slow_answer = {
                let $v = &mut slow;
                $call
            };
            prop_assert_eq!(fast_answer, slow_answer);
            prop_assert_eq!(fast.elements(), slow);
        }};
    }

    proptest! {
        /// Equal to the definition, on every processor.
        #[test]
        fn vectors_are_the_portable_ones(
            a in prop::collection::vec(any::<u128>(), 0..40),
            b in prop::collection::vec(any::<u128>(), 0..40),
            by: u128,
            count in 0usize..70,
        ) {
            let by = Gf128(by);
            let (va, vb) = (both(&a), both(&b));
            same!(va, |v| v.scale(by));
            same!(va, |v| v.fold(by));
            let (mut fast, mut slow) = va.clone();
            fast.weigh(&vb.0);
            slow.weigh(&vb.1);
            prop_assert_eq!(fast.elements(), slow);
            let length = a.len().min(b.len());
            let (ea, eb) = (both(&a[..length]), both(&b[..length]));
            prop_assert_eq!(ea.0.halves(&eb.0), ea.1.halves(&eb.1));
            prop_assert_eq!(va.0.dot(&vb.0), va.1.dot(&vb.1));
            prop_assert_eq!(Vector::powers(by, count).elements(), <Vec<Gf128>>::powers(by, count));
            prop_assert_eq!(Vector::from_words(&va.0.to_words()), va.0);
        }

        /// Columns too, in each of the processor's ways.
        #[test]
        fn columns_are_the_portable_ones(
            blocks in 0usize..3,
            seed: u64,
            coefficients: [u128; ROWS],
            weights in prop::collection::vec(any::<u128>(), 3 * COLUMNS),
        ) {
            let mut state = seed;
            let mut words = || -> Vec<u64> {
                let mut next = || {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    state ^ state >> 31
                };
                (0..blocks * BLOCK_WORDS).map(|_| next()).collect()
            };
            let bits = [words(), words(), words(), words()];
            let coefficients = coefficients.map(Gf128);
            let weights: Vec<Gf128> = weights[..blocks * COLUMNS].iter().copied().map(Gf128).collect();
            let [a, b, c, d] = bits.each_ref().map(Vec::as_slice);
            for way in ways() {
                let (mut of_rows, mut of_coset, mut values) = ([Gf128::ONE; ROWS], [Gf128::ONE; ROWS], Vec::new());
                way(Call::RowSums(a, &weights, &mut of_rows));
                prop_assert_eq!(of_rows, rows::row_sums(a, &weights));
                way(Call::Values([a, b], &coefficients, &mut values));
                prop_assert_eq!(values, rows::values([a, b], &coefficients));
                way(Call::CosetSums([a, b], [c, d], &weights, &mut of_coset));
                prop_assert_eq!(of_coset, rows::coset_sums([a, b], [c, d], &weights));
            }
        }

        /// Where several sets of instructions are there, all of them give the same.
        #[test]
        fn all_ways_are_the_portable_one(a in prop::collection::vec(any::<u128>(), 32), by: u128, from in 0usize..16) {
            let values: Vec<Gf128> = a.into_iter().map(Gf128).collect();
            let (a, b) = values.split_at(16);
            let (a, b) = (&a[from..], &b[from..]);
            for way in ways() {
                let scaled = |run: fn(Call<'_>) -> [Gf128; 2]| {
                    let (mut scaled, mut product, mut folded) = (a.to_vec(), a.to_vec(), a.to_vec());
                    run(Call::Scale(&mut scaled, Gf128(by)));
                    run(Call::Multiply(&mut product, b));
                    run(Call::Fold(&mut folded, b, Gf128(by)));
                    let sums = [run(Call::Halves((a, b), (b, a))), run(Call::Dot(a, b))];
                    (scaled, product, folded, sums)
                };
                prop_assert_eq!(scaled(way), scaled(portable));
            }
        }
    }

    #[test]
    fn extremes() {
        for a in [0, 1, 1 << 127, u128::MAX, 0x87] {
            for b in [0, 1, 1 << 127, u128::MAX] {
                let mut v = Vector::new(vec![Gf128(a)]);
                v.scale(Gf128(b));
                assert_eq!(v.elements(), [Gf128(a) * Gf128(b)]);
            }
        }
    }
}
