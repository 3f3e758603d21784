//! Reads combinations of values, sums of ranges and of distances, and the mode off a sorted column. Nothing is opened that
//! was not asked for.

use alloc::vec;
use alloc::vec::Vec;

use super::planes::{Numbers, opened_rows, planes_of};
use super::sort::{Sorted, sort};
use super::{Bits, Compute, Host};
use crate::mutant;
use crate::net::{Abort, Step};
use crate::order::{Combination, OrderAnswer, OrderError, OrderRequest};
use crate::sharing::{Ring, RingShare};

impl Sorted {
    /// Keeps the first rows, whose highest bit is not set.
    fn keep(&mut self, rows: usize) {
        self.rows.own.truncate(rows);
        self.rows.next.truncate(rows);
        self.ring.truncate(rows);
        self.value_bits -= 1;
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The request does not fit the column.
    #[error(transparent)]
    Request(#[from] OrderError),
    /// The session stopped.
    #[error(transparent)]
    Abort(#[from] Abort),
}

/// A column of shared values whose magnitudes are below 2^bits.
#[derive(Clone, Copy, Debug)]
pub struct SharedColumn<'a> {
    /// One for each row; zero where it is missing.
    pub values: &'a [RingShare],
    /// Bits of a magnitude.
    pub bits: u8,
    /// For a column that may be missing: one or zero for each row, and the number of ones.
    pub present: Option<(&'a [RingShare], u64)>,
}

/// Sorts a column and opens the answer to the request about its values; nothing else.
///
/// Exact: combinations and sums are opened modulo a power of two above their range.
pub fn answer<H: Host>(
    compute: &mut Compute<'_, H>,
    column: &SharedColumn<'_>,
    request: &OrderRequest,
) -> Result<OrderAnswer, ReadError> {
    let SharedColumn { values, bits, present } = *column;
    let rows = present.map_or(values.len() as u64, |(_, count)| count.min(values.len() as u64));
    request.check(rows)?;
    if rows == 0 {
        return Ok(request.answer(&[]));
    }
    // Without signs: value + 2^bits, of bits + 1 bits.
    let bias = 1i128 << bits;
    let ring = (request.distances || !request.ranges.is_empty())
        .then(|| ring_bits(request, u32::from(bits) + 1, rows as usize));
    let sorted = compute.sort_present(column, rows as usize, bias, ring)?;
    let mut answer = OrderAnswer {
        combinations: compute.combinations(&sorted, &request.combinations, bias)?,
        ..Default::default()
    };
    if ring.is_some() {
        (answer.ranges, answer.distances) = compute.sums(&sorted, request, bias)?;
    }
    if request.mode && !sorted.is_empty() {
        let value = compute.mode(&sorted)?;
        answer.mode = Some((value.cast_signed() - bias) as i64);
    }
    Ok(answer)
}

/// Bits of the largest sum that the request asks for: n^2 times the largest value fits, or n times where no distances are
/// asked for; and of the largest combination.
fn ring_bits(request: &OrderRequest, value_bits: u32, rows: usize) -> u32 {
    let combinations = request.combinations.iter().map(|terms| combination_bits(terms, value_bits));
    sum_bits(request, value_bits, rows).max(combinations.max().unwrap_or_default())
}

fn sum_bits(request: &OrderRequest, value_bits: u32, rows: usize) -> u32 {
    let growth = (rows as u64 + 1).next_power_of_two().trailing_zeros() + 1;
    let factor = if request.distances { 2 } else { 1 };
    (value_bits + factor * growth).min(128)
}

/// Bits of a combination of values of this many bits, and its sign.
fn combination_bits(terms: &Combination, value_bits: u32) -> u32 {
    let factors: u64 = terms.iter().map(|(_, factor)| factor.unsigned_abs()).sum();
    value_bits + (u64::BITS - factors.leading_zeros()) + 1
}

/// A number modulo 2^width, from the middle downwards.
fn signed(number: u128, width: u32) -> i128 {
    let up = 128 - width;
    (number << up).cast_signed() >> up
}

impl<H: Host> Compute<'_, H> {
    /// The values that are there, plus the bias, in ascending order. Missing ones sort behind them: one more bit, above
    /// the value, says so. It comes from the shared validity by a sum, so nobody learns which they are.
    fn sort_present(
        &mut self,
        column: &SharedColumn<'_>,
        rows: usize,
        bias: i128,
        ring: Option<u32>,
    ) -> Result<Sorted, Abort> {
        let party = self.session.party();
        let width = u32::from(column.bits) + 1;
        let lift = |v: &RingShare, by: i128| v.add_constant(party, Ring(by.cast_unsigned()));
        let Some((present, _)) = column.present else {
            let lifted: Vec<RingShare> = column.values.iter().map(|v| lift(v, bias)).collect();
            return sort(self, &lifted, width, ring);
        };
        let behind = 1u128 << width;
        let lifted: Vec<RingShare> = column
            .values
            .iter()
            .zip(present)
            .map(|(v, present)| lift(v, bias + behind.cast_signed()) - *present * behind)
            .collect();
        let mut sorted = sort(self, &lifted, width + 1, ring)?;
        sorted.keep(rows);
        Ok(sorted)
    }

    /// Opens combinations of values at ranks, each as one number.
    fn combinations(
        &mut self,
        sorted: &Sorted,
        asked: &[Combination],
        bias: i128,
    ) -> Result<Vec<i128>, Abort> {
        let place = |rank: u64| rank as usize - 1;
        let single = |terms: &Combination| match terms[..] {
            [(rank, 1)] => Some(rank),
            _ => None,
        };
        // A single value's bits are there already.
        let ranks: Vec<u64> = asked.iter().filter_map(single).collect();
        let mut plain = Vec::new();
        if !ranks.is_empty() {
            let numbers = sorted.values(ranks.iter().map(|rank| place(*rank)));
            plain = self.open_numbers(&numbers, ranks.len())?;
        }
        // Of others the values that they need become arithmetic shares, if not all are.
        let others: Vec<&Combination> = asked.iter().filter(|terms| single(terms).is_none()).collect();
        let width = others.iter().map(|terms| combination_bits(terms, sorted.value_bits)).max().unwrap_or(0);
        let mut needed: Vec<u64> =
            others.iter().flat_map(|terms| terms.iter().map(|(rank, _)| *rank)).collect();
        needed.sort_unstable();
        needed.dedup();
        let shares = if needed.is_empty() {
            Vec::new()
        } else if sorted.ring.is_empty() {
            let numbers = sorted.values(needed.iter().map(|rank| place(*rank)));
            self.ring_of(&numbers, needed.len(), width)?
        } else {
            needed.iter().filter_map(|rank| sorted.ring.get(place(*rank)).copied()).collect()
        };
        let share = |rank: &u64| needed.binary_search(rank).ok().and_then(|i| shares.get(i)).copied();
        let combined = |terms: &&Combination| {
            terms.iter().fold(RingShare::default(), |sum, (rank, factor)| {
                sum + share(rank).unwrap_or_default() * i128::from(*factor).cast_unsigned()
            })
        };
        let combined: Vec<RingShare> = others.iter().map(combined).collect();
        let opened = if combined.is_empty() { Vec::new() } else { self.open_ring(&combined, width)? };
        let (mut plain, mut opened) = (plain.into_iter(), opened.into_iter());
        let lower = |terms: &Combination| {
            let factors: i128 = terms.iter().map(|(_, factor)| i128::from(*factor)).sum();
            let number = match single(terms) {
                Some(_) => plain.next().unwrap_or_default().cast_signed(),
                None => signed(opened.next().unwrap_or_default(), width),
            };
            number - bias * factors
        };
        Ok(asked.iter().map(lower).collect())
    }

    /// Opens the sums of ranges, and the sum of distances.
    fn sums(
        &mut self,
        sorted: &Sorted,
        request: &OrderRequest,
        bias: i128,
    ) -> Result<(Vec<i128>, Option<i128>), Abort> {
        let count = sorted.len();
        let width = sum_bits(request, sorted.value_bits, count);
        let ring = &sorted.ring;
        let mut running = vec![RingShare::default()];
        for share in ring {
            running.push(*share + running.last().copied().unwrap_or_default());
        }
        let until = |k: u64| running.get(k as usize).copied().unwrap_or_default();
        let mut wanted: Vec<RingShare> =
            request.ranges.iter().map(|(from, to)| until(*to) - until(*from)).collect();
        if request.distances {
            // The factors add up to zero: the bias does not count.
            let factor = |i: i128| (2 * i - count as i128 - 1).cast_unsigned();
            let all = (1i128..).zip(ring);
            wanted.push(all.fold(RingShare::default(), |sum, (i, share)| sum + *share * factor(i)));
        }
        let opened = self.open_ring(&wanted, width)?;
        let (sums, distances) = opened.split_at(request.ranges.len());
        let lower =
            |(sum, (from, to)): (&u128, &(u64, u64))| sum.cast_signed() - bias * i128::from(to - from);
        let sums = sums.iter().zip(&request.ranges).map(lower).collect();
        Ok((sums, distances.first().map(|sum| sum.cast_signed())))
    }

    /// Opens ring elements modulo 2^width. Shares are shifted up first, so that the higher bits of their sum, which
    /// would tell about the shares, are lost.
    fn open_ring(&mut self, values: &[RingShare], width: u32) -> Result<Vec<u128>, Abort> {
        let shift = 128 - width;
        let up = if mutant!("ring-not-shifted-up") { 0 } else { shift };
        let shifted: Vec<RingShare> = values.iter().map(|v| v.map(|share| Ring(share.0 << up))).collect();
        let opened = self.open_shares(Step::OpenSums, &shifted)?;
        Ok(opened.into_iter().map(|sum| sum.0 << (shift - up) >> shift).collect())
    }

    /// Opens shared numbers.
    pub(super) fn open_numbers(&mut self, numbers: &Numbers, rows: usize) -> Result<Vec<u128>, Abort> {
        let opened = self.open(&Bits::concat(&numbers.planes))?;
        Ok(opened_rows(&opened, rows))
    }

    /// Public numbers as shared ones.
    pub(super) fn public(&self, values: &[u128], width: u32) -> Numbers {
        let party = self.session.party();
        let planes = planes_of(values, width).into_iter().map(|plane| Bits::public(party, plane));
        Numbers { planes: planes.collect() }
    }
}
