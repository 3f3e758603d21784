//! The content of a presentation file.

use crate::{
    codec::{Decode, Encode, Reader, Result, Writer},
    hash::TypedHash,
    limits::{MAX_HASH, MAX_MERKLE_HASHES},
    wire::{attestation::SignedBody, connection::IdentityProof, transcript::TranscriptProof},
};

/// Which leaves of a tree are shown, and helper hashes for those that are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MerkleProof {
    pub(crate) alg: u8,
    pub(crate) leaf_count: u64,
    pub(crate) hashes: Vec<Vec<u8>>,
}

impl Encode for MerkleProof {
    fn encode(&self, w: &mut Writer) {
        w.u8(self.alg);
        w.u64(self.leaf_count);
        w.len(self.hashes.len());
        for hash in &self.hashes {
            w.bytes(hash);
        }
    }
}

impl Decode for MerkleProof {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            alg: r.u8("the Merkle proof's algorithm")?,
            leaf_count: r.u64("the Merkle proof's leaf count")?,
            hashes: r.seq(MAX_MERKLE_HASHES, "the number of Merkle hashes", |r| {
                Ok(r.bytes(MAX_HASH, "a Merkle hash")?.to_vec())
            })?,
        })
    }
}

/// Root of a complete tree over `leaves`: `H(left || right)`, a node without right sibling moves
/// up unchanged (as in `rs_merkle`).
pub(crate) fn merkle_root(alg: crate::HashAlg, leaves: Vec<[u8; 32]>) -> Option<[u8; 32]> {
    let mut layer = leaves;
    while layer.len() > 1 {
        layer = layer
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => alg.digest(&[left, right]),
                single => single[0],
            })
            .collect();
    }
    layer.pop()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresentationFile {
    pub(crate) signed: SignedBody,
    pub(crate) merkle: MerkleProof,
    pub(crate) identity: Option<IdentityProof>,
    pub(crate) transcript: Option<TranscriptProof>,
}

impl PresentationFile {
    /// The root that the header claims, as a pair with its algorithm.
    pub(crate) fn root(&self) -> &TypedHash {
        &self.signed.header.root
    }
}

impl Encode for PresentationFile {
    fn encode(&self, w: &mut Writer) {
        self.signed.encode(w);
        self.merkle.encode(w);
        w.option(self.identity.as_ref());
        w.option(self.transcript.as_ref());
    }
}

impl Decode for PresentationFile {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            signed: SignedBody::decode(r)?,
            merkle: MerkleProof::decode(r)?,
            identity: r.option("the identity proof", IdentityProof::decode)?,
            transcript: r.option("the transcript proof", TranscriptProof::decode)?,
        })
    }
}
