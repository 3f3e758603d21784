//! Rows that this party lacks: after its bucket was lost or restored, after a crash, or where an object is gone. It takes
//! them from the two others and checks them by the log ([`super::supply`]).
//!
//! The log comes first ([`super::catchup`]); which rows belong to it follows from it. Rows that were erased are not among
//! them. A rebuild that is interrupted goes on where it stopped, because rows that are there are not asked for again.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use tercet_protocol::ids::{Commitment, EntryHash, PublicKey, SubmissionId, SurveyId};
use tercet_protocol::keys::random;
use tercet_protocol::log::EntryBody;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::book::Book;
use super::session::{Opening, SessionError, Step};
use super::shelf::Shelf;
use super::supply::{self, Part};
use super::survey::SurveyNode;
use super::{Node, units};
use crate::peer::{Channel, SessionId};
use crate::store::{Store, StoreError};

/// Most entries whose rows are asked for at once.
pub const CHUNK: usize = 16;

/// Takes the rows of all entries that this party lacks them of. Returns how many entries that were. The caller holds the
/// session lock.
pub async fn fill(node: &Node, survey: &SurveyNode) -> Result<usize, SessionError> {
    let lacking = survey.lacking();
    if lacking.is_empty() {
        return Ok(0);
    }
    let keys = node.link_keys(survey).map_err(|e| SessionError::Internal(e.to_string()))?;
    let (before, after) = ((survey.me() + 2) % 3, (survey.me() + 1) % 3);
    let key = |party: u8| keys[usize::from(party)];
    let mut done = 0;
    for heights in lacking.chunks(CHUNK) {
        let rows: Vec<(u64, EntryHash)> = {
            let book = survey.book();
            heights.iter().filter_map(|height| Some((*height, book.rows_at(*height)?))).collect()
        };
        let (previous, next) = tokio::try_join!(
            ask(node, survey, before, key(before), &rows),
            ask(node, survey, after, key(after), &rows)
        )?;
        let mut found = Vec::with_capacity(rows.len());
        for (((height, _), previous), next) in rows.iter().zip(previous).zip(next) {
            let previous = previous.ok_or(SessionError::Lacking { party: before })?;
            let next = next.ok_or(SessionError::Lacking { party: after })?;
            found.push((*height, previous, next));
        }
        // Side by side: each is a read and a write of its own.
        let takes = found.iter().map(|(height, previous, next)| take(survey, *height, previous, next));
        futures::future::try_join_all(takes).await?;
        found.iter().for_each(|(height, ..)| survey.supplied(*height));
        done += found.len();
        tracing::info!(done, of = lacking.len(), "rows taken from the two other parties");
    }
    Ok(done)
}

/// Puts the rows of one entry together, and stores them.
async fn take(survey: &SurveyNode, height: u64, previous: &Part, next: &Part) -> Result<(), SessionError> {
    let missing = || SessionError::Internal(format!("the log entry at height {height} cannot be found"));
    let name = survey.book().rows_at(height).ok_or_else(missing)?;
    let wanted = wanted(survey, height).await?.ok_or_else(missing)?;
    let segment = supply::join(survey.me(), survey.lanes().len(), &wanted, previous, next)?;
    Ok(survey.store.put_segment(survey.id(), height, name, segment).await?)
}

/// The rows that the entry at a height brought and that are not erased, each with the commitments to its shares of now.
async fn wanted(
    survey: &SurveyNode,
    height: u64,
) -> Result<Option<Vec<(SubmissionId, [Commitment; 3])>>, SessionError> {
    let at = survey.book().epochs().refreshed_at(height);
    let Some(brought) = survey.store.get_entry(survey.id(), height).await? else { return Ok(None) };
    let unit = |point, index| units::unit_id(survey.id(), point, index);
    let Some(at) = at else {
        let book = survey.book();
        return Ok(Some(supply::wanted(&brought.entry, |id| book.erased(id).is_some(), unit)));
    };
    let Some(refresh) = survey.store.get_entry(survey.id(), at).await? else { return Ok(None) };
    let EntryBody::Refresh { rows, .. } = &refresh.entry.body else { return Ok(None) };
    let Some(new) = rows.iter().find(|r| r.height == height) else { return Ok(None) };
    let book = survey.book();
    let then = supply::wanted(&brought.entry, |id| book.erased(id).is_some_and(|e| e.height < at), unit);
    Ok(supply::renewed(then, &new.rows, |id| book.erased(id).is_some()))
}

/// Asks one party for the share that it holds in common with this one, of the rows at some heights, by their names.
async fn ask(
    node: &Node,
    survey: &SurveyNode,
    party: u8,
    peer: PublicKey,
    rows: &[(u64, EntryHash)],
) -> Result<Vec<Option<Part>>, SessionError> {
    let peer_error = |source| SessionError::Peer { party, source };
    let internal = |e: String| SessionError::Internal(e);
    let opening = Opening::Supply { survey: survey.id(), rows: rows.to_vec() };
    let hello = serde_json::to_vec(&opening).map_err(|e| internal(e.to_string()))?;
    let session = SessionId(random().map_err(|e| internal(e.to_string()))?);
    let mut channel = node.links.open(peer, session, Bytes::from(hello)).await.map_err(peer_error)?;
    let mut parts = Vec::with_capacity(rows.len());
    for _ in rows {
        let deadline = Instant::now() + survey.patience;
        let frame = channel.recv(Step::Supply as u32, deadline).await.map_err(peer_error)?;
        let malformed = || SessionError::Disagreement { party, what: "sent rows that cannot be read".into() };
        parts.push(match frame.split_first() {
            Some((0, [])) => None,
            Some((1, part)) => Some(Part::decode(part).map_err(|_| malformed())?),
            _ => return Err(malformed()),
        });
    }
    Ok(parts)
}

/// Sends a party that lacks rows the share that this one holds in common with it. Rows with another name here belong to an
/// earlier or a later entry of the log than the other party knows, and are not sent.
pub async fn serve(
    survey: &SurveyNode,
    party: u8,
    mut channel: Channel,
    rows: &[(u64, EntryHash)],
) -> Result<(), SessionError> {
    // Read side by side, sent in order.
    let segments = rows.iter().take(CHUNK).map(|(height, name)| async move {
        let current = survey.book().rows_at(*height).filter(|current| current == name);
        match current.filter(|_| !survey.lacks(*height)) {
            None => Ok(None),
            Some(name) => survey.store.segment(survey.id(), *height, name).await.map(Some),
        }
    });
    for segment in futures::future::join_all(segments).await {
        if let Err(e) = &segment {
            mend(survey, e).await;
        }
        let frame = match segment? {
            None => Zeroizing::new(vec![0]),
            Some(segment) => {
                let part = supply::part(&segment, survey.me(), party);
                let mut frame = Zeroizing::new(Vec::with_capacity(part.len() + 1));
                frame.push(1);
                frame.extend_from_slice(&part);
                frame
            }
        };
        let deadline = Instant::now() + survey.patience;
        channel
            .send(Step::Supply as u32, Bytes::copy_from_slice(&frame), deadline)
            .await
            .map_err(|source| SessionError::Peer { party, source })?;
    }
    Ok(())
}

/// Called for rows that were to be read and are not there or do not open: from here on this party lacks them, and takes them
/// from the two others. An object that does not open is deleted, because the new one goes to its place; the bucket keeps old
/// versions.
pub async fn mend(survey: &SurveyNode, error: &StoreError) {
    let (StoreError::Missing { key } | StoreError::Corrupt { key, .. }) = error else { return };
    let Some((height, name)) = Store::segment_of(survey.id(), key) else { return };
    if !survey.holds(height, &name) {
        return;
    }
    tracing::error!(height, %name, error = %error, "stored rows are lost: they are taken from the two other parties");
    if let Err(e) = survey.store.delete_segment(survey.id(), height, name).await {
        tracing::warn!(error = %e, "damaged rows cannot be deleted");
    }
    survey.lack(height);
    survey.unfinished.notify_one();
}

/// Puts the bucket's rows in order at a start, and says which rows are there. `with_rows`: the heights of all entries that
/// bring rows. Segments that an erasure or a refresh has replaced are deleted, and those of sessions that never ended; segments
/// with a prepare for the height above the log belong to the agreement, and what lies higher counts once the log has come to it.
pub async fn tidy(
    store: &Store,
    survey: SurveyId,
    book: &Book,
    with_rows: &[u64],
    staged: &HashSet<(u64, EntryHash)>,
) -> Result<Shelf, StoreError> {
    let mut stored: BTreeMap<u64, Vec<EntryHash>> = BTreeMap::new();
    let head = book.head().0;
    for (height, name) in store.list_segments(survey, head).await? {
        if height <= head {
            stored.entry(height).or_default().push(name);
        } else if height == head + 1 && !staged.contains(&(height, name)) {
            // The party stopped before it had a prepare for them: nobody has heard of these rows.
            store.delete_segment(survey, height, name).await?;
        }
    }
    let mut shelf = Shelf::default();
    for height in with_rows {
        let Some(name) = book.rows_at(*height) else { continue };
        let here = stored.get(height).map(Vec::as_slice).unwrap_or_default();
        if here.contains(&name) { shelf.put(*height, name) } else { shelf.lack(*height) }
    }
    for (height, names) in stored {
        let current = book.rows_at(height).filter(|_| with_rows.binary_search(&height).is_ok());
        let needed = |name: &EntryHash| Some(*name) == current || staged.contains(&(height, *name));
        for name in names.into_iter().filter(|name| !needed(name)) {
            store.delete_segment(survey, height, name).await?;
        }
    }
    Ok(shelf)
}
