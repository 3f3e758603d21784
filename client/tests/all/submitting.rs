//! Submitting against stub servers: arrivals, retries, refusals.

use std::sync::{Arc, Mutex};

use axum::http::Method;
use axum::response::IntoResponse;
use tercet_client::Error;
use tercet_client::submit::{Event, Submitted, submit};
use tercet_evidence::{Secrets, SurveyVerifier};
use tercet_mpc::testing::TestWorld;
use tercet_mpc::{Item, Session, Verdict, verify_batch};
use tercet_protocol::api::{Problem, ProblemKind, SubmissionState};
use tercet_protocol::ids::{EntryHash, SubmissionId};
use tercet_protocol::submission::Receipt;

use crate::fixtures::{Vector, all, vectors};
use crate::stub::{Call, Stub, World, json, problem, problem_response, submit_options};

fn provider(n: usize) -> Vector {
    Vector::load(&vectors().join(format!("cohort/provider{n:02}")))
}

async fn run(stub: &Stub, v: &Vector) -> Result<Submitted, Error> {
    let (coordinator, deployment) = stub.deployment().await;
    let secrets = Secrets::decode(&v.secrets()).unwrap();
    submit(&coordinator, &deployment, &v.presentation(), &secrets, submit_options(), &|_| ()).await
}

/// The parties' own check of the arrived parts, and the value that their shares add up to.
fn value_held(stub: &Stub, id: SubmissionId) -> u128 {
    let (public, shares, survey) =
        stub.with(|w| (w.admitted[&id].clone(), w.shares.clone().map(|s| s[&id].clone()), w.survey.clone()));
    let verifier = SurveyVerifier::new(&survey).unwrap();
    let (verified, admitted) = verifier.check(public.kind, &public.evidence).unwrap();
    let statement = verified.statement(&admitted, survey.manifest()).unwrap();
    let hashes = public.share_hashes;
    let ctx = public.proof_context();
    let lanes = TestWorld::new(1).run(|party, net| {
        let item = Item {
            statement: &statement,
            ctx: &ctx,
            public: &hashes,
            private: Some(&shares[party.index()][..]),
        };
        let verdicts = verify_batch(&mut Session::new(party, [1; 32]), &[item], net).unwrap();
        match &verdicts[0] {
            Verdict::Accepted(a) => a.lanes().iter().map(|s| s.own.0).collect::<Vec<_>>(),
            rejected => panic!("{rejected:?}"),
        }
    });
    lanes.iter().fold(0u128, |sum, l| sum.wrapping_add(l[0]))
}

/// A decimal text times 10^8, as the ring holds it.
fn scaled(text: &str) -> u128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<8}").parse::<i128>().unwrap() as u128
}

#[tokio::test(flavor = "multi_thread")]
async fn real_sessions_of_both_releases_submit() {
    let mut tried = 0;
    for group in ["0.1.0-alpha.12", "0.1.0-alpha.15"] {
        for v in all(group).iter().filter(|v| v.name.contains("/real_") && v.text("mode") == "hash") {
            // Their own manifest: another certificate authority, and one value is larger than the cohort's.
            let dir = tempfile::tempdir().unwrap();
            let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
            std::fs::write(dir.path().join("root.der"), &v.roots()[0]).unwrap();
            std::fs::write(dir.path().join("survey.toml"), text.replace("bits = 48", "bits = 63")).unwrap();
            let stub = Stub::with_survey(&dir.path().join("survey.toml"), |_, _| None).await;
            let done = run(&stub, v).await.unwrap_or_else(|e| panic!("{}: {e}", v.name));
            assert_eq!(value_held(&stub, done.submission), scaled(v.text("value")), "{}", v.name);
            tried += 1;
        }
    }
    assert!(tried >= 7, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_parties_get_shares_that_prove_the_attested_value() {
    let stub = Stub::honest().await;
    let v = provider(0);
    let events = Mutex::new(Vec::new());
    let (coordinator, deployment) = stub.deployment().await;
    let secrets = Secrets::decode(&v.secrets()).unwrap();
    let on_event = |e: Event| events.lock().unwrap().push(e);
    let done = submit(&coordinator, &deployment, &v.presentation(), &secrets, submit_options(), &on_event)
        .await
        .unwrap();
    assert_eq!(done.receipts.len(), 3);
    let id = done.submission;
    let events = events.into_inner().unwrap();
    assert_eq!(events[0], Event::Checked);
    assert!(events.iter().any(|e| matches!(e, Event::Proving(_))));
    assert_eq!(events.iter().filter(|e| matches!(e, Event::Accepted(_))).count(), 3);

    assert_eq!(value_held(&stub, id), scaled(v.text("value")));
    let shares = stub.with(|w| w.shares.clone().map(|s| s[&id].clone()));
    assert!(shares.iter().all(|s| s.len() <= 25 * 1024));
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_again_is_the_same_submission() {
    let stub = Stub::honest().await;
    let v = provider(1);
    let first = run(&stub, &v).await.unwrap();
    let uploads = stub.count(Method::PUT, "/p", "/share");
    let second = run(&stub, &v).await.unwrap();
    assert_eq!(first.submission, second.submission);
    assert_eq!(
        stub.count(Method::PUT, "/p", "/share"),
        uploads,
        "an accepted submission is not uploaded again"
    );
    assert_eq!(stub.with(|w| w.admitted.len()), 1);
    assert_ne!(run(&stub, &provider(2)).await.unwrap().submission, first.submission);
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_failures_are_retried_on_every_route() {
    let stub = Stub::start(|call: &Call, _: &mut World| match call.nth {
        0 => Some(problem(ProblemKind::Busy, "later")),
        1 => Some((axum::http::StatusCode::BAD_GATEWAY, "<html>proxy</html>").into_response()),
        _ => None,
    })
    .await;
    run(&stub, &provider(0)).await.unwrap();
    for party in ["/p0", "/p1", "/p2"] {
        assert!(stub.count(Method::PUT, party, "/share") >= 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_end_and_say_that_sending_again_is_safe() {
    let stub = Stub::start(|call, _| {
        call.is(Method::PUT, "/p2", "/share").then(|| problem(ProblemKind::Busy, "no"))
    })
    .await;
    let error = run(&stub, &provider(0)).await.unwrap_err();
    assert_eq!((error.code().as_str(), error.exit_status()), ("unconfirmed", 1));
    assert!(error.to_string().contains("Sending the same files again is safe"), "{error}");
    assert_eq!(stub.count(Method::PUT, "/p2", "/share"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_long_pause_gets_no_second_request() {
    let stub = Stub::start(|call, _| {
        let limited = Problem::new(ProblemKind::RateLimited, "slow down").retry_after(3600);
        call.is(Method::POST, "/v1", "/submissions").then(|| problem_response(limited))
    })
    .await;
    let error = run(&stub, &provider(0)).await.unwrap_err();
    assert_eq!(error.code(), "unconfirmed");
    assert_eq!(stub.count(Method::POST, "/v1", "/submissions"), 1);
}

/// A stub whose party 1 answers with a receipt that `alter` changed.
async fn with_receipt(alter: impl Fn(&World, Receipt) -> Receipt + Send + 'static) -> Error {
    let stub = Stub::start(move |call, world| {
        if !call.path.starts_with("/p1")
            || !world.admitted.keys().any(|id| call.path.contains(&id.to_string()))
        {
            return None;
        }
        let id = *world.admitted.keys().next().unwrap();
        let receipts = vec![alter(world, world.receipt(id, 1))];
        // The honest shares are needed by nobody here, but the other parties wait for all three.
        world.shares[1].insert(id, Vec::new());
        Some(json(200, &world.status(id, SubmissionState::Accepted { receipts })))
    })
    .await;
    run(&stub, &provider(0)).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_must_be_signed_by_the_pinned_key_and_agree() {
    let forged = with_receipt(|w, r| r.signed(&w.identities[2])).await;
    let elsewhere =
        with_receipt(|w, r| Receipt { entry: EntryHash([6; 32]), ..r }.signed(&w.identities[1])).await;
    let other_party = with_receipt(|w, r| Receipt { party: 2, ..r }.signed(&w.identities[2])).await;
    let other_submission =
        with_receipt(|w, r| Receipt { submission: SubmissionId([1; 32]), ..r }.signed(&w.identities[1]))
            .await;
    for error in [forged, elsewhere, other_party, other_submission] {
        assert_eq!(error.code(), "bad-answer", "{error}");
        assert!(error.to_string().contains("party 1 (operator 1)"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_s_refusal_ends_it_with_its_reason() {
    let stub = Stub::start(|call, _| {
        let bad = Problem::new(ProblemKind::ProofInvalid, "the opened values do not fit").party(2);
        call.is(Method::PUT, "/p2", "/share").then(|| problem_response(bad))
    })
    .await;
    let error = run(&stub, &provider(0)).await.unwrap_err();
    assert_eq!(error.code(), "proof-invalid");
    assert!(error.to_string().contains("party 2 (operator 2) refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_ticket_is_replaced() {
    let stub = Stub::start(|call, _| {
        (call.is(Method::PUT, "/p1", "/share") && call.nth == 0)
            .then(|| problem(ProblemKind::TicketInvalid, "expired"))
    })
    .await;
    run(&stub, &provider(0)).await.unwrap();
    assert_eq!(stub.count(Method::POST, "/v1", "/submissions"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_submission_is_followed_by_a_fresh_one() {
    let spent = Arc::new(Mutex::new(None));
    let seen = spent.clone();
    let stub = Stub::start(move |call, world| {
        if !call.is(Method::POST, "/v1", "/submissions") || call.nth != 1 {
            return None;
        }
        // The first admission got no upload in time; its id is spent for good.
        let id = *world.admitted.keys().next().unwrap();
        *seen.lock().unwrap() = Some(id);
        let problem = Problem::new(ProblemKind::Incomplete, "not all parties got their part");
        Some(json(200, &world.status(id, SubmissionState::Rejected { problem })))
    })
    .await;
    let v = provider(0);
    // A run that gets a ticket and dies before uploading.
    let (coordinator, deployment) = stub.deployment().await;
    let secrets = Secrets::decode(&v.secrets()).unwrap();
    let opened = tercet_client::submit::check(&deployment.survey, &v.presentation(), &secrets).unwrap();
    let prepared =
        tercet_client::submit::prepare(&deployment.survey, &v.presentation(), &opened, 0, &|_| ()).unwrap();
    coordinator.admit(&prepared.public).await.unwrap();
    let done = run(&stub, &v).await.unwrap();
    assert_eq!(*spent.lock().unwrap(), Some(prepared.id));
    assert_ne!(done.submission, prepared.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_restarted_gets_its_share_again() {
    let stub = Stub::start(|call, world| {
        if call.is(Method::GET, "/p0/v1/submissions", "") && call.nth == 0 {
            world.shares[0].clear();
        }
        // Party 2 takes its time, so that party 0 is asked for its decision.
        (call.is(Method::PUT, "/p2", "/share") && call.nth == 0).then(|| problem(ProblemKind::Busy, "later"))
    })
    .await;
    run(&stub, &provider(0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_got_lost_are_fetched_from_the_coordinator() {
    let stub = Stub::start(|call, world| {
        if !call.is(Method::PUT, "/p2", "/share") {
            return None;
        }
        let id = *world.admitted.keys().next().unwrap();
        world.shares[2].insert(id, Vec::new());
        Some(problem(ProblemKind::Internal, "the answer got lost"))
    })
    .await;
    assert_eq!(run(&stub, &provider(0)).await.unwrap().receipts.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_refused_is_refused_before_anything_is_sent() {
    let stub = Stub::honest().await;
    let (coordinator, deployment) = stub.deployment().await;
    let v = provider(0);
    let own = Secrets::decode(&v.secrets()).unwrap();
    let others = Secrets::decode(&provider(1).secrets()).unwrap();
    let foreign = Vector::load(&vectors().join("0.1.0-alpha.15/v04"));
    let mut tampered = v.presentation();
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    let cases = [
        (v.presentation(), &others, "value"),
        (foreign.presentation(), &own, "notary-untrusted"),
        (tampered, &own, "opening-mismatch"),
        (vec![0; 300_000], &own, "value"),
    ];
    for (presentation, secrets, code) in cases {
        let error = submit(&coordinator, &deployment, &presentation, secrets, submit_options(), &|_| ())
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    assert_eq!(stub.count(Method::POST, "", ""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_survey_and_its_operators_cannot_be_swapped() {
    // Another survey's bytes under the pinned id.
    let stub = Stub::start(|call, w| {
        let id = w.survey.id().to_string();
        let mut bytes = w.survey.bytes().to_vec();
        bytes.push(b'\n');
        call.is(Method::GET, "/v1/surveys", &id).then(|| bytes.into_response())
    })
    .await;
    let id = stub.with(|w| w.survey.id());
    assert_eq!(stub.coordinator().survey(id).await.unwrap_err().code(), "bad-answer");

    // A manifest with another sealing key, signed by somebody else.
    let stub = Stub::honest().await;
    let survey = stub.coordinator().survey(stub.survey_id()).await.unwrap();
    stub.with(|w| {
        let other = w.manifests[1].sealing;
        w.manifests[0].sealing = other;
    });
    assert_eq!(stub.coordinator().deployment(survey.clone()).await.unwrap_err().code(), "bad-answer");
    // One operator behind two parties.
    let stub = Stub::honest().await;
    let survey = stub.with(|w| {
        let mut twin = w.manifests[0].clone();
        twin.account = w.manifests[1].account.clone();
        w.manifests[0] = twin.signed(&w.identities[0]);
        w.survey.clone()
    });
    assert_eq!(stub.coordinator().deployment(survey).await.unwrap_err().code(), "federation");
}
