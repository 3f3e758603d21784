//! The release rules: what a party lets out of a survey, whatever the other parties and the coordinator say.
//!
//! Every release is over sets of rows: those that a filter selects among the rows live at one height. Rows that are
//! in exactly the same released sets are one *cell*. The rules look at sums: who knows several of them can form any
//! linear combination. A cell with enough rows is *large*. A release is refused if, together with all earlier ones,
//! some cell is not large and its membership is not a linear combination of the memberships of large cells. Where it
//! is, every combination that depends on the small cell depends on a large one too. So: **each linear combination of
//! all released sums depends on nobody or on at least as many submissions as a large cell has.**
//!
//! Differences of two heights, of a filter and the whole, of groups and filters, and of replaced submissions are all
//! such combinations. Where the cohort only grows and nothing is filtered, the rule says that so many submissions
//! must have been added or replaced between two releases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::filter::Filter;
use tercet_protocol::statistic::Epsilon;
use tercet_protocol::survey::{Guard, SurveyManifest};

/// A release, recorded before anything is opened: if the party stops in between, the rules still count it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The log height that it covers.
    pub height: u64,
    /// What was asked for: all rows that it covers.
    #[serde(default)]
    pub filter: Filter,
    /// The statistics, by name.
    #[serde(default)]
    pub statistics: Vec<String>,
    /// What its noise costs, in billionths of epsilon.
    #[serde(default)]
    pub epsilon: u64,
    /// The sets of rows that it is over: those of the filter, and each group's.
    #[serde(default = "all_rows")]
    pub sets: Vec<Filter>,
    /// The hidden groups that it is over. Written when these were found large enough: until then nothing of them was
    /// to be opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<Hidden>,
}

/// Sums over hidden groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// What guards them.
    pub guard: Guard,
    /// Of a category's groups, those that were put together.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pool: BTreeSet<String>,
}

fn all_rows() -> Vec<Filter> {
    vec![Filter::default()]
}

/// Rows that the rules cannot tell apart: accepted at one height, replaced at one height or not at all, and with the
/// same values of the revealed fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Profile {
    /// Height from which they count.
    pub from: u64,
    /// Height from which they do not count any more.
    pub until: u64,
    /// Number of the combination of fields.
    pub fields: u32,
}

impl Profile {
    /// The end of rows that still count.
    pub const OPEN: u64 = u64::MAX;
}

/// What the rules decide on.
pub struct Situation<'a> {
    /// The survey's rules.
    pub manifest: &'a SurveyManifest,
    /// All rows ever accepted.
    pub profiles: &'a BTreeMap<Profile, u64>,
    /// For each combination of fields, whether a filter selects it.
    pub selects: &'a dyn Fn(&Filter) -> Vec<bool>,
    /// What was released.
    pub released: &'a [Release],
}

impl Situation<'_> {
    /// Applies the rules to a release at the log's height.
    pub fn decide(&self, asked: &Release) -> Result<(), Problem> {
        let survey = &self.manifest.survey;
        for set in &asked.sets {
            self.cohort(asked.height, set)?;
        }
        let pairs = |r: &Release| r.sets.iter().map(|s| (s.clone(), r.height)).collect::<Vec<_>>();
        let before: BTreeSet<_> = self.released.iter().flat_map(pairs).collect();
        let new: BTreeSet<_> = pairs(asked).into_iter().filter(|s| !before.contains(s)).collect();
        // A set that was released comes out again with the same numbers, which tells nobody anything new.
        if !new.is_empty() {
            let all: BTreeSet<_> = before.union(&new).cloned().collect();
            let now: BTreeSet<_> = all.iter().filter(|(_, h)| *h == asked.height).cloned().collect();
            if now.len() > 1 && !self.every_combination_covers(&now, survey.smallest_set()) {
                return Err(Problem::new(
                    ProblemKind::CohortTooSmall,
                    format!(
                        "together with other releases at this height it would tell about fewer than {} \
                         submissions: ask without the filter, or with the same filter as before",
                        survey.smallest_set()
                    ),
                ));
            }
            if !self.every_combination_covers(&all, survey.min_new) {
                return Err(Problem::new(
                    ProblemKind::TooFewNew,
                    format!(
                        "the difference to earlier releases would tell about fewer than {} submissions: wait \
                         until more have been added or replaced",
                        survey.min_new
                    ),
                ));
            }
        }
        self.budget(asked)?;
        self.privacy(asked)
    }

    /// Noise is drawn afresh for every release, the same question again included: each costs what it says.
    fn privacy(&self, asked: &Release) -> Result<(), Problem> {
        let Some(budget) = self.manifest.privacy_budget() else { return Ok(()) };
        let spent: u64 = self.released.iter().map(|r| r.epsilon).fold(0, u64::saturating_add);
        if spent.saturating_add(asked.epsilon) <= budget.billionths() {
            return Ok(());
        }
        let text = |e: u64| Epsilon::from_billionths(e).map_or("0".into(), |e| e.to_string());
        let left = budget.billionths().saturating_sub(spent);
        Err(Problem::new(
            ProblemKind::BudgetSpent,
            format!(
                "the noise of this release costs epsilon {}, and of the survey's {budget} only {} is left: ask for fewer \
                 statistics, or use what was released before",
                text(asked.epsilon),
                text(left)
            ),
        ))
    }

    fn cohort(&self, height: u64, set: &Filter) -> Result<(), Problem> {
        let selected = (self.selects)(set);
        let inside = |p: &Profile| {
            p.from <= height && height < p.until && selected.get(p.fields as usize).is_some_and(|s| *s)
        };
        let rows: u64 = self.profiles.iter().filter(|(p, _)| inside(p)).map(|(_, n)| n).sum();
        let least = self.manifest.survey.smallest_set();
        if rows >= least {
            return Ok(());
        }
        let detail = if set.is_empty() {
            format!("{rows} submissions are in; nothing is released below {least}")
        } else {
            format!("fewer than {least} submissions have {set}; nothing is released about so few")
        };
        Err(Problem::new(ProblemKind::CohortTooSmall, detail))
    }

    fn budget(&self, asked: &Release) -> Result<(), Problem> {
        let Some(budget) = self.manifest.survey.budget else { return Ok(()) };
        let all = self.released.iter().chain([asked]);
        let distinct: BTreeSet<_> =
            all.flat_map(|r| r.statistics.iter().map(move |s| (s, &r.filter, r.height))).collect();
        if distinct.len() as u64 <= budget {
            return Ok(());
        }
        Err(Problem::new(
            ProblemKind::BudgetSpent,
            format!("the survey releases {budget} statistics in all, and this would be more"),
        ))
    }

    /// Whether each linear combination of the sets' sums depends on nobody or on at least `least` rows.
    fn every_combination_covers(&self, sets: &BTreeSet<(Filter, u64)>, least: u64) -> bool {
        let mut cells: BTreeMap<Vector, u64> = BTreeMap::new();
        let chains = Chain::of(sets, self.selects);
        for (profile, rows) in self.profiles {
            let vector = Vector::of(profile, &chains);
            if !vector.is_zero() {
                *cells.entry(vector).or_default() += rows;
            }
        }
        let small: Vec<_> = cells.iter().filter(|(_, rows)| **rows < least).map(|(v, _)| v).collect();
        if small.is_empty() {
            return true;
        }
        let mut span = Span::default();
        cells.iter().filter(|(_, rows)| **rows >= least).for_each(|(v, _)| span.add(v.clone()));
        small.into_iter().all(|v| span.reduce(v.clone()).is_zero())
    }
}

/// The released heights of one filter, ascending, and the column of the first.
struct Chain {
    selected: Vec<bool>,
    heights: Vec<u64>,
    column: usize,
}

impl Chain {
    fn of(sets: &BTreeSet<(Filter, u64)>, selects: &dyn Fn(&Filter) -> Vec<bool>) -> Vec<Self> {
        let mut heights: BTreeMap<&Filter, Vec<u64>> = BTreeMap::new();
        sets.iter().for_each(|(filter, height)| heights.entry(filter).or_default().push(*height));
        let mut column = 0;
        let chain = |(filter, heights): (&Filter, Vec<u64>)| {
            let this = Self { selected: selects(filter), column, heights };
            column += this.heights.len();
            this
        };
        heights.into_iter().map(chain).collect()
    }
}

/// A cell's membership, sparse: column and value, ascending. A column stands for a set minus the set of the same
/// filter one release earlier. That changes no linear dependence, and leaves at most two entries for each filter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Vector(Vec<(usize, u64)>);

/// The prime 2^61 - 1. Dependence is decided modulo it: entries are 0, 1 and -1, and few.
const PRIME: u64 = (1 << 61) - 1;

fn times(a: u64, b: u64) -> u64 {
    // Below PRIME.
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}

fn inverse(a: u64) -> u64 {
    // a^(p - 2)
    let (mut result, mut base, mut exponent) = (1, a, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    result
}

impl Vector {
    fn of(profile: &Profile, chains: &[Chain]) -> Self {
        let mut entries = Vec::new();
        for chain in chains.iter().filter(|c| c.selected.get(profile.fields as usize).is_some_and(|s| *s)) {
            let enters = chain.heights.partition_point(|h| *h < profile.from);
            let leaves = chain.heights.partition_point(|h| *h < profile.until);
            if enters < leaves {
                entries.push((chain.column + enters, 1));
                if leaves < chain.heights.len() {
                    entries.push((chain.column + leaves, PRIME - 1));
                }
            }
        }
        Self(entries)
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// self - factor * other.
    fn minus(&self, factor: u64, other: &Self) -> Self {
        let mut sum: BTreeMap<usize, u64> = self.0.iter().copied().collect();
        for (column, value) in &other.0 {
            let entry = sum.entry(*column).or_default();
            *entry = (*entry + PRIME - times(factor, *value)) % PRIME;
        }
        Self(sum.into_iter().filter(|(_, value)| *value != 0).collect())
    }
}

/// A space of vectors: each kept one leads in a column of its own, with 1.
#[derive(Default)]
struct Span(BTreeMap<usize, Vector>);

impl Span {
    /// What is left of a vector after taking away everything that the space explains.
    fn reduce(&self, mut vector: Vector) -> Vector {
        let mut done = 0;
        while let Some((column, value)) = vector.0.iter().copied().find(|(c, _)| *c >= done) {
            if let Some(pivot) = self.0.get(&column) {
                vector = vector.minus(value, pivot);
            }
            done = column + 1;
        }
        vector
    }

    fn add(&mut self, vector: Vector) {
        let rest = self.reduce(vector);
        if let Some((column, lead)) = rest.0.first().copied() {
            let scale = inverse(lead);
            let entries = rest.0.into_iter().map(|(c, v)| (c, times(v, scale))).collect();
            self.0.insert(column, Vector(entries));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rank(rows: &[Vec<f64>]) -> usize {
        let mut rows = rows.to_vec();
        let (mut rank, width) = (0, rows.first().map_or(0, Vec::len));
        for column in 0..width {
            let Some(pivot) =
                (rank..rows.len()).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))
            else {
                break;
            };
            if rows[pivot][column].abs() < 1e-9 {
                continue;
            }
            rows.swap(rank, pivot);
            let (above, below) = rows.split_at_mut(rank + 1);
            let pivot = &above[rank];
            for row in below {
                let factor = row[column] / pivot[column];
                row.iter_mut().zip(pivot).for_each(|(x, p)| *x -= factor * p);
            }
            rank += 1;
        }
        rank
    }

    proptest! {
        /// The sparse differences decide as the plain memberships do.
        #[test]
        fn the_rule_is_the_definition(
            profiles in prop::collection::btree_map((1u64..5, 1u64..4, 0u32..3), 1u64..8, 1..12),
            sets in prop::collection::btree_set((0usize..7, 1u64..5), 1..7),
            least in 1u64..8,
        ) {
            // Seven filters: the nonempty sets of three combinations of fields.
            let filter = |i: usize| Filter::default().or("f", &i.to_string());
            let selects = |f: &Filter| {
                let i: usize = f.0["f"].first().unwrap().parse().unwrap();
                (0..3).map(|bit| (i + 1) >> bit & 1 == 1).collect::<Vec<bool>>()
            };
            let profiles: BTreeMap<Profile, u64> = profiles
                .into_iter()
                .map(|((from, life, fields), n)| (Profile { from, until: if life == 3 { Profile::OPEN } else { from + life }, fields }, n))
                .collect();
            let sets: Vec<_> = sets.into_iter().collect();
            let member = |p: &Profile| -> Vec<f64> {
                sets.iter()
                    .map(|(i, h)| f64::from(u8::from(selects(&filter(*i))[p.fields as usize] && p.from <= *h && *h < p.until)))
                    .collect()
            };
            let mut cells: Vec<(Vec<f64>, u64)> = Vec::new();
            for (p, n) in &profiles {
                let m = member(p);
                match cells.iter_mut().find(|(c, _)| *c == m) {
                    Some((_, sum)) => *sum += n,
                    None => cells.push((m, *n)),
                }
            }
            let large: Vec<_> = cells.iter().filter(|(_, n)| *n >= least).map(|(m, _)| m.clone()).collect();
            let spanned = |m: &Vec<f64>| rank(&large) == rank(&[large.clone(), vec![m.clone()]].concat());
            let expected = cells.iter().filter(|(_, n)| *n < least).all(|(m, _)| spanned(m));
            let manifest = SurveyManifest::from_toml(include_str!("../../../tests/fixtures/vectors/survey.toml")).unwrap();
            let situation = Situation { manifest: &manifest, profiles: &profiles, selects: &selects, released: &[] };
            let sets = sets.iter().map(|(i, h)| (filter(*i), *h)).collect();
            prop_assert_eq!(situation.every_combination_covers(&sets, least), expected);
        }
    }
}
