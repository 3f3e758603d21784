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
const EDGE_DIGITS: usize = 19;

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

    /// From billionths; None for zero.
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

/// A limit between bins of a histogram, in the column's unit: up to 19 digits, a point, 18 places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge(i128);

impl Edge {
    fn unit(scale: u8) -> i128 {
        10i128.pow(EDGE_PLACES.saturating_sub(usize::from(scale)) as u32)
    }

    /// The smallest integer V with V / 10^scale not below the edge. `scale` is at most 18.
    pub fn ceil(self, scale: u8) -> i128 {
        -(-self.0).div_euclid(Self::unit(scale))
    }

    /// The largest integer V with V / 10^scale not above the edge. `scale` is at most 18.
    pub fn floor(self, scale: u8) -> i128 {
        self.0.div_euclid(Self::unit(scale))
    }
}

impl FromStr for Edge {
    type Err = NotADecimal;

    fn from_str(s: &str) -> Result<Self, NotADecimal> {
        let (negative, digits) = s.strip_prefix('-').map_or((false, s), |rest| (true, rest));
        let value = magnitude(digits, EDGE_DIGITS, EDGE_PLACES).and_then(|m| i128::try_from(m).ok());
        value
            .map(|v| Self(if negative { -v } else { v }))
            .ok_or_else(|| refused(s, "a decimal of at most 19 digits and 18 places, such as -12.5"))
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", text(self.0.unsigned_abs(), EDGE_PLACES))
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
        for bad in ["", "-", "1.", "--1", "99999999999999999999", "0.0000000000000000001", "1e3", "nan"] {
            assert!(bad.parse::<Edge>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn texts_round_trip(share in 0..=Share::BILLION, edge in -(10i128.pow(37))..10i128.pow(37)) {
            prop_assert_eq!(Share(share).to_string().parse(), Ok(Share(share)));
            prop_assert_eq!(Edge(edge).to_string().parse(), Ok(Edge(edge)));
        }
    }
}
