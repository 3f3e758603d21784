//! The state that one survey's log amounts to: who waits, who is in which unit, who has left.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use tercet_mutants::mutant;

use crate::{Filter, Formation, Formed, Label, Row, Schedule, Waiting, form};

/// That by which a person is one: the hash of an identity under the survey's id.
pub type Identity = [u8; 32];

/// The number of a unit, in the order in which units entered, from 0.
pub type UnitId = u32;

/// The settings of a survey that the rules depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Fewest rows of a unit.
    pub min_new: usize,
    /// Number of revealed fields.
    pub fields: usize,
    /// True if a new proof takes the place of a waiting row of the same identity.
    pub replace: bool,
    /// When release points are due.
    pub schedule: Schedule,
}

/// The state of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It waits for a release point.
    Waiting,
    /// Another one of the same identity took its place while it waited.
    Replaced,
    /// It was withdrawn while it waited.
    Withdrawn,
    /// It is in this unit.
    Counted(UnitId),
    /// It was in this unit when it was erased. The unit's sums do not change.
    Erased(UnitId),
    /// The survey had its last release point without it.
    Never,
}

/// The effect of leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The row waited, and is gone. Its identity may come again.
    Withdrawn,
    /// The row was in this unit. Its shares are to be deleted; its identity never makes up another unit.
    Erased(UnitId),
}

/// Why the rules refuse something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The identity waits already, and the survey does not let it submit again.
    #[error("this identity has submitted already")]
    Duplicate(Row),
    /// The identity is, or was, in a unit.
    #[error("this identity is already counted")]
    AlreadyCounted(Row),
    /// The survey had its last release point.
    #[error("the survey had its last release point: nothing is counted any more")]
    Closed,
    /// The row has another number of fields than the survey.
    #[error("a row of {found} fields in a survey of {expected}")]
    Fields {
        /// Fields of the row.
        found: usize,
        /// Fields of the survey.
        expected: usize,
    },
    /// There is no such row, or it has left before.
    #[error("the row is not there, or has left already")]
    NotThere,
    /// The release point is not later than the last one.
    #[error("a release point of {time} cannot follow one of {last}")]
    Past {
        /// Its time.
        time: u64,
        /// That of the last one.
        last: u64,
    },
    /// Other rows enter than the log says.
    #[error("what enters at release point {number} is not what the log says")]
    Digest {
        /// The release point.
        number: u32,
    },
    /// There are more rows than numbers.
    #[error("a survey has at most 4294967295 rows")]
    Full,
}

/// A unit that has entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The values that are told of all its rows; empty texts where nothing is.
    pub label: Label,
    /// The release point at which it entered, from 1.
    pub point: u32,
    /// Its rows, ascending; also those that were erased since.
    pub rows: Vec<Row>,
    /// The number of them that were erased since.
    pub erased: u64,
}

impl Unit {
    /// The number of rows that its sums are over.
    pub fn size(&self) -> u64 {
        self.rows.len() as u64
    }
}

/// A release point that the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When it was due.
    pub time: u64,
    /// The units with smaller numbers had entered when it was over.
    pub units: UnitId,
    /// The rows of all of these.
    pub rows: u64,
}

/// The units that enter at the next release point, if it is that of a certain time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entering {
    /// The release point's number, from 1.
    pub number: u32,
    /// When it was due.
    pub time: u64,
    /// True if it is the survey's last one.
    pub last: bool,
    /// Units, and rows that will never be counted.
    pub formation: Formation,
    digest: [u8; 32],
}

impl Entering {
    fn new(number: u32, time: u64, last: bool, formation: Formation) -> Self {
        let digest = digest(number, time, last, &formation);
        Self { number, time, last, formation, digest }
    }

    /// The units that enter; their numbers follow those of all units before, in this order.
    pub fn units(&self) -> &[Formed] {
        &self.formation.units
    }

    /// The number of rows that enter.
    pub fn rows(&self) -> u64 {
        self.formation.units.iter().map(|u| u.rows.len() as u64).sum()
    }

    /// The digest of number, time, labels and rows that the log's entry carries.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// SHA-256 of a tag, the number, the time, whether it is the last, and for each unit its label's texts and its rows, then the
/// rows that are never counted. Numbers are little-endian; lists and texts are preceded by their lengths.
fn digest(number: u32, time: u64, last: bool, formation: &Formation) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"tercet release point v1");
    hash.update(number.to_le_bytes());
    hash.update(time.to_le_bytes());
    hash.update([u8::from(last)]);
    let rows = |hash: &mut Sha256, rows: &[Row]| {
        hash.update((rows.len() as u64).to_le_bytes());
        rows.iter().for_each(|row| hash.update(row.to_le_bytes()));
    };
    hash.update((formation.units.len() as u64).to_le_bytes());
    for unit in &formation.units {
        hash.update((unit.label.len() as u64).to_le_bytes());
        for text in &unit.label {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        rows(&mut hash, &unit.rows);
    }
    rows(&mut hash, &formation.never);
    hash.finalize().into()
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    identity: Identity,
    label: u32,
    at: u64,
    standing: Standing,
}

/// The state of one survey's log, as far as the rules need it. Entries are applied in the log's order, one at a time; equal
/// logs give equal ledgers.
#[derive(Debug, Clone)]
pub struct Ledger {
    rules: Rules,
    rows: Vec<Entry>,
    /// The row of each identity: the one that waits, or the one that is or was in a unit.
    identities: HashMap<Identity, Row>,
    labels: Vec<Label>,
    numbers: HashMap<Label, u32>,
    /// Rows that wait, ascending, among others that have left since.
    waiting: Vec<Row>,
    /// The number of these that wait.
    waits: usize,
    clock: u64,
    units: Vec<Unit>,
    points: Vec<Point>,
    erased: u64,
}

impl Ledger {
    /// An empty log.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            rows: Vec::new(),
            identities: HashMap::new(),
            labels: Vec::new(),
            numbers: HashMap::new(),
            waiting: Vec::new(),
            waits: 0,
            clock: 0,
            units: Vec::new(),
            points: Vec::new(),
            erased: 0,
        }
    }

    /// The settings.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Checks that a proof of this identity may be accepted now, and gives the waiting row whose place it takes.
    ///
    /// # Errors
    ///
    /// The identity waits and may not replace its row, or is already counted, or the survey is over.
    pub fn admits(&self, identity: &Identity) -> Result<Option<Row>, Refused> {
        if self.closed() {
            return Err(Refused::Closed);
        }
        let Some(&row) = self.identities.get(identity) else { return Ok(None) };
        match self.standing(row) {
            Some(Standing::Waiting) if self.rules.replace => Ok(Some(row)),
            Some(Standing::Waiting) => Err(Refused::Duplicate(row)),
            Some(Standing::Erased(_)) if mutant!("erased-identity-may-return") => Ok(None),
            _ => Err(Refused::AlreadyCounted(row)),
        }
    }

    /// Appends an accepted row, which then waits, and says its number and whose place it takes. `at` is the time of the log's
    /// entry, in seconds; one that is earlier than that of an entry before counts as that.
    ///
    /// # Errors
    ///
    /// As [`Self::admits`], or the label has another number of fields than the survey. Nothing has changed then.
    pub fn accept(
        &mut self,
        identity: Identity,
        label: &[String],
        at: u64,
    ) -> Result<(Row, Option<Row>), Refused> {
        if label.len() != self.rules.fields {
            return Err(Refused::Fields { found: label.len(), expected: self.rules.fields });
        }
        let replaces = self.admits(&identity)?;
        let row = Row::try_from(self.rows.len()).map_err(|_| Refused::Full)?;
        self.clock = self.clock.max(at);
        if let Some(old) = replaces {
            self.stop_waiting(old, Standing::Replaced);
        }
        let label = self.number(label);
        self.rows.push(Entry { identity, label, at: self.clock, standing: Standing::Waiting });
        self.identities.insert(identity, row);
        self.waiting.push(row);
        self.waits += 1;
        Ok((row, replaces))
    }

    fn number(&mut self, label: &[String]) -> u32 {
        if let Some(number) = self.numbers.get(label) {
            return *number;
        }
        // There are no more labels than rows.
        let number = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        self.labels.push(label.to_vec());
        self.numbers.insert(label.to_vec(), number);
        number
    }

    fn stop_waiting(&mut self, row: Row, standing: Standing) {
        if let Some(entry) = self.rows.get_mut(row as usize) {
            entry.standing = standing;
            self.waits -= 1;
        }
    }

    /// Applies the log's decision that a row leaves.
    ///
    /// # Errors
    ///
    /// There is no such row, or it was replaced, has left already, or is never counted.
    pub fn leave(&mut self, row: Row) -> Result<Left, Refused> {
        let entry = self.rows.get_mut(row as usize).ok_or(Refused::NotThere)?;
        match entry.standing {
            Standing::Waiting => {
                let identity = entry.identity;
                self.identities.remove(&identity);
                self.stop_waiting(row, Standing::Withdrawn);
                Ok(Left::Withdrawn)
            }
            Standing::Counted(unit) => {
                entry.standing = Standing::Erased(unit);
                self.erased += 1;
                if let Some(unit) = self.units.get_mut(unit as usize) {
                    unit.erased += 1;
                    if mutant!("erased-row-leaves-its-unit") {
                        unit.rows.retain(|other| *other != row);
                    }
                }
                Ok(Left::Erased(unit))
            }
            // Its shares are of no use to anybody, and go.
            Standing::Never => {
                entry.standing = Standing::Withdrawn;
                Ok(Left::Withdrawn)
            }
            Standing::Replaced | Standing::Withdrawn | Standing::Erased(_) => Err(Refused::NotThere),
        }
    }

    /// The state of a row.
    pub fn standing(&self, row: Row) -> Option<Standing> {
        self.rows.get(row as usize).map(|entry| entry.standing)
    }

    /// The label of a row, as it was accepted.
    pub fn label(&self, row: Row) -> Option<&[String]> {
        let entry = self.rows.get(row as usize)?;
        self.labels.get(entry.label as usize).map(Vec::as_slice)
    }

    /// The row of an identity: the one that waits, or the one that is or was in a unit.
    pub fn row_of(&self, identity: &Identity) -> Option<Row> {
        self.identities.get(identity).copied()
    }

    /// The rows that wait, ascending.
    pub fn waiting(&self) -> impl Iterator<Item = Row> {
        self.waiting.iter().copied().filter(|row| self.standing(*row) == Some(Standing::Waiting))
    }

    /// The number of rows that wait.
    pub fn waits(&self) -> usize {
        self.waits
    }

    /// The number of rows that were ever accepted.
    pub fn accepted(&self) -> usize {
        self.rows.len()
    }

    /// True if the survey had its last release point.
    pub fn closed(&self) -> bool {
        self.points.last().is_some_and(|point| self.rules.schedule.is_last(point.time))
    }

    /// The time of the release point that is due by this clock.
    pub fn due(&self, clock: u64) -> Option<u64> {
        self.rules.schedule.due(self.points.last().map(|point| point.time), clock)
    }

    /// The units that enter if the next release point is that of this time. Takes time in proportion to the rows that wait.
    ///
    /// Only rows that were accepted by then: otherwise a release point at which nothing could enter would stay open, and the next
    /// provider could choose its company. Rows that come after the last one are never counted.
    pub fn entering(&self, time: u64) -> Entering {
        let entry = |row: &Row| self.rows.get(*row as usize);
        let (by_then, late): (Vec<Row>, Vec<Row>) = self
            .waiting()
            .partition(|row| mutant!("late-rows-enter") || entry(row).is_some_and(|e| e.at <= time));
        let waiting: Vec<Waiting<'_>> = by_then
            .iter()
            .filter_map(|row| {
                let entry = entry(row)?;
                Some(Waiting { row: *row, at: entry.at, label: self.labels.get(entry.label as usize)? })
            })
            .collect();
        // There are fewer release points than rows.
        let number = u32::try_from(self.points.len()).unwrap_or(u32::MAX).saturating_add(1);
        let schedule = &self.rules.schedule;
        let last = schedule.is_last(time);
        let mut formation = form(&waiting, self.rules.min_new, schedule, time);
        if last {
            formation.never.extend(late);
        }
        Entering::new(number, time, last, formation)
    }

    /// Applies a release point of the log: the rows that enter at `time`, if their digest is the one in the log.
    ///
    /// # Errors
    ///
    /// The digest is another, or the time is not later than that of the last one. Nothing has changed then.
    pub fn enter(&mut self, time: u64, digest: &[u8; 32]) -> Result<Entering, Refused> {
        if let Some(last) = self.points.last().map(|p| p.time).filter(|last| time <= *last) {
            return Err(Refused::Past { time, last });
        }
        let entering = self.entering(time);
        if entering.digest != *digest && !mutant!("entering-digest-not-compared") {
            return Err(Refused::Digest { number: entering.number });
        }
        for unit in &entering.formation.units {
            // There are fewer units than rows.
            let id = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
            for row in &unit.rows {
                self.stop_waiting(*row, Standing::Counted(id));
            }
            self.units.push(Unit {
                label: unit.label.clone(),
                point: entering.number,
                rows: unit.rows.clone(),
                erased: 0,
            });
        }
        for row in &entering.formation.never {
            self.stop_waiting(*row, Standing::Never);
        }
        let rows = self.points.last().map_or(0, |p| p.rows) + entering.rows();
        let units = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
        self.points.push(Point { time, units, rows });
        let left: Vec<Row> = self.waiting().collect();
        self.waiting = left;
        Ok(entering)
    }

    /// All units that have entered.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The numbers of the units that entered at a release point.
    pub fn units_at(&self, number: u32) -> std::ops::Range<UnitId> {
        let all = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
        let until = |n: u32| match n.checked_sub(1) {
            None => 0,
            Some(i) => self.points.get(i as usize).map_or(all, |p| p.units),
        };
        until(number.saturating_sub(1))..until(number)
    }

    /// The release points that the log holds; the first has number 1.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The newest release point's number; 0 if there is none.
    pub fn newest(&self) -> u32 {
        u32::try_from(self.points.len()).unwrap_or(u32::MAX)
    }

    /// The number of rows in units, with those erased since.
    pub fn counted(&self) -> u64 {
        self.points.last().map_or(0, |point| point.rows)
    }

    /// The number of rows in units that were erased.
    pub fn erased(&self) -> u64 {
        self.erased
    }

    /// The units that a filter selects; see [`Filter::select`].
    pub fn select(&self, filter: &Filter) -> crate::Selection {
        filter.select(&self.units)
    }

    /// The groups that a field makes of a filter's units; see [`Filter::groups`].
    pub fn groups(&self, filter: &Filter, field: usize, min_cohort: u64) -> crate::Groups {
        filter.groups(&self.units, field, min_cohort)
    }
}
