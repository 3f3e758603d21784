//! Running other programs.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Everything that is built for this machine: all but the engine, with all features. Named alike in every step, so
/// that cargo settles the dependencies' features once and builds them once.
pub const MEMBERS: [&str; 4] = ["--workspace", "--exclude", "party-wasm", "--all-features"];

/// The repository's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// A command for `program` without the variables by which the cargo that runs us describes this package. Build
/// scripts (`ring` has one) ask cargo to run them again when such a variable changes, so an inner cargo that
/// inherited them would build a third of the tree anew on the way in, and the user's next cargo on the way out.
pub fn program(program: impl AsRef<OsStr>) -> Command {
    let mut c = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let described = |prefix: &str| name.to_str().is_some_and(|n| n.starts_with(prefix));
        if described("CARGO_PKG_") || described("CARGO_MANIFEST_") {
            c.env_remove(name);
        }
    }
    c
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut c = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    c.current_dir(root());
    c
}

/// The target folder of cargo.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where cargo puts the programs of a profile.
pub fn programs(profile: &str) -> PathBuf {
    target_dir().join(if profile == "dev" { "debug" } else { profile })
}

/// A port on loopback that nothing listens on now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Runs a command to its end; anything but success is an error that names it.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// True if a program can be started.
pub fn exists(program: &str) -> bool {
    let quiet = self::program(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|s| s.success())
}
