//! Computations among the parties on shares: Boolean circuits, shuffle, sort, and reading a sorted column.
//!
//! Everything is computed with semi-honest replicated arithmetic and **verified before anything that depends on it is
//! opened**: [`Compute`] is the only thing that can open a share made here, and it verifies first ([`verify`]). A
//! computation that is dropped with unverified gates closes its session.

mod adder;
mod compare;
mod decisions;
pub mod kernels;
mod lockstep;
mod mode;
mod noise;
mod planes;
mod read;
mod shuffle;
mod sort;
mod verify;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use crate::hash::{Digest, KeyStream};
pub use decisions::at_least;
pub use kernels::{BitColumns, FieldVector};
pub use noise::draw_noise;
pub use read::{ReadError, SharedColumn, answer};
pub use sort::{Sorted, sort};

use crate::mutant;
use crate::net::{Abort, Peer, Session, Step, Transport};
use crate::prss::Prss;
use crate::sharing::{self, Replicated, Shareable};

/// The services that a computation needs from outside: frames and bulk products.
pub trait Host: Transport {
    /// The host's vectors of K.
    type Vector: FieldVector;
    /// The host's columns of bits.
    type Columns: BitColumns<Vector = Self::Vector>;
    /// The stream from which correlated randomness is drawn.
    type Stream: KeyStream;
    /// The hash of the messages of multiplications.
    type Digest: Digest;
}

/// Words of 64 shared bits each, under XOR. Its `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    /// Share i.
    own: Vec<u64>,
    /// Share i + 1.
    next: Vec<u64>,
}

impl core::fmt::Debug for Bits {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Bits({} words)", self.own.len())
    }
}

/// Settings that decide between forms of a circuit and sizes of a batch. All three parties use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Nanoseconds that one exchange takes besides the bytes: half a round trip.
    pub exchange_ns: u64,
    /// Picoseconds that a gate takes.
    pub gate_ps: u64,
    /// Words of 64 gates after which a computation verifies its gates: bounds its memory.
    pub chunk_words: usize,
}

impl Tuning {
    /// Estimated nanoseconds of this many exchanges and words of gates.
    fn cost(&self, rounds: u64, gate_words: u64) -> u64 {
        rounds * self.exchange_ns + gate_words * 64 * self.gate_ps / 1000
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self { exchange_ns: 100_000, gate_ps: 8_000, chunk_words: 1 << 16 }
    }
}

/// One party's end of a computation in a session.
#[must_use = "a computation that is not finished closes its session"]
pub struct Compute<'a, H: Host> {
    session: &'a mut Session,
    prss: Prss,
    host: &'a mut H,
    tuning: Tuning,
    ledger: verify::Ledger<H::Digest>,
    /// Proofs of all that is in the ledger, on their way.
    proofs: Option<verify::Proofs<H>>,
    gates: u64,
}

/// Largest message of a layer, in bytes, beside which proofs are sent. Larger messages could fill the links' receive
/// windows while every party is still sending, and deadlock; and for them one saved exchange is negligible.
const MOST_BESIDE: usize = 1 << 20;

/// The step that follows a layer of gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// More layers, perhaps.
    More,
    /// An opening, for which everything is verified: the proofs travel together with the layer's messages, since a prover
    /// needs nothing of its peers' last messages.
    Open,
}

impl<'a, H: Host> Compute<'a, H> {
    /// Begins a computation; the keys behind `prss` must be fresh for this session.
    pub fn new(session: &'a mut Session, prss: Prss, host: &'a mut H, tuning: Tuning) -> Self {
        Self { session, prss, host, tuning, ledger: Default::default(), proofs: None, gates: 0 }
    }

    /// AND gates so far, in words of 64.
    pub fn gate_words(&self) -> u64 {
        self.gates
    }

    /// Verifies the remaining gates and ends the computation.
    pub fn finish(mut self) -> Result<(), Abort> {
        self.verify()
    }

    /// A layer of AND gates that others may follow.
    fn and(&mut self, x: &Bits, y: &Bits) -> Result<Bits, Abort> {
        self.layer(x, y, Then::More)
    }

    /// A layer of AND gates, one exchange. Recorded, to be verified before anything is opened.
    fn layer(&mut self, x: &Bits, y: &Bits, then: Then) -> Result<Bits, Abort> {
        const STEP: Step = Step::And;
        if self.proofs.is_some() {
            self.verify()?;
        }
        let words = x.own.len();
        let round = self.session.begin(STEP)?;
        let mut streams: [H::Stream; 2] = self.prss.streams(STEP);
        let mut masks = streams.each_mut().map(|stream| draw_words(stream, words));
        if mutant!("gates-without-masks") {
            masks = [(); 2].map(|()| alloc::vec![0; words]);
        }
        let inputs = x.own.iter().zip(&x.next).zip(y.own.iter().zip(&y.next));
        let mut own: Vec<u64> = inputs
            .zip(masks[0].iter().zip(&masks[1]))
            .map(|(((xo, xn), (yo, yn)), (fo, fn_))| (xo & (yo ^ yn)) ^ (xn & yo) ^ fo ^ fn_)
            .collect();
        if mutant!("lie-gate") {
            own.iter_mut().take(1).for_each(|word| *word ^= 1);
        }
        let sent = to_bytes(&own);
        self.session.send(self.host, &round, Peer::Prev, &sent)?;
        self.ledger.sent(x, y, &masks, &sent);
        if then == Then::Open && sent.len() <= MOST_BESIDE {
            let beside = self.session.beside(&round, Step::Proof);
            self.proofs =
                Some(verify::prove(&mut self.ledger, self.session, beside, &mut self.prss, self.host)?);
        }
        let received = self.session.receive(self.host, &round, Peer::Next)?;
        let peer = self.session.party().next();
        let next = from_bytes(&received, words).ok_or(Abort::Malformed { peer, step: STEP })?;
        self.session.complete(round);
        self.ledger.received(x, y, &masks, &received, &next);
        self.gates += words as u64;
        if self.proofs.is_none() && self.ledger.words() >= self.tuning.chunk_words {
            self.verify()?;
        }
        Ok(Bits { own, next })
    }

    /// Verifies every gate so far.
    fn verify(&mut self) -> Result<(), Abort> {
        let proofs = match self.proofs.take() {
            Some(proofs) => proofs,
            None if self.ledger.words() == 0 => return Ok(()),
            None => {
                let round = self.session.begin(Step::Proof)?;
                verify::prove(&mut self.ledger, self.session, round, &mut self.prss, self.host)?
            }
        };
        verify::verify(&mut self.ledger, self.session, proofs, self.host)
    }

    /// Opens bits to all, after verifying every gate so far: a party that lacks a share gets it from one holder and
    /// its hash from the other.
    fn open(&mut self, bits: &Bits) -> Result<Vec<u64>, Abort> {
        self.verify()?;
        let (own, next) = (to_bytes(&bits.own), to_bytes(&bits.next));
        let third = self.session.third_share(self.host, Step::OpenBits, &own, &next)?;
        let third = third.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b));
        Ok(bits.own.iter().zip(&bits.next).zip(third).map(|((a, b), c)| a ^ b ^ c).collect())
    }

    /// Opens elements of K or of the ring, after verifying every gate so far.
    fn open_shares<T: Shareable>(&mut self, step: Step, shares: &[Replicated<T>]) -> Result<Vec<T>, Abort> {
        self.verify()?;
        sharing::open(self.session, step, shares, self.host)
    }
}

impl<H: Host> Drop for Compute<'_, H> {
    fn drop(&mut self) {
        if self.ledger.words() > 0 {
            self.session.close();
        }
    }
}

fn draw_words(stream: &mut impl KeyStream, count: usize) -> Vec<u64> {
    let mut bytes = alloc::vec![0; 8 * count];
    stream.fill(&mut bytes);
    bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect()
}

fn to_bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8], words: usize) -> Option<Vec<u64>> {
    match bytes.as_chunks::<8>() {
        (list, []) if list.len() == words => Some(list.iter().map(|b| u64::from_le_bytes(*b)).collect()),
        _ => None,
    }
}
