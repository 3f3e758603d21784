//! `[releases]`: when people enter the statistics, and how large their groups are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tercet_mpc::statistics::Permit;
use tercet_mpc::{Output, Term};
use tercet_releases::sums::{self, Sums, TooSmall, Warning};
use tercet_releases::{DEFAULT_EVERY, DEFAULT_PATIENCE, Rules, Schedule};
use time::OffsetDateTime;

use super::{Resubmission, SurveyError, SurveyManifest, invalid};
use crate::statistic::targets;

/// Longest interval and patience: ten years.
const LONGEST: u64 = 3653 * 86_400;

/// `[releases]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasesSection {
    /// Time between release points: a duration such as `"24h"`, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// Time after which a row whose label is rare gives up a field: a duration such as `"4d"`, the default. One more day for each
    /// further field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<String>,
}

/// Seconds of a duration: a whole number and `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let plain = !number.is_empty() && number.len() <= 9 && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| plain).map(|n| n * seconds)
}

fn seconds(key: &str, text: Option<&String>, default: u64, least: u64) -> Result<u64, SurveyError> {
    let Some(text) = text else { return Ok(default) };
    match duration(text) {
        Some(seconds) if (least..=LONGEST).contains(&seconds) => Ok(seconds),
        _ => Err(invalid(
            key,
            format!(
                "\"{}\": write a whole number and s, m, h or d, such as \"24h\"; at most ten years",
                text.escape_debug()
            ),
        )),
    }
}

/// Seconds since 1970; 0 for earlier times.
fn unix(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or(0)
}

impl SurveyManifest {
    /// When the survey's release points are due.
    pub fn schedule(&self) -> Schedule {
        let section = self.releases.clone().unwrap_or_default();
        let or = |text: &Option<String>, default| text.as_deref().and_then(duration).unwrap_or(default);
        Schedule {
            opens: unix(self.survey.opens),
            closes: unix(self.survey.closes),
            every: or(&section.every, DEFAULT_EVERY).max(1),
            patience: or(&section.patience, DEFAULT_PATIENCE),
        }
    }

    /// The settings that the release rules depend on.
    pub fn rules(&self) -> Rules {
        Rules {
            min_new: usize::try_from(self.survey.min_new).unwrap_or(usize::MAX),
            fields: self.fields.len(),
            replace: self.survey.resubmission == Resubmission::Replace,
            schedule: self.schedule(),
        }
    }

    /// The sums that are released over each column, in the survey's order.
    pub fn sums(&self) -> Vec<Sums> {
        let optional = self.optional();
        let of = |p: &Permit| {
            let targets = targets(self, p.family, &p.columns);
            targets.into_iter().flat_map(|t| p.family.outputs(t, &optional)).collect::<Vec<_>>()
        };
        // Over those who have a value in another column it is another sum of the same values.
        let listed: BTreeSet<Output> = self.permits().iter().flat_map(of).collect();
        let terms: BTreeSet<Term> = listed.into_iter().map(Output::term).collect();
        let products =
            |c: u8| terms.iter().filter(|t| matches!(t, Term::Product(a, b) if *a == c || *b == c)).count();
        let sums = |(c, section): (u8, &super::ColumnSection)| Sums {
            bits: section.bits.into(),
            values: terms.contains(&Term::Value(c)),
            squares: terms.contains(&Term::Square(c)),
            logarithms: terms.contains(&Term::Log(c)),
            reciprocals: terms.contains(&Term::Reciprocal(c)),
            products: products(c) as u64,
        };
        (0..).zip(&self.columns).map(sums).collect()
    }

    /// `min_new` is large enough for the sums of every column, and durations are durations.
    pub(super) fn validate_releases(&self) -> Result<(), SurveyError> {
        let section = self.releases.clone().unwrap_or_default();
        let every = seconds("releases.every", section.every.as_ref(), DEFAULT_EVERY, 1)?;
        seconds("releases.patience", section.patience.as_ref(), DEFAULT_PATIENCE, 0)?;
        if unix(self.survey.closes).saturating_sub(unix(self.survey.opens)) / every > u64::from(u32::MAX) {
            return Err(invalid("releases.every", "is too short for so long a survey"));
        }
        let min_new = self.survey.min_new;
        if min_new > sums::LARGEST {
            return Err(invalid("survey.min_new", format!("must be at most {}", sums::LARGEST)));
        }
        for (column, sums) in self.columns.iter().zip(self.sums()) {
            let name = &column.name;
            let advice = match sums.least() {
                Some(least) => format!(
                    "write min_new = {least} or more (three times the sums and ten are better), or list less"
                ),
                None => "give the column more bits, or list less".into(),
            };
            match sums.check(min_new) {
                Ok(_) => {}
                Err(TooSmall::Sums { sums, .. }) => {
                    let problem = format!(
                        "the listed statistics release {sums} different sums of {name}: from those of {min_new} people their values \
                         could be computed; {advice}"
                    );
                    return Err(invalid("survey.min_new", problem));
                }
                Err(TooSmall::Bits { held, values }) => {
                    let problem = format!(
                        "the sums of {name} hold {held:.0} bits, more than the {values:.0} that the values of {min_new} people have, \
                         which could be computed from them; {advice}"
                    );
                    return Err(invalid("survey.min_new", problem));
                }
            }
        }
        Ok(())
    }

    /// The warnings of the bounds of `min_new`.
    pub(super) fn warnings_of_sums(&self) -> Vec<String> {
        let min_new = self.survey.min_new;
        let mut all = BTreeSet::new();
        for (column, sums) in self.columns.iter().zip(self.sums()) {
            let name = &column.name;
            for warning in sums.check(min_new).unwrap_or_default() {
                all.insert(match warning {
                    Warning::Few => format!("min_new = {min_new} is few: ten or more protect people better"),
                    Warning::Sums { sums } => format!(
                        "min_new = {min_new} is less than three times the {sums} different sums of {name}: {} would protect people \
                         better",
                        3 * sums
                    ),
                    Warning::Bits { held, values } => format!(
                        "the sums of {name} hold {held:.0} of the {values:.0} bits that the values of {min_new} people have: the \
                         values of a group, without names, can nearly be computed"
                    ),
                });
            }
        }
        all.into_iter().collect()
    }
}
