//! Three parties check batches and open sums; every message of every step is altered.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::decimal::Excess;
use crate::net::{FRAME_HEADER_BYTES, Peer};
use crate::proof::tests::{digest, rebound};
use crate::proof::{ColumnWitness, Proven, prove};
use crate::sharing::{open_sums, sum_rows};
use crate::statement::{Column, HashAlg, Output};
use crate::testing::{Delivery, Envelope, TestWorld};

mod words;

const CTX: [u8; 32] = [8; 32];
const ID: [u8; 32] = [77; 32];
const SEED: u64 = 20_261_122;

struct Submission {
    statement: Statement,
    proven: Proven,
}

fn submit(alg: HashAlg, text: &str) -> Submission {
    let blinder = [0x33; 16];
    let commitment = digest(alg, &[text.as_bytes(), &blinder].concat());
    let column = Column::number(alg, text.len() as u8, 2, 30, Excess::Reject, commitment);
    let statement = Statement::new(vec![column], vec![Output::Value(0), Output::Square(0)]).unwrap();
    let witness = ColumnWitness { bytes: Zeroizing::new(text.into()), blinder: Zeroizing::new(blinder) };
    let proven = prove(&statement, &[witness], &CTX, &[text.len() as u8; 32], &mut |_| {}).unwrap();
    Submission { statement, proven }
}

fn batch() -> Vec<Submission> {
    [(HashAlg::Blake3, "12.5"), (HashAlg::Sha256, "-7"), (HashAlg::Blake3, "1000")]
        .map(|(a, t)| submit(a, t))
        .into()
}

/// Each party's private parts, for tests that change one.
type Privates = [Vec<Option<Vec<u8>>>; 3];

fn privates(batch: &[Submission]) -> Privates {
    PartyId::ALL.map(|p| batch.iter().map(|s| Some(s.proven.private[p.index()].to_vec())).collect())
}

/// A batch as one party checks it.
fn items<'a>(batch: &'a [Submission], privates: &'a [Option<Vec<u8>>]) -> Vec<Item<'a>> {
    let item = |(s, private): (&'a Submission, &'a Option<Vec<u8>>)| Item {
        statement: &s.statement,
        ctx: &CTX,
        public: &s.proven.public,
        private: private.as_deref(),
    };
    batch.iter().zip(privates).map(item).collect()
}

fn run(world: &TestWorld, batch: &[Submission], privates: &Privates) -> [Result<Vec<Verdict>, Abort>; 3] {
    world.run(|party, net| {
        let items = items(batch, &privates[party.index()]);
        let mut session = Session::new(party, ID);
        let verdicts = verify_batch(&mut session, &items, net);
        if verdicts.is_err() {
            // An aborted session stays closed.
            assert!(matches!(verify_batch(&mut session, &items, net), Err(Abort::Closed { .. })));
        }
        verdicts
    })
}

fn values(verdicts: [&Verdict; 3], lane: usize) -> Option<u128> {
    let shares = verdicts.map(|v| match v {
        Verdict::Accepted(a) => Some(a.lanes()[lane]),
        Verdict::Rejected { .. } => None,
    });
    Replicated::reconstruct([shares[0]?, shares[1]?, shares[2]?]).map(|r| r.0)
}

#[test]
fn an_honest_batch_is_accepted() {
    let batch = batch();
    let verdicts = run(&TestWorld::new(SEED), &batch, &privates(&batch)).map(Result::unwrap);
    for (i, value) in [1250i128, -700, 100_000].into_iter().enumerate() {
        let of = |lane| values(verdicts.each_ref().map(|v| &v[i]), lane);
        assert_eq!(of(0), Some(value as u128));
        assert_eq!(of(1), Some((value * value) as u128));
    }
    assert!(run(&TestWorld::new(SEED), &[], &[vec![], vec![], vec![]]).into_iter().all(|v| v == Ok(vec![])));
}

#[test]
fn each_party_can_refuse_an_item_for_all() {
    let batch = batch();
    type Change = fn(&mut Option<Vec<u8>>);
    let cases: [(Reject, Change); 6] = [
        (Reject::MissingPrivate, |p| *p = None),
        (Reject::MalformedPrivate, |p| {
            p.as_mut().unwrap().pop();
        }),
        (Reject::Binding, |p| p.as_mut().unwrap()[10] ^= 1),
        (Reject::SeedHash, |p| p.as_mut().unwrap()[40] ^= 1),
        (Reject::WitnessHash, |p| p.as_mut().unwrap()[100] ^= 1),
        (Reject::ProofHash, |p| *p.as_mut().unwrap().last_mut().unwrap() ^= 1),
    ];
    for party in PartyId::ALL {
        for (mut reason, change) in cases {
            if party == PartyId::P0 && matches!(reason, Reject::WitnessHash | Reject::ProofHash) {
                // Party 0 has no explicit share: these bytes are missing or part of a seed.
                if reason == Reject::WitnessHash {
                    continue;
                }
                reason = Reject::SeedHash;
            }
            let mut privates = privates(&batch);
            change(&mut privates[party.index()][1]);
            for verdicts in run(&TestWorld::new(SEED), &batch, &privates) {
                let verdicts = verdicts.unwrap();
                assert_eq!(verdicts[1], Verdict::Rejected { by: Some(party), reason });
                assert!(matches!((&verdicts[0], &verdicts[2]), (Verdict::Accepted(_), Verdict::Accepted(_))));
            }
        }
    }
}

#[test]
fn one_party_gets_another_share() {
    // Two honest submissions of one statement: their parts do not mix.
    let one = submit(HashAlg::Blake3, "12.5");
    let witness =
        ColumnWitness { bytes: Zeroizing::new(b"12.5".to_vec()), blinder: Zeroizing::new([0x33; 16]) };
    let two = prove(&one.statement, &[witness], &CTX, &[99; 32], &mut |_| {}).unwrap();
    for party in PartyId::ALL {
        let batch =
            [Submission { statement: one.statement.clone(), proven: submit(HashAlg::Blake3, "12.5").proven }];
        let mut privates = privates(&batch);
        privates[party.index()][0] = Some(two.private[party.index()].to_vec());
        for verdicts in run(&TestWorld::new(SEED), &batch, &privates) {
            assert_eq!(verdicts.unwrap(), [Verdict::Rejected { by: Some(party), reason: Reject::Binding }]);
        }
    }
}

#[test]
fn anothers_proof_is_refused() {
    let (mine, theirs) = (submit(HashAlg::Blake3, "12.5"), submit(HashAlg::Blake3, "99.5"));
    // Their shares and hashes under my presentation's commitment.
    let mut batch = [Submission { statement: mine.statement, proven: theirs.proven }];
    for verdicts in run(&TestWorld::new(SEED), &batch, &privates(&batch)) {
        let refused = Verdict::Rejected { by: Some(PartyId::P0), reason: Reject::Binding };
        assert_eq!(verdicts.unwrap(), [refused]);
    }
    // The same from somebody who made the private parts and lies about what they belong to.
    let [Submission { statement, proven }] = &mut batch;
    proven.private = rebound(&proven.private, statement, &CTX, &proven.public);
    for verdicts in run(&TestWorld::new(SEED), &batch, &privates(&batch)) {
        assert_eq!(verdicts.unwrap(), [Verdict::Rejected { by: None, reason: Reject::Unsatisfied }]);
    }
}

#[test]
fn parties_with_different_batches_stop() {
    let batch = batch();
    let all = privates(&batch);
    let results = TestWorld::new(SEED).run(|party, net| {
        let items: Vec<_> = batch
            .iter()
            .zip(&all[party.index()])
            .map(|(s, private)| Item {
                statement: &s.statement,
                // Party 2 has another survey in mind.
                ctx: if party == PartyId::P2 { &ID } else { &CTX },
                public: &s.proven.public,
                private: private.as_deref(),
            })
            .collect();
        verify_batch(&mut Session::new(party, ID), &items, net)
    });
    assert!(results.iter().all(|r| matches!(r, Err(Abort::Disagreement { .. }))), "{results:?}");
}

/// The two frames of an exchange that a party sends, and the alterations of them.
fn tampered(
    change: impl Fn(Envelope, Vec<u8>) -> Delivery + Send + Sync + 'static,
    from: PartyId,
    to: PartyId,
    step: Step,
) -> TestWorld {
    TestWorld::intercepted(SEED, move |envelope, frame| {
        if (envelope.from, envelope.to, envelope.step) == (from, to, step) {
            change(envelope, frame)
        } else {
            Delivery::Frame(frame)
        }
    })
}

/// Every step with each sender and receiver.
fn messages() -> impl Iterator<Item = (Step, PartyId, PartyId)> {
    let pairs = || PartyId::ALL.into_iter().flat_map(|from| Peer::ALL.map(|peer| (from, peer.of(from))));
    [Step::ProofOpening, Step::OpenSums]
        .into_iter()
        .flat_map(move |step| pairs().map(move |(from, to)| (step, from, to)))
}

/// Verdicts and opened sums.
type Whole = Result<(Vec<Verdict>, Vec<u128>), Abort>;

/// Checks a batch, then opens the sums of the accepted items.
fn whole(world: &TestWorld, batch: &[Submission], privates: &Privates) -> [Whole; 3] {
    world.run(|party, net| {
        let items = items(batch, &privates[party.index()]);
        let mut session = Session::new(party, ID);
        let verdicts = verify_batch(&mut session, &items, net)?;
        let mut sums = [RingShare::default(); 2];
        for verdict in &verdicts {
            if let Verdict::Accepted(a) = verdict {
                sums.iter_mut().zip(a.lanes()).for_each(|(sum, x)| *sum = *sum + *x);
            }
        }
        let opened = open_sums(&mut session, &sums, net)?;
        Ok((verdicts, opened))
    })
}

#[test]
fn altered_messages_stop_the_receiver() {
    let batch = batch();
    let privates = privates(&batch);
    for honest in whole(&TestWorld::new(SEED), &batch, &privates) {
        let squares = 1250u128 * 1250 + 700 * 700 + 100_000 * 100_000;
        assert_eq!(honest.unwrap().1, [1250 - 700 + 100_000, squares]);
    }
    type Change = fn(usize, Vec<u8>) -> Delivery;
    let changes: Vec<(&str, Change)> = vec![
        ("lost", |_, _| Delivery::Lost),
        ("empty", |_, _| Delivery::Frame(vec![])),
        ("one byte less", |_, mut f| {
            f.pop();
            Delivery::Frame(f)
        }),
        ("one byte more", |_, mut f| {
            f.push(0);
            Delivery::Frame(f)
        }),
        ("zeros", |_, mut f| {
            f[FRAME_HEADER_BYTES..].fill(0);
            Delivery::Frame(f)
        }),
        ("another's frame", |_, f| {
            Delivery::Frame(
                [&f[..FRAME_HEADER_BYTES - 1], &[f[FRAME_HEADER_BYTES - 1] ^ 1], &f[FRAME_HEADER_BYTES..]]
                    .concat(),
            )
        }),
        ("flip", |at, mut f| {
            let n = f.len();
            f[at % n] ^= 1;
            Delivery::Frame(f)
        }),
    ];
    for (step, from, to) in messages() {
        for (what, change) in &changes {
            // Version, session, number, step, sender; then into digest, statuses, items.
            let places: &[usize] = if *what == "flip" {
                &[0, 2, 33, 34, 42, 43, 44, 75, 76, 78, 79, 95, 111, 300, 2500, usize::MAX]
            } else {
                &[0]
            };
            for &at in places {
                let change = *change;
                let world = tampered(move |_, f| change(at.min(f.len().max(1) - 1), f), from, to, step);
                let results = whole(&world, &batch, &privates);
                let name = format!("{step} {from} to {to}: {what} at {at}, seed {SEED}");
                match &results[to.index()] {
                    Err(_) => {}
                    Ok(_) => panic!("{name}: accepted"),
                }
                // Nobody reports a wrong sum.
                for (_, sums) in results.iter().flatten() {
                    assert_eq!(sums[0], 100_550, "{name}");
                }
            }
        }
    }
}

#[test]
fn a_party_that_reports_a_wrong_share_is_caught_by_type() {
    let batch = batch();
    let privates = privates(&batch);
    let last = |_: Envelope, mut f: Vec<u8>| {
        let n = f.len();
        f[n - 1] ^= 0x80;
        Delivery::Frame(f)
    };
    for (step, from, to) in messages() {
        let results = whole(&tampered(last, from, to, step), &batch, &privates);
        let item = if step == Step::ProofOpening { batch.len() - 1 } else { 0 };
        assert_eq!(results[to.index()], Err(Abort::Inconsistent { step, item }), "{step} {from} {to}");
    }
}

#[test]
fn a_replayed_frame_is_of_another_exchange() {
    // The second opening of one session is answered with the frames of the first.
    let first = std::sync::Mutex::new(alloc::collections::BTreeMap::new());
    let world = TestWorld::intercepted(SEED, move |e, frame| {
        let mut first = first.lock().unwrap();
        let kept = first.entry((e.from, e.to)).or_insert_with(|| frame.clone()).clone();
        Delivery::Frame(if e.from == PartyId::P1 { kept } else { frame })
    });
    let shares = Replicated::split(Ring(5), [Ring(1), Ring(2)]);
    let results = world.run(|party, net| {
        let mut session = Session::new(party, ID);
        let sums = [shares[party.index()]];
        assert_eq!(open_sums(&mut session, &sums, net), Ok(vec![5]));
        open_sums(&mut session, &sums, net)
    });
    // Who sees it first hangs up on the others.
    let wrong = Err(Abort::WrongFrame { peer: PartyId::P1, step: Step::OpenSums });
    let hung_up = |r: &Result<_, Abort>| matches!(r, Err(Abort::Transport { .. }));
    assert!(results[1].is_ok() || hung_up(&results[1]));
    for party in [0, 2] {
        assert!(results[party] == wrong || hung_up(&results[party]), "{:?}", results[party]);
    }
    assert!(results.contains(&wrong));
}

extern crate std;

/// A peer that sends anything.
struct Garbage(Vec<u8>);

impl Transport for Garbage {
    fn send(&mut self, _: Peer, _: Step, frame: Vec<u8>) -> Result<(), Abort> {
        // Sometimes with a header that is nearly right.
        self.0[..FRAME_HEADER_BYTES - 1].copy_from_slice(&frame[..FRAME_HEADER_BYTES - 1]);
        Ok(())
    }
    fn recv(&mut self, from: Peer, _: Step) -> Result<Vec<u8>, Abort> {
        let mut frame = self.0.clone();
        frame[FRAME_HEADER_BYTES - 1] = from.of(PartyId::P0) as u8;
        Ok(frame)
    }
}

#[test]
fn a_lane_is_own_then_next_little_endian() {
    let share = RingShare { own: Ring(1 | (2 << 120)), next: Ring(3 | (4 << 120)) };
    let lane = share.to_lane();
    assert_eq!((lane[0], lane[15], lane[16], lane[31]), (1, 2, 3, 4));
    assert!(RingShare::from_lane(&lane) == share);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_only_aborts(bytes in prop::collection::vec(any::<u8>(), FRAME_HEADER_BYTES..400)) {
        let sums = [RingShare::default(); 3];
        let mut net = Garbage(bytes);
        prop_assert!(open_sums(&mut Session::new(PartyId::P0, ID), &sums, &mut net).is_err());
        let s = submit(HashAlg::Blake3, "5");
        let item = Item { statement: &s.statement, ctx: &CTX, public: &s.proven.public, private: None };
        prop_assert!(verify_batch(&mut Session::new(PartyId::P0, ID), &[item], &mut net).is_err());
    }

    #[test]
    fn rows_add_up(rows in prop::collection::vec(any::<[u128; 3]>(), 0..50)) {
        let column = |i: usize| rows.iter().flat_map(|r| r[i].to_le_bytes()).collect::<Vec<_>>();
        let shares = PartyId::ALL.map(|p| sum_rows(&column(p.index()), &column(p.next().index())).unwrap());
        let expected = rows.iter().flatten().fold(0u128, |sum, x| sum.wrapping_add(*x));
        prop_assert_eq!(Replicated::reconstruct(shares), Some(Ring(expected)));
        prop_assert_eq!(sum_rows(&column(0), &[0; 16]).is_some(), rows.len() == 1);
        prop_assert!(sum_rows(&[0; 15], &[0; 15]).is_none());
    }

    #[test]
    fn linear_operations_on_shares(x: u128, y: u128, k: u128, m: [u128; 4]) {
        let a = Replicated::split(Ring(x), [Ring(m[0]), Ring(m[1])]);
        let b = Replicated::split(Ring(y), [Ring(m[2]), Ring(m[3])]);
        let result = PartyId::ALL.map(|p| (-(a[p.index()] * k - b[p.index()])).add_constant(p, Ring(9)));
        let expected = y.wrapping_sub(x.wrapping_mul(k)).wrapping_add(9);
        prop_assert_eq!(Replicated::reconstruct(result), Some(Ring(expected)));
        let mut broken = result;
        broken[1].next = Ring(broken[1].next.0 ^ 1);
        prop_assert_eq!(Replicated::reconstruct(broken), None);
    }
}
