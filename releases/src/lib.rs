//! The rules that decide what may leave a survey, as pure functions of the agreed log: no input, output, clock or
//! network.
//!
//! People enter the statistics in groups of at least `min_new`. A group (a *unit*) is never split and never changes, and
//! every sum that is released is a sum over whole units. So every linear combination of all released sums weighs all rows of
//! a unit alike, whatever was asked. `docs/statistics.md` has the rules in words.
//!
//! - [`Schedule`] says when a release point is due.
//! - [`Ledger`] follows one survey's log: rows wait, are replaced, withdrawn, enter in units, are erased.
//! - [`form`] makes the units of one release point of the rows that wait.
//! - [`Filter`], [`Ledger::select`] and [`Ledger::groups`] select whole units by their labels.
//! - [`Clocks`] decides when the rows of a secret group are enough to be summed.
//! - [`sums`] bounds `min_new` from below, [`ranks`] the number of rows that order statistics need.
//!
//! Labels are vectors of texts, one for each revealed field of the survey and in its order; an empty text means that the
//! unit does not tell the field. Rows are numbers, counted from 0 in the order in which the log accepted them. Times are
//! seconds since 1970.
//!
//! ```
//! use tercet_releases::sums::Sums;
//!
//! // With the sums of values and of squares, four people's values could be computed.
//! let sums = Sums { bits: 40, values: true, squares: true, ..Sums::default() };
//! assert!(sums.check(4).is_err());
//! assert_eq!(sums.least(), Some(5));
//! ```

mod form;
mod ledger;
pub mod ranks;
mod schedule;
mod secret;
mod select;
pub mod sums;

pub use form::{Formation, Formed, MAX_UNITS, Waiting, form};
pub use ledger::{Entering, Identity, Ledger, Left, Point, Refused, Rules, Standing, Unit, UnitId};
pub use schedule::{DAY, DEFAULT_EVERY, DEFAULT_PATIENCE, MAX_SKEW, NotDue, Schedule};
pub use secret::{Clocks, Mismatch, Partition, Questions, Range};
pub use select::{Filter, Groups, Selection};

/// The number of a row: its place among the survey's accepted submissions, from 0.
pub type Row = u32;

/// The values of a row's or unit's revealed fields, in the survey's order; an empty text where the unit does not tell it.
pub type Label = Vec<String>;
