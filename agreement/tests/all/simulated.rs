//! The simulation in its short form; `cargo xtask simulate --seeds N` runs more.

use super::sim::Planted;
use super::sim::world::{progress, run};

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

/// A simulation in which nothing happens would find nothing.
#[test]
fn the_runs_are_eventful() {
    let all: Vec<_> = (0..100).map(|seed| progress(seed, OPERATIONS)).collect();
    let [entries, finished, answers] = [0, 1, 2].map(|i| all.iter().map(|run| run[i]).sum::<u64>());
    println!("{entries} entries, {finished} of them finished by a later session, {answers} answers");
    assert!(entries > 600 && finished > 50 && answers > 20, "{entries} {finished} {answers}");
}

#[test]
fn planted_faults_are_found() {
    for planted in Planted::ALL {
        let found = (0..200).find_map(|seed| run(seed, OPERATIONS, Some(planted)));
        println!("{planted:?}: {found:?}");
        assert!(found.is_some(), "{planted:?} was not found");
    }
}
