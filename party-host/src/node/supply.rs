//! Rows for a party that lost its own: each of the two others sends the share that it has in common with that party, and
//! the share counts only if it opens the commitments in the log entry.
//!
//! Party i holds shares i and i + 1. To party i, party i - 1 sends share i and party i + 1 sends share i + 1; neither learns
//! or sends more than it shares with it already.

use std::sync::Arc;

use tercet_mpc::rows::commitment;
use tercet_protocol::codec::{CodecError, Reader, Writer};
use tercet_protocol::ids::{Commitment, SubmissionId};
use tercet_protocol::log::{EntryBody, LogEntry};
use zeroize::Zeroizing;

use super::session::SessionError;
use crate::store::{KEY_BYTES, LANE_BYTES, MAX_LANES, MAX_ROWS, Segment};

/// Bytes of one share of one number.
const SHARE: usize = LANE_BYTES / 2;
/// Bytes of the key of one commitment.
const KEY: usize = KEY_BYTES / 2;

/// One share of all rows of an entry, and the keys of its commitments.
pub struct Part {
    ids: Vec<SubmissionId>,
    lanes: usize,
    shares: Zeroizing<Vec<u8>>,
    keys: Zeroizing<Vec<u8>>,
}

/// True if an entry brings rows of its own.
pub fn has_rows(entry: &LogEntry) -> bool {
    match &entry.body {
        EntryBody::Batch { accepted } => !accepted.is_empty(),
        EntryBody::Release(release) => !release.units.is_empty(),
        EntryBody::Erase { .. } | EntryBody::Refresh { .. } | EntryBody::Void { .. } => false,
    }
}

/// The part of a segment that party `me` sends to party `to`: the share that both hold.
pub fn part(segment: &Segment, me: u8, to: u8) -> Zeroizing<Vec<u8>> {
    // The next party's first share is this party's second one.
    let half = usize::from((me + 1) % 3 == to % 3);
    let (rows, lanes) = (segment.submissions().len(), segment.lanes() as usize);
    let mut head = Writer::default();
    head.u32(u32::try_from(rows).unwrap_or(u32::MAX)).u32(segment.lanes());
    let head = head.finish();
    // Sized at once: growing would leave copies of shares behind.
    let mut out = Zeroizing::new(Vec::with_capacity(head.len() + rows * (32 + lanes * SHARE + KEY)));
    out.extend_from_slice(&head);
    segment.submissions().iter().for_each(|id| out.extend_from_slice(id.as_ref()));
    let lane_shares = segment.shares().as_chunks::<SHARE>().0;
    lane_shares.iter().skip(half).step_by(2).for_each(|share| out.extend_from_slice(share));
    for row in 0..rows {
        let keys = segment.keys(row).unwrap_or_default();
        out.extend_from_slice(keys.get(half * KEY..(half + 1) * KEY).unwrap_or_default());
    }
    out
}

impl Part {
    /// Reads [`part`]'s bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes);
        let rows = r.count("rows", MAX_ROWS)?;
        let lanes = r.count("lanes", MAX_LANES)?;
        let ids = r.take(rows * 32)?.as_chunks::<32>().0.iter().map(|id| SubmissionId(*id)).collect();
        let shares = Zeroizing::new(r.take(rows * lanes * SHARE)?.to_vec());
        let keys = Zeroizing::new(r.take(rows * KEY)?.to_vec());
        r.finish()?;
        Ok(Self { ids, lanes, shares, keys })
    }

    /// The shares of one row, and its key.
    fn row(&self, row: usize) -> Option<(&[[u8; SHARE]], &[u8; KEY])> {
        let width = self.lanes * SHARE;
        let shares = self.shares.get(row * width..(row + 1) * width)?.as_chunks::<SHARE>().0;
        Some((shares, self.keys.as_chunks::<KEY>().0.get(row)?))
    }

    /// True if row by row it opens these commitments.
    fn opens(&self, wanted: &[(SubmissionId, Commitment)], lanes: usize) -> bool {
        let opened = |row: usize, id: &SubmissionId, to: &Commitment| {
            self.ids.get(row) == Some(id)
                && self.row(row).is_some_and(|(shares, key)| {
                    commitment(key, shares.iter().map(|s| u128::from_le_bytes(*s))) == to.0
                })
        };
        self.lanes == lanes
            && self.ids.len() == wanted.len()
            && wanted.iter().enumerate().all(|(row, (id, to))| opened(row, id, to))
    }
}

/// The rows of an entry that are to be had, each with its three commitments. `erased`: rows that must not come back.
/// `unit`: the name of the unit with this index in a release point.
pub fn wanted(
    entry: &LogEntry,
    erased: impl Fn(&SubmissionId) -> bool,
    unit: impl Fn(u64, usize) -> SubmissionId,
) -> Vec<(SubmissionId, [Commitment; 3])> {
    match &entry.body {
        EntryBody::Batch { accepted } => {
            let left = accepted.iter().filter(|a| !erased(&a.submission));
            left.map(|a| (a.submission, a.rows)).collect()
        }
        EntryBody::Release(release) => {
            let units = release.units.iter().enumerate();
            units.map(|(i, commitments)| (unit(release.point, i), *commitments)).collect()
        }
        EntryBody::Erase { .. } | EntryBody::Refresh { .. } | EntryBody::Void { .. } => Vec::new(),
    }
}

/// The same of rows that a later entry gave new shares, whose commitments are `new`. `then`: [`wanted`] with the rows that were
/// not erased at that entry; `erased`: rows that must not come back now. `None` if the entry is about another number of rows.
pub fn renewed(
    then: Vec<(SubmissionId, [Commitment; 3])>,
    new: &[[Commitment; 3]],
    erased: impl Fn(&SubmissionId) -> bool,
) -> Option<Vec<(SubmissionId, [Commitment; 3])>> {
    let same = then.len() == new.len();
    let rows = then.into_iter().zip(new).map(|((id, _), new)| (id, *new));
    same.then(|| rows.filter(|(id, _)| !erased(id)).collect())
}

/// Puts party `me`'s rows together from the parts of the previous and the next party.
pub fn join(
    me: u8,
    lanes: usize,
    wanted: &[(SubmissionId, [Commitment; 3])],
    previous: &Part,
    next: &Part,
) -> Result<Arc<Segment>, SessionError> {
    let of = |share: u8| {
        let share = usize::from(share % 3);
        wanted.iter().map(|(id, three)| (*id, three[share])).collect::<Vec<_>>()
    };
    for (party, part, share) in [((me + 2) % 3, previous, me), ((me + 1) % 3, next, me + 1)] {
        if !part.opens(&of(share), lanes) {
            let what = "sent rows that are not those which the log entry commits to".into();
            return Err(SessionError::Disagreement { party, what });
        }
    }
    let rows = wanted.len();
    let mut shares = Zeroizing::new(Vec::with_capacity(rows * lanes * LANE_BYTES));
    let mut keys = Zeroizing::new(Vec::with_capacity(rows * KEY_BYTES));
    for row in 0..rows {
        let (Some((own, k)), Some((following, k_next))) = (previous.row(row), next.row(row)) else {
            return Err(SessionError::Internal("a row that was there is not".into()));
        };
        for (a, b) in own.iter().zip(following) {
            shares.extend_from_slice(a);
            shares.extend_from_slice(b);
        }
        keys.extend_from_slice(k);
        keys.extend_from_slice(k_next);
    }
    let ids = wanted.iter().map(|(id, _)| *id).collect();
    let segment = Segment::new(ids, u32::try_from(lanes).unwrap_or(u32::MAX), shares, keys)
        .map_err(|e| SessionError::Internal(format!("the rows that were sent do not fit a segment: {e}")))?;
    Ok(Arc::new(segment))
}

#[cfg(test)]
mod tests {
    use tercet_protocol::ids::{EntryHash, Nullifier, PublicKey, SurveyId};
    use tercet_protocol::log::Accepted;

    use super::*;

    const LANES: usize = 3;

    /// Three parties' segments of two rows, and the entry that commits to them.
    fn world() -> (LogEntry, [Arc<Segment>; 3]) {
        let ids = [SubmissionId([1; 32]), SubmissionId([2; 32])];
        // share[row][share][lane], and a key for each.
        let share = |row: usize, i: usize, lane: usize| (100 * row + 10 * i + lane) as u128 + 7;
        let key = |row: usize, i: usize| [(16 * row + i + 1) as u8; KEY];
        let commit = |row: usize| {
            [0, 1, 2].map(|i| Commitment(commitment(&key(row, i), (0..LANES).map(|l| share(row, i, l)))))
        };
        let accepted = ids.iter().enumerate().map(|(row, id)| Accepted {
            submission: *id,
            nullifier: Nullifier([row as u8; 32]),
            replaces: None,
            fields: vec![],
            rows: commit(row),
            withdrawal_key: PublicKey([0; 32]),
        });
        let body = EntryBody::Batch { accepted: accepted.collect() };
        let entry =
            LogEntry { survey: SurveyId([0; 32]), height: 1, previous: EntryHash([0; 32]), at: 0, body };
        let segments = [0, 1, 2].map(|me: usize| {
            let (mut shares, mut keys) = (Vec::new(), Vec::new());
            for row in 0..ids.len() {
                for lane in 0..LANES {
                    shares.extend_from_slice(&share(row, me, lane).to_le_bytes());
                    shares.extend_from_slice(&share(row, (me + 1) % 3, lane).to_le_bytes());
                }
                keys.extend_from_slice(&key(row, me));
                keys.extend_from_slice(&key(row, (me + 1) % 3));
            }
            Arc::new(Segment::new(ids.to_vec(), LANES as u32, shares.into(), keys.into()).unwrap())
        });
        (entry, segments)
    }

    fn all(entry: &LogEntry) -> Vec<(SubmissionId, [Commitment; 3])> {
        wanted(entry, |_| false, |_, _| SubmissionId([0; 32]))
    }

    #[test]
    fn each_party_gets_its_rows_back_from_the_two_others() {
        let (entry, segments) = world();
        for me in 0..3u8 {
            let (previous, next) = ((me + 2) % 3, (me + 1) % 3);
            let from = |p: u8| Part::decode(&part(&segments[usize::from(p)], p, me)).unwrap();
            let back = join(me, LANES, &all(&entry), &from(previous), &from(next)).unwrap();
            assert!(*back == *segments[usize::from(me)]);
        }
    }

    #[test]
    fn altered_rows_are_refused_and_their_sender_is_named() {
        let (entry, segments) = world();
        let me = 1u8;
        let bytes = |p: u8| part(&segments[usize::from(p)], p, me).to_vec();
        let good = |p: u8| Part::decode(&bytes(p)).unwrap();
        for cheat in [0u8, 2] {
            // Each byte after the counts: ids, shares, keys.
            for at in 8..bytes(cheat).len() {
                let mut altered = bytes(cheat);
                altered[at] ^= 1;
                let altered = Part::decode(&altered).unwrap();
                let (previous, next) = if cheat == 0 { (altered, good(2)) } else { (good(0), altered) };
                match join(me, LANES, &all(&entry), &previous, &next) {
                    Err(SessionError::Disagreement { party, .. }) => assert_eq!(party, cheat, "byte {at}"),
                    other => panic!("byte {at}: {other:?}"),
                }
            }
            let cut = bytes(cheat);
            assert!(Part::decode(&cut[..cut.len() - 1]).is_err());
        }
        // What one party holds in common with another is not what a third needs.
        assert!(join(me, LANES, &all(&entry), &good(2), &good(0)).is_err());
    }

    #[test]
    fn an_erased_row_is_not_wanted_and_not_taken() {
        let (entry, segments) = world();
        let gone = SubmissionId([1; 32]);
        let left = wanted(&entry, |id| *id == gone, |_, _| gone);
        assert_eq!(left.len(), 1);
        let from = |p: u8, s: &Segment| Part::decode(&part(s, p, 1)).unwrap();
        // A party that still sends it, and one that does not.
        assert!(join(1, LANES, &left, &from(0, &segments[0]), &from(2, &segments[2])).is_err());
        let without = [0, 1, 2].map(|i: usize| segments[i].without(&gone));
        let back = join(1, LANES, &left, &from(0, &without[0]), &from(2, &without[2])).unwrap();
        assert!(*back == without[1]);
    }
}
