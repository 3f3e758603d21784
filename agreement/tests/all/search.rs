//! The search in its short form; `cargo xtask model-check` runs the long one.

use tercet_agreement::{Rule, Rules};

use super::model::explore::{Found, explore};
use super::model::single::SinglePhase;
use super::model::world::Setting;

fn holds(what: &str, mut setting: Setting) -> Found {
    let found = explore(&mut setting, usize::MAX);
    println!("{what}: {} states, {:?}", found.states, found.took);
    assert!(found.wrong.is_none() && found.complete, "{what}: {found:#?}");
    found
}

fn fails(what: &str, mut setting: Setting) {
    let found = explore(&mut setting, 4_000_000);
    println!("{what}: {} states, {:?}: {:?}", found.states, found.took, found.wrong.as_ref().map(|w| &w.0));
    assert!(found.wrong.is_some(), "{what}: nothing found in {} states", found.states);
}

#[test]
fn no_fork_no_loss_and_nobody_is_stuck() {
    let found = holds("the protocol", Setting::right(3));
    assert!(found.states > 50_000, "the search saw {} states only", found.states);
}

#[test]
fn a_party_that_is_restored_to_an_older_state_stays_safe() {
    holds("restored", Setting { restore: true, ..Setting::right(2) });
    // With its clock set back too, numbers repeat, and two locks may stand against each other: safe all the same.
    let both = Setting { restore: true, clocks_stand: true, only_safety: true, ..Setting::right(2) };
    holds("restored, clocks stand", both);
}

#[test]
fn clocks_that_stand_still_do_no_harm() {
    holds("clocks stand", Setting { clocks_stand: true, ..Setting::right(3) });
}

/// The operators' word reaches the parties at any times, also after their votes for the entry that is given up.
#[test]
fn an_entry_that_is_given_up_and_the_one_in_its_place_are_never_both_final() {
    let given_up = |attempts| Setting { abandon: true, only_safety: true, ..Setting::right(attempts) };
    holds("an entry is given up", given_up(3));
    fails("the operators' word is forgotten", Setting { forgetful: true, ..given_up(2) });
}

#[test]
fn each_rule_is_needed() {
    for rule in Rule::ALL {
        fails(&format!("{rule:?}"), Setting { rules: Rules::without(rule), ..Setting::right(3) });
    }
    fails("late lock", Setting { late_lock: true, ..Setting::right(3) });
    fails("two sessions at once", Setting { several: true, ..Setting::right(2) });
    fails("volatile lock", Setting { volatile_lock: true, ..Setting::right(3) });
}

/// The rules before this protocol, and the one that comes to mind first instead of it.
#[test]
fn one_vote_is_not_enough() {
    let found = explore(&mut SinglePhase { vote_binds: false }, usize::MAX);
    assert_eq!(found.wrong.map(|w| w.0), Some("fork".into()));
    let found = explore(&mut SinglePhase { vote_binds: true }, usize::MAX);
    assert!(found.wrong.is_some_and(|w| w.0.starts_with("stuck")));
}
