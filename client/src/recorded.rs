//! `tercet inspect --recorded`: what a recorded TLS 1.3 session proves, without a notary's statement.
//!
//! A folder holds `client_to_server.bin` and `server_to_client.bin`, the raw bytes, and `public.json` with the two
//! handshake traffic secrets, and where it has them the server's name, the times of the connection, lengths and hashes.
//! Whatever is wrong with the folder is a finding about it; arguments that cannot be used are errors.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tercet_tls_session::keys::sha256;
use tercet_tls_session::{
    Direction, Framed, HandshakeSecret, MAX_DIRECTION, MAX_SESSION_SECONDS, Refusal, Roots, Session,
};
use zeroize::Zeroizing;

use crate::certificates;
use crate::error::Error;
use crate::files;

/// Read generously: the verifier itself refuses a file beyond its limit, with a sentence.
const MAX_BYTES: usize = 4 * MAX_DIRECTION;
const MAX_PUBLIC: usize = 64 * 1024;

/// A recording to inspect.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The folder.
    pub dir: PathBuf,
    /// Certificate files that may vouch for the server. None: Mozilla's roots.
    pub roots: Vec<PathBuf>,
    /// The server's name.
    pub server_name: String,
    /// A file with the handshake secret in hexadecimal: opens the application records.
    pub handshake_secret: Option<PathBuf>,
}

/// `public.json`.
#[derive(Deserialize)]
struct Public {
    client_handshake_traffic_secret: String,
    server_handshake_traffic_secret: String,
    attestation: Option<Attested>,
}

/// A recorder's notes. It is not signed with a key that anybody trusts: it serves for consistency only.
#[derive(Deserialize, Default)]
struct Attested {
    server_name: Option<String>,
    opened_ms: Option<u64>,
    closed_ms: Option<u64>,
    client_to_server_bytes: Option<u64>,
    server_to_client_bytes: Option<u64>,
    client_to_server_sha256: Option<String>,
    server_to_client_sha256: Option<String>,
}

/// The findings, as far as the checks came. Serialises to the output of `--json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// SHA-256 of ClientHello and ServerHello, hexadecimal.
    pub t1: Option<String>,
    /// SHA-256 of all messages to the server's Finished, hexadecimal.
    pub t2: Option<String>,
    /// The records under the application keys, the client's first.
    pub records: Vec<Application>,
    /// The reason for which the session is refused.
    pub refused: Option<&'static str>,
    /// The same, with its words.
    #[serde(skip)]
    reason: Option<Reason>,
    #[serde(skip)]
    suite: Option<&'static str>,
}

/// A record under the application keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Application {
    /// `client` or `server`: who sent it.
    pub direction: &'static str,
    /// Its sequence number in its direction.
    pub sequence: usize,
    /// Its type under encryption; known with the handshake secret only.
    pub inner_type: Option<u8>,
    /// Bytes of its body on the wire: content, inner type, padding and the 16 bytes of the tag.
    pub length: usize,
}

/// Why a recording is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    /// The session.
    Session(Refusal),
    /// The folder's files, in words.
    Files(String),
}

/// The files of a folder.
struct Files {
    client: Zeroizing<Vec<u8>>,
    server: Zeroizing<Vec<u8>>,
    client_secret: [u8; 32],
    server_secret: [u8; 32],
    attested: Attested,
}

impl Files {
    fn read(dir: &Path) -> Result<Self, Error> {
        let client = files::read(&dir.join("client_to_server.bin"), MAX_BYTES)?;
        let server = files::read(&dir.join("server_to_client.bin"), MAX_BYTES)?;
        let path = dir.join("public.json");
        let public: Public = serde_json::from_slice(&files::read(&path, MAX_PUBLIC)?).map_err(|e| {
            Error::usage(format!("{} is not the public part of a session: {e}", path.display()))
        })?;
        Ok(Self {
            client,
            server,
            client_secret: secret(&public.client_handshake_traffic_secret, &path)?,
            server_secret: secret(&public.server_handshake_traffic_secret, &path)?,
            attested: public.attestation.unwrap_or_default(),
        })
    }
}

/// Reads the files and makes all checks that need no notary's statement.
pub fn inspect(recording: &Recording) -> Result<Findings, Error> {
    let handshake_secret = match &recording.handshake_secret {
        Some(path) => Some(HandshakeSecret(secret(&files::read_text(path, 1024)?, path)?)),
        None => None,
    };
    let roots = roots(&recording.roots)?;
    if !recording.dir.is_dir() {
        return Err(Error::usage(format!("{} is no folder", recording.dir.display())));
    }
    let mut findings = Findings::default();
    let files = match Files::read(&recording.dir) {
        Ok(files) => files,
        Err(e) => {
            findings.refused = Some(Refusal::Evidence.code());
            findings.reason = Some(Reason::Files(e.to_string()));
            return Ok(findings);
        }
    };
    let Files { client, server, client_secret, server_secret, attested } = files;
    let server_name = recording.server_name.trim_end_matches('.').to_ascii_lowercase();
    let job = Job {
        client: &client,
        server: &server,
        client_secret,
        server_secret,
        handshake_secret,
        server_name: &server_name,
        roots,
        time: attested.opened_ms.map_or_else(now, |ms| ms / 1000),
    };
    let checked = attested
        .check_bytes(&client, &server)
        .and_then(|()| job.check(&mut findings))
        .and_then(|()| attested.check_place(&server_name));
    if let Err(refusal) = checked {
        findings.refused = Some(refusal.code());
        findings.reason = Some(Reason::Session(refusal));
    }
    Ok(findings)
}

/// Trust anchors from certificate files; empty: Mozilla's.
pub fn roots(files: &[PathBuf]) -> Result<Roots, Error> {
    if files.is_empty() {
        return Ok(Roots::from_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()));
    }
    let mut all = Vec::new();
    for file in files {
        all.extend(certificates::read(file)?);
    }
    Roots::from_der(all.iter().map(Vec::as_slice)).map_err(|e| Error::usage(e.to_string()))
}

/// 32 bytes in hexadecimal. The error does not repeat them.
fn secret(text: &str, path: &Path) -> Result<[u8; 32], Error> {
    let mut out = [0; 32];
    hex::decode_to_slice(text.trim(), &mut out).map_err(|_| {
        Error::usage(format!("{}: a secret is written as 64 hexadecimal digits", path.display()))
    })?;
    Ok(out)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Attested {
    /// The bytes are those that the recorder noted.
    fn check_bytes(&self, client: &[u8], server: &[u8]) -> Result<(), Refusal> {
        let same = |bytes: &[u8], length: Option<u64>, hash: &Option<String>| {
            length.is_none_or(|n| n == bytes.len() as u64)
                && hash.as_ref().is_none_or(|h| h.eq_ignore_ascii_case(&hex::encode(sha256(&[bytes]))))
        };
        let whole = same(client, self.client_to_server_bytes, &self.client_to_server_sha256)
            && same(server, self.server_to_client_bytes, &self.server_to_client_sha256);
        if whole { Ok(()) } else { Err(Refusal::StatementBytes) }
    }

    /// Name and times are not at odds with the session.
    fn check_place(&self, server_name: &str) -> Result<(), Refusal> {
        if self.server_name.as_ref().is_some_and(|noted| !noted.eq_ignore_ascii_case(server_name)) {
            return Err(Refusal::StatementServer);
        }
        match (self.opened_ms, self.closed_ms) {
            (Some(opened), Some(closed)) => match closed.checked_sub(opened) {
                Some(ms) if ms / 1000 <= MAX_SESSION_SECONDS => Ok(()),
                _ => Err(Refusal::StatementDuration),
            },
            _ => Ok(()),
        }
    }
}

struct Job<'a> {
    client: &'a [u8],
    server: &'a [u8],
    client_secret: [u8; 32],
    server_secret: [u8; 32],
    handshake_secret: Option<HandshakeSecret>,
    server_name: &'a str,
    roots: Roots,
    time: u64,
}

impl Job<'_> {
    /// Makes the checks in order and notes the result of each.
    fn check(&self, findings: &mut Findings) -> Result<(), Refusal> {
        let hellos = Framed::read(self.client, self.server)?.hellos(self.server_name)?;
        findings.suite = Some(hellos.suite.name());
        findings.t1 = Some(hex::encode(hellos.t1));
        let flight = hellos.server_flight(&self.server_secret)?;
        findings.t2 = Some(hex::encode(flight.t2));
        let session = flight
            .authenticate(self.server_name, &self.roots, self.time)?
            .client_flight(&self.client_secret)?;
        let mut refused = None;
        for (direction, bytes) in [(Direction::Client, self.client), (Direction::Server, self.server)] {
            let secret = self.handshake_secret.as_ref();
            let (records, refusal) = applications(&session, direction, bytes, secret);
            findings.records.extend(records);
            refused = refused.or(refusal);
        }
        refused.map_or(Ok(()), Err)
    }
}

/// A direction's records under the application keys; with their inner types as far as the handshake secret opens them, and
/// with the reason if one is against the rules.
pub(crate) fn applications(
    session: &Session,
    direction: Direction,
    bytes: &[u8],
    secret: Option<&HandshakeSecret>,
) -> (Vec<Application>, Option<Refusal>) {
    let (opened, refusal) = match secret {
        Some(secret) => session.open_direction(direction, bytes, secret),
        None => (Vec::new(), None),
    };
    let record = |(sequence, record): (usize, &tercet_tls_session::Protected)| Application {
        direction: direction.name(),
        sequence,
        inner_type: opened.get(sequence).map(|(record, _)| record.kind),
        length: record.body.len(),
    };
    (session.records(direction).iter().enumerate().map(record).collect(), refusal)
}

/// A record in a line for people.
pub(crate) fn describe(record: &Application, out: &mut String) {
    let kind = match record.inner_type {
        Some(20) => "change of keys",
        Some(21) => "alert",
        Some(22) => "handshake",
        Some(23) => "application data",
        Some(_) => "unknown type",
        None => "not opened",
    };
    let Application { direction, sequence, length, .. } = record;
    let _ = writeln!(out, "{direction:<12} record {sequence:<4} {length:>6} bytes  {kind}");
}

impl Findings {
    /// The refusal, if there is one, with its words.
    pub fn refusal(&self) -> Option<Error> {
        self.reason.as_ref().map(|reason| match reason {
            Reason::Session(refusal) => Error::Session(*refusal),
            Reason::Files(words) => Error::Recording(words.clone()),
        })
    }

    /// The findings for people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(out, "{name:<12} {value}");
        };
        line(
            "verdict",
            if self.refused.is_some() { "refused" } else { "valid, without a notary's statement" },
        );
        let values = [("suite", self.suite), ("T1", self.t1.as_deref()), ("T2", self.t2.as_deref())];
        values.iter().for_each(|(name, value)| line(name, value.unwrap_or("not established")));
        self.records.iter().for_each(|r| describe(r, &mut out));
        out
    }
}
