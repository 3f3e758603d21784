//! Secret groups: exhaustive searches and properties of the clocks.
//!
//! The model knows what only the parties together know, which row is in which group, and releases each secret unit's sum.
//! Rows enter with public units, computed as in the product.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tercet_releases::{Clocks, DAY, Partition, Point, Range};

use super::combinations::{Weights, singles_out, told_apart};

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// A clock stays where it was when its block's rows became a unit.
    ClockStays,
    /// The bit says that anybody has come, not that enough have.
    AnybodyCounts,
    /// The rest takes rows of all ages, but moves the clocks as if it had taken only the old ones.
    RestTakesAll,
    /// Sums of the column are also released by the public units.
    Filtered,
    /// A rest is formed across groups whose rows have no value in the column.
    RestWithoutValues,
}

const M: usize = 2;

#[derive(Clone)]
struct Model {
    clocks: Clocks,
    blocks: usize,
    /// For each row, the release point at which it entered and its block.
    rows: Vec<(u32, usize)>,
    points: Vec<Point>,
    released: BTreeSet<Weights>,
    units: Vec<Vec<u32>>,
    broken: Broken,
    most: usize,
}

impl Model {
    fn new(blocks: usize, broken: Broken, most: usize) -> Self {
        Self {
            clocks: Clocks::new(Partition { blocks, rest: true }),
            blocks,
            rows: vec![],
            points: vec![],
            released: BTreeSet::new(),
            units: vec![],
            broken,
            most,
        }
    }

    fn within(&self, ranges: &[Range]) -> Vec<u32> {
        let inside =
            |(point, block): &(u32, usize)| ranges[*block].after < *point && *point <= ranges[*block].until;
        (0..).zip(&self.rows).filter(|(_, row)| inside(row)).map(|(i, _)| i).collect()
    }

    /// The rows of one block.
    fn of_block(&self, block: usize, range: Range) -> Vec<u32> {
        let mut ranges = vec![Range { after: 0, until: 0 }; self.blocks];
        ranges[block] = range;
        self.within(&ranges)
    }

    fn sum(&mut self, rows: &[u32]) {
        let mut weights = vec![0; self.most];
        // In the broken partition, who is in the last block has no value.
        let valued = |row: &&u32| {
            self.broken != Broken::RestWithoutValues || self.rows[**row as usize].1 + 1 < self.blocks
        };
        rows.iter().filter(valued).for_each(|row| weights[*row as usize] = 1);
        if weights.iter().any(|w| *w != 0) {
            self.released.insert(weights);
        }
    }

    /// A release point at which these rows enter, a day (or several) after the last one.
    fn point(&mut self, entering: &[usize], days: u64, last: bool) {
        let number = self.points.len() as u32 + 1;
        let time = self.points.last().map_or(0, |p| p.time) + days * DAY;
        let first = self.rows.len() as u32;
        self.rows.extend(entering.iter().map(|block| (number, *block)));
        self.points.push(Point { time, units: number, rows: self.rows.len() as u64 });
        if self.broken == Broken::Filtered {
            let unit: Vec<u32> = (first..self.rows.len() as u32).collect();
            self.sum(&unit);
        }
        let questions = self.clocks.questions(number);
        let enough = if self.broken == Broken::AnybodyCounts { 1 } else { M };
        let groups: Vec<Vec<u32>> = (0..self.blocks).map(|b| self.of_block(b, questions.blocks[b])).collect();
        let bits: Vec<bool> = groups.iter().map(|rows| rows.len() >= enough).collect();
        for rows in groups.iter().filter(|rows| rows.len() >= enough) {
            self.sum(rows);
            self.units.push(rows.clone());
        }
        let mut rest = self.clocks.rest(number, &bits, &self.points, DAY, last).unwrap();
        if let Some(ranges) = &rest {
            let mut taken = ranges.clone();
            if self.broken == Broken::RestTakesAll {
                taken.iter_mut().zip(&bits).filter(|(_, bit)| !**bit).for_each(|(r, _)| r.until = number);
            }
            let rows = self.within(&taken);
            if rows.len() >= M {
                self.sum(&rows);
                self.units.push(rows);
            } else {
                rest = None;
            }
        }
        if self.broken == Broken::ClockStays {
            return;
        }
        self.clocks.decide(number, &bits, rest.as_deref()).unwrap();
    }

    fn attack(&self) -> Option<String> {
        if let Some(found) = singles_out(&self.released, M) {
            return Some(format!("a combination that tells about fewer than {M}: {found:?}"));
        }
        let apart = |unit: &Vec<u32>| told_apart(&self.released, unit);
        self.units.iter().find_map(apart).map(|pair| format!("rows of one unit weigh differently: {pair:?}"))
    }

    /// True if the rows in units are a prefix of each block: all up to its clock, none after it.
    fn consistent(&self) -> bool {
        let mut seen = BTreeSet::new();
        let once = self.units.iter().flatten().all(|row| seen.insert(*row));
        let prefix = (0..)
            .zip(&self.rows)
            .all(|(i, (point, block))| seen.contains(&i) == (*point <= self.clocks.last()[*block]));
        once && prefix && self.units.iter().all(|unit| unit.len() >= M)
    }
}

/// All ways in which up to four rows of two blocks enter at each of the release points.
fn search(model: &Model, points: usize, found: &mut Option<String>) -> usize {
    if points == 0 || found.is_some() {
        return 0;
    }
    let mut systems = 0;
    for zero in 0..=2 {
        for one in 0..=2 {
            for days in [1, 3] {
                let mut next = model.clone();
                let entering: Vec<usize> = [vec![0; zero], vec![1; one]].concat();
                next.point(&entering, days, points == 1);
                systems += 1;
                if let Some(how) = next.attack() {
                    found.get_or_insert(how);
                    return systems;
                }
                assert!(next.broken != Broken::Nothing || next.consistent());
                systems += search(&next, points - 1, found);
            }
        }
    }
    systems
}

#[test]
fn no_combination_of_secret_units_tells_rows_apart() {
    let mut found = None;
    let systems = search(&Model::new(2, Broken::Nothing, 12), 3, &mut found);
    assert_eq!(found, None);
    assert!(systems > 5000, "{systems}");
}

#[test]
fn each_broken_rule_of_secret_groups_is_found() {
    for broken in [
        Broken::ClockStays,
        Broken::AnybodyCounts,
        Broken::RestTakesAll,
        Broken::Filtered,
        Broken::RestWithoutValues,
    ] {
        let mut found = None;
        let systems = search(&Model::new(2, broken, 12), 3, &mut found);
        println!(
            "{broken:?}: {}",
            found.unwrap_or_else(|| panic!("{broken:?} was not found in {systems} systems"))
        );
    }
}

/// Rows of a rare group become part of a rest only after twice the patience, and at the last release point.
#[test]
fn rows_of_a_rare_group_wait_before_they_join_a_rest() {
    let clocks = Clocks::new(Partition { blocks: 2, rest: true });
    let points: Vec<Point> = (1..=4).map(|n| Point { time: n * DAY, units: n as u32, rows: n }).collect();
    let until = |number, all| {
        let ranges = clocks.rest(number, &[false, false], &points, DAY, all).unwrap();
        ranges.map(|ranges| ranges.iter().map(|r| r.until).collect::<Vec<_>>())
    };
    assert_eq!(until(1, false), None);
    assert_eq!(until(3, false), None, "two days are not longer than twice a day");
    assert_eq!(until(4, false), Some(vec![1, 1]));
    assert_eq!(until(4, true), Some(vec![4, 4]));
}

/// Four accounts of the attacker's and one person: no bit and no sum tells who has a value, unless five have one.
#[test]
fn a_group_of_false_accounts_waits_for_the_fifth() {
    for victim_is_in in [false, true] {
        let mut clocks = Clocks::new(Partition { blocks: 1, rest: false });
        let points: Vec<Point> =
            (1..=3).map(|n| Point { time: n * 100 * DAY, units: n as u32, rows: 5 * n }).collect();
        // Twelve others at the first point; four accounts and the victim at the second.
        let entered = |range: &Range| -> usize {
            [(1, 12), (2, 4 + usize::from(victim_is_in))]
                .iter()
                .filter(|(p, _)| range.after < *p && *p <= range.until)
                .map(|(_, n)| n)
                .sum()
        };
        let mut sizes = vec![];
        for number in 1..=3 {
            let bits: Vec<bool> = clocks.questions(number).blocks.iter().map(|r| entered(r) >= 5).collect();
            assert_eq!(
                clocks.rest(number, &bits, &points, DAY, number == 3),
                Ok(None),
                "one group has no rest"
            );
            sizes.extend(
                clocks
                    .questions(number)
                    .blocks
                    .iter()
                    .zip(&bits)
                    .filter(|(_, b)| **b)
                    .map(|(r, _)| entered(r)),
            );
            clocks.decide(number, &bits, None).unwrap();
        }
        assert_eq!(sizes, if victim_is_in { vec![12, 5] } else { vec![12] });
    }
}

proptest! {
    /// Larger systems: whatever comes in whichever block, units are prefixes of their blocks, and no sum tells rows apart.
    #[test]
    fn clocks_keep_what_is_summed_a_prefix(
        points in prop::collection::vec((prop::collection::vec(0usize..4, 0..6), 1u64..6), 1..12),
    ) {
        let rows = points.iter().map(|(rows, _)| rows.len()).sum();
        let mut model = Model::new(4, Broken::Nothing, rows);
        let last = points.len() - 1;
        for (i, (entering, days)) in points.iter().enumerate() {
            model.point(entering, *days, i == last);
            prop_assert!(model.consistent());
        }
        prop_assert!(model.units.iter().all(|unit| told_apart(&model.released, unit).is_none()));
    }

    /// Decisions that do not fit the partition are refused and change nothing.
    #[test]
    fn decisions_that_do_not_fit_are_refused(blocks in 1usize..5, bits in prop::collection::vec(any::<bool>(), 0..7)) {
        prop_assume!(bits.len() != blocks);
        let mut clocks = Clocks::new(Partition { blocks, rest: true });
        let before = clocks.clone();
        prop_assert!(clocks.decide(1, &bits, None).is_err());
        prop_assert!(clocks.rest(1, &bits, &[], DAY, false).is_err());
        let right = vec![false; blocks];
        let ranges = vec![Range { after: 0, until: 1 }; bits.len()];
        prop_assert!(clocks.decide(1, &right, Some(&ranges)).is_err());
        prop_assert_eq!(clocks, before);
    }
}
