//! How a committed log entry is stored.

use tercet_protocol::codec::{CodecError, Reader, Writer};
use tercet_protocol::ids::{EntryHash, Signature, SurveyId};
use tercet_protocol::log::{Accepted, CommittedEntry, LogEntry, MAX_BATCH};

const TAG: &[u8] = b"tercet committed entry v1";

/// A tag, survey, height, previous hash, count, each accepted submission, three votes.
pub(super) fn encode(committed: &CommittedEntry) -> Result<Vec<u8>, CodecError> {
    let e = &committed.entry;
    let len = e.accepted.len();
    if len > MAX_BATCH {
        return Err(CodecError::TooLong { field: "accepted", len, max: MAX_BATCH });
    }
    let mut w = Writer::default();
    w.bytes(TAG).array(e.survey.as_ref()).u64(e.height).array(e.previous.as_ref());
    w.u32(u32::try_from(len).unwrap_or(u32::MAX));
    e.accepted.iter().for_each(|a| a.write(&mut w));
    for vote in &committed.votes {
        w.array(vote.as_ref());
    }
    Ok(w.finish())
}

/// Reads [`encode`]'s bytes back. Says nothing about votes and chain: see [`CommittedEntry::verify`].
pub(super) fn decode(bytes: &[u8]) -> Result<CommittedEntry, CodecError> {
    let mut r = Reader::new(bytes);
    if r.bytes("tag", TAG.len())? != TAG {
        return Err(CodecError::Unknown("the tag"));
    }
    let (survey, height, previous) = (SurveyId(r.array()?), r.u64()?, EntryHash(r.array()?));
    let count = r.count("accepted", MAX_BATCH)?;
    let mut accepted = Vec::with_capacity(count);
    for _ in 0..count {
        accepted.push(Accepted::read(&mut r)?);
    }
    let votes = [Signature(r.array()?), Signature(r.array()?), Signature(r.array()?)];
    r.finish()?;
    Ok(CommittedEntry { entry: LogEntry { survey, height, previous, accepted }, votes })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use tercet_protocol::ids::{Nullifier, SubmissionId};

    use super::*;

    fn entries() -> impl Strategy<Value = CommittedEntry> {
        let accepted =
            (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<Option<[u8; 32]>>(), vec("[a-zé]{1,9}", 0..3))
                .prop_map(|(s, n, r, fields)| Accepted {
                    submission: SubmissionId(s),
                    nullifier: Nullifier(n),
                    replaces: r.map(SubmissionId),
                    fields,
                });
        (any::<[u8; 32]>(), any::<u64>(), any::<[u8; 32]>(), vec(accepted, 0..6), any::<[u8; 3]>()).prop_map(
            |(survey, height, previous, accepted, votes)| CommittedEntry {
                entry: LogEntry { survey: SurveyId(survey), height, previous: EntryHash(previous), accepted },
                votes: votes.map(|v| Signature([v; 64])),
            },
        )
    }

    proptest! {
        #[test]
        fn round_trip(entry in entries()) {
            prop_assert_eq!(decode(&encode(&entry).unwrap()), Ok(entry));
        }

        #[test]
        fn mutated_bytes_decode_to_something_else_or_not_at_all(
            entry in entries(), at: prop::sample::Index, flip in 1u8.., cut: prop::sample::Index,
        ) {
            let good = encode(&entry).unwrap();
            let mut bytes = good.clone();
            bytes[at.index(good.len())] ^= flip;
            if let Ok(other) = decode(&bytes) {
                prop_assert_ne!(&other, &entry);
                prop_assert_eq!(encode(&other).unwrap(), bytes);
            }
            prop_assert!(decode(&good[..cut.index(good.len())]).is_err());
            prop_assert_eq!(decode(&[&good[..], &[0]].concat()), Err(CodecError::Trailing(1)));
        }

        #[test]
        fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..600), valid_start: bool) {
            let mut input = Vec::new();
            if valid_start {
                let mut w = Writer::default();
                w.bytes(TAG);
                input = w.finish();
            }
            input.extend(bytes);
            if let Ok(entry) = decode(&input) {
                prop_assert_eq!(encode(&entry).unwrap(), input);
            }
        }
    }
}
