//! The sums of units: added up from the rows that enter, noised once, committed to, and stored as shares.
//!
//! Each party adds up its own shares, without a peer. For each release point a segment with one row for each unit is
//! stored. Two parties hold each share: both commit to it under a key that only they know, and all three compare the
//! commitments before they vote, so that a party that stores something else is found at once.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use futures::TryStreamExt as _;
use tercet_mpc::sharing::Ring;
use tercet_mpc::{RingShare, rows};
use tercet_mutants::mutant;
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{Commitment, SubmissionId, SurveyId, sha256};
use zeroize::Zeroizing;

use super::session::{SessionError, Step, Wire};
use super::survey::SurveyNode;
use crate::sandbox::PairSecrets;
use crate::store::{KEY_BYTES, LANE_BYTES, Segment};

/// The name of a unit in the segment of its release point.
pub fn unit_id(survey: SurveyId, point: u64, index: usize) -> SubmissionId {
    let mut w = Writer::tagged("tercet unit v1");
    w.array(survey.as_ref()).u64(point).u64(index as u64);
    SubmissionId(sha256(&[&w.finish()]))
}

/// This party's shares of the sums of each unit, lane by lane.
pub struct Sums {
    /// Lanes of a row.
    lanes: usize,
    /// Units, one after the other.
    shares: Vec<RingShare>,
}

impl Sums {
    /// Adds up the rows of the units that enter.
    pub async fn add_up(survey: &SurveyNode, units: &[Vec<SubmissionId>]) -> Result<Self, SessionError> {
        let lanes = survey.lanes().len();
        let mut sums = Self { lanes, shares: vec![RingShare::default(); units.len() * lanes] };
        let mut member: HashMap<SubmissionId, usize> = HashMap::new();
        for (unit, rows) in units.iter().enumerate() {
            member.extend(rows.iter().map(|id| (*id, unit)));
        }
        let wanted: Vec<_> = {
            let book = survey.book();
            let heights: BTreeSet<u64> =
                member.keys().filter_map(|id| Some(book.place(id)?.height)).collect();
            heights.into_iter().filter_map(|h| Some((h, book.rows_at(h)?))).collect()
        };
        let mut segments = std::pin::pin!(survey.store.read_segments(survey.id(), wanted));
        let mut added = 0;
        while let Some((height, segment)) = segments.try_next().await? {
            if segment.lanes() as usize != lanes {
                let what = format!("the segment at height {height} has another number of lanes");
                return Err(SessionError::Internal(what));
            }
            for (i, id) in segment.submissions().iter().enumerate() {
                if let (Some(unit), Some(row)) = (member.get(id), segment.row(i)) {
                    sums.add(*unit, row);
                    added += 1;
                }
            }
        }
        if added != member.len() {
            let what = format!("{added} of {} rows that enter are stored here", member.len());
            return Err(SessionError::Internal(what));
        }
        Ok(sums)
    }

    fn add(&mut self, unit: usize, row: &[u8]) {
        let own = &mut self.shares[unit * self.lanes..][..self.lanes];
        let lanes = row.as_chunks::<LANE_BYTES>().0;
        own.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum = *sum + RingShare::from_lane(lane));
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.shares.len() / self.lanes.max(1)
    }

    /// One unit's shares.
    pub fn unit(&self, unit: usize) -> &[RingShare] {
        &self.shares[unit * self.lanes..][..self.lanes]
    }

    /// Adds shares of noise to lanes of a unit.
    pub fn noise(&mut self, unit: usize, lanes: &[usize], noise: &[RingShare]) {
        for (lane, share) in lanes.iter().zip(noise) {
            let sum = &mut self.shares[unit * self.lanes + lane];
            *sum = *sum + *share;
        }
    }

    /// The segment that is stored: a row for each unit of this release point.
    pub fn segment(
        &self,
        survey: &SurveyNode,
        point: u64,
        keys: Zeroizing<Vec<u8>>,
    ) -> Result<Segment, SessionError> {
        let ids = (0..self.units()).map(|i| unit_id(survey.id(), point, i)).collect();
        let bytes = self.shares.len() * LANE_BYTES;
        let mut shares = Zeroizing::new(Vec::with_capacity(bytes));
        self.shares.iter().for_each(|s| shares.extend_from_slice(&s.to_lane()));
        Segment::new(ids, self.lanes as u32, shares, keys)
            .map_err(|e| SessionError::Internal(format!("the sums of units do not fit a segment: {e}")))
    }

    /// Commits to the sums, and compares the commitments with the peers'. Gives the three commitments of each unit, and
    /// this party's keys.
    pub async fn commit(
        &self,
        survey: &SurveyNode,
        wire: &mut Wire,
        secrets: &PairSecrets,
        point: u64,
    ) -> Result<(Vec<[Commitment; 3]>, Zeroizing<Vec<u8>>), SessionError> {
        let mut keys = Zeroizing::new(Vec::with_capacity(self.units() * KEY_BYTES));
        let mut ours = Vec::with_capacity(self.units());
        for unit in 0..self.units() {
            let id = unit_id(survey.id(), point, unit);
            // Share i is held by parties i and i - 1, and so is its key.
            let key =
                |secret: &[u8; 32]| Zeroizing::new(sha256(&[b"tercet unit key v1", secret, id.as_ref()]));
            let (own, next) = (key(&secrets.previous), key(&secrets.next));
            let shares = self.unit(unit);
            ours.push([
                rows::commitment(&own, shares.iter().map(|s| s.own.0)),
                rows::commitment(&next, shares.iter().map(|s| s.next.0)),
            ]);
            keys.extend_from_slice(&*own);
            keys.extend_from_slice(&*next);
        }
        let all =
            compare(survey.me(), wire, &ours, "commits to other sums of a unit than this party").await?;
        Ok((all, keys))
    }
}

/// Shows the peers this party's commitments to its two shares of each row, and compares with theirs: each share has two
/// holders. Gives the three commitments of each row. `otherwise`: the fault of a party whose commitments differ.
pub async fn compare(
    me: u8,
    wire: &mut Wire,
    ours: &[[[u8; 32]; 2]],
    otherwise: &str,
) -> Result<Vec<[Commitment; 3]>, SessionError> {
    let frame: Vec<u8> = ours.iter().flatten().flatten().copied().collect();
    let [(_, next), (_, previous)] = wire.exchange(Step::Units, frame).await?;
    let between =
        format!("and party {} commit to two values of a share: one of them misbehaves", (me + 2) % 3);
    agreed(me, ours, &next, &previous).map_err(|differs| match differs {
        Some(party) => SessionError::Disagreement { party, what: otherwise.into() },
        None => SessionError::Disagreement { party: (me + 1) % 3, what: between },
    })
}

/// The three commitments of each row, from this party's own and those of the next and the previous one; or the party whose
/// commitments are wrong, `None` where the two others contradict each other and one of them lies.
fn agreed(
    me: u8,
    ours: &[[[u8; 32]; 2]],
    of_next: &Bytes,
    of_previous: &Bytes,
) -> Result<Vec<[Commitment; 3]>, Option<u8>> {
    let (index, next, previous) = (usize::from(me), (me + 1) % 3, (me + 2) % 3);
    let of_next = pairs(of_next, ours.len()).ok_or(Some(next))?;
    let of_previous = pairs(of_previous, ours.len()).ok_or(Some(previous))?;
    let mut all = Vec::with_capacity(ours.len());
    for ((own, a), b) in ours.iter().zip(of_next).zip(of_previous) {
        // Of shares i, i + 1 and i + 2: this party holds the first two, the next one the last two.
        if a[0] != own[1] && !mutant!("commitments-of-next-not-compared") {
            return Err(Some(next));
        }
        if b[1] != own[0] && !mutant!("commitments-of-previous-not-compared") {
            return Err(Some(previous));
        }
        if b[0] != a[1] && !mutant!("third-commitments-not-compared") {
            return Err(None);
        }
        let mut three = [Commitment([0; 32]); 3];
        three[index] = Commitment(own[0]);
        three[(index + 1) % 3] = Commitment(own[1]);
        three[(index + 2) % 3] = Commitment(a[1]);
        all.push(three);
    }
    Ok(all)
}

/// Two commitments for each row.
fn pairs(frame: &Bytes, rows: usize) -> Option<Vec<[[u8; 32]; 2]>> {
    let (hashes, rest) = frame.as_chunks::<32>();
    if !rest.is_empty() || hashes.len() != 2 * rows {
        return None;
    }
    Some(hashes.as_chunks::<2>().0.to_vec())
}

/// This party's share of a number that everybody knows.
pub fn public(value: u64, party: u8) -> RingShare {
    let party = tercet_mpc::PartyId::from_index(party.into()).unwrap_or(tercet_mpc::PartyId::P0);
    RingShare::constant(party, Ring(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frame of party `p` about two rows whose shares have these commitments.
    fn sent(p: u8, shares: &[[u8; 3]; 2]) -> Vec<[[u8; 32]; 2]> {
        let of = |row: &[u8; 3], i: u8| [row[usize::from(i % 3)]; 32];
        shares.iter().map(|row| [of(row, p), of(row, p + 1)]).collect()
    }

    fn frame(sent: &[[[u8; 32]; 2]]) -> Bytes {
        sent.iter().flatten().flatten().copied().collect::<Vec<u8>>().into()
    }

    #[test]
    fn all_three_get_the_same_commitments() {
        let shares = [[1, 2, 3], [4, 5, 6]];
        let all: Vec<_> = (0..3u8).map(|p| sent(p, &shares)).collect();
        for me in 0..3u8 {
            let of = |p: u8| frame(&all[usize::from(p % 3)]);
            let got = agreed(me, &all[usize::from(me)], &of(me + 1), &of(me + 2)).unwrap();
            assert_eq!(got, shares.map(|row| row.map(|n| Commitment([n; 32]))));
        }
    }

    /// A party that commits to another share than its other holder, and computes with it as if it were so: the other holder
    /// names it, and the third party goes no further either.
    #[test]
    fn a_party_that_commits_to_another_share_is_caught_by_both_others() {
        let shares = [[1, 2, 3], [4, 5, 6]];
        for liar in 0..3u8 {
            for (row, half) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut all: Vec<_> = (0..3u8).map(|p| sent(p, &shares)).collect();
                all[usize::from(liar)][row][half] = [99; 32];
                // Share `liar` is held by the party before it as well, share `liar + 1` by the one after it.
                let holder = if half == 0 { (liar + 2) % 3 } else { (liar + 1) % 3 };
                for me in (0..3u8).filter(|p| *p != liar) {
                    let of = |p: u8| frame(&all[usize::from(p % 3)]);
                    let named = agreed(me, &all[usize::from(me)], &of(me + 1), &of(me + 2)).unwrap_err();
                    assert!(me != holder || named == Some(liar), "party {me} names {named:?}, not {liar}");
                }
            }
        }
        let good = sent(0, &shares);
        let cut = frame(&sent(1, &shares)).slice(1..);
        assert_eq!(agreed(0, &good, &cut, &frame(&sent(2, &shares))), Err(Some(1)));
        assert_eq!(agreed(0, &good, &frame(&sent(1, &shares)), &cut), Err(Some(2)));
    }
}
