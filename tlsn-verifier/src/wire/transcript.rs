//! Commitments to the transcript and their openings.

use crate::{
    DecodeError, Direction, RangeSet, WireVersion,
    codec::{Decode, Encode, Reader, Result, Writer},
    hash::TypedHash,
    limits::{MAX_ENCODING_OPENINGS, MAX_HASH_SECRETS, MAX_TRANSCRIPT},
    wire::presentation::MerkleProof,
};

/// `H(bytes of all ranges || blinder)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlaintextHash {
    pub(crate) direction: Direction,
    pub(crate) ranges: RangeSet,
    pub(crate) hash: TypedHash,
}

/// Alpha.12's commitment to wire encodings, with the encoder's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncodingCommitment {
    pub(crate) root: TypedHash,
    pub(crate) seed: [u8; 32],
    pub(crate) delta: [u8; 16],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TranscriptCommitment {
    Encoding(EncodingCommitment),
    Hash(PlaintextHash),
}

/// Variant index of hash commitments and secrets; alpha.12 has the encoding ones before them.
fn hash_variant(version: WireVersion) -> u32 {
    match version {
        WireVersion::Alpha12 => 1,
        WireVersion::Alpha15 => 0,
    }
}

impl Encode for TranscriptCommitment {
    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Encoding(c) => {
                w.variant(0);
                c.root.encode(w);
                w.raw(&c.seed);
                w.raw(&c.delta);
            }
            Self::Hash(c) => {
                w.variant(hash_variant(w.version));
                c.direction.encode(w);
                c.ranges.encode(w);
                c.hash.encode(w);
            }
        }
    }
}

impl Decode for TranscriptCommitment {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let hash = hash_variant(r.version);
        if r.variant(hash + 1, "the kind of commitment")? == hash {
            return Ok(Self::Hash(PlaintextHash {
                direction: Direction::decode(r)?,
                ranges: RangeSet::decode(r)?,
                hash: TypedHash::decode(r)?,
            }));
        }
        Ok(Self::Encoding(EncodingCommitment {
            root: TypedHash::decode(r)?,
            seed: r.array("the encoder seed")?,
            delta: r.array("the encoder delta")?,
        }))
    }
}

/// The secret of one hash commitment, besides the plaintext.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HashSecret {
    pub(crate) direction: Direction,
    pub(crate) ranges: RangeSet,
    pub(crate) alg: u8,
    pub(crate) blinder: [u8; 16],
}

impl Encode for HashSecret {
    fn encode(&self, w: &mut Writer) {
        self.direction.encode(w);
        self.ranges.encode(w);
        w.u8(self.alg);
        w.raw(&self.blinder);
    }
}

impl Decode for HashSecret {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            direction: Direction::decode(r)?,
            ranges: RangeSet::decode(r)?,
            alg: r.u8("an opening's algorithm")?,
            blinder: r.array("an opening's blinder")?,
        })
    }
}

impl core::fmt::Debug for HashSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "HashSecret({} {}, secret)", self.direction, self.ranges)
    }
}

impl Drop for HashSecret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.blinder);
    }
}

/// A secret as in a secrets file.
pub(crate) fn decode_tagged_secret(r: &mut Reader<'_>) -> Result<HashSecret> {
    let hash = hash_variant(r.version);
    if r.variant(hash + 1, "the kind of secret")? != hash {
        return Err(DecodeError::EncodingSecrets);
    }
    HashSecret::decode(r)
}

/// The inverse of [`decode_tagged_secret`].
pub(crate) fn encode_tagged_secret(secret: &HashSecret, w: &mut Writer) {
    w.variant(hash_variant(w.version));
    secret.encode(w);
}

/// Revealed bytes of one direction, without gaps, and where they belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revealed {
    pub(crate) data: Vec<u8>,
    pub(crate) ranges: RangeSet,
    pub(crate) total: usize,
}

impl Revealed {
    fn check(&self, direction: Direction) -> Result<()> {
        let indexed = self.ranges.len();
        if indexed != self.data.len() {
            return Err(DecodeError::IndexLengthMismatch { direction, indexed, given: self.data.len() });
        }
        if self.ranges.end() > self.total {
            return Err(DecodeError::IndexOutOfBounds { direction, end: self.ranges.end(), len: self.total });
        }
        Ok(())
    }
}

/// One opened leaf of an encoding commitment (alpha.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncodingOpening {
    leaf: u64,
    direction: Direction,
    ranges: RangeSet,
    blinder: [u8; 16],
}

impl Encode for EncodingOpening {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.leaf);
        self.direction.encode(w);
        self.ranges.encode(w);
        w.raw(&self.blinder);
    }
}

/// Read so that a presentation that rests on it is refused by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncodingProof {
    inclusion: MerkleProof,
    openings: Vec<EncodingOpening>,
}

impl Encode for EncodingProof {
    fn encode(&self, w: &mut Writer) {
        self.inclusion.encode(w);
        w.seq(&self.openings);
    }
}

impl Decode for EncodingProof {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            inclusion: MerkleProof::decode(r)?,
            openings: r.seq(MAX_ENCODING_OPENINGS, "the number of openings", |r| {
                Ok(EncodingOpening {
                    leaf: r.u64("an opening's leaf")?,
                    direction: Direction::decode(r)?,
                    ranges: RangeSet::decode(r)?,
                    blinder: r.array("an opening's blinder")?,
                })
            })?,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TranscriptProof {
    pub(crate) sent: Revealed,
    pub(crate) received: Revealed,
    /// Alpha.12 only.
    pub(crate) encoding: Option<EncodingProof>,
    pub(crate) secrets: Vec<HashSecret>,
}

impl Encode for TranscriptProof {
    fn encode(&self, w: &mut Writer) {
        w.bytes(&self.sent.data);
        w.bytes(&self.received.data);
        self.sent.ranges.encode(w);
        self.received.ranges.encode(w);
        w.usize(self.sent.total);
        w.usize(self.received.total);
        if w.version == WireVersion::Alpha12 {
            w.option(self.encoding.as_ref());
        }
        w.seq(&self.secrets);
    }
}

impl Decode for TranscriptProof {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let sent_data = r.bytes(MAX_TRANSCRIPT, "the revealed sent bytes")?.to_vec();
        let received_data = r.bytes(MAX_TRANSCRIPT, "the revealed received bytes")?.to_vec();
        let (sent_ranges, received_ranges) = (RangeSet::decode(r)?, RangeSet::decode(r)?);
        let sent = Revealed {
            data: sent_data,
            ranges: sent_ranges,
            total: r.bounded(MAX_TRANSCRIPT, "the total of sent bytes")?,
        };
        let received = Revealed {
            data: received_data,
            ranges: received_ranges,
            total: r.bounded(MAX_TRANSCRIPT, "the total of received bytes")?,
        };
        sent.check(Direction::Sent)?;
        received.check(Direction::Received)?;
        let encoding = match r.version {
            WireVersion::Alpha12 => r.option("the encoding proof", EncodingProof::decode)?,
            WireVersion::Alpha15 => None,
        };
        Ok(Self {
            sent,
            received,
            encoding,
            secrets: r.seq(MAX_HASH_SECRETS, "the number of openings", HashSecret::decode)?,
        })
    }
}
