//! Names of statistics.
use std::{fmt, str::FromStr};
/// A statistic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Statistic {
    Count,
    Sum,
    Mean,
    Variance,
    VariancePopulation,
    Stddev,
    StddevPopulation,
}
impl Statistic {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Count,
        Self::Sum,
        Self::Mean,
        Self::Variance,
        Self::VariancePopulation,
        Self::Stddev,
        Self::StddevPopulation,
    ];
    /// Whether it needs squares.
    pub fn needs_squares(self) -> bool {
        !matches!(self, Self::Count | Self::Sum | Self::Mean)
    }
}
impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Variance => "variance",
            Self::VariancePopulation => "variance_population",
            Self::Stddev => "stddev",
            Self::StddevPopulation => "stddev_population",
        })
    }
}
impl FromStr for Statistic {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|x| x.to_string() == s).ok_or(())
    }
}
