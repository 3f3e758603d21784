//! The stored form of a committed log entry.

use tercet_protocol::codec::{CodecError, Reader, Writer};
use tercet_protocol::ids::Signature;
use tercet_protocol::log::{CommittedEntry, LogEntry};

const TAG: &[u8] = b"tercet committed entry v2";

/// A tag, the entry, three votes.
pub(super) fn encode(committed: &CommittedEntry) -> Vec<u8> {
    let mut w = Writer::default();
    w.bytes(TAG);
    committed.entry.write(&mut w);
    for vote in &committed.votes {
        w.array(vote.as_ref());
    }
    w.finish()
}

/// Reads [`encode`]'s bytes back. Says nothing about votes and chain: see [`CommittedEntry::verify`].
pub(super) fn decode(bytes: &[u8]) -> Result<CommittedEntry, CodecError> {
    let mut r = Reader::new(bytes);
    if r.bytes("tag", TAG.len())? != TAG {
        return Err(CodecError::Unknown("the tag"));
    }
    let entry = LogEntry::read(&mut r)?;
    let votes = [Signature(r.array()?), Signature(r.array()?), Signature(r.array()?)];
    r.finish()?;
    Ok(CommittedEntry { entry, votes })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use tercet_protocol::ids::{Commitment, EntryHash, Nullifier, PublicKey, SubmissionId, SurveyId};
    use tercet_protocol::log::{Accepted, EntryBody, Refreshed, Release};

    use super::*;

    fn batches() -> impl Strategy<Value = EntryBody> {
        let accepted =
            (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<Option<[u8; 32]>>(), vec("[a-zé]{1,9}", 0..3))
                .prop_map(|(s, n, r, fields)| Accepted {
                    submission: SubmissionId(s),
                    nullifier: Nullifier(n),
                    replaces: r.map(SubmissionId),
                    fields,
                    rows: [n, s, n].map(Commitment),
                    withdrawal_key: PublicKey(s),
                });
        vec(accepted, 0..6).prop_map(|accepted| EntryBody::Batch { accepted })
    }

    fn releases() -> impl Strategy<Value = EntryBody> {
        let commitments = any::<[[u8; 32]; 3]>().prop_map(|three| three.map(Commitment));
        let parts =
            (any::<u64>(), any::<u64>(), any::<[u8; 32]>(), vec(commitments, 0..4), vec(any::<u64>(), 0..4));
        parts.prop_map(|(point, due, entering, units, secret)| {
            EntryBody::Release(Release { point, due, entering, units, secret })
        })
    }

    fn entries() -> impl Strategy<Value = CommittedEntry> {
        let erased = any::<[u8; 32]>()
            .prop_map(|s| EntryBody::Erase { submission: SubmissionId(s), request: Signature([s[0]; 64]) });
        let others = prop_oneof![
            (any::<u64>(), vec((any::<u64>(), vec(any::<[[u8; 32]; 3]>(), 0..3)), 0..3)).prop_map(
                |(epoch, rows)| {
                    let of = |rows: Vec<[[u8; 32]; 3]>| rows.into_iter().map(|r| r.map(Commitment)).collect();
                    let refreshed = |(height, rows)| Refreshed { height, rows: of(rows) };
                    EntryBody::Refresh { epoch, rows: rows.into_iter().map(refreshed).collect() }
                }
            ),
            any::<[u8; 32]>().prop_map(|e| EntryBody::Void {
                entry: EntryHash(e),
                operators: Box::new([Signature([e[0]; 64]); 3])
            }),
        ];
        let body = prop_oneof![batches(), releases(), erased, others];
        (any::<[u8; 32]>(), any::<[u64; 2]>(), any::<[u8; 32]>(), body, any::<[u8; 3]>()).prop_map(
            |(survey, [height, at], previous, body, votes)| CommittedEntry {
                entry: LogEntry { survey: SurveyId(survey), height, previous: EntryHash(previous), at, body },
                votes: votes.map(|v| Signature([v; 64])),
            },
        )
    }

    proptest! {
        #[test]
        fn round_trip(entry in entries()) {
            prop_assert_eq!(decode(&encode(&entry)), Ok(entry));
        }

        #[test]
        fn mutated_bytes_decode_to_something_else_or_not_at_all(
            entry in entries(), at: prop::sample::Index, flip in 1u8.., cut: prop::sample::Index,
        ) {
            let good = encode(&entry);
            let mut bytes = good.clone();
            bytes[at.index(good.len())] ^= flip;
            if let Ok(other) = decode(&bytes) {
                prop_assert_ne!(&other, &entry);
                prop_assert_eq!(encode(&other), bytes);
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
                prop_assert_eq!(encode(&entry), input);
            }
        }
    }
}
