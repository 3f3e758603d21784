//! The statement that a provider proves: columns that evidence binds, and the arithmetic lanes derived from them.

use alloc::vec::Vec;

mod column;
mod encoding;
mod layout;
mod output;
pub mod session;

pub use column::{Binding, Column, Format, Number, Said, TextError};
pub use layout::Layout;
pub use output::{Condition, Lane, Output, Part, Term};
pub use session::{Session, SessionError};
pub use tercet_hash::HashAlg;

use crate::fixed;
pub(crate) use output::Width;

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
    /// The text of a missing value, or a category's values, break a rule.
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

impl Statement {
    /// A statement about attested hashes. Checks all parameters.
    pub fn new(columns: Vec<Column>, outputs: Vec<Output>) -> Result<Self, StatementError> {
        Self::checked(columns, outputs, None)
    }

    /// A statement about a recorded session, which contains its columns. Checks all parameters.
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

    /// The recorded session that contains its columns, if it is about one.
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

    /// The statement with all commitments and bytes of a session zeroed: sizes depend on this alone.
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
