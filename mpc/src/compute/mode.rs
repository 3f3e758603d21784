//! The most frequent value of a sorted column.
//!
//! Nothing is opened but the result: not how often any value occurs, nor where runs of equal values begin.

use alloc::vec::Vec;

use super::planes::Numbers;
use super::sort::Sorted;
use super::{Bits, Compute, Host};
use crate::net::Abort;

impl<H: Host> Compute<'_, H> {
    /// The smallest of the most frequent values. There is at least one row.
    pub(super) fn mode(&mut self, sorted: &Sorted) -> Result<u128, Abort> {
        let rows = sorted.len();
        let values = sorted.values(0..rows);
        let lengths = self.run_lengths(&values, rows)?;
        self.longest(values, lengths, rows)
    }

    /// For each row, how many rows up to it have its value.
    fn run_lengths(&mut self, values: &Numbers, rows: usize) -> Result<Numbers, Abort> {
        let party = self.session.party();
        // A run begins where a value differs from the one before it, and at row 0.
        let same: Vec<Bits> =
            values.planes.iter().map(|plane| plane.xor(&plane.later(1)).not(party)).collect();
        let mut equal = self.all(same)?;
        let mut first = alloc::vec![0u64; equal.words()];
        first.iter_mut().take(1).for_each(|w| *w = 1);
        equal = equal.without(&first);
        let mut begun = equal.not(party);
        // The number of the row at which the row's run begins: known where one begins, taken from before elsewhere.
        let width = rows.next_power_of_two().trailing_zeros().max(1);
        let numbers: Vec<u128> = (0..rows as u128).collect();
        let public = super::planes::planes_of(&numbers, width);
        let mut start: Vec<Bits> = public.iter().map(|plane| begun.masked(plane)).collect();
        let mut distance = 1;
        while distance < rows {
            let open = begun.not(party);
            let before: Vec<Bits> = start.iter().chain([&begun]).map(|plane| plane.later(distance)).collect();
            let gates = before.len();
            let taken = self
                .and(&Bits::concat(core::iter::repeat_n(&open, gates)), &Bits::concat(&before))?
                .split(open.words());
            for (plane, taken) in start.iter_mut().chain([&mut begun]).zip(&taken) {
                plane.xor_assign(taken);
            }
            distance *= 2;
        }
        // row + 1 - start = (row + 1) + not(start) + 1, one bit wider than a row number.
        let mut complement: Vec<Bits> = start.iter().map(|plane| plane.not(party)).collect();
        let ones = alloc::vec![u64::MAX; begun.words()];
        complement.push(Bits::public(party, ones));
        let next: Vec<u128> = (2..rows as u128 + 2).collect();
        let next = self.public(&next, width + 1);
        self.add(&next, &Numbers { planes: complement })
    }

    /// One bit for each row: all of the planes' bits are set.
    pub(super) fn all(&mut self, mut planes: Vec<Bits>) -> Result<Bits, Abort> {
        while planes.len() > 1 {
            let words = planes.first().map_or(0, Bits::words);
            let odd = if planes.len() % 2 == 1 { planes.pop() } else { None };
            let (left, right) = planes.split_at(planes.len() / 2);
            planes = self.and(&Bits::concat(left), &Bits::concat(right))?.split(words);
            planes.extend(odd);
        }
        Ok(planes.pop().unwrap_or_default())
    }

    /// The value of the first row with the greatest length: a tournament of neighbours.
    fn longest(&mut self, values: Numbers, lengths: Numbers, mut rows: usize) -> Result<u128, Abort> {
        let length_bits = lengths.planes.len();
        let mut all = Numbers { planes: lengths.planes.into_iter().chain(values.planes).collect() };
        while rows > 1 {
            let pairs = rows / 2;
            let [own, next] = all.rows(rows);
            let pick = |rows: &[u128], odd: usize| -> Vec<u128> {
                rows.as_chunks::<2>().0.iter().map(|pair| pair[odd]).collect()
            };
            let width = all.planes.len() as u32;
            let [left, right] =
                [0, 1].map(|odd| Numbers::from_rows(&pick(&own, odd), &pick(&next, odd), width));
            let length = |n: &Numbers| Numbers { planes: n.planes[..length_bits].to_vec() };
            let later = self.less(&length(&left), &length(&right))?;
            let difference: Vec<Bits> =
                left.planes.iter().zip(&right.planes).map(|(l, r)| l.xor(r)).collect();
            let chosen = self
                .and(
                    &Bits::concat(core::iter::repeat_n(&later, difference.len())),
                    &Bits::concat(&difference),
                )?
                .split(later.words());
            let planes = left.planes.iter().zip(&chosen).map(|(l, c)| l.xor(c)).collect();
            let [mut own_rows, mut next_rows] = Numbers { planes }.rows(pairs);
            if rows % 2 == 1 {
                own_rows.extend(own.last());
                next_rows.extend(next.last());
            }
            all = Numbers::from_rows(&own_rows, &next_rows, width);
            rows = pairs + rows % 2;
        }
        let value = Numbers { planes: all.planes.split_off(length_bits) };
        Ok(self.open_numbers(&value, 1)?.pop().unwrap_or_default())
    }
}
