//! The dependencies: none that is not used, no known faults, licences and origins that are permitted, and nothing that must not
//! be among them (`deny.toml`).

use std::path::Path;

use anyhow::Result;

use crate::command::{self, cargo, exists};
use crate::report::Report;

/// Runs `cargo machete` and `cargo deny` where they are installed. The advisory database is only as new as its last fetch, whose date is printed.
pub fn check(report: &mut Report) -> Result<()> {
    if exists("cargo-machete") {
        command::run(cargo().arg("machete"))?;
    } else {
        report.note(
            "unused dependencies: cargo-machete is not installed (`cargo install --locked cargo-machete`)",
        );
    }
    if !exists("cargo-deny") {
        report.note("dependencies: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    command::run(cargo().args(["deny", "--all-features", "check", "licenses", "bans", "sources"]))?;
    if command::run(cargo().args(["deny", "fetch", "db"])).is_err() {
        report.note("known faults of dependencies: the advisory database cannot be fetched from here");
        return Ok(());
    }
    println!("advisory database of {}", database_date().unwrap_or_else(|| "an unknown date".into()));
    command::run(cargo().args(["deny", "--all-features", "check", "advisories"]))
}

/// The day of the database's newest commit.
fn database_date() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")),
        |home| Some(home.into()),
    )?;
    let copies = std::fs::read_dir(home.join("advisory-dbs")).ok()?;
    let day = |copy: std::io::Result<std::fs::DirEntry>| {
        let mut git = command::program("git");
        git.arg("-C").arg(copy.ok()?.path()).args(["log", "-1", "--format=%cs"]);
        let output = git.output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    copies.filter_map(day).max()
}
