//! Properties of the rules over random logs.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tercet_releases::{
    DAY, Filter, Ledger, Left, MAX_SKEW, MAX_UNITS, NotDue, Refused, Row, Rules, Schedule, Standing, Waiting,
    form,
};

/// Something that may happen.
#[derive(Debug, Clone)]
enum Event {
    Come { identity: u8, label: [u8; 2] },
    Leave(u16),
    Point { hours: u8 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0u8..60, [0u8..3, 0u8..3]).prop_map(|(identity, label)| Event::Come { identity, label }),
        1 => (0u16..100).prop_map(Event::Leave),
        1 => (1u8..100).prop_map(|hours| Event::Point { hours }),
    ]
}

fn rules(min_new: usize, replace: bool) -> Rules {
    let schedule = Schedule { opens: 0, closes: 60 * DAY, every: DAY, patience: 2 * DAY };
    Rules { min_new, fields: 2, replace, schedule }
}

fn label(of: [u8; 2]) -> Vec<String> {
    of.iter().map(|v| format!("v{v}")).collect()
}

/// Applies an event; every party refuses the same events.
fn apply(ledger: &mut Ledger, clock: &mut u64, event: &Event) {
    match event {
        Event::Come { identity, label: of } => {
            *clock += 60;
            let admitted = ledger.admits(&[*identity; 32]);
            let accepted = ledger.accept([*identity; 32], &label(*of), *clock);
            assert_eq!(accepted.map(|(_, replaces)| replaces), admitted);
        }
        Event::Leave(row) => {
            let before = ledger.standing((*row).into());
            match (before, ledger.leave((*row).into())) {
                (Some(Standing::Waiting | Standing::Never), Ok(Left::Withdrawn)) => {}
                (Some(Standing::Counted(unit)), Ok(Left::Erased(same))) => assert_eq!(unit, same),
                (_, Err(Refused::NotThere)) => {}
                other => panic!("{other:?}"),
            }
        }
        Event::Point { hours } => {
            *clock += u64::from(*hours) * 3600;
            let entering = ledger.entering(*clock);
            let closed = ledger.closed();
            let point = ledger.enter(*clock, &entering.digest());
            assert!(point.is_ok() || closed, "{point:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_row_is_in_one_unit_at_most_and_every_unit_is_large_enough(
        min_new in 1usize..6,
        replace: bool,
        events in prop::collection::vec(event(), 1..150),
    ) {
        let mut ledger = Ledger::new(rules(min_new, replace));
        let mut again = ledger.clone();
        let (mut clock, mut other) = (0, 0);
        let mut before = vec![];
        for event in &events {
            apply(&mut ledger, &mut clock, event);
            apply(&mut again, &mut other, event);
            // Units never change, but for the number of rows that were erased.
            let units: Vec<_> = ledger.units().iter().map(|u| (u.label.clone(), u.rows.clone(), u.point)).collect();
            prop_assert_eq!(&units[..before.len()], &before[..]);
            before = units;
        }
        let mut unit_of = BTreeMap::new();
        let mut identities = BTreeSet::new();
        for (id, unit) in (0u32..).zip(ledger.units()) {
            prop_assert!(unit.rows.len() >= min_new);
            prop_assert!(unit.rows.is_sorted_by(|a, b| a < b));
            for row in &unit.rows {
                prop_assert!(unit_of.insert(*row, id).is_none());
                let own = ledger.label(*row).unwrap();
                prop_assert!(unit.label.iter().zip(own).all(|(told, own)| told.is_empty() || told == own));
            }
            let erased = unit.rows.iter().filter(|r| ledger.standing(**r) == Some(Standing::Erased(id))).count();
            prop_assert_eq!(erased as u64, unit.erased);
        }
        let mut waits = 0;
        for row in 0..ledger.accepted() as Row {
            match ledger.standing(row).unwrap() {
                Standing::Counted(id) | Standing::Erased(id) => prop_assert_eq!(unit_of.get(&row), Some(&id)),
                standing => {
                    prop_assert!(!unit_of.contains_key(&row));
                    waits += usize::from(standing == Standing::Waiting);
                }
            }
        }
        prop_assert_eq!(waits, ledger.waits());
        // Who is or was in a unit comes never again.
        for identity in 0..60u8 {
            if let Some(row) = ledger.row_of(&[identity; 32]) {
                prop_assert!(identities.insert(row));
                if unit_of.contains_key(&row) && !ledger.closed() {
                    prop_assert_eq!(ledger.admits(&[identity; 32]), Err(Refused::AlreadyCounted(row)));
                }
            }
        }
        // Equal logs give equal digests.
        prop_assert_eq!(ledger.entering(clock + DAY).digest(), again.entering(clock + DAY).digest());
        prop_assert_eq!(ledger.counted(), ledger.units().iter().map(|u| u.size()).sum::<u64>());
    }

    /// The units that enter depend on the rows that wait, and not on the order in which they are looked at.
    #[test]
    fn formation_does_not_depend_on_order(
        rows in prop::collection::vec(([0u8..4, 0u8..4], 0u64..9), 0..60),
        seed: u64,
        last: bool,
        min_new in 1usize..8,
    ) {
        let labels: Vec<Vec<String>> = rows.iter().map(|(l, _)| label(*l)).collect();
        let mut at = 0;
        let mut waiting: Vec<Waiting<'_>> = (0..).zip(&labels).zip(&rows).map(|((row, label), (_, hours))| {
            at += hours * 3600;
            Waiting { row, at, label }
        }).collect();
        let schedule = Schedule { opens: 0, closes: 100 * DAY, every: DAY, patience: DAY };
        let time = if last { schedule.last() } else { 12 * DAY };
        let formed = form(&waiting, min_new, &schedule, time);
        let mut random = super::people::Random(seed);
        for i in (1..waiting.len()).rev() {
            waiting.swap(i, random.below(i as u64 + 1) as usize);
        }
        prop_assert_eq!(&form(&waiting, min_new, &schedule, time), &formed);
        // Whoever is not in a unit waits on, but for the last time.
        let entered: usize = formed.units.iter().map(|u| u.rows.len()).sum();
        prop_assert!(entered + formed.never.len() <= rows.len());
        prop_assert!(!last || entered + formed.never.len() == rows.len());
        prop_assert!(formed.never.len() < min_new);
        prop_assert!(last || formed.never.is_empty());
        // No label with enough waiting rows waits, and nobody who is patient and has enough company.
        if !last {
            let out: BTreeSet<Row> = formed.units.iter().flat_map(|u| u.rows.iter().copied()).collect();
            let still: Vec<_> = waiting.iter().filter(|w| !out.contains(&w.row)).collect();
            for w in &still {
                prop_assert!(still.iter().filter(|o| o.label == w.label).count() < min_new);
                if time - w.at > 2 * DAY {
                    prop_assert!(still.len() < min_new, "everybody agrees when no field is left");
                }
            }
        }
    }

    /// A filter and its groups select whole units; a field that a unit does not tell matches nothing.
    #[test]
    fn filters_select_whole_units(
        events in prop::collection::vec(event(), 1..150),
        first in prop::collection::btree_set(0u8..3, 0..3),
        second in prop::collection::btree_set(0u8..3, 0..3),
        least in 1u64..12,
    ) {
        let mut ledger = Ledger::new(rules(3, false));
        let mut clock = 0;
        events.iter().for_each(|event| apply(&mut ledger, &mut clock, event));
        let mut filter = Filter::everybody();
        for (field, values) in [(0, &first), (1, &second)] {
            if !values.is_empty() {
                filter = filter.with(field, values.iter().map(|v| format!("v{v}")));
            }
        }
        let selection = ledger.select(&filter);
        let mut rows = 0;
        for (id, unit) in (0..).zip(ledger.units()) {
            let fits = |field: usize, values: &BTreeSet<u8>| {
                values.is_empty() || values.iter().any(|v| unit.label[field] == format!("v{v}"))
            };
            let selected = fits(0, &first) && fits(1, &second);
            prop_assert_eq!(selection.units.contains(&id), selected);
            rows += if selected { unit.size() } else { 0 };
        }
        prop_assert_eq!(selection.rows, rows);
        let groups = ledger.groups(&filter, 0, least);
        let shown: u64 = groups.groups.values().map(|g| g.rows).sum();
        prop_assert_eq!(shown + groups.too_few + groups.not_told_apart, rows);
        prop_assert!(groups.groups.values().all(|g| g.rows >= least && g.reaches(least)));
        prop_assert!(!groups.groups.contains_key(""));
        for (value, group) in &groups.groups {
            let narrowed = ledger.select(&filter.clone().and(0, value));
            prop_assert_eq!(&narrowed.units, &group.units);
        }
    }

    /// A party admits exactly the release point that is due by its clock, or was within the skew.
    #[test]
    fn what_is_due_is_admitted(every in 60u64..100_000, clock in 0u64..10_000_000, after in prop::option::of(0u64..10_000_000)) {
        let schedule = Schedule { opens: 1000, closes: 5_000_000, every, patience: 0 };
        if let Some(time) = schedule.due(after, clock) {
            prop_assert!(time <= clock && after.is_none_or(|a| a < time));
            prop_assert_eq!(schedule.admits(after.filter(|a| !schedule.is_last(*a)), time, clock), Ok(()));
            prop_assert_eq!(schedule.admits(Some(time), time, clock).is_err(), true);
            if let Some(next) = schedule.next(time) {
                prop_assert!(next > clock || schedule.is_last(time));
                let early = Err(NotDue::Early { time: next, clock: next - 1 });
                prop_assert_eq!(schedule.admits(Some(time), next, next - 1), early);
                prop_assert_eq!(schedule.admits(after.filter(|a| *a < time), time, next + MAX_SKEW - 1), Ok(()));
                let late = schedule.admits(after.filter(|a| *a < time), time, next + MAX_SKEW);
                prop_assert_eq!(late, Err(NotDue::Missed { time, due: next }));
            }
        }
        if let Some(next) = schedule.next(clock) {
            prop_assert!(next > clock && next - clock <= every.max(1000 + every));
            prop_assert_eq!(schedule.latest(next), Some(next));
            prop_assert_eq!(schedule.admits(None, next + 1, next + 1).is_err(), schedule.latest(next + 1) != Some(next + 1));
        } else {
            prop_assert!(clock >= schedule.last());
        }
    }
}

#[test]
fn rare_labels_give_up_fields_from_the_last_to_the_first() {
    let mut ledger = Ledger::new(rules(3, false));
    let mut identity = 0;
    let mut come = |ledger: &mut Ledger, of: [u8; 2], at: u64| {
        identity += 1;
        ledger.accept([identity; 32], &label(of), at).unwrap().0
    };
    // Three of one label, and four of rare ones: three agree in the first field.
    let full: Vec<Row> = (0..3).map(|_| come(&mut ledger, [0, 0], 0)).collect();
    let rare = [come(&mut ledger, [1, 0], 0), come(&mut ledger, [1, 1], 3600)];
    let alone = come(&mut ledger, [2, 0], 7200);
    let enter = |ledger: &mut Ledger, time: u64| {
        let entering = ledger.entering(time);
        ledger.enter(time, &entering.digest()).unwrap();
        entering.units().iter().map(|u| (u.label.join(","), u.rows.clone())).collect::<Vec<_>>()
    };
    assert_eq!(enter(&mut ledger, DAY), [("v0,v0".to_owned(), full)]);
    // Two days are not longer than the patience.
    let young = come(&mut ledger, [1, 2], 2 * DAY - 1);
    assert_eq!(enter(&mut ledger, 2 * DAY), []);
    // Three hours later the first row is patient, and the oldest others that agree are added; who is younger waits.
    let younger = come(&mut ledger, [1, 2], 2 * DAY);
    assert_eq!(enter(&mut ledger, 2 * DAY + 1800), [("v1,".to_owned(), [&rare[..], &[young]].concat())]);
    // One more day for the next field: the one that is alone takes whoever waits.
    let another = come(&mut ledger, [0, 1], 2 * DAY + 3000);
    assert_eq!(enter(&mut ledger, 3 * DAY + 7200), []);
    assert_eq!(enter(&mut ledger, 3 * DAY + 7201), [(",".to_owned(), vec![alone, younger, another])]);
}

#[test]
fn at_the_last_release_point_nobody_waits_on() {
    let survey = |labels: &[[u8; 2]]| {
        let mut ledger = Ledger::new(rules(3, false));
        for (i, of) in (0..).zip(labels) {
            ledger.accept([i; 32], &label(*of), 60 * DAY).unwrap();
        }
        let last = ledger.rules().schedule.last();
        let entering = ledger.entering(last);
        assert!(entering.last);
        ledger.enter(last, &entering.digest()).unwrap();
        assert!(ledger.closed());
        assert_eq!(ledger.admits(&[99; 32]), Err(Refused::Closed));
        let units: Vec<_> = ledger.units().iter().map(|u| (u.label.join(","), u.rows.len())).collect();
        (units, entering.formation.never.len())
    };
    // Two that are left join the unit that tells least, which then tells only what all agree in.
    let (four, left) = ([[0, 0]; 4], [[0, 1], [0, 2]]);
    assert_eq!(survey(&[&four[..], &left[..]].concat()), (vec![("v0,".to_owned(), 6)], 0));
    let coarse = [[1, 0], [1, 1], [1, 2]];
    let (units, never) = survey(&[&four[..], &coarse[..], &[[2, 0]]].concat());
    assert_eq!((units, never), (vec![("v0,v0".to_owned(), 4), (",".to_owned(), 4)], 0));
    // Two alone are never counted.
    assert_eq!(survey(&left), (vec![], 2));
}

#[test]
fn one_release_point_has_a_bounded_number_of_units() {
    let schedule = Schedule { opens: 0, closes: 10 * DAY, every: DAY, patience: DAY };
    let labels: Vec<Vec<String>> = (0..MAX_UNITS + 50).map(|i| vec![i.to_string()]).collect();
    let waiting: Vec<Waiting<'_>> =
        (0..).zip(labels.iter().chain(&labels)).map(|(row, label)| Waiting { row, at: 0, label }).collect();
    let formed = form(&waiting, 2, &schedule, DAY);
    assert_eq!(formed.units.len(), MAX_UNITS);
    assert!((0..).zip(&formed.units).all(|(i, unit)| unit.rows[0] == i), "the oldest first");
    // At the last one the others enter together.
    let formed = form(&waiting, 2, &schedule, schedule.last());
    assert_eq!(formed.units.len(), MAX_UNITS);
    assert_eq!(formed.units.iter().map(|u| u.rows.len()).sum::<usize>(), waiting.len());
    assert_eq!(formed.units.last().unwrap().label, [""]);
}

#[test]
fn a_release_point_that_says_something_else_is_refused() {
    let mut ledger = Ledger::new(rules(2, false));
    for i in 0..4 {
        ledger.accept([i; 32], &label([0, 0]), 0).unwrap();
    }
    let today = ledger.entering(DAY);
    assert_eq!(ledger.enter(2 * DAY, &today.digest()), Err(Refused::Digest { number: 1 }));
    ledger.leave(3).unwrap();
    assert_eq!(ledger.enter(DAY, &today.digest()), Err(Refused::Digest { number: 1 }), "a row less");
    let today = ledger.entering(DAY);
    ledger.enter(DAY, &today.digest()).unwrap();
    assert_eq!(ledger.enter(DAY, &today.digest()), Err(Refused::Past { time: DAY, last: DAY }));
    assert_eq!(ledger.units_at(1), 0..1);
    assert_eq!((ledger.units_at(0), ledger.units_at(2)), (0..0, 1..1));
}

/// A release point at which nothing could enter stays due until the next. A row that comes in the meantime enters with the next
/// one; otherwise its provider could choose the company.
#[test]
fn who_comes_after_a_due_time_waits_for_the_next() {
    let mut ledger = Ledger::new(rules(3, false));
    for i in 0..2 {
        ledger.accept([i; 32], &label([0, 0]), DAY - 60).unwrap();
    }
    assert_eq!(ledger.due(DAY + 3600), Some(DAY));
    assert_eq!(ledger.entering(DAY).units(), []);
    ledger.accept([2; 32], &label([0, 0]), DAY + 1800).unwrap();
    assert_eq!(ledger.entering(DAY).units(), []);
    assert_eq!(ledger.entering(2 * DAY).units().len(), 1);
    // A clock that runs backwards makes nobody older than who came before.
    ledger.accept([3; 32], &label([0, 0]), 0).unwrap();
    assert_eq!(ledger.entering(DAY).units(), []);
    assert_eq!(ledger.entering(2 * DAY).rows(), 4);
    // Too late for the last one.
    let last = ledger.rules().schedule.last();
    ledger.accept([4; 32], &label([0, 0]), last + 1).unwrap();
    let entering = ledger.entering(last);
    assert_eq!((entering.rows(), &entering.formation.never[..]), (4, &[4][..]));
}

/// An erased row is not taken out of its unit: earlier answers stay as they were, and no difference shows who left.
#[test]
fn who_leaves_a_unit_stays_in_its_sums() {
    let mut ledger = Ledger::new(rules(3, true));
    for i in 0..4 {
        ledger.accept([i; 32], &label([0, 0]), 0).unwrap();
    }
    let entering = ledger.entering(DAY);
    ledger.enter(DAY, &entering.digest()).unwrap();
    assert_eq!(ledger.leave(2), Ok(Left::Erased(0)));
    assert_eq!(ledger.leave(2), Err(Refused::NotThere));
    let unit = &ledger.units()[0];
    assert_eq!((&unit.rows[..], unit.erased, unit.size()), (&[0, 1, 2, 3][..], 1, 4));
    let everybody = ledger.select(&Filter::everybody());
    assert_eq!((everybody.rows, everybody.erased, ledger.counted(), ledger.erased()), (4, 1, 4, 1));
    for identity in 0..4 {
        let refused = Err(Refused::AlreadyCounted(identity.into()));
        assert_eq!(ledger.accept([identity; 32], &label([0, 0]), DAY), refused);
    }
}
