//! Exact values: fractions and their square roots, rounded only as text; and values that are known to some digits.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use num_bigint::{BigInt, BigUint, Sign};

/// An exact value: a reduced fraction, or the square root of one with its sign. Or a fraction that is near a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    numerator: BigInt,
    denominator: BigUint,
    kind: Kind,
    /// Decimal places of the text, or digits of a value that is near.
    places: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fraction,
    Root,
    Near,
}

impl Exact {
    /// A fraction; `places` of its decimal text. `None` if the denominator is zero.
    pub fn fraction(numerator: BigInt, denominator: BigUint, places: u32) -> Option<Self> {
        Self::new(numerator, denominator, Kind::Fraction, places)
    }

    /// The square root of a fraction's magnitude, with the sign of its numerator. `None` if the denominator is zero.
    pub fn signed_root(numerator: BigInt, denominator: BigUint, places: u32) -> Option<Self> {
        Self::new(numerator, denominator, Kind::Root, places)
    }

    /// A value of which `digits` are known, by a fraction near it. `None` if the denominator is zero.
    pub fn near(numerator: BigInt, denominator: BigUint, digits: u32) -> Option<Self> {
        Self::new(numerator, denominator, Kind::Near, digits)
    }

    /// A whole number.
    pub fn whole(value: impl Into<BigInt>) -> Self {
        Self { numerator: value.into(), denominator: BigUint::from(1u8), kind: Kind::Fraction, places: 0 }
    }

    fn new(numerator: BigInt, denominator: BigUint, kind: Kind, places: u32) -> Option<Self> {
        if denominator == BigUint::ZERO {
            return None;
        }
        let (mut a, mut b) = (numerator.magnitude().clone(), denominator.clone());
        while b != BigUint::ZERO {
            (a, b) = (b.clone(), a % b);
        }
        Some(Self {
            numerator: numerator / BigInt::from(a.clone()),
            denominator: denominator / a,
            kind,
            places,
        })
    }

    /// The fraction's numerator.
    pub fn numerator(&self) -> &BigInt {
        &self.numerator
    }

    /// The fraction's denominator, positive; the fraction is reduced.
    pub fn denominator(&self) -> &BigUint {
        &self.denominator
    }

    /// True if the value is the fraction.
    pub fn is_fraction(&self) -> bool {
        self.kind == Kind::Fraction
    }

    /// The exact value as text: `a`, `a/b`, `sqrt(a/b)` or `-sqrt(a/b)`; `~a/b` of one that is near.
    pub fn exact_text(&self) -> String {
        let magnitude = self.numerator.magnitude();
        let sign = if self.numerator.sign() == Sign::Minus { "-" } else { "" };
        let fraction = if self.denominator == BigUint::from(1u8) {
            magnitude.to_string()
        } else {
            format!("{magnitude}/{}", self.denominator)
        };
        match self.kind {
            Kind::Fraction => format!("{sign}{fraction}"),
            Kind::Root => format!("{sign}sqrt({fraction})"),
            Kind::Near => format!("~{sign}{fraction}"),
        }
    }

    /// The fraction rounded to this many digits from the first that is not zero.
    fn significant(&self, digits: u32) -> String {
        let ten = |n: u32| BigUint::from(10u8).pow(n);
        let (magnitude, denominator) = (self.numerator.magnitude(), &self.denominator);
        if *magnitude == BigUint::ZERO {
            return "0".into();
        }
        let whole = magnitude / denominator;
        if whole < ten(digits) {
            // As many places as it takes.
            let mut places = 0;
            while magnitude * ten(places + 1) / denominator < ten(digits) {
                places += 1;
            }
            return self.decimal(places);
        }
        let beyond = whole.to_string().len() as u32 - digits;
        let rounded = (magnitude * 2u8 / (denominator * ten(beyond)) + 1u8) / 2u8 * ten(beyond);
        let sign = if self.numerator.sign() == Sign::Minus { "-" } else { "" };
        format!("{sign}{rounded}")
    }

    /// The value in decimal with at most `places` places, rounded to nearest, halves away from zero.
    pub fn decimal(&self, places: u32) -> String {
        // Twice the wanted integer, rounded down; then half of it, rounded up at a half.
        let magnitude = self.numerator.magnitude();
        let doubled = if self.kind == Kind::Root {
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
        f.write_str(&if self.kind == Kind::Near {
            self.significant(self.places)
        } else {
            self.decimal(self.places)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounding_is_half_away_from_zero() {
        let half = |n: i64| Exact::fraction(n.into(), 2u8.into(), 0).unwrap().to_string();
        assert_eq!([-3, -1, 0, 1, 3].map(half), ["-2", "-1", "0", "1", "2"]);
        assert_eq!(Exact::fraction((-1).into(), 3u8.into(), 0).unwrap().to_string(), "0");
        assert_eq!(Exact::fraction(1.into(), 0u8.into(), 0), None);
        let root = Exact::signed_root((-2).into(), 1u8.into(), 5).unwrap();
        assert_eq!((root.to_string().as_str(), root.exact_text().as_str()), ("-1.41421", "-sqrt(2)"));
    }

    #[test]
    fn digits_are_counted_from_the_first() {
        let near = |n: i64, d: u64| Exact::near(n.into(), d.into(), 4).unwrap().to_string();
        assert_eq!(near(1, 3), "0.3333");
        assert_eq!(near(-2, 3000), "-0.0006667");
        assert_eq!(near(123_456, 10), "12350");
        assert_eq!(near(99_999, 1), "100000");
        assert_eq!(near(99_999, 10_000), "10");
        assert_eq!([near(0, 7), near(12_345, 1000), near(5, 1)], ["0", "12.35", "5"]);
        let exact = Exact::near(7.into(), 3u8.into(), 4).unwrap();
        assert_eq!((exact.exact_text().as_str(), exact.is_fraction()), ("~7/3", false));
    }

    proptest! {
        #[test]
        fn roots_are_correctly_rounded(n in 0u128.., d in 1u64.., places in 0u32..25) {
            let exact = Exact::signed_root(BigInt::from(n), d.into(), 0).unwrap();
            let text = exact.decimal(places);
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            let r: BigUint = format!("{whole}{fraction:0<width$}", width = places as usize).parse().unwrap();
            // (r - 1/2)^2 <= value * 10^(2 places) < (r + 1/2)^2, times 4 and the denominator.
            let target = exact.numerator().magnitude() * BigUint::from(10u8).pow(2 * places) * 4u8;
            let d = exact.denominator();
            prop_assert!((&r * 2u8 + 1u8).pow(2) * d > target);
            if r > BigUint::ZERO {
                prop_assert!((&r * 2u8 - 1u8).pow(2) * d <= target);
            }
        }
    }
}
