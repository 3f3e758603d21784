//! Addition of bit-sliced numbers, and with it arithmetic sharings as bits and back.

use alloc::vec::Vec;

use super::planes::{Numbers, planes_of, rows_of};
use super::{Bits, Compute, Host, draw_words};
use crate::PartyId;
use crate::net::{Abort, Step};
use crate::sharing::{Replicated, Ring, RingShare};

impl<H: Host> Compute<'_, H> {
    /// Estimated nanoseconds of so many exchanges and words of gates.
    pub(super) fn cost(&self, rounds: u64, gate_words: u64) -> u64 {
        rounds * self.tuning.exchange_ns + gate_words * 64 * self.tuning.gate_ps / 1000
    }

    /// `a + b` modulo 2^width, for numbers of that many planes.
    pub(super) fn add(&mut self, a: &Numbers, b: &Numbers) -> Result<Numbers, Abort> {
        let width = a.planes.len() as u64;
        let words = a.planes.first().map_or(0, Bits::words) as u64;
        let levels = u64::from(width.max(1).next_power_of_two().trailing_zeros());
        let ripple = self.cost(width, width * words);
        let prefix = self.cost(levels + 1, (1 + levels) * width * words);
        if ripple <= prefix { self.add_ripple(a, b) } else { self.add_prefix(a, b) }
    }

    /// One gate and one exchange a bit.
    pub(super) fn add_ripple(&mut self, a: &Numbers, b: &Numbers) -> Result<Numbers, Abort> {
        let mut sum = Vec::with_capacity(a.planes.len());
        let mut carry = Bits::zero(a.planes.first().map_or(0, Bits::words));
        let last = a.planes.len().saturating_sub(1);
        for (k, (a, b)) in a.planes.iter().zip(&b.planes).enumerate() {
            let ac = a.xor(&carry);
            sum.push(ac.xor(b));
            if k < last {
                let bc = b.xor(&carry);
                carry.xor_assign(&self.and(&ac, &bc)?);
            }
        }
        Ok(Numbers { planes: sum })
    }

    /// Carries by a prefix tree (Sklansky): logarithmic depth, about log2(width) gates a bit.
    pub(super) fn add_prefix(&mut self, a: &Numbers, b: &Numbers) -> Result<Numbers, Abort> {
        let width = a.planes.len();
        let half: Vec<Bits> = a.planes.iter().zip(&b.planes).map(|(a, b)| a.xor(b)).collect();
        let words = a.planes.first().map_or(0, Bits::words);
        // Carries out of all bits but the last.
        let count = width.saturating_sub(1);
        let both = self.and(&Bits::concat(&a.planes[..count]), &Bits::concat(&b.planes[..count]))?;
        let mut generate = both.split(words);
        let mut propagate = half[..count].to_vec();
        let mut span = 1;
        while span < count {
            let upper: Vec<usize> = (0..count).filter(|k| k & span != 0).collect();
            let below = |k: usize| k / span * span - 1;
            // A group that reaches down to bit 0 has no use for its propagation.
            let needed: Vec<usize> = upper.iter().copied().filter(|k| k / (2 * span) > 0).collect();
            let left = upper.iter().chain(&needed).map(|k| &propagate[*k]);
            let right = upper.iter().map(|k| &generate[below(*k)]);
            let right = right.chain(needed.iter().map(|k| &propagate[below(*k)]));
            let products = self.and(&Bits::concat(left), &Bits::concat(right))?.split(words);
            let (carried, spread) = products.split_at(upper.len());
            for (k, bits) in upper.iter().zip(carried) {
                generate[*k].xor_assign(bits);
            }
            for (k, bits) in needed.iter().zip(spread) {
                propagate[*k] = bits.clone();
            }
            span *= 2;
        }
        let mut sum = half;
        for (sum, carry) in sum.iter_mut().skip(1).zip(&generate) {
            sum.xor_assign(carry);
        }
        Ok(Numbers { planes: sum })
    }

    /// The sum of three numbers of which share i of a sharing is the i-th, modulo 2^width: one carry-save layer, one
    /// addition. `own`, `next`: planes of the two that this party knows.
    fn add_shares(&mut self, own: &[Vec<u64>], next: &[Vec<u64>]) -> Result<Numbers, Abort> {
        let party = self.session.party();
        let [x0, x1, x2] = PartyId::ALL.map(|i| Numbers::from_share(party, i, own, next).planes);
        let words = own.first().map_or(0, Vec::len);
        let sum: Vec<Bits> = x0.iter().zip(&x1).zip(&x2).map(|((a, b), c)| a.xor(b).xor(c)).collect();
        // Majority: (x0 + x2)(x1 + x2) + x2. The top bit's would be carried out.
        let count = own.len().saturating_sub(1);
        let left: Vec<Bits> = x0.iter().zip(&x2).take(count).map(|(a, c)| a.xor(c)).collect();
        let right: Vec<Bits> = x1.iter().zip(&x2).take(count).map(|(b, c)| b.xor(c)).collect();
        let products = self.and(&Bits::concat(&left), &Bits::concat(&right))?.split(words);
        let mut carries = alloc::vec![Bits::zero(words)];
        carries.extend(products.iter().zip(&x2).map(|(p, c)| p.xor(c)));
        self.add(&Numbers { planes: sum }, &Numbers { planes: carries })
    }

    /// The lowest `width` bits of shared ring elements.
    pub(super) fn bits_of(&mut self, values: &[RingShare], width: u32) -> Result<Numbers, Abort> {
        let plain = |get: fn(&RingShare) -> Ring| -> Vec<Vec<u64>> {
            planes_of(&values.iter().map(|v| get(v).0).collect::<Vec<_>>(), width)
        };
        self.add_shares(&plain(|v| v.own), &plain(|v| v.next))
    }

    /// Arithmetic sharings modulo 2^width of shared numbers (`rows` of them, with at most `width` planes). What is
    /// opened on the way is the number plus a uniform value that nobody knows.
    pub(super) fn ring_of(
        &mut self,
        numbers: &Numbers,
        rows: usize,
        width: u32,
    ) -> Result<Vec<RingShare>, Abort> {
        let words = rows.div_ceil(64);
        let mut streams = self.prss.streams(Step::And);
        let [own, next] = streams
            .each_mut()
            .map(|stream| -> Vec<Vec<u64>> { (0..width).map(|_| draw_words(stream, words)).collect() });
        let mask = self.add_shares(&own, &next)?;
        let mut padded = numbers.planes.clone();
        padded.resize(width as usize, Bits::zero(words));
        let masked = self.add(&Numbers { planes: padded }, &mask)?;
        let opened = self.open_numbers(&masked, rows)?;
        let mask_rows =
            |planes: &[Vec<u64>]| rows_of(&planes.iter().map(Vec::as_slice).collect::<Vec<_>>(), rows);
        let party = self.session.party();
        Ok(mask_rows(&own)
            .into_iter()
            .zip(mask_rows(&next))
            .zip(opened)
            .map(|((own, next), sum)| {
                Replicated::constant(party, Ring(sum)) - Replicated { own: Ring(own), next: Ring(next) }
            })
            .collect())
    }
}
