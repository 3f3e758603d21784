//! The connection's part of an attestation, and the server's handshake data.

use crate::{
    WireVersion,
    codec::{Decode, Encode, Reader, Result, Writer},
    limits::{MAX_CERT, MAX_CERTS, MAX_KEY, MAX_KX_SIGNATURE, MAX_SERVER_NAME},
};

/// Version of TLS that the notary attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    V1_2,
    V1_3,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionInfo {
    /// Seconds since the Unix epoch.
    pub(crate) time: u64,
    pub(crate) version: TlsVersion,
    /// Bytes of application data.
    pub(crate) sent: u32,
    pub(crate) received: u32,
}

impl Encode for ConnectionInfo {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.time);
        w.variant(match self.version {
            TlsVersion::V1_2 => 0,
            TlsVersion::V1_3 => 1,
        });
        w.u32(self.sent);
        w.u32(self.received);
    }
}

impl Decode for ConnectionInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            time: r.u64("the connection time")?,
            version: match r.variant(2, "the TLS version")? {
                0 => TlsVersion::V1_2,
                _ => TlsVersion::V1_3,
            },
            sent: r.u32("the sent length")?,
            received: r.u32("the received length")?,
        })
    }
}

/// The server's ephemeral key; the only kind is P-256, uncompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EphemeralKey(pub(crate) Vec<u8>);

impl Encode for EphemeralKey {
    fn encode(&self, w: &mut Writer) {
        w.variant(0);
        w.bytes(&self.0);
    }
}

impl Decode for EphemeralKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.variant(1, "the ephemeral key's type")?;
        Ok(Self(r.bytes(MAX_KEY, "the ephemeral key")?.to_vec()))
    }
}

/// Certificates and key exchange of a TLS 1.2 handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// DER, leaf first.
    pub(crate) certs: Vec<Vec<u8>>,
    /// Index into the wire version's own list of schemes.
    pub(crate) scheme: u32,
    pub(crate) signature: Vec<u8>,
    pub(crate) client_random: [u8; 32],
    pub(crate) server_random: [u8; 32],
    pub(crate) ephemeral_key: EphemeralKey,
}

impl Handshake {
    /// Number of signature schemes that a version lists.
    pub(crate) fn schemes(version: WireVersion) -> u32 {
        match version {
            WireVersion::Alpha12 => 12,
            WireVersion::Alpha15 => 11,
        }
    }

    /// The message that the server signs (RFC 8422, section 5.4): both randoms, then curve type 3 (named), curve
    /// 0x0017 (secp256r1) and the length-prefixed point.
    pub(crate) fn signed_message(&self) -> Vec<u8> {
        let key = &self.ephemeral_key.0;
        let mut out = Vec::with_capacity(68 + key.len());
        out.extend_from_slice(&self.client_random);
        out.extend_from_slice(&self.server_random);
        out.extend_from_slice(&[3, 0, 0x17, key.len() as u8]);
        out.extend_from_slice(key);
        out
    }
}

impl Encode for Handshake {
    fn encode(&self, w: &mut Writer) {
        w.len(self.certs.len());
        for cert in &self.certs {
            w.bytes(cert);
        }
        w.variant(self.scheme);
        w.bytes(&self.signature);
        w.variant(0);
        w.raw(&self.client_random);
        w.raw(&self.server_random);
        self.ephemeral_key.encode(w);
    }
}

impl Decode for Handshake {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let certs = r.seq(MAX_CERTS, "the number of certificates", |r| {
            Ok(r.bytes(MAX_CERT, "a certificate")?.to_vec())
        })?;
        let scheme = r.variant(Self::schemes(r.version), "the signature scheme")?;
        let signature = r.bytes(MAX_KX_SIGNATURE, "the key exchange signature")?.to_vec();
        r.variant(1, "the handshake's kind")?;
        Ok(Self {
            certs,
            scheme,
            signature,
            client_random: r.array("the client random")?,
            server_random: r.array("the server random")?,
            ephemeral_key: EphemeralKey::decode(r)?,
        })
    }
}

/// Opening of the certificate commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertOpening {
    pub(crate) handshake: Handshake,
    pub(crate) blinder: [u8; 16],
}

impl Encode for CertOpening {
    fn encode(&self, w: &mut Writer) {
        self.handshake.encode(w);
        w.raw(&self.blinder);
    }
}

impl Decode for CertOpening {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { handshake: Handshake::decode(r)?, blinder: r.array("the certificate blinder")? })
    }
}

/// A server name; alpha.15 wraps it in an enum of one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerName(pub(crate) String);

impl Encode for ServerName {
    fn encode(&self, w: &mut Writer) {
        if w.version == WireVersion::Alpha15 {
            w.variant(0);
        }
        w.bytes(self.0.as_bytes());
    }
}

impl Decode for ServerName {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        if r.version == WireVersion::Alpha15 {
            r.variant(1, "the kind of server name")?;
        }
        // One more than a name has, so that a trailing dot is named as such.
        r.string(MAX_SERVER_NAME + 1, "the server name").map(Self)
    }
}

/// Server name with the opening that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityProof {
    pub(crate) name: ServerName,
    pub(crate) opening: CertOpening,
}

impl Encode for IdentityProof {
    fn encode(&self, w: &mut Writer) {
        self.name.encode(w);
        self.opening.encode(w);
    }
}

impl Decode for IdentityProof {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { name: ServerName::decode(r)?, opening: CertOpening::decode(r)? })
    }
}
