//! The simulation in its short form; `cargo xtask simulate --seeds N` runs more.

use super::sim::Planted;
use super::sim::world::run;

/// Operations of a run.
const OPERATIONS: usize = 200;

#[test]
fn many_random_runs_violate_nothing() {
    for seed in 0..300 {
        if let Some(wrong) = run(seed, OPERATIONS, None) {
            panic!("{wrong}");
        }
    }
}

#[test]
fn planted_faults_are_found() {
    for planted in [Planted::LockNotDurable, Planted::RowsUnchecked, Planted::VoteWithoutLock] {
        let found = (0..200).find_map(|seed| run(seed, OPERATIONS, Some(planted)));
        assert!(found.is_some(), "{planted:?} was not found");
        println!("{planted:?}: {found:?}");
    }
}
