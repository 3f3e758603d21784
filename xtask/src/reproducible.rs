//! Builds that give the same bytes wherever and whenever they are made, and the comparison that shows it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::command::{program, root, run};
use crate::python;

/// For C sources that say when they were compiled (mimalloc's do): flags, since zig's cache knows no environment.
const WITHOUT_TIME: &str = "-Wno-builtin-macro-redefined -D__DATE__=\"\" -D__TIME__=\"\"";

/// A locked tool of cargo's that builds `source` into `target` for a Rust target, with zig as the C compiler and linker.
/// The packages to build, stripped, are the caller's to add.
pub fn build(tool: &str, triple: &str, source: &Path, target: &Path) -> Result<Command> {
    let tools = python::environment("package", "xtask/package-requirements.txt")?;
    install_target(triple, source)?;
    let path = std::env::join_paths(
        std::iter::once(tools.clone())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;
    let mut build = program(tools.join(tool));
    build
        .current_dir(source)
        .env("CARGO_TARGET_DIR", target)
        .env("PATH", path)
        .env("RUSTFLAGS", remapped("--remap-path-prefix=", source, target))
        .env("CFLAGS", format!("{} {WITHOUT_TIME}", remapped("-ffile-prefix-map=", source, target)))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(build)
}

/// Flags that take this machine's paths out of the built program. The last that fits counts: the target folder, where
/// generated sources lie, may be inside the source.
fn remapped(flag: &str, source: &Path, target: &Path) -> String {
    let home = cargo_home();
    format!("{flag}{home}=/cargo {flag}{}=/tercet {flag}{}=/target", source.display(), target.display())
}

/// Where cargo keeps the sources of dependencies.
pub fn cargo_home() -> String {
    std::env::var("CARGO_HOME")
        .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap_or_default()))
}

/// Installs a Rust target, of the toolchain that `source` asks for, if it is missing.
pub fn install_target(triple: &str, source: &Path) -> Result<()> {
    let out = program("rustup").args(["target", "list", "--installed"]).current_dir(source).output();
    let installed = out.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).lines().any(|line| line == triple));
    if installed || triple == format!("{}-unknown-linux-gnu", std::env::consts::ARCH) {
        return Ok(());
    }
    run(program("rustup").args(["target", "add", triple]).current_dir(source))
        .with_context(|| format!("the build needs the Rust target {triple}: install it in your toolchain"))
}

/// A clone of the committed tree, in another folder, to be built into a target folder of its own.
pub struct Another {
    scratch: TempDir,
}

impl Another {
    /// Made before the first of two long builds, so that uncommitted changes are reported at once.
    pub fn of_the_commit() -> Result<Self> {
        let status = ["status", "--porcelain", "--untracked-files=no"];
        let changed = program("git").args(status).current_dir(root()).output()?;
        if !changed.status.success() || !changed.stdout.is_empty() {
            bail!("--check compares with what is committed: commit your changes first");
        }
        let another = Self { scratch: tempfile::tempdir()? };
        run(program("git").args(["clone", "--quiet", "--no-hardlinks"]).arg(root()).arg(another.source()))?;
        Ok(another)
    }

    /// The source: a path of another depth than most clones have.
    pub fn source(&self) -> PathBuf {
        self.scratch.path().join("another/source")
    }

    /// Where its builds go.
    pub fn target(&self) -> PathBuf {
        self.scratch.path().join("target")
    }
}
