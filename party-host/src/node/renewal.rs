//! When order statistics are computed anew: each time that enough rows have entered since they were computed last.
//!
//! The decision is a function of the log: it is taken when a release point is applied, whether or not the computation then
//! succeeds. Two computations over sets of rows that differ by less would tell about the difference.

use std::collections::{BTreeMap, BTreeSet};

use tercet_protocol::survey::SurveyManifest;
use tercet_releases::ranks::{Renewal, Renewals};
use tercet_releases::{Ledger, Range, Unit};

use super::secret::Groups;

/// Whose values are put in order: those of a column, of everybody or of a group of a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whose {
    /// The column.
    pub column: u8,
    /// The field's index and its value.
    pub group: Option<(usize, String)>,
}

/// One list of order statistics of a column, all of everybody or all by one field.
#[derive(Debug, Clone)]
struct List {
    column: u8,
    field: Option<usize>,
    /// True if it may be missing.
    optional: bool,
    /// Fewest rows, and fewest that must have entered since the last time.
    least: u64,
}

/// For each column and group, when its order statistics were computed last.
#[derive(Debug)]
pub struct Orders {
    lists: Vec<List>,
    renewals: BTreeMap<Whose, Renewals>,
    /// As decided at the newest release point.
    decided: BTreeMap<Whose, Renewal>,
}

impl Orders {
    /// Before the first release point.
    pub fn new(manifest: &SurveyManifest) -> Self {
        let optional = manifest.optional();
        let list = |l: tercet_protocol::survey::OrderList| List {
            column: l.column,
            field: l.field,
            optional: optional.get(usize::from(l.column)).copied().unwrap_or(false),
            least: l.least,
        };
        let lists = manifest.order_lists().into_iter().map(list).collect();
        Self { lists, renewals: BTreeMap::new(), decided: BTreeMap::new() }
    }

    /// The decision at the newest release point.
    pub fn decided(&self, whose: &Whose) -> Renewal {
        self.decided.get(whose).copied().unwrap_or(Renewal::TooFew)
    }

    /// Decides at the ledger's newest release point.
    pub fn release(&mut self, ledger: &Ledger, groups: &Groups, point: u32) {
        for list in &self.lists {
            for (whose, entered, erased) in rows(ledger, groups, list) {
                let renewals = self.renewals.entry(whose.clone()).or_insert(Renewals::new(list.least));
                self.decided.insert(whose, renewals.decide(point, entered, erased));
            }
        }
    }
}

/// For everybody, or each group of the list's field: rows in units, and how many of them were erased.
fn rows(ledger: &Ledger, groups: &Groups, list: &List) -> Vec<(Whose, u64, u64)> {
    let column = list.column;
    let Some(field) = list.field else {
        let (entered, erased) = if list.optional {
            (clean(ledger, groups, column).iter().map(|(_, rows)| rows).sum(), 0)
        } else {
            (ledger.counted(), ledger.erased())
        };
        return vec![(Whose { column, group: None }, entered, erased)];
    };
    let mut by: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for unit in ledger.units() {
        if let Some(value) = unit.label.get(field).filter(|value| !value.is_empty()) {
            let (entered, erased) = by.entry(value).or_default();
            *entered += unit.size();
            *erased += unit.erased;
        }
    }
    let whose = |value: &str| Whose { column, group: Some((field, value.to_owned())) };
    by.into_iter().map(|(value, (entered, erased))| (whose(value), entered, erased)).collect()
}

/// For a column that may be missing: the release points whose rows are put in order, and the number of them that have
/// a value.
///
/// Nobody knows whether an erased row had a value, so the number of values among the others is not known either. Secret units
/// some of whose rows were erased are therefore left out as a whole.
pub fn clean(ledger: &Ledger, groups: &Groups, column: u8) -> Vec<(Range, u64)> {
    let Some(partition) = groups.of_column(column) else { return Vec::new() };
    let erased: BTreeSet<u32> = ledger.units().iter().filter(|u| u.erased > 0).map(|u| u.point).collect();
    let units = groups.units().iter().filter(|u| u.partition == partition);
    let ranges = units.filter_map(|u| u.ranges.first().map(|range| (*range, u.rows)));
    ranges
        .filter(|(range, _)| !erased.iter().any(|point| range.after < *point && *point <= range.until))
        .collect()
}

/// True if a unit entered at a release point in this range.
pub fn within(unit: &Unit, range: &Range) -> bool {
    range.after < unit.point && unit.point <= range.until
}
