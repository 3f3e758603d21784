//! The decimal formats of a column, in the clear: the provider's tools use them to show an error before proving, and
//! tests use them as the oracle of the circuit (`circuit::decimal`). Both are one definition, tested against each other.
//!
//! Grammar: `-`? then digits with at most one point anywhere among, before or after them; at least one digit. `.5`, `5.`,
//! `00012`, `-0.5` and `-0` are fine; `+1`, `1e3`, `1,5`, ` 1` and `` are not. A [`Notation`] may add
//!
//! - exponents: `e` or `E`, a sign or none, and one to three digits, behind all of that (`1.5e-07`);
//! - grouping: a separator between groups of three digits left of the point, in all of these places or in none
//!   (`1,234,567.89` and `1234567.89`, not `1,234567`, `12,34`, `,123`). Not together with exponents;
//! - another point than `.`.

/// The treatment of digits beyond the column's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Excess {
    /// They must be zeros.
    Reject,
    /// They are dropped (the magnitude is rounded toward zero).
    Truncate,
}

/// The spelling of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Notation {
    /// True if an exponent may follow.
    pub exponents: bool,
    /// The separator of groups of three digits, if there may be one. Not with exponents.
    pub grouping: Option<u8>,
    /// The decimal point.
    pub point: u8,
}

impl Default for Notation {
    fn default() -> Self {
        Self { exponents: false, grouping: None, point: b'.' }
    }
}

impl Notation {
    /// Separators that there are.
    pub const GROUPINGS: [u8; 5] = *b",.' _";
    /// Decimal points that there are.
    pub const POINTS: [u8; 2] = *b".,";

    /// True if circuit and parser know it.
    pub fn is_valid(&self) -> bool {
        let grouping =
            self.grouping.is_none_or(|g| Self::GROUPINGS.contains(&g) && g != self.point && !self.exponents);
        grouping && Self::POINTS.contains(&self.point)
    }
}

/// The rules by which a text becomes an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scaling {
    /// The integer is value * 10^scale; -18 to 18.
    pub scale: i8,
    /// The integer's magnitude is below 2^bits; 1 to 63.
    pub bits: u8,
    /// The treatment of digits beyond the scale.
    pub excess: Excess,
}

/// Why bytes are not a value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// A byte that is not allowed at its position. The byte itself is not repeated: it is secret.
    #[error(
        "byte {at} is not part of a number in the survey's notation (digits, one point, a leading minus sign, and what exponents or grouping add)"
    )]
    Character {
        /// Position of the first such byte.
        at: usize,
    },
    /// No digit at all.
    #[error("the value has no digit")]
    NoDigit,
    /// An exponent without digits, or with more than three.
    #[error("the value's exponent has no digits, or more than three")]
    Exponent,
    /// Separators that are not between groups of three digits.
    #[error("the value's digits are not in groups of three")]
    Groups,
    /// A digit beyond the scale is not zero.
    #[error("the value has digits below 10^{}; the column rejects what it would have to cut", -i16::from(*.scale))]
    TooPrecise {
        /// The column's scale.
        scale: i8,
    },
    /// The scaled magnitude needs more bits than the column has.
    #[error("the value times 10^{scale} does not fit in {bits} bits")]
    TooLarge {
        /// The column's scale.
        scale: i8,
        /// Bits of the column.
        bits: u8,
    },
}

/// True if the bytes follow the grammar, whatever their size.
pub fn is_decimal(bytes: &[u8], notation: Notation) -> bool {
    Parts::read(bytes, notation).is_ok()
}

/// The signed integer `value * 10^scale`, with a magnitude below 2^bits (`bits` at most 63).
pub fn parse_decimal(bytes: &[u8], scaling: Scaling, notation: Notation) -> Result<i64, DecimalError> {
    let Scaling { scale, bits, excess } = scaling;
    let parts = Parts::read(bytes, notation)?;
    let too_large = DecimalError::TooLarge { scale, bits };
    // The integer is the digits as they stand times 10^shift.
    let shift = i32::from(scale) + parts.exponent - parts.decimals as i32;
    let kept = parts.digits().count().saturating_sub(shift.min(0).unsigned_abs() as usize);
    if excess == Excess::Reject && parts.digits().skip(kept).any(|d| d != 0) {
        return Err(DecimalError::TooPrecise { scale });
    }
    let mut magnitude = 0i64;
    let zeros = core::iter::repeat_n(0, shift.max(0).unsigned_abs() as usize);
    for digit in parts.digits().take(kept).chain(zeros) {
        magnitude = magnitude.checked_mul(10).and_then(|m| m.checked_add(digit.into())).ok_or(too_large)?;
    }
    if bits < 63 && magnitude >> bits != 0 {
        return Err(too_large);
    }
    Ok(if parts.negative { -magnitude } else { magnitude })
}

/// A number's parts.
struct Parts<'a> {
    negative: bool,
    /// Digits, separators and the point.
    mantissa: &'a [u8],
    /// Digits right of the point.
    decimals: usize,
    exponent: i32,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8], notation: Notation) -> Result<Self, DecimalError> {
        let (negative, body) = match bytes.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, bytes),
        };
        let offset = usize::from(negative);
        let end = body.iter().position(|c| notation.exponents && matches!(c, b'e' | b'E'));
        let (mantissa, exponent) = match end {
            Some(at) => (&body[..at], exponent(&body[at + 1..], offset + at + 1)?),
            None => (body, 0),
        };
        let mut point = None;
        for (i, c) in mantissa.iter().enumerate() {
            match c {
                b'0'..=b'9' => {}
                c if *c == notation.point && point.is_none() => point = Some(i),
                c if Some(*c) == notation.grouping && point.is_none() => {}
                _ => return Err(DecimalError::Character { at: offset + i }),
            }
        }
        let whole = point.map_or(mantissa, |p| &mantissa[..p]);
        let decimals = point.map_or(0, |p| mantissa.len() - p - 1);
        if !mantissa.iter().any(u8::is_ascii_digit) {
            return Err(DecimalError::NoDigit);
        }
        if let Some(separator) = notation.grouping
            && whole.contains(&separator)
        {
            let mut groups = whole.split(|c| *c == separator);
            let first = groups.next().map_or(0, <[u8]>::len);
            if !(1..=3).contains(&first) || !groups.all(|g| g.len() == 3) {
                return Err(DecimalError::Groups);
            }
        }
        Ok(Self { negative, mantissa, decimals, exponent })
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.mantissa.iter().filter(|c| c.is_ascii_digit()).map(|c| c - b'0')
    }
}

fn exponent(bytes: &[u8], offset: usize) -> Result<i32, DecimalError> {
    let (sign, digits) = match bytes.split_first() {
        Some((b'-', rest)) => (-1, rest),
        Some((b'+', rest)) => (1, rest),
        _ => (1, bytes),
    };
    let signs = bytes.len() - digits.len();
    if let Some(at) = digits.iter().position(|c| !c.is_ascii_digit()) {
        return Err(DecimalError::Character { at: offset + signs + at });
    }
    if !(1..=3).contains(&digits.len()) {
        return Err(DecimalError::Exponent);
    }
    Ok(sign * digits.iter().fold(0, |n, d| 10 * n + i32::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Notation = Notation { exponents: false, grouping: None, point: b'.' };
    const EXPONENTS: Notation = Notation { exponents: true, ..PLAIN };
    const GROUPED: Notation = Notation { grouping: Some(b','), ..PLAIN };
    const GERMAN: Notation = Notation { grouping: Some(b'.'), point: b',', ..PLAIN };

    fn of(text: &str, scale: i8, bits: u8, notation: Notation) -> Result<i64, DecimalError> {
        parse_decimal(text.as_bytes(), Scaling { scale, bits, excess: Excess::Reject }, notation)
    }

    #[test]
    fn plain() {
        use DecimalError::*;
        let p = |s: &str| of(s, 2, 20, PLAIN);
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("5", 500),
            (".5", 50),
            ("5.", 500),
            ("00012", 1200),
            ("-0.5", -50),
            ("1.2300", 123),
            ("-.01", -1),
            ("10485.75", (1 << 20) - 1),
            ("-10485.75", 1 - (1 << 20)),
            ("0000000000000000000000000.07", 7),
        ] {
            assert_eq!(p(text), Ok(value), "{text}");
        }
        for (text, error) in [
            ("", NoDigit),
            ("-", NoDigit),
            (".", NoDigit),
            ("-.", NoDigit),
            ("+1", Character { at: 0 }),
            ("1e3", Character { at: 1 }),
            ("1.2.3", Character { at: 3 }),
            ("--1", Character { at: 1 }),
            ("1-", Character { at: 1 }),
            (" 1", Character { at: 0 }),
            ("1\0", Character { at: 1 }),
            ("1,2", Character { at: 1 }),
            ("1.234", TooPrecise { scale: 2 }),
            ("10485.76", TooLarge { scale: 2, bits: 20 }),
            ("99999999999999999999999", TooLarge { scale: 2, bits: 20 }),
        ] {
            assert_eq!(p(text), Err(error), "{text}");
        }
        let truncate = Scaling { scale: 2, bits: 20, excess: Excess::Truncate };
        assert_eq!(parse_decimal(b"-1.999", truncate, PLAIN), Ok(-199));
        assert_eq!(of("9223372036854775807", 0, 63, PLAIN), Ok(i64::MAX));
        assert!(of("9223372036854775808", 0, 63, PLAIN).is_err());
        for (text, decimal) in
            [("1", true), ("99999999999999999999999", true), ("-.5", true), ("null", false), ("", false)]
        {
            assert_eq!(is_decimal(text.as_bytes(), PLAIN), decimal, "{text}");
        }
    }

    #[test]
    fn exponents() {
        for (text, value) in [
            ("1e-05", 1000),
            ("1E3", 100_000_000_000),
            ("1.5e+2", 15_000_000_000),
            ("-2.50e-1", -25_000_000),
            ("0e999", 0),
            ("0e-999", 0),
            ("1000000000000e-12", 100_000_000),
            (".5e1", 500_000_000),
            ("7", 700_000_000),
        ] {
            assert_eq!(of(text, 8, 48, EXPONENTS), Ok(value), "{text}");
        }
        for text in [
            "e5", "1e", "1e+", "1e1234", "1e5.0", "1e5e5", "1ee5", "1e--5", "-e5", "1e 5", "1e-9", "1e9",
            "1e999", "1e-999",
        ] {
            assert!(of(text, 8, 48, EXPONENTS).is_err(), "{text}");
        }
        let truncate = Scaling { scale: 2, bits: 20, excess: Excess::Truncate };
        assert_eq!(parse_decimal(b"1.2345e1", truncate, EXPONENTS), Ok(1234));
        assert_eq!(parse_decimal(b"9e-999", truncate, EXPONENTS), Ok(0));
    }

    #[test]
    fn groups() {
        for (text, value) in [
            ("1,234.56", 123_456),
            ("1,234,567", 123_456_700),
            ("-12,345.6", -1_234_560),
            ("1234.56", 123_456),
            ("999", 99_900),
        ] {
            assert_eq!(of(text, 2, 48, GROUPED), Ok(value), "{text}");
        }
        for text in [
            ",123",
            "1,23",
            "1,2345",
            "12,34,567",
            "1234,567",
            "1,,234",
            "1,234,",
            "1.234,5",
            "-,123",
            "1,234,56.7",
            ",",
        ] {
            assert!(of(text, 2, 48, GROUPED).is_err(), "{text}");
        }
        assert_eq!(of("1.234.567,89", 2, 48, GERMAN), Ok(123_456_789));
        assert_eq!(of("0,5", 2, 48, GERMAN), Ok(50));
        assert!(of("1,234.5", 2, 48, GERMAN).is_err());
    }

    #[test]
    fn negative_scales() {
        assert_eq!(of("12500000000000000000", -9, 63, PLAIN), Ok(12_500_000_000));
        assert_eq!(of("1e19", -9, 63, EXPONENTS), Ok(10_000_000_000));
        assert_eq!(of("12500000000000000001", -9, 63, PLAIN), Err(DecimalError::TooPrecise { scale: -9 }));
        assert_eq!(of("0.0", -9, 63, PLAIN), Ok(0));
        assert!(of("0.5", -9, 63, PLAIN).is_err());
        let truncate = Scaling { scale: -3, bits: 20, excess: Excess::Truncate };
        assert_eq!(parse_decimal(b"-12,345,678.9", truncate, GROUPED), Ok(-12_345));
        assert_eq!(parse_decimal(b"999", truncate, PLAIN), Ok(0));
    }
}
