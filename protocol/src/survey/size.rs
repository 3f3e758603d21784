//! The largest size of the published statistics. A survey whose results nobody could keep is refused when it is checked,
//! not when the parties have computed them.

use super::{MAX_FIELD_VALUES, SurveyError, SurveyManifest, invalid};
use crate::statistic::targets;

/// Longest result that is kept and served, in bytes of JSON: with its headers it fits into a Lambda function's answer.
pub const MAX_RESULT: usize = 4 * 1024 * 1024;

/// Bytes of a value, its exact fraction and their names: some 200 digits at most.
const NUMBER: usize = 400;
/// Bytes of a statistic beside its numbers: names, unit, noise.
const STATISTIC: usize = 600;
/// Bytes of a part beside its number: label and unit, with escapes.
const PART: usize = 200;
/// Bytes of a result besides the statistics: ids, release point, signatures.
const FRAME: usize = 4096;

impl SurveyManifest {
    /// Most bytes of JSON that the listed statistics take at a release point. A field without a list of values counts as
    /// if it had as many as one may have.
    pub fn largest_result(&self) -> usize {
        let mut total = FRAME;
        for statistic in self.statistics() {
            let groups = statistic.group.as_ref().map(|name| {
                let listed = self.field(name).map(|i| self.fields[i].values.len());
                let listed = listed.or_else(|| self.category(name).map(|(_, c)| c.values.len()));
                listed.filter(|n| *n > 0).unwrap_or(MAX_FIELD_VALUES)
            });
            // Edges and shares stand in the name, between commas.
            let name = statistic.to_string();
            let parts = groups.unwrap_or_else(|| name.matches(',').count() + 2);
            let columns = targets(self, statistic.family(), &statistic.columns).len();
            total += columns * (STATISTIC + NUMBER + name.len() + parts * (PART + NUMBER));
        }
        total
    }

    pub(super) fn validate_size(&self) -> Result<(), SurveyError> {
        let largest = self.largest_result();
        if largest <= MAX_RESULT {
            return Ok(());
        }
        let problem = format!(
            "what they publish may take {largest} bytes, more than the {MAX_RESULT} that can be kept: list fewer, name the \
             columns, or group by a field with fewer values"
        );
        Err(invalid("survey.statistics", problem))
    }
}
