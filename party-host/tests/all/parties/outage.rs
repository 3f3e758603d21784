//! Faults that must not stop a party: a storage service that is full or does not answer, a link that is cut, clocks that are off, a party that
//! is down for a day. Each ends with nothing lost and nothing in twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use party_host::node::Fault;
use tercet_protocol::api::{Problem, SubmissionState, SubmissionStatus};
use tercet_protocol::ids::EntryHash;
use tercet_protocol::survey::SurveyManifest;

use super::agreement::{set, until};
use super::crash::Outage;
use super::lost::stop;
use super::notarized::Server;
use super::world::{Prepared, World, cohort, manifest};

const PATIENCE: Duration = Duration::from_millis(800);
const DAY: u64 = 86_400;

/// The place of the submission, by the answers that are receipts.
fn given(answers: &[Result<SubmissionStatus, Problem>]) -> Option<(u64, EntryHash)> {
    let receipts = answers.iter().flatten().filter_map(|status| match &status.state {
        SubmissionState::Accepted { receipts } => receipts.first(),
        _ => None,
    });
    let mut places: Vec<_> = receipts.map(|r| (r.height, r.entry)).collect();
    places.dedup();
    assert!(places.len() <= 1, "receipts of two entries: {places:?}");
    places.pop()
}

/// Everything is well again: the submission gets in, once, and a receipt from before is good.
async fn gets_in(
    world: &World,
    prepared: &Prepared,
    height: u64,
    before: Option<(u64, EntryHash)>,
    what: &str,
) {
    world.accept(prepared).await;
    world.until_height(height).await;
    assert!(world.heights().iter().all(|h| h.0 == height), "{what}: {:?}", world.heights());
    for party in 0..3 {
        let status = world.party(party).submission(prepared.id()).unwrap();
        let SubmissionState::Accepted { receipts } = status.state else { panic!("{what}: not accepted") };
        assert!(
            before.is_none_or(|b| b == (receipts[0].height, receipts[0].entry)),
            "{what}: a receipt is void"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_full_or_does_not_answer_loses_nothing() {
    let world = World::start(manifest(), PATIENCE).await;
    let (mut height, mut waiting) = (0, cohort().into_iter());
    for outage in [Outage::Full, Outage::Errors, Outage::LateErrors, Outage::Silent] {
        for party in 0..3usize {
            let what = format!("party {party}'s store: {outage:?}");
            let prepared = world.prepare(&waiting.next().unwrap());
            let store = world.dying[party].clone().unwrap();
            let spoiled = store.spoiled();
            store.set(Some(outage));
            let answers = world.submit(&prepared, Duration::from_secs(3)).await;
            until(&what, || store.spoiled() > spoiled).await;
            store.set(None);
            height += 1;
            gets_in(&world, &prepared, height, given(&answers), &what).await;
        }
    }
}

/// Nothing that is sent to some parties arrives.
struct Cut {
    to: Vec<u8>,
    lost: AtomicU64,
}

impl Fault for Cut {
    fn on_send(&self, party: u8, _: u32, frame: Bytes) -> Option<Bytes> {
        if self.to.contains(&party) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(frame)
    }
}

/// Frames of a pair of parties are lost for longer than the parties wait for one, in both directions and in one.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_for_a_while_loses_nothing() {
    let world = World::start(manifest(), PATIENCE).await;
    let (mut height, mut waiting) = (0, cohort().into_iter());
    for (a, b) in [(0u8, 1u8), (1, 2), (2, 0)] {
        for both in [true, false] {
            let what = format!("between {a} and {b}, both ways: {both}");
            let cut = |to: u8| Arc::new(Cut { to: vec![to], lost: AtomicU64::new(0) });
            let (from_a, from_b) = (cut(b), cut(a));
            set(&world, a.into(), Some(from_a.clone())).await;
            if both {
                set(&world, b.into(), Some(from_b.clone())).await;
            }
            let prepared = world.prepare(&waiting.next().unwrap());
            let answers = world.submit(&prepared, 4 * PATIENCE).await;
            // On a busy machine the submission may be proposed late.
            let lost = || [&from_a, &from_b].iter().any(|cut| cut.lost.load(Ordering::Relaxed) > 0);
            until(&format!("{what}: a frame is lost"), lost).await;
            for party in 0..3 {
                set(&world, party, None).await;
            }
            height += 1;
            gets_in(&world, &prepared, height, given(&answers), &what).await;
        }
    }
}

/// A clock that is an hour off stops its party, and the others where all three are needed. It bends nothing: set right, all goes on.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_an_hour_off_lose_nothing() {
    let world = World::start(manifest(), PATIENCE).await;
    let (mut height, mut waiting) = (0, cohort().into_iter());
    for party in 0..3usize {
        for off in [3600, -3600] {
            let what = format!("party {party} is {off} s off");
            world.put_off(party, off);
            let prepared = world.prepare(&waiting.next().unwrap());
            let answers = world.submit(&prepared, 3 * PATIENCE).await;
            assert_eq!(
                given(&answers),
                None,
                "{what}: it was accepted with a time that somebody does not believe"
            );
            assert!(world.heights().iter().all(|h| h.0 == height), "{what}: {:?}", world.heights());
            world.put_off(party, 0);
            height += 1;
            gets_in(&world, &prepared, height, None, &what).await;
        }
    }
}

/// A survey of incomes, of units of so many people.
pub fn incomes(min_new: u64) -> SurveyManifest {
    let text = format!(
        "[survey]\nname = 'incomes'\ntitle = 'Incomes'\nopens = '2025-01-01T00:00:00Z'\n\
         closes = '2030-01-01T00:00:00Z'\nmin_cohort = {min_new}\nmin_new = {min_new}\nresubmission = 'reject'\n\
         statistics = ['count', 'sum']\n\n{}\n\
         [identity]\nprefix = '\"uid\":'\nsuffix = '}}'\n\n\
         [[columns]]\nname = 'income'\nprefix = '\"income\":'\nsuffix = ','\nscale = 0\nbits = 24\n",
        Server::source()
    );
    SurveyManifest::from_toml(&text).unwrap()
}

pub fn income(uid: u64) -> u64 {
    1_000_000 + 37 * uid
}

pub fn person(world: &World, server: &Server, uid: u64) -> Prepared {
    let income = income(uid).to_string();
    let body = format!(r#"{{"income":{income},"uid":{uid}}}"#);
    let (presentation, secrets) = server.notarize(&body, &[&income], uid);
    let (presentation, statement, witnesses) = world.opened_files(presentation, secrets);
    world.prove_all(presentation, &statement, &witnesses, 7)
}

/// Party 2 is down for a day, and a thousand people submit meanwhile. When it is back they send the same again: each gets in once,
/// and the sum is everybody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_submissions_wait_for_a_party_that_was_down_for_a_day() {
    const PEOPLE: u64 = 1000;
    let server = Server::start();
    let mut world = World::start_trusting(incomes(10), server.root(), Duration::from_secs(20)).await;
    let people: Vec<Prepared> = (0..PEOPLE).map(|uid| person(&world, &server, uid)).collect();
    stop(&mut world, 2);
    let upload = |world: &World, party: usize, prepared: &Prepared, patience: Duration| {
        let (node, body, id) =
            (world.party(party).clone(), world.upload_body(prepared, party), prepared.id());
        async move { node.upload(id, body, patience).await }
    };
    let mut sent = Vec::new();
    for prepared in &people {
        sent.push(upload(&world, 0, prepared, Duration::from_millis(100)));
        sent.push(upload(&world, 1, prepared, Duration::from_millis(100)));
    }
    for answer in futures::future::join_all(sent).await {
        assert!(matches!(answer.unwrap().state, SubmissionState::Pending));
    }
    assert!((0..2).all(|p| world.party(p).survey_status(world.survey_id()).unwrap().height == 0));
    let now = world.clock_now();
    world.clock.set(now + DAY);
    // Tickets end, and with them what waited: nobody had a receipt.
    let waits = |p: usize| world.party(p).survey(world.survey_id()).unwrap().pool.len();
    until("nothing waits", || waits(0) == 0 && waits(1) == 0).await;

    world.start_party(2).await;
    let mut sent = Vec::new();
    for prepared in &people {
        for party in 0..3 {
            sent.push(upload(&world, party, prepared, Duration::from_secs(600)));
        }
    }
    for answer in futures::future::join_all(sent).await {
        let state = answer.unwrap().state;
        assert!(matches!(state, SubmissionState::Accepted { .. }), "{state:?}");
    }
    let height = world.heights().iter().map(|h| h.0).max().unwrap();
    world.until_height(height).await;
    let mut seen = HashSet::new();
    let survey = world.party(2).survey(world.survey_id()).unwrap();
    for height in 1..=height {
        let committed = survey.store.get_entry(survey.id(), height).await.unwrap().unwrap();
        assert!(
            committed.entry.accepted().iter().all(|a| seen.insert(a.submission)),
            "twice at height {height}"
        );
    }
    assert_eq!(seen.len() as u64, PEOPLE);
    let listed = world.release().await.unwrap();
    let sum = listed.result.statistics.iter().find(|s| s.statistic == "sum").unwrap();
    let exact = sum.exact.as_ref().unwrap();
    let total: u64 = (0..PEOPLE).map(income).sum();
    assert_eq!((exact.numerator.as_str(), exact.denominator.as_str()), (total.to_string().as_str(), "1"));
    assert_eq!(listed.result.submissions, PEOPLE);
}
