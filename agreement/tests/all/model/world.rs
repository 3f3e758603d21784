//! Two honest parties A and B (indexes 0 and 1) at one height, and C, which is corrupted.
//!
//! A and B are [`Machine`]s of the crate. Everything that one of them signed and sent is known to C for ever; C shows
//! it to anybody at any time, or never. C signs anything itself, says different things to A and to B, and knows every
//! certificate that can be put together. Messages between A and B arrive at any later time, or never: a party may take
//! the hello of any attempt that the other ever started. A party may stop at any point (it takes no further step in
//! its attempt, and the next one begins with what is durable), also between a durable write and its message.
//!
//! A session of A's attempt a and B's attempt b is named (a, b). Entries are 1 and 2; the first one that anybody
//! prepares is called 1, which loses nothing because names mean nothing.

use std::collections::HashSet;
use std::fmt;

use tercet_agreement::{Certificate, Crypto, Hello, Kinds, Machine, Memory, Prepare, Rules, Statement, Task};

mod recovery;
mod search;

/// Most attempts of one party.
pub const MOST: usize = 4;
/// A number of C's that is greater than any of the others'.
const HIGH: u64 = 90;

/// Names and signatures as the search has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token;

impl Kinds for Token {
    type Entry = u8;
    type Session = (u8, u8);
    type Signature = ();
}

/// The search shows only messages that were really signed, so everything shown holds.
impl Crypto<Token> for Token {
    fn sign_prepare(&self, _: &Statement<Token>) {}
    fn is_prepare(&self, _: u8, _: &Statement<Token>, (): &()) -> bool {
        true
    }
    fn sign_vote(&self, _: &u8) {}
    fn is_vote(&self, _: u8, _: &u8, (): &()) -> bool {
        true
    }
}

/// The phase of a party in its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Out,
    Greeted,
    Bound,
    Prepared,
}

/// An honest party, and everything that it ever said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Party {
    machine: Machine<Token>,
    phase: Phase,
    /// Attempts started, and the one it is in.
    attempts: u8,
    at: u8,
    /// For each attempt, the attempt of the other to which it bound itself, and the entry to be finished.
    bound: [u8; MOST],
    finishes: [u8; MOST],
    /// For each attempt, the entry that it prepared with its number, and if the prepare was sent.
    entry: [u8; MOST],
    number: [u8; MOST],
    sent: [bool; MOST],
    /// For each attempt, the attempts in which the lock and the latest prepare of its hello were made.
    shown: [(u8, u8); MOST],
    /// Entries voted for, and committed with receipts given: one bit each.
    votes: u8,
    receipts: u8,
    committed: u8,
    /// The phases of attempts that the party did not leave: with the wrong rule of two sessions at once.
    parked: Vec<(u8, Phase, Machine<Token>)>,
}

/// The whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    parties: [Party; 2],
    restored: bool,
    gave_way: bool,
}

/// The system that is searched.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Attempts of each party.
    pub attempts: u8,
    /// The rules that A and B follow.
    pub rules: Rules,
    /// B is once set back to an earlier state, or to none.
    pub restore: bool,
    /// A's and B's clocks do not move, so that numbers grow by one only.
    pub clocks_stand: bool,
    /// Only forks and losses count, not whether the parties go on.
    pub only_safety: bool,
    /// The operators give entry 1 up: each party hears of it at any time, or never. Entry 2 is then the one that takes its place,
    /// which only who has heard of it prepares.
    pub abandon: bool,
    /// Wrong: a party may forget that it has heard of it.
    pub forgetful: bool,
    /// Wrong: a certificate of an earlier session makes a lock.
    pub late_lock: bool,
    /// Wrong: a party stays in its earlier sessions too.
    pub several: bool,
    /// Wrong: the lock is in memory only.
    pub volatile_lock: bool,
    /// States from which the parties were seen to go on.
    pub recovered: HashSet<u64>,
}

impl Setting {
    /// The protocol with all its rules.
    pub fn right(attempts: u8) -> Self {
        Self {
            attempts,
            rules: Rules::ALL,
            restore: false,
            clocks_stand: false,
            only_safety: false,
            abandon: false,
            forgetful: false,
            late_lock: false,
            several: false,
            volatile_lock: false,
            recovered: HashSet::new(),
        }
    }

    /// With a wrong rule the search goes on to a fork, a loss or a deadlock; with the right ones it stops already where
    /// one of the claims that they rest on does not hold.
    fn right_rules(&self) -> bool {
        self.rules == Rules::ALL && !(self.late_lock || self.several || self.volatile_lock)
    }
}

/// A step: the party, and its deed.
pub struct Action(usize, String);

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", ["A", "B"][self.0], self.1)
    }
}

fn slot(attempt: u8) -> usize {
    usize::from(attempt) - 1
}

fn bit(entry: u8) -> u8 {
    1 << entry
}

impl Party {
    fn new(me: u8, rules: Rules) -> Self {
        Self {
            machine: Machine::new(me, 0, 0, Memory::default()).with_rules(rules),
            phase: Phase::Out,
            attempts: 0,
            at: 0,
            bound: [0; MOST],
            finishes: [0; MOST],
            entry: [0; MOST],
            number: [0; MOST],
            sent: [false; MOST],
            shown: [(0, 0); MOST],
            votes: 0,
            receipts: 0,
            committed: 0,
            parked: Vec::new(),
        }
    }

    fn locked_on(&self) -> u8 {
        self.machine.memory().lock.as_ref().map_or(0, |l| l.entry)
    }

    /// Rows are kept of the own lock, of the latest prepare and of committed entries.
    fn has_rows(&self, entry: u8) -> bool {
        let latest = self.machine.memory().latest.as_ref().map_or(0, |p| p.entry);
        self.locked_on() == entry || latest == entry || self.committed == entry
    }
}

impl World {
    fn session(&self, i: usize, attempt: u8) -> (u8, u8) {
        let other = self.parties[i].bound[slot(attempt)];
        if i == 0 { (attempt, other) } else { (other, attempt) }
    }

    /// The certificate of the session that `i` had in an attempt, if A's and B's prepares in it name one entry.
    fn certificate(&self, i: usize, attempt: u8, c: u64) -> Option<Certificate<Token>> {
        let (a, b) = self.session(i, attempt);
        if a == 0 || b == 0 {
            return None;
        }
        let ([x, y], sa, sb) = (&self.parties, slot(a), slot(b));
        let mutual = x.bound[sa] == b && y.bound[sb] == a;
        let one = x.entry[sa] != 0 && x.entry[sa] == y.entry[sb] && x.sent[sa] && y.sent[sb];
        (mutual && one).then(|| Certificate {
            entry: x.entry[sa],
            session: (a, b),
            numbers: [x.number[sa].into(), y.number[sb].into(), c],
            signatures: [(); 3],
        })
    }

    /// The locks that C can show: none, or any certificate, with a low or a high number of its own.
    fn claims(&self) -> Vec<Option<Certificate<Token>>> {
        let of = |c| (1..=self.parties[0].attempts).filter_map(move |a| self.certificate(0, a, c)).map(Some);
        std::iter::once(None).chain(of(0)).chain(of(HIGH)).collect()
    }

    /// The prepares that C can show as its latest.
    fn prepares() -> [Option<Prepare<Token>>; 3] {
        let of = |entry| Prepare { entry, session: (0, 0), number: HIGH + 1, signature: () };
        [None, Some(of(1)), Some(of(2))]
    }

    fn memory(&self, i: usize, (lock, latest): (u8, u8)) -> Memory<Token> {
        let party = &self.parties[i];
        let own = |attempt: u8| {
            let (entry, number) = (party.entry[slot(attempt)], party.number[slot(attempt)].into());
            Prepare { entry, session: self.session(i, attempt), number, signature: () }
        };
        Memory {
            lock: (lock != 0).then(|| self.certificate(i, lock, 0)).flatten(),
            latest: (latest != 0).then(|| own(latest)),
            abandoned: None,
        }
    }

    /// In which attempts a party's lock and latest prepare were made.
    fn made(&self, i: usize) -> (u8, u8) {
        let memory = self.parties[i].machine.memory();
        let own = |s: (u8, u8)| if i == 0 { s.0 } else { s.1 };
        (
            memory.lock.as_ref().map_or(0, |l| own(l.session)),
            memory.latest.as_ref().map_or(0, |p| own(p.session)),
        )
    }
}

impl Setting {
    fn of_party(&self, w: &World, i: usize, out: &mut Vec<(Action, World)>) {
        let (me, other) = (&w.parties[i], &w.parties[1 - i]);
        if self.restore && i == 1 && !w.restored {
            let mut states: Vec<(u8, u8)> = std::iter::once((0, 0)).chain(me.shown).collect();
            states.sort_unstable();
            states.dedup();
            for state in states {
                let mut t = w.clone();
                let memory = w.memory(i, state);
                let party = &mut t.parties[i];
                party.machine = Machine::new(1, 0, 0, memory).with_rules(self.rules);
                (party.phase, party.committed) = (Phase::Out, 0);
                t.restored = true;
                out.push((Action(i, format!("is restored to where {state:?} were its lock and prepare")), t));
            }
        }
        if me.committed != 0 {
            return;
        }
        self.hear(w, i, out);
        if me.attempts < self.attempts {
            let mut t = w.clone();
            let p = &mut t.parties[i];
            if self.several {
                p.parked.push((p.at, p.phase, p.machine.clone()));
            }
            if self.volatile_lock {
                let latest = p.machine.memory().latest.clone();
                p.machine.reload(Memory { latest, ..Memory::default() });
            }
            p.attempts += 1;
            (p.at, p.phase) = (p.attempts, Phase::Greeted);
            let _hello = p.machine.begin();
            let at = slot(p.at);
            t.parties[i].shown[at] = t.made(i);
            out.push((Action(i, format!("starts attempt {} with a fresh nonce", me.attempts + 1)), t));
        }
        for (n, (at, phase, machine)) in me.parked.iter().enumerate().filter(|(_, p)| p.0 != 0) {
            let mut t = w.clone();
            let p = &mut t.parties[i];
            p.parked[n] = (p.at, p.phase, p.machine.clone());
            p.machine.resume(machine);
            (p.at, p.phase) = (*at, *phase);
            out.push((Action(i, format!("goes on in its attempt {at}")), t));
        }
        match me.phase {
            Phase::Out => {}
            Phase::Greeted => self.bind(w, i, out),
            Phase::Bound => self.prepare(w, i, out),
            Phase::Prepared => self.certify(w, i, out),
        }
        if self.late_lock {
            for lock in (1..=me.attempts).filter_map(|a| w.certificate(i, a, 0)) {
                let mut t = w.clone();
                let p = &mut t.parties[i];
                let latest = p.machine.memory().latest.clone();
                let what = format!("is shown the certificate of session {:?}, locks and votes", lock.session);
                p.votes |= bit(lock.entry);
                p.machine.reload(Memory { latest, lock: Some(lock), abandoned: None });
                p.phase = Phase::Out;
                out.push((Action(i, what), t));
            }
        }
        for entry in [1, 2] {
            if me.votes & other.votes & bit(entry) != 0 {
                let mut t = w.clone();
                let p = &mut t.parties[i];
                if p.machine.commit(&Token, 0, entry, &[(); 3]).is_err() {
                    assert_eq!((entry, self.abandon), (1, true), "three votes");
                    continue;
                }
                (p.committed, p.phase) = (entry, Phase::Out);
                p.receipts |= bit(entry);
                out.push((Action(i, format!("commits entry {entry}")), t));
            }
        }
    }

    /// A party hears that the operators gave entry 1 up, or forgets it.
    fn hear(&self, w: &World, i: usize, out: &mut Vec<(Action, World)>) {
        let memory = w.parties[i].machine.memory();
        let mut t = w.clone();
        let p = &mut t.parties[i];
        if self.abandon && memory.abandoned.is_none() {
            p.machine.abandon(1);
            if p.phase == Phase::Prepared && p.entry[slot(p.at)] == 1 {
                p.phase = Phase::Out;
            }
            out.push((Action(i, "hears that entry 1 is given up".into()), t));
        } else if self.forgetful && memory.abandoned.is_some() {
            p.machine.reload(Memory { abandoned: None, ..memory.clone() });
            p.phase = Phase::Out;
            out.push((Action(i, "forgets that entry 1 was given up".into()), t));
        }
    }

    fn bind(&self, w: &World, i: usize, out: &mut Vec<(Action, World)>) {
        let (me, other) = (&w.parties[i], &w.parties[1 - i]);
        for theirs in 1..=other.attempts {
            let Memory { lock, latest, .. } = w.memory(1 - i, other.shown[slot(theirs)]);
            let hello = Hello { height: 0, head: 0, lock, latest };
            // What is done later depends on the entry that is finished, not on the certificate that says so.
            let mut seen = HashSet::new();
            for lock in w.claims() {
                for latest in World::prepares() {
                    let c = Hello { height: 0, head: 0, lock: lock.clone(), latest };
                    let mut machine = me.machine.clone();
                    let session = if i == 0 { (me.at, theirs) } else { (theirs, me.at) };
                    let Ok(task) = machine.bind(&Token, session, [(1 - i as u8, &hello), (2, &c)]) else {
                        continue;
                    };
                    let finishes = match &task {
                        Task::Free => 0,
                        Task::Finish(certificate) => certificate.entry,
                    };
                    if !seen.insert(finishes) {
                        continue;
                    }
                    let mut t = w.clone();
                    let p = &mut t.parties[i];
                    (p.machine, p.phase) = (machine, Phase::Bound);
                    (p.bound[slot(me.at)], p.finishes[slot(me.at)]) = (theirs, finishes);
                    t.gave_way |= me.locked_on() != 0 && me.locked_on() != finishes;
                    let what =
                        format!("takes the hello of the other's attempt {theirs}, is to finish {finishes}");
                    out.push((Action(i, what), t));
                }
            }
        }
    }

    fn prepare(&self, w: &World, i: usize, out: &mut Vec<(Action, World)>) {
        let (me, other) = (&w.parties[i], &w.parties[1 - i]);
        let at = slot(me.at);
        let theirs = me.bound[at];
        let anything = w.parties.iter().any(|p| p.entry.iter().any(|e| *e != 0));
        for entry in [1, 2] {
            if self.abandon && entry == 2 && me.machine.memory().abandoned.is_none() {
                continue;
            }
            // The first entry is called 1; an entry that is finished needs its rows at one honest party.
            if (entry == 2 && !anything)
                || (me.finishes[at] != 0 && !me.has_rows(entry) && !other.has_rows(entry))
            {
                continue;
            }
            let mut machine = me.machine.clone();
            machine.heard(2);
            if other.bound[slot(theirs)] == me.at {
                machine.heard(1 - i as u8);
            }
            let now = if self.clocks_stand { 0 } else { me.at.into() };
            let Ok(prepare) = machine.prepare(&Token, entry, now) else { continue };
            for sent in [true, false] {
                let mut t = w.clone();
                let p = &mut t.parties[i];
                p.machine = machine.clone();
                (p.entry[at], p.number[at], p.sent[at]) = (entry, prepare.number as u8, sent);
                p.phase = if sent { Phase::Prepared } else { Phase::Out };
                let end = if sent { "" } else { ", and stops before it is sent" };
                out.push((Action(i, format!("prepares {entry} in its attempt {}{end}", me.at)), t));
            }
        }
    }

    fn certify(&self, w: &World, i: usize, out: &mut Vec<(Action, World)>) {
        let (me, other) = (&w.parties[i], &w.parties[1 - i]);
        let theirs = slot(me.bound[slot(me.at)]);
        if other.entry[theirs] == 0 || !other.sent[theirs] {
            return;
        }
        let own = w.session(i, me.at);
        let session = if i == 0 { (other.bound[theirs], own.1) } else { (own.0, other.bound[theirs]) };
        let (entry, number) = (other.entry[theirs], other.number[theirs].into());
        let prepare = Prepare { entry, session, number, signature: () };
        let cheat = Prepare { entry: me.entry[slot(me.at)], session: own, number: 0, signature: () };
        let mut machine = me.machine.clone();
        if machine.certify(&Token, [(1 - i as u8, prepare), (2, cheat)]).is_err() {
            return;
        }
        for votes in [true, false] {
            let mut t = w.clone();
            let p = &mut t.parties[i];
            p.machine = machine.clone();
            p.phase = Phase::Out;
            if votes {
                p.machine.locked(&Token).expect("a lock");
                p.votes |= bit(entry);
            } else {
                p.machine.leave();
            }
            let end = if votes { " and votes" } else { ", and stops before the vote is sent" };
            out.push((Action(i, format!("locks {entry} in its attempt {}{end}", me.at)), t));
        }
    }
}
