//! The release point that a result is about.

use serde::{Deserialize, Serialize};

use crate::codec::Writer;

/// A release point as everybody sees it: the kind of log entry that alone changes the rows which statistics are
/// about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasePoint {
    /// Counts from 1 in each survey.
    pub number: u64,
    /// Unix seconds of its log entry.
    pub time: u64,
    /// Rows in all units that have entered so far.
    pub rows: u64,
    /// Units that have entered so far: groups of rows that are never split and never change.
    pub units: u64,
    /// Rows of these units that were erased since they entered. Their units' sums still contain them.
    pub erased_rows: u64,
}

impl ReleasePoint {
    /// Writes the form that is signed.
    pub fn write(&self, w: &mut Writer) {
        for number in [self.number, self.time, self.rows, self.units, self.erased_rows] {
            w.u64(number);
        }
    }
}
