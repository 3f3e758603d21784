//! `tercet notarize` through a notary that forwards: one TLS 1.3 session with the survey's server, recorded on both
//! sides and stated by the notary.
//!
//! The public part of a session (bytes of both directions, handshake traffic secrets, the notary's statement) is the
//! beginning of a submission. The handshake secret never leaves this machine: it opens everything.

mod curl;
mod exchange;
mod keep;
mod report;
mod request;
mod survey;
mod tunnel;

use std::fmt;
use std::path::Path;

use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::notary::{NotaryInfo, NotaryTicket, TicketRequest};
use tercet_tls_session::keys::sha256;
use tercet_tls_session::{
    Direction, Evidence, Framed, HandshakeSecret, MAX_EVIDENCE, Opened, Refusal, Roots, Session, open, verify,
};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files::{self, Access};
use crate::http::{Http, JSON, Request, Url, join};

pub use curl::{FromCurl, from_curl};
pub use exchange::{Exchange, exchange};
pub use keep::Group;
pub use report::{Found, SessionReport, find, inspect};
pub use request::{Credentials, MadeRequest, Shape};
pub use survey::notaries;
pub use tunnel::Tunnel;

/// File name of a session's public part.
pub const SESSION: &str = "session.bin";
/// File name of a session's handshake secret, in hexadecimal.
pub const SECRET: &str = "handshake_secret.hex";

const NOTARY: &str = "the notary";
const COORDINATOR: &str = "the coordinator";

/// The address of a session, and the part of it that counts.
#[derive(Debug, Clone)]
pub struct Target {
    /// The survey.
    pub survey: SurveyId,
    /// The server's name.
    pub server_name: String,
    /// Certificates in DER that may vouch for it. Empty: Mozilla's roots.
    pub roots: Vec<Vec<u8>>,
}

impl Target {
    fn anchors(&self) -> Result<Roots, Error> {
        if self.roots.is_empty() {
            return Ok(Roots::from_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()));
        }
        Roots::from_der(self.roots.iter().map(Vec::as_slice)).map_err(|e| Error::usage(e.to_string()))
    }
}

/// A session with a survey's server. `Debug` shows sizes only.
pub struct Notarized {
    /// The public part, without a layout.
    pub evidence: Evidence,
    /// The handshake secret.
    pub secret: HandshakeSecret,
    /// The session as it was verified.
    pub session: Session,
    /// Its application records, opened.
    pub opened: Opened,
}

impl fmt::Debug for Notarized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Notarized({} bytes sent, {} received)",
            self.evidence.client.len(),
            self.evidence.server.len()
        )
    }
}

impl Notarized {
    /// Checks a recorded session as everybody will, and opens it.
    fn new(evidence: Evidence, secret: HandshakeSecret, target: &Target) -> Result<Self, Error> {
        evidence.statement.check_signature()?;
        let time = evidence.statement.unchecked().opened;
        let session = verify(&evidence.recorded(), &target.server_name, &target.anchors()?, time)?;
        secret.check(&session)?;
        let opened = open(&session, &evidence.client, &evidence.server, &secret)?;
        Ok(Self { evidence, secret, session, opened })
    }

    /// The response's bytes.
    pub fn response(&self) -> Zeroizing<Vec<u8>> {
        self.opened.stream(Direction::Server)
    }

    /// Writes the session to a folder that only its owner can read; the public part last, so that where it is the
    /// secret is too.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        files::create_private_dir(dir)?;
        let secret = Zeroizing::new(format!("{}\n", Zeroizing::new(hex::encode(self.secret.0)).as_str()));
        files::write(&dir.join(SECRET), secret.as_bytes(), Access::Private, true)?;
        files::write(&dir.join(SESSION), &self.evidence.encode(), Access::Private, true)
    }

    /// Reads a session from a folder, and checks it again.
    pub fn read(dir: &Path, target: &Target) -> Result<Self, Error> {
        let evidence = Evidence::decode(&files::read(&dir.join(SESSION), MAX_EVIDENCE)?)?;
        Self::new(evidence, read_secret(&dir.join(SECRET))?, target)
    }
}

/// Reads a handshake secret, 64 hexadecimal digits.
fn read_secret(path: &Path) -> Result<HandshakeSecret, Error> {
    let text = files::read_text(path, 1024)?;
    let mut secret = HandshakeSecret([0; 32]);
    hex::decode_to_slice(text.trim(), &mut secret.0)
        .map_err(|_| Error::usage(format!("{} does not hold 64 hexadecimal digits", path.display())))?;
    Ok(secret)
}

/// Runs one session through the notary. `notaries` are the keys that count; the coordinator gives the ticket.
pub async fn notarize(
    http: &Http,
    coordinator: &Url,
    notary: &Url,
    notaries: &[PublicKey],
    target: &Target,
    request: &[u8],
) -> Result<Notarized, Error> {
    let key = match notaries {
        // Nothing to be asked: another notary takes no ticket that is made out to this one.
        [only] => *only,
        _ => listed(http, notary, notaries).await?,
    };
    let session = async |group| attempt(http, coordinator, notary, key, target, request, group).await;
    // A server that has no P-256 asks for a retry. Its session proves nothing; a new one begins with the other group.
    match session(Group::P256).await {
        Err(Error::Session(Refusal::HelloRetryRequest)) => session(Group::X25519).await,
        // The notary's reason is about tickets; the provider's mistake is the address.
        Err(Error::Notary { code, .. }) if code == "ticket-notary" => {
            Err(listed(http, notary, notaries).await.err().unwrap_or_else(|| {
                Error::bad_answer(NOTARY, "it refuses a ticket that is made out to its own key")
            }))
        }
        result => result,
    }
}

/// The key of the notary at this address, if the survey lists it.
async fn listed(http: &Http, notary: &Url, notaries: &[PublicKey]) -> Result<PublicKey, Error> {
    let info: NotaryInfo =
        http.send(&Request::get(NOTARY, join(notary, &["v1", "notary"]))).await?.json(NOTARY)?;
    match notaries.contains(&info.key) {
        true => Ok(info.key),
        false => Err(Error::usage(format!(
            "the survey does not list the notary with the key {}: use one that it lists",
            info.key
        ))),
    }
}

async fn attempt(
    http: &Http,
    coordinator: &Url,
    notary: &Url,
    key: PublicKey,
    target: &Target,
    request: &[u8],
    group: Group,
) -> Result<Notarized, Error> {
    let ticket = ticket(http, coordinator, target.survey, key).await?;
    let tunnel = Tunnel::open(notary, target.survey, ticket).await?;
    let done = exchange(tunnel, &target.server_name, &target.roots, group, request).await?;
    finish(done, key, target)
}

/// Puts a finished exchange together and checks it.
pub fn finish(done: Exchange, notary: PublicKey, target: &Target) -> Result<Notarized, Error> {
    let t1 = Framed::read(&done.client, &done.server)?.hellos(&target.server_name)?.t1;
    let (client_secret, server_secret) = done.secret.handshake_traffic(&t1);
    let stated = done.statement.unchecked();
    let passed = |bytes: &[u8]| (bytes.len() as u64, sha256(&[bytes]));
    let said = [&stated.client, &stated.server].map(|r| (u64::from(r.length), r.sha256));
    if said != [passed(&done.client), passed(&done.server)] {
        return Err(Error::bad_answer(NOTARY, "it states other bytes than passed here"));
    }
    if stated.notary != notary.0 || stated.survey != target.survey.0 {
        return Err(Error::bad_answer(NOTARY, "it states another survey, or signs with another key"));
    }
    let evidence = Evidence {
        statement: done.statement,
        client_secret,
        server_secret,
        client: done.client,
        server: done.server,
        layout: None,
    };
    Notarized::new(evidence, done.secret, target)
}

async fn ticket(
    http: &Http,
    coordinator: &Url,
    survey: SurveyId,
    notary: PublicKey,
) -> Result<NotaryTicket, Error> {
    let url = join(coordinator, &["v1", "surveys", &survey.to_string(), "notary-tickets"]);
    let body = serde_json::to_vec(&TicketRequest { notary })
        .map_err(|e| Error::usage(format!("the request for a ticket is not JSON: {e}")))?;
    let ask = Request::get(COORDINATOR, url).with_body(reqwest::Method::POST, body, JSON);
    http.send(&ask).await?.json(COORDINATOR)
}
