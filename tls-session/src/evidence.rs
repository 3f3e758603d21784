//! Everything that a provider shows of a session, as bytes.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::record::MAX_DIRECTION;
use crate::{Expected, Layout, Recorded, Refusal, Roots, Session, SignedStatement, Statement, verify};

/// Largest encoded evidence: two directions, their shown bytes, and the rest.
pub const MAX_EVIDENCE: usize = 4 * MAX_DIRECTION + 128 * 1024;
const VERSION: u8 = 1;

/// A recorded session as the provider keeps it and, with a layout, as a submission shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The notary's statement.
    pub statement: SignedStatement,
    /// The client's handshake traffic secret.
    pub client_secret: [u8; 32],
    /// The server's handshake traffic secret.
    pub server_secret: [u8; 32],
    /// Bytes from the client to the server.
    pub client: Vec<u8>,
    /// Bytes from the server to the client.
    pub server: Vec<u8>,
    /// The claims about the application records; `None` in a session of which nothing is shown yet.
    pub layout: Option<Layout>,
}

impl Evidence {
    /// The encoding. There is one of each evidence.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024 + 2 * (self.client.len() + self.server.len()));
        out.push(VERSION);
        let mut vector = |bytes: &[u8]| {
            // Every field is bounded far below.
            out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        vector(&self.statement.encode());
        vector(&[self.client_secret, self.server_secret].concat());
        vector(&self.client);
        vector(&self.server);
        vector(&self.layout.as_ref().map(Layout::encode).unwrap_or_default());
        out
    }

    /// Decodes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_EVIDENCE {
            return Err(Refusal::Evidence);
        }
        let mut r = Reader::new(bytes, Refusal::Evidence);
        if r.u8()? != VERSION {
            return Err(Refusal::Evidence);
        }
        let statement = SignedStatement::decode(r.vector(4)?)?;
        let mut secrets = r.inner(4)?;
        let (client_secret, server_secret) = (secrets.array()?, secrets.array()?);
        secrets.finish()?;
        let (client, server) = (r.vector(4)?, r.vector(4)?);
        if client.len() > MAX_DIRECTION || server.len() > MAX_DIRECTION {
            return Err(Refusal::DirectionTooLong);
        }
        let layout = match r.vector(4)? {
            [] => None,
            bytes => Some(Layout::decode(bytes)?),
        };
        r.finish()?;
        let (client, server) = (client.to_vec(), server.to_vec());
        Ok(Self { statement, client_secret, server_secret, client, server, layout })
    }

    /// The recorded connection.
    pub fn recorded(&self) -> Recorded<'_> {
        Recorded {
            client: &self.client,
            server: &self.server,
            client_secret: &self.client_secret,
            server_secret: &self.server_secret,
        }
    }

    /// Checks all that can be checked before the proof: the notary's statement, the handshake, and that the layout,
    /// where there is one, describes the session's records.
    pub fn verify(&self, expected: &Expected<'_>, roots: &Roots) -> Result<(&Statement, Session), Refusal> {
        let statement = self.statement.verify(expected, &self.client, &self.server)?;
        let session = verify(&self.recorded(), expected.server_name, roots, statement.opened)?;
        if let Some(layout) = &self.layout {
            layout.check(&session)?;
        }
        Ok((statement, session))
    }
}
