//! The records of the entry that is being agreed on: a party's prepares and its locks.

use tercet_protocol::ids::SurveyId;
use zeroize::Zeroizing;

use super::{Store, StoreError, Written, foreign, number};
use crate::keyring::{ObjectKind, Place};

/// Most bytes of one record: the largest entry, and the signatures about it.
const MAX_PENDING: usize = 16 * 1024 * 1024;

/// Names a record. The number is the party's own, from its prepare; the content names it too, so that no record
/// passes for another one of the same height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pending {
    /// A lock; else a prepare.
    pub lock: bool,
    /// The height.
    pub height: u64,
    /// The number.
    pub number: u64,
}

impl Pending {
    fn kind(self) -> ObjectKind {
        if self.lock { ObjectKind::Lock } else { ObjectKind::Prepare }
    }

    fn key(self, survey: SurveyId) -> String {
        format!("{}{:020}-{:020}", prefix(survey, self.lock), self.height, self.number)
    }

    fn place(self, survey: SurveyId) -> Place {
        Place { survey, kind: self.kind(), height: self.height }
    }
}

fn prefix(survey: SurveyId, lock: bool) -> String {
    format!("surveys/{survey}/{}/", if lock { "locks" } else { "prepares" })
}

impl Store {
    /// Makes a record durable. Repeating it with the same content succeeds.
    pub async fn put_pending(&self, survey: SurveyId, name: Pending, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > MAX_PENDING {
            return Err(StoreError::TooLarge { what: "the record", len: bytes.len(), max: MAX_PENDING });
        }
        self.fenced()?;
        let key = name.key(survey);
        match self.write(&name.place(survey), &key, bytes).await? {
            Written::Earlier(found) if *found != bytes => Err(StoreError::Conflict { key }),
            Written::Earlier(_) | Written::Ours => Ok(()),
        }
    }

    /// All records, in order of height and number.
    pub async fn list_pending(&self, survey: SurveyId) -> Result<Vec<Pending>, StoreError> {
        let mut all = Vec::new();
        for lock in [false, true] {
            let prefix = prefix(survey, lock);
            for key in self.inner.objects.list(&prefix).await? {
                let parse = |key: &str| {
                    let (height, number_) = key.strip_prefix(&prefix)?.split_once('-')?;
                    Some(Pending { lock, height: number(height)?, number: number(number_)? })
                };
                all.push(parse(&key).ok_or_else(|| foreign(&key))?);
            }
        }
        all.sort_by_key(|p| (p.height, p.number, p.lock));
        Ok(all)
    }

    /// One record.
    pub async fn pending(&self, survey: SurveyId, name: Pending) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let key = name.key(survey);
        self.read(&name.place(survey), &key).await?.ok_or(StoreError::Missing { key })
    }

    /// Deletes a record; one that is not there counts as deleted.
    pub async fn delete_pending(&self, survey: SurveyId, name: Pending) -> Result<(), StoreError> {
        self.inner.objects.delete(&name.key(survey)).await
    }

    /// The error for a record whose content does not fit its name.
    pub fn damaged_pending(
        &self,
        survey: SurveyId,
        name: Pending,
        why: impl std::fmt::Display,
    ) -> StoreError {
        StoreError::corrupt(&name.key(survey), why)
    }

    /// Keeps the operators' word that an entry of a height is given up. Repeating it with the same content succeeds.
    pub async fn put_abandonment(
        &self,
        survey: SurveyId,
        height: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.fenced()?;
        let (key, place) = abandonment(survey, height);
        match self.write(&place, &key, bytes).await? {
            Written::Earlier(found) if *found != bytes => Err(StoreError::Conflict { key }),
            Written::Earlier(_) | Written::Ours => Ok(()),
        }
    }

    /// The abandonment that [`Self::put_abandonment`] kept.
    pub async fn abandonment(
        &self,
        survey: SurveyId,
        height: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let (key, place) = abandonment(survey, height);
        self.read(&place, &key).await
    }
}

fn abandonment(survey: SurveyId, height: u64) -> (String, Place) {
    let key = format!("surveys/{survey}/abandoned/{height:020}");
    (key, Place { survey, kind: ObjectKind::Abandonment, height })
}
