//! Functions that end in the middle: killed at each write to the table, before and after the table has it. Whatever was
//! begun can be sent again, and nothing is lost for good: no place, no identity, no answer, no published statistics.

use std::sync::Arc;

use coordinator_lambda::scheduled::{reap_once, refresh_once};
use tercet_protocol::api::{Problem, ProblemKind, QueryState, SubmissionState};
use tercet_protocol::ids::SubmissionId;
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::SignedResult;

use crate::queries::{MEAN, question};
use crate::support::parties::sign;
use crate::support::reply::get;
use crate::support::table::{Death, Table};
use crate::support::{Options, World};
use crate::withdrawals::ENTERED;

/// The work of a function when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// A submission is admitted.
    Admit,
    /// Another submission of an identity is admitted, whose first one was incomplete.
    AdmitAfterAnother,
    /// It turns out to be accepted.
    Accept,
    /// It turns out to be rejected.
    Reject,
    /// It is erased, after it was accepted and counted.
    Withdraw,
    /// It is erased, while the coordinator still takes it for pending.
    WithdrawPending,
    /// The reaper ends it.
    Reap,
    /// The statistics of a release point are published, in several pieces.
    Publish,
    /// A question is handed to the parties.
    Ask,
    /// Its answer is stored, in several pieces.
    Answer,
}

const ALL: [Work; 10] = [
    Work::Admit,
    Work::AdmitAfterAnother,
    Work::Accept,
    Work::Reject,
    Work::Withdraw,
    Work::WithdrawPending,
    Work::Reap,
    Work::Publish,
    Work::Ask,
    Work::Answer,
];

/// A result that needs three items.
fn long(world: &World, mut signed: SignedResult) -> SignedResult {
    signed.result.statistics[0].value = Some("9".repeat(700_000));
    sign(&world.keys(), signed.result)
}

fn asked() -> Question {
    question(&["count", "mean"])
}

/// Provider 0's submission, and the state that the work needs.
async fn prepare(world: &World, work: Work) -> SubmissionId {
    let id = world.public(0, 0).id();
    match work {
        Work::Admit => {}
        Work::AdmitAfterAnother => {
            world.admitted(0, 1).await;
            world.clock.advance_seconds(400);
        }
        Work::Accept => {
            world.admitted(0, 0).await;
            world.all_accept(0, id);
        }
        Work::Reject => {
            world.admitted(0, 0).await;
            world.rejects(1, id, Problem::new(ProblemKind::ProofInvalid, "no"));
        }
        Work::Withdraw | Work::WithdrawPending => {
            world.admitted(0, 0).await;
            if work == Work::Withdraw {
                world.all_accept(0, id);
                world.status(id).await;
            }
            world.all_erase(id, Some(ENTERED));
        }
        Work::Reap => {
            world.admitted(0, 0).await;
            world.clock.advance_seconds(400);
        }
        Work::Publish => {
            let signed = long(world, world.statistics_of(1));
            world.parties.iter().for_each(|p| p.publish(&signed));
        }
        Work::Ask => drop(world.publish(1).await),
        Work::Answer => {
            world.publish(1).await;
            let query = world.asked(MEAN).await;
            world.answered(query, long(world, world.result(1, &asked())));
        }
    }
    id
}

/// The work, as a function does it. Killed, it may panic or answer 500.
async fn act(world: Arc<World>, work: Work, id: SubmissionId) {
    match work {
        Work::Admit | Work::AdmitAfterAnother => drop(world.submit(0, 0).await),
        Work::Accept | Work::Reject => drop(get(format!("/v1/submissions/{id}")).send(&world.router).await),
        Work::Withdraw | Work::WithdrawPending => drop(world.withdraw(id, &world.wish(0, id)).await),
        Work::Reap => drop(reap_once(&world.coordinator).await),
        Work::Publish => drop(refresh_once(&world.coordinator).await),
        Work::Ask => drop(world.ask(MEAN).await),
        Work::Answer => {
            let query = asked().id(world.survey_id(), 1);
            drop(get(format!("/v1/queries/{query}")).send(&world.router).await);
        }
    }
}

/// Everything is as if nobody had been killed.
async fn check(world: &World, work: Work, id: SubmissionId) {
    match work {
        Work::Admit | Work::AdmitAfterAnother => {
            assert_eq!(world.status(id).await.state, SubmissionState::Pending);
            assert_eq!(world.unfinished().await, 1);
            world.submit(0, 2).await.problem(ProblemKind::IdentityPending);
            world.all_accept(0, id);
            assert!(matches!(world.status(id).await.state, SubmissionState::Accepted { .. }));
            world.submit(0, 2).await.problem(ProblemKind::IdentityUsed);
        }
        Work::Accept => {
            let SubmissionState::Accepted { receipts } = world.status(id).await.state else { panic!() };
            assert_eq!(receipts.len(), 3);
            world.submit(0, 2).await.problem(ProblemKind::IdentityUsed);
        }
        Work::Reject | Work::Reap => {
            assert!(matches!(world.status(id).await.state, SubmissionState::Rejected { .. }));
            let other = world.admitted(0, 2).await;
            world.rejects(1, other, Problem::new(ProblemKind::ProofInvalid, "no"));
            world.status(other).await;
        }
        Work::Withdraw | Work::WithdrawPending => {
            assert!(matches!(world.status(id).await.state, SubmissionState::Withdrawn { .. }));
            world.submit(0, 2).await.problem(ProblemKind::IdentityUsed);
        }
        Work::Publish => {
            let reply =
                get(format!("/v1/surveys/{}/statistics", world.survey_id())).send(&world.router).await;
            assert_eq!(reply.json::<SignedResult>(), long(world, world.statistics_of(1)));
        }
        Work::Ask => {
            let query = world.asked(MEAN).await;
            world.answered(query, world.result(1, &asked()));
            assert!(matches!(world.query(query).await, QueryState::Done { .. }));
        }
        Work::Answer => {
            let expected = long(world, world.result(1, &asked()));
            let query = asked().id(world.survey_id(), 1);
            assert_eq!(world.query(query).await, QueryState::Done { result: expected });
        }
    }
    // No place is taken by what has ended, and the reaper has nothing to look at.
    assert_eq!(world.unfinished().await, 0);
    assert_eq!(reap_once(&world.coordinator).await.unwrap().seen, 0);
}

/// Does the work once, killed where `death` says; the number of writes that it made.
async fn run(work: Work, death: Option<Death>) -> usize {
    let table = Table::new();
    let world = Arc::new(World::with(Options { table: Some(table.clone()), ..Options::default() }).await);
    let id = prepare(&world, work).await;
    table.die(death);
    // A panic of the function is its end.
    let end = tokio::spawn(act(Arc::clone(&world), work, id)).await;
    let (writes, died) = table.lived();
    assert_eq!(died, death.is_some(), "{work:?} {death:?} {end:?}");
    table.die(None);
    let mut world = Arc::into_inner(world).unwrap();
    world.restart();
    let world = Arc::new(world);
    if death.is_some() {
        // Whoever had no answer sends the same again, or the next tick comes.
        act(Arc::clone(&world), work, id).await;
    }
    check(&world, work, id).await;
    writes
}

#[tokio::test]
async fn a_function_may_be_killed_at_any_write() {
    let mut points = 0;
    for work in ALL {
        let writes = run(work, None).await;
        assert!(writes > 0, "{work:?}");
        for at in 0..writes {
            for after in [false, true] {
                run(work, Some(Death { at, after })).await;
                points += 1;
            }
        }
    }
    assert!(points >= 50, "{points} points");
}
