//! Addition of bit-sliced numbers, and with it arithmetic sharings as bits and back.

use alloc::vec::Vec;

use super::lockstep::Gates;
use super::planes::{Numbers, planes_of, rows_of};
use super::{Bits, Compute, Host, Then, draw_words};
use crate::PartyId;
use crate::mutant;
use crate::net::{Abort, Step};
use crate::sharing::{Replicated, Ring, RingShare};

impl Gates {
    /// `a + b` modulo 2^width, for numbers of that many planes.
    pub async fn add(&self, a: &Numbers, b: &Numbers, then: Then) -> Numbers {
        let width = a.planes.len() as u64;
        let words = a.planes.first().map_or(0, Bits::words) as u64;
        let levels = u64::from(width.max(1).next_power_of_two().trailing_zeros());
        let ripple = self.tuning.cost(width, width * words);
        let prefix = self.tuning.cost(levels + 1, (1 + levels) * width * words);
        if ripple <= prefix { self.add_ripple(a, b, then).await } else { self.add_prefix(a, b, then).await }
    }

    /// One gate and one exchange a bit.
    async fn add_ripple(&self, a: &Numbers, b: &Numbers, then: Then) -> Numbers {
        let mut sum = Vec::with_capacity(a.planes.len());
        let mut carry = Bits::zero(a.planes.first().map_or(0, Bits::words));
        let last = a.planes.len().saturating_sub(1);
        for (k, (a, b)) in a.planes.iter().zip(&b.planes).enumerate() {
            let ac = a.xor(&carry);
            sum.push(ac.xor(b));
            if k < last {
                let bc = b.xor(&carry);
                let after = if k + 1 == last { then } else { Then::More };
                carry.xor_assign(&self.and(ac, bc, after).await);
            }
        }
        Numbers { planes: sum }
    }

    /// Carries by a prefix tree (Sklansky): logarithmic depth, about log2(width) gates a bit.
    async fn add_prefix(&self, a: &Numbers, b: &Numbers, then: Then) -> Numbers {
        let width = a.planes.len();
        let half: Vec<Bits> = a.planes.iter().zip(&b.planes).map(|(a, b)| a.xor(b)).collect();
        let words = a.planes.first().map_or(0, Bits::words);
        // Carries out of all bits but the last.
        let count = width.saturating_sub(1);
        let after = |span: usize| if span < count { Then::More } else { then };
        let (left, right) = (Bits::concat(&a.planes[..count]), Bits::concat(&b.planes[..count]));
        let mut generate = self.and(left, right, after(1)).await.split(words);
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
            let (left, right) = (Bits::concat(left), Bits::concat(right));
            let products = self.and(left, right, after(2 * span)).await.split(words);
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
        Numbers { planes: sum }
    }

    /// The sum of three numbers of which share i of a sharing is the i-th, modulo 2^width: one carry-save layer, one
    /// addition.
    pub async fn add_shares(&self, known: &Planes, then: Then) -> Numbers {
        let [own, next] = known;
        let [x0, x1, x2] = PartyId::ALL.map(|i| Numbers::from_share(self.party, i, own, next).planes);
        let words = own.first().map_or(0, Vec::len);
        let sum: Vec<Bits> = x0.iter().zip(&x1).zip(&x2).map(|((a, b), c)| a.xor(b).xor(c)).collect();
        // Majority: (x0 + x2)(x1 + x2) + x2. The top bit's would be carried out.
        let count = own.len().saturating_sub(1);
        let left: Vec<Bits> = x0.iter().zip(&x2).take(count).map(|(a, c)| a.xor(c)).collect();
        let right: Vec<Bits> = x1.iter().zip(&x2).take(count).map(|(b, c)| b.xor(c)).collect();
        let layer = self.and(Bits::concat(&left), Bits::concat(&right), Then::More);
        let products = layer.await.split(words);
        let mut carries = alloc::vec![Bits::zero(words)];
        carries.extend(products.iter().zip(&x2).map(|(p, c)| p.xor(c)));
        self.add(&Numbers { planes: sum }, &Numbers { planes: carries }, then).await
    }

    /// The lowest `width` bits of shared ring elements.
    pub async fn bits_of(&self, values: &[RingShare], width: u32, then: Then) -> Numbers {
        let plain = |get: fn(&RingShare) -> Ring| -> Vec<Vec<u64>> {
            planes_of(&values.iter().map(|v| get(v).0).collect::<Vec<_>>(), width)
        };
        self.add_shares(&[plain(|v| v.own), plain(|v| v.next)], then).await
    }
}

/// The planes of numbers that are shares: of the party's own, and of its next.
pub(super) type Planes = [Vec<Vec<u64>>; 2];

/// Uniform ring elements that nobody knows, as arithmetic shares; [`Gates::add_shares`] of the planes has their bits.
pub(super) struct RingMasks {
    pub planes: Planes,
    pub rows: usize,
}

impl RingMasks {
    /// Arithmetic sharings of the numbers that were opened with these masks added to them.
    pub fn unmask(&self, party: PartyId, opened: Vec<u128>) -> Vec<RingShare> {
        let rows =
            |planes: &[Vec<u64>]| rows_of(&planes.iter().map(Vec::as_slice).collect::<Vec<_>>(), self.rows);
        let [own, next] = self.planes.each_ref().map(|planes| rows(planes));
        let masks =
            own.into_iter().zip(next).map(|(own, next)| Replicated { own: Ring(own), next: Ring(next) });
        opened
            .into_iter()
            .zip(masks)
            .map(|(sum, mask)| Replicated::constant(party, Ring(sum)) - mask)
            .collect()
    }
}

impl<H: Host> Compute<'_, H> {
    /// `a + b` modulo 2^width, for numbers of that many planes.
    pub(super) fn add(&mut self, a: &Numbers, b: &Numbers) -> Result<Numbers, Abort> {
        self.lockstep(async |gates| gates.add(a, b, Then::More).await)
    }

    /// The lowest `width` bits of shared ring elements.
    pub(super) fn bits_of(&mut self, values: &[RingShare], width: u32) -> Result<Numbers, Abort> {
        self.lockstep(async |gates| gates.bits_of(values, width, Then::More).await)
    }

    /// Fresh masks modulo 2^width.
    pub(super) fn ring_masks(&mut self, rows: usize, width: u32) -> RingMasks {
        let words = rows.div_ceil(64);
        let mut streams: [H::Stream; 2] = self.prss.streams(Step::And);
        let planes = streams
            .each_mut()
            .map(|stream| -> Vec<Vec<u64>> { (0..width).map(|_| draw_words(stream, words)).collect() });
        if mutant!("ring-masks-zero") {
            return RingMasks { planes: planes.map(|p| alloc::vec![alloc::vec![0; words]; p.len()]), rows };
        }
        RingMasks { planes, rows }
    }

    /// Arithmetic sharings modulo 2^width of shared numbers (`rows` of them, with at most `width` planes). The opened
    /// value on the way is the number plus a uniform value that nobody knows.
    pub(super) fn ring_of(
        &mut self,
        numbers: &Numbers,
        rows: usize,
        width: u32,
    ) -> Result<Vec<RingShare>, Abort> {
        let masks = self.ring_masks(rows, width);
        let mut padded = numbers.clone();
        padded.widen(width);
        let masked = self.lockstep(async |gates| {
            let mask = gates.add_shares(&masks.planes, Then::More).await;
            gates.add(&padded, &mask, Then::Open).await
        })?;
        let opened = self.open_numbers(&masked, rows)?;
        Ok(masks.unmask(self.session.party(), opened))
    }
}
