//! The statement that a provider proves: columns that evidence binds, and the arithmetic lanes derived from them.

use alloc::vec::Vec;

mod encoding;
mod layout;
pub mod session;

pub use tercet_hash::HashAlg;

use crate::decimal::{DecimalError, Excess, Notation, Scaling, is_decimal, parse_decimal};
use crate::fixed;
pub use layout::Layout;
pub use session::{Session, SessionError};

/// Most columns of one statement.
pub const MAX_COLUMNS: usize = 16;
/// Most outputs of one statement.
pub const MAX_OUTPUTS: usize = 192;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: u8 = 64;
/// Most decimal places, and most digits that are left out in front of the point.
pub const MAX_SCALE: i8 = 18;
/// Most bits of a column's magnitude.
pub const MAX_BITS: u8 = 63;
/// Most values of a category.
pub const MAX_CATEGORIES: usize = 64;
/// Bytes of the blinder that follows the value under the hash.
pub const BLINDER_BYTES: usize = 16;
/// Rows that a sum over lanes may have without wrapping: 2^32.
pub const MAX_ROWS_LOG2: u32 = 32;

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
    /// The text stands, encrypted, in the statement's session ([`session::Run::Column`]).
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
    /// This integer; none if the value is missing.
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
    fn bits(&self) -> u32 {
        match self {
            Self::Number(number) => number.bits.into(),
            Self::Category(_) => 0,
        }
    }
}

/// A number derived from the columns, shared arithmetically. Zero where a column that it is of has no value.
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
    /// The binary logarithm of its integer, which must be above zero: [`fixed::log2`], one lane.
    Log(u8),
    /// The reciprocal of its integer, which must be above zero: [`fixed::reciprocal`], one lane.
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
    /// The columns that it is of.
    fn columns(self) -> impl Iterator<Item = u8> {
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

/// Which part of its output a lane carries.
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

/// Why a statement is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// No column, or too many.
    #[error("a statement has 1 to {MAX_COLUMNS} columns, this one has {0}")]
    Columns(usize),
    /// No output, or too many.
    #[error("a statement has 1 to {MAX_OUTPUTS} outputs, this one has {0}")]
    Outputs(usize),
    /// A column's parameter is out of range.
    #[error("column {column}: {what} must be in {min}..={max}, is {value}")]
    Parameter {
        /// Index of the column.
        column: usize,
        /// Name of the parameter.
        what: &'static str,
        /// Its value.
        value: u8,
        /// Least allowed.
        min: u8,
        /// Most allowed.
        max: u8,
    },
    /// An output names a column that does not exist, or a product one column twice.
    #[error(
        "output {0} names a column that does not exist or is of another kind, or one column twice (use its square)"
    )]
    UnknownColumn(usize),
    /// Two outputs are the same.
    #[error("output {0} is declared twice")]
    Duplicate(usize),
    /// The text of a missing value, or a category's values, are not what they must be.
    #[error("column {column}: {problem}")]
    Texts {
        /// Index of the column.
        column: usize,
        /// The rule that they break.
        problem: &'static str,
    },
    /// A column is bound to something that this kind of statement does not have, or has none of the values that it
    /// must have.
    #[error("column {0} cannot have this binding in this statement")]
    Binding(usize),
    /// The session cannot be proven.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The encoding is not one of ours.
    #[error("the statement's encoding is malformed")]
    Encoding,
}

/// A checked statement. The same for prover and parties; its encoding enters the proof's transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    columns: Vec<Column>,
    outputs: Vec<Output>,
    session: Option<Session>,
}

impl Column {
    fn check(&self, column: usize) -> Result<(), StatementError> {
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

impl Statement {
    /// A statement about attested hashes. Checks all parameters.
    pub fn new(columns: Vec<Column>, outputs: Vec<Output>) -> Result<Self, StatementError> {
        Self::checked(columns, outputs, None)
    }

    /// A statement about a recorded session, in which its columns stand. Checks all parameters.
    pub fn of_session(
        columns: Vec<Column>,
        outputs: Vec<Output>,
        session: Session,
    ) -> Result<Self, StatementError> {
        Self::checked(columns, outputs, Some(session))
    }

    fn checked(
        columns: Vec<Column>,
        outputs: Vec<Output>,
        session: Option<Session>,
    ) -> Result<Self, StatementError> {
        if columns.is_empty() || columns.len() > MAX_COLUMNS {
            return Err(StatementError::Columns(columns.len()));
        }
        if outputs.is_empty() || outputs.len() > MAX_OUTPUTS {
            return Err(StatementError::Outputs(outputs.len()));
        }
        columns.iter().enumerate().try_for_each(|(i, c)| c.check(i))?;
        let bound = |c: &Column| match c.binding {
            Binding::Hash { .. } => session.is_none(),
            Binding::Keystream => session.is_some(),
            Binding::Absent => true,
        };
        if let Some(column) = columns.iter().position(|c| !bound(c)) {
            return Err(StatementError::Binding(column));
        }
        session.iter().try_for_each(|session| session.check(&columns))?;
        let this = Self { columns, outputs, session };
        for (i, output) in this.outputs.iter().enumerate() {
            if !this.exists(*output) {
                return Err(StatementError::UnknownColumn(i));
            }
            if this.outputs[..i].contains(output) {
                return Err(StatementError::Duplicate(i));
            }
        }
        Ok(this)
    }

    /// True if its columns have such an output. Each has one form: a column is not its own condition, and of two
    /// columns that are both to be present the lower one is the term.
    fn exists(&self, output: Output) -> bool {
        let format = |c: u8| self.columns.get(usize::from(c)).map(|c| &c.format);
        let number = |c: u8| matches!(format(c), Some(Format::Number(_)));
        let optional = |c: u8| format(c).is_some_and(Format::may_be_missing);
        let term = match output.term() {
            Term::One => matches!(output.condition(), Some(Condition::Is(..) | Condition::Below(..))),
            Term::Present(c) => optional(c),
            Term::Value(c) | Term::Square(c) | Term::Log(c) | Term::Reciprocal(c) => number(c),
            Term::Product(a, b) => number(a) && number(b) && a != b,
        };
        let condition = match output.condition() {
            None => true,
            Some(Condition::Present(c)) => {
                let later = !matches!(output.term(), Term::Present(of) if of > c);
                optional(c) && later && output.term().columns().all(|of| of != c)
            }
            Some(Condition::Below(c, edge)) => {
                number(c) && output.term() == Term::One && edge.unsigned_abs() >> self.bits(c) == 0
            }
            Some(Condition::Is(c, value)) => {
                matches!(format(c), Some(Format::Category(values)) if usize::from(value) < values.len())
            }
        };
        term && condition
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The recorded session in which its columns stand, if it is about one.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The outputs.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The arithmetic lanes, in the order in which accepted shares hold them.
    pub fn lanes(&self) -> Vec<Lane> {
        let lane = |output: Output| {
            let width = self.width(output.term());
            let lane = |part, signed| Lane { output, part, signed };
            if width.is_split() {
                [Some(lane(Part::Low, false)), Some(lane(Part::High, width.signed))]
            } else {
                [Some(lane(Part::Whole, width.signed)), None]
            }
        };
        self.outputs.iter().flat_map(|output| lane(*output)).flatten().collect()
    }

    /// The largest size of a term.
    pub(crate) fn width(&self, term: Term) -> Width {
        let (bits, signed) = match term {
            Term::One | Term::Present(_) => (1, false),
            Term::Value(c) => (self.bits(c), true),
            Term::Square(c) => (2 * self.bits(c), false),
            Term::Product(a, b) => (self.bits(a) + self.bits(b), true),
            // An exponent has six bits.
            Term::Log(_) => (6 + fixed::FRACTION, false),
            Term::Reciprocal(c) => (fixed::reciprocal_places(self.bits(c)) + 1, false),
        };
        Width { bits, signed }
    }

    /// Bits of a column's magnitude.
    pub(crate) fn bits(&self, column: u8) -> u32 {
        self.columns.get(usize::from(column)).map_or(0, |c| c.format.bits())
    }

    /// The statement with all commitments and bytes of a session zeroed: what sizes depend on.
    pub fn shape(&self) -> Self {
        let mut shape = self.clone();
        for column in &mut shape.columns {
            if let Binding::Hash { commitment, .. } = &mut column.binding {
                *commitment = [0; 32];
            }
        }
        shape.session.iter_mut().for_each(Session::blank);
        shape
    }

    /// Bytes of the circuit's inputs: texts and blinders, or a session's secret.
    fn input_bytes(&self) -> usize {
        let of = |c: &Column| match c.binding {
            Binding::Hash { .. } => usize::from(c.length) + BLINDER_BYTES,
            Binding::Keystream | Binding::Absent => 0,
        };
        let secret = if self.session.is_some() { session::HANDSHAKE_SECRET_BYTES } else { 0 };
        self.columns.iter().map(of).sum::<usize>() + secret
    }

    /// Sizes of the circuit and its proof. Evaluates the circuit once: keep it for statements of one shape.
    pub fn layout(&self) -> Layout {
        Layout::new(self)
    }
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
