//! The server's handshake, as the prover captured it.

use core::fmt;

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::NotarizeError;
use crate::{
    VerifyError, WireVersion,
    identity::{check_ephemeral_key, check_name, kx_algorithms},
    limits::{MAX_CERT, MAX_CERTS},
    wire::connection::{EphemeralKey, Handshake},
};

/// Certificates and key exchange signature of a TLS 1.2 server, as the TLS library verified them.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerHandshake {
    name: String,
    /// TLS `SignatureScheme` (RFC 8446, section 4.2.3).
    scheme: u16,
    /// With a scheme of 0 until a wire version gives it an index.
    handshake: Handshake,
}

impl ServerHandshake {
    /// - `name`: the host that was asked for; spelled canonically here.
    /// - `certs`: DER, leaf first.
    /// - `scheme`, `signature`: the server's, as TLS numbers them.
    /// - `signed`: the signed message: client random, server random, and ECDHE parameters on secp256r1 (133 bytes).
    ///   rustls hands it to `verify_tls12_signature`.
    pub fn new(
        name: &str,
        certs: Vec<Vec<u8>>,
        scheme: u16,
        signature: Vec<u8>,
        signed: &[u8],
    ) -> Result<Self, NotarizeError> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        check_name(&name)?;
        if certs.is_empty() {
            return Err(VerifyError::CertificatesMissing.into());
        }
        if certs.len() > MAX_CERTS || certs.iter().any(|cert| cert.len() > MAX_CERT) {
            return Err(NotarizeError::TooMany("certificates, or one is too large"));
        }
        let error = NotarizeError::KeyExchange;
        let (client_random, rest) = signed.split_first_chunk::<32>().ok_or(error.clone())?;
        let (server_random, rest) = rest.split_first_chunk::<32>().ok_or(error.clone())?;
        let key = rest.strip_prefix(&[3, 0, 0x17, 65]).ok_or(error.clone())?;
        let ephemeral_key = EphemeralKey(key.to_vec());
        check_ephemeral_key(&ephemeral_key).map_err(|_| error)?;
        let handshake = Handshake {
            certs,
            scheme: 0,
            signature,
            client_random: *client_random,
            server_random: *server_random,
            ephemeral_key,
        };
        Ok(Self { name, scheme, handshake })
    }

    /// The server's name in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// In a wire version's terms. Where the version's scheme names the curve too, the one that
    /// verifies is the right one; this also tells early that the capture is sound.
    pub(crate) fn to_wire(&self, version: WireVersion) -> Result<Handshake, NotarizeError> {
        let error = NotarizeError::KxSignature(self.scheme);
        let leaf = self.handshake.certs.first().ok_or(error.clone())?;
        let leaf = CertificateDer::from(&leaf[..]);
        let cert = EndEntityCert::try_from(&leaf).map_err(|_| error.clone())?;
        let message = self.handshake.signed_message();
        let signature = &self.handshake.signature;
        let index = wire_schemes(version, self.scheme).iter().find(|index| {
            kx_algorithms(version, **index)
                .into_iter()
                .any(|alg| cert.verify_signature(alg, &message, signature).is_ok())
        });
        let mut handshake = self.handshake.clone();
        handshake.scheme = *index.ok_or(error)?;
        Ok(handshake)
    }
}

impl fmt::Debug for ServerHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerHandshake({}, {:#06x})", self.name, self.scheme)
    }
}

/// The indices that a TLS scheme can have in a wire version.
fn wire_schemes(version: WireVersion, scheme: u16) -> &'static [u32] {
    match (version, scheme) {
        (WireVersion::Alpha12, 0x0401) => &[2],
        (WireVersion::Alpha12, 0x0403) => &[3],
        (WireVersion::Alpha12, 0x0501) => &[4],
        (WireVersion::Alpha12, 0x0503) => &[5],
        (WireVersion::Alpha12, 0x0601) => &[6],
        (WireVersion::Alpha12, 0x0807) => &[11],
        (WireVersion::Alpha15, 0x0403) => &[0, 2],
        (WireVersion::Alpha15, 0x0503) => &[1, 3],
        (WireVersion::Alpha15, 0x0807) => &[4],
        (WireVersion::Alpha15, 0x0401) => &[5],
        (WireVersion::Alpha15, 0x0501) => &[6],
        (WireVersion::Alpha15, 0x0601) => &[7],
        (_, 0x0804) => &[8],
        (_, 0x0805) => &[9],
        (_, 0x0806) => &[10],
        _ => &[],
    }
}
