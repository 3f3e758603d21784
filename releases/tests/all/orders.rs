//! Order statistics: searches that confirm the rules on small systems, and show the attack that each rule prevents.

use std::collections::BTreeSet;

use tercet_releases::ranks::{Order, Renewal, Renewals, least};

use super::combinations::{Weights, singles_out};
use super::people::Random;

/// The numbers of smallest values that a list sums over `n` rows.
fn cuts(list: &[Order], n: u64) -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    for order in list {
        match order {
            Order::Lorenz(p) => all.extend([u64::from(*p) * n / 1000]),
            Order::TopShare(p) => all.extend([n - (u64::from(*p) * n).div_ceil(1000)]),
            Order::Trimmed(p) => {
                let k = u64::from(*p) * n / 1000;
                all.extend([k, n - k]);
            }
            _ => {}
        }
    }
    all
}

/// Sums of the k smallest of these people, who are named by their rank among `all`.
fn smallest(people: &[usize], cuts: &BTreeSet<u64>, all: usize) -> Vec<Weights> {
    let mut sorted = people.to_vec();
    sorted.sort_unstable();
    cuts.iter()
        .map(|k| {
            let mut weights = vec![0; all];
            sorted.iter().take(*k as usize).for_each(|p| weights[*p] = 1);
            weights
        })
        .filter(|w| w.iter().any(|x| *x != 0))
        .collect()
}

/// Rule 3, at one release point: no combination of sums of smallest values tells about fewer than m people, from n_min on; and
/// one row fewer is too few.
#[test]
fn from_n_min_on_no_two_sums_single_somebody_out() {
    let lists: [&[Order]; 5] = [
        &[Order::Lorenz(250), Order::Lorenz(500)],
        &[Order::Lorenz(200), Order::TopShare(200)],
        &[Order::Trimmed(250)],
        &[Order::Lorenz(400), Order::Trimmed(100)],
        &[Order::TopShare(500), Order::Lorenz(100)],
    ];
    for list in lists {
        for m in [2u64, 3] {
            let n_min = least(list, m).unwrap();
            let attack = |n: u64| {
                let everybody: Vec<usize> = (0..n as usize).collect();
                let mut released: BTreeSet<Weights> =
                    smallest(&everybody, &cuts(list, n), n as usize).into_iter().collect();
                // Everybody's sum is known from the units.
                released.insert(vec![1; n as usize]);
                singles_out(&released, m as usize)
            };
            assert!((n_min..n_min + 8).all(|n| attack(n).is_none()), "{list:?}, m = {m}: {n_min} rows");
            let below = (1..n_min).filter(|n| attack(*n).is_some()).max();
            assert_eq!(below, Some(n_min - 1), "{list:?}, m = {m}: n_min is not the least");
        }
    }
}

/// Without the rule that a list has a floor and a ceiling of the same share in one form only, one person's value comes out at
/// every size that the share does not divide.
#[test]
fn floor_and_ceiling_of_one_share_single_somebody_out() {
    let list = [Order::Trimmed(100), Order::TopShare(100)];
    assert!(least(&list, 3).is_err());
    let n = 35;
    let everybody: Vec<usize> = (0..n).collect();
    let released: BTreeSet<Weights> = smallest(&everybody, &cuts(&list, n as u64), n).into_iter().collect();
    assert!(singles_out(&released, 3).is_some());
}

/// All ways in which `new` newcomers take their places among `old` people: the ranks of the old ones.
fn arrangements(old: usize, new: usize) -> Vec<Vec<usize>> {
    let all = old + new;
    (0u32..1 << all)
        .filter(|mask| mask.count_ones() as usize == old)
        .map(|mask| (0..all).filter(|i| mask >> i & 1 == 1).collect())
        .collect()
}

/// Rule 4: with n_min newcomers, the sums of one statistic before and after differ by m people or more, however these take their
/// places; with fewer newcomers they single somebody out.
#[test]
fn a_renewal_takes_n_min_newcomers() {
    for order in [Order::Lorenz(500), Order::TopShare(400)] {
        let m = 2;
        let n_min = least(&[order], m).unwrap();
        let singled_out = |old: u64, new: u64| {
            let all = (old + new) as usize;
            arrangements(old as usize, new as usize).into_iter().any(|before| {
                let everybody: Vec<usize> = (0..all).collect();
                let mut released: BTreeSet<Weights> =
                    smallest(&before, &cuts(&[order], old), all).into_iter().collect();
                released.extend(smallest(&everybody, &cuts(&[order], old + new), all));
                singles_out(&released, m as usize).is_some()
            })
        };
        for old in n_min..n_min + 3 {
            for new in n_min..n_min + 3 {
                assert!(!singled_out(old, new), "{order:?}: {old} and {new}");
            }
            assert!(
                (m..n_min).any(|new| singled_out(old, new)),
                "{order:?}: fewer newcomers do no harm to {old}"
            );
        }
        // The product's own decision.
        let mut renewals = Renewals::new(n_min);
        assert_eq!(renewals.decide(1, n_min, 0), Renewal::Anew);
        assert_eq!(renewals.decide(2, 2 * n_min - 1, 0), Renewal::Serve(1));
        assert_eq!(renewals.decide(3, 2 * n_min, 1), Renewal::Serve(1));
        assert_eq!(renewals.decide(4, 2 * n_min + 1, 1), Renewal::Anew);
    }
}

/// The same in a simulation of a usual size: the tenth of the smallest, before and after. With one unit of ten newcomers the
/// difference of the two sums is often one person's value; with n_min newcomers it is so in none of two thousand surveys.
#[test]
fn differences_of_lorenz_sums_are_no_single_value() {
    let n_min = least(&[Order::Lorenz(100)], 10).unwrap();
    assert_eq!(n_min, 100);
    let mut random = Random(3);
    let mut singles = |new: u64| {
        let mut found = 0;
        for _ in 0..2000 {
            let mut before: Vec<u64> = (0..n_min).map(|_| random.below(1 << 40)).collect();
            let mut after: Vec<u64> =
                (0..new).map(|_| random.below(1 << 40)).chain(before.iter().copied()).collect();
            before.sort_unstable();
            after.sort_unstable();
            let sum = |values: &[u64]| values.iter().take(values.len() / 10).sum::<u64>();
            let difference = sum(&after).checked_sub(sum(&before));
            found += usize::from(difference.is_some_and(|d| after.binary_search(&d).is_ok()));
        }
        found
    };
    let (soon, later) = (singles(10), singles(n_min));
    println!("one person's value in {soon} of 2000 after ten newcomers, in {later} after {n_min}");
    assert!(soon > 400, "{soon}");
    assert_eq!(later, 0);
}

/// Rule 1: without it, the median of unions of groups reads out one group value by value; of groups alone, each tells one.
#[test]
fn medians_under_filters_read_out_a_group() {
    let mut random = Random(1);
    let mut around =
        |middle: u64, n: u64| -> Vec<u64> { (0..n).map(|_| middle + random.below(10_000)).collect() };
    let low: Vec<Vec<u64>> = (0..10).map(|i| around(20_000, 10 + i)).collect();
    let high: Vec<Vec<u64>> = (0..10).map(|i| around(80_000, 10 + i)).collect();
    let mut victims = around(50_000, 12);
    victims.sort_unstable();
    let median = |mut values: Vec<u64>| {
        values.sort_unstable();
        values[values.len().div_ceil(2) - 1]
    };
    let mut read = BTreeSet::new();
    let sets = |groups: &[Vec<u64>]| -> Vec<Vec<u64>> {
        let pairs = groups
            .iter()
            .enumerate()
            .flat_map(|(i, a)| groups[i..].iter().map(move |b| [&a[..], b].concat()));
        std::iter::once(vec![]).chain(groups.iter().cloned()).chain(pairs).collect()
    };
    for below in sets(&low) {
        for above in sets(&high) {
            read.insert(median([&below[..], &above[..], &victims[..]].concat()));
        }
    }
    let stolen = victims.iter().filter(|v| read.contains(v)).count();
    assert_eq!(stolen, victims.len(), "every value of the group is the median of some union");
    assert_eq!(victims.iter().filter(|v| **v == median(victims.clone())).count(), 1);
}

/// A party that erases somebody learns nothing from the sums that order statistics open: these never add up to a total, whose
/// difference from the units' sums would be the erased value. With the total, the erased value comes out.
#[test]
fn totals_over_those_who_are_left_would_tell_who_left() {
    let (n, m) = (40usize, 3usize);
    let list = [Order::Lorenz(250), Order::TopShare(250), Order::Trimmed(375)];
    assert!(least(&list, m as u64).is_ok_and(|n_min| n_min <= 40));
    for erased in 0..n {
        let left: Vec<usize> = (0..n).filter(|p| *p != erased).collect();
        let k = left.len() as u64;
        // What is opened: the smallest of Lorenz, the largest of the top share, and the middle; the unit's sum is that of all.
        let range = |from: u64, to: u64| {
            let mut weights = vec![0; n];
            left.iter().take(to as usize).skip(from as usize).for_each(|p| weights[*p] = 1);
            weights
        };
        let mut released = BTreeSet::from([
            vec![1; n],
            range(0, k * 250 / 1000),
            range(k - (k * 250).div_ceil(1000), k),
            range(k * 375 / 1000, k - k * 375 / 1000),
        ]);
        assert_eq!(singles_out(&released, m), None, "erased: {erased}");
        released.insert(range(0, k));
        assert!(singles_out(&released, m).is_some_and(|c| c.iter().filter(|x| !x.is_zero()).count() == 1));
    }
    // A list that adds up to it is refused.
    assert!(least(&[Order::Lorenz(750), Order::TopShare(250)], m as u64).is_err());
}
