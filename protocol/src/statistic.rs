//! From opened sums and order statistics to the values that are released and signed.

use std::collections::BTreeMap;

use tercet_mpc::noise::Laplace;
use tercet_mpc::order::{OrderAnswer, OrderRequest};
use tercet_mpc::statement::Lane;
pub use tercet_mpc::statistics::{Epsilon, Family, Measure, Permit, Statistic, StatisticError, Target};
use tercet_mpc::statistics::{Exact, Facts, Value, evaluate, submissions};
use tercet_mpc::{Output, Term, fixed};

use crate::result::{AddedNoise, Fraction, PartValue, StatisticValue};
use crate::survey::SurveyManifest;

/// What a query opened about one set of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Submissions covered.
    pub submissions: u64,
    /// The opened lanes.
    pub lanes: Vec<Lane>,
    /// Their sums, in the same order.
    pub sums: Vec<u128>,
    /// For each column that was sorted: its index, what was asked, the answer.
    pub orders: Vec<(u8, OrderRequest, OrderAnswer)>,
    /// The noise of sums that have some.
    pub noise: BTreeMap<Output, Laplace>,
}

/// What a query opened about one group: its label (empty: all small groups together) and its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedGroup {
    /// The field's value.
    pub label: String,
    /// What was opened.
    pub opened: Opened,
}

/// The statistic of this name, if the survey releases it.
pub fn permitted(manifest: &SurveyManifest, name: &str) -> Option<Statistic> {
    let asked: Statistic = name.parse().ok()?;
    let known = asked.columns.iter().all(|c| manifest.column(c).is_some());
    (known && manifest.permits().iter().any(|p| p.covers(&asked))).then_some(asked)
}

/// What a statistic of these columns is computed of: without names every column, or every pair in the survey's
/// order.
pub fn targets(manifest: &SurveyManifest, family: Family, columns: &[String]) -> Vec<Target> {
    // At most MAX_COLUMNS columns.
    let all = 0..manifest.columns.len() as u8;
    let named: Vec<u8> = columns.iter().filter_map(|c| manifest.column(c)).collect();
    match (family.arity(), &named[..]) {
        (0, []) => vec![Target::Rows],
        (1, []) => all.map(Target::One).collect(),
        (0 | 1, [c, ..]) => vec![Target::One(*c)],
        (_, [a, b, ..]) => vec![Target::Two(*a, *b)],
        _ => all
            .clone()
            .flat_map(|a| all.clone().filter(move |b| a < *b).map(move |b| Target::Two(a, b)))
            .collect(),
    }
}

/// The asked statistics in their order, each of its columns. `groups` holds what was opened by field.
pub fn release(
    manifest: &SurveyManifest,
    statistics: &[Statistic],
    opened: &Opened,
    groups: &BTreeMap<String, Vec<OpenedGroup>>,
) -> Vec<StatisticValue> {
    let columns = Columns::of(manifest);
    let value = |statistic: &Statistic, target, opened: &Opened| {
        evaluate(&statistic.measure, target, &columns.facts(opened)).ok()
    };
    let mut values = Vec::new();
    for statistic in statistics {
        for target in targets(manifest, statistic.family(), &statistic.columns) {
            let units = Units::new(manifest, statistic.family(), target);
            let first = statistic.group.as_ref().and_then(|f| groups.get(f)?.first()).map(|g| &g.opened);
            let mut released = StatisticValue {
                statistic: statistic.to_string(),
                column: column(manifest, target),
                unit: units.whole.clone(),
                noise: noise(manifest, statistic.family(), target, &first.unwrap_or(opened).noise),
                ..StatisticValue::default()
            };
            match &statistic.group {
                Some(field) => {
                    let groups = groups.get(field).map(Vec::as_slice).unwrap_or_default();
                    released.parts.extend(groups.iter().map(|g| {
                        let exact = match value(statistic, target, &g.opened) {
                            Some(Value::One(exact)) => Some(exact),
                            Some(Value::Parts(_)) | None => None,
                        };
                        let submissions = submissions(target, &columns.facts(&g.opened));
                        part(g.label.clone(), submissions, units.whole.clone(), exact.as_ref())
                    }));
                }
                None => {
                    released.submissions =
                        manifest.counted(target).and_then(|_| submissions(target, &columns.facts(opened)));
                    match value(statistic, target, opened) {
                        Some(Value::One(exact)) => {
                            released.value = Some(exact.to_string());
                            released.exact = fraction(&exact);
                        }
                        Some(Value::Parts(parts)) => released.parts.extend(parts.into_iter().map(|p| {
                            let unit = units.part(&p.label);
                            part(p.label, None, unit, Some(&p.value))
                        })),
                        None => {}
                    }
                }
            }
            values.push(released);
        }
    }
    values
}

/// The columns' formats, as evaluation takes them.
struct Columns {
    optional: Vec<bool>,
    scales: Vec<u8>,
    bits: Vec<u8>,
}

impl Columns {
    fn of(manifest: &SurveyManifest) -> Self {
        let scales = manifest.columns.iter().map(|c| c.places()).collect();
        let bits = manifest.columns.iter().map(|c| c.bits).collect();
        Self { optional: manifest.optional(), scales, bits }
    }

    fn facts<'a>(&'a self, opened: &'a Opened) -> Facts<'a> {
        let Self { optional, scales, bits } = self;
        let Opened { submissions, lanes, sums, orders, noise: _ } = opened;
        Facts { count: *submissions, optional, scales, bits, lanes, sums, orders }
    }
}

impl SurveyManifest {
    /// How many rows a statistic is over: those with a value in each of its columns. None if that was not opened.
    pub fn submissions(&self, target: Target, opened: &Opened) -> Option<u64> {
        submissions(target, &Columns::of(self).facts(opened))
    }
}

/// What was added to the sums of a statistic. All sets of rows of one query have the same noise.
fn noise(
    manifest: &SurveyManifest,
    family: Family,
    target: Target,
    added: &BTreeMap<Output, Laplace>,
) -> Vec<AddedNoise> {
    let column = |c: u8| {
        manifest.columns.get(usize::from(c)).map_or(("", 0), |c| (c.name.as_str(), u32::from(c.places())))
    };
    let sums = family
        .outputs(target, &manifest.optional())
        .into_iter()
        .filter_map(|output| Some((output, added.get(&output)?)));
    sums.map(|(output, laplace)| {
        let (sum, scale) = match output.term() {
            Term::One => ("1".into(), 0),
            Term::Present(c) => (format!("present({})", column(c).0), 0),
            Term::Value(c) => (column(c).0.to_owned(), column(c).1),
            Term::Square(c) => (format!("{}^2", column(c).0), 2 * column(c).1),
            Term::Product(a, b) => (format!("{}*{}", column(a).0, column(b).0), column(a).1 + column(b).1),
            // In the fixed point that is proven, of the column's integer.
            Term::Log(c) => (format!("2^{}*log2({})", fixed::FRACTION, column(c).0), 0),
            Term::Reciprocal(c) => {
                let bits = manifest.columns.get(usize::from(c)).map_or(0, |c| u32::from(c.bits));
                (format!("2^{}/{}", fixed::reciprocal_places(bits), column(c).0), 0)
            }
        };
        AddedNoise {
            sum,
            mechanism: "discrete-laplace".into(),
            epsilon: laplace.epsilon().to_string(),
            sensitivity: laplace.sensitivity_at(scale).to_string(),
            deviation: laplace.deviation_at(scale).to_string(),
        }
    })
    .collect()
}

fn part(label: String, submissions: Option<u64>, unit: String, exact: Option<&Exact>) -> PartValue {
    PartValue {
        label,
        submissions,
        unit,
        value: exact.map(ToString::to_string),
        exact: exact.and_then(fraction),
    }
}

fn fraction(exact: &Exact) -> Option<Fraction> {
    let fraction = || Fraction {
        numerator: exact.numerator().to_string(),
        denominator: exact.denominator().to_string(),
    };
    exact.is_fraction().then(fraction)
}

fn column(manifest: &SurveyManifest, target: Target) -> Option<String> {
    let name = |c: u8| manifest.columns.get(usize::from(c)).map(|c| c.name.clone()).unwrap_or_default();
    match target {
        Target::Rows => None,
        Target::One(c) => Some(name(c)),
        Target::Two(a, b) => Some(format!("{},{}", name(a), name(b))),
    }
}

/// The units of a statistic and its parts.
struct Units {
    whole: String,
    slope: String,
    intercept: String,
}

impl Units {
    fn new(manifest: &SurveyManifest, family: Family, target: Target) -> Self {
        let unit = |c: u8| manifest.columns.get(usize::from(c)).map(|c| c.unit.as_str()).unwrap_or_default();
        let squared = |u: &str| if u.is_empty() { String::new() } else { format!("{u}^2") };
        let mut this = Self { whole: String::new(), slope: String::new(), intercept: String::new() };
        match (family, target) {
            (
                Family::Count
                | Family::Gini
                | Family::Lorenz
                | Family::TopShare
                | Family::Histogram
                | Family::Correlation,
                _,
            ) => {}
            (Family::Variance | Family::VariancePopulation, Target::One(c)) => this.whole = squared(unit(c)),
            (_, Target::One(c)) => this.whole = unit(c).into(),
            (Family::Covariance, Target::Two(a, b)) => {
                this.whole = match (unit(a), unit(b)) {
                    (a, b) if a == b => squared(a),
                    (a, "") => a.into(),
                    ("", b) => b.into(),
                    (a, b) => format!("{a}*{b}"),
                }
            }
            (_, Target::Two(x, y)) => {
                this.slope = match (unit(x), unit(y)) {
                    (x, y) if x == y => String::new(),
                    ("", y) => y.into(),
                    (x, "") => format!("1/{x}"),
                    (x, y) => format!("{y}/{x}"),
                };
                this.intercept = unit(y).into();
            }
            (_, Target::Rows) => {}
        }
        this
    }

    fn part(&self, label: &str) -> String {
        match label {
            "slope" => self.slope.clone(),
            "intercept" => self.intercept.clone(),
            _ => String::new(),
        }
    }
}
