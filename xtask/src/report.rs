//! The parts of a test run that were left out.

use anyhow::{Result, bail};

/// The steps that were left out, to be said again at the end.
pub struct Report {
    strict: bool,
    skipped: Vec<String>,
}

impl Report {
    /// The report of a run that must not leave anything out (`strict`), or of one that may.
    pub fn new(strict: bool) -> Self {
        Self { strict, skipped: Vec::new() }
    }

    /// Leaves `what` out because `missing` is not installed; an error where nothing may be left out.
    pub fn skip(&mut self, what: &str, missing: &str) -> Result<()> {
        if self.strict {
            bail!("{what}: {missing} is not installed, and this run must not leave anything out");
        }
        self.skipped.push(format!("{what}: {missing} is not installed"));
        Ok(())
    }

    /// Says at the end that something was left out which no run has to have, since not every machine has its needs.
    pub fn note(&mut self, what: &str) {
        self.skipped.push(what.to_owned());
    }

    /// Prints the steps that were left out.
    pub fn say(&self) {
        self.skipped.iter().for_each(|what| eprintln!("NOT RUN: {what}"));
    }
}
