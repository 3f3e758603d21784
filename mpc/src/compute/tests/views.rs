//! The views of each party, over many runs in which everything that it holds is the same, and only the key that it lacks
//! is fresh: fair coins.

use alloc::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::compute::shuffle::Rows;
use crate::net::FRAME_HEADER_BYTES;
use crate::noise::Laplace;
use crate::sharing::{Replicated, Xor};
use crate::testing::Envelope;
use tercet_mutants::alter;

/// All frames of a run, without headers, in an order of their own for each pair.
type Frames = Vec<(Envelope, Vec<u8>)>;

/// Runs a job in session and keys of seed 1, but for the key of the pair that `fresh` says.
fn frames<R: Send>(
    fresh: Option<(PartyId, u64)>,
    job: impl Fn(&mut Compute<'_, TestNet<'_>>) -> Result<R, Abort> + Sync,
) -> ([Result<R, Abort>; 3], Frames) {
    let frames = Arc::new(Mutex::new(Vec::new()));
    let tap = frames.clone();
    let world = TestWorld::intercepted(1, move |envelope, frame| {
        tap.lock().unwrap().push((envelope, frame[FRAME_HEADER_BYTES..].to_vec()));
        Delivery::Frame(frame)
    });
    // Pair i: the parties i - 1 and i.
    let secret = |pair: PartyId| match fresh {
        Some((changed, seed)) if changed == pair => TestWorld::new(seed).bytes("fresh"),
        _ => world.bytes(["pair 0", "pair 1", "pair 2"][pair.index()]),
    };
    let keys =
        |party: PartyId| keys_of(world.bytes("session"), party, [&secret(party), &secret(party.next())]);
    let results = run_with(&world, keys, tuning(0), job);
    let frames = core::mem::take(&mut *frames.lock().unwrap());
    (results, frames)
}

const RUNS: u32 = 200;

/// Every bit of every frame that a party receives is a fair coin, whatever the key that it lacks.
fn views_are_fair<R: Send>(job: impl Fn(&mut Compute<'_, TestNet<'_>>) -> Result<R, Abort> + Sync) {
    for viewer in PartyId::ALL {
        let mut ones: BTreeMap<(usize, u8, usize), Vec<u32>> = BTreeMap::new();
        let mut seen: BTreeMap<(usize, u8, usize), u32> = BTreeMap::new();
        for seed in 0..RUNS {
            let (results, frames) = frames(Some((viewer.prev(), u64::from(seed))), &job);
            assert!(results.iter().all(Result::is_ok));
            for (e, frame) in frames.into_iter().filter(|(e, _)| e.to == viewer) {
                let key = (e.from.index(), e.step as u8, e.number);
                *seen.entry(key).or_default() += 1;
                let ones = ones.entry(key).or_insert_with(|| vec![0; 8 * frame.len()]);
                assert_eq!(ones.len(), 8 * frame.len(), "a frame's length depends on the keys");
                ones.iter_mut().enumerate().for_each(|(i, n)| *n += u32::from(frame[i / 8] >> (i % 8) & 1));
            }
        }
        // Beyond this a fair coin comes once in 10^9 times.
        let fair = |n: &u32| (RUNS / 2 - 45..=RUNS / 2 + 45).contains(n);
        for (key, ones) in &ones {
            assert_eq!(seen[key], RUNS);
            let outside = ones.iter().position(|n| !fair(n));
            assert_eq!(outside, None, "{viewer} sees frame {key:?} of {} bits", ones.len());
        }
        assert!(!ones.is_empty());
    }
}

/// 64 rows of a 4-bit column, so that there is no row that everybody knows to be zero.
fn full_words() -> [Vec<RingShare>; 3] {
    shares(&core::array::from_fn::<u128, 64, _>(|i| i as u128 % 11), 12)
}

#[test]
fn gates_and_their_proofs_look_random() {
    let lanes = full_words();
    views_are_fair(|c| {
        let mut numbers = c.bits_of(&lanes[c.session.party().index()], 4)?;
        // The lowest bits go through no gate.
        numbers.planes.remove(0);
        c.open_numbers(&numbers, 64)
    });
}

#[test]
fn conversions_look_random() {
    let lanes = full_words();
    views_are_fair(|c| {
        let numbers = c.bits_of(&lanes[c.session.party().index()], 4)?;
        c.ring_of(&numbers, 64, 6).map(drop)
    });
}

/// Rows that are shared once and for all.
fn rows(party: PartyId) -> Rows {
    let all = shares(&[7, 7 << 100, 3], 5);
    let bits = |x: fn(&RingShare) -> Ring| all[party.index()].iter().map(|s| x(s).0).collect::<Vec<_>>();
    Rows { own: bits(|s| s.own), next: bits(|s| s.next) }
}

#[test]
fn shuffles_look_random() {
    views_are_fair(|c| c.shuffle(rows(c.session.party())).map(drop));
}

/// Without a mask of its own, a product of equal rows would be equal.
#[test]
fn products_of_equal_rows_differ() {
    let (_, frames) = frames(None, |c| {
        let one = rows(c.session.party());
        let row = |side: &[u128]| vec![side[0]; 3];
        c.shuffle(Rows { own: row(&one.own), next: row(&one.next) }).map(drop)
    });
    let mut products = 0;
    for (e, frame) in frames.iter().filter(|(e, f)| e.step == Step::Product && f.len() == 48) {
        products += 1;
        let elements: BTreeSet<&[u8]> = frame.chunks(16).collect();
        assert_eq!(elements.len(), 3, "{e:?}");
    }
    assert_eq!(products, 3);
}

/// The sums that all three learn in each exchange of a step: of the shares that are sent to the next party.
fn opened(frames: &Frames, step: Step, sum: impl Fn(u128, u128) -> u128) -> Vec<Vec<u128>> {
    let mut by: [Vec<&[u8]>; 3] = Default::default();
    for (e, frame) in frames.iter().filter(|(e, _)| e.step == step && e.to == e.from.next()) {
        by[e.from.index()].push(frame);
    }
    let [a, b, c] = by;
    let words = |bytes: &[u8]| -> Vec<u128> {
        let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte));
        bytes.chunks(16).map(word).collect()
    };
    let together = |((a, b), c): ((&[u8], &[u8]), &[u8])| {
        let (a, b, c) = (words(a), words(b), words(c));
        a.into_iter().zip(b).zip(c).map(|((a, b), c)| sum(sum(a, b), c)).collect()
    };
    a.into_iter().zip(b).zip(c).map(together).collect()
}

fn xor(a: u128, b: u128) -> u128 {
    a ^ b
}

/// Numbers that become arithmetic shares are opened with a mask added that nobody knows: each key makes it uniform.
#[test]
fn what_is_opened_of_a_conversion_is_a_fair_coin() {
    let lanes = full_words();
    for pair in PartyId::ALL {
        let mut ones = vec![0u32; 6 * 64];
        for seed in 0..RUNS {
            let (_, frames) = frames(Some((pair, u64::from(seed))), |c| {
                let numbers = c.bits_of(&lanes[c.session.party().index()], 4)?;
                c.ring_of(&numbers, 64, 6).map(drop)
            });
            let all = opened(&frames, Step::OpenBits, xor);
            assert_eq!(all.len(), 1);
            for (i, n) in ones.iter_mut().enumerate() {
                *n += (all[0][i / 128] >> (i % 128) & 1) as u32;
            }
        }
        assert!(ones.iter().all(|n| (RUNS / 2 - 45..=RUNS / 2 + 45).contains(n)), "{pair}: {ones:?}");
    }
}

/// No two parties can compute the noise: it is another one with each key.
#[test]
fn noise_depends_on_all_keys() {
    let noise = [Laplace::new("0.01".parse().unwrap(), 1).unwrap(); 3];
    let drawn = |fresh| {
        let shares = frames(fresh, |c| draw_noise(c, &noise)).0.map(|r| r.unwrap());
        [0, 1, 2].map(|i| Replicated::reconstruct(shares.each_ref().map(|s| s[i])).unwrap())
    };
    let base = drawn(None);
    for pair in PartyId::ALL {
        assert_ne!(drawn(Some((pair, 5))), base, "{pair}");
    }
}

/// To every party, all orders of shuffled rows are equally likely: the key that it lacks decides alone.
#[test]
fn nobody_knows_the_order_of_shuffled_rows() {
    for viewer in PartyId::ALL {
        let mut counts: BTreeMap<Vec<u128>, u32> = BTreeMap::new();
        for seed in 0..RUNS {
            let (results, _) = frames(Some((viewer.prev(), u64::from(seed))), |c| {
                // XOR sharings of three different rows.
                let number = |holder| if holder == PartyId::P0 { vec![1, 2, 3] } else { vec![0; 3] };
                let me = c.session.party();
                let rows = c.shuffle(Rows { own: number(me), next: number(me.next()) })?;
                Ok(rows.own)
            });
            let [a, b, c] = results.map(|r| r.unwrap());
            let order = a.into_iter().zip(b).zip(c).map(|((a, b), c)| a ^ b ^ c).collect();
            *counts.entry(order).or_default() += 1;
        }
        assert_eq!(counts.len(), 6, "{viewer}: {counts:?}");
        let expected = f64::from(RUNS) / 6.0;
        let chi: f64 = counts.values().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        // Five degrees of freedom: above 25.7 once in 10^4; the seeds are fixed.
        assert!(chi < 25.7, "{viewer}: {counts:?}");
    }
}

/// Only the bits below a ring element's range are opened, shifted to the top: those above would tell about the shares.
#[test]
fn ring_elements_are_opened_without_what_is_above_them() {
    let lanes = shares(&[1, 2, 3], 4);
    let request = OrderRequest { ranges: vec![(1, 3)], distances: true, ..Default::default() };
    let (results, frames) =
        frames(None, |c| Ok(answer(c, &whole(&lanes[c.session.party().index()], 3), &request).unwrap()));
    assert_eq!(agreed(results), request.answer(&[1, 2, 3]));
    let sums = opened(&frames, Step::OpenSums, u128::wrapping_add).concat();
    assert_eq!(sums.len(), 2);
    for sum in sums {
        assert!(sum != 0 && sum << 28 == 0, "{sum:x}");
    }
}

/// Equal values compare as any others do, since rows have numbers below their values.
#[test]
fn ties_do_not_show() {
    let lanes = shares(&[5; 3], 4);
    let mut ones = [0u32; 3];
    for seed in 0..RUNS {
        let (_, frames) = frames(Some((PartyId::P2, u64::from(seed))), |c| {
            sort(c, &lanes[c.session.party().index()], 4, None).map(drop)
        });
        let all = opened(&frames, Step::OpenBits, xor);
        let first = all.first().and_then(|words| words.first()).copied().unwrap();
        ones.iter_mut().enumerate().for_each(|(i, n)| *n += (first >> i & 1) as u32);
    }
    assert!(ones.iter().all(|n| (RUNS / 2 - 45..=RUNS / 2 + 45).contains(n)), "{ones:?}");
}

/// The shuffle's coin is one that no two parties know beforehand: it depends on all three keys.
#[test]
fn the_coin_depends_on_all_keys() {
    let coin = |fresh| agreed(frames(fresh, |c| c.coin()).0);
    let base = coin(None);
    for pair in PartyId::ALL {
        assert_ne!(coin(Some((pair, 5))), base, "{pair}");
    }
}

/// If rows were altered, the others learn that, and not the key of the tags times the alteration: the difference that is
/// opened weighs each row by a power of the coin, and has a factor that nobody knows.
#[test]
fn the_difference_of_tags_is_masked() {
    let world = TestWorld::new(1);
    let mut prss = PartyId::ALL.map(|p| Prss::new(session_keys(&world, p)));
    let mut secret = || {
        let shares = prss.each_mut().map(|p| p.random::<blake3::OutputReader, Xor>(Step::Product, 1)[0]);
        Gf128(Replicated::reconstruct(shares).unwrap().0)
    };
    // The tags' products and the check's own draw masks between the two.
    let [key, _, _, mask] = [(); 4].map(|()| secret());
    let (results, frames) = frames(None, |c| {
        if c.session.party() == PartyId::P2 {
            // Of the last pass.
            alter("lie-shuffle", 1);
        }
        c.shuffle(rows(c.session.party())).map(drop)
    });
    let altered = |r: &Result<(), Abort>| matches!(r, Err(Abort::Altered { .. }));
    assert!(results.iter().all(altered), "{results:?}");
    let all = opened(&frames, Step::OpenElements, xor);
    let (coin, difference) = (Gf128(all[0][0]), Gf128(all[1][0]));
    // The first row was altered by one, and weighs as much as the coin.
    assert_eq!(difference, coin * key * mask);
}
