//! `cargo xtask sbom`: the components of the party host, as a CycloneDX document.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::command::{cargo, program, root, run, target_dir};

/// Where to put it.
#[derive(clap::Args)]
pub struct Options {
    /// The file; by default `party-host.cdx.json` in the target folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The program that writes it, of the CycloneDX project itself.
const TOOL: &str = "cargo-cyclonedx@0.5.9";

/// Writes it with `cargo cyclonedx`, from the lock file: the same source gives the same bytes.
pub fn run_task(options: &Options) -> Result<()> {
    let tools = target_dir().join("tools/cyclonedx");
    // Does nothing where this version is installed already.
    run(cargo().args(["install", "--quiet", "--locked", TOOL, "--root"]).arg(&tools))?;
    let made = run(program(tools.join("bin/cargo-cyclonedx"))
        .current_dir(root())
        .env("SOURCE_DATE_EPOCH", commit_time()?)
        .args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"])
        .args(["--override-filename", "party-host.cdx", "--manifest-path", "party-host/Cargo.toml"]));
    // It writes one beside every manifest of the workspace and knows no other place.
    let text = std::fs::read_to_string(root().join("party-host/party-host.cdx.json"));
    for folder in members()? {
        let _absent = std::fs::remove_file(folder.join("party-host.cdx.json"));
    }
    made?;
    let text = text.context("cargo-cyclonedx wrote nothing for the party host")?;
    // Where this machine keeps the source is nobody's business, and differs between builders.
    let text = text.replace(&root().display().to_string(), "/tercet");
    let out = options.out.clone().unwrap_or_else(|| target_dir().join("party-host.cdx.json"));
    std::fs::write(&out, text).with_context(|| format!("cannot write {}", out.display()))?;
    println!("{}", out.display());
    Ok(())
}

/// When the source was committed, in Unix seconds.
fn commit_time() -> Result<String> {
    let out = program("git").args(["log", "-1", "--format=%ct"]).current_dir(root()).output()?;
    ensure!(out.status.success(), "git cannot tell when the source was committed");
    Ok(String::from_utf8(out.stdout)?.trim().to_owned())
}

/// The folders of the workspace's packages.
fn members() -> Result<Vec<PathBuf>> {
    let out = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: Value = serde_json::from_slice(&out.stdout).context("cargo metadata")?;
    let manifests = metadata["packages"].as_array().into_iter().flatten();
    let folder = |p: &Value| Some(Path::new(p["manifest_path"].as_str()?).parent()?.to_path_buf());
    Ok(manifests.filter_map(folder).collect())
}
