//! One value, one form: the form in which identities, fields and filters are compared.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Most digits of an integer.
const MAX_DIGITS: usize = 40;
/// Longest text, in bytes.
pub const MAX_TEXT: usize = 256;

/// An integer or a text, in the one form that it has.
///
/// However a server spells a value, it comes to the same: `1e3`, `1000.0` and `"1000"` are the integer 1000, and `"\u00e9"`
/// is the text é. A person with two spellings of an id would otherwise be two persons.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// Its decimal digits, with a minus sign in front if it is below zero: no leading zeros, no `-0`.
    Integer(String),
    /// A text in NFC, of 1 to [`MAX_TEXT`] bytes, without control characters, that is not an integer's digits.
    Text(String),
}

impl Scalar {
    /// The value of a JSON number, by its exact decimal value. The error says which kind of number is refused.
    pub fn from_number(text: &str) -> Result<Self, &'static str> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, small(exponent).ok_or("is no number")?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = [whole, fraction].concat();
        if whole.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err("is no number");
        }
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Self::Integer("0".into()));
        }
        // The weight of the last significant digit.
        let stripped = digits.len() - digits.trim_end_matches('0').len();
        let weight = exponent.saturating_add(stripped as i64).saturating_sub(fraction.len() as i64);
        if weight < 0 {
            return Err("is no integer");
        }
        let length = (significant.len() as i64).saturating_add(weight);
        if length > MAX_DIGITS as i64 {
            return Err("is too large: an integer must be below 10^40");
        }
        let sign = if negative { "-" } else { "" };
        Ok(Self::Integer(format!("{sign}{significant}{}", "0".repeat(weight as usize))))
    }

    /// The value of a text, unescaped. The error names the fault.
    pub fn from_text(text: &str) -> Result<Self, &'static str> {
        // Normalisation makes a text at most three times as long (UAX #15), so this bounds the work.
        if text.len() > 4 * MAX_TEXT {
            return Err("has more than 256 bytes");
        }
        let text = ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned();
        if text.is_empty() {
            return Err("is empty");
        }
        if text.len() > MAX_TEXT {
            return Err("has more than 256 bytes");
        }
        if text.chars().any(char::is_control) {
            return Err("has control characters");
        }
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let integer = !digits.is_empty()
            && digits.len() <= MAX_DIGITS
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'))
            && text != "-0";
        Ok(if integer { Self::Integer(text) } else { Self::Text(text) })
    }

    /// The value with ASCII letters in lower case.
    pub fn fold(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.to_ascii_lowercase()),
            integer => integer,
        }
    }

    /// The text that people see.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Integer(text) | Self::Text(text) => text,
        }
    }

    /// The bytes that are hashed: a byte for the kind, the length, the text.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self {
            Self::Integer(_) => 1,
            Self::Text(_) => 2,
        };
        let text = self.as_str();
        // At most MAX_TEXT bytes.
        let mut out = vec![kind];
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.as_bytes());
        out
    }
}

/// An exponent; one beyond all bounds counts as a very large one.
fn small(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude: i64 =
        digits.trim_start_matches('0').parse().unwrap_or(match digits.trim_start_matches('0') {
            "" => 0,
            _ => i64::MAX / 4,
        });
    let magnitude = magnitude.min(i64::MAX / 4);
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for (text, value) in [
            ("77", "77"),
            ("77.0", "77"),
            ("7.7e1", "77"),
            ("7700E-2", "77"),
            ("-77", "-77"),
            ("-0", "0"),
            ("0e999999999999999999999", "0"),
            ("0.000", "0"),
            ("1e39", "1000000000000000000000000000000000000000"),
            ("9999999999999999999999999999999999999999", "9999999999999999999999999999999999999999"),
            ("100e00000000000000000000000000000000000000000001", "1000"),
        ] {
            assert_eq!(Scalar::from_number(text), Ok(Scalar::Integer(value.into())), "{text}");
        }
        for text in [
            "1e40",
            "0.5",
            "1e-1",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "",
            "-",
            "1e",
            "x",
            "1.2.3",
            ".5",
        ] {
            assert!(Scalar::from_number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn texts_have_one_form() {
        for (text, value) in [
            ("77", true),
            ("-77", true),
            ("0", true),
            ("007", false),
            ("-0", false),
            ("7a", false),
            ("-", false),
        ] {
            let integer = matches!(Scalar::from_text(text), Ok(Scalar::Integer(_)));
            assert_eq!(integer, value, "{text}");
        }
        assert_eq!(Scalar::from_text("e\u{301}"), Scalar::from_text("\u{e9}"));
        assert_eq!(Scalar::from_text("77"), Scalar::from_number("77.0"));
        assert_ne!(Scalar::from_text("A"), Scalar::from_text("a"));
        assert_eq!(Scalar::from_text("A").unwrap().fold(), Scalar::from_text("a").unwrap());
        for bad in ["".to_owned(), "a\u{0}".into(), "\u{85}".into(), "x".repeat(257), "\u{e9}".repeat(129)] {
            assert!(Scalar::from_text(&bad).is_err(), "{bad:?}");
        }
        // Forty digits are an integer, forty-one a text of their own.
        assert!(matches!(Scalar::from_text(&"9".repeat(41)), Ok(Scalar::Text(_))));
    }

    #[test]
    fn encodings_differ_by_kind_and_length() {
        let text = |t: &str| Scalar::Text(t.into()).encode();
        assert_ne!(Scalar::Integer("7".into()).encode(), text("7"));
        assert_eq!(text("ab"), [2, 2, 0, b'a', b'b']);
    }
}
