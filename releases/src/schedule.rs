//! When release points are due.

use tercet_mutants::mutant;

/// Seconds of a day.
pub const DAY: u64 = 86_400;
/// Time between release points where the survey states none.
pub const DEFAULT_EVERY: u64 = DAY;
/// Time after which a row gives up a field, where the survey states none.
pub const DEFAULT_PATIENCE: u64 = 4 * DAY;
/// Most seconds by which a party's clock may be ahead of another's without a disagreement about due release points.
pub const MAX_SKEW: u64 = 30;

/// The release points of a survey, which depend on its settings and on nothing else. All times are in seconds.
///
/// They are due at `opens + every`, `opens + 2 every`, and so on. The last one is due at `closes + every`: who was attested at
/// the last moment has one full interval to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When the survey opens.
    pub opens: u64,
    /// When the survey closes.
    pub closes: u64,
    /// Time between release points, 1 or more.
    pub every: u64,
    /// Time after which a row gives up one field; for each further field, one more [`DAY`].
    pub patience: u64,
}

/// Why a release point is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDue {
    /// The time is not one of the schedule.
    #[error("no release point of this survey is due at {0}")]
    OffSchedule(u64),
    /// The time is not later than that of the last release point.
    #[error("the last release point was due at {last}, so none is due at {time}")]
    Past {
        /// The time in question.
        time: u64,
        /// That of the last release point.
        last: u64,
    },
    /// The time is in the future.
    #[error("the release point of {time} is due in {} s", time - clock)]
    Early {
        /// The time in question.
        time: u64,
        /// This party's clock.
        clock: u64,
    },
    /// A later release point is due already and replaces this one.
    #[error("the release point of {time} was missed: the one of {due} is due now")]
    Missed {
        /// The time in question.
        time: u64,
        /// The time that is due instead.
        due: u64,
    },
    /// The last release point is over.
    #[error("the survey had its last release point")]
    Closed,
}

impl Schedule {
    /// When the last release point is due.
    pub fn last(&self) -> u64 {
        self.closes.saturating_add(self.every.max(1))
    }

    /// True if the release point of this time is the survey's last one.
    pub fn is_last(&self, time: u64) -> bool {
        time >= self.last()
    }

    /// The latest time up to `clock` at which a release point was due.
    pub fn latest(&self, clock: u64) -> Option<u64> {
        if clock >= self.last() {
            return Some(self.last());
        }
        let every = self.every.max(1);
        let passed = clock.checked_sub(self.opens)? / every;
        (passed > 0).then(|| self.opens + passed * every)
    }

    /// The first time after `clock` at which a release point is due; `None` after the last.
    pub fn next(&self, clock: u64) -> Option<u64> {
        let every = self.every.max(1);
        let passed = clock.saturating_sub(self.opens) / every;
        let next = if clock < self.opens { self.opens + every } else { self.opens + (passed + 1) * every };
        let next = next.min(self.last());
        (clock < next).then_some(next)
    }

    /// The time of the release point that is due by this clock, after one of time `after`. Missed ones are not made up for:
    /// the latest replaces them.
    pub fn due(&self, after: Option<u64>, clock: u64) -> Option<u64> {
        self.latest(clock).filter(|time| after.is_none_or(|after| after < *time))
    }

    /// Checks that a party admits a release point of this `time`, after one of time `after`, by its own `clock`.
    ///
    /// It must be the one that is due; within [`MAX_SKEW`] of the next one, the one before is admitted too, so that two parties
    /// whose clocks differ a little agree.
    ///
    /// # Errors
    ///
    /// The text says why it is not due.
    pub fn admits(&self, after: Option<u64>, time: u64, clock: u64) -> Result<(), NotDue> {
        self.follows(after, time)?;
        if self.latest(time) != Some(time) {
            return Err(NotDue::OffSchedule(time));
        }
        if time > clock && !mutant!("release-point-before-it-is-due") {
            return Err(NotDue::Early { time, clock });
        }
        match self.latest(clock.saturating_sub(MAX_SKEW)) {
            Some(due) if due > time && !mutant!("missed-release-points-made-up-for") => {
                Err(NotDue::Missed { time, due })
            }
            _ => Ok(()),
        }
    }

    /// Checks the same for a party that admits release points which are not due, a switch for development.
    ///
    /// # Errors
    ///
    /// It is not later than the last one, is in the future, or the survey had its last one.
    pub fn admits_any(&self, after: Option<u64>, time: u64, clock: u64) -> Result<(), NotDue> {
        self.follows(after, time)?;
        if time > clock.saturating_add(MAX_SKEW) { Err(NotDue::Early { time, clock }) } else { Ok(()) }
    }

    fn follows(&self, after: Option<u64>, time: u64) -> Result<(), NotDue> {
        match after {
            Some(last) if self.is_last(last) => Err(NotDue::Closed),
            Some(last) if time <= last => Err(NotDue::Past { time, last }),
            _ => Ok(()),
        }
    }

    /// True if a row that was accepted at `at` has waited long enough at `time` to give up `dropped` fields: longer than the
    /// patience for the first, a day more for each further one.
    pub(crate) fn is_patient(&self, at: u64, time: u64, dropped: usize) -> bool {
        let more = (dropped.saturating_sub(1) as u64).saturating_mul(DAY);
        time.saturating_sub(at) > self.patience.saturating_add(more)
    }
}
