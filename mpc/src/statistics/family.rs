//! The families of statistics: names, columns and parameters.

use core::fmt;

macro_rules! families {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $arity:literal, $parameters:ident;)*) => {
        /// The function that is computed, without parameters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Family { $($(#[$doc])* $variant,)* }

        impl Family {
            /// All families.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Number of columns that it takes: 0, 1 or 2.
            pub const fn arity(self) -> usize {
                match self { $(Self::$variant => $arity,)* }
            }

            /// The parameters that it takes behind the colon.
            pub const fn parameters(self) -> Parameters {
                match self { $(Self::$variant => Parameters::$parameters,)* }
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

families! {
    /// Number of submissions; of one column, of those with a value.
    Count = "count", 0, None;
    /// Sum, in the column's unit.
    Sum = "sum", 1, None;
    /// Arithmetic mean.
    Mean = "mean", 1, None;
    /// The n-th root of the product of all values, which must be above zero.
    GeometricMean = "geometric_mean", 1, None;
    /// n divided by the sum of the reciprocals of all values, which must be above zero.
    HarmonicMean = "harmonic_mean", 1, None;
    /// Sample variance (divided by n - 1), in the unit squared.
    Variance = "variance", 1, None;
    /// Population variance (divided by n).
    VariancePopulation = "variance_population", 1, None;
    /// Square root of the sample variance.
    Stddev = "stddev", 1, None;
    /// Square root of the population variance.
    StddevPopulation = "stddev_population", 1, None;
    /// Smallest value.
    Min = "min", 1, None;
    /// Largest value.
    Max = "max", 1, None;
    /// The middle value, or the mean of the two in the middle.
    Median = "median", 1, None;
    /// Quantile by linear interpolation (Hyndman and Fan's type 7).
    Quantile = "quantile", 1, Share;
    /// The smallest value that at least a share of P do not exceed (type 1).
    QuantileNearest = "quantile_nearest", 1, Share;
    /// Distance of the quantiles 0.25 and 0.75.
    Iqr = "iqr", 1, None;
    /// Mean without the floor(P n) smallest and the floor(P n) largest values.
    TrimmedMean = "trimmed_mean", 1, Cut;
    /// Gini coefficient.
    Gini = "gini", 1, None;
    /// Share of the sum that the floor(P n) smallest values hold, for each P.
    Lorenz = "lorenz", 1, Shares;
    /// Share of the sum that the ceil(P n) largest values hold.
    TopShare = "top_share", 1, Positive;
    /// Most frequent value, the smallest of several.
    Mode = "mode", 1, None;
    /// Number of values in each bin between public edges, and outside.
    Histogram = "histogram", 1, Edges;
    /// Sample covariance (divided by n - 1).
    Covariance = "covariance", 2, None;
    /// Pearson's correlation.
    Correlation = "correlation", 2, None;
    /// Least squares line: the second column as a linear function of the first.
    Regression = "regression", 2, None;
}

impl Family {
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.name() == name)
    }

    /// True if it has several parts: those cannot be grouped.
    pub const fn has_parts(self) -> bool {
        matches!(self, Self::Lorenz | Self::Histogram | Self::Regression)
    }

    /// True if it takes this many named columns.
    pub(super) fn takes(self, columns: usize) -> bool {
        columns == self.arity() || self == Self::Count && columns == 1
    }

    /// True if it is read off the values in order.
    pub const fn is_order(self) -> bool {
        use Family::{Gini, Histogram, Iqr, Lorenz, Max, Median, Min, Mode, Quantile, QuantileNearest};
        matches!(
            self,
            Min | Max | Median | Quantile | QuantileNearest | Iqr | Gini | Lorenz | Mode | Histogram
        ) || matches!(self, Self::TrimmedMean | Self::TopShare)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
