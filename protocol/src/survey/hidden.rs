//! Groups of rows that nobody knows the members of: who has a value in a column that may be missing, who has which value
//! of a category.
//!
//! Parties decide about such groups on shared counts before they open anything that is summed over them. A *guard* names
//! the groups that are decided about together; its *atoms* are disjoint, and every sum that it guards is a sum over
//! some of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tercet_mpc::statement::MAX_CATEGORIES;
use tercet_mpc::statistics::{Permit, Statistic, Target, counted};
use tercet_mpc::{Condition, Output, Term};

use super::{CategorySection, ColumnSection, SurveyError, SurveyManifest, invalid, named};
use crate::statistic::targets;

/// What has to be decided before sums are opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Whether enough rows have a value in a column.
    Column(String),
    /// The same of statistics of pairs: who has a value in which of the columns.
    Pairs,
    /// Which values of a category have enough rows to stand alone.
    Category(String),
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

fn columns_of(target: Target) -> Vec<u8> {
    match target {
        Target::Rows => Vec::new(),
        Target::One(c) => vec![c],
        Target::Two(a, b) => vec![a, b],
    }
}

impl SurveyManifest {
    /// Which columns may be missing.
    pub fn optional(&self) -> Vec<bool> {
        self.columns.iter().map(ColumnSection::may_be_missing).collect()
    }

    fn may_be_missing(&self, column: u8) -> bool {
        self.columns.get(usize::from(column)).is_some_and(ColumnSection::may_be_missing)
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

    /// The category of this name: its index among the statement's columns, and its section.
    pub fn category(&self, name: &str) -> Option<(u8, &CategorySection)> {
        // At most MAX_COLUMNS columns, categories included.
        let index = |i: usize| (self.columns.len() + i) as u8;
        self.categories.iter().enumerate().find(|(_, c)| c.name == name).map(|(i, c)| (index(i), c))
    }

    /// The category by which listed statistics are grouped: there is one at most.
    fn grouping(&self) -> Option<(u8, &CategorySection)> {
        let groups: Vec<String> = self.permits().into_iter().filter_map(|p| p.group).collect();
        groups.iter().find_map(|g| self.category(g))
    }

    /// The columns of statistics that are grouped by the category.
    fn categorized(&self) -> BTreeSet<u8> {
        let by_category = |p: &Permit| p.group.as_ref().is_some_and(|g| self.category(g).is_some());
        let permits = self.permits();
        let grouped = permits.iter().filter(|p| by_category(p));
        grouped.flat_map(|p| targets(self, p.family, &p.columns)).flat_map(columns_of).collect()
    }

    /// For each value of the category: numbers of rows, first of all of them, then of those with a value in each column
    /// that may be missing.
    pub fn category_counts(&self, name: &str) -> Vec<Vec<Output>> {
        let Some((index, section)) = self.category(name) else { return Vec::new() };
        let optional: Vec<u8> = self.categorized().into_iter().filter(|c| self.may_be_missing(*c)).collect();
        // At most 16 values.
        let counts = |value: u8| {
            let terms = std::iter::once(Term::One).chain(optional.iter().map(|c| Term::Present(*c)));
            terms.map(|term| Output::Given(term, Condition::Is(index, value))).collect()
        };
        (0..section.values.len() as u8).map(counts).collect()
    }

    /// What guards a statistic; nothing where every row has a value and nothing is grouped by a category.
    pub fn guards_of(&self, statistic: &Statistic) -> BTreeSet<Guard> {
        let targets = targets(self, statistic.family(), &statistic.columns);
        let category = statistic.group.as_ref().and_then(|g| self.category(g));
        let own = category.map(|(_, c)| Guard::Category(c.name.clone()));
        targets.into_iter().flat_map(|t| self.guards(t)).chain(own).collect()
    }

    /// What guards sums of these columns, over everybody or over groups.
    fn guards(&self, target: Target) -> BTreeSet<Guard> {
        let columns = columns_of(target);
        let categorized = self.categorized();
        let paired = self.paired();
        let name = |c: u8| self.columns.get(usize::from(c)).map(|c| Guard::Column(c.name.clone()));
        let own = columns.iter().filter(|c| self.may_be_missing(**c)).filter_map(|c| name(*c));
        let pairs = columns.iter().any(|c| paired.contains(c)).then_some(Guard::Pairs);
        // A sum over everybody less that over some groups is one over the others.
        let category = self.grouping().filter(|_| columns.iter().any(|c| categorized.contains(c)));
        own.chain(pairs).chain(category.map(|(_, c)| Guard::Category(c.name.clone()))).collect()
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
            // Which groups there are depends on what is decided: see `category_counts`.
            Guard::Category(_) => Vec::new(),
        }
    }

    /// The outputs that all guards' atoms are made of.
    pub(crate) fn guarding(&self) -> BTreeSet<Output> {
        let columns =
            self.columns.iter().filter(|c| c.may_be_missing()).map(|c| Guard::Column(c.name.clone()));
        let atoms = columns.chain([Guard::Pairs]).flat_map(|guard| self.atoms(&guard));
        let counts = self.grouping().map(|(_, c)| self.category_counts(&c.name)).unwrap_or_default();
        atoms.flat_map(|atom| atom.of).map(|(output, _)| output).chain(counts.into_iter().flatten()).collect()
    }

    /// The outputs of statistics that are grouped by the category, for each of its values.
    pub(crate) fn categorized_outputs(&self) -> BTreeSet<Output> {
        let optional = self.optional();
        let mut all = BTreeSet::new();
        for permit in self.permits() {
            let Some((index, section)) = permit.group.as_ref().and_then(|g| self.category(g)) else {
                continue;
            };
            for target in targets(self, permit.family, &permit.columns) {
                for output in permit.family.outputs(target, &optional) {
                    let values = 0..section.values.len() as u8;
                    all.extend(values.map(|v| Output::Given(output.term(), Condition::Is(index, v))));
                }
            }
        }
        all
    }

    /// What cannot be kept together with missing values is refused here, so that no query finds it out.
    pub(super) fn validate_hidden(&self) -> Result<(), SurveyError> {
        for column in &self.columns {
            if !column.may_be_missing() {
                continue;
            }
            if let Some(missing) = &column.missing {
                let plain = missing.len() <= 64 && !missing.chars().any(char::is_control);
                if !plain || tercet_mpc::decimal::is_decimal(missing.as_bytes(), column.notation()) {
                    let problem = "write the text that stands for a missing value, such as \"null\", or \"\" for an empty one: at most 64 printable bytes, no number";
                    return Err(invalid("columns.missing", problem));
                }
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
            .filter(|c| c.may_be_missing())
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
        self.validate_categories()?;
        for permit in
            self.permits().iter().filter(|p| p.group.as_ref().is_some_and(|g| self.field(g).is_some()))
        {
            let guarded = |t: &Target| !self.guards(*t).is_empty();
            if targets(self, permit.family, &permit.columns).iter().any(guarded) {
                let problem = format!(
                    "\"{permit}\": a column that may be missing or is grouped by a category has groups whose members nobody \
                     knows, so it is not grouped by a field: name other columns"
                );
                return Err(invalid("survey.statistics", problem));
            }
        }
        Ok(())
    }

    fn validate_categories(&self) -> Result<(), SurveyError> {
        let mut seen: BTreeSet<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        seen.extend(self.fields.iter().map(|f| f.name.as_str()));
        for c in &self.categories {
            named("categories.name", &c.name)?;
            if !seen.insert(&c.name) {
                let problem =
                    format!("\"{}\" is the name of a column, a field or another category too", c.name);
                return Err(invalid("categories.name", problem));
            }
            let plain = |v: &String| !v.is_empty() && v.len() <= 64 && !v.chars().any(char::is_control);
            let distinct = c.values.iter().collect::<BTreeSet<_>>().len() == c.values.len();
            if !(2..=MAX_CATEGORIES).contains(&c.values.len()) || !distinct || !c.values.iter().all(plain) {
                let problem =
                    format!("list 2 to {MAX_CATEGORIES} different values of 1 to 64 printable bytes");
                return Err(invalid("categories.values", problem));
            }
            if !self.noise.is_empty() {
                return Err(invalid(
                    "categories",
                    "a survey with [[noise]] has no categories: their groups' sizes are exact",
                ));
            }
        }
        let paired = self.paired();
        let mut by: BTreeSet<&str> = BTreeSet::new();
        for permit in self.permits() {
            let Some((_, category)) = permit.group.as_ref().and_then(|g| self.category(g)) else { continue };
            by.insert(&category.name);
            let wrong = |problem: &str| Err(invalid("survey.statistics", format!("\"{permit}\": {problem}")));
            if permit.family.is_order() {
                return wrong(
                    "nobody knows who is in which group of a category, so its values cannot be sorted: group by a revealed \
                     field, or ask for a statistic of sums (count, sum, mean, variance, ..)",
                );
            }
            let columns = targets(self, permit.family, &permit.columns).into_iter().flat_map(columns_of);
            if columns.collect::<BTreeSet<_>>().intersection(&paired).next().is_some() {
                return wrong(
                    "a column of pairs in which a value may be missing is not grouped by a category: name other columns",
                );
            }
        }
        if by.len() > 1 {
            let problem = format!(
                "statistics are grouped by {}: one category at most, since groups of two would overlap",
                by.into_iter().collect::<Vec<_>>().join(" and ")
            );
            return Err(invalid("survey.statistics", problem));
        }
        Ok(())
    }

    /// The output whose sum is the number of rows that a statistic is over; none: of all.
    pub fn counted(&self, target: Target) -> Option<Output> {
        counted(target, &self.optional())
    }
}
