//! One session, from ticket to statement.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use metrics::{counter, gauge, histogram};
use tercet_protocol::notary::{FromNotary, MAX_TEXT, NotaryTicket, ToNotary};
use tercet_tls_session::Statement;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::gate::Pass;
use crate::relay::{self, RelayError};
use crate::resolve::{LookupError, Servers};
use crate::serve::Notary;
use crate::surveys::Served;
use crate::tickets::TicketError;

/// Longest time until a provider shows its ticket.
const TICKET_PATIENCE: Duration = Duration::from_secs(10);
/// Longest time until one address of a server answers.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Most addresses of a server that are tried.
const MOST_ADDRESSES: usize = 3;

/// Why a session failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the first frame must be the coordinator's ticket")]
    NoTicket,
    #[error(transparent)]
    Ticket(#[from] TicketError),
    #[error("the survey does not take sessions now: it opens later or has closed")]
    NotOpen,
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("the survey's server cannot be reached from the notary")]
    Unreachable,
    #[error("the session took longer than {0} s")]
    TooSlow(u64),
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error("the notary's system failed: try again")]
    Internal,
}

impl Failed {
    fn code(&self) -> &'static str {
        match self {
            Self::NoTicket => "ticket-missing",
            Self::Ticket(e) => e.code(),
            Self::NotOpen => "survey-not-open",
            Self::Lookup(e) => e.code(),
            Self::Unreachable => "server-unreachable",
            Self::TooSlow(_) => "too-slow",
            Self::Relay(e) => e.code(),
            Self::Internal => "internal",
        }
    }
}

/// Serves one session and tells the provider how it ended. Nothing of it is kept or logged but counters.
pub async fn serve(notary: Arc<Notary>, survey: Served, mut socket: WebSocket, pass: Pass) {
    gauge!("tercet_notary_sessions").increment(1.0);
    let seconds = notary.limits.seconds;
    let result = match timeout(Duration::from_secs(seconds), run(&notary, &survey, &mut socket)).await {
        Ok(result) => result,
        Err(_) => Err(Failed::TooSlow(seconds)),
    };
    let last = match result {
        Ok(statement) => {
            counter!("tercet_notary_sessions_total", "outcome" => "stated").increment(1);
            FromNotary::Statement(statement)
        }
        Err(failed) => {
            counter!("tercet_notary_sessions_total", "outcome" => failed.code()).increment(1);
            FromNotary::Refused { code: failed.code().into(), detail: failed.to_string() }
        }
    };
    // A provider that reads nothing must not keep its place for long.
    let _ = timeout(Duration::from_secs(10), async {
        send(&mut socket, &last).await;
        let _ = socket.send(Message::Close(None)).await;
        // What the provider still sends is read: closing before would reset the connection, and the statement with it.
        while let Some(Ok(_)) = socket.recv().await {}
    })
    .await;
    gauge!("tercet_notary_sessions").decrement(1.0);
    drop(pass);
}

async fn send(socket: &mut WebSocket, frame: &FromNotary) {
    if let Ok(text) = serde_json::to_string(frame) {
        let _ = socket.send(Message::Text(text.into())).await;
    }
}

async fn run(notary: &Notary, survey: &Served, socket: &mut WebSocket) -> Result<String, Failed> {
    let ticket = timeout(TICKET_PATIENCE, ticket(socket)).await.map_err(|_| Failed::NoTicket)??;
    let now = notary.clock.now();
    notary.tickets.take(&ticket, survey.id, now)?;
    if !survey.is_open(now) {
        return Err(Failed::NotOpen);
    }
    let servers = notary.resolver.resolve(&survey.server_name, survey.port).await?;
    let (server, address) = connect(&servers).await?;
    let opened = notary.clock.now();
    send(socket, &FromNotary::Opened { address }).await;

    let (client, server) = relay::relay(socket, server, notary.limits.bytes).await?;
    histogram!("tercet_notary_session_bytes").record(f64::from(client.length) + f64::from(server.length));
    let mut session = [0; 16];
    getrandom::fill(&mut session).map_err(|_| Failed::Internal)?;
    let signed = notary.key.sign(Statement {
        session,
        notary: notary.key.public(),
        survey: survey.id.0,
        server_name: survey.server_name.clone(),
        address,
        port: survey.port,
        opened,
        closed: notary.clock.now(),
        client,
        server,
    });
    Ok(hex::encode(signed.encode()))
}

async fn ticket(socket: &mut WebSocket) -> Result<NotaryTicket, Failed> {
    loop {
        return match socket.recv().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Text(text))) if text.len() <= MAX_TEXT => match serde_json::from_str(&text) {
                Ok(ToNotary::Ticket(ticket)) => Ok(ticket),
                _ => Err(Failed::NoTicket),
            },
            _ => Err(Failed::NoTicket),
        };
    }
}

/// Connects to the first address that answers: to the address itself, so that no second resolution comes between.
async fn connect(servers: &Servers) -> Result<(TcpStream, IpAddr), Failed> {
    for address in servers.addresses.iter().take(MOST_ADDRESSES) {
        if let Ok(Ok(stream)) = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await {
            let _ = stream.set_nodelay(true);
            return Ok((stream, address.ip()));
        }
    }
    Err(Failed::Unreachable)
}
