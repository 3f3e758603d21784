//! Tools that come from PyPI, each set in a virtual environment of its own under the target folder. A set is a
//! requirements file with locked versions and digests; the environment is made anew when the file changes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow};

use crate::command::{program, root, run, target_dir};

/// Oldest Python that LocalStack runs on: 3.11 starts it and then answers every request with 500.
const MINIMUM: (u32, u32) = (3, 12);

/// The advice where no Python is found.
pub const MISSING: &str =
    "Python 3.12 or newer (as `python3` on the path, by pyenv, or named by TERCET_PYTHON)";

/// The first Python that is new enough: `TERCET_PYTHON`, then the path, then pyenv's versions.
pub fn find() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TERCET_PYTHON") {
        let named = PathBuf::from(named);
        return match version(&named) {
            Some(v) if v >= MINIMUM => Ok(named),
            _ => Err(anyhow!("TERCET_PYTHON is {}, which is not Python 3.12 or newer", named.display())),
        };
    }
    let mut candidates: Vec<PathBuf> =
        ["python3.13", "python3.12", "python3.14", "python3"].into_iter().map(PathBuf::from).collect();
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".pyenv")));
    if let Some(versions) = pyenv.and_then(|p| std::fs::read_dir(p.join("versions")).ok()) {
        let mut found: Vec<_> = versions.flatten().map(|v| v.path().join("bin/python3")).collect();
        found.sort();
        candidates.extend(found.into_iter().rev());
    }
    candidates
        .into_iter()
        .find(|p| version(p).is_some_and(|v| v >= MINIMUM))
        .with_context(|| format!("{MISSING} is needed"))
}

/// A Python's version, if it runs and can make virtual environments.
fn version(python: &Path) -> Option<(u32, u32)> {
    const ASK: &str = "import sys, venv, ensurepip; print(*sys.version_info[:2])";
    let out = program(python).args(["-c", ASK]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The environment `name` with the packages of `requirements` (a file of the repository); its `bin` folder.
pub fn environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let wanted = std::fs::read(root().join(requirements)).with_context(|| requirements.to_owned())?;
    let folder = target_dir().join("tools").join(name);
    let bin = folder.join("bin");
    let stamp = folder.join("installed.txt");
    if std::fs::read(&stamp).is_ok_and(|had| had == wanted) && version(&bin.join("python3")).is_some() {
        return Ok(bin);
    }
    let python = find()?;
    eprintln!("installing {requirements} (once)");
    // Halfway installed or outdated: begun anew.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    run(program(&python).args(["-m", "venv"]).arg(&folder))?;
    let mut pip = program(bin.join("python3"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--require-hashes",
    ]);
    run(pip.arg("-r").arg(root().join(requirements)))
        .with_context(|| format!("{requirements} could not be installed: is PyPI within reach?"))?;
    std::fs::write(&stamp, &wanted).with_context(|| stamp.display().to_string())?;
    Ok(bin)
}
