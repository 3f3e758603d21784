//! The stored rows that were given new shares, and the time: a pure function of the log, as everything in the book.
//!
//! An epoch is one refresh of all rows that the log held when it began. It takes one entry, or several that go on where the
//! one before stopped; other entries may come in between.

use std::collections::BTreeMap;

use tercet_protocol::log::{MAX_REFRESHED, Refreshed};

/// Seconds between the beginnings of two epochs: each adds to the log, and no party can make the others write without end.
const PAUSE: u64 = 3600;

/// The rows that the next entry of a refresh covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The epoch of the new shares.
    pub epoch: u64,
    /// True if it goes on with an epoch that has begun.
    pub goes_on: bool,
    /// The heights whose rows get new shares, in order.
    pub heights: Vec<u64>,
}

/// Most numbers in the rows of one entry of a refresh, which a party holds in memory at once: 32 bytes each.
const MAX_NUMBERS: usize = 1 << 20;

/// The rows that have shares, and the entries that refreshed them.
#[derive(Debug)]
pub struct Epochs {
    /// Most rows of one entry of a refresh, unless an earlier entry brought more at once.
    most: usize,
    /// Number of rows of each entry that are not erased.
    rows: BTreeMap<u64, usize>,
    /// For each height of rows, the height of the newest entry that refreshed them.
    refreshed: BTreeMap<u64, u64>,
    epoch: u64,
    /// Height and time of the epoch's first entry.
    began: (u64, u64),
    /// Rows up to this height are done in this epoch.
    done: u64,
}

impl Epochs {
    /// No rows yet, which will have so many numbers each.
    pub fn new(lanes: usize) -> Self {
        Self {
            most: MAX_REFRESHED.min(MAX_NUMBERS / lanes.max(1)),
            rows: BTreeMap::new(),
            refreshed: BTreeMap::new(),
            epoch: 0,
            began: (0, 0),
            done: 0,
        }
    }

    /// The entry at a height brings rows.
    pub fn came(&mut self, height: u64, rows: usize) {
        if rows > 0 {
            self.rows.insert(height, rows);
        }
    }

    /// One row of the entry at a height is erased.
    pub fn left(&mut self, height: u64) {
        if let Some(rows) = self.rows.get_mut(&height) {
            *rows = rows.saturating_sub(1);
        }
    }

    /// The newest epoch, zero before the first refresh.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The height of the newest entry that refreshed the rows of the entry at this height.
    pub fn refreshed_at(&self, height: u64) -> Option<u64> {
        self.refreshed.get(&height).copied()
    }

    /// True if the newest epoch holds all rows that the log held when it began.
    pub fn complete(&self) -> bool {
        let (from, to) = self.left_over();
        !self.rows.range(from..to).any(|(_, rows)| *rows > 0)
    }

    /// Between which heights the newest epoch lacks rows; the end is not one of them.
    fn left_over(&self) -> (u64, u64) {
        let from = self.done + 1;
        (from, self.began.0.max(from))
    }

    /// The next part: the rest of the newest epoch, or the beginning of another one. `None` if there are no rows.
    pub fn next_part(&self) -> Option<Part> {
        let goes_on = !self.complete();
        let (from, to) = if goes_on { self.left_over() } else { (0, u64::MAX) };
        let (mut heights, mut all) = (Vec::new(), 0);
        for (height, rows) in self.rows.range(from..to).filter(|(_, rows)| **rows > 0) {
            all += rows;
            if all > self.most && !heights.is_empty() {
                break;
            }
            heights.push(*height);
        }
        let epoch = if goes_on { self.epoch } else { self.epoch.saturating_add(1) };
        (!heights.is_empty()).then_some(Part { epoch, goes_on, heights })
    }

    /// The next part, if it may come at this time: an epoch begins an hour after the one before, or later.
    pub fn due(&self, at: u64) -> Option<Part> {
        let early = self.epoch > 0 && at < self.began.1.saturating_add(PAUSE);
        self.next_part().filter(|part| part.goes_on || !early)
    }

    /// Takes an entry's refresh, which has to be the next part.
    pub fn refresh(&mut self, height: u64, at: u64, epoch: u64, rows: &[Refreshed]) -> Result<(), String> {
        let part = self.next_part().ok_or("there are no rows to refresh")?;
        if epoch != part.epoch || !rows.iter().map(|r| r.height).eq(part.heights.iter().copied()) {
            return Err("it refreshes other rows than are due, or for another epoch".into());
        }
        if rows.iter().any(|r| self.rows.get(&r.height) != Some(&r.rows.len())) {
            return Err("it refreshes another number of rows than there are".into());
        }
        if !part.goes_on {
            (self.epoch, self.began) = (epoch, (height, at));
        }
        self.done = part.heights.last().copied().unwrap_or(self.done);
        self.refreshed.extend(part.heights.iter().map(|h| (*h, height)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tercet_protocol::ids::Commitment;

    use super::*;

    fn refreshed(part: &Part, epochs: &Epochs) -> Vec<Refreshed> {
        let rows = |h: &u64| vec![[Commitment([0; 32]); 3]; epochs.rows[h]];
        part.heights.iter().map(|h| Refreshed { height: *h, rows: rows(h) }).collect()
    }

    #[test]
    fn an_epoch_covers_each_row_that_was_there_once_in_as_many_parts_as_it_takes() {
        let mut epochs = Epochs::new(3);
        assert_eq!((epochs.next_part(), epochs.complete()), (None, true));
        for height in 1..=40 {
            epochs.came(height, MAX_REFRESHED / 16);
        }
        for _ in 0..MAX_REFRESHED / 16 {
            epochs.left(7);
        }
        let (mut covered, mut height) = (Vec::new(), 41);
        while let Some(part) = epochs.next_part().filter(|p| p.epoch == 1) {
            assert_eq!(part.goes_on, !covered.is_empty());
            covered.extend(part.heights.clone());
            let rows = refreshed(&part, &epochs);
            assert!(rows.iter().map(|r| r.rows.len()).sum::<usize>() <= MAX_REFRESHED);
            epochs.refresh(height, 1000, 1, &rows).unwrap();
            // Rows that come in meanwhile have shares that nobody held before the epoch.
            epochs.came(height + 1, 5);
            height += 2;
        }
        let expected: Vec<u64> = (1..=40).filter(|h| *h != 7).collect();
        assert_eq!(covered, expected);
        assert!(epochs.complete() && epochs.epoch() == 1);
        assert_eq!(
            (epochs.refreshed_at(1), epochs.refreshed_at(7), epochs.refreshed_at(42)),
            (Some(41), None, None)
        );
        // The next one begins at the first row again, and not within the hour.
        assert_eq!(epochs.due(1000 + PAUSE - 1), None);
        let next = epochs.due(1000 + PAUSE).unwrap();
        assert_eq!((next.epoch, next.heights[0], next.goes_on), (2, 1, false));
    }

    #[test]
    fn wide_rows_take_more_entries() {
        let mut epochs = Epochs::new(1024);
        for height in 1..=4 {
            epochs.came(height, 600);
        }
        assert_eq!(epochs.next_part().unwrap().heights, [1], "1024 rows of 1024 numbers");
        epochs.came(1, 5000);
        assert_eq!(epochs.next_part().unwrap().heights, [1], "an entry's rows stay together");
    }

    #[test]
    fn only_the_next_part_is_taken() {
        let mut epochs = Epochs::new(3);
        epochs.came(1, 2);
        epochs.came(3, 1);
        let good = refreshed(&epochs.next_part().unwrap(), &epochs);
        let mut fewer = good.clone();
        fewer[0].rows.pop();
        let mut other = good.clone();
        other[1].height = 2;
        for (epoch, rows) in [
            (0, &good[..]),
            (2, &good[..]),
            (1, &good[..1]),
            (1, &good[1..]),
            (1, &[][..]),
            (1, &fewer[..]),
            (1, &other[..]),
        ] {
            assert!(epochs.refresh(4, 0, epoch, rows).is_err(), "{epoch} {rows:?}");
        }
        epochs.refresh(4, 0, 1, &good).unwrap();
        assert!(epochs.refresh(5, 0, 1, &good).is_err(), "twice for one epoch");
    }
}
