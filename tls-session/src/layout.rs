//! A provider's claims about each application record: its inner type, where its content ends, and the bytes shown.
//!
//! The proof shows all of it: every inner type, all padding as zero, the header of every ticket message, and every
//! byte of application data, either as shown or as a hidden byte that a column or a rule of the policy takes. Only
//! the content of tickets is left open. So nothing of the application's is outside the proof.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::reader::Reader;
use crate::record::{ALERT, APPLICATION_DATA, HANDSHAKE, MAX_DIRECTION};
use crate::{Direction, Refusal, Session};

/// Most hidden ranges of one direction.
pub const MAX_HOLES: usize = 1024;
/// Most records of one direction: each has 22 bytes at least.
const MAX_RECORDS: usize = MAX_DIRECTION / 22;
/// Most ticket messages of one record.
const MAX_TICKETS: usize = 64;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
const CLOSE_NOTIFY: u8 = 0;

/// The content of an application record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inner {
    /// Application data of this many bytes; 0 is allowed.
    Data {
        /// Bytes of content.
        length: usize,
    },
    /// Ticket messages that fill the record; the lengths of their bodies.
    Tickets {
        /// Bytes of each message behind its four bytes of header.
        bodies: Vec<usize>,
    },
    /// The alert close_notify.
    Close {
        /// Its level, which means nothing in TLS 1.3.
        level: u8,
    },
}

impl Inner {
    /// Reads a record's content, by its inner type and direction.
    pub fn read(direction: Direction, kind: u8, content: &[u8]) -> Result<Self, Refusal> {
        match (kind, direction) {
            (APPLICATION_DATA, _) => Ok(Self::Data { length: content.len() }),
            (HANDSHAKE, _) if content.first() == Some(&KEY_UPDATE) => Err(Refusal::KeyUpdate),
            (HANDSHAKE, Direction::Server) => {
                let mut r = Reader::new(content, Refusal::TicketRecord);
                let mut bodies = Vec::new();
                while !r.is_empty() || bodies.is_empty() {
                    match r.u8()? {
                        NEW_SESSION_TICKET => bodies.push(r.vector(3)?.len()),
                        KEY_UPDATE => return Err(Refusal::KeyUpdate),
                        _ => return Err(Refusal::PostHandshake),
                    }
                    if bodies.len() > MAX_TICKETS {
                        return Err(Refusal::TicketRecord);
                    }
                }
                Ok(Self::Tickets { bodies })
            }
            (ALERT, _) => match content {
                [level @ (1 | 2), CLOSE_NOTIFY] => Ok(Self::Close { level: *level }),
                _ => Err(Refusal::Alert),
            },
            _ => Err(Refusal::InnerType),
        }
    }

    /// The inner type.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Data { .. } => APPLICATION_DATA,
            Self::Tickets { .. } => HANDSHAKE,
            Self::Close { .. } => ALERT,
        }
    }

    /// Bytes of content.
    pub fn length(&self) -> usize {
        match self {
            Self::Data { length } => *length,
            Self::Tickets { bodies } => bodies.iter().fold(0, |n, b| n.saturating_add(b.saturating_add(4))),
            Self::Close { .. } => 2,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        match self {
            Self::Data { length } => put(out, *length, 2),
            Self::Tickets { bodies } => {
                put(out, bodies.len(), 1);
                bodies.iter().for_each(|b| put(out, *b, 2));
            }
            Self::Close { level } => out.push(*level),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Refusal> {
        match r.u8()? {
            APPLICATION_DATA => Ok(Self::Data { length: usize::from(r.u16()?) }),
            HANDSHAKE => {
                let count = usize::from(r.u8()?);
                if count == 0 || count > MAX_TICKETS {
                    return Err(Refusal::Layout);
                }
                let bodies = (0..count).map(|_| r.u16().map(usize::from)).collect::<Result<_, _>>()?;
                Ok(Self::Tickets { bodies })
            }
            ALERT => match r.u8()? {
                level @ (1 | 2) => Ok(Self::Close { level }),
                _ => Err(Refusal::Layout),
            },
            _ => Err(Refusal::Layout),
        }
    }
}

/// The lowest `bytes` bytes of a number, big-endian. Callers bound the number.
fn put(out: &mut Vec<u8>, value: usize, bytes: usize) {
    let all = (value as u64).to_be_bytes();
    out.extend_from_slice(&all[all.len() - bytes..]);
}

/// One direction of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    records: Vec<Inner>,
    stream: Vec<u8>,
    hidden: Vec<Range<usize>>,
}

impl Flow {
    /// Hides ranges of the application data `stream`, which the records of type 23 hold in a row. The ranges are in
    /// order, not empty, and do not touch each other.
    pub fn new(records: Vec<Inner>, stream: &[u8], hidden: &[Range<usize>]) -> Result<Self, Refusal> {
        let mut shown = stream.to_vec();
        let mut end = None;
        for range in hidden {
            let after = end.is_none_or(|end| range.start > end);
            let bytes = shown.get_mut(range.clone()).filter(|b| !b.is_empty() && after);
            bytes.ok_or(Refusal::Layout)?.fill(0);
            end = Some(range.end);
        }
        let flow = Self { records, stream: shown, hidden: hidden.to_vec() };
        let data: usize =
            flow.records.iter().filter(|r| r.kind() == APPLICATION_DATA).map(Inner::length).sum();
        if data != stream.len() || hidden.len() > MAX_HOLES || flow.records.len() > MAX_RECORDS {
            return Err(Refusal::Layout);
        }
        Ok(flow)
    }

    /// The content of each record; the index is the sequence number.
    pub fn records(&self) -> &[Inner] {
        &self.records
    }

    /// The application data in a row; hidden bytes are zero.
    pub fn stream(&self) -> &[u8] {
        &self.stream
    }

    /// The hidden ranges of the stream, in order.
    pub fn hidden(&self) -> &[Range<usize>] {
        &self.hidden
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.records.len(), 2);
        self.records.iter().for_each(|r| r.encode(out));
        put(out, self.hidden.len(), 2);
        let mut at = 0;
        let mut shown = Vec::with_capacity(self.stream.len());
        for range in &self.hidden {
            put(out, range.start, 3);
            put(out, range.end, 3);
            shown.extend_from_slice(&self.stream[at..range.start]);
            at = range.end;
        }
        shown.extend_from_slice(&self.stream[at..]);
        out.extend_from_slice(&shown);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Refusal> {
        let count = usize::from(r.u16()?);
        if count > MAX_RECORDS {
            return Err(Refusal::Layout);
        }
        let records = (0..count).map(|_| Inner::decode(r)).collect::<Result<Vec<_>, _>>()?;
        let data = records.iter().filter(|r| r.kind() == APPLICATION_DATA);
        let length: usize = data.map(Inner::length).sum();
        let count = usize::from(r.u16()?);
        if length > MAX_DIRECTION || count > MAX_HOLES {
            return Err(Refusal::Layout);
        }
        let position = |r: &mut Reader<'_>| {
            r.array().map(|[a, b, c]| usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
        };
        let hidden =
            (0..count).map(|_| Ok(position(r)?..position(r)?)).collect::<Result<Vec<_>, Refusal>>()?;
        let mut stream = vec![0; length];
        let mut at = 0;
        for range in &hidden {
            if range.is_empty() || range.end > length || (at > 0 && range.start <= at) {
                return Err(Refusal::Layout);
            }
            let gap = &mut stream[at..range.start];
            gap.copy_from_slice(r.take(gap.len())?);
            at = range.end;
        }
        let gap = &mut stream[at..];
        gap.copy_from_slice(r.take(gap.len())?);
        Self::new(records, &stream, &hidden)
    }

    fn check(&self, session: &Session, direction: Direction) -> Result<(), Refusal> {
        let recorded = session.records(direction);
        if self.records.len() != recorded.len() {
            return Err(Refusal::LayoutRecords);
        }
        let last = self.records.len().saturating_sub(1);
        for (i, (inner, record)) in self.records.iter().zip(recorded).enumerate() {
            // One byte of inner type follows the content.
            if inner.length() >= record.plain_length() {
                return Err(Refusal::LayoutRecords);
            }
            match inner {
                Inner::Tickets { .. } if direction == Direction::Client => return Err(Refusal::InnerType),
                Inner::Close { .. } if i != last => return Err(Refusal::AfterClose),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The claims about both directions' application records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The client's records.
    pub client: Flow,
    /// The server's records.
    pub server: Flow,
}

/// A claim about one byte of plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It has this value.
    Shown(u8),
    /// It is a hidden byte of the application data, at this place in its direction's stream.
    Hidden(usize),
    /// Nothing: it is the content of a ticket.
    Nothing,
}

/// A byte of a record's plaintext and the claim about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimedByte {
    /// The record's sequence number.
    pub sequence: usize,
    /// The byte's place in the record's plaintext, hence in its keystream.
    pub place: usize,
    /// The place of its ciphertext in the direction's bytes.
    pub ciphertext: usize,
    /// The claim.
    pub claim: Claim,
}

impl Layout {
    /// A direction's claims.
    pub fn flow(&self, direction: Direction) -> &Flow {
        match direction {
            Direction::Client => &self.client,
            Direction::Server => &self.server,
        }
    }

    /// The encoding. There is one of each layout.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.client.stream.len() + self.server.stream.len());
        self.client.encode(&mut out);
        self.server.encode(&mut out);
        out
    }

    /// Decodes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut r = Reader::new(bytes, Refusal::Layout);
        let layout = Self { client: Flow::decode(&mut r)?, server: Flow::decode(&mut r)? };
        r.finish()?;
        Ok(layout)
    }

    /// Checks that it describes the session's records and keeps the rules of its directions.
    pub fn check(&self, session: &Session) -> Result<(), Refusal> {
        self.client.check(session, Direction::Client)?;
        self.server.check(session, Direction::Server)
    }

    /// The claims about all bytes of a direction's plaintexts, in order. The layout must have passed
    /// [`Layout::check`] with this session; claims about records that the session does not have are left out.
    pub fn claims<'a>(
        &'a self,
        session: &'a Session,
        direction: Direction,
    ) -> impl Iterator<Item = ClaimedByte> + 'a {
        let flow = self.flow(direction);
        let mut offset = 0;
        let starts = flow.records.iter().map(move |inner| {
            let start = offset;
            if inner.kind() == APPLICATION_DATA {
                offset += inner.length();
            }
            start
        });
        let records = session.records(direction).iter().zip(&flow.records).zip(starts).enumerate();
        records.flat_map(move |(sequence, ((record, inner), start))| {
            (0..record.plain_length()).map(move |place| ClaimedByte {
                sequence,
                place,
                ciphertext: record.body.start + place,
                claim: flow.claim(inner, start, place),
            })
        })
    }
}

impl Flow {
    /// The claim about one byte of a record whose application data begins at `start` of the stream.
    fn claim(&self, inner: &Inner, start: usize, place: usize) -> Claim {
        let length = inner.length();
        if place == length {
            return Claim::Shown(inner.kind());
        }
        if place > length {
            return Claim::Shown(0);
        }
        match inner {
            Inner::Data { .. } => {
                let at = start + place;
                let next = self.hidden.partition_point(|r| r.end <= at);
                match self.hidden.get(next) {
                    Some(range) if range.start <= at => Claim::Hidden(at),
                    _ => self.stream.get(at).map_or(Claim::Nothing, |b| Claim::Shown(*b)),
                }
            }
            Inner::Tickets { bodies } => {
                let mut from = place;
                for body in bodies {
                    if from < 4 {
                        let header = [NEW_SESSION_TICKET, (body >> 16) as u8, (body >> 8) as u8, *body as u8];
                        return Claim::Shown(header[from]);
                    }
                    match from.checked_sub(4 + body) {
                        Some(rest) => from = rest,
                        None => return Claim::Nothing,
                    }
                }
                Claim::Nothing
            }
            Inner::Close { level } => Claim::Shown(if place == 0 { *level } else { CLOSE_NOTIFY }),
        }
    }
}
