//! The challenges of a proof about multiplications.

use alloc::vec::Vec;

use crate::PartyId;
use crate::compute::kernels::subfield::POINTS;
use crate::field::Gf128;
use crate::mutant;
use crate::proof::Transcript;

/// Bytes of a commitment to one level's explicit shares.
///
/// A collision gives a prover a second candidate for one level, fixed before the challenge as well: k candidates
/// multiply the soundness error by k and cost 2^(128 (k - 1) / k) hashes.
pub const COMMITMENT_BYTES: usize = 16;

/// A commitment to one level.
pub type Commitment = [u8; COMMITMENT_BYTES];

/// Blinds a hash of secrets with little entropy: known to the prover and one verifier, and not to the verifier that
/// sees the hash.
pub type Blind = [u8; 32];

/// The transcript on which prover and verifiers agree while a proof goes on.
pub struct Proving(Transcript);

impl Proving {
    /// `messages`: the digest of everything the prover sent in these layers, as [`hide`] gives it.
    pub fn new(round: u64, session: &[u8; 32], prover: PartyId, words: u64, messages: &[u8; 32]) -> Self {
        let mut t = Transcript::new("tercet-mpc v1 multiplication proof");
        if !mutant!("proof-challenges-without-session") {
            t.absorb("session", session);
        }
        t.absorb("round", &round.to_le_bytes());
        t.absorb("prover", &[prover as u8]).absorb("words", &words.to_le_bytes());
        if !mutant!("proof-challenges-without-messages") {
            t.absorb("messages", messages);
        }
        Self(t)
    }

    /// Weights of the columns.
    pub fn gamma(&self) -> Gf128 {
        self.challenge("gamma")
    }

    /// Takes a level's commitment in and gives its challenge.
    pub fn level(&mut self, commitment: &Commitment) -> Gf128 {
        if !mutant!("proof-challenges-without-commitments") {
            self.0.absorb("level", commitment);
        }
        self.challenge("point")
    }

    fn challenge(&self, label: &'static str) -> Gf128 {
        let mut t = self.0.clone();
        t.absorb("challenge", label.as_bytes());
        let mut stream = t.stream();
        outside_points(|| {
            let mut bytes = [0; 16];
            stream.fill(&mut bytes);
            Gf128::from_bytes(bytes)
        })
    }

    /// The hash that the two verifiers compare.
    pub fn digest(&self) -> [u8; 32] {
        self.0.digest()
    }
}

/// The first candidate that is none of the polynomials' points, zero among them: a challenge.
fn outside_points(mut candidate: impl FnMut() -> Gf128) -> Gf128 {
    loop {
        let candidate = candidate();
        if !POINTS.contains(&candidate) || mutant!("proof-challenge-may-be-a-point") {
            return candidate;
        }
    }
}

/// Commits to a level's explicit shares. The blind is from the key of prover and second verifier: the first verifier, who
/// gets the commitment, could compute these shares from a guess of the prover's inputs.
pub fn commit(blind: &Blind, shares: &[Gf128]) -> Commitment {
    let mut t = Transcript::new("tercet-mpc v2 multiplication proof, level");
    let bytes: Vec<u8> = shares.iter().flat_map(|s| s.to_bytes()).collect();
    if !mutant!("proof-commitments-without-blind") {
        t.absorb("blind", blind);
    }
    t.absorb("shares", &bytes);
    let mut commitment = [0; COMMITMENT_BYTES];
    t.stream().fill(&mut commitment);
    commitment
}

/// The digest of the proved messages as the second verifier sees it. The blind is from the key of prover and first verifier:
/// the second could compute the messages from a guess of the prover's inputs.
pub fn hide(blind: &Blind, messages: &[u8; 32]) -> [u8; 32] {
    let mut t = Transcript::new("tercet-mpc v2 multiplication messages, hidden");
    if !mutant!("messages-digest-without-blind") {
        t.absorb("blind", blind);
    }
    t.absorb("messages", messages).digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every field of the transcript, changed by itself.
    #[test]
    fn challenges_depend_on_everything() {
        type Fields = (u64, [u8; 32], PartyId, u64, [u8; 32], [Commitment; 2]);
        let base: Fields = (3, [1; 32], PartyId::P0, 512, [2; 32], [[3; 16], [4; 16]]);
        let changes: [fn(&mut Fields); 8] = [
            |f| f.0 += 1,
            |f| f.1[31] ^= 1,
            |f| f.2 = PartyId::P1,
            |f| f.3 += 1,
            |f| f.4[31] ^= 1,
            |f| f.5[0][15] ^= 1,
            |f| f.5[1][15] ^= 1,
            |f| f.5.swap(0, 1),
        ];
        let run = |f: &Fields| {
            let mut t = Proving::new(f.0, &f.1, f.2, f.3, &f.4);
            let gamma = t.gamma();
            let points = [t.level(&f.5[0]), t.level(&f.5[1])];
            (gamma, points, t.digest())
        };
        let (gamma, points, digest) = run(&base);
        assert!(gamma != points[0] && points[0] != points[1]);
        for (i, change) in changes.iter().enumerate() {
            let mut fields = base;
            change(&mut fields);
            let (g, p, d) = run(&fields);
            // What is said later does not change what was drawn before.
            assert_eq!(g == gamma, i >= 5, "{i}");
            assert_eq!(p[0] == points[0], i == 6, "{i}");
            assert!(p[1] != points[1] && d != digest, "{i}");
        }
    }

    #[test]
    fn a_challenge_is_no_point() {
        let outside = Gf128(1 << 100);
        let mut candidates = POINTS.into_iter().chain([Gf128::ZERO, outside]);
        assert_eq!(outside_points(|| candidates.next().unwrap()), outside);
    }

    #[test]
    fn blinds_hide() {
        let shares = [Gf128(5), Gf128(6)];
        assert_ne!(commit(&[1; 32], &shares), commit(&[2; 32], &shares));
        assert_ne!(commit(&[1; 32], &shares), commit(&[1; 32], &[Gf128(5), Gf128(7)]));
        assert_ne!(hide(&[1; 32], &[3; 32]), hide(&[2; 32], &[3; 32]));
        assert_ne!(hide(&[1; 32], &[3; 32]), hide(&[1; 32], &[4; 32]));
    }
}
