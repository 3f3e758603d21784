//! A party whose bucket is lost takes its log and its rows from the two others.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::fill::{Rows, fill};
use crate::query::ROWS;
use crate::report::{Limit, Report};
use crate::{Cli, system};

/// The party whose bucket is lost.
const LOST: usize = 2;

/// Measures it.
pub fn run(cli: &Cli) -> Result<Report> {
    let rows = if cli.quick { 10_000 } else { 100_000 };
    let folder = tempfile::tempdir()?;
    let mut stack = system::start(cli, folder.path(), 1)?;
    for i in 0..3 {
        stack.terminate(&format!("party-{i}"))?;
    }
    let runtime = system::runtime()?;
    eprintln!("filling two stores with {rows} rows");
    let survey = stack.descriptor()?;
    let what = Rows { all: rows, in_batch: ROWS, labels: 2 };
    let (batches, _) = runtime.block_on(fill(&stack, &survey, what, &[0, 1]))?;
    for i in 0..2 {
        stack.restart(&format!("party-{i}"))?;
    }
    let (access, secret) = stack.layout().s3_key(LOST)?;
    let clock = Instant::now();
    let ended = Command::new(cli.programs.join("party-host"))
        .arg("--config")
        .arg(stack.layout().party_config(LOST))
        .arg("rebuild")
        .envs([("AWS_ACCESS_KEY_ID", access), ("AWS_SECRET_ACCESS_KEY", secret), ("RUST_LOG", "warn".into())])
        .output()
        .context("party-host rebuild")?;
    let seconds = clock.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&ended.stdout);
    let all = format!("height {batches}, rows of 0 entries are lacking");
    ensure!(
        ended.status.success() && said.contains(&all),
        "the rebuild ended with {}: {said}{}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
    let mut report = Report::new(
        "rebuild",
        format!(
            "`party-host rebuild` on an empty bucket, from its start to its end: {rows} rows in {batches} entries, taken from two \
             running parties and checked against the commitments in the log"
        ),
    );
    report.limited("rebuild", seconds, "s", Limit::AtMost(120.0));
    stack.stop();
    Ok(report)
}
