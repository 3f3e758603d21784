//! People who come to a survey, made up as in the models behind the design: half of them in the first days, mostly by day, with
//! labels of unequal frequency.

use tercet_releases::{DAY, Ledger, Rules, Schedule, Standing};

/// A small generator of random numbers (SplitMix64), seeded, so that a simulation is the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Somebody who comes at a second of the survey.
pub struct Person {
    pub at: u64,
    pub label: Vec<String>,
}

/// `n` people within `days` days, whose labels have `fields` fields of `values` values each; the k-th value is 1/k as
/// frequent as the first.
pub fn people(n: usize, fields: usize, values: usize, days: u64, random: &mut Random) -> Vec<Person> {
    let weights: Vec<f64> = (1..=values).map(|k| 1.0 / k as f64).collect();
    let all: f64 = weights.iter().sum();
    let mut people: Vec<Person> = (0..n)
        .map(|_| {
            let at = loop {
                let early = random.unit() < 0.5;
                let day = if early { -3.0 * (1.0 - random.unit()).ln() } else { random.unit() * days as f64 };
                let by_day = day.fract() * 24.0 > 8.0 || random.unit() < 0.1;
                if day < days as f64 && by_day {
                    break (day * DAY as f64) as u64;
                }
            };
            let value = |random: &mut Random| {
                let mut at = random.unit() * all;
                let found = weights.iter().position(|w| {
                    at -= w;
                    at < 0.0
                });
                format!("v{}", found.unwrap_or(values - 1))
            };
            let label = (0..fields).map(|_| value(random)).collect();
            Person { at, label }
        })
        .collect();
    people.sort_by_key(|p| p.at);
    people
}

/// The fate of people.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Whose unit tells every field.
    pub full: usize,
    /// Whose unit tells at least one.
    pub some: usize,
    /// Number of people who are never counted.
    pub never: usize,
    /// Seconds from being accepted to being counted, ascending.
    pub waits: Vec<u64>,
    pub people: usize,
    pub units: usize,
}

impl Outcome {
    /// Hours within which this share of those who are counted are.
    pub fn hours(&self, share: f64) -> f64 {
        let i = ((self.waits.len() as f64 * share) as usize).min(self.waits.len() - 1);
        self.waits[i] as f64 / 3600.0
    }

    pub fn add(&mut self, other: Self) {
        self.full += other.full;
        self.some += other.some;
        self.never += other.never;
        self.people += other.people;
        self.units += other.units;
        self.waits.extend(other.waits);
        self.waits.sort_unstable();
    }
}

/// Runs a survey of this many days, and gives its ledger too.
pub fn run(
    people: &[Person],
    fields: usize,
    min_new: usize,
    days: u64,
    every: u64,
    patience: u64,
) -> (Outcome, Ledger) {
    let schedule = Schedule { opens: 0, closes: days * DAY - every, every, patience };
    let mut ledger = Ledger::new(Rules { min_new, fields, replace: false, schedule });
    let mut coming = people.iter().enumerate().peekable();
    let mut clock = 0;
    let mut counted_at = vec![0; people.len()];
    while let Some(next) = schedule.next(clock) {
        clock = next;
        while let Some((i, person)) = coming.next_if(|(_, p)| p.at < clock) {
            let mut identity = [0; 32];
            identity[..8].copy_from_slice(&(i as u64).to_le_bytes());
            ledger.accept(identity, &person.label, person.at).unwrap();
        }
        let due = ledger.due(clock).unwrap();
        let entering = ledger.entering(due);
        if !entering.units().is_empty() || entering.last {
            entering.units().iter().flat_map(|u| &u.rows).for_each(|row| counted_at[*row as usize] = due);
            ledger.enter(due, &entering.digest()).unwrap();
        }
    }
    let mut outcome = Outcome { people: people.len(), units: ledger.units().len(), ..Outcome::default() };
    for (row, person) in (0..).zip(people) {
        match ledger.standing(row) {
            Some(Standing::Counted(unit)) => {
                let told = ledger.units()[unit as usize].label.iter().filter(|t| !t.is_empty()).count();
                outcome.full += usize::from(told == fields);
                outcome.some += usize::from(told > 0);
                outcome.waits.push(counted_at[row as usize] - person.at);
            }
            _ => outcome.never += 1,
        }
    }
    outcome.waits.sort_unstable();
    (outcome, ledger)
}
