//! Giving up an entry whose rows two parties have lost: the three operators' signed word that it never becomes final.

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::ids::{EntryHash, PublicKey, Signature, SurveyId};
use crate::keys::SigningKey;
use crate::log::{EntryBody, LogEntry};

/// The entry that is given up, and the place in the log that it would have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abandoned {
    /// The survey.
    pub survey: SurveyId,
    /// The height at which the log has stopped.
    pub height: u64,
    /// The entry below it, which is final.
    pub previous: EntryHash,
    /// The entry that is given up.
    pub entry: EntryHash,
}

impl Abandoned {
    /// The bytes that each operator signs with the identity key.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet abandon v1");
        w.array(self.survey.as_ref()).u64(self.height);
        w.array(self.previous.as_ref()).array(self.entry.as_ref());
        w.finish()
    }
}

/// One operator's consent, in the file that `party-host abandon` writes. It counts together with the two others' only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The entry that it is to.
    pub abandoned: Abandoned,
    /// The operator's identity key.
    pub operator: PublicKey,
    /// The operator's signature of [`Abandoned::message`].
    pub signature: Signature,
}

impl Consent {
    /// An operator's consent.
    pub fn sign(key: &SigningKey, abandoned: Abandoned) -> Self {
        Self { abandoned, operator: key.public(), signature: key.sign(&abandoned.message()) }
    }
}

/// Why consents do not give an entry up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AbandonError {
    /// An operator's consent is missing.
    #[error(
        "the consent of operator {0} is missing: each of the three runs `party-host abandon` on their own party"
    )]
    Missing(PublicKey),
    /// Two are about different entries.
    #[error(
        "the consents are about different entries or places in the log: the operators compare what they mean"
    )]
    Differ,
    /// A signature does not hold.
    #[error("the consent of party {0} is not signed with its operator's identity key, or was altered")]
    Signature(u8),
}

/// The consents of all three operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abandonment {
    /// The entry that is given up.
    pub abandoned: Abandoned,
    /// The operators' signatures of [`Abandoned::message`], in party order.
    pub operators: [Signature; 3],
}

impl Abandonment {
    /// Puts three consents together, in whatever order they come.
    pub fn of(parties: &[PublicKey; 3], consents: &[Consent]) -> Result<Self, AbandonError> {
        let mut operators = [Signature([0; 64]); 3];
        for (key, signature) in parties.iter().zip(&mut operators) {
            let consent = consents.iter().find(|c| c.operator == *key).ok_or(AbandonError::Missing(*key))?;
            *signature = consent.signature;
        }
        let abandoned = consents.first().map(|c| c.abandoned).ok_or(AbandonError::Missing(parties[0]))?;
        if consents.iter().any(|c| c.abandoned != abandoned) {
            return Err(AbandonError::Differ);
        }
        let this = Self { abandoned, operators };
        this.verify(parties).map(|()| this)
    }

    /// Checks the three signatures.
    pub fn verify(&self, parties: &[PublicKey; 3]) -> Result<(), AbandonError> {
        let message = self.abandoned.message();
        for ((i, key), signature) in (0u8..).zip(parties).zip(&self.operators) {
            key.verify(&message, signature).map_err(|_| AbandonError::Signature(i))?;
        }
        Ok(())
    }

    /// The log entry that takes the place of the one given up.
    pub fn entry(&self, at: u64) -> LogEntry {
        let Abandoned { survey, height, previous, entry } = self.abandoned;
        let body = EntryBody::Void { entry, operators: Box::new(self.operators) };
        LogEntry { survey, height, previous, at, body }
    }

    /// The abandonment that an entry of the log shows; `None` for an entry of another kind.
    pub fn shown(entry: &LogEntry) -> Option<Self> {
        let EntryBody::Void { entry: given_up, operators } = &entry.body else { return None };
        let LogEntry { survey, height, previous, .. } = *entry;
        let abandoned = Abandoned { survey, height, previous, entry: *given_up };
        Some(Self { abandoned, operators: **operators })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [SigningKey; 3] {
        [1, 2, 3].map(|n| SigningKey::from_seed(&[n; 32]).unwrap())
    }

    const WHAT: Abandoned = Abandoned {
        survey: SurveyId([1; 32]),
        height: 7,
        previous: EntryHash([2; 32]),
        entry: EntryHash([3; 32]),
    };

    #[test]
    fn it_takes_all_three_operators_word_about_one_entry() {
        let keys = keys();
        let parties = keys.each_ref().map(SigningKey::public);
        let [a, b, c] = keys.each_ref().map(|k| Consent::sign(k, WHAT));
        let good = Abandonment::of(&parties, &[c.clone(), a.clone(), b.clone()]).unwrap();
        assert_eq!(Abandonment::shown(&good.entry(99)), Some(good.clone()));
        let missing = Abandonment::of(&parties, &[a.clone(), b.clone(), a.clone()]);
        assert_eq!(missing, Err(AbandonError::Missing(parties[2])));
        assert!(Abandonment::of(&parties, &[]).is_err());
        type Change = fn(&mut Abandoned);
        let changes: [Change; 4] = [
            |a| a.survey = SurveyId([9; 32]),
            |a| a.height += 1,
            |a| a.previous = EntryHash([9; 32]),
            |a| a.entry = EntryHash([9; 32]),
        ];
        for change in changes {
            let mut other = WHAT;
            change(&mut other);
            let differs = [a.clone(), b.clone(), Consent::sign(&keys[2], other)];
            assert_eq!(Abandonment::of(&parties, &differs), Err(AbandonError::Differ));
            let moved = Abandonment { abandoned: other, ..good.clone() };
            assert_eq!(moved.verify(&parties), Err(AbandonError::Signature(0)));
        }
        for i in 0..3 {
            let mut forged = good.clone();
            forged.operators[i] = forged.operators[(i + 1) % 3];
            assert_eq!(forged.verify(&parties), Err(AbandonError::Signature(i as u8)));
        }
    }
}
