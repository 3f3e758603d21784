//! A statement's columns: texts that are not shown, their formats, and their ties to the evidence.

use alloc::vec::Vec;

use tercet_hash::HashAlg;

use super::{MAX_BITS, MAX_CATEGORIES, MAX_SCALE, MAX_VALUE_BYTES, StatementError};
use crate::decimal::{DecimalError, Excess, Notation, Scaling, is_decimal, parse_decimal};

/// One text that is not shown: a number, or one of some values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column {
    /// Length of the text in bytes, 1 to [`MAX_VALUE_BYTES`] (0 if it is absent); public, as its place is.
    pub length: u8,
    /// The texts that are admitted.
    pub format: Format,
    /// The tie between text and evidence.
    pub binding: Binding,
}

/// The tie between a column's text and the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// `H(text || blinder)`, attested.
    Hash {
        /// The hash.
        alg: HashAlg,
        /// Its value.
        commitment: [u8; 32],
    },
    /// The text is, encrypted, in the statement's session ([`Run::Column`](super::session::Run::Column)).
    Keystream,
    /// The evidence shows that there is no text: a number that may be missing is missing, another one is zero.
    Absent,
}

/// The texts that a column admits, and their meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// A decimal number.
    Number(Number),
    /// Exactly one of these 2 to [`MAX_CATEGORIES`] texts.
    Category(Vec<Vec<u8>>),
}

/// The rules by which a decimal number becomes an integer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number {
    /// Decimal places kept: the integer is value * 10^scale. At most [`MAX_SCALE`] in magnitude.
    pub scale: i8,
    /// The integer's magnitude is below 2^bits. 1 to [`MAX_BITS`].
    pub bits: u8,
    /// The treatment of digits beyond `scale`.
    pub excess: Excess,
    /// The number's spelling.
    pub notation: Notation,
    /// The text, no decimal number, that says that there is no value. Empty: there may be no value, but then there is no
    /// text either.
    pub missing: Option<Vec<u8>>,
}

impl Number {
    fn scaling(&self) -> Scaling {
        Scaling { scale: self.scale, bits: self.bits, excess: self.excess }
    }
}

impl Column {
    /// A number that is never missing.
    pub fn number(
        alg: HashAlg,
        length: u8,
        scale: i8,
        bits: u8,
        excess: Excess,
        commitment: [u8; 32],
    ) -> Self {
        let format =
            Format::Number(Number { scale, bits, excess, notation: Notation::default(), missing: None });
        Self { length, format, binding: Binding::Hash { alg, commitment } }
    }

    /// Replaces the hash that the text is bound to; does nothing if it is bound otherwise.
    pub fn rebind(&mut self, new: [u8; 32]) {
        if let Binding::Hash { commitment, .. } = &mut self.binding {
            *commitment = new;
        }
    }
}

/// The meaning of a column's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// This integer; `None` if the value is missing.
    Number(Option<i64>),
    /// The value of this index.
    Category(u8),
}

/// Why a column does not admit a text. Nothing of the text is repeated: it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is not a number that the column admits.
    #[error(transparent)]
    Decimal(#[from] DecimalError),
    /// It is none of the category's values.
    #[error("the text is none of the values that the survey admits")]
    Category,
}

impl Format {
    /// Reads a text in the clear, as the circuit reads the bytes.
    pub fn read(&self, text: &[u8]) -> Result<Said, TextError> {
        match self {
            Self::Number(number) if number.missing.as_deref() == Some(text) => Ok(Said::Number(None)),
            Self::Number(number) => {
                Ok(Said::Number(Some(parse_decimal(text, number.scaling(), number.notation)?)))
            }
            Self::Category(values) => (0u8..)
                .zip(values)
                .find_map(|(i, value)| (value == text).then_some(Said::Category(i)))
                .ok_or(TextError::Category),
        }
    }

    /// The value of a column that is publicly without a text: none, or zero where there must be one.
    pub fn absent(&self) -> Said {
        Said::Number(if self.may_be_missing() { None } else { Some(0) })
    }

    /// True if texts without a value are admitted.
    pub fn may_be_missing(&self) -> bool {
        matches!(self, Self::Number(Number { missing: Some(_), .. }))
    }

    /// Bits of a number's magnitude; 0 of a category.
    pub(super) fn bits(&self) -> u32 {
        match self {
            Self::Number(number) => number.bits.into(),
            Self::Category(_) => 0,
        }
    }
}

impl Column {
    /// Checks the parameters of the statement's column of this index.
    pub(super) fn check(&self, column: usize) -> Result<(), StatementError> {
        let check = |what, value: u8, min, max| match value {
            v if (min..=max).contains(&v) => Ok(()),
            value => Err(StatementError::Parameter { column, what, value, min, max }),
        };
        let wrong = |problem| Err(StatementError::Texts { column, problem });
        let text = |t: &[u8]| !t.is_empty() && t.len() <= usize::from(MAX_VALUE_BYTES);
        match self.binding {
            Binding::Absent if !matches!(self.format, Format::Number(_)) => {
                return Err(StatementError::Binding(column));
            }
            Binding::Absent => check("length", self.length, 0, 0)?,
            Binding::Hash { .. } | Binding::Keystream => check("length", self.length, 1, MAX_VALUE_BYTES)?,
        }
        match &self.format {
            Format::Number(number) => {
                check("scale's magnitude", number.scale.unsigned_abs(), 0, MAX_SCALE.unsigned_abs())?;
                if !number.notation.is_valid() {
                    return wrong(
                        "a notation has a point or a comma, and grouping by another mark but not with exponents",
                    );
                }
                check("bits", number.bits, 1, MAX_BITS)?;
                match &number.missing {
                    // Empty: only the evidence itself says that there is no value.
                    Some(missing)
                        if !missing.is_empty()
                            && (!text(missing) || is_decimal(missing, number.notation)) =>
                    {
                        wrong("the text of a missing value has at most 64 bytes and is no decimal number")
                    }
                    _ => Ok(()),
                }
            }
            Format::Category(values) => {
                if !(2..=MAX_CATEGORIES).contains(&values.len()) || !values.iter().all(|v| text(v)) {
                    return wrong("a category has 2 to 64 values of 1 to 64 bytes");
                }
                let distinct = values.iter().enumerate().all(|(i, v)| !values[..i].contains(v));
                if distinct { Ok(()) } else { wrong("a category has each value once") }
            }
        }
    }
}
