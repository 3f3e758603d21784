//! Sessions made without a network, honest by default and misbehaving where a test says so.
//!
//! One author plays both sides and knows all keys, as a provider does who controls the path behind the notary. Each
//! handshake message passes through [`Forge::edit`] before it enters the transcript, so that a changed message is
//! followed by signatures and Finished messages that fit it: the only fault in a session is the one that a test
//! put there.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

use crate::keys::{HandshakeSecret, Suite, TrafficKeys, finished, sha256};
use crate::{Direction, Recorded};

/// A handshake message, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The client's first.
    ClientHello,
    /// The server's first.
    ServerHello,
    /// The server's second.
    EncryptedExtensions,
    /// The server's, if it asks for a certificate.
    CertificateRequest,
    /// The server's certificates.
    Certificate,
    /// The server's signature.
    CertificateVerify,
    /// The server's last.
    ServerFinished,
    /// The client's empty certificate, if it was asked for one.
    ClientCertificate,
    /// The client's last.
    ClientFinished,
}

/// Certificates and the key of a server.
pub struct Identity {
    /// The root, DER.
    pub root: Vec<u8>,
    /// The server's chain, DER, its own first.
    pub chain: Vec<Vec<u8>>,
    key: EcdsaKeyPair,
}

/// First second in which an [`Identity`] is valid.
pub const VALID_FROM: (i32, u8, u8) = (2026, 1, 1);
/// Last day on which an [`Identity`] is valid.
pub const VALID_UNTIL: (i32, u8, u8) = (2030, 1, 1);
/// A time in between, Unix seconds.
pub const TIME: u64 = 1_800_000_000;

impl Identity {
    /// A P-256 certificate for a name under a root of its own.
    ///
    /// # Panics
    /// If the name cannot stand in a certificate.
    #[allow(clippy::unwrap_used, reason = "only tests call it")]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_key = KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap().der().to_vec();
        let issuer = Issuer::new(params, root_key);
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        params.not_before = rcgen::date_time_ymd(VALID_FROM.0, VALID_FROM.1, VALID_FROM.2);
        params.not_after = rcgen::date_time_ymd(VALID_UNTIL.0, VALID_UNTIL.1, VALID_UNTIL.2);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap().der().to_vec();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der(), &SystemRandom::new()).unwrap();
        Self { root, chain: vec![leaf], key }
    }
}

/// A record under the application keys, before it is sealed.
#[derive(Debug, Clone)]
pub struct Application {
    /// The sender.
    pub direction: Direction,
    /// The inner type.
    pub kind: u8,
    /// The content.
    pub content: Vec<u8>,
    /// Zero bytes behind the inner type.
    pub padding: usize,
}

impl Application {
    /// Application data.
    pub fn data(direction: Direction, content: impl Into<Vec<u8>>) -> Self {
        Self { direction, kind: 23, content: content.into(), padding: 0 }
    }

    /// The alert close_notify.
    pub fn close(direction: Direction) -> Self {
        Self { direction, kind: 21, content: vec![1, 0], padding: 0 }
    }

    /// A ticket with a body of this many bytes.
    pub fn ticket(body: u8) -> Self {
        let content = [&[4, 0, 0, body][..], &vec![7; usize::from(body)]].concat();
        Self { direction: Direction::Server, kind: 22, content, padding: 0 }
    }
}

type Edit = Box<dyn Fn(Step, &mut Vec<u8>)>;

/// Settings of a session that is made for a test.
pub struct Forge {
    /// The server's name that the client asks for.
    pub server_name: String,
    /// The handshake secret: drawn by nobody, since no key exchange is checked.
    pub secret: HandshakeSecret,
    /// The suite that the server chooses.
    pub suite: Suite,
    /// The server's random.
    pub server_random: [u8; 32],
    /// True if the server asks for a certificate.
    pub ask_certificate: bool,
    /// Most bytes of handshake content in one record.
    pub fragment: usize,
    /// Padding of the server's handshake records.
    pub padding: usize,
    /// Records under the application keys, in order.
    pub application: Vec<Application>,
    /// Changes a handshake message: header and all. An empty one is left out; more than one may replace it.
    pub edit: Edit,
}

impl Default for Forge {
    fn default() -> Self {
        Self {
            server_name: "api.exchange.test".into(),
            secret: HandshakeSecret([0x42; 32]),
            suite: Suite::Aes128Gcm,
            server_random: [0x5e; 32],
            ask_certificate: false,
            fragment: 16384,
            padding: 0,
            application: vec![
                Application::data(Direction::Client, "GET / HTTP/1.1\r\nHost: api.exchange.test\r\n\r\n"),
                Application::ticket(40),
                Application::data(Direction::Server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
                Application::data(Direction::Server, "{}"),
                Application::close(Direction::Server),
                Application::close(Direction::Client),
            ],
            edit: Box::new(|_, _| {}),
        }
    }
}

/// A session that was made.
pub struct Forged {
    /// Bytes from the client to the server.
    pub client: Vec<u8>,
    /// Bytes from the server to the client.
    pub server: Vec<u8>,
    /// The handshake secret.
    pub secret: HandshakeSecret,
    /// The client's handshake traffic secret.
    pub client_secret: [u8; 32],
    /// The server's handshake traffic secret.
    pub server_secret: [u8; 32],
    /// The beginning of the server's protected handshake records in `server`.
    pub server_flight: usize,
    /// The beginning of the application records in `client` and in `server`.
    pub application: (usize, usize),
}

impl Forged {
    /// The session in the form in which it is verified.
    pub fn recorded(&self) -> Recorded<'_> {
        Recorded {
            client: &self.client,
            server: &self.server,
            client_secret: &self.client_secret,
            server_secret: &self.server_secret,
        }
    }
}

/// A vector behind a length of `prefix` bytes.
pub fn vector(prefix: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_be_bytes();
    [&length[8 - prefix..], content].concat()
}

/// A handshake message with its header.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &vector(3, body)].concat()
}

/// An extension.
pub fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, body)].concat()
}

/// A record that is not protected.
pub fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &vector(2, body)].concat()
}

/// Changes the body of a handshake message and writes its length anew.
pub fn edit_body(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) {
    let mut body = bytes[4..].to_vec();
    change(&mut body);
    *bytes = message(bytes[0], &body);
}

/// Offset of a ClientHello's extensions (with their length in front) in its body.
const CLIENT_EXTENSIONS: usize = 2 + 32 + 33 + 2 + 4 + 2;
/// Offset of a ServerHello's extensions (with their length in front) in its body.
const SERVER_EXTENSIONS: usize = 2 + 32 + 33 + 2 + 1;

/// Adds an extension to a hello or to EncryptedExtensions as this module makes them.
pub fn add_extension(bytes: &mut Vec<u8>, kind: u16, content: &[u8]) {
    let start = match bytes[0] {
        1 => CLIENT_EXTENSIONS,
        2 => SERVER_EXTENSIONS,
        _ => 0,
    };
    edit_body(bytes, |body| {
        let list = [&body[start + 2..], &extension(kind, content)].concat();
        body.truncate(start);
        body.extend_from_slice(&vector(2, &list));
    });
}

/// Takes an extension out of a hello as this module makes them.
pub fn remove_extension(bytes: &mut Vec<u8>, kind: u16) {
    let start = if bytes[0] == 1 { CLIENT_EXTENSIONS } else { SERVER_EXTENSIONS };
    edit_body(bytes, |body| {
        let mut list = Vec::new();
        let mut at = start + 2;
        while at < body.len() {
            let end = at + 4 + usize::from(u16::from_be_bytes([body[at + 2], body[at + 3]]));
            if body[at..at + 2] != kind.to_be_bytes() {
                list.extend_from_slice(&body[at..end]);
            }
            at = end;
        }
        body.truncate(start);
        body.extend_from_slice(&vector(2, &list));
    });
}

impl Forge {
    /// The ClientHello's extensions.
    fn client_extensions(&self) -> Vec<u8> {
        let name = [&[0][..], &vector(2, self.server_name.as_bytes())].concat();
        let share = [&[0, 0x17][..], &vector(2, &[4; 65])].concat();
        [
            extension(0, &vector(2, &name)),
            extension(5, &[1, 0, 0, 0, 0]),
            extension(10, &vector(2, &[0, 0x17, 0, 0x1d])),
            extension(13, &vector(2, &[4, 3, 5, 3, 8, 4, 8, 5, 8, 6, 8, 7])),
            extension(16, b"\x00\x09\x08http/1.1"),
            extension(43, &[2, 3, 4]),
            extension(51, &vector(2, &share)),
        ]
        .concat()
    }

    /// Makes the session.
    ///
    /// # Panics
    /// If signing or sealing fails.
    #[allow(clippy::unwrap_used, reason = "only tests call it")]
    pub fn make(&self, identity: &Identity) -> Forged {
        let session_id = vector(1, &[0x1d; 32]);
        let suites = vector(2, &[0x13, 0x03, 0x13, 0x01]);
        let body =
            [&[3, 3][..], &[0xc1; 32], &session_id, &suites, &[1, 0], &vector(2, &self.client_extensions())]
                .concat();
        let client_hello = self.edited(Step::ClientHello, message(1, &body));

        let share = extension(51, &[&[0, 0x17][..], &vector(2, &[4; 65])].concat());
        let extensions = vector(2, &[extension(43, &[3, 4]), share].concat());
        let suite = self.suite.code().to_be_bytes();
        let body = [&[3, 3][..], &self.server_random, &session_id, &suite, &[0], &extensions].concat();
        let server_hello = self.edited(Step::ServerHello, message(2, &body));

        let t1 = sha256(&[&client_hello, &server_hello]);
        let (client_secret, server_secret) = self.secret.handshake_traffic(&t1);
        let mut transcript = [&client_hello[..], &server_hello].concat();
        let mut flight = Vec::new();
        let mut add = |step, bytes: Vec<u8>, transcript: &mut Vec<u8>| {
            let bytes = self.edited(step, bytes);
            transcript.extend_from_slice(&bytes);
            flight.push(bytes);
        };
        add(Step::EncryptedExtensions, message(8, &vector(2, &[])), &mut transcript);
        if self.ask_certificate {
            let schemes = extension(13, &vector(2, &[4, 3]));
            let body = [vector(1, &[]), vector(2, &schemes)].concat();
            add(Step::CertificateRequest, message(13, &body), &mut transcript);
        }
        let entries: Vec<u8> =
            identity.chain.iter().flat_map(|der| [vector(3, der), vector(2, &[])].concat()).collect();
        let body = [vector(1, &[]), vector(3, &entries)].concat();
        add(Step::Certificate, message(11, &body), &mut transcript);
        let signed =
            [&[0x20; 64][..], b"TLS 1.3, server CertificateVerify\0", &sha256(&[&transcript])].concat();
        let signature = identity.key.sign(&SystemRandom::new(), &signed).unwrap();
        let body = [&[4, 3][..], &vector(2, signature.as_ref())].concat();
        add(Step::CertificateVerify, message(15, &body), &mut transcript);
        let verify_data = finished(&server_secret, &sha256(&[&transcript]));
        add(Step::ServerFinished, message(20, &verify_data), &mut transcript);

        let t2 = sha256(&[&transcript]);
        let mut own = Vec::new();
        if self.ask_certificate {
            let empty = message(11, &[vector(1, &[]), vector(3, &[])].concat());
            let bytes = self.edited(Step::ClientCertificate, empty);
            transcript.extend_from_slice(&bytes);
            own.push(bytes);
        }
        let verify_data = finished(&client_secret, &sha256(&[&transcript]));
        own.push(self.edited(Step::ClientFinished, message(20, &verify_data)));

        let mut client = self.plain(&client_hello);
        client[2] = 1;
        client.extend_from_slice(&record(20, &[1]));
        let mut server = [self.plain(&server_hello), record(20, &[1])].concat();
        let server_flight = server.len();
        self.sealed(&mut client, &client_secret, &own.concat(), 0);
        self.sealed(&mut server, &server_secret, &flight.concat(), self.padding);

        let application = (client.len(), server.len());
        let secrets = self.secret.application(&t2);
        let keys = [&secrets.client, &secrets.server].map(|s| TrafficKeys::derive(self.suite, s));
        let mut sequence = [0, 0];
        for a in &self.application {
            let (out, i) = match a.direction {
                Direction::Client => (&mut client, 0),
                Direction::Server => (&mut server, 1),
            };
            seal(out, &keys[i], sequence[i], a.kind, &a.content, a.padding);
            sequence[i] += 1;
        }
        let secret = self.secret.clone();
        Forged { client, server, secret, client_secret, server_secret, server_flight, application }
    }

    fn edited(&self, step: Step, mut bytes: Vec<u8>) -> Vec<u8> {
        (self.edit)(step, &mut bytes);
        bytes
    }

    fn plain(&self, message: &[u8]) -> Vec<u8> {
        message.chunks(self.fragment).flat_map(|c| record(22, c)).collect()
    }

    fn sealed(&self, out: &mut Vec<u8>, secret: &[u8; 32], content: &[u8], padding: usize) {
        let keys = TrafficKeys::derive(self.suite, secret);
        for (i, chunk) in content.chunks(self.fragment).enumerate() {
            seal(out, &keys, i, 22, chunk, padding);
        }
    }
}

/// Appends a protected record.
///
/// # Panics
/// If the cipher fails.
pub fn seal(
    out: &mut Vec<u8>,
    keys: &TrafficKeys,
    sequence: usize,
    kind: u8,
    content: &[u8],
    padding: usize,
) {
    let mut body = [content, &[kind], &vec![0; padding]].concat();
    let length = u16::try_from(body.len() + 16).unwrap_or(u16::MAX);
    let header = [&[23, 3, 3][..], &length.to_be_bytes()].concat();
    let sealed = keys.seal(sequence, &header, &mut body);
    assert!(sealed.is_some(), "{}", format!("record {sequence} cannot be sealed"));
    out.extend_from_slice(&header);
    out.extend_from_slice(&body);
}
