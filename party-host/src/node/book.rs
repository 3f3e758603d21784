//! A party's knowledge of one survey's log: a pure function of its entries.
//!
//! `tercet-releases` has the rules of waiting, entering and leaving; the book applies the log's entries to them, and knows
//! which submission is which row and where its shares are stored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tercet_mutants::mutant;
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{EntryHash, Nullifier, SubmissionId, SurveyId, sha256};
use tercet_protocol::log::{Accepted, CommittedEntry, EntryBody, LogEntry, Release};
use tercet_protocol::release_point::ReleasePoint;
use tercet_protocol::survey::SurveyManifest;
use tercet_protocol::withdrawal::Entered;
use tercet_releases::{Entering, Ledger, Refused, Row, Standing, UnitId};

use super::epochs::Epochs;
use super::renewal::Orders;
use super::secret::Groups;

/// The name under which an entry's rows are stored after a later entry has taken some of them away, or has given them new
/// shares.
pub fn rewritten(entry: EntryHash, by: EntryHash) -> EntryHash {
    let mut w = Writer::tagged("tercet rewritten rows v2");
    w.array(entry.as_ref()).array(by.as_ref());
    EntryHash(sha256(&[&w.finish()]))
}

/// Rows of an earlier entry that are stored anew, and so get another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The earlier entry's height.
    pub height: u64,
    /// The name under which its rows are stored now.
    pub old: EntryHash,
    /// Their name from the later entry on.
    pub new: EntryHash,
}

/// The place of an accepted submission in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The entry's height.
    pub height: u64,
    /// The identity's nullifier.
    pub nullifier: Nullifier,
}

/// A submission whose shares are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// The height of the entry that erased it.
    pub height: u64,
    /// That entry's time.
    pub at: u64,
}

/// A release point, and its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// As everybody sees it.
    pub public: ReleasePoint,
    /// The height of its entry: the sums of its units are stored under it.
    pub height: u64,
}

#[derive(Debug, Clone, Copy)]
struct Submitted {
    id: SubmissionId,
    nullifier: Nullifier,
    height: u64,
}

/// An entry that does not follow from the log below it: a party that voted for it runs other rules than this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log entry at height {height} does not follow from the entries below it: {problem}")]
pub struct Inconsistent {
    /// The entry's height.
    pub height: u64,
    /// The entry's fault.
    pub problem: String,
}

/// The state that a survey's log amounts to.
#[derive(Debug)]
pub struct Book {
    survey: SurveyId,
    heads: Vec<EntryHash>,
    ledger: Ledger,
    /// Indexed by row.
    submitted: Vec<Submitted>,
    numbers: HashMap<SubmissionId, Row>,
    /// Names of rewritten rows, by the height of their batch.
    names: BTreeMap<u64, EntryHash>,
    erased: HashMap<Row, Erased>,
    points: Vec<Point>,
    groups: Groups,
    orders: Orders,
    epochs: Epochs,
}

impl Book {
    /// An empty log.
    pub fn new(survey: SurveyId, manifest: &SurveyManifest) -> Self {
        Self {
            survey,
            heads: Vec::new(),
            ledger: Ledger::new(manifest.rules()),
            submitted: Vec::new(),
            numbers: HashMap::new(),
            names: BTreeMap::new(),
            erased: HashMap::new(),
            points: Vec::new(),
            groups: Groups::new(manifest),
            orders: Orders::new(manifest),
            epochs: Epochs::new(manifest.lanes().len()),
        }
    }

    /// The log's height and the head's hash; zero when empty.
    pub fn head(&self) -> (u64, EntryHash) {
        (self.heads.len() as u64, self.heads.last().copied().unwrap_or(EntryHash([0; 32])))
    }

    /// The hash of the entry at a height of 1 or more.
    pub fn hash_at(&self, height: u64) -> Option<EntryHash> {
        self.heads.get(usize::try_from(height.checked_sub(1)?).ok()?).copied()
    }

    /// The name under which the rows of the entry at a height are stored: its hash, until some of them are erased.
    pub fn rows_at(&self, height: u64) -> Option<EntryHash> {
        self.names.get(&height).copied().or_else(|| self.hash_at(height))
    }

    /// The rows of the entry at a height, as the entry `by` stores them anew. `None` if the log has no such height.
    pub fn moved(&self, height: u64, by: EntryHash) -> Option<Moved> {
        let new = rewritten(self.hash_at(height)?, by);
        Some(Moved { height, old: self.rows_at(height)?, new })
    }

    /// The rows that were given new shares, and the time.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The state of the release rules.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The secret groups' units and clocks.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// When order statistics were computed last.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The release points, from number 1.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The newest release point.
    pub fn newest(&self) -> Option<&Point> {
        self.points.last()
    }

    /// True if a row in a unit was erased since the newest release point.
    pub fn erased_since(&self) -> bool {
        self.points.last().is_some_and(|p| p.public.erased_rows != self.ledger.erased())
    }

    /// The heights of all batches.
    pub fn batches(&self) -> BTreeSet<u64> {
        // Rows are in the order of their entries.
        let mut heights: Vec<u64> = self.submitted.iter().map(|s| s.height).collect();
        heights.dedup();
        heights.into_iter().collect()
    }

    /// Rows in units and rows that wait.
    pub fn live(&self) -> u64 {
        self.ledger.counted() + self.ledger.waits() as u64
    }

    /// The place at which a submission was accepted.
    pub fn place(&self, id: &SubmissionId) -> Option<Place> {
        let row = self.submitted(id)?;
        Some(Place { height: row.height, nullifier: row.nullifier })
    }

    fn submitted(&self, id: &SubmissionId) -> Option<&Submitted> {
        self.submitted.get(*self.numbers.get(id)? as usize)
    }

    /// The unit that a submission's row is in, unless it was erased.
    pub fn unit_of(&self, id: &SubmissionId) -> Option<UnitId> {
        match self.ledger.standing(*self.numbers.get(id)?)? {
            Standing::Counted(unit) => Some(unit),
            _ => None,
        }
    }

    /// The release point at which the submission's row was counted; `None` if it never was.
    pub fn entered(&self, id: &SubmissionId) -> Option<Entered> {
        let (Standing::Counted(unit) | Standing::Erased(unit)) =
            self.ledger.standing(*self.numbers.get(id)?)?
        else {
            return None;
        };
        let unit = self.ledger.units().get(unit as usize)?;
        let point = self.points.get((unit.point as usize).checked_sub(1)?)?.public;
        Some(Entered { release: point.number, time: point.time, unit_rows: unit.size() })
    }

    /// When and by which entry a submission was erased.
    pub fn erased(&self, id: &SubmissionId) -> Option<Erased> {
        self.erased.get(self.numbers.get(id)?).copied()
    }

    /// Checks that a submission's row may leave: it is in the log, and has not left.
    pub fn may_leave(&self, id: &SubmissionId) -> Result<(), Problem> {
        let row = self.numbers.get(id);
        match row.and_then(|row| self.ledger.standing(*row)) {
            None => Err(Problem::new(ProblemKind::NotFound, "the log of this survey has no such submission")),
            Some(Standing::Waiting | Standing::Counted(_) | Standing::Never) => Ok(()),
            Some(Standing::Replaced) => {
                let detail =
                    "a later submission of the same person has taken this one's place: withdraw that one";
                Err(Problem::new(ProblemKind::NotFound, detail))
            }
            Some(Standing::Withdrawn | Standing::Erased(_)) => {
                Err(Problem::new(ProblemKind::NotFound, "this submission has been withdrawn already"))
            }
        }
    }

    /// The units that enter if the next release point is due at this time: the submissions of each.
    pub fn entering(&self, due: u64) -> (Entering, Vec<Vec<SubmissionId>>) {
        let entering = self.ledger.entering(due);
        let id = |row: &Row| self.submitted.get(*row as usize).map(|s| s.id);
        let units = entering.units().iter().map(|unit| unit.rows.iter().filter_map(id).collect()).collect();
        (entering, units)
    }

    /// Checks that submissions may still come in at this time: the survey's last release point is not due yet, whether or not
    /// it has been made.
    pub fn open(&self, at: u64) -> Result<(), Problem> {
        if at <= self.ledger.rules().schedule.last() || mutant!("submission-after-the-end") {
            return Ok(());
        }
        let detail =
            "the survey is over: its last release point was due, and who comes later would never be counted";
        Err(Problem::new(ProblemKind::PolicyViolated, detail).rule("survey-over"))
    }

    /// Decides which submissions of a checked batch, whose entry has the time `at`, get in, in the given order. All parties come
    /// to the same answer: it depends on the agreed log and order only.
    pub fn admit(
        &self,
        at: u64,
        batch: impl IntoIterator<Item = Accepted>,
    ) -> Vec<Result<Accepted, (SubmissionId, Problem)>> {
        let mut in_batch = HashSet::new();
        let refuse = |id, detail: &str| Err((id, Problem::new(ProblemKind::IdentityUsed, detail)));
        batch
            .into_iter()
            .map(|candidate| {
                let Accepted { submission, nullifier, .. } = candidate;
                self.open(at).map_err(|problem| (submission, problem))?;
                if self.erased(&submission).is_some() {
                    let detail = "this submission was withdrawn: it cannot be sent again";
                    return Err((submission, Problem::new(ProblemKind::Withdrawn, detail)));
                }
                if self.numbers.contains_key(&submission) {
                    return refuse(submission, "this very submission is in the survey already");
                }
                let earlier = match self.ledger.admits(&nullifier.0) {
                    Ok(earlier) => earlier,
                    Err(Refused::Duplicate(_)) => {
                        return refuse(
                            submission,
                            "this identity has an accepted submission, and the survey takes one of each",
                        );
                    }
                    Err(Refused::AlreadyCounted(_)) => {
                        let detail =
                            "this identity is in the statistics already, and what is in them never changes";
                        return Err((submission, Problem::new(ProblemKind::AlreadyCounted, detail)));
                    }
                    Err(other) => {
                        return Err((
                            submission,
                            Problem::new(ProblemKind::PolicyViolated, other.to_string()),
                        ));
                    }
                };
                if !in_batch.insert(nullifier) {
                    return refuse(submission, "another submission of this identity came first");
                }
                let replaces = earlier.and_then(|row| self.submitted.get(row as usize)).map(|s| s.id);
                Ok(Accepted { replaces, ..candidate })
            })
            .collect()
    }

    /// Extends the state by an entry that was verified to follow the head.
    ///
    /// # Errors
    ///
    /// The entry does not follow from the log below it. The state must not be used any more then.
    pub fn apply(&mut self, committed: &CommittedEntry) -> Result<(), Inconsistent> {
        self.extend(&committed.entry, committed.entry.hash())
    }

    /// The same by the entry and its hash.
    pub fn extend(&mut self, entry: &LogEntry, hash: EntryHash) -> Result<(), Inconsistent> {
        debug_assert_eq!(entry.survey, self.survey);
        let height = entry.height;
        let problem = |problem: String| Inconsistent { height, problem };
        match &entry.body {
            EntryBody::Batch { accepted } => {
                for a in accepted {
                    let (row, _) = self
                        .ledger
                        .accept(a.nullifier.0, &a.fields, entry.at)
                        .map_err(|e| problem(e.to_string()))?;
                    self.numbers.insert(a.submission, row);
                    self.submitted.push(Submitted { id: a.submission, nullifier: a.nullifier, height });
                }
                self.epochs.came(height, accepted.len());
            }
            EntryBody::Release(release) => {
                self.release(height, entry.at, release).map_err(problem)?;
                self.epochs.came(height, release.units.len());
            }
            EntryBody::Erase { submission, .. } => {
                let row =
                    *self.numbers.get(submission).ok_or_else(|| problem("no such submission".into()))?;
                self.ledger.leave(row).map_err(|e| problem(e.to_string()))?;
                self.erased.insert(row, Erased { height, at: entry.at });
                let batch = self.submitted.get(row as usize).map_or(0, |s| s.height);
                let moved = self.moved(batch, hash).ok_or_else(|| problem("a row without a batch".into()))?;
                self.names.insert(batch, moved.new);
                self.epochs.left(batch);
            }
            EntryBody::Refresh { epoch, rows } => {
                self.epochs.refresh(height, entry.at, *epoch, rows).map_err(problem)?;
                for moved in rows.iter().filter_map(|r| self.moved(r.height, hash)).collect::<Vec<_>>() {
                    self.names.insert(moved.height, moved.new);
                }
            }
            EntryBody::Void { .. } => {}
        }
        self.heads.push(hash);
        Ok(())
    }

    fn release(&mut self, height: u64, at: u64, release: &Release) -> Result<(), String> {
        let erased_rows = self.ledger.erased();
        let entered = self.ledger.enter(release.due, &release.entering).map_err(|e| e.to_string())?;
        if u64::from(entered.number) != release.point || entered.units().len() != release.units.len() {
            return Err("the release point has another number, or another number of units".into());
        }
        let public = ReleasePoint {
            number: release.point,
            time: at,
            rows: self.ledger.counted(),
            units: self.ledger.units().len() as u64,
            erased_rows,
        };
        self.points.push(Point { public, height });
        self.groups.decide(&self.ledger, entered.number, entered.last, &release.secret)?;
        self.orders.release(&self.ledger, &self.groups, entered.number);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
