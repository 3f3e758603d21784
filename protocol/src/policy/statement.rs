//! From a survey and an admitted presentation to the statement that the provider proves.

use tercet_mpc::decimal::Excess;
use tercet_mpc::statement::{
    Binding, Column, Format, HashAlg as Commitment, Lane, Number, Output, Statement, StatementError,
};
use tercet_mpc::statistics::Permit;
use tlsn_verifier::HashAlg;

use super::Admitted;
use crate::statistic::targets;
use crate::survey::{ColumnSection, ExcessDigits, SurveyManifest};

impl SurveyManifest {
    /// The numbers that every provider shares: each column's value, its square, logarithm and reciprocal where a
    /// statistic of it needs them, whether it is there where it may be missing, the products of pairs, and what is
    /// summed under a condition. Listing `variance` makes every column's square one of them, `variance(a)` one.
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
        let column = |format| Column {
            length: 1,
            format,
            binding: Binding::Hash { alg: Commitment::Sha256, commitment: [0; 32] },
        };
        let columns = self.formats().into_iter().map(column).collect();
        // A valid manifest's columns are within the engine's limits, so its shape is a valid statement.
        Statement::new(columns, self.outputs()).map(|s| s.lanes()).unwrap_or_default()
    }
}

impl SurveyManifest {
    /// What the committed texts may be.
    fn formats(&self) -> Vec<Format> {
        let number = |section: &ColumnSection| {
            let excess = match section.excess_digits {
                ExcessDigits::Reject => Excess::Reject,
                ExcessDigits::Truncate => Excess::Truncate,
            };
            let missing = section.missing.as_ref().map(|text| text.as_bytes().to_vec());
            Format::Number(Number { scale: section.scale, bits: section.bits, excess, missing })
        };
        let texts = |values: &[String]| values.iter().map(|v| v.as_bytes().to_vec()).collect();
        let categories = self.categories.iter().map(|c| Format::Category(texts(&c.values)));
        self.columns.iter().map(number).chain(categories).collect()
    }
}

impl Admitted {
    /// The statement about this presentation's commitments.
    pub fn statement(&self, survey: &SurveyManifest) -> Result<Statement, StatementError> {
        let columns = survey.formats().into_iter().zip(&self.columns).map(|(format, c)| {
            let alg = match c.algorithm {
                HashAlg::Sha256 => Commitment::Sha256,
                HashAlg::Blake3 => Commitment::Blake3,
                HashAlg::Keccak256 => Commitment::Keccak256,
            };
            // At most MAX_VALUE bytes, by admission.
            let length = c.range.len().min(255) as u8;
            Column { length, format, binding: Binding::Hash { alg, commitment: c.digest } }
        });
        Statement::new(columns.collect(), survey.outputs())
    }
}
