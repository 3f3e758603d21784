//! Noise that no party knows or shifts: drawn from correlated randomness, added before anything is opened.

use alloc::vec;
use alloc::vec::Vec;

use super::planes::{Numbers, planes_of};
use super::{Bits, Compute, Host, draw_words};
use crate::net::{Abort, Step};
use crate::noise::{Laplace, THRESHOLD_BITS};
use crate::sharing::RingShare;
use crate::{PartyId, mutant};

/// Fresh noise of each distribution, one shared value each: verified, opened by nobody.
///
/// A party adds its shares to those of the sums that the noise is for. Nobody knows the noise or can shift it: a party
/// that cheats while it is drawn ends the session, so that no sum lacks its noise.
pub fn draw_noise<H: Host>(compute: &mut Compute<'_, H>, noise: &[Laplace]) -> Result<Vec<RingShare>, Abort> {
    let drawn = compute.laplace(noise)?;
    compute.verify()?;
    Ok(drawn)
}

impl<H: Host> Compute<'_, H> {
    /// A fresh shared value of each distribution.
    pub(super) fn laplace(&mut self, noise: &[Laplace]) -> Result<Vec<RingShare>, Abort> {
        let thresholds: Vec<Vec<u128>> = noise.iter().map(Laplace::thresholds).collect();
        // Two geometric variables each. All digits of one weight stand in words of their own.
        let rows = 2 * noise.len();
        let words = rows.div_ceil(64);
        let digits = thresholds.iter().map(Vec::len).max().unwrap_or_default();
        if digits == 0 {
            return Ok(vec![RingShare::default(); noise.len()]);
        }
        let mut limits = vec![0; digits * words * 64];
        for (i, thresholds) in thresholds.iter().enumerate() {
            for (k, threshold) in thresholds.iter().enumerate() {
                let at = k * words * 64 + 2 * i;
                limits[at..at + 2].fill(*threshold);
            }
        }
        let party = self.session.party();
        let mut streams: [H::Stream; 2] = self.prss.streams(Step::And);
        let [own, next] =
            streams.each_mut().map(|stream| draw_words(stream, THRESHOLD_BITS as usize * digits * words));
        let plane = |k: usize, share: &[u64], holder: PartyId| match holder {
            PartyId::P1 | PartyId::P2 if mutant!("noise-from-one-key") => vec![0; digits * words],
            _ => share[k * digits * words..][..digits * words].to_vec(),
        };
        let random = (0..THRESHOLD_BITS as usize)
            .map(|k| Bits { own: plane(k, &own, party), next: plane(k, &next, party.next()) });
        let random = Numbers { planes: random.collect() };
        let limits = planes_of(&limits, THRESHOLD_BITS).into_iter().map(|plane| Bits::public(party, plane));
        let ones = self.less(&random, &Numbers { planes: limits.collect() })?;
        let geometric = Numbers { planes: ones.split(words) };
        let values = self.ring_of(&geometric, rows, 128)?;
        Ok(values.as_chunks().0.iter().map(|[a, b]| *a - *b).collect())
    }
}
