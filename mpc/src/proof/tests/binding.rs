//! The submission that a private part belongs to, and the checks that a party makes of it alone.

use super::*;
use crate::batch::{Item, Verdict, check_private, verify_batch};
use crate::net::{FRAME_HEADER_BYTES, Session, Step};
use crate::rows;
use crate::testing::{Delivery, TestWorld};

extern crate std;
use std::sync::{Arc, Mutex};

/// One private part under two transcripts would be opened at two points, and the difference of two openings lacks the
/// masks. So a party opens nothing under another transcript than the provider's: each field of it, each party.
#[test]
fn a_private_part_is_opened_under_one_transcript_only() {
    let text = b"12.5";
    let s = statement(HashAlg::Blake3, text);
    let other = statement(HashAlg::Blake3, b"12.6");
    let honest = proven(&s, text, 7);
    type Public = (Statement, [u8; 32], ShareHashes);
    let base: Public = (s.clone(), CTX, honest.public);
    let changes: [&dyn Fn(&mut Public); 9] = [
        &|t| t.0 = other.clone(),
        &|t| t.1[0] ^= 1,
        &|t| t.2.seeds[0][0] ^= 1,
        &|t| t.2.seeds[1][31] ^= 1,
        &|t| t.2.witness[0] ^= 1,
        &|t| t.2.proof[31] ^= 1,
        &|t| t.2.rows[0][0] ^= 1,
        &|t| t.2.rows[1][0] ^= 1,
        &|t| t.2.rows[2][31] ^= 1,
    ];
    let openings = |t: &Public| -> (Vec<Verdict>, usize) {
        let longest = Arc::new(Mutex::new(0));
        let seen = longest.clone();
        let world = TestWorld::intercepted(1, move |e, frame| {
            assert_eq!(e.step, Step::ProofOpening);
            let mut longest = seen.lock().unwrap();
            *longest = frame.len().max(*longest);
            Delivery::Frame(frame)
        });
        let verdicts = world.run(|party, net| {
            let private = Some(&honest.private[party.index()][..]);
            let item = Item { statement: &t.0, ctx: &t.1, public: &t.2, private };
            verify_batch(&mut Session::new(party, [9; 32]), &[item], net).unwrap().remove(0)
        });
        let longest = *longest.lock().unwrap();
        (verdicts.into(), longest)
    };
    // A digest and a status: nothing of the item.
    let nothing = FRAME_HEADER_BYTES + 32 + 1;
    let (verdicts, longest) = openings(&base);
    assert!(verdicts.iter().all(|v| matches!(v, Verdict::Accepted(_))) && longest > nothing);
    for (i, change) in changes.iter().enumerate() {
        let mut t = base.clone();
        change(&mut t);
        let (verdicts, longest) = openings(&t);
        let refused = Verdict::Rejected { by: Some(PartyId::P0), reason: Reject::Binding };
        assert!(verdicts.iter().all(|v| *v == refused), "{i}: {verdicts:?}");
        assert_eq!(longest, nothing, "{i}");
    }
}

#[test]
fn a_party_checks_its_private_part_alone() {
    let s = statement(HashAlg::Blake3, b"12.5");
    let p = proven(&s, b"12.5", 7);
    let check = |party: PartyId, public: &ShareHashes, private: Option<&[u8]>| {
        check_private(party, &Item { statement: &s, ctx: &CTX, public, private })
    };
    for party in PartyId::ALL {
        let part = &p.private[party.index()][..];
        assert_eq!(check(party, &p.public, Some(part)), Ok(()));
        assert_eq!(check(party, &p.public, None), Err(Reject::MissingPrivate));
        // Cut, or with bytes behind it.
        for bytes in [&part[..part.len() - 1], &[part, &[0]].concat(), &[part, part].concat(), &[]] {
            assert_eq!(check(party, &p.public, Some(bytes)), Err(Reject::MalformedPrivate), "{party}");
        }
        let other = &p.private[party.next().index()][..];
        assert_eq!(check(party, &p.public, Some(other)), Err(Reject::MalformedPrivate));
        // Every byte is covered by the form or a commitment.
        for at in (0..part.len()).step_by(97).chain([part.len() - 1]) {
            let mut bytes = part.to_vec();
            bytes[at] ^= 2;
            assert!(check(party, &p.public, Some(&bytes)).is_err(), "{party} {at}");
        }
    }
}

/// A provider who commits to other rows than it shares is refused by the holders of the share: a party that once loses
/// its row could not get it back.
#[test]
fn row_commitments_are_of_the_rows() {
    let s = statement(HashAlg::Blake3, b"12.5");
    let layout = s.layout();
    let p = proven(&s, b"12.5", 7);
    // The holders' keys are the ones that the commitments were made with, and alike at both holders.
    let keys = PartyId::ALL
        .map(|party| PrivatePart::decode(party, &layout, &p.private[party.index()]).unwrap().row_keys());
    let shares = shares(&p, &layout);
    for party in PartyId::ALL {
        let (own, next) = (party.index(), party.next().index());
        assert_eq!(keys[own][1], keys[next][0]);
        assert_eq!(rows::commitment(&keys[own][0], shares[own].lanes(&layout)), p.public.rows[own]);
    }
    for index in 0..3 {
        let mut public = p.public;
        public.rows[index][5] ^= 1;
        let private = rebound(&p.private, &s, &CTX, &public);
        for party in PartyId::ALL {
            let holds = [party.index(), party.next().index()].contains(&index);
            let item =
                Item { statement: &s, ctx: &CTX, public: &public, private: Some(&private[party.index()]) };
            let expected = if holds { Err(Reject::RowHash) } else { Ok(()) };
            assert_eq!(check_private(party, &item), expected, "{index} {party}");
        }
    }
}
