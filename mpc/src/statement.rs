//! What a provider proves: columns under hash commitments, and the arithmetic lanes derived from them.

use alloc::vec::Vec;

use crate::circuit;
use crate::decimal::Excess;
use crate::fixed;

/// Most columns of one statement.
pub const MAX_COLUMNS: usize = 16;
/// Most outputs of one statement.
pub const MAX_OUTPUTS: usize = 64;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: u8 = 64;
/// Most decimal places.
pub const MAX_SCALE: u8 = 18;
/// Most bits of a column's magnitude.
pub const MAX_BITS: u8 = 63;
/// Bytes of the blinder that follows the value under the hash.
pub const BLINDER_BYTES: usize = 16;
/// Rows that a sum over lanes may have without wrapping: 2^32.
pub const MAX_ROWS_LOG2: u32 = 32;

/// The hash of a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum HashAlg {
    /// SHA-256 (FIPS 180-4).
    Sha256 = 1,
    /// BLAKE3, 32 bytes of output.
    Blake3 = 2,
    /// Keccak-256 with the original padding 0x01 (as Ethereum, not SHA3-256).
    Keccak256 = 3,
}

/// One committed number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column {
    /// Hash of the commitment.
    pub alg: HashAlg,
    /// Length of the value in bytes, 1 to [`MAX_VALUE_BYTES`]; public, as the committed range is.
    pub length: u8,
    /// Decimal places kept: the integer is value * 10^scale. At most [`MAX_SCALE`].
    pub scale: u8,
    /// The integer's magnitude is below 2^bits. 1 to [`MAX_BITS`].
    pub bits: u8,
    /// What happens to digits beyond `scale`.
    pub excess: Excess,
    /// `H(value || blinder)`.
    pub commitment: [u8; 32],
}

/// A number derived from the columns, shared arithmetically.
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
}

impl Output {
    /// The column that must be above zero for it.
    pub fn positive(self) -> Option<u8> {
        match self {
            Self::Log(c) | Self::Reciprocal(c) => Some(c),
            Self::Value(_) | Self::Square(_) | Self::Product(..) => None,
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
    /// What is above them: weight 2^64.
    High,
}

/// How a lane's sum is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The output it belongs to.
    pub output: Output,
    /// The part of the output.
    pub part: Part,
    /// Whether the sum is a two's-complement number.
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
    #[error("output {0} names a column that does not exist, or one column twice (use its square)")]
    UnknownColumn(usize),
    /// Two outputs are the same.
    #[error("output {0} is declared twice")]
    Duplicate(usize),
    /// The encoding is not one of ours.
    #[error("the statement's encoding is malformed")]
    Encoding,
}

/// A checked statement. The same for prover and parties; its encoding enters the proof's transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    columns: Vec<Column>,
    outputs: Vec<Output>,
}

const ENCODING_VERSION: u8 = 1;
const COLUMN_BYTES: usize = 37;

impl Statement {
    /// Checks all parameters.
    pub fn new(columns: Vec<Column>, outputs: Vec<Output>) -> Result<Self, StatementError> {
        if columns.is_empty() || columns.len() > MAX_COLUMNS {
            return Err(StatementError::Columns(columns.len()));
        }
        if outputs.is_empty() || outputs.len() > MAX_OUTPUTS {
            return Err(StatementError::Outputs(outputs.len()));
        }
        for (column, c) in columns.iter().enumerate() {
            for (what, value, min, max) in [
                ("length", c.length, 1, MAX_VALUE_BYTES),
                ("scale", c.scale, 0, MAX_SCALE),
                ("bits", c.bits, 1, MAX_BITS),
            ] {
                if !(min..=max).contains(&value) {
                    return Err(StatementError::Parameter { column, what, value, min, max });
                }
            }
        }
        for (i, output) in outputs.iter().enumerate() {
            let known = |c: u8| usize::from(c) < columns.len();
            let fine = match *output {
                Output::Value(c) | Output::Square(c) | Output::Log(c) | Output::Reciprocal(c) => known(c),
                Output::Product(a, b) => known(a) && known(b) && a != b,
            };
            if !fine {
                return Err(StatementError::UnknownColumn(i));
            }
            if outputs[..i].contains(output) {
                return Err(StatementError::Duplicate(i));
            }
        }
        Ok(Self { columns, outputs })
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The outputs.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The arithmetic lanes, in the order in which accepted shares hold them.
    pub fn lanes(&self) -> Vec<Lane> {
        let mut lanes = Vec::new();
        for &output in &self.outputs {
            let (bits, signed) = match output {
                Output::Value(c) => (self.bits(c), true),
                Output::Square(c) => (2 * self.bits(c), false),
                // One more for the sign.
                Output::Product(a, b) => (self.bits(a) + self.bits(b) + 1, true),
                // An exponent has six bits.
                Output::Log(_) => (6 + fixed::FRACTION, false),
                Output::Reciprocal(c) => (fixed::reciprocal_places(self.bits(c)) + 1, false),
            };
            if bits + MAX_ROWS_LOG2 > 128 {
                lanes.push(Lane { output, part: Part::Low, signed: false });
                lanes.push(Lane { output, part: Part::High, signed });
            } else {
                lanes.push(Lane { output, part: Part::Whole, signed });
            }
        }
        lanes
    }

    /// Bits of a column's magnitude.
    pub(crate) fn bits(&self, column: u8) -> u32 {
        self.columns.get(usize::from(column)).map_or(0, |c| u32::from(c.bits))
    }

    /// The statement with all commitments zeroed: what sizes depend on.
    pub fn shape(&self) -> Self {
        let mut shape = self.clone();
        shape.columns.iter_mut().for_each(|c| c.commitment = [0; 32]);
        shape
    }

    /// Sizes of the circuit and its proof. Evaluates the circuit once: keep it for statements of one shape.
    pub fn layout(&self) -> Layout {
        Layout::new(self)
    }

    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(3 + COLUMN_BYTES * self.columns.len() + 3 * self.outputs.len());
        // At most MAX_COLUMNS and MAX_OUTPUTS: both fit.
        out.extend([ENCODING_VERSION, self.columns.len() as u8, self.outputs.len() as u8]);
        for c in &self.columns {
            out.extend([c.alg as u8, c.length, c.scale, c.bits, c.excess as u8]);
            out.extend(c.commitment);
        }
        for output in &self.outputs {
            out.extend(match *output {
                Output::Value(c) => [1, c, 0],
                Output::Square(c) => [2, c, 0],
                Output::Product(a, b) => [3, a, b],
                Output::Log(c) => [4, c, 0],
                Output::Reciprocal(c) => [5, c, 0],
            });
        }
        out
    }

    /// Reads [`Self::encode`]'s bytes, all of them.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let Some((&[ENCODING_VERSION, columns, outputs], rest)) = bytes.split_first_chunk() else {
            return Err(StatementError::Encoding);
        };
        let (columns, outputs) = (usize::from(columns), usize::from(outputs));
        if columns > MAX_COLUMNS {
            return Err(StatementError::Columns(columns));
        }
        if outputs > MAX_OUTPUTS {
            return Err(StatementError::Outputs(outputs));
        }
        if rest.len() != COLUMN_BYTES * columns + 3 * outputs {
            return Err(StatementError::Encoding);
        }
        let (head, tail) = rest.split_at(COLUMN_BYTES * columns);
        let column = |bytes: &[u8]| {
            let (&[alg, length, scale, bits, excess], commitment) = bytes.split_first_chunk()?;
            let alg = match alg {
                1 => HashAlg::Sha256,
                2 => HashAlg::Blake3,
                3 => HashAlg::Keccak256,
                _ => return None,
            };
            let excess = match excess {
                0 => Excess::Reject,
                1 => Excess::Truncate,
                _ => return None,
            };
            Some(Column { alg, length, scale, bits, excess, commitment: commitment.try_into().ok()? })
        };
        let output = |bytes: &[u8]| match *bytes {
            [1, c, 0] => Some(Output::Value(c)),
            [2, c, 0] => Some(Output::Square(c)),
            [3, a, b] => Some(Output::Product(a, b)),
            [4, c, 0] => Some(Output::Log(c)),
            [5, c, 0] => Some(Output::Reciprocal(c)),
            _ => None,
        };
        let columns: Option<Vec<_>> = head.chunks_exact(COLUMN_BYTES).map(column).collect();
        let outputs: Option<Vec<_>> = tail.chunks_exact(3).map(output).collect();
        Self::new(columns.ok_or(StatementError::Encoding)?, outputs.ok_or(StatementError::Encoding)?)
    }
}

/// Sizes of a statement's circuit and proof. Depends on the statement's shape only, not on its commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of values and blinders.
    pub input_bytes: usize,
    /// Arithmetic lanes.
    pub lanes: usize,
    /// AND gates (M).
    pub gates: usize,
    /// Wires that must be zero.
    pub zeros: usize,
    /// log2 of the rows n of a column of gates.
    pub log_rows: u32,
    /// Columns of gates (L), each of n rows.
    pub columns: usize,
}

impl Layout {
    /// Fewest and most rows, as log2.
    pub const LOG_ROWS: core::ops::RangeInclusive<u32> = 6..=12;

    fn new(statement: &Statement) -> Self {
        let mut counter = circuit::Counter::default();
        circuit::evaluate(&mut counter, statement);
        let gates = counter.gates;
        // The proof has n + 2L + 1 elements.
        let size = |d: &u32| (1usize << d) + 2 * gates.div_ceil(1 << d);
        let log_rows = Self::LOG_ROWS.min_by_key(size).unwrap_or(*Self::LOG_ROWS.start());
        Self {
            input_bytes: statement.columns.iter().map(|c| usize::from(c.length) + BLINDER_BYTES).sum(),
            lanes: statement.lanes().len(),
            gates,
            zeros: counter.zeros,
            log_rows,
            columns: gates.div_ceil(1 << log_rows),
        }
    }

    /// Rows of a column (n).
    pub const fn rows(&self) -> usize {
        1 << self.log_rows
    }

    /// Bytes of one share of the witness: inputs, one 128-bit word a lane, one bit a gate.
    pub const fn witness_bytes(&self) -> usize {
        self.input_bytes + 16 * self.lanes + self.gates.div_ceil(8)
    }

    /// Field elements of the proof: two masks a column, n values on the coset, the top coefficient.
    pub const fn proof_elements(&self) -> usize {
        2 * self.columns + self.rows() + 1
    }

    /// Field elements that are opened: two a column, the value of P, the linear check.
    pub const fn opened_elements(&self) -> usize {
        2 * self.columns + 2
    }
}
