//! Tickets for sessions with notaries.

use coordinator_lambda::config::Rate;
use tercet_protocol::api::{FederationInfo, ProblemKind};
use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::notary::{NotaryTicket, TICKET_SECONDS, TicketRequest};

use crate::support::reply::{get, post};
use crate::support::{Options, World};

fn body() -> Vec<u8> {
    serde_json::to_vec(&TicketRequest { notary: PublicKey([7; 32]) }).unwrap()
}

#[tokio::test]
async fn a_ticket_is_signed_short_lived_and_never_the_same() {
    let world = World::new().await;
    let path = format!("/v1/surveys/{}/notary-tickets", world.survey_id());
    let reply = post(&path, body()).send(&world.router).await;
    assert_eq!(reply.status, 201);
    let ticket: NotaryTicket = reply.json();
    let key = get("/v1/federation").send(&world.router).await.json::<FederationInfo>().coordinator_key;
    assert_eq!(ticket.verify(&key), Ok(()));
    assert_eq!((ticket.survey, ticket.notary), (world.survey_id(), PublicKey([7; 32])));
    let again: NotaryTicket = post(&path, body()).send(&world.router).await.json();
    assert_ne!(ticket.nonce, again.nonce);
    world.clock.advance_seconds(TICKET_SECONDS);
    let later: NotaryTicket = post(&path, body()).send(&world.router).await.json();
    assert_eq!(later.expires, ticket.expires + TICKET_SECONDS);
}

#[tokio::test]
async fn what_is_no_request_for_a_ticket_is_refused() {
    let world = World::new().await;
    let path = format!("/v1/surveys/{}/notary-tickets", world.survey_id());
    for bad in ["", "{}", r#"{"notary":"zz"}"#, r#"{"notary":"00","more":1}"#] {
        post(&path, bad).send(&world.router).await.problem(ProblemKind::Malformed);
    }
    post(&path, vec![b' '; 20_000]).send(&world.router).await.problem(ProblemKind::TooLarge);
    let other = format!("/v1/surveys/{}/notary-tickets", SurveyId([9; 32]));
    post(other, body()).send(&world.router).await.problem(ProblemKind::NotFound);
}

#[tokio::test]
async fn an_address_gets_so_many() {
    let mut limits = Options::default().limits;
    limits.address = Rate { burst: 2, per_second: 0.1 };
    let world = World::with(Options { limits, ..Options::default() }).await;
    let path = format!("/v1/surveys/{}/notary-tickets", world.survey_id());
    for _ in 0..2 {
        assert_eq!(post(&path, body()).send(&world.router).await.status, 201);
    }
    let reply = post(&path, body()).send(&world.router).await;
    assert_eq!(reply.problem(ProblemKind::RateLimited).rule.as_deref(), Some("address"));
    assert_eq!(post(&path, body()).from("203.0.113.9:1").send(&world.router).await.status, 201);
}
