//! The local notary: makes attestations in TLSNotary's format, **worthless as proof**.
//!
//! Its key is derived from a public text, so everybody has it; and it takes no part in the TLS session but signs what
//! the prover tells it. It exists so that everything around a notary can be tried out and tested, and it says so: at
//! start, in `GET /info`, and in an extension of every attestation.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /info` | JSON: `algorithm`, `key` (SEC1, hex), `warning` |
//! | `POST /attest`, an encoded [`AttestationRequest`] | the attestation, bincode, in the request's wire version |
//!
//! A request that cannot be decoded is answered 400, one that a verifier would refuse 422, both with problem details
//! (RFC 9457).

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tlsn_verifier::notarize::{AttestationRequest, NotarizeError, NotarySigningKey};
use tlsn_verifier::{Extension, NotaryKey, SignatureAlg};

use crate::server::{accept, bind};
use crate::{Clock, Error, Server, files};

/// The warning that the notary gives everywhere.
pub const WARNING: &str =
    "local notary: everybody has its key and it has not seen the connection; worthless as proof";

/// Id of the extension whose value is [`WARNING`].
pub const EXTENSION_ID: &[u8] = b"tercet.local-notary.warning";

/// The private key is the SHA-256 of this.
const KEY_TEXT: &[u8] = b"tercet local notary, secp256k1, v1: everybody can read this";

/// Largest request: 512 commitments with some ranges each are far below it.
const MAX_REQUEST: usize = tlsn_verifier::limits::MAX_FILE;

/// Longest time that a client may take for its request's head.
const PATIENCE: Duration = Duration::from_secs(20);

/// The settings of [`serve`].
#[derive(Clone)]
pub struct Config {
    /// Loopback address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Folder, made if needed, to write `notary.json` to: the same as `GET /info`.
    pub state: PathBuf,
    /// The connection time that is attested.
    pub clock: Clock,
}

impl Config {
    /// A configuration with the system's clock.
    pub fn new(listen: SocketAddr, state: impl Into<PathBuf>) -> Config {
        Config { listen, state: state.into(), clock: Arc::new(SystemTime::now) }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The notary's account of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Name of the signature algorithm, as in a survey's `[[notaries]]`.
    pub algorithm: String,
    /// The public key: SEC1, compressed, hex.
    pub key: String,
    /// [`WARNING`].
    pub warning: String,
}

impl Info {
    fn of(key: &NotaryKey) -> Info {
        Info {
            algorithm: key.alg().name().to_owned(),
            key: hex::encode(key.to_sec1_compressed()),
            warning: WARNING.to_owned(),
        }
    }
}

/// The local notary's public key, always the same: the key that a survey for trying things out pins.
///
/// # Errors
/// None in practice: only if its bytes were not a private key, which they are.
pub fn public_key() -> Result<NotaryKey, Error> {
    Ok(signing_key()?.public())
}

fn signing_key() -> Result<NotarySigningKey, Error> {
    Ok(NotarySigningKey::new(SignatureAlg::Secp256k1, &Sha256::digest(KEY_TEXT).into())?)
}

/// Starts the notary.
///
/// # Errors
/// The address is not loopback or taken, the state folder cannot be used.
pub async fn serve(config: Config) -> Result<Server, Error> {
    let Config { listen, state, clock } = config;
    let key = signing_key()?;
    let info = Info::of(&key.public());
    files::make_folder(&state)?;
    let path = state.join("notary.json");
    let json = serde_json::to_vec_pretty(&info).map_err(|e| Error::File {
        action: "encoding",
        path: path.clone(),
        source: e.into(),
    })?;
    files::replace(&path, &json)?;
    tracing::warn!(key = info.key, "{WARNING}");

    let router = Router::new()
        .route("/info", get(tell))
        .route("/attest", post(attest))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(Arc::new(Notary { key, info, clock }));
    let service = TowerToHyperService::new(router);
    let (listener, addr) = bind(listen).await?;
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    Ok(Server::spawn(addr, "http", |stopped| {
        accept(listener, stopped, move |stream, watcher| {
            let connection = http.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
            async move {
                if let Err(e) = watcher.watch(connection).await {
                    tracing::debug!(error = %e, "notary connection");
                }
            }
        })
    }))
}

struct Notary {
    key: NotarySigningKey,
    info: Info,
    clock: Clock,
}

async fn tell(State(notary): State<Arc<Notary>>) -> Json<Info> {
    Json(notary.info.clone())
}

async fn attest(State(notary): State<Arc<Notary>>, body: Bytes) -> Result<Response, Problem> {
    let request = AttestationRequest::decode(&body).map_err(|e| Problem {
        status: StatusCode::BAD_REQUEST,
        title: "Not an attestation request",
        detail: e.to_string(),
    })?;
    let time = (notary.clock)().duration_since(UNIX_EPOCH).map_err(Problem::internal)?.as_secs();
    let warning = Extension { id: EXTENSION_ID.to_vec(), value: WARNING.as_bytes().to_vec() };
    let mut random = Ok(());
    let attested = notary.key.attest(&request, time, vec![warning], &mut |out| {
        random = random.and(getrandom::fill(out));
    });
    random.map_err(Problem::internal)?;
    let attestation = attested.map_err(|e: NotarizeError| Problem {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        title: "The request cannot be attested",
        detail: e.to_string(),
    })?;
    tracing::info!(time, format = ?request.wire_version(), "attested (worthless as proof)");
    Ok(([(CONTENT_TYPE, "application/octet-stream")], attestation.encode()).into_response())
}

/// A refusal: problem details without a type of their own.
struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    fn internal(error: impl fmt::Display) -> Problem {
        tracing::error!(%error, "attesting failed");
        Problem {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            title: "The notary's system failed",
            detail: error.to_string(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { status, title, detail } = self;
        let body = serde_json::json!({
            "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail,
        });
        (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
