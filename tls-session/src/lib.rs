//! Verifies recorded TLS 1.3 sessions as a third party that took no part in them.
//!
//! A notary forwards a provider's TLS connection and signs the bytes of both directions. This crate reads those
//! bytes and the two handshake traffic secrets, and establishes that a server with a valid certificate for the
//! expected name made the handshake (RFC 8446). It opens nothing that is under the application keys: a proof in
//! zero knowledge does that later, from the values that [`Session`] holds. [`open`] is for the provider, who has
//! the handshake secret.
//!
//! The steps narrow a session through types, in this order: [`Framed`] (records), [`Hellos`] (both hellos),
//! [`ServerFlight`] (the server's encrypted flight), [`Authenticated`] (certificate, signature, Finished) and
//! [`Session`] (the client's flight). [`verify`] takes them all. [`Layout`] then holds the claims about each
//! application record. Everything that is not known to be harmless is refused, with a [`Refusal`] of a stable code.
//!
//! **Assumption**: the peer that the notary reached is the server, and nobody altered bytes between the two.
//! Certificate and Finished alone protect nothing here, since the provider knows all keys.
//!
//! ```
//! use tercet_tls_session::{Recorded, Refusal, Roots, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let read = |name: &str| std::fs::read(format!("../tests/fixtures/vectors/tls13/nginx-rsa/{name}"));
//! let (client, server) = (read("client_to_server.bin")?, read("server_to_client.bin")?);
//! # let public: serde_json::Value = serde_json::from_slice(&read("public.json")?)?;
//! # let secret = |name: &str| -> Result<[u8; 32], Box<dyn std::error::Error>> {
//! #     let mut secret = [0; 32];
//! #     hex::decode_to_slice(public[name].as_str().ok_or("no secret")?, &mut secret)?;
//! #     Ok(secret)
//! # };
//! # let (client_secret, server_secret) =
//! #     (secret("client_handshake_traffic_secret")?, secret("server_handshake_traffic_secret")?);
//! # let time = public["attestation"]["opened_ms"].as_u64().ok_or("no time")? / 1000;
//! let recorded = Recorded {
//!     client: &client,
//!     server: &server,
//!     client_secret: &client_secret,
//!     server_secret: &server_secret,
//! };
//! let root = read("root.der")?;
//! let roots = Roots::from_der([&root[..]])?;
//! assert!(verify(&recorded, "api.exchange.test", &roots, time).is_ok());
//! assert_eq!(verify(&recorded, "another.test", &roots, time).err(), Some(Refusal::ServerName));
//! # Ok(())
//! # }
//! ```
//!
//! The crate itself needs `alloc` only. It does no input or output, has no clock and never panics on its input.

#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

extern crate alloc;

mod application;
mod certificate;
mod client_flight;
mod evidence;
#[cfg(feature = "test-util")]
pub mod forge;
mod hello;
pub mod keys;
mod layout;
mod reader;
mod record;
mod refusal;
mod server_flight;
mod statement;

pub use application::{Opened, OpenedRecord, open};
pub use certificate::{Roots, RootsError};
pub use client_flight::Session;
pub use evidence::{Evidence, MAX_EVIDENCE};
pub use hello::{Framed, Hellos};
pub use keys::{HandshakeSecret, Suite};
pub use layout::{Claim, ClaimedByte, Flow, Inner, Layout, MAX_HOLES};
pub use record::{MAX_DIRECTION, Protected};
pub use refusal::Refusal;
pub use server_flight::{Authenticated, ServerFlight};
pub use statement::{
    Expected, MAX_SESSION_SECONDS, MAX_STATEMENT, Network, NotaryKey, Recording, SignedStatement, Statement,
    StatementKey,
};

/// One of the two directions of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the server.
    Client,
    /// From the server to the client.
    Server,
}

impl Direction {
    /// Its name in reports: `client` or `server`, after who speaks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// A recorded connection: the bytes of both directions and the secrets of its handshake. All of it is public in a
/// submission.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// Bytes from the client to the server.
    pub client: &'a [u8],
    /// Bytes from the server to the client.
    pub server: &'a [u8],
    /// The client's handshake traffic secret (RFC 8446, 7.1).
    pub client_secret: &'a [u8; 32],
    /// The server's handshake traffic secret.
    pub server_secret: &'a [u8; 32],
}

/// Takes all steps of a session without the notary's statement: framing, hellos, the server's flight with its
/// certificate for `server_name` at `time` (Unix seconds), the client's flight.
pub fn verify(
    recorded: &Recorded<'_>,
    server_name: &str,
    roots: &Roots,
    time: u64,
) -> Result<Session, Refusal> {
    Framed::read(recorded.client, recorded.server)?
        .hellos(server_name)?
        .server_flight(recorded.server_secret)?
        .authenticate(server_name, roots, time)?
        .client_flight(recorded.client_secret)
}
