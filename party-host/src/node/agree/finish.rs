//! A session that finishes an entry of an earlier session: all three parties know from the hellos which entry it is.

use std::sync::Arc;

use bytes::Bytes;
use tercet_agreement::Certificate;
use tercet_protocol::abandonment::Abandonment;
use tercet_protocol::codec::{Reader, Writer};
use tercet_protocol::log::{CommittedEntry, EntryBody, LogEntry};

use super::scheme::{Names, Record, RowsAt};
use super::{malformed, settle};
use crate::node::pool::Outcome;
use crate::node::session::{SessionError, Step, Wire};
use crate::node::supply::{self, Part};
use crate::node::survey::SurveyNode;
use crate::node::{abandon, erase, refresh, units};
use crate::store::Segment;

/// Most bytes of an entry that is sent to a party which lacks it.
const MAX_ENTRY: usize = 16 * 1024 * 1024;

/// Finishes the entry of a certificate. An entry that this party has prepared is not judged again; only its hash and
/// its rows are compared. The caller holds the survey's session lock.
pub async fn finish(
    survey: &SurveyNode,
    mut wire: Wire,
    certificate: &Certificate<Names>,
) -> Result<CommittedEntry, SessionError> {
    let record = survey.agreement().record(&certificate.entry).cloned();
    let mut lacking = [true; 3];
    lacking[usize::from(survey.me())] = record.is_none();
    for (party, frame) in wire.exchange(Step::Confirm, vec![u8::from(record.is_some())]).await? {
        lacking[usize::from(party)] = match frame[..] {
            [1] => false,
            [0] => true,
            _ => return Err(malformed(party, "confirmation")),
        };
    }
    let lost = (0u8..3).filter(|p| lacking[usize::from(*p)]).collect::<Vec<_>>();
    let (entry, rows_at, rows) = match (&lost[..], record) {
        ([], Some(record)) => (record.entry.clone(), record.rows.clone(), Vec::new()),
        ([party], record) => supplied(survey, &mut wire, certificate, *party, record.as_deref()).await?,
        // Two parties lost it: only the operators' hands help.
        (lost, _) => {
            return Err(SessionError::Lacking { party: lost.first().copied().unwrap_or(survey.me()) });
        }
    };
    // Whoever finishes an entry that gives another one up has to know that the other one never counts.
    if let Some(abandonment) = Abandonment::shown(&entry) {
        abandon::take(survey, &abandonment).await?;
    }
    let (committed, _wire) = settle(survey, wire, entry, rows_at, rows).await?;
    tracing::info!(height = committed.entry.height, "an entry that an earlier session left is final");
    for a in committed.entry.accepted() {
        survey.pool.decide(a.submission, Outcome::Accepted);
    }
    Ok(committed)
}

type Supplied = (LogEntry, RowsAt, Vec<Arc<Segment>>);

/// One party lacks the entry or its rows: each of the two others sends the part that it has in common with that
/// party.
async fn supplied(
    survey: &SurveyNode,
    wire: &mut Wire,
    certificate: &Certificate<Names>,
    lacking: u8,
    record: Option<&Record>,
) -> Result<Supplied, SessionError> {
    let me = survey.me();
    let mut frames = [Bytes::new(), Bytes::new()];
    if let Some(record) = record {
        let frame = &mut frames[usize::from((me + 1) % 3 != lacking)];
        *frame = send(survey, record, lacking).await?;
    }
    let [(next, of_next), (previous, of_previous)] = wire.exchange_each(Step::Supply, frames).await?;
    if let Some(record) = record {
        return Ok((record.entry.clone(), record.rows.clone(), Vec::new()));
    }
    let (entry, after) = receive(&of_next, next)?;
    let (other, before) = receive(&of_previous, previous)?;
    for (party, entry) in [(next, &entry), (previous, &other)] {
        let follows = (entry.height, entry.previous);
        let head = survey.book().head();
        if entry.hash() != certificate.entry || follows != (head.0 + 1, head.1) {
            let what = "sent another entry than the one that is to be finished".into();
            return Err(SessionError::Disagreement { party, what });
        }
    }
    let wanted = match &entry.body {
        EntryBody::Erase { submission, .. } => {
            let (at, rows) = erase::rewrite(survey, *submission, entry.hash()).await?.split();
            return Ok((entry, at, rows));
        }
        EntryBody::Refresh { rows, .. } => refresh::wanted(survey, rows).await?,
        _ if !supply::has_rows(&entry) => Vec::new(),
        _ => {
            let unit = |point, index| units::unit_id(survey.id(), point, index);
            vec![supply::wanted(&entry, |_| false, unit)]
        }
    };
    if before.len() != wanted.len() || after.len() != wanted.len() {
        return Err(malformed(if before.len() == wanted.len() { next } else { previous }, "supply of rows"));
    }
    let mut rows = Vec::with_capacity(wanted.len());
    for (wanted, (before, after)) in wanted.iter().zip(before.iter().zip(&after)) {
        rows.push(supply::join(me, survey.lanes().len(), wanted, before, after)?);
    }
    let at = match &entry.body {
        EntryBody::Refresh { rows, .. } => RowsAt::Instead(refresh::moved(survey, rows, entry.hash())?),
        _ if rows.is_empty() => RowsAt::Nowhere,
        _ => RowsAt::Own,
    };
    Ok((entry, at, rows))
}

async fn send(survey: &SurveyNode, record: &Record, to: u8) -> Result<Bytes, SessionError> {
    let mut entry = Writer::default();
    record.entry.write(&mut entry);
    let mut w = Writer::default();
    w.bytes(&entry.finish());
    // What an erasure leaves of its batch, whoever has the batch's rows knows.
    if !matches!(record.entry.body, EntryBody::Erase { .. }) {
        for (height, name) in record.rows.places(&record.entry) {
            let segment = survey.store.segment(survey.id(), height, name).await?;
            w.bytes(&supply::part(&segment, survey.me(), to));
        }
    }
    Ok(w.finish().into())
}

fn receive(frame: &[u8], party: u8) -> Result<(LogEntry, Vec<Part>), SessionError> {
    let bad = |_| malformed(party, "supply of rows");
    let mut r = Reader::new(frame);
    let mut inner = Reader::new(r.bytes("entry", MAX_ENTRY).map_err(bad)?);
    let entry = LogEntry::read(&mut inner).map_err(bad)?;
    inner.finish().map_err(bad)?;
    let mut parts = Vec::new();
    while !r.is_empty() {
        parts.push(Part::decode(r.bytes("rows", frame.len()).map_err(bad)?).map_err(bad)?);
    }
    Ok((entry, parts))
}
