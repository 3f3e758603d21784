//! Decides if the three go on from a state, once all of them behave and everything arrives.

#![allow(clippy::needless_range_loop, reason = "several lists are by party")]

use tercet_agreement::{Certificate, Machine, Memory, Prepare, Task};

use super::{Party, Setting, Token, World};

impl Setting {
    /// Why they do not go on; C shows any lock and any prepare that it can, as if it had been honest all the time.
    pub(super) fn stuck(&self, w: &World) -> Option<String> {
        let [a, b] = &w.parties;
        let committed = a.committed.max(b.committed);
        let voted = (a.votes & b.votes).trailing_zeros() as u8;
        if committed != 0 || a.votes & b.votes != 0 {
            // Whoever is behind takes the entry with its three votes, and needs its rows, or both others'.
            let entry = if committed != 0 { committed } else { voted };
            let lacks = |p: &Party| !p.has_rows(entry);
            return (lacks(a) && lacks(b))
                .then(|| format!("entry {entry} has three votes, and its rows are not there"));
        }
        w.claims().into_iter().find_map(|lock| {
            World::prepares().into_iter().find_map(|latest| self.goes_on(w, lock.clone(), latest))
        })
    }

    fn goes_on(
        &self,
        w: &World,
        lock: Option<Certificate<Token>>,
        latest: Option<Prepare<Token>>,
    ) -> Option<String> {
        let shows = format!("C shows the lock {lock:?} and the prepare {latest:?}");
        let c_has = lock.as_ref().map_or(0, |l| l.entry);
        let c = Machine::new(2, 0, 0, Memory { latest, lock, abandoned: None }).with_rules(self.rules);
        let mut all = [w.parties[0].machine.clone(), w.parties[1].machine.clone(), c];
        let hellos = all.each_mut().map(Machine::begin);
        let others = |i: usize| [(i + 1) % 3, (i + 2) % 3];
        let mut entry = 0;
        for i in 0..3 {
            let theirs = others(i).map(|j| (j as u8, &hellos[j]));
            match all[i].bind(&Token, (80, 80), theirs) {
                Ok(Task::Free) => {}
                Ok(Task::Finish(certificate)) => entry = certificate.entry,
                Err(e) => return Some(format!("{shows}: party {i}: {e}")),
            }
        }
        if entry == 0 {
            entry = 1;
        } else {
            let rows = w.parties.iter().filter(|p| p.has_rows(entry)).count() + usize::from(c_has == entry);
            // Allowed: two parties lost the rows, one by being restored.
            if rows < 2 {
                return (!w.restored).then(|| format!("{shows}: rows of {entry} are with {rows} parties"));
            }
        }
        let mut prepares = Vec::new();
        for i in 0..3 {
            others(i).into_iter().for_each(|j| all[i].heard(j as u8));
            match all[i].prepare(&Token, entry, 70) {
                Ok(prepare) => prepares.push(prepare),
                Err(e) => return Some(format!("{shows}: party {i}: {e}")),
            }
        }
        for i in 0..3 {
            let theirs = others(i).map(|j| (j as u8, prepares[j].clone()));
            if let Err(e) = all[i].certify(&Token, theirs).and_then(|_| all[i].locked(&Token)) {
                return Some(format!("{shows}: party {i}: {e}"));
            }
        }
        None
    }
}
