//! Catching up: a party that missed the end of a session takes the entries it lacks from a peer.
//!
//! An entry carries three votes, its own among them, and each vote was given after the rows were staged: unless the
//! bucket was lost, the rows are there and only the entry is not. Rows that are not there are taken from the two others
//! ([`super::rebuild`]).

use std::collections::HashSet;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{EntryHash, PublicKey};
use tercet_protocol::log::{CommittedEntry, EntryBody};
use tokio::time::Instant;

use super::agree::Staged;
use super::pool::Outcome;
use super::session::{Opening, SessionError, Step};
use super::survey::SurveyNode;
use super::{erase, refresh, supply};
use crate::peer::{Channel, PeerLinks, SessionId};
use crate::store::StoreError;

/// Most entries in one answer.
const CHUNK: u64 = 64;
/// Entries that are read at once for an answer.
const CONCURRENT_READS: usize = 16;
/// About as many bytes of entries in one answer, unless one alone has more.
const MAX_BYTES: usize = 16 << 20;

/// Asks a peer for entries above our height until it has no more. Returns how many were added. The caller holds
/// the session lock.
pub async fn catch_up(
    survey: &SurveyNode,
    links: &PeerLinks,
    party: u8,
    peer: PublicKey,
) -> Result<u64, SessionError> {
    let peer_error = |source| SessionError::Peer { party, source };
    let mut added = 0;
    loop {
        let height = survey.book().head().0;
        let opening = Opening::CatchUp { survey: survey.id(), height };
        let hello = serde_json::to_vec(&opening).map_err(|e| SessionError::Internal(e.to_string()))?;
        let session = tercet_protocol::keys::random().map_err(|e| SessionError::Internal(e.to_string()))?;
        let mut channel =
            links.open(peer, SessionId(session), Bytes::from(hello)).await.map_err(peer_error)?;
        let frame =
            channel.recv(Step::Entries as u32, Instant::now() + survey.patience).await.map_err(peer_error)?;
        let entries: Vec<CommittedEntry> = serde_json::from_slice(&frame).map_err(|_| {
            SessionError::Disagreement { party, what: "sent log entries that cannot be read".into() }
        })?;
        if entries.is_empty() {
            return Ok(added);
        }
        let here = rows_here(survey, &entries).await?;
        for committed in entries {
            let head = survey.book().head();
            committed.verify(survey.id(), survey.parties(), head).map_err(|e| {
                SessionError::Disagreement { party, what: format!("sent a log entry that does not fit: {e}") }
            })?;
            let Changes { obsolete, lacks, here } = prepare(survey, &committed, &here).await?;
            survey.commit(&committed).await?;
            lacks.into_iter().for_each(|height| survey.lack(height));
            here.into_iter().for_each(|height| survey.supplied(height));
            for (height, old) in obsolete {
                survey.store.delete_segment(survey.id(), height, old).await?;
            }
            added += 1;
            // What the bucket remembers of the next height counts from here on.
            survey.agreement().unsure = true;
            for a in committed.entry.accepted() {
                survey.pool.decide(a.submission, Outcome::Accepted);
            }
        }
    }
}

/// The changes in the bucket with an entry that is taken from a peer.
#[derive(Default)]
struct Changes {
    /// Rows that are to be deleted after the commit.
    obsolete: Vec<(u64, EntryHash)>,
    /// Heights of rows that are not here.
    lacks: Vec<u64>,
    /// Heights of rows that are here, whatever was lacking before.
    here: Vec<u64>,
}

/// The entries among these whose rows are in the bucket, looked for side by side.
async fn rows_here(
    survey: &SurveyNode,
    entries: &[CommittedEntry],
) -> Result<HashSet<EntryHash>, SessionError> {
    let (store, id) = (survey.store.clone(), survey.id());
    let with_rows = entries.iter().filter(|c| supply::has_rows(&c.entry));
    let places: Vec<_> = with_rows.map(|c| (c.entry.height, c.entry.hash())).collect();
    let looks = places.into_iter().map(|(height, hash)| {
        let store = store.clone();
        async move { Ok::<_, StoreError>(store.has_segment(id, height, hash).await?.then_some(hash)) }
    });
    Ok(futures::future::try_join_all(looks).await?.into_iter().flatten().collect())
}

/// Looks for what belongs to an entry.
async fn prepare(
    survey: &SurveyNode,
    committed: &CommittedEntry,
    here: &HashSet<EntryHash>,
) -> Result<Changes, SessionError> {
    let entry = &committed.entry;
    let mut changes = Changes::default();
    match &entry.body {
        EntryBody::Batch { .. } | EntryBody::Release(_) => {
            if supply::has_rows(entry) && !here.contains(&entry.hash()) {
                changes.lacks.push(entry.height);
            }
        }
        EntryBody::Erase { submission, .. } => {
            // Rows that are lacking are taken without the erased one.
            let batch = survey.book().place(submission).map_or(0, |p| p.height);
            if !survey.lacks(batch)
                && let Staged::Rewritten(all) = erase::rewrite(survey, *submission, entry.hash()).await?
            {
                for (moved, rows) in all {
                    survey.store.put_segment(survey.id(), moved.height, moved.new, rows).await?;
                    changes.obsolete.push((moved.height, moved.old));
                }
            }
        }
        EntryBody::Refresh { rows, .. } => {
            // New shares that were not staged here are taken from the others, as if they were lost.
            for moved in refresh::moved(survey, rows, entry.hash())? {
                let here = survey.store.has_segment(survey.id(), moved.height, moved.new).await?;
                let heights = if here { &mut changes.here } else { &mut changes.lacks };
                heights.push(moved.height);
                changes.obsolete.push((moved.height, moved.old));
            }
        }
        EntryBody::Void { .. } => {}
    }
    Ok(changes)
}

/// Answers a peer that is behind.
pub async fn serve(
    survey: &SurveyNode,
    party: u8,
    mut channel: Channel,
    from: u64,
) -> Result<(), SessionError> {
    let (head, _) = survey.book().head();
    let to = head.min(from.saturating_add(CHUNK));
    let mut entries = Vec::new();
    let mut bytes = 0;
    let (store, id) = (survey.store.clone(), survey.id());
    let reads = stream::iter(from.saturating_add(1)..=to).map(move |height| {
        let store = store.clone();
        async move { store.get_entry(id, height).await }
    });
    let mut reads = std::pin::pin!(reads.buffered(CONCURRENT_READS));
    while let Some(read) = reads.next().await {
        let Some(committed) = read? else { break };
        let mut w = Writer::default();
        committed.entry.write(&mut w);
        // In text, hashes take twice the room.
        bytes += 2 * w.finish().len();
        if bytes > MAX_BYTES && !entries.is_empty() {
            break;
        }
        entries.push(committed);
    }
    let frame = serde_json::to_vec(&entries).map_err(|e| SessionError::Internal(e.to_string()))?;
    let peer_error = |source| SessionError::Peer { party, source };
    channel
        .send(Step::Entries as u32, Bytes::from(frame), Instant::now() + survey.patience)
        .await
        .map_err(peer_error)
}
