//! The agreed log: one entry per committed batch, chained by hash and signed by all three parties.

use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{EntryHash, Nullifier, PublicKey, Signature, SubmissionId, SurveyId, sha256};
use crate::keys::{KeyError, SigningKey};
use crate::survey::{MAX_FIELD_VALUE, MAX_FIELDS};

/// Most submissions in one batch.
pub const MAX_BATCH: usize = 1024;

/// One accepted submission in an entry. Its row is its position among the survey's accepted submissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The submission.
    pub submission: SubmissionId,
    /// Its identity's nullifier.
    pub nullifier: Nullifier,
    /// The earlier submission of the same identity that this one takes the place of, where the survey allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<SubmissionId>,
    /// Values of the survey's revealed fields, in its order. Each party reads them from the presentation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

impl Accepted {
    /// Writes it: ids, one byte that says what follows (1: the replaced id, 2: fields), and that.
    pub fn write(&self, w: &mut Writer) {
        w.array(self.submission.as_ref()).array(self.nullifier.as_ref());
        w.u8(u8::from(self.replaces.is_some()) | if self.fields.is_empty() { 0 } else { 2 });
        if let Some(id) = &self.replaces {
            w.array(id.as_ref());
        }
        if !self.fields.is_empty() {
            w.u32(u32::try_from(self.fields.len()).unwrap_or(u32::MAX));
            self.fields.iter().for_each(|f| {
                w.bytes(f.as_bytes());
            });
        }
    }

    /// Reads what [`Self::write`] wrote.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (submission, nullifier) = (SubmissionId(r.array()?), Nullifier(r.array()?));
        let mark = r.u8()?;
        if mark > 3 {
            return Err(CodecError::Unknown("the mark of a replaced submission"));
        }
        let replaces = if mark & 1 == 0 { None } else { Some(SubmissionId(r.array()?)) };
        let mut fields = Vec::new();
        if mark & 2 != 0 {
            for _ in 0..r.count("fields", MAX_FIELDS)? {
                let text = str::from_utf8(r.bytes("a field's value", MAX_FIELD_VALUE)?);
                fields.push(text.map_err(|_| CodecError::Unknown("a field's value"))?.to_owned());
            }
            if fields.is_empty() {
                return Err(CodecError::Unknown("the mark of fields"));
            }
        }
        Ok(Self { submission, nullifier, replaces, fields })
    }
}

/// A batch that all three parties agreed on. Heights count from 1; the entry before the first has hash zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// The survey.
    pub survey: SurveyId,
    /// This entry's height.
    pub height: u64,
    /// Hash of the entry below.
    pub previous: EntryHash,
    /// Accepted submissions, in row order.
    pub accepted: Vec<Accepted>,
}

impl LogEntry {
    /// The hash that the next entry, receipts and signatures name.
    pub fn hash(&self) -> EntryHash {
        let mut w = Writer::tagged("tercet log entry v1");
        w.array(self.survey.as_ref()).u64(self.height).array(self.previous.as_ref());
        w.u32(u32::try_from(self.accepted.len()).unwrap_or(u32::MAX));
        self.accepted.iter().for_each(|a| a.write(&mut w));
        EntryHash(sha256(&[&w.finish()]))
    }

    /// One party's vote: its signature of this entry.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(&Self::vote_message(self.hash()))
    }

    /// Checks one party's vote.
    pub fn verify_vote(&self, party: &PublicKey, vote: &Signature) -> Result<(), KeyError> {
        party.verify(&Self::vote_message(self.hash()), vote)
    }

    fn vote_message(hash: EntryHash) -> Vec<u8> {
        let mut w = Writer::tagged("tercet vote v1");
        w.array(hash.as_ref());
        w.finish()
    }
}

/// An entry with the three votes that make it final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommittedEntry {
    /// The entry.
    pub entry: LogEntry,
    /// Votes in party order.
    pub votes: [Signature; 3],
}

/// Why a committed entry does not extend a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A vote does not verify.
    #[error("the vote of party {0} on this entry does not verify")]
    Vote(u8),
    /// The entry is of another survey.
    #[error("the entry belongs to another survey")]
    Survey,
    /// The entry does not follow the log's head.
    #[error(
        "the entry at height {found} does not follow height {head}: the logs have diverged or one is behind"
    )]
    Chain {
        /// The entry's height.
        found: u64,
        /// The head's height.
        head: u64,
    },
    /// More submissions than a batch may have.
    #[error("the entry holds {0} submissions, more than a batch may")]
    Size(usize),
}

impl CommittedEntry {
    /// Checks the votes and that the entry follows `(height, hash)` in `survey`'s log.
    pub fn verify(
        &self,
        survey: SurveyId,
        parties: &[PublicKey; 3],
        head: (u64, EntryHash),
    ) -> Result<(), LogError> {
        let e = &self.entry;
        if e.survey != survey {
            return Err(LogError::Survey);
        }
        if e.height.checked_sub(1) != Some(head.0) || e.previous != head.1 {
            return Err(LogError::Chain { found: e.height, head: head.0 });
        }
        if e.accepted.len() > MAX_BATCH {
            return Err(LogError::Size(e.accepted.len()));
        }
        for ((i, key), vote) in (0u8..).zip(parties).zip(&self.votes) {
            e.verify_vote(key, vote).map_err(|_| LogError::Vote(i))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_three_votes_and_its_place() {
        let keys = [1, 2, 3].map(|i| SigningKey::from_seed(&[i; 32]).unwrap());
        let parties = keys.each_ref().map(SigningKey::public);
        let survey = SurveyId([1; 32]);
        let head = (6, EntryHash([4; 32]));
        let accepted = vec![Accepted {
            submission: SubmissionId([5; 32]),
            nullifier: Nullifier([6; 32]),
            replaces: None,
            fields: vec!["DE".into()],
        }];
        let entry = LogEntry { survey, height: 7, previous: head.1, accepted };
        let votes = keys.each_ref().map(|k| entry.sign(k));
        let good = CommittedEntry { entry, votes };
        assert_eq!(good.verify(survey, &parties, head), Ok(()));
        assert_eq!(good.verify(SurveyId([2; 32]), &parties, head), Err(LogError::Survey));
        assert_eq!(good.verify(survey, &parties, (7, head.1)), Err(LogError::Chain { found: 7, head: 7 }));
        assert_eq!(
            good.verify(survey, &parties, (6, EntryHash([5; 32]))),
            Err(LogError::Chain { found: 7, head: 6 })
        );
        for i in 0..3 {
            let mut bad = good.clone();
            bad.votes[i] = bad.votes[(i + 1) % 3];
            assert_eq!(bad.verify(survey, &parties, head), Err(LogError::Vote(i as u8)));
        }
        let mut bad = good.clone();
        bad.entry.accepted[0].replaces = Some(SubmissionId([5; 32]));
        assert_eq!(bad.verify(survey, &parties, head), Err(LogError::Vote(0)));
        for fields in [vec![], vec!["FR".into()], vec!["DE".into(), String::new()]] {
            let mut bad = good.clone();
            bad.entry.accepted[0].fields = fields;
            assert_eq!(bad.verify(survey, &parties, head), Err(LogError::Vote(0)));
        }
    }
}
