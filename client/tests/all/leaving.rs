//! Leaving with a receipt, against stub servers; and surveys that are remembered.

use std::time::Duration;

use axum::http::Method;
use tercet_client::Error;
use tercet_client::memory::Memory;
use tercet_client::submit::{Submitted, submit};
use tercet_client::withdraw::{Erased, ReceiptFile, withdraw};
use tercet_evidence::Secrets;
use tercet_protocol::api::SubmissionState;
use tercet_protocol::ids::SubmissionId;

use crate::fixtures::{Vector, vectors};
use crate::stub::{Call, Stub, World, json, submit_options};

async fn accepted(stub: &Stub) -> (Submitted, ReceiptFile) {
    let v = Vector::load(&vectors().join("cohort/provider06"));
    let (coordinator, deployment) = stub.deployment().await;
    let secrets = Secrets::decode(&v.secrets()).unwrap();
    let done =
        submit(&coordinator, &deployment, &v.presentation(), &secrets, submit_options(), &|_| ()).await;
    let done = done.unwrap();
    let key = done.withdrawal.clone().unwrap();
    let file = ReceiptFile::new(&stub.url(), &done, &key, "r.json");
    (done, file)
}

async fn leave(stub: &Stub, file: &ReceiptFile, patience: Duration) -> Result<Erased, Error> {
    let (coordinator, deployment) = stub.deployment().await;
    withdraw(&coordinator, &deployment, file, patience).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_file_is_enough_to_leave() {
    let stub = Stub::honest().await;
    let (done, file) = accepted(&stub).await;
    let read = ReceiptFile::from_json(&serde_json::to_vec_pretty(&file).unwrap()).unwrap();
    assert_eq!(read, file);
    assert!(
        !format!("{file:?} {done:?}")
            .contains(serde_json::to_string(&file.withdrawal_key).unwrap().trim_matches('"'))
    );
    let erased = leave(&stub, &read, Duration::from_secs(5)).await.unwrap();
    assert_eq!(erased.receipts.len(), 3);
    assert!(erased.to_text().contains("Kept are the sums of the 24 rows"), "{}", erased.to_text());
    // One that waited leaves nothing behind.
    stub.with(|w| w.entered = None);
    let erased = leave(&stub, &read, Duration::from_secs(5)).await.unwrap();
    assert!(erased.to_text().contains("nothing of it is kept"), "{}", erased.to_text());
    assert!(erased.to_text().contains("backups"), "backups are not left unsaid: {}", erased.to_text());
    for bad in ["{}", "[]", "not json", "{\"withdrawal_key\":\"00\"}"] {
        assert_eq!(ReceiptFile::from_json(bad.as_bytes()).unwrap_err().exit_status(), 2);
    }
}

/// The same files give the same key: a provider who has lost the receipt gets it again by sending them again.
#[tokio::test(flavor = "multi_thread")]
async fn sending_the_same_files_gives_the_same_receipt() {
    let stub = Stub::honest().await;
    let (_, first) = accepted(&stub).await;
    let (_, second) = accepted(&stub).await;
    assert_eq!(first, second);
}

/// The parties have not all followed yet: the wish is repeated, and given up in time.
#[tokio::test(flavor = "multi_thread")]
async fn the_wish_is_repeated_until_all_have_erased() {
    let slow = Stub::start(|call, w| {
        let id = withdrawn(call)?;
        let receipts = (0..3).map(|p| w.receipt(id, p)).collect();
        (call.nth < 2).then(|| json(202, &w.status(id, SubmissionState::Accepted { receipts })))
    })
    .await;
    let (_, file) = accepted(&slow).await;
    leave(&slow, &file, Duration::from_secs(30)).await.unwrap();
    assert_eq!(slow.count(Method::POST, "/v1/submissions/", "/withdraw"), 3);
    let never = Stub::start(|call, w| {
        let id = withdrawn(call)?;
        Some(json(202, &w.status(id, SubmissionState::Pending)))
    })
    .await;
    let (_, file) = accepted(&never).await;
    assert_eq!(leave(&never, &file, Duration::ZERO).await.unwrap_err().code(), "timed-out");
}

fn withdrawn(call: &Call) -> Option<SubmissionId> {
    call.path.strip_prefix("/v1/submissions/")?.strip_suffix("/withdraw")?.parse().ok()
}

/// That it is erased is believed to three signatures about one entry only.
#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_an_erasure_are_verified() {
    type Alter = fn(&mut World, SubmissionId) -> Vec<tercet_protocol::withdrawal::ErasureReceipt>;
    let alters: [Alter; 6] = [
        |_, _| Vec::new(),
        |w, id| (0..2).map(|p| w.erasure(id, p)).collect(),
        |w, id| [0, 1, 1].map(|p| w.erasure(id, p)).to_vec(),
        |w, id| {
            let mut receipts: Vec<_> = (0..3).map(|p| w.erasure(id, p)).collect();
            receipts[1].height += 1;
            receipts
        },
        |w, _| (0..3).map(|p| w.erasure(SubmissionId([9; 32]), p)).collect(),
        |w, id| {
            let mut receipts: Vec<_> = (0..3).map(|p| w.erasure(id, p)).collect();
            w.entered = None;
            receipts[2] = w.erasure(id, 2);
            receipts
        },
    ];
    for (i, alter) in alters.into_iter().enumerate() {
        let stub = Stub::start(move |call, w| {
            let id = withdrawn(call)?;
            let receipts = alter(w, id);
            Some(json(200, &w.status(id, SubmissionState::Withdrawn { receipts })))
        })
        .await;
        let (_, file) = accepted(&stub).await;
        let error = leave(&stub, &file, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.code(), "bad-answer", "{i}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_surveys_are_remembered_for_each_coordinator() {
    let (one, other) = (Stub::honest().await, Stub::honest().await);
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::at(dir.path().join("config/tercet"));
    let survey = one.with(|w| w.survey.clone());
    assert_eq!(memory.chosen(&one.url()).unwrap(), None);
    assert_eq!(memory.survey(survey.id()).unwrap(), None);
    memory.remember(&format!("{}/", one.url()), &survey).unwrap();
    assert_eq!(memory.chosen(&one.url()).unwrap(), Some(survey.id()), "a slash makes no difference");
    assert_eq!(memory.chosen(&other.url()).unwrap(), None);
    assert_eq!(memory.survey(survey.id()).unwrap().as_ref(), Some(&survey));
    // A file under the id of another survey is no such survey.
    let second = other.with(|w| w.survey.clone());
    let file = |id| dir.path().join(format!("config/tercet/surveys/{id}.json"));
    std::fs::write(file(survey.id()), second.bytes()).unwrap();
    assert_eq!(memory.survey(survey.id()).unwrap_err().exit_status(), 2);
    memory.remember(&one.url(), &second).unwrap();
    assert_eq!(memory.chosen(&one.url()).unwrap(), Some(second.id()));
    std::fs::write(dir.path().join("config/tercet/coordinators.json"), "[").unwrap();
    assert_eq!(memory.chosen(&one.url()).unwrap_err().exit_status(), 2);
}
