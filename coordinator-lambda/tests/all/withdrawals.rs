//! Leaving: the right to do it, the parties' evidence, and the effects.

use tercet_protocol::api::{Problem, ProblemKind, SubmissionState, SubmissionStatus};
use tercet_protocol::ids::SubmissionId;
use tercet_protocol::withdrawal::{Entered, ErasureReceipt, Withdrawal};

use crate::support::parties::{Says, says};
use crate::support::reply::{Reply, post};
use crate::support::{World, withdrawal_key};

impl World {
    pub(crate) fn wish(&self, provider: usize, id: SubmissionId) -> Withdrawal {
        Withdrawal::sign(&withdrawal_key(provider), self.survey_id(), id)
    }

    pub(crate) async fn withdraw(&self, id: SubmissionId, wish: &Withdrawal) -> Reply {
        let body = serde_json::to_vec(wish).unwrap();
        post(format!("/v1/submissions/{id}/withdraw"), body).send(&self.router).await
    }

    fn erases(&self, party: usize, id: SubmissionId, receipt: ErasureReceipt) {
        let state = SubmissionState::Withdrawn { receipts: vec![receipt] };
        self.parties[party].on_withdraw(id, says(self.survey_id(), id, state));
    }

    pub(crate) fn all_erase(&self, id: SubmissionId, entered: Option<Entered>) {
        for party in 0..3 {
            let receipt = self.parties[party].erasure(self.survey_id(), id, entered);
            self.erases(party, id, receipt);
        }
    }

    async fn accepted(&self, provider: usize) -> SubmissionId {
        let id = self.admitted(provider, 0).await;
        self.all_accept(provider, id);
        assert!(matches!(self.status(id).await.state, SubmissionState::Accepted { .. }));
        id
    }
}

fn withdrawn(reply: &Reply) -> Vec<ErasureReceipt> {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    match reply.json::<SubmissionStatus>().state {
        SubmissionState::Withdrawn { receipts } => receipts,
        other => panic!("{other:?}"),
    }
}

pub(crate) const ENTERED: Entered = Entered { release: 2, time: 1_795_000_000, unit_rows: 12 };

#[tokio::test]
async fn a_counted_submission_is_erased_and_its_identity_stays_used() {
    let world = World::new().await;
    let id = world.accepted(0).await;
    world.all_erase(id, Some(ENTERED));
    let wish = world.wish(0, id);
    let receipts = withdrawn(&world.withdraw(id, &wish).await);
    assert_eq!(receipts.iter().map(|r| r.party).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(receipts.iter().all(|r| r.verify(world.survey.parties()).is_ok()));
    // The status says so from then on, and asking again costs the parties nothing.
    let asked = world.parties[0].withdrawn();
    assert_eq!(withdrawn(&world.withdraw(id, &wish).await), receipts);
    assert_eq!(world.parties[0].withdrawn(), asked);
    assert_eq!(world.status(id).await.state, SubmissionState::Withdrawn { receipts });
    world.submit(0, 0).await.problem(ProblemKind::Withdrawn);
    world.submit(0, 1).await.problem(ProblemKind::IdentityUsed);
}

#[tokio::test]
async fn a_waiting_submission_is_gone_and_its_identity_is_free() {
    let world = World::new().await;
    let id = world.accepted(0).await;
    world.all_erase(id, None);
    withdrawn(&world.withdraw(id, &world.wish(0, id)).await);
    world.submit(0, 0).await.problem(ProblemKind::Withdrawn);
    let again = world.admitted(0, 1).await;
    // The old wish says nothing about the new submission.
    let reply = world.withdraw(again, &world.wish(0, id)).await;
    reply.problem(ProblemKind::Malformed);
    assert_eq!(world.unfinished().await, 1);
}

#[tokio::test]
async fn one_that_the_coordinator_never_saw_accepted_can_be_withdrawn() {
    let world = World::new().await;
    let id = world.admitted(0, 0).await;
    world.all_say(id, Says::Raw(500, String::new()));
    world.all_erase(id, Some(ENTERED));
    withdrawn(&world.withdraw(id, &world.wish(0, id)).await);
    assert_eq!(world.unfinished().await, 0);
    world.submit(0, 1).await.problem(ProblemKind::IdentityUsed);
}

/// Nobody but the holder of the receipt's key is heard, and no party is troubled.
#[tokio::test]
async fn wishes_of_others_are_refused() {
    let world = World::new().await;
    let (id, other) = (world.accepted(0).await, world.accepted(1).await);
    world.all_erase(id, None);
    let good = world.wish(0, id);
    let stranger = world.wish(1, id);
    for bad in [
        stranger,
        Withdrawal { signature: tercet_protocol::ids::Signature([0; 64]), ..good.clone() },
        Withdrawal { signature: world.wish(0, other).signature, ..good.clone() },
    ] {
        world.withdraw(id, &bad).await.problem(ProblemKind::Malformed);
    }
    world.withdraw(other, &good).await.problem(ProblemKind::Malformed);
    let unknown = SubmissionId([7; 32]);
    world.withdraw(unknown, &world.wish(0, unknown)).await.problem(ProblemKind::NotFound);
    let elsewhere = Withdrawal::sign(&withdrawal_key(0), tercet_protocol::ids::SurveyId([1; 32]), id);
    world.withdraw(id, &elsewhere).await.problem(ProblemKind::NotFound);
    let path = format!("/v1/submissions/{id}/withdraw");
    for body in ["", "{", "[]", "{\"survey\":1}"] {
        post(&path, body).send(&world.router).await.problem(ProblemKind::Malformed);
    }
    assert_eq!(world.parties[0].withdrawn(), 0);
    assert!(matches!(world.status(id).await.state, SubmissionState::Accepted { .. }));
}

/// A submission is withdrawn only if all three parties have signed to have erased it, by one entry.
#[tokio::test]
async fn two_parties_are_not_enough() {
    let world = World::new().await;
    let id = world.accepted(0).await;
    let wish = world.wish(0, id);
    let receipt = |party: usize| world.parties[party].erasure(world.survey_id(), id, None);
    let not_yet = async |what: &str| {
        let reply = world.withdraw(id, &wish).await;
        assert_eq!(reply.status, 202, "{what}");
        assert!(matches!(reply.json::<SubmissionStatus>().state, SubmissionState::Accepted { .. }), "{what}");
    };
    world.all_erase(id, None);
    world.parties[2].on_withdraw(id, says(world.survey_id(), id, SubmissionState::Pending));
    not_yet("the third has not").await;
    world.erases(2, id, receipt(1));
    not_yet("another party's receipt").await;
    world.erases(2, id, ErasureReceipt { height: 3, ..receipt(2) });
    not_yet("an altered receipt").await;
    let other = ErasureReceipt { height: 3, ..receipt(2) }.signed(&world.parties[2].key);
    world.erases(2, id, other);
    not_yet("another entry").await;
    world.parties[2].on_withdraw(id, Says::Raw(500, String::new()));
    let problem = world.withdraw(id, &wish).await.problem(ProblemKind::PartyUnavailable);
    assert_eq!(problem.party, Some(2));
    let busy = serde_json::to_string(&Problem::new(ProblemKind::Aborted, "a party left")).unwrap();
    world.parties[2].on_withdraw(id, Says::Raw(502, busy));
    world.withdraw(id, &wish).await.problem(ProblemKind::PartyUnavailable);
    world.erases(2, id, receipt(2));
    assert_eq!(withdrawn(&world.withdraw(id, &wish).await).len(), 3);
}
