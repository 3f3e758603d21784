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
    let mut failed = 0;
    for seed in 0..seeds {
        if let Some(wrong) = sim::world::run(seed, 200, None) {
            println!("{wrong}");
            failed += 1;
        }
    }
    let sample = (0..seeds.min(100)).map(|seed| sim::world::progress(seed, 200));
    let (entries, finished) = sample.fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    println!("the first 100 runs: {entries} entries, {finished} commits of what an earlier session had left");
    println!("{seeds} runs of 200 operations, {:.0} s: {failed} violations", start.elapsed().as_secs_f64());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
