//! One simulated session: hello, job, prepare, lock, vote, commit, with the failures that are possible at each step.

#![allow(clippy::needless_range_loop, reason = "several lists are by party")]

use std::rc::Rc;

use tercet_agreement::{Certificate, Hello, Prepare, Task};

use super::party::{Body, Demanded, Entry, Rows, Sim, State, commitment, corrections};
use super::world::{Deed, World};
use super::{Planted, hash};

/// The leader's proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    Batch,
    Release,
    Erase(u64),
    Finish,
    Refresh,
    /// A question, with the coordinator's ticket or without it.
    Query {
        ticket: bool,
    },
}

/// Fewest rows of a unit.
const MIN_NEW: usize = 3;

impl World {
    /// True if a message from one party reaches another.
    fn arrives(&mut self, from: usize, to: usize) -> bool {
        self.parties[from].up
            && self.parties[to].up
            && !self.cut[from][to]
            && (self.calm || !self.rng.once_in(40))
    }

    /// Sends to both others: who is in the session and misses a message leaves it.
    pub fn exchange<T: Clone>(
        &mut self,
        inside: &mut [bool; 3],
        mut message: impl FnMut(&mut Self, usize, usize) -> Option<T>,
    ) -> [[Option<T>; 3]; 3] {
        let mut heard: [[Option<T>; 3]; 3] = Default::default();
        let mut missed = [false; 3];
        for to in 0..3 {
            for from in (0..3).filter(|f| *f != to) {
                let sent = if inside[from] { message(self, from, to) } else { None };
                heard[to][from] = sent.filter(|_| self.arrives(from, to));
                missed[to] |= heard[to][from].is_none();
            }
        }
        for p in 0..3 {
            inside[p] &= !missed[p] && self.parties[p].up;
        }
        heard
    }

    /// Runs a session. Whatever stops it, the parties' durable states are what counts.
    pub fn session(&mut self, job: Job) {
        self.sessions += 1;
        let mut inside = [0, 1, 2].map(|p| self.parties[p].up && self.parties[p].lacking().is_empty());
        let mut hellos: [Option<Hello<Sim>>; 3] = [None, None, None];
        for p in 0..3 {
            if self.parties[p].unsure {
                self.parties[p].reload();
            }
            hellos[p] = Some(self.parties[p].machine.begin());
        }
        let shown = self.exchange(&mut inside, |w, from, _| w.hello_of(from, hellos[from].clone()));
        let name = self.rng.next();
        let mut tasks: [Option<Task<Sim>>; 3] = [None, None, None];
        for p in 0..3 {
            if !inside[p] {
                continue;
            }
            // Who was told something else is in another session: its frames do not fit.
            let other = self.corrupted.is_some_and(|c| c != p) && !self.calm && self.rng.once_in(30);
            let session = if other { name ^ p as u64 ^ 1 } else { name };
            let others = [(p + 1) % 3, (p + 2) % 3];
            let (Some(a), Some(b)) = (&shown[p][others[0]], &shown[p][others[1]]) else { continue };
            let party = &mut self.parties[p];
            let key = party.key();
            tasks[p] = party.machine.bind(&key, session, [(others[0] as u8, a), (others[1] as u8, b)]).ok();
            inside[p] = tasks[p].is_some();
        }
        // The first frame that is bound to the session.
        let confirmed = self.exchange(&mut inside, |_, _, _| Some(()));
        for p in 0..3 {
            for q in (0..3).filter(|q| confirmed[p][*q].is_some()) {
                self.parties[p].machine.heard(q as u8);
            }
        }
        if let Job::Query { ticket } = job
            && (0..3).all(|p| inside[p] && tasks[p] == Some(Task::Free))
        {
            return self.ask(ticket);
        }
        let proposal = self.propose(job);
        let mut entries: [Option<Rc<Entry>>; 3] = [None, None, None];
        for p in 0..3 {
            if !inside[p] {
                continue;
            }
            entries[p] = match &tasks[p] {
                Some(Task::Finish(certificate)) => self.entry_to_finish(p, certificate),
                _ => proposal.clone().filter(|e| self.stage(p, e)),
            };
            inside[p] = entries[p].is_some();
        }
        self.settle(inside, entries);
    }

    fn settle(&mut self, mut inside: [bool; 3], entries: [Option<Rc<Entry>>; 3]) {
        let (calm, mut prepares) = (self.calm, [None, None, None]);
        for p in 0..3 {
            if !inside[p] {
                continue;
            }
            let Some(entry) = entries[p].clone() else { continue };
            let party = &mut self.parties[p];
            let (key, now) = (party.key(), party.clock);
            let Ok(prepare) = party.machine.prepare(&key, entry.hash(), now) else {
                inside[p] = false;
                continue;
            };
            let record = (prepare.clone(), entry.clone());
            let written = party.write(&mut self.rng, calm, |b| {
                b.records.insert(record.0.number, record);
            });
            inside[p] = written.is_ok();
            prepares[p] = Some(prepare);
        }
        let heard = self.exchange(&mut inside, |w, from, to| {
            let withheld = w.deed(from).is_some_and(|d| d == Deed::KeepPrepare(to));
            prepares[from].clone().filter(|_| !withheld)
        });
        let mut votes = [None; 3];
        for p in 0..3 {
            if !inside[p] {
                continue;
            }
            let others = [(p + 1) % 3, (p + 2) % 3].map(|q| Some((q as u8, heard[p][q].clone()?)));
            let [Some(a), Some(b)] = others else { continue };
            let party = &mut self.parties[p];
            let key = party.key();
            let Ok(lock) = party.machine.certify(&key, [a, b]) else {
                inside[p] = false;
                continue;
            };
            let durable = party.planted != Some(Planted::LockNotDurable);
            let number = lock.numbers[p];
            self.certificates.push(lock.clone());
            let party = &mut self.parties[p];
            let written = party.write(&mut self.rng, calm, |bucket| {
                if durable {
                    bucket.locks.insert(number, lock);
                }
            });
            inside[p] = written.is_ok();
            if inside[p] {
                votes[p] = party.machine.locked(&key).ok();
            }
        }
        if let Some(c) = self.corrupted.filter(|c| !self.calm && entries[*c].is_some()) {
            // It votes without a lock of its own.
            let entry = entries[c].as_ref().map_or(0, |e| e.hash());
            votes[c] = Some((c as u8, hash([2, entry])));
            inside[c] |= self.parties[c].up;
        }
        let cast = self.exchange(&mut inside, |w, from, to| {
            let withheld = w.deed(from).is_some_and(|d| d == Deed::KeepVote(to) || d == Deed::KeepVotes);
            if let (true, Some(vote), Some(entry)) = (w.corrupted == Some(to), votes[from], &entries[from]) {
                w.seen(entry, from, vote);
            }
            votes[from].filter(|_| !withheld)
        });
        for p in 0..3 {
            if !inside[p] {
                continue;
            }
            let mut all = [(9, 0); 3];
            for q in 0..3 {
                all[q] = if q == p { votes[p] } else { cast[p][q] }.unwrap_or((9, 0));
            }
            if let Some(entry) = entries[p].clone() {
                let before = self.certificates.iter().filter(|c| c.entry == entry.hash()).count();
                self.finished += u64::from(before > 3);
                let _stopped = self.parties[p].commit(&mut self.rng, calm, &entry, all);
                self.receipts(p);
            }
        }
    }

    /// The hello that a party shows; a corrupted one may show any certificate, or none, and any prepare of its own.
    fn hello_of(&mut self, p: usize, own: Option<Hello<Sim>>) -> Option<Hello<Sim>> {
        let mut hello = own?;
        let height = hello.height + 1;
        match self.deed(p) {
            Some(Deed::HideLock) => hello.lock = None,
            Some(Deed::OldLock) => {
                let fits = |c: &&Certificate<Sim>| c.holds(&self.parties[p].key(), height, hello.head);
                hello.lock = self.certificates.iter().find(fits).cloned();
            }
            Some(Deed::MovedOn) => {
                let mut prepare = Prepare { entry: 77, session: 1, number: u64::MAX / 2, signature: (0, 0) };
                let statement = prepare.statement(height, hello.head);
                prepare.signature =
                    tercet_agreement::Crypto::sign_prepare(&self.parties[p].key(), &statement);
                hello.latest = Some(prepare);
                hello.lock = None;
            }
            _ => {}
        }
        Some(hello)
    }

    /// The leader's proposal at its height, from its own log and uploads.
    fn propose(&mut self, job: Job) -> Option<Rc<Entry>> {
        let leader = &self.parties[0];
        let state = leader.state();
        let (height, previous) = (leader.height() + 1, leader.head());
        let body = match job {
            Job::Finish | Job::Query { .. } => return None,
            Job::Refresh => {
                let seed = self.rng.next();
                let mut all = Vec::new();
                for (height, demanded) in &state.demanded {
                    let dealt = &self.dealt[&demanded.place.1];
                    let left = demanded.rows.iter().filter(|(id, _)| !state.erased.contains(id));
                    let rows: Vec<_> = left
                        .map(|(id, _)| {
                            let (old, add) = (dealt[id], corrections(seed, *id));
                            (*id, [0, 1, 2].map(|i| commitment(*id, i, old[i].wrapping_add(add[i]))))
                        })
                        .collect();
                    if !rows.is_empty() {
                        all.push((*height, rows));
                    }
                }
                if all.is_empty() {
                    return None;
                }
                Body::Refresh(seed, all)
            }
            Job::Batch => {
                let mut who = std::collections::HashSet::new();
                let everywhere = |id: &u64| self.parties.iter().all(|p| p.pool.contains_key(id));
                let fresh = leader.pool.iter().filter(|(id, _)| everywhere(id));
                let rows = fresh
                    .filter(|(id, (w, ..))| {
                        let again = leader.planted == Some(Planted::IdentityTwice);
                        let fresh = again || !state.identities.contains_key(w);
                        fresh && !state.place.contains_key(id) && who.insert(*w)
                    })
                    .map(|(id, (w, c, _))| (*id, *w, *c));
                let rows: Vec<_> = rows.take(3).collect();
                if rows.is_empty() {
                    return None;
                }
                Body::Batch(rows)
            }
            Job::Release => {
                if state.waiting.len() < MIN_NEW {
                    return None;
                }
                let rows: Vec<u64> = state.waiting.iter().copied().collect();
                let unit = hash([4, height, previous]);
                let sums = self.sums(&rows);
                Body::Release(rows, [0, 1, 2].map(|i| commitment(unit, i, sums[i])))
            }
            Job::Erase(id) if state.place.contains_key(&id) && !state.erased.contains(&id) => Body::Erase(id),
            Job::Erase(_) => return None,
        };
        let entry = Rc::new(Entry { height, previous, body });
        self.deal(&entry, &state);
        Some(entry)
    }

    /// Notes the true shares of the rows that an entry brings.
    fn deal(&mut self, entry: &Entry, state: &State) {
        for Demanded { place: (height, name), rows } in entry.demands(state) {
            let shares = |id: &u64| match &entry.body {
                Body::Release(of, _) => self.sums(of),
                Body::Refresh(seed, _) => {
                    let add = corrections(*seed, *id);
                    let old = self.dealt[&state.demanded[&height].place.1][id];
                    [0, 1, 2].map(|i| old[i].wrapping_add(add[i]))
                }
                Body::Batch(_) | Body::Erase(_) => self.truth[id].shares,
            };
            let dealt = rows.iter().map(|(id, _)| (*id, shares(id))).collect();
            self.dealt.insert(name, dealt);
        }
    }

    /// The true shares of a sum.
    fn sums(&self, rows: &[u64]) -> [u64; 3] {
        let mut sums = [0u64; 3];
        for id in rows {
            let shares = self.truth.get(id).map_or([0; 3], |t| t.shares);
            (0..3).for_each(|i| sums[i] = sums[i].wrapping_add(shares[i]));
        }
        sums
    }

    /// A party judges a proposal and stages its rows.
    fn stage(&mut self, p: usize, entry: &Rc<Entry>) -> bool {
        let party = &self.parties[p];
        if (entry.height, entry.previous) != (party.height() + 1, party.head()) {
            return false;
        }
        let state = party.state();
        let mut rows = Rows::new();
        match &entry.body {
            Body::Batch(batch) => {
                for (id, who, c) in batch {
                    let fine = |u: &(u64, [u64; 3], [u64; 2])| u.0 == *who && u.1 == *c;
                    let Some(upload) = party.pool.get(id).filter(|u| fine(u)) else { return false };
                    let again = party.planted == Some(Planted::IdentityTwice);
                    if (state.identities.contains_key(who) && !again) || state.place.contains_key(id) {
                        return false;
                    }
                    rows.insert(*id, upload.2);
                }
            }
            Body::Release(of, c) => {
                if of.len() < MIN_NEW || *of != state.waiting.iter().copied().collect::<Vec<_>>() {
                    return false;
                }
                let mut sum = [0u64; 2];
                for id in of {
                    let brought = state.place.get(id).and_then(|height| state.demanded.get(height));
                    let stored = brought.and_then(|d| party.bucket.rows.get(&d.place)?.get(id));
                    let Some(shares) = stored else { return false };
                    (0..2).for_each(|i| sum[i] = sum[i].wrapping_add(shares[i]));
                }
                let unit = entry.rows()[0].0;
                // The engine's check of the commitments: a share that another party holds too is the same.
                if (0..2).any(|i| commitment(unit, (p + i) % 3, sum[i]) != c[(p + i) % 3]) {
                    return party.planted == Some(Planted::RowsUnchecked)
                        && self.put(p, (entry.height, entry.hash()), Rows::from([(unit, sum)]));
                }
                rows.insert(unit, sum);
            }
            Body::Erase(id) => return state.place.contains_key(id) && !state.erased.contains(id),
            Body::Refresh(seed, _) => {
                let mut staged = Vec::new();
                for demanded in entry.demands(&state) {
                    let earlier = state.demanded.get(&demanded.place.0);
                    let Some(stored) = earlier.and_then(|d| party.bucket.rows.get(&d.place)) else {
                        return false;
                    };
                    let kept = party.planted == Some(Planted::OldSharesKept);
                    let mut renewed = Rows::new();
                    for (id, c) in &demanded.rows {
                        let Some(mut pair) = stored.get(id).copied() else { return false };
                        let add = corrections(*seed, *id);
                        for i in (0..2).filter(|_| !kept) {
                            let share = (p + i) % 3;
                            pair[i] = pair[i].wrapping_add(add[share]);
                            if commitment(*id, share, pair[i]) != c[share] {
                                return false;
                            }
                        }
                        renewed.insert(*id, pair);
                    }
                    staged.push((demanded.place, renewed));
                }
                return staged.into_iter().all(|(place, rows)| self.put(p, place, rows));
            }
        }
        self.put(p, (entry.height, entry.hash()), rows)
    }

    fn put(&mut self, p: usize, place: (u64, u64), rows: Rows) -> bool {
        let calm = self.calm;
        let written = self.parties[p].write(&mut self.rng, calm, |b| {
            b.rows.insert(place, rows);
        });
        written.is_ok()
    }

    /// The entry of a certificate, with its rows: from the own bucket, or from the two others.
    fn entry_to_finish(&mut self, p: usize, certificate: &Certificate<Sim>) -> Option<Rc<Entry>> {
        if let Some(entry) = self.parties[p].record(certificate.entry) {
            return Some(entry);
        }
        let others = [(p + 1) % 3, (p + 2) % 3];
        let entry = others.iter().find_map(|q| self.parties[*q].record(certificate.entry))?;
        for demanded in entry.demands(&self.parties[p].state()) {
            let rows = self.supplied(p, &demanded)?;
            if !self.put(p, demanded.place, rows) {
                return None;
            }
        }
        Some(entry)
    }

    /// Rows from the two others, checked by the commitments in the log.
    pub fn supplied(&mut self, p: usize, demanded: &Demanded) -> Option<Rows> {
        let erased = self.parties[p].state().erased;
        let mut rows = Rows::new();
        for (id, commitments) in demanded.rows.iter().copied().filter(|(id, _)| !erased.contains(id)) {
            let mut pair = [0; 2];
            // Share p from the party before, share p + 1 from the one after.
            for (i, from, half) in [(0, (p + 2) % 3, 1), (1, (p + 1) % 3, 0)] {
                if !self.arrives(from, p) {
                    return None;
                }
                let mut share = self.parties[from].bucket.rows.get(&demanded.place)?.get(&id)?[half];
                if self.deed(from) == Some(Deed::FalseShares) {
                    share ^= 1;
                }
                let share_of = (p + i) % 3;
                let unchecked = self.parties[p].planted == Some(Planted::RowsUnchecked);
                if commitment(id, share_of, share) != commitments[share_of] && !unchecked {
                    return None;
                }
                pair[i] = share;
            }
            rows.insert(id, pair);
        }
        Some(rows)
    }
}
