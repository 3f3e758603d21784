//! Rows that this party lacks: after its bucket was lost or restored, after a crash, or where an object is gone. It takes
//! them from the two others and checks them by the log ([`super::supply`]).
//!
//! The log comes first ([`super::catchup`]); which rows belong to it follows from it. Rows that were erased are not among
//! them. A rebuild that is interrupted goes on where it stopped, because what is there already is not asked for again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use tercet_protocol::ids::{EntryHash, PublicKey, SurveyId};
use tercet_protocol::keys::random;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::book::Book;
use super::session::{Opening, SessionError, Step};
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
        let (previous, next) = tokio::try_join!(
            ask(node, survey, before, key(before), heights),
            ask(node, survey, after, key(after), heights)
        )?;
        for ((height, previous), next) in heights.iter().zip(previous).zip(next) {
            let previous = previous.ok_or(SessionError::Lacking { party: before })?;
            let next = next.ok_or(SessionError::Lacking { party: after })?;
            take(survey, *height, &previous, &next).await?;
            survey.supplied(*height);
            done += 1;
        }
        tracing::info!(done, of = lacking.len(), "rows taken from the two other parties");
    }
    Ok(done)
}

/// Puts the rows of one entry together, and stores them.
async fn take(survey: &SurveyNode, height: u64, previous: &Part, next: &Part) -> Result<(), SessionError> {
    let missing = || SessionError::Internal(format!("the log entry at height {height} cannot be found"));
    let committed = survey.store.get_entry(survey.id(), height).await?.ok_or_else(missing)?;
    let (name, wanted) = {
        let book = survey.book();
        let name = book.rows_at(height).ok_or_else(missing)?;
        let unit = |point, index| units::unit_id(survey.id(), point, index);
        (name, supply::wanted(&committed.entry, |id| book.erased(id).is_some(), unit))
    };
    let segment = supply::join(survey.me(), survey.lanes().len(), &wanted, previous, next)?;
    Ok(survey.store.put_segment(survey.id(), height, name, segment).await?)
}

/// Asks one party for the share that it holds in common with this one, of the rows at some heights.
async fn ask(
    node: &Node,
    survey: &SurveyNode,
    party: u8,
    peer: PublicKey,
    heights: &[u64],
) -> Result<Vec<Option<Part>>, SessionError> {
    let peer_error = |source| SessionError::Peer { party, source };
    let internal = |e: String| SessionError::Internal(e);
    let opening = Opening::Supply { survey: survey.id(), heights: heights.to_vec() };
    let hello = serde_json::to_vec(&opening).map_err(|e| internal(e.to_string()))?;
    let session = SessionId(random().map_err(|e| internal(e.to_string()))?);
    let mut channel = node.links.open(peer, session, Bytes::from(hello)).await.map_err(peer_error)?;
    let mut parts = Vec::with_capacity(heights.len());
    for _ in heights {
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

/// Sends a party that lacks rows the share that this one holds in common with it.
pub async fn serve(
    survey: &SurveyNode,
    party: u8,
    mut channel: Channel,
    heights: &[u64],
) -> Result<(), SessionError> {
    for height in heights.iter().take(CHUNK) {
        let name = survey.book().rows_at(*height);
        let lacks = survey.lacks(*height);
        let frame = match name.filter(|_| !lacks) {
            None => Zeroizing::new(vec![0]),
            Some(name) => {
                let segment = survey.store.segment(survey.id(), *height, name).await?;
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

/// Puts the bucket's rows in order at a start, and gives the heights of entries whose rows are not there. `with_rows`: the
/// heights of all entries that bring rows. What an erasure has replaced goes, and what a session staged that never came to
/// an end; what is staged for the height above the log is the agreement's.
pub async fn tidy(
    store: &Store,
    survey: SurveyId,
    book: &Book,
    with_rows: &[u64],
    staged: &HashSet<(u64, EntryHash)>,
) -> Result<BTreeSet<u64>, StoreError> {
    let mut stored: BTreeMap<u64, Vec<EntryHash>> = BTreeMap::new();
    let head = book.head().0;
    for (height, name) in store.list_segments(survey, head).await?.into_iter().filter(|(h, _)| *h <= head) {
        stored.entry(height).or_default().push(name);
    }
    let mut lacking = BTreeSet::new();
    for height in with_rows {
        let Some(name) = book.rows_at(*height) else { continue };
        let here = stored.get(height).map(Vec::as_slice).unwrap_or_default();
        if here.contains(&name) {
            continue;
        }
        // The party stopped between an erasure's commit and the rewriting.
        match here.iter().find(|name| !staged.contains(&(*height, **name))) {
            Some(old) if book.names().contains_key(height) => {
                let mut left = (*store.segment(survey, *height, *old).await?).clone();
                for id in left.submissions().to_vec() {
                    if book.erased(&id).is_some() {
                        left = left.without(&id);
                    }
                }
                store.put_segment(survey, *height, name, left.into()).await?;
            }
            _ => {
                lacking.insert(*height);
            }
        }
    }
    for (height, names) in stored {
        let current = book.rows_at(height).filter(|_| with_rows.binary_search(&height).is_ok());
        let needed = |name: &EntryHash| Some(*name) == current || staged.contains(&(height, *name));
        for name in names.into_iter().filter(|name| !needed(name)) {
            store.delete_segment(survey, height, name).await?;
        }
    }
    Ok(lacking)
}
