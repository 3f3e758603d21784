//! `status` while the coordinator cannot decide, against stub servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::Method;
use tercet_client::standing;
use tercet_client::submit::submit;
use tercet_evidence::Secrets;
use tercet_protocol::api::{Problem, ProblemKind, SubmissionState};
use tercet_protocol::ids::{EntryHash, SubmissionId};
use tercet_protocol::submission::Receipt;

use crate::fixtures::{Vector, vectors};
use crate::stub::{Stub, World, json, problem_response, submit_options};

/// The answer of one party about an accepted submission; `None`: it is down.
type Answer = fn(&World, Receipt) -> Option<Receipt>;

/// Number of receipts that prove that a submission is accepted, with these answers of the parties.
async fn proven(answers: [Answer; 3]) -> Option<usize> {
    let accepted = Arc::new(AtomicBool::new(false));
    let later = accepted.clone();
    let stub = Stub::start(move |call, world| {
        let (party, id) = call.path.strip_prefix("/p")?.split_once("/v1/submissions/")?;
        let (party, id): (usize, SubmissionId) = (party.parse().ok()?, id.parse().ok()?);
        // The submission itself goes through.
        if call.method != Method::GET || !later.load(Ordering::SeqCst) {
            return None;
        }
        let down = || problem_response(Problem::new(ProblemKind::PartyUnavailable, "down").retry_after(3600));
        Some(match answers[party](world, world.receipt(id, party)) {
            None => down(),
            Some(r) => json(200, &world.status(id, SubmissionState::Accepted { receipts: vec![r] })),
        })
    })
    .await;
    let v = Vector::load(&vectors().join("cohort/provider06"));
    let (coordinator, deployment) = stub.deployment().await;
    let secrets = Secrets::decode(&v.secrets()).unwrap();
    let done =
        submit(&coordinator, &deployment, &v.presentation(), &secrets, submit_options(), &|_| ()).await;
    let id = done.unwrap().submission;
    accepted.store(true, Ordering::SeqCst);
    standing::accepted(coordinator.http(), &deployment, id).await.map(|receipts| receipts.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_receipts_of_one_entry_are_acceptance_and_one_is_not() {
    let own: Answer = |_, r| Some(r);
    let down: Answer = |_, _| None;
    let forged: Answer = |w, r| Some(Receipt { party: 2, ..r }.signed(&w.identities[0]));
    let elsewhere: Answer = |w, r| {
        let key = &w.identities[usize::from(r.party)];
        Some(Receipt { entry: EntryHash([6; 32]), ..r }.signed(key))
    };
    for (answers, expected) in [
        ([own, own, own], Some(3)),
        ([own, own, down], Some(2)),
        ([down, own, own], Some(2)),
        ([own, down, down], None),
        ([down, down, down], None),
        // A corrupted party beside one that is down proves nothing, and beside two that work nothing else.
        ([own, down, forged], None),
        ([own, elsewhere, down], None),
        ([own, elsewhere, own], Some(2)),
    ] {
        assert_eq!(proven(answers).await, expected);
    }
}
