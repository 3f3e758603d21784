//! The exhaustive search in its long form, with the trace of the failure that each rule prevents.
//!
//! `cargo run --release -p tercet-agreement --features wrong-rules --example model-check [ATTEMPTS]`

#![allow(
    clippy::needless_range_loop,
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::wrong_self_convention,
    reason = "a model of three parties counts them by index, and fails by panicking"
)]

#[path = "../tests/all/model/mod.rs"]
mod model;

use model::explore::{Found, Model, explore};
use model::single::SinglePhase;
use model::world::Setting;
use tercet_agreement::{Rule, Rules};

fn show(name: &str, found: &Found) {
    let end = match (&found.wrong, found.complete) {
        (Some((wrong, _)), _) => wrong.as_str(),
        (None, true) => "everything holds",
        (None, false) => "nothing found before the limit",
    };
    println!("{name}: {} states, {:.1} s: {end}", found.states, found.took.as_secs_f64());
    if let Some((_, trace)) = &found.wrong {
        trace.iter().for_each(|line| println!("    {line}"));
    }
}

fn run(name: &str, mut model: impl Model) -> bool {
    let found = explore(&mut model, usize::MAX);
    show(name, &found);
    found.wrong.is_none() && found.complete
}

fn main() -> std::process::ExitCode {
    let attempts = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(4u8).clamp(1, 4);
    let fewer = attempts.saturating_sub(1).max(1);
    let right = Setting::right;
    let mut good = true;
    good &= run(&format!("The protocol, {attempts} sessions of each party"), right(attempts));
    good &= run(
        &format!("One party is restored once, {fewer} sessions of each party"),
        Setting { restore: true, ..right(fewer) },
    );
    good &= run(
        &format!("Clocks stand still, {fewer} sessions of each party"),
        Setting { clocks_stand: true, ..right(fewer) },
    );
    good &= run(
        &format!("Restored, and clocks stand still, {fewer} sessions of each party (safety only)"),
        Setting { restore: true, clocks_stand: true, only_safety: true, ..right(fewer) },
    );
    let given_up = |attempts| Setting { abandon: true, only_safety: true, ..right(attempts) };
    good &= run(
        &format!("The operators give an entry up, {fewer} sessions of each party (safety only)"),
        given_up(fewer),
    );
    println!("\nEach of these has to fail:");
    good &= !run("The operators' word is forgotten", Setting { forgetful: true, ..given_up(2) });
    good &=
        !run("A party that has heard the operators is restored", Setting { restore: true, ..given_up(2) });
    let wrong = Rule::ALL.map(|rule| {
        let rules = Rules::without(rule);
        (format!("Without the rule {rule:?}"), Setting { rules, ..right(3) })
    });
    let more = [
        ("A certificate of an earlier session makes a lock", Setting { late_lock: true, ..right(3) }),
        ("Two sessions at once", Setting { several: true, ..right(2) }),
        ("The lock is not durable", Setting { volatile_lock: true, ..right(3) }),
    ];
    for (name, setting) in wrong.into_iter().chain(more.map(|(name, s)| (name.to_owned(), s))) {
        good &= !run(&name, setting.clone());
        let forks = Setting { only_safety: true, ..setting };
        let _either_way = run(&format!("{name} (forks and losses only)"), forks);
    }
    good &= !run("One vote, as it was", SinglePhase { vote_binds: false });
    good &= !run("A vote binds for good", SinglePhase { vote_binds: true });
    if good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
