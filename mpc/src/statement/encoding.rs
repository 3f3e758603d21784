//! Canonical bytes of a statement: they enter the proof's transcript. The reader never allocates more than the bytes
//! that are there.

use alloc::vec::Vec;

use super::session::{InertKind, Inner, MAX_RECORDS, MAX_RUNS, Record, Run, Session, Suite};
use super::{
    Binding, Column, Condition, Format, HashAlg, MAX_COLUMNS, MAX_OUTPUTS, Number, Output, Statement,
    StatementError, Term,
};
use crate::decimal::{Excess, Notation};

/// 3: bindings, sessions, notations, scales below zero.
const VERSION: u8 = 3;
/// A term of three bytes, a condition of two, and its value.
const OUTPUT_BYTES: usize = 13;

/// Codes of bindings; hashes have their own.
const KEYSTREAM: u8 = 16;
const ABSENT: u8 = 17;

/// Codes of runs.
const SHOWN: u8 = 0;
const COLUMN: u8 = 1;
const TICKET: u8 = 2;
const INERT: u8 = 16;
const CONTINUED: u8 = 32;

impl Statement {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        // At most MAX_COLUMNS and MAX_OUTPUTS: both fit.
        let session = u8::from(self.session.is_some());
        let mut out = alloc::vec![VERSION, self.columns.len() as u8, self.outputs.len() as u8, session];
        for c in &self.columns {
            match &c.binding {
                Binding::Hash { alg, commitment } => {
                    out.extend([alg.id(), c.length]);
                    out.extend(commitment);
                }
                Binding::Keystream => out.extend([KEYSTREAM, c.length]),
                Binding::Absent => out.extend([ABSENT, c.length]),
            }
            match &c.format {
                Format::Number(Number { scale, bits, excess, notation, missing }) => {
                    let kind = if missing.is_some() { 2 } else { 1 };
                    out.extend([kind, scale.to_le_bytes()[0], *bits, *excess as u8]);
                    out.extend([
                        u8::from(notation.exponents),
                        notation.grouping.unwrap_or(0),
                        notation.point,
                    ]);
                    missing.iter().for_each(|text| put(&mut out, text));
                }
                Format::Category(values) => {
                    // At most MAX_CATEGORIES.
                    out.extend([3, values.len() as u8]);
                    values.iter().for_each(|text| put(&mut out, text));
                }
            }
        }
        for output in &self.outputs {
            out.extend(match output.term() {
                Term::One => [0, 0, 0],
                Term::Value(c) => [1, c, 0],
                Term::Square(c) => [2, c, 0],
                Term::Product(a, b) => [3, a, b],
                Term::Log(c) => [4, c, 0],
                Term::Reciprocal(c) => [5, c, 0],
                Term::Present(c) => [6, c, 0],
            });
            let (condition, value) = match output.condition() {
                None => ([0, 0], 0),
                Some(Condition::Present(c)) => ([1, c], 0),
                Some(Condition::Is(c, value)) => ([2, c], value.into()),
                Some(Condition::Below(c, edge)) => ([3, c], edge),
            };
            out.extend(condition);
            out.extend(value.to_le_bytes());
        }
        self.session.iter().for_each(|session| put_session(&mut out, session));
        out
    }

    /// Reads [`Self::encode`]'s bytes, all of them.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let mut rest = bytes;
        let Some([VERSION, columns, outputs, of_session @ (0 | 1)]) = take(&mut rest) else {
            return Err(StatementError::Encoding);
        };
        let (columns, outputs) = (usize::from(columns), usize::from(outputs));
        if columns > MAX_COLUMNS {
            return Err(StatementError::Columns(columns));
        }
        if outputs > MAX_OUTPUTS {
            return Err(StatementError::Outputs(outputs));
        }
        let columns: Option<Vec<_>> = (0..columns).map(|_| column(&mut rest)).collect();
        let columns = columns.ok_or(StatementError::Encoding)?;
        let (list, mut rest) =
            rest.split_at_checked(OUTPUT_BYTES * outputs).ok_or(StatementError::Encoding)?;
        let outputs: Option<Vec<_>> = list.chunks_exact(OUTPUT_BYTES).map(output).collect();
        let outputs = outputs.ok_or(StatementError::Encoding)?;
        let session = match of_session {
            0 => None,
            _ => Some(session(&mut rest).ok_or(StatementError::Encoding)?),
        };
        if !rest.is_empty() {
            return Err(StatementError::Encoding);
        }
        Self::checked(columns, outputs, session)
    }
}

/// A length or number that checks keep below 2^16.
fn put_u16(out: &mut Vec<u8>, value: usize) {
    out.extend((value as u16).to_le_bytes());
}

fn put_session(out: &mut Vec<u8>, session: &Session) {
    out.push(session.suite as u8);
    out.extend([session.t1, session.t2, session.server_secret].as_flattened());
    for records in [&session.client, &session.server] {
        put_u16(out, records.len());
        for record in records {
            out.push(record.inner as u8);
            put_u16(out, record.ciphertext.len());
            out.extend_from_slice(&record.ciphertext);
            put_u16(out, record.runs.len());
            for run in &record.runs {
                match run {
                    Run::Shown(_) => out.push(SHOWN),
                    Run::Column { column, .. } => out.extend([COLUMN, *column]),
                    Run::Ticket { .. } => out.push(TICKET),
                    Run::Inert { kind, continued, .. } => {
                        out.push(INERT + *kind as u8 + if *continued { CONTINUED } else { 0 });
                    }
                }
                put_u16(out, run.len());
                if let Run::Shown(bytes) = run {
                    out.extend_from_slice(bytes);
                }
            }
        }
    }
}

fn session(rest: &mut &[u8]) -> Option<Session> {
    let suite = match take(rest)? {
        [1] => Suite::Aes128Gcm,
        [2] => Suite::ChaCha20Poly1305,
        _ => return None,
    };
    let (t1, t2, server_secret) = (take(rest)?, take(rest)?, take(rest)?);
    let mut records = || {
        let records = take_u16(rest).filter(|n| *n <= MAX_RECORDS)?;
        (0..records).map(|_| record(rest)).collect::<Option<Vec<_>>>()
    };
    Some(Session { suite, t1, t2, server_secret, client: records()?, server: records()? })
}

fn record(rest: &mut &[u8]) -> Option<Record> {
    let inner = match take(rest)? {
        [21] => Inner::Alert,
        [22] => Inner::Handshake,
        [23] => Inner::Application,
        _ => return None,
    };
    let length = take_u16(rest)?;
    let ciphertext = take_bytes(rest, length)?;
    let runs = take_u16(rest).filter(|n| *n <= MAX_RUNS)?;
    let runs = (0..runs).map(|_| run(rest)).collect::<Option<_>>()?;
    Some(Record { inner, ciphertext, runs })
}

fn run(rest: &mut &[u8]) -> Option<Run> {
    let [code] = take(rest)?;
    Some(match code {
        SHOWN => {
            let length = take_u16(rest)?;
            Run::Shown(take_bytes(rest, length)?)
        }
        COLUMN => {
            let [column] = take(rest)?;
            Run::Column { column, length: take_u16(rest)? }
        }
        TICKET => Run::Ticket { length: take_u16(rest)? },
        _ => {
            let continued = code >= INERT + CONTINUED;
            let number = code.checked_sub(INERT + if continued { CONTINUED } else { 0 })?;
            let kind = InertKind::ALL.into_iter().find(|kind| *kind as u8 == number)?;
            Run::Inert { kind, continued, length: take_u16(rest)? }
        }
    })
}

fn take_u16(rest: &mut &[u8]) -> Option<usize> {
    take(rest).map(|bytes| u16::from_le_bytes(bytes).into())
}

fn take_bytes(rest: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (bytes, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(bytes.to_vec())
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    // At most MAX_VALUE_BYTES.
    out.push(text.len() as u8);
    out.extend_from_slice(text);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn text(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let [length] = take(rest)?;
    take_bytes(rest, length.into())
}

fn column(rest: &mut &[u8]) -> Option<Column> {
    let [alg, length] = take(rest)?;
    let binding = match alg {
        KEYSTREAM => Binding::Keystream,
        ABSENT => Binding::Absent,
        alg => Binding::Hash { alg: HashAlg::from_id(alg)?, commitment: take(rest)? },
    };
    let format = match take(rest)? {
        [kind @ (1 | 2)] => {
            let [scale, bits, excess, exponents, grouping, point] = take(rest)?;
            let notation = Notation {
                exponents: match exponents {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
                grouping: (grouping != 0).then_some(grouping),
                point,
            };
            let scale = i8::from_le_bytes([scale]);
            let excess = match excess {
                0 => Excess::Reject,
                1 => Excess::Truncate,
                _ => return None,
            };
            let missing = if kind == 2 { Some(text(rest)?) } else { None };
            Format::Number(Number { scale, bits, excess, notation, missing })
        }
        [3] => {
            let [values] = take(rest)?;
            Format::Category((0..values).map(|_| text(rest)).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some(Column { length, format, binding })
}

fn output(bytes: &[u8]) -> Option<Output> {
    let (&[kind, a, b, given, c], value) = bytes.split_first_chunk()?;
    let value = i64::from_le_bytes(value.try_into().ok()?);
    let term = match [kind, a, b] {
        [0, 0, 0] => Term::One,
        [1, c, 0] => Term::Value(c),
        [2, c, 0] => Term::Square(c),
        [3, a, b] => Term::Product(a, b),
        [4, c, 0] => Term::Log(c),
        [5, c, 0] => Term::Reciprocal(c),
        [6, c, 0] => Term::Present(c),
        _ => return None,
    };
    match (given, c, value) {
        (0, 0, 0) => Output::always(term),
        (1, c, 0) => Some(Output::Given(term, Condition::Present(c))),
        (2, c, value) => Some(Output::Given(term, Condition::Is(c, value.try_into().ok()?))),
        (3, c, edge) => Some(Output::Given(term, Condition::Below(c, edge))),
        _ => None,
    }
}
