//! Many at once, against a model of DynamoDB's limits: 1,000 write units a second for each partition key, transactions that
//! get in each other's way, and requests that take time. The clock is the test's: nothing here depends on the machine.

use std::sync::Arc;
use std::time::Duration;

use coordinator_lambda::Coordinator;
use coordinator_lambda::admission::{Outcome, RateReport};
use coordinator_lambda::config::{Limits, Rate};
use coordinator_lambda::error::Error;
use coordinator_lambda::surveys::Survey;
use coordinator_lambda::token::RequestToken;
use tercet_protocol::ids::{EntryHash, Nullifier, Signature, SubmissionId, sha256};
use tercet_protocol::submission::Receipt;
use tokio::task::JoinSet;

use crate::support::table::Table;
use crate::support::{Options, World, withdrawal_key};

/// From the ticket to the parties' decision.
const UNDER_WAY: Duration = Duration::from_secs(4);
/// Time of a check of the evidence.
const EVIDENCE: Duration = Duration::from_millis(50);
/// Functions that run at once.
const INSTANCES: usize = 100;

/// The outcome of one submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Decided,
    /// 429.
    Refused,
    /// 5xx.
    Failed,
}

fn end_of(error: Error) -> End {
    let problem = error.into_problem();
    if problem.status >= 500 { End::Failed } else { End::Refused }
}

fn bytes_of(kind: &str, number: u32) -> [u8; 32] {
    sha256(&[kind.as_bytes(), &number.to_le_bytes()])
}

/// A submission from its ticket to its decision, as the functions carry it out; the evidence is as if checked, and the
/// parties as if asked.
async fn provide(c: Arc<Coordinator>, survey: Arc<Survey>, number: u32) -> Result<(), Error> {
    let id = SubmissionId(bytes_of("submission", number));
    let nullifier = Nullifier(bytes_of("identity", number));
    let mut token = [0; 16];
    token.copy_from_slice(&bytes_of("request", number)[..16]);
    let mut report = RateReport::of(RequestToken(token));
    let known = c.before_evidence(&survey, id, &format!("address {number}"), &mut report).await?;
    assert_eq!(known, None);
    tokio::time::sleep(EVIDENCE).await;
    let key = withdrawal_key(0).public();
    let entered = c.enter(&survey, id, nullifier, key, &mut report).await?;
    assert!(matches!(entered, Outcome::Admitted(_)));
    tokio::time::sleep(UNDER_WAY).await;
    c.limit("status", &format!("address {number}"), c.config.limits.status, &mut report).await?;
    let record = c.store.submission(id).await?.unwrap();
    let receipt = |party| Receipt {
        survey: survey.id(),
        submission: id,
        nullifier,
        height: 7,
        entry: EntryHash([7; 32]),
        party,
        signature: Signature([7; 64]),
    };
    assert!(c.store.accept(&record, &[0, 1, 2].map(receipt)).await?);
    Ok(())
}

/// Lets `count` submissions come, evenly, `per_second` in a second; what became of each.
async fn load(world: &World, count: u32, per_second: u32) -> Vec<End> {
    let instances: Vec<_> = (0..INSTANCES).map(|_| world.another()).collect();
    let survey = world.coordinator.survey(world.survey_id()).unwrap();
    let between = Duration::from_secs(1) / per_second;
    let mut running = JoinSet::new();
    for number in 0..count {
        tokio::time::sleep(between).await;
        world.clock.advance(between);
        let instance = Arc::clone(&instances[number as usize % INSTANCES]);
        running.spawn(provide(instance, Arc::clone(&survey), number));
    }
    running.join_all().await.into_iter().map(|done| done.map_or_else(end_of, |()| End::Decided)).collect()
}

fn count(ends: &[End], of: End) -> usize {
    ends.iter().filter(|e| **e == of).count()
}

/// Two and a half seconds of the rate that the limits are made for: a partition that took more than it may would have used up
/// what it can lend after one.
#[tokio::test(start_paused = true)]
async fn five_hundred_submissions_a_second_end_without_a_failure() {
    let table = Table::limited();
    let options = Options { limits: Limits::default(), table: Some(table.clone()), ..Options::default() };
    let world = World::with(options).await;
    let ends = load(&world, 1_250, 500).await;
    assert_eq!(count(&ends, End::Failed), 0, "no 5xx; refused by the table: {:?}", table.limited_by());
    assert!(
        count(&ends, End::Decided) >= 1_238,
        "99 of 100 at the first try: {}",
        count(&ends, End::Refused)
    );
    assert!(table.limited_by().contains_key("TransactionCanceledException"), "transactions did meet");
    assert_eq!(world.unfinished().await, 0);
}

/// The same with one counter for all: the model is strict enough to show the fault.
#[tokio::test(start_paused = true)]
async fn one_counter_for_everybody_fails_under_the_same_load() {
    let limits = Limits { unfinished_shards: 1, ..Limits::default() };
    let options = Options { limits, table: Some(Table::limited()), ..Options::default() };
    let world = World::with(options).await;
    let ends = load(&world, 400, 500).await;
    assert!(count(&ends, End::Failed) > 0);
}

/// A survey that is full refuses a crowd in good order.
#[tokio::test(start_paused = true)]
async fn a_crowd_before_a_full_survey_meets_no_failure() {
    let limits = Limits { max_unfinished: 125, ..Limits::default() };
    let table = Table::limited();
    let world = World::with(Options { limits, table: Some(table), ..Options::default() }).await;
    let ends = load(&world, 1_000, 500).await;
    assert_eq!(count(&ends, End::Failed), 0);
    assert!(count(&ends, End::Refused) >= 800 && count(&ends, End::Decided) >= 100);
}

/// Whoever is refused by a rate costs the table nothing, once a function has seen that the bucket is empty.
#[tokio::test]
async fn a_flood_of_refused_requests_writes_nothing() {
    let table = Table::new();
    let limits = Limits { survey: Rate { burst: 5, per_second: 1.0 }, ..Options::default().limits };
    let world = World::with(Options { limits, table: Some(table.clone()), ..Options::default() }).await;
    let survey = world.coordinator.survey(world.survey_id()).unwrap();
    let mut passed = 0;
    for number in 0..2_000 {
        let mut token = [0; 16];
        token.copy_from_slice(&bytes_of("request", number)[..16]);
        let mut report = RateReport::of(RequestToken(token));
        let key = survey.id().to_string();
        let taken = world.coordinator.limit("survey", &key, world.config.limits.survey, &mut report).await;
        passed += usize::from(taken.is_ok());
    }
    assert_eq!(passed, 5);
    let calls = table.take_calls();
    let written = calls.iter().filter(|c| c.name == "UpdateItem bucket").count();
    assert!(written <= 8, "{written} writes");
}
