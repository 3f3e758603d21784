//! Exhaustive searches on small systems: no combination of anything that is ever released, over filters, groups and release
//! points, weighs two rows of a unit differently or tells about fewer than `min_new` rows. Each kind of rule is also broken on
//! purpose, and the same search then finds a combination.

use std::collections::BTreeSet;

use tercet_releases::{DAY, Filter, Ledger, Left, Row, Rules, Schedule, Standing};

use super::combinations::{Weights, singles_out, told_apart};

const M: usize = 2;

/// Something that may happen to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Somebody with this label comes.
    Come(&'static [&'static str]),
    /// The oldest waiting row is replaced by one with this label.
    Replace(&'static [&'static str]),
    /// The oldest waiting row is withdrawn.
    Withdraw,
    /// The oldest counted row is erased.
    Erase,
    /// A release point, a day later.
    Point,
    /// Nothing for three days.
    Wait,
}

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// A unit is summed anew without its erased rows.
    Reformed,
    /// A filter looks at rows, not at units.
    SplitByFilter,
    /// A counted row may be replaced, and the unit is summed with the new row.
    ReplacedInside,
    /// Rows that are left at the last release point are a unit, however few.
    FewLeft,
    /// An erased identity may come again, with the same value.
    ComesAgain,
}

#[derive(Clone)]
struct System {
    ledger: Ledger,
    clock: u64,
    broken: Broken,
    labels: Vec<Vec<String>>,
    /// Whose each row is.
    identity: Vec<u8>,
    /// The unknown of each row: its own, unless an attacker knows that it repeats another one.
    unknown: Vec<usize>,
    released: BTreeSet<Weights>,
    /// For each unit, the rows that are summed now.
    sums: Vec<Vec<Row>>,
    /// Most rows there may be.
    rows: usize,
}

impl System {
    fn new(fields: usize, rows: usize, broken: Broken, days: u64) -> Self {
        let schedule = Schedule { opens: 0, closes: (days - 1) * DAY, every: DAY, patience: DAY };
        let ledger = Ledger::new(Rules { min_new: M, fields, replace: true, schedule });
        let (labels, identity, unknown, sums) = (vec![], vec![], vec![], vec![]);
        Self { ledger, clock: 0, broken, labels, identity, unknown, released: BTreeSet::new(), sums, rows }
    }

    fn accept(&mut self, identity: u8, label: Vec<String>) -> Option<Row> {
        let (row, _) = self.ledger.accept([identity; 32], &label, self.clock).ok()?;
        self.labels.push(label);
        self.identity.push(identity);
        self.unknown.push(row as usize);
        Some(row)
    }

    fn come(&mut self, label: &[&str]) -> Option<Row> {
        let identity = self.identity.iter().max().map_or(0, |i| i + 1);
        self.accept(identity, texts(label))
    }

    fn oldest(&self, is: impl Fn(Standing) -> bool) -> Option<Row> {
        (0..self.ledger.accepted() as Row).find(|r| self.ledger.standing(*r).is_some_and(&is))
    }

    /// Applies an event, and says if it was possible.
    fn step(&mut self, event: Event) -> bool {
        let waiting = self.oldest(|s| s == Standing::Waiting);
        let counted = self.oldest(|s| matches!(s, Standing::Counted(_)));
        match event {
            Event::Come(label) => self.come(label).is_some(),
            Event::Replace(label) => match (waiting, counted) {
                (Some(row), _) => self.accept(self.identity[row as usize], texts(label)).is_some(),
                (None, Some(row)) if self.broken == Broken::ReplacedInside => {
                    // The new row stands in the old one's place.
                    let Some(new) = self.come(label) else { return false };
                    assert_eq!(self.ledger.leave(new), Ok(Left::Withdrawn));
                    self.sums.iter_mut().flatten().filter(|r| **r == row).for_each(|r| *r = new);
                    self.release();
                    true
                }
                (None, Some(row)) => {
                    let identity = self.identity[row as usize];
                    assert!(self.accept(identity, texts(label)).is_none(), "{identity} is already counted");
                    false
                }
                _ => false,
            },
            Event::Withdraw => waiting.is_some_and(|row| self.ledger.leave(row) == Ok(Left::Withdrawn)),
            Event::Erase => {
                let Some(row) = counted else { return false };
                let Ok(Left::Erased(unit)) = self.ledger.leave(row) else { return false };
                let (identity, label) = (self.identity[row as usize], self.labels[row as usize].clone());
                if self.broken == Broken::ComesAgain {
                    let label: Vec<&str> = label.iter().map(String::as_str).collect();
                    if let Some(again) = self.come(&label) {
                        self.unknown[again as usize] = self.unknown[row as usize];
                    }
                } else {
                    assert!(self.accept(identity, label).is_none(), "{identity} was counted");
                }
                if self.broken == Broken::Reformed {
                    self.sums[unit as usize].retain(|r| *r != row);
                }
                self.release();
                true
            }
            Event::Wait => {
                self.clock += 3 * DAY;
                true
            }
            Event::Point => {
                self.clock += DAY;
                let entering = self.ledger.entering(self.clock);
                if self.ledger.closed() {
                    return false;
                }
                self.ledger.enter(self.clock, &entering.digest()).unwrap();
                self.sums.extend(entering.units().iter().map(|u| u.rows.clone()));
                if self.broken == Broken::FewLeft && !entering.formation.never.is_empty() {
                    self.sums.push(entering.formation.never.clone());
                }
                self.release();
                true
            }
        }
    }

    /// Everything that anybody may ask now: all filters, of which the groups of each field are some.
    fn release(&mut self) {
        let fields = self.ledger.rules().fields;
        let values: Vec<BTreeSet<String>> =
            (0..fields).map(|f| self.labels.iter().map(|l| l[f].clone()).collect()).collect();
        let choices = values.iter().map(|v| v.len() as u32 + 1);
        let all = choices.clone().map(|n| 2usize.pow(n - 1)).product::<usize>();
        for mut choice in 0..all {
            let mut filter = Filter::everybody();
            for (field, values) in values.iter().enumerate() {
                let sets = 2usize.pow(values.len() as u32);
                let set = choice % sets;
                choice /= sets;
                // The empty set stands for no condition.
                if set > 0 {
                    let chosen = values.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
                    filter = filter.with(field, chosen.map(|(_, v)| v.clone()));
                }
            }
            let mut weights = vec![0; self.rows];
            for (id, rows) in self.sums.iter().enumerate() {
                for row in rows {
                    let selected = match self.broken {
                        Broken::SplitByFilter => filter.matches(&self.labels[*row as usize]),
                        Broken::FewLeft if id >= self.ledger.units().len() => filter.is_everybody(),
                        _ => filter.matches(&self.ledger.units()[id].label),
                    };
                    weights[self.unknown[*row as usize]] += i64::from(selected);
                }
            }
            if weights.iter().any(|w| *w != 0) {
                self.released.insert(weights);
            }
        }
    }

    /// The attack that works, if one does.
    fn attack(&self) -> Option<String> {
        if let Some(found) = singles_out(&self.released, M) {
            return Some(format!("a combination that tells about fewer than {M}: {found:?}"));
        }
        self.ledger.units().iter().find_map(|unit| {
            let people: Vec<u32> = unit.rows.iter().map(|r| self.unknown[*r as usize] as u32).collect();
            told_apart(&self.released, &people)
                .map(|pair| format!("rows of one unit weigh differently: {pair:?}"))
        })
    }
}

fn texts(label: &[&str]) -> Vec<String> {
    label.iter().map(|s| (*s).to_owned()).collect()
}

/// All systems of up to this many events. Gives the number of attacked systems, and the first attack that found
/// something.
fn search(
    system: &System,
    alphabet: &[Event],
    length: usize,
    path: &mut Vec<Event>,
) -> (usize, Option<(Vec<Event>, String)>) {
    let mut looked_at = 0;
    for event in alphabet.iter().filter(|_| length > 0) {
        let mut next = system.clone();
        if !next.step(*event) {
            continue;
        }
        path.push(*event);
        if next.released != system.released {
            looked_at += 1;
            if let Some(found) = next.attack() {
                return (looked_at, Some((path.clone(), found)));
            }
        }
        let (more, found) = search(&next, alphabet, length - 1, path);
        looked_at += more;
        if found.is_some() {
            return (looked_at, found);
        }
        path.pop();
    }
    (looked_at, None)
}

const A: &[&str] = &["a"];
const B: &[&str] = &["b"];
const ONE_FIELD: &[Event] = &[
    Event::Come(A),
    Event::Come(B),
    Event::Replace(A),
    Event::Replace(B),
    Event::Withdraw,
    Event::Erase,
    Event::Point,
    Event::Wait,
];

const TWO_FIELDS: &[Event] = &[
    Event::Come(&["a", "x"]),
    Event::Come(&["a", "y"]),
    Event::Come(&["b", "x"]),
    Event::Erase,
    Event::Point,
    Event::Wait,
];

const NO_FIELD: &[Event] =
    &[Event::Come(&[]), Event::Replace(&[]), Event::Withdraw, Event::Erase, Event::Point];

#[test]
fn no_combination_tells_rows_of_a_unit_apart() {
    // Surveys that go on, and such that have their last release point within the search.
    for (fields, alphabet, length, days, least) in [
        (1, ONE_FIELD, 6, 1000, 1000),
        (1, ONE_FIELD, 7, 3, 1000),
        (2, TWO_FIELDS, 8, 1000, 1000),
        (2, TWO_FIELDS, 8, 4, 1000),
        (0, NO_FIELD, 9, 1000, 1000),
    ] {
        let system = System::new(fields, length, Broken::Nothing, days);
        let (systems, found) = search(&system, alphabet, length, &mut vec![]);
        assert_eq!(found, None);
        println!("{fields} fields, {length} events: {systems} systems");
        assert!(systems > least, "{systems} systems");
    }
}

#[test]
fn each_broken_rule_is_found() {
    for (broken, alphabet, length, days) in [
        (Broken::Reformed, ONE_FIELD, 4, 1000),
        (Broken::SplitByFilter, ONE_FIELD, 5, 1000),
        (Broken::ReplacedInside, ONE_FIELD, 4, 1000),
        (Broken::FewLeft, ONE_FIELD, 3, 2),
        (Broken::ComesAgain, ONE_FIELD, 6, 1000),
    ] {
        let system = System::new(1, 2 * length, broken, days);
        let (systems, found) = search(&system, alphabet, length, &mut vec![]);
        let (events, how) = found.unwrap_or_else(|| panic!("{broken:?} was not found in {systems} systems"));
        println!("{broken:?}: {events:?}: {how}");
    }
}
