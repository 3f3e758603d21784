//! The library behind the `tercet` command: verifying presentations, submitting values, asking for statistics,
//! notarizing against a local notary, and the operators' tools.
//!
//! Everything secret (transcripts, blinders, values) stays on this machine except as sealed shares. Nothing that
//! coordinator or parties say is believed without a signature by the keys that the survey pins. The library
//! never prints and never reads the environment; the command does.
//!
//! A result file is verified without any network; `examples/` has more:
//!
//! ```no_run
//! use tercet_client::{query::ResultFile, show};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = ResultFile::from_json(&std::fs::read("result.json")?)?;
//! let survey = file.verify(Some("5f0c9a…".parse()?), None)?;
//! print!("{}", show::to_text(&file.result, &survey));
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod certificates;
pub mod consent;
pub mod coordinator;
pub mod doctor;
mod error;
pub mod files;
pub mod http;
pub mod inspect;
pub mod memory;
pub mod notarize;
pub mod operator;
pub mod query;
pub mod recorded;
pub mod secrets;
pub mod seen;
pub mod session;
pub mod show;
pub mod standing;
pub mod submit;
pub mod survey;
pub mod survey_new;
pub mod survey_try;
pub mod withdraw;

pub use error::Error;
