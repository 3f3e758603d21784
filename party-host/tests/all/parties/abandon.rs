//! Two of three parties lost the rows of an entry that was about to be final: nothing goes on until all three operators give it
//! up, and then everything does.

use std::time::Duration;

use party_host::node::Step;
use tercet_protocol::abandonment::{Abandoned, Abandonment, Consent};
use tercet_protocol::api::SubmissionState;
use tercet_protocol::ids::EntryHash;
use tercet_protocol::log::EntryBody;

use super::agreement::{Withhold, height, locked, set, until};
use super::lost::stop;
use super::world::{Prepared, World, cohort, manifest};

const PATIENCE: Duration = Duration::from_millis(800);

/// All three are locked on the entry of a submission, and then parties 1 and 2 lose their buckets.
async fn standing_still(world: &mut World) -> (Prepared, EntryHash) {
    let prepared = world.prepare(&cohort()[0]);
    for party in 0..3 {
        set(world, party, Some(Withhold::new(Step::Vote, &[0, 1, 2]))).await;
    }
    let _pending = world.submit(&prepared, Duration::from_millis(300)).await;
    until("all are locked", || (0..3).all(|p| locked(world, p))).await;
    // Both at once: one alone would get the rows back from the other.
    stop(world, 1);
    stop(world, 2);
    for party in [1, 2] {
        world.start_party_on(party, "-new").await;
    }
    set(world, 0, None).await;
    let entry = world.party(0).consent(world.survey_id(), None).unwrap().abandoned.entry;
    (prepared, entry)
}

fn consents(world: &World, entry: EntryHash) -> [Consent; 3] {
    [0, 1, 2].map(|p| world.party(p).consent(world.survey_id(), Some(entry)).unwrap())
}

/// The entry that every party has at a height.
async fn body_at(world: &World, height: u64) -> EntryBody {
    let mut bodies = Vec::new();
    for party in 0..3 {
        let survey = world.party(party).survey(world.survey_id()).unwrap();
        bodies.push(survey.store.get_entry(survey.id(), height).await.unwrap().unwrap().entry.body);
    }
    assert!(bodies.iter().all(|b| *b == bodies[0]));
    bodies.swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_operators_give_up_an_entry_that_two_parties_lost() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let (prepared, entry) = standing_still(&mut world).await;
    // Nothing goes on, and less than three consents to one entry change nothing.
    let other = world.prepare(&cohort()[1]);
    let _pending = world.submit(&other, Duration::from_secs(3)).await;
    assert!((0..3).all(|p| height(&world, p) == 0));
    assert!(world.party(1).consent(world.survey_id(), None).is_err(), "it is locked on nothing");
    let [a, b, c] = consents(&world, entry);
    let quiet = |_: String| {};
    assert!(world.party(0).abandon(&[a.clone(), b.clone()], quiet).await.is_err());
    let elsewhere = Abandoned { entry: EntryHash([9; 32]), ..c.abandoned };
    let mixed = [a.clone(), b.clone(), Consent { abandoned: elsewhere, ..c.clone() }];
    assert!(world.party(0).abandon(&mixed, quiet).await.is_err());
    let mut forged = c.clone();
    forged.signature.0[0] ^= 1;
    assert!(world.party(0).abandon(&[a.clone(), b.clone(), forged], quiet).await.is_err());
    assert!((0..3).all(|p| height(&world, p) == 0));

    // Any operator's party may set it going.
    world.party(1).abandon(&[c, a, b], quiet).await.unwrap();
    world.until_height(1).await;
    let EntryBody::Void { entry: given_up, .. } = body_at(&world, 1).await else { panic!("another entry") };
    assert_eq!(given_up, entry);
    // The people whose entry it was have no receipt, and send it again.
    for p in [&prepared, &other] {
        world.accept(p).await;
    }
    let status = world.party(0).submission(prepared.id()).unwrap();
    assert!(matches!(status.state, SubmissionState::Accepted { .. }), "{status:?}");
    // What is final is never given up.
    let head = world.heights()[0].1;
    assert!(world.party(0).consent(world.survey_id(), Some(head)).is_err());
}

/// The parties stop when they have the operators' word but not yet each other's votes. It is durable: the entry that takes the
/// height is finished after the start, and the one given up is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_word_outlives_a_stop() {
    let mut world = World::start(manifest(), PATIENCE).await;
    let (_, entry) = standing_still(&mut world).await;
    let all = consents(&world, entry);
    for party in 0..3 {
        set(&world, party, Some(Withhold::new(Step::Vote, &[0, 1, 2]))).await;
    }
    let abandonment = Abandonment::of(world.survey.parties(), &all).unwrap();
    let node = world.party(0).clone();
    let _waiting = tokio::spawn(async move { node.abandon(&all, |_| {}).await });
    let on_another = |p: usize| {
        let survey = world.party(p).survey(world.survey_id()).unwrap();
        let lock = survey.agreement().locked();
        lock.is_some_and(|lock| lock != entry)
    };
    until("all are locked on the other entry", || (0..3).all(on_another)).await;
    assert!((0..3).all(|p| height(&world, p) == 0));
    for (party, bucket) in [(0, ""), (1, "-new"), (2, "-new")] {
        stop(&mut world, party);
        world.start_party_on(party, bucket).await;
    }
    world.until_height(1).await;
    let EntryBody::Void { entry: given_up, operators } = body_at(&world, 1).await else {
        panic!("another entry")
    };
    assert_eq!((given_up, *operators), (entry, abandonment.operators));
    world.accept(&world.prepare(&cohort()[1])).await;
}
