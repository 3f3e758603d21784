//! Many questions at once: sessions share no state of verification, so each answer is right, and one that is tampered
//! with stops alone.

use std::time::Duration;

use tercet_protocol::api::QueryState;
use tercet_protocol::filter::Filter;
use tercet_protocol::survey::SurveyManifest;

use super::honest::values;
use super::statistics::clear;
use super::world::{Prepared, World, cohort, vectors};

fn ordered() -> SurveyManifest {
    let text = std::fs::read_to_string(vectors().join("survey.toml")).unwrap();
    SurveyManifest::from_toml(&text.replace("\"stddev\"]", "\"stddev\", \"median\"]")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_at_once_are_all_answered_right() {
    // Two surveys' worth of parties in one process: their sessions run at the same time.
    let worlds =
        futures::future::join_all((0..2).map(|_| World::start(ordered(), Duration::from_secs(60)))).await;
    let names = cohort();
    let values = values(&names);
    for world in &worlds {
        let prepared: Vec<Prepared> = names.iter().map(|n| world.prepare(n)).collect();
        world.count(&prepared).await.unwrap();
    }
    let questions: [&[&str]; 6] =
        [&["mean", "sum"], &["median"], &["median", "sum"], &["count"], &["stddev", "variance"], &["mean"]];
    let asked = worlds.iter().flat_map(|world| (0..24).map(move |i| (world, questions[i % questions.len()])));
    let answers = asked.map(|(world, names)| async move {
        let state = world.query_where(names, Filter::default()).await;
        (world, names, state)
    });
    for (world, names, state) in futures::future::join_all(answers).await {
        let QueryState::Done { result } = state else { panic!("{names:?}: {state:?}") };
        result.verify(world.survey.parties()).unwrap();
        assert_eq!(result.result.statistics, clear(world.survey.manifest(), names, &values), "{names:?}");
    }
}
