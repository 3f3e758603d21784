//! Header, body and signature of an attestation.

use crate::{
    WireVersion,
    codec::{Decode, Encode, Reader, Result, Writer},
    hash::{HashAlg, TypedHash, domain},
    limits::{MAX_COMMITMENTS, MAX_EXTENSION, MAX_EXTENSIONS, MAX_KEY, MAX_SIGNATURE},
    wire::{
        connection::{ConnectionInfo, EphemeralKey},
        transcript::TranscriptCommitment,
    },
};

/// A signature or a public key: algorithm id and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypedBytes {
    pub(crate) alg: u8,
    pub(crate) data: Vec<u8>,
}

impl TypedBytes {
    fn decode(r: &mut Reader<'_>, limit: usize, what: &'static str) -> Result<Self> {
        Ok(Self { alg: r.u8(what)?, data: r.bytes(limit, what)?.to_vec() })
    }
}

impl Encode for TypedBytes {
    fn encode(&self, w: &mut Writer) {
        w.u8(self.alg);
        w.bytes(&self.data);
    }
}

/// The header that the notary signs, in BCS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: [u8; 16],
    pub(crate) version: u32,
    pub(crate) root: TypedHash,
}

impl Encode for Header {
    fn encode(&self, w: &mut Writer) {
        w.raw(&self.id);
        w.u32(self.version);
        self.root.encode(w);
    }
}

impl Decode for Header {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            id: r.array("the attestation id")?,
            version: r.u32("the header version")?,
            root: TypedHash::decode(r)?,
        })
    }
}

/// A body field with its position in the Merkle tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field<T> {
    pub(crate) id: u32,
    pub(crate) data: T,
}

impl<T> Field<T> {
    fn decode(r: &mut Reader<'_>, item: impl FnOnce(&mut Reader<'_>) -> Result<T>) -> Result<Self> {
        Ok(Self { id: r.u32("a field id")?, data: item(r)? })
    }
}

impl<T: Encode> Encode for Field<T> {
    fn encode(&self, w: &mut Writer) {
        w.u32(self.id);
        self.data.encode(w);
    }
}

/// Free-form data that the notary adds to an attestation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Identifies the kind of extension.
    pub id: Vec<u8>,
    /// Its content.
    pub value: Vec<u8>,
}

impl Encode for Extension {
    fn encode(&self, w: &mut Writer) {
        w.bytes(&self.id);
        w.bytes(&self.value);
    }
}

impl Decode for Extension {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            id: r.bytes(MAX_EXTENSION, "an extension id")?.to_vec(),
            value: r.bytes(MAX_EXTENSION, "an extension value")?.to_vec(),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) verifying_key: Field<TypedBytes>,
    pub(crate) connection_info: Field<ConnectionInfo>,
    pub(crate) ephemeral_key: Field<EphemeralKey>,
    pub(crate) cert_commitment: Field<TypedHash>,
    pub(crate) extensions: Vec<Field<Extension>>,
    pub(crate) commitments: Vec<Field<TranscriptCommitment>>,
}

impl Body {
    /// Every field's id and leaf hash, in the body's order.
    pub(crate) fn leaves(&self, version: WireVersion, alg: HashAlg) -> Vec<(u32, [u8; 32])> {
        let names = LeafNames::of(version);
        let mut out = vec![
            leaf(&self.verifying_key, "VerifyingKey", version, alg),
            leaf(&self.connection_info, names.connection_info, version, alg),
            leaf(&self.ephemeral_key, names.ephemeral_key, version, alg),
            leaf(&self.cert_commitment, "ServerCertCommitment", version, alg),
        ];
        let extensions = self.extensions.iter();
        out.extend(extensions.map(|f| leaf(f, "Extension", version, alg)));
        let commitments = self.commitments.iter();
        out.extend(commitments.map(|f| leaf(f, names.commitment, version, alg)));
        out
    }
}

/// Names of the types that moved between crates, and with that changed their domain separators.
struct LeafNames {
    connection_info: &'static str,
    ephemeral_key: &'static str,
    commitment: &'static str,
}

impl LeafNames {
    fn of(version: WireVersion) -> Self {
        match version {
            WireVersion::Alpha12 => Self {
                connection_info: "ConnectionInfo",
                ephemeral_key: "ServerEphemKey",
                commitment: "TranscriptCommitment",
            },
            WireVersion::Alpha15 => Self {
                connection_info: "tlsn_core::connection::ConnectionInfo",
                ephemeral_key: "tlsn_core::connection::ServerEphemKey",
                commitment: "tlsn_core::transcript::TranscriptCommitment",
            },
        }
    }
}

fn leaf<T: Encode>(field: &Field<T>, name: &str, version: WireVersion, alg: HashAlg) -> (u32, [u8; 32]) {
    let hash = alg.digest(&[&domain(name), &field.data.to_bcs(version)]);
    (field.id, hash)
}

impl Encode for Body {
    fn encode(&self, w: &mut Writer) {
        self.verifying_key.encode(w);
        self.connection_info.encode(w);
        self.ephemeral_key.encode(w);
        self.cert_commitment.encode(w);
        w.seq(&self.extensions);
        w.seq(&self.commitments);
    }
}

impl Decode for Body {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            verifying_key: Field::decode(r, |r| TypedBytes::decode(r, MAX_KEY, "the notary key"))?,
            connection_info: Field::decode(r, ConnectionInfo::decode)?,
            ephemeral_key: Field::decode(r, EphemeralKey::decode)?,
            cert_commitment: Field::decode(r, TypedHash::decode)?,
            extensions: r
                .seq(MAX_EXTENSIONS, "the number of extensions", |r| Field::decode(r, Extension::decode))?,
            commitments: r.seq(MAX_COMMITMENTS, "the number of commitments", |r| {
                Field::decode(r, TranscriptCommitment::decode)
            })?,
        })
    }
}

/// Signature, header and body: the whole content of an attestation file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedBody {
    pub(crate) signature: TypedBytes,
    pub(crate) header: Header,
    pub(crate) body: Body,
}

impl Encode for SignedBody {
    fn encode(&self, w: &mut Writer) {
        self.signature.encode(w);
        self.header.encode(w);
        self.body.encode(w);
    }
}

impl Decode for SignedBody {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            signature: TypedBytes::decode(r, MAX_SIGNATURE, "the notary's signature")?,
            header: Header::decode(r)?,
            body: Body::decode(r)?,
        })
    }
}
