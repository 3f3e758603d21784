//! Processes killed at any time: nothing that has a receipt is lost, a submission without a receipt can be sent
//! again, and the three logs end up equal.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::world::{World, cohort, options, told, vectors};

#[tokio::test(flavor = "multi_thread")]
async fn killing_any_process_loses_nothing_that_has_a_receipt() {
    let mut world = World::start(vectors().join("survey.toml")).await;
    let dirs = cohort();
    let victims = ["party-0", "party-1", "party-2", "coordinator", "s3", "dynamodb"];
    let mut receipts = Vec::new();
    for (round, (victim, batch)) in victims.iter().zip(dirs.chunks(4)).enumerate() {
        // The victim dies while four submissions are under way, at another moment each time.
        let outcomes = {
            let mut running: FuturesUnordered<_> = batch.iter().map(|d| world.submit(d)).collect();
            let mut done = Vec::new();
            let deadline = tokio::time::sleep(Duration::from_millis(40 + 45 * round as u64));
            tokio::pin!(deadline);
            loop {
                tokio::select! {
                    () = &mut deadline => break,
                    Some(outcome) = running.next() => done.push(outcome),
                }
            }
            // Dropping the rest is a provider whose machine went away too.
            done
        };
        world.stack.kill(victim).unwrap();
        receipts.extend(outcomes.into_iter().flatten());
        world.stack.restart(victim).unwrap();
        for dir in batch {
            let submitted =
                world.submit(dir).await.unwrap_or_else(|e| panic!("after {victim} came back: {e}"));
            receipts.push(submitted);
        }
        let agreed = world.agreed().await;
        assert_eq!(agreed.submissions, told(4 * (round as u64 + 1)), "after {victim}");
    }
    // Stop everything and start it on the same folder.
    let World { dir, stack, .. } = world;
    let survey = stack.survey();
    stack.stop();
    let stack = tercet_stack::Stack::start(
        options(dir.path().to_path_buf(), vectors().join("survey.toml")),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(stack.survey(), survey);
    let coordinator =
        tercet_client::coordinator::Coordinator::new(&stack.coordinator(), Default::default()).unwrap();
    let deployment = coordinator.deployment(coordinator.survey(survey).await.unwrap()).await.unwrap();
    let world = World { dir, stack, coordinator, deployment };
    assert_eq!(world.agreed().await.submissions, told(24));
    for r in receipts {
        world.deployment.verify_receipts(r.submission, &r.receipts).unwrap();
        for i in 0..3 {
            let url = format!("{}/v1/submissions/{}", world.stack.party(i), r.submission);
            let request = tercet_client::http::Request::get("a party", url.parse().unwrap());
            let answer = world.coordinator.http().send(&request).await.unwrap();
            let status: tercet_protocol::api::SubmissionStatus =
                serde_json::from_slice(&answer.body).unwrap();
            match status.state {
                tercet_protocol::api::SubmissionState::Accepted { receipts } => {
                    assert_eq!(
                        (receipts[0].height, receipts[0].entry),
                        (r.receipts[0].height, r.receipts[0].entry)
                    );
                }
                other => panic!("a receipt's submission is {other:?}"),
            }
        }
    }
    world.stack.stop();
}
