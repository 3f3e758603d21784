//! The public part of a proof, and the reasons for which a submission is rejected.

/// Why a party rejects a submission on its own, or all do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum Reject {
    /// No private part came, or it did not open.
    #[error("the party has no readable private part; send the submission again")]
    MissingPrivate = 1,
    /// The private part is not of this party, version or statement.
    #[error("the private part is malformed or does not have the statement's length")]
    MalformedPrivate = 2,
    /// A seed is not the committed one.
    #[error("a share's seed does not match its public hash")]
    SeedHash = 3,
    /// The explicit share's witness is not the committed one.
    #[error("the explicit share of the witness does not match its public hash")]
    WitnessHash = 4,
    /// The explicit share's proof is not the committed one.
    #[error("the explicit share of the proof does not match its public hash")]
    ProofHash = 5,
    /// A checked wire is not zero: the value is not the committed one, not well-formed, out of range, or the
    /// arithmetic shares do not add up.
    #[error("the shares do not satisfy the statement (commitment, format, range or arithmetic shares)")]
    Unsatisfied = 6,
    /// The polynomial identity fails.
    #[error("the proof is invalid")]
    InvalidProof = 7,
    /// The private part was made for another context, statement or public part.
    #[error("the private part belongs to another submission")]
    Binding = 8,
    /// A row commitment is not that of the share's row.
    #[error("a row does not match its public commitment")]
    RowHash = 9,
}

impl Reject {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::MissingPrivate,
        Self::MalformedPrivate,
        Self::SeedHash,
        Self::WitnessHash,
        Self::ProofHash,
        Self::Unsatisfied,
        Self::InvalidProof,
        Self::Binding,
        Self::RowHash,
    ];

    /// Stable name for interfaces and logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::MissingPrivate => "missing-private-part",
            Self::MalformedPrivate => "malformed-private-part",
            Self::SeedHash => "seed-hash-mismatch",
            Self::WitnessHash => "witness-hash-mismatch",
            Self::ProofHash => "proof-hash-mismatch",
            Self::Unsatisfied => "statement-not-satisfied",
            Self::InvalidProof => "invalid-proof",
            Self::Binding => "binding-mismatch",
            Self::RowHash => "row-hash-mismatch",
        }
    }

    /// True if a party finds this out from its private part alone. The other reasons only the joint check knows.
    pub const fn alone(self) -> bool {
        !matches!(self, Self::Unsatisfied | Self::InvalidProof)
    }

    /// From the number in a frame.
    pub(crate) fn from_u8(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|r| *r as u8 == code)
    }
}

/// The commitments to the shares: the public part of a proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareHashes {
    /// To the seeds of shares 0 and 1, from which their witness and proof follow.
    pub seeds: [[u8; 32]; 2],
    /// To the witness in share 2.
    pub witness: [u8; 32],
    /// To the proof in share 2.
    pub proof: [u8; 32],
    /// To the rows of the three shares ([`commitment`](crate::rows::commitment)), for a party that loses its own.
    pub rows: [[u8; 32]; 3],
}

impl ShareHashes {
    /// Bytes of the encoding.
    pub const BYTES: usize = 224;

    /// The seven hashes, in the order of the fields.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let fields = [self.seeds[0], self.seeds[1], self.witness, self.proof];
        for (to, from) in out.as_chunks_mut::<32>().0.iter_mut().zip(fields.into_iter().chain(self.rows)) {
            *to = from;
        }
        out
    }

    /// Reads [`Self::encode`]'s bytes; `None` unless there are exactly [`Self::BYTES`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.as_chunks::<32>() {
            (&[a, b, witness, proof, r0, r1, r2], []) => {
                Some(Self { seeds: [a, b], witness, proof, rows: [r0, r1, r2] })
            }
            _ => None,
        }
    }
}
