//! Correlated randomness without communication: keys of a session, random and zero sharings.
//!
//! Key `K_i` is known to the parties i - 1 and i. Share i of a random value is a function of `K_i`; a zero sharing is
//! the difference of two such functions. Keys are fresh in every session: a keystream that repeats after a restart
//! would cancel out of two sessions' messages, so a session without three fresh nonces is refused.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

use crate::hash::KeyStream;
use crate::net::Step;
use crate::proof::Transcript;
use crate::sharing::{Replicated, Shareable};
use crate::{PROTOCOL_VERSION, PartyId, mutant};

/// Everything a session's keys depend on besides the pairs' secrets. The same at all three parties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionContext {
    /// The session's id.
    pub session: [u8; 32],
    /// The parties' identities, in order.
    pub parties: [[u8; 32]; 3],
    /// The survey.
    pub survey: [u8; 32],
    /// Digest of the engine that runs.
    pub engine: [u8; 32],
    /// Each party's nonce, drawn for this session.
    pub nonces: [[u8; 32]; 3],
}

/// Why a session cannot have keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// A nonce is missing (all zero).
    #[error("{0} has given no nonce for this session; start the handshake again")]
    MissingNonce(PartyId),
    /// Two nonces are equal: at least one is not fresh.
    #[error("{0} and {1} have given the same nonce; start the handshake again")]
    EqualNonces(PartyId, PartyId),
    /// Two parties have one identity.
    #[error("{0} and {1} have the same identity; three independent operators are needed")]
    EqualParties(PartyId, PartyId),
    /// A pair has no secret (all zero), or both pairs have the same.
    #[error("the secrets shared with the two peers are missing or equal; establish them again")]
    PairSecrets,
}

/// One party's two keys of a session. Its `Debug` shows neither.
pub struct SessionKeys {
    /// `K_i`, shared with the previous party.
    own: Zeroizing<[u8; 32]>,
    /// `K_(i+1)`, shared with the next party.
    next: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

impl SessionKeys {
    /// Derives the keys. `with_prev`, `with_next`: 32 secret bytes shared with that peer alone (from the pair's
    /// long-term keys).
    pub fn derive(
        party: PartyId,
        with_prev: &[u8; 32],
        with_next: &[u8; 32],
        context: &SessionContext,
    ) -> Result<Self, KeyRefusal> {
        for p in PartyId::ALL {
            let q = p.next();
            if context.nonces[p.index()] == [0; 32] {
                return Err(KeyRefusal::MissingNonce(p));
            }
            if context.nonces[p.index()] == context.nonces[q.index()] {
                return Err(KeyRefusal::EqualNonces(p, q));
            }
            if context.parties[p.index()] == context.parties[q.index()] {
                return Err(KeyRefusal::EqualParties(p, q));
            }
        }
        if with_prev == with_next || *with_prev == [0; 32] || *with_next == [0; 32] {
            return Err(KeyRefusal::PairSecrets);
        }
        let key = |index: PartyId, secret: &[u8; 32]| {
            let mut t = Transcript::new("tercet-mpc v1 session key");
            t.absorb("pair secret", secret);
            if !mutant!("session-key-without-index") {
                t.absorb("key", &[index as u8]);
            }
            t.absorb("session", &context.session);
            t.absorb("survey", &context.survey).absorb("engine", &context.engine);
            for p in PartyId::ALL {
                t.absorb("party", &context.parties[p.index()]).absorb("nonce", &context.nonces[p.index()]);
            }
            Zeroizing::new(t.digest())
        };
        Ok(Self { own: key(party, with_prev), next: key(party.next(), with_next) })
    }
}

/// A session's generator of correlated randomness. Every draw uses the next counter of its step, so nothing comes
/// out twice; the three parties draw in the same order.
#[derive(Debug)]
pub struct Prss {
    keys: SessionKeys,
    counters: BTreeMap<Step, u64>,
}

impl Prss {
    /// For one session; the keys cannot be used elsewhere after.
    pub fn new(keys: SessionKeys) -> Self {
        Self { keys, counters: BTreeMap::new() }
    }

    /// The two keystreams of the step's next draw: under the key shared with the previous party, and under that
    /// shared with the next.
    pub(crate) fn streams<S: KeyStream>(&mut self, step: Step) -> [S; 2] {
        let counter = self.counters.entry(step).or_insert(0);
        let mut input = b"tercet-mpc prss".to_vec();
        input.extend(PROTOCOL_VERSION.to_le_bytes());
        input.push(step as u8);
        input.extend(counter.to_le_bytes());
        let stream = |key: &[u8; 32]| S::new(key, &input);
        let streams = [stream(&self.keys.own), stream(&self.keys.next)];
        *counter += 1;
        streams
    }

    /// The party's shares of `count` random values that nobody knows.
    pub fn random<S: KeyStream, T: Shareable>(&mut self, step: Step, count: usize) -> Vec<Replicated<T>> {
        let [mut own, mut next]: [S; 2] = self.streams(step);
        let (own, next) = (draw(&mut own, count), draw(&mut next, count));
        own.into_iter().zip(next).map(|(own, next)| Replicated { own, next }).collect()
    }

    /// The party's terms of `count` random sharings of zero: the three parties' terms add up to zero.
    pub fn zeros<S: KeyStream, T: Shareable>(&mut self, step: Step, count: usize) -> Vec<T> {
        let [mut own, mut next]: [S; 2] = self.streams(step);
        let (own, next): (Vec<T>, Vec<T>) = (draw(&mut own, count), draw(&mut next, count));
        own.into_iter().zip(next).map(|(own, next)| own.minus(next)).collect()
    }
}

fn draw<T: Shareable>(stream: &mut impl KeyStream, count: usize) -> Vec<T> {
    let mut bytes = vec![0; 16 * count];
    stream.fill(&mut bytes);
    bytes.as_chunks().0.iter().map(|b| T::from_bytes(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::{Ring, Xor};

    fn context() -> SessionContext {
        SessionContext {
            session: [1; 32],
            parties: [[2; 32], [3; 32], [4; 32]],
            survey: [5; 32],
            engine: [6; 32],
            nonces: [[7; 32], [8; 32], [9; 32]],
        }
    }

    /// Secret `i` belongs to the pair (i - 1, i).
    fn world(context: &SessionContext) -> [Prss; 3] {
        let secrets = [[10; 32], [11; 32], [12; 32]];
        PartyId::ALL.map(|p| {
            let keys = SessionKeys::derive(p, &secrets[p.index()], &secrets[p.next().index()], context);
            Prss::new(keys.unwrap())
        })
    }

    #[test]
    fn sharings_are_consistent_and_fresh() {
        let mut parties = world(&context());
        let mut seen = Vec::new();
        for step in Step::ALL {
            for _ in 0..2 {
                let mut shares = parties.each_mut().map(|p| p.random::<blake3::OutputReader, Ring>(step, 3));
                for _ in 0..3 {
                    let value = Replicated::reconstruct(shares.each_mut().map(|s| s.pop().unwrap())).unwrap();
                    assert!(!seen.contains(&value.0));
                    seen.push(value.0);
                }
                let zeros = parties.each_mut().map(|p| p.zeros::<blake3::OutputReader, Ring>(step, 3));
                for i in 0..3 {
                    assert_eq!(zeros.iter().fold(Ring(0), |sum, z| sum.plus(z[i])), Ring(0));
                    assert_ne!(zeros[0][i], Ring(0));
                }
                let zeros = parties.each_mut().map(|p| p.zeros::<blake3::OutputReader, Xor>(step, 1)[0]);
                assert_eq!(zeros[0].plus(zeros[1]).plus(zeros[2]), Xor(0));
                assert_ne!(zeros[0], Xor(0));
            }
        }
    }

    #[test]
    fn every_field_changes_every_keystream() {
        let first = |c: &SessionContext| {
            world(c).map(|mut p| p.random::<blake3::OutputReader, Xor>(Step::OpenSums, 1)[0])
        };
        let base = first(&context());
        let changes: [fn(&mut SessionContext); 9] = [
            |c| c.session[31] ^= 1,
            |c| c.parties[0][0] ^= 1,
            |c| c.parties[1][0] ^= 1,
            |c| c.parties[2][0] ^= 1,
            |c| c.survey[0] ^= 1,
            |c| c.engine[0] ^= 1,
            // A restart: the party that restarted draws another nonce, whichever it is.
            |c| c.nonces[0][0] ^= 1,
            |c| c.nonces[1][0] ^= 1,
            |c| c.nonces[2][0] ^= 1,
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut c = context();
            change(&mut c);
            for (a, b) in base.iter().zip(first(&c)) {
                assert!(a.own != b.own && a.next != b.next, "change {i}");
            }
        }
        let mut swapped = context();
        swapped.parties.swap(0, 1);
        assert!(first(&swapped)[0].own != base[0].own);
    }

    /// One secret in two places gives two keys: the pairs' streams are unrelated whatever the pairs' secrets are.
    #[test]
    fn a_key_is_of_its_index() {
        let own = |p: PartyId| {
            let keys = SessionKeys::derive(p, &[10; 32], &[11; 32], &context()).unwrap();
            Prss::new(keys).random::<blake3::OutputReader, Xor>(Step::OpenSums, 1)[0].own.0
        };
        let [a, b, c] = PartyId::ALL.map(own);
        assert!(a != b && b != c && a != c);
    }

    #[test]
    fn stale_sessions_are_refused() {
        let derive = |c: &SessionContext| SessionKeys::derive(PartyId::P1, &[1; 32], &[2; 32], c).map(|_| ());
        for p in PartyId::ALL {
            let mut c = context();
            c.nonces[p.index()] = [0; 32];
            assert_eq!(derive(&c), Err(KeyRefusal::MissingNonce(p)));
            let mut c = context();
            c.nonces[p.index()] = c.nonces[p.next().index()];
            assert_eq!(derive(&c), Err(KeyRefusal::EqualNonces(p, p.next())));
            let mut c = context();
            c.parties[p.index()] = c.parties[p.next().index()];
            assert_eq!(derive(&c), Err(KeyRefusal::EqualParties(p, p.next())));
        }
        for (a, b) in [([0; 32], [1; 32]), ([1; 32], [0; 32]), ([1; 32], [1; 32])] {
            let refused = SessionKeys::derive(PartyId::P0, &a, &b, &context()).map(|_| ());
            assert_eq!(refused, Err(KeyRefusal::PairSecrets));
        }
    }
}
