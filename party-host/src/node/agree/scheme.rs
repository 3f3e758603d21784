//! Names, signatures and encodings of the agreement's records.

use tercet_agreement::{Certificate, Crypto, Kinds, Prepare, Statement};
use tercet_protocol::codec::{CodecError, Reader, Writer};
use tercet_protocol::ids::{EntryHash, PublicKey, Signature, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::log::{LogEntry, MAX_REFRESHED};

use crate::node::book::Moved;

/// The agreement's types in a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Names;

impl Kinds for Names {
    type Entry = EntryHash;
    type Session = [u8; 32];
    type Signature = Signature;
}

/// Signs as this party, and verifies the signatures of a survey's three parties.
pub struct Keys<'a> {
    /// The survey.
    pub survey: SurveyId,
    /// This party's key.
    pub identity: &'a SigningKey,
    /// All three, in order.
    pub parties: &'a [PublicKey; 3],
}

impl Keys<'_> {
    fn prepare(&self, s: &Statement<Names>) -> Vec<u8> {
        let mut w = Writer::tagged("tercet prepare v1");
        w.array(self.survey.as_ref()).u64(s.height).array(s.previous.as_ref());
        w.array(s.entry.as_ref()).array(&s.session).u64(s.number);
        w.finish()
    }

    fn signed(&self, party: u8, message: &[u8], signature: &Signature) -> bool {
        self.parties.get(usize::from(party)).is_some_and(|key| key.verify(message, signature).is_ok())
    }
}

impl Crypto<Names> for Keys<'_> {
    fn sign_prepare(&self, statement: &Statement<Names>) -> Signature {
        self.identity.sign(&self.prepare(statement))
    }
    fn is_prepare(&self, party: u8, statement: &Statement<Names>, signature: &Signature) -> bool {
        self.signed(party, &self.prepare(statement), signature)
    }
    fn sign_vote(&self, entry: &EntryHash) -> Signature {
        self.identity.sign(&LogEntry::vote_message(*entry))
    }
    fn is_vote(&self, party: u8, entry: &EntryHash, signature: &Signature) -> bool {
        self.signed(party, &LogEntry::vote_message(*entry), signature)
    }
}

fn write_prepare(w: &mut Writer, p: &Prepare<Names>) {
    w.array(p.entry.as_ref()).array(&p.session).u64(p.number).array(p.signature.as_ref());
}

fn read_prepare(r: &mut Reader<'_>) -> Result<Prepare<Names>, CodecError> {
    let (entry, session) = (EntryHash(r.array()?), r.array()?);
    Ok(Prepare { entry, session, number: r.u64()?, signature: Signature(r.array()?) })
}

/// The encoding of a prepare.
pub fn encode_prepare(p: &Prepare<Names>) -> Vec<u8> {
    let mut w = Writer::default();
    write_prepare(&mut w, p);
    w.finish()
}

/// Reads [`encode_prepare`]'s bytes.
pub fn decode_prepare(bytes: &[u8]) -> Result<Prepare<Names>, CodecError> {
    let mut r = Reader::new(bytes);
    let prepare = read_prepare(&mut r)?;
    r.finish()?;
    Ok(prepare)
}

/// The encoding of a certificate, sent and stored.
pub fn encode_certificate(c: &Certificate<Names>) -> Vec<u8> {
    let mut w = Writer::default();
    w.array(c.entry.as_ref()).array(&c.session);
    for (number, signature) in c.numbers.iter().zip(&c.signatures) {
        w.u64(*number).array(signature.as_ref());
    }
    w.finish()
}

/// Reads [`encode_certificate`]'s bytes.
pub fn decode_certificate(bytes: &[u8]) -> Result<Certificate<Names>, CodecError> {
    let mut r = Reader::new(bytes);
    let (entry, session) = (EntryHash(r.array()?), r.array()?);
    let (mut numbers, mut signatures) = ([0; 3], [Signature([0; 64]); 3]);
    for i in 0..3 {
        (numbers[i], signatures[i]) = (r.u64()?, Signature(r.array()?));
    }
    r.finish()?;
    Ok(Certificate { entry, session, numbers, signatures })
}

/// The place of the rows of an entry that is not committed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowsAt {
    /// It brings none.
    Nowhere,
    /// Under the entry's height and hash.
    Own,
    /// Under heights of earlier entries: they take the place of the rows there, which go at the commit.
    Instead(Vec<Moved>),
}

impl RowsAt {
    /// Heights and names of the rows.
    pub fn places(&self, entry: &LogEntry) -> Vec<(u64, EntryHash)> {
        match self {
            Self::Nowhere => Vec::new(),
            Self::Own => vec![(entry.height, entry.hash())],
            Self::Instead(moved) => moved.iter().map(|m| (m.height, m.new)).collect(),
        }
    }
}

/// The record that a party stores with its prepare: everything that it takes to finish the entry after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The prepare.
    pub prepare: Prepare<Names>,
    /// The place of the entry's staged rows.
    pub rows: RowsAt,
    /// The entry.
    pub entry: LogEntry,
}

const RECORD: &[u8] = b"tercet prepared entry v2";

impl Record {
    /// A tag, the prepare, where the rows are, the entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.bytes(RECORD);
        write_prepare(&mut w, &self.prepare);
        match &self.rows {
            RowsAt::Nowhere => {
                w.u8(0);
            }
            RowsAt::Own => {
                w.u8(1);
            }
            RowsAt::Instead(moved) => {
                w.u8(2).u32(u32::try_from(moved.len()).unwrap_or(u32::MAX));
                for m in moved {
                    w.u64(m.height).array(m.old.as_ref()).array(m.new.as_ref());
                }
            }
        }
        self.entry.write(&mut w);
        w.finish()
    }

    /// Reads [`Self::encode`]'s bytes. The prepare names the entry, or they do not belong together.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes);
        if r.bytes("tag", RECORD.len())? != RECORD {
            return Err(CodecError::Unknown("the tag"));
        }
        let prepare = read_prepare(&mut r)?;
        let rows = match r.u8()? {
            0 => RowsAt::Nowhere,
            1 => RowsAt::Own,
            2 => {
                let mut moved = Vec::new();
                for _ in 0..r.count("rows that are stored anew", MAX_REFRESHED)? {
                    let (height, old) = (r.u64()?, EntryHash(r.array()?));
                    moved.push(Moved { height, old, new: EntryHash(r.array()?) });
                }
                RowsAt::Instead(moved)
            }
            _ => return Err(CodecError::Unknown("the place of the rows")),
        };
        let entry = LogEntry::read(&mut r)?;
        r.finish()?;
        if entry.hash() != prepare.entry {
            return Err(CodecError::Unknown("the prepared entry"));
        }
        Ok(Self { prepare, rows, entry })
    }
}

#[cfg(test)]
mod tests {
    use tercet_protocol::log::EntryBody;

    use super::*;

    fn record(rows: RowsAt) -> Record {
        let body = EntryBody::Refresh { epoch: 3, rows: vec![] };
        let entry =
            LogEntry { survey: SurveyId([1; 32]), height: 4, previous: EntryHash([2; 32]), at: 5, body };
        let prepare =
            Prepare { entry: entry.hash(), session: [6; 32], number: 7, signature: Signature([8; 64]) };
        Record { prepare, rows, entry }
    }

    #[test]
    fn records_come_back_and_nothing_else_does() {
        let moved = |height| Moved { height, old: EntryHash([3; 32]), new: EntryHash([4; 32]) };
        let instead = RowsAt::Instead(vec![moved(1), moved(2)]);
        for rows in [RowsAt::Nowhere, RowsAt::Own, instead] {
            let bytes = record(rows.clone()).encode();
            assert_eq!(Record::decode(&bytes), Ok(record(rows)));
            assert!(Record::decode(&bytes[..bytes.len() - 1]).is_err());
            assert!(Record::decode(&[&bytes[..], &[0]].concat()).is_err());
            let mut other = bytes.clone();
            *other.last_mut().unwrap() ^= 1;
            assert!(Record::decode(&other).is_err(), "an entry that the prepare does not name");
        }
    }

    #[test]
    fn a_signature_is_of_one_prepare_at_one_place() {
        let keys = [1, 2, 3].map(|i| SigningKey::from_seed(&[i; 32]).unwrap());
        let parties = keys.each_ref().map(SigningKey::public);
        let of = |i: usize, survey| Keys { survey, identity: &keys[i], parties: &parties };
        let survey = SurveyId([1; 32]);
        let statement = Statement {
            height: 4,
            previous: EntryHash([1; 32]),
            entry: EntryHash([2; 32]),
            session: [3; 32],
            number: 9,
        };
        let signature = of(1, survey).sign_prepare(&statement);
        let mine = of(0, survey);
        assert!(mine.is_prepare(1, &statement, &signature));
        assert!(!mine.is_prepare(0, &statement, &signature) && !mine.is_prepare(3, &statement, &signature));
        assert!(!of(0, SurveyId([2; 32])).is_prepare(1, &statement, &signature));
        let changes: [fn(&mut Statement<Names>); 5] = [
            |s| s.height += 1,
            |s| s.previous = EntryHash([9; 32]),
            |s| s.entry = EntryHash([9; 32]),
            |s| s.session = [9; 32],
            |s| s.number += 1,
        ];
        for change in changes {
            let mut other = statement.clone();
            change(&mut other);
            assert!(!mine.is_prepare(1, &other, &signature), "{other:?}");
        }
        assert!(!mine.is_vote(1, &statement.entry, &signature), "a prepare is no vote");
    }

    #[test]
    fn certificates_come_back() {
        let c = Certificate {
            entry: EntryHash([1; 32]),
            session: [2; 32],
            numbers: [3, 4, 5],
            signatures: [6, 7, 8].map(|n| Signature([n; 64])),
        };
        let bytes = encode_certificate(&c);
        assert_eq!(decode_certificate(&bytes), Ok(c));
        assert!(decode_certificate(&bytes[1..]).is_err());
    }
}
