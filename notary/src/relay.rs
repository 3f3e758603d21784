//! Forwarding: bytes of a WebSocket to a TCP connection and back, counted and hashed as they pass.

use std::io;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use sha2::{Digest, Sha256};
use tercet_protocol::notary::{MAX_TEXT, ToNotary};
use tercet_tls_session::Recording;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

/// Longest time that a server may go on after the provider is done: its close_notify and the end of the connection.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes read from the server at a time.
const CHUNK: usize = 16 * 1024;

/// Why a session ended without a statement.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The provider went away.
    #[error("the provider closed the session before it was done")]
    Provider,
    /// A frame that has no place here.
    #[error("the provider sent a frame that is neither binary nor \"done\"")]
    Frame,
    /// More bytes than a session may have.
    #[error("one direction has more than the {0} bytes that a session may have: ask for less data")]
    TooMany(usize),
}

impl RelayError {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Provider => "provider-closed",
            Self::Frame => "unexpected-frame",
            Self::TooMany(_) => "too-many-bytes",
        }
    }
}

/// Counts and hashes one direction, and bounds it.
struct Meter {
    length: usize,
    limit: usize,
    hash: Sha256,
}

impl Meter {
    fn new(limit: usize) -> Self {
        Self { length: 0, limit, hash: Sha256::new() }
    }

    /// True if this many more bytes may pass.
    fn admits(&self, bytes: usize) -> Result<(), RelayError> {
        if bytes > self.limit - self.length { Err(RelayError::TooMany(self.limit)) } else { Ok(()) }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        self.hash.update(bytes);
    }

    fn finish(self) -> Recording {
        let length = u32::try_from(self.length).unwrap_or(u32::MAX);
        Recording { length, sha256: self.hash.finalize().into() }
    }
}

/// Forwards until the server has closed or the provider is done; gives the bytes that passed from provider and
/// server.
pub async fn relay(
    socket: &mut WebSocket,
    server: TcpStream,
    limit: usize,
) -> Result<(Recording, Recording), RelayError> {
    let (mut sink, mut stream) = socket.split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut up, mut down) = (Meter::new(limit), Meter::new(limit));
    // Set when the provider is done, and when the server has closed.
    let (done, closed) = (CancellationToken::new(), CancellationToken::new());
    let upward = upward(&mut stream, &mut to_server, &mut up, &done, &closed);
    let downward = downward(&mut from_server, &mut sink, &mut down, &done, &closed);
    let (first, second) = tokio::join!(upward, downward);
    first?;
    second?;
    Ok((up.finish(), down.finish()))
}

/// From the provider to the server.
async fn upward(
    provider: &mut SplitStream<&mut WebSocket>,
    server: &mut OwnedWriteHalf,
    meter: &mut Meter,
    done: &CancellationToken,
    closed: &CancellationToken,
) -> Result<(), RelayError> {
    // However this ends, the other direction ends too.
    let _done = done.clone().drop_guard();
    loop {
        let message = tokio::select! {
            message = provider.next() => message,
            () = closed.cancelled() => return Ok(()),
        };
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                meter.admits(bytes.len())?;
                // What could not be written did not pass. A server that has closed may be read still.
                let written: io::Result<()> = tokio::select! {
                    written = server.write_all(&bytes) => written,
                    () = closed.cancelled() => return Ok(()),
                };
                match written {
                    Ok(()) => meter.add(&bytes),
                    Err(_) => return Ok(()),
                }
            }
            Some(Ok(Message::Text(text))) if text.len() <= MAX_TEXT => {
                if !matches!(serde_json::from_str(&text), Ok(ToNotary::Done)) {
                    return Err(RelayError::Frame);
                }
                let _ = server.shutdown().await;
                return Ok(());
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_))) => return Err(RelayError::Frame),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(RelayError::Provider),
        }
    }
}

/// From the server to the provider.
async fn downward(
    server: &mut OwnedReadHalf,
    provider: &mut SplitSink<&mut WebSocket, Message>,
    meter: &mut Meter,
    done: &CancellationToken,
    closed: &CancellationToken,
) -> Result<(), RelayError> {
    let _closed = closed.clone().drop_guard();
    let mut buffer = vec![0; CHUNK];
    loop {
        let lingering = async {
            done.cancelled().await;
            tokio::time::sleep(LINGER).await;
        };
        let read = tokio::select! {
            read = server.read(&mut buffer) => read,
            () = lingering => return Ok(()),
        };
        match read {
            Ok(0) | Err(_) => return Ok(()),
            Ok(n) => {
                meter.admits(n)?;
                let bytes = &buffer[..n];
                let sent = provider.send(Message::Binary(bytes.to_vec().into())).await;
                sent.map_err(|_| RelayError::Provider)?;
                meter.add(bytes);
            }
        }
    }
}
