//! The client's encrypted flight, and the session that comes out of all checks.

use alloc::vec::Vec;

use crate::keys::{Suite, TrafficKeys, finished, sha256};
use crate::record::{self, HANDSHAKE, Protected};
use crate::server_flight::{Authenticated, FINISHED, Messages};
use crate::{Direction, Refusal};

const CERTIFICATE: u8 = 11;
/// A Certificate message with no context and no certificate.
const EMPTY_CERTIFICATE: &[u8] = b"\x0b\x00\x00\x04\x00\x00\x00\x00";

/// A session whose handshake is verified: the public inputs of the proof over its application records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The cipher suite.
    pub suite: Suite,
    /// SHA-256 of ClientHello and ServerHello.
    pub t1: [u8; 32],
    /// SHA-256 of all messages from ClientHello to the server's Finished.
    pub t2: [u8; 32],
    /// The server's handshake traffic secret, which the handshake secret must give.
    pub server_secret: [u8; 32],
    /// The server's random: with the server's name it tells one session from all others.
    pub server_random: [u8; 32],
    /// True if the server asked for a certificate of the client and got none.
    pub certificate_asked: bool,
    /// The client's records under the application keys; the index is the sequence number.
    pub client: Vec<Protected>,
    /// The server's records under the application keys; the index is the sequence number.
    pub server: Vec<Protected>,
}

impl Session {
    pub(crate) fn open(from: Authenticated<'_>, client_secret: &[u8; 32]) -> Result<Self, Refusal> {
        let hellos = from.hellos;
        let keys = TrafficKeys::derive(hellos.suite, client_secret);
        let (bytes, records) = hellos.client;
        let mut messages = Messages::default();
        let mut last = None;
        let mut used = 0;
        while last != Some(FINISHED) {
            let record = records.get(used).ok_or(Refusal::ClientFlightCutOff)?;
            let plain = record::open(&keys, used, record, bytes).ok_or(Refusal::ClientRecord)?;
            used += 1;
            if plain.kind != HANDSHAKE || plain.content.is_empty() {
                return Err(Refusal::ClientInnerType);
            }
            if plain.padding != 0 {
                return Err(Refusal::ClientPadding);
            }
            messages.push(&plain.content);
            while let Some((kind, range)) = messages.take() {
                if last == Some(FINISHED) {
                    return Err(Refusal::ClientFinishedNotLast);
                }
                let empty = messages.bytes()[range] == *EMPTY_CERTIFICATE;
                match (kind, last) {
                    (CERTIFICATE, None) if from.certificate_asked && empty => {}
                    (CERTIFICATE, None) if from.certificate_asked => return Err(Refusal::ClientCertificate),
                    (FINISHED, None) if !from.certificate_asked => {}
                    (FINISHED, Some(CERTIFICATE)) => {}
                    _ => return Err(Refusal::ClientMessages),
                }
                last = Some(kind);
            }
        }
        if !messages.is_at_end() {
            return Err(Refusal::ClientFinishedNotLast);
        }
        let before = if from.certificate_asked { EMPTY_CERTIFICATE } else { &[] };
        let verify_data = finished(client_secret, &sha256(&[&from.transcript, before]));
        let expected = [before, &[FINISHED, 0, 0, 32], &verify_data].concat();
        if messages.bytes() != expected {
            return Err(Refusal::ClientFinished);
        }
        Ok(Self {
            suite: hellos.suite,
            t1: hellos.t1,
            t2: from.t2,
            server_secret: from.server_secret,
            server_random: hellos.server_random,
            certificate_asked: from.certificate_asked,
            client: records[used..].to_vec(),
            server: hellos.server.1[from.records..].to_vec(),
        })
    }

    /// The application records of a direction.
    pub fn records(&self, direction: Direction) -> &[Protected] {
        match direction {
            Direction::Client => &self.client,
            Direction::Server => &self.server,
        }
    }
}
