//! One party's state at the height that it works on.

use crate::job::{self, Task};
use crate::rules::Rules;
use crate::signed::{Certificate, Crypto, Hello, Kinds, Prepare, Statement};

/// The memory of a party about the height that it works on, none of which it may lose. All of it is durable before
/// anybody hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Memory<K: Kinds> {
    /// Its own latest prepare.
    pub latest: Option<Prepare<K>>,
    /// Its lock. It is not given up before the height is committed; a newer one takes its place.
    pub lock: Option<Certificate<K>>,
    /// The entry that the three operators gave up, by hand: it is never final at this height.
    pub abandoned: Option<K::Entry>,
}

impl<K: Kinds> Default for Memory<K> {
    fn default() -> Self {
        Self { latest: None, lock: None, abandoned: None }
    }
}

impl<K: Kinds> Memory<K> {
    /// A lock on an entry that was given up is none.
    fn settled(mut self) -> Self {
        self.lock = self.lock.filter(|lock| Some(lock.entry) != self.abandoned);
        self
    }
}

/// Why a party does not take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A peer's log is longer.
    #[error("this party is at height {ours}, party {party} at {theirs}: this party catches up first")]
    Behind {
        /// The party that is ahead.
        party: u8,
        /// Our height.
        ours: u64,
        /// Theirs.
        theirs: u64,
    },
    /// A peer's log is shorter.
    #[error("party {party} is at height {theirs}, this party at {ours}: that party catches up first")]
    Ahead {
        /// The party that is behind.
        party: u8,
        /// Our height.
        ours: u64,
        /// Theirs.
        theirs: u64,
    },
    /// A peer shows another entry at this party's height.
    #[error("party {party} shows another log at the same height: stop and compare the three logs")]
    Diverged {
        /// The party.
        party: u8,
    },
    /// Two locks are on different entries, and neither is newer. Two honest parties never show that.
    #[error(
        "the parties show locks on two entries, and neither gives way: a party misbehaves or lost its state"
    )]
    Split,
    /// The entry was given up by the three operators.
    #[error(
        "the three operators gave this entry up: if another party shows it as final, the operators compare their logs"
    )]
    Abandoned,
    /// A frame of the session is still missing.
    #[error("party {party} has not confirmed the session yet")]
    NotConfirmed {
        /// The party.
        party: u8,
    },
    /// The session finishes another entry than the one to be prepared.
    #[error("the session finishes another entry than this one")]
    OtherEntry,
    /// A prepare is not of this session, names another entry, or its signature does not hold.
    #[error("party {party} prepared another entry than this party, or in another session")]
    Prepare {
        /// The party.
        party: u8,
    },
    /// A vote does not hold.
    #[error("the vote of party {party} is not one for this entry")]
    Vote {
        /// The party.
        party: u8,
    },
    /// An entry does not follow the head.
    #[error("the entry does not follow this party's log")]
    Chain,
    /// The host called the steps in another order, or after the session had ended.
    #[error("this step is not due in the session: it ended, or another one began")]
    OutOfTurn,
}

/// The phase of a party in its session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step<K: Kinds> {
    /// In none.
    Idle,
    /// It has said hello.
    Greeted,
    /// It knows the session's name.
    Bound { session: K::Session, task: Task<K>, heard: [bool; 3] },
    /// It has signed a prepare.
    Prepared(Prepare<K>),
    /// It has a lock, which is being made durable.
    Certified(K::Entry),
    /// It may vote.
    Locked(K::Entry),
}

/// One party's side of the protocol, for one survey.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine<K: Kinds> {
    me: u8,
    height: u64,
    head: K::Entry,
    memory: Memory<K>,
    step: Step<K>,
    rules: Rules,
}

impl<K: Kinds> Machine<K> {
    /// A party of index `me` (0 to 2) whose log ends with `head` at `height`, with its memory of the height above.
    pub fn new(me: u8, height: u64, head: K::Entry, memory: Memory<K>) -> Self {
        Self { me: me % 3, height, head, memory: memory.settled(), step: Step::Idle, rules: Rules::ALL }
    }

    /// The same by other rules.
    #[cfg(feature = "wrong-rules")]
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Goes on at the step of `other` in its session, with this machine's memory: two sessions at once.
    #[cfg(feature = "wrong-rules")]
    pub fn resume(&mut self, other: &Self) {
        self.step = other.step.clone();
    }

    /// This party's index.
    pub fn me(&self) -> u8 {
        self.me
    }

    /// The log's height and newest entry.
    pub fn head(&self) -> (u64, K::Entry) {
        (self.height, self.head)
    }

    /// The memory of the height that it works on.
    pub fn memory(&self) -> &Memory<K> {
        &self.memory
    }

    /// Replaces the memory by the store's: after a write whose outcome is not known.
    pub fn reload(&mut self, memory: Memory<K>) {
        self.memory = memory.settled();
        self.step = Step::Idle;
    }

    /// The three operators gave up an entry of the height that this party works on, and that is durable here: from now on no lock
    /// on it counts, and it is not committed, no matter who shows votes for it. A session that was about it is over.
    pub fn abandon(&mut self, entry: K::Entry) {
        self.memory = Memory { abandoned: Some(entry), ..self.memory.clone() }.settled();
        let about = match &self.step {
            Step::Prepared(prepare) => Some(prepare.entry),
            Step::Certified(certified) => Some(*certified),
            Step::Locked(locked) => Some(*locked),
            Step::Idle | Step::Greeted | Step::Bound { .. } => None,
        };
        if about == Some(entry) {
            self.step = Step::Idle;
        }
    }

    /// Leaves any session and gives the hello of a new one.
    pub fn begin(&mut self) -> Hello<K> {
        self.step = Step::Greeted;
        self.hello()
    }

    fn hello(&self) -> Hello<K> {
        let Memory { latest, lock, .. } = self.memory.clone();
        Hello { height: self.height, head: self.head, lock, latest }
    }

    /// Leaves the session.
    pub fn leave(&mut self) {
        self.step = Step::Idle;
    }

    /// Takes the two others' hellos, each with its party's index, and gives the task of the session named `session`.
    pub fn bind(
        &mut self,
        crypto: &impl Crypto<K>,
        session: K::Session,
        others: [(u8, &Hello<K>); 2],
    ) -> Result<Task<K>, Refusal> {
        if self.step != Step::Greeted {
            return Err(Refusal::OutOfTurn);
        }
        self.step = Step::Idle;
        self.both_others(others.map(|(party, _)| party))?;
        let (ours, height) = (self.height, self.height.saturating_add(1));
        let mut said = [self.hello(), self.hello(), self.hello()];
        for (party, hello) in others {
            let theirs = hello.height;
            if theirs > ours {
                return Err(Refusal::Behind { party, ours, theirs });
            }
            if theirs < ours {
                return Err(Refusal::Ahead { party, ours, theirs });
            }
            if hello.head != self.head {
                return Err(Refusal::Diverged { party });
            }
            let mut hello = hello.clone();
            // A lock or a prepare that does not hold is none.
            let counts = |lock: &Certificate<K>| {
                Some(lock.entry) != self.memory.abandoned && lock.holds(crypto, height, self.head)
            };
            hello.lock = hello.lock.filter(counts);
            hello.latest = hello
                .latest
                .filter(|p| crypto.is_prepare(party, &p.statement(height, self.head), &p.signature));
            said[usize::from(party)] = hello;
        }
        let task = job::task(usize::from(self.me), said.each_ref(), self.rules).ok_or(Refusal::Split)?;
        let mut heard = [false; 3];
        heard[usize::from(self.me)] = true;
        self.step = Step::Bound { session, task: task.clone(), heard };
        Ok(task)
    }

    /// The two indexes are those of the two other parties.
    fn both_others(&self, [a, b]: [u8; 2]) -> Result<(), Refusal> {
        let others = a != b && [a, b].iter().all(|p| *p < 3 && *p != self.me);
        if others { Ok(()) } else { Err(Refusal::OutOfTurn) }
    }

    /// A frame of `party` came that is bound to this session's name.
    pub fn heard(&mut self, party: u8) {
        if let Step::Bound { heard, .. } = &mut self.step
            && let Some(heard) = heard.get_mut(usize::from(party))
        {
            *heard = true;
        }
    }

    /// Prepares an entry whose rows are staged, once in a session. The host makes it durable, then sends it.
    /// `now` is the time in milliseconds, which keeps numbers growing where the latest one was lost.
    pub fn prepare(
        &mut self,
        crypto: &impl Crypto<K>,
        entry: K::Entry,
        now: u64,
    ) -> Result<Prepare<K>, Refusal> {
        let Step::Bound { session, task, heard } = &self.step else { return Err(Refusal::OutOfTurn) };
        if self.rules.heard
            && let Some((party, _)) = (0u8..).zip(heard).find(|(_, heard)| !**heard)
        {
            return Err(Refusal::NotConfirmed { party });
        }
        if matches!(task, Task::Finish(certificate) if certificate.entry != entry) {
            return Err(Refusal::OtherEntry);
        }
        if self.memory.abandoned == Some(entry) {
            return Err(Refusal::Abandoned);
        }
        let last = self.memory.latest.as_ref().map_or(0, |p| p.number);
        let number = last.checked_add(1).ok_or(Refusal::OutOfTurn)?.max(now);
        let (session, previous) = (*session, self.head);
        let statement = Statement { height: self.height.saturating_add(1), previous, entry, session, number };
        let prepare = Prepare { entry, session, number, signature: crypto.sign_prepare(&statement) };
        self.memory.latest = Some(prepare.clone());
        self.step = Step::Prepared(prepare.clone());
        Ok(prepare)
    }

    /// Takes the two others' prepares. The certificate is this party's lock from now on; the host makes it durable.
    pub fn certify(
        &mut self,
        crypto: &impl Crypto<K>,
        others: [(u8, Prepare<K>); 2],
    ) -> Result<Certificate<K>, Refusal> {
        let Step::Prepared(own) = &self.step else { return Err(Refusal::OutOfTurn) };
        self.both_others(others.each_ref().map(|(party, _)| *party))?;
        let (session, entry) = (own.session, own.entry);
        let height = self.height.saturating_add(1);
        let mut all = [own.clone(), own.clone(), own.clone()];
        for (party, prepare) in others {
            if prepare.session != session
                || prepare.entry != entry
                || !crypto.is_prepare(party, &prepare.statement(height, self.head), &prepare.signature)
            {
                return Err(Refusal::Prepare { party });
            }
            all[usize::from(party)] = prepare;
        }
        let numbers = all.each_ref().map(|p| p.number);
        let lock = Certificate { entry, session, numbers, signatures: all.map(|p| p.signature) };
        self.memory.lock = Some(lock.clone());
        self.step = Step::Certified(entry);
        Ok(lock)
    }

    /// The lock is durable: gives this party's vote.
    pub fn locked(&mut self, crypto: &impl Crypto<K>) -> Result<K::Signature, Refusal> {
        let Step::Certified(entry) = self.step else { return Err(Refusal::OutOfTurn) };
        self.step = Step::Locked(entry);
        Ok(crypto.sign_vote(&entry))
    }

    /// Takes an entry that follows `previous` with its three votes, in party order, no matter who shows them. Own
    /// locks do not matter: this party's own vote is one of the three. The session, if there is one, is over.
    pub fn commit(
        &mut self,
        crypto: &impl Crypto<K>,
        previous: K::Entry,
        entry: K::Entry,
        votes: &[K::Signature; 3],
    ) -> Result<(), Refusal> {
        if previous != self.head {
            return Err(Refusal::Chain);
        }
        if self.memory.abandoned == Some(entry) {
            return Err(Refusal::Abandoned);
        }
        if let Some((party, _)) = (0u8..).zip(votes).find(|(p, v)| !crypto.is_vote(*p, &entry, v)) {
            return Err(Refusal::Vote { party });
        }
        self.height = self.height.checked_add(1).ok_or(Refusal::Chain)?;
        self.head = entry;
        self.memory = Memory::default();
        self.step = Step::Idle;
        Ok(())
    }
}
