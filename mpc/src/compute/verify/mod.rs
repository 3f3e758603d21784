//! Proofs that a party's messages in multiplications were right, to the two others.
//!
//! For a gate, party i sends `z_i = x_i y_i + x_i y_(i+1) + x_(i+1) y_i + F(K_i) + F(K_(i+1))` to party i - 1. The
//! parties i - 1 and i + 1 know between them all of
//! `z_i + F(K_i) + x_i y_i` and `F(K_(i+1))`, whose sum must be `x_i y_(i+1) + x_(i+1) y_i`: an inner product of bits
//! that one of them knows with bits that the other knows. Party i proves it for all gates at once (Boneh, Boyle,
//! Corrigan-Gibbs, Gilboa and Ishai, CRYPTO 2019; Boyle, Gilboa, Ishai and Nof, CCS 2019): columns of 32 bits become
//! polynomials over a subfield of 256 elements ([`rows`]), their values at a challenge an inner product over K, and
//! that is halved until one masked product is left ([`inner`]). The proof is shared between the two verifiers; one
//! verifier's part comes from the key it shares with the prover, so only the other's travels. Two exchanges, of which
//! the second decides.

mod inner;
mod pair;
mod rows;
pub(crate) mod subfield;
mod transcript;

use alloc::vec;
use alloc::vec::Vec;

use super::kernels::FieldVector;
use super::{Bits, Host};
use crate::field::Gf128;
use crate::net::{Abort, Peer, Session, Step};
use crate::prss::Prss;
use rows::{AtPoint, Operands};
use subfield::ROWS;
use transcript::{COMMITMENT_BYTES, Commitment, Proving, commit};

/// Bytes of a digest.
const DIGEST: usize = 32;

/// Multiplications whose messages have not been verified yet, as this party saw them.
pub(super) struct Ledger {
    /// Inputs: the party's own shares, and its next.
    x: [Vec<u64>; 2],
    y: [Vec<u64>; 2],
    /// As the first verifier of the next party: `z + F(K) + x y` in shares i + 1.
    received: Vec<u64>,
    /// As the second verifier of the previous party: `F(K_i)`.
    own_mask: Vec<u64>,
    sent_digest: blake3::Hasher,
    received_digest: blake3::Hasher,
}

impl Default for Ledger {
    fn default() -> Self {
        let hasher = || blake3::Hasher::new_derive_key("tercet-mpc v1 multiplication messages");
        Self {
            x: Default::default(),
            y: Default::default(),
            received: Vec::new(),
            own_mask: Vec::new(),
            sent_digest: hasher(),
            received_digest: hasher(),
        }
    }
}

/// One layer of gates, for the ledger.
pub(super) struct Layer<'a> {
    pub x: &'a Bits,
    pub y: &'a Bits,
    /// This party's message.
    pub sent: &'a [u8],
    /// The next party's, as bytes and as words.
    pub received: &'a [u8],
    pub z_next: &'a [u64],
    /// `F(K_i)` and `F(K_(i+1))`.
    pub masks: [&'a [u64]; 2],
}

impl Ledger {
    /// Words of gates that wait.
    pub fn words(&self) -> usize {
        self.received.len()
    }

    /// Takes a layer's messages down.
    pub fn record(&mut self, layer: &Layer<'_>) {
        let (x, y) = (layer.x, layer.y);
        for (to, from) in self.x.iter_mut().zip([&x.own, &x.next]) {
            to.extend_from_slice(from);
        }
        for (to, from) in self.y.iter_mut().zip([&y.own, &y.next]) {
            to.extend_from_slice(from);
        }
        let products = x.next.iter().zip(&y.next).map(|(x, y)| x & y);
        let masked = layer.z_next.iter().zip(layer.masks[1]).map(|(z, f)| z ^ f);
        self.received.extend(masked.zip(products).map(|(a, b)| a ^ b));
        self.own_mask.extend_from_slice(layer.masks[0]);
        self.sent_digest.update(layer.sent);
        self.received_digest.update(layer.received);
    }

    fn pad(&mut self) {
        let [x0, x1] = &mut self.x;
        let [y0, y1] = &mut self.y;
        for words in [x0, x1, y0, y1, &mut self.received, &mut self.own_mask] {
            rows::pad(words);
        }
    }
}

/// One party's view of one proof while it is verified.
struct Claim {
    transcript: Proving,
    /// This verifier's part of the claim.
    value: Gf128,
    /// This verifier's vector, down to one masked element.
    shown: Gf128,
}

/// What a verifier takes from its part of the proof, level by level.
struct Part<'a> {
    shares: &'a [Gf128],
    commitments: &'a [Commitment],
    /// Hides what the verifier shows in the end.
    mask: Gf128,
}

/// Elements of a proof for so many columns, and its commitments.
fn sizes(columns: usize) -> (usize, usize) {
    let levels = inner::levels(2 * columns);
    (ROWS + inner::LEVEL * (levels + 1), levels + 2)
}

/// Verifies all that the ledger holds. After an error nothing that depends on it may be opened.
pub(super) fn verify<H: Host>(
    ledger: &mut Ledger,
    session: &mut Session,
    prss: &mut Prss,
    host: &mut H,
) -> Result<(), Abort> {
    let mut ledger = core::mem::take(ledger);
    if ledger.words() == 0 {
        return Ok(());
    }
    ledger.pad();
    let columns = rows::columns_of(ledger.words());
    let (elements, commitments) = sizes(columns);
    let party = session.party();
    let round = session.begin(Step::Proof)?;
    let digests = [&ledger.sent_digest, &ledger.received_digest].map(|d| *d.finalize().as_bytes());

    // The first verifier's part of each proof and its mask; then the second verifier's mask.
    let mut streams = prss.streams(Step::Proof);
    let [hidden_own, hidden_next] = streams.each_mut().map(|stream| draw(stream, elements + 1));
    let mut streams = prss.streams(Step::Proof);
    let [mask_own, mask_next] = streams.each_mut().map(element);

    let id = *session.id();
    let words = ledger.words() as u64;
    let open = |prover, digest: &[u8; DIGEST]| Proving::new(round.number(), &id, prover, words, digest);
    let mine = prove::<H::Vector>(&ledger, open(party, &digests[0]), &hidden_own, mask_next);
    let mut to_next = digests[0].to_vec();
    to_next.extend(mine.explicit.iter().flat_map(|e| e.to_bytes()));
    let [from_next, from_prev] = session.exchange(host, &round, &to_next, &mine.commitments.concat())?;

    // As first verifier of the next party.
    let malformed = |peer: Peer, step| Abort::Malformed { peer: peer.of(party), step };
    let theirs = match from_next.as_chunks::<COMMITMENT_BYTES>() {
        (list, []) if list.len() == commitments => list,
        _ => return Err(malformed(Peer::Next, Step::Proof)),
    };
    let (&mask, shares) = hidden_next.split_last().ok_or(malformed(Peer::Next, Step::Proof))?;
    let part = Part { shares, commitments: theirs, mask };
    let first = check::<H::Vector>(
        open(party.next(), &digests[1]),
        [&ledger.x[1], &ledger.y[1]],
        &ledger.received,
        &part,
        true,
    );
    // As second verifier of the previous party.
    let (digest, shares) =
        from_prev.split_first_chunk::<DIGEST>().ok_or(malformed(Peer::Prev, Step::Proof))?;
    let shares: Vec<Gf128> = match shares.as_chunks::<16>() {
        (list, []) if list.len() == elements => list.iter().map(|e| Gf128::from_bytes(*e)).collect(),
        _ => return Err(malformed(Peer::Prev, Step::Proof)),
    };
    let theirs = commitments_of(&shares);
    let part = Part { shares: &shares, commitments: &theirs, mask: mask_own };
    let second = check::<H::Vector>(
        open(party.prev(), digest),
        [&ledger.y[0], &ledger.x[0]],
        &ledger.own_mask,
        &part,
        false,
    );
    session.complete(round);

    // The verifiers of the next party are this one and the previous; of the previous, this one and the next.
    let round = session.begin(Step::Verdict)?;
    let [from_next, from_prev] = session.exchange(host, &round, &second.encode(), &first.encode())?;
    for (peer, claim, other) in [(Peer::Prev, &first, from_prev), (Peer::Next, &second, from_next)] {
        let (value, shown, digest) =
            Claim::decode(&other).ok_or(Abort::Malformed { peer: peer.of(party), step: Step::Verdict })?;
        let holds = digest == claim.transcript.digest() && claim.shown * shown == claim.value + value;
        if !holds {
            let prover = if peer == Peer::Prev { party.next() } else { party.prev() };
            return Err(Abort::Multiplication { step: Step::Verdict, prover });
        }
    }
    session.complete(round);
    Ok(())
}

/// What a prover sends.
struct Proof {
    explicit: Vec<Gf128>,
    commitments: Vec<Commitment>,
}

/// The commitments to a proof's explicit shares.
fn commitments_of(explicit: &[Gf128]) -> Vec<Commitment> {
    let (rows, levels) = explicit.split_at(ROWS.min(explicit.len()));
    let mut list = vec![commit(rows)];
    list.extend(levels.chunks(inner::LEVEL).map(commit));
    list
}

/// Proves what the ledger says this party sent. `hidden`: the first verifier's part, and last its mask.
fn prove<V: FieldVector>(
    ledger: &Ledger,
    mut transcript: Proving,
    hidden: &[Gf128],
    second_mask: Gf128,
) -> Proof {
    let operands = Operands {
        x: ledger.x.each_ref().map(|v| v.as_slice()),
        y: ledger.y.each_ref().map(|v| v.as_slice()),
    };
    let columns = rows::columns_of(ledger.words());
    let weights = V::powers(transcript.gamma(), columns);
    let mut saying = Saying { proof: Proof { explicit: Vec::new(), commitments: Vec::new() }, hidden };
    let r = saying.say(&mut transcript, &rows::prove(&operands, &weights.elements()));
    let at = AtPoint::new(r);
    let mut a: V = vector(&at, [operands.x[0], operands.y[0]], Some(&weights));
    let mut b: V = vector(&at, [operands.y[1], operands.x[1]], None);
    for _ in 0..inner::levels(2 * columns) {
        let r = saying.say(&mut transcript, &a.halves(&b));
        a.fold(r);
        b.fold(r);
    }
    let first_mask = saying.hidden.get(inner::LEVEL).copied().unwrap_or_default();
    saying.say(&mut transcript, &inner::last(only(&a), first_mask, only(&b), second_mask));
    saying.proof
}

/// A proof while it is made, and what of the first verifier's part is not used yet.
struct Saying<'a> {
    proof: Proof,
    hidden: &'a [Gf128],
}

impl Saying<'_> {
    /// Shares a level's elements out, commits to the explicit part, and gives the challenge.
    fn say(&mut self, transcript: &mut Proving, elements: &[Gf128]) -> Gf128 {
        let explicit: Vec<Gf128> = elements.iter().zip(self.hidden).map(|(e, h)| *e + *h).collect();
        self.hidden = self.hidden.get(elements.len()..).unwrap_or_default();
        let commitment = commit(&explicit);
        self.proof.explicit.extend(explicit);
        self.proof.commitments.push(commitment);
        transcript.level(&commitment)
    }
}

/// What is left of a vector.
fn only(vector: &impl FieldVector) -> Gf128 {
    vector.elements().first().copied().unwrap_or_default()
}

/// The values at a point of the columns of two vectors of words, weighted.
fn vector<V: FieldVector>(at: &AtPoint, words: [&[u64]; 2], weights: Option<&V>) -> V {
    let mut values = Vec::with_capacity(2 * rows::columns_of(words[0].len()));
    for words in words {
        at.evaluate(words, &mut values);
    }
    let mut vector = V::new(values);
    // The second half has the same weights.
    if let Some(weights) = weights {
        vector.weigh(weights);
    }
    vector
}

/// One verifier's part of a proof's verification. `inputs`: the words whose columns are its vector; `rest`: its part
/// of the left side; `weighted`: whether the columns' weights are in its vector.
fn check<V: FieldVector>(
    mut transcript: Proving,
    inputs: [&[u64]; 2],
    rest: &[u64],
    part: &Part<'_>,
    weighted: bool,
) -> Claim {
    let columns = rows::columns_of(rest.len());
    let weights = V::powers(transcript.gamma(), columns);
    let sums = rows::row_sums(rest, &weights.elements());
    let (coset, levels) = part.shares.split_at(ROWS.min(part.shares.len()));
    let mut commitments = part.commitments.iter();
    let mut challenge = || commitments.next().map(|c| transcript.level(c)).unwrap_or_default();
    let at = AtPoint::new(challenge());
    let mut value: Gf128 = at.all.iter().zip(sums.iter().chain(coset)).map(|(l, v)| *l * *v).sum();
    let mut values = vector(&at, inputs, weighted.then_some(&weights));
    let mut levels = levels.as_chunks::<{ inner::LEVEL }>().0.iter();
    for _ in 0..inner::levels(2 * columns) {
        let (elements, r) = (levels.next().copied().unwrap_or_default(), challenge());
        value = inner::claim(value, elements, r);
        values.fold(r);
    }
    let (elements, r) = (levels.next().copied().unwrap_or_default(), challenge());
    let value = inner::last_claim(value, elements, r);
    Claim { transcript, value, shown: inner::masked(only(&values), part.mask, r) }
}

impl Claim {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.transcript.digest().to_vec();
        bytes.extend(self.value.to_bytes());
        bytes.extend(self.shown.to_bytes());
        bytes
    }

    /// The other verifier's value, what it shows, and its transcript's digest.
    fn decode(bytes: &[u8]) -> Option<(Gf128, Gf128, [u8; DIGEST])> {
        let (digest, rest) = bytes.split_first_chunk::<DIGEST>()?;
        let (value, shown) = rest.split_first_chunk::<16>()?;
        Some((Gf128::from_bytes(*value), Gf128::from_bytes(shown.try_into().ok()?), *digest))
    }
}

fn element(stream: &mut blake3::OutputReader) -> Gf128 {
    let mut bytes = [0; 16];
    stream.fill(&mut bytes);
    Gf128::from_bytes(bytes)
}

fn draw(stream: &mut blake3::OutputReader, count: usize) -> Vec<Gf128> {
    (0..count).map(|_| element(stream)).collect()
}
