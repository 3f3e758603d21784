//! Released statistics, signed by all three parties.

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::ids::{EntryHash, PublicKey, QueryId, Signature, SurveyId};
use crate::keys::{KeyError, SigningKey};

/// One released statistic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticValue {
    /// The statistic's name, as in the survey (`mean`).
    pub statistic: String,
    /// The column it is of; none for the count of submissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Its unit (the column's; squared for a variance).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Decimal text; none where the statistic is undefined (the sample variance of one value).
    pub value: Option<String>,
    /// The exact value as a fraction in lowest terms; none where it is irrational or undefined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Fraction>,
}

/// An exact rational number, in decimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fraction {
    /// Signed.
    pub numerator: String,
    /// Positive.
    pub denominator: String,
}

/// What the parties release for a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedStatistics {
    /// The survey.
    pub survey: SurveyId,
    /// The query answered.
    pub query: QueryId,
    /// Height of the log that the statistics cover.
    pub height: u64,
    /// Hash of the log entry at that height.
    pub head: EntryHash,
    /// Number of submissions covered.
    pub submissions: u64,
    /// Unix seconds at which the parties agreed to release.
    pub released_at: u64,
    /// The statistics, in the order asked.
    pub statistics: Vec<StatisticValue>,
}

impl ReleasedStatistics {
    /// The bytes that each party signs.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet result v1");
        w.array(self.survey.as_ref())
            .array(self.query.as_ref())
            .u64(self.height)
            .array(self.head.as_ref())
            .u64(self.submissions)
            .u64(self.released_at)
            .u64(self.statistics.len() as u64);
        let optional = |w: &mut Writer, v: Option<&str>| {
            match v {
                None => w.u8(0),
                Some(t) => w.u8(1).bytes(t.as_bytes()),
            };
        };
        for s in &self.statistics {
            w.bytes(s.statistic.as_bytes());
            optional(&mut w, s.column.as_deref());
            w.bytes(s.unit.as_bytes());
            optional(&mut w, s.value.as_deref());
            optional(&mut w, s.exact.as_ref().map(|f| f.numerator.as_str()));
            optional(&mut w, s.exact.as_ref().map(|f| f.denominator.as_str()));
        }
        w.finish()
    }

    /// One party's signature.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(&self.message())
    }
}

/// Released statistics with the signatures of all three parties, in party order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedResult {
    /// What was released.
    pub result: ReleasedStatistics,
    /// Signatures in party order.
    pub signatures: [Signature; 3],
}

/// A signature of a result does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature of party {party} does not verify: this result is not what the party released")]
pub struct BadResult {
    /// The party's index.
    pub party: u8,
}

impl SignedResult {
    /// Checks all three signatures against the survey's parties.
    pub fn verify(&self, parties: &[PublicKey; 3]) -> Result<(), BadResult> {
        let message = self.result.message();
        for ((party, key), signature) in (0u8..).zip(parties).zip(&self.signatures) {
            key.verify(&message, signature).map_err(|_: KeyError| BadResult { party })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_signed() {
        let keys = [1, 2, 3].map(|i| SigningKey::from_seed(&[i; 32]).unwrap());
        let parties = keys.each_ref().map(SigningKey::public);
        let value = StatisticValue {
            statistic: "mean".into(),
            column: Some("eth".into()),
            unit: "ETH".into(),
            value: Some("1.5".into()),
            exact: Some(Fraction { numerator: "3".into(), denominator: "2".into() }),
        };
        let result = ReleasedStatistics {
            survey: SurveyId([1; 32]),
            query: QueryId([2; 16]),
            height: 3,
            head: EntryHash([4; 32]),
            submissions: 5,
            released_at: 6,
            statistics: vec![value],
        };
        let signatures = keys.each_ref().map(|k| result.sign(k));
        let good = SignedResult { result, signatures };
        assert_eq!(good.verify(&parties), Ok(()));
        // Every scalar in the JSON form, changed, must break the signatures.
        let json = serde_json::to_value(&good.result).unwrap();
        let mut paths = Vec::new();
        leaves(&json, String::new(), &mut paths);
        assert!(paths.len() >= 12, "{paths:?}");
        for path in paths {
            let mut changed = json.clone();
            let leaf = changed.pointer_mut(&path).unwrap();
            *leaf = match leaf {
                serde_json::Value::Number(n) => (n.as_u64().unwrap() + 1).into(),
                serde_json::Value::String(s) => {
                    let last = s.pop().unwrap();
                    s.push(if last == '0' { '1' } else { '0' });
                    s.clone().into()
                }
                other => panic!("{other}"),
            };
            let bad = SignedResult {
                result: serde_json::from_value(changed).unwrap(),
                signatures: good.signatures,
            };
            assert_eq!(bad.verify(&parties), Err(BadResult { party: 0 }), "{path}");
        }
    }

    fn leaves(v: &serde_json::Value, path: String, out: &mut Vec<String>) {
        match v {
            serde_json::Value::Object(m) => m.iter().for_each(|(k, v)| leaves(v, format!("{path}/{k}"), out)),
            serde_json::Value::Array(a) => {
                a.iter().enumerate().for_each(|(i, v)| leaves(v, format!("{path}/{i}"), out))
            }
            _ => out.push(path),
        }
    }
}
