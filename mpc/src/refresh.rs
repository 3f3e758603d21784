//! New shares of the same values: the corrections that are added to a row's three shares when they are re-randomised.
//!
//! The three corrections of a lane add up to zero, and each party takes the two of its own shares. All three parties know the
//! seed, and derive the corrections alone, without a message that one of them could alter. That gives nothing away: somebody
//! who holds a party's old and new shares knows two of the three corrections anyway, and the third follows, since they add up
//! to zero. Somebody who has one party's old shares and another one's new ones knows one correction at most, which tells
//! nothing about the others.

use alloc::vec;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::hash::KeyStream;
use crate::sharing::{Replicated, Ring, RingShare, Shareable as _};
use crate::{PartyId, mutant};

/// The party's shares of `lanes` zeros, for the row of this name. `seed`: fresh, and known to the three parties alone; it must
/// be forgotten with the old shares.
pub fn zeros<S: KeyStream>(party: PartyId, seed: &[u8; 32], row: &[u8; 32], lanes: usize) -> Vec<RingShare> {
    let mut input = b"tercet-mpc refresh v1".to_vec();
    if !mutant!("refresh-same-for-all-rows") {
        input.extend(row);
    }
    let mut bytes = Zeroizing::new(vec![0; 32 * lanes]);
    S::new(seed, &input).fill(&mut bytes);
    let halves = bytes.as_chunks::<16>().0.as_chunks::<2>().0;
    let correction = |masks: &[[u8; 16]; 2]| {
        let mut masks = masks.map(Ring::from_bytes);
        if mutant!("refresh-keeps-a-share") {
            masks[0] = Ring(0);
        }
        Replicated::split(Ring(0), masks)[party.index()]
    };
    halves.iter().map(correction).collect()
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use blake3::OutputReader;

    use super::*;

    const LANES: usize = 5;

    fn all(seed: u8, row: u8) -> [Vec<RingShare>; 3] {
        PartyId::ALL.map(|p| zeros::<OutputReader>(p, &[seed; 32], &[row; 32], LANES))
    }

    #[test]
    fn refreshed_shares_are_of_the_same_values_and_all_are_new() {
        let [a, b, c] = all(1, 2);
        let mut seen = BTreeSet::new();
        for lane in 0..LANES {
            let (value, masks) = (Ring(lane as u128 + 77), [Ring(123 << lane), Ring(u128::MAX - 5)]);
            let old = Replicated::split(value, masks);
            let new = [old[0] + a[lane], old[1] + b[lane], old[2] + c[lane]];
            assert_eq!(Replicated::reconstruct(new), Some(value));
            for share in [a[lane].own, b[lane].own, c[lane].own] {
                assert!(
                    share != Ring(0) && seen.insert(share.0),
                    "a share that stays, or moves as another one does"
                );
            }
        }
    }

    /// The old shares of one party and the new ones of another, put together in every way that the indexes allow, are not the
    /// value: between them lies a correction that none of the two buckets tells.
    #[test]
    fn old_shares_of_one_party_and_new_ones_of_another_do_not_give_the_value() {
        let [a, b, c] = all(3, 4);
        for ((a, b), c) in a.into_iter().zip(b).zip(c) {
            let value = Ring(99);
            let old = Replicated::split(value, [Ring(5), Ring(6)]);
            let new = [old[0] + a, old[1] + b, old[2] + c];
            for one in 0..3usize {
                let other = (one + 1) % 3;
                // Shares `one` and `one + 1` old, `one + 1` and `one + 2` new.
                for middle in [old[one].next, new[other].own] {
                    assert_ne!(old[one].own.plus(middle).plus(new[other].next), value);
                    assert_ne!(new[one].own.plus(middle).plus(old[other].next), value);
                }
            }
        }
    }

    #[test]
    fn corrections_are_of_one_row_and_one_seed() {
        let base = all(1, 1);
        for other in [all(1, 2), all(2, 1)] {
            for (a, b) in base.iter().flatten().zip(other.iter().flatten()) {
                assert!(a.own != b.own && a.next != b.next);
            }
        }
    }
}
