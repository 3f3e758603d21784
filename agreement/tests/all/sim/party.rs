//! A simulated party: its durable state, its memory, and the steps that touch both.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use tercet_agreement::{Certificate, Crypto, Kinds, Machine, Memory, Prepare, Statement};

use super::{Planted, Rng, hash};

/// The simulation's names: hashes, and signatures that name signer and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sim;

impl Kinds for Sim {
    type Entry = u64;
    type Session = u64;
    type Signature = (u8, u64);
}

/// One party's key.
pub struct Key(pub u8);

fn prepared(s: &Statement<Sim>) -> u64 {
    hash([1, s.height, s.previous, s.entry, s.session, s.number])
}

impl Crypto<Sim> for Key {
    fn sign_prepare(&self, s: &Statement<Sim>) -> (u8, u64) {
        (self.0, prepared(s))
    }
    fn is_prepare(&self, party: u8, s: &Statement<Sim>, signature: &(u8, u64)) -> bool {
        *signature == (party, prepared(s))
    }
    fn sign_vote(&self, entry: &u64) -> (u8, u64) {
        (self.0, hash([2, *entry]))
    }
    fn is_vote(&self, party: u8, entry: &u64, signature: &(u8, u64)) -> bool {
        *signature == (party, hash([2, *entry]))
    }
}

/// The change that an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Submissions, each with its identity and commitments to its three shares.
    Batch(Vec<(u64, u64, [u64; 3])>),
    /// Rows that enter as one unit, with commitments to the shares of their sum.
    Release(Vec<u64>, [u64; 3]),
    /// A row that is erased.
    Erase(u64),
    /// New shares of all rows: the seed of the corrections, and their commitments by the height of the rows. The seed replaces
    /// the nonces of the session, which the entry of a real log does not hold.
    Refresh(u64, Vec<(u64, Committed)>),
}

/// Rows with the commitments to their three shares.
pub type Committed = Vec<(u64, [u64; 3])>;

/// The corrections of the three shares of a row, which add up to zero.
pub fn corrections(seed: u64, row: u64) -> [u64; 3] {
    let [a, b] = [0, 1].map(|i| hash([7, seed, row, i]));
    [a, b, 0u64.wrapping_sub(a).wrapping_sub(b)]
}

/// Rows of a bucket that the log demands, or that an entry brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demanded {
    /// The height of the entry that brought them, and their name.
    pub place: (u64, u64),
    /// The rows.
    pub rows: Committed,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub height: u64,
    pub previous: u64,
    pub body: Body,
}

impl Entry {
    pub fn hash(&self) -> u64 {
        let mut parts = vec![3, self.height, self.previous];
        match &self.body {
            Body::Batch(rows) => {
                parts.push(0);
                rows.iter().for_each(|(id, who, c)| parts.extend([*id, *who].iter().chain(c)));
            }
            Body::Release(rows, c) => {
                parts.push(1);
                parts.extend(rows.iter().chain(c));
            }
            Body::Erase(id) => parts.extend([2, *id]),
            Body::Refresh(seed, all) => {
                parts.extend([3, *seed]);
                for (height, rows) in all {
                    parts.push(*height);
                    rows.iter().for_each(|(id, c)| parts.extend([*id].iter().chain(c)));
                }
            }
        }
        hash(parts)
    }

    /// All that a party stages for it, whose log amounts to `state`.
    pub fn demands(&self, state: &State) -> Vec<Demanded> {
        match &self.body {
            Body::Erase(_) => vec![],
            Body::Batch(_) | Body::Release(..) => {
                vec![Demanded { place: (self.height, self.hash()), rows: self.rows() }]
            }
            Body::Refresh(_, all) => {
                let own = self.hash();
                let earlier = |height: &u64| state.hashes.get(height).copied().unwrap_or(0);
                let name = |height: &u64| hash([6, earlier(height), own]);
                all.iter()
                    .map(|(height, rows)| Demanded { place: (*height, name(height)), rows: rows.clone() })
                    .collect()
            }
        }
    }

    /// The rows that it brings: names and commitments.
    pub fn rows(&self) -> Vec<(u64, [u64; 3])> {
        match &self.body {
            Body::Batch(rows) => rows.iter().map(|(id, _, c)| (*id, *c)).collect(),
            Body::Release(_, c) => vec![(self.hash_of_unit(), *c)],
            Body::Erase(_) | Body::Refresh(..) => vec![],
        }
    }

    fn hash_of_unit(&self) -> u64 {
        hash([4, self.height, self.previous])
    }
}

/// A commitment to one share of a row.
pub fn commitment(row: u64, share: usize, value: u64) -> u64 {
    hash([5, row, share as u64, value])
}

/// The three votes for an entry.
pub type Votes = [(u8, u64); 3];

/// Two of three shares, by the row's name.
pub type Rows = BTreeMap<u64, [u64; 2]>;

/// The contents of a bucket.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    pub log: Vec<(Rc<Entry>, Votes)>,
    pub records: BTreeMap<u64, (Prepare<Sim>, Rc<Entry>)>,
    pub locks: BTreeMap<u64, Certificate<Sim>>,
    pub rows: BTreeMap<(u64, u64), Rows>,
}

/// A write did not succeed: it may have been done.
#[derive(Debug)]
pub struct Stopped;

/// One party.
#[derive(Debug)]
pub struct Party {
    pub me: usize,
    pub bucket: Bucket,
    pub machine: Machine<Sim>,
    pub up: bool,
    pub clock: u64,
    /// Uploads that wait: the identity, and this party's shares.
    pub pool: BTreeMap<u64, (u64, [u64; 3], [u64; 2])>,
    pub planted: Option<Planted>,
    pub unsure: bool,
}

impl Party {
    pub fn new(me: usize, planted: Option<Planted>) -> Self {
        let machine = Machine::new(me as u8, 0, 0, Memory::default());
        let (bucket, pool) = (Bucket::default(), BTreeMap::new());
        Self { me, bucket, machine, up: true, clock: 1000, pool, planted, unsure: false }
    }

    pub fn key(&self) -> Key {
        Key(self.me as u8)
    }

    pub fn height(&self) -> u64 {
        self.bucket.log.len() as u64
    }

    pub fn head(&self) -> u64 {
        self.bucket.log.last().map_or(0, |(e, _)| e.hash())
    }

    /// Starts again from the durable state.
    pub fn restart(&mut self) {
        self.reload();
        self.pool.clear();
        self.up = true;
    }

    /// Replaces the memory by the bucket's contents.
    pub fn reload(&mut self) {
        self.machine = Machine::new(self.me as u8, self.height(), self.head(), Memory::default());
        let (height, state) = (self.height() + 1, self.state());
        let b = &mut self.bucket;
        b.records.retain(|_, (_, e)| e.height == height);
        let current: BTreeSet<u64> = b.records.keys().copied().collect();
        b.locks.retain(|n, _| current.contains(n));
        let has = |e: &Entry| e.demands(&state).iter().all(|d| b.rows.contains_key(&d.place));
        let latest = b.records.values().rev().find(|(_, e)| has(e)).map(|(p, _)| p.clone());
        let of_lock = |n: &u64| b.records.get(n).is_some_and(|(_, e)| has(e));
        let lock = b.locks.iter().rev().find(|(n, _)| of_lock(n)).map(|(_, c)| c.clone());
        self.machine.reload(Memory { latest, lock, abandoned: None });
        self.unsure = false;
    }

    /// A durable write, which may fail before it, fail after it, or be the last thing that the process does.
    pub fn write(
        &mut self,
        rng: &mut Rng,
        calm: bool,
        write: impl FnOnce(&mut Bucket),
    ) -> Result<(), Stopped> {
        let fate = if calm { 9 } else { rng.below(60) };
        if fate == 0 {
            self.unsure = true;
            return Err(Stopped);
        }
        write(&mut self.bucket);
        match fate {
            1 => self.unsure = true,
            2 => self.up = false,
            _ => return Ok(()),
        }
        Err(Stopped)
    }

    /// True if the rows of an entry are here.
    pub fn has_rows(&self, entry: &Entry) -> bool {
        entry.demands(&self.state()).iter().all(|d| self.bucket.rows.contains_key(&d.place))
    }

    /// The entry of a hash whose record this party has.
    pub fn record(&self, entry: u64) -> Option<Rc<Entry>> {
        let found = self.bucket.records.values().rev().find(|(p, _)| p.entry == entry);
        found.map(|(_, e)| e.clone()).filter(|e| self.has_rows(e))
    }

    /// Makes an entry durable and part of the state.
    pub fn commit(
        &mut self,
        rng: &mut Rng,
        calm: bool,
        entry: &Rc<Entry>,
        votes: [(u8, u64); 3],
    ) -> Result<(), Stopped> {
        let mut machine = self.machine.clone();
        if machine.commit(&self.key(), entry.previous, entry.hash(), &votes).is_err() {
            return Err(Stopped);
        }
        self.write(rng, calm, |b| b.log.push((entry.clone(), votes)))?;
        self.machine = machine;
        self.bucket.records.clear();
        self.bucket.locks.clear();
        // What was staged for another entry goes, and what has new shares now.
        let demanded = self.state().demanded;
        self.bucket
            .rows
            .retain(|(height, name), _| demanded.get(height).is_some_and(|d: &Demanded| d.place.1 == *name));
        self.settle(entry);
        entry.rows().iter().for_each(|(id, _)| {
            self.pool.remove(id);
        });
        Ok(())
    }

    /// An erased row goes.
    fn settle(&mut self, entry: &Entry) {
        if let Body::Erase(id) = entry.body {
            self.bucket.rows.values_mut().for_each(|rows| {
                rows.remove(&id);
            });
        }
    }

    /// State that follows from the log: live identities, rows that wait, erased ones.
    pub fn state(&self) -> State {
        let mut state = State::default();
        for (entry, _) in &self.bucket.log {
            for demanded in entry.demands(&state) {
                state.demanded.insert(demanded.place.0, demanded);
            }
            state.hashes.insert(entry.height, entry.hash());
            match &entry.body {
                Body::Batch(rows) => {
                    for (id, who, _) in rows {
                        state.identities.insert(*who, *id);
                        state.place.insert(*id, entry.height);
                        state.waiting.insert(*id);
                    }
                }
                Body::Release(rows, _) => {
                    state.units.insert(entry.height);
                    rows.iter().for_each(|id| {
                        state.waiting.remove(id);
                        state.counted.push(*id);
                    });
                }
                Body::Erase(id) => {
                    state.waiting.remove(id);
                    state.erased.insert(*id);
                }
                Body::Refresh(..) => {}
            }
        }
        state
    }

    /// Rows that the log demands and that are not here.
    pub fn lacking(&self) -> Vec<Demanded> {
        let State { erased, demanded, .. } = self.state();
        let wants = |d: &Demanded| {
            let here = self.bucket.rows.get(&d.place);
            d.rows.iter().any(|(id, _)| !erased.contains(id) && !here.is_some_and(|r| r.contains_key(id)))
        };
        demanded.into_values().filter(wants).collect()
    }
}

/// See [`Party::state`].
#[derive(Debug, Default)]
pub struct State {
    pub identities: HashMap<u64, u64>,
    pub place: HashMap<u64, u64>,
    pub waiting: BTreeSet<u64>,
    pub erased: BTreeSet<u64>,
    /// Entries by height.
    pub hashes: HashMap<u64, u64>,
    /// Rows that the bucket holds, by the height of the entry that brought them.
    pub demanded: BTreeMap<u64, Demanded>,
    /// Heights of release points.
    pub units: BTreeSet<u64>,
    /// Rows that are in units, erased ones among them.
    pub counted: Vec<u64>,
}
