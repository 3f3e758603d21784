//! The parts of a statistic's block in [`super::family`].

use alloc::vec::Vec;

use super::evaluate::{Evaluation, Undefined, Value};
use super::exact::Exact;
use super::family::{Family, Parameters};
use super::name::Measure;
use crate::order::Combination;
use crate::statement::Output;

/// Everything about one family.
pub(super) struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Number of columns that it takes: 0, 1 or 2.
    pub arity: usize,
    /// The parameters that it takes behind the colon.
    pub parameters: Parameters,
    /// Families that a permit of this one includes.
    pub includes: &'static [Family],
    /// The unit of its value.
    pub unit: Unit,
    /// Fewest values that it is defined over.
    pub least: u64,
    /// The sums that must be opened for it.
    pub sums: Sums,
    /// The numbers that are read off the values in order.
    pub reading: Reading,
    /// Its evaluation.
    pub value: Evaluate,
}

/// The unit of a statistic's value, by the units of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// None: a number, or a share.
    None,
    /// The column's.
    Column,
    /// The column's, squared.
    Squared,
    /// The product of the two columns'.
    Product,
    /// The units of a line's two parts: the second column's by the first's, and the second's.
    Line,
}

/// The sums that a family needs, besides the number of rows.
#[derive(Clone, Copy)]
pub(super) enum Sums {
    /// None.
    None,
    /// These outputs of its column.
    One(&'static [fn(u8) -> Output]),
    /// The values of both columns and their products, in rows that have both; for each column, whether its squares too.
    Two {
        /// For the first column, and for the second.
        squares: [bool; 2],
    },
}

/// The numbers that a family needs of `n` values in order.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// None: the family is a function of sums.
    None,
    /// A combination of the values at some ranks, and its divisor.
    Combination(fn(&Measure, u64) -> (Combination, u32)),
    /// Sums of values, as pairs (k, l) of the ranks k + 1 to l.
    Ranges(fn(&Measure, u64) -> Vec<(u64, u64)>),
    /// The sum of all distances.
    Distances,
    /// The most frequent value.
    Mode,
    /// Numbers of values below the edges.
    Edges,
}

/// A family's evaluation, in its column's unit. It is over the values of one column, or over pairs of two columns' values.
#[derive(Clone, Copy)]
pub(super) enum Evaluate {
    /// The number of rows.
    Rows,
    /// One number of one column.
    One(fn(&Evaluation<'_>, u8) -> Result<Exact, Undefined>),
    /// Several of one column.
    OneInParts(fn(&Evaluation<'_>, u8) -> Result<Value, Undefined>),
    /// One number of two columns.
    Two(fn(&Evaluation<'_>, u8, u8) -> Result<Exact, Undefined>),
    /// Several of two columns.
    TwoInParts(fn(&Evaluation<'_>, u8, u8) -> Result<Value, Undefined>),
}
