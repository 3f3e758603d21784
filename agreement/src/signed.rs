//! The messages that parties sign and show to one another.

use std::fmt::Debug;
use std::hash::Hash;

/// The types of names and signatures: real ones in a party, small tokens in the checker.
pub trait Kinds: Copy + Eq + Hash + Debug {
    /// Names an entry of the log, and with it its survey, height and the entry below: a hash.
    type Entry: Copy + Eq + Hash + Debug;
    /// Names a session: a hash of three fresh nonces and of everything said with them.
    type Session: Copy + Eq + Hash + Debug;
    /// A signature.
    type Signature: Clone + Eq + Hash + Debug;
}

/// Signs for this party and verifies the signatures of one survey's three parties.
pub trait Crypto<K: Kinds> {
    /// This party's signature of a prepare.
    fn sign_prepare(&self, statement: &Statement<K>) -> K::Signature;
    /// True if a party signed this prepare.
    fn is_prepare(&self, party: u8, statement: &Statement<K>, signature: &K::Signature) -> bool;
    /// This party's vote for an entry.
    fn sign_vote(&self, entry: &K::Entry) -> K::Signature;
    /// True if a party voted for an entry.
    fn is_vote(&self, party: u8, entry: &K::Entry, signature: &K::Signature) -> bool;
}

/// The content of a prepare: "in this session I have staged the rows of this entry, to follow that one".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Statement<K: Kinds> {
    /// The entry's height.
    pub height: u64,
    /// The entry below it.
    pub previous: K::Entry,
    /// The entry.
    pub entry: K::Entry,
    /// The session.
    pub session: K::Session,
    /// The signer's own number, which grows from prepare to prepare at one height.
    pub number: u64,
}

/// A signed prepare of a known party at a known height.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prepare<K: Kinds> {
    /// The entry.
    pub entry: K::Entry,
    /// The session.
    pub session: K::Session,
    /// The signer's number.
    pub number: u64,
    /// The signature of the [`Statement`].
    pub signature: K::Signature,
}

impl<K: Kinds> Prepare<K> {
    /// The signed statement, where `height` follows `previous`.
    pub fn statement(&self, height: u64, previous: K::Entry) -> Statement<K> {
        Statement { height, previous, entry: self.entry, session: self.session, number: self.number }
    }
}

/// Three prepares of one session that name one entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Certificate<K: Kinds> {
    /// The entry.
    pub entry: K::Entry,
    /// The session.
    pub session: K::Session,
    /// The parties' numbers, in party order.
    pub numbers: [u64; 3],
    /// Their signatures, in party order.
    pub signatures: [K::Signature; 3],
}

impl<K: Kinds> Certificate<K> {
    /// True if all three signed it for the height that follows `previous`.
    pub fn holds(&self, crypto: &impl Crypto<K>, height: u64, previous: K::Entry) -> bool {
        (0u8..3).zip(self.numbers).zip(&self.signatures).all(|((party, number), signature)| {
            let (entry, session) = (self.entry, self.session);
            crypto.is_prepare(party, &Statement { height, previous, entry, session, number }, signature)
        })
    }
}

/// A party's account of itself at the start of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hello<K: Kinds> {
    /// Entries in its log.
    pub height: u64,
    /// The newest of them.
    pub head: K::Entry,
    /// Its lock above that.
    pub lock: Option<Certificate<K>>,
    /// Its own latest prepare above that.
    pub latest: Option<Prepare<K>>,
}
