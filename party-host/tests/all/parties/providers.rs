//! Dishonest providers: each way to cheat is refused, by its reason, and leaves no trace in any log.

use std::time::Duration;

use party_host::clock::Clock as _;
use tercet_mpc::Format;
use tercet_mpc::{Binding, HashAlg, Statement};
use tercet_protocol::api::{Problem, ProblemKind, SubmissionState, SubmissionStatus};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::submission::Ticket;

use super::world::{NEXT_TICKETS, Prepared, World, cohort, manifest};

fn problem(answer: Result<SubmissionStatus, Problem>) -> Problem {
    match answer {
        Err(problem) => problem,
        Ok(SubmissionStatus { state: SubmissionState::Rejected { problem }, .. }) => problem,
        Ok(other) => panic!("not refused: {other:?}"),
    }
}

/// All three parties refuse with this kind.
async fn refused(world: &World, prepared: &Prepared, kind: ProblemKind) -> Vec<Problem> {
    let answers = world.submit(prepared, Duration::from_secs(60)).await.map(problem);
    for p in &answers {
        assert_eq!(p.known(), Some(kind), "{p}");
    }
    answers.into()
}

/// Proves `change(value)` under a commitment to it, for the presentation of the honest value.
fn forged(
    world: &World,
    name: &str,
    change: impl Fn(&mut Vec<u8>, &mut [u8; 16], &mut tercet_mpc::Column),
) -> Prepared {
    let (presentation, statement, mut witness) = world.opened(name);
    let mut columns = statement.columns().to_vec();
    change(&mut witness.bytes, &mut witness.blinder, &mut columns[0]);
    let commitment = tlsn_verifier::HashAlg::Sha256.digest(&[&witness.bytes, &*witness.blinder]);
    columns[0].length = witness.bytes.len() as u8;
    columns[0].binding = Binding::Hash { alg: HashAlg::Sha256, commitment };
    let statement = Statement::new(columns, statement.outputs().to_vec()).unwrap();
    world.prove(presentation, &statement, witness, 9)
}

/// While the coordinator changes its key, tickets of the next one count; no others do.
#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_the_coordinator_s_and_for_this_submission() {
    let world = World::start(manifest(), Duration::from_secs(20)).await;
    let names = cohort();
    let (mine, other) = (world.prepare(&names[0]), world.prepare(&names[1]));
    let (survey, id, now) = (world.survey_id(), mine.id(), world.clock.now());
    let next = SigningKey::from_seed(&NEXT_TICKETS).unwrap();
    let stranger = SigningKey::from_seed(&[55; 32]).unwrap();
    for ticket in [
        Ticket::issue(&stranger, survey, id, now + 300),
        Ticket::issue(&next, survey, other.id(), now + 300),
        Ticket::issue(&next, survey, id, now - 1),
    ] {
        let body = world.upload_with(&mine, 0, ticket);
        let answer = world.party(0).upload(id, body, Duration::from_secs(60)).await;
        assert_eq!(answer.unwrap_err().known(), Some(ProblemKind::TicketInvalid));
    }
    let send = |party: usize| {
        let body = world.upload_with(&mine, party, Ticket::issue(&next, survey, id, now + 300));
        let node = world.party(party).clone();
        async move { node.upload(id, body, Duration::from_secs(60)).await }
    };
    let (a, b, c) = tokio::join!(send(0), send(1), send(2));
    for answer in [a, b, c] {
        assert!(matches!(answer.unwrap().state, SubmissionState::Accepted { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_cheat_is_refused_and_the_honest_value_still_gets_in() {
    let world = World::start(manifest(), Duration::from_secs(20)).await;
    let names = cohort();
    // The first of the cohort is committed with SHA-256, as the forgeries are.
    let name = names[0].as_str();

    let digit = forged(&world, name, |bytes, _, _| bytes[0] = if bytes[0] == b'9' { b'1' } else { b'9' });
    refused(&world, &digit, ProblemKind::ProofInvalid).await;
    let last_digit = forged(&world, name, |bytes, _, _| {
        let last = bytes.last_mut().unwrap();
        *last = if *last == b'9' { b'0' } else { b'9' };
    });
    refused(&world, &last_digit, ProblemKind::ProofInvalid).await;
    let blinder = forged(&world, name, |_, blinder, _| blinder[0] ^= 1);
    refused(&world, &blinder, ProblemKind::ProofInvalid).await;
    let scale = forged(&world, name, |_, _, column| {
        let Format::Number(number) = &mut column.format else { panic!("a category") };
        number.scale = 9;
    });
    let answers = world.submit(&scale, Duration::from_secs(60)).await.map(problem);
    for p in answers {
        assert!(matches!(p.known(), Some(ProblemKind::ProofInvalid | ProblemKind::ShareInvalid)), "{p}");
    }

    // A share changed for one party only: its hash is public.
    for party in 0..3 {
        let mut one = world.prepare(name);
        one.public.evidence = world.prepare(&names[party + 1]).public.evidence;
        let (presentation, statement, witness) = world.opened(name);
        let honest = world.prove(presentation, &statement, witness, 20 + party as u8);
        let mut altered = Prepared { private: honest.private.clone(), ..honest };
        let last = altered.private[party].last_mut().unwrap();
        *last ^= 1;
        // Whoever got it refuses it at the door, and says so; the others wait for a counterpart that never comes.
        for (i, answer) in world.submit(&altered, Duration::from_millis(300)).await.into_iter().enumerate() {
            if i == party {
                let refused = problem(answer);
                assert_eq!(refused.known(), Some(ProblemKind::ShareMismatch), "{refused}");
                assert_eq!(refused.party, Some(party as u8));
                // It says so when the coordinator asks, too: the identity does not wait for the ticket's end.
                let status = world.party(i).submission(altered.public.id()).unwrap();
                let SubmissionState::Rejected { problem } = status.state else {
                    panic!("{:?}", status.state)
                };
                assert_eq!(problem.known(), Some(ProblemKind::ShareMismatch), "{problem}");
            } else {
                assert!(matches!(answer.unwrap().state, SubmissionState::Pending));
            }
        }
        // The proof of one presentation with another's. Another hash function makes another circuit.
        for p in world.submit(&one, Duration::from_secs(60)).await.map(problem) {
            assert!(matches!(p.known(), Some(ProblemKind::ProofInvalid | ProblemKind::ShareInvalid)), "{p}");
        }
    }

    let mut hash = world.prepare(name);
    hash.public.share_hashes.seeds[1][8] ^= 1;
    refused(&world, &hash, ProblemKind::ProofInvalid).await;
    let mut short = world.prepare(name);
    short.private.iter_mut().for_each(|p| p.truncate(p.len() - 1));
    refused(&world, &short, ProblemKind::ShareInvalid).await;
    let mut tampered = world.prepare(name);
    tampered.public.evidence[100] ^= 1;
    refused(&world, &tampered, ProblemKind::PresentationInvalid).await;

    assert!(world.heights().iter().all(|h| h.0 == 0), "{:?}", world.heights());
    world.accept(&world.prepare(name)).await;

    // The same person again, with another proof.
    let (presentation, statement, witness) = world.opened(name);
    let again = world.prove(presentation, &statement, witness, 8);
    refused(&world, &again, ProblemKind::IdentityUsed).await;
    // Two submissions of one identity at once: exactly one gets in.
    let (presentation, statement, witness) = world.opened(&names[1]);
    let twins = [1, 2].map(|seed| {
        let witness =
            tercet_mpc::ColumnWitness { bytes: witness.bytes.clone(), blinder: witness.blinder.clone() };
        world.prove(presentation.clone(), &statement, witness, seed)
    });
    let patience = Duration::from_secs(60);
    let (a, b) = tokio::join!(world.submit(&twins[0], patience), world.submit(&twins[1], patience));
    for (x, y) in a.into_iter().zip(b) {
        let accepted = |s: &SubmissionStatus| matches!(s.state, SubmissionState::Accepted { .. });
        assert_eq!([x, y].iter().filter(|r| r.as_ref().is_ok_and(accepted)).count(), 1);
    }
}
