//! The families of statistics, a block for each. A block says everything about its family: a statistic that has one is
//! known to names, permits, units, needs and evaluation.

use alloc::vec;
use core::fmt;

use super::needs::{combined, nearest};
use super::number::Share;
use super::spec::{Evaluate, Reading, Spec, Sums, Unit};
use crate::statement::Output;

macro_rules! families {
    ($($(#[$doc:meta])* $variant:ident = $spec:expr;)*) => {
        /// The function that is computed, without parameters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Family { $($(#[$doc])* $variant,)* }

        impl Family {
            /// All families.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its block.
            pub(super) const fn spec(self) -> &'static Spec {
                match self {
                    $(Self::$variant => {
                        const SPEC: &Spec = &$spec;
                        SPEC
                    })*
                }
            }
        }
    };
}

/// The parameters behind a name's colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// Nothing.
    None,
    /// A share from 0 to 1.
    Share,
    /// A share from 0 to below one half.
    Cut,
    /// A share above 0.
    Positive,
    /// Ascending shares.
    Shares,
    /// Two or more ascending edges.
    Edges,
}

impl Parameters {
    /// An example of them, as it is written behind the colon.
    pub const fn example(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Share => "0.9",
            Self::Cut | Self::Positive => "0.1",
            Self::Shares => "0.1,0.5,0.9",
            Self::Edges => "0,1,10",
        }
    }
}

families! {
    /// Number of submissions; of one column, of those with a value.
    Count = Spec {
        name: "count",
        arity: 0,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::None,
        least: 0,
        sums: Sums::None,
        reading: Reading::None,
        value: Evaluate::Rows,
    };
    /// Sum, in the column's unit.
    Sum = Spec {
        name: "sum",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 0,
        sums: Sums::One(&[Output::Value]),
        reading: Reading::None,
        value: Evaluate::One(|e, c| e.quotient(c, e.total(Output::Value(c))?, 1u8.into())),
    };
    /// Arithmetic mean.
    Mean = Spec {
        name: "mean",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::One(&[Output::Value]),
        reading: Reading::None,
        value: Evaluate::One(|e, c| e.quotient(c, e.total(Output::Value(c))?, e.n())),
    };
    /// The n-th root of the product of all values, which must be above zero.
    GeometricMean = Spec {
        name: "geometric_mean",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::One(&[Output::Log]),
        reading: Reading::None,
        value: Evaluate::One(|e, c| e.geometric_mean(c)),
    };
    /// n divided by the sum of the reciprocals of all values, which must be above zero.
    HarmonicMean = Spec {
        name: "harmonic_mean",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::One(&[Output::Reciprocal]),
        reading: Reading::None,
        value: Evaluate::One(|e, c| e.harmonic_mean(c)),
    };
    /// Sample variance (divided by n - 1), in the unit squared.
    Variance = Spec {
        name: "variance",
        arity: 1,
        parameters: Parameters::None,
        includes: &[Family::VariancePopulation],
        unit: Unit::Squared,
        least: 2,
        sums: Sums::One(&[Output::Value, Output::Square]),
        reading: Reading::None,
        value: Evaluate::One(|e, c| e.variance(c, e.n() - 1)),
    };
    /// Population variance (divided by n).
    VariancePopulation = Spec {
        name: "variance_population",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Squared,
        least: 1,
        sums: Sums::One(&[Output::Value, Output::Square]),
        reading: Reading::None,
        value: Evaluate::One(|e, c| e.variance(c, e.n())),
    };
    /// Square root of the sample variance.
    Stddev = Spec {
        name: "stddev",
        arity: 1,
        parameters: Parameters::None,
        includes: &[Family::StddevPopulation],
        unit: Unit::Column,
        least: 2,
        sums: Sums::One(&[Output::Value, Output::Square]),
        reading: Reading::None,
        value: Evaluate::One(|e, c| e.deviation(c, e.n() - 1)),
    };
    /// Square root of the population variance.
    StddevPopulation = Spec {
        name: "stddev_population",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::One(&[Output::Value, Output::Square]),
        reading: Reading::None,
        value: Evaluate::One(|e, c| e.deviation(c, e.n())),
    };
    /// Smallest value.
    Min = Spec {
        name: "min",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::None,
        reading: Reading::Combination(|_, _| (vec![(1, 1)], 1)),
        value: Evaluate::One(|e, c| e.combined(c)),
    };
    /// Largest value.
    Max = Spec {
        name: "max",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::None,
        reading: Reading::Combination(|_, n| (vec![(n, 1)], 1)),
        value: Evaluate::One(|e, c| e.combined(c)),
    };
    /// The middle value, or the mean of the two in the middle.
    Median = Spec {
        name: "median",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::None,
        reading: Reading::Combination(|_, n| combined(&[(Share::HALF, 1)], n)),
        value: Evaluate::One(|e, c| e.combined(c)),
    };
    /// Quantile by linear interpolation (Hyndman and Fan's type 7).
    Quantile = Spec {
        name: "quantile",
        arity: 1,
        parameters: Parameters::Share,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::None,
        reading: Reading::Combination(|of, n| combined(&[(of.share(), 1)], n)),
        value: Evaluate::One(|e, c| e.combined(c)),
    };
    /// The smallest value that at least a share of P do not exceed (type 1).
    QuantileNearest = Spec {
        name: "quantile_nearest",
        arity: 1,
        parameters: Parameters::Share,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::None,
        reading: Reading::Combination(|of, n| (vec![(nearest(of.share(), n), 1)], 1)),
        value: Evaluate::One(|e, c| e.combined(c)),
    };
    /// Distance of the quantiles 0.25 and 0.75.
    Iqr = Spec {
        name: "iqr",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::None,
        reading: Reading::Combination(|_, n| combined(&[(Share::THREE_QUARTERS, 1), (Share::QUARTER, -1)], n)),
        value: Evaluate::One(|e, c| e.combined(c)),
    };
    /// Mean without the floor(P n) smallest and the floor(P n) largest values.
    TrimmedMean = Spec {
        name: "trimmed_mean",
        arity: 1,
        parameters: Parameters::Cut,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::One(&[Output::Value]),
        reading: Reading::Ranges(|of, n| {
            let cut = of.share().floor_of(n);
            vec![(cut, n - cut)]
        }),
        value: Evaluate::One(|e, c| e.trimmed_mean(c)),
    };
    /// Gini coefficient.
    Gini = Spec {
        name: "gini",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::None,
        least: 1,
        sums: Sums::One(&[Output::Value]),
        reading: Reading::Distances,
        value: Evaluate::One(|e, c| e.gini(c)),
    };
    /// Share of the sum that the floor(P n) smallest values hold, for each P.
    Lorenz = Spec {
        name: "lorenz",
        arity: 1,
        parameters: Parameters::Shares,
        includes: &[],
        unit: Unit::None,
        least: 1,
        sums: Sums::One(&[Output::Value]),
        reading: Reading::Ranges(|of, n| of.shares().iter().map(|p| (0, p.floor_of(n))).collect()),
        value: Evaluate::OneInParts(|e, c| e.lorenz(c)),
    };
    /// Share of the sum that the ceil(P n) largest values hold.
    TopShare = Spec {
        name: "top_share",
        arity: 1,
        parameters: Parameters::Positive,
        includes: &[],
        unit: Unit::None,
        least: 1,
        sums: Sums::One(&[Output::Value]),
        reading: Reading::Ranges(|of, n| vec![(n - of.share().ceil_of(n), n)]),
        value: Evaluate::One(|e, c| e.top_share(c)),
    };
    /// Most frequent value, the smallest of several.
    Mode = Spec {
        name: "mode",
        arity: 1,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Column,
        least: 1,
        sums: Sums::None,
        reading: Reading::Mode,
        value: Evaluate::One(|e, c| e.mode(c)),
    };
    /// Number of values in each bin between public edges, and outside.
    Histogram = Spec {
        name: "histogram",
        arity: 1,
        parameters: Parameters::Edges,
        includes: &[],
        unit: Unit::None,
        least: 0,
        sums: Sums::None,
        reading: Reading::Edges,
        value: Evaluate::OneInParts(|e, c| e.histogram(c)),
    };
    /// Sample covariance (divided by n - 1).
    Covariance = Spec {
        name: "covariance",
        arity: 2,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Product,
        least: 2,
        sums: Sums::Two { squares: [false, false] },
        reading: Reading::None,
        value: Evaluate::Two(|e, a, b| e.covariance(a, b)),
    };
    /// Pearson's correlation.
    Correlation = Spec {
        name: "correlation",
        arity: 2,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::None,
        least: 2,
        sums: Sums::Two { squares: [true, true] },
        reading: Reading::None,
        value: Evaluate::Two(|e, a, b| e.correlation(a, b)),
    };
    /// Least squares line: the second column as a linear function of the first.
    Regression = Spec {
        name: "regression",
        arity: 2,
        parameters: Parameters::None,
        includes: &[],
        unit: Unit::Line,
        least: 2,
        sums: Sums::Two { squares: [true, false] },
        reading: Reading::None,
        value: Evaluate::TwoInParts(|e, a, b| e.regression(a, b)),
    };
}

impl Family {
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Number of columns that it takes: 0, 1 or 2.
    pub const fn arity(self) -> usize {
        self.spec().arity
    }

    /// The parameters that it takes behind the colon.
    pub const fn parameters(self) -> Parameters {
        self.spec().parameters
    }

    /// The unit of its value.
    pub const fn unit(self) -> Unit {
        self.spec().unit
    }

    /// True if it has several parts: those cannot be grouped.
    pub const fn has_parts(self) -> bool {
        matches!(self.spec().value, Evaluate::OneInParts(_) | Evaluate::TwoInParts(_))
    }

    /// True if it takes this many named columns.
    pub(super) fn takes(self, columns: usize) -> bool {
        columns == self.arity() || self == Self::Count && columns == 1
    }

    /// True if a permit of this family permits the other one.
    pub(super) fn includes(self, other: Self) -> bool {
        self == other || self.spec().includes.contains(&other)
    }

    /// True if it is read off the values in order.
    pub const fn is_order(self) -> bool {
        !matches!(self.spec().reading, Reading::None)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
