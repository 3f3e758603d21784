//! The plan of an answer: the sets of rows that it is about, and the sums and sortings that must be opened for it.
//! Everything here depends on the log and on public sizes.

use std::collections::{BTreeMap, BTreeSet};

use tercet_mpc::Output;
use tercet_mpc::order::{OrderAnswer, OrderRequest};
use tercet_mpc::statistics::Limit;
use tercet_mutants::mutant;
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::query_ticket::Question;
use tercet_protocol::statistic::{Family, Measure, Ordered, Scope, Statistic, Target, targets};
use tercet_protocol::survey::{SecretPartition, SurveyManifest};
use tercet_releases::ranks::Renewal;
use tercet_releases::{Filter, UnitId};

use super::book::{Book, Point};
use super::renewal::Whose;

/// Whose units are added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Units {
    /// These.
    Known(Vec<UnitId>),
    /// Those of a partition, or of one of its groups.
    Secret {
        /// The partition's number.
        partition: usize,
        /// The group's number in it; `None`: all of them, and the rest.
        block: Option<usize>,
    },
}

/// One set of rows, and the sums that are opened about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Whose units.
    pub units: Units,
    /// Number of rows in them.
    pub rows: u64,
    /// The outputs whose sums are opened.
    pub outputs: BTreeSet<Output>,
}

/// A column to be put in order, of everybody or of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorting {
    /// The scope of the answer.
    pub scope: Scope,
    /// Whose values.
    pub whose: Whose,
    /// The statistics for which they are put in order.
    pub measures: Vec<Measure>,
}

/// Something that is served as it was computed at an earlier release point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The statistic, with its group's value where it is grouped.
    pub statistic: Statistic,
    /// Its subject.
    pub target: Target,
    /// The group's value.
    pub label: Option<String>,
    /// The release point.
    pub point: u64,
}

/// A permitted question about the newest release point.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The release point.
    pub point: Point,
    /// The statistics.
    pub statistics: Vec<Statistic>,
    /// Rows that the filter selects.
    pub rows: u64,
    /// Rows that it does not tell apart.
    pub not_told_apart: u64,
    /// For each field, the rows that its groups do not tell apart.
    pub ungrouped: BTreeMap<String, u64>,
    /// The sets of rows about which something is opened.
    pub sets: BTreeMap<Scope, Set>,
    /// The columns that are put in order.
    pub sortings: Vec<Sorting>,
    /// The statistics that are served as computed before.
    pub earlier: Vec<Earlier>,
    /// Histograms: the sizes of secret units say them, and nothing is opened.
    pub histograms: Vec<Binned>,
}

/// A histogram whose bins have been decided on.
#[derive(Debug, Clone)]
pub struct Binned {
    /// Its name, with its edges.
    pub name: String,
    /// The partition whose groups are its bins.
    pub scope: Scope,
    /// The number of values below each of its limits, among those that entered in a bin of their own.
    pub counts: Ordered,
    /// The number of rows that entered across the bins.
    pub not_told_apart: u64,
}

impl Plan {
    /// For a histogram of a column: the rows that entered across its bins.
    pub fn unbinned(&self, statistic: &Statistic, column: u8) -> Option<u64> {
        let limits = |b: &&Binned| b.counts.column == column && b.name == statistic.measure.to_string();
        self.histograms.iter().find(limits).map(|b| b.not_told_apart)
    }
}

fn not_permitted(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::StatisticNotPermitted, detail)
}

/// The partition whose units a statistic's sums are over: that of its columns, or the category's that it is grouped by. A
/// statistic without sums of a column in which every row has a value is over rows that are known.
pub fn partition_of(
    book: &Book,
    manifest: &SurveyManifest,
    statistic: &Statistic,
    target: Target,
) -> Option<usize> {
    let columns = match target {
        Target::Rows => vec![],
        Target::One(c) => vec![c],
        Target::Two(a, b) => vec![a, b],
    };
    let family = statistic.family();
    if family == Family::Histogram {
        let name = statistic.measure.to_string();
        let of =
            |p: &SecretPartition| p.histogram.as_ref().is_some_and(|(c, n)| columns == [*c] && *n == name);
        return book.groups().partitions().iter().position(of);
    }
    if family.is_order() && family.outputs(target, &manifest.optional()).is_empty() {
        return None;
    }
    let category = statistic.group.as_ref().filter(|g| manifest.category(g).is_some());
    let of_columns = |p: &SecretPartition| columns.iter().any(|c| p.columns.contains(c));
    let fits = |p: &SecretPartition| match category {
        Some(category) if columns.is_empty() => p.category.as_ref() == Some(category) && p.counts_rows,
        Some(category) => p.category.as_ref() == Some(category) && of_columns(p),
        None => of_columns(p),
    };
    book.groups().partitions().iter().position(fits)
}

/// Plans a question. All refusals by the rules happen here.
pub fn plan(book: &Book, manifest: &SurveyManifest, question: &Question) -> Result<Plan, Problem> {
    question.check(manifest).map_err(|e| not_permitted(e.to_string()))?;
    let listed = *question == Question::listed(manifest);
    let statistics: Vec<Statistic> =
        question.statistics.iter().filter_map(|name| name.parse().ok()).collect();
    let Some(point) = book.newest().copied() else {
        let detail = "nothing has been released yet: wait for the survey's first release point";
        return Err(Problem::new(ProblemKind::NothingReleased, detail));
    };
    let mut filter = Filter::everybody();
    for (name, values) in &question.filter.0 {
        let field = manifest.field(name).ok_or_else(|| not_permitted("the survey has no such field"))?;
        filter = filter.with(field, values.iter().cloned());
    }
    let least = manifest.survey.smallest_set();
    let selection = book.ledger().select(&filter);
    if !selection.reaches(least) && !mutant!("small-cohort-is-shown") {
        let detail = format!("fewer than {least} rows are in the groups that this filter selects");
        return Err(Problem::new(ProblemKind::CohortTooSmall, detail));
    }
    told(book, manifest, question)?;
    let not_told_apart = selection.not_told_apart.values().copied().max().unwrap_or_default();
    let mut planner = Planner {
        book,
        manifest,
        filter,
        listed,
        plan: Plan {
            point,
            statistics: Vec::new(),
            rows: selection.rows,
            not_told_apart,
            ungrouped: BTreeMap::new(),
            sets: BTreeMap::new(),
            sortings: Vec::new(),
            earlier: Vec::new(),
            histograms: Vec::new(),
        },
        least,
        everybody: selection.units,
        unavailable: 0,
    };
    for statistic in &statistics {
        for target in targets(manifest, statistic.family(), &statistic.columns) {
            planner.add(statistic, target)?;
        }
    }
    let Planner { mut plan, unavailable, .. } = planner;
    let asked: usize = statistics.iter().map(|s| targets(manifest, s.family(), &s.columns).len()).sum();
    if asked == unavailable && !listed {
        let detail = "too few rows are counted for this: wait until more people have taken part";
        return Err(Problem::new(ProblemKind::CohortTooSmall, detail));
    }
    plan.statistics = statistics;
    Ok(plan)
}

/// A filter names only values that some unit has. Others change no answer: with them, one question could be asked under any
/// number of names, each with an answer of its own to be kept.
fn told(book: &Book, manifest: &SurveyManifest, question: &Question) -> Result<(), Problem> {
    for (name, values) in &question.filter.0 {
        let Some(field) = manifest.field(name) else { continue };
        let told: BTreeSet<&String> =
            book.ledger().units().iter().filter_map(|unit| unit.label.get(field)).collect();
        let stranger = values.iter().find(|value| !told.contains(value));
        if let Some(value) = stranger.filter(|_| !mutant!("filter-on-values-of-nobody")) {
            let detail =
                format!("no group of this release point has the value {value:?} of {name}: leave it out");
            return Err(not_permitted(detail).rule("no-such-value"));
        }
    }
    Ok(())
}

struct Planner<'a> {
    book: &'a Book,
    manifest: &'a SurveyManifest,
    filter: Filter,
    listed: bool,
    plan: Plan,
    least: u64,
    /// The units that the filter selects.
    everybody: Vec<UnitId>,
    /// Statistics without a value.
    unavailable: usize,
}

impl Planner<'_> {
    fn add(&mut self, statistic: &Statistic, target: Target) -> Result<(), Problem> {
        let family = statistic.family();
        let partition = partition_of(self.book, self.manifest, statistic, target);
        if !self.filter.is_everybody() {
            if partition.is_some() && !mutant!("filter-on-secret-columns") {
                return Err(not_permitted(
                    "who has a value, or which one of a category, is known to nobody: ask without a filter, or about other columns",
                ));
            }
            if family.is_order() && !mutant!("filter-on-sorted-values") {
                return Err(not_permitted(
                    "statistics of values in order (median, quantiles, gini, ..) are of everybody: ask without a filter",
                ));
            }
        }
        if family == Family::Histogram {
            self.histogram(statistic, target, partition);
            return Ok(());
        }
        let outputs = family.outputs(target, &self.manifest.optional());
        let scopes = self.scopes(statistic, partition);
        if scopes.is_empty() {
            self.unavailable += 1;
        }
        for (scope, units, rows) in scopes {
            if family.is_order() {
                self.order(statistic, target, &scope);
            }
            let set = Set { units, rows, outputs: BTreeSet::new() };
            self.plan.sets.entry(scope).or_insert(set).outputs.extend(outputs.iter().copied());
        }
        Ok(())
    }

    /// The sizes of a histogram's bins, from the units that entered in them.
    fn histogram(&mut self, statistic: &Statistic, target: Target, partition: Option<usize>) {
        let groups = self.book.groups();
        let (Target::One(column), Some(p)) = (target, partition) else { return };
        let (Some(of), Some(section)) =
            (groups.partitions().get(p), self.manifest.columns.get(usize::from(column)))
        else {
            return;
        };
        // A bin of fewer rows than are shown is not told apart from the others.
        let size =
            |block| Some(groups.rows(p, Some(block))).filter(|rows| *rows >= self.least).unwrap_or_default();
        let sizes: Vec<u64> = (0..of.blocks.len()).map(size).collect();
        let (values, rows) = (sizes.iter().sum(), groups.rows(p, None));
        if rows < self.least {
            self.unavailable += 1;
            return;
        }
        let mut request = OrderRequest::default();
        let mut below = Vec::new();
        let mut sum = 0;
        for (limit, size) in statistic.measure.limits(section.scale).into_iter().zip(&sizes) {
            sum += size;
            if let Limit::At(edge) = limit {
                request.edges.push(edge);
                below.push(sum);
            }
        }
        let answer = OrderAnswer { below, ..OrderAnswer::default() };
        let counts = Ordered { column, values, request, answer };
        let scope = Scope { group: None, partition };
        let name = statistic.measure.to_string();
        self.plan.histograms.push(Binned { name, scope, counts, not_told_apart: rows - values });
    }

    /// The sets of rows of a statistic, as far as they are large enough to be shown.
    fn scopes(&mut self, statistic: &Statistic, partition: Option<usize>) -> Vec<(Scope, Units, u64)> {
        let groups = self.book.groups();
        match (&statistic.group, partition) {
            (None, None) => {
                let scope = Scope::default();
                vec![(scope, Units::Known(self.everybody.clone()), self.plan.rows)]
            }
            (None, Some(p)) => {
                let rows = groups.rows(p, None);
                let scope = Scope { group: None, partition };
                let shown = rows >= self.least;
                shown
                    .then_some((scope, Units::Secret { partition: p, block: None }, rows))
                    .into_iter()
                    .collect()
            }
            (Some(category), Some(p)) => {
                let Some(of) = groups.partitions().get(p) else { return Vec::new() };
                let labels = of.blocks.iter().map(|b| b.label.clone()).enumerate();
                let group = |(block, label)| {
                    let rows = groups.rows(p, Some(block));
                    let scope = Scope { group: Some((category.clone(), label)), partition };
                    (rows >= self.least).then_some((
                        scope,
                        Units::Secret { partition: p, block: Some(block) },
                        rows,
                    ))
                };
                labels.filter_map(group).collect()
            }
            (Some(field), None) => {
                let Some(index) = self.manifest.field(field) else { return Vec::new() };
                let found = self.book.ledger().groups(&self.filter, index, self.least);
                self.plan.ungrouped.insert(field.clone(), found.not_told_apart);
                let scope = |value| Scope { group: Some((field.clone(), value)), partition: None };
                let groups = found.groups.into_iter();
                groups.map(|(value, of)| (scope(value), Units::Known(of.units), of.rows)).collect()
            }
        }
    }

    /// Plans an order statistic: its column is put in order now, or it is served as computed before.
    fn order(&mut self, statistic: &Statistic, target: Target, scope: &Scope) {
        let Target::One(column) = target else { return };
        let group = scope.group.as_ref();
        let value = group.and_then(|(field, value)| Some((self.manifest.field(field)?, value.clone())));
        let whose = Whose { column, group: value };
        let newest = self.plan.point.public.number;
        let point = match self.book.orders().decided(&whose) {
            Renewal::TooFew => {
                self.unavailable += usize::from(group.is_none());
                return;
            }
            Renewal::Serve(point) => u64::from(point),
            Renewal::Anew if self.listed && !self.book.erased_since() => {
                let measure = statistic.measure.clone();
                let known = self.plan.sortings.iter_mut().find(|s| s.scope == *scope && s.whose == whose);
                match known {
                    Some(sorting) => sorting.measures.push(measure),
                    None => {
                        let measures = vec![measure];
                        self.plan.sortings.push(Sorting { scope: scope.clone(), whose, measures });
                    }
                }
                return;
            }
            Renewal::Anew => newest,
        };
        let label = group.map(|(_, value)| value.clone());
        self.plan.earlier.push(Earlier { statistic: statistic.clone(), target, label, point });
    }
}
