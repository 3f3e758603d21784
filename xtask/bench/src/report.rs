//! The report: figures, the machine, and the limit beside each.

use std::process::Command;

use serde::Serialize;

use crate::Cli;

/// The project's promise about a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<bool>,
}

/// One benchmark's figures.
#[derive(Debug)]
pub struct Report {
    bench: &'static str,
    what: String,
    figures: Vec<Figure>,
}

impl Report {
    /// An empty report; `what` names the figure in a line.
    pub fn new(bench: &'static str, what: impl Into<String>) -> Self {
        Self { bench, what: what.into(), figures: Vec::new() }
    }

    /// Adds a figure without a limit.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.push(name.into(), value, unit, None);
    }

    /// Adds a figure with a limit.
    pub fn limited(&mut self, name: impl Into<String>, value: f64, unit: &'static str, limit: Limit) {
        self.push(name.into(), value, unit, Some(limit));
    }

    /// Takes over another report's figures, with a prefix in front of their names.
    pub fn include(&mut self, prefix: &str, other: Self) {
        let named = other.figures.into_iter().map(|f| Figure { name: format!("{prefix}.{}", f.name), ..f });
        self.figures.extend(named);
    }

    /// A figure's value, if there is one of this name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|f| f.name == name).map(|f| f.value)
    }

    fn push(&mut self, name: String, value: f64, unit: &'static str, limit: Option<Limit>) {
        // Four significant digits after the point are more than any of these clocks has.
        let value = (value * 10_000.0).round() / 10_000.0;
        self.figures.push(Figure { name, value, unit, limit, within: limit.map(|l| l.holds(value)) });
    }

    /// Prints it: one JSON line, or a table.
    pub fn print(&self, cli: &Cli) {
        if cli.json {
            let line = serde_json::json!({
                "bench": self.bench,
                "measured": self.what,
                "machine": { "cpu": cpu(), "cores": cores() },
                "commit": commit(),
                "profile": cli.profile,
                "quick": cli.quick,
                "figures": self.figures,
            });
            println!("{line}");
            return;
        }
        println!("{}: {}", self.bench, self.what);
        println!("  {}, {} cores, commit {}, profile {}", cpu(), cores(), commit(), cli.profile);
        for f in &self.figures {
            let limit = match f.limit {
                None => String::new(),
                Some(Limit::AtMost(l)) => format!("at most {l}"),
                Some(Limit::AtLeast(l)) => format!("at least {l}"),
            };
            let missed = if f.within == Some(false) { "  MISSED" } else { "" };
            println!("  {:<44} {:>12} {:<8} {limit}{missed}", f.name, f.value, f.unit);
        }
    }
}

/// Smallest, middle and largest of some values; zeros if there are none.
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    (percentile(values, 0.0), percentile(values, 0.5), percentile(values, 1.0))
}

/// The value at a fraction of the sorted values.
pub fn percentile(values: &[f64], fraction: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (fraction * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| "unknown".into(), |(_, name)| name.trim().into())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The commit, with a mark if the tree differs from it.
fn commit() -> String {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let Some(hash) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let clean = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| s.is_empty());
    if clean { hash } else { format!("{hash}-modified") }
}
