//! One request and its response over TLS 1.3 through a tunnel.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use tercet_tls_session::{HandshakeSecret, MAX_DIRECTION, Recording, SignedStatement};
use zeroize::Zeroizing;

use super::keep::{Group, config, keeping};
use super::tunnel::{Event, Tunnel};
use crate::error::Error;
use crate::notarize::response;

/// A finished exchange. `Debug` shows sizes only.
pub struct Exchange {
    /// The notary's statement, not yet checked.
    pub statement: SignedStatement,
    /// Bytes to the server, as the notary forwarded them.
    pub client: Vec<u8>,
    /// Bytes from the server.
    pub server: Vec<u8>,
    /// The session's handshake secret.
    pub secret: HandshakeSecret,
    /// The response as the server sent it.
    pub response: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({} bytes sent, {} received)", self.client.len(), self.server.len())
    }
}

/// Sends one request to `server` and reads its response to the end.
pub async fn exchange(
    mut tunnel: Tunnel,
    server: &str,
    roots: &[Vec<u8>],
    group: Group,
    request: &[u8],
) -> Result<Exchange, Error> {
    let failed = |what: &str, e: &dyn fmt::Display| Error::Exchange(format!("{what} {server}: {e}"));
    let name = ServerName::try_from(server.to_owned())
        .map_err(|_| Error::Usage(format!("\"{}\" is not a server name", server.escape_debug())))?;
    let config = Arc::new(config(roots, group)?);
    let (tls, mut secrets) = keeping(|| ClientConnection::new(config, name));
    let mut tls = tls.map_err(|e| failed("no TLS with", &e))?;
    tls.writer().write_all(request).map_err(|e| failed("cannot send to", &e))?;

    // Room for everything from the start: a growing buffer would leave copies behind.
    let mut received = Zeroizing::new(Vec::with_capacity(MAX_DIRECTION));
    let mut done = false;
    let statement = loop {
        if !done {
            flush(&mut tls, &mut tunnel).await?;
        }
        match tunnel.next().await? {
            Event::Statement(statement) => break statement,
            Event::Bytes(n) => {
                let from = tunnel.received.len() - n;
                let mut bytes = &tunnel.received[from..];
                while !bytes.is_empty() && !done {
                    tls.read_tls(&mut bytes).map_err(|e| failed("cannot read from", &e))?;
                    let (state, kept) = keeping(|| tls.process_new_packets());
                    secrets.extend(kept);
                    if let Err(e) = state {
                        // The alert may reach the server; the session is lost either way.
                        let _ = flush(&mut tls, &mut tunnel).await;
                        return Err(failed("no TLS 1.3 session with", &format!("{e}{}", needs(&e))));
                    }
                    drain(&mut tls, &mut received).map_err(|e| failed("cannot read from", &e))?;
                }
                if !done && response::is_complete(&received)? {
                    done = true;
                    tls.send_close_notify();
                    // A server that has closed already has ended the session: the statement is on its way, and whether
                    // these bytes passed is for it to say.
                    if flush(&mut tls, &mut tunnel).await.is_ok() {
                        let _ = tunnel.done().await;
                    }
                }
            }
        }
    };
    let statement = SignedStatement::decode(&statement)?;
    let client = forwarded(tunnel.sent, &statement);
    if !response::is_complete(&received)? {
        return Err(Error::Exchange(format!(
            "{server} closed the connection before its response was complete"
        )));
    }
    let secret = match <[HandshakeSecret; 1]>::try_from(secrets) {
        Ok([secret]) => secret,
        Err(_) => return Err(Error::Exchange(format!("{server} did not make one TLS 1.3 handshake"))),
    };
    Ok(Exchange { statement, client, server: tunnel.received, secret, response: received })
}

/// A session's needs, where the server may lack one of them.
fn needs(e: &rustls::Error) -> &'static str {
    use rustls::AlertDescription as Alert;
    match e {
        rustls::Error::AlertReceived(
            Alert::HandshakeFailure
            | Alert::ProtocolVersion
            | Alert::InsufficientSecurity
            | Alert::CertificateRequired
            | Alert::NoApplicationProtocol,
        )
        | rustls::Error::PeerIncompatible(_) => {
            "; a session needs a server with TLS 1.3, one of the suites TLS_AES_128_GCM_SHA256 and \
             TLS_CHACHA20_POLY1305_SHA256, one of the groups P-256 and X25519, http/1.1, and no certificate of the client"
        }
        rustls::Error::InvalidCertificate(_) => {
            "; the survey says for which name, and which roots may vouch for it. A certificate that may sign others (CA:TRUE) \
             is not taken as a server's own, not even if it is listed as a root"
        }
        _ => "",
    }
}

/// Sends the bytes that TLS has to send.
async fn flush(tls: &mut ClientConnection, tunnel: &mut Tunnel) -> Result<(), Error> {
    while tls.wants_write() {
        let mut bytes = Vec::new();
        tls.write_tls(&mut bytes).map_err(|e| Error::Exchange(format!("TLS has nothing to send: {e}")))?;
        tunnel.send(&bytes).await?;
    }
    Ok(())
}

/// Moves the bytes that TLS has opened into the buffer, which never grows.
fn drain(tls: &mut ClientConnection, received: &mut Zeroizing<Vec<u8>>) -> std::io::Result<()> {
    let mut chunk = Zeroizing::new([0; 4096]);
    loop {
        match tls.reader().read(&mut *chunk) {
            Ok(0) => return Ok(()),
            Ok(n) if received.len() + n > received.capacity() => {
                return Err(std::io::Error::other("the response is longer than can be proved"));
            }
            Ok(n) => received.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// The part that the notary forwarded of the bytes that were sent to it: a server that closed early took fewer.
fn forwarded(mut sent: Vec<u8>, statement: &SignedStatement) -> Vec<u8> {
    let stated = &statement.unchecked().client;
    let length = usize::try_from(stated.length).unwrap_or(usize::MAX);
    if length < sent.len() && Recording::of(&sent[..length]) == *stated {
        sent.truncate(length);
    }
    sent
}
