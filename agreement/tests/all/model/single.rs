//! Rules with one vote and no lock before it, as they were, and the repair that comes to mind first.

use std::fmt;

use super::explore::Model;

/// Sessions of each party.
const SESSIONS: usize = 3;

/// One phase: in a session a party votes for an entry, and three votes commit it.
#[derive(Debug, Clone, Copy)]
pub struct SinglePhase {
    /// A party that has voted is bound to the entry for good.
    pub vote_binds: bool,
}

/// By party and session, the entry that it voted for; by party, the entry that it committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Votes {
    voted: [[u8; SESSIONS]; 2],
    committed: [u8; 2],
}

/// A step.
pub struct Action(usize, &'static str, u8, usize);

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(party, what, entry, session) = self;
        write!(f, "{}: {what} {entry} in session {}", ["A", "B"][*party], session + 1)
    }
}

impl Model for SinglePhase {
    type State = Votes;
    type Action = Action;

    fn initial(&self) -> Votes {
        Votes::default()
    }

    fn next(&self, s: &Votes, out: &mut Vec<(Action, Votes)>) {
        for i in (0..2).filter(|i| s.committed[*i] == 0) {
            let next = s.voted[i].iter().rposition(|e| *e != 0).map_or(0, |n| n + 1);
            let before = s.voted[i].iter().copied().find(|e| *e != 0);
            for entry in [1, 2] {
                for session in next..SESSIONS {
                    if !self.vote_binds || before.is_none_or(|e| e == entry) {
                        let mut t = *s;
                        t.voted[i][session] = entry;
                        out.push((Action(i, "votes for", entry, session), t));
                    }
                }
                if s.voted.iter().all(|v| v.contains(&entry)) {
                    let mut t = *s;
                    t.committed[i] = entry;
                    out.push((Action(i, "commits", entry, 0), t));
                }
            }
        }
    }

    fn wrong(&mut self, s: &Votes) -> Option<String> {
        let [a, b] = s.committed;
        if a != 0 && b != 0 && a != b {
            return Some("fork".into());
        }
        let bound = s.voted.map(|v| v.iter().copied().find(|e| *e != 0).unwrap_or(0));
        (self.vote_binds && bound[0] != 0 && bound[1] != 0 && bound[0] != bound[1])
            .then(|| "stuck: the two honest parties are bound to different entries".into())
    }
}
