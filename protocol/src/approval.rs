//! An operator's signed consent that its party runs a survey.

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::ids::{PublicKey, Signature, SurveyId};
use crate::keys::SigningKey;

/// An operator's consent to one survey, signed by the identity key that the survey pins. A party runs no survey without it:
/// somebody who can write into the party's folder of surveys, but does not have its operator's key, cannot add one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The survey.
    pub survey: SurveyId,
    /// The identity key of the operator who consents.
    pub identity: PublicKey,
    /// The identity key's signature of [`Self::message`].
    pub signature: Signature,
}

/// Why an approval does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// It names another survey.
    #[error("it approves the survey {0}")]
    OtherSurvey(SurveyId),
    /// Another operator made it.
    #[error("it is the approval of the operator with the identity key {0}")]
    OtherOperator(PublicKey),
    /// The signature is wrong.
    #[error("the operator's identity key did not sign it")]
    Signature,
}

impl Approval {
    /// Consents to a survey.
    pub fn sign(key: &SigningKey, survey: SurveyId) -> Self {
        let mut this = Self { survey, identity: key.public(), signature: Signature([0; 64]) };
        this.signature = key.sign(&this.message());
        this
    }

    /// The name of the file that holds the approval, in the folder of the survey's own file. It names the operator, so that the
    /// approvals of several can lie in one folder.
    pub fn file_name(survey: &SurveyId, identity: &PublicKey) -> String {
        format!("{survey}.{identity}.approval")
    }

    /// The signed bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet survey approval v1");
        w.array(self.survey.as_ref()).array(self.identity.as_ref());
        w.finish()
    }

    /// Checks that this is the consent of the operator `identity` to `survey`.
    ///
    /// # Errors
    /// It is about another survey, of another operator, or not signed by that operator's identity key.
    pub fn verify(&self, survey: &SurveyId, identity: &PublicKey) -> Result<(), ApprovalError> {
        if self.survey != *survey {
            return Err(ApprovalError::OtherSurvey(self.survey));
        }
        if self.identity != *identity {
            return Err(ApprovalError::OtherOperator(self.identity));
        }
        identity.verify(&self.message(), &self.signature).map_err(|_| ApprovalError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_of_one_survey_and_one_operator() {
        let [key, other] = [1, 2].map(|i| SigningKey::from_seed(&[i; 32]).unwrap());
        let (survey, another) = (SurveyId([7; 32]), SurveyId([8; 32]));
        let approval = Approval::sign(&key, survey);
        assert_eq!(approval.verify(&survey, &key.public()), Ok(()));
        assert_eq!(approval.verify(&another, &key.public()), Err(ApprovalError::OtherSurvey(survey)));
        assert_eq!(
            approval.verify(&survey, &other.public()),
            Err(ApprovalError::OtherOperator(key.public()))
        );
        // Each field is signed.
        let moved = Approval { survey: another, ..approval.clone() };
        assert_eq!(moved.verify(&another, &key.public()), Err(ApprovalError::Signature));
        let taken = Approval { identity: other.public(), ..approval.clone() };
        assert_eq!(taken.verify(&survey, &other.public()), Err(ApprovalError::Signature));
        for byte in 0..64 {
            let mut bent = approval.clone();
            bent.signature.0[byte] ^= 1;
            assert_eq!(bent.verify(&survey, &key.public()), Err(ApprovalError::Signature), "byte {byte}");
        }
    }
}
