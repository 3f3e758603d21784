//! Opening of the application records with the handshake secret, which only the provider can do.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use zeroize::Zeroizing;

use crate::keys::TrafficKeys;
use crate::layout::{Flow, Inner, Layout};
use crate::record::{self, APPLICATION_DATA};
use crate::{Direction, HandshakeSecret, Refusal, Session};

/// An opened record. `Debug` shows type and sizes only.
pub struct OpenedRecord {
    /// The inner type.
    pub kind: u8,
    /// The content, without type and padding.
    pub content: Zeroizing<Vec<u8>>,
    /// Zero bytes behind the inner type.
    pub padding: usize,
}

impl fmt::Debug for OpenedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedRecord")
            .field("kind", &self.kind)
            .field("content", &self.content.len())
            .field("padding", &self.padding)
            .finish()
    }
}

/// All application records of a session, opened and within the rules. `Debug` shows types and sizes only.
#[derive(Debug)]
pub struct Opened {
    client: Vec<(OpenedRecord, Inner)>,
    server: Vec<(OpenedRecord, Inner)>,
}

impl HandshakeSecret {
    /// Checks that this secret gives the session's handshake traffic secret of the server.
    pub fn check(&self, session: &Session) -> Result<(), Refusal> {
        let (_, server) = self.handshake_traffic(&session.t1);
        if server == session.server_secret { Ok(()) } else { Err(Refusal::HandshakeSecret) }
    }
}

impl Session {
    /// Opens one direction's application records, as far as they open and are within the rules; with the reason
    /// if one does not or is not.
    pub fn open_direction(
        &self,
        direction: Direction,
        bytes: &[u8],
        secret: &HandshakeSecret,
    ) -> (Vec<(OpenedRecord, Inner)>, Option<Refusal>) {
        let mut all = Vec::new();
        if let Err(refusal) = secret.check(self) {
            return (all, Some(refusal));
        }
        let secrets = secret.application(&self.t2);
        let secret = match direction {
            Direction::Client => &secrets.client,
            Direction::Server => &secrets.server,
        };
        let keys = TrafficKeys::derive(self.suite, secret);
        for (sequence, record) in self.records(direction).iter().enumerate() {
            let Some(plain) = record::open(&keys, sequence, record, bytes) else {
                return (all, Some(Refusal::ApplicationRecord));
            };
            let inner = match Inner::read(direction, plain.kind, &plain.content) {
                Ok(_) if all.iter().any(|(_, inner)| matches!(inner, Inner::Close { .. })) => {
                    return (all, Some(Refusal::AfterClose));
                }
                Ok(inner) => inner,
                Err(refusal) => return (all, Some(refusal)),
            };
            let record = OpenedRecord { kind: plain.kind, content: plain.content, padding: plain.padding };
            all.push((record, inner));
        }
        (all, None)
    }
}

/// Opens all application records with the handshake secret, and checks that they are within the rules.
pub fn open(
    session: &Session,
    client: &[u8],
    server: &[u8],
    secret: &HandshakeSecret,
) -> Result<Opened, Refusal> {
    let direction = |direction, bytes| match session.open_direction(direction, bytes, secret) {
        (all, None) => Ok(all),
        (_, Some(refusal)) => Err(refusal),
    };
    Ok(Opened {
        client: direction(Direction::Client, client)?,
        server: direction(Direction::Server, server)?,
    })
}

impl Opened {
    /// A direction's records.
    pub fn records(&self, direction: Direction) -> impl Iterator<Item = &OpenedRecord> {
        self.of(direction).iter().map(|(record, _)| record)
    }

    fn of(&self, direction: Direction) -> &[(OpenedRecord, Inner)] {
        match direction {
            Direction::Client => &self.client,
            Direction::Server => &self.server,
        }
    }

    /// A direction's application data: the contents of its records of type 23 in a row.
    pub fn stream(&self, direction: Direction) -> Zeroizing<Vec<u8>> {
        let data = || self.records(direction).filter(|r| r.kind == APPLICATION_DATA);
        let mut stream = Zeroizing::new(Vec::with_capacity(data().map(|r| r.content.len()).sum()));
        data().for_each(|r| stream.extend_from_slice(&r.content));
        stream
    }

    /// The layout that hides these ranges of the two streams and shows everything else. The ranges are in order
    /// and do not touch.
    pub fn layout(
        &self,
        client_hidden: &[Range<usize>],
        server_hidden: &[Range<usize>],
    ) -> Result<Layout, Refusal> {
        let flow = |direction, hidden| {
            let records = self.of(direction).iter().map(|(_, inner)| inner.clone()).collect();
            Flow::new(records, &self.stream(direction), hidden)
        };
        Ok(Layout {
            client: flow(Direction::Client, client_hidden)?,
            server: flow(Direction::Server, server_hidden)?,
        })
    }
}
