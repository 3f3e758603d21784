//! The prover's gates: the values of P on the coset, from the columns' bits.

use alloc::vec::Vec;
use zeroize::Zeroizing;

use super::extension::{self, Element, Extension};
use super::points::Subspace;
use crate::bits::Words;
use crate::circuit::Streams;
use crate::field::{Gf128, horner};
use crate::statement::Layout;

/// Does independent parts of the prover's work, on one core or several.
pub trait Workers {
    /// The sum of the results of `job` for 0 up to `jobs`, element by element (all of one length); `done` hears the
    /// number of finished jobs.
    fn sum(
        &self,
        jobs: usize,
        job: &(dyn Fn(usize) -> Zeroizing<Vec<Gf128>> + Sync),
        done: &mut dyn FnMut(usize),
    ) -> Zeroizing<Vec<Gf128>>;
}

/// One after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneCore;

impl Workers for OneCore {
    fn sum(
        &self,
        jobs: usize,
        job: &(dyn Fn(usize) -> Zeroizing<Vec<Gf128>> + Sync),
        done: &mut dyn FnMut(usize),
    ) -> Zeroizing<Vec<Gf128>> {
        let mut sum = Zeroizing::new(Vec::new());
        for i in 0..jobs {
            add(&mut sum, job(i));
            done(i + 1);
        }
        sum
    }
}

/// Adds the result of one job to those of others.
pub fn add(sum: &mut Zeroizing<Vec<Gf128>>, part: Zeroizing<Vec<Gf128>>) {
    if sum.is_empty() {
        *sum = part;
    } else {
        sum.iter_mut().zip(part.iter()).for_each(|(sum, part)| *sum += *part);
    }
}

/// Columns of a kind that are extended together.
#[derive(Clone, Copy)]
struct Job {
    gates: Gates,
    /// First column of its kind.
    first: usize,
    /// The same among all columns.
    column: usize,
    count: usize,
}

/// The gates of a column.
#[derive(Clone, Copy)]
enum Gates {
    /// ANDs.
    And,
    /// The first gates of inversions, x^2 y = x.
    First,
    /// The second, x y^2 = y.
    Second,
}

/// Most words of columns of a job.
const MAX_LANES: usize = 4;

fn jobs(layout: &Layout) -> Vec<Job> {
    let (gates, inversions) = (layout.gate_columns(), layout.inversion_columns());
    let kinds = [
        (Gates::And, 0, gates),
        (Gates::First, gates, inversions),
        (Gates::Second, gates + inversions, inversions),
    ];
    let of_kind = |(gates, start, count): (Gates, usize, usize)| {
        (0..count).step_by(64 * MAX_LANES).map(move |first| Job {
            gates,
            first,
            column: start + first,
            count: (count - first).min(64 * MAX_LANES),
        })
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

/// Number of steps that [`prove_gates`] reports.
pub(super) fn steps(layout: &Layout) -> usize {
    jobs(layout).len()
}

/// The weights of columns: of the products of their polynomials, and of the left and right ones by themselves.
struct Weights<'a> {
    products: &'a [Gf128],
    left: &'a [Gf128],
    right: &'a [Gf128],
}

impl Job {
    /// The weighted sums on V, one for each row, and then for each row of the coset the sums of the bits of products.
    fn run<const N: usize>(
        self,
        rows: usize,
        extension: &Extension,
        streams: &Streams<Words<1>>,
        weights: &Weights<'_>,
    ) -> Zeroizing<Vec<Gf128>> {
        let Self { gates, first, column, count } = self;
        let [products, of_left, of_right] =
            [weights.products, weights.left, weights.right].map(|w| &w[column..column + count]);
        let mut f = Zeroizing::new(alloc::vec![[[0u64; N]; extension::BITS]; rows]);
        let mut g = f.clone();
        let load_bytes = |to: &mut [Element<N>], bits: &[Vec<Words<1>>; 8], square: bool| {
            for (bits, image) in bits.iter().zip(extension::byte_basis(square)) {
                extension::load(bits, first, count, image, to);
            }
        };
        match gates {
            Gates::And => {
                extension::load(&streams.left, first, count, 1, &mut f);
                extension::load(&streams.right, first, count, 1, &mut g);
            }
            Gates::First | Gates::Second => {
                let second = matches!(gates, Gates::Second);
                load_bytes(&mut f, &streams.inverted, !second);
                load_bytes(&mut g, &streams.inverses, second);
            }
        }
        let mut sums = Zeroizing::new(alloc::vec![Gf128::ZERO; rows * (1 + extension::BITS)]);
        let (on_rows, on_coset) = sums.split_at_mut(rows);
        let bits = matches!(gates, Gates::And);
        if bits {
            for (sum, (f, g)) in on_rows.iter_mut().zip(f.iter().zip(g.iter())) {
                *sum = extension::weigh_bits(&f[0], of_left) + extension::weigh_bits(&g[0], of_right);
            }
        }
        let width = if bits { 1 } else { extension::BITS };
        extension.extend(&mut f, width);
        extension.extend(&mut g, width);
        let on_coset = on_coset.as_chunks_mut::<{ extension::BITS }>().0;
        for (sums, (f, g)) in on_coset.iter_mut().zip(f.iter().zip(g.iter())) {
            extension::weigh(&extension::product(f, g), products, sums);
            if !bits {
                extension::weigh(f, of_left, sums);
                extension::weigh(g, of_right, sums);
            }
        }
        sums
    }
}

/// The elements of the proof: masks, values of P on the coset, top coefficient.
///
/// On the coset, where Z is 1, P is `sum_l w_l (f_l + u_l) (g_l + v_l)` with `w_l = gamma^(L-1-l)` and f, g without
/// their masks, which lie in GF(2^16). Their products are summed there; `sum_l w_l (v_l f_l + u_l g_l)` is one
/// polynomial over K, summed on V and extended once.
pub(super) fn prove_gates(
    layout: &Layout,
    gamma: Gf128,
    streams: &Streams<Words<1>>,
    masks: Vec<Gf128>,
    workers: &(impl Workers + ?Sized),
    done: &mut dyn FnMut(usize),
) -> Vec<Gf128> {
    let (extension, rows) = (Extension::new(layout.log_rows), Subspace::new(layout.log_rows));
    let n = layout.rows();
    let (u, v) = masks.split_at(layout.columns);
    let mut weights: Vec<_> =
        core::iter::successors(Some(Gf128::ONE), |w| Some(*w * gamma)).take(layout.columns).collect();
    weights.reverse();
    let weighted = |masks: &[Gf128]| -> Zeroizing<Vec<Gf128>> {
        Zeroizing::new(weights.iter().zip(masks).map(|(w, mask)| *w * *mask).collect())
    };
    let (of_left, of_right) = (weighted(v), weighted(u));
    let top: Gf128 = of_left.iter().zip(u).map(|(v, u)| *v * *u).sum();

    let jobs = jobs(layout);
    let weights = Weights { products: &weights, left: &of_left, right: &of_right };
    let job = |i: usize| {
        let job = jobs[i];
        // As few words a plane as hold its columns.
        match job.count.div_ceil(64) {
            1 => job.run::<1>(n, &extension, streams, &weights),
            2 => job.run::<2>(n, &extension, streams, &weights),
            _ => job.run::<MAX_LANES>(n, &extension, streams, &weights),
        }
    };
    let mut sums = workers.sum(jobs.len(), &job, done);
    sums.resize(n * (1 + extension::BITS), Gf128::ZERO);
    let (on_rows, on_coset) = sums.split_at_mut(n);
    rows.extend(on_rows);
    let values = on_rows.iter().zip(on_coset.as_chunks::<{ extension::BITS }>().0);
    let values =
        values.map(|(value, bits)| *value + top + horner(extension::ZETA, bits.iter().rev().copied()));
    let mut elements = masks;
    elements.extend(values);
    elements.push(top);
    elements
}
