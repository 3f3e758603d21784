//! `[[noise]]`: which released sums carry noise, and how much privacy a survey may lose.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tercet_mpc::noise::Laplace;
use tercet_mpc::statement::Part;
use tercet_mpc::statistics::{Epsilon, Family, Statistic};
use tercet_mpc::{Output, Term, fixed};

use super::{SurveyError, SurveyManifest, invalid};
use crate::statistic::targets;

/// `[[noise]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseSection {
    /// Name of the family, without parameters: `mean`.
    pub statistic: String,
    /// Privacy loss of each person in the survey's whole life, for each column or pair: a decimal.
    pub epsilon: String,
}

impl NoiseSection {
    fn family(&self) -> Option<Family> {
        Family::ALL.iter().copied().find(|f| f.name() == self.statistic)
    }
}

impl SurveyManifest {
    /// The privacy loss of each person in the survey's whole life, over all sums that carry noise; `None` without noise, and if
    /// it is larger than an epsilon may be.
    pub fn spent(&self) -> Option<Epsilon> {
        let noise = self.noise_of(&self.statistics());
        Epsilon::from_billionths(noise.values().map(|n| n.epsilon().billionths()).sum())
    }

    fn epsilon(&self, family: Family) -> Option<Epsilon> {
        self.noise.iter().find(|n| n.family() == Some(family))?.epsilon.parse().ok()
    }

    /// Most by which one submission, exchanged for another, changes the sum of an output.
    pub fn sensitivity(&self, output: Output) -> u128 {
        let bits = |c: u8| self.columns.get(usize::from(c)).map_or(0, |c| c.bits);
        let largest = |c: u8| (1u128 << bits(c)) - 1;
        match output.term() {
            Term::One | Term::Present(_) => 1,
            // From the least to the largest.
            Term::Value(c) => 2 * largest(c),
            Term::Square(c) => largest(c) * largest(c),
            Term::Product(a, b) => 2 * largest(a) * largest(b),
            // From those of one to those of the largest value, which is below 2^bits.
            Term::Log(c) => u128::from(bits(c)) << fixed::FRACTION,
            Term::Reciprocal(c) => 1 << fixed::reciprocal_places(bits(c).into()),
        }
    }

    /// The noise of each sum that these statistics open about one set of rows; empty in a survey without noise.
    ///
    /// Statistics share a sum and its noise. Each divides its epsilon evenly among its sums, and a sum has the least
    /// epsilon that a statistic gives it: none loses more than it may.
    pub fn noise_of<'a>(
        &self,
        statistics: impl IntoIterator<Item = &'a Statistic>,
    ) -> BTreeMap<Output, Laplace> {
        let mut all: BTreeMap<Output, Epsilon> = BTreeMap::new();
        for statistic in statistics {
            let family = statistic.family();
            let Some(epsilon) = self.epsilon(family) else { continue };
            for target in targets(self, family, &statistic.columns) {
                let outputs = family.outputs(target, &self.optional());
                let share = epsilon.billionths() / (outputs.len() as u64).max(1);
                let Some(share) = Epsilon::from_billionths(share) else { continue };
                for output in outputs {
                    let least = all.entry(output).or_insert(share);
                    *least = (*least).min(share);
                }
            }
        }
        all.into_iter()
            .filter_map(|(output, epsilon)| {
                Some((output, Laplace::new(epsilon, self.sensitivity(output)).ok()?))
            })
            .collect()
    }

    /// Noise for all that is listed, or for nothing.
    pub(super) fn validate_noise(&self) -> Result<(), SurveyError> {
        if self.survey.privacy_budget.is_some() {
            let problem = "leave it out: each person spends the epsilon of [[noise]] once in the survey's life, whatever is asked";
            return Err(invalid("survey.privacy_budget", problem));
        }
        if self.noise.is_empty() {
            return Ok(());
        }
        let permits = self.permits();
        let mut seen = BTreeSet::new();
        for noise in &self.noise {
            let wrong = |problem: String| {
                invalid("noise.statistic", format!("\"{}\": {problem}", noise.statistic.escape_debug()))
            };
            let family = noise.family().ok_or_else(|| wrong("no statistic has this name".into()))?;
            if family.is_order() || family.arity() == 0 {
                return Err(wrong(
                    "only statistics of sums have noise (sum, mean, variance, covariance, ..)".into(),
                ));
            }
            if !permits.iter().any(|p| p.family == family) {
                return Err(wrong("survey.statistics does not list it".into()));
            }
            if !seen.insert(family) {
                return Err(wrong("it is declared twice".into()));
            }
            let epsilon: Epsilon = noise
                .epsilon
                .parse()
                .map_err(|e| invalid("noise.epsilon", format!("{e}")).of(&noise.statistic))?;
            // At most five sums a statistic.
            if epsilon.billionths() < 5 {
                return Err(invalid(
                    "noise.epsilon",
                    "is divided among the statistic's sums: write 0.000000005 or more",
                ));
            }
        }
        for permit in permits.iter().filter(|p| p.family != Family::Count) {
            let name = permit.family.name();
            let wrong = |problem: String| invalid("survey.statistics", problem);
            if permit.family.is_order() {
                let problem = format!(
                    "{name} is exact, and would tell what noise hides: a survey with [[noise]] lists statistics of sums only"
                );
                return Err(wrong(problem));
            }
            if self.epsilon(permit.family).is_none() {
                let problem = format!(
                    "{name} is listed without noise, and would tell what the noise of others hides: declare [[noise]] for it too"
                );
                return Err(wrong(problem));
            }
        }
        self.validate_noised_sums()
    }

    /// Each noised sum is one number, with room for its noise.
    fn validate_noised_sums(&self) -> Result<(), SurveyError> {
        let lanes = self.lanes();
        for permit in self.permits() {
            let Some(epsilon) = self.epsilon(permit.family) else { continue };
            for target in targets(self, permit.family, &permit.columns) {
                let outputs = permit.family.outputs(target, &self.optional());
                let share = Epsilon::from_billionths(epsilon.billionths() / outputs.len() as u64);
                for output in outputs {
                    if lanes.iter().any(|l| l.output == output && l.part != Part::Whole) {
                        let problem = format!(
                            "noise on {} needs squares and products of at most 96 bits: give the columns fewer bits",
                            permit.family
                        );
                        return Err(invalid("columns.bits", problem));
                    }
                    let sensitivity = self.sensitivity(output);
                    if let Some(Err(e)) = share.map(|share| Laplace::new(share, sensitivity)) {
                        return Err(invalid("noise.epsilon", format!("{}: {e}", permit.family)));
                    }
                }
            }
        }
        Ok(())
    }
}
