//! Everything that crosses a boundary in Tercet: the survey and its rules, submissions, log entries, results, API
//! bodies, and the WIT interface of the sandboxed engine (`wit/`).
//!
//! Owns every encoding and every signed message. Never does I/O and never computes on shares.
//!
//! ```
//! use tercet_protocol::survey::SurveyManifest;
//!
//! let text = std::fs::read_to_string("../tests/fixtures/vectors/survey.toml")?;
//! let survey = SurveyManifest::from_toml(&text)?;
//! assert!(!survey.lanes().is_empty());
//! // A key that is not known is refused, never ignored.
//! assert!(SurveyManifest::from_toml(&text.replace("min_new", "min_old")).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod abandonment;
pub mod api;
pub mod approval;
pub mod codec;
pub mod filter;
pub mod ids;
pub mod keys;
pub mod kind;
pub mod log;
pub mod notary;
pub mod operator;
pub mod query_ticket;
pub mod release_point;
pub mod result;
pub mod statistic;
pub mod submission;
pub mod survey;
pub mod withdrawal;
