//! The formation of units of the rows that wait, at a release point.

use std::collections::BTreeMap;

use tercet_mutants::mutant;

use crate::{Label, Row, Schedule};

/// Most units of one release point. The rows of further ones wait for the next.
pub const MAX_UNITS: usize = 16_384;

/// A row that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// Its number. Rows with smaller numbers are older.
    pub row: Row,
    /// When it was accepted, in seconds; not earlier than older rows.
    pub at: u64,
    /// Its revealed fields.
    pub label: &'a [String],
}

/// One unit that enters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formed {
    /// The values that all its rows have in common; empty texts where that is nothing or was given up.
    pub label: Label,
    /// Its rows, ascending.
    pub rows: Vec<Row>,
}

impl Formed {
    /// The number of fields that its label tells.
    pub fn told(&self) -> usize {
        self.label.iter().filter(|value| !value.is_empty()).count()
    }
}

/// The result of a release point for the waiting rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formation {
    /// The units that enter, in the order of their oldest rows.
    pub units: Vec<Formed>,
    /// The rows that will never be counted, ascending: those left at the last release point.
    pub never: Vec<Row>,
}

/// The units that enter at the release point of `time`: a function of the waiting rows, whatever their order here.
///
/// 1. For each label with at least `min_new` waiting rows, all of them are a unit.
/// 2. Then fields are given up from the last to the first. Rows that have waited longer than the schedule's patience (a day more
///    for each further field) and agree in the fields that are left are a unit; if they are fewer than `min_new`, the oldest
///    other waiting rows that agree in these fields are added, as many as it takes; if there are not enough, all wait.
/// 3. At the last release point every row has waited long enough. Those that are left, fewer than `min_new`, join the unit whose
///    label has the fewest fields (of several the one with the oldest row), which then keeps only the fields in which all its
///    rows agree. Without a unit they are never counted.
///
/// At most [`MAX_UNITS`] units enter, those with the oldest rows first; the others wait. At the last release point, all further
/// ones enter as one unit without a label.
pub fn form(waiting: &[Waiting<'_>], min_new: usize, schedule: &Schedule, time: u64) -> Formation {
    let last = schedule.is_last(time);
    let min_new = if mutant!("unit-one-too-small") { min_new - 1 } else { min_new }.max(1);
    let fields = waiting.iter().map(|w| w.label.len()).max().unwrap_or_default();
    let mut sorted = waiting.to_vec();
    sorted.sort_unstable_by_key(|w| w.row);
    let mut units = Vec::new();

    let mut rest = Vec::new();
    for (_, rows) in by(&sorted, |w| w.label) {
        if rows.len() >= min_new || mutant!("small-units-enter") {
            units.push(unit(&rows, fields, fields));
        } else {
            rest.extend(rows);
        }
    }
    for kept in (0..fields).rev() {
        rest.sort_unstable_by_key(|w| w.row);
        let mut still = Vec::with_capacity(rest.len());
        for (_, rows) in by(&rest, |w| w.label.get(..kept).unwrap_or(w.label)) {
            let patient = |w: &Waiting<'_>| last || schedule.is_patient(w.at, time, fields - kept);
            let (mut enter, mut stay): (Vec<_>, Vec<_>) = rows.into_iter().partition(patient);
            if !enter.is_empty() && enter.len() + stay.len() >= min_new {
                let needed = min_new.saturating_sub(enter.len());
                enter.extend(stay.drain(..needed));
                units.push(unit(&enter, kept, fields));
            } else {
                still.extend(enter);
            }
            still.extend(stay);
        }
        rest = still;
    }
    units.sort_unstable_by_key(|u| u.rows.first().copied());
    if last {
        close(units, &rest, waiting)
    } else {
        units.truncate(MAX_UNITS);
        Formation { units, never: Vec::new() }
    }
}

/// The last release point: the rest joins a unit, or is never counted.
fn close(mut units: Vec<Formed>, rest: &[Waiting<'_>], waiting: &[Waiting<'_>]) -> Formation {
    if units.len() > MAX_UNITS {
        let further: Vec<_> = units.drain(MAX_UNITS - 1..).flat_map(|u| u.rows).collect();
        let fields = waiting.first().map_or(0, |w| w.label.len());
        let mut rows = further;
        rows.sort_unstable();
        units.push(Formed { label: vec![String::new(); fields], rows });
    }
    let mut never: Vec<Row> = rest.iter().map(|w| w.row).collect();
    never.sort_unstable();
    let Some(host) = units.iter_mut().min_by_key(|u| u.told()).filter(|_| !never.is_empty()) else {
        return Formation { units, never };
    };
    for (i, told) in host.label.iter_mut().enumerate() {
        if !mutant!("unit-tells-what-is-not-so") && rest.iter().any(|w| w.label.get(i) != Some(&*told)) {
            told.clear();
        }
    }
    host.rows.append(&mut never);
    host.rows.sort_unstable();
    units.sort_unstable_by_key(|u| u.rows.first().copied());
    Formation { units, never: Vec::new() }
}

/// The rows by key, in the keys' order; rows keep their order.
fn by<'a, 'b>(
    rows: &[Waiting<'a>],
    key: impl Fn(&Waiting<'a>) -> &'b [String],
) -> BTreeMap<&'b [String], Vec<Waiting<'a>>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        groups.entry(key(row)).or_default().push(*row);
    }
    groups
}

/// A unit of rows that agree in their first `kept` fields.
fn unit(rows: &[Waiting<'_>], kept: usize, fields: usize) -> Formed {
    let first = rows.first().map(|w| w.label).unwrap_or_default();
    let label = (0..fields).map(|i| first.get(i).filter(|_| i < kept).cloned().unwrap_or_default()).collect();
    let mut rows: Vec<Row> = rows.iter().map(|w| w.row).collect();
    rows.sort_unstable();
    Formed { label, rows }
}
