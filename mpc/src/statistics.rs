//! Statistics that are functions of opened sums: names, the sums each needs, exact evaluation.
//!
//! Everything is exact in integers and fractions. Only the decimal text is rounded: to [`EXTRA_PLACES`] places more
//! than the column has, halves away from zero; trailing zeros are dropped. A standard deviation is the square root
//! of an exact fraction, its text correctly rounded by integer square root.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use num_bigint::{BigInt, BigUint, Sign};

use crate::statement::{Lane, Output, Part};

/// Decimal places of a rendered result beyond those of the column.
pub const EXTRA_PLACES: u32 = 10;

/// A statistic over the accepted submissions of a survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Statistic {
    /// Number of submissions.
    Count,
    /// Sum, in the column's unit.
    Sum,
    /// Arithmetic mean.
    Mean,
    /// Sample variance (divided by n - 1), in the unit squared.
    Variance,
    /// Population variance (divided by n).
    VariancePopulation,
    /// Square root of the sample variance.
    Stddev,
    /// Square root of the population variance.
    StddevPopulation,
}

/// No statistic has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no statistic is called {0:?}; known are count, sum, mean, variance, variance_population, stddev, stddev_population"
)]
pub struct UnknownStatistic(pub String);

impl Statistic {
    /// All statistics.
    pub const ALL: [Self; 7] = [
        Self::Count,
        Self::Sum,
        Self::Mean,
        Self::Variance,
        Self::VariancePopulation,
        Self::Stddev,
        Self::StddevPopulation,
    ];

    /// Its name in survey files, requests and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Variance => "variance",
            Self::VariancePopulation => "variance_population",
            Self::Stddev => "stddev",
            Self::StddevPopulation => "stddev_population",
        }
    }

    /// Whether it needs the sum of the column's values.
    pub const fn needs_sum(self) -> bool {
        !matches!(self, Self::Count)
    }

    /// Whether it needs the sum of their squares.
    pub const fn needs_squares(self) -> bool {
        !matches!(self, Self::Count | Self::Sum | Self::Mean)
    }

    /// The outputs of a column that must be opened.
    pub fn outputs(self, column: u8) -> impl Iterator<Item = Output> {
        let sum = self.needs_sum().then_some(Output::Value(column));
        sum.into_iter().chain(self.needs_squares().then_some(Output::Square(column)))
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Statistic {
    type Err = UnknownStatistic;

    fn from_str(name: &str) -> Result<Self, UnknownStatistic> {
        Self::ALL.into_iter().find(|s| s.name() == name).ok_or_else(|| UnknownStatistic(name.to_string()))
    }
}

/// The integer behind the opened lanes of one output: halves put together, signs applied. `None` if a lane of it is
/// missing.
pub fn total(output: Output, lanes: &[Lane], sums: &[u128]) -> Option<BigInt> {
    let part = |part: Part| {
        let (lane, sum) = lanes.iter().zip(sums).find(|(l, _)| l.output == output && l.part == part)?;
        Some(if lane.signed { BigInt::from(*sum as i128) } else { BigInt::from(*sum) })
    };
    part(Part::Whole).or_else(|| Some(part(Part::Low)? + (part(Part::High)? << 64u32)))
}

/// The opened sums of one column. Integers: values times 10^scale, squares times 10^(2 scale).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregates {
    /// Submissions.
    pub count: u64,
    /// Sum of values, where opened.
    pub sum: Option<BigInt>,
    /// Sum of squares, where opened.
    pub squares: Option<BigInt>,
    /// Decimal places of the column.
    pub scale: u8,
}

impl Aggregates {
    /// From opened lanes; sums that were not opened stay unknown.
    pub fn new(count: u64, column: u8, scale: u8, lanes: &[Lane], sums: &[u128]) -> Self {
        let total = |output| total(output, lanes, sums);
        Self { count, sum: total(Output::Value(column)), squares: total(Output::Square(column)), scale }
    }
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// Too few submissions for this statistic's definition.
    #[error("{statistic} is undefined over {count} submissions; it needs {needs}")]
    TooFew {
        /// Which statistic.
        statistic: Statistic,
        /// Submissions there are.
        count: u64,
        /// Submissions it takes.
        needs: u64,
    },
    /// A sum that it needs was not opened.
    #[error("{0} needs a sum that was not opened")]
    NotOpened(Statistic),
    /// The sums cannot belong to any values (n * sum of squares is below the square of the sum).
    #[error("the opened sums contradict each other")]
    Contradiction,
}

/// An exact value: a reduced fraction, or the square root of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    numerator: BigInt,
    denominator: BigUint,
    root: bool,
    places: u32,
}

impl Exact {
    /// `denominator` is not zero.
    fn new(numerator: BigInt, denominator: BigUint, root: bool, places: u32) -> Self {
        let (mut a, mut b) = (numerator.magnitude().clone(), denominator.clone());
        while b != BigUint::ZERO {
            (a, b) = (b.clone(), a % b);
        }
        Self { numerator: numerator / BigInt::from(a.clone()), denominator: denominator / a, root, places }
    }

    /// The fraction's numerator.
    pub fn numerator(&self) -> &BigInt {
        &self.numerator
    }

    /// The fraction's denominator, positive; the fraction is reduced.
    pub fn denominator(&self) -> &BigUint {
        &self.denominator
    }

    /// Whether the value is the square root of the fraction.
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// The exact value as text: `a`, `a/b` or `sqrt(a/b)`.
    pub fn exact_text(&self) -> String {
        let fraction = if self.denominator == BigUint::from(1u8) {
            self.numerator.to_string()
        } else {
            format!("{}/{}", self.numerator, self.denominator)
        };
        if self.root { format!("sqrt({fraction})") } else { fraction }
    }

    /// The value in decimal with at most `places` places, rounded to nearest, halves away from zero.
    pub fn decimal(&self, places: u32) -> String {
        // Twice the wanted integer, rounded down; then half of it, rounded up at a half.
        let magnitude = self.numerator.magnitude();
        let doubled = if self.root {
            (magnitude * BigUint::from(10u8).pow(2 * places) * 4u8 / &self.denominator).sqrt()
        } else {
            magnitude * BigUint::from(10u8).pow(places) * 2u8 / &self.denominator
        };
        let rounded: BigUint = (doubled + 1u8) / 2u8;
        let digits = rounded.to_string();
        let places = places as usize;
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.numerator.sign() == Sign::Minus && rounded != BigUint::ZERO { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }
}

/// The decimal text with the default number of places.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.decimal(self.places))
    }
}

/// Evaluates a statistic in the column's unit (for variances the unit squared).
pub fn evaluate(statistic: Statistic, aggregates: &Aggregates) -> Result<Exact, Undefined> {
    let Aggregates { count, sum, squares, scale } = aggregates;
    let needs = match statistic {
        Statistic::Count | Statistic::Sum => 0,
        Statistic::Mean | Statistic::VariancePopulation | Statistic::StddevPopulation => 1,
        Statistic::Variance | Statistic::Stddev => 2,
    };
    if *count < needs {
        return Err(Undefined::TooFew { statistic, count: *count, needs });
    }
    let n = BigUint::from(*count);
    let unit = BigUint::from(10u8).pow(u32::from(*scale));
    let places = u32::from(*scale) + EXTRA_PLACES;
    let opened = |value: &Option<BigInt>| value.clone().ok_or(Undefined::NotOpened(statistic));
    let (numerator, denominator) = match statistic {
        Statistic::Count => (BigInt::from(n), BigUint::from(1u8)),
        Statistic::Sum => (opened(sum)?, unit),
        Statistic::Mean => (opened(sum)?, n * unit),
        _ => {
            let sum = opened(sum)?;
            let spread = BigInt::from(n.clone()) * opened(squares)? - &sum * &sum;
            if spread.sign() == Sign::Minus {
                return Err(Undefined::Contradiction);
            }
            let divisor = if needs == 2 { BigUint::from(count - 1) } else { n.clone() };
            (spread, n * divisor * unit.pow(2))
        }
    };
    let root = matches!(statistic, Statistic::Stddev | Statistic::StddevPopulation);
    Ok(Exact::new(numerator, denominator, root, places))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn aggregates(values: &[i64], scale: u8) -> Aggregates {
        let sum = values.iter().map(|v| BigInt::from(*v)).sum();
        let squares = values.iter().map(|v| BigInt::from(*v) * v).sum();
        Aggregates { count: values.len() as u64, sum: Some(sum), squares: Some(squares), scale }
    }

    fn text(statistic: Statistic, values: &[i64], scale: u8) -> String {
        evaluate(statistic, &aggregates(values, scale)).unwrap().to_string()
    }

    #[test]
    fn names_round_trip() {
        for s in Statistic::ALL {
            assert_eq!(s.to_string().parse(), Ok(s));
        }
        assert!("Mean".parse::<Statistic>().is_err());
    }

    #[test]
    fn known_values() {
        // numpy: [2, 4, 4, 4, 5, 5, 7, 9], ddof 0 and 1.
        let v = [2, 4, 4, 4, 5, 5, 7, 9];
        assert_eq!(text(Statistic::Count, &v, 0), "8");
        assert_eq!(text(Statistic::Sum, &v, 1), "4");
        assert_eq!(text(Statistic::Mean, &v, 0), "5");
        assert_eq!(text(Statistic::VariancePopulation, &v, 0), "4");
        assert_eq!(text(Statistic::StddevPopulation, &v, 0), "2");
        assert_eq!(text(Statistic::Variance, &v, 0), "4.5714285714");
        assert_eq!(text(Statistic::Stddev, &v, 0), "2.1380899353");
        assert_eq!(text(Statistic::Mean, &[-1, 0, 0], 2), "-0.003333333333");
        assert_eq!(text(Statistic::Sum, &[-1], 18), "-0.000000000000000001");
        assert_eq!(
            text(Statistic::Variance, &[i64::MAX, -i64::MAX], 0),
            "170141183460469231694793815568465002498"
        );
        let exact = |s, v: &[i64]| evaluate(s, &aggregates(v, 0)).unwrap().exact_text();
        assert_eq!(exact(Statistic::Mean, &[1, 2, 4]), "7/3");
        assert_eq!(exact(Statistic::Stddev, &[1, 2, 4]), "sqrt(7/3)");
        assert_eq!(exact(Statistic::Sum, &[]), "0");
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        let half = |n: i64| Exact::new(n.into(), 2u8.into(), false, 0).to_string();
        assert_eq!([-3, -1, 0, 1, 3].map(half), ["-2", "-1", "0", "1", "2"]);
        assert_eq!(Exact::new((-1).into(), 3u8.into(), false, 0).to_string(), "0");
    }

    #[test]
    fn too_few_is_typed() {
        for s in Statistic::ALL {
            let needs = match s {
                Statistic::Count | Statistic::Sum => 0,
                Statistic::Variance | Statistic::Stddev => 2,
                _ => 1,
            };
            for count in 0..3u64 {
                let values: Vec<i64> = (0..count as i64).collect();
                let got = evaluate(s, &aggregates(&values, 3));
                if count < needs {
                    assert_eq!(got, Err(Undefined::TooFew { statistic: s, count, needs }));
                } else {
                    assert!(got.is_ok());
                }
            }
        }
        let unopened = Aggregates { count: 5, sum: None, squares: None, scale: 0 };
        assert_eq!(evaluate(Statistic::Mean, &unopened), Err(Undefined::NotOpened(Statistic::Mean)));
        let lie = Aggregates { count: 2, sum: Some(10.into()), squares: Some(1.into()), scale: 0 };
        assert_eq!(evaluate(Statistic::Variance, &lie), Err(Undefined::Contradiction));
    }

    #[test]
    fn halves_are_put_together() {
        let output = Output::Product(0, 1);
        let lanes = [
            Lane { output, part: Part::Low, signed: false },
            Lane { output, part: Part::High, signed: true },
            Lane { output: Output::Value(0), part: Part::Whole, signed: true },
        ];
        // Two rows of -1: low 2^64 - 1 and high -1 each.
        let sums = [2 * u128::from(u64::MAX), (-2i128) as u128, (-7i128) as u128];
        assert_eq!(total(output, &lanes, &sums), Some(BigInt::from(-2)));
        assert_eq!(total(Output::Value(0), &lanes, &sums), Some(BigInt::from(-7)));
        assert_eq!(total(Output::Square(0), &lanes, &sums), None);
        assert_eq!(total(output, &lanes[..1], &sums), None);
    }

    proptest! {
        #[test]
        fn stddev_is_correctly_rounded(values in prop::collection::vec(-1_000_000_000i64..1_000_000_000, 2..20), places in 0u32..25) {
            let exact = evaluate(Statistic::Stddev, &aggregates(&values, 0)).unwrap();
            let digits: String = {
                let text = exact.decimal(places);
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                format!("{whole}{fraction:0<width$}", width = places as usize)
            };
            let r: BigUint = digits.parse().unwrap();
            // (r - 1/2)^2 <= variance * 10^(2 places) < (r + 1/2)^2, times 4 and the denominator.
            let target = exact.numerator().magnitude() * BigUint::from(10u8).pow(2 * places) * 4u8;
            let d = exact.denominator();
            prop_assert!((&r * 2u8 + 1u8).pow(2) * d > target);
            if r > BigUint::ZERO {
                prop_assert!((&r * 2u8 - 1u8).pow(2) * d <= target);
            }
        }

        #[test]
        fn variance_is_the_definition(values in prop::collection::vec(any::<i32>(), 2..30)) {
            let n = values.len() as i128;
            let sum: i128 = values.iter().map(|v| i128::from(*v)).sum();
            // sum of (n v - sum)^2 / (n^2 (n - 1))
            let spread: BigInt = values.iter().map(|v| BigInt::from(n * i128::from(*v) - sum).pow(2)).sum();
            let values: Vec<i64> = values.into_iter().map(i64::from).collect();
            let exact = evaluate(Statistic::Variance, &aggregates(&values, 0)).unwrap();
            let left = exact.numerator() * BigInt::from(n * n * (n - 1));
            prop_assert_eq!(left, spread * BigInt::from(exact.denominator().clone()));
        }
    }
}
