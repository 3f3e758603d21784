//! New shares of everything that is stored, so that an old copy of one party's bucket is worth nothing beside a new one of
//! another party's.
//!
//! The three parties derive the same corrections from the nonces of the session ([`tercet_mpc::refresh`]), and each adds its own
//! to its shares. Two parties hold each share: both commit to it anew, under a key that only they know, and all three compare
//! the commitments before they prepare the entry, which holds them. So no party can bring another share into a refresh than the
//! one that the other holder has too. The old rows are deleted after the entry is final.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use tercet_mpc::hash::OutputReader;
use tercet_mpc::{PartyId, RingShare, refresh, rows};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{Commitment, EntryHash, SubmissionId, sha256};
use tercet_protocol::keys::random;
use tercet_protocol::log::{EntryBody, LogEntry, Refreshed};
use zeroize::Zeroizing;

use super::agree::{self, Staged};
use super::book::Moved;
use super::session::{Established, Opening, SessionError};
use super::survey::SurveyNode;
use super::{Node, pair_secrets, supply, units};
use crate::peer::SessionId;
use crate::sandbox::PairSecrets;
use crate::store::{KEY_BYTES, LANE_BYTES, Segment};

/// Rows with their new shares, and this party's commitments to them.
struct Renewed {
    segment: Segment,
    commitments: Vec<[[u8; 32]; 2]>,
}

/// Runs an agreed session that gives the next stored rows new shares, to its commit. The caller holds the survey's session
/// lock.
pub async fn run(survey: &SurveyNode, session: Established, at: u64) -> Result<(), SessionError> {
    let Established { id, nonces, mut wire, .. } = session;
    let (part, wanted) = {
        let book = survey.book();
        let part = book.epochs().due(at);
        let heights = part.iter().flat_map(|p| &p.heights);
        let wanted: Vec<_> = heights.filter_map(|h| Some((*h, book.rows_at(*h)?))).collect();
        (part, wanted)
    };
    let Some(part) = part else {
        let what = "proposes a refresh although none is due: the last one began less than an hour ago, or there are no rows";
        return Err(SessionError::Disagreement { party: 0, what: what.into() });
    };
    let (secrets, _) = pair_secrets::agree(&mut wire, survey.me(), &id).await?;
    let seed = seed(&id, &nonces);
    let mut renewed = Vec::with_capacity(wanted.len());
    let mut segments = std::pin::pin!(survey.store.read_segments(survey.id(), wanted));
    while let Some((_, segment)) = segments.try_next().await? {
        renewed.push(renew(survey.me(), &segment, &seed, &secrets)?);
    }
    drop(secrets);
    let ours: Vec<_> = renewed.iter().flat_map(|r| r.commitments.iter().copied()).collect();
    let otherwise = "has other new shares than this party: its stored rows are damaged, or it misbehaves";
    let all = units::compare(survey.me(), &mut wire, &ours, otherwise).await?;

    let mut all = all.into_iter();
    let refreshed = part.heights.iter().zip(&renewed).map(|(height, renewed)| {
        let rows = all.by_ref().take(renewed.commitments.len()).collect();
        Refreshed { height: *height, rows }
    });
    let rows: Vec<Refreshed> = refreshed.collect();
    let count: usize = rows.iter().map(|r| r.rows.len()).sum();
    let (head, previous) = survey.book().head();
    let body = EntryBody::Refresh { epoch: part.epoch, rows };
    let entry = LogEntry { survey: survey.id(), height: head + 1, previous, at, body };
    let EntryBody::Refresh { rows, .. } = &entry.body else {
        return Err(SessionError::Internal("an entry of another kind".into()));
    };
    let moved = moved(survey, rows, entry.hash())?;
    let staged = moved.into_iter().zip(renewed.into_iter().map(|r| Arc::new(r.segment))).collect();
    agree::commit(survey, wire, entry, Staged::Rewritten(staged)).await?;
    tracing::info!(survey = %survey.id(), epoch = part.epoch, rows = count, "stored rows have new shares");
    Ok(())
}

/// The seed of the corrections. The nonces are fresh, known to the three parties alone, and the session's name makes
/// sure that all three know the same.
fn seed(id: &[u8; 32], nonces: &[[u8; 32]; 3]) -> Zeroizing<[u8; 32]> {
    let mut w = Writer::tagged("tercet refresh seed v1");
    w.array(id);
    nonces.iter().for_each(|nonce| {
        w.array(nonce);
    });
    Zeroizing::new(sha256(&[&Zeroizing::new(w.finish())]))
}

/// Adds the corrections to each row, and commits to the result under keys that are new too.
fn renew(me: u8, segment: &Segment, seed: &[u8; 32], secrets: &PairSecrets) -> Result<Renewed, SessionError> {
    let party = PartyId::from_index(me.into()).unwrap_or(PartyId::P0);
    let (ids, lanes) = (segment.submissions(), segment.lanes() as usize);
    // Sized at once: growing would leave copies of shares behind.
    let mut shares = Zeroizing::new(Vec::with_capacity(ids.len() * lanes * LANE_BYTES));
    let mut keys = Zeroizing::new(Vec::with_capacity(ids.len() * KEY_BYTES));
    let mut commitments = Vec::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        let old = segment.row(row).unwrap_or_default().as_chunks::<LANE_BYTES>().0;
        let zeros = refresh::zeros::<OutputReader>(party, seed, &id.0, lanes);
        let new: Zeroizing<Vec<[u8; LANE_BYTES]>> = Zeroizing::new(
            old.iter().zip(zeros).map(|(lane, zero)| (RingShare::from_lane(lane) + zero).to_lane()).collect(),
        );
        let lanes_of = || new.iter().map(RingShare::from_lane);
        // Share i is held by parties i and i - 1, and so is its key.
        let key =
            |secret: &[u8; 32]| Zeroizing::new(sha256(&[b"tercet refreshed row key v1", secret, &id.0]));
        let (own, next) = (key(&secrets.previous), key(&secrets.next));
        commitments.push([
            rows::commitment(&own, lanes_of().map(|s| s.own.0)),
            rows::commitment(&next, lanes_of().map(|s| s.next.0)),
        ]);
        new.iter().for_each(|lane| shares.extend_from_slice(lane));
        keys.extend_from_slice(&*own);
        keys.extend_from_slice(&*next);
    }
    let segment = Segment::new(ids.to_vec(), segment.lanes(), shares, keys)
        .map_err(|e| SessionError::Internal(format!("new shares do not fit a segment: {e}")))?;
    Ok(Renewed { segment, commitments })
}

/// The names of the rows that the refresh `by` is about.
pub fn moved(survey: &SurveyNode, rows: &[Refreshed], by: EntryHash) -> Result<Vec<Moved>, SessionError> {
    let book = survey.book();
    let moved = rows.iter().map(|r| book.moved(r.height, by));
    moved
        .collect::<Option<_>>()
        .ok_or_else(|| SessionError::Internal("a refresh of rows above the log".into()))
}

/// For each entry that a refresh is about, which is not in the log yet: its rows, and the commitments to their new shares.
pub async fn wanted(
    survey: &SurveyNode,
    rows: &[Refreshed],
) -> Result<Vec<Vec<(SubmissionId, [Commitment; 3])>>, SessionError> {
    let mut all = Vec::with_capacity(rows.len());
    for refreshed in rows {
        let brought = survey.store.get_entry(survey.id(), refreshed.height).await?;
        let unit = |point, index| units::unit_id(survey.id(), point, index);
        let book = survey.book();
        let erased = |id: &SubmissionId| book.erased(id).is_some();
        let wanted = brought
            .and_then(|b| supply::renewed(supply::wanted(&b.entry, erased, unit), &refreshed.rows, erased));
        all.push(
            wanted.ok_or_else(|| SessionError::Internal("a refresh of rows that there are not".into()))?,
        );
    }
    Ok(all)
}

impl Node {
    /// Asks for new shares of all rows and waits until they are made, for an operator. `tell` hears of the progress.
    pub async fn refresh(&self, tell: impl Fn(String)) {
        for survey in &self.running() {
            let id = survey.id();
            let due = survey.book().epochs().due(self.clock.now());
            let Some(part) = due else {
                tell(format!("survey {id}: no rows, or the last refresh began less than an hour ago"));
                continue;
            };
            let mut told = 0;
            loop {
                let (epoch, complete, height) = {
                    let book = survey.book();
                    (book.epochs().epoch(), book.epochs().complete(), book.head().0)
                };
                if epoch >= part.epoch && complete && !survey.lacks_rows() {
                    tell(format!("survey {id}: all rows have the shares of epoch {epoch}"));
                    break;
                }
                if height != told {
                    tell(format!("survey {id}: epoch {epoch}, height {height}"));
                    told = height;
                }
                if epoch < part.epoch {
                    self.ask_for_refresh(survey).await;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    async fn ask_for_refresh(&self, survey: &SurveyNode) {
        if survey.me() == 0 {
            return survey.ask_for_refresh();
        }
        let asking = async {
            let internal = |e: String| SessionError::Internal(e);
            let keys = self.link_keys(survey).map_err(|e| internal(e.to_string()))?;
            let opening = serde_json::to_vec(&Opening::Refresh { survey: survey.id() })
                .map_err(|e| internal(e.to_string()))?;
            let session = SessionId(random().map_err(|e| internal(e.to_string()))?);
            let opened = self.links.open(keys[0], session, Bytes::from(opening)).await;
            opened.map_err(|source| SessionError::Peer { party: 0, source })
        };
        if let Err(e) = asking.await {
            tracing::warn!(error = %e, "party 0 could not be asked for a refresh");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: usize = 2;

    /// Three parties' segments of two rows.
    fn segments() -> [Segment; 3] {
        let ids = vec![SubmissionId([1; 32]), SubmissionId([2; 32])];
        let share = |row: usize, i: usize, lane: usize| (1000 * row + 100 * (i % 3) + lane) as u128;
        [0, 1, 2].map(|p| {
            let rows = (0..2).flat_map(|row| (0..LANES).map(move |lane| (row, lane)));
            let lanes = rows.flat_map(|(row, lane)| {
                [share(row, p, lane).to_le_bytes(), share(row, p + 1, lane).to_le_bytes()].concat()
            });
            let shares = Zeroizing::new(lanes.collect());
            Segment::new(ids.clone(), LANES as u32, shares, Zeroizing::new(vec![0; 2 * KEY_BYTES])).unwrap()
        })
    }

    fn secrets(party: u8) -> PairSecrets {
        let pair = |i: u8| Zeroizing::new([50 + i % 3; 32]);
        PairSecrets { previous: pair(party), next: pair(party + 1) }
    }

    fn shares(segment: &Segment, row: usize) -> Vec<RingShare> {
        segment.row(row).unwrap().as_chunks::<LANE_BYTES>().0.iter().map(RingShare::from_lane).collect()
    }

    #[test]
    fn both_holders_of_a_share_have_the_same_new_one_and_the_values_stay() {
        let old = segments();
        let seed = seed(&[9; 32], &[[1; 32], [2; 32], [3; 32]]);
        let new = [0u8, 1, 2].map(|p| renew(p, &old[usize::from(p)], &seed, &secrets(p)).unwrap());
        for p in 0..3usize {
            let next = &new[(p + 1) % 3];
            for row in 0..2 {
                assert_eq!(new[p].commitments[row][1], next.commitments[row][0]);
                assert_eq!(new[p].segment.keys(row).unwrap()[32..], next.segment.keys(row).unwrap()[..32]);
                assert!(shares(&new[p].segment, row) != shares(&old[p], row));
            }
        }
        for row in 0..2 {
            for lane in 0..LANES {
                let value = |of: [&Segment; 3]| {
                    tercet_mpc::sharing::Replicated::reconstruct(of.map(|s| shares(s, row)[lane]))
                };
                let now = value(new.each_ref().map(|r| &r.segment));
                assert!(now.is_some() && now == value(old.each_ref()));
            }
        }
    }

    #[test]
    fn the_seed_depends_on_everybody() {
        let base = seed(&[9; 32], &[[1; 32], [2; 32], [3; 32]]);
        assert_ne!(*base, *seed(&[8; 32], &[[1; 32], [2; 32], [3; 32]]));
        for i in 0..3 {
            let mut nonces = [[1; 32], [2; 32], [3; 32]];
            nonces[i][5] ^= 1;
            assert_ne!(*base, *seed(&[9; 32], &nonces));
        }
    }
}
