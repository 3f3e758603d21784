//! Sorting by shuffle and opened comparisons.
//!
//! After a shuffle that nobody knows, the comparisons' results say nothing about the rows as long as all keys differ
//! (Hamada, Kikuchi, Ikarashi, Chida and Takahashi, ICISC 2012): they are those of a uniformly random order. Keys
//! differ because each row's number is in the key's low-order bits.

mod plan;

use alloc::vec::Vec;

use self::plan::Sample;
use super::adder::RingMasks;
use super::lockstep::both;
use super::planes::{Numbers, opened_rows};
use super::shuffle::Rows;
use super::{Bits, Compute, Host, Then};
use crate::PartyId;
use crate::mutant;
use crate::net::Abort;
use crate::sharing::RingShare;

/// Most pairs that are compared at a time: bounds memory to some 50 MB.
const MAX_PAIRS: usize = 1 << 18;

/// A shared column in ascending order. Only the computation that made it can open it.
pub struct Sorted {
    /// Keys in order: value, then row number in the `index_bits` lowest bits.
    pub(super) rows: Rows,
    pub(super) index_bits: u32,
    /// Bits of a value.
    pub(super) value_bits: u32,
    /// The values as arithmetic shares, if they were asked for.
    pub(super) ring: Vec<RingShare>,
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

    /// True if there are none.
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

/// Sorts shared ring elements whose values are in 0..2^bits.
///
/// At most 2^(127 - bits) rows, and 2^32 - 1. Costs about 1.4 n log2(n) comparisons where exchanges are quick, more
/// comparisons and fewer exchanges where they are slow. `ring`: whether the sorted values are wanted as arithmetic
/// shares too, and modulo which power of two; their conversion goes on beside the sort.
pub fn sort<H: Host>(
    compute: &mut Compute<'_, H>,
    values: &[RingShare],
    bits: u32,
    ring: Option<u32>,
) -> Result<Sorted, Abort> {
    let count = values.len();
    let index_bits = count.next_power_of_two().trailing_zeros();
    if count == 0 {
        return Ok(Sorted { rows: Rows::default(), index_bits, value_bits: bits, ring: Vec::new() });
    }
    let masks = ring.map(|width| compute.ring_masks(count, width));
    let (numbers, mask_bits) = compute.lockstep(async |gates| {
        let mask_bits = async {
            match &masks {
                Some(masks) => Some(gates.add_shares(&masks.planes, Then::Open).await),
                None => None,
            }
        };
        both(gates.bits_of(values, bits, Then::Open), mask_bits).await
    })?;
    let [own, next] = numbers.rows(count);
    let party = compute.session.party();
    let key = |rows: Vec<u128>, holder: PartyId| -> Vec<u128> {
        let numbered = holder == PartyId::P0 && !mutant!("sort-keys-without-number");
        let number = |i: usize| if numbered { i as u128 } else { 0 };
        rows.into_iter().enumerate().map(|(i, row)| row << index_bits | number(i)).collect()
    };
    let rows = Rows { own: key(own, party), next: key(next, party.next()) };
    let rows = compute.shuffle(rows)?;
    let width = bits + index_bits;
    let mut sorting = Sorting::new(&rows, width);
    if let (Some(masks), Some(mask_bits)) = (masks, mask_bits) {
        let values =
            Numbers::from_rows(&shifted(&rows.own, index_bits), &shifted(&rows.next, index_bits), bits);
        sorting.conversion = Some(Conversion::new(values, masks, mask_bits));
    }
    let order = sorting.order(compute, (0..count as u32).collect())?;
    let ring = match sorting.conversion {
        Some(conversion) => {
            let shares = conversion.shares(compute)?;
            order.iter().filter_map(|row| shares.get(*row as usize).copied()).collect()
        }
        None => Vec::new(),
    };
    Ok(Sorted { rows: rows.ordered(&order), index_bits, value_bits: bits, ring })
}

/// The rows without their numbers.
fn shifted(rows: &[u128], index_bits: u32) -> Vec<u128> {
    rows.iter().map(|row| row >> index_bits).collect()
}

/// Shuffled rows that become arithmetic shares beside the first comparisons, which does not cost an exchange more.
struct Conversion {
    values: Numbers,
    masks: RingMasks,
    mask_bits: Numbers,
    /// The rows plus their masks, when they are opened.
    opened: Option<Vec<u128>>,
}

impl Conversion {
    fn new(mut values: Numbers, masks: RingMasks, mask_bits: Numbers) -> Self {
        values.widen(mask_bits.planes.len() as u32);
        Self { values, masks, mask_bits, opened: None }
    }

    /// The shares; if nothing has been compared, this takes exchanges of its own.
    fn shares<H: Host>(self, compute: &mut Compute<'_, H>) -> Result<Vec<RingShare>, Abort> {
        let party = compute.session.party();
        let opened = match self.opened {
            Some(opened) => opened,
            None => {
                let sum = compute
                    .lockstep(async |gates| gates.add(&self.values, &self.mask_bits, Then::Open).await)?;
                compute.open_numbers(&sum, self.masks.rows)?
            }
        };
        Ok(self.masks.unmask(party, opened))
    }
}

/// A sort under way.
pub(super) struct Sorting<'r> {
    rows: &'r Rows,
    /// Bits of a key.
    width: u32,
    conversion: Option<Conversion>,
}

/// Rows whose places in the order are not known yet: from `start`, `len` of them.
#[derive(Clone, Copy)]
struct Segment {
    start: usize,
    len: usize,
}

impl<'r> Sorting<'r> {
    pub(super) fn new(rows: &'r Rows, width: u32) -> Self {
        Self { rows, width, conversion: None }
    }

    /// The given shuffled rows in the order of their keys.
    fn order<H: Host>(
        &mut self,
        compute: &mut Compute<'_, H>,
        mut order: Vec<u32>,
    ) -> Result<Vec<u32>, Abort> {
        let plan = compute.tuning.plan(order.len(), self.width.into());
        let mut open = match plan.sample {
            Some(sample) => self.spread(compute, sample, &mut order)?,
            None => alloc::vec![Segment { start: 0, len: order.len() }],
        };
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
            let mut results = Answers::new(self.compare(compute, &pairs)?);
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

    /// Sorts the first rows of `order`, and puts the others into the gaps between them: the segments that are given.
    fn spread<H: Host>(
        &mut self,
        compute: &mut Compute<'_, H>,
        sample: Sample,
        order: &mut Vec<u32>,
    ) -> Result<Vec<Segment>, Abort> {
        let others = order.split_off(sample.rows);
        let sorted = self.order(compute, core::mem::take(order))?;
        let mut gaps = alloc::vec![Gaps { from: 0, to: sorted.len() as u32 }; others.len()];
        while gaps.iter().any(|g| g.from < g.to) {
            let mut pairs = Vec::new();
            for (gaps, row) in gaps.iter().zip(&others) {
                pairs.extend(gaps.probes(sample.probes).map(|p| (sorted[p as usize], *row)));
            }
            let mut results = Answers::new(self.compare(compute, &pairs)?);
            for gaps in &mut gaps {
                for probe in gaps.probes(sample.probes) {
                    gaps.narrow(probe, results.next());
                }
            }
        }
        // Rows of one gap stay in the order they had: as random as before.
        let mut starts = alloc::vec![0; sorted.len() + 2];
        gaps.iter().for_each(|g| starts[g.from as usize + 1] += 1);
        for gap in 1..starts.len() {
            // After every gap but the last comes a row of the sample.
            starts[gap] += starts[gap - 1] + usize::from(gap <= sorted.len());
        }
        order.resize(sorted.len() + others.len(), 0);
        for (gap, row) in sorted.into_iter().enumerate() {
            order[starts[gap + 1] - 1] = row;
        }
        let begins = starts.clone();
        for (gaps, row) in gaps.iter().zip(others) {
            let at = &mut starts[gaps.from as usize];
            order[*at] = row;
            *at += 1;
        }
        let segments = begins.iter().zip(&starts).take(sample.rows + 1);
        Ok(segments.map(|(begin, end)| Segment { start: *begin, len: end - begin }).collect())
    }

    /// For each pair, whether the first row's key is below the second's. Opened.
    pub(super) fn compare<H: Host>(
        &mut self,
        compute: &mut Compute<'_, H>,
        pairs: &[(u32, u32)],
    ) -> Result<Vec<u64>, Abort> {
        let mut results = Vec::with_capacity(pairs.len().div_ceil(64));
        for pairs in pairs.chunks(MAX_PAIRS) {
            let side = |get: fn(&(u32, u32)) -> u32| {
                let order: Vec<u32> = pairs.iter().map(get).collect();
                let rows = self.rows.ordered(&order);
                Numbers::from_rows(&rows.own, &rows.next, self.width)
            };
            let (left, right) = (side(|p| p.0), side(|p| p.1));
            let Some(conversion) = self.conversion.as_mut().filter(|c| c.opened.is_none()) else {
                results.extend(compute.open_less(&left, &right)?);
                continue;
            };
            let (less, sum) = compute.lockstep(async |gates| {
                let sum = gates.add(&conversion.values, &conversion.mask_bits, Then::Open);
                both(gates.less(&left, &right, Then::Open), sum).await
            })?;
            let words = less.words();
            let mut opened = compute.open(&Bits::concat(core::iter::once(&less).chain(&sum.planes)))?;
            let masked = opened.split_off(words);
            conversion.opened = Some(opened_rows(&masked, conversion.masks.rows));
            results.extend(opened);
        }
        Ok(results)
    }
}

/// The gaps of a sorted sample that a row may belong into: gap i is before the sample's row i.
#[derive(Clone, Copy)]
struct Gaps {
    from: u32,
    to: u32,
}

impl Gaps {
    /// The sample's rows to compare with, at most `most`: they divide the gaps evenly.
    fn probes(self, most: usize) -> impl Iterator<Item = u32> {
        let (gaps, parts) = (u64::from(self.to - self.from) + 1, most as u64 + 1);
        let parts = parts.min(gaps);
        (1..parts).map(move |i| self.from + (gaps * i / parts) as u32 - 1)
    }

    /// Takes in whether a probe, in ascending order, is below the row.
    fn narrow(&mut self, probe: u32, below: bool) {
        if below {
            self.from = probe + 1;
        } else {
            self.to = self.to.min(probe);
        }
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

/// Puts a segment's rows in the order of the comparisons with its first `pivots` rows; `unsorted` is told the runs
/// between pivots. Their rows stay in the order they had: as random as before.
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
        /// Whatever the probes, a row ends in the gap where it belongs, and no probe is asked for that is known.
        #[test]
        fn searching_finds_the_gap(sample in 1u32..70, place in 0u32..70, most in 1usize..40) {
            let place = place.min(sample);
            let mut gaps = Gaps { from: 0, to: sample };
            let mut levels = 0;
            while gaps.from < gaps.to {
                let probes: Vec<u32> = gaps.probes(most).collect();
                prop_assert!(probes.len() <= most && !probes.is_empty());
                prop_assert!(probes.is_sorted_by(|a, b| a < b));
                prop_assert!(probes.iter().all(|p| (gaps.from..gaps.to).contains(p)));
                for probe in probes {
                    gaps.narrow(probe, probe < place);
                }
                levels += 1;
            }
            prop_assert_eq!(gaps.from, place);
            prop_assert!((most as f64 + 1.0).powi(levels - 1) <= f64::from(sample + 1));
        }

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
