//! The parties' side: the opening of a share at the challenge, and the check of the sum of three openings.

use alloc::vec::Vec;

use super::points::Subspace;
use super::share::Share;
use super::transcript::Challenges;
use crate::bits::{Bits, Words};
use crate::circuit::{self, Shares, Wide};
use crate::compute::kernels::subfield::THETA;
use crate::field::{Gf128, horner};
use crate::proof::Reject;
use crate::statement::{Layout, Statement};

/// One share's linear functions at the challenge point r, or their sum over the three shares.
///
/// `f_l` and `g_l` are divided by Z(r), which saves a product each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    f: Vec<Gf128>,
    g: Vec<Gf128>,
    p: Gf128,
    zero: Gf128,
}

impl Opening {
    /// Bytes of the encoding.
    pub const fn bytes(layout: &Layout) -> usize {
        16 * layout.opened_elements()
    }

    /// All elements, 16 bytes each.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let all = self.f.iter().chain(&self.g).chain([&self.p, &self.zero]);
        all.for_each(|x| out.extend(x.to_bytes()));
    }

    /// Reads [`Self::encode`]'s bytes; `None` unless there are exactly as many as the layout says.
    pub fn decode(layout: &Layout, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::bytes(layout) {
            return None;
        }
        let all: Vec<_> = bytes.as_chunks::<16>().0.iter().map(|c| Gf128::from_bytes(*c)).collect();
        let (f, rest) = all.split_at_checked(layout.columns)?;
        let (g, rest) = rest.split_at_checked(layout.columns)?;
        match *rest {
            [p, zero] => Some(Self { f: f.to_vec(), g: g.to_vec(), p, zero }),
            _ => None,
        }
    }
}

/// `sum_j weight_j * bit_j` over the columns of n bits of each stream, where there is a weight for each row; missing
/// words are zero.
///
/// Eight bits at a time come from tables of all sums of eight weights. 64 rows of all columns are summed before the next
/// 64, so that their tables stay close at hand. The tables are public; they are indexed by bits of a share.
fn column_sums<const N: usize>(weights: &[Gf128], streams: &[&[Words<N>]]) -> Vec<Vec<[Gf128; N]>> {
    let words = weights.len() / 64;
    let mut sums: Vec<_> =
        streams.iter().map(|s| alloc::vec![[Gf128::ZERO; N]; s.len().div_ceil(words)]).collect();
    // Elements as two words, which a processor adds as one vector.
    let halves = |x: Gf128| Words([x.0 as u64, (x.0 >> 64) as u64]);
    let mut tables = alloc::vec![[Words::<2>::ZERO; 256]; 8];
    for (w, weights) in weights.as_chunks::<64>().0.iter().enumerate() {
        for (table, weights) in tables.iter_mut().zip(weights.as_chunks::<8>().0) {
            for (i, weight) in weights.iter().enumerate() {
                let (known, rest) = table.split_at_mut(1 << i);
                rest.iter_mut().zip(known).for_each(|(to, from)| *to = *from ^ halves(*weight));
            }
        }
        for (stream, sums) in streams.iter().zip(&mut sums) {
            for (sum, words) in sums.iter_mut().zip(stream.iter().skip(w).step_by(words)) {
                for (sum, word) in sum.iter_mut().zip(words.0) {
                    let mut part = Words::<2>::ZERO;
                    for (table, byte) in tables.iter().zip(word.to_le_bytes()) {
                        part ^= table[usize::from(byte)];
                    }
                    sum.0 ^= u128::from(part.0[1]) << 64 | u128::from(part.0[0]);
                }
            }
        }
    }
    sums
}

/// Sums over bytes from the sums over their bits: bit i counts `base^i`.
fn bytes<const N: usize>(bits: &[Vec<[Gf128; N]>; 8], base: Gf128) -> impl Iterator<Item = [Gf128; N]> {
    let column = move |l: usize| {
        core::array::from_fn(|i| horner(base, bits.iter().rev().filter_map(|bit| Some(bit.get(l)?[i]))))
    };
    (0..bits[0].len()).map(column)
}

/// Lays the bytes of N shares side by side, as words.
fn interleave<const N: usize>(bytes: [&[u8]; N]) -> Vec<Words<N>> {
    let words = bytes[0].len().div_ceil(8);
    let word = |bytes: &[u8], i: usize| match bytes[8 * i..].first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => bytes[8 * i..].iter().rev().fold(0, |word, b| word << 8 | u64::from(*b)),
    };
    (0..words).map(|i| Words(bytes.map(|b| word(b, i)))).collect()
}

/// The opening of each of N shares.
pub fn open<const N: usize>(
    statement: &Statement,
    layout: &Layout,
    challenges: &Challenges,
    shares: [&Share; N],
) -> [Opening; N] {
    let inputs = interleave(shares.map(|s| s.inputs(layout)));
    let out = interleave(shares.map(|s| s.gates(layout)));
    let inverses: [_; 8] = core::array::from_fn(|k| interleave(shares.map(|s| s.inverses(layout, k))));
    let mut lanes = alloc::vec![[Wide::<Words<N>>::default(); 3]; layout.lanes];
    for (i, share) in shares.iter().enumerate() {
        for (lane, x) in lanes.iter_mut().zip(share.lanes(layout)) {
            // A share carries the arithmetic share of its own index only.
            let own = &mut lane[share.index];
            (own[0].0[i], own[1].0[i]) = (x as u64, (x >> 64) as u64);
        }
    }
    let known = inverses.each_ref().map(Vec::as_slice);
    let mut backend = Shares::new(shares.map(|s| s.index), &inputs, &lanes, &out, known, layout.gates);
    circuit::evaluate(&mut backend, statement);
    let streams = backend.finish();

    let rows = Subspace::new(layout.log_rows);
    let z = rows.vanishing(challenges.point);
    let weights = rows.weights(challenges.point, z.invert());
    let mut all: Vec<&[Words<N>]> =
        [&streams.left, &streams.right, &out, &streams.zeros].map(Vec::as_slice).to_vec();
    all.extend(streams.inverted.iter().chain(&inverses).map(Vec::as_slice));
    let mut sums = column_sums(&weights, &all).into_iter();
    let mut next = || sums.next().unwrap_or_default();
    let (mut left, mut right, mut products, zeros) = (next(), next(), next(), next());
    let [x, y]: [[_; 8]; 2] = core::array::from_fn(|_| core::array::from_fn(|_| next()));
    // The gates of inversions, x^2 y = x and x y^2 = y, from the sums of the bits of x and y.
    for (x_base, y_base, product) in [(THETA.square(), THETA, &x), (THETA, THETA.square(), &y)] {
        left.extend(bytes(&x, x_base));
        right.extend(bytes(&y, y_base));
        products.extend(bytes(product, THETA));
    }

    let coset = challenges.point + rows.shift();
    core::array::from_fn(|i| {
        let own = |columns: &[[Gf128; N]]| columns.iter().map(|c| c[i]).collect::<Vec<_>>();
        let elements = shares[i].elements();
        let element = |k: usize| Gf128::from_bytes(elements[k]);
        let l = layout.columns;
        let masked = |mut sums: Vec<Gf128>, at: usize| {
            sums.iter_mut().enumerate().for_each(|(k, sum)| *sum += element(at + k));
            sums
        };
        let on_rows = horner(challenges.gamma, own(&products));
        let on_coset = rows.interpolate(coset, (0..layout.rows()).map(|k| element(2 * l + k)));
        let top = element(2 * l + layout.rows());
        Opening {
            f: masked(own(&left), 0),
            g: masked(own(&right), l),
            // Interpolation over both cosets, plus the multiple of their common vanishing polynomial.
            p: z * (on_coset + (z + Gf128::ONE) * (on_rows + top)),
            zero: horner(challenges.delta, own(&zeros)),
        }
    })
}

/// Checks that the openings of the three shares add up to a valid proof of a satisfied statement.
pub fn check(layout: &Layout, challenges: &Challenges, openings: [&Opening; 3]) -> Result<(), Reject> {
    let sum = |get: fn(&Opening) -> Gf128| openings.into_iter().map(get).sum::<Gf128>();
    if sum(|o| o.zero) != Gf128::ZERO {
        return Err(Reject::Unsatisfied);
    }
    let products = (0..layout.columns).map(|l| {
        let (f, g) = openings.iter().fold((Gf128::ZERO, Gf128::ZERO), |(f, g), o| (f + o.f[l], g + o.g[l]));
        f * g
    });
    let z = Subspace::new(layout.log_rows).vanishing(challenges.point);
    if z.square() * horner(challenges.gamma, products) != sum(|o| o.p) {
        return Err(Reject::InvalidProof);
    }
    Ok(())
}
