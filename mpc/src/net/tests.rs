//! The checks that bind a frame's content to its place, and sessions that are over.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::sharing::{Replicated, Ring, open_sums};
use crate::testing::{Delivery, Envelope, TestWorld};

/// Every field of the hash that two holders of a share compare, changed by itself.
#[test]
fn an_item_hash_depends_on_everything() {
    let hash = |session: u8, number: u64, step: Step, item: usize, share: usize, data: &[u8]| {
        Round { session: [session; 32], number, step }.item_hash(item, share, data)
    };
    let step = Step::OpenSums;
    let all = [
        hash(1, 2, step, 3, 1, b"data"),
        hash(9, 2, step, 3, 1, b"data"),
        hash(1, 3, step, 3, 1, b"data"),
        hash(1, 2, Step::OpenBits, 3, 1, b"data"),
        hash(1, 2, step, 4, 1, b"data"),
        hash(1, 2, step, 3, 2, b"data"),
        hash(1, 2, step, 3, 1, b"date"),
        hash(1, 2, step, 3, 1, b""),
    ];
    for (i, hash) in all.iter().enumerate() {
        assert!(!all[..i].contains(hash), "{i}");
    }
}

/// Opens twice in one session. `change` alters the first message from party 1 to party 2.
fn twice(change: fn(&mut Vec<u8>)) -> [[Result<Vec<u128>, Abort>; 2]; 3] {
    let changes = move |e: Envelope, mut frame: Vec<u8>| {
        if (e.from, e.to, e.number) == (PartyId::P1, PartyId::P2, 0) {
            change(&mut frame);
        }
        Delivery::Frame(frame)
    };
    let shares = Replicated::split(Ring(5), [Ring(1), Ring(2)]);
    TestWorld::intercepted(1, changes).run(|party, net| {
        let mut session = Session::new(party, [7; 32]);
        let sums = [shares[party.index()]];
        [(); 2].map(|()| open_sums(&mut session, &sums, net))
    })
}

#[test]
fn a_third_share_is_as_long_as_the_own() {
    for change in [|f: &mut Vec<u8>| f.push(0), |f: &mut Vec<u8>| f.truncate(f.len() - 1)] {
        let [_, _, [first, _]] = twice(change);
        assert_eq!(first, Err(Abort::Malformed { peer: PartyId::P1, step: Step::OpenSums }));
    }
}

#[test]
fn an_aborted_session_opens_nothing_more() {
    let changes: [fn(&mut Vec<u8>); 4] =
        [|f| f[FRAME_HEADER_BYTES] ^= 1, |f| f.push(0), |f| f[40] ^= 1, |f| f.truncate(3)];
    for (i, change) in changes.into_iter().enumerate() {
        let [_, _, [first, second]] = twice(change);
        assert!(first.is_err(), "{i}");
        assert_eq!(second, Err(Abort::Closed { step: Step::OpenSums }), "{i}");
    }
    for opened in twice(|_| ()) {
        assert_eq!(opened, [Ok(vec![5]), Ok(vec![5])]);
    }
}
