//! The entry that a session is to finish, if there is one.

use crate::rules::Rules;
use crate::signed::{Certificate, Hello, Kinds, Prepare};

/// The task of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Task<K: Kinds> {
    /// No party shows a lock: the leader proposes anything.
    Free,
    /// This certificate's entry is finished, and nothing else is done.
    Finish(Certificate<K>),
}

/// A certificate is newer if at least two parties' numbers are greater in it: one of the two is honest.
fn newer<K: Kinds>(a: &Certificate<K>, b: &Certificate<K>, rules: Rules) -> bool {
    let greater = a.numbers.iter().zip(&b.numbers).filter(|(a, b)| a > b).count();
    greater >= if rules.two_numbers { 2 } else { 1 }
}

/// True if both others have prepared another entry since `owner`'s lock.
fn moved_on<K: Kinds>(owner: usize, lock: &Certificate<K>, latest: &[Option<&Prepare<K>>; 3]) -> bool {
    (0..3)
        .filter(|q| *q != owner)
        .all(|q| latest[q].is_some_and(|p| p.entry != lock.entry && p.number > lock.numbers[q]))
}

/// The rule: of the locks shown, own included, less those that yield, the newest one is finished. `None`: there are
/// locks on different entries, of which none gives way or each gives way to another.
///
/// `hellos` are in party order, with locks and prepares that hold only.
pub(crate) fn task<K: Kinds>(me: usize, hellos: [&Hello<K>; 3], rules: Rules) -> Option<Task<K>> {
    let latest = hellos.map(|h| h.latest.as_ref());
    let shown: Vec<(usize, &Certificate<K>)> = (0..3)
        .filter(|p| rules.follow || *p == me)
        .filter_map(|p| Some((p, hellos[p].lock.as_ref()?)))
        .collect();
    let moved_on = |p: usize, x: &Certificate<K>| rules.moved_on && moved_on(p, x, &latest);
    let outdated = |x: &Certificate<K>| {
        let newer = |y: &Certificate<K>| if rules.newest { newer(y, x, rules) } else { newer(x, y, rules) };
        shown.iter().any(|(_, y)| y.entry != x.entry && newer(y))
    };
    let mut left = shown.iter().filter(|(p, x)| !moved_on(*p, x) && !outdated(x)).map(|(_, x)| *x);
    let Some(mut newest) = left.next() else {
        // Locks that put one another aside in a ring are no reason to begin anew.
        let free = !rules.two_numbers || shown.iter().all(|(p, x)| moved_on(*p, x));
        return free.then_some(Task::Free);
    };
    for other in left {
        if other.entry != newest.entry {
            return None;
        }
        if newer(other, newest, rules) {
            newest = other;
        }
    }
    Some(Task::Finish(newest.clone()))
}
