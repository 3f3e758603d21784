//! Federation and surveys that change while the coordinator runs: in the table, as on Lambda, and in files.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use coordinator_lambda::store::Store;
use coordinator_lambda::{Coordinator, api};
use tercet_protocol::api::{ProblemKind, SurveySummary};
use tercet_protocol::ids::EngineDigest;
use tercet_protocol::keys::SigningKey;
use tercet_protocol::survey::SurveyDescriptor;

use crate::support::reply::get;
use crate::support::table::Table;
use crate::support::{Options, SEED, World, manifest, vectors};

/// A second survey of the same parties.
fn second(world: &World) -> SurveyDescriptor {
    let mut file = manifest();
    file.survey.title = "Another survey".into();
    let root = std::fs::read(vectors().join("root.der")).unwrap();
    let keys = [0, 1, 2].map(|i: usize| world.parties[i].key.public());
    SurveyDescriptor::assemble(file, &[root], keys, EngineDigest([9; 32])).unwrap()
}

/// Puts a document into the table, as Terraform does.
async fn put(table: &Table, name: &str, text: impl Into<Vec<u8>>) {
    let s = |value: String| AttributeValue::S(value);
    let text = String::from_utf8(text.into()).unwrap();
    let put = table.client().put_item().table_name("tercet-test");
    let put = put.item("pk", s("document".into())).item("sk", s(name.into())).item("text", s(text));
    put.send().await.unwrap();
}

/// A world with its documents in the table, and a coordinator that has read them there.
async fn in_table() -> (World, Table, Arc<Coordinator>) {
    let table = Table::new();
    let world = World::with(Options { table: Some(table.clone()), ..Options::default() }).await;
    let federation = std::fs::read(world.folder.path().join("federation.json")).unwrap();
    put(&table, "federation.json", federation).await;
    put(&table, "surveys/one.json", world.survey.bytes()).await;
    put(&table, "digest", "1").await;
    let mut config = world.config.clone();
    (config.federation, config.surveys) = (None, None);
    let store = Store::new(table.client(), "tercet-test".into());
    let key = SigningKey::from_seed(&SEED).unwrap();
    let clock = Arc::clone(&world.clock);
    let coordinator = Coordinator::over(config, store, key, clock).await.unwrap();
    (world, table, Arc::new(coordinator))
}

async fn listed(c: &Arc<Coordinator>) -> Vec<SurveySummary> {
    get("/v1/surveys").send(&api::router(Arc::clone(c))).await.json()
}

#[tokio::test]
async fn a_survey_in_the_table_is_served_without_a_restart() {
    let (world, table, coordinator) = in_table().await;
    assert_eq!(listed(&coordinator).await.len(), 1);
    let new = second(&world);
    put(&table, "surveys/two.json", new.bytes()).await;
    put(&table, "digest", "2").await;
    table.take_calls();
    assert_eq!(listed(&coordinator).await.len(), 1, "not before the next look");
    assert_eq!(table.take_calls(), [], "which has its time");
    world.clock.advance_seconds(30);
    assert_eq!(listed(&coordinator).await.len(), 2);
    let path = format!("/v1/surveys/{}", new.id());
    assert_eq!(get(path).send(&api::router(Arc::clone(&coordinator))).await.body, new.bytes());
    // Nothing has changed: one small read.
    world.clock.advance_seconds(30);
    table.take_calls();
    listed(&coordinator).await;
    let calls: Vec<String> = table.take_calls().into_iter().map(|c| c.name).collect();
    assert_eq!(calls, ["GetItem document"]);
    // One that is taken away is served no more.
    let key = |name: &str| AttributeValue::S(name.into());
    let delete = table.client().delete_item().table_name("tercet-test");
    delete.key("pk", key("document")).key("sk", key("surveys/two.json")).send().await.unwrap();
    put(&table, "digest", "3").await;
    world.clock.advance_seconds(30);
    let path = format!("/v1/surveys/{}/statistics", new.id());
    get(path).send(&api::router(coordinator)).await.problem(ProblemKind::NotFound);
}

#[tokio::test]
async fn documents_that_break_a_rule_change_nothing() {
    let (world, table, coordinator) = in_table().await;
    let mut altered = world.survey.bytes().to_vec();
    altered.truncate(altered.len() - 2);
    let other = tercet_protocol::operator::Federation {
        coordinator: tercet_protocol::operator::CoordinatorInfo {
            url: "http://127.0.0.1:1".into(),
            key: SigningKey::from_seed(&[9; 32]).unwrap().public(),
            next_key: None,
        },
        ..coordinator.deployment().federation.clone()
    };
    let good = std::fs::read(world.folder.path().join("federation.json")).unwrap();
    let cases = [
        ("surveys/two.json", altered),
        ("surveys/two.json", b"{}".to_vec()),
        ("federation.json", b"no JSON".to_vec()),
        ("federation.json", serde_json::to_vec(&other).unwrap()),
    ];
    for (number, (name, text)) in cases.into_iter().enumerate() {
        put(&table, name, text).await;
        put(&table, "digest", format!("bad {number}")).await;
        world.clock.advance_seconds(30);
        assert_eq!(listed(&coordinator).await.len(), 1, "{name}");
    }
    // Mended, they are taken.
    put(&table, "federation.json", good).await;
    put(&table, "surveys/two.json", second(&world).bytes()).await;
    put(&table, "digest", "good").await;
    world.clock.advance_seconds(30);
    assert_eq!(listed(&coordinator).await.len(), 2);
}

#[tokio::test]
async fn a_table_without_documents_says_what_to_do() {
    let world = World::with(Options { table: Some(Table::new()), ..Options::default() }).await;
    let mut config = world.config.clone();
    (config.federation, config.surveys) = (None, None);
    let key = SigningKey::from_seed(&SEED).unwrap();
    let started =
        Coordinator::over(config, world.coordinator.store.clone(), key, Arc::clone(&world.clock) as _);
    let error = started.await.map(drop).unwrap_err().to_string();
    assert!(error.contains("holds no federation") && error.contains("documents"), "{error}");
}

#[tokio::test]
async fn a_survey_in_the_folder_is_served_without_a_restart() {
    let world = World::new().await;
    assert_eq!(listed(&world.coordinator).await.len(), 1);
    std::fs::write(world.folder.path().join("surveys/two.json"), second(&world).bytes()).unwrap();
    world.clock.advance_seconds(30);
    assert_eq!(listed(&world.coordinator).await.len(), 2);
}
