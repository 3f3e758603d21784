//! Order statistics of a survey: the numbers of rows that its lists need, and the single values that it publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use tercet_mpc::statistics::{Family, Permit, Share};
use tercet_releases::ranks::{self, Breaks, Order, Thousandths};

use super::{SurveyError, SurveyManifest, invalid};
use crate::statistic::targets;

/// Most bins of a histogram.
pub const MAX_BINS: usize = 64;

/// Order statistics of one column that are computed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderList {
    /// The column.
    pub column: u8,
    /// The revealed field by whose groups the statistics are; `None`: they are about everybody.
    pub field: Option<usize>,
    /// The least number of rows that they are computed over, n_min, and the number of rows that must enter (less those that are
    /// erased) until they are computed anew.
    pub least: u64,
    /// Their names, as the survey lists them.
    pub statistics: Vec<String>,
}

/// A share in thousandths, if it has three places at most.
fn thousandths(share: Share) -> Option<Thousandths> {
    let fine = share.billionths().is_multiple_of(Share::BILLION / 1000);
    fine.then(|| Thousandths::try_from(share.billionths() / (Share::BILLION / 1000)).unwrap_or(1000))
}

/// The parts that the rules look at; `None` for a statistic that is not read off sorted values.
fn orders(permit: &Permit) -> Option<Vec<Order>> {
    let measure = permit.measure.as_ref()?;
    let shares: Vec<_> = measure.shares().iter().map(|s| thousandths(*s)).collect::<Option<_>>()?;
    let each = |of: fn(Thousandths) -> Order| shares.iter().map(|p| of(*p)).collect();
    Some(match permit.family {
        Family::Min => vec![Order::Min],
        Family::Max => vec![Order::Max],
        Family::Mode => vec![Order::Mode],
        Family::Gini => vec![Order::Gini],
        Family::Median => vec![Order::Quantile(500)],
        Family::Iqr => vec![Order::Quantile(250), Order::Quantile(750)],
        Family::Quantile => each(Order::Quantile),
        Family::QuantileNearest => each(Order::Nearest),
        Family::TrimmedMean => each(Order::Trimmed),
        Family::Lorenz => each(Order::Lorenz),
        Family::TopShare => each(Order::TopShare),
        Family::Count
        | Family::Sum
        | Family::Mean
        | Family::GeometricMean
        | Family::HarmonicMean
        | Family::Variance
        | Family::VariancePopulation
        | Family::Stddev
        | Family::StddevPopulation
        | Family::Histogram
        | Family::Covariance
        | Family::Correlation
        | Family::Regression => return None,
    })
}

/// True if values are put in order for it.
fn is_order(permit: &Permit) -> bool {
    permit.family.is_order() && permit.family != Family::Histogram
}

/// A listed order statistic with the ranks that it tells about.
type Listed = (Permit, Vec<Order>);

impl SurveyManifest {
    /// The statistics that the survey says it exposes, parsed.
    fn exposing(&self) -> Vec<Permit> {
        self.survey.exposes.iter().filter_map(|s| Permit::from_str(s).ok()).collect()
    }

    /// True if a listed statistic of a column is one of those that publish a single person's value.
    fn is_exposed(&self, permit: &Permit, column: u8) -> bool {
        let name = self.columns.get(usize::from(column)).map(|c| c.name.as_str());
        let all = self.exposing();
        let of =
            |e: &&Permit| e.family == permit.family && e.measure == permit.measure && permit.group.is_none();
        all.iter()
            .filter(of)
            .any(|e| e.columns.is_empty() || e.columns.iter().any(|c| Some(c.as_str()) == name))
    }

    /// The single people's values that the survey publishes, for those who are asked to take part: names as `max(eth_free)`.
    pub fn exposed(&self) -> Vec<String> {
        let mut all = Vec::new();
        for permit in self.permits().iter().filter(|p| is_order(p)) {
            for column in self.sorted_columns(permit) {
                if self.is_exposed(permit, column)
                    && let (Some(measure), Some(section)) =
                        (&permit.measure, self.columns.get(usize::from(column)))
                {
                    all.push(format!("{measure}({})", section.name));
                }
            }
        }
        all
    }

    /// The columns that an order statistic sorts.
    fn sorted_columns(&self, permit: &Permit) -> BTreeSet<u8> {
        targets(self, permit.family, &permit.columns).into_iter().flat_map(super::secret::columns).collect()
    }

    /// The listed order statistics by column and group, with the number of rows that each list needs.
    pub fn order_lists(&self) -> Vec<OrderList> {
        // A valid survey has no list that no number of rows makes safe.
        self.lists().unwrap_or_default()
    }

    fn lists(&self) -> Result<Vec<OrderList>, SurveyError> {
        let mut lists: BTreeMap<(u8, Option<usize>), Vec<Listed>> = BTreeMap::new();
        for permit in self.permits().into_iter().filter(is_order) {
            let Some(orders) = orders(&permit) else { continue };
            let field = permit.group.as_ref().and_then(|g| self.field(g));
            for column in self.sorted_columns(&permit) {
                lists.entry((column, field)).or_default().push((permit.clone(), orders.clone()));
            }
        }
        let min_new = self.survey.min_new;
        let mut all = Vec::with_capacity(lists.len());
        for ((column, field), permits) in lists {
            let bounded = permits.iter().filter(|(permit, _)| !self.is_exposed(permit, column));
            let orders: Vec<Order> = bounded.flat_map(|(_, orders)| orders.iter().copied()).collect();
            let least =
                ranks::least(&orders, min_new).map_err(|breaks| self.broken(&permits, column, breaks))?;
            let statistics = permits.iter().map(|(permit, _)| permit.to_string()).collect();
            all.push(OrderList { column, field, least: least.max(min_new), statistics });
        }
        Ok(all)
    }

    /// Says which of the listed statistics break the rule, and how to mend the list.
    fn broken(&self, permits: &[(Permit, Vec<Order>)], column: u8, breaks: Breaks) -> SurveyError {
        let name = |order: Order| {
            let of = permits.iter().find(|(_, orders)| orders.contains(&order));
            of.map(|(permit, _)| format!("\"{permit}\"")).unwrap_or_default()
        };
        let column = self.columns.get(usize::from(column)).map(|c| c.name.as_str()).unwrap_or_default();
        let exposes = "if that is what the survey is for, name it in survey.exposes, of everybody, so that it is said to all who \
                       take part; else list another";
        let problem = match breaks {
            Breaks::Single(order) => {
                format!("{} publishes one person's value of {column}: {exposes}", name(order))
            }
            Breaks::End(order) => format!(
                "{} is too close to the smallest or the largest value of {column}, however many people take part: {exposes}",
                name(order)
            ),
            Breaks::Close(a, b) => format!(
                "{} and {} of {column} together tell about fewer than survey.min_new people, however many take part: list one of \
                 them",
                name(a),
                name(b)
            ),
            Breaks::Total(a, b) if a == b => format!("{} leaves nobody out: list \"mean\"", name(a)),
            Breaks::Total(a, b) => {
                format!("{} and {} of {column} say the same: list one of them", name(a), name(b))
            }
        };
        invalid("survey.statistics", problem)
    }

    /// Checks that order statistics tell only a bounded amount about single people, or that the survey says so.
    pub(super) fn validate_orders(&self) -> Result<(), SurveyError> {
        for (text, permit) in self.survey.statistics.iter().zip(self.permits()) {
            let wrong = |problem: String| {
                Err(invalid("survey.statistics", format!("\"{}\": {problem}", text.escape_debug())))
            };
            let Some(measure) = &permit.measure else {
                return wrong(format!(
                    "list it with its parameters, as in \"{}\": a question cannot bring its own",
                    example(permit.family)
                ));
            };
            if measure.edges().len() > MAX_BINS + 1 {
                return wrong(format!("a histogram has {MAX_BINS} bins at most"));
            }
            if measure.shares().iter().any(|share| thousandths(*share).is_none()) {
                return wrong("a share has at most three decimal places".into());
            }
            if !is_order(&permit) {
                continue;
            }
            if permit.group.is_some()
                && self.exposing().iter().any(|e| e.family == permit.family && e.measure == permit.measure)
            {
                return wrong("what survey.exposes names is of everybody, never of a group".into());
            }
            for column in self.sorted_columns(&permit).into_iter().filter(|c| self.may_be_missing(*c)) {
                let partitions = self.partitions();
                let of = partitions.iter().find(|p| p.columns.contains(&column));
                if of.is_some_and(|p| p.blocks.len() > 1) {
                    let column =
                        self.columns.get(usize::from(column)).map(|c| c.name.as_str()).unwrap_or_default();
                    return wrong(format!(
                        "{column} may be missing and is grouped by a category or in a pair, so nobody knows how many values there \
                         would be to sort: name other columns"
                    ));
                }
            }
        }
        for text in &self.survey.exposes {
            let wrong = |problem: String| {
                invalid("survey.exposes", format!("\"{}\": {problem}", text.escape_debug()))
            };
            let permit = Permit::from_str(text).map_err(|e| wrong(e.to_string()))?;
            if permit.group.is_some() {
                return Err(wrong("what a survey exposes is of everybody: leave out the group".into()));
            }
            if !is_order(&permit) {
                return Err(wrong(
                    "only what is read off sorted values exposes a single one (max, min, mode, ..)".into(),
                ));
            }
            let listed = |p: &Permit| {
                p.family == permit.family
                    && p.measure == permit.measure
                    && p.group.is_none()
                    && (p.columns.is_empty() || permit.columns.is_empty() || p.columns == permit.columns)
            };
            if !self.permits().iter().any(listed) {
                return Err(wrong("survey.statistics does not list it".into()));
            }
            if let Some(unknown) = permit.columns.iter().find(|c| self.column(c).is_none()) {
                return Err(wrong(format!("the survey has no column {unknown}")));
            }
        }
        self.lists().map(|_| ())
    }
}

/// A name of the family with parameters.
fn example(family: Family) -> String {
    format!("{family}:{}", family.parameters().example())
}
