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
//!
//! Gates are about secrets with little entropy. So every hash that a verifier sees of values that it could compute from
//! a guess (commitments to explicit parts, the digest of the messages) has a blind from the key that the prover shares
//! with the other verifier.

mod inner;
mod transcript;

use alloc::vec;
use alloc::vec::Vec;

use super::kernels::rows::{self, lagrange};
use super::kernels::{BitColumns, FieldVector, ROWS};
use super::{Bits, Digest, Host, KeyStream};
use crate::field::Gf128;
use crate::mutant;
use crate::net::{Abort, Peer, Round, Session, Step};
use crate::prss::Prss;
use transcript::{Blind, COMMITMENT_BYTES, Proving};
pub(super) use transcript::{Commitment, commit, hide};

/// Bytes of a digest.
const DIGEST: usize = 32;

/// Multiplications whose messages have not been verified yet, as this party saw them.
pub(super) struct Ledger<D> {
    /// Inputs: the party's own shares, and its next.
    x: [Vec<u64>; 2],
    y: [Vec<u64>; 2],
    /// As the first verifier of the next party: `z + F(K) + x y` in shares i + 1.
    received: Vec<u64>,
    /// As the second verifier of the previous party: `F(K_i)`.
    own_mask: Vec<u64>,
    sent_digest: D,
    received_digest: D,
}

impl<D: Digest> Default for Ledger<D> {
    fn default() -> Self {
        Self {
            x: Default::default(),
            y: Default::default(),
            received: Vec::new(),
            own_mask: Vec::new(),
            sent_digest: D::new(),
            received_digest: D::new(),
        }
    }
}

/// The masks that hide the messages of a layer of gates: `F(K_i)` and `F(K_(i+1))`.
pub(super) type Masks = [Vec<u64>; 2];

impl<D: Digest> Ledger<D> {
    /// Words of gates that wait.
    pub fn words(&self) -> usize {
        self.own_mask.len()
    }

    /// Takes down a layer's inputs, and the message that this party sent.
    pub fn sent(&mut self, x: &Bits, y: &Bits, masks: &Masks, message: &[u8]) {
        for (to, from) in self.x.iter_mut().zip([&x.own, &x.next]) {
            to.extend_from_slice(from);
        }
        for (to, from) in self.y.iter_mut().zip([&y.own, &y.next]) {
            to.extend_from_slice(from);
        }
        self.own_mask.extend_from_slice(&masks[0]);
        self.sent_digest.update(message);
    }

    /// Takes down the next party's message of the same layer, as bytes and as words.
    pub fn received(&mut self, x: &Bits, y: &Bits, masks: &Masks, message: &[u8], words: &[u64]) {
        let products = x.next.iter().zip(&y.next).map(|(x, y)| x & y);
        let masked = words.iter().zip(&masks[1]).map(|(z, f)| z ^ f);
        self.received.extend(masked.zip(products).map(|(a, b)| a ^ b));
        self.received_digest.update(message);
    }
}

/// A proof that is under way: this party's is sent, its peers' are not yet here.
pub(super) struct Proofs<H: Host> {
    round: Round,
    words: u64,
    x: [H::Columns; 2],
    y: [H::Columns; 2],
    /// The first verifier's part of the next party's proof, with its mask.
    hidden_next: Vec<Gf128>,
    /// Hides from the other verifier which messages the next party proves.
    digest_blind_next: Blind,
    /// The second verifier's mask of the previous party's.
    mask_own: Gf128,
    /// Hide the previous party's commitments from the other verifier.
    blinds_own: Vec<Blind>,
}

/// One party's view of one proof while it is verified.
struct Claim {
    transcript: Proving,
    /// This verifier's part of the claim.
    value: Gf128,
    /// This verifier's vector, down to one masked element.
    shown: Gf128,
}

/// The values that a verifier takes from its part of the proof, level by level.
struct Part<'a> {
    shares: &'a [Gf128],
    commitments: &'a [Commitment],
    /// Hides the value that the verifier shows in the end.
    mask: Gf128,
}

/// Elements of a proof for this many columns, and its commitments.
fn sizes(columns: usize) -> (usize, usize) {
    let levels = inner::levels(2 * columns);
    (ROWS + inner::LEVEL * (levels + 1), levels + 2)
}

/// Proves to both peers that this party's messages of all layers in the ledger were right; theirs of the last layer
/// need not be here yet. Nothing may be added to the ledger before [`verify`].
pub(super) fn prove<H: Host>(
    ledger: &mut Ledger<H::Digest>,
    session: &mut Session,
    round: Round,
    prss: &mut Prss,
    host: &mut H,
) -> Result<Proofs<H>, Abort> {
    let words = ledger.words().next_multiple_of(rows::BLOCK_WORDS);
    let columns = |words: &mut Vec<u64>| H::Columns::new(padded(words));
    let (x, y) = (ledger.x.each_mut().map(columns), ledger.y.each_mut().map(columns));
    let count = rows::columns_of(words);
    let (elements, commitments) = sizes(count);
    let party = session.party();

    // What a prover shares with its first verifier: that one's part of the proof, its mask, and the digest's blind.
    let mut streams: [H::Stream; 2] = prss.streams(Step::Proof);
    let [hidden_own, hidden_next] = streams.each_mut().map(|stream| hidden(stream, elements));
    let [digest_blind_own, digest_blind_next] = streams.each_mut().map(blind);
    // And with its second verifier: that one's mask, and the commitments' blinds.
    let mut streams: [H::Stream; 2] = prss.streams(Step::Proof);
    let [mask_own, mask_next] = streams.each_mut().map(mask);
    let [blinds_own, blinds_next] =
        streams.each_mut().map(|stream| (0..commitments).map(|_| blind(stream)).collect::<Vec<_>>());

    let digest = hide(&digest_blind_own, &ledger.sent_digest.finish());
    #[cfg(test)]
    super::tests::hiding::proves(&ledger.sent_digest.finish(), &digest);
    let transcript = Proving::new(round.number(), session.id(), party, words as u64, &digest);
    let shared = Shared { hidden: &hidden_own, second_mask: mask_next, blinds: &blinds_next };
    let mine = proof::<H>([&x[0], &x[1]], [&y[0], &y[1]], count, transcript, &shared);
    let mut to_next = digest.to_vec();
    to_next.extend(mine.explicit.iter().flat_map(|e| e.to_bytes()));
    session.send(host, &round, Peer::Next, &to_next)?;
    session.send(host, &round, Peer::Prev, &mine.commitments.concat())?;
    Ok(Proofs { round, words: words as u64, x, y, hidden_next, digest_blind_next, mask_own, blinds_own })
}

/// The words, to whole blocks.
fn padded(words: &mut Vec<u64>) -> Vec<u64> {
    rows::pad(words);
    core::mem::take(words)
}

/// Verifies the peers' proofs of all that the ledger holds. After an error nothing that depends on it may be opened.
pub(super) fn verify<H: Host>(
    ledger: &mut Ledger<H::Digest>,
    session: &mut Session,
    proofs: Proofs<H>,
    host: &mut H,
) -> Result<(), Abort> {
    let mut ledger = core::mem::take(ledger);
    let Proofs { round, words, x, y, hidden_next, digest_blind_next, mask_own, blinds_own } = proofs;
    let party = session.party();
    let count = rows::columns_of(words as usize);
    let (elements, commitments) = sizes(count);
    let from_next = session.receive(host, &round, Peer::Next)?;
    let from_prev = session.receive(host, &round, Peer::Prev)?;
    let id = *session.id();
    let open = |prover, digest: &[u8; DIGEST]| Proving::new(round.number(), &id, prover, words, digest);

    // As first verifier of the next party.
    let malformed = |peer: Peer, step| Abort::Malformed { peer: peer.of(party), step };
    let theirs = match from_next.as_chunks::<COMMITMENT_BYTES>() {
        (list, []) if list.len() == commitments => list,
        _ => return Err(malformed(Peer::Next, Step::Proof)),
    };
    let (&mask, shares) = hidden_next.split_last().ok_or(malformed(Peer::Next, Step::Proof))?;
    let part = Part { shares, commitments: theirs, mask };
    let digest = hide(&digest_blind_next, &ledger.received_digest.finish());
    let first = check::<H>(
        open(party.next(), &digest),
        [&x[1], &y[1]],
        &H::Columns::new(padded(&mut ledger.received)),
        count,
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
    let theirs = commitments_of(&shares, &blinds_own);
    let part = Part { shares: &shares, commitments: &theirs, mask: mask_own };
    let second = check::<H>(
        open(party.prev(), digest),
        [&y[0], &x[0]],
        &H::Columns::new(padded(&mut ledger.own_mask)),
        count,
        &part,
        false,
    );
    session.complete(round);

    // The verifiers of the next party are this one and the previous; of the previous, this one and the next.
    let round = session.begin(Step::Verdict)?;
    let mut shows = [second.encode(), first.encode()];
    if mutant!("lie-verdict") {
        shows.iter_mut().filter_map(|s| s.last_mut()).for_each(|byte| *byte ^= 1);
    }
    let [from_next, from_prev] = session.exchange(host, &round, &shows[0], &shows[1])?;
    for (peer, claim, other) in [(Peer::Prev, &first, from_prev), (Peer::Next, &second, from_next)] {
        let (value, shown, digest) =
            Claim::decode(&other).ok_or(Abort::Malformed { peer: peer.of(party), step: Step::Verdict })?;
        let alike = digest == claim.transcript.digest() || mutant!("verdict-digests-not-compared");
        let holds = claim.shown * shown == claim.value + value || mutant!("verdict-claim-not-checked");
        if !alike || !holds {
            let prover = if peer == Peer::Prev { party.next() } else { party.prev() };
            return Err(Abort::Multiplication { step: Step::Verdict, prover });
        }
    }
    session.complete(round);
    Ok(())
}

/// The messages of a prover.
struct Proof {
    explicit: Vec<Gf128>,
    commitments: Vec<Commitment>,
}

/// The commitments to a proof's explicit shares.
fn commitments_of(explicit: &[Gf128], blinds: &[Blind]) -> Vec<Commitment> {
    let (rows, levels) = explicit.split_at(ROWS.min(explicit.len()));
    let parts = core::iter::once(rows).chain(levels.chunks(inner::LEVEL));
    parts.zip(blinds).map(|(part, blind)| commit(blind, part)).collect()
}

/// The values that a prover shares with one verifier each.
struct Shared<'a> {
    /// The first verifier's part of the proof, and last its mask.
    hidden: &'a [Gf128],
    /// The second verifier's mask.
    second_mask: Gf128,
    /// The blinds of the commitments, from the key shared with the second verifier.
    blinds: &'a [Blind],
}

/// The proof for `count` columns of inputs.
fn proof<H: Host>(
    x: [&H::Columns; 2],
    y: [&H::Columns; 2],
    count: usize,
    mut transcript: Proving,
    &Shared { hidden, second_mask, blinds }: &Shared<'_>,
) -> Proof {
    let weights = H::Vector::powers(transcript.gamma(), count);
    let empty = Proof { explicit: Vec::new(), commitments: Vec::new() };
    let mut saying = Saying { proof: empty, hidden, blinds };
    let r = saying.say(&mut transcript, &H::Columns::coset_sums(x, y, &weights));
    let coefficients = lagrange(r);
    let mut a = H::Columns::values([x[0], y[0]], &coefficients);
    // The second half has the same weights.
    a.weigh(&weights);
    let mut b = H::Columns::values([y[1], x[1]], &coefficients);
    for _ in 0..inner::levels(2 * count) {
        let r = saying.say(&mut transcript, &a.halves(&b));
        a.fold(r);
        b.fold(r);
    }
    let first_mask = saying.hidden.get(inner::LEVEL).copied().unwrap_or_default();
    let _point = saying.say(&mut transcript, &inner::last(only(&a), first_mask, only(&b), second_mask));
    #[cfg(test)]
    super::tests::hiding::left([only(&a), only(&b)], [first_mask, second_mask], _point);
    saying.proof
}

/// A proof while it is made, with the unused rest of the first verifier's part and of the blinds.
struct Saying<'a> {
    proof: Proof,
    hidden: &'a [Gf128],
    blinds: &'a [Blind],
}

impl Saying<'_> {
    /// Shares a level's elements out, commits to the explicit part, and gives the challenge.
    fn say(&mut self, transcript: &mut Proving, elements: &[Gf128]) -> Gf128 {
        let mut explicit: Vec<Gf128> = elements.iter().zip(self.hidden).map(|(e, h)| *e + *h).collect();
        if mutant!("lie-proof-element") {
            explicit.iter_mut().take(1).for_each(|e| *e += Gf128::ONE);
        }
        self.hidden = self.hidden.get(elements.len()..).unwrap_or_default();
        let (blind, rest) = self.blinds.split_first().unwrap_or((&[0; 32], &[]));
        self.blinds = rest;
        let commitment = commit(blind, &explicit);
        #[cfg(test)]
        super::tests::hiding::says(elements, &explicit, blind, commitment);
        self.proof.explicit.extend(explicit);
        self.proof.commitments.push(commitment);
        transcript.level(&commitment)
    }
}

/// The last element of a folded vector.
fn only(vector: &impl FieldVector) -> Gf128 {
    vector.elements().first().copied().unwrap_or_default()
}

/// One verifier's part of a proof's verification. `inputs`: the columns whose values are its vector; `rest`: its part of
/// the left side; `weighted`: whether the columns' weights are in its vector.
fn check<H: Host>(
    mut transcript: Proving,
    inputs: [&H::Columns; 2],
    rest: &H::Columns,
    count: usize,
    part: &Part<'_>,
    weighted: bool,
) -> Claim {
    let weights = H::Vector::powers(transcript.gamma(), count);
    let sums = rest.row_sums(&weights);
    let (coset, levels) = part.shares.split_at(ROWS.min(part.shares.len()));
    let mut commitments = part.commitments.iter();
    let mut challenge = || commitments.next().map(|c| transcript.level(c)).unwrap_or_default();
    let point = challenge();
    let all = lagrange::<{ 2 * ROWS }>(point);
    let mut value: Gf128 = all.iter().zip(sums.iter().chain(coset)).map(|(l, v)| *l * *v).sum();
    let mut values = H::Columns::values(inputs, &lagrange(point));
    if weighted {
        values.weigh(&weights);
    }
    let mut levels = levels.as_chunks::<{ inner::LEVEL }>().0.iter();
    for _ in 0..inner::levels(2 * count) {
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

    /// The other verifier's value, the value that it shows, and its transcript's digest.
    fn decode(bytes: &[u8]) -> Option<(Gf128, Gf128, [u8; DIGEST])> {
        let (digest, rest) = bytes.split_first_chunk::<DIGEST>()?;
        let (value, shown) = rest.split_first_chunk::<16>()?;
        Some((Gf128::from_bytes(*value), Gf128::from_bytes(shown.try_into().ok()?), *digest))
    }
}

/// The mask that hides a verifier's value in the end.
fn mask(stream: &mut impl KeyStream) -> Gf128 {
    let mut bytes = [0; Gf128::BYTES];
    stream.fill(&mut bytes);
    if mutant!("proof-last-masks-zero") { Gf128::ZERO } else { Gf128::from_bytes(bytes) }
}

fn blind(stream: &mut impl KeyStream) -> Blind {
    let mut blind = Blind::default();
    stream.fill(&mut blind);
    blind
}

/// The first verifier's part of a proof of this many elements, and its mask.
fn hidden(stream: &mut impl KeyStream, elements: usize) -> Vec<Gf128> {
    let mut bytes = vec![0; Gf128::BYTES * elements];
    stream.fill(&mut bytes);
    if mutant!("proof-parts-not-hidden") {
        bytes.fill(0);
    }
    let mut hidden: Vec<Gf128> = bytes.as_chunks().0.iter().map(|e| Gf128::from_bytes(*e)).collect();
    hidden.push(mask(stream));
    hidden
}
