//! The decision of a pending submission.

use coordinator_lambda::settle::{Decision, View, decide};
use coordinator_lambda::store::submissions::{Evidence, RecordState};
use tercet_protocol::api::{Problem, ProblemKind, SubmissionState};
use tercet_protocol::ids::{Nullifier, Signature, SubmissionId};

use crate::support::World;
use crate::support::parties::{Says, says};
use crate::support::reply::get;

fn proof_invalid() -> Problem {
    Problem::new(ProblemKind::ProofInvalid, "the proof does not hold")
}

#[tokio::test]
async fn three_receipts_for_one_entry_are_acceptance_for_good() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    world.accepts(0, 0, id);
    world.accepts(2, 0, id);
    world.pends(1, id);
    assert_eq!(world.status(id).await.state, SubmissionState::Pending);
    world.accepts(1, 0, id);
    let status = world.status(id).await;
    let SubmissionState::Accepted { receipts } = &status.state else { panic!("{status:?}") };
    for (party, receipt) in receipts.iter().enumerate() {
        assert_eq!(usize::from(receipt.party), party);
        assert_eq!(receipt.verify(world.survey.parties()), Ok(()));
    }
    // Cached: nobody is asked again, and nothing changes it.
    let asked = world.parties[0].asked();
    for party in 0..3 {
        world.rejects(party, id, proof_invalid());
    }
    world.clock.advance_seconds(10_000);
    assert_eq!(world.status(id).await, status);
    assert_eq!(world.parties[0].asked(), asked);
    assert_eq!(world.unfinished().await, 0);
}

#[tokio::test]
async fn receipts_that_do_not_fit_count_nothing() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    world.accepts(0, 0, id);
    world.accepts(1, 0, id);
    let good = world.receipt(2, 0, id, 3);
    let survey = world.survey_id();
    let mut forged = good.clone();
    forged.signature = Signature([1; 64]);
    let bad = [
        ("forged", vec![forged]),
        ("of another party", vec![world.receipt(1, 0, id, 3)]),
        ("of another submission", vec![world.receipt(2, 0, SubmissionId([8; 32]), 3)]),
        ("of another identity", vec![world.parties[2].receipt(survey, id, Nullifier([8; 32]), 3)]),
        ("of another entry", vec![world.receipt(2, 0, id, 4)]),
        ("none", vec![]),
    ];
    for (what, receipts) in bad {
        world.parties[2].say(id, says(survey, id, SubmissionState::Accepted { receipts }));
        assert_eq!(world.status(id).await.state, SubmissionState::Pending, "{what}");
    }
    let about_another =
        says(survey, SubmissionId([8; 32]), SubmissionState::Rejected { problem: proof_invalid() });
    world.parties[2].say(id, about_another);
    assert_eq!(world.status(id).await.state, SubmissionState::Pending);
    world.parties[2].say(id, says(survey, id, SubmissionState::Accepted { receipts: vec![good] }));
    assert!(matches!(world.status(id).await.state, SubmissionState::Accepted { .. }));
}

#[tokio::test]
async fn a_partys_rejection_decides_and_names_the_party() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    world.pends(0, id);
    world.rejects(1, id, proof_invalid().rule("x\u{7}y"));
    let status = world.status(id).await;
    let SubmissionState::Rejected { problem } = &status.state else { panic!("{status:?}") };
    assert_eq!(problem.known(), Some(ProblemKind::ProofInvalid));
    assert_eq!((problem.party, problem.rule.as_deref()), (Some(1), Some("xy")));
    // For good, whatever comes now.
    world.all_accept(0, id);
    assert_eq!(world.status(id).await, status);
}

#[tokio::test]
async fn one_party_cannot_undo_what_another_gave_a_receipt_for() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    world.accepts(0, 0, id);
    world.pends(1, id);
    world.rejects(2, id, proof_invalid());
    assert_eq!(world.status(id).await.state, SubmissionState::Pending);
    // The receipt is remembered: the coordinator restarts, the honest party is away, the ticket ends.
    world.parties[0].say(id, Says::Raw(503, String::new()));
    world.clock.advance_seconds(1_000);
    let other = world.another();
    let status = other.submission_status(id).await.unwrap();
    assert_eq!(status.state, SubmissionState::Pending);
    // The cheater comes round, or is replaced: accepted, with the receipt that was seen first.
    world.accepts(1, 0, id);
    world.accepts(2, 0, id);
    assert!(matches!(world.status(id).await.state, SubmissionState::Accepted { .. }));
}

#[tokio::test]
async fn two_parties_against_a_lone_receipt_decide() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    world.accepts(1, 0, id);
    assert_eq!(world.status(id).await.state, SubmissionState::Pending);
    world.rejects(0, id, proof_invalid());
    world.rejects(2, id, proof_invalid());
    assert!(matches!(world.status(id).await.state, SubmissionState::Rejected { .. }));
    // As well when the two only never got their part.
    let id = world.admitted(1, 0).await;
    world.accepts(1, 1, id);
    assert_eq!(world.status(id).await.state, SubmissionState::Pending);
    world.clock.advance_seconds(306);
    assert!(matches!(world.status(id).await.state, SubmissionState::Rejected { .. }));
    assert_eq!(world.unfinished().await, 0);
}

#[tokio::test]
async fn a_ticket_that_ends_unused_makes_the_submission_incomplete() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    world.pends(0, id);
    world.pends(1, id);
    world.clock.advance_seconds(304);
    assert_eq!(world.status(id).await.state, SubmissionState::Pending, "within the margin for clocks");
    world.clock.advance_seconds(1);
    let SubmissionState::Rejected { problem } = world.status(id).await.state else { panic!() };
    assert_eq!((problem.known(), problem.party), (Some(ProblemKind::Incomplete), Some(2)));
}

/// A party remembers that an earlier attempt was incomplete, until the new upload arrives: no reason to end the
/// new attempt.
#[tokio::test]
async fn a_rejection_without_fault_decides_only_after_the_ticket() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    let incomplete = Problem::new(ProblemKind::Incomplete, "another party did not receive its part");
    for party in 0..3 {
        world.rejects(party, id, incomplete.clone());
    }
    world.clock.advance_seconds(300);
    assert_eq!(world.status(id).await.state, SubmissionState::Pending);
    world.clock.advance_seconds(5);
    let SubmissionState::Rejected { problem } = world.status(id).await.state else { panic!() };
    assert_eq!(problem, incomplete.clone().party(0));
    assert_eq!(world.admitted(0, 0).await, id);
    assert_eq!(world.status(id).await.state, SubmissionState::Pending);
    // A fault decides at once, and is what the provider hears of.
    world.rejects(2, id, proof_invalid());
    let SubmissionState::Rejected { problem } = world.status(id).await.state else { panic!() };
    assert_eq!(problem.known(), Some(ProblemKind::ProofInvalid));
}

#[tokio::test]
async fn while_the_parties_work_or_are_silent_nothing_is_decided() {
    let world = World::new().await;
    let working = world.admitted(0, 0).await;
    let silent = world.admitted(1, 0).await;
    let garbage = world.admitted(2, 0).await;
    for party in 0..3 {
        world.pends(party, working);
    }
    world.all_say(silent, Says::Raw(500, "oops".into()));
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(2 << 20));
    world.parties[0].say(garbage, Says::Raw(200, "{\"state\":\"accepted\"}".into()));
    world.parties[1].say(garbage, Says::Raw(200, long));
    world.parties[2].say(garbage, Says::Raw(200, "<html>".into()));
    world.clock.advance_seconds(100_000);
    for id in [working, silent, garbage] {
        assert_eq!(world.status(id).await.state, SubmissionState::Pending);
    }
    get(format!("/v1/submissions/{}", SubmissionId([1; 32])))
        .send(&world.router)
        .await
        .problem(ProblemKind::NotFound);
    get("/v1/submissions/xyz").send(&world.router).await.problem(ProblemKind::Malformed);
}

/// An instance is cut off between reading and writing, and goes on after others have written.
#[tokio::test]
async fn late_decisions_change_nothing() {
    let world = World::new().await;
    let store = &world.coordinator.store;
    let reject = [View::Rejected(proof_invalid()), View::Silent, View::Silent];

    // Another instance has accepted in the meantime.
    let id = world.admitted(0, 0).await;
    let stale = store.submission(id).await.unwrap().unwrap();
    world.all_accept(0, id);
    world.status(id).await;
    let after = world.coordinator.apply(stale, &reject).await.unwrap();
    assert_eq!(after.state, RecordState::Accepted);

    // Another has seen a receipt.
    let id = world.admitted(1, 0).await;
    let stale = store.submission(id).await.unwrap().unwrap();
    world.accepts(0, 1, id);
    world.status(id).await;
    let after = world.coordinator.apply(stale, &reject).await.unwrap();
    assert_eq!(after.state, RecordState::Pending);

    // The provider has got a new ticket.
    let id = world.admitted(2, 0).await;
    let stale = store.submission(id).await.unwrap().unwrap();
    assert!(store.renew(id, stale.expires, stale.expires + 500).await.unwrap());
    assert!(!store.renew(id, stale.expires, stale.expires + 900).await.unwrap(), "one renewal wins");
    world.clock.advance_seconds(310);
    let unknown = [View::Unknown, View::Unknown, View::Unknown];
    let after = world.coordinator.apply(stale, &unknown).await.unwrap();
    assert_eq!(after.state, RecordState::Pending);

    // Another has rejected: an acceptance comes too late, and frees or counts nothing twice.
    let id = world.admitted(3, 0).await;
    let stale = store.submission(id).await.unwrap().unwrap();
    world.rejects(0, id, proof_invalid());
    world.status(id).await;
    let accept = [0, 1, 2].map(|p: usize| View::Accepted(Box::new(world.receipt(p, 3, id, 3))));
    let after = world.coordinator.apply(stale, &accept).await.unwrap();
    assert!(matches!(after.state, RecordState::Rejected { .. }));
    assert_eq!(world.unfinished().await, 2);
}

#[tokio::test]
async fn a_decision_made_by_many_at_once_happens_once() {
    let world = World::new().await;
    for provider in 0..4 {
        let id = world.admitted(provider, 0).await;
        world.all_accept(provider, id);
        let calls = (0..8).map(|_| {
            let c = world.another();
            tokio::spawn(async move { c.submission_status(id).await.unwrap() })
        });
        for call in calls.collect::<Vec<_>>() {
            assert!(matches!(call.await.unwrap().state, SubmissionState::Accepted { .. }));
        }
        assert_eq!(world.unfinished().await, 0);
    }
}

/// Every combination of three parties' answers: acceptance needs three receipts, and one party alone never brings a
/// rejection against a receipt.
#[tokio::test]
async fn all_combinations_of_views() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    let record = world.coordinator.store.submission(id).await.unwrap().unwrap();
    let view = |kind: usize, party: usize| match kind {
        0 => View::Silent,
        1 => View::Unknown,
        2 => View::Pending,
        3 => View::Accepted(Box::new(world.receipt(party, 0, id, 3))),
        4 => View::Rejected(proof_invalid()),
        _ => View::Rejected(Problem::new(ProblemKind::Incomplete, "missing")),
    };
    for code in 0..432 {
        let (over, kinds) = (code >= 216, [code % 6, code / 6 % 6, code / 36 % 6]);
        let views = [view(kinds[0], 0), view(kinds[1], 1), view(kinds[2], 2)];
        let now = if over { record.expires + 5 } else { record.expires };
        let count = |kind: usize| kinds.iter().filter(|k| **k == kind).count();
        let against = count(4) + if over { count(1) + count(5) } else { 0 };
        let decision = decide(&record, &views, now, 5);
        match decision {
            Decision::Accept(_) => assert_eq!(count(3), 3, "{kinds:?}"),
            Decision::Reject(_, Evidence::TwoParties) => assert!(against >= 2, "{kinds:?}"),
            Decision::Reject(_, Evidence::OneParty) => assert_eq!((against, count(3)), (1, 0), "{kinds:?}"),
            Decision::Wait => {
                assert!(against == 0 && count(3) < 3 || against == 1 && count(3) > 0, "{kinds:?}")
            }
        }
    }
}
