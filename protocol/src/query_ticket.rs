//! Questions in their one canonical form, and the coordinator's tickets for them.
//!
//! A party computes nothing without a ticket that the survey does not list. The ticket only keeps floods away from
//! the parties: each party checks for itself that the question is permitted and that the answer is about whole units.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::filter::Filter;
use crate::ids::{Nonce, PublicKey, QueryId, Signature, SurveyId, sha256};
use crate::keys::SigningKey;
use crate::statistic::permitted;
use crate::survey::{MAX_STATISTICS, SurveyManifest};

/// Most statistics that one question may name. The survey's own list may be longer.
pub const MAX_ASKED: usize = 64;

/// A question, in the one form in which it is hashed, signed and stored: the statistics in their usual spelling,
/// sorted and each once, and the filter. Two requests that mean the same are the same question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Names of the statistics.
    pub statistics: BTreeSet<String>,
    /// The units that count. Empty: all.
    #[serde(default, rename = "where", skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
}

/// A question that the survey does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The survey does not release a statistic of this name.
    #[error("the survey does not release \"{name}\"{why}; it releases: {listed}")]
    NotReleased {
        /// The name, escaped and shortened.
        name: String,
        /// Why the name cannot be read, where it cannot.
        why: String,
        /// The survey's list.
        listed: String,
    },
    /// The filter names a field or value that the survey does not have.
    #[error("{0}")]
    Filter(String),
    /// No statistic is named.
    #[error("name the statistics, with their parameters, out of: {0}")]
    Empty(String),
    /// More statistics than one question may name.
    #[error("ask for at most {MAX_ASKED} statistics at a time")]
    TooMany,
    /// The names are not spelled as the survey's rules spell them.
    #[error("\"{0}\" is not the usual spelling of this statistic: a question has one spelling only")]
    Spelling(String),
}

impl Question {
    /// The survey's own question: all statistics that it lists, of all units. The parties answer it by themselves at
    /// each release point.
    pub fn listed(manifest: &SurveyManifest) -> Self {
        let statistics = manifest.statistics().iter().map(ToString::to_string).collect();
        Self { statistics, filter: Filter::default() }
    }

    /// The question that these names and this filter mean. No names: all that the survey lists.
    pub fn of(manifest: &SurveyManifest, names: &[String], filter: Filter) -> Result<Self, QuestionError> {
        filter.check(manifest).map_err(QuestionError::Filter)?;
        if names.is_empty() {
            let this = Self { filter, ..Self::listed(manifest) };
            return if this.statistics.is_empty() {
                Err(QuestionError::Empty(list(manifest)))
            } else {
                Ok(this)
            };
        }
        if names.len() > MAX_ASKED {
            return Err(QuestionError::TooMany);
        }
        let usual = |name: &String| usual(manifest, name);
        Ok(Self { statistics: names.iter().map(usual).collect::<Result<_, _>>()?, filter })
    }

    /// Checks a question that came from somebody else: permitted, and in its canonical form.
    pub fn check(&self, manifest: &SurveyManifest) -> Result<(), QuestionError> {
        self.filter.check(manifest).map_err(QuestionError::Filter)?;
        if self.statistics.is_empty() {
            return Err(QuestionError::Empty(list(manifest)));
        }
        let of_the_list = self.statistics == Self::listed(manifest).statistics;
        if self.statistics.len() > MAX_ASKED && !of_the_list {
            return Err(QuestionError::TooMany);
        }
        for name in &self.statistics {
            if usual(manifest, name)? != *name {
                return Err(QuestionError::Spelling(shown(name)));
            }
        }
        Ok(())
    }

    /// The id of this question about `survey` at the release point `release`: the first 16 bytes of a hash. The same
    /// question at the same point has the same id, so it is computed once and its answer is kept for ever.
    pub fn id(&self, survey: SurveyId, release: u64) -> QueryId {
        let mut w = Writer::tagged("tercet question v1");
        w.array(survey.as_ref()).u64(release);
        self.write(&mut w);
        let mut id = [0; 16];
        id.copy_from_slice(&sha256(&[&w.finish()])[..16]);
        QueryId(id)
    }

    fn write(&self, w: &mut Writer) {
        w.u64(self.statistics.len() as u64);
        for name in &self.statistics {
            w.bytes(name.as_bytes());
        }
        self.filter.write(w);
    }
}

fn list(manifest: &SurveyManifest) -> String {
    manifest.survey.statistics.join(", ")
}

fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

fn usual(manifest: &SurveyManifest, name: &str) -> Result<String, QuestionError> {
    match permitted(manifest, name) {
        Some(statistic) => Ok(statistic.to_string()),
        None => {
            let why = name.parse::<crate::statistic::Statistic>().err();
            let why = why.map(|e| format!(" ({e})")).unwrap_or_default();
            Err(QuestionError::NotReleased { name: shown(name), why, listed: list(manifest) })
        }
    }
}

// A survey's own list never has more names than it may list, so both bounds are finite.
const _: () = assert!(MAX_ASKED <= MAX_STATISTICS);

/// The coordinator's word that a question passed its limits. Parties start no query without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryTicket {
    /// The survey.
    pub survey: SurveyId,
    /// The release point that the question is about.
    pub release: u64,
    /// The question.
    pub question: Question,
    /// Unix seconds after which parties refuse it.
    pub expires: u64,
    /// Random: no two tickets are the same.
    pub nonce: Nonce,
    /// The coordinator's signature of [`Self::message`].
    pub signature: Signature,
}

/// A query ticket that is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryTicketError {
    /// No key of the coordinator signed it.
    #[error("the coordinator did not sign this query ticket")]
    Signature,
    /// It is too old.
    #[error("the query ticket has expired: ask the coordinator for a new one")]
    Expired,
}

impl QueryTicket {
    /// Issues a ticket.
    pub fn issue(
        key: &SigningKey,
        survey: SurveyId,
        release: u64,
        question: Question,
        expires: u64,
        nonce: Nonce,
    ) -> Self {
        let mut this = Self { survey, release, question, expires, nonce, signature: Signature([0; 64]) };
        this.signature = key.sign(&this.message());
        this
    }

    /// The signed bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet query ticket v1");
        w.array(self.survey.as_ref()).u64(self.release);
        self.question.write(&mut w);
        w.u64(self.expires).array(self.nonce.as_ref());
        w.finish()
    }

    /// Checks the signature against the coordinator's keys (two while one is being replaced) and the expiry at `now`,
    /// in Unix seconds. The question is not judged here: see [`Question::check`].
    pub fn verify(&self, keys: &[PublicKey], now: u64) -> Result<(), QueryTicketError> {
        let message = self.message();
        if !keys.iter().any(|key| key.verify(&message, &self.signature).is_ok()) {
            return Err(QueryTicketError::Signature);
        }
        if self.expires < now { Err(QueryTicketError::Expired) } else { Ok(()) }
    }

    /// The id of the query that it admits.
    pub fn query(&self) -> QueryId {
        self.question.id(self.survey, self.release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        let statistics = ["mean".to_owned(), "count".to_owned()].into();
        Question { statistics, filter: Filter::default().or("country", "DE") }
    }

    #[test]
    fn a_ticket_binds_every_field_and_ends() {
        let key = SigningKey::from_seed(&[9; 32]).unwrap();
        let other = SigningKey::from_seed(&[8; 32]).unwrap().public();
        let good = QueryTicket::issue(&key, SurveyId([1; 32]), 3, question(), 50, Nonce([7; 16]));
        assert_eq!(good.verify(&[other, key.public()], 50), Ok(()));
        assert_eq!(good.verify(&[key.public()], 51), Err(QueryTicketError::Expired));
        assert_eq!(good.verify(&[other], 50), Err(QueryTicketError::Signature));
        let filter = Filter::default().or("country", "FR");
        let altered = [
            QueryTicket { survey: SurveyId([2; 32]), ..good.clone() },
            QueryTicket { release: 4, ..good.clone() },
            QueryTicket { question: Question { filter, ..question() }, ..good.clone() },
            QueryTicket {
                question: Question { statistics: ["count".to_owned()].into(), ..question() },
                ..good.clone()
            },
            QueryTicket { expires: 51, ..good.clone() },
            QueryTicket { nonce: Nonce([8; 16]), ..good.clone() },
        ];
        for bad in altered {
            assert_eq!(bad.verify(&[key.public()], 0), Err(QueryTicketError::Signature), "{bad:?}");
        }
        let json = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<QueryTicket>(&json).unwrap(), good);
    }

    #[test]
    fn one_question_has_one_id_at_each_point() {
        let (survey, q) = (SurveyId([1; 32]), question());
        let id = q.id(survey, 1);
        assert_eq!(id, question().id(survey, 1));
        let wider = Question { filter: Filter::default(), ..question() };
        let fewer = Question { statistics: ["count".to_owned()].into(), ..question() };
        for other in [q.id(survey, 2), q.id(SurveyId([2; 32]), 1), wider.id(survey, 1), fewer.id(survey, 1)] {
            assert_ne!(id, other);
        }
        // Names cannot run into each other.
        let split = |names: [&str; 2]| Question {
            statistics: names.map(str::to_owned).into(),
            filter: Filter::default(),
        };
        assert_ne!(split(["ab", "c"]).id(survey, 1), split(["a", "bc"]).id(survey, 1));
    }
}
