//! The server's encrypted flight: EncryptedExtensions to Finished.

use alloc::vec::Vec;
use core::ops::Range;

use crate::certificate::{self, Chain};
use crate::hello::{ALPN, HTTP11, Hellos};
use crate::keys::{TrafficKeys, finished, sha256};
use crate::reader::{Extensions, Reader};
use crate::record::{self, HANDSHAKE};
use crate::{Refusal, Roots, Session};

const ENCRYPTED_EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
const CERTIFICATE_VERIFY: u8 = 15;
pub const FINISHED: u8 = 20;

/// Extensions of EncryptedExtensions that are admitted where they were offered: server name, groups, ALPN.
const ADMITTED: [u16; 3] = [0, 10, ALPN];
/// Extensions of a certificate that are admitted where they were offered: status (OCSP), transparency.
const OF_CERTIFICATES: [u16; 2] = [5, 18];

/// Handshake messages put together from records.
#[derive(Default)]
pub struct Messages {
    bytes: Vec<u8>,
    at: usize,
}

impl Messages {
    /// Appends a record's content.
    pub fn push(&mut self, content: &[u8]) {
        self.bytes.extend_from_slice(content);
    }

    /// The next whole message: its type, and its position, header included.
    pub fn take(&mut self) -> Option<(u8, Range<usize>)> {
        let rest = self.bytes.get(self.at..)?;
        let [kind, a, b, c] = *rest.first_chunk()?;
        let length = 4 + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
        if rest.len() < length {
            return None;
        }
        let range = self.at..self.at + length;
        self.at = range.end;
        Some((kind, range))
    }

    /// True if no part of a message is left.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The server's handshake messages, opened and in order, but not yet believed.
pub struct ServerFlight<'a> {
    pub(crate) hellos: Hellos<'a>,
    server_secret: [u8; 32],
    /// SHA-256 of all messages from ClientHello to the server's Finished.
    pub t2: [u8; 32],
    messages: Messages,
    extensions: Range<usize>,
    request: Option<Range<usize>>,
    certificate: Range<usize>,
    verify: Range<usize>,
    finished: Range<usize>,
    /// Number of the server's protected records that belong to the handshake.
    records: usize,
}

impl<'a> ServerFlight<'a> {
    pub(crate) fn open(hellos: Hellos<'a>, server_secret: &[u8; 32]) -> Result<Self, Refusal> {
        let keys = TrafficKeys::derive(hellos.suite, server_secret);
        let (bytes, records) = &hellos.server;
        let mut messages = Messages::default();
        let mut found: Vec<(u8, Range<usize>)> = Vec::new();
        let mut used = 0;
        while found.last().is_none_or(|(kind, _)| *kind != FINISHED) {
            let record = records.get(used).ok_or(Refusal::ServerFlightCutOff)?;
            let plain = record::open(&keys, used, record, bytes).ok_or(Refusal::ServerRecord)?;
            used += 1;
            if plain.kind != HANDSHAKE || plain.content.is_empty() {
                return Err(Refusal::ServerInnerType);
            }
            messages.push(&plain.content);
            while let Some(message) = messages.take() {
                if found.last().is_some_and(|(kind, _)| *kind == FINISHED) {
                    return Err(Refusal::ServerFinishedNotLast);
                }
                // One message more than a handshake has is enough to refuse it.
                if found.len() > 5 {
                    return Err(Refusal::ServerMessages);
                }
                found.push(message);
            }
        }
        if !messages.is_at_end() {
            return Err(Refusal::ServerFinishedNotLast);
        }
        let of = |expected: &[u8]| found.iter().map(|(kind, _)| kind).eq(expected);
        let ranges: Vec<Range<usize>> = found.iter().map(|(_, range)| range.clone()).collect();
        let (extensions, request, rest) = match &ranges[..] {
            [e, rest @ ..] if of(&[ENCRYPTED_EXTENSIONS, CERTIFICATE, CERTIFICATE_VERIFY, FINISHED]) => {
                (e, None, rest)
            }
            [e, r, rest @ ..]
                if of(&[
                    ENCRYPTED_EXTENSIONS,
                    CERTIFICATE_REQUEST,
                    CERTIFICATE,
                    CERTIFICATE_VERIFY,
                    FINISHED,
                ]) =>
            {
                (e, Some(r.clone()), rest)
            }
            _ => return Err(Refusal::ServerMessages),
        };
        let [certificate, verify, finished] = rest else { return Err(Refusal::ServerMessages) };
        Ok(Self {
            t2: sha256(&[&hellos.transcript, messages.bytes()]),
            server_secret: *server_secret,
            extensions: extensions.clone(),
            request,
            certificate: certificate.clone(),
            verify: verify.clone(),
            finished: finished.clone(),
            records: used,
            messages,
            hellos,
        })
    }

    /// A message without its header.
    fn body(&self, message: &Range<usize>) -> Reader<'_> {
        Reader::new(&self.messages.bytes()[message.start + 4..message.end], Refusal::ServerMessage)
    }

    /// The transcript's hash up to the front of a message.
    fn transcript_before(&self, message: &Range<usize>) -> [u8; 32] {
        sha256(&[&self.hellos.transcript, &self.messages.bytes()[..message.start]])
    }

    /// Checks that a server with a certificate for `server_name`, valid at `time` (Unix seconds) and leading to one
    /// of the roots, made this handshake.
    pub fn authenticate(
        self,
        server_name: &str,
        roots: &Roots,
        time: u64,
    ) -> Result<Authenticated<'a>, Refusal> {
        self.encrypted_extensions()?;
        if let Some(request) = &self.request {
            let mut r = self.body(request);
            if !r.vector(1)?.is_empty() {
                return Err(Refusal::ServerMessage);
            }
            Extensions::read(&mut r)?;
            r.finish()?;
        }
        let chain = Chain::new(self.certificates()?)?;
        let leaf = chain.verify(server_name, roots, time)?;

        let mut r = self.body(&self.verify);
        let (scheme, signature) = (r.u16()?, r.vector(2)?);
        r.finish()?;
        if !self.hellos.client_hello.admits(scheme) {
            return Err(Refusal::SignatureScheme);
        }
        certificate::verify_signature(&leaf, scheme, &self.transcript_before(&self.verify), signature)?;

        let mut r = self.body(&self.finished);
        let verify_data = r.array::<32>()?;
        r.finish()?;
        if verify_data != finished(&self.server_secret, &self.transcript_before(&self.finished)) {
            return Err(Refusal::ServerFinished);
        }
        Ok(Authenticated {
            certificate_asked: self.request.is_some(),
            transcript: [&self.hellos.transcript[..], self.messages.bytes()].concat(),
            t2: self.t2,
            server_secret: self.server_secret,
            records: self.records,
            hellos: self.hellos,
        })
    }

    fn encrypted_extensions(&self) -> Result<(), Refusal> {
        let mut r = self.body(&self.extensions);
        let extensions = Extensions::read(&mut r)?;
        r.finish()?;
        if extensions.kinds().any(|k| !ADMITTED.contains(&k) || !self.hellos.client_hello.offers(k)) {
            return Err(Refusal::EncryptedExtension);
        }
        match extensions.get(ALPN) {
            Some(alpn) if alpn != HTTP11 => Err(Refusal::ServerAlpn),
            _ => Ok(()),
        }
    }

    /// The certificates in DER, the server's own first.
    fn certificates(&self) -> Result<Vec<&[u8]>, Refusal> {
        let mut r = self.body(&self.certificate);
        if !r.vector(1)?.is_empty() {
            return Err(Refusal::CertificateContext);
        }
        let mut list = r.inner(3)?;
        r.finish()?;
        let mut chain = Vec::new();
        while !list.is_empty() {
            chain.push(list.vector(3)?);
            let extensions = Extensions::read(&mut list)?;
            let offered = |k| OF_CERTIFICATES.contains(&k) && self.hellos.client_hello.offers(k);
            if !extensions.kinds().all(offered) {
                return Err(Refusal::CertificateExtension);
            }
        }
        Ok(chain)
    }
}

/// A handshake that the server has been shown to have made.
pub struct Authenticated<'a> {
    pub(crate) hellos: Hellos<'a>,
    pub(crate) server_secret: [u8; 32],
    /// SHA-256 of all messages from ClientHello to the server's Finished.
    pub t2: [u8; 32],
    /// All messages from ClientHello to the server's Finished.
    pub(crate) transcript: Vec<u8>,
    /// True if the server asked for a certificate of the client.
    pub certificate_asked: bool,
    /// Number of the server's protected records that belong to the handshake.
    pub(crate) records: usize,
}

impl Authenticated<'_> {
    /// Checks the client's flight: Finished, and an empty Certificate before it if one was asked for.
    pub fn client_flight(self, client_secret: &[u8; 32]) -> Result<Session, Refusal> {
        Session::open(self, client_secret)
    }
}
