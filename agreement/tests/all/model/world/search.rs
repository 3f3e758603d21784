//! The world as the search sees it: first states, next states, and what is wrong with one.

use super::super::explore::{Model, fingerprint};
use super::{Action, Party, Setting, World, bit};

impl Model for Setting {
    type State = World;
    type Action = Action;

    fn initial(&self) -> World {
        let parties = [Party::new(0, self.rules), Party::new(1, self.rules)];
        World { parties, restored: false, gave_way: false }
    }

    fn next(&self, w: &World, out: &mut Vec<(Action, World)>) {
        for i in 0..2 {
            self.of_party(w, i, out);
        }
    }

    fn wrong(&mut self, w: &World) -> Option<String> {
        let [a, b] = &w.parties;
        if a.committed != 0 && b.committed != 0 && a.committed != b.committed {
            return Some("fork".into());
        }
        for (x, y) in [(a, b), (b, a)] {
            if x.committed != 0 && y.receipts & !bit(x.committed) != 0 {
                return Some("an entry with a receipt was replaced".into());
            }
        }
        if self.only_safety {
            return None;
        }
        if !w.restored && self.right_rules() {
            if a.locked_on() != 0 && b.locked_on() != 0 && a.locked_on() != b.locked_on() {
                return Some("honest parties are locked on different entries".into());
            }
            if w.gave_way {
                return Some("an honest lock gave way".into());
            }
            for (x, y) in [(a, b), (b, a)] {
                if x.locked_on() != 0 && y.committed == 0 && !y.has_rows(x.locked_on()) {
                    return Some("one is locked on an entry whose rows the other did not keep".into());
                }
            }
        }
        let certificates = w.claims();
        let memories = w.parties.each_ref().map(|p| (p.machine.memory().clone(), p.committed, p.votes));
        let key = fingerprint(&(certificates, memories, w.restored));
        if self.recovered.contains(&key) {
            return None;
        }
        let stuck = self.stuck(w).map(|s| format!("stuck: {s}"));
        if stuck.is_none() {
            self.recovered.insert(key);
        }
        stuck
    }
}
