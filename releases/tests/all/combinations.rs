//! The linear combinations that an attacker can compute from released sums, over the rational numbers.
//!
//! Sums of values, of squares, of products and of other columns are sums of different unknowns, over the same rows: a combination
//! of all of them is one combination for each kind, and the test looks at these.

use std::collections::BTreeSet;

use super::fraction::{Fraction, eliminate};

/// The rows that a released sum is over: how often each row counts.
pub type Weights = Vec<i64>;

/// A combination of released sums that tells about fewer than `m` rows, and not about nobody.
///
/// Every linear combination is looked at: for each set of fewer than `m` rows, elimination finds out whether one is zero on all
/// others and not on these.
pub fn singles_out(released: &BTreeSet<Weights>, m: usize) -> Option<Vec<Fraction>> {
    let rows = released.first()?.len();
    let matrix: Vec<Vec<Fraction>> =
        released.iter().map(|w| w.iter().map(|n| Fraction::from(*n)).collect()).collect();
    let few = subsets(rows, m - 1);
    few.into_iter().find_map(|few| {
        let others: Vec<usize> = (0..rows).filter(|r| !few.contains(r)).collect();
        let order: Vec<usize> = others.iter().chain(&few).copied().collect();
        eliminate(&matrix, &order).into_iter().find(|row| others.iter().all(|r| row[*r].is_zero()))
    })
}

/// Two rows that some combination weighs differently, of a set that all combinations should weigh alike. A combination weighs two
/// rows differently exactly if one of the sums does.
pub fn told_apart(released: &BTreeSet<Weights>, unit: &[u32]) -> Option<(u32, u32)> {
    let first = *unit.first()?;
    let other = unit.iter().find(|r| released.iter().any(|w| w[**r as usize] != w[first as usize]))?;
    Some((first, *other))
}

/// The sets of exactly `size` rows, or of all if there are fewer.
fn subsets(rows: usize, size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![];
    }
    let mut all: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..size.min(rows) {
        all = all
            .into_iter()
            .flat_map(|set| {
                let from = set.last().map_or(0, |l| l + 1);
                (from..rows).map(move |r| [set.clone(), vec![r]].concat())
            })
            .collect();
    }
    all
}

#[test]
fn the_search_finds_what_is_there() {
    // All and all but one: the one.
    let leaky = BTreeSet::from([vec![1, 1, 1], vec![1, 1, 0]]);
    assert_eq!(singles_out(&leaky, 2).unwrap()[2], Fraction::from(1));
    // Two overlapping pairs of three single out nobody, but with the third pair everybody.
    let two = BTreeSet::from([vec![1, 1, 0], vec![0, 1, 1]]);
    assert_eq!(singles_out(&two, 2), None);
    let three = BTreeSet::from([vec![1, 1, 0], vec![0, 1, 1], vec![1, 0, 1]]);
    assert!(singles_out(&three, 2).is_some());
    assert!(singles_out(&two, 3).is_some());
    assert_eq!(told_apart(&two, &[0, 2]), Some((0, 2)));
    assert_eq!(told_apart(&BTreeSet::from([vec![2, 2, 0]]), &[0, 1]), None);
}
