//! Labels that are kept and times of waiting, by the product's own code; and a year of the default schedule.

use tercet_releases::{DAY, DEFAULT_EVERY, DEFAULT_PATIENCE, Filter, Ledger, Rules, Schedule};

use super::people::{Outcome, Random, people, run};

fn simulate(fields: usize, values: usize, n: usize, min_new: usize) -> Outcome {
    let mut all = Outcome::default();
    for seed in 0..6 {
        let people = people(n, fields, values, 30, &mut Random(1000 * seed + n as u64));
        all.add(run(&people, fields, min_new, 30, DEFAULT_EVERY, DEFAULT_PATIENCE).0);
    }
    let percent = |k: usize| 100.0 * k as f64 / all.people as f64;
    println!(
        "{fields} fields of {values}, {n} people, min_new {min_new}: {:.0} % keep their full label, {:.1} % at least one field, {:.2} % \
         are never counted; half wait less than {:.0} h, nine of ten less than {:.0} h; {:.0} units",
        percent(all.full),
        percent(all.some),
        percent(all.never),
        all.hours(0.5),
        all.hours(0.9),
        all.units as f64 / 6.0
    );
    all
}

/// The figures of the design: 76 % keep their full label, all at least one field, nine of ten wait less than 81 h; with three
/// fields of ten values 23 %, all, 117 h.
#[test]
fn the_figures_of_the_design_come_out() {
    let two = simulate(2, 5, 2000, 10);
    let share = |k: usize, of: &Outcome| 100.0 * k as f64 / of.people as f64;
    assert!((share(two.full, &two) - 76.0).abs() < 2.5, "{}", share(two.full, &two));
    assert!(share(two.some, &two) > 99.0, "{}", share(two.some, &two));
    assert!((two.hours(0.9) - 81.0).abs() < 8.0, "{}", two.hours(0.9));
    assert_eq!(two.never, 0);
    let three = simulate(3, 10, 5000, 10);
    assert!((share(three.full, &three) - 23.0).abs() < 2.5, "{}", share(three.full, &three));
    assert!(share(three.some, &three) > 99.0, "{}", share(three.some, &three));
    assert!((three.hours(0.9) - 117.0).abs() < 8.0, "{}", three.hours(0.9));
    // The sample survey has no fields: nobody waits for a label.
    let sample = simulate(0, 1, 100, 5);
    assert!(sample.hours(0.9) < 72.0);
}

/// A year of daily release points: the state grows with the people and not with time, and nobody waits for long.
#[test]
fn a_year_of_the_default_schedule_leaves_a_bounded_state() {
    const DAYS: u64 = 365;
    let (m, values) = (10, 5);
    for n in [2_000, 20_000] {
        let people = people(n, 2, values, DAYS, &mut Random(n as u64));
        let (outcome, ledger) = run(&people, 2, m, DAYS, DEFAULT_EVERY, DEFAULT_PATIENCE);
        assert!(ledger.points().len() as u64 <= DAYS);
        // Every unit has ten people, every release point something that enters.
        assert!(ledger.units().len() <= n / m);
        assert!(ledger.points().len() <= ledger.units().len() + 1);
        assert_eq!(ledger.waits(), 0);
        // Patience and two more days, and the hours until the next release point, are the longest wait.
        let longest = outcome.waits.last().copied().unwrap_or_default();
        assert!(n < 20_000 || longest <= DEFAULT_PATIENCE + 3 * DAY, "{} h", longest / 3600);
        assert!(outcome.never < m, "{}", outcome.never);
        println!(
            "{n} people in a year: {} units at {} release points",
            ledger.units().len(),
            ledger.points().len()
        );
    }
    // A survey that nobody comes to has nothing to remember.
    let (_, ledger) = run(&[], 2, m, DAYS, DEFAULT_EVERY, DEFAULT_PATIENCE);
    assert_eq!((ledger.units().len(), ledger.points().len()), (0, 1));
}

/// A million rows, as after a start: the log is applied, and everything is selected.
#[test]
fn a_million_rows_are_followed() {
    let schedule = Schedule { opens: 0, closes: 1000 * DAY, every: DAY, patience: DEFAULT_PATIENCE };
    let mut ledger = Ledger::new(Rules { min_new: 10, fields: 2, replace: false, schedule });
    let mut random = Random(7);
    let mut rows = 0u64;
    for day in 1..=100 {
        for _ in 0..10_000 {
            let mut identity = [0; 32];
            identity[..8].copy_from_slice(&rows.to_le_bytes());
            let label = [random.below(20).to_string(), random.below(25).to_string()];
            ledger.accept(identity, &label, (day - 1) * DAY).unwrap();
            rows += 1;
        }
        let entering = ledger.entering(day * DAY);
        ledger.enter(day * DAY, &entering.digest()).unwrap();
    }
    assert_eq!(ledger.counted() + ledger.waits() as u64, 1_000_000);
    let everybody = ledger.select(&Filter::everybody());
    assert_eq!(everybody.rows, ledger.counted());
    let groups = ledger.groups(&Filter::everybody(), 0, 10);
    let shown: u64 = groups.groups.values().map(|g| g.rows).sum();
    assert_eq!(shown + groups.not_told_apart + groups.too_few, everybody.rows);
}

/// Long intervals protect people: with hourly release points a third of those who come are alone with their label in their hour,
/// and false accounts could single them out; with daily ones nobody is.
#[test]
fn hardly_anybody_is_alone_with_a_label_for_a_day() {
    let alone = |every: u64| {
        let people = people(2000, 1, 5, 30, &mut Random(5));
        let mut company = std::collections::BTreeMap::new();
        people.iter().for_each(|p| *company.entry((&p.label, p.at / every)).or_insert(0u32) += 1);
        let single = company.values().filter(|n| **n == 1).count();
        100.0 * single as f64 / people.len() as f64
    };
    let (hourly, daily) = (alone(3600), alone(DAY));
    println!("alone with their label: {hourly:.0} % by the hour, {daily:.1} % by the day");
    assert!((25.0..45.0).contains(&hourly), "{hourly}");
    assert!(daily < 1.0, "{daily}");
}
