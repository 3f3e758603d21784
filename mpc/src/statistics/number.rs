//! Parameters of statistics as exact decimals: shares of one, and edges in a column's unit.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

/// Decimal places of a [`Share`].
const SHARE_PLACES: usize = 9;
/// Decimal places of an [`Edge`].
const EDGE_PLACES: usize = 18;
/// Most digits of an edge before the point.
const EDGE_DIGITS: usize = 37;

/// Text that is not one of these decimals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {needs}")]
pub struct NotADecimal {
    /// The text, shortened.
    pub text: String,
    /// The rule that it breaks.
    pub needs: &'static str,
}

fn refused(text: &str, needs: &'static str) -> NotADecimal {
    NotADecimal { text: text.chars().take(64).collect(), needs }
}

/// Magnitude in units of 10^-places. At most `digits` digits before the point.
fn magnitude(text: &str, digits: usize, places: usize) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let pointless = text.ends_with('.') || whole.is_empty();
    if pointless || !plain(whole) || !plain(fraction) || fraction.len() > places || whole.len() > digits {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

/// The shortest text of a magnitude in units of 10^-places.
fn text(magnitude: u128, places: usize) -> String {
    let padded = format!("{magnitude:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

/// A share of one, 0 to 1, with up to nine decimal places: the P of a quantile. One text each (`0.9`, not `0.90`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// One, in the unit of [`Self::billionths`].
    pub const BILLION: u32 = 1_000_000_000;
    /// One quarter.
    pub const QUARTER: Self = Self(Self::BILLION / 4);
    /// One half.
    pub const HALF: Self = Self(Self::BILLION / 2);
    /// Three quarters.
    pub const THREE_QUARTERS: Self = Self(Self::BILLION / 4 * 3);

    /// The share in billionths.
    pub const fn billionths(self) -> u32 {
        self.0
    }

    fn product(self, n: u64) -> u128 {
        u128::from(n) * u128::from(self.0)
    }

    /// The largest integer not above share * n.
    pub fn floor_of(self, n: u64) -> u64 {
        // Not above n.
        (self.product(n) / u128::from(Self::BILLION)) as u64
    }

    /// The smallest integer not below share * n.
    pub fn ceil_of(self, n: u64) -> u64 {
        self.product(n).div_ceil(u128::from(Self::BILLION)) as u64
    }

    /// The rest of share * n beyond its floor, in billionths.
    pub fn remainder_of(self, n: u64) -> u32 {
        (self.product(n) % u128::from(Self::BILLION)) as u32
    }
}

impl FromStr for Share {
    type Err = NotADecimal;

    fn from_str(s: &str) -> Result<Self, NotADecimal> {
        let value = magnitude(s, 1, SHARE_PLACES).and_then(|m| u32::try_from(m).ok());
        value
            .filter(|m| *m <= Self::BILLION)
            .map(Self)
            .ok_or_else(|| refused(s, "a decimal from 0 to 1 with at most nine places, such as 0.9"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.0.into(), SHARE_PLACES))
    }
}

/// A privacy loss: above 0, at most 1000, with up to nine decimal places. One text each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epsilon(u64);

impl Epsilon {
    /// One, in the unit of [`Self::billionths`].
    pub const BILLION: u64 = 1_000_000_000;

    /// In billionths.
    pub const fn billionths(self) -> u64 {
        self.0
    }

    /// From billionths; `None` for zero.
    pub fn from_billionths(billionths: u64) -> Option<Self> {
        (billionths > 0).then_some(Self(billionths))
    }
}

impl FromStr for Epsilon {
    type Err = NotADecimal;

    fn from_str(s: &str) -> Result<Self, NotADecimal> {
        let value = magnitude(s, 4, SHARE_PLACES).and_then(|m| u64::try_from(m).ok());
        value.filter(|m| (1..=1000 * Self::BILLION).contains(m)).map(Self).ok_or_else(|| {
            refused(s, "a decimal above 0 and at most 1000 with at most nine places, such as 0.5")
        })
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.0.into(), SHARE_PLACES))
    }
}

/// A limit between bins of a histogram, in the column's unit: up to 37 digits, a point, 18 places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// The largest integer not above it.
    whole: i128,
    /// The rest above that, in units of 10^-18.
    fraction: u64,
}

impl Edge {
    /// One, in the unit of the fraction.
    const ONE: u64 = 10u64.pow(EDGE_PLACES as u32);

    /// The largest integer V with V / 10^scale not above the edge; true if it equals the edge. A number beyond this type
    /// becomes the type's last. `scale` is -18 to 18.
    fn scaled(self, scale: i8) -> (i128, bool) {
        let power = u32::from(scale.unsigned_abs()).min(EDGE_PLACES as u32);
        if scale < 0 {
            let unit = 10i128.pow(power);
            return (self.whole.div_euclid(unit), self.whole.rem_euclid(unit) == 0 && self.fraction == 0);
        }
        let unit = 10u64.pow(EDGE_PLACES as u32 - power);
        let whole = self.whole.saturating_mul(10i128.pow(power));
        (whole.saturating_add((self.fraction / unit).into()), self.fraction.is_multiple_of(unit))
    }

    /// The smallest integer V with V / 10^scale not below the edge. `scale` is -18 to 18.
    pub fn ceil(self, scale: i8) -> i128 {
        let (floor, exact) = self.scaled(scale);
        if exact { floor } else { floor.saturating_add(1) }
    }

    /// The largest integer V with V / 10^scale not above the edge. `scale` is -18 to 18.
    pub fn floor(self, scale: i8) -> i128 {
        self.scaled(scale).0
    }
}

impl FromStr for Edge {
    type Err = NotADecimal;

    fn from_str(s: &str) -> Result<Self, NotADecimal> {
        let (negative, digits) = s.strip_prefix('-').map_or((false, s), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let whole = magnitude(whole, EDGE_DIGITS, 0).and_then(|m| i128::try_from(m).ok());
        let fraction =
            magnitude(&format!("0.{fraction}"), 1, EDGE_PLACES).and_then(|m| u64::try_from(m).ok());
        let edge = match (whole, fraction) {
            (Some(whole), Some(0)) => {
                Some(Self { whole: if negative { -whole } else { whole }, fraction: 0 })
            }
            (Some(whole), Some(fraction)) if negative => {
                Some(Self { whole: -whole - 1, fraction: Self::ONE - fraction })
            }
            (Some(whole), Some(fraction)) => Some(Self { whole, fraction }),
            _ => None,
        };
        edge.ok_or_else(|| refused(s, "a decimal of at most 37 digits and 18 places, such as -12.5"))
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, whole, fraction) = match (self.whole < 0, self.fraction) {
            (true, 0) => ("-", self.whole.unsigned_abs(), 0),
            (true, above) => ("-", (self.whole + 1).unsigned_abs(), Self::ONE - above),
            (false, above) => ("", self.whole.unsigned_abs(), above),
        };
        let fraction = text(fraction.into(), EDGE_PLACES);
        write!(f, "{sign}{whole}{}", fraction.strip_prefix('0').unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn epsilons_are_exact() {
        for (given, usual) in [("0.50", "0.5"), ("1000", "1000"), ("0.000000001", "0.000000001")] {
            assert_eq!(given.parse::<Epsilon>().unwrap().to_string(), usual);
        }
        for bad in ["0", "0.0", "1000.1", "-1", "0.0000000001", "1e-1", "inf", ""] {
            assert!(bad.parse::<Epsilon>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_exact() {
        for (given, usual) in
            [("0.90", "0.9"), ("1", "1"), ("0", "0"), ("1.000", "1"), ("0.000000001", "0.000000001")]
        {
            assert_eq!(given.parse::<Share>().unwrap().to_string(), usual);
        }
        for bad in
            ["", ".5", "1.", "-0.1", "1.000000001", "2", "0.0000000001", "0,5", "1e-1", "+1", "00.5", " 1"]
        {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
        // In floating point 0.29 * 100 is below 29.
        let p: Share = "0.29".parse().unwrap();
        assert_eq!((p.floor_of(100), p.ceil_of(100), p.remainder_of(100)), (29, 29, 0));
        assert_eq!((p.floor_of(101), p.ceil_of(101), p.remainder_of(101)), (29, 30, 290_000_000));
        assert_eq!(Share(Share::BILLION).floor_of(u64::MAX), u64::MAX);
    }

    #[test]
    fn edges_round_to_the_column() {
        let e = |s: &str| s.parse::<Edge>().unwrap();
        assert_eq!((e("1.05").floor(1), e("1.05").ceil(1)), (10, 11));
        assert_eq!((e("-1.05").floor(1), e("-1.05").ceil(1)), (-11, -10));
        assert_eq!((e("3").floor(0), e("3").ceil(0), e("3").ceil(18)), (3, 3, 3 * 10i128.pow(18)));
        assert_eq!(e("-0").to_string(), "0");
        assert_eq!(e("-12.50").to_string(), "-12.5");
        assert_eq!(
            e("9999999999999999999.000000000000000001").to_string(),
            "9999999999999999999.000000000000000001"
        );
        // A column of large integers whose last digits are left out.
        assert_eq!((e("2500000000").floor(-9), e("2500000000").ceil(-9)), (2, 3));
        assert_eq!((e("-2500000000").floor(-9), e("-2500000000").ceil(-9)), (-3, -2));
        assert_eq!((e("2000000000.5").floor(-9), e("2000000000.5").ceil(-9)), (2, 3));
        assert_eq!((e("3000000000").floor(-9), e("3000000000").ceil(-9)), (3, 3));
        let most = "9".repeat(37);
        assert_eq!((e(&most).floor(-18), e(&most).ceil(18)), (10i128.pow(19) - 1, i128::MAX));
        assert_eq!(e(&format!("-{most}.5")).to_string(), format!("-{most}.5"));
        for bad in
            ["", "-", "1.", "--1", &"9".repeat(38), "0.0000000000000000001", "1e3", "nan", "1.-5", ".5"]
        {
            assert!(bad.parse::<Edge>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn texts_round_trip(
            share in 0..=Share::BILLION,
            whole in 1 - 10i128.pow(37)..10i128.pow(37),
            fraction in 0..Edge::ONE,
        ) {
            prop_assert_eq!(Share(share).to_string().parse(), Ok(Share(share)));
            let edge = Edge { whole, fraction };
            prop_assert_eq!(edge.to_string().parse(), Ok(edge));
        }

        #[test]
        fn edges_divide_integers(whole in -1000i128..1000, fraction in 0..Edge::ONE, scale in -3i8..=3) {
            // In units of 10^-18 and as it is defined.
            let edge = Edge { whole, fraction };
            let exact = whole * i128::from(Edge::ONE) + i128::from(fraction);
            let one = 10i128.pow((18 - i32::from(scale)) as u32);
            prop_assert_eq!(edge.floor(scale), exact.div_euclid(one));
            prop_assert_eq!(edge.ceil(scale), -(-exact).div_euclid(one));
        }
    }
}
