//! A statement's outputs: the numbers that are derived from its columns, and the lanes that carry them.

use super::MAX_ROWS_LOG2;

/// A number derived from the columns, shared arithmetically. Zero where one of its columns has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// The signed integer of a column: one lane.
    Value(u8),
    /// Its square: one lane, or two (low 64 bits, high part) where a sum over 2^32 rows could wrap.
    Square(u8),
    /// The signed product of two different columns: one lane, or two (below) where a sum could wrap.
    ///
    /// In two lanes the 128-bit two's-complement product is `low + 2^64 * high` with `low` in 0..2^64 and
    /// `high` signed.
    Product(u8, u8),
    /// The binary logarithm of its integer, which must be above zero: [`fixed::log2`](crate::fixed::log2), one lane.
    Log(u8),
    /// The reciprocal of its integer, which must be above zero: [`fixed::reciprocal`](crate::fixed::reciprocal), one lane.
    Reciprocal(u8),
    /// One, of a column that may be missing: one lane.
    Present(u8),
    /// A term where a condition holds, zero elsewhere: as many lanes as the term's output.
    Given(Term, Condition),
}

/// A number that is computed in each row: the unconditional outputs, and the number one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Term {
    /// The number one: counts rows.
    One,
    /// See [`Output::Present`].
    Present(u8),
    /// See [`Output::Value`].
    Value(u8),
    /// See [`Output::Square`].
    Square(u8),
    /// See [`Output::Product`].
    Product(u8, u8),
    /// See [`Output::Log`].
    Log(u8),
    /// See [`Output::Reciprocal`].
    Reciprocal(u8),
}

/// A condition on a row that only its provider can evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// The column, which may be missing, has a value.
    Present(u8),
    /// The category column has its value of this index.
    Is(u8, u8),
    /// The column has a value, and its integer is below this edge, whose magnitude is below 2^bits. Only of the number
    /// one: the differences of such outputs are the counts of a histogram's bins.
    Below(u8, i64),
}

impl Term {
    /// The columns that it uses.
    pub(super) fn columns(self) -> impl Iterator<Item = u8> {
        let (a, b) = match self {
            Self::One => (None, None),
            Self::Present(c) | Self::Value(c) | Self::Square(c) | Self::Log(c) | Self::Reciprocal(c) => {
                (Some(c), None)
            }
            Self::Product(a, b) => (Some(a), Some(b)),
        };
        a.into_iter().chain(b)
    }
}

impl Output {
    /// The output's value where its condition holds.
    pub fn term(self) -> Term {
        match self {
            Self::Value(c) => Term::Value(c),
            Self::Square(c) => Term::Square(c),
            Self::Product(a, b) => Term::Product(a, b),
            Self::Log(c) => Term::Log(c),
            Self::Reciprocal(c) => Term::Reciprocal(c),
            Self::Present(c) => Term::Present(c),
            Self::Given(term, _) => term,
        }
    }

    /// The condition without which it is zero.
    pub fn condition(self) -> Option<Condition> {
        if let Self::Given(_, condition) = self { Some(condition) } else { None }
    }

    /// The term under no condition. The number one then says nothing: none.
    pub fn always(term: Term) -> Option<Self> {
        Some(match term {
            Term::One => return None,
            Term::Present(c) => Self::Present(c),
            Term::Value(c) => Self::Value(c),
            Term::Square(c) => Self::Square(c),
            Term::Product(a, b) => Self::Product(a, b),
            Term::Log(c) => Self::Log(c),
            Term::Reciprocal(c) => Self::Reciprocal(c),
        })
    }

    /// The column that must be above zero for it, unless it is missing.
    pub fn positive(self) -> Option<u8> {
        match self.term() {
            Term::Log(c) | Term::Reciprocal(c) => Some(c),
            _ => None,
        }
    }
}

/// The part of its output that a lane carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// All of it.
    Whole,
    /// The 64 low bits, unsigned.
    Low,
    /// The bits above those: weight 2^64.
    High,
}

/// The reading of a lane's sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The output it belongs to.
    pub output: Output,
    /// The part of the output.
    pub part: Part,
    /// True if the sum is a two's-complement number.
    pub signed: bool,
}

/// Bits of a term's magnitude, and whether it has a sign besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width {
    pub bits: u32,
    pub signed: bool,
}

impl Width {
    /// True if sums over 2^32 rows could wrap, so that it takes two lanes.
    pub fn is_split(self) -> bool {
        self.bits + u32::from(self.signed) + MAX_ROWS_LOG2 > 128
    }
}
