//! Building the sandboxed engine: `party-wasm` as a component, the same bytes from the same source wherever it
//! is built.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::command::{cargo, root, run, target_dir};
use crate::reproducible::{cargo_home, install_target};

/// The engine's target.
pub const TARGET: &str = "wasm32-wasip2";

/// A built engine.
pub struct Engine {
    /// The component's file.
    pub path: PathBuf,
    /// Its SHA-256: the engine digest that surveys pin.
    pub digest: String,
}

/// Compiler flags of the engine. Paths are remapped: they would otherwise get into panic messages and so into
/// the digest.
fn flags() -> String {
    format!(
        "-Ctarget-feature=+simd128,+wide-arithmetic --remap-path-prefix={}=/cargo --remap-path-prefix={}=/tercet",
        cargo_home(),
        root().display()
    )
}

/// A cargo command whose wasm builds get the engine's flags.
pub fn cargo_wasm(subcommand: &str) -> Command {
    let mut c = cargo();
    c.args([subcommand, "-p", "party-wasm", "--target", TARGET, "--profile", "engine"])
        .env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", flags())
        // Flags meant for the machine's own builds must not change the engine.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    c
}

/// Builds the engine.
pub fn build() -> Result<Engine> {
    install_target(TARGET, &root())?;
    run(&mut cargo_wasm("build"))?;
    built()
}

/// The engine that was built last.
pub fn built() -> Result<Engine> {
    let path = target_dir().join(TARGET).join("engine").join("party_wasm.wasm");
    let bytes = std::fs::read(&path)
        .with_context(|| format!("no engine is at {}: build it with `cargo xtask engine`", path.display()))?;
    Ok(Engine { digest: hex::encode(Sha256::digest(&bytes)), path })
}
