//! Random and adversarial logs: whatever is asked at whatever release points, all rows of a unit are in the same sets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tercet_protocol::ids::{Commitment, PublicKey, Signature};
use tercet_protocol::log::LogEntry;
use tercet_protocol::query_ticket::Question;
use tercet_releases::ranks::Renewal;

use super::super::plan::{Units, plan};
use super::super::renewal::Whose;
use super::*;

const MANIFEST: &str = include_str!("../../../../tests/fixtures/vectors/survey.toml");
const MIN_NEW: u64 = 5;
const DAY: u64 = 86_400;
/// A moment when the survey is open.
const OPEN: u64 = 1_800_000_000;

/// Two fields, and statistics of sums and of values in order.
fn manifest(statistics: &str) -> SurveyManifest {
    let field =
        |name: &str| format!("[[fields]]\nname = '{name}'\nprefix = '\"{name}\":\"'\nsuffix = '\"'\n\n");
    let listed = MANIFEST.lines().find(|l| l.starts_with("statistics")).unwrap();
    let text = MANIFEST
        .replace(listed, &format!("statistics = [{statistics}]"))
        .replace("resubmission = \"reject\"", "resubmission = \"replace\"")
        .replacen("[[columns]]", &format!("{}{}[[columns]]", field("country"), field("plan")), 1);
    SurveyManifest::from_toml(&text).unwrap()
}

fn id(n: u32) -> SubmissionId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_le_bytes());
    SubmissionId(id)
}

/// One party's log, as it grows.
struct Log {
    book: Book,
    manifest: SurveyManifest,
    next: u32,
    now: u64,
}

impl Log {
    fn new(manifest: SurveyManifest) -> Self {
        Self { book: Book::new(SurveyId([0; 32]), &manifest), manifest, next: 0, now: OPEN }
    }

    fn commit(&mut self, body: EntryBody) {
        let (height, previous) = self.book.head();
        let entry = LogEntry { survey: self.book.survey, height: height + 1, previous, at: self.now, body };
        self.book.apply(&CommittedEntry { entry, votes: [Signature([0; 64]); 3] }).unwrap();
    }

    /// Submissions of these identities with these labels; gives who got in.
    fn join(&mut self, people: &[(u8, [&str; 2])]) -> Vec<SubmissionId> {
        let candidates: Vec<Accepted> = people
            .iter()
            .map(|(person, label)| {
                self.next += 1;
                Accepted {
                    submission: id(self.next),
                    nullifier: Nullifier([*person; 32]),
                    replaces: None,
                    fields: label.map(str::to_owned).to_vec(),
                    rows: [Commitment([0; 32]); 3],
                    withdrawal_key: PublicKey([0; 32]),
                }
            })
            .collect();
        let accepted: Vec<_> =
            self.book.admit(self.now, candidates).into_iter().filter_map(Result::ok).collect();
        let ids = accepted.iter().map(|a| a.submission).collect();
        self.commit(EntryBody::Batch { accepted });
        ids
    }

    /// A release point now, if anything enters.
    fn release(&mut self) -> bool {
        let (entering, units) = self.book.entering(self.now);
        if units.is_empty() {
            return false;
        }
        let release = Release {
            point: entering.number.into(),
            due: self.now,
            entering: entering.digest(),
            units: vec![[Commitment([0; 32]); 3]; units.len()],
            secret: vec![],
        };
        self.commit(EntryBody::Release(release));
        true
    }

    fn erase(&mut self, submission: SubmissionId) -> bool {
        let may = self.book.may_leave(&submission).is_ok();
        if may {
            self.commit(EntryBody::Erase { submission, request: Signature([0; 64]) });
        }
        may
    }

    /// The submissions of each unit.
    fn units(&self) -> Vec<BTreeSet<SubmissionId>> {
        let rows =
            |u: &tercet_releases::Unit| u.rows.iter().map(|r| self.book.submitted[*r as usize].id).collect();
        self.book.ledger.units().iter().map(rows).collect()
    }

    /// All sets of rows whose sums somebody can get now: by every filter of a few values, and by every group.
    fn sets(&self) -> BTreeSet<BTreeSet<SubmissionId>> {
        let units = self.units();
        let mut sets = BTreeSet::new();
        let subsets = |values: [&'static str; 3]| {
            (0..8u8)
                .map(move |bits| (0..3).filter(|i| bits >> i & 1 == 1).map(|i| values[i]).collect::<Vec<_>>())
        };
        for countries in subsets(["DE", "FR", "IT"]) {
            for plans in subsets(["free", "pro", "none"]) {
                let filter = countries
                    .iter()
                    .fold(tercet_protocol::filter::Filter::default(), |f, v| f.or("country", v));
                let filter = plans.iter().fold(filter, |f, v| f.or("plan", v));
                for name in ["sum", "sum@country", "sum@plan"] {
                    let question = Question { statistics: [name.to_owned()].into(), filter: filter.clone() };
                    let Ok(plan) = plan(&self.book, &self.manifest, &question) else { continue };
                    for set in plan.sets.values() {
                        let Units::Known(of) = &set.units else { panic!("no secret groups here") };
                        let rows: BTreeSet<_> =
                            of.iter().flat_map(|u| units[*u as usize].iter().copied()).collect();
                        assert_eq!(rows.len() as u64, set.rows);
                        assert!(set.rows >= self.manifest.survey.smallest_set());
                        sets.insert(rows);
                    }
                }
            }
        }
        sets
    }
}

#[derive(Debug, Clone)]
enum Op {
    Join(Vec<(u8, [&'static str; 2])>),
    Release,
    Wait(u8),
    Erase(prop::sample::Index),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let label = (prop::sample::select(vec!["DE", "FR", "IT"]), prop::sample::select(vec!["free", "pro"]));
    let person = (0..60u8, label).prop_map(|(person, (country, plan))| (person, [country, plan]));
    let op = prop_oneof![
        6 => prop::collection::vec(person, 1..14).prop_map(Op::Join),
        3 => Just(Op::Release),
        2 => (1..4u8).prop_map(Op::Wait),
        2 => any::<prop::sample::Index>().prop_map(Op::Erase),
    ];
    prop::collection::vec(op, 4..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever joins, replaces, leaves and is released: two rows of one unit are in the same sets of all that was ever asked, so
    /// every linear combination of all sums weighs them alike. Units are disjoint, large enough, never change, and hold no
    /// identity twice.
    #[test]
    fn every_set_is_made_of_whole_units(ops in ops()) {
        let mut log = Log::new(manifest("'count', 'sum', 'sum@country', 'sum@plan'"));
        let mut known: Vec<SubmissionId> = Vec::new();
        let mut sets: BTreeSet<BTreeSet<SubmissionId>> = BTreeSet::new();
        let mut before: Vec<BTreeSet<SubmissionId>> = Vec::new();
        for op in ops {
            match op {
                Op::Join(people) => known.extend(log.join(&people)),
                Op::Release => {
                    log.release();
                    log.now += 1;
                }
                Op::Wait(days) => log.now += u64::from(days) * DAY,
                Op::Erase(index) if !known.is_empty() => {
                    log.erase(*index.get(&known));
                }
                Op::Erase(_) => {}
            }
            sets.extend(log.sets());
            let units = log.units();
            prop_assert_eq!(&units[..before.len()], &before[..], "a unit changed");
            before = units;
        }
        let mut seen = BTreeSet::new();
        let mut people = BTreeSet::new();
        for unit in &before {
            prop_assert!(unit.len() as u64 >= MIN_NEW);
            for row in unit {
                prop_assert!(seen.insert(*row), "a row in two units");
                prop_assert!(people.insert(log.book.place(row).unwrap().nullifier), "an identity counted twice");
            }
        }
        for unit in &before {
            let membership = |row: &SubmissionId| sets.iter().map(|s| s.contains(row)).collect::<Vec<_>>();
            let mut vectors = unit.iter().map(membership);
            let first = vectors.next().unwrap();
            prop_assert!(vectors.all(|v| v == first), "two rows of a unit weigh differently");
        }
        // And no set has a row that is in no unit.
        prop_assert!(sets.iter().flatten().all(|row| seen.contains(row)));
    }

    /// Values are put in order anew only over sets that differ by n_min rows or more.
    #[test]
    fn sorted_sets_differ_by_enough(ops in ops()) {
        let manifest = manifest("'median', 'median@country'");
        let least: BTreeMap<Option<usize>, u64> =
            manifest.order_lists().into_iter().map(|l| (l.field, l.least)).collect();
        let mut log = Log::new(manifest);
        let mut known: Vec<SubmissionId> = Vec::new();
        let mut sorted: BTreeMap<Option<&str>, BTreeSet<SubmissionId>> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Join(people) => known.extend(log.join(&people)),
                Op::Wait(days) => log.now += u64::from(days) * DAY,
                Op::Erase(index) if !known.is_empty() => {
                    log.erase(*index.get(&known));
                }
                Op::Erase(_) => {}
                Op::Release => {
                    let released = log.release();
                    log.now += 1;
                    for value in [None, Some("DE"), Some("FR"), Some("IT")].into_iter().filter(|_| released) {
                        let whose = Whose { column: 0, group: value.map(|v| (0, v.to_owned())) };
                        if log.book.orders().decided(&whose) != Renewal::Anew {
                            continue;
                        }
                        let unit = |u: &UnitId| &log.book.ledger.units()[*u as usize];
                        let inside = |id: &&SubmissionId| {
                            log.book.unit_of(id).is_some_and(|u| value.is_none_or(|v| unit(&u).label[0] == v))
                        };
                        let now: BTreeSet<_> = known.iter().filter(inside).copied().collect();
                        let before = sorted.insert(value, now.clone()).unwrap_or_default();
                        let entered = now.difference(&before).count() as u64;
                        let left = before.difference(&now).count() as u64;
                        prop_assert!(entered >= left + least[&value.map(|_| 0)], "{entered} came, {left} left");
                    }
                }
            }
        }
    }
}

/// A filter that the rules refuse is refused by them alone, before anybody is asked.
#[test]
fn filters_are_on_sums_of_known_units_only() {
    let missing = manifest("'count', 'median', 'sum'");
    let mut text_of_column = missing.clone();
    text_of_column.columns[0].missing = Some("null".into());
    for (manifest, name, allowed) in [
        (&missing, "sum", true),
        (&missing, "count", true),
        (&missing, "median", false),
        (&text_of_column, "sum", false),
        (&text_of_column, "count", true),
    ] {
        let mut log = Log::new(manifest.clone());
        log.join(&(0..20).map(|n| (n, ["DE", "pro"])).collect::<Vec<_>>());
        let (entering, units) = log.book.entering(log.now);
        let secret = vec![0; log.book.groups().decisions()];
        log.commit(EntryBody::Release(Release {
            point: 1,
            due: log.now,
            entering: entering.digest(),
            units: vec![[Commitment([0; 32]); 3]; units.len()],
            secret,
        }));
        let filter = tercet_protocol::filter::Filter::default().or("country", "DE");
        let asked = Question { statistics: [name.to_owned()].into(), filter };
        match plan(&log.book, manifest, &asked) {
            Ok(_) => assert!(allowed, "{name}"),
            // Not for want of rows: no filter is taken here.
            Err(problem) => {
                assert!(!allowed && problem.detail.contains("ask without a filter"), "{name}: {problem:?}");
            }
        }
    }
}

#[test]
fn one_identity_gets_in_once_and_a_waiting_row_may_be_replaced() {
    let mut log = Log::new(manifest("'count', 'sum'"));
    let people: Vec<_> = (0..5).map(|n| (n, ["DE", "pro"])).collect();
    let first = log.join(&people);
    // Twice in one batch: the first one counts. Again while it waits: the new one takes its place.
    assert_eq!(log.join(&[(7, ["DE", "pro"]), (7, ["DE", "pro"])]).len(), 1);
    let again = log.join(&[(0, ["FR", "pro"])]);
    assert_eq!((log.book.live(), again.len()), (6, 1));
    assert!(log.book.may_leave(&first[0]).is_err(), "it was replaced");
    log.join(&[(8, ["DE", "pro"])]);
    assert!(log.release());
    // Counted: it never counts again, not even after it was erased.
    assert!(log.join(&[(1, ["DE", "pro"])]).is_empty());
    assert!(log.erase(first[1]) && !log.erase(first[1]));
    assert!(log.join(&[(1, ["DE", "pro"])]).is_empty());
    assert_eq!(log.book.entered(&first[1]).unwrap().unit_rows, 6);
    // The one of FR waits, leaves, and may come again.
    assert!(log.erase(again[0]));
    assert_eq!(log.join(&[(0, ["FR", "pro"])]).len(), 1);
    assert_eq!(log.book.entered(&again[0]), None);
}

/// Five accounts that send again and again single nobody out: they are counted once, with those who waited beside them.
#[test]
fn accounts_are_used_once() {
    let mut log = Log::new(manifest("'count', 'sum'"));
    log.join(&(0..10).map(|n| (n, ["DE", "pro"])).collect::<Vec<_>>());
    let sybils: Vec<_> = (200..204).map(|n| (n, ["DE", "pro"])).collect();
    log.join(&sybils);
    assert!(log.release());
    for victim in 10..20 {
        log.now += DAY;
        log.join(&[(victim, ["DE", "pro"])]);
        assert!(log.join(&sybils).is_empty(), "already counted");
        let alone = log.release();
        assert_eq!(alone, (u64::from(victim) - 9).is_multiple_of(MIN_NEW), "they enter five at a time");
    }
}

/// The row that makes the others enough does not trigger a release point: only who came before it was due enters.
#[test]
fn who_comes_late_waits_for_the_next_release_point() {
    let mut log = Log::new(manifest("'count', 'sum'"));
    log.join(&(0..4).map(|n| (n, ["DE", "pro"])).collect::<Vec<_>>());
    let due = log.now;
    log.now += 10;
    log.join(&[(9, ["DE", "pro"])]);
    assert!(log.book.entering(due).1.is_empty());
    assert_eq!(log.book.entering(log.now).1.len(), 1);
}

/// A row that came in later would wait for a release point that never comes. That holds whether or not the last one
/// was made.
#[test]
fn nobody_comes_in_once_the_last_release_point_was_due() {
    let mut log = Log::new(manifest("\"sum\""));
    let last = log.book.ledger.rules().schedule.last();
    log.now = last;
    assert_eq!(log.join(&[(1, ["DE", "pro"])]).len(), 1);
    log.now = last + 1;
    assert!(log.join(&[(2, ["DE", "pro"])]).is_empty());
    let problem = log.book.open(last + 1).unwrap_err();
    assert_eq!(problem.rule.as_deref(), Some("survey-over"));
}

/// A value that no unit has would make another question of the same answer, and as many of them as there are values.
#[test]
fn a_filter_names_values_that_some_unit_has() {
    let mut log = Log::new(manifest("\"sum\""));
    for person in 0..4 * MIN_NEW as u8 {
        let country = if person % 2 == 0 { "DE" } else { "FR" };
        log.join(&[(person, [country, "pro"])]);
    }
    assert!(log.release());
    let ask = |countries: &[&str]| {
        let filter =
            countries.iter().fold(tercet_protocol::filter::Filter::default(), |f, v| f.or("country", v));
        let question = Question { statistics: ["sum".to_owned()].into(), filter };
        plan(&log.book, &log.manifest, &question).map(|p| p.rows)
    };
    assert_eq!(ask(&["DE"]).unwrap(), 2 * MIN_NEW);
    assert_eq!(ask(&["DE", "FR"]).unwrap(), 4 * MIN_NEW);
    for countries in [&["DE", "IT"][..], &["FR", "nowhere"], &["DE", "FR", "IT"]] {
        let problem = ask(countries).unwrap_err();
        assert_eq!(problem.rule.as_deref(), Some("no-such-value"), "{countries:?}: {problem}");
    }
}
