//! From opened sums and order statistics to the values that are released and signed.

use std::collections::BTreeMap;

use tercet_mpc::noise::Laplace;
use tercet_mpc::statement::Lane;
pub use tercet_mpc::statistics::{
    Epsilon, Family, Measure, Ordered, Permit, Statistic, StatisticError, Target,
};
use tercet_mpc::statistics::{Exact, Facts, Unit, Value, evaluate, submissions};
use tercet_mpc::{Output, Term, fixed};

use crate::result::{AddedNoise, Fraction, PartValue, StatisticValue};
use crate::survey::SurveyManifest;

/// Everything that the parties opened about one set of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Submissions covered.
    pub submissions: u64,
    /// Number of units in which they entered.
    pub units: u64,
    /// The opened lanes.
    pub lanes: Vec<Lane>,
    /// Their sums, in the same order.
    pub sums: Vec<u128>,
    /// The numbers that were read off columns that were put in order.
    pub orders: Vec<Ordered>,
    /// The noise of one unit's sums, where they have some.
    pub noise: BTreeMap<Output, Laplace>,
}

/// The rows about which something was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The field or category, and its value; `None`: all rows that were asked for.
    pub group: Option<(String, String)>,
    /// Number of the partition into secret groups whose units these are; `None`: units whose members are known.
    pub partition: Option<usize>,
}

/// The statistic of this name, if the survey releases it.
pub fn permitted(manifest: &SurveyManifest, name: &str) -> Option<Statistic> {
    let asked: Statistic = name.parse().ok()?;
    let known = asked.columns.iter().all(|c| manifest.column(c).is_some());
    (known && manifest.permits().iter().any(|p| p.covers(&asked))).then_some(asked)
}

/// The subjects of a statistic of these columns: without names every column, or every pair in the survey's order.
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

/// The statistics in the order of the question, each for every one of its targets. `partition` gives the partition over whose units
/// a statistic is, and `opened` the numbers that were opened about each set of rows; a statistic whose numbers were not opened
/// has no value.
pub fn release(
    manifest: &SurveyManifest,
    statistics: &[Statistic],
    partition: &dyn Fn(&Statistic, Target) -> Option<usize>,
    opened: &BTreeMap<Scope, Opened>,
) -> Vec<StatisticValue> {
    let mut values = Vec::new();
    for statistic in statistics {
        for target in targets(manifest, statistic.family(), &statistic.columns) {
            let partition = partition(statistic, target);
            values.push(match &statistic.group {
                None => {
                    let opened = opened.get(&Scope { group: None, partition });
                    whole(manifest, statistic, target, opened, partition.is_some())
                }
                Some(field) => {
                    let of = |s: &&Scope| s.group.as_ref().is_some_and(|(f, _)| f == field);
                    let scopes = opened.keys().filter(of).filter(|s| s.partition == partition);
                    let groups = scopes.filter_map(|s| Some((s.group.as_ref()?.1.as_str(), opened.get(s)?)));
                    grouped(manifest, statistic, target, groups.collect())
                }
            });
        }
    }
    values
}

fn empty(manifest: &SurveyManifest, statistic: &Statistic, target: Target) -> StatisticValue {
    StatisticValue {
        statistic: statistic.to_string(),
        column: column(manifest, target),
        unit: Units::new(manifest, statistic.family(), target).whole,
        ..StatisticValue::default()
    }
}

fn whole(
    manifest: &SurveyManifest,
    statistic: &Statistic,
    target: Target,
    opened: Option<&Opened>,
    secret: bool,
) -> StatisticValue {
    let mut released = empty(manifest, statistic, target);
    let Some(opened) = opened else { return released };
    let columns = Columns::of(manifest);
    released.noise = noise(manifest, statistic.family(), target, opened);
    released.submissions = counted_rows(manifest, statistic, target, opened, secret);
    match evaluate(&statistic.measure, target, &columns.facts(opened)) {
        Ok(Value::One(exact)) => {
            released.value = Some(exact.to_string());
            released.exact = fraction(&exact);
        }
        Ok(Value::Parts(parts)) => {
            let units = Units::new(manifest, statistic.family(), target);
            released.parts.extend(parts.into_iter().map(|p| {
                let unit = units.part(&p.label);
                part(p.label, None, unit, Ok(&p.value))
            }));
        }
        Err(why) => released.undefined = Some(why.to_string()),
    }
    released
}

fn grouped(
    manifest: &SurveyManifest,
    statistic: &Statistic,
    target: Target,
    groups: Vec<(&str, &Opened)>,
) -> StatisticValue {
    let mut released = empty(manifest, statistic, target);
    let columns = Columns::of(manifest);
    if let Some((_, first)) = groups.first() {
        released.noise = noise(manifest, statistic.family(), target, first);
    }
    released.parts.extend(groups.into_iter().map(|(label, opened)| {
        let facts = columns.facts(opened);
        let exact = match evaluate(&statistic.measure, target, &facts) {
            Ok(Value::One(exact)) => Ok(exact),
            Ok(Value::Parts(_)) => Err("a statistic of several numbers has no groups".to_owned()),
            Err(why) => Err(why.to_string()),
        };
        let rows = ordered_rows(statistic, target, opened).or_else(|| submissions(target, &facts));
        part(label.to_owned(), rows, released.unit.clone(), exact.as_ref().map_err(Clone::clone))
    }));
    released
}

/// Number of rows that a statistic is over, where that is not the number of rows that the answer is about.
fn counted_rows(
    manifest: &SurveyManifest,
    statistic: &Statistic,
    target: Target,
    opened: &Opened,
    secret: bool,
) -> Option<u64> {
    let secret = secret || manifest.counted(target).is_some();
    match ordered_rows(statistic, target, opened) {
        Some(values) if secret || values != opened.submissions => Some(values),
        Some(_) => None,
        None if secret => manifest.submissions(target, opened),
        None => None,
    }
}

/// Number of values that an order statistic is over: erased ones are not among them.
fn ordered_rows(statistic: &Statistic, target: Target, opened: &Opened) -> Option<u64> {
    let Target::One(column) = target else { return None };
    let ordered = opened.orders.iter().find(|o| o.column == column);
    ordered.filter(|_| statistic.family().is_order()).map(|o| o.values)
}

/// The columns' formats, as evaluation takes them.
struct Columns {
    optional: Vec<bool>,
    scales: Vec<i8>,
    bits: Vec<u8>,
}

impl Columns {
    fn of(manifest: &SurveyManifest) -> Self {
        let scales = manifest.columns.iter().map(|c| c.scale).collect();
        let bits = manifest.columns.iter().map(|c| c.bits).collect();
        Self { optional: manifest.optional(), scales, bits }
    }

    fn facts<'a>(&'a self, opened: &'a Opened) -> Facts<'a> {
        let Self { optional, scales, bits } = self;
        let Opened { submissions, lanes, sums, orders, units: _, noise: _ } = opened;
        Facts { count: *submissions, optional, scales, bits, lanes, sums, orders }
    }
}

impl SurveyManifest {
    /// Number of rows that a statistic is over: those with a value in each of its columns. `None` if that was not
    /// opened.
    pub fn submissions(&self, target: Target, opened: &Opened) -> Option<u64> {
        submissions(target, &Columns::of(self).facts(opened))
    }
}

/// The noise that was added to the sums of a statistic: one term for each unit.
fn noise(manifest: &SurveyManifest, family: Family, target: Target, opened: &Opened) -> Vec<AddedNoise> {
    let column = |c: u8| {
        manifest.columns.get(usize::from(c)).map_or(("", 0), |c| (c.name.as_str(), i32::from(c.scale)))
    };
    let sums = family
        .outputs(target, &manifest.optional())
        .into_iter()
        .filter_map(|output| Some((output, opened.noise.get(&output)?)));
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
            deviation: deviation(laplace, scale, opened.units),
        }
    })
    .collect()
}

/// Standard deviation of a sum of `units` independent terms: the root of their number times that of one term.
fn deviation(laplace: &Laplace, scale: i32, units: u64) -> String {
    let one = laplace.deviation_at(scale);
    let all = Exact::signed_root(
        one.numerator() * units,
        one.denominator().clone(),
        scale.max(0).unsigned_abs() + 2,
    );
    all.unwrap_or(one).to_string()
}

fn part(label: String, submissions: Option<u64>, unit: String, value: Result<&Exact, String>) -> PartValue {
    let (exact, undefined) = match value {
        Ok(exact) => (Some(exact), None),
        Err(why) => (None, Some(why)),
    };
    PartValue {
        label,
        submissions,
        release: None,
        unit,
        value: exact.map(ToString::to_string),
        exact: exact.and_then(fraction),
        undefined,
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
        match (family.unit(), target) {
            (Unit::Column, Target::One(c)) => this.whole = unit(c).into(),
            (Unit::Squared, Target::One(c)) => this.whole = squared(unit(c)),
            (Unit::Product, Target::Two(a, b)) => {
                this.whole = match (unit(a), unit(b)) {
                    (a, b) if a == b => squared(a),
                    (a, "") => a.into(),
                    ("", b) => b.into(),
                    (a, b) => format!("{a}*{b}"),
                }
            }
            (Unit::Line, Target::Two(x, y)) => {
                this.slope = match (unit(x), unit(y)) {
                    (x, y) if x == y => String::new(),
                    ("", y) => y.into(),
                    (x, "") => format!("1/{x}"),
                    (x, y) => format!("{y}/{x}"),
                };
                this.intercept = unit(y).into();
            }
            (Unit::None, _)
            | (Unit::Column | Unit::Squared, Target::Rows | Target::Two(..))
            | (Unit::Product | Unit::Line, Target::Rows | Target::One(_)) => {}
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
