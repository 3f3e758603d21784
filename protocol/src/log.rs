//! The agreed log: every change of a survey's state is one entry, chained by hash and signed by all three parties.

mod committed;

use serde::{Deserialize, Serialize};

pub use committed::{CommittedEntry, LogError};

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Commitment, EntryHash, Nullifier, PublicKey, Signature, SubmissionId, SurveyId, sha256};
use crate::keys::SigningKey;
use crate::survey::{MAX_FIELD_VALUE, MAX_FIELDS};

/// Most submissions in one batch.
pub const MAX_BATCH: usize = 1024;
/// Most units that enter at one release point; rows of further ones wait for the next.
pub const MAX_UNITS: usize = 1 << 14;
/// Most groups whose members nobody knows, the rests of their partitions included.
pub const MAX_SECRET: usize = 1 << 11;
/// Most rows that one entry gives new shares. A refresh of more rows takes several entries.
pub const MAX_REFRESHED: usize = 1 << 14;

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
    /// Commitments to the row's three shares, in order: a party that lost a share can tell that it gets the right one
    /// back.
    pub rows: [Commitment; 3],
    /// The key that a withdrawal of this submission is signed with.
    pub withdrawal_key: PublicKey,
}

impl Accepted {
    /// Writes ids, commitments and key, one byte for the rest (1: the replaced id, 2: fields), and the rest.
    pub fn write(&self, w: &mut Writer) {
        w.array(self.submission.as_ref()).array(self.nullifier.as_ref());
        commitments(w, &self.rows);
        w.array(self.withdrawal_key.as_ref());
        w.u8(u8::from(self.replaces.is_some()) | if self.fields.is_empty() { 0 } else { 2 });
        if let Some(id) = &self.replaces {
            w.array(id.as_ref());
        }
        if !self.fields.is_empty() {
            count(w, self.fields.len());
            self.fields.iter().for_each(|f| {
                w.bytes(f.as_bytes());
            });
        }
    }

    /// Reads the bytes of [`Self::write`].
    pub fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (submission, nullifier) = (SubmissionId(r.array()?), Nullifier(r.array()?));
        let (rows, withdrawal_key) = (read_commitments(r)?, PublicKey(r.array()?));
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
        Ok(Self { submission, nullifier, replaces, fields, rows, withdrawal_key })
    }
}

/// A release point: rows that waited enter the statistics, in units that never change again.
///
/// The log below and [`Self::due`] determine which rows enter in which unit. Only the digest of this is stored, so
/// that a party notices if it computes something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The release point's number, from 1.
    pub point: u64,
    /// Unix seconds at which it was due: waiting times are counted up to here.
    pub due: u64,
    /// Digest of the units that enter.
    pub entering: [u8; 32],
    /// For each unit that enters, in order: commitments to the three shares of its sums.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<[Commitment; 3]>,
    /// For each secret group in the survey's order, the rests of their partitions after them: how many rows entered as a
    /// unit of that group; zero where the group's rows still wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<u64>,
}

/// New shares of the rows that an earlier entry brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refreshed {
    /// The earlier entry's height.
    pub height: u64,
    /// For each of its rows that is not erased, in order: commitments to the three new shares.
    pub rows: Vec<[Commitment; 3]>,
}

/// The change that an entry makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryBody {
    /// Checked submissions come in, in row order, and wait for a release point.
    Batch {
        /// The submissions.
        accepted: Vec<Accepted>,
    },
    /// Waiting rows enter the statistics.
    Release(Release),
    /// One row's shares are deleted at all three parties.
    Erase {
        /// The submission that the row came in by.
        submission: SubmissionId,
        /// The person's request, signed with the submission's withdrawal key.
        request: Signature,
    },
    /// Stored shares are re-randomised: those of one epoch by one entry or by several that follow each other in the order of
    /// heights.
    Refresh {
        /// The epoch that the new shares belong to; the first one is 1.
        epoch: u64,
        /// The rows, in the order of heights.
        rows: Vec<Refreshed>,
    },
    /// An entry that two parties lost the rows of is given up, by the three operators' hands.
    Void {
        /// The entry that is given up.
        entry: EntryHash,
        /// The operators' signatures of [`crate::abandonment::Abandoned`], in party order.
        operators: Box<[Signature; 3]>,
    },
}

impl EntryBody {
    /// Stable name of the kind, for logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Batch { .. } => "batch",
            Self::Release(_) => "release",
            Self::Erase { .. } => "erase",
            Self::Refresh { .. } => "refresh",
            Self::Void { .. } => "void",
        }
    }

    /// Writes it: one byte for the kind, and its content.
    pub fn write(&self, w: &mut Writer) {
        match self {
            Self::Batch { accepted } => {
                w.u8(0);
                count(w, accepted.len());
                accepted.iter().for_each(|a| a.write(w));
            }
            Self::Release(p) => {
                w.u8(1).u64(p.point).u64(p.due).array(&p.entering);
                count(w, p.units.len());
                p.units.iter().for_each(|u| commitments(w, u));
                count(w, p.secret.len());
                p.secret.iter().for_each(|n| {
                    w.u64(*n);
                });
            }
            Self::Erase { submission, request } => {
                w.u8(2).array(submission.as_ref()).array(request.as_ref());
            }
            Self::Refresh { epoch, rows } => {
                w.u8(3).u64(*epoch);
                count(w, rows.len());
                for refreshed in rows {
                    w.u64(refreshed.height);
                    count(w, refreshed.rows.len());
                    refreshed.rows.iter().for_each(|row| commitments(w, row));
                }
            }
            Self::Void { entry, operators } => {
                w.u8(4).array(entry.as_ref());
                operators.iter().for_each(|signature| {
                    w.array(signature.as_ref());
                });
            }
        }
    }

    /// Reads the bytes of [`Self::write`].
    pub fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match r.u8()? {
            0 => {
                let mut accepted = Vec::new();
                for _ in 0..r.count("accepted", MAX_BATCH)? {
                    accepted.push(Accepted::read(r)?);
                }
                Self::Batch { accepted }
            }
            1 => {
                let (point, due, entering) = (r.u64()?, r.u64()?, r.array()?);
                let (mut units, mut secret) = (Vec::new(), Vec::new());
                for _ in 0..r.count("units", MAX_UNITS)? {
                    units.push(read_commitments(r)?);
                }
                for _ in 0..r.count("secret groups", MAX_SECRET)? {
                    secret.push(r.u64()?);
                }
                Self::Release(Release { point, due, entering, units, secret })
            }
            2 => Self::Erase { submission: SubmissionId(r.array()?), request: Signature(r.array()?) },
            3 => {
                let epoch = r.u64()?;
                let mut rows = Vec::new();
                for _ in 0..r.count("refreshed entries", MAX_REFRESHED)? {
                    let height = r.u64()?;
                    let mut new = Vec::new();
                    for _ in 0..r.count("refreshed rows", MAX_REFRESHED)? {
                        new.push(read_commitments(r)?);
                    }
                    rows.push(Refreshed { height, rows: new });
                }
                Self::Refresh { epoch, rows }
            }
            4 => {
                let entry = EntryHash(r.array()?);
                let operators = [Signature(r.array()?), Signature(r.array()?), Signature(r.array()?)];
                Self::Void { entry, operators: Box::new(operators) }
            }
            _ => return Err(CodecError::Unknown("the kind of a log entry")),
        })
    }

    /// Checks that it is no larger than an entry may be.
    fn fits(&self) -> Result<(), LogError> {
        match self {
            Self::Batch { accepted } if accepted.len() > MAX_BATCH => Err(LogError::Size(accepted.len())),
            Self::Release(p) if p.units.len() > MAX_UNITS => Err(LogError::Size(p.units.len())),
            Self::Release(p) if p.secret.len() > MAX_SECRET => Err(LogError::Size(p.secret.len())),
            Self::Refresh { rows, .. } => {
                let all = rows.len().max(rows.iter().map(|r| r.rows.len()).sum());
                if all > MAX_REFRESHED { Err(LogError::Size(all)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

fn count(w: &mut Writer, n: usize) {
    // Every list here is capped far below.
    w.u32(u32::try_from(n).unwrap_or(u32::MAX));
}

fn commitments(w: &mut Writer, three: &[Commitment; 3]) {
    three.iter().for_each(|c| {
        w.array(c.as_ref());
    });
}

fn read_commitments(r: &mut Reader<'_>) -> Result<[Commitment; 3], CodecError> {
    Ok([Commitment(r.array()?), Commitment(r.array()?), Commitment(r.array()?)])
}

/// One change that all three parties agreed on. Heights count from 1; the entry before the first has hash zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// The survey.
    pub survey: SurveyId,
    /// This entry's height.
    pub height: u64,
    /// Hash of the entry below.
    pub previous: EntryHash,
    /// Unix seconds at which the leader proposed it. The others vote only if their clocks show about the same.
    pub at: u64,
    /// The change.
    pub body: EntryBody,
}

impl LogEntry {
    /// Writes everything but votes.
    pub fn write(&self, w: &mut Writer) {
        w.array(self.survey.as_ref()).u64(self.height).array(self.previous.as_ref()).u64(self.at);
        self.body.write(w);
    }

    /// Reads the bytes of [`Self::write`].
    pub fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (survey, height) = (SurveyId(r.array()?), r.u64()?);
        let (previous, at) = (EntryHash(r.array()?), r.u64()?);
        Ok(Self { survey, height, previous, at, body: EntryBody::read(r)? })
    }

    /// The hash that the next entry, receipts and signatures name.
    pub fn hash(&self) -> EntryHash {
        let mut w = Writer::default();
        self.write(&mut w);
        Self::hash_of(&w.finish())
    }

    /// The same from the bytes that [`Self::write`] wrote.
    pub fn hash_of(written: &[u8]) -> EntryHash {
        EntryHash(sha256(&[&Writer::tagged("tercet log entry v2").finish(), written]))
    }

    /// The submissions that it accepts; empty for an entry of another kind.
    pub fn accepted(&self) -> &[Accepted] {
        match &self.body {
            EntryBody::Batch { accepted } => accepted,
            _ => &[],
        }
    }

    /// One party's vote: its signature of this entry.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(&Self::vote_message(self.hash()))
    }

    /// The message that a vote signs.
    pub fn vote_message(hash: EntryHash) -> Vec<u8> {
        let mut w = Writer::tagged("tercet vote v1");
        w.array(hash.as_ref());
        w.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted() -> Accepted {
        Accepted {
            submission: SubmissionId([5; 32]),
            nullifier: Nullifier([6; 32]),
            replaces: None,
            fields: vec!["DE".into()],
            rows: [7, 8, 9].map(|n| Commitment([n; 32])),
            withdrawal_key: PublicKey([10; 32]),
        }
    }

    fn bodies() -> Vec<EntryBody> {
        let units = vec![[1, 2, 3].map(|n| Commitment([n; 32]))];
        vec![
            EntryBody::Batch { accepted: vec![accepted()] },
            EntryBody::Release(Release {
                point: 3,
                due: 86_400,
                entering: [4; 32],
                units,
                secret: vec![0, 11],
            }),
            EntryBody::Erase { submission: SubmissionId([5; 32]), request: Signature([6; 64]) },
            EntryBody::Refresh {
                epoch: 2,
                rows: vec![Refreshed { height: 1, rows: vec![[3, 4, 5].map(|n| Commitment([n; 32])); 2] }],
            },
            EntryBody::Void {
                entry: EntryHash([7; 32]),
                operators: Box::new([8, 9, 10].map(|n| Signature([n; 64]))),
            },
        ]
    }

    #[test]
    fn an_entry_needs_three_votes_and_its_place() {
        let keys = [1, 2, 3].map(|i| SigningKey::from_seed(&[i; 32]).unwrap());
        let parties = keys.each_ref().map(SigningKey::public);
        let survey = SurveyId([1; 32]);
        let head = (6, EntryHash([4; 32]));
        let body = EntryBody::Batch { accepted: vec![accepted()] };
        let entry = LogEntry { survey, height: 7, previous: head.1, at: 1_000, body };
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
        let mut later = good.clone();
        later.entry.at += 1;
        assert_eq!(later.verify(survey, &parties, head), Err(LogError::Vote(0)));
        type Change = fn(&mut Accepted);
        let changes: [Change; 7] = [
            |a| a.replaces = Some(SubmissionId([5; 32])),
            |a| a.fields = vec![],
            |a| a.fields = vec!["FR".into()],
            |a| a.fields = vec!["DE".into(), String::new()],
            |a| a.rows[2] = Commitment([0; 32]),
            |a| a.withdrawal_key = PublicKey([0; 32]),
            |a| a.nullifier = Nullifier([0; 32]),
        ];
        for change in changes {
            let mut bad = good.clone();
            let EntryBody::Batch { accepted } = &mut bad.entry.body else { panic!("a batch") };
            change(&mut accepted[0]);
            assert_eq!(bad.verify(survey, &parties, head), Err(LogError::Vote(0)));
        }
    }

    #[test]
    fn every_kind_has_one_encoding_and_its_own_hash() {
        let entry = |body| LogEntry {
            survey: SurveyId([1; 32]),
            height: 1,
            previous: EntryHash([0; 32]),
            at: 5,
            body,
        };
        let mut hashes = std::collections::HashSet::new();
        for body in bodies() {
            let entry = entry(body);
            let mut w = Writer::default();
            entry.write(&mut w);
            let bytes = w.finish();
            assert_eq!(LogEntry::read(&mut Reader::new(&bytes)), Ok(entry.clone()));
            for cut in 0..bytes.len() {
                assert!(LogEntry::read(&mut Reader::new(&bytes[..cut])).is_err());
            }
            let json = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<LogEntry>(&json).unwrap(), entry);
            assert!(hashes.insert(entry.hash()));
        }
    }
}
