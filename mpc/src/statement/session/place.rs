//! From the roles of a direction's application data, as one text, to the runs of its records.

use alloc::vec::Vec;
use core::ops::Range;

use super::{InertKind, Inner, Record, Run};

/// A record of a direction.
#[derive(Clone, Debug)]
pub enum Part {
    /// Application data.
    Application {
        /// The body without its tag.
        ciphertext: Vec<u8>,
        /// Number of bytes of content: the inner type and the padding follow.
        content: usize,
    },
    /// Tickets ([`Record::tickets`]) or an alert ([`Record::close_notify`]).
    Other(Record),
}

/// The role of bytes that are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The next bytes of this column's text.
    Column(u8),
    /// The provider's own.
    Inert {
        /// The bytes that are admitted.
        kind: InertKind,
        /// True if they go on with the place of the inert bytes before.
        continued: bool,
    },
}

/// Bytes of a direction's application data that are not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Their positions in it.
    pub range: Range<usize>,
    /// Their role.
    pub role: Role,
}

/// The records of a direction. `text`: all its application data, with anything at the bytes that are not shown; `hidden`:
/// those bytes, in order. `None` if the contents are not as long as the text, or the ranges are not in order inside it.
pub fn place(parts: Vec<Part>, text: &[u8], hidden: &[Hidden]) -> Option<Vec<Record>> {
    let mut end = 0;
    for Hidden { range, .. } in hidden {
        if range.start < end || range.is_empty() || range.end > text.len() {
            return None;
        }
        end = range.end;
    }
    let mut at = 0usize;
    let mut hidden = hidden.iter().peekable();
    let records = parts.into_iter().map(|part| {
        let (ciphertext, content) = match part {
            Part::Other(record) => return Some(record),
            Part::Application { ciphertext, content } => (ciphertext, content),
        };
        let end = at.checked_add(content)?;
        let mut runs = Vec::new();
        while at < end {
            let next = hidden.peek().map_or(text.len(), |next| next.range.start);
            if at < next {
                let until = next.min(end);
                runs.push(Run::Shown(text.get(at..until)?.to_vec()));
                at = until;
                continue;
            }
            let Hidden { range, role } = hidden.peek()?;
            let until = range.end.min(end);
            push(&mut runs, *role, until - at, at > range.start);
            at = until;
            if until == range.end {
                hidden.next();
            }
        }
        Some(Record { inner: Inner::Application, ciphertext, runs })
    });
    let records = records.collect::<Option<_>>()?;
    (at == text.len()).then_some(records)
}

/// Adds bytes to the last run if they go on with it; `inside`: their range began in an earlier record.
fn push(runs: &mut Vec<Run>, role: Role, bytes: usize, inside: bool) {
    match (role, runs.last_mut()) {
        (Role::Column(column), Some(Run::Column { column: last, length })) if *last == column => {
            *length += bytes
        }
        (Role::Inert { continued: true, kind }, Some(Run::Inert { kind: last, length, .. }))
            if *last == kind =>
        {
            *length += bytes;
        }
        (Role::Column(column), _) => runs.push(Run::Column { column, length: bytes }),
        (Role::Inert { kind, continued }, _) => {
            runs.push(Run::Inert { kind, continued: continued || inside, length: bytes });
        }
    }
}
