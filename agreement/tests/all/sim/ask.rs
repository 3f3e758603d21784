//! A question about the newest release point: a ticket, sums that are opened with a check, and an answer that all three sign.

#![allow(clippy::needless_range_loop, reason = "several lists are by party")]

use super::Planted;
use super::party::Party;
use super::world::{Deed, World};

impl Party {
    /// This party's shares of the sum over all units; `None` where there are none.
    fn total(&self) -> Option<[u64; 2]> {
        let state = self.state();
        if state.units.is_empty() {
            return None;
        }
        let mut sum = [0u64; 2];
        for height in &state.units {
            let rows = self.bucket.rows.get(&state.demanded.get(height)?.place)?;
            for pair in rows.values() {
                (0..2).for_each(|i| sum[i] = sum[i].wrapping_add(pair[i]));
            }
        }
        Some(sum)
    }
}

impl World {
    /// Asks in a session that all three are in, with or without the coordinator's ticket.
    pub fn ask(&mut self, ticket: bool) {
        let mut inside = [true; 3];
        let mut sums: [Option<[u64; 2]>; 3] = [None; 3];
        for p in 0..3 {
            let party = &self.parties[p];
            let admitted = ticket || p == 0 || party.planted == Some(Planted::NoTicket);
            sums[p] = if admitted { party.total() } else { None };
            inside[p] = sums[p].is_some();
        }
        // The share that a party lacks comes from both of its holders.
        let heard = self.exchange(&mut inside, |w, from, to| {
            let half = usize::from(from == (to + 1) % 3);
            let share = sums[from]?[half];
            let lies = match w.deed(from) {
                Some(Deed::FalseOpening(only)) => only.is_none_or(|q| q == to),
                _ => false,
            };
            Some(share ^ u64::from(lies))
        });
        let mut results = [None; 3];
        for p in 0..3 {
            let others = (heard[p][(p + 1) % 3], heard[p][(p + 2) % 3]);
            let (true, Some(own), (Some(a), Some(b))) = (inside[p], sums[p], others) else { continue };
            if a != b && self.parties[p].planted != Some(Planted::OpenedUnchecked) {
                inside[p] = false;
                continue;
            }
            let result = own[0].wrapping_add(own[1]).wrapping_add(a);
            results[p] = Some(result);
            if self.corrupted != Some(p) {
                self.judge(p, ticket, result);
            }
        }
        let _signed = self.exchange(&mut inside, |_, from, _| results[from]);
        self.answers += u64::from(inside.iter().all(|inside| *inside));
    }

    /// An honest party signs this answer.
    fn judge(&mut self, p: usize, ticket: bool, result: u64) {
        let counted = self.parties[p].state().counted;
        let shares = counted.iter().flat_map(|id| self.truth[id].shares);
        let truth = shares.fold(0u64, u64::wrapping_add);
        if result != truth {
            self.false_answer = Some(format!("party {p} signs an answer that is not the sum"));
        }
        if !ticket {
            self.false_answer = Some(format!("party {p} answers without a ticket"));
        }
    }
}
