//! The way to the server through a notary: a WebSocket whose binary frames carry the bytes of a TCP connection.

use std::fmt::Display;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use rustls_pki_types::ServerName;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::notary::{FromNotary, NotaryTicket, ToNotary};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::error::Error;
use crate::http::Url;

const NOTARY: &str = "the notary";

/// A stream of bytes, plain or under TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An open tunnel. It keeps the bytes of both directions.
pub struct Tunnel {
    socket: WebSocketStream<Box<dyn Stream>>,
    /// The bytes that were sent to the server.
    pub sent: Vec<u8>,
    /// The bytes that came from the server.
    pub received: Vec<u8>,
}

/// An event of a tunnel.
pub enum Event {
    /// This many more bytes of the server's.
    Bytes(usize),
    /// The notary's statement: the server has closed, or this side said that it is done.
    Statement(Vec<u8>),
}

fn unreachable(e: impl Display) -> Error {
    Error::Unreachable { from: NOTARY.into(), cause: e.to_string() }
}

impl Tunnel {
    /// Opens a session at the notary `base` (http or https) and waits until its connection to the server is open.
    pub async fn open(base: &Url, survey: SurveyId, ticket: NotaryTicket) -> Result<Self, Error> {
        let host = base.host_str().ok_or_else(|| Error::Usage("the notary's URL has no host".into()))?;
        let port = base.port_or_known_default().unwrap_or(443);
        let secure = base.scheme() == "https";
        let scheme = if secure { "wss" } else { "ws" };
        let path = base.path().trim_end_matches('/');
        let url = format!("{scheme}://{host}:{port}{path}/v1/sessions?survey={survey}");
        let request = url.into_client_request().map_err(unreachable)?;
        let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let stream: Box<dyn Stream> = match secure {
            false => Box::new(tcp),
            true => {
                let name = ServerName::try_from(host.to_owned()).map_err(unreachable)?;
                Box::new(connector()?.connect(name, tcp).await.map_err(unreachable)?)
            }
        };
        let (socket, _) = client_async(request, stream).await.map_err(refused)?;
        let mut this = Self { socket, sent: Vec::new(), received: Vec::new() };
        this.say(&ToNotary::Ticket(ticket)).await?;
        match this.hear().await? {
            Heard::Text(FromNotary::Opened { .. }) => Ok(this),
            Heard::Text(FromNotary::Refused { code, detail }) => Err(Error::Notary { code, detail }),
            _ => Err(Error::bad_answer(NOTARY, "it does not say that its connection is open")),
        }
    }

    /// Sends bytes to the server.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sent.extend_from_slice(bytes);
        self.socket.send(Message::Binary(bytes.to_vec().into())).await.map_err(unreachable)
    }

    /// Says that this side needs no more: the notary ends the connection and states what passed.
    pub async fn done(&mut self) -> Result<(), Error> {
        self.say(&ToNotary::Done).await
    }

    /// Waits for the next event. Bytes are at the end of `received`.
    pub async fn next(&mut self) -> Result<Event, Error> {
        match self.hear().await? {
            Heard::Bytes(n) => Ok(Event::Bytes(n)),
            Heard::Text(FromNotary::Statement(text)) => hex::decode(text)
                .map(Event::Statement)
                .map_err(|_| Error::bad_answer(NOTARY, "its statement is not hexadecimal")),
            Heard::Text(FromNotary::Refused { code, detail }) => Err(Error::Notary { code, detail }),
            Heard::Text(FromNotary::Opened { .. }) => Err(Error::bad_answer(NOTARY, "it opens twice")),
        }
    }

    async fn say(&mut self, frame: &ToNotary) -> Result<(), Error> {
        let text = serde_json::to_string(frame).map_err(unreachable)?;
        self.socket.send(Message::Text(text.into())).await.map_err(unreachable)
    }

    async fn hear(&mut self) -> Result<Heard, Error> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    self.received.extend_from_slice(&bytes);
                    return Ok(Heard::Bytes(bytes.len()));
                }
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text);
                    return frame.map(Heard::Text).map_err(|e| Error::bad_answer(NOTARY, e.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => {
                    return Err(unreachable("it closed the session without a statement"));
                }
                Some(Err(e)) => return Err(unreachable(e)),
            }
        }
    }
}

enum Heard {
    Bytes(usize),
    Text(FromNotary),
}

/// An answer other than a WebSocket: the notary's problem document says why.
fn refused(e: tokio_tungstenite::tungstenite::Error) -> Error {
    #[derive(serde::Deserialize)]
    struct Problem {
        code: String,
        detail: String,
    }
    if let tokio_tungstenite::tungstenite::Error::Http(response) = &e
        && let Some(body) = response.body()
        && let Ok(Problem { code, detail }) = serde_json::from_slice(body)
    {
        return Error::Notary { code, detail };
    }
    unreachable(e)
}

/// TLS to the notary itself, with Mozilla's roots.
fn connector() -> Result<TlsConnector, Error> {
    let mut store = rustls::RootCertStore::empty();
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unreachable)?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
