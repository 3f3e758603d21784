//! The cheapest way to sort a number of rows, by the costs of comparisons and exchanges.

use alloc::vec::Vec;

use super::MAX_PAIRS;
use crate::compute::Tuning;
use crate::compute::compare::price;

/// Numbers of pivots, and hundredths by which a level divides the expected size of the segment that a row is in:
/// `exp(H(k + 1) - 1)`.
const PIVOTS: [(u64, u64); 6] = [(1, 165), (2, 230), (3, 295), (7, 557), (15, 1081), (31, 2130)];

/// Segments of at most this many rows are sorted by comparing all pairs.
const SMALL: [u64; 9] = [4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Sizes of a sample that is sorted first, one less than a power of two.
const SAMPLES: [usize; 9] = [15, 31, 63, 127, 255, 511, 1023, 2047, 4095];

/// Numbers of sample rows that a row is compared with at a time.
const PROBES: [usize; 5] = [1, 3, 7, 15, 31];

/// The steps and sizes of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) sample: Option<Sample>,
    pivots: usize,
    small: usize,
}

/// The first rows are sorted by themselves, the others then find their places among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) rows: usize,
    pub(super) probes: usize,
}

impl Plan {
    /// Rows of a segment to which the others are compared.
    pub(super) fn pivots_of(&self, len: usize) -> usize {
        if len <= self.small { len } else { self.pivots }
    }
}

/// The share of rows, in segments of random sizes, that are in segments of more than x times the average: `(1 + x)
/// e^-x`, since gaps between random rows are distributed exponentially. Plain arithmetic, the same at every party.
fn beyond(x: f64) -> f64 {
    let mut power = (1.0 - x / 64.0).max(0.0);
    for _ in 0..6 {
        power *= power;
    }
    (1.0 + x) * power
}

impl Tuning {
    /// The cheapest plan of a sort of this many rows.
    pub(super) fn plan(&self, count: usize, width: u64) -> Plan {
        let level = |comparisons: u64| {
            let words = comparisons.div_ceil(64);
            let (rounds, gates) = price(width, self.block(width, words));
            let chunks = comparisons.div_ceil(MAX_PAIRS as u64).max(1);
            // Verdict and opening besides.
            self.cost((rounds + 2) * chunks, gates * words)
        };
        // For segments in which a row finds itself among `from` on average: the cheapest way, and its cost. `spread`:
        // whether their sizes are random, or there is one.
        let segments = |count: u64, from: u64, spread: bool| {
            let cost = |(pivots, divisor): (u64, u64), small: u64| {
                let (mut size, mut spread, mut left, mut cost) = (from as f64, spread, 1.0, 0);
                loop {
                    let larger = match spread {
                        true => beyond(2.0 * small as f64 / size).min(left),
                        false => f64::from(from > small),
                    };
                    let pairs =
                        larger * size.min(pivots as f64) + (left - larger) * size.min(small as f64) / 2.0;
                    cost += level((count as f64 * pairs) as u64 + 1);
                    if count as f64 * larger < 0.5 {
                        return cost;
                    }
                    (left, size, spread) = (larger, size * 100.0 / divisor as f64, true);
                }
            };
            let choices = PIVOTS.iter().flat_map(|p| SMALL.iter().map(|s| (*p, *s)));
            let plan = |(p, small): ((u64, _), u64)| (p.0 as usize, small as usize);
            choices.map(|(p, s)| (cost(p, s), plan((p, s)))).min().unwrap_or((0, (1, 2)))
        };
        let search = |count: u64, sample: Sample| {
            let (mut gaps, mut cost) = (sample.rows + 1, 0);
            while gaps > 1 {
                cost += level(count * sample.probes.min(gaps - 1) as u64);
                gaps = gaps.div_ceil(sample.probes + 1);
            }
            cost
        };
        // Every size that may be a sample's, in ascending order, and at last all rows.
        let mut known: Vec<(usize, u64)> = Vec::new();
        let sizes = SAMPLES.into_iter().filter(|s| 2 * s <= count).chain([count]);
        let mut best = Plan { sample: None, pivots: 1, small: 2 };
        for size in sizes {
            let rows = size as u64;
            let (mut least, (pivots, small)) = segments(rows, rows, false);
            best = Plan { sample: None, pivots, small };
            for (sample, first) in known.iter().copied().filter(|(s, _)| 2 * s <= size) {
                // A row is in a gap that is twice as large as a gap is on average.
                let (last, (pivots, small)) = segments(rows, 2 * rows / (sample as u64 + 1), true);
                for probes in PROBES.into_iter().filter(|p| *p <= sample) {
                    let sample = Sample { rows: sample, probes };
                    let cost = first + search(rows, sample) + last;
                    if cost < least {
                        (least, best) = (cost, Plan { sample: Some(sample), pivots, small });
                    }
                }
            }
            known.push((size, least));
        }
        best
    }
}
