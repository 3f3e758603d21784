//! Fiat and Shamir: challenges from everything the prover has said and everything that is public.

use alloc::vec::Vec;

use super::hashes::ShareHashes;
use crate::PROTOCOL_VERSION;
use crate::field::Gf128;
use crate::mutant;
use crate::statement::Statement;

/// A hash of labelled, length-prefixed fields under a domain of its own.
#[derive(Clone)]
pub(crate) struct Transcript(blake3::Hasher);

impl Transcript {
    /// `domain` is a constant of the code, unique to one use.
    pub fn new(domain: &'static str) -> Self {
        let mut this = Self(blake3::Hasher::new_derive_key(domain));
        if !mutant!("transcript-without-version") {
            this.absorb("protocol version", &PROTOCOL_VERSION.to_le_bytes());
        }
        this
    }

    /// Adds a field; no two sequences of fields give the same bytes.
    pub fn absorb(&mut self, label: &'static str, data: &[u8]) -> &mut Self {
        for field in [label.as_bytes(), data] {
            if !mutant!("transcript-without-lengths") {
                self.0.update(&(field.len() as u64).to_le_bytes());
            }
            self.0.update(field);
        }
        self
    }

    /// 32 bytes that depend on every field so far.
    pub fn digest(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }

    /// A stream that depends on every field so far.
    pub fn stream(&self) -> blake3::OutputReader {
        self.0.finalize_xof()
    }
}

/// The next 16 bytes of a stream as an element of K.
pub(crate) fn element(stream: &mut blake3::OutputReader) -> Gf128 {
    let mut bytes = [0; 16];
    stream.fill(&mut bytes);
    Gf128::from_bytes(bytes)
}

/// The verifier's randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenges {
    /// Combines the columns of gates; fixed before the proof.
    pub gamma: Gf128,
    /// The point at which the polynomials are opened; outside their points.
    pub point: Gf128,
    /// Combines the columns of wires that must be zero.
    pub delta: Gf128,
}

/// The transcript up to `gamma`: version, context, statement, commitments to the witness and to rows.
fn first(statement: &Statement, ctx: &[u8; 32], hashes: &ShareHashes) -> Transcript {
    let mut t = Transcript::new("tercet-mpc v1 provider proof: witness challenge");
    t.absorb("context", ctx).absorb("statement", &statement.encode());
    t.absorb("share 0", &hashes.seeds[0])
        .absorb("share 1", &hashes.seeds[1])
        .absorb("share 2", &hashes.witness)
        .absorb("rows", hashes.rows.as_flattened());
    t
}

/// The challenge that the prover needs to make the proof.
pub(super) fn gamma(statement: &Statement, ctx: &[u8; 32], hashes: &ShareHashes) -> Gf128 {
    element(&mut first(statement, ctx, hashes).stream())
}

/// All challenges. `log_rows` is the layout's; a point in U(log_rows + 1), all points of the proof, is passed over.
pub fn challenges(statement: &Statement, ctx: &[u8; 32], hashes: &ShareHashes, log_rows: u32) -> Challenges {
    let first = first(statement, ctx, hashes);
    let gamma = element(&mut first.stream());
    let mut t = Transcript::new("tercet-mpc v1 provider proof: point");
    t.absorb("first", &first.digest()).absorb("gamma", &gamma.to_bytes()).absorb("proof", &hashes.proof);
    let mut stream = t.stream();
    let delta = element(&mut stream);
    let point = outside_subspace(log_rows + 1, || element(&mut stream));
    Challenges { gamma, point, delta }
}

/// The first candidate outside U(log): at a point inside, an opening would be a wire.
pub(super) fn outside_subspace(log: u32, mut candidate: impl FnMut() -> Gf128) -> Gf128 {
    loop {
        let candidate = candidate();
        if !in_subspace(candidate, log) || mutant!("challenge-may-be-a-point") {
            return candidate;
        }
    }
}

/// True if x is in U(log).
fn in_subspace(x: Gf128, log: u32) -> bool {
    (0..log).fold(x, |x, _| x.square() + x) == Gf128::ZERO
}

/// Domain-separated commitments to shares.
pub(super) mod commitments {
    use super::{ShareHashes, Statement, Transcript, Vec};

    /// To a seed: 256 bits nobody guesses, from which the share's witness *and* proof follow.
    pub fn seed(index: usize, seed: &[u8; 32]) -> [u8; 32] {
        Transcript::new("tercet-mpc v1 seed commitment")
            .absorb("index", &[index as u8])
            .absorb("seed", seed)
            .digest()
    }

    /// To the explicit share's witness, hidden by the blind.
    pub fn witness(blind: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
        Transcript::new("tercet-mpc v1 witness commitment")
            .absorb("blind", blind)
            .absorb("witness", bytes)
            .digest()
    }

    /// To the explicit share's proof, hidden by the blind.
    pub fn proof(blind: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
        Transcript::new("tercet-mpc v1 proof commitment")
            .absorb("blind", blind)
            .absorb("proof", bytes)
            .digest()
    }

    /// The hash of everything that a private part's shares may be opened under.
    pub fn binding(statement: &Statement, ctx: &[u8; 32], hashes: &ShareHashes) -> [u8; 32] {
        Transcript::new("tercet-mpc v2 private part")
            .absorb("context", ctx)
            .absorb("statement", &statement.encode())
            .absorb("share hashes", &hashes.encode())
            .digest()
    }

    /// The prover's own key: a seed used again with another witness, statement or context gives other shares.
    pub fn prover(parts: &[&[u8]]) -> Transcript {
        let mut t = Transcript::new("tercet-mpc v1 prover randomness");
        let fields: Vec<_> = parts.to_vec();
        fields.iter().for_each(|part| {
            t.absorb("part", part);
        });
        t
    }
}
