//! The simulation over many seeds: `cargo run --release -p tercet-agreement --features wrong-rules --example simulate N`.

#![allow(
    clippy::needless_range_loop,
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::wrong_self_convention,
    reason = "a model of three parties counts them by index, and fails by panicking"
)]

#[path = "../tests/all/sim/mod.rs"]
mod sim;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let seeds: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let start = Instant::now();
    let mut failed = 0u64;
    for seed in 0..seeds {
        if let Some(wrong) = sim::world::run(seed, 200, None) {
            println!("{wrong}");
            failed += 1;
        }
    }
    let sample: Vec<_> = (0..seeds.min(100)).map(|seed| sim::world::progress(seed, 200)).collect();
    let [entries, finished, answers] = [0, 1, 2].map(|i| sample.iter().map(|run| run[i]).sum::<u64>());
    println!(
        "the first 100 runs: {entries} entries, {finished} commits of what an earlier session had left, {answers} answers"
    );
    for planted in sim::Planted::ALL {
        let found = (0..200u64).find(|seed| sim::world::run(*seed, 200, Some(planted)).is_some());
        println!("{planted:?}: found by seed {found:?}");
        failed += u64::from(found.is_none());
    }
    println!("{seeds} runs of 200 operations, {:.0} s: {failed} violations", start.elapsed().as_secs_f64());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
