//! A passive verifier's guesses. Gates are about secrets with little entropy, so it is assumed to have guessed right: it
//! knows all of a prover's inputs, and with them everything that a proof is made of but the keys that it lacks. Nothing that
//! it sees may then say that the guess is right.

use core::cell::RefCell;

use super::super::verify::{Commitment, commit, hide};
use super::*;
use crate::net::Peer;

/// One level of a proof at its prover.
#[derive(Clone)]
struct Level {
    elements: Vec<Gf128>,
    explicit: Vec<Gf128>,
    blind: [u8; 32],
    commitment: Commitment,
}

/// All that a prover puts into one proof.
#[derive(Clone, Default)]
struct Proven {
    /// The digest of the messages, and the part of it that the second verifier gets.
    digests: [[u8; 32]; 2],
    levels: Vec<Level>,
    /// The rest of the prover's vectors, their masks, and the last challenge.
    left: [Gf128; 2],
    masks: [Gf128; 2],
    point: Gf128,
}

std::thread_local! {
    static SPY: RefCell<Option<Vec<Proven>>> = const { RefCell::new(None) };
}

fn with_last(f: impl FnOnce(&mut Proven)) {
    SPY.with_borrow_mut(|spy| _ = spy.as_mut().and_then(|proofs| proofs.last_mut()).map(f));
}

/// Called by the prover.
pub fn proves(messages: &[u8; 32], hidden: &[u8; 32]) {
    SPY.with_borrow_mut(|spy| {
        if let Some(proofs) = spy {
            proofs.push(Proven { digests: [*messages, *hidden], ..Default::default() });
        }
    });
}

/// Called by the prover.
pub fn says(elements: &[Gf128], explicit: &[Gf128], blind: &[u8; 32], commitment: Commitment) {
    let level = Level { elements: elements.to_vec(), explicit: explicit.to_vec(), blind: *blind, commitment };
    with_last(|proof| proof.levels.push(level));
}

/// Called by the prover.
pub fn left(left: [Gf128; 2], masks: [Gf128; 2], point: Gf128) {
    with_last(|proof| (proof.left, proof.masks, proof.point) = (left, masks, point));
}

/// The trace of a run of the decision on hidden counts: every party's proofs, and all frames.
struct Seen {
    proofs: [Vec<Proven>; 3],
    frames: Vec<(crate::testing::Envelope, Vec<u8>)>,
}

const SEED: u64 = 3;

fn run_seen() -> Seen {
    let frames = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tap = frames.clone();
    let world = TestWorld::intercepted(SEED, move |envelope, frame| {
        tap.lock().unwrap().push((envelope, frame[crate::net::FRAME_HEADER_BYTES..].to_vec()));
        Delivery::Frame(frame)
    });
    let counts = shares(&[613, 9, 378], 77);
    let proofs = run(&world, tuning(0), |c| {
        SPY.set(Some(Vec::new()));
        let bits = at_least(c, &counts[c.session.party().index()], &[10, 10, 10])?;
        assert_eq!(bits, [true, false, true]);
        Ok(SPY.take().unwrap())
    });
    let frames = core::mem::take(&mut *frames.lock().unwrap());
    Seen { proofs: proofs.map(|p| p.unwrap()), frames }
}

/// Everything of the given length that a party may take from its two keys' streams for proofs, at any place; and zeros.
fn known<const N: usize>(party: PartyId, proofs: usize) -> BTreeSet<[u8; N]> {
    let world = TestWorld::new(SEED);
    let mut prss = Prss::new(session_keys(&world, party));
    let mut known = BTreeSet::from([[0; N]]);
    for _ in 0..2 * proofs {
        let mut streams: [blake3::OutputReader; 2] = prss.streams(Step::Proof);
        for stream in &mut streams {
            let mut bytes = [0; 4096];
            stream.fill(&mut bytes);
            known.extend(bytes.windows(N).map(|w| <[u8; N]>::try_from(w).unwrap()));
        }
    }
    known
}

/// The frames of one step from one party to a peer, in order.
fn sent(seen: &Seen, step: Step, from: PartyId, to: Peer) -> Vec<&[u8]> {
    let of = |e: &crate::testing::Envelope| (e.step, e.from, e.to) == (step, from, to.of(from));
    seen.frames.iter().filter(|(e, _)| of(e)).map(|(_, f)| f.as_slice()).collect()
}

/// The first verifier gets commitments to values that it can compute from its guess: they match under none of the blinds
/// that it could know. They do match under the blind that the second verifier draws.
#[test]
fn commitments_do_not_tell_whether_a_guess_is_right() {
    let seen = run_seen();
    for verifier in PartyId::ALL {
        let prover = verifier.next();
        let proofs = &seen.proofs[prover.index()];
        let known = known::<32>(verifier, proofs.len());
        let received = sent(&seen, Step::Proof, prover, Peer::Prev);
        assert_eq!(received.len(), proofs.len());
        for (proof, frame) in proofs.iter().zip(received) {
            let commitments: Vec<Commitment> = frame.as_chunks().0.to_vec();
            assert_eq!(commitments.len(), proof.levels.len());
            for (k, (level, commitment)) in proof.levels.iter().zip(&commitments).enumerate() {
                assert_eq!(level.commitment, *commitment);
                assert_eq!(commit(&level.blind, &level.explicit), *commitment);
                let fits = known.iter().any(|blind| commit(blind, &level.explicit) == *commitment);
                assert!(!fits, "{verifier} verifies a guess at level {k} of {prover}");
            }
        }
    }
}

/// The second verifier gets a digest of messages that it can compute from its guess.
#[test]
fn a_digest_of_messages_does_not_tell_whether_a_guess_is_right() {
    let seen = run_seen();
    for verifier in PartyId::ALL {
        let prover = verifier.prev();
        let proofs = &seen.proofs[prover.index()];
        let known = known::<32>(verifier, proofs.len());
        for (proof, frame) in proofs.iter().zip(sent(&seen, Step::Proof, prover, Peer::Next)) {
            let [messages, hidden] = proof.digests;
            assert_eq!(frame[..32], hidden);
            assert_ne!(messages, hidden);
            let fits = known.iter().any(|blind| hide(blind, &messages) == hidden);
            assert!(!fits, "{verifier} verifies a guess of {prover}'s messages");
        }
    }
}

/// The second verifier's part of a proof is the proof less a part that it does not know.
#[test]
fn explicit_parts_do_not_tell_whether_a_guess_is_right() {
    let seen = run_seen();
    for verifier in PartyId::ALL {
        let prover = verifier.prev();
        let proofs = &seen.proofs[prover.index()];
        let known = known::<16>(verifier, proofs.len());
        for (proof, frame) in proofs.iter().zip(sent(&seen, Step::Proof, prover, Peer::Next)) {
            let explicit: Vec<Gf128> =
                frame[32..].as_chunks().0.iter().map(|e| Gf128::from_bytes(*e)).collect();
            let elements = proof.levels.iter().flat_map(|level| &level.elements);
            for (k, (shown, element)) in explicit.iter().zip(elements).enumerate() {
                let hidden = (*shown + *element).to_bytes();
                assert!(!known.contains(&hidden), "{verifier}: element {k} of {prover} stands in clear");
            }
        }
    }
}

/// In the end each verifier shows the other a point on a line from its value to a mask; the other may know the value.
#[test]
fn last_values_are_masked() {
    let seen = run_seen();
    for prover in PartyId::ALL {
        let proofs = &seen.proofs[prover.index()];
        // The first verifier shows a to the second, the second shows b to the first.
        let views = [(prover.prev(), Peer::Prev, 0), (prover.next(), Peer::Next, 1)];
        for (from, to, side) in views {
            let viewer = to.of(from);
            let known = known::<16>(viewer, proofs.len());
            let frames = sent(&seen, Step::Verdict, from, to);
            assert_eq!(frames.len(), proofs.len());
            for (proof, frame) in proofs.iter().zip(frames) {
                let shown = Gf128::from_bytes(frame[48..64].try_into().unwrap());
                let (value, mask, r) = (proof.left[side], proof.masks[side], proof.point);
                assert_eq!(shown, value + r * (value + mask));
                let mask = (shown + value) * r.invert() + value;
                assert!(!known.contains(&mask.to_bytes()), "{viewer} unmasks a value of {prover}'s proof");
            }
        }
    }
}
