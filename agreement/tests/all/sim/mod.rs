//! A simulation of three parties over the crate's own state machine: random operations on a simulated network, store and
//! clock, with one party that may be corrupted. The engine is a clear-text one: a row is three shares of a number.
//!
//! Failures that are tried: messages lost, links cut, parties down; stores that fail before a write, or after having done it;
//! a stop after any durable write; a bucket lost, or set back to an older state; clocks that jump; a corrupted party that
//! withholds votes or prepares from one peer or both, shows old certificates as its locks or hides its own, says that it has
//! moved on, votes without having prepared, sends false shares of rows and of sums that are opened, and leads questions that the
//! coordinator gave no ticket for.
//!
//! Deliberately no failures: a party that was restored may make no progress together with the others while a second
//! one is corrupted, if the rows of a locked entry are gone at two of them; an operation may be refused at any time.
//!
//! Invariants: the logs of honest parties are equal or one is a prefix of the other; a receipt's entry is in both honest logs,
//! with the shares that the provider made, or with those of the newest refresh; an identity counts once; an answer has a
//! ticket and is the true sum of the rows that were counted, erased ones among them; and once all behave, every submission is
//! decided, and a question is answered.

pub mod ask;
pub mod party;
pub mod session;
pub mod world;

/// A small generator, so that a seed is a run.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635)
    }

    /// The next number (splitmix64).
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Mixes a number's bits.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of numbers, which the simulation takes for one without collisions.
pub fn hash(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(7, |h, p| mix(h ^ mix(p.wrapping_add(0x1234_5678_9abc_def1))))
}

/// A fault in the parties' program, planted to show that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The lock is in memory only.
    LockNotDurable,
    /// Supplied rows are not checked against the log.
    RowsUnchecked,
    /// An identity may count again.
    IdentityTwice,
    /// A party keeps its old shares in a refresh, and looks at no commitment.
    OldSharesKept,
    /// The two holders' accounts of a share are not compared when a sum is opened.
    OpenedUnchecked,
    /// A question needs no ticket.
    NoTicket,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::LockNotDurable,
        Self::RowsUnchecked,
        Self::IdentityTwice,
        Self::OldSharesKept,
        Self::OpenedUnchecked,
        Self::NoTicket,
    ];
}
