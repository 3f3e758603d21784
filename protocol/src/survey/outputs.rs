//! From a survey to the numbers that every provider shares.

use tercet_mpc::decimal::{Excess, Notation};
use tercet_mpc::statement::{Binding, Column, Format, HashAlg, Lane, Number, Output, Statement};
use tercet_mpc::statistics::Permit;

use super::{BodyFormat, ExcessDigits, SurveyManifest};
use crate::statistic::targets;

impl SurveyManifest {
    /// The numbers that every provider shares: each column's value; its square, logarithm and reciprocal where a
    /// statistic of it needs them; one for a value that may be missing and is not; the products of pairs; and the
    /// sums under a condition. Listing `variance` adds every column's square, and `variance(a)` that of one.
    pub fn outputs(&self) -> Vec<Output> {
        let optional = self.optional();
        let outputs = |p: &Permit| {
            let targets = targets(self, p.family, &p.columns);
            targets.into_iter().flat_map(|t| p.family.outputs(t, &optional)).collect::<Vec<_>>()
        };
        let needed = self.by_secret_group(&self.permits().iter().flat_map(outputs).collect());
        // At most MAX_COLUMNS columns.
        let single = (0..self.columns.len() as u8).flat_map(|c| {
            let derived = [Output::Square(c), Output::Log(c), Output::Reciprocal(c), Output::Present(c)];
            std::iter::once(Output::Value(c)).chain(derived.into_iter().filter(|o| needed.contains(o)))
        });
        let others = needed.iter().filter(|o| matches!(o, Output::Product(..) | Output::Given(..))).copied();
        single.chain(others).collect()
    }

    /// The arithmetic lanes of a row, in order. The same for every provider of the survey.
    pub fn lanes(&self) -> Vec<Lane> {
        let binding = Binding::Hash { alg: HashAlg::Sha256, commitment: [0; 32] };
        let column = |format| Column { length: 1, format, binding };
        let columns = self.formats().into_iter().map(column).collect();
        // A valid manifest's columns are within the engine's limits, so its shape is a valid statement.
        Statement::new(columns, self.outputs()).map(|s| s.lanes()).unwrap_or_default()
    }
}

impl SurveyManifest {
    /// The texts that the hidden places admit: the columns, then the categories.
    pub fn formats(&self) -> Vec<Format> {
        (0..self.columns.len() + self.categories.len()).filter_map(|i| self.format(i, true)).collect()
    }

    /// The texts that one hidden place admits, in quotes or not. Columns are counted before categories.
    pub fn format(&self, index: usize, quoted: bool) -> Option<Format> {
        let Some(section) = self.columns.get(index) else {
            let category = self.categories.get(index.checked_sub(self.columns.len())?)?;
            return Some(Format::Category(category.values.iter().map(|v| v.as_bytes().to_vec()).collect()));
        };
        let excess = match section.excess_digits {
            ExcessDigits::Reject => Excess::Reject,
            ExcessDigits::Truncate => Excess::Truncate,
        };
        // Without quotes stands what JSON can have there: a number, or a literal.
        let bare = self.source.format == BodyFormat::Json && !quoted;
        let literal = |text: &str| matches!(text, "null" | "true" | "false");
        let missing = section.missing.as_deref().map(|text| if bare && !literal(text) { "" } else { text });
        let missing = missing.or(section.may_be_missing().then_some(""));
        Some(Format::Number(Number {
            scale: section.scale,
            bits: section.bits,
            excess,
            notation: if bare {
                Notation { exponents: section.exponents, ..Notation::default() }
            } else {
                section.notation()
            },
            missing: missing.map(|text| text.as_bytes().to_vec()),
        }))
    }
}
