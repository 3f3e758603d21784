//! What a party knows of one survey's log: who is in, at which height, and what was released.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::ids::{EntryHash, Nullifier, SubmissionId, SurveyId};
use tercet_protocol::log::{Accepted, CommittedEntry};
use tercet_protocol::survey::{Resubmission, SurveyManifest};

/// An aggregate that an opening reveals: the rules count releases of these, whatever statistic asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// The number of submissions.
    Count,
    /// A column's sum.
    Sum(String),
    /// A column's sum of squares.
    SumOfSquares(String),
}

/// A release, recorded before anything is opened: if the party stops in between, the rules still count it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The log height that it covers.
    pub height: u64,
    /// Changes of the cohort up to that height: submissions added or replaced.
    pub changes: u64,
    /// What it reveals.
    pub aggregates: Vec<Aggregate>,
}

/// Where an accepted submission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The entry's height.
    pub height: u64,
    /// The identity's nullifier.
    pub nullifier: Nullifier,
}

/// The state that a survey's log and releases amount to.
#[derive(Debug)]
pub struct Book {
    survey: SurveyId,
    heads: Vec<EntryHash>,
    accepted: HashMap<SubmissionId, Place>,
    live: HashMap<Nullifier, SubmissionId>,
    replaced: HashSet<SubmissionId>,
    changes: u64,
    releases: Vec<Release>,
}

impl Book {
    /// An empty log.
    pub fn new(survey: SurveyId) -> Self {
        Self {
            survey,
            heads: Vec::new(),
            accepted: HashMap::new(),
            live: HashMap::new(),
            replaced: HashSet::new(),
            changes: 0,
            releases: Vec::new(),
        }
    }

    /// The log's height and the head's hash; zero when empty.
    pub fn head(&self) -> (u64, EntryHash) {
        (self.heads.len() as u64, self.heads.last().copied().unwrap_or(EntryHash([0; 32])))
    }

    /// The hash of the entry at a height of 1 or more.
    pub fn hash_at(&self, height: u64) -> Option<EntryHash> {
        self.heads.get(usize::try_from(height.checked_sub(1)?).ok()?).copied()
    }

    /// Submissions that count.
    pub fn live(&self) -> u64 {
        self.live.len() as u64
    }

    /// Whether a row counts: accepted and not replaced.
    pub fn counts(&self, id: &SubmissionId) -> bool {
        !self.replaced.contains(id)
    }

    /// Whether no row was ever replaced.
    pub fn all_count(&self) -> bool {
        self.replaced.is_empty()
    }

    /// Where a submission was accepted.
    pub fn place(&self, id: &SubmissionId) -> Option<Place> {
        self.accepted.get(id).copied()
    }

    /// Extends the state by an entry that was verified to follow the head.
    pub fn apply(&mut self, committed: &CommittedEntry) {
        debug_assert_eq!(committed.entry.survey, self.survey);
        for a in &committed.entry.accepted {
            self.accepted
                .insert(a.submission, Place { height: committed.entry.height, nullifier: a.nullifier });
            if let Some(old) = self.live.insert(a.nullifier, a.submission) {
                self.replaced.insert(old);
            }
            self.changes += 1;
        }
        self.heads.push(committed.entry.hash());
    }

    /// Decides who of a checked batch gets in, in the given order. All parties come to the same answer: it
    /// depends on the agreed log and order only.
    pub fn admit(
        &self,
        rule: Resubmission,
        batch: impl IntoIterator<Item = (SubmissionId, Nullifier)>,
    ) -> Vec<Result<Accepted, (SubmissionId, Problem)>> {
        let mut in_batch = HashSet::new();
        let refuse = |id, detail: &str| Err((id, Problem::new(ProblemKind::IdentityUsed, detail)));
        batch
            .into_iter()
            .map(|(submission, nullifier)| {
                if self.accepted.contains_key(&submission) {
                    return refuse(submission, "this very submission is in the survey already");
                }
                let earlier = self.live.get(&nullifier).copied();
                if earlier.is_some() && rule == Resubmission::Reject {
                    return refuse(
                        submission,
                        "this identity has an accepted submission, and the survey takes one of each",
                    );
                }
                if !in_batch.insert(nullifier) {
                    return refuse(submission, "another submission of this identity came first");
                }
                Ok(Accepted { submission, nullifier, replaces: earlier })
            })
            .collect()
    }

    /// Applies the release rules to a query at the current height.
    pub fn may_release(
        &self,
        manifest: &SurveyManifest,
        aggregates: &[Aggregate],
    ) -> Result<Release, Problem> {
        let survey = &manifest.survey;
        if self.live() < survey.min_cohort {
            return Err(Problem::new(
                ProblemKind::CohortTooSmall,
                format!(
                    "{} submissions are in; nothing is released below {}",
                    self.live(),
                    survey.min_cohort
                ),
            ));
        }
        let (height, _) = self.head();
        for aggregate in aggregates {
            let last = self.releases.iter().rev().find(|r| r.aggregates.contains(aggregate));
            // At the same height the same number comes out again, which tells nobody anything new.
            if let Some(last) = last.filter(|r| r.height != height) {
                let new = self.changes.saturating_sub(last.changes);
                if new < survey.min_new {
                    return Err(Problem::new(
                        ProblemKind::TooFewNew,
                        format!(
                            "{new} submissions are new since the last release; the next one needs {}: \
                             the difference of two releases would tell about single persons",
                            survey.min_new
                        ),
                    ));
                }
            }
        }
        Ok(Release { height, changes: self.changes, aggregates: aggregates.to_vec() })
    }

    /// Counts a release from now on.
    pub fn record(&mut self, release: Release) {
        self.releases.push(release);
    }

    /// How many releases are recorded: the next one's number.
    pub fn releases(&self) -> u64 {
        self.releases.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use tercet_protocol::ids::Signature;
    use tercet_protocol::log::LogEntry;

    use super::*;

    const MANIFEST: &str = include_str!("../../../tests/fixtures/vectors/survey.toml");

    fn id(n: u8) -> SubmissionId {
        SubmissionId([n; 32])
    }

    fn commit(book: &mut Book, rule: Resubmission, batch: &[(u8, u8)]) -> usize {
        let decided = book.admit(rule, batch.iter().map(|&(s, n)| (id(s), Nullifier([n; 32]))));
        let accepted: Vec<_> = decided.into_iter().filter_map(Result::ok).collect();
        let n = accepted.len();
        let (height, previous) = book.head();
        let entry = LogEntry { survey: book.survey, height: height + 1, previous, accepted };
        book.apply(&CommittedEntry { entry, votes: [Signature([0; 64]); 3] });
        n
    }

    #[test]
    fn one_identity_gets_in_once() {
        let mut book = Book::new(SurveyId([0; 32]));
        assert_eq!(commit(&mut book, Resubmission::Reject, &[(1, 1), (2, 2), (3, 1)]), 2);
        assert_eq!(commit(&mut book, Resubmission::Reject, &[(4, 2), (5, 3)]), 1);
        assert_eq!(book.live(), 3);
        assert!(book.place(&id(3)).is_none() && book.place(&id(4)).is_none());
    }

    #[test]
    fn a_replacement_counts_once_and_as_a_change() {
        let mut book = Book::new(SurveyId([0; 32]));
        assert_eq!(commit(&mut book, Resubmission::Replace, &[(1, 1), (2, 2)]), 2);
        assert_eq!(commit(&mut book, Resubmission::Replace, &[(3, 1), (3, 1)]), 1);
        assert_eq!((book.live(), book.changes), (2, 3));
        assert!(!book.counts(&id(1)) && book.counts(&id(2)) && book.counts(&id(3)));
        assert_eq!(
            commit(&mut book, Resubmission::Replace, &[(3, 1)]),
            0,
            "the same submission again is no replacement"
        );
    }

    #[test]
    fn releases_need_a_cohort_and_enough_change() {
        let manifest = SurveyManifest::from_toml(MANIFEST).unwrap();
        let (cohort, new) = (manifest.survey.min_cohort as u8, manifest.survey.min_new as u8);
        let sum = [Aggregate::Count, Aggregate::Sum("eth_free".into())];
        let squares = [Aggregate::SumOfSquares("eth_free".into())];
        let mut book = Book::new(SurveyId([0; 32]));
        let rows = |from: u8, to: u8| (from..to).map(|i| (i, i)).collect::<Vec<_>>();

        commit(&mut book, Resubmission::Reject, &rows(0, cohort - 1));
        assert_eq!(book.may_release(&manifest, &sum).unwrap_err().known(), Some(ProblemKind::CohortTooSmall));
        commit(&mut book, Resubmission::Reject, &rows(cohort - 1, cohort));
        let first = book.may_release(&manifest, &sum).unwrap();
        book.record(first);
        assert!(book.may_release(&manifest, &sum).is_ok(), "the same height tells nothing new");

        commit(&mut book, Resubmission::Reject, &rows(cohort, cohort + new - 1));
        assert_eq!(book.may_release(&manifest, &sum).unwrap_err().known(), Some(ProblemKind::TooFewNew));
        assert!(book.may_release(&manifest, &squares).is_ok(), "never released before");
        commit(&mut book, Resubmission::Reject, &rows(cohort + new - 1, cohort + new));
        assert!(book.may_release(&manifest, &sum).is_ok());
    }
}
