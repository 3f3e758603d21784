//! Sizes that follow from a statement.

use super::Statement;
use crate::circuit;

/// Sizes of a statement's circuit and proof. Depends on the statement's shape only, not on its commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of values and blinders.
    pub input_bytes: usize,
    /// Arithmetic lanes.
    pub lanes: usize,
    /// AND gates (M).
    pub gates: usize,
    /// Inversions of bytes (two byte gates each).
    pub inversions: usize,
    /// Wires that must be zero.
    pub zeros: usize,
    /// log2 of the rows n of a column of gates.
    pub log_rows: u32,
    /// Columns (L), each of n rows: those of AND gates, then those of the inversions' first gates, then of their
    /// second gates.
    pub columns: usize,
}

impl Layout {
    /// Fewest and most rows, as log2.
    pub const LOG_ROWS: core::ops::RangeInclusive<u32> = 6..=12;

    pub(super) fn new(statement: &Statement) -> Self {
        let mut counter = circuit::Counter::default();
        circuit::evaluate(&mut counter, statement);
        let circuit::Counter { gates, inversions, zeros } = counter;
        let columns = |d: u32| gates.div_ceil(1 << d) + 2 * inversions.div_ceil(1 << d);
        // The proof has n + 2L + 1 elements.
        let size = |d: &u32| (1usize << d) + 2 * columns(*d);
        let log_rows = Self::LOG_ROWS.min_by_key(size).unwrap_or(*Self::LOG_ROWS.start());
        Self {
            input_bytes: statement.input_bytes(),
            lanes: statement.lanes().len(),
            gates,
            inversions,
            zeros,
            log_rows,
            columns: columns(log_rows),
        }
    }

    /// Rows of a column (n).
    pub const fn rows(&self) -> usize {
        1 << self.log_rows
    }

    /// Columns of AND gates.
    pub const fn gate_columns(&self) -> usize {
        self.gates.div_ceil(self.rows())
    }

    /// Columns of the inversions' first gates, and as many of their second.
    pub const fn inversion_columns(&self) -> usize {
        self.inversions.div_ceil(self.rows())
    }

    /// Bytes of one share of the witness: inputs, one 128-bit word a lane, one bit a gate, eight an inversion.
    pub const fn witness_bytes(&self) -> usize {
        self.input_bytes + 16 * self.lanes + self.gates.div_ceil(8) + 8 * self.inversions.div_ceil(8)
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
