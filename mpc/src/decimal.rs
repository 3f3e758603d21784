//! The decimal format of a column, in the clear: what the provider's tools use to show an error before proving,
//! and the oracle of the circuit (`circuit::decimal`).
//!
//! Grammar: `-`? then digits with at most one `.` anywhere among, before or after them; at least one digit.
//! `.5`, `5.`, `00012`, `-0.5` and `-0` are fine; `+1`, `1e3`, `1,5`, ` 1` and `` are not.

/// What is done with digits beyond the column's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Excess {
    /// They must be zeros.
    Reject,
    /// They are dropped (the magnitude is rounded toward zero).
    Truncate,
}

/// Why bytes are not a value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// A byte other than a digit, one point or a leading minus sign. The byte itself is not repeated: it is secret.
    #[error("byte {at} is not part of a plain decimal number (digits, one point, a leading minus sign)")]
    Character {
        /// Position of the first such byte.
        at: usize,
    },
    /// No digit at all.
    #[error("the value has no digit")]
    NoDigit,
    /// A digit beyond the scale is not zero.
    #[error("the value has more than {scale} decimal places; the column rejects what it would have to cut")]
    TooPrecise {
        /// Decimal places of the column.
        scale: u8,
    },
    /// The scaled magnitude needs more bits than the column has.
    #[error("the value times 10^{scale} does not fit in {bits} bits")]
    TooLarge {
        /// Decimal places of the column.
        scale: u8,
        /// Bits of the column.
        bits: u8,
    },
}

/// Whether bytes are of the grammar, whatever their size.
pub fn is_decimal(bytes: &[u8]) -> bool {
    let parsed = parse_decimal(bytes, 0, 63, Excess::Truncate);
    !matches!(parsed, Err(DecimalError::Character { .. } | DecimalError::NoDigit))
}

/// The signed integer `value * 10^scale`, with a magnitude below 2^bits (`bits` at most 63).
pub fn parse_decimal(bytes: &[u8], scale: u8, bits: u8, excess: Excess) -> Result<i64, DecimalError> {
    let (negative, body) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    let offset = usize::from(negative);
    let mut point = None;
    for (i, c) in body.iter().enumerate() {
        match c {
            b'0'..=b'9' => {}
            b'.' if point.is_none() => point = Some(i),
            _ => return Err(DecimalError::Character { at: offset + i }),
        }
    }
    let (whole, fraction) = match point {
        Some(p) => (&body[..p], &body[p + 1..]),
        None => (body, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DecimalError::NoDigit);
    }
    let (kept, cut) = fraction.split_at(fraction.len().min(usize::from(scale)));
    if excess == Excess::Reject && cut.iter().any(|c| *c != b'0') {
        return Err(DecimalError::TooPrecise { scale });
    }
    let zeros = usize::from(scale) - kept.len();
    let digits = whole.iter().chain(kept).map(|c| c - b'0').chain(core::iter::repeat_n(0, zeros));
    let too_large = DecimalError::TooLarge { scale, bits };
    let mut magnitude = 0i64;
    for digit in digits {
        magnitude = magnitude.checked_mul(10).and_then(|m| m.checked_add(digit.into())).ok_or(too_large)?;
    }
    if bits < 63 && magnitude >> bits != 0 {
        return Err(too_large);
    }
    Ok(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        use DecimalError::*;
        let p = |s: &str| parse_decimal(s.as_bytes(), 2, 20, Excess::Reject);
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
            ("1.234", TooPrecise { scale: 2 }),
            ("10485.76", TooLarge { scale: 2, bits: 20 }),
            ("99999999999999999999999", TooLarge { scale: 2, bits: 20 }),
        ] {
            assert_eq!(p(text), Err(error), "{text}");
        }
        for (text, decimal) in
            [("1", true), ("99999999999999999999999", true), ("-.5", true), ("null", false)]
        {
            assert_eq!(is_decimal(text.as_bytes()), decimal, "{text}");
        }
        for text in ["", "-", ".", "1e3", "--", "1-"] {
            assert!(!is_decimal(text.as_bytes()), "{text}");
        }
        assert_eq!(parse_decimal(b"-1.999", 2, 20, Excess::Truncate), Ok(-199));
        assert_eq!(parse_decimal(b"9223372036854775807", 0, 63, Excess::Reject), Ok(i64::MAX));
        assert!(parse_decimal(b"9223372036854775808", 0, 63, Excess::Reject).is_err());
    }
}
