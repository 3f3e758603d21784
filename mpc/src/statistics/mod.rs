//! Statistics: their names, the numbers that each needs opened, and their exact evaluation.
//!
//! Sum-type statistics are functions of opened sums of lanes, order statistics of those and one
//! [`OrderAnswer`](crate::order::OrderAnswer), which may be over fewer rows ([`Ordered`]). Everything is exact in integers and fractions. Only the decimal text
//! is rounded: to [`EXTRA_PLACES`] places more than the column has, halves away from zero; trailing zeros are
//! dropped. A square root is that of an exact fraction, its text correctly rounded by integer square root.
//! `docs/statistics.md` has the definitions for users.

mod evaluate;
mod exact;
mod family;
mod name;
mod needs;
mod number;
mod spec;
#[cfg(test)]
mod tests;

pub use evaluate::{Facts, Ordered, Undefined, Value, ValuePart, evaluate, submissions, total};
pub use exact::Exact;
pub use family::{Family, Parameters};
pub use name::{MAX_NAME, MAX_PARAMETERS, Measure, Permit, Statistic, StatisticError};
pub use needs::{Limit, Optional, Target, counted};
pub use number::{Edge, Epsilon, NotADecimal, Share};
pub use spec::Unit;

/// Decimal places of a rendered result beyond those of the column.
pub const EXTRA_PLACES: u32 = 10;
