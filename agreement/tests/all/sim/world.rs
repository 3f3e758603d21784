//! The whole: operations, the corrupted party's knowledge, and the invariants.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use tercet_agreement::{Certificate, Crypto as _};

use super::party::{Body, Bucket, Entry, Party, Sim, Votes, commitment};
use super::session::Job;
use super::{Planted, Rng, mix};

/// The way in which a corrupted party departs from the program at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    KeepVote(usize),
    KeepVotes,
    KeepPrepare(usize),
    HideLock,
    OldLock,
    MovedOn,
    FalseShares,
    /// To both others, or to one.
    FalseOpening(Option<usize>),
}

/// A submission as its provider made it.
#[derive(Debug, Clone)]
pub struct Truth {
    pub who: u64,
    pub shares: [u64; 3],
}

/// An entry, and the votes for it that a party has seen.
type Seen = (Rc<Entry>, [Option<(u8, u64)>; 3]);

pub struct World {
    pub rng: Rng,
    /// Everything arrives, every write succeeds, and everybody behaves.
    pub calm: bool,
    pub parties: [Party; 3],
    pub cut: [[bool; 3]; 3],
    pub corrupted: Option<usize>,
    deed: Option<Deed>,
    pub sessions: u64,
    /// Entries that a session finished which an earlier one had left.
    pub finished: u64,
    pub certificates: Vec<Certificate<Sim>>,
    pub truth: HashMap<u64, Truth>,
    /// The true three shares of rows, by the name that the rows have.
    pub dealt: HashMap<u64, HashMap<u64, [u64; 3]>>,
    /// Answers to questions that are wrong.
    pub false_answer: Option<String>,
    /// Answers that were given.
    pub answers: u64,
    /// Votes that the corrupted party has seen.
    votes: HashMap<u64, Seen>,
    given: Vec<(u64, u64, u64)>,
    old: [Vec<Bucket>; 3],
    restored: bool,
    next: u64,
}

impl World {
    /// A run's start. In two of three runs a party is corrupted.
    pub fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut rng = Rng::new(seed);
        let corrupted = [Some(0), Some(1), Some(2), Some(1), None][rng.below(5)];
        Self {
            rng,
            calm: false,
            parties: [0, 1, 2].map(|p| Party::new(p, planted.filter(|_| corrupted != Some(p)))),
            cut: [[false; 3]; 3],
            corrupted,
            deed: None,
            sessions: 0,
            finished: 0,
            certificates: Vec::new(),
            truth: HashMap::new(),
            dealt: HashMap::new(),
            false_answer: None,
            answers: 0,
            votes: HashMap::new(),
            given: Vec::new(),
            old: Default::default(),
            restored: false,
            next: 1,
        }
    }

    /// The way in which a party breaks the rules at the moment.
    pub fn deed(&self, p: usize) -> Option<Deed> {
        self.deed.filter(|_| self.corrupted == Some(p) && !self.calm)
    }

    fn honest(&self) -> Vec<usize> {
        (0..3).filter(|p| self.corrupted != Some(*p)).collect()
    }

    /// The corrupted party sees a vote.
    pub fn seen(&mut self, entry: &Rc<Entry>, from: usize, vote: (u8, u64)) {
        let seen = self.votes.entry(entry.hash()).or_insert_with(|| (entry.clone(), [None; 3]));
        seen.1[from] = Some(vote);
    }

    /// A party has committed: its providers have receipts.
    pub fn receipts(&mut self, p: usize) {
        if self.corrupted == Some(p) {
            return;
        }
        if let Some((entry, _)) = self.parties[p].bucket.log.last()
            && let Body::Batch(rows) = &entry.body
        {
            self.given.extend(rows.iter().map(|(id, ..)| (*id, entry.height, entry.hash())));
        }
    }

    /// Takes entries from another party, and then the rows that are lacking.
    fn keep_up(&mut self, p: usize) {
        for from in [(p + 1) % 3, (p + 2) % 3] {
            while self.parties[p].up
                && self.parties[from].up
                && !self.cut[from][p]
                && let Some((entry, votes)) = self.shown(from, p)
            {
                if self.parties[p].unsure {
                    self.parties[p].reload();
                }
                let calm = self.calm;
                if self.parties[p].commit(&mut self.rng, calm, &entry, votes).is_err() {
                    break;
                }
                self.receipts(p);
            }
        }
        for demanded in self.parties[p].lacking() {
            let Some(rows) = self.supplied(p, &demanded) else { continue };
            let (place, calm) = (demanded.place, self.calm);
            let _later = self.parties[p].write(&mut self.rng, calm, |b| {
                b.rows.insert(place, rows);
            });
        }
    }

    /// An entry with three votes that follows a party's head, as another one shows it.
    fn shown(&mut self, from: usize, to: usize) -> Option<(Rc<Entry>, Votes)> {
        let (height, head) = (self.parties[to].height(), self.parties[to].head());
        if self.corrupted == Some(from) && !self.calm && self.rng.once_in(2) {
            let key = self.parties[from].key();
            let complete = |(entry, votes): &Seen| {
                let mut all = *votes;
                all[from] = Some(key.sign_vote(&entry.hash()));
                let [Some(a), Some(b), Some(c)] = all else { return None };
                (entry.height == height + 1 && entry.previous == head).then(|| (entry.clone(), [a, b, c]))
            };
            return self.votes.values().find_map(complete);
        }
        self.parties[from].bucket.log.get(height as usize).cloned().filter(|(e, _)| e.previous == head)
    }

    fn submit(&mut self) {
        let id = mix(self.next);
        self.next += 1;
        let who = self.rng.below(60) as u64;
        let shares = [self.rng.next(), self.rng.next(), self.rng.next()];
        self.truth.insert(id, Truth { who, shares });
        for p in 0..3 {
            if self.parties[p].up && !self.rng.once_in(20) {
                self.upload(p, id);
            }
        }
    }

    fn upload(&mut self, p: usize, id: u64) {
        let Truth { who, shares } = self.truth[&id].clone();
        let commitments = [0, 1, 2].map(|i| commitment(id, i, shares[i]));
        let pair = [shares[p], shares[(p + 1) % 3]];
        self.parties[p].pool.insert(id, (who, commitments, pair));
    }

    /// One random operation.
    pub fn step(&mut self) {
        let pass = 1 + self.rng.below(2000) as u64;
        self.parties.iter_mut().for_each(|p| p.clock += pass);
        let p = self.rng.below(3);
        match self.rng.below(55) {
            0..=9 => self.submit(),
            10..=17 => self.session(Job::Batch),
            18..=19 => self.session(Job::Release),
            20 => {
                let id = self.given.get(self.rng.below(self.given.len())).map_or(0, |g| g.0);
                self.session(Job::Erase(id));
            }
            21..=23 => self.session(Job::Finish),
            47 => self.session(Job::Refresh),
            48..=50 => {
                // A corrupted leader asks what nobody gave a ticket for, too.
                let ticket = self.corrupted != Some(0) || self.rng.once_in(2);
                self.session(Job::Query { ticket });
            }
            53..=54 => self.try_to_fork(),
            51..=52 => {
                (0..3).for_each(|p| self.keep_up(p));
                self.session(Job::Release);
            }
            24..=26 => self.keep_up(p),
            27 => self.parties[p].up = false,
            28..=30 => {
                for q in 0..3 {
                    if !self.parties[q].up {
                        self.parties[q].restart();
                    }
                }
            }
            31 => {
                let q = self.rng.below(3);
                self.cut[p][q] = !self.cut[p][q] && self.rng.once_in(3);
            }
            32 => self.cut = [[false; 3]; 3],
            33 => {
                let back = self.rng.below(5000) as u64;
                let clock = &mut self.parties[p].clock;
                *clock = if back.is_multiple_of(2) { clock.saturating_sub(back) } else { *clock + back };
            }
            34 => self.old[p].push(self.parties[p].bucket.clone()),
            35 => self.set_back(p),
            // Everything loses its power.
            36..=37 => (0..3).for_each(|p| self.parties[p].restart()),
            38..=40 => {
                self.submit();
                (0..3).for_each(|p| self.keep_up(p));
                self.session(Job::Batch);
            }
            _ => {
                let q = self.rng.below(3);
                self.deed = [
                    Some(Deed::KeepVote(q)),
                    Some(Deed::KeepVotes),
                    Some(Deed::KeepVote(q)),
                    Some(Deed::KeepVotes),
                    Some(Deed::KeepPrepare(q)),
                    Some(Deed::HideLock),
                    Some(Deed::OldLock),
                    Some(Deed::MovedOn),
                    Some(Deed::FalseShares),
                    None,
                    Some(Deed::FalseOpening(None)),
                    Some(Deed::FalseOpening(Some(q))),
                ][self.rng.below(12)];
            }
        }
    }

    /// The attempt that made two logs differ when one vote was enough: the corrupted party takes the votes for an entry and
    /// forgets it, has another one become final at one honest party, and shows the other honest party the first.
    fn try_to_fork(&mut self) {
        let Some(c) = self.corrupted else { return };
        let victim = [(c + 1) % 3, (c + 2) % 3][self.rng.below(2)];
        (0..3).for_each(|p| self.keep_up(p));
        let before = self.parties[c].bucket.clone();
        self.deed = Some(Deed::KeepVotes);
        self.submit();
        self.session(Job::Batch);
        self.parties[c].bucket = before;
        (0..3).for_each(|p| self.parties[p].restart());
        self.deed = Some(Deed::KeepVote(victim));
        self.submit();
        self.session(Job::Batch);
        (0..3).for_each(|_| self.keep_up(victim));
    }

    /// A bucket is lost, or an older state of it is put back: of the corrupted party at will, of an honest one once.
    fn set_back(&mut self, p: usize) {
        let honest = self.corrupted != Some(p);
        if honest && self.restored {
            return;
        }
        self.restored |= honest;
        let n = self.old[p].len();
        let at = self.rng.below(n + 1);
        self.parties[p].bucket = self.old[p].get(at).cloned().unwrap_or_default();
        self.parties[p].restart();
    }

    /// The fault of the world, if it has one.
    pub fn wrong(&self) -> Option<String> {
        let honest = self.honest();
        for a in &honest {
            let log = &self.parties[*a].bucket.log;
            let mut live = HashSet::new();
            for (entry, _) in log {
                for other in honest.iter().map(|b| &self.parties[*b].bucket.log) {
                    let theirs = other.get(entry.height as usize - 1);
                    if theirs.is_some_and(|(e, _)| e.hash() != entry.hash()) {
                        return Some(format!("fork at height {}", entry.height));
                    }
                }
                if let Body::Batch(rows) = &entry.body
                    && rows.iter().any(|(_, who, _)| !live.insert(*who))
                {
                    return Some(format!("an identity counts twice at height {}", entry.height));
                }
            }
            for (id, height, hash) in &self.given {
                let there = log.get(*height as usize - 1);
                if there.is_some_and(|(e, _)| e.hash() != *hash) {
                    return Some(format!("the receipt of {id} is for another entry than the log's"));
                }
            }
            if let Some(wrong) = self.rows_are_true(*a) {
                return Some(wrong);
            }
        }
        self.false_answer.clone()
    }

    /// The shares that an honest party stores for its log are those that were dealt.
    fn rows_are_true(&self, p: usize) -> Option<String> {
        let party = &self.parties[p];
        for (height, demanded) in party.state().demanded {
            let Some(stored) = party.bucket.rows.get(&demanded.place) else { continue };
            let dealt = &self.dealt[&demanded.place.1];
            for (id, pair) in stored {
                let shares = dealt.get(id).copied().unwrap_or_default();
                if *pair != [shares[p], shares[(p + 1) % 3]] {
                    return Some(format!("party {p} holds false shares at height {height}"));
                }
            }
        }
        None
    }

    /// From here on everybody behaves and everything arrives. Gives the task that does not come to an end, if there
    /// is one.
    pub fn heal(&mut self) -> Option<String> {
        self.calm = true;
        self.cut = [[false; 3]; 3];
        if let Some(c) = self.corrupted {
            // A fresh machine with the same keys, or the one that there is.
            if self.rng.once_in(2) {
                self.parties[c].bucket = Bucket::default();
            }
        }
        (0..3).for_each(|p| self.parties[p].restart());
        for _ in 0..30 {
            (0..3).for_each(|p| self.keep_up(p));
            self.session(Job::Finish);
        }
        for id in self.truth.keys().copied().collect::<Vec<_>>() {
            (0..3).for_each(|p| self.upload(p, id));
        }
        for _ in 0..self.truth.len() {
            self.session(Job::Batch);
        }
        if let Some(wrong) = self.wrong() {
            return Some(wrong);
        }
        // Two parties may have lost the rows of a locked entry, if one was restored and another one corrupted.
        if self.restored && self.corrupted.is_some() {
            return None;
        }
        let heads = self.parties.each_ref().map(|p| (p.height(), p.head()));
        if heads.iter().any(|h| *h != heads[0]) {
            return Some(format!("the logs do not come together: {heads:?}"));
        }
        if self.parties.iter().any(|p| !p.lacking().is_empty()) {
            return Some("a party still lacks rows".into());
        }
        let state = self.parties[0].state();
        let undecided = |t: &Truth| !state.identities.contains_key(&t.who);
        if self.truth.values().any(undecided) {
            return Some("a submission is never decided".into());
        }
        let before = self.answers;
        for _ in 0..3 {
            self.session(Job::Query { ticket: true });
        }
        if !state.units.is_empty() && self.answers == before {
            return Some("a question is never answered".into());
        }
        if self.false_answer.is_some() {
            return self.false_answer.clone();
        }
        let lost = self.given.iter().find(|(id, height, _)| state.place.get(id) != Some(height));
        lost.map(|(id, ..)| format!("the receipt of {id} is lost"))
    }
}

/// Numbers of entries that a seed's run commits, of those that a later session finished, and of questions that were answered.
pub fn progress(seed: u64, operations: usize) -> [u64; 3] {
    let mut world = World::new(seed, None);
    (0..operations).for_each(|_| world.step());
    let highest = world.honest().into_iter().map(|p| world.parties[p].height()).max();
    [highest.unwrap_or(0), world.finished, world.answers]
}

/// Runs a seed with this many operations; gives the fault, if there is one.
pub fn run(seed: u64, operations: usize, planted: Option<Planted>) -> Option<String> {
    let mut world = World::new(seed, planted);
    for n in 0..operations {
        world.step();
        if let Some(wrong) = world.wrong() {
            return Some(format!("seed {seed}, after operation {n}: {wrong}"));
        }
    }
    world.heal().map(|wrong| format!("seed {seed}, at the end: {wrong}"))
}
