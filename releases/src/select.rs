//! Filters and groups: they select whole units, by label.

use std::collections::{BTreeMap, BTreeSet};

use tercet_mutants::mutant;

use crate::{Unit, UnitId};

/// Conditions on revealed fields: each named field has one of its values. Without conditions: everybody.
///
/// A unit that does not tell a field matches no value of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(BTreeMap<usize, BTreeSet<String>>);

/// The units that a filter selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Their numbers, ascending.
    pub units: Vec<UnitId>,
    /// The number of rows that their sums are over, with those erased since.
    pub rows: u64,
    /// The number of these that were erased since.
    pub erased: u64,
    /// For each field of the filter: the rows of units that do not tell it, and could match in all fields that they tell.
    pub not_told_apart: BTreeMap<usize, u64>,
}

impl Selection {
    fn add(&mut self, id: UnitId, unit: &Unit) {
        self.units.push(id);
        self.rows += unit.size();
        self.erased += unit.erased;
    }

    /// True if these are enough rows to be shown.
    pub fn reaches(&self, min_cohort: u64) -> bool {
        !self.units.is_empty() && self.rows >= min_cohort
    }
}

/// The groups that a field makes of a filter's units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// The groups that reach the minimum cohort, by value.
    pub groups: BTreeMap<String, Selection>,
    /// Rows of the filter's units that are in smaller groups. They are not shown.
    pub too_few: u64,
    /// Rows of the filter's units that do not tell the field.
    pub not_told_apart: u64,
}

impl Filter {
    /// Everybody.
    pub fn everybody() -> Self {
        Self::default()
    }

    /// One more condition: the field has one of these values.
    pub fn with(mut self, field: usize, values: impl IntoIterator<Item = String>) -> Self {
        self.0.entry(field).or_default().extend(values);
        self
    }

    /// Narrows a field to one value: no other one is selected any more.
    pub fn and(mut self, field: usize, value: &str) -> Self {
        let admitted = self.0.get(&field).is_none_or(|values| values.contains(value));
        self.0.insert(field, if admitted { BTreeSet::from([value.to_owned()]) } else { BTreeSet::new() });
        self
    }

    /// True if there is no condition.
    pub fn is_everybody(&self) -> bool {
        self.0.is_empty()
    }

    /// True if a unit with this label is selected.
    pub fn matches(&self, label: &[String]) -> bool {
        let untold = mutant!("untold-field-matches");
        self.0
            .iter()
            .all(|(field, values)| told(label, *field).map_or(untold, |value| values.contains(value)))
    }

    /// True if a label could be that of a selected row: it matches in every field that it tells.
    fn could_match(&self, label: &[String]) -> bool {
        self.0.iter().all(|(field, values)| told(label, *field).is_none_or(|value| values.contains(value)))
    }

    /// The units that are selected.
    pub fn select(&self, units: &[Unit]) -> Selection {
        let mut selection =
            Selection { not_told_apart: self.0.keys().map(|f| (*f, 0)).collect(), ..Selection::default() };
        for (id, unit) in (0..).zip(units) {
            if self.matches(&unit.label) {
                selection.add(id, unit);
            } else if self.could_match(&unit.label) {
                for (_, rows) in
                    selection.not_told_apart.iter_mut().filter(|(f, _)| told(&unit.label, **f).is_none())
                {
                    *rows += unit.size();
                }
            }
        }
        selection
    }

    /// The groups that a field makes of the selected units. Groups of fewer than `min_cohort` rows are not shown.
    pub fn groups(&self, units: &[Unit], field: usize, min_cohort: u64) -> Groups {
        let mut all = Groups::default();
        for (id, unit) in (0..).zip(units).filter(|(_, unit)| self.matches(&unit.label)) {
            match told(&unit.label, field) {
                Some(value) => all.groups.entry(value.to_owned()).or_default().add(id, unit),
                None => all.not_told_apart += unit.size(),
            }
        }
        all.groups.retain(|_, group| {
            let shown = group.reaches(min_cohort);
            all.too_few += if shown { 0 } else { group.rows };
            shown
        });
        all
    }
}

/// A label's value of a field, if it tells it.
fn told(label: &[String], field: usize) -> Option<&str> {
    label.get(field).map(String::as_str).filter(|value| !value.is_empty())
}
