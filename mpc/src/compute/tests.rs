//! Three parties on in-process wires: every circuit against clear text, every message altered.

extern crate std;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

mod decisions;
pub(super) mod hiding;
#[cfg(debug_assertions)]
mod liars;
mod noise;
#[cfg(debug_assertions)]
mod views;

use super::*;
use crate::PartyId;
use crate::field::Gf128;
use crate::order::{OrderAnswer, OrderRequest};
use crate::prss::{SessionContext, SessionKeys};
use crate::sharing::{Ring, RingShare};
use crate::testing::{Delivery, TestNet, TestWorld};

impl Host for TestNet<'_> {
    type Vector = Vec<Gf128>;
    type Columns = Vec<u64>;
    type Stream = blake3::OutputReader;
    type Digest = blake3::Hasher;
}

/// Runs the same computation at the three parties.
fn run<R: Send>(
    world: &TestWorld,
    tuning: Tuning,
    program: impl Fn(&mut Compute<'_, TestNet<'_>>) -> Result<R, Abort> + Sync,
) -> [Result<R, Abort>; 3] {
    run_with(world, |party| session_keys(world, party), tuning, program)
}

/// A party's keys in a world's session.
fn session_keys(world: &TestWorld, party: PartyId) -> SessionKeys {
    let secret = |p: PartyId| world.bytes(["pair 0", "pair 1", "pair 2"][p.index()]);
    keys_of(world.bytes("session"), party, [&secret(party), &secret(party.next())])
}

fn keys_of(session: [u8; 32], party: PartyId, [prev, next]: [&[u8; 32]; 2]) -> SessionKeys {
    let context = SessionContext {
        session,
        parties: [[1; 32], [2; 32], [3; 32]],
        survey: [4; 32],
        engine: [5; 32],
        nonces: [[6; 32], [7; 32], [8; 32]],
    };
    SessionKeys::derive(party, prev, next, &context).unwrap()
}

/// The same with keys that the caller makes.
fn run_with<R: Send>(
    world: &TestWorld,
    keys: impl Fn(PartyId) -> SessionKeys + Sync,
    tuning: Tuning,
    program: impl Fn(&mut Compute<'_, TestNet<'_>>) -> Result<R, Abort> + Sync,
) -> [Result<R, Abort>; 3] {
    world.run(|party, net| {
        let keys = keys(party);
        let mut session = Session::new(party, world.bytes("session"));
        let mut compute = Compute::new(&mut session, Prss::new(keys), net, tuning);
        let result = program(&mut compute)?;
        compute.finish()?;
        Ok(result)
    })
}

/// Each party's shares of values.
fn shares(values: &[u128], seed: u64) -> [Vec<RingShare>; 3] {
    let mut state = u128::from(seed) | 1;
    let mut random = || {
        state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(0x5851_f42d);
        Ring(state ^ state >> 67)
    };
    let mut all: [Vec<RingShare>; 3] = Default::default();
    for value in values {
        let split = RingShare::split(Ring(*value), [random(), random()]);
        for (to, share) in all.iter_mut().zip(split) {
            to.push(share);
        }
    }
    all
}

fn agreed<R: PartialEq + core::fmt::Debug>(results: [Result<R, Abort>; 3]) -> R {
    let [a, b, c] = results.map(|r| r.unwrap());
    assert_eq!(a, b);
    assert_eq!(a, c);
    a
}

/// A column without missing values.
fn whole(values: &[RingShare], bits: u8) -> SharedColumn<'_> {
    SharedColumn { values, bits, present: None }
}

fn tuning(exchange_ns: u64) -> Tuning {
    Tuning { exchange_ns, ..Tuning::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn bits_of_arithmetic_shares(values in prop::collection::vec(any::<u128>(), 1..150), width in 1u32..=128, prefix: bool, seed: u64) {
        let world = TestWorld::new(seed);
        let shares = shares(&values, seed);
        let opened = agreed(run(&world, tuning(if prefix { 1 << 40 } else { 0 }), |c| {
            let numbers = c.bits_of(&shares[c.session.party().index()], width)?;
            c.open_numbers(&numbers, values.len())
        }));
        let mask = if width == 128 { u128::MAX } else { (1 << width) - 1 };
        prop_assert_eq!(opened, values.iter().map(|v| v & mask).collect::<Vec<_>>());
    }

    #[test]
    fn arithmetic_shares_of_bits(values in prop::collection::vec(any::<u64>(), 1..100), seed: u64, slow: bool) {
        let world = TestWorld::new(seed);
        let all = values.iter().map(|v| u128::from(*v)).collect::<Vec<_>>();
        let shares = shares(&all, seed);
        let results = run(&world, tuning(if slow { 1 << 40 } else { 0 }), |c| {
            let numbers = c.bits_of(&shares[c.session.party().index()], 64)?;
            c.ring_of(&numbers, values.len(), 90)
        }).map(|r| r.unwrap());
        for (i, value) in all.iter().enumerate() {
            let sum = RingShare::reconstruct(results.each_ref().map(|r| r[i])).unwrap();
            prop_assert_eq!(sum.0 & ((1 << 90) - 1), *value);
        }
    }

    #[test]
    fn comparisons(pairs in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 1..130), width in 1u32..=64, block in 1usize..70, seed: u64) {
        let world = TestWorld::new(seed);
        let mask = u64::MAX >> (64 - width);
        let a: Vec<u128> = pairs.iter().map(|p| u128::from(p.0 & mask)).collect();
        // Equal, off by one bit, or anything.
        let b: Vec<u128> = pairs.iter().map(|p| u128::from(mask & if p.2 { p.1 } else { p.0 ^ (p.1 % 2) })).collect();
        let (sa, sb) = (shares(&a, seed), shares(&b, !seed));
        let opened = agreed(run(&world, tuning(0), |c| {
            let me = c.session.party().index();
            let (x, y) = (c.bits_of(&sa[me], width)?, c.bits_of(&sb[me], width)?);
            let less = c.lockstep(async |gates| gates.less_in_blocks(&x, &y, block, Then::Open).await)?;
            c.open(&less)
        }));
        for (i, (a, b)) in a.iter().zip(&b).enumerate() {
            prop_assert_eq!(opened[i / 64] >> (i % 64) & 1 == 1, a < b, "{} {}", a, b);
        }
    }

    #[test]
    fn sorting(mut values in prop::collection::vec(any::<u64>(), 0..200), few in 1u64..100, seed: u64, slow in 0usize..3) {
        if seed % 2 == 0 {
            values.iter_mut().for_each(|v| *v %= few);
        }
        let world = TestWorld::new(seed);
        let all = values.iter().map(|v| u128::from(*v)).collect::<Vec<_>>();
        let shares = shares(&all, seed);
        let opened = agreed(run(&world, tuning([0, 100_000, 20_000_000][slow]), |c| {
            let sorted = sort(c, &shares[c.session.party().index()], 64, None)?;
            let numbers = sorted.values(0..sorted.len());
            c.open_numbers(&numbers, sorted.len())
        }));
        let mut expected = all;
        expected.sort_unstable();
        prop_assert_eq!(opened, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Everything that is read off a column, against clear text: ties, extremes.
    #[test]
    fn what_is_read_is_the_clear_text(
        mut values in prop::collection::vec(any::<i64>(), 0..150),
        bits in 1u8..=63,
        few in 1i64..20,
        picks in prop::collection::vec(any::<u64>(), 0..8),
        seed: u64,
    ) {
        let limit = (1i64 << (bits - 1)) - 1 + (1i64 << (bits - 1));
        for v in &mut values {
            *v = match seed % 4 {
                0 => *v % few,
                1 => if *v > 0 { limit } else { -limit },
                _ => *v,
            };
            *v = (*v).clamp(-limit, limit);
        }
        let n = values.len() as u64;
        let request = picked(&picks, n, seed);
        let plain: Vec<u128> = values.iter().map(|v| i128::from(*v).cast_unsigned()).collect();
        let shares = shares(&plain, seed);
        let world = TestWorld::new(seed);
        let got = agreed(run(&world, tuning(if seed % 2 == 0 { 0 } else { 20_000_000 }), |c| {
            Ok(answer(c, &whole(&shares[c.session.party().index()], bits), &request).unwrap())
        }));
        prop_assert_eq!(got, request.answer(&values));
    }
}

#[test]
fn a_request_beyond_the_column_is_refused() {
    let shares = shares(&[1, 2], 1);
    let request = OrderRequest { combinations: vec![vec![(3, 1)]], ..Default::default() };
    let results = run(&TestWorld::new(1), tuning(0), |c| {
        Ok(answer(c, &whole(&shares[c.session.party().index()], 5), &request))
    });
    let refused = ReadError::Request(crate::order::OrderError::Rank { rank: 3, rows: 2 });
    for result in results {
        assert_eq!(result.unwrap(), Err(refused.clone()));
    }
}

/// Combinations of one to four values, ranges, and the rest of a request, by the seed.
fn picked(picks: &[u64], n: u64, seed: u64) -> OrderRequest {
    let rank = |p: &u64| p % n.max(1) + 1;
    let factor = |p: &u64| match p >> 20 & 3 {
        0 => 1,
        1 => -((p >> 30) as i64 & 0xffff_ffff | 1),
        _ => (p >> 30) as i64 & 0xffff_ffff | 1,
    };
    let combination = |picks: &[u64]| {
        let terms: alloc::collections::BTreeMap<u64, i64> =
            picks.iter().map(|p| (rank(p), factor(p))).collect();
        terms.into_iter().collect()
    };
    let terms = 1 + seed as usize % 4;
    let combinations: Vec<Vec<(u64, i64)>> = match n {
        0 => Vec::new(),
        _ => picks.chunks(terms).map(combination).chain(picks.first().map(|p| vec![(rank(p), 1)])).collect(),
    };
    let range = |pair: &[u64]| {
        let (a, b) = (pair[0] % (n + 1), pair[1] % (n + 1));
        (a.min(b), a.max(b))
    };
    let ranges = picks.windows(2).map(range).filter(|(a, b)| a < b && (*a, *b) != (0, n)).collect();
    let (distances, mode) = (!seed.is_multiple_of(3), !seed.is_multiple_of(5));
    OrderRequest { combinations, ranges, distances, mode, ..Default::default() }
}

/// Small enough to be run some hundred times, with every step in it.
fn small_job(world: &TestWorld, values: &[u128]) -> [Result<OrderAnswer, Abort>; 3] {
    let shares = shares(values, 3);
    // Verified often, so that there are many proofs.
    let tuning = Tuning { chunk_words: 40, ..tuning(0) };
    let request = OrderRequest {
        combinations: vec![vec![(1, 1)], vec![(2, 1), (3, 3)]],
        ranges: vec![(1, 3)],
        distances: true,
        mode: true,
        ..Default::default()
    };
    run(world, tuning, |c| match answer(c, &whole(&shares[c.session.party().index()], 5), &request) {
        Ok(answer) => Ok(answer),
        Err(ReadError::Abort(abort)) => Err(abort),
        Err(refused) => panic!("{refused}"),
    })
}

/// Every message of a job, from every party to every other, altered in one bit, cut, extended or lost: nobody honest
/// comes to a result other than `expected`. Gives the steps and how many messages were tried.
fn alter_every_message<R: Send + PartialEq + core::fmt::Debug>(
    job: impl Fn(&TestWorld) -> [Result<R, Abort>; 3],
    expected: &R,
) -> (BTreeSet<Step>, usize) {
    // What is sent in an honest run.
    let frames = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = frames.clone();
    let world = TestWorld::intercepted(11, move |envelope, frame| {
        seen.lock().unwrap().push((envelope, frame.len()));
        Delivery::Frame(frame)
    });
    assert_eq!(agreed(job(&world)), *expected);
    let frames = core::mem::take(&mut *frames.lock().unwrap());
    let steps: BTreeSet<Step> = frames.iter().map(|(e, _)| e.step).collect();
    let header = crate::net::FRAME_HEADER_BYTES;
    let mut tried = 0;
    let (mut all, mut noticed) = (BTreeSet::new(), BTreeSet::new());
    for (target, len) in frames {
        // A bit in the first, a middle and the last byte of the content; the kind of change goes round.
        let kinds = if len == header { 1 } else { 3 };
        for kind in 0..kinds {
            tried += 1;
            let hit = Arc::new(AtomicUsize::new(0));
            let count = hit.clone();
            let world = TestWorld::intercepted(11, move |envelope, mut frame| {
                if envelope != target {
                    return Delivery::Frame(frame);
                }
                count.fetch_add(1, Ordering::Relaxed);
                match (tried + kind) % 6 {
                    0 => frame.truncate(frame.len() - 1),
                    1 => frame.push(0),
                    2 => return Delivery::Lost,
                    _ => {
                        let content = frame.len() - header;
                        let at = if content == 0 { 0 } else { header + [0, content / 2, content - 1][kind] };
                        frame[at] ^= 1 << (tried % 8);
                    }
                }
                Delivery::Frame(frame)
            });
            let results = job(&world);
            assert!(hit.load(Ordering::Relaxed) > 0, "{target:?}");
            let honest = PartyId::ALL.into_iter().filter(|p| *p != target.from);
            let kind = (target.step, target.from.index(), target.to.index());
            all.insert(kind);
            for p in honest {
                match &results[p.index()] {
                    Ok(opened) => assert_eq!(opened, expected, "{target:?}"),
                    Err(_) => _ = noticed.insert(kind),
                }
            }
        }
    }
    assert_eq!(noticed, all);
    (steps, tried)
}

#[test]
fn no_altered_message_changes_a_result() {
    let values = [9u128, 3, 3, 31, 0];
    let expected = OrderAnswer {
        // 0, 3, 3, 9, 31.
        combinations: vec![0, 3 + 3 * 3],
        ranges: vec![6],
        distances: Some(-2 * 3 + 2 * 9 + 4 * 31),
        mode: Some(3),
        ..Default::default()
    };
    let (steps, tried) = alter_every_message(|world| small_job(world, &values), &expected);
    assert!(steps.len() >= 7, "{steps:?}");
    assert!(tried > 300, "{tried}");
}

/// Opened values say nothing about the rows: all equal or all different, the comparisons look alike.
#[test]
fn opened_comparisons_do_not_depend_on_the_values() {
    let spread: Vec<u128> = (0..8).map(|i| i * 3).collect();
    for values in [vec![7u128; 8], spread] {
        // How often each order of the first three shuffled rows comes up: six orders, equally likely.
        let mut counts = [0u32; 6];
        let rounds = 600;
        for seed in 0..rounds {
            let world = TestWorld::new(seed);
            let shares = shares(&values, seed);
            let opened = agreed(run(&world, tuning(0), |c| {
                let me = c.session.party();
                let numbers = c.bits_of(&shares[me.index()], 5)?;
                let [own, next] = numbers.rows(8);
                let number = |holder| move |i: usize| if holder == PartyId::P0 { i as u128 } else { 0 };
                let key = |rows: Vec<u128>, holder| {
                    rows.into_iter().enumerate().map(|(i, r)| r << 3 | number(holder)(i)).collect()
                };
                let rows = c.shuffle(shuffle::Rows { own: key(own, me), next: key(next, me.next()) })?;
                sort::Sorting::new(&rows, 8).compare(c, &[(0, 1), (0, 2), (1, 2)])
            }));
            let index = match opened[0] & 7 {
                0b111 => 0,
                0b011 => 1,
                0b110 => 2,
                0b100 => 3,
                0b001 => 4,
                0b000 => 5,
                other => panic!("no order says {other:03b}"),
            };
            counts[index] += 1;
        }
        let expected = rounds as f64 / 6.0;
        let chi: f64 = counts.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum();
        // Five degrees of freedom: above 20.5 once in a thousand; the seeds are fixed.
        assert!(chi < 20.5, "{counts:?}: {chi}");
    }
}

#[test]
fn a_computation_dropped_unverified_closes_its_session() {
    let world = TestWorld::new(5);
    let context = SessionContext {
        session: [1; 32],
        parties: [[1; 32], [2; 32], [3; 32]],
        survey: [4; 32],
        engine: [5; 32],
        nonces: [[6; 32], [7; 32], [8; 32]],
    };
    let secrets = [[9; 32], [10; 32], [11; 32]];
    let closed = world.run(|party, net| {
        let keys =
            SessionKeys::derive(party, &secrets[party.index()], &secrets[party.next().index()], &context);
        let mut session = Session::new(party, [1; 32]);
        let mut compute = Compute::new(&mut session, Prss::new(keys.unwrap()), net, Tuning::default());
        compute.and(&Bits::zero(1), &Bits::zero(1)).unwrap();
        drop(compute);
        crate::open_sums(&mut session, &[], net)
    });
    assert!(closed.iter().all(|r| matches!(r, Err(Abort::Closed { .. }))));
}
