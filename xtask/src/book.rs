//! The documents as a small site, by mdBook. Links and the list of documents are checked by tests (`documents.rs`).

use anyhow::Result;

use crate::command::{program, root, run, target_dir};
use crate::python;
use crate::report::Report;

/// Builds the site into `book` in the target folder.
pub fn check(report: &mut Report) -> Result<()> {
    if python::find().is_err() {
        return report.skip("the book", python::MISSING);
    }
    let bin = python::environment("book", "xtask/book-requirements.txt")?;
    let mut book = program(bin.join("mdbook"));
    run(book.args(["build", "--dest-dir"]).arg(target_dir().join("book")).arg(root()))
}
