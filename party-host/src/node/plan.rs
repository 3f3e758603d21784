//! What a query reveals: the sets of rows that its answer is over, and what must be opened about each.

use std::collections::{BTreeMap, BTreeSet};

use tercet_mpc::noise::Laplace;
use tercet_mpc::order::OrderRequest;
use tercet_mpc::statement::Lane;
use tercet_mpc::{Condition, Output, Term};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::filter::Filter;
use tercet_protocol::statistic::{Measure, Statistic, Target, permitted, targets};
use tercet_protocol::survey::{Guard, SurveyManifest};

use super::book::Book;

/// Most statistics in one query.
const MAX_STATISTICS: usize = 64;

/// A query that the survey permits.
#[derive(Debug)]
pub struct Plan {
    /// The statistics, each once.
    pub statistics: Vec<Statistic>,
    /// First the rows that were asked for, then the groups.
    pub sets: Vec<PlannedSet>,
    /// What has to be decided before anything is opened.
    pub guards: BTreeSet<Guard>,
}

/// Which groups of a category are released by themselves: those that are not in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The category.
    pub category: String,
    /// The values whose groups are put together.
    pub pool: BTreeSet<String>,
    /// Whether anybody is in them.
    pub anybody: bool,
}

/// One set of rows, and what is opened about it.
#[derive(Debug)]
pub struct PlannedSet {
    /// Field and value of a group; none: all rows that were asked for.
    pub group: Option<(String, String)>,
    /// Which rows.
    pub filter: Filter,
    /// How many there are.
    pub rows: u64,
    /// Indices of the lanes whose sums are opened, in order.
    pub lanes: Vec<usize>,
    /// Of groups that are released together: the same lanes of the others, whose sums are added before they are opened.
    pub also: Vec<Vec<usize>>,
    /// The noise of those of them that have some.
    pub noise: BTreeMap<Output, Laplace>,
    /// For each column whose values must be sorted: its index, and what they are sorted for.
    pub orders: Vec<(u8, Vec<Measure>)>,
}

impl PlannedSet {
    /// What is read off a column's sorted values, of which there are so many.
    pub fn request(&self, manifest: &SurveyManifest, column: u8, values: u64) -> OrderRequest {
        let scale = manifest.columns.get(usize::from(column)).map_or(0, |c| c.places());
        let mut request = OrderRequest::default();
        let measures = self.orders.iter().filter(|(c, _)| *c == column).flat_map(|(_, measures)| measures);
        measures.for_each(|m| request.merge(&m.order(values, scale)));
        request
    }
}

/// Plans the asked statistics over the log as it is. Refuses what the survey does not permit.
pub fn plan(
    manifest: &SurveyManifest,
    lanes: &[Lane],
    book: &Book,
    names: &[String],
    filter: &Filter,
) -> Result<Plan, Problem> {
    if names.is_empty() || names.len() > MAX_STATISTICS {
        return Err(Problem::new(ProblemKind::Malformed, "ask for 1 to 64 statistics"));
    }
    filter.check(manifest).map_err(|problem| Problem::new(ProblemKind::Malformed, problem))?;
    let mut statistics: Vec<Statistic> = Vec::new();
    for name in names {
        let Some(statistic) = permitted(manifest, name) else {
            let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            let detail = format!("\"{shown}\" is not among the survey's statistics");
            return Err(Problem::new(ProblemKind::StatisticNotPermitted, detail));
        };
        if !statistics.contains(&statistic) {
            statistics.push(statistic);
        }
    }
    let guards: BTreeSet<Guard> = statistics.iter().flat_map(|s| manifest.guards_of(s)).collect();
    if !guards.is_empty() && !filter.is_empty() {
        return Err(Problem::new(
            ProblemKind::StatisticNotPermitted,
            "who has a value, or which one of a category, is known to nobody, so no difference to a filter's rows can be ruled \
             out: ask without a filter, or about other columns",
        ));
    }
    let fields: BTreeSet<&String> = statistics.iter().filter_map(|s| s.group.as_ref()).collect();
    let mut sets = vec![(None, filter.clone())];
    // Groups of a category come when they are known to be large enough.
    for field in fields.into_iter().filter(|f| manifest.field(f).is_some()) {
        let groups = book.groups(manifest, filter, field);
        sets.extend(groups.into_iter().map(|g| (Some((field.clone(), g.label)), g.filter)));
    }
    let sets = sets.into_iter().map(|(group, filter)| {
        let rows = book.selected_rows(&book.selector(manifest, &filter));
        let field = group.as_ref().map(|(field, _)| field);
        let asked = || statistics.iter().filter(|s| s.group.as_ref() == field);
        let (lanes, orders) = needs(manifest, lanes, asked(), rows);
        let noise = manifest.noise_of(asked());
        PlannedSet { group, filter, rows, lanes, also: Vec::new(), noise, orders }
    });
    let sets = sets.collect();
    Ok(Plan { statistics, sets, guards })
}

impl Plan {
    /// Adds the groups of a category: those that stand alone, in the survey's order, then all others together.
    pub fn divide(&mut self, manifest: &SurveyManifest, lanes: &[Lane], partition: &Partition) {
        let Partition { category, pool, anybody } = partition;
        let asked = self.statistics.iter().filter(|s| s.group.as_ref() == Some(category));
        let asked = asked.flat_map(|s| {
            let of = targets(manifest, s.family(), &s.columns).into_iter();
            of.flat_map(|t| s.family().outputs(t, &manifest.optional())).collect::<Vec<_>>()
        });
        let terms: BTreeSet<Term> = asked.map(Output::term).collect();
        let by_category = self.statistics.iter().any(|s| s.group.as_ref() == Some(category));
        let Some((index, section)) = manifest.category(category).filter(|_| by_category) else { return };
        // In the order of the terms, whatever the value.
        let of = |value: u8, counted: bool| -> Vec<usize> {
            let wanted = |l: &Lane| {
                let term = l.output.term();
                let here = l.output.condition() == Some(Condition::Is(index, value));
                here && (terms.contains(&term) || counted && term == Term::One)
            };
            lanes.iter().enumerate().filter(|(_, l)| wanted(l)).map(|(i, _)| i).collect()
        };
        let set = |label: &str, lanes, also| PlannedSet {
            group: Some((category.clone(), label.to_owned())),
            filter: Filter::default(),
            rows: 0,
            lanes,
            also,
            noise: BTreeMap::new(),
            orders: Vec::new(),
        };
        // At most 16 values.
        let values: Vec<(u8, &String)> = (0..).zip(&section.values).collect();
        let (together, alone): (Vec<_>, Vec<_>) = values.into_iter().partition(|(_, v)| pool.contains(*v));
        self.sets.extend(alone.into_iter().map(|(k, value)| set(value, of(k, true), Vec::new())));
        let mut together = together.into_iter().map(|(k, _)| of(k, false));
        if let Some(first) = together.next().filter(|_| *anybody) {
            self.sets.push(set("", first, together.collect()));
        }
    }

    /// What the noise of all this costs, in billionths of epsilon. Groups of one field have no row in common, so all
    /// of them together cost what one does.
    pub fn epsilon(&self) -> u64 {
        let mut fields: BTreeMap<Option<&str>, u64> = BTreeMap::new();
        for set in &self.sets {
            let field = set.group.as_ref().map(|(field, _)| field.as_str());
            let cost: u64 = set.noise.values().map(|n| n.epsilon().billionths()).sum();
            fields.entry(field).and_modify(|most| *most = cost.max(*most)).or_insert(cost);
        }
        fields.values().sum()
    }
}

/// What these statistics need opened about `rows` rows.
fn needs<'a>(
    manifest: &SurveyManifest,
    lanes: &[Lane],
    statistics: impl Iterator<Item = &'a Statistic>,
    rows: u64,
) -> (Vec<usize>, Vec<(u8, Vec<Measure>)>) {
    let mut outputs: BTreeSet<Output> = BTreeSet::new();
    let mut orders: BTreeMap<u8, Vec<Measure>> = BTreeMap::new();
    let optional = manifest.optional();
    for statistic in statistics {
        for target in targets(manifest, statistic.family(), &statistic.columns) {
            outputs.extend(statistic.family().outputs(target, &optional));
            if let Target::One(c) = target
                && statistic.family().is_order()
                && rows > 0
            {
                orders.entry(c).or_default().push(statistic.measure.clone());
            }
        }
    }
    let wanted = |l: &Lane| outputs.contains(&l.output);
    let lanes = lanes.iter().enumerate().filter(|(_, l)| wanted(l)).map(|(i, _)| i).collect();
    (lanes, orders.into_iter().collect())
}
