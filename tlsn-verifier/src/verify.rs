//! From bytes to facts: the checks in order.

use std::collections::HashMap;

use crate::{
    DecodeError, Direction, Error, Extension, HashAlg, NotaryKey, PartialData, PartialTranscript, RangeSet,
    RootStore, SignatureAlg, VerifyError, WireVersion,
    codec::{Decode as _, Encode as _},
    hash::domain,
    identity::{check_ephemeral_key, check_name, verify_handshake},
    limits::{MAX_OPENED, MAX_TRANSCRIPT},
    wire::{
        attestation::{Body, SignedBody},
        connection::{ConnectionInfo, IdentityProof, TlsVersion},
        decode_any,
        presentation::{MerkleProof, PresentationFile, merkle_root},
        transcript::{TranscriptCommitment, TranscriptProof},
    },
};

/// Whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotaryTrust {
    /// Only these notaries.
    Pinned(Vec<NotaryKey>),
    /// Any valid signature. The result is then only a claim by [`Verified::notary_key`], which anyone could have
    /// generated: for display, never for a decision.
    AnyAndReport,
}

/// The notaries, roots and server name that the caller trusts.
#[derive(Clone, Debug)]
pub struct TrustPolicy {
    /// Whose signatures count.
    pub notaries: NotaryTrust,
    /// The authorities that may vouch for servers.
    pub roots: RootStore,
    /// The server that the presentation must be about, in lower case without trailing dot. Pin
    /// it wherever it is known: the name in a presentation is the prover's choice among all that
    /// the server's certificate covers.
    pub server_name: Option<String>,
}

/// A hash commitment of the attestation: known algorithm, within the transcript, not empty, the
/// only one of its algorithm over its ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashCommitment {
    /// Position among the attested fields.
    pub field: u32,
    /// Which transcript.
    pub direction: Direction,
    /// Which bytes.
    pub ranges: RangeSet,
    /// Which hash.
    pub alg: HashAlg,
    /// `H(bytes of all ranges in ascending order || 16-byte blinder)`.
    pub digest: [u8; 32],
    /// True if the presentation opens it.
    pub opened: bool,
}

/// The facts that a presentation proves, given the policy's notaries and roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The format it came in.
    pub wire_version: WireVersion,
    /// The attestation's id, chosen by the notary.
    pub attestation_id: [u8; 16],
    /// Hash algorithm of the attestation's Merkle tree.
    pub root_alg: HashAlg,
    /// The signed root over all attested fields.
    pub root: [u8; 32],
    /// The signer.
    pub notary_key: NotaryKey,
    /// The server, in lower case without trailing dot.
    pub server_name: String,
    /// When the connection was made, in seconds since the Unix epoch.
    pub connection_time: u64,
    /// The notary's additions, in attested order.
    pub extensions: Vec<Extension>,
    /// The authenticated bytes.
    pub transcript: PartialTranscript,
    /// All hash commitments of the attestation, in attested order.
    pub commitments: Vec<HashCommitment>,
    /// True if the attestation also has an alpha.12 encoding commitment. Nothing in `transcript` rests on it.
    pub has_encoding_commitment: bool,
}

impl Verified {
    /// TLS version of the connection: TLSNotary has only TLS 1.2.
    pub const TLS_VERSION: &'static str = "TLS 1.2";

    /// The commitments that stay closed: those whose plaintext only the prover knows.
    pub fn unopened(&self) -> impl Iterator<Item = &HashCommitment> {
        self.commitments.iter().filter(|c| !c.opened)
    }
}

/// A decoded presentation; nothing about it is believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presentation {
    version: WireVersion,
    file: PresentationFile,
}

/// Decodes and verifies in one step.
pub fn verify(bytes: &[u8], policy: &TrustPolicy) -> Result<Verified, Error> {
    Ok(Presentation::decode(bytes)?.verify(policy)?)
}

impl Presentation {
    /// Decodes either wire version, telling them apart by the root that was signed.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (found, failure) = decode_any::<PresentationFile>(bytes);
        let mut found = found.into_iter().map(|(version, file)| Self { version, file });
        let Some(first) = found.next() else {
            // Unwrap-free: both versions failed, so there is a failure; the fallback is for the type.
            let empty = DecodeError::UnexpectedEnd { what: "the file", offset: 0 };
            return Err(failure.unwrap_or(empty));
        };
        if check_root(&first.file, first.version).is_ok() {
            return Ok(first);
        }
        let other = found.find(|p| check_root(&p.file, p.version).is_ok());
        Ok(other.unwrap_or(first))
    }

    /// Decodes one wire version only.
    pub fn decode_as(bytes: &[u8], version: WireVersion) -> Result<Self, DecodeError> {
        let file = PresentationFile::from_bincode(bytes, version).map_err(|(_, error)| error)?;
        Ok(Self { version, file })
    }

    #[cfg(feature = "notarize")]
    pub(crate) fn from_file(version: WireVersion, file: PresentationFile) -> Self {
        Self { version, file }
    }

    /// The format it is in.
    pub fn wire_version(&self) -> WireVersion {
        self.version
    }

    /// The file again: exactly the bytes that were decoded.
    pub fn encode(&self) -> Vec<u8> {
        self.file.to_bincode(self.version)
    }

    /// Checks everything; the crate's documentation has the list of checks.
    pub fn verify(&self, policy: &TrustPolicy) -> Result<Verified, VerifyError> {
        let (root_alg, root) = check_root(&self.file, self.version)?;
        let signed = &self.file.signed;
        let notary_key = check_signature(signed)?;
        if let NotaryTrust::Pinned(keys) = &policy.notaries
            && !keys.contains(&notary_key)
        {
            return Err(VerifyError::NotaryUntrusted(notary_key));
        }

        let body = &signed.body;
        let info = &body.connection_info.data;
        check_connection(info)?;
        let (mut commitments, encodings) = check_commitments(body)?;

        let identity = self.file.identity.as_ref().ok_or(VerifyError::IdentityMissing)?;
        let transcript = self.file.transcript.as_ref().ok_or(VerifyError::TranscriptMissing)?;
        let server_name = check_identity(identity, body, self.version, policy)?;
        let transcript = check_transcript(transcript, info, &mut commitments)?;

        let mut extensions: Vec<_> = body.extensions.iter().collect();
        extensions.sort_by_key(|field| field.id);
        Ok(Verified {
            wire_version: self.version,
            attestation_id: signed.header.id,
            root_alg,
            root,
            notary_key,
            server_name,
            connection_time: info.time,
            extensions: extensions.into_iter().map(|f| f.data.clone()).collect(),
            transcript,
            commitments,
            has_encoding_commitment: encodings > 0,
        })
    }
}

/// The complete body has the root that is in the header.
fn check_root(file: &PresentationFile, version: WireVersion) -> Result<(HashAlg, [u8; 32]), VerifyError> {
    let alg = file.root().alg;
    let alg = HashAlg::from_id(alg).ok_or(VerifyError::RootAlgUnknown(alg))?;
    let body = &file.signed.body;
    let shown = 4 + body.extensions.len() + body.commitments.len();
    check_merkle_proof(&file.merkle, alg, shown)?;
    let root = body_root(&file.signed, version)?;
    Ok((alg, root))
}

/// The proof adds nothing to a complete body: no helper hashes, the exact count, the same hash.
fn check_merkle_proof(proof: &MerkleProof, alg: HashAlg, shown: usize) -> Result<(), VerifyError> {
    let total = proof.leaf_count;
    if total > shown as u64 {
        return Err(VerifyError::BodyIncomplete { shown, total });
    }
    if total < shown as u64 {
        return Err(VerifyError::MerkleLeafCount { shown, total });
    }
    if !proof.hashes.is_empty() {
        return Err(VerifyError::MerkleLeftover(proof.hashes.len()));
    }
    if proof.alg != alg.id() {
        return Err(VerifyError::MerkleAlgMismatch { proof: proof.alg, header: alg.id() });
    }
    Ok(())
}

/// Recomputes the root of a complete body and compares it with the header's.
pub(crate) fn body_root(signed: &SignedBody, version: WireVersion) -> Result<[u8; 32], VerifyError> {
    let root = &signed.header.root;
    let alg = HashAlg::from_id(root.alg).ok_or(VerifyError::RootAlgUnknown(root.alg))?;
    let claimed =
        <[u8; 32]>::try_from(&root.value[..]).map_err(|_| VerifyError::RootLength(root.value.len()))?;
    let mut leaves = signed.body.leaves(version, alg);
    leaves.sort_by_key(|(id, _)| *id);
    for (position, (id, _)) in leaves.iter().enumerate() {
        if position > 0 && leaves[position - 1].0 == *id {
            return Err(VerifyError::FieldIdDuplicate(*id));
        }
        if *id as usize >= leaves.len() {
            return Err(VerifyError::FieldIdBeyondEnd(*id));
        }
    }
    let hashes = leaves.into_iter().map(|(_, hash)| hash).collect();
    match merkle_root(alg, hashes) {
        Some(root) if root == claimed => Ok(root),
        _ => Err(VerifyError::RootMismatch),
    }
}

/// The header is signed by the key in the body. Says nothing about whose key that is.
pub(crate) fn check_signature(signed: &SignedBody) -> Result<NotaryKey, VerifyError> {
    if signed.header.version != 0 {
        return Err(VerifyError::HeaderVersion(signed.header.version));
    }
    let id = signed.signature.alg;
    let alg = SignatureAlg::from_id(id).ok_or(VerifyError::SignatureAlgUnknown(id))?;
    let key = &signed.body.verifying_key.data;
    if key.alg != alg.key_id() {
        return Err(VerifyError::NotaryKeyAlgMismatch { key: key.alg, signature: id });
    }
    let key = NotaryKey::new(alg, &key.data).map_err(|_| VerifyError::NotaryKeyInvalid(alg.name()))?;
    // The version is irrelevant here: headers have no lengths or variants that differ.
    let message = signed.header.to_bcs(WireVersion::Alpha15);
    key.verify(&message, &signed.signature.data)?;
    Ok(key)
}

fn check_connection(info: &ConnectionInfo) -> Result<(), VerifyError> {
    if info.version != TlsVersion::V1_2 {
        return Err(VerifyError::TlsVersion);
    }
    for direction in Direction::ALL {
        let len = attested_len(info, direction);
        if len as usize > MAX_TRANSCRIPT {
            return Err(VerifyError::TranscriptTooLong { direction, len, limit: MAX_TRANSCRIPT });
        }
    }
    Ok(())
}

fn attested_len(info: &ConnectionInfo, direction: Direction) -> u32 {
    match direction {
        Direction::Sent => info.sent,
        Direction::Received => info.received,
    }
}

/// Every commitment is usable, opened or not; upstream looks only at opened ones. Returns the
/// hash commitments in attested order, and the number of encoding commitments.
pub(crate) fn check_commitments(body: &Body) -> Result<(Vec<HashCommitment>, usize), VerifyError> {
    let mut out: Vec<HashCommitment> = Vec::with_capacity(body.commitments.len());
    let mut encodings = 0;
    for field in &body.commitments {
        let id = field.id;
        let hash = match &field.data {
            TranscriptCommitment::Encoding(_) => {
                encodings += 1;
                continue;
            }
            TranscriptCommitment::Hash(hash) => hash,
        };
        let alg = HashAlg::from_id(hash.hash.alg)
            .ok_or(VerifyError::CommitmentAlgUnknown { field: id, alg: hash.hash.alg })?;
        let digest = <[u8; 32]>::try_from(&hash.hash.value[..])
            .map_err(|_| VerifyError::CommitmentDigestLength { field: id, len: hash.hash.value.len() })?;
        if hash.ranges.is_empty() {
            return Err(VerifyError::CommitmentEmpty { field: id });
        }
        let direction = hash.direction;
        let len = attested_len(&body.connection_info.data, direction);
        let end = hash.ranges.end();
        if end > len as usize {
            return Err(VerifyError::CommitmentOutOfBounds { field: id, direction, end, len });
        }
        let ranges = hash.ranges.clone();
        out.push(HashCommitment { field: id, direction, ranges, alg, digest, opened: false });
    }
    if encodings > 1 {
        return Err(VerifyError::EncodingMultiple(encodings));
    }
    let mut seen = HashMap::with_capacity(out.len());
    for c in &out {
        let (direction, second) = (c.direction, c.field);
        if let Some(first) = seen.insert((direction, c.alg, &c.ranges), second) {
            return Err(VerifyError::CommitmentAmbiguous { first, second, direction });
        }
    }
    out.sort_by_key(|c| c.field);
    Ok((out, encodings))
}

fn check_identity(
    proof: &IdentityProof,
    body: &Body,
    version: WireVersion,
    policy: &TrustPolicy,
) -> Result<String, VerifyError> {
    let commitment = &body.cert_commitment.data;
    let alg =
        HashAlg::from_id(commitment.alg).ok_or(VerifyError::CertCommitmentAlgUnknown(commitment.alg))?;
    let opening = &proof.opening;
    let opened = alg.digest(&[&domain("ServerCertOpening"), &opening.to_bcs(version)]);
    if opened[..] != commitment.value[..] {
        return Err(VerifyError::CertCommitmentMismatch);
    }
    if opening.handshake.ephemeral_key != body.ephemeral_key.data {
        return Err(VerifyError::EphemeralKeyMismatch);
    }
    check_ephemeral_key(&body.ephemeral_key.data)?;
    let name = &proof.name.0;
    check_name(name)?;
    if let Some(wanted) = &policy.server_name
        && wanted != name
    {
        let (found, wanted) = (name.clone(), wanted.clone());
        return Err(VerifyError::ServerNameUnexpected { found, wanted });
    }
    let time = body.connection_info.data.time;
    verify_handshake(&opening.handshake, version, name, time, &policy.roots)?;
    Ok(name.clone())
}

/// Every revealed byte is covered by an opening of an attested commitment, and nothing else is
/// opened. Marks the opened commitments.
fn check_transcript(
    proof: &TranscriptProof,
    info: &ConnectionInfo,
    commitments: &mut [HashCommitment],
) -> Result<PartialTranscript, VerifyError> {
    for (direction, data) in [(Direction::Sent, &proof.sent), (Direction::Received, &proof.received)] {
        let attested = attested_len(info, direction);
        if data.total != attested as usize {
            let revealed = data.total;
            return Err(VerifyError::TranscriptLength { direction, revealed, attested });
        }
    }
    if proof.encoding.is_some() {
        return Err(VerifyError::EncodingUnsupported);
    }
    let transcript = PartialTranscript {
        sent: PartialData::expand(&proof.sent),
        received: PartialData::expand(&proof.received),
    };
    let mut work = 0;
    for secret in &proof.secrets {
        let direction = secret.direction;
        let alg = HashAlg::from_id(secret.alg).ok_or(VerifyError::OpeningAlgUnknown(secret.alg))?;
        let data = transcript.direction(direction).slices(&secret.ranges);
        let mut parts = data.ok_or(VerifyError::OpeningNotRevealed { direction })?;
        work += secret.ranges.len();
        if work > MAX_OPENED {
            return Err(VerifyError::OpeningsTooLarge { limit: MAX_OPENED });
        }
        parts.push(&secret.blinder);
        let digest = alg.digest(&parts);
        let commitment = commitments.iter_mut().find(|c| {
            (c.direction, c.alg, c.digest) == (direction, alg, digest) && c.ranges == secret.ranges
        });
        commitment.ok_or(VerifyError::OpeningMismatch { direction, alg })?.opened = true;
    }
    for direction in Direction::ALL {
        let opened = commitments.iter().filter(|c| c.opened && c.direction == direction);
        let covered = RangeSet::union(opened.flat_map(|c| c.ranges.iter()));
        if covered != *transcript.direction(direction).revealed() {
            return Err(VerifyError::TranscriptUnauthenticated { direction });
        }
    }
    Ok(transcript)
}
