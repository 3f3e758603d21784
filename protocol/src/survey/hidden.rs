//! Groups of rows that nobody knows the members of: who has a value in a column that may be missing.
//!
//! Parties decide about such groups on shared counts before they open anything that is summed over them. A *guard* names
//! the groups that are decided about together; its *atoms* are disjoint, and every sum that it guards is a sum over
//! some of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tercet_mpc::statistics::{Target, counted};
use tercet_mpc::{Condition, Output, Term};

use super::{SurveyError, SurveyManifest, invalid};
use crate::statistic::targets;

/// What has to be decided before sums are opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Whether enough rows have a value in a column.
    Column(String),
    /// The same of statistics of pairs: who has a value in which of the columns.
    Pairs,
}

/// A group of rows whose size is a linear combination of numbers of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atom {
    /// How often the number of all rows counts.
    pub rows: i64,
    /// How often the sum of an output counts, which is one or zero in each row.
    pub of: Vec<(Output, i64)>,
    /// Whether it may be empty: what is not there tells of nobody.
    pub may_be_empty: bool,
}

impl SurveyManifest {
    /// Which columns may be missing.
    pub fn optional(&self) -> Vec<bool> {
        self.columns.iter().map(|c| c.missing.is_some()).collect()
    }

    fn may_be_missing(&self, column: u8) -> bool {
        self.columns.get(usize::from(column)).is_some_and(|c| c.missing.is_some())
    }

    /// Of all pairs that a listed statistic is of and in which a value may be missing: the columns.
    fn paired(&self) -> BTreeSet<u8> {
        let pairs = self.permits().into_iter().flat_map(|p| targets(self, p.family, &p.columns));
        let incomplete = pairs.filter_map(|target| match target {
            Target::Two(a, b) if self.may_be_missing(a) || self.may_be_missing(b) => Some([a, b]),
            _ => None,
        });
        incomplete.flatten().collect()
    }

    /// What guards a statistic; nothing where every row has a value.
    pub fn guards(&self, target: Target) -> BTreeSet<Guard> {
        let columns: &[u8] = match target {
            Target::Rows => &[],
            Target::One(c) => &[c],
            Target::Two(a, b) => &[a, b],
        };
        let paired = self.paired();
        let name = |c: u8| self.columns.get(usize::from(c)).map(|c| Guard::Column(c.name.clone()));
        let own = columns.iter().filter(|c| self.may_be_missing(**c)).filter_map(|c| name(*c));
        let pairs = columns.iter().any(|c| paired.contains(c)).then_some(Guard::Pairs);
        own.chain(pairs).collect()
    }

    /// The groups that a guard decides about.
    pub fn atoms(&self, guard: &Guard) -> Vec<Atom> {
        match guard {
            Guard::Column(name) => {
                let of = self.column(name).map(|c| (Output::Present(c), 1)).into_iter().collect();
                vec![Atom { rows: 0, of, may_be_empty: false }]
            }
            Guard::Pairs => {
                let optional: Vec<u8> =
                    self.paired().into_iter().filter(|c| self.may_be_missing(*c)).collect();
                let atom = |rows, of: &[(Output, i64)]| Atom { rows, of: of.to_vec(), may_be_empty: true };
                match optional[..] {
                    [a] => {
                        let a = Output::Present(a);
                        vec![Atom { may_be_empty: false, ..atom(0, &[(a, 1)]) }, atom(1, &[(a, -1)])]
                    }
                    [a, b] => {
                        let both = Output::Given(Term::Present(a), Condition::Present(b));
                        let (a, b) = (Output::Present(a), Output::Present(b));
                        vec![
                            atom(0, &[(both, 1)]),
                            atom(0, &[(a, 1), (both, -1)]),
                            atom(0, &[(b, 1), (both, -1)]),
                            atom(1, &[(a, -1), (b, -1), (both, 1)]),
                        ]
                    }
                    // A valid survey has two at most.
                    _ => Vec::new(),
                }
            }
        }
    }

    /// The outputs that all guards' atoms are made of.
    pub(crate) fn guarding(&self) -> BTreeSet<Output> {
        let columns =
            self.columns.iter().filter(|c| c.missing.is_some()).map(|c| Guard::Column(c.name.clone()));
        let atoms = columns.chain([Guard::Pairs]).flat_map(|guard| self.atoms(&guard));
        atoms.flat_map(|atom| atom.of).map(|(output, _)| output).collect()
    }

    /// What cannot be kept together with missing values is refused here, so that no query finds it out.
    pub(super) fn validate_hidden(&self) -> Result<(), SurveyError> {
        for column in &self.columns {
            let Some(missing) = &column.missing else { continue };
            let plain = !missing.is_empty() && missing.len() <= 64 && !missing.chars().any(char::is_control);
            if !plain || tercet_mpc::decimal::is_decimal(missing.as_bytes()) {
                let problem = "write the text that stands for a missing value, such as \"null\": 1 to 64 printable bytes, no number";
                return Err(invalid("columns.missing", problem));
            }
            if !self.noise.is_empty() {
                let problem = format!(
                    "a survey with [[noise]] has no columns that may be missing: the number of values of \"{}\" would be exact",
                    column.name
                );
                return Err(invalid("columns.missing", problem));
            }
        }
        let paired = self.paired();
        let optional: Vec<&str> = paired
            .iter()
            .filter_map(|c| self.columns.get(usize::from(*c)))
            .filter(|c| c.missing.is_some())
            .map(|c| c.name.as_str())
            .collect();
        if optional.len() > 2 {
            let problem = format!(
                "statistics of pairs are of {}, which may all be missing: list pairs that have two such columns at most, \
                 as in covariance(a,b)",
                optional.join(", ")
            );
            return Err(invalid("survey.statistics", problem));
        }
        for permit in self.permits().iter().filter(|p| p.group.is_some()) {
            let guarded = |t: &Target| !self.guards(*t).is_empty();
            if targets(self, permit.family, &permit.columns).iter().any(guarded) {
                let problem = format!(
                    "\"{permit}\": who has a value is known to nobody, so a column that may be missing is not grouped: \
                     name other columns"
                );
                return Err(invalid("survey.statistics", problem));
            }
        }
        Ok(())
    }

    /// The output whose sum is the number of rows that a statistic is over; none: of all.
    pub fn counted(&self, target: Target) -> Option<Output> {
        counted(target, &self.optional())
    }
}
