//! `cargo xtask sbom`: what the party host is made of, as a CycloneDX document.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, root, run, target_dir};

/// Where to put it.
#[derive(clap::Args)]
pub struct Options {
    /// The file; by default `party-host.cdx.json` in the target folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes it with `cargo cyclonedx`, from the lock file.
pub fn run_task(options: &Options) -> Result<()> {
    let known = cargo().args(["cyclonedx", "--version"]).output();
    if !known.is_ok_and(|o| o.status.success()) {
        bail!("cargo-cyclonedx is needed: cargo install --locked cargo-cyclonedx");
    }
    // It writes beside the manifest and knows no other place.
    let made = root().join("party-host/party-host.cdx.json");
    run(cargo()
        .args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--describe", "crate"])
        .args(["--override-filename", "party-host.cdx", "--manifest-path", "party-host/Cargo.toml"]))?;
    let out = options.out.clone().unwrap_or_else(|| target_dir().join("party-host.cdx.json"));
    std::fs::copy(&made, &out).with_context(|| format!("cannot write {}", out.display()))?;
    std::fs::remove_file(&made)?;
    println!("{}", out.display());
    Ok(())
}
