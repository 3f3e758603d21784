//! Exact evaluation from the opened numbers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use num_bigint::{BigInt, BigUint, Sign};

use super::EXTRA_PLACES;
use super::exact::Exact;
use super::family::Family;
use super::name::Measure;
use super::needs::{Limit, Optional, Target, beside, counted, limits, product};
use super::spec::Evaluate;
use crate::fixed;
use crate::order::{OrderAnswer, OrderRequest};
use crate::statement::{Lane, Output, Part};

/// The integer behind the opened lanes of one output: halves put together, signs applied. `None` if a lane of it is
/// missing.
pub fn total(output: Output, lanes: &[Lane], sums: &[u128]) -> Option<BigInt> {
    let part = |part: Part| {
        let (lane, sum) = lanes.iter().zip(sums).find(|(l, _)| l.output == output && l.part == part)?;
        Some(if lane.signed { BigInt::from(*sum as i128) } else { BigInt::from(*sum) })
    };
    part(Part::Whole).or_else(|| Some(part(Part::Low)? + (part(Part::High)? << 64u32)))
}

/// The answers that were read off one column's values in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The column's index.
    pub column: u8,
    /// Number of values that were sorted: those of the rows that the sums are over, less those that were erased
    /// since.
    pub values: u64,
    /// The request.
    pub request: OrderRequest,
    /// The answer.
    pub answer: OrderAnswer,
}

/// Everything that was opened about one set of rows.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Rows that the sums are over, with or without values.
    pub count: u64,
    /// True for each column that may be missing.
    pub optional: &'a Optional,
    /// The columns' scales: an integer that was computed with is value * 10^scale.
    pub scales: &'a [i8],
    /// Bits of their magnitudes.
    pub bits: &'a [u8],
    /// Opened lanes.
    pub lanes: &'a [Lane],
    /// Their sums, in the same order.
    pub sums: &'a [u128],
    /// For each column that was sorted, the answers.
    pub orders: &'a [Ordered],
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// Too few submissions for this statistic's definition.
    #[error("{family} is undefined over {count} submissions; it needs {needs}")]
    TooFew {
        /// The statistic.
        family: Family,
        /// Submissions there are.
        count: u64,
        /// Submissions it takes.
        needs: u64,
    },
    /// It divides by the sum of the values (or of their reciprocals), which is not positive.
    #[error("{0} is undefined where the sum that it divides by is not positive")]
    NotPositive(Family),
    /// It divides by a column's spread, and all values are equal.
    #[error("{0} is undefined where all values of a column are equal")]
    NoSpread(Family),
    /// Something that it needs was not opened.
    #[error("{0} needs something that was not opened")]
    NotOpened(Family),
    /// No values lead to the opened numbers.
    #[error("the opened numbers contradict each other")]
    Contradiction,
}

/// One part of a statistic that has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuePart {
    /// The part's name: a share, a bin, `slope`.
    pub label: String,
    /// Its value.
    pub value: Exact,
}

/// A statistic's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// One number.
    One(Exact),
    /// Several, labelled.
    Parts(Vec<ValuePart>),
}

/// One evaluation: the measure, and what was opened.
pub(super) struct Evaluation<'a> {
    measure: &'a Measure,
    facts: &'a Facts<'a>,
    /// Rows with a value that the sums are over.
    count: u64,
}

/// Number of rows that a statistic is over: those that have a value in each of its columns. `None` if that was not
/// opened.
pub fn submissions(target: Target, facts: &Facts<'_>) -> Option<u64> {
    match counted(target, facts.optional) {
        None => Some(facts.count),
        Some(output) => u64::try_from(total(output, facts.lanes, facts.sums)?).ok(),
    }
}

/// Evaluates a statistic in its column's unit (variances in the unit squared, shares without unit).
pub fn evaluate(measure: &Measure, target: Target, facts: &Facts<'_>) -> Result<Value, Undefined> {
    let family = measure.family();
    // A histogram has its own number of values: its bins are secret groups.
    let count = if family == Family::Histogram { Some(facts.count) } else { submissions(target, facts) };
    let count = count.ok_or(Undefined::NotOpened(family))?;
    let e = Evaluation { measure, facts, count };
    let spec = family.spec();
    let over = match target {
        Target::One(c) if family.is_order() => e.values(c),
        Target::Rows | Target::One(_) | Target::Two(..) => count,
    };
    if over < spec.least {
        return Err(Undefined::TooFew { family, count: over, needs: spec.least });
    }
    match (spec.value, target) {
        (Evaluate::Rows, _) => Ok(Value::One(Exact::whole(count))),
        (Evaluate::One(of), Target::One(c)) => of(&e, c).map(Value::One),
        (Evaluate::OneInParts(of), Target::One(c)) => of(&e, c),
        (Evaluate::Two(of), Target::Two(a, b)) => of(&e, a, b).map(Value::One),
        (Evaluate::TwoInParts(of), Target::Two(a, b)) => of(&e, a, b),
        (Evaluate::One(_) | Evaluate::OneInParts(_), Target::Rows | Target::Two(..))
        | (Evaluate::Two(_) | Evaluate::TwoInParts(_), Target::Rows | Target::One(_)) => Err(e.not_opened()),
    }
}

/// Factor and divisor that bring an integer of a column into the column's unit: powers of ten, one of which is 1.
fn unit(scale: i8) -> (BigInt, BigInt) {
    let power = BigInt::from(BigUint::from(10u8).pow(scale.unsigned_abs().into()));
    let one = BigInt::from(1u8);
    if scale < 0 { (power, one) } else { (one, power) }
}

/// Decimal places that are usual for a value of this scale.
fn places(scale: i8) -> u32 {
    u32::from(scale.max(0).unsigned_abs()) + EXTRA_PLACES
}

/// Digits of a mean that is computed in fixed point: the last may be off by three.
const NEAR: u32 = 7;
/// Binary places of its powers of two.
const PLACES: u32 = 96;

/// 2 to the power of `logs / (count 2^24)`, as a fraction. `None` if no values have it. `count` is not 0.
fn exp2(logs: &BigInt, count: u64) -> Option<(BigUint, BigUint)> {
    let one = BigInt::from(count) << fixed::FRACTION;
    // Rounded down, also below zero (noise).
    let mut whole = logs / &one;
    if whole.clone() * &one > *logs {
        whole -= 1;
    }
    // Binary digits of what is left choose among the roots 2^(1/2), 2^(1/4), ...
    let mut rest = logs - &whole * &one;
    let mut root = BigUint::from(2u8) << PLACES;
    let mut power = BigUint::from(1u8) << PLACES;
    for _ in 0..PLACES / 2 {
        root = (root << PLACES).sqrt();
        rest *= 2;
        if rest >= one {
            rest -= &one;
            power = (power * &root) >> PLACES;
        }
    }
    // Values are below 2^63; noise may lead beyond, but not far.
    let by = u64::try_from(whole.magnitude()).ok().filter(|by| *by < 1024)?;
    let denominator = BigUint::from(1u8) << PLACES;
    Some(if whole.sign() == Sign::Minus { (power, denominator << by) } else { (power << by, denominator) })
}

impl Evaluation<'_> {
    fn family(&self) -> Family {
        self.measure.family()
    }

    fn not_opened(&self) -> Undefined {
        Undefined::NotOpened(self.family())
    }

    /// Number of rows with a value.
    pub(super) fn n(&self) -> BigInt {
        BigInt::from(self.count)
    }

    fn scale(&self, column: u8) -> Result<i8, Undefined> {
        self.facts.scales.get(usize::from(column)).copied().ok_or_else(|| self.not_opened())
    }

    /// Bits of the column's magnitude.
    fn bits(&self, column: u8) -> Result<u32, Undefined> {
        self.facts.bits.get(usize::from(column)).map(|b| u32::from(*b)).ok_or_else(|| self.not_opened())
    }

    /// An opened sum.
    pub(super) fn total(&self, output: Output) -> Result<BigInt, Undefined> {
        total(output, self.facts.lanes, self.facts.sums).ok_or_else(|| self.not_opened())
    }

    fn order(&self, column: u8) -> Result<&Ordered, Undefined> {
        self.facts.orders.iter().find(|o| o.column == column).ok_or_else(|| self.not_opened())
    }

    /// Number of values in order; where none had to be looked at, as many as the sums are over.
    fn values(&self, column: u8) -> u64 {
        self.order(column).map_or(self.count, |ordered| ordered.values)
    }

    /// The answer to one entry of a request's list.
    fn look<K: PartialEq, V: Copy>(&self, keys: &[K], values: &[V], key: &K) -> Result<V, Undefined> {
        let at = keys.iter().position(|k| k == key);
        at.and_then(|i| values.get(i)).copied().ok_or_else(|| self.not_opened())
    }

    /// The part of everybody's sum that a range of ranks holds. Sums are those of whole units, the range is of those who have
    /// not left; so both count per head: range / values over sum / rows.
    fn held(&self, column: u8, range: (u64, u64)) -> Result<Exact, Undefined> {
        let sum = self.positive_sum(column)?;
        let values = self.values(column);
        match range {
            (from, to) if from >= to => Ok(Exact::whole(0)),
            (0, to) if to == values => Ok(Exact::whole(1)),
            range => {
                let Ordered { request, answer, .. } = self.order(column)?;
                let held = self.look(&request.ranges, &answer.ranges, &range)?;
                self.fraction(BigInt::from(held) * self.count, sum * values, 0)
            }
        }
    }

    /// A fraction with the places that are usual for `scale`. A zero denominator is a contradiction here.
    fn fraction(&self, numerator: BigInt, denominator: BigInt, scale: i8) -> Result<Exact, Undefined> {
        let places = places(scale);
        let sign = if denominator.sign() == Sign::Minus { -1 } else { 1 };
        Exact::fraction(numerator * sign, denominator.magnitude().clone(), places)
            .ok_or(Undefined::Contradiction)
    }

    /// The total where another column has a value too.
    fn beside(&self, output: Output, other: u8) -> Result<BigInt, Undefined> {
        self.total(beside(output, other, self.facts.optional))
    }

    /// n * sum of squares - square of the sum, where the other column has a value too: never negative.
    fn spread(&self, column: u8, other: Option<u8>) -> Result<BigInt, Undefined> {
        let of = |output| match other {
            Some(other) => self.beside(output, other),
            None => self.total(output),
        };
        let sum = of(Output::Value(column))?;
        let spread = self.n() * of(Output::Square(column))? - &sum * &sum;
        if spread.sign() == Sign::Minus { Err(Undefined::Contradiction) } else { Ok(spread) }
    }

    /// A quotient of sums of the column's integers, in the column's unit.
    pub(super) fn quotient(&self, column: u8, sum: BigInt, divisor: BigInt) -> Result<Exact, Undefined> {
        let scale = self.scale(column)?;
        let (up, down) = unit(scale);
        self.fraction(sum * up, divisor * down, scale)
    }

    pub(super) fn geometric_mean(&self, column: u8) -> Result<Exact, Undefined> {
        let (up, down) = unit(self.scale(column)?);
        let logs = self.total(Output::Log(column))?;
        let (numerator, denominator) = exp2(&logs, self.count).ok_or(Undefined::Contradiction)?;
        Exact::near(BigInt::from(numerator) * up, denominator * down.magnitude(), NEAR)
            .ok_or(Undefined::Contradiction)
    }

    pub(super) fn harmonic_mean(&self, column: u8) -> Result<Exact, Undefined> {
        let (up, down) = unit(self.scale(column)?);
        let reciprocals = self.total(Output::Reciprocal(column))?;
        if reciprocals.sign() != Sign::Plus {
            return Err(Undefined::NotPositive(self.family()));
        }
        let n = (self.n() << fixed::reciprocal_places(self.bits(column)?)) * up;
        Exact::near(n, (reciprocals * down).magnitude().clone(), NEAR).ok_or(Undefined::Contradiction)
    }

    /// The sum of squared deviations in the unit squared, by its divisor: a fraction's two halves.
    fn squares(&self, column: u8, divisor: BigInt) -> Result<(BigInt, BigInt), Undefined> {
        let (up, down) = unit(self.scale(column)?);
        Ok((self.spread(column, None)? * &up * &up, self.n() * divisor * &down * &down))
    }

    pub(super) fn variance(&self, column: u8, divisor: BigInt) -> Result<Exact, Undefined> {
        let (spread, denominator) = self.squares(column, divisor)?;
        self.fraction(spread, denominator, self.scale(column)?)
    }

    /// The root of a variance.
    pub(super) fn deviation(&self, column: u8, divisor: BigInt) -> Result<Exact, Undefined> {
        let (spread, denominator) = self.squares(column, divisor)?;
        Exact::signed_root(spread, denominator.magnitude().clone(), places(self.scale(column)?))
            .ok_or(Undefined::Contradiction)
    }

    /// n * sum of products - product of the sums.
    fn joint(&self, a: u8, b: u8) -> Result<BigInt, Undefined> {
        let sums = self.beside(Output::Value(a), b)? * self.beside(Output::Value(b), a)?;
        Ok(self.n() * self.total(product(a, b))? - sums)
    }

    pub(super) fn covariance(&self, a: u8, b: u8) -> Result<Exact, Undefined> {
        let (sa, sb) = (self.scale(a)?, self.scale(b)?);
        let ((up_a, down_a), (up_b, down_b)) = (unit(sa), unit(sb));
        let pairs = self.n() * (self.n() - 1);
        self.fraction(self.joint(a, b)? * up_a * up_b, pairs * down_a * down_b, sa.max(sb))
    }

    pub(super) fn correlation(&self, a: u8, b: u8) -> Result<Exact, Undefined> {
        let joint = self.joint(a, b)?;
        let (spread_a, spread_b) = (self.spread(a, Some(b))?, self.spread(b, Some(a))?);
        let denominator = (spread_a * spread_b).magnitude().clone();
        let square = BigInt::from_biguint(joint.sign(), joint.magnitude().pow(2));
        if square.magnitude() > &denominator {
            return Err(Undefined::Contradiction);
        }
        Exact::signed_root(square, denominator, EXTRA_PLACES).ok_or(Undefined::NoSpread(self.family()))
    }

    /// y = slope * x + intercept, x being the first column.
    pub(super) fn regression(&self, x: u8, y: u8) -> Result<Value, Undefined> {
        let (sx, sy) = (self.scale(x)?, self.scale(y)?);
        let (joint, spread) = (self.joint(x, y)?, self.spread(x, Some(y))?);
        if spread == BigInt::ZERO {
            return Err(Undefined::NoSpread(self.family()));
        }
        let ((up_x, down_x), (up_y, down_y)) = (unit(sx), unit(sy));
        let rest = self.beside(Output::Value(y), x)? * &spread - &joint * self.beside(Output::Value(x), y)?;
        let slope = self.fraction(joint * down_x * &up_y, &spread * &down_y * up_x, sx.max(sy))?;
        let intercept = self.fraction(rest * up_y, self.n() * spread * down_y, sx.max(sy))?;
        let part = |label: &str, value| ValuePart { label: label.to_string(), value };
        Ok(Value::Parts([part("slope", slope), part("intercept", intercept)].into()))
    }

    /// The column's sum, for statistics that divide by it.
    fn positive_sum(&self, column: u8) -> Result<BigInt, Undefined> {
        let sum = self.total(Output::Value(column))?;
        if sum.sign() == Sign::Plus { Ok(sum) } else { Err(Undefined::NotPositive(self.family())) }
    }

    pub(super) fn mode(&self, column: u8) -> Result<Exact, Undefined> {
        let mode = self.order(column)?.answer.mode.ok_or_else(|| self.not_opened())?;
        self.quotient(column, mode.into(), 1u8.into())
    }

    pub(super) fn trimmed_mean(&self, column: u8) -> Result<Exact, Undefined> {
        match self.measure.ranges(self.values(column))[..] {
            // Nobody is cut off.
            [(0, _)] => self.quotient(column, self.total(Output::Value(column))?, self.n()),
            [(from, to)] => {
                let Ordered { request, answer, .. } = self.order(column)?;
                let middle = self.look(&request.ranges, &answer.ranges, &(from, to))?;
                self.quotient(column, middle.into(), (to - from).into())
            }
            _ => Err(self.not_opened()),
        }
    }

    pub(super) fn gini(&self, column: u8) -> Result<Exact, Undefined> {
        let sum = self.positive_sum(column)?;
        let Ordered { values, answer, .. } = self.order(column)?;
        let distances = answer.distances.ok_or_else(|| self.not_opened())?;
        let values = BigInt::from(*values);
        // As in `held`: per head, and per pair.
        self.fraction(BigInt::from(distances) * self.n(), &values * &values * sum, 0)
    }

    pub(super) fn top_share(&self, column: u8) -> Result<Exact, Undefined> {
        match self.measure.ranges(self.values(column))[..] {
            [range] => self.held(column, range),
            _ => Err(self.not_opened()),
        }
    }

    /// A combination of values at some ranks.
    pub(super) fn combined(&self, column: u8) -> Result<Exact, Undefined> {
        let combination = self.measure.combination(self.values(column));
        let (terms, divisor) = combination.ok_or_else(|| self.not_opened())?;
        let combined = match terms.is_empty() {
            true => 0,
            false => {
                let Ordered { request, answer, .. } = self.order(column)?;
                self.look(&request.combinations, &answer.combinations, &terms)?
            }
        };
        self.quotient(column, combined.into(), divisor.into())
    }

    pub(super) fn lorenz(&self, column: u8) -> Result<Value, Undefined> {
        let ranges = self.measure.ranges(self.values(column));
        let parts = self
            .measure
            .shares()
            .iter()
            .zip(ranges)
            .map(|(p, range)| Ok(ValuePart { label: p.to_string(), value: self.held(column, range)? }));
        parts.collect::<Result<_, _>>().map(Value::Parts)
    }

    pub(super) fn histogram(&self, column: u8) -> Result<Value, Undefined> {
        let rows = self.values(column);
        let below = |limit: Limit| match limit {
            _ if rows == 0 => Ok(0),
            Limit::AboveAll => Ok(rows),
            Limit::BelowAll => Ok(0),
            Limit::At(edge) => {
                let Ordered { request, answer, .. } = self.order(column)?;
                self.look(&request.edges, &answer.below, &edge)
            }
        };
        let counts: Vec<u64> =
            limits(self.measure, self.scale(column)?).into_iter().map(below).collect::<Result<_, _>>()?;
        let mut parts = Vec::with_capacity(counts.len() + 1);
        let mut before = 0;
        let labels = self.measure.bins().into_iter();
        for (label, until) in labels.zip(counts.into_iter().chain([rows])) {
            let count = until.checked_sub(before).ok_or(Undefined::Contradiction)?;
            before = until;
            parts.push(ValuePart { label, value: Exact::whole(count) });
        }
        Ok(Value::Parts(parts))
    }
}
