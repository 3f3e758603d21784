//! Release points end to end: a question changes no answer, a row that leaves is erased and no answer tells of it, and neither
//! questions nor refusals fill the store.

use std::collections::BTreeMap;
use std::time::Duration;

use tercet_protocol::api::{ProblemKind, QueryState, SubmissionState};
use tercet_protocol::filter::Filter;
use tercet_protocol::keys::SigningKey;
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::SignedResult;
use tercet_protocol::withdrawal::Withdrawal;

use super::honest::values;
use super::statistics::{ORDERED, bnb, by_field, clear, grouped, released, statistic};
use super::world::{NOW, Prepared, World, cohort, manifest};

const PATIENCE: Duration = Duration::from_secs(20);

fn question(statistics: &[&str], filter: Filter) -> Question {
    Question { statistics: statistics.iter().map(ToString::to_string).collect(), filter }
}

/// All sorts of questions, permitted and not.
fn questions() -> Vec<Question> {
    let filters = [&[][..], &["0"], &["1"], &["0", "1"], &["4"], &["0", "4"], &["none"]];
    let lists: [&[&str]; 5] =
        [&["sum"], &["mean", "variance"], &["median"], &["max", "mean@bnb"], &["count", "count@bnb"]];
    let mut all = vec![question(&["quantile:0.5"], Filter::default()), question(&["mean"], bnb(&[""]))];
    for filter in filters {
        let filter = if filter.is_empty() { Filter::default() } else { bnb(filter) };
        all.extend(lists.iter().map(|list| question(list, filter.clone())));
    }
    all
}

/// The content of an answer, or the reason why there is none.
fn essence(state: QueryState) -> Result<SignedResult, String> {
    match state {
        QueryState::Done { result } => Ok(result),
        QueryState::Refused { problem } => Err(problem.kind),
        QueryState::Running => panic!("still running"),
    }
}

/// Answers and refusals by question.
type Given = BTreeMap<Question, Result<SignedResult, String>>;

/// Everything is asked in two orders, at two release points, of two systems with the same people: each answer and each refusal is
/// the same, whatever was asked before.
#[tokio::test(flavor = "multi_thread")]
async fn no_question_changes_the_answer_to_another() {
    let names = cohort();
    let mut seen: Vec<Vec<Given>> = Vec::new();
    for order in 0..2 {
        let world = World::start(grouped(), PATIENCE).await;
        let prepared: Vec<Prepared> = names.iter().map(|n| world.prepare(n)).collect();
        futures::future::join_all(prepared.iter().map(|p| world.accept(p))).await;
        let mut answers = Vec::new();
        for day in [0, 5] {
            world.clock.set(NOW + day * 86_400);
            world.release().await.unwrap();
            let mut all = questions();
            if order == 1 {
                all.reverse();
            }
            let mut given = BTreeMap::new();
            for q in all {
                given.insert(q.clone(), essence(world.ask(q).await));
            }
            // And once more, the other way round.
            for (q, first) in given.iter().rev() {
                assert_eq!(&essence(world.ask(q.clone()).await), first, "{q:?}");
            }
            answers.push(given);
        }
        seen.push(answers);
    }
    // Batches are cut by chance, so heights and hashes differ; what is said does not.
    let said = |answers: &[Given]| {
        let of = |answer: &Result<SignedResult, String>| {
            answer.as_ref().map(|a| (a.result.submissions, a.result.statistics.clone())).map_err(Clone::clone)
        };
        answers
            .iter()
            .map(|given| given.iter().map(|(q, a)| (q.clone(), of(a))).collect())
            .collect::<Vec<Vec<_>>>()
    };
    assert_eq!(said(&seen[0]), said(&seen[1]));
    let refused = seen[0][0].values().filter(|a| a.is_err()).count();
    assert!((5..30).contains(&refused), "{refused} of {} were refused", seen[0][0].len());
}

/// A leader that proposes queries which the coordinator admitted to nobody, or about something that may not be asked: the others
/// refuse each of them, give the reason, and open nothing.
#[tokio::test(flavor = "multi_thread")]
async fn followers_refuse_a_query_that_the_coordinators_ticket_does_not_admit() {
    let world = World::start(manifest(), Duration::from_millis(800)).await;
    let prepared: Vec<Prepared> = cohort().iter().take(12).map(|n| world.prepare(n)).collect();
    world.count(&prepared).await.unwrap();
    let survey = |p: usize| world.party(p).survey(world.survey_id()).unwrap().clone();
    let failures = |p: usize| survey(p).failures.borrow().clone();
    let leader = survey(0);
    let good = world.ticket(1, question(&["sum"], Filter::default()));
    let mut forged = good.clone();
    forged.signature.0[0] ^= 1;
    let mut other_question = good.clone();
    other_question.question = question(&["mean"], Filter::default());
    let mut other_survey = good.clone();
    other_survey.survey.0[0] ^= 1;
    let mut other_point = good.clone();
    other_point.release = 2;
    let stale = world.ticket(2, question(&["sum"], Filter::default()));
    let unlisted = world.ticket(1, question(&["quantile:0.123"], Filter::default()));
    let cases = [
        ("a forged signature", 1, Some(forged), "ticket"),
        ("another question", 1, Some(other_question), "ticket"),
        ("another survey", 1, Some(other_survey), "ticket"),
        ("another release point than the session's", 1, Some(stale.clone()), "ticket"),
        ("another release point than was signed", 2, Some(other_point), "ticket"),
        ("a release point that there is not", 2, Some(stale), "release point"),
        ("what the survey does not release", 1, Some(unlisted), "rules refuse"),
        ("the listed question at another release point", 2, None, "release point"),
    ];
    for (what, release, ticket, word) in cases {
        let before = [1, 2].map(|p| failures(p).count);
        assert!(world.party(0).propose_query(&leader, release, ticket).await, "{what}: no session");
        for (p, before) in [1, 2].into_iter().zip(before) {
            let mut seen = failures(p);
            for _ in 0..1000 {
                if seen.count > before {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                seen = failures(p);
            }
            assert!(seen.count > before && seen.last.contains(word), "{what}: party {p}: {}", seen.last);
        }
    }
    // An expired one, by the followers' clock.
    let then = world.clock_now();
    world.clock.set(then + 1000);
    assert!(world.party(0).propose_query(&leader, 1, Some(good)).await);
    for _ in 0..1000 {
        if failures(1).last.contains("ticket") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(failures(1).last.contains("ticket"), "{}", failures(1).last);
}

/// After the survey's last due time a party takes nothing more, although no last release point was made.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_in_after_the_end_of_a_survey() {
    let manifest = manifest();
    let last = manifest.rules().schedule.last();
    let world = World::start(manifest, PATIENCE).await;
    let [early, late] = [0, 1].map(|i| world.prepare(&cohort()[i]));
    world.clock.set(last);
    world.accept(&early).await;
    world.clock.set(last + 1);
    for answer in world.submit(&late, Duration::from_secs(1)).await {
        let problem = answer.unwrap_err();
        assert_eq!(problem.rule.as_deref(), Some("survey-over"), "{problem}");
    }
    // Who is in keeps the receipt.
    world.accept(&early).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_started_without_the_coordinators_ticket_for_it() {
    let world = World::start(manifest(), PATIENCE).await;
    let prepared: Vec<Prepared> = cohort().iter().take(12).map(|n| world.prepare(n)).collect();
    world.count(&prepared).await.unwrap();
    let sessions = world.sessions();
    let good = world.ticket(1, question(&["sum"], Filter::default()));
    let refused = |ticket: tercet_protocol::query_ticket::QueryTicket, kind: ProblemKind| {
        let problem = world.party(0).start_query(ticket.query(), ticket).unwrap_err();
        assert_eq!(problem.known(), Some(kind), "{problem}");
        problem
    };
    let mut forged = good.clone();
    forged.signature.0[0] ^= 1;
    refused(forged, ProblemKind::TicketInvalid);
    let mut other = good.clone();
    other.question = question(&["mean"], Filter::default());
    refused(other, ProblemKind::TicketInvalid);
    let late = world.ticket(2, question(&["sum"], Filter::default()));
    assert_eq!(refused(late, ProblemKind::TicketInvalid).rule.as_deref(), Some("release"));
    // For another question than the address names, and at a party that does not lead.
    let elsewhere = world.ticket(1, question(&["mean"], Filter::default()));
    let misplaced = world.party(0).start_query(elsewhere.query(), good.clone()).unwrap_err();
    assert_eq!(misplaced.known(), Some(ProblemKind::Malformed));
    assert!(world.party(1).start_query(good.query(), good.clone()).is_err());
    let then = world.clock_now();
    world.clock.set(then + 61);
    refused(good, ProblemKind::TicketInvalid);
    assert_eq!(world.sessions(), sessions);
}

/// Number of objects in one party's bucket.
async fn objects(world: &World, party: usize) -> usize {
    world.stored(party).await
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_leave_nothing_in_the_store() {
    let world = World::start(grouped(), PATIENCE).await;
    let prepared: Vec<Prepared> = cohort().iter().map(|n| world.prepare(n)).collect();
    world.count(&prepared).await.unwrap();
    let before = [objects(&world, 0).await, objects(&world, 1).await];
    assert!(before[0] > 4, "{before:?}");
    let sessions = world.sessions();
    for n in 0..10_000 {
        // Refused: a value that nobody has, alone or beside one that many have. Repeated: the same question again.
        let nobody = format!("none {n}");
        let filter = if n % 2 == 0 { bnb(&[&nobody]) } else { bnb(&["0", &nobody]) };
        let refused = world.ask(question(&["sum"], filter)).await;
        assert!(matches!(refused, QueryState::Refused { .. }));
        let repeated = world.ask(question(&["sum"], bnb(&["0"]))).await;
        assert!(matches!(repeated, QueryState::Done { .. }));
    }
    // One session each for what was not known.
    assert_eq!(world.sessions()[0] - sessions[0], 1);
    assert_eq!([objects(&world, 0).await, objects(&world, 1).await], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_erased_everywhere_and_told_of_by_no_difference() {
    let mut world = World::start(grouped(), PATIENCE).await;
    let names = cohort();
    let prepared: Vec<Prepared> = names.iter().map(|n| world.prepare(n)).collect();
    let listed = world.count(&prepared).await.unwrap();
    let groups = by_field(&world, &names);
    let field = |name: &String| by_field(&world, std::slice::from_ref(name)).into_keys().next().unwrap();
    let counted = names.iter().position(|n| groups[&field(n)].len() >= 5).unwrap();
    let waiting = names.iter().position(|n| groups[&field(n)].len() < 5).unwrap();

    // Only the holder of the key leaves.
    let stranger = SigningKey::from_seed(&[1; 32]).unwrap();
    let forged = Withdrawal::sign(&stranger, world.survey_id(), prepared[counted].id());
    let refused = world.party(0).withdraw(prepared[counted].id(), forged, PATIENCE).await.unwrap_err();
    assert_eq!(refused.known(), Some(ProblemKind::Malformed));

    // A row that waited is gone, and was never published.
    let receipts = world.withdraw(&prepared[waiting]).await;
    assert_eq!((receipts.len(), receipts[0].entered), (3, None));
    // A row in a unit is erased; the receipt says where it was counted. The published sums stay as they are.
    let receipts = world.withdraw(&prepared[counted]).await;
    let entered = receipts[0].entered.unwrap();
    assert_eq!((entered.release, entered.unit_rows), (1, groups[&field(&names[counted])].len() as u64));
    assert_eq!(world.withdraw(&prepared[counted]).await, receipts, "the same wish again");
    for i in 0..3 {
        for gone in [waiting, counted] {
            assert!(!world.holds(i, &prepared[gone]).await, "party {i} still has shares of it");
        }
        assert!(world.holds(i, &prepared[(counted + 1) % 24]).await || counted + 1 == waiting);
    }
    let sum = released(&world, &["sum"], Filter::default()).await;
    assert_eq!(statistic(&sum, "sum"), statistic(&listed, "sum"));
    let group = released(&world, &["mean", "count"], bnb(&[&field(&names[counted])])).await;
    let of_group = &groups[&field(&names[counted])];
    assert_eq!(group.result.statistics, clear(world.survey.manifest(), &["count", "mean"], of_group));

    // What was withdrawn cannot be sent again; one who was counted never counts twice, one who waited may come back.
    for (gone, again) in [(waiting, None), (counted, Some(ProblemKind::AlreadyCounted))] {
        for answer in world.submit(&prepared[gone], PATIENCE).await {
            assert_eq!(answer.unwrap_err().known(), Some(ProblemKind::Withdrawn));
        }
        let (presentation, statement, witness) = world.opened(&names[gone]);
        let other = world.prove(presentation, &statement, witness, 9);
        match again {
            None => world.accept(&other).await,
            Some(kind) => {
                for answer in world.submit(&other, PATIENCE).await {
                    let SubmissionState::Rejected { problem } = answer.unwrap().state else {
                        panic!("accepted")
                    };
                    assert_eq!(problem.known(), Some(kind));
                }
            }
        }
    }

    // At the next release point results tell how many were erased, and values in order are those of the others.
    world.restart().await;
    world.clock.set(NOW + 5 * 86_400);
    let second = world.release().await.unwrap();
    assert_eq!((second.result.release.erased_rows, second.result.submissions), (1, 24));
    let all = values(&names);
    assert_eq!(statistic(&second, "sum"), &clear(world.survey.manifest(), &["sum"], &all)[0]);
    let others: Vec<i128> = (0..24).filter(|i| *i != counted).map(|i| all[i]).collect();
    for name in ORDERED {
        let got = statistic(&second, name);
        if got.release.is_none() {
            let clear = &clear(world.survey.manifest(), &[name], &others)[0];
            assert_eq!((&got.value, got.submissions), (&clear.value, Some(23)), "{name}");
        }
    }
}
