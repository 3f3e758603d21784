//! Steps, frames and sessions: the messages between two parties, and the reasons why a session stops.
//!
//! A session is one sequence of exchanges among the three parties, each with a number. Every frame carries the
//! protocol version, the session's id, the exchange's number, its step and its sender; a frame that is not
//! exactly the expected one aborts the session, and an aborted session releases nothing and is never resumed.

use alloc::vec::Vec;
use core::fmt;

use crate::proof::Reject;
use crate::{PROTOCOL_VERSION, PartyId, mutant};

/// A neighbour of the party that speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Party i + 1.
    Next,
    /// Party i - 1.
    Prev,
}

impl Peer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Next, Self::Prev];

    /// The party in this direction.
    pub const fn of(self, party: PartyId) -> PartyId {
        match self {
            Self::Next => party.next(),
            Self::Prev => party.prev(),
        }
    }
}

/// The purpose of an exchange: trace label, domain of its hashes and randomness, place in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Step {
    /// Openings of a batch of provider proofs.
    ProofOpening = 1,
    /// Sums of stored lanes.
    OpenSums = 2,
    /// A layer of AND gates.
    And = 3,
    /// Proofs that the layers' messages were right.
    Proof = 4,
    /// The two verifiers of each proof compare.
    Verdict = 5,
    /// Bits of a computation, verified before.
    OpenBits = 6,
    /// Products in K, authenticated by the following steps.
    Product = 7,
    /// One pass of a shuffle.
    Shuffle = 8,
    /// Elements of K: public coins and checks that must come out as zero.
    OpenElements = 9,
}

impl Step {
    /// All steps.
    pub const ALL: [Self; 9] = [
        Self::ProofOpening,
        Self::OpenSums,
        Self::And,
        Self::Proof,
        Self::Verdict,
        Self::OpenBits,
        Self::Product,
        Self::Shuffle,
        Self::OpenElements,
    ];

    /// Stable name for traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProofOpening => "proof-opening",
            Self::OpenSums => "open-sums",
            Self::And => "and",
            Self::Proof => "proof",
            Self::Verdict => "verdict",
            Self::OpenBits => "open-bits",
            Self::Product => "product",
            Self::Shuffle => "shuffle",
            Self::OpenElements => "open-elements",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a session stopped. Nothing of it is released; the same work may be tried in a fresh session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Abort {
    /// A frame could not be sent or did not come.
    #[error("{step}: no connection to {peer}: {reason}")]
    Transport {
        /// The other end.
        peer: PartyId,
        /// In which step.
        step: Step,
        /// The transport's reason.
        reason: &'static str,
    },
    /// A frame is not of this session, exchange, step or sender, or of another protocol version.
    #[error("{step}: {peer} sent a frame of another session, step, sender or protocol version")]
    WrongFrame {
        /// The other end.
        peer: PartyId,
        /// In which step.
        step: Step,
    },
    /// A frame's content cannot be read.
    #[error("{step}: {peer} sent a malformed frame")]
    Malformed {
        /// The other end.
        peer: PartyId,
        /// In which step.
        step: Step,
    },
    /// The parties do not work on the same input.
    #[error(
        "{step}: {peer} works on different input; compare heights, manifests and the batch before trying again"
    )]
    Disagreement {
        /// The other end.
        peer: PartyId,
        /// In which step.
        step: Step,
    },
    /// The two holders of a share said different things about it: one of them cheats.
    #[error("{step}: the two other parties disagree about item {item}: one of them is faulty or cheats")]
    Inconsistent {
        /// In which step.
        step: Step,
        /// The item of the exchange.
        item: usize,
    },
    /// The proof about a party's multiplications does not hold: that party cheats, or one of the two that verify.
    #[error("{step}: the multiplications of {prover} do not verify: one of the parties is faulty or cheats")]
    Multiplication {
        /// In which step.
        step: Step,
        /// Whose proof it is.
        prover: PartyId,
    },
    /// A value that is zero in every honest run is not: shuffled rows were altered.
    #[error("{step}: rows were altered on their way: one of the parties is faulty or cheats")]
    Altered {
        /// In which step.
        step: Step,
    },
    /// The session is over: a step of it failed before.
    #[error("{step}: the session was aborted before; open a new one")]
    Closed {
        /// The step that was asked for.
        step: Step,
    },
}

/// Frames to and from the two peers, in order per pair. Implementations bind them to authenticated channels.
pub trait Transport {
    /// Hands a frame over; may return before it has been delivered.
    fn send(&mut self, to: Peer, step: Step, frame: Vec<u8>) -> Result<(), Abort>;

    /// The next frame from that peer; waits for it.
    fn recv(&mut self, from: Peer, step: Step) -> Result<Vec<u8>, Abort>;
}

/// One party's end of a session. Its id is fresh and agreed among the three (the handshake derives it from three
/// nonces); both are the caller's work.
#[derive(Debug)]
pub struct Session {
    party: PartyId,
    id: [u8; 32],
    exchanges: u64,
    /// Exchanges that began and have not succeeded yet.
    open: u64,
    /// Number of exchanges that went on beside another one.
    beside: u64,
    bytes: u64,
    closed: bool,
}

/// The costs of a session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Exchanges among the parties: each waits for the others once.
    pub rounds: u64,
    /// Bytes this party has sent, headers included.
    pub bytes: u64,
}

/// Bytes before a frame's content.
pub const FRAME_HEADER_BYTES: usize = 2 + 32 + 8 + 1 + 1;

impl Session {
    /// A new session; `id` must never have been used before.
    pub fn new(party: PartyId, id: [u8; 32]) -> Self {
        Self { party, id, exchanges: 0, open: 0, beside: 0, bytes: 0, closed: false }
    }

    /// The party of this session.
    pub fn party(&self) -> PartyId {
        self.party
    }

    /// The session's id.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Exchanges and bytes so far.
    pub fn cost(&self) -> Cost {
        Cost { rounds: self.exchanges - self.beside, bytes: self.bytes }
    }

    /// Ends the session for good.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Begins the next exchange. Until it has succeeded the session counts as closed.
    pub(crate) fn begin(&mut self, step: Step) -> Result<Round, Abort> {
        if (self.closed || self.open > 0) && !mutant!("session-goes-on-after-an-abort") {
            return Err(Abort::Closed { step });
        }
        Ok(self.next(step))
    }

    /// Begins an exchange that goes on at the same time as one that has begun: its messages do not depend on the
    /// other one's. Frames of a pair stay in the order in which they are sent.
    pub(crate) fn beside(&mut self, _: &Round, step: Step) -> Round {
        self.beside += 1;
        self.next(step)
    }

    fn next(&mut self, step: Step) -> Round {
        let round = Round { session: self.id, number: self.exchanges, step };
        self.exchanges += 1;
        self.open += 1;
        round
    }

    /// One message to each peer, one from each; returns the messages of the next and the previous party. The session
    /// stays closed until [`Self::complete`].
    pub(crate) fn exchange(
        &mut self,
        net: &mut impl Transport,
        round: &Round,
        to_next: &[u8],
        to_prev: &[u8],
    ) -> Result<[Vec<u8>; 2], Abort> {
        self.send(net, round, Peer::Next, to_next)?;
        self.send(net, round, Peer::Prev, to_prev)?;
        Ok([self.receive(net, round, Peer::Next)?, self.receive(net, round, Peer::Prev)?])
    }

    /// One message to a peer, as part of an exchange in which not everybody speaks to everybody.
    pub(crate) fn send(
        &mut self,
        net: &mut impl Transport,
        round: &Round,
        to: Peer,
        content: &[u8],
    ) -> Result<(), Abort> {
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + content.len());
        frame.extend(round.header(self.party));
        frame.extend(content);
        self.bytes += frame.len() as u64;
        net.send(to, round.step, frame)
    }

    /// The counterpart of [`Self::send`].
    pub(crate) fn receive(
        &mut self,
        net: &mut impl Transport,
        round: &Round,
        from: Peer,
    ) -> Result<Vec<u8>, Abort> {
        let step = round.step;
        let mut frame = net.recv(from, step)?;
        let sender = from.of(self.party);
        match frame.first_chunk() {
            Some(header) if *header == round.header(sender) => {
                frame.drain(..FRAME_HEADER_BYTES);
                Ok(frame)
            }
            _ => Err(Abort::WrongFrame { peer: sender, step }),
        }
    }

    /// One exchange in which every party gets the share that it lacks: from one holder the share itself, from the
    /// other its hash. `own`, `next`: this party's shares, of equally many bytes. Aborts if the holders differ.
    pub(crate) fn third_share(
        &mut self,
        net: &mut impl Transport,
        step: Step,
        own: &[u8],
        next: &[u8],
    ) -> Result<Vec<u8>, Abort> {
        let party = self.party;
        let round = self.begin(step)?;
        let mut own = Vec::from(own);
        let mut vouched = round.item_hash(0, party.next().index(), next);
        if mutant!("lie-opening") {
            own.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        }
        if mutant!("lie-vouching") {
            vouched[0] ^= 1;
        }
        let [from_next, third] = self.exchange(net, &round, &own, &vouched)?;
        if third.len() != own.len() && !mutant!("third-share-of-any-length") {
            return Err(Abort::Malformed { peer: party.prev(), step });
        }
        let holds = from_next == round.item_hash(0, party.prev().index(), &third);
        if !holds && !mutant!("opened-share-not-checked") {
            return Err(Abort::Inconsistent { step, item: 0 });
        }
        self.complete(round);
        Ok(third)
    }

    /// The content of the exchange was fine: the session may go on.
    pub(crate) fn complete(&mut self, round: Round) {
        debug_assert!(round.number < self.exchanges && self.open > 0);
        self.open -= 1;
    }
}

/// One exchange of a session.
pub(crate) struct Round {
    session: [u8; 32],
    number: u64,
    step: Step,
}

impl Round {
    /// The exchange's number in its session.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn header(&self, sender: PartyId) -> [u8; FRAME_HEADER_BYTES] {
        let mut header = [0; FRAME_HEADER_BYTES];
        header[..2].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        header[2..34].copy_from_slice(&self.session);
        header[34..42].copy_from_slice(&self.number.to_le_bytes());
        header[42] = self.step as u8;
        header[43] = sender as u8;
        header
    }

    /// The hash of one item that both holders of a share give, bound to session, exchange, step, position and share.
    pub fn item_hash(&self, item: usize, share: usize, data: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.session);
        hasher.update(b"tercet-mpc v1 item");
        if !mutant!("item-hash-without-number") {
            hasher.update(&self.number.to_le_bytes());
        }
        hasher.update(&[self.step as u8]);
        if !mutant!("item-hash-without-share") {
            hasher.update(&[share as u8]);
        }
        if !mutant!("item-hash-without-item") {
            hasher.update(&(item as u64).to_le_bytes());
        }
        *hasher.update(data).finalize().as_bytes()
    }
}

/// A status in a frame: 0 is fine, anything else a reason.
pub(crate) fn status_byte(status: Option<Reject>) -> u8 {
    status.map_or(0, |r| r as u8)
}

#[cfg(test)]
mod tests;
