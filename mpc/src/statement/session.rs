//! A recorded TLS 1.3 session as part of a statement: the public facts about its records, and the role of each byte.

use alloc::vec::Vec;

mod place;

use super::{Binding, Column};
pub use place::{Hidden, Part, Role, place};

/// Bytes of the handshake secret.
pub const HANDSHAKE_SECRET_BYTES: usize = 32;
/// Most records of a direction.
pub const MAX_RECORDS: usize = 1024;
/// Longest text of a record: content, type and padding (RFC 8446, 5.4).
pub const MAX_RECORD_TEXT: usize = (1 << 14) + 1;
/// Most bytes of text of both directions together, each record rounded up to a multiple of [`COUNTED`].
pub const MAX_SESSION_TEXT: usize = 96 * 1024;
/// Portion in which bytes of text are counted: a record of one byte costs a block of keystream as well.
pub const COUNTED: usize = 64;
/// Most runs of a record.
pub const MAX_RUNS: usize = 8192;

/// A NewSessionTicket message's type, and bytes of a handshake message's header.
const NEW_SESSION_TICKET: u8 = 4;
const MESSAGE_HEADER: usize = 4;

/// The cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Suite {
    /// TLS_AES_128_GCM_SHA256.
    Aes128Gcm = 1,
    /// TLS_CHACHA20_POLY1305_SHA256.
    ChaCha20Poly1305 = 2,
}

impl Suite {
    /// Bytes of a key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::ChaCha20Poly1305 => 32,
        }
    }
}

/// The content type inside a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Inner {
    /// close_notify, the last record of its direction.
    Alert = 21,
    /// Session tickets, from the server.
    Handshake = 22,
    /// Application data.
    Application = 23,
}

/// The place that the provider's own bytes fill, and so the bytes that it admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum InertKind {
    /// The inside of a string: no quote, backslash or control character.
    Text = 1,
    /// The inside of a string with escapes: no control character, each quote behind a backslash that escapes it, no
    /// backslash left open at the end.
    EscapedText = 2,
    /// A number: digits, `+ - .`, `e E`.
    Number = 3,
    /// A header's value: no control character (below 0x20).
    HeaderValue = 4,
}

impl InertKind {
    /// All kinds, by number.
    pub const ALL: [Self; 4] = [Self::Text, Self::EscapedText, Self::Number, Self::HeaderValue];
}

/// Neighbouring bytes of a record's content that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Run {
    /// These bytes.
    Shown(Vec<u8>),
    /// The next bytes of a column's text.
    Column {
        /// The column.
        column: u8,
        /// Number of bytes.
        length: usize,
    },
    /// The provider's own.
    Inert {
        /// The bytes that are admitted.
        kind: InertKind,
        /// True if they go on with the place of the inert run before (in another record, or behind chunk framing that
        /// is shown); otherwise a place begins.
        continued: bool,
        /// Number of bytes.
        length: usize,
    },
    /// A ticket's content, of which nothing is known.
    Ticket {
        /// Number of bytes.
        length: usize,
    },
}

impl Run {
    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Shown(bytes) => bytes.len(),
            Self::Column { length, .. } | Self::Inert { length, .. } | Self::Ticket { length } => *length,
        }
    }

    /// True if there are no bytes, which a statement refuses.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One protected record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    /// The type of its content, which the circuit shows.
    pub inner: Inner,
    /// The record's body without its tag: content, one byte of type, padding, encrypted. The circuit shows that all
    /// padding is zero.
    pub ciphertext: Vec<u8>,
    /// The content's bytes, all of them in order.
    pub runs: Vec<Run>,
}

impl Record {
    /// A server's record of tickets: bytes of each NewSessionTicket message without its header.
    pub fn tickets(ciphertext: Vec<u8>, lengths: &[usize]) -> Self {
        let message = |length: &usize| {
            let [_, a, b, c] = (*length as u32).to_be_bytes();
            [Run::Shown(alloc::vec![NEW_SESSION_TICKET, a, b, c]), Run::Ticket { length: *length }]
        };
        Self { inner: Inner::Handshake, ciphertext, runs: lengths.iter().flat_map(message).collect() }
    }

    /// A close_notify alert of this level (1, or 2 as some send it).
    pub fn close_notify(ciphertext: Vec<u8>, level: u8) -> Self {
        Self { inner: Inner::Alert, ciphertext, runs: alloc::vec![Run::Shown(alloc::vec![level, 0])] }
    }

    /// Bytes of content.
    pub fn content(&self) -> usize {
        self.runs.iter().map(Run::len).sum()
    }
}

/// A session: all records under the application's keys, from sequence number 0 on, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session {
    /// The suite.
    pub suite: Suite,
    /// SHA-256 of the handshake's transcript to ServerHello.
    pub t1: [u8; 32],
    /// The same to the server's Finished.
    pub t2: [u8; 32],
    /// The server's handshake traffic secret.
    pub server_secret: [u8; 32],
    /// The client's records.
    pub client: Vec<Record>,
    /// The server's records.
    pub server: Vec<Record>,
}

/// Why a statement's session is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Too much.
    #[error(
        "a session has 1 to {MAX_RECORDS} records in each direction and {MAX_SESSION_TEXT} bytes of text together at most, each record counted in portions of {COUNTED}"
    )]
    Size,
    /// A record's parts don't fit each other.
    #[error("record {record} ({direction}): {problem}")]
    Record {
        /// Whose.
        direction: &'static str,
        /// Its sequence number.
        record: usize,
        /// The rule that it breaks.
        problem: &'static str,
    },
    /// A column's bytes are not as many as its length says.
    #[error("column {column}: the session has {got} bytes of it, its length is {expected}")]
    Column {
        /// The column.
        column: usize,
        /// Its length.
        expected: usize,
        /// Bytes in the session.
        got: usize,
    },
}

impl Session {
    /// Bytes of text in both directions, as they are counted.
    pub fn text_bytes(&self) -> usize {
        let bytes = |r: &Record| r.ciphertext.len().next_multiple_of(COUNTED);
        self.client.iter().chain(&self.server).map(bytes).sum()
    }

    /// Checks everything that the circuit takes for granted.
    pub(super) fn check(&self, columns: &[Column]) -> Result<(), SessionError> {
        let few = |records: &[Record]| (1..=MAX_RECORDS).contains(&records.len());
        if !few(&self.client) || !few(&self.server) || self.text_bytes() > MAX_SESSION_TEXT {
            return Err(SessionError::Size);
        }
        let mut bytes = alloc::vec![0; columns.len()];
        for (direction, records, server) in [("client", &self.client, false), ("server", &self.server, true)]
        {
            // The kind of the place that may go on.
            let mut open = None;
            for (i, record) in records.iter().enumerate() {
                let last = i + 1 == records.len();
                let checked = record
                    .check_form(server, last)
                    .and_then(|()| record.check_runs(server, columns, &mut open, &mut bytes));
                checked.map_err(|problem| SessionError::Record { direction, record: i, problem })?;
            }
        }
        for (column, (of, got)) in columns.iter().zip(bytes).enumerate() {
            let expected = usize::from(of.length);
            if got != expected {
                return Err(SessionError::Column { column, expected, got });
            }
        }
        Ok(())
    }

    /// Zeroes everything that sizes do not depend on.
    pub(super) fn blank(&mut self) {
        (self.t1, self.t2, self.server_secret) = ([0; 32], [0; 32], [0; 32]);
        for record in self.client.iter_mut().chain(&mut self.server) {
            record.ciphertext.fill(0);
            if record.inner == Inner::Application {
                record.runs.iter_mut().for_each(|run| {
                    if let Run::Shown(bytes) = run {
                        bytes.fill(0);
                    }
                });
            }
        }
    }
}

impl Record {
    /// Checks sizes, and the form that a record of its type must have.
    fn check_form(&self, server: bool, last: bool) -> Result<(), &'static str> {
        if self.ciphertext.len() > MAX_RECORD_TEXT {
            return Err("its text is longer than a record's");
        }
        if self.runs.len() > MAX_RUNS || self.runs.iter().any(Run::is_empty) {
            return Err("its content is cut into too many or empty runs");
        }
        // A sum of lengths that somebody else wrote.
        let content = self.runs.iter().try_fold(0usize, |sum, run| sum.checked_add(run.len()));
        if content.is_none_or(|content| content >= self.ciphertext.len()) {
            return Err("its content and the byte of its type are longer than its ciphertext");
        }
        match self.inner {
            Inner::Application => Ok(()),
            Inner::Alert => match &self.runs[..] {
                [Run::Shown(bytes)] if matches!(bytes[..], [1 | 2, 0]) && last => Ok(()),
                _ => Err("an alert must be close_notify, shown, and the last record of its direction"),
            },
            Inner::Handshake if !server => Err("the client sends no handshake messages after its Finished"),
            Inner::Handshake => {
                let (messages, rest) = self.runs.as_chunks::<2>();
                let ticket = |pair: &[Run; 2]| match pair {
                    [Run::Shown(header), Run::Ticket { length }] => {
                        let length = (*length as u32).to_be_bytes();
                        header.len() == MESSAGE_HEADER
                            && header[0] == NEW_SESSION_TICKET
                            && length[0] == 0
                            && header[1..] == length[1..]
                    }
                    _ => false,
                };
                match !messages.is_empty() && rest.is_empty() && messages.iter().all(ticket) {
                    true => Ok(()),
                    false => {
                        Err("handshake messages must be tickets that fill the record, their headers shown")
                    }
                }
            }
        }
    }

    /// The runs of application data; counts the columns' bytes.
    fn check_runs(
        &self,
        server: bool,
        columns: &[Column],
        open: &mut Option<InertKind>,
        bytes: &mut [usize],
    ) -> Result<(), &'static str> {
        if self.inner != Inner::Application {
            return Ok(());
        }
        let alike = |pair: &[Run]| match pair {
            [Run::Shown(_), Run::Shown(_)] => true,
            [Run::Column { column: a, .. }, Run::Column { column: b, .. }] => a == b,
            [Run::Inert { .. }, Run::Inert { continued, .. }] => *continued,
            _ => false,
        };
        if self.runs.windows(2).any(alike) {
            return Err("neighbouring runs that are alike must be one");
        }
        for run in &self.runs {
            match run {
                Run::Shown(_) => {}
                Run::Ticket { .. } => {
                    return Err("every byte of application data is shown, a column's or inert");
                }
                Run::Column { column, length } => {
                    let of = columns.get(usize::from(*column)).filter(|c| c.binding == Binding::Keystream);
                    let (Some(_), Some(bytes), true) = (of, bytes.get_mut(usize::from(*column)), server)
                    else {
                        return Err("columns belong to the session and are in the server's records");
                    };
                    *bytes += length;
                    *open = None;
                }
                Run::Inert { kind, continued: false, .. } => *open = Some(*kind),
                Run::Inert { kind, .. } => {
                    if *open != Some(*kind) {
                        return Err("inert bytes go on where no such place was begun");
                    }
                }
            }
        }
        Ok(())
    }
}
