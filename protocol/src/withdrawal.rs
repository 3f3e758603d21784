//! Leaving a survey: the provider's signed wish, and the statement that the parties sign when they have followed it.

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::ids::{EntryHash, PublicKey, Signature, SubmissionId, SurveyId};
use crate::keys::{KeyError, SigningKey, verify_of};

/// A provider's wish that a submission be erased: the body of `POST /v1/submissions/{id}/withdraw`. It is signed by
/// the key whose public half is in the submission's public part; the private half is in the provider's receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// The survey.
    pub survey: SurveyId,
    /// The submission.
    pub submission: SubmissionId,
    /// The withdrawal key's signature of [`Self::message`].
    pub signature: Signature,
}

impl Withdrawal {
    /// Signs the wish.
    pub fn sign(key: &SigningKey, survey: SurveyId, submission: SubmissionId) -> Self {
        let mut this = Self { survey, submission, signature: Signature([0; 64]) };
        this.signature = key.sign(&this.message());
        this
    }

    /// The signed bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet withdraw v1");
        w.array(self.survey.as_ref()).array(self.submission.as_ref());
        w.finish()
    }

    /// Checks the signature against the submission's withdrawal key.
    pub fn verify(&self, key: &PublicKey) -> Result<(), KeyError> {
        key.verify(&self.message(), &self.signature)
    }
}

/// The release point at which a row entered a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entered {
    /// The release point's number.
    pub release: u64,
    /// Its time, in Unix seconds.
    pub time: u64,
    /// Rows of the unit, with this one. The unit's sums are kept; nothing else of the row is.
    pub unit_rows: u64,
}

/// One party's signed word that a submission's shares are deleted there, by an entry that all three agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureReceipt {
    /// The survey.
    pub survey: SurveyId,
    /// The submission erased.
    pub submission: SubmissionId,
    /// The height of the log entry that erased it.
    pub height: u64,
    /// That entry's hash: all three parties name the same.
    pub entry: EntryHash,
    /// The entry's time, in Unix seconds: since then the row is in nothing that is computed anew.
    pub time: u64,
    /// The release point at which the row entered; `None` if it was still waiting, so that nothing about it was ever
    /// published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<Entered>,
    /// Index of the signing party.
    pub party: u8,
    /// The party's signature of [`Self::message`].
    pub signature: Signature,
}

impl ErasureReceipt {
    /// The signed bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet erasure v1");
        w.array(self.survey.as_ref()).array(self.submission.as_ref());
        w.u64(self.height).array(self.entry.as_ref()).u64(self.time);
        match &self.entered {
            None => w.u8(0),
            Some(e) => w.u8(1).u64(e.release).u64(e.time).u64(e.unit_rows),
        };
        w.u8(self.party);
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

    /// True if both are about the same erasure: everything but party and signature is equal.
    pub fn agrees(&self, other: &Self) -> bool {
        let neutral = |r: &Self| Self { party: 0, signature: Signature([0; 64]), ..r.clone() };
        neutral(self) == neutral(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_binds_survey_and_submission() {
        let key = SigningKey::from_seed(&[3; 32]).unwrap();
        let good = Withdrawal::sign(&key, SurveyId([1; 32]), SubmissionId([2; 32]));
        assert_eq!(good.verify(&key.public()), Ok(()));
        let other = SigningKey::from_seed(&[4; 32]).unwrap();
        assert!(good.verify(&other.public()).is_err());
        assert!(Withdrawal { survey: SurveyId([9; 32]), ..good.clone() }.verify(&key.public()).is_err());
        assert!(Withdrawal { submission: SubmissionId([9; 32]), ..good }.verify(&key.public()).is_err());
    }

    #[test]
    fn an_erasure_receipt_binds_every_field() {
        let keys = [1, 2, 3].map(|i| SigningKey::from_seed(&[i; 32]).unwrap());
        let parties = keys.each_ref().map(SigningKey::public);
        let entered = Entered { release: 2, time: 30, unit_rows: 12 };
        let base = ErasureReceipt {
            survey: SurveyId([1; 32]),
            submission: SubmissionId([2; 32]),
            height: 7,
            entry: EntryHash([3; 32]),
            time: 40,
            entered: Some(entered),
            party: 1,
            signature: Signature([0; 64]),
        };
        let good = base.signed(&keys[1]);
        assert_eq!(good.verify(&parties), Ok(()));
        let altered = [
            ErasureReceipt { survey: SurveyId([9; 32]), ..good.clone() },
            ErasureReceipt { submission: SubmissionId([9; 32]), ..good.clone() },
            ErasureReceipt { height: 8, ..good.clone() },
            ErasureReceipt { entry: EntryHash([9; 32]), ..good.clone() },
            ErasureReceipt { time: 41, ..good.clone() },
            ErasureReceipt { entered: None, ..good.clone() },
            ErasureReceipt { entered: Some(Entered { release: 3, ..entered }), ..good.clone() },
            ErasureReceipt { entered: Some(Entered { time: 31, ..entered }), ..good.clone() },
            ErasureReceipt { entered: Some(Entered { unit_rows: 13, ..entered }), ..good.clone() },
            ErasureReceipt { party: 2, ..good.clone() },
            ErasureReceipt { party: 3, ..good.clone() },
        ];
        for bad in altered {
            assert!(bad.verify(&parties).is_err(), "{bad:?}");
        }
        assert!(good.agrees(&ErasureReceipt { party: 0, ..good.clone() }));
        assert!(!good.agrees(&ErasureReceipt { entered: None, ..good.clone() }));
    }
}
