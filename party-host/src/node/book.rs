//! What a party knows of one survey's log: who is in, at which height, and what was released.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::codec::Writer;
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::{EntryHash, Nullifier, SubmissionId, SurveyId, sha256};
use tercet_protocol::log::{Accepted, CommittedEntry};
use tercet_protocol::survey::{Guard, Resubmission, SurveyManifest};

use super::hidden::Motion;
use super::rules::{Profile, Release, Situation};

/// Most groups that are released by themselves; the smallest others are put together.
pub const MAX_GROUPS: usize = 100;

/// Where an accepted submission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The entry's height.
    pub height: u64,
    /// The identity's nullifier.
    pub nullifier: Nullifier,
}

/// An accepted row.
#[derive(Debug, Clone, Copy)]
struct Row {
    nullifier: Nullifier,
    profile: Profile,
}

/// The name under which an entry's rows are stored after a later entry, at this height, has taken some of them away.
pub fn rewritten(entry: EntryHash, height: u64) -> EntryHash {
    let mut w = Writer::tagged("tercet rewritten rows v1");
    w.array(entry.as_ref()).u64(height);
    EntryHash(sha256(&[&w.finish()]))
}

/// One group of rows, to be released by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The field's value; empty for all groups together that are too small to stand alone.
    pub label: String,
    /// Its rows.
    pub filter: Filter,
}

/// Which combinations of fields a filter selects.
#[derive(Debug, Clone)]
pub struct Selector(Vec<bool>);

/// The state that a survey's log and releases amount to.
#[derive(Debug)]
pub struct Book {
    survey: SurveyId,
    heads: Vec<EntryHash>,
    rows: HashMap<SubmissionId, Row>,
    live: HashMap<Nullifier, SubmissionId>,
    /// Combinations of field values that occur, numbered.
    combinations: Vec<Vec<String>>,
    numbers: HashMap<Vec<String>, u32>,
    profiles: BTreeMap<Profile, u64>,
    releases: Vec<Release>,
}

impl Book {
    /// An empty log.
    pub fn new(survey: SurveyId) -> Self {
        Self {
            survey,
            heads: Vec::new(),
            rows: HashMap::new(),
            live: HashMap::new(),
            combinations: Vec::new(),
            numbers: HashMap::new(),
            profiles: BTreeMap::new(),
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

    /// Whether every row ever accepted counts for this filter.
    pub fn all_count(&self, selector: &Selector) -> bool {
        self.rows.len() == self.live.len() && selector.0.iter().all(|s| *s)
    }

    /// Prepares a filter.
    pub fn selector(&self, manifest: &SurveyManifest, filter: &Filter) -> Selector {
        let selects = |fields: &Vec<String>| filter.matches(manifest, |i| fields.get(i).map(String::as_str));
        Selector(self.combinations.iter().map(selects).collect())
    }

    /// Whether a row counts: accepted, not replaced, and selected.
    pub fn counts(&self, selector: &Selector, id: &SubmissionId) -> bool {
        self.rows.get(id).is_some_and(|r| self.selected(selector, &r.profile))
    }

    fn selected(&self, selector: &Selector, profile: &Profile) -> bool {
        profile.until == Profile::OPEN && selector.0.get(profile.fields as usize).is_some_and(|s| *s)
    }

    /// What a row has to do with a release now, after one at an earlier height; none for one that is not accepted.
    pub fn motion(&self, id: &SubmissionId, since: Option<u64>) -> Option<Motion> {
        let Profile { from, until, .. } = self.rows.get(id)?.profile;
        let live = until == Profile::OPEN;
        let before = since.is_some_and(|height| from <= height && height < until);
        Some(Motion { live, entered: live && !before, left: before && !live })
    }

    /// The heights at which sums over a guard's hidden groups were released, and which groups were put together.
    pub fn released_hidden(&self, guard: &Guard) -> BTreeSet<(u64, BTreeSet<String>)> {
        let of = |r: &Release| {
            let hidden = r.hidden.iter().find(|h| h.guard == *guard)?;
            Some((r.height, hidden.pool.clone()))
        };
        self.releases.iter().filter_map(of).collect()
    }

    /// How many rows a filter selects now.
    pub fn selected_rows(&self, selector: &Selector) -> u64 {
        self.profiles.iter().filter(|(p, _)| self.selected(selector, p)).map(|(_, n)| n).sum()
    }

    /// The groups that a field makes of a filter's rows, in the order of their labels. Those below the minimum cohort
    /// are put together, with as many of the smallest others as it takes to reach it.
    pub fn groups(&self, manifest: &SurveyManifest, filter: &Filter, field: &str) -> Vec<Group> {
        let Some(index) = manifest.field(field) else { return Vec::new() };
        let selector = self.selector(manifest, filter);
        let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
        for (profile, rows) in self.profiles.iter().filter(|(p, _)| self.selected(&selector, p)) {
            let value = self.combinations.get(profile.fields as usize).and_then(|c| c.get(index));
            *sizes.entry(value.map(String::as_str).unwrap_or_default()).or_default() += rows;
        }
        let least = manifest.survey.smallest_set();
        let mut by_size: Vec<_> = sizes.iter().map(|(value, rows)| (*rows, *value)).collect();
        by_size.sort_unstable_by(|a, b| b.cmp(a));
        let (mut rest, mut rest_rows) = (BTreeSet::new(), 0);
        while let Some((rows, value)) = by_size.last().copied() {
            let fits = rows >= least && by_size.len() <= MAX_GROUPS && (rest_rows == 0 || rest_rows >= least);
            if fits {
                break;
            }
            by_size.pop();
            rest.insert(value.to_owned());
            rest_rows += rows;
        }
        let mut groups: Vec<_> = by_size
            .into_iter()
            .map(|(_, value)| Group {
                label: value.to_owned(),
                filter: filter.clone().and(field, &BTreeSet::from([value.to_owned()])),
            })
            .collect();
        groups.sort_by(|a, b| a.label.cmp(&b.label));
        if !rest.is_empty() {
            groups.push(Group { label: String::new(), filter: filter.clone().and(field, &rest) });
        }
        groups
    }

    /// Where a submission was accepted.
    pub fn place(&self, id: &SubmissionId) -> Option<Place> {
        let row = self.rows.get(id)?;
        Some(Place { height: row.profile.from, nullifier: row.nullifier })
    }

    /// Extends the state by an entry that was verified to follow the head.
    pub fn apply(&mut self, committed: &CommittedEntry) {
        debug_assert_eq!(committed.entry.survey, self.survey);
        let height = committed.entry.height;
        for a in committed.entry.accepted() {
            let fields = self.number(&a.fields);
            let profile = Profile { from: height, until: Profile::OPEN, fields };
            self.rows.insert(a.submission, Row { nullifier: a.nullifier, profile });
            *self.profiles.entry(profile).or_default() += 1;
            if let Some(old) = self.live.insert(a.nullifier, a.submission) {
                self.replace(&old, height);
            }
        }
        self.heads.push(committed.entry.hash());
    }

    fn number(&mut self, fields: &[String]) -> u32 {
        if let Some(n) = self.numbers.get(fields) {
            return *n;
        }
        // A combination belongs to a row, and rows are far fewer than a u32 counts.
        let n = u32::try_from(self.combinations.len()).unwrap_or(u32::MAX);
        self.combinations.push(fields.to_vec());
        self.numbers.insert(fields.to_vec(), n);
        n
    }

    fn replace(&mut self, old: &SubmissionId, height: u64) {
        let Some(row) = self.rows.get_mut(old) else { return };
        let before = row.profile;
        row.profile.until = height;
        let after = row.profile;
        if let Some(rows) = self.profiles.get_mut(&before) {
            *rows -= 1;
            if *rows == 0 {
                self.profiles.remove(&before);
            }
        }
        *self.profiles.entry(after).or_default() += 1;
    }

    /// Decides who of a checked batch gets in, in the given order. All parties come to the same answer: it
    /// depends on the agreed log and order only.
    pub fn admit(
        &self,
        rule: Resubmission,
        batch: impl IntoIterator<Item = Accepted>,
    ) -> Vec<Result<Accepted, (SubmissionId, Problem)>> {
        let mut in_batch = HashSet::new();
        let refuse = |id, detail: &str| Err((id, Problem::new(ProblemKind::IdentityUsed, detail)));
        batch
            .into_iter()
            .map(|candidate| {
                let Accepted { submission, nullifier, .. } = candidate;
                if self.rows.contains_key(&submission) {
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
                Ok(Accepted { replaces: earlier, ..candidate })
            })
            .collect()
    }

    /// Applies the release rules to a query at the current height: `filter` is what was asked, `epsilon` what its
    /// noise costs in billionths, `sets` are the rows that its answer is over.
    pub fn may_release(
        &self,
        manifest: &SurveyManifest,
        filter: &Filter,
        statistics: Vec<String>,
        epsilon: u64,
        sets: Vec<Filter>,
    ) -> Result<Release, Problem> {
        let (height, filter) = (self.head().0, filter.clone());
        let release = Release { height, filter, statistics, epsilon, sets, hidden: Vec::new() };
        let selects = |f: &Filter| self.selector(manifest, f).0;
        let situation =
            Situation { manifest, profiles: &self.profiles, selects: &selects, released: &self.releases };
        situation.decide(&release)?;
        Ok(release)
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
    use tercet_protocol::ids::{Commitment, PublicKey, Signature};
    use tercet_protocol::log::{EntryBody, LogEntry};

    use super::*;

    const MANIFEST: &str = include_str!("../../../tests/fixtures/vectors/survey.toml");

    fn id(n: u8) -> SubmissionId {
        SubmissionId([n; 32])
    }

    fn commit(book: &mut Book, rule: Resubmission, batch: &[(u8, u8)]) -> usize {
        commit_fields(book, rule, &batch.iter().map(|&(s, n)| (s, n, "")).collect::<Vec<_>>())
    }

    fn commit_fields(book: &mut Book, rule: Resubmission, batch: &[(u8, u8, &str)]) -> usize {
        let fields = |f: &str| if f.is_empty() { vec![] } else { vec![f.to_owned()] };
        let candidate = |(s, n, f): (u8, u8, &str)| Accepted {
            submission: id(s),
            nullifier: Nullifier([n; 32]),
            replaces: None,
            fields: fields(f),
            rows: [Commitment([0; 32]); 3],
            withdrawal_key: PublicKey([0; 32]),
        };
        let decided = book.admit(rule, batch.iter().copied().map(candidate));
        let accepted: Vec<_> = decided.into_iter().filter_map(Result::ok).collect();
        let n = accepted.len();
        let (height, previous) = book.head();
        let body = EntryBody::Batch { accepted };
        let entry = LogEntry { survey: book.survey, height: height + 1, previous, at: height, body };
        book.apply(&CommittedEntry { entry, votes: [Signature([0; 64]); 3] });
        n
    }

    fn manifest() -> SurveyManifest {
        let field = "[[fields]]\nname = 'country'\nprefix = '\"c\":\"'\nsuffix = '\"'\n[[columns]]";
        SurveyManifest::from_toml(&MANIFEST.replacen("[[columns]]", field, 1)).unwrap()
    }

    fn country(values: &[&str]) -> Filter {
        values.iter().fold(Filter::default(), |f, v| f.or("country", v))
    }

    /// Asks for one statistic over these sets, and counts it if it is released.
    fn ask(book: &mut Book, sets: &[Filter]) -> Result<(), ProblemKind> {
        ask_as(book, &manifest(), "mean", sets)
    }

    fn ask_as(
        book: &mut Book,
        manifest: &SurveyManifest,
        name: &str,
        sets: &[Filter],
    ) -> Result<(), ProblemKind> {
        match book.may_release(manifest, &sets[0], vec![name.into()], 0, sets.to_vec()) {
            Ok(release) => {
                book.record(release);
                Ok(())
            }
            Err(problem) => Err(problem.known().unwrap()),
        }
    }

    fn people(from: u8, to: u8, country: &str) -> Vec<(u8, u8, &str)> {
        (from..to).map(|i| (i, i, country)).collect()
    }

    const REJECT: Resubmission = Resubmission::Reject;
    const REPLACE: Resubmission = Resubmission::Replace;
    const TOO_FEW: Result<(), ProblemKind> = Err(ProblemKind::TooFewNew);
    const COHORT: Result<(), ProblemKind> = Err(ProblemKind::CohortTooSmall);

    #[test]
    fn one_identity_gets_in_once() {
        let mut book = Book::new(SurveyId([0; 32]));
        assert_eq!(commit(&mut book, REJECT, &[(1, 1), (2, 2), (3, 1)]), 2);
        assert_eq!(commit(&mut book, REJECT, &[(4, 2), (5, 3)]), 1);
        assert_eq!(book.live(), 3);
        assert!(book.place(&id(3)).is_none() && book.place(&id(4)).is_none());
        assert_eq!(book.place(&id(5)).unwrap().height, 2);
    }

    #[test]
    fn a_replacement_counts_once() {
        let mut book = Book::new(SurveyId([0; 32]));
        assert_eq!(commit(&mut book, REPLACE, &[(1, 1), (2, 2)]), 2);
        assert_eq!(commit(&mut book, REPLACE, &[(3, 1), (3, 1)]), 1);
        assert_eq!(book.live(), 2);
        let all = book.selector(&manifest(), &Filter::default());
        assert!(!book.counts(&all, &id(1)) && book.counts(&all, &id(2)) && book.counts(&all, &id(3)));
        assert!(!book.all_count(&all));
        assert_eq!(book.selected_rows(&all), 2);
        assert_eq!(commit(&mut book, REPLACE, &[(3, 1)]), 0, "the same submission again is no replacement");
    }

    #[test]
    fn releases_need_a_cohort_and_enough_change() {
        let (cohort, new) = (10u8, 5u8);
        let whole = [Filter::default()];
        let mut book = Book::new(SurveyId([0; 32]));
        commit_fields(&mut book, REJECT, &people(0, cohort - 1, "DE"));
        assert_eq!(ask(&mut book, &whole), COHORT);
        commit_fields(&mut book, REJECT, &people(cohort - 1, cohort, "DE"));
        assert_eq!(ask(&mut book, &whole), Ok(()));
        assert_eq!(ask(&mut book, &whole), Ok(()), "the same height tells nothing new");
        // Before and after one submission, and after any number below the minimum.
        for i in cohort..cohort + new - 1 {
            commit_fields(&mut book, REJECT, &people(i, i + 1, "DE"));
            assert_eq!(ask(&mut book, &whole), TOO_FEW);
        }
        commit_fields(&mut book, REJECT, &people(cohort + new - 1, cohort + new, "DE"));
        assert_eq!(ask(&mut book, &whole), Ok(()));
    }

    #[test]
    fn replaced_submissions_count_as_change_and_cannot_be_singled_out() {
        let whole = [Filter::default()];
        let mut book = Book::new(SurveyId([0; 32]));
        commit_fields(&mut book, REPLACE, &people(0, 30, "DE"));
        assert_eq!(ask(&mut book, &whole), Ok(()));
        // One replaces: the difference is what changed for that person.
        commit_fields(&mut book, REPLACE, &[(100, 0, "DE")]);
        assert_eq!(ask(&mut book, &whole), TOO_FEW);
        // Added and replaced count together: five persons changed.
        commit_fields(&mut book, REPLACE, &people(30, 34, "DE"));
        assert_eq!(ask(&mut book, &whole), Ok(()));
        // Five replace at once.
        let again: Vec<_> = (1..6).map(|n| (100 + n, n, "DE")).collect();
        commit_fields(&mut book, REPLACE, &again);
        assert_eq!(ask(&mut book, &whole), Ok(()));
        // The same person over and over is one person.
        for i in 0..9 {
            commit_fields(&mut book, REPLACE, &[(120 + i, 0, "DE")]);
            assert_eq!(ask(&mut book, &whole), TOO_FEW);
        }
    }

    #[test]
    fn a_replacement_that_changes_its_group_does_not_expose_the_old_value() {
        let (de, fr) = (country(&["DE"]), country(&["FR"]));
        let mut book = Book::new(SurveyId([0; 32]));
        commit_fields(&mut book, REPLACE, &[people(0, 20, "DE"), people(20, 40, "FR")].concat());
        assert_eq!(ask(&mut book, std::slice::from_ref(&de)), Ok(()));
        // One moves from DE to FR, where many others are new.
        let moved = [people(40, 60, "FR"), vec![(100, 0, "FR")]].concat();
        commit_fields(&mut book, REPLACE, &moved);
        assert_eq!(ask(&mut book, &[fr]), Ok(()));
        assert_eq!(ask(&mut book, &[de]), TOO_FEW, "DE before and after differ by one value");
    }

    #[test]
    fn a_filter_and_the_whole_cannot_be_differenced() {
        let whole = Filter::default();
        let mut book = Book::new(SurveyId([0; 32]));
        commit_fields(
            &mut book,
            REJECT,
            &[people(0, 30, "DE"), people(30, 39, "FR"), people(39, 52, "IT")].concat(),
        );
        assert_eq!(ask(&mut book, &[country(&["FR"])]), COHORT, "nine in the set");
        assert_eq!(ask(&mut book, std::slice::from_ref(&whole)), Ok(()));
        // All but FR: the rest of the whole is nine people.
        assert_eq!(ask(&mut book, &[country(&["DE", "IT"])]), COHORT);
        assert_eq!(ask(&mut book, &[country(&["DE"])]), Ok(()), "22 others remain");
        assert_eq!(ask(&mut book, &[country(&["IT"])]), COHORT, "whole - DE - IT is FR");
        assert_eq!(ask(&mut book, &[country(&["DE", "FR"])]), COHORT, "DE and FR less DE is FR");
        assert_eq!(ask(&mut book, &[country(&["FR", "IT"])]), Ok(()), "the whole less DE: known already");
        // The other way round: filters first.
        let mut book = Book::new(SurveyId([0; 32]));
        commit_fields(&mut book, REJECT, &[people(0, 30, "DE"), people(30, 31, "FR")].concat());
        assert_eq!(ask(&mut book, &[country(&["DE"])]), Ok(()));
        assert_eq!(ask(&mut book, &[whole]), COHORT);
    }

    #[test]
    fn groups_and_filters_at_different_heights_cannot_be_differenced() {
        let (whole, de, fr) = (Filter::default(), country(&["DE"]), country(&["FR"]));
        let mut book = Book::new(SurveyId([0; 32]));
        commit_fields(&mut book, REJECT, &[people(0, 20, "DE"), people(20, 40, "FR")].concat());
        assert_eq!(ask(&mut book, &[whole.clone(), de.clone(), fr.clone()]), Ok(()));
        // Five are new, one of them in DE: each group by itself tells about fewer.
        commit_fields(&mut book, REJECT, &[people(40, 41, "DE"), people(41, 45, "FR")].concat());
        assert_eq!(ask(&mut book, std::slice::from_ref(&de)), TOO_FEW);
        assert_eq!(ask(&mut book, std::slice::from_ref(&fr)), TOO_FEW);
        assert_eq!(ask(&mut book, &[whole.clone(), de.clone(), fr.clone()]), TOO_FEW);
        assert_eq!(ask(&mut book, std::slice::from_ref(&whole)), Ok(()), "five are new in the whole");
        // Now the whole is out at this height: a group less the whole's change is the other's.
        commit_fields(&mut book, REJECT, &people(45, 60, "FR"));
        assert_eq!(
            ask(&mut book, std::slice::from_ref(&fr)),
            TOO_FEW,
            "4 of FR stand between the two wholes"
        );
        commit_fields(&mut book, REJECT, &people(60, 80, "DE"));
        assert_eq!(ask(&mut book, &[whole]), Ok(()));
    }

    #[test]
    fn small_groups_are_put_together() {
        let mut book = Book::new(SurveyId([0; 32]));
        let rows =
            [people(0, 30, "DE"), people(30, 42, "FR"), people(42, 45, "IT"), people(45, 47, "MT")].concat();
        commit_fields(&mut book, REJECT, &rows);
        let labels = |book: &Book, filter: &Filter| -> Vec<String> {
            book.groups(&manifest(), filter, "country").into_iter().map(|g| g.label).collect()
        };
        assert_eq!(labels(&book, &Filter::default()), ["DE", ""]);
        let rest = book.groups(&manifest(), &Filter::default(), "country").pop().unwrap();
        assert_eq!(rest.filter, country(&["FR", "IT", "MT"]), "five alone would be too few");
        assert_eq!(labels(&book, &country(&["DE", "FR"])), ["DE", "FR"]);
        commit_fields(&mut book, REJECT, &people(47, 53, "MT"));
        assert_eq!(labels(&book, &Filter::default()), ["DE", "FR", ""]);
        // Nobody is left out, and nobody is in two groups.
        let groups = book.groups(&manifest(), &Filter::default(), "country");
        let sizes = groups.iter().map(|g| book.selected_rows(&book.selector(&manifest(), &g.filter)));
        assert_eq!(sizes.collect::<Vec<_>>(), [30, 12, 11]);
        assert_eq!(labels(&Book::new(SurveyId([0; 32])), &Filter::default()), [""; 0]);
    }

    #[test]
    fn a_budget_counts_distinct_releases() {
        let mut manifest = manifest();
        manifest.survey.budget = Some(3);
        let (whole, de) = ([Filter::default()], [country(&["DE"])]);
        let mut book = Book::new(SurveyId([0; 32]));
        commit_fields(&mut book, REJECT, &[people(0, 20, "DE"), people(20, 40, "FR")].concat());
        assert_eq!(ask_as(&mut book, &manifest, "mean", &whole), Ok(()));
        assert_eq!(
            ask_as(&mut book, &manifest, "mean", &whole),
            Ok(()),
            "the same again is no other release"
        );
        assert_eq!(ask_as(&mut book, &manifest, "max", &whole), Ok(()));
        assert_eq!(ask_as(&mut book, &manifest, "mean", &de), Ok(()));
        assert_eq!(ask_as(&mut book, &manifest, "max", &de), Err(ProblemKind::BudgetSpent));
        assert_eq!(ask_as(&mut book, &manifest, "max", &whole), Ok(()));
        commit_fields(&mut book, REJECT, &people(40, 60, "DE"));
        assert_eq!(ask_as(&mut book, &manifest, "mean", &whole), Err(ProblemKind::BudgetSpent));
    }

    #[test]
    fn a_release_of_before_filters_is_read_as_one_of_all_rows() {
        let old = r#"{"height":3,"changes":12,"aggregates":["count",{"sum":"eth"}]}"#;
        let read: Release = serde_json::from_str(old).unwrap();
        assert_eq!((read.height, read.sets), (3, vec![Filter::default()]));
    }
}
