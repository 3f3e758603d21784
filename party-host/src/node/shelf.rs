//! The rows in the bucket, entry by entry: the rows that this party lacks, and its account of them in a hello.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{EntryHash, sha256};

/// A party's account of the rows beside its log. Three parties at one height that lack nothing say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdings {
    /// The newest epoch of shares.
    pub epoch: u64,
    /// Number of entries whose rows it has.
    pub entries: u64,
    /// Digest of their heights and of the names that the rows have.
    pub digest: [u8; 32],
}

impl Holdings {
    /// Writes it, for the session's name.
    pub fn write(&self, w: &mut Writer) {
        w.u64(self.epoch).u64(self.entries).array(&self.digest);
    }
}

/// The rows in the bucket that the log demands, and those that it demands and that are not there.
#[derive(Debug, Default)]
pub struct Shelf {
    held: BTreeMap<u64, EntryHash>,
    lacking: BTreeSet<u64>,
    /// The sum of the hashes of all segments here, so that a change costs one hash.
    sum: [u64; 4],
}

impl Shelf {
    /// The rows of the entry at a height are there, under this name.
    pub fn put(&mut self, height: u64, name: EntryHash) {
        self.take(height);
        self.lacking.remove(&height);
        self.held.insert(height, name);
        self.change(height, &name, u64::wrapping_add);
    }

    /// The rows of the entry at a height are not there.
    pub fn lack(&mut self, height: u64) {
        self.take(height);
        self.lacking.insert(height);
    }

    /// True if rows are there under this name.
    pub fn holds(&self, height: u64, name: &EntryHash) -> bool {
        self.held.get(&height) == Some(name)
    }

    /// Heights of entries whose rows are not there.
    pub fn lacking(&self) -> &BTreeSet<u64> {
        &self.lacking
    }

    /// The account of it in a hello.
    pub fn holdings(&self, epoch: u64) -> Holdings {
        let mut digest = [0; 32];
        for (to, word) in digest.as_chunks_mut::<8>().0.iter_mut().zip(self.sum) {
            *to = word.to_le_bytes();
        }
        Holdings { epoch, entries: self.held.len() as u64, digest }
    }

    fn take(&mut self, height: u64) {
        if let Some(name) = self.held.remove(&height) {
            self.change(height, &name, u64::wrapping_sub);
        }
    }

    fn change(&mut self, height: u64, name: &EntryHash, by: fn(u64, u64) -> u64) {
        let mut w = Writer::tagged("tercet rows on a shelf v1");
        w.u64(height).array(name.as_ref());
        let hash = sha256(&[&w.finish()]);
        for (sum, word) in self.sum.iter_mut().zip(hash.as_chunks::<8>().0) {
            *sum = by(*sum, u64::from_le_bytes(*word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_held_however_it_came_there() {
        let name = |n: u8| EntryHash([n; 32]);
        let mut one = Shelf::default();
        let nothing = one.holdings(0);
        one.put(1, name(1));
        one.put(2, name(2));
        let mut other = Shelf::default();
        other.put(2, name(9));
        other.lack(1);
        assert_eq!(other.lacking().iter().copied().collect::<Vec<_>>(), [1]);
        assert_ne!(one.holdings(0), other.holdings(0));
        other.put(1, name(1));
        assert!(other.lacking().is_empty());
        assert_ne!(one.holdings(0), other.holdings(0), "other rows under one height");
        other.put(2, name(2));
        assert_eq!(one.holdings(0), other.holdings(0));
        assert_ne!(one.holdings(0), other.holdings(1));
        assert!(one.holds(2, &name(2)) && !one.holds(2, &name(9)));
        one.lack(1);
        one.lack(2);
        assert_eq!(one.holdings(0), nothing);
    }
}
