//! A party whose own program is altered: it says the same wrong thing to everybody, and goes on from there as if it were
//! right. Frames that are altered on the wire are another matter (`no_altered_message_changes_a_result`).

use core::sync::atomic::AtomicBool;

use super::*;
use crate::noise::Laplace;
use tercet_mutants::alter;

/// Most times that a program is altered at one place; the first alterations are of all kinds.
const MOST: usize = 12;

/// Alters each party in turn, at each time that its program comes to the place. The honest two never come to another result
/// than `expected`. `both`: each of the two notices; else one of them at least.
fn lie<R: Send + PartialEq + core::fmt::Debug>(
    name: &'static str,
    both: bool,
    expected: &R,
    job: impl Fn(&mut Compute<'_, TestNet<'_>>) -> Result<R, Abort> + Sync,
) {
    for liar in PartyId::ALL {
        let mut at = 0;
        while at < MOST {
            let happened = AtomicBool::new(false);
            let results = run(&TestWorld::new(21), Tuning { chunk_words: 60, ..tuning(0) }, |c| {
                let lies = c.session.party() == liar;
                if lies {
                    alter(name, at);
                }
                let result = job(c).and_then(|result| c.verify().map(|()| result));
                if lies && alter("", 0).happened() {
                    happened.store(true, Ordering::Relaxed);
                }
                result
            });
            if !happened.into_inner() {
                for result in results {
                    assert_eq!(&result.unwrap(), expected);
                }
                break;
            }
            let honest = PartyId::ALL.into_iter().filter(|p| *p != liar).map(|p| &results[p.index()]);
            let mut noticed = 0;
            for result in honest {
                match result {
                    Ok(result) => assert_eq!(result, expected, "{name} of {liar}, time {at}"),
                    Err(_) => noticed += 1,
                }
            }
            assert!(noticed >= if both { 2 } else { 1 }, "{name} of {liar}, time {at}: {noticed} notice");
            at += 1;
        }
        assert!(at > 0, "{liar} never comes to {name}");
    }
}

/// Reads off a sorted column all that there is.
fn order_job(c: &mut Compute<'_, TestNet<'_>>) -> Result<OrderAnswer, Abort> {
    let shares = shares(&VALUES.map(|v| i128::from(v).cast_unsigned()), 3);
    let column = whole(&shares[c.session.party().index()], 5);
    match answer(c, &column, &everything()) {
        Ok(answer) => Ok(answer),
        Err(ReadError::Abort(abort)) => Err(abort),
        Err(refused) => panic!("{refused}"),
    }
}

const VALUES: [i64; 5] = [9, -3, -3, 31, 0];

fn everything() -> OrderRequest {
    OrderRequest {
        combinations: vec![vec![(1, 1)], vec![(2, 3), (4, -1)]],
        ranges: vec![(1, 4)],
        distances: true,
        mode: true,
        ..Default::default()
    }
}

fn decision_job(c: &mut Compute<'_, TestNet<'_>>) -> Result<Vec<bool>, Abort> {
    let counts = shares(&[613, 9, 378], 78);
    at_least(c, &counts[c.session.party().index()], &[10; 3])
}

/// Sums with noise, in which a liar's addition to the noise would show.
fn noise_job(c: &mut Compute<'_, TestNet<'_>>) -> Result<Vec<u128>, Abort> {
    let noise = [Laplace::new("0.5".parse().unwrap(), 3).unwrap(); 2];
    let noise = draw_noise(c, &noise)?;
    let sums = shares(&[1000, 2000], 6);
    let noised: Vec<RingShare> =
        sums[c.session.party().index()].iter().zip(noise).map(|(sum, noise)| *sum + noise).collect();
    Ok(c.open_shares(Step::OpenSums, &noised)?.into_iter().map(|sum| sum.0).collect())
}

fn honest<R: Send + PartialEq + core::fmt::Debug>(
    job: impl Fn(&mut Compute<'_, TestNet<'_>>) -> Result<R, Abort> + Sync,
) -> R {
    agreed(run(&TestWorld::new(21), Tuning { chunk_words: 60, ..tuning(0) }, job))
}

/// A wrong product of a gate, sent, proved and computed on.
#[test]
fn a_wrong_product_is_caught() {
    lie("lie-gate", true, &vec![true, false, true], decision_job);
    lie("lie-gate", true, &everything().answer(&VALUES), order_job);
    lie("lie-gate", true, &honest(noise_job), noise_job);
}

/// A proof that is shared and committed to as it should be, and says something else.
#[test]
fn a_wrong_proof_is_caught() {
    lie("lie-proof-element", true, &vec![true, false, true], decision_job);
}

/// A verifier that tells both others something else than it has computed.
#[test]
fn a_lying_verifier_only_stops_the_session() {
    lie("lie-verdict", true, &vec![true, false, true], decision_job);
}

/// The two verifiers of a proof compare transcripts: if one has seen other messages or commitments, both stop.
#[test]
fn verifiers_compare_what_they_saw() {
    for (from, to) in PartyId::ALL.into_iter().flat_map(|p| [(p, p.next()), (p, p.prev())]) {
        let world = TestWorld::intercepted(21, move |envelope, mut frame| {
            if (envelope.from, envelope.to, envelope.step) == (from, to, Step::Verdict) {
                // A bit of the transcript's digest.
                frame[crate::net::FRAME_HEADER_BYTES + 17] ^= 4;
            }
            Delivery::Frame(frame)
        });
        let results = run(&world, tuning(0), decision_job);
        let prover = PartyId::ALL.into_iter().find(|p| ![from, to].contains(p)).unwrap();
        assert_eq!(results[to.index()], Err(Abort::Multiplication { step: Step::Verdict, prover }));
    }
}

/// A row that is altered in a pass of the shuffle, or by a product before or after it.
#[test]
fn altered_rows_are_caught() {
    lie("lie-shuffle", true, &everything().answer(&VALUES), order_job);
    lie("lie-product", true, &everything().answer(&VALUES), order_job);
}

/// A lie in an opened share, or in the hash of the other's.
#[test]
fn a_wrong_opening_is_caught() {
    for name in ["lie-opening", "lie-vouching"] {
        lie(name, false, &vec![true, false, true], decision_job);
        lie(name, false, &everything().answer(&VALUES), order_job);
        lie(name, false, &honest(noise_job), noise_job);
    }
}

/// An aborted session stays closed, whatever it was aborted for.
#[test]
fn nothing_is_opened_after_an_abort() {
    for name in ["lie-gate", "lie-shuffle", "lie-opening", "lie-verdict"] {
        let closed = run(&TestWorld::new(21), tuning(0), |c| {
            if c.session.party() == PartyId::P1 {
                alter(name, 0);
            }
            let result = order_job(c);
            let again = c.open_shares(Step::OpenSums, &[RingShare::default()]);
            Ok((result.is_err(), again))
        });
        for party in [PartyId::P0, PartyId::P2] {
            let Ok((stopped, again)) = &closed[party.index()] else { panic!("{name}") };
            let closed = matches!(again, Err(Abort::Closed { .. }));
            assert!(closed || !stopped, "{name}: {party} opens after an abort: {again:?}");
        }
        assert!(closed.iter().any(|r| matches!(r, Ok((true, _)))), "{name}");
    }
}
