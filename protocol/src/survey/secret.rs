//! Secret groups: groups of rows whose members nobody knows. They are the rows with a value in a column that may be
//! missing, with one value of a category, or with a value in one bin of a histogram.
//!
//! Sums over such columns are released for *secret units* only: whole groups in which at least `min_new` have come. When that
//! is so, the parties decide on shared counts at each release point; see `tercet_releases::Clocks`.

use std::collections::{BTreeMap, BTreeSet};

use tercet_mpc::statistics::{Family, Limit, Permit, Target};
use tercet_mpc::{Condition, Output, Term};
use tercet_releases::Partition;

use super::SurveyManifest;
use crate::statistic::targets;

/// A sum over some rows, of sums over all of them: the number of rows and of outputs, each times a factor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Linear {
    /// The factor of the number of rows.
    pub rows: i64,
    /// The outputs, each with the factor of its sum.
    pub of: Vec<(Output, i64)>,
}

impl Linear {
    fn one(output: Output) -> Self {
        Self { rows: 0, of: vec![(output, 1)] }
    }

    fn less(self, other: &Self) -> Self {
        let of = self.of.into_iter().chain(other.of.iter().map(|(o, n)| (*o, -n))).collect();
        Self { rows: self.rows - other.rows, of }
    }
}

/// One secret group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretBlock {
    /// The value of the category; empty where the groups have no names.
    pub label: String,
    /// The number of rows in it.
    pub size: Linear,
    /// The columns in which its rows have a value.
    pub has: BTreeSet<u8>,
}

/// That which divides the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    /// The category, by its index among the statement's columns.
    Category(u8),
    /// The rows with a value in the only column.
    Presence(u8),
    /// The rows with a value in a column, and those without, since other columns are in pairs with it.
    Beside(u8),
    /// The rows with a value in both columns, in one of them, in neither.
    Both(u8, u8),
    /// The bin of a histogram: numbers of rows only.
    Bins,
}

/// Secret groups that nobody is in two of, and the columns whose sums are released by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPartition {
    /// Columns whose sums are released for secret units only. No column is in two partitions.
    pub columns: BTreeSet<u8>,
    /// True if numbers of rows by category are released.
    pub counts_rows: bool,
    /// The category, where it is one that divides the rows.
    pub category: Option<String>,
    /// The column and the name of the histogram (`histogram:0,1,10`) whose bins these are.
    pub histogram: Option<(u8, String)>,
    /// The groups.
    pub blocks: Vec<SecretBlock>,
    /// True if rows that wait for long become a unit across the groups. Not where some of them have no value.
    pub rest: bool,
    by: By,
}

impl SecretPartition {
    /// The same, as the rules take it.
    pub fn clocked(&self) -> Partition {
        Partition { blocks: self.blocks.len(), rest: self.rest }
    }

    /// The sum of an output over the rows of one group; `None` if no lanes of the survey give it.
    pub fn within(&self, block: usize, output: Output) -> Option<Linear> {
        let zero = Linear::default();
        let columns = columns_of(output);
        match self.by {
            // The texts of a category are 16 at most.
            By::Category(index) => Some(Linear::one(Output::Given(
                output.term(),
                Condition::Is(index, u8::try_from(block).ok()?),
            ))),
            By::Bins => None,
            By::Presence(_) => Some(Linear::one(output)),
            By::Beside(a) => {
                let here = if columns.contains(&a) {
                    output
                } else {
                    Output::Given(output.term(), Condition::Present(a))
                };
                let (has, all) = (Linear::one(here), Linear::one(output));
                match block {
                    0 => Some(has),
                    1 if here == output => Some(zero),
                    1 => Some(all.less(&has)),
                    _ => None,
                }
            }
            By::Both(a, b) => {
                let both = both(output, a, b)?;
                let alone = Linear::one(output).less(&Linear::one(both));
                match block {
                    0 => Some(Linear::one(both)),
                    1 if both != output && columns.contains(&a) => Some(alone),
                    2 if both != output && columns.contains(&b) => Some(alone),
                    1..=3 => Some(zero),
                    _ => None,
                }
            }
        }
    }
}

/// The output over rows that have a value in both columns; `None` if it uses a third one.
fn both(output: Output, a: u8, b: u8) -> Option<Output> {
    let columns = columns_of(output);
    if columns.iter().any(|c| *c != a && *c != b) {
        return None;
    }
    Some(match output {
        Output::Present(_) => Output::Given(Term::Present(a.min(b)), Condition::Present(a.max(b))),
        Output::Given(..) | Output::Product(..) => output,
        _ => Output::Given(output.term(), Condition::Present(if columns.contains(&a) { b } else { a })),
    })
}

/// All columns that an output uses, also in its condition.
fn columns_of(output: Output) -> BTreeSet<u8> {
    let of_term = match output.term() {
        Term::One => (None, None),
        Term::Present(c) | Term::Value(c) | Term::Square(c) | Term::Log(c) | Term::Reciprocal(c) => {
            (Some(c), None)
        }
        Term::Product(a, b) => (Some(a), Some(b)),
    };
    let of_condition = match output.condition() {
        Some(Condition::Present(c) | Condition::Below(c, _)) => Some(c),
        Some(Condition::Is(..)) | None => None,
    };
    of_term.0.into_iter().chain(of_term.1).chain(of_condition).collect()
}

/// The columns of a target.
pub(super) fn columns(target: Target) -> Vec<u8> {
    match target {
        Target::Rows => Vec::new(),
        Target::One(c) => vec![c],
        Target::Two(a, b) => vec![a, b],
    }
}

impl SurveyManifest {
    /// The survey's secret groups, in a fixed order: those by category, then the columns that may be missing, then the bins of
    /// histograms. Every column is in one partition at most: the bins count rows, and nothing is summed by them.
    pub fn partitions(&self) -> Vec<SecretPartition> {
        let mut all = self.of_columns();
        all.extend(self.binned());
        all
    }

    /// Those whose columns' sums are released by them.
    pub(super) fn of_columns(&self) -> Vec<SecretPartition> {
        let mut all = Vec::new();
        let optional: BTreeSet<u8> = self.indices().filter(|c| self.may_be_missing(*c)).collect();
        let components = self.components();
        let mut taken = BTreeSet::new();
        if let Some((name, index)) = self.grouping() {
            let grouped = self.categorized();
            let with_pairs: BTreeSet<u8> =
                grouped.iter().flat_map(|c| components.get(c).cloned().unwrap_or_default()).collect();
            let present: BTreeSet<u8> = with_pairs.difference(&optional).copied().collect();
            let counts_rows = self.permits().iter().any(|p| {
                p.group.as_deref() == Some(name.as_str())
                    && targets(self, p.family, &p.columns).contains(&Target::Rows)
            });
            if counts_rows || !present.is_empty() {
                all.push(self.by_category(&name, index, present.clone(), counts_rows, None));
            }
            for column in grouped.intersection(&optional) {
                all.push(self.by_category(&name, index, BTreeSet::from([*column]), false, Some(*column)));
            }
            taken.extend(with_pairs);
        }
        for column in &optional {
            if taken.contains(column) {
                continue;
            }
            let component = components.get(column).cloned().unwrap_or_default();
            taken.extend(&component);
            let own: Vec<u8> = component.intersection(&optional).copied().collect();
            let has = |columns: &[u8]| component.difference(&optional).chain(columns).copied().collect();
            let block = |size, has| SecretBlock { label: String::new(), size, has };
            let present = |c| Linear::one(Output::Present(c));
            let rows = Linear { rows: 1, of: Vec::new() };
            let (by, blocks) = match own[..] {
                [a] if component.len() == 1 => (By::Presence(a), vec![block(present(a), has(&[a]))]),
                [a] => (
                    By::Beside(a),
                    vec![block(present(a), has(&[a])), block(rows.less(&present(a)), has(&[]))],
                ),
                // A valid survey has two in one partition at most.
                [a, b, ..] => {
                    let both = Linear::one(Output::Given(Term::Present(a), Condition::Present(b)));
                    let neither = rows.less(&present(a)).less(&present(b));
                    let neither = Linear { of: [neither.of, both.of.clone()].concat(), ..neither };
                    let blocks = vec![
                        block(both.clone(), has(&[a, b])),
                        block(present(a).less(&both), has(&[a])),
                        block(present(b).less(&both), has(&[b])),
                        block(neither, has(&[])),
                    ];
                    (By::Both(a, b), blocks)
                }
                [] => continue,
            };
            all.push(SecretPartition {
                histogram: None,
                columns: component,
                counts_rows: false,
                category: None,
                blocks,
                rest: false,
                by,
            });
        }
        all
    }

    /// One for each histogram and column. Providers prove whether their value is below each limit; the size of a bin is a
    /// difference of two such numbers.
    fn binned(&self) -> Vec<SecretPartition> {
        let mut all: Vec<SecretPartition> = Vec::new();
        for permit in self.permits().into_iter().filter(|p| p.family == Family::Histogram) {
            let Some(measure) = &permit.measure else { continue };
            for column in targets(self, permit.family, &permit.columns).into_iter().flat_map(columns) {
                let histogram = Some((column, measure.to_string()));
                let Some(section) = self.columns.get(usize::from(column)) else { continue };
                if all.iter().any(|p| p.histogram == histogram) {
                    continue;
                }
                let everybody = if self.may_be_missing(column) {
                    Linear::one(Output::Present(column))
                } else {
                    Linear { rows: 1, of: Vec::new() }
                };
                let below = |limit: Limit| match limit {
                    Limit::At(edge) if edge.unsigned_abs() >> section.bits == 0 => {
                        Linear::one(Output::Given(Term::One, Condition::Below(column, edge)))
                    }
                    Limit::At(edge) if edge < 0 => Linear::default(),
                    Limit::BelowAll => Linear::default(),
                    Limit::At(_) | Limit::AboveAll => everybody.clone(),
                };
                let limits: Vec<Linear> = measure.limits(section.scale).into_iter().map(below).collect();
                let until = limits.iter().cloned().chain([everybody.clone()]);
                let from = std::iter::once(Linear::default()).chain(limits.iter().cloned());
                let block = |(label, (until, from)): (String, (Linear, Linear))| SecretBlock {
                    label,
                    size: until.less(&from),
                    has: BTreeSet::from([column]),
                };
                let blocks = measure.bins().into_iter().zip(until.zip(from)).map(block).collect();
                all.push(SecretPartition {
                    columns: BTreeSet::new(),
                    counts_rows: false,
                    category: None,
                    histogram,
                    blocks,
                    rest: true,
                    by: By::Bins,
                });
            }
        }
        all
    }

    fn by_category(
        &self,
        name: &str,
        index: u8,
        columns: BTreeSet<u8>,
        counts_rows: bool,
        missing: Option<u8>,
    ) -> SecretPartition {
        let values = self.category(name).map(|(_, c)| c.values.clone()).unwrap_or_default();
        let counted = missing.map_or(Term::One, Term::Present);
        let block = |(value, label): (u8, String)| SecretBlock {
            label,
            size: Linear::one(Output::Given(counted, Condition::Is(index, value))),
            has: columns.clone(),
        };
        let blocks = (0..).zip(values).map(block).collect();
        let (category, by) = (Some(name.to_owned()), By::Category(index));
        SecretPartition { columns, counts_rows, category, histogram: None, blocks, rest: true, by }
    }

    /// Indices of the columns; there are [`super::MAX_COLUMNS`] at most.
    pub(super) fn indices(&self) -> std::ops::Range<u8> {
        0..u8::try_from(self.columns.len()).unwrap_or(u8::MAX)
    }

    /// For each column, all that are in pairs of listed statistics with it, with one of these, and so on; itself too.
    pub(super) fn components(&self) -> BTreeMap<u8, BTreeSet<u8>> {
        let mut all: BTreeMap<u8, BTreeSet<u8>> = self.indices().map(|c| (c, BTreeSet::from([c]))).collect();
        for (a, b) in self.pairs() {
            let one: BTreeSet<u8> = [a, b].iter().filter_map(|c| all.get(c)).flatten().copied().collect();
            one.iter().for_each(|c| {
                all.insert(*c, one.clone());
            });
        }
        all
    }

    /// The pairs that listed statistics use.
    pub(super) fn pairs(&self) -> BTreeSet<(u8, u8)> {
        let of = |p: &Permit| targets(self, p.family, &p.columns);
        let two = |t| if let Target::Two(a, b) = t { Some((a.min(b), a.max(b))) } else { None };
        self.permits().iter().flat_map(of).filter_map(two).collect()
    }

    /// The category by which listed statistics are grouped, and its index among the statement's columns.
    fn grouping(&self) -> Option<(String, u8)> {
        let groups = self.permits().into_iter().filter_map(|p| p.group);
        groups.into_iter().find_map(|g| self.category(&g).map(|(index, c)| (c.name.clone(), index)))
    }

    /// The outputs that providers share in place of `listed`, the outputs of listed statistics. Sums that are released by secret
    /// groups are shared for each group, and so are the numbers from which the groups' sizes are computed. Outputs of other
    /// columns stay as they are.
    pub(crate) fn by_secret_group(&self, listed: &BTreeSet<Output>) -> BTreeSet<Output> {
        let mut all = listed.clone();
        for partition in self.partitions() {
            let of = |o: &&Output| !columns_of(**o).is_disjoint(&partition.columns);
            let own: Vec<Output> = listed.iter().filter(of).copied().collect();
            own.iter().for_each(|o| {
                all.remove(o);
            });
            for (i, block) in partition.blocks.iter().enumerate() {
                let sums = own.iter().filter_map(|o| partition.within(i, *o));
                all.extend(sums.chain([block.size.clone()]).flat_map(|sum| sum.of).map(|(output, _)| output));
            }
        }
        all
    }
}
