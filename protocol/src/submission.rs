//! A submission: one public part, three sealed private parts, and the messages about it that the coordinator and the
//! parties sign.

use serde::{Deserialize, Serialize};
use tercet_mutants::mutant;
use zeroize::Zeroizing;

pub use tercet_mpc::ShareHashes;

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{EntryHash, Nullifier, PublicKey, SealingKey, Signature, SubmissionId, SurveyId, sha256};
use crate::keys::{KeyError, OpeningKey, SigningKey, verify_of};
use crate::kind::Kind;

/// Largest evidence accepted, in bytes. It carries the transcript(its shown part) and certificates.
pub const MAX_EVIDENCE: usize = 256 * 1024;
/// Uploads that a party holds until they are decided, unless its operator says otherwise. The coordinator admits no more at
/// a time, so an admitted submission has a place.
pub const MAX_PENDING: usize = 4096;
/// Largest sealed private part, in bytes (about 13 KB for a SHA-256 statement over one column, 150 KB for a recorded
/// session of 2 KB, 2.3 MB for the longest). A party knows the size for a statement before it keeps a part.
pub const MAX_SEALED: usize = tercet_mpc::proof::PRIVATE_MAX_BYTES + 1024;
/// Largest body of a share upload, in bytes.
pub const MAX_UPLOAD: usize = MAX_EVIDENCE + MAX_SEALED + 4096;

const FORMAT: &str = "tercet submission v2";

/// The part of a submission that everybody may see. Identical bytes go to the coordinator and to all parties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicPart {
    /// The survey.
    pub survey: SurveyId,
    /// The kind of evidence that it rests on.
    pub kind: Kind,
    /// The holder of the private half may have the submission erased ([`crate::withdrawal::Withdrawal`]).
    pub withdrawal_key: PublicKey,
    /// The evidence, as its file.
    pub evidence: Vec<u8>,
    /// The commitments to the three shares of witness and proof, and to the rows.
    pub share_hashes: ShareHashes,
}

impl PublicPart {
    /// The bytes that travel and that [`Self::id`] hashes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::tagged(FORMAT);
        w.array(self.survey.as_ref())
            .u8(self.kind.byte())
            .array(self.withdrawal_key.as_ref())
            .bytes(&self.evidence)
            .bytes(&self.share_hashes.encode());
        w.finish()
    }

    /// Reads [`Self::encode`]'s bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes);
        if r.bytes("format", 64)? != FORMAT.as_bytes() {
            return Err(CodecError::Unknown("format"));
        }
        let this = Self {
            survey: SurveyId(r.array()?),
            kind: Kind::from_byte(r.u8()?).ok_or(CodecError::Unknown("kind of evidence"))?,
            withdrawal_key: PublicKey(r.array()?),
            evidence: r.bytes("evidence", MAX_EVIDENCE)?.to_vec(),
            share_hashes: ShareHashes::decode(r.bytes("share_hashes", ShareHashes::BYTES)?)
                .ok_or(CodecError::Truncated)?,
        };
        r.finish()?;
        Ok(this)
    }

    /// The submission's id: the SHA-256 of its encoding.
    pub fn id(&self) -> SubmissionId {
        SubmissionId(sha256(&[&self.encode()]))
    }

    /// The context to which the provider's proof is bound besides its statement: survey, evidence, and who may
    /// withdraw it.
    pub fn proof_context(&self) -> [u8; 32] {
        let mut w = Writer::tagged("tercet proof context v2");
        w.array(self.survey.as_ref())
            .u8(self.kind.byte())
            .array(self.withdrawal_key.as_ref())
            .array(&sha256(&[&self.evidence]));
        sha256(&[&w.finish()])
    }
}

const SEAL_INFO: &[u8] = b"tercet private part v1";

fn seal_aad(id: SubmissionId, party: u8) -> Vec<u8> {
    let mut aad = if mutant!("sealing-without-submission") { Vec::new() } else { id.0.to_vec() };
    aad.push(party);
    aad
}

/// Seals one party's private part to that party, bound to the submission and the party's index.
pub fn seal_private(
    key: SealingKey,
    id: SubmissionId,
    party: u8,
    private: &[u8],
) -> Result<Vec<u8>, KeyError> {
    key.seal(private, SEAL_INFO, &seal_aad(id, party))
}

/// Opens a part that [`seal_private`] made.
pub fn open_private(
    key: &OpeningKey,
    id: SubmissionId,
    party: u8,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    key.open(sealed, SEAL_INFO, &seal_aad(id, party))
}

/// The body of `PUT /v1/submissions/{id}/share` at a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareUpload {
    /// The public part's encoding.
    pub public: Vec<u8>,
    /// The coordinator's ticket.
    pub ticket: Ticket,
    /// The private part, sealed to this party.
    pub sealed: Vec<u8>,
}

impl ShareUpload {
    /// Bytes at the start of an upload that hold its ticket: a party reads no more before it has checked them.
    pub const HEAD: usize = 4 + Self::TAG.len() + Ticket::LEN;
    const TAG: &str = "tercet share v2";

    /// Bytes on the wire: the ticket comes first.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::tagged(Self::TAG);
        w.array(&self.ticket.encode()).bytes(&self.public).bytes(&self.sealed);
        w.finish()
    }

    /// Reads the ticket from the first [`Self::HEAD`] bytes.
    pub fn ticket(head: &[u8]) -> Result<Ticket, CodecError> {
        let mut r = Reader::new(head);
        if r.bytes("format", 64)? != Self::TAG.as_bytes() {
            return Err(CodecError::Unknown("format"));
        }
        Ticket::decode(r.take(Ticket::LEN)?)
    }

    /// Reads [`Self::encode`]'s bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes);
        if r.bytes("format", 64)? != Self::TAG.as_bytes() {
            return Err(CodecError::Unknown("format"));
        }
        let ticket = Ticket::decode(r.take(Ticket::LEN)?)?;
        let this = Self {
            ticket,
            public: r.bytes("public", MAX_EVIDENCE + 2048)?.to_vec(),
            sealed: r.bytes("sealed", MAX_SEALED)?.to_vec(),
        };
        r.finish()?;
        Ok(this)
    }
}

/// The coordinator's word that a submission passed admission (rate limits, identity not seen before). Parties
/// check everything else for themselves; the ticket only keeps floods away from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The survey.
    pub survey: SurveyId,
    /// The submission admitted.
    pub submission: SubmissionId,
    /// Unix seconds after which parties refuse it.
    pub expires: u64,
    /// The coordinator's signature of [`Self::message`].
    pub signature: Signature,
}

impl Ticket {
    /// Bytes of its encoding.
    const LEN: usize = 32 + 32 + 8 + 64;

    /// Issues a ticket.
    pub fn issue(key: &SigningKey, survey: SurveyId, submission: SubmissionId, expires: u64) -> Self {
        let mut this = Self { survey, submission, expires, signature: Signature([0; 64]) };
        this.signature = key.sign(&this.message());
        this
    }

    /// The signed bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet ticket v1");
        w.array(self.survey.as_ref()).array(self.submission.as_ref()).u64(self.expires);
        w.finish()
    }

    /// Checks the coordinator's signature (not the expiry: the caller owns the clock).
    pub fn verify(&self, coordinator: &PublicKey) -> Result<(), KeyError> {
        coordinator.verify(&self.message(), &self.signature)
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.array(self.survey.as_ref())
            .array(self.submission.as_ref())
            .u64(self.expires)
            .array(self.signature.as_ref());
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes);
        let this = Self {
            survey: SurveyId(r.array()?),
            submission: SubmissionId(r.array()?),
            expires: r.u64()?,
            signature: Signature(r.array()?),
        };
        r.finish()?;
        Ok(this)
    }
}

/// One party's signed word that a submission is in its log for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The survey.
    pub survey: SurveyId,
    /// The submission accepted.
    pub submission: SubmissionId,
    /// Its identity's nullifier.
    pub nullifier: Nullifier,
    /// The log height at which it was accepted.
    pub height: u64,
    /// The log entry's hash: all three parties name the same.
    pub entry: EntryHash,
    /// Index of the signing party.
    pub party: u8,
    /// The party's signature of [`Self::message`].
    pub signature: Signature,
}

impl Receipt {
    /// The signed bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet receipt v1");
        w.array(self.survey.as_ref())
            .array(self.submission.as_ref())
            .array(self.nullifier.as_ref())
            .u64(self.height)
            .array(self.entry.as_ref())
            .u8(self.party);
        w.finish()
    }

    /// Signs in place.
    pub fn signed(mut self, key: &SigningKey) -> Self {
        self.signature = key.sign(&self.message());
        self
    }

    /// Checks the signature against the survey's parties.
    pub fn verify(&self, parties: &[PublicKey; 3]) -> Result<(), KeyError> {
        verify_of(parties, self.party, &self.message(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> PublicPart {
        PublicPart {
            survey: SurveyId([1; 32]),
            kind: Kind::Presentation,
            withdrawal_key: PublicKey([4; 32]),
            evidence: vec![2; 100],
            share_hashes: ShareHashes { witness: [3; 32], ..ShareHashes::default() },
        }
    }

    #[test]
    fn encodings_are_canonical() {
        let key = SigningKey::from_seed(&[9; 32]).unwrap();
        let public = public();
        let upload = ShareUpload {
            ticket: Ticket::issue(&key, public.survey, public.id(), 77),
            public: public.encode(),
            sealed: vec![4; 50],
        };
        let bytes = upload.encode();
        assert_eq!(ShareUpload::decode(&bytes).unwrap(), upload);
        assert_eq!(PublicPart::decode(&upload.public).unwrap(), public);
        for n in 0..bytes.len() {
            assert!(ShareUpload::decode(&bytes[..n]).is_err(), "cut at {n}");
        }
        assert_eq!(ShareUpload::decode(&[&bytes[..], &[0]].concat()), Err(CodecError::Trailing(1)));
    }

    #[test]
    fn tickets_and_receipts_bind_every_field() {
        let key = SigningKey::from_seed(&[9; 32]).unwrap();
        let good = Ticket::issue(&key, SurveyId([1; 32]), SubmissionId([2; 32]), 5);
        assert_eq!(good.verify(&key.public()), Ok(()));
        let altered = [
            Ticket { survey: SurveyId([3; 32]), ..good.clone() },
            Ticket { submission: SubmissionId([3; 32]), ..good.clone() },
            Ticket { expires: 6, ..good.clone() },
        ];
        for t in altered {
            assert_eq!(t.verify(&key.public()), Err(KeyError::BadSignature), "{t:?}");
        }
        let parties = [0, 1, 2].map(|i| SigningKey::from_seed(&[i; 32]).unwrap());
        let publics = parties.each_ref().map(SigningKey::public);
        let base = Receipt {
            survey: SurveyId([1; 32]),
            submission: SubmissionId([2; 32]),
            nullifier: Nullifier([3; 32]),
            height: 4,
            entry: EntryHash([5; 32]),
            party: 1,
            signature: Signature([0; 64]),
        };
        let good = base.signed(&parties[1]);
        assert_eq!(good.verify(&publics), Ok(()));
        let altered = [
            Receipt { survey: SurveyId([9; 32]), ..good.clone() },
            Receipt { submission: SubmissionId([9; 32]), ..good.clone() },
            Receipt { nullifier: Nullifier([9; 32]), ..good.clone() },
            Receipt { height: 9, ..good.clone() },
            Receipt { entry: EntryHash([9; 32]), ..good.clone() },
            Receipt { party: 2, ..good.clone() },
            Receipt { party: 3, ..good.clone() },
        ];
        for r in altered {
            assert!(r.verify(&publics).is_err(), "{r:?}");
        }
    }

    #[test]
    fn id_and_context_depend_on_what_they_bind() {
        let a = public();
        let other_evidence = PublicPart { evidence: vec![9; 100], ..a.clone() };
        let other_kind = PublicPart { kind: Kind::Session, ..a.clone() };
        let other_survey = PublicPart { survey: SurveyId([9; 32]), ..a.clone() };
        let other_hashes = PublicPart { share_hashes: ShareHashes::default(), ..a.clone() };
        for b in [&other_evidence, &other_kind, &other_survey] {
            assert_ne!(a.id(), b.id());
            assert_ne!(a.proof_context(), b.proof_context());
        }
        assert_ne!(a.id(), other_hashes.id());
        // Nobody on the way can put another key in: the private parts are sealed to the id.
        let other_key = PublicPart { withdrawal_key: PublicKey([9; 32]), ..a.clone() };
        assert_ne!(a.id(), other_key.id());
        assert_ne!(a.proof_context(), other_key.proof_context());
    }

    #[test]
    fn a_private_part_is_sealed_to_one_submission_and_party() {
        let key = OpeningKey::from_seed(&[7; 32]);
        let id = public().id();
        let sealed = seal_private(key.public(), id, 1, b"private").unwrap();
        assert_eq!(&open_private(&key, id, 1, &sealed).unwrap()[..], b"private");
        assert_eq!(open_private(&key, id, 2, &sealed), Err(KeyError::CannotOpen));
        for bit in [0, 255] {
            let mut other = id;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_private(&key, other, 1, &sealed), Err(KeyError::CannotOpen));
        }
    }
}
