//! Released statistics, signed by all three parties.

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::filter::Filter;
use crate::ids::{EntryHash, PublicKey, QueryId, Signature, SurveyId};
use crate::keys::{KeyError, SigningKey};
use crate::release_point::ReleasePoint;

/// One released statistic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticValue {
    /// The statistic's name, as asked (`mean`, `quantile:0.9(eth)`, `mean@country`).
    pub statistic: String,
    /// The column, or two with a comma; `None` for the count of submissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Its unit (the column's; squared for a variance).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Decimal text; `None` where the statistic is undefined (the sample variance of one value) or has parts.
    pub value: Option<String>,
    /// The exact value as a fraction in lowest terms; `None` where it is irrational or undefined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Fraction>,
    /// Why there is no value, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
    /// Number of the covered submissions that have a value in each of its columns; `None` where all have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submissions: Option<u64>,
    /// The number of the release point that it was computed at, where that is an earlier one than the result's: order
    /// statistics are computed anew only when enough rows have entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    /// Rows that its groups do not tell apart, because they entered without that field; `None` if there are no such
    /// rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_told_apart: Option<u64>,
    /// The noise that was added to the sums that it is computed of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<AddedNoise>,
    /// The parts of a statistic that has several: bins, points of a curve, coefficients, or one for each group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartValue>,
}

/// Noise that the parties added to a sum before they opened it: of each group, if there are groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedNoise {
    /// The sum: of a column's values (`eth`), their squares (`eth^2`), or products (`eth*btc`).
    pub sum: String,
    /// `discrete-laplace`.
    pub mechanism: String,
    /// Privacy loss of this sum.
    pub epsilon: String,
    /// Most by which one submission changes the sum, in its unit.
    pub sensitivity: String,
    /// Standard deviation of the noise, in the sum's unit; rounded.
    pub deviation: String,
}

/// One part of a statistic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartValue {
    /// The part's name: a bin, a share, `slope`, a group's value. Empty: all groups that are too small to be shown
    /// alone.
    pub label: String,
    /// Submissions of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submissions: Option<u64>,
    /// The number of the release point that it was computed at, where that is an earlier one than the result's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    /// Its unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Decimal text; `None` where it is undefined.
    pub value: Option<String>,
    /// The exact value as a fraction in lowest terms; `None` where it is irrational or undefined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Fraction>,
    /// Why there is no value, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
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

/// The parties' answer to a question at a release point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedStatistics {
    /// The survey.
    pub survey: SurveyId,
    /// The question's id ([`crate::query_ticket::Question::id`]).
    pub query: QueryId,
    /// The release point that it is about.
    pub release: ReleasePoint,
    /// Height of the release point's entry in the log.
    pub height: u64,
    /// Hash of that entry.
    pub head: EntryHash,
    /// The covered submissions.
    #[serde(default, rename = "where", skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// Number of submissions covered.
    pub submissions: u64,
    /// Rows that the filter does not tell apart, because they entered without one of its fields, so that they are not
    /// covered; `None` if there are no such rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_told_apart: Option<u64>,
    /// The statistics, in the question's order.
    pub statistics: Vec<StatisticValue>,
}

impl ReleasedStatistics {
    /// The bytes that each party signs.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet result v5");
        w.array(self.survey.as_ref()).array(self.query.as_ref());
        self.release.write(&mut w);
        w.u64(self.height).array(self.head.as_ref());
        self.filter.write(&mut w);
        w.u64(self.submissions);
        count(&mut w, self.not_told_apart);
        w.u64(self.statistics.len() as u64);
        for s in &self.statistics {
            w.bytes(s.statistic.as_bytes());
            optional(&mut w, s.column.as_deref());
            number(&mut w, &s.unit, s.value.as_deref(), s.exact.as_ref());
            optional(&mut w, s.undefined.as_deref());
            count(&mut w, s.submissions);
            count(&mut w, s.release);
            count(&mut w, s.not_told_apart);
            w.u64(s.noise.len() as u64);
            for n in &s.noise {
                for text in [&n.sum, &n.mechanism, &n.epsilon, &n.sensitivity, &n.deviation] {
                    w.bytes(text.as_bytes());
                }
            }
            w.u64(s.parts.len() as u64);
            for p in &s.parts {
                w.bytes(p.label.as_bytes());
                count(&mut w, p.submissions);
                count(&mut w, p.release);
                number(&mut w, &p.unit, p.value.as_deref(), p.exact.as_ref());
                optional(&mut w, p.undefined.as_deref());
            }
        }
        w.finish()
    }

    /// One party's signature.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(&self.message())
    }
}

fn count(w: &mut Writer, count: Option<u64>) {
    match count {
        None => w.u8(0),
        Some(n) => w.u8(1).u64(n),
    };
}

fn optional(w: &mut Writer, text: Option<&str>) {
    match text {
        None => w.u8(0),
        Some(t) => w.u8(1).bytes(t.as_bytes()),
    };
}

fn number(w: &mut Writer, unit: &str, value: Option<&str>, exact: Option<&Fraction>) {
    w.bytes(unit.as_bytes());
    optional(w, value);
    optional(w, exact.map(|f| f.numerator.as_str()));
    optional(w, exact.map(|f| f.denominator.as_str()));
}

/// Released statistics with the signatures of all three parties, in party order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedResult {
    /// The released statistics.
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
        let value = StatisticValue {
            statistic: "mean".into(),
            column: Some("eth".into()),
            unit: "ETH".into(),
            value: Some("1.5".into()),
            exact: Some(Fraction { numerator: "3".into(), denominator: "2".into() }),
            ..StatisticValue::default()
        };
        let part = PartValue {
            label: "DE".into(),
            submissions: Some(4),
            release: Some(2),
            unit: "ETH".into(),
            value: Some("2".into()),
            exact: value.exact.clone(),
            undefined: None,
        };
        let grouped = StatisticValue {
            statistic: "mean@country".into(),
            column: Some("eth".into()),
            parts: vec![part.clone(), PartValue { label: "FR".into(), ..part }],
            ..StatisticValue::default()
        };
        let simple = released(vec![value.clone()], Filter::default());
        every_leaf_is_signed(&simple, 17);
        every_leaf_is_signed(&released(vec![value.clone(), grouped.clone()], Filter::default()), 29);
        every_leaf_is_signed(
            &released(vec![value.clone()], Filter::default().or("country", "DE").or("country", "FR")),
            19,
        );
        let noise = AddedNoise {
            sum: "eth".into(),
            mechanism: "discrete-laplace".into(),
            epsilon: "0.5".into(),
            sensitivity: "2".into(),
            deviation: "5.7".into(),
        };
        let noised = StatisticValue { noise: vec![noise.clone(), noise], ..grouped.clone() };
        every_leaf_is_signed(&released(vec![noised], Filter::default()), 33);
        let counted = StatisticValue {
            submissions: Some(4),
            release: Some(2),
            not_told_apart: Some(1),
            ..value.clone()
        };
        every_leaf_is_signed(&released(vec![counted, grouped.clone()], Filter::default()), 32);
        // A part or a filter taken away, or moved to another statistic, is another message.
        let first = released(vec![grouped.clone(), grouped.clone()], Filter::default());
        let mut moved = first.clone();
        let part = moved.statistics[0].parts.pop().unwrap();
        moved.statistics[1].parts.insert(0, part);
        assert_ne!(first.message(), moved.message());
    }

    fn released(statistics: Vec<StatisticValue>, filter: Filter) -> ReleasedStatistics {
        ReleasedStatistics {
            survey: SurveyId([1; 32]),
            query: QueryId([2; 16]),
            release: ReleasePoint { number: 2, time: 6, rows: 9, units: 3, erased_rows: 1 },
            height: 3,
            head: EntryHash([4; 32]),
            filter,
            submissions: 5,
            not_told_apart: Some(4),
            statistics,
        }
    }

    fn every_leaf_is_signed(result: &ReleasedStatistics, leaves_at_least: usize) {
        let keys = [1, 2, 3].map(|i| SigningKey::from_seed(&[i; 32]).unwrap());
        let parties = keys.each_ref().map(SigningKey::public);
        let result = result.clone();
        let signatures = keys.each_ref().map(|k| result.sign(k));
        let good = SignedResult { result, signatures };
        assert_eq!(good.verify(&parties), Ok(()));
        // Every scalar in the JSON form, changed, must break the signatures.
        let json = serde_json::to_value(&good.result).unwrap();
        let mut paths = Vec::new();
        leaves(&json, String::new(), &mut paths);
        assert!(paths.len() >= leaves_at_least, "{paths:?}");
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
                serde_json::Value::Null => "0".into(),
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
