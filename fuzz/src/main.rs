//! Fuzz targets: everything of Tercet that reads bytes which somebody else wrote.
//!
//! One program holds all targets; `TERCET_FUZZ_TARGET` names the one to run (`list` prints the names). With
//! `TERCET_FUZZ_SEEDS` set to a folder, the target's seeds are written there first: give libFuzzer the same folder
//! as its corpus. `cargo xtask fuzz` does all of that. Seeds are made from `tests/fixtures`, so nothing large is
//! kept here.
//!
//! A target fails by panicking: on a panic of the code under test, or where an invariant of the format breaks (for
//! most: decoded bytes encode to the very same bytes).

#![no_main]
#![allow(clippy::unwrap_used, reason = "a fuzz target fails by panicking")]

mod documents;
mod engine;
mod fixtures;
mod party;
mod policy;
mod presentations;
mod sessions;
mod sources;
mod submissions;

use std::path::PathBuf;
use std::process::exit;
use std::sync::OnceLock;

/// One decoder under test.
struct Target {
    /// Its name on the command line.
    name: &'static str,
    /// Runs one input.
    run: fn(&[u8]),
    /// Inputs to start from: honest ones, so that mutations get past the first check.
    seeds: fn() -> Vec<Vec<u8>>,
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

const TARGETS: &[Target] = &[
    target("presentation", presentations::presentation, fixtures::presentations),
    target("secrets", presentations::secrets, fixtures::secrets),
    target("attestation", presentations::attestation, fixtures::attestations),
    target("attestation-request", presentations::request, presentations::request_seeds),
    target("statement", engine::statement, engine::statement_seeds),
    target("share-hashes", engine::share_hashes, engine::share_hashes_seeds),
    target("private-part", engine::private_part, engine::private_part_seeds),
    target("opening", engine::opening, engine::opening_seeds),
    target("decimal", engine::decimal, engine::decimal_seeds),
    target("batch", engine::batch, engine::batch_seeds),
    target("public-part", submissions::public_part, submissions::public_part_seeds),
    target("share-upload", submissions::share_upload, submissions::share_upload_seeds),
    target("sealed-share", submissions::sealed_share, submissions::sealed_share_seeds),
    target("survey-manifest", policy::manifest, policy::manifest_seeds),
    target("survey-descriptor", policy::descriptor, policy::descriptor_seeds),
    target("policy", policy::transcript, policy::transcript_seeds),
    target("sources", sources::exchange, sources::exchange_seeds),
    target("survey-check", policy::check, fixtures::presentations),
    target("api-bodies", documents::api, documents::api_seeds),
    target("log-entries", documents::log, documents::log_seeds),
    target("results", documents::result, documents::result_seeds),
    target("operators", documents::operators, documents::operators_seeds),
    target("identifiers", documents::identifiers, documents::identifiers_seeds),
    target("peer-frames", party::frames, party::frames_seeds),
    target("stored-segment", party::segment, party::segment_seeds),
    target("stored-entry", party::entry, party::entry_seeds),
    target("envelope", party::envelope, party::envelope_seeds),
    target("recorded-session", sessions::recorded, sessions::evidence_seeds),
    target("session-layout", sessions::layout, sessions::layout_seeds),
    target("session-handshake", sessions::handshake, sessions::handshake_seeds),
];

static CHOSEN: OnceLock<&Target> = OnceLock::new();

/// Picks the target and writes its seeds. Runs before libFuzzer reads its corpus.
fn choose() {
    let name = std::env::var("TERCET_FUZZ_TARGET").unwrap_or_default();
    if name == "list" {
        TARGETS.iter().for_each(|t| println!("{}", t.name));
        exit(0);
    }
    let Some(chosen) = TARGETS.iter().find(|t| t.name == name) else {
        let names: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
        eprintln!("error: set TERCET_FUZZ_TARGET to `list` or one of: {}", names.join(", "));
        exit(2);
    };
    if let Some(folder) = std::env::var_os("TERCET_FUZZ_SEEDS").map(PathBuf::from) {
        for (i, seed) in (chosen.seeds)().iter().enumerate() {
            let path = folder.join(format!("seed-{i:04}"));
            if let Err(e) = std::fs::write(&path, seed) {
                eprintln!("error: cannot write {}: {e}", path.display());
                exit(2);
            }
        }
    }
    CHOSEN.get_or_init(|| chosen);
}

libfuzzer_sys::fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        (target.run)(data);
    }
});
