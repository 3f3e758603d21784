//! Columns that may be missing, and categories: the rules for a survey with them. `secret.rs` has the rules for the groups
//! that they make.

use std::collections::BTreeSet;

use tercet_mpc::Output;
use tercet_mpc::statement::MAX_CATEGORIES;
use tercet_mpc::statistics::{Permit, Target, counted};

use super::secret::columns;
use super::{CategorySection, ColumnSection, SurveyError, SurveyManifest, invalid, named};
use crate::statistic::targets;

impl SurveyManifest {
    /// True for each column that may be missing.
    pub fn optional(&self) -> Vec<bool> {
        self.columns.iter().map(ColumnSection::may_be_missing).collect()
    }

    pub(super) fn may_be_missing(&self, column: u8) -> bool {
        self.columns.get(usize::from(column)).is_some_and(ColumnSection::may_be_missing)
    }

    /// The category of this name: its index among the statement's columns, and its section.
    pub fn category(&self, name: &str) -> Option<(u8, &CategorySection)> {
        // At most MAX_COLUMNS columns, categories included.
        let index = |i: usize| (self.columns.len() + i) as u8;
        self.categories.iter().enumerate().find(|(_, c)| c.name == name).map(|(i, c)| (index(i), c))
    }

    /// The columns of statistics that are grouped by a category.
    pub(super) fn categorized(&self) -> BTreeSet<u8> {
        let by_category = |p: &Permit| p.group.as_ref().is_some_and(|g| self.category(g).is_some());
        let permits = self.permits();
        let grouped = permits.iter().filter(|p| by_category(p));
        grouped.flat_map(|p| targets(self, p.family, &p.columns)).flat_map(columns).collect()
    }

    /// The output whose sum is the number of rows that a statistic is over; `None`: all rows.
    pub fn counted(&self, target: Target) -> Option<Output> {
        counted(target, &self.optional())
    }

    /// The name of a column, for errors.
    pub(super) fn column_name(&self, column: u8) -> &str {
        self.columns.get(usize::from(column)).map(|c| c.name.as_str()).unwrap_or_default()
    }

    /// Refuses settings that cannot be kept together with missing values and categories, so that no question finds it
    /// out.
    pub(super) fn validate_hidden(&self) -> Result<(), SurveyError> {
        for column in &self.columns {
            if !column.may_be_missing() {
                continue;
            }
            if let Some(missing) = &column.missing {
                let plain = missing.len() <= 64 && !missing.chars().any(char::is_control);
                if !plain || tercet_mpc::decimal::is_decimal(missing.as_bytes(), column.notation()) {
                    let problem = "write the text that means a missing value, such as \"null\", or \"\" for an empty one: at most 64 printable bytes, no number";
                    return Err(invalid("columns.missing", problem).of(&column.name));
                }
            }
            if !self.noise.is_empty() {
                let problem = format!(
                    "a survey with [[noise]] has no columns that may be missing: the number of values of \"{}\" would be exact",
                    column.name
                );
                return Err(invalid("columns.missing", problem).of(&column.name));
            }
        }
        self.validate_categories()?;
        self.validate_pairs()?;
        let secret: BTreeSet<u8> = self.partitions().into_iter().flat_map(|p| p.columns).collect();
        for permit in
            self.permits().iter().filter(|p| p.group.as_ref().is_some_and(|g| self.field(g).is_some()))
        {
            let of = targets(self, permit.family, &permit.columns).into_iter().flat_map(columns);
            if let Some(column) = of.into_iter().find(|c| secret.contains(c)) {
                let problem = format!(
                    "\"{permit}\": {} may be missing, is grouped by a category, or is in a pair with such a column. It has groups \
                     whose members nobody knows, and a field would divide the same people in another way: name other columns",
                    self.column_name(column)
                );
                return Err(invalid("survey.statistics", problem));
            }
        }
        Ok(())
    }

    /// Of columns that are connected by pairs, two may be missing, if there is no third one.
    fn validate_pairs(&self) -> Result<(), SurveyError> {
        let categorized = self.categorized();
        for component in self.components().into_values() {
            let missing = component.iter().filter(|c| self.may_be_missing(**c)).count();
            let names = || component.iter().map(|c| self.column_name(*c)).collect::<Vec<_>>().join(", ");
            if missing > 1 && component.len() > 2 {
                let problem = format!(
                    "statistics of pairs connect {}, of which {missing} may be missing: list pairs of two such columns by \
                     themselves, as in covariance(a,b)",
                    names()
                );
                return Err(invalid("survey.statistics", problem));
            }
            if missing > 0 && component.len() > 1 && !component.is_disjoint(&categorized) {
                let problem = format!(
                    "statistics of pairs connect {}, of which some may be missing, and a category groups one of them: name other \
                     columns",
                    names()
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
            named("categories.name", &c.name).map_err(|e| e.of(&c.name))?;
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
                return Err(invalid("categories.values", problem).of(&c.name));
            }
            if !self.noise.is_empty() {
                return Err(invalid(
                    "categories",
                    "a survey with [[noise]] has no categories: their groups' sizes are exact",
                ));
            }
        }
        let mut by: BTreeSet<&str> = BTreeSet::new();
        for permit in self.permits() {
            let Some((_, category)) = permit.group.as_ref().and_then(|g| self.category(g)) else { continue };
            by.insert(&category.name);
            if permit.family.is_order() {
                let problem = format!(
                    "\"{permit}\": nobody knows who is in which group of a category, so its values cannot be sorted: group by a \
                     revealed field, or ask for a statistic of sums (count, sum, mean, variance, ..)"
                );
                return Err(invalid("survey.statistics", problem));
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
}
