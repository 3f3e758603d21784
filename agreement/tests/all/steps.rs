//! The steps one by one, with signatures that can be wrong.

use tercet_agreement::{
    Certificate, Crypto, Hello, Kinds, Machine, Memory, Prepare, Refusal, Statement, Task,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Plain;

/// A signature is its signer and its content.
impl Kinds for Plain {
    type Entry = u32;
    type Session = u32;
    type Signature = (u8, String);
}

struct Signer(u8);

impl Crypto<Plain> for Signer {
    fn sign_prepare(&self, statement: &Statement<Plain>) -> (u8, String) {
        (self.0, format!("{statement:?}"))
    }
    fn is_prepare(&self, party: u8, statement: &Statement<Plain>, signature: &(u8, String)) -> bool {
        *signature == (party, format!("{statement:?}"))
    }
    fn sign_vote(&self, entry: &u32) -> (u8, String) {
        (self.0, entry.to_string())
    }
    fn is_vote(&self, party: u8, entry: &u32, signature: &(u8, String)) -> bool {
        *signature == (party, entry.to_string())
    }
}

const HEAD: u32 = 7;

fn machines() -> [Machine<Plain>; 3] {
    [0, 1, 2].map(|me| Machine::new(me, 4, HEAD, Memory::default()))
}

fn others<T: Clone>(me: usize, all: &[T; 3]) -> [(u8, T); 2] {
    [(me + 1) % 3, (me + 2) % 3].map(|i| (i as u8, all[i].clone()))
}

fn refs<T>(pairs: &[(u8, T); 2]) -> [(u8, &T); 2] {
    pairs.each_ref().map(|(i, t)| (*i, t))
}

/// Brings all three to where they may prepare.
fn bound(all: &mut [Machine<Plain>; 3], session: u32) -> [Task<Plain>; 3] {
    let hellos = all.each_mut().map(Machine::begin);
    [0, 1, 2].map(|i| {
        let heard = others(i, &hellos);
        let task = all[i].bind(&Signer(i as u8), session, refs(&heard)).unwrap();
        heard.iter().for_each(|(p, _)| all[i].heard(*p));
        task
    })
}

fn prepared(all: &mut [Machine<Plain>; 3], entry: u32, now: u64) -> [Prepare<Plain>; 3] {
    [0, 1, 2].map(|i| all[i].prepare(&Signer(i as u8), entry, now).unwrap())
}

fn locked(all: &mut [Machine<Plain>; 3], session: u32, entry: u32, now: u64) -> [(u8, String); 3] {
    bound(all, session);
    let prepares = prepared(all, entry, now);
    [0, 1, 2].map(|i| {
        let crypto = Signer(i as u8);
        all[i].certify(&crypto, others(i, &prepares)).unwrap();
        all[i].locked(&crypto).unwrap()
    })
}

#[test]
fn three_honest_parties_commit() {
    let mut all = machines();
    let votes = locked(&mut all, 1, 8, 1000);
    for (i, m) in all.iter_mut().enumerate() {
        assert_eq!(m.memory().lock.as_ref().map(|l| l.numbers), Some([1000; 3]));
        m.commit(&Signer(i as u8), HEAD, 8, &votes).unwrap();
        assert_eq!(m.head(), (5, 8));
        assert_eq!(*m.memory(), Memory::default());
    }
}

#[test]
fn a_lock_is_finished_by_the_next_session_whoever_has_it() {
    for holder in 0..3 {
        let mut all = machines();
        bound(&mut all, 1);
        let prepares = prepared(&mut all, 8, 1000);
        all[holder].certify(&Signer(holder as u8), others(holder, &prepares)).unwrap();
        let tasks = bound(&mut all, 2);
        assert!(tasks.iter().all(|t| matches!(t, Task::Finish(c) if c.entry == 8 && c.session == 1)));
        for (i, m) in all.iter_mut().enumerate() {
            let other = m.clone().prepare(&Signer(i as u8), 9, 2000);
            assert_eq!(other, Err(Refusal::OtherEntry));
        }
        // The clock was set back: numbers grow all the same.
        let again = prepared(&mut all, 8, 3);
        assert!(again.iter().all(|p| p.number == 1001));
    }
}

#[test]
fn nothing_is_prepared_before_both_others_confirmed_the_session() {
    let mut all = machines();
    let hellos = all.each_mut().map(Machine::begin);
    let heard = others(0, &hellos);
    all[0].bind(&Signer(0), 1, refs(&heard)).unwrap();
    assert_eq!(all[0].prepare(&Signer(0), 8, 0), Err(Refusal::NotConfirmed { party: 1 }));
    all[0].heard(1);
    assert_eq!(all[0].prepare(&Signer(0), 8, 0), Err(Refusal::NotConfirmed { party: 2 }));
    all[0].heard(2);
    all[0].prepare(&Signer(0), 8, 0).unwrap();
    assert_eq!(all[0].prepare(&Signer(0), 8, 0), Err(Refusal::OutOfTurn), "once a session");
}

#[test]
fn steps_out_of_turn_are_refused() {
    let mut all = machines();
    let hellos = all.each_mut().map(Machine::begin);
    let heard = others(0, &hellos);
    let prepares = {
        let mut other = machines();
        bound(&mut other, 1);
        prepared(&mut other, 8, 5)
    };
    let m = &mut all[0];
    assert_eq!(m.prepare(&Signer(0), 8, 0), Err(Refusal::OutOfTurn));
    assert_eq!(m.certify(&Signer(0), others(0, &prepares)), Err(Refusal::OutOfTurn));
    assert_eq!(m.locked(&Signer(0)), Err(Refusal::OutOfTurn));
    m.bind(&Signer(0), 1, refs(&heard)).unwrap();
    assert_eq!(m.bind(&Signer(0), 2, refs(&heard)), Err(Refusal::OutOfTurn), "one session for one hello");
    m.leave();
    assert_eq!(m.prepare(&Signer(0), 8, 0), Err(Refusal::OutOfTurn));
}

/// Whatever is wrong with one of the others' prepares, there is no lock and so no vote.
#[test]
fn a_prepare_that_does_not_fit_makes_no_lock() {
    let changes: [fn(&mut Prepare<Plain>); 5] = [
        |p| p.entry = 9,
        |p| p.session = 2,
        |p| p.number += 1,
        |p| p.signature.0 = 1,
        |p| p.signature.1.push('x'),
    ];
    for change in changes {
        let mut all = machines();
        bound(&mut all, 1);
        let mut prepares = prepared(&mut all, 8, 5);
        change(&mut prepares[2]);
        assert_eq!(all[0].certify(&Signer(0), others(0, &prepares)), Err(Refusal::Prepare { party: 2 }));
        assert!(all[0].memory().lock.is_none());
        assert_eq!(all[0].locked(&Signer(0)), Err(Refusal::OutOfTurn));
    }
    let mut all = machines();
    bound(&mut all, 1);
    let prepares = prepared(&mut all, 8, 5);
    let twice = [(1, prepares[1].clone()), (1, prepares[1].clone())];
    assert!(all[0].certify(&Signer(0), twice).is_err(), "one party's prepare does not stand for two");
}

/// A prepare that was true of an older session, or at another height, is not of this one.
#[test]
fn old_prepares_make_no_lock() {
    let mut all = machines();
    bound(&mut all, 1);
    let old = prepared(&mut all, 8, 5);
    bound(&mut all, 2);
    prepared(&mut all, 8, 6);
    assert_eq!(all[0].certify(&Signer(0), others(0, &old)), Err(Refusal::Prepare { party: 1 }));
}

#[test]
fn a_lock_that_does_not_hold_is_none() {
    let mut all = machines();
    locked(&mut all, 1, 8, 5);
    let good = all[2].memory().lock.clone().unwrap();
    let changes: [fn(&mut Certificate<Plain>); 4] =
        [|c| c.entry = 9, |c| c.session = 3, |c| c.numbers[1] = 9, |c| c.signatures.swap(0, 1)];
    for change in changes {
        let mut forged = good.clone();
        change(&mut forged);
        let [mut me, mut other, _] = machines();
        let theirs = Hello { height: 4, head: HEAD, lock: Some(forged), latest: None };
        me.begin();
        let task = me.bind(&Signer(0), 9, [(1, &other.begin()), (2, &theirs)]).unwrap();
        assert_eq!(task, Task::Free);
    }
    // At another height it is none either.
    let mut higher = Machine::<Plain>::new(0, 5, 8, Memory::default());
    let at = |lock| Hello { height: 5, head: 8, lock, latest: None };
    higher.begin();
    assert_eq!(higher.bind(&Signer(0), 9, [(1, &at(None)), (2, &at(Some(good)))]), Ok(Task::Free));
}

#[test]
fn who_is_where_is_named() {
    let [mut me, mut other, _] = machines();
    let hello = other.begin();
    let cases = [
        (Hello { height: 5, ..hello.clone() }, Refusal::Behind { party: 2, ours: 4, theirs: 5 }),
        (Hello { height: 3, ..hello.clone() }, Refusal::Ahead { party: 2, ours: 4, theirs: 3 }),
        (Hello { head: 9, ..hello.clone() }, Refusal::Diverged { party: 2 }),
    ];
    for (theirs, refusal) in cases {
        me.begin();
        assert_eq!(me.bind(&Signer(0), 1, [(1, &hello), (2, &theirs)]), Err(refusal));
    }
    for wrong in [[(0, &hello), (2, &hello)], [(1, &hello), (3, &hello)]] {
        me.begin();
        assert_eq!(me.bind(&Signer(0), 1, wrong), Err(Refusal::OutOfTurn));
    }
}

#[test]
fn only_three_votes_for_what_follows_the_head_commit() {
    let mut all = machines();
    let votes = locked(&mut all, 1, 8, 5);
    let [mut m, ..] = all;
    assert_eq!(m.commit(&Signer(0), 6, 8, &votes), Err(Refusal::Chain));
    assert_eq!(m.commit(&Signer(0), HEAD, 9, &votes), Err(Refusal::Vote { party: 0 }));
    for party in 0..3u8 {
        let mut bad = votes.clone();
        bad[usize::from(party)] = votes[usize::from((party + 1) % 3)].clone();
        assert_eq!(m.commit(&Signer(0), HEAD, 8, &bad), Err(Refusal::Vote { party }));
    }
    assert_eq!(m.head().0, 4);
    // An own lock on another entry does not matter: the own vote is among the three.
    let mut other = machines();
    locked(&mut other, 2, 9, 5);
    other[0].commit(&Signer(0), HEAD, 8, &votes).unwrap();
    assert_eq!(other[0].head(), (5, 8));
}

/// C was corrupted and kept a certificate; the two others moved on. When it behaves again, its lock yields, and only
/// when both others moved on.
#[test]
fn a_lock_yields_to_two_later_prepares_of_the_others() {
    let mut all = machines();
    bound(&mut all, 1);
    let prepares = prepared(&mut all, 8, 5);
    all[2].certify(&Signer(2), others(2, &prepares)).unwrap();
    let lock = all[2].memory().lock.clone();
    let hidden = Memory { latest: all[2].memory().latest.clone(), ..Memory::default() };
    all[2] = Machine::new(2, 4, HEAD, hidden);
    let tasks = bound(&mut all, 2);
    assert!(tasks.iter().all(|t| *t == Task::Free));
    all[0].prepare(&Signer(0), 9, 6).unwrap();
    // One moved on.
    let latest = all[2].memory().latest.clone();
    let honest = |m: &Machine<Plain>| m.memory().clone();
    let (a, b) = (honest(&all[0]), honest(&all[1]));
    let back = |a: &Memory<Plain>, b: &Memory<Plain>| {
        let c = Memory { latest: latest.clone(), lock: lock.clone(), abandoned: None };
        let mut all = [
            Machine::new(0, 4, HEAD, a.clone()),
            Machine::new(1, 4, HEAD, b.clone()),
            Machine::new(2, 4, HEAD, c),
        ];
        bound(&mut all, 3)
    };
    assert!(back(&a, &b).iter().all(|t| matches!(t, Task::Finish(c) if c.entry == 8)));
    all[1].prepare(&Signer(1), 9, 6).unwrap();
    assert!(back(&a, &honest(&all[1])).iter().all(|t| *t == Task::Free));
}

/// Two of three parties lost the rows of an entry that all are locked on. The three operators give it up: another entry gets the
/// height, and the first one never does, although its votes are complete.
#[test]
fn an_entry_that_the_operators_gave_up_is_never_committed() {
    let mut all = machines();
    let votes = locked(&mut all, 1, 8, 5);
    // A party that has not heard of it yet shows its lock: for the others it is none.
    all[0].abandon(8);
    all[1].abandon(8);
    assert!(all[0].memory().lock.is_none() && all[2].memory().lock.is_some());
    let hellos = all.each_mut().map(Machine::begin);
    assert_eq!(all[0].bind(&Signer(0), 2, refs(&others(0, &hellos))), Ok(Task::Free));
    let of_third = all[2].bind(&Signer(2), 2, refs(&others(2, &hellos)));
    assert!(matches!(of_third, Ok(Task::Finish(c)) if c.entry == 8));
    // It is durable: a party that reads its memory again still knows.
    let memory = all[1].memory().clone();
    all[1].reload(Memory { lock: all[2].memory().lock.clone(), ..memory });
    assert!(all[1].memory().lock.is_none());
    all[2].abandon(8);
    assert!(bound(&mut all, 3).iter().all(|t| *t == Task::Free));
    assert_eq!(all[0].prepare(&Signer(0), 8, 6), Err(Refusal::Abandoned));
    for m in &mut all {
        assert_eq!(m.commit(&Signer(m.me()), HEAD, 8, &votes), Err(Refusal::Abandoned));
    }
    let votes = locked(&mut all, 4, 9, 7);
    for m in &mut all {
        m.commit(&Signer(m.me()), HEAD, 9, &votes).unwrap();
        assert_eq!((m.head(), m.memory()), ((5, 9), &Memory::default()));
    }
}
