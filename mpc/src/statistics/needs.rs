//! The needs of a statistic: sums of lanes, and numbers that are read off the sorted values.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::family::Family;
use super::name::Measure;
use super::number::Share;
use super::spec::{Reading, Sums};
use crate::order::{Combination, OrderRequest};
use crate::statement::{Condition, Output, Term};

/// The subject of a statistic, by the columns' indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The rows themselves.
    Rows,
    /// One column.
    One(u8),
    /// Two different columns.
    Two(u8, u8),
}

/// True for each column that may be missing, by index; those beyond the end may not.
pub type Optional = [bool];

fn optional(columns: &Optional, column: u8) -> bool {
    columns.get(usize::from(column)).copied().unwrap_or(false)
}

/// The output whose sum is the number of rows that a statistic is over; `None`: all rows.
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

/// The output that a statistic of two columns needs of one of them: where the other one has a value.
pub(super) fn beside(output: Output, other: u8, columns: &Optional) -> Output {
    if optional(columns, other) { Output::Given(output.term(), Condition::Present(other)) } else { output }
}

/// Ranks below and above the quantile P of n values by linear interpolation, and the weight of the upper one in
/// billionths. `n` is not 0.
pub(super) fn interpolation(p: Share, n: u64) -> (u64, u64, u32) {
    let (low, weight) = (p.floor_of(n - 1) + 1, p.remainder_of(n - 1));
    (low, if weight == 0 { low } else { low + 1 }, weight)
}

/// Signed quantiles of n values as one combination of values, and its divisor. `n` is not 0.
pub(super) fn combined(quantiles: &[(Share, i64)], n: u64) -> (Combination, u32) {
    let billion = i64::from(Share::BILLION);
    let mut factors: BTreeMap<u64, i64> = BTreeMap::new();
    for (p, sign) in quantiles {
        let (low, high, weight) = interpolation(*p, n);
        *factors.entry(low).or_default() += sign * (billion - i64::from(weight));
        *factors.entry(high).or_default() += sign * i64::from(weight);
    }
    factors.retain(|_, factor| *factor != 0);
    let common = factors.values().fold(u64::from(Share::BILLION), |d, factor| gcd(d, factor.unsigned_abs()));
    // At most a billion.
    let common = common as i64;
    let terms = factors.into_iter().map(|(rank, factor)| (rank, factor / common));
    (terms.collect(), (billion / common) as u32)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The rank of the quantile P of n values by nearest rank.
pub(super) fn nearest(p: Share, n: u64) -> u64 {
    p.ceil_of(n).max(1)
}

/// The position of a histogram's limit among integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
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
pub(super) fn limits(measure: &Measure, scale: i8) -> Vec<Limit> {
    let edges = measure.edges();
    let inner = edges.split_last().map(|(last, inner)| (inner, last.floor(scale).saturating_add(1)));
    let Some((inner, end)) = inner else { return Vec::new() };
    inner.iter().map(|e| Limit::at(e.ceil(scale))).chain([Limit::at(end)]).collect()
}

impl Measure {
    /// The limits between a histogram's bins, as integers of the column, ascending. The values below the first are below the
    /// first edge; those from the last on are above the last edge.
    pub fn limits(&self, scale: i8) -> Vec<Limit> {
        limits(self, scale)
    }

    /// The names of a histogram's bins, with those below and above; one more than there are limits.
    pub fn bins(&self) -> Vec<String> {
        let edges = self.edges();
        let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return Vec::new() };
        let inner = edges.windows(2).enumerate().filter_map(|(i, bin)| {
            let [from, to] = bin else { return None };
            let end = if i + 2 == edges.len() { "]" } else { ")" };
            Some(format!("[{from}, {to}{end}"))
        });
        core::iter::once(format!("below {first}")).chain(inner).chain([format!("above {last}")]).collect()
    }
}

impl Family {
    /// The outputs whose sums must be opened.
    pub fn outputs(self, target: Target, columns: &Optional) -> Vec<Output> {
        let mut outputs = match (self.spec().sums, target) {
            (Sums::One(of), Target::One(c)) => of.iter().map(|output| output(c)).collect(),
            (Sums::Two { squares: [first, second] }, Target::Two(a, b)) => {
                let value = |c, other| beside(Output::Value(c), other, columns);
                let square = |c, other| beside(Output::Square(c), other, columns);
                let mut outputs = vec![value(a, b), value(b, a)];
                outputs.extend(first.then(|| square(a, b)));
                outputs.extend(second.then(|| square(b, a)));
                outputs.push(product(a, b));
                outputs
            }
            (Sums::None, _)
            | (Sums::One(_), Target::Rows | Target::Two(..))
            | (Sums::Two { .. }, Target::Rows | Target::One(_)) => Vec::new(),
        };
        outputs.extend(counted(target, columns));
        outputs
    }
}

impl Measure {
    /// The value as a combination of `values` values in order, and its divisor; a combination that is zero is empty.
    /// `None` for other statistics.
    pub(super) fn combination(&self, values: u64) -> Option<(Combination, u32)> {
        let Reading::Combination(of) = self.family().spec().reading else { return None };
        Some(of(self, values))
    }

    /// The sums that it needs of `values` values in order, as pairs (k, l) of the ranks k + 1 to l.
    pub(super) fn ranges(&self, values: u64) -> Vec<(u64, u64)> {
        let Reading::Ranges(of) = self.family().spec().reading else { return Vec::new() };
        of(self, values)
    }

    /// The question to be asked about the column's `values` values in order; empty for a statistic of sums, and
    /// without values. `scale` is the column's.
    pub fn order(&self, values: u64, scale: i8) -> OrderRequest {
        let mut request = OrderRequest::default();
        if values == 0 {
            return request;
        }
        match self.family().spec().reading {
            Reading::None => {}
            Reading::Combination(of) => {
                let (terms, _) = of(self, values);
                request.combinations.extend((!terms.is_empty()).then_some(terms));
            }
            Reading::Ranges(of) => {
                request.ranges = of(self, values);
                // Shares of nobody and of everybody are known. The sum of everybody is never asked for.
                request.ranges.retain(|(from, to)| from < to && (*from, *to) != (0, values));
            }
            Reading::Distances => request.distances = true,
            Reading::Mode => request.mode = true,
            Reading::Edges => {
                let edge = |l| if let Limit::At(e) = l { Some(e) } else { None };
                request.edges = limits(self, scale).into_iter().filter_map(edge).collect();
            }
        }
        let mut once = OrderRequest::default();
        once.merge(&request);
        once
    }
}
