//! Framing and the two hellos.

use alloc::vec::Vec;

use crate::keys::{Suite, sha256};
use crate::reader::{Extensions, Reader};
use crate::record::{self, HANDSHAKE, Protected, Record};
use crate::{Refusal, ServerFlight};

/// Extensions of a ClientHello that leave the other checks' meaning as it is: server name, certificate status,
/// groups, point formats, signature algorithms, ALPN, certificate transparency, extended master secret, session
/// ticket (of TLS 1.2), versions, modes of pre-shared keys, signature algorithms of certificates, key shares,
/// renegotiation. Others (pre-shared keys, early data, encrypted hellos, compressed certificates, raw public keys,
/// delegated credentials, record size limits, cookies of a retry) are refused.
const ADMITTED: [u16; 14] = [0, 5, 10, 11, 13, 16, 18, 23, 35, 43, 45, 50, 51, 0xff01];
const PRE_SHARED_KEY: u16 = 41;
const EARLY_DATA: u16 = 42;
pub const SERVER_NAME: u16 = 0;
pub const SIGNATURE_ALGORITHMS: u16 = 13;
pub const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

const TLS12: u16 = 0x0303;
const TLS13: u16 = 0x0304;
/// The one ALPN list that is admitted, offered or chosen.
pub const HTTP11: &[u8] = b"\x00\x09\x08http/1.1";

/// The random of a HelloRetryRequest (RFC 8446, 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Both directions, split into records.
pub struct Framed<'a> {
    client: (&'a [u8], Vec<Record>),
    server: (&'a [u8], Vec<Record>),
}

impl<'a> Framed<'a> {
    /// Splits both directions into whole records.
    pub fn read(client: &'a [u8], server: &'a [u8]) -> Result<Self, Refusal> {
        Ok(Self {
            client: (client, record::split(client, true)?),
            server: (server, record::split(server, false)?),
        })
    }

    /// Checks the hellos: the server's name, the offers, and the choices.
    pub fn hellos(&self, server_name: &str) -> Result<Hellos<'a>, Refusal> {
        let (client_message, client_rest) = hello(self.client.0, &self.client.1, 1)?;
        let (message, server_rest) = hello(self.server.0, &self.server.1, 2)?;
        // A retry is told apart first: the second hellos in clear behind it are no fault of their own.
        if message.get(6..38) == Some(&RETRY) {
            return Err(Refusal::HelloRetryRequest);
        }
        let client_records = record::protected(client_rest)?;
        let client_hello = ClientHello::read(client_message, server_name)?;
        let server_records = record::protected(server_rest)?;
        let server_hello = ServerHello::read(&message, &client_hello)?;
        Ok(Hellos {
            suite: server_hello.suite,
            t1: sha256(&[&client_hello.message, &message]),
            server_random: server_hello.random,
            transcript: [&client_hello.message[..], &message].concat(),
            client_hello,
            client: (self.client.0, client_records),
            server: (self.server.0, server_records),
        })
    }
}

/// A handshake with both hellos checked.
pub struct Hellos<'a> {
    /// The suite that the server chose.
    pub suite: Suite,
    /// SHA-256 of ClientHello and ServerHello.
    pub t1: [u8; 32],
    /// The server's random.
    pub server_random: [u8; 32],
    /// Both hellos in a row.
    pub(crate) transcript: Vec<u8>,
    pub(crate) client_hello: ClientHello,
    pub(crate) client: (&'a [u8], Vec<Protected>),
    pub(crate) server: (&'a [u8], Vec<Protected>),
}

impl<'a> Hellos<'a> {
    /// Opens the server's handshake records with its handshake traffic secret.
    pub fn server_flight(self, server_secret: &[u8; 32]) -> Result<ServerFlight<'a>, Refusal> {
        ServerFlight::open(self, server_secret)
    }
}

/// The plain handshake records at the front of a direction, which hold exactly one message of this type, and the
/// records behind them.
fn hello<'r>(bytes: &[u8], records: &'r [Record], kind: u8) -> Result<(Vec<u8>, &'r [Record]), Refusal> {
    let mut message = Vec::new();
    for (i, record) in records.iter().enumerate() {
        if record.kind != HANDSHAKE {
            return Err(Refusal::HelloMissing);
        }
        message.extend_from_slice(&bytes[record.body.clone()]);
        if message.first() != Some(&kind) {
            return Err(Refusal::HelloMissing);
        }
        if let Some([_, a, b, c]) = message.first_chunk() {
            let length = 4 + (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c));
            if message.len() > length {
                return Err(Refusal::HelloNotAlone);
            }
            if message.len() == length {
                return Ok((message, &records[i + 1..]));
            }
        }
    }
    Err(Refusal::HelloMissing)
}

/// The parts of a ClientHello that later checks need.
pub struct ClientHello {
    message: Vec<u8>,
    session_id: Vec<u8>,
    suites: Vec<u16>,
    /// Groups of its key shares.
    shares: Vec<u16>,
    /// Types of its extensions.
    extensions: Vec<u16>,
    /// Signature schemes it admits.
    schemes: Vec<u16>,
}

impl ClientHello {
    fn read(message: Vec<u8>, server_name: &str) -> Result<Self, Refusal> {
        const SYNTAX: Refusal = Refusal::ClientHello;
        let reader = |body| Reader::new(body, SYNTAX);
        let mut r = reader(&message[4..]);
        if r.u16()? != TLS12 {
            return Err(SYNTAX);
        }
        r.take(32)?;
        let session_id = r.vector(1)?.to_vec();
        let suites = r.u16s(2)?;
        if session_id.len() > 32 || r.vector(1)? != [0] {
            return Err(SYNTAX);
        }
        let extensions = Extensions::read(&mut r)?;
        r.finish()?;
        for kind in extensions.kinds() {
            match kind {
                PRE_SHARED_KEY => return Err(Refusal::Resumption),
                EARLY_DATA => return Err(Refusal::EarlyData),
                kind if !ADMITTED.contains(&kind) => return Err(Refusal::ClientExtension),
                _ => {}
            }
        }

        let mut names = reader(extensions.get(SERVER_NAME).ok_or(Refusal::ServerName)?);
        let mut list = names.inner(2)?;
        names.finish()?;
        if list.u8()? != 0 || list.vector(2)? != server_name.as_bytes() || !list.is_empty() {
            return Err(Refusal::ServerName);
        }
        if extensions.get(ALPN).is_some_and(|alpn| alpn != HTTP11) {
            return Err(Refusal::ClientAlpn);
        }
        let mut versions = reader(extensions.get(SUPPORTED_VERSIONS).ok_or(Refusal::Version)?);
        let offered = versions.u16s(1)?;
        versions.finish()?;
        if !offered.contains(&TLS13) {
            return Err(Refusal::Version);
        }
        let mut algorithms = reader(extensions.get(SIGNATURE_ALGORITHMS).ok_or(SYNTAX)?);
        let schemes = algorithms.u16s(2)?;
        algorithms.finish()?;
        let mut key_share = reader(extensions.get(KEY_SHARE).ok_or(SYNTAX)?);
        let mut list = key_share.inner(2)?;
        key_share.finish()?;
        let mut shares = Vec::new();
        while !list.is_empty() {
            let group = list.u16()?;
            if list.vector(2)?.is_empty() || shares.contains(&group) {
                return Err(SYNTAX);
            }
            shares.push(group);
        }
        let extensions = extensions.kinds().collect();
        Ok(Self { message, session_id, suites, shares, extensions, schemes })
    }

    /// True if it has an extension of this type.
    pub fn offers(&self, extension: u16) -> bool {
        self.extensions.contains(&extension)
    }

    /// True if it admits signatures of this scheme.
    pub fn admits(&self, scheme: u16) -> bool {
        self.schemes.contains(&scheme)
    }
}

struct ServerHello {
    random: [u8; 32],
    suite: Suite,
}

impl ServerHello {
    fn read(message: &[u8], client: &ClientHello) -> Result<Self, Refusal> {
        let mut r = Reader::new(&message[4..], Refusal::ServerHello);
        if r.u16()? != TLS12 {
            return Err(Refusal::Version);
        }
        let random = r.array()?;
        let session_id = r.vector(1)?;
        let suite = r.u16()?;
        let compression = r.u8()?;
        // A ServerHello of TLS 1.2 may have none.
        if r.is_empty() {
            return Err(Refusal::Version);
        }
        let extensions = Extensions::read(&mut r)?;
        r.finish()?;
        match extensions.get(SUPPORTED_VERSIONS) {
            Some(version) if version == TLS13.to_be_bytes() => {}
            _ => return Err(Refusal::Version),
        }
        if session_id != client.session_id {
            return Err(Refusal::SessionId);
        }
        let known = Suite::from_code(suite).ok_or(Refusal::Suite)?;
        if !client.suites.contains(&suite) {
            return Err(Refusal::SuiteNotOffered);
        }
        if compression != 0 {
            return Err(Refusal::ServerHello);
        }
        if extensions.kinds().any(|k| k != SUPPORTED_VERSIONS && k != KEY_SHARE) {
            return Err(Refusal::ServerExtension);
        }
        let share = extensions.get(KEY_SHARE).ok_or(Refusal::ServerExtension)?;
        let mut share = Reader::new(share, Refusal::ServerHello);
        let group = share.u16()?;
        if share.vector(2)?.is_empty() {
            return Err(Refusal::ServerHello);
        }
        share.finish()?;
        if !client.shares.contains(&group) {
            return Err(Refusal::KeyShare);
        }
        Ok(Self { random, suite: known })
    }
}
