//! Each word that parties send to each other about a batch, altered by itself.

use super::*;

/// Public fields that a party has otherwise, each by itself: the parties do not work on the same batch.
#[test]
fn a_batch_is_all_of_its_public_fields() {
    let batch = batch();
    let all = privates(&batch);
    type Change = fn(&mut Statement, &mut [u8; 32], &mut ShareHashes);
    let changes: [(&str, Change); 9] = [
        ("statement", |s, _, _| {
            let mut columns = s.columns().to_vec();
            columns[0].length += 1;
            *s = Statement::new(columns, s.outputs().to_vec()).unwrap();
        }),
        ("context", |_, ctx, _| ctx[31] ^= 1),
        ("seed 0", |_, _, h| h.seeds[0][0] ^= 1),
        ("seed 1", |_, _, h| h.seeds[1][0] ^= 1),
        ("witness", |_, _, h| h.witness[0] ^= 1),
        ("proof", |_, _, h| h.proof[0] ^= 1),
        ("row 0", |_, _, h| h.rows[0][0] ^= 1),
        ("row 1", |_, _, h| h.rows[1][0] ^= 1),
        ("row 2", |_, _, h| h.rows[2][31] ^= 1),
    ];
    for (name, change) in changes {
        for odd in PartyId::ALL {
            let results = TestWorld::new(SEED).run(|party, net| {
                let public: Vec<(Statement, [u8; 32], ShareHashes)> = batch
                    .iter()
                    .enumerate()
                    .map(|(i, s)| {
                        let mut public = (s.statement.clone(), CTX, s.proven.public);
                        if (party, i) == (odd, 1) {
                            change(&mut public.0, &mut public.1, &mut public.2);
                        }
                        public
                    })
                    .collect();
                let items = public.iter().zip(&all[party.index()]);
                let items: Vec<_> = items
                    .map(|((statement, ctx, public), private)| Item {
                        statement,
                        ctx,
                        public,
                        private: private.as_deref(),
                    })
                    .collect();
                verify_batch(&mut Session::new(party, ID), &items, net)
            });
            for (party, result) in PartyId::ALL.iter().zip(&results) {
                assert!(
                    matches!(result, Err(Abort::Disagreement { .. })),
                    "{name} of {odd}: {party} {result:?}"
                );
            }
        }
    }
}

/// A status is "fine", or a reason that a party finds out alone: anything else from a peer ends the session.
#[test]
fn a_peer_says_no_status_that_it_cannot_know() {
    let batch = batch();
    let alone: Vec<u8> = Reject::ALL.into_iter().filter(|r| r.alone()).map(|r| r as u8).collect();
    assert_eq!(alone.len() + 2, Reject::ALL.len());
    let status = FRAME_HEADER_BYTES + 32 + 1;
    for to in [PartyId::P0, PartyId::P2] {
        for said in [Reject::Unsatisfied as u8, Reject::InvalidProof as u8, 10, 100, 255] {
            let change = move |_: Envelope, mut frame: Vec<u8>| {
                frame[status] = said;
                Delivery::Frame(frame)
            };
            let world = tampered(change, PartyId::P1, to, Step::ProofOpening);
            let results = run(&world, &batch, &privates(&batch));
            let malformed = Err(Abort::Malformed { peer: PartyId::P1, step: Step::ProofOpening });
            assert_eq!(results[to.index()], malformed, "status {said}");
        }
    }
}

/// A party whose own program says of every share something else than it has computed, to one peer: that peer stops, and
/// nobody accepts anything but the truth.
#[cfg(debug_assertions)]
#[test]
fn a_party_that_opens_something_else_is_caught() {
    let batch = batch();
    let privates = privates(&batch);
    for liar in PartyId::ALL {
        for (name, told) in [("lie-batch-opening", liar.next()), ("lie-batch-vouching", liar.prev())] {
            let results = TestWorld::new(SEED).run(|party, net| {
                if party == liar {
                    tercet_mutants::alter(name, 0);
                }
                let items: Vec<_> = batch
                    .iter()
                    .zip(&privates[party.index()])
                    .map(|(s, private)| Item {
                        statement: &s.statement,
                        ctx: &CTX,
                        public: &s.proven.public,
                        private: private.as_deref(),
                    })
                    .collect();
                verify_batch(&mut Session::new(party, ID), &items, net)
            });
            let inconsistent = Err(Abort::Inconsistent { step: Step::ProofOpening, item: 0 });
            assert_eq!(results[told.index()], inconsistent, "{name} of {liar}");
            for verdict in results.iter().flatten().flatten() {
                assert!(matches!(verdict, Verdict::Accepted(_)), "{name} of {liar}: {verdict:?}");
            }
        }
    }
}
