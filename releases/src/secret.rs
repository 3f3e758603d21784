//! Secret groups: who is in which, nobody knows; when they are enough, the parties decide on shared counts.
//!
//! A *block* is one such group: a value of a category, those who have a value in a column, those who have one in both columns of
//! a pair. Blocks that nobody is in two of form a *partition*. Each block has a clock: the release point up to which its rows
//! are in secret units. At a release point the parties decide one bit for each block, *at least `min_new` of its rows entered
//! after its clock*; if so, these rows are a secret unit and the clock moves on.
//!
//! Rows enter with public units, so the rows of a block between two release points are a sum over whole public units of a
//! function of the row: nothing here ever looks at a row.

use tercet_mutants::mutant;

use crate::Point;

/// Blocks that nobody is in two of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// The number of blocks.
    pub blocks: usize,
    /// True if rows that have waited longer than twice the patience become a unit across the blocks. Only if every row of every
    /// block has a value in each sum that is released over the partition: a unit in which some have none would be smaller than
    /// it looks.
    pub rest: bool,
}

/// Rows that entered at release points after one and up to another: `(after, until]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    /// The release point after which, 0 for the beginning.
    pub after: u32,
    /// The last release point.
    pub until: u32,
}

impl Range {
    /// True if no release point is in it.
    pub fn is_empty(&self) -> bool {
        self.until <= self.after
    }
}

/// The questions that are decided at a release point about one partition's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions {
    /// For each block: whether at least `min_new` of its rows are in this range. An empty range has the answer no.
    pub blocks: Vec<Range>,
}

/// The decisions do not fit the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} decisions about {expected} secret groups")]
pub struct Mismatch {
    /// Decisions.
    pub found: usize,
    /// Blocks.
    pub expected: usize,
}

/// The clocks of a partition's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clocks {
    partition: Partition,
    last: Vec<u32>,
}

impl Clocks {
    /// Before the first release point.
    pub fn new(partition: Partition) -> Self {
        Self { partition, last: vec![0; partition.blocks] }
    }

    /// The release point up to which each block's rows are in secret units.
    pub fn last(&self) -> &[u32] {
        &self.last
    }

    /// The questions about each block at release point `number`.
    pub fn questions(&self, number: u32) -> Questions {
        Questions { blocks: self.last.iter().map(|after| Range { after: *after, until: number }).collect() }
    }

    /// The question about the rest at release point `number`, after the decisions on the blocks (`bits`): are there at least
    /// `min_new` rows in these ranges, one for each block? `None` if nothing waits so long or the partition has no rest.
    /// `points` are the log's release points up to this one; at the last one, `all` of them count.
    ///
    /// # Errors
    ///
    /// There is not one bit for each block.
    pub fn rest(
        &self,
        number: u32,
        bits: &[bool],
        points: &[Point],
        patience: u64,
        all: bool,
    ) -> Result<Option<Vec<Range>>, Mismatch> {
        self.fits(bits)?;
        if !self.partition.rest {
            return Ok(None);
        }
        let now = points.get((number as usize).wrapping_sub(1)).map_or(0, |p| p.time);
        let waited = |p: &Point| {
            all || mutant!("secret-rest-of-all-ages")
                || now.saturating_sub(p.time) > patience.saturating_mul(2)
        };
        // Release points are in order of time.
        let until = points.iter().take(number as usize).take_while(|p| waited(p)).count() as u32;
        let range = |(after, bit): (&u32, &bool)| {
            if *bit {
                Range { after: number, until: number }
            } else {
                Range { after: *after, until: until.max(*after) }
            }
        };
        let ranges: Vec<Range> = self.last.iter().zip(bits).map(range).collect();
        Ok(ranges.iter().any(|r| !r.is_empty()).then_some(ranges))
    }

    /// Moves the clocks on, as decided at release point `number`. `rest` are the ranges of a rest that became a unit.
    ///
    /// # Errors
    ///
    /// There is not one bit, or one range, for each block. Nothing has changed then.
    pub fn decide(&mut self, number: u32, bits: &[bool], rest: Option<&[Range]>) -> Result<(), Mismatch> {
        self.fits(bits)?;
        if let Some(found) = rest.map(<[Range]>::len).filter(|len| *len != self.last.len()) {
            return Err(Mismatch { found, expected: self.last.len() });
        }
        for (i, (last, bit)) in self.last.iter_mut().zip(bits).enumerate() {
            if mutant!("secret-clock-stays") {
                continue;
            }
            let pooled = rest.and_then(|ranges| ranges.get(i)).map_or(0, |r| r.until);
            *last = if *bit { number } else { pooled.max(*last) };
        }
        Ok(())
    }

    fn fits(&self, bits: &[bool]) -> Result<(), Mismatch> {
        let (found, expected) = (bits.len(), self.last.len());
        if found == expected { Ok(()) } else { Err(Mismatch { found, expected }) }
    }
}
