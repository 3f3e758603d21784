//! The notary's signed statement: the server that it connected to, the survey, the time, and the bytes that passed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::Refusal;
use crate::keys::sha256;
use crate::reader::Reader;

/// Largest encoded statement.
pub const MAX_STATEMENT: usize = 512;
/// Longest time between a session's opening and closing that is believed, in seconds.
pub const MAX_SESSION_SECONDS: u64 = 120;
const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"tercet notary statement v1\0";
const SIGNATURE: usize = 64;

/// Length and hash of one direction's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recording {
    /// Bytes.
    pub length: u32,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

impl Recording {
    /// Measures bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { length: u32::try_from(bytes.len()).unwrap_or(u32::MAX), sha256: sha256(&[bytes]) }
    }
}

/// A notary's statement about a session that it forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The session's id, drawn by the notary.
    pub session: [u8; 16],
    /// The notary's public key.
    pub notary: [u8; 32],
    /// The survey for which it connected.
    pub survey: [u8; 32],
    /// The server's name, as the survey has it.
    pub server_name: String,
    /// The address that it connected to.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// When the connection stood, Unix seconds.
    pub opened: u64,
    /// When it ended, Unix seconds.
    pub closed: u64,
    /// The bytes that passed from the client to the server.
    pub client: Recording,
    /// The bytes that passed from the server to the client.
    pub server: Recording,
}

impl Statement {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.server_name.len());
        out.push(VERSION);
        out.extend_from_slice(&self.session);
        out.extend_from_slice(&self.notary);
        out.extend_from_slice(&self.survey);
        // Names have 253 bytes at most; a longer one does not decode.
        out.push(u8::try_from(self.server_name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(self.server_name.as_bytes());
        match self.address {
            IpAddr::V4(a) => {
                out.push(4);
                out.extend_from_slice(&a.octets());
            }
            IpAddr::V6(a) => {
                out.push(6);
                out.extend_from_slice(&a.octets());
            }
        }
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(&self.opened.to_be_bytes());
        out.extend_from_slice(&self.closed.to_be_bytes());
        for recording in [&self.client, &self.server] {
            out.extend_from_slice(&recording.length.to_be_bytes());
            out.extend_from_slice(&recording.sha256);
        }
        out
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Refusal> {
        if r.u8()? != VERSION {
            return Err(Refusal::Evidence);
        }
        let (session, notary, survey) = (r.array()?, r.array()?, r.array()?);
        let name = core::str::from_utf8(r.vector(1)?).map_err(|_| Refusal::Evidence)?;
        let address = match r.u8()? {
            4 => IpAddr::V4(Ipv4Addr::from(r.array::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(r.array::<16>()?)),
            _ => return Err(Refusal::Evidence),
        };
        let (port, opened, closed) = (r.u16()?, r.u64()?, r.u64()?);
        let mut recording = || Ok::<_, Refusal>(Recording { length: r.u32()?, sha256: r.array()? });
        let (client, server) = (recording()?, recording()?);
        let server_name = name.into();
        Ok(Self { session, notary, survey, server_name, address, port, opened, closed, client, server })
    }
}

/// A notary's signing key. `Debug` shows the public half only.
pub struct StatementKey(Ed25519KeyPair);

impl fmt::Debug for StatementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatementKey").field(&self.public()).finish()
    }
}

impl StatementKey {
    /// From a 32-byte Ed25519 seed (RFC 8032's private key); `None` if the seed gives no key.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.public_key().as_ref());
        out
    }

    /// Signs a statement, which is put under this key's name.
    pub fn sign(&self, mut statement: Statement) -> SignedStatement {
        statement.notary = self.public();
        let encoded = statement.encode();
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(self.0.sign(&[DOMAIN, &encoded].concat()).as_ref());
        SignedStatement { statement, encoded, signature }
    }
}

/// A statement with its signature, which is not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    statement: Statement,
    encoded: Vec<u8>,
    signature: [u8; SIGNATURE],
}

impl SignedStatement {
    /// Statement and signature as bytes.
    pub fn encode(&self) -> Vec<u8> {
        [&self.encoded[..], &self.signature].concat()
    }

    /// Reads statement and signature.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_STATEMENT {
            return Err(Refusal::Evidence);
        }
        let mut r = Reader::new(bytes, Refusal::Evidence);
        let statement = Statement::decode(&mut r)?;
        let signature = r.array()?;
        r.finish()?;
        Ok(Self { encoded: statement.encode(), statement, signature })
    }

    /// The statement before any check.
    pub fn unchecked(&self) -> &Statement {
        &self.statement
    }

    /// Checks the signature under the key that the statement names. This says nothing of whose key that is.
    pub fn check_signature(&self) -> Result<(), Refusal> {
        UnparsedPublicKey::new(&ED25519, self.statement.notary)
            .verify(&[DOMAIN, &self.encoded].concat(), &self.signature)
            .map_err(|_| Refusal::StatementSignature)
    }

    /// Checks the statement against a survey's demands, and the recorded bytes against the statement.
    pub fn verify(
        &self,
        expected: &Expected<'_>,
        client: &[u8],
        server: &[u8],
    ) -> Result<&Statement, Refusal> {
        let s = &self.statement;
        let mut keys = expected.notaries.iter().filter(|n| n.key == s.notary).peekable();
        keys.peek().ok_or(Refusal::NotaryUnknown)?;
        self.check_signature()?;
        if !keys.any(|n| n.from <= s.opened && s.closed <= n.until) {
            return Err(Refusal::NotaryKeyExpired);
        }
        if s.survey != expected.survey {
            return Err(Refusal::StatementSurvey);
        }
        if s.server_name != expected.server_name || s.port != expected.port {
            return Err(Refusal::StatementServer);
        }
        let networks = expected.networks;
        if !networks.is_empty() && !networks.iter().any(|n| n.contains(s.address)) {
            return Err(Refusal::StatementAddress);
        }
        if s.opened < expected.from || s.closed > expected.until {
            return Err(Refusal::StatementTime);
        }
        match s.closed.checked_sub(s.opened) {
            Some(0..=MAX_SESSION_SECONDS) => {}
            _ => return Err(Refusal::StatementDuration),
        }
        if s.client != Recording::of(client) || s.server != Recording::of(server) {
            return Err(Refusal::StatementBytes);
        }
        Ok(s)
    }
}

/// A notary that counts, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotaryKey {
    /// Its Ed25519 public key.
    pub key: [u8; 32],
    /// First second of its validity (Unix).
    pub from: u64,
    /// Last second of its validity (Unix).
    pub until: u64,
}

/// A survey's demands on a statement.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Notaries that count.
    pub notaries: &'a [NotaryKey],
    /// The survey's id.
    pub survey: [u8; 32],
    /// The server's name.
    pub server_name: &'a str,
    /// The server's port.
    pub port: u16,
    /// Networks of which one must hold the server's address. None: any address.
    pub networks: &'a [Network],
    /// First second in which a session may open (Unix).
    pub from: u64,
    /// Last second in which it may close (Unix): the survey's end, or the present if that is earlier.
    pub until: u64,
}

/// A range of addresses, written `203.0.113.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// True if the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let first = |width: u32, value: u128| match width - u32::from(self.bits) {
            128.. => 0,
            shift => value >> shift,
        };
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                first(32, u32::from(a).into()) == first(32, u32::from(b).into())
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => first(128, a.into()) == first(128, b.into()),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WANT: &str = "write a network as ADDRESS/BITS, such as 203.0.113.0/24 or 2001:db8::/32";
        let (address, bits) = text.split_once('/').ok_or(WANT)?;
        let address: IpAddr = address.parse().map_err(|_| WANT)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let bits: u8 = bits.parse().ok().filter(|b| plain && *b <= width).ok_or(WANT)?;
        let lowest = match address {
            IpAddr::V4(a) => u128::from(u32::from(a)),
            IpAddr::V6(a) => a.into(),
        };
        if (0..width - bits).any(|i| lowest >> i & 1 == 1) {
            return Err("a network's address has only zero bits behind its prefix");
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}
