//! What a statistic needs opened: sums of lanes, and what is read off the sorted values.

use alloc::vec;
use alloc::vec::Vec;

use super::name::{Family, Measure};
use super::number::Share;
use crate::order::OrderRequest;
use crate::statement::{Condition, Output, Term};

/// What a statistic is of, by the columns' indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The rows themselves.
    Rows,
    /// One column.
    One(u8),
    /// Two different columns.
    Two(u8, u8),
}

/// Which columns may be missing, by index; those beyond the end may not.
pub type Optional = [bool];

fn optional(columns: &Optional, column: u8) -> bool {
    columns.get(usize::from(column)).copied().unwrap_or(false)
}

/// The output whose sum is the number of rows that a statistic is over; none: of all rows.
pub fn counted(target: Target, columns: &Optional) -> Option<Output> {
    let of = |c: u8| optional(columns, c).then_some(Output::Present(c));
    match target {
        Target::Rows => None,
        Target::One(c) => of(c),
        Target::Two(a, b) if optional(columns, a) && optional(columns, b) => {
            Some(Output::Given(Term::Present(a.min(b)), Condition::Present(a.max(b))))
        }
        Target::Two(a, b) => of(a).or(of(b)),
    }
}

/// The output that holds two columns' product.
pub(super) fn product(a: u8, b: u8) -> Output {
    Output::Product(a.min(b), a.max(b))
}

/// What a statistic of two columns needs of one of them: where the other one has a value.
pub(super) fn beside(output: Output, other: u8, columns: &Optional) -> Output {
    if optional(columns, other) { Output::Given(output.term(), Condition::Present(other)) } else { output }
}

/// Ranks below and above the quantile P of n values by linear interpolation, and the weight of the upper one in
/// billionths. `n` is not 0.
pub(super) fn interpolation(p: Share, n: u64) -> (u64, u64, u32) {
    let (low, weight) = (p.floor_of(n - 1) + 1, p.remainder_of(n - 1));
    (low, if weight == 0 { low } else { low + 1 }, weight)
}

/// The rank of the quantile P of n values by nearest rank.
pub(super) fn nearest(p: Share, n: u64) -> u64 {
    p.ceil_of(n).max(1)
}

/// Where a histogram's limit lies among integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Every value is below it.
    AboveAll,
    /// No value is below it.
    BelowAll,
    /// Values below this integer are below it.
    At(i64),
}

impl Limit {
    fn at(limit: i128) -> Self {
        match i64::try_from(limit) {
            Ok(limit) => Self::At(limit),
            Err(_) if limit > 0 => Self::AboveAll,
            Err(_) => Self::BelowAll,
        }
    }
}

/// The limits that a histogram's counts are differences at: each edge, and the end of the last, closed bin.
pub(super) fn limits(measure: &Measure, scale: u8) -> Vec<Limit> {
    let edges = measure.edges();
    let inner = edges.split_last().map(|(last, inner)| (inner, last.floor(scale) + 1));
    let Some((inner, end)) = inner else { return Vec::new() };
    inner.iter().map(|e| Limit::at(e.ceil(scale))).chain([Limit::at(end)]).collect()
}

impl Family {
    /// The outputs whose sums must be opened.
    pub fn outputs(self, target: Target, columns: &Optional) -> Vec<Output> {
        use Family as F;
        let value = |c, other| beside(Output::Value(c), other, columns);
        let square = |c, other| beside(Output::Square(c), other, columns);
        let mut outputs = match (self, target) {
            (F::Sum | F::Mean | F::Gini | F::Lorenz | F::TopShare, Target::One(c)) => vec![Output::Value(c)],
            (F::Variance | F::VariancePopulation | F::Stddev | F::StddevPopulation, Target::One(c)) => {
                vec![Output::Value(c), Output::Square(c)]
            }
            (F::GeometricMean, Target::One(c)) => vec![Output::Log(c)],
            (F::HarmonicMean, Target::One(c)) => vec![Output::Reciprocal(c)],
            (F::Covariance, Target::Two(a, b)) => vec![value(a, b), value(b, a), product(a, b)],
            (F::Correlation, Target::Two(a, b)) => {
                vec![value(a, b), value(b, a), square(a, b), square(b, a), product(a, b)]
            }
            (F::Regression, Target::Two(a, b)) => vec![value(a, b), value(b, a), square(a, b), product(a, b)],
            _ => Vec::new(),
        };
        outputs.extend(counted(target, columns));
        outputs
    }
}

impl Measure {
    /// What must be read off the column's `rows` values in order; empty for a statistic of sums, and without rows.
    /// `scale` is the column's.
    pub fn order(&self, rows: u64, scale: u8) -> OrderRequest {
        use Family as F;
        let mut request = OrderRequest::default();
        if rows == 0 {
            return request;
        }
        let quantile = |p: Share| {
            let (low, high, _) = interpolation(p, rows);
            if low == high { vec![low] } else { vec![low, high] }
        };
        match self.family() {
            F::Min => request.ranks = vec![1],
            F::Max => request.ranks = vec![rows],
            F::Median => request.ranks = quantile(Share::HALF),
            F::Quantile => request.ranks = quantile(self.share()),
            F::QuantileNearest => request.ranks = vec![nearest(self.share(), rows)],
            F::Iqr => request.ranks = [quantile(Share::QUARTER), quantile(Share::THREE_QUARTERS)].concat(),
            F::TrimmedMean => {
                let cut = self.share().floor_of(rows);
                request.prefix_sums = vec![cut, rows - cut];
            }
            F::Gini => request.weighted = true,
            F::Lorenz => request.prefix_sums = self.shares().iter().map(|p| p.floor_of(rows)).collect(),
            F::TopShare => request.prefix_sums = vec![rows - self.share().ceil_of(rows)],
            F::Mode => request.mode = true,
            F::Histogram => {
                let edge = |l| if let Limit::At(e) = l { Some(e) } else { None };
                request.edges = limits(self, scale).into_iter().filter_map(edge).collect();
            }
            _ => {}
        }
        // Sums over no value and over all are known without asking.
        let asked = |k: &u64| *k != 0 && (*k != rows || self.family() == F::TrimmedMean);
        request.prefix_sums.retain(asked);
        let mut once = OrderRequest::default();
        once.merge(&request);
        once
    }
}
