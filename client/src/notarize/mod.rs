//! `tercet notarize`: fetch a page over TLS 1.2, commit to the transcript, and have the local notary sign.
//!
//! The local notary never takes part in the TLS session (no MPC-TLS): it signs what this client tells it, with a
//! key that anyone can read. The files have the real format and are worthless as proof. They are for trying out
//! Tercet and for its tests.

mod request;
pub(crate) mod response;
mod tls;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use tercet_evidence::plan::{Located, check_request, locate};
use tercet_evidence::{Kind, Secrets, SurveyVerifier};
use tercet_protocol::ids::{EngineDigest, PublicKey};
use tercet_protocol::keys::KeyError;
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};
use tlsn_verifier::notarize::{
    Attestation, CommitTo, Notarization, NotarizeError, PresentationBuilder, ServerHandshake,
};
use tlsn_verifier::{Direction, HashAlg, NotaryKey, RangeSet, WireVersion};

use crate::error::Error;
use crate::files::{self, Access};
use crate::http::{Http, OCTETS, Request, Url, join};
use crate::seen;

pub use request::Headers;

/// File name of the presentation.
pub const PRESENTATION: &str = "presentation.bin";
/// File name of the prover's secrets.
pub const SECRETS: &str = "secrets.bin";
/// File name of the attestation.
pub const ATTESTATION: &str = "attestation.bin";

const NOTARY: &str = "the notary";

/// The request, and the ranges to commit to. `Debug` shows no header value.
#[derive(Debug)]
pub struct Plan {
    /// The page, `https` only.
    pub url: String,
    /// `host:port` to connect to instead of the URL's.
    pub connect: Option<String>,
    /// Headers with secret values, which stay hidden.
    pub headers: Headers,
    /// Gives the request that counts and the values to hide.
    pub survey: SurveyManifest,
    /// DER certificates that may vouch for the server. Empty: Mozilla's.
    pub roots: Vec<Vec<u8>>,
    /// Hash of the commitments.
    pub hash: HashAlg,
    /// Format of the files.
    pub format: WireVersion,
}

/// The result of a notarization. `Debug` shows sizes only.
pub struct Notarized {
    /// The presentation, for others.
    pub presentation: Vec<u8>,
    /// The openings of the hidden commitments: for `tercet submit`, never for others.
    pub secrets: Secrets,
    /// The notary's signed statement.
    pub attestation: Vec<u8>,
    /// The signer.
    pub notary: NotaryKey,
    /// The names of items that the presentation shows and that may be private.
    pub warnings: Vec<String>,
}

impl fmt::Debug for Notarized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notarized")
            .field("notary", &self.notary)
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

impl Notarized {
    /// Writes the three files to a folder, readable by the owner only; the presentation last, so that where it is
    /// the others are too.
    /// With `replace` false, files that exist are an error.
    pub fn write(&self, dir: &Path, replace: bool) -> Result<(), Error> {
        files::create_private_dir(dir)?;
        files::write(&dir.join(ATTESTATION), &self.attestation, Access::Private, replace)?;
        files::write(&dir.join(SECRETS), &self.secrets.encode(), Access::Private, replace)?;
        files::write(&dir.join(PRESENTATION), &self.presentation, Access::Private, replace)
    }
}

/// `GET /info` at the local notary.
#[derive(Deserialize)]
struct NotaryInfo {
    algorithm: String,
    key: String,
}

/// Fetches, commits, asks the notary at `notary`, and checks that the result would be admitted to the survey.
pub async fn notarize(http: &Http, notary: &Url, plan: &Plan) -> Result<Notarized, Error> {
    let url = page(plan)?;
    let source = &plan.survey.source;
    let info: NotaryInfo = http.send(&Request::get(NOTARY, join(notary, &["info"]))).await?.json(NOTARY)?;
    let key = notary_key(&info)?;

    let address = match &plan.connect {
        Some(address) => address.clone(),
        None => format!("{}:{}", source.server_name, url.port_or_known_default().unwrap_or(443)),
    };
    let rules = plan.survey.source_rules()?;
    let request = request::build(&rules, &url, &plan.headers);
    // What would be refused later is refused before anything is sent.
    check_request(&rules, &request.bytes, &request.hidden)
        .map_err(|e| Error::usage(format!("{e}; change the URL or the headers, or choose another survey")))?;
    let done = tls::exchange(&source.server_name, &address, &plan.roots, &request.bytes).await?;
    let values = values(plan, &done.received)?;

    let h = done.handshake;
    let server = ServerHandshake::new(&source.server_name, h.certificates, h.scheme, h.signature, &h.signed)
        .map_err(exchange)?;
    let hidden = RangeSet::union(values.iter().flat_map(|v| v.pieces.clone()));
    let commit: Vec<CommitTo> = values
        .iter()
        .map(|v| (Direction::Received, RangeSet::union(v.pieces.clone())))
        .chain([
            (Direction::Received, hidden.complement(done.received.len())),
            (Direction::Sent, RangeSet::union(request.hidden).complement(request.bytes.len())),
        ])
        .map(|(direction, ranges)| CommitTo { direction, ranges, alg: plan.hash })
        .collect();
    let notarization = {
        let mut random = Random::default();
        let made = Notarization::new(
            plan.format,
            &server,
            request.bytes,
            done.received,
            &commit,
            HashAlg::Sha256,
            &mut |out| random.fill(out),
        );
        random.check()?;
        made.map_err(exchange)?
    };

    let mut ask = Request::get(NOTARY, join(notary, &["attest"])).with_body(
        Method::POST,
        notarization.request().encode(),
        OCTETS,
    );
    ask.timeout = Duration::from_secs(30);
    let attestation = Attestation::decode(&http.send(&ask).await?.body)
        .map_err(|e| Error::bad_answer(NOTARY, e.to_string()))?;
    let secrets =
        notarization.finish(&attestation, &key).map_err(|e| Error::bad_answer(NOTARY, e.to_string()))?;
    let presentation = PresentationBuilder::new(&attestation, &secrets)
        .open(|c| {
            !(c.direction == Direction::Received && values.iter().any(|v| c.ranges.as_slice() == v.pieces))
        })
        .and_then(|b| b.build())
        .map_err(exchange)?
        .encode();
    let warnings = check(plan, &presentation)?;
    Ok(Notarized {
        warnings,
        presentation,
        secrets: secrets.into(),
        attestation: attestation.encode(),
        notary: key,
    })
}

/// The places of the values to hide. They are read as the proof will read them, and everything that the policy would
/// refuse later is refused now, before a notary is asked.
fn values(plan: &Plan, received: &[u8]) -> Result<Vec<Located>, Error> {
    let rules = plan.survey.source_rules()?;
    let located = locate(&rules, received).map_err(|e| Error::Exchange(e.detail))?;
    for value in &located {
        let format = plan.survey.format(value.column, value.quoted);
        let name = plan.survey.hidden_names().get(value.column).copied().unwrap_or_default();
        let read = format.map(|f| f.read(&value.text)).transpose();
        read.map_err(|e| Error::Value(format!("column {name}: {e}")))?;
    }
    Ok(located)
}

/// The page's address, which must be the one that the survey asks about.
fn page(plan: &Plan) -> Result<Url, Error> {
    let source = &plan.survey.source;
    let url = Url::parse(&plan.url).map_err(|e| Error::usage(format!("the URL cannot be read: {e}")))?;
    let wanted = |what: &str, want: &str| {
        Err(Error::usage(format!(
            "the survey asks about {what} {want}; change the URL, or choose another survey"
        )))
    };
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return Err(Error::usage("the URL must be https, without credentials"));
    }
    if url.host_str() != Some(&source.server_name) {
        return wanted("the server", &source.server_name);
    }
    Ok(url)
}

fn notary_key(info: &NotaryInfo) -> Result<NotaryKey, Error> {
    let bad = |what: String| Error::bad_answer(NOTARY, what);
    let algorithm = info.algorithm.parse().map_err(|e: tlsn_verifier::NotaryKeyError| bad(e.to_string()))?;
    let sec1 = hex::decode(&info.key).map_err(|_| bad("its key is not hexadecimal".into()))?;
    NotaryKey::new(algorithm, &sec1).map_err(|e| bad(e.to_string()))
}

/// Applies the survey to the finished presentation, exactly as coordinator and parties will.
fn check(plan: &Plan, presentation: &[u8]) -> Result<Vec<String>, Error> {
    // A survey file has no parties yet; who they are plays no part in admission.
    let parties = [1, 2, 3].map(|i| PublicKey([i; 32]));
    let survey =
        SurveyDescriptor::assemble(plan.survey.clone(), &plan.roots, parties, EngineDigest([0; 32]))?;
    let (verified, _) = SurveyVerifier::new(&survey)?.check(Kind::Presentation, presentation)?;
    Ok(seen::warnings(&plan.survey.source_rules()?, &verified.transcript()))
}

fn exchange(e: NotarizeError) -> Error {
    Error::Exchange(format!("the connection cannot be notarized: {e}"))
}

/// The system's randomness behind a filling function that cannot report failure by itself.
#[derive(Default)]
struct Random {
    failed: bool,
}

impl Random {
    fn fill(&mut self, out: &mut [u8]) {
        self.failed |= getrandom::fill(out).is_err();
    }

    fn check(&self) -> Result<(), Error> {
        if self.failed { Err(Error::Key(KeyError::NoRandomness)) } else { Ok(()) }
    }
}
