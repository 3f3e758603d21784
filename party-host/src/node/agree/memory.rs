//! The memory of the height that a party works on, in the process and in its bucket.

use std::collections::HashSet;
use std::sync::Arc;

use tercet_agreement::{Certificate, Machine, Memory};
use tercet_protocol::abandonment::Abandonment;
use tercet_protocol::ids::{EntryHash, SurveyId};

use super::scheme::{Names, Record, RowsAt, decode_certificate};
use crate::store::{Pending, Store, StoreError};

/// Deletions of rows under way at once.
const DELETED_AT_ONCE: usize = 32;

/// A party's side of the agreement: the state machine, and the records behind it.
#[derive(Debug)]
pub struct Agreement {
    /// Decides.
    pub machine: Machine<Names>,
    /// The records of prepares in the bucket.
    records: Vec<Arc<Record>>,
    /// The numbers of the locks in the bucket.
    locks: Vec<u64>,
    /// A write failed, and nobody knows whether it was done: the bucket says.
    pub unsure: bool,
}

/// Objects that nothing needs any more.
#[derive(Debug, Default)]
pub struct Obsolete {
    pending: Vec<Pending>,
    rows: Vec<(u64, EntryHash)>,
}

impl Obsolete {
    /// Deletes the rows now: an entry that is proposed once more may be staged under the same name. Records are deleted
    /// while the session goes on; a failure leaves some until the next start.
    pub async fn delete(self, store: &Store, survey: SurveyId) {
        for rows in self.rows.chunks(DELETED_AT_ONCE) {
            let mut deleting = Vec::with_capacity(rows.len());
            for (height, name) in rows {
                deleting.push(store.delete_segment(survey, *height, *name));
            }
            for e in futures::future::join_all(deleting).await.into_iter().filter_map(Result::err) {
                tracing::warn!(error = %e, "rows that are not needed any more stay until the next start");
            }
        }
        if self.pending.is_empty() {
            return;
        }
        let store = store.clone();
        tokio::spawn(async move {
            for name in self.pending {
                if let Err(e) = store.delete_pending(survey, name).await {
                    tracing::warn!(error = %e, "a record that is not needed any more stays until the next start");
                }
            }
        });
    }
}

impl Agreement {
    /// Reads the records above the log's head from the bucket, and deletes those of lower heights.
    pub async fn load(
        store: &Store,
        survey: SurveyId,
        me: u8,
        head: (u64, EntryHash),
    ) -> Result<Self, StoreError> {
        let machine = Machine::new(me, head.0, head.1, Memory::default());
        let mut new = Self { machine, records: Vec::new(), locks: Vec::new(), unsure: false };
        new.reload(store, survey).await?;
        Ok(new)
    }

    /// The same after a write whose end is not known.
    pub async fn reload(&mut self, store: &Store, survey: SurveyId) -> Result<(), StoreError> {
        let found = Found::read(store, survey, self.machine.head()).await?;
        self.take(found);
        Ok(())
    }

    /// Replaces the memory by the records that were found.
    pub fn take(&mut self, found: Found) {
        let Found { records, locks, lock, abandoned } = found;
        let latest = records.iter().map(|r| &r.prepare).max_by_key(|p| p.number).cloned();
        self.machine.reload(Memory { latest, lock, abandoned });
        (self.records, self.locks, self.unsure) = (records, locks, false);
    }

    /// The entry that this party is locked on.
    pub fn locked(&self) -> Option<EntryHash> {
        self.machine.memory().lock.as_ref().map(|l| l.entry)
    }

    /// The record of an entry whose rows this party has staged.
    pub fn record(&self, entry: &EntryHash) -> Option<&Arc<Record>> {
        self.records.iter().rev().find(|r| r.prepare.entry == *entry)
    }

    /// A prepare is durable. Rows and records of older ones go, but for those of the own lock.
    pub fn prepared(&mut self, record: Record) -> Obsolete {
        let (number, entry) = (record.prepare.number, record.prepare.entry);
        self.records.push(Arc::new(record));
        let lock = self.machine.memory().lock.as_ref();
        let of_lock = lock.map(|l| l.numbers[usize::from(self.machine.me())]);
        let keeps = |r: &Record| r.prepare.number == number || Some(r.prepare.number) == of_lock;
        let needed = [Some(entry), lock.map(|l| l.entry)];
        self.drop_records(keeps, |e| needed.contains(&Some(*e)))
    }

    /// A lock is durable. The parts of an older lock become obsolete.
    pub fn locked_durably(&mut self, number: u64) -> Obsolete {
        let (height, entry) = (self.machine.head().0 + 1, self.locked());
        let older = std::mem::replace(&mut self.locks, vec![number]);
        let mut obsolete = self.drop_records(|r| r.prepare.number == number, |e| Some(*e) == entry);
        obsolete.pending.extend(older.into_iter().map(|number| Pending { lock: true, height, number }));
        obsolete
    }

    /// The places of rows of entries that are not committed yet: nobody else may delete them.
    pub fn staged(&self) -> HashSet<(u64, EntryHash)> {
        self.records.iter().flat_map(|r| r.rows.places(&r.entry)).collect()
    }

    /// The height is committed with this entry, which the machine knows already: nothing that was pending is needed.
    pub fn committed(&mut self, entry: EntryHash) -> Obsolete {
        let record = self.record(&entry).cloned();
        let mut obsolete = self.drop_records(|_| false, |e| *e == entry);
        if let Some(RowsAt::Instead(moved)) = record.as_ref().map(|r| &r.rows) {
            obsolete.rows.extend(moved.iter().map(|m| (m.height, m.old)));
        }
        // The lock's record is the last to go: without it, a lock that is left says nothing.
        let height = self.machine.head().0;
        let locks = std::mem::take(&mut self.locks);
        obsolete.pending.extend(locks.into_iter().map(|number| Pending { lock: true, height, number }));
        obsolete
    }

    fn drop_records(
        &mut self,
        keeps: impl Fn(&Record) -> bool,
        needs_rows: impl Fn(&EntryHash) -> bool,
    ) -> Obsolete {
        let mut obsolete = Obsolete::default();
        self.records.retain(|r| {
            if keeps(r) {
                return true;
            }
            let (height, number) = (r.entry.height, r.prepare.number);
            obsolete.pending.push(Pending { lock: false, height, number });
            if !needs_rows(&r.prepare.entry) {
                obsolete.rows.extend(r.rows.places(&r.entry));
            }
            false
        });
        obsolete
    }
}

/// The records in the bucket above the log's head.
#[derive(Debug, Default)]
pub struct Found {
    records: Vec<Arc<Record>>,
    locks: Vec<u64>,
    lock: Option<Certificate<Names>>,
    abandoned: Option<EntryHash>,
}

impl Found {
    /// Reads it.
    pub async fn read(store: &Store, survey: SurveyId, head: (u64, EntryHash)) -> Result<Self, StoreError> {
        let height = head.0 + 1;
        let mut found = Self::default();
        let mut certificates = Vec::new();
        for name in store.list_pending(survey).await? {
            if name.height < height {
                store.delete_pending(survey, name).await?;
                continue;
            }
            let damaged = |why: &str| store.damaged_pending(survey, name, why);
            // Entries of the log are missing here: what is remembered of a height counts once the log has come to it.
            if name.height > height {
                continue;
            }
            let bytes = store.pending(survey, name).await?;
            if name.lock {
                let lock = decode_certificate(&bytes).map_err(|e| damaged(&e.to_string()))?;
                certificates.push((name.number, lock));
                found.locks.push(name.number);
            } else {
                let record = Record::decode(&bytes).map_err(|e| damaged(&e.to_string()))?;
                let of_here = record.entry.survey == survey
                    && record.entry.height == height
                    && record.entry.previous == head.1;
                if record.prepare.number != name.number || !of_here {
                    return Err(damaged("it is a record of another place"));
                }
                // Both were being written when the party stopped: nobody has heard of this prepare.
                let mut whole = true;
                for (at, rows) in record.rows.places(&record.entry) {
                    whole = whole && store.has_segment(survey, at, rows).await?;
                }
                if whole {
                    found.records.push(Arc::new(record));
                }
            }
        }
        if let Some(bytes) = store.abandonment(survey, height).await? {
            let kept: Option<Abandonment> = serde_json::from_slice(&bytes).ok();
            found.abandoned = kept.map(|a| a.abandoned).filter(|a| a.previous == head.1).map(|a| a.entry);
        }
        // The newest lock counts, with the record of its own prepare.
        found.lock = certificates.into_iter().rev().find_map(|(number, lock)| {
            let own = |r: &&Arc<Record>| r.prepare.number == number && r.prepare.entry == lock.entry;
            found.records.iter().any(|r| own(&r)).then_some(lock)
        });
        Ok(found)
    }
}
