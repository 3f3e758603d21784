//! Sorting by shuffle and opened comparisons.
//!
//! After a shuffle that nobody knows, the comparisons' results say nothing about the rows as long as all keys differ
//! (Hamada, Kikuchi, Ikarashi, Chida and Takahashi, ICISC 2012): they are those of a uniformly random order. Keys
//! differ because each row's number stands in the key's low-order bits.

use alloc::vec::Vec;

use super::compare::price;
use super::planes::Numbers;
use super::shuffle::Rows;
use super::{Bits, Compute, Host};
use crate::PartyId;
use crate::net::Abort;
use crate::sharing::RingShare;

/// Most pairs that are compared at a time: bounds memory to some 50 MB.
const MAX_PAIRS: usize = 1 << 18;

/// Numbers of pivots, and hundredths by which a level divides the expected size of the segment that a row is in:
/// `exp(H(k + 1) - 1)`.
const PIVOTS: [(u64, u64); 11] = [
    (1, 165),
    (2, 230),
    (3, 295),
    (5, 426),
    (7, 557),
    (11, 819),
    (15, 1081),
    (23, 1605),
    (31, 2130),
    (47, 3170),
    (63, 4230),
];

/// Segments of at most so many rows are sorted by comparing all pairs.
const SMALL: [u64; 8] = [2, 4, 8, 16, 32, 64, 128, 256];

/// A shared column in ascending order. What it holds can only be opened by the computation that made it.
pub struct Sorted {
    /// Keys in order: value, then row number in the `index_bits` lowest bits.
    pub(super) rows: Rows,
    pub(super) index_bits: u32,
    /// Bits of a value.
    pub(super) value_bits: u32,
}

impl core::fmt::Debug for Sorted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Sorted({} rows)", self.len())
    }
}

impl Sorted {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.own.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shared values at these places of the order, without the row numbers.
    pub(super) fn values(&self, places: impl Iterator<Item = usize> + Clone) -> Numbers {
        let shift = |rows: &[u128]| -> Vec<u128> {
            places.clone().map(|p| rows.get(p).map_or(0, |r| r >> self.index_bits)).collect()
        };
        Numbers::from_rows(&shift(&self.rows.own), &shift(&self.rows.next), self.value_bits)
    }
}

/// How a sort goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    pivots: usize,
    small: usize,
}

/// Sorts shared ring elements whose values are in 0..2^bits.
///
/// At most 2^(127 - bits) rows, and 2^32 - 1. Costs about 1.4 n log2(n) comparisons where exchanges are quick, more
/// comparisons and fewer exchanges where they are slow.
pub fn sort<H: Host>(compute: &mut Compute<'_, H>, values: &[RingShare], bits: u32) -> Result<Sorted, Abort> {
    let count = values.len();
    let index_bits = count.next_power_of_two().trailing_zeros();
    let numbers = compute.bits_of(values, bits)?;
    let [own, next] = numbers.rows(count);
    let party = compute.session.party();
    let key = |rows: Vec<u128>, holder: PartyId| -> Vec<u128> {
        let number = |i: usize| if holder == PartyId::P0 { i as u128 } else { 0 };
        rows.into_iter().enumerate().map(|(i, row)| row << index_bits | number(i)).collect()
    };
    let rows = Rows { own: key(own, party), next: key(next, party.next()) };
    let rows = compute.shuffle(rows)?;
    let width = bits + index_bits;
    let order = compute.order(&rows, width)?;
    Ok(Sorted { rows: rows.ordered(&order), index_bits, value_bits: bits })
}

/// Rows whose places in the order are not known yet: from `start`, `len` of them.
#[derive(Clone, Copy)]
struct Segment {
    start: usize,
    len: usize,
}

impl<H: Host> Compute<'_, H> {
    /// The order of shuffled rows by their keys.
    fn order(&mut self, rows: &Rows, width: u32) -> Result<Vec<u32>, Abort> {
        let count = rows.own.len();
        let plan = self.plan(count as u64, width.into());
        let mut order: Vec<u32> = (0..count as u32).collect();
        let mut open = alloc::vec![Segment { start: 0, len: count }];
        open.retain(|s| s.len > 1);
        while !open.is_empty() {
            // All segments of a level at once.
            let mut pairs = Vec::new();
            for segment in &open {
                let rows = &order[segment.start..][..segment.len];
                for (i, right) in rows.iter().enumerate() {
                    let pivots = plan.pivots_of(segment.len);
                    pairs.extend(rows[..i.min(pivots)].iter().map(|pivot| (*pivot, *right)));
                }
            }
            let mut results = Answers::new(self.compare(rows, width, &pairs)?);
            let mut next = Vec::new();
            for segment in open {
                let pivots = plan.pivots_of(segment.len);
                place(&mut order[segment.start..][..segment.len], pivots, &mut results, |start, len| {
                    if len > 1 {
                        next.push(Segment { start: segment.start + start, len });
                    }
                });
            }
            open = next;
        }
        Ok(order)
    }

    /// For each pair, whether the first row's key is below the second's. Opened.
    pub(super) fn compare(
        &mut self,
        rows: &Rows,
        width: u32,
        pairs: &[(u32, u32)],
    ) -> Result<Vec<u64>, Abort> {
        let mut results = Vec::with_capacity(pairs.len().div_ceil(64));
        for pairs in pairs.chunks(MAX_PAIRS) {
            let side = |get: fn(&(u32, u32)) -> u32| {
                let order: Vec<u32> = pairs.iter().map(get).collect();
                let rows = rows.ordered(&order);
                Numbers::from_rows(&rows.own, &rows.next, width)
            };
            let less: Bits = self.less(&side(|p| p.0), &side(|p| p.1))?;
            results.extend(self.open(&less)?);
        }
        Ok(results)
    }

    /// The cheapest number of pivots and size of small segments.
    fn plan(&self, count: u64, width: u64) -> Plan {
        let level = |comparisons: u64| {
            let words = comparisons.div_ceil(64);
            let (rounds, gates) = price(width, self.block(width, words));
            let chunks = comparisons.div_ceil(MAX_PAIRS as u64).max(1);
            // Proof, verdict and opening besides.
            self.cost((rounds + 3) * chunks, gates * words)
        };
        let cost = |(pivots, divisor): (u64, u64), small: u64| {
            let (mut size, mut cost) = (count, 0);
            while size > small {
                cost += level(count * pivots.min(size - 1));
                size = (size * 100 / divisor).max(1);
            }
            // The unlucky segments: about half as many levels again, with ever fewer rows.
            let tail = if pivots < 7 { 8 } else { 2 };
            cost += tail * level(count / 16 + 1);
            cost + level(count * size.min(small))
        };
        let choices = PIVOTS.iter().flat_map(|p| SMALL.iter().map(|s| (*p, *s)));
        let best = choices.min_by_key(|(pivots, small)| cost(*pivots, *small));
        best.map_or(Plan { pivots: 1, small: 2 }, |((pivots, _), small)| Plan {
            pivots: pivots as usize,
            small: small as usize,
        })
    }
}

impl Plan {
    /// Rows of a segment to which the others are compared.
    fn pivots_of(&self, len: usize) -> usize {
        if len <= self.small { len } else { self.pivots }
    }
}

/// Opened comparisons, in the order of the pairs.
struct Answers {
    words: Vec<u64>,
    at: usize,
}

impl Answers {
    fn new(words: Vec<u64>) -> Self {
        Self { words, at: 0 }
    }

    fn next(&mut self) -> bool {
        let word = self.words.get(self.at / 64).copied().unwrap_or_default();
        let bit = word >> (self.at % 64) & 1 == 1;
        self.at += 1;
        bit
    }
}

/// Puts a segment's rows in the order that the comparisons with its first `pivots` rows say; `unsorted` is told the
/// runs between pivots. Their rows stay in the order they had: as random as before.
fn place(rows: &mut [u32], pivots: usize, answers: &mut Answers, mut unsorted: impl FnMut(usize, usize)) {
    let pivots = pivots.min(rows.len());
    // How many pivots are below each row; for pivots, that is their rank among themselves.
    let mut below = alloc::vec![0usize; rows.len()];
    for i in 0..rows.len() {
        for p in 0..i.min(pivots) {
            if answers.next() {
                below[i] += 1;
            } else if i < pivots {
                below[p] += 1;
            }
        }
    }
    // Buckets: 2 r + 1 for the pivot of rank r, 2 r for rows above r pivots.
    let bucket = |i: usize| 2 * below[i] + usize::from(i < pivots);
    let mut starts = alloc::vec![0usize; 2 * pivots + 2];
    for i in 0..rows.len() {
        starts[bucket(i) + 1] += 1;
    }
    for b in 1..starts.len() {
        starts[b] += starts[b - 1];
    }
    for bucket in (0..=2 * pivots).step_by(2) {
        unsorted(starts[bucket], starts[bucket + 1] - starts[bucket]);
    }
    let old = rows.to_vec();
    for (i, row) in old.into_iter().enumerate() {
        let at = &mut starts[bucket(i)];
        rows[*at] = row;
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn placing_partitions(keys in prop::collection::vec(any::<u32>(), 1..60), pivots in 1usize..70) {
            let mut rows: Vec<u32> = (0..keys.len() as u32).collect();
            let key = |row: u32| (keys[row as usize], row);
            let mut words = alloc::vec![0u64; 64];
            let mut count = 0;
            for i in 0..rows.len() {
                for p in 0..i.min(pivots) {
                    words[count / 64] |= u64::from(key(rows[p]) < key(rows[i])) << (count % 64);
                    count += 1;
                }
            }
            let mut runs = Vec::new();
            let mut answers = Answers::new(words);
            place(&mut rows, pivots, &mut answers, |start, len| runs.push((start, len)));
            prop_assert_eq!(answers.at, count);
            let mut sorted = rows.clone();
            sorted.sort_by_key(|r| key(*r));
            for (start, len) in runs {
                rows[start..start + len].sort_by_key(|r| key(*r));
            }
            prop_assert_eq!(rows, sorted);
        }
    }
}
