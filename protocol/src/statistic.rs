//! From opened sums to the values that are released and signed.

use tercet_mpc::statement::Lane;
pub use tercet_mpc::statistics::Statistic;
use tercet_mpc::statistics::{Aggregates, Exact, evaluate};

use crate::result::{Fraction, StatisticValue};
use crate::survey::SurveyManifest;

/// What a query opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Submissions covered.
    pub submissions: u64,
    /// The opened lanes.
    pub lanes: Vec<Lane>,
    /// Their sums, in the same order.
    pub sums: Vec<u128>,
}

/// Whether a survey that lists `listed` releases `asked`: the statistic itself, or the population form of a listed
/// sample variance or deviation, which says the same.
fn permits(listed: Statistic, asked: Statistic) -> bool {
    use Statistic::{Stddev, StddevPopulation, Variance, VariancePopulation};
    listed == asked || matches!((listed, asked), (Variance, VariancePopulation) | (Stddev, StddevPopulation))
}

/// The statistic of this name, if the survey releases it.
pub fn permitted(manifest: &SurveyManifest, name: &str) -> Option<Statistic> {
    let asked = name.parse().ok()?;
    manifest.statistics().into_iter().any(|listed| permits(listed, asked)).then_some(asked)
}

/// The statistics of every column, in the order asked; the count once.
pub fn release(manifest: &SurveyManifest, statistics: &[Statistic], opened: &Opened) -> Vec<StatisticValue> {
    let mut values = Vec::new();
    for &statistic in statistics {
        // At most MAX_COLUMNS columns.
        for (index, column) in (0u8..).zip(&manifest.columns) {
            let aggregates =
                Aggregates::new(opened.submissions, index, column.scale, &opened.lanes, &opened.sums);
            let exact = evaluate(statistic, &aggregates).ok();
            let counts = statistic == Statistic::Count;
            let squared = matches!(statistic, Statistic::Variance | Statistic::VariancePopulation);
            values.push(StatisticValue {
                statistic: statistic.to_string(),
                column: (!counts).then(|| column.name.clone()),
                unit: match () {
                    () if counts || column.unit.is_empty() => String::new(),
                    () if squared => format!("{}^2", column.unit),
                    () => column.unit.clone(),
                },
                value: exact.as_ref().map(ToString::to_string),
                exact: exact.as_ref().filter(|e| !e.is_root()).map(fraction),
            });
            if counts {
                break;
            }
        }
    }
    values
}

fn fraction(exact: &Exact) -> Fraction {
    Fraction { numerator: exact.numerator().to_string(), denominator: exact.denominator().to_string() }
}
