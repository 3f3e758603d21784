//! The challenges of a proof about multiplications.

use alloc::vec::Vec;

use crate::PartyId;
use crate::compute::kernels::subfield::POINTS;
use crate::field::Gf128;
use crate::proof::Transcript;

/// Bytes of a commitment to one level's explicit shares.
///
/// What a collision gives a prover is a second candidate for one level, fixed before the challenge as well: k
/// candidates multiply the soundness error by k and cost 2^(128 (k - 1) / k) hashes.
pub const COMMITMENT_BYTES: usize = 16;

/// A commitment to one level.
pub type Commitment = [u8; COMMITMENT_BYTES];

/// What prover and verifiers agree on while a proof goes on.
pub struct Proving(Transcript);

impl Proving {
    /// `messages`: the digest of everything the prover sent in these layers.
    pub fn new(round: u64, session: &[u8; 32], prover: PartyId, words: u64, messages: &[u8; 32]) -> Self {
        let mut t = Transcript::new("tercet-mpc v1 multiplication proof");
        t.absorb("session", session).absorb("round", &round.to_le_bytes());
        t.absorb("prover", &[prover as u8])
            .absorb("words", &words.to_le_bytes())
            .absorb("messages", messages);
        Self(t)
    }

    /// Weights of the columns.
    pub fn gamma(&self) -> Gf128 {
        self.challenge("gamma")
    }

    /// Takes a level's commitment in and gives its challenge.
    pub fn level(&mut self, commitment: &Commitment) -> Gf128 {
        self.0.absorb("level", commitment);
        self.challenge("point")
    }

    fn challenge(&self, label: &'static str) -> Gf128 {
        let mut t = self.0.clone();
        t.absorb("challenge", label.as_bytes());
        let mut stream = t.stream();
        let mut bytes = [0; 16];
        loop {
            stream.fill(&mut bytes);
            let candidate = Gf128::from_bytes(bytes);
            // Points of the polynomials, zero among them, are no challenges.
            if !POINTS.contains(&candidate) {
                return candidate;
            }
        }
    }

    /// What the two verifiers compare.
    pub fn digest(&self) -> [u8; 32] {
        self.0.digest()
    }
}

/// Commits to a level's explicit shares.
pub fn commit(shares: &[Gf128]) -> Commitment {
    let mut t = Transcript::new("tercet-mpc v1 multiplication proof, level");
    let bytes: Vec<u8> = shares.iter().flat_map(|s| s.to_bytes()).collect();
    t.absorb("shares", &bytes);
    let mut commitment = [0; COMMITMENT_BYTES];
    t.stream().fill(&mut commitment);
    commitment
}
