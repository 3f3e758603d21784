//! The DynamoDB server under `aws-sdk-dynamodb`.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ReturnValue,
    ScalarAttributeType,
};
use tercet_embedded::dynamodb::{Config, Store, serve};
use tokio::task::JoinSet;

use crate::support::{ANY, Process, dynamodb_client};

fn s(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn n(value: u32) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

async fn make_table(client: &Client) {
    let attribute =
        AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
    client
        .create_table()
        .table_name("registry")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute.build().unwrap())
        .key_schema(key.build().unwrap())
        .send()
        .await
        .unwrap();
}

/// Takes one of at most `limit` tokens; gives how many are taken, or `None` if there was none left.
async fn take(client: &Client, limit: u32) -> Option<String> {
    let update = client
        .update_item()
        .table_name("registry")
        .key("pk", s("bucket"))
        .update_expression("ADD hits :one SET expires_at = if_not_exists(expires_at, :expiry)")
        .condition_expression("attribute_not_exists(hits) OR hits < :limit")
        .expression_attribute_values(":one", n(1))
        .expression_attribute_values(":expiry", n(99))
        .expression_attribute_values(":limit", n(limit))
        .return_values(ReturnValue::AllNew);
    match update.send().await {
        Ok(updated) => Some(updated.attributes.unwrap()["hits"].as_n().unwrap().clone()),
        Err(e) => {
            assert!(e.into_service_error().is_conditional_check_failed_exception());
            None
        }
    }
}

/// Creates an item if it is not there.
async fn create(client: &Client, pk: &str, by: &str) -> bool {
    let put = client.put_item().table_name("registry").item("pk", s(pk)).item("by", s(by));
    match put.condition_expression("attribute_not_exists(pk)").send().await {
        Ok(_) => true,
        Err(e) => {
            assert!(e.into_service_error().is_conditional_check_failed_exception());
            false
        }
    }
}

async fn read(client: &Client, pk: &str) -> Option<String> {
    let got = client.get_item().table_name("registry").key("pk", s(pk)).consistent_read(true);
    Some(got.send().await.unwrap().item?["by"].as_s().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_updates_and_races() {
    let server = serve(Config { listen: ANY, store: Store::Memory }).await.unwrap();
    let client = dynamodb_client(&server.url());
    make_table(&client).await;

    let mut takers = JoinSet::new();
    for _ in 0..40 {
        let client = client.clone();
        takers.spawn(async move { take(&client, 10).await });
    }
    let mut taken: Vec<u32> =
        takers.join_all().await.into_iter().flatten().map(|hits| hits.parse().unwrap()).collect();
    taken.sort_unstable();
    assert_eq!(taken, (1..=10).collect::<Vec<_>>(), "exactly ten, each seeing its own count");

    for round in 0..4 {
        let mut creators = JoinSet::new();
        for i in 0..16 {
            let client = client.clone();
            creators.spawn(async move {
                let by = i.to_string();
                create(&client, &format!("identity {round}"), &by).await.then_some(by)
            });
        }
        let won: Vec<String> = creators.join_all().await.into_iter().flatten().collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(read(&client, &format!("identity {round}")).await.as_ref(), won.first());
    }
    server.shutdown().await;
}

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub/tables.sqlite");
    let args = ["dynamodb", "--db", path.to_str().unwrap()];
    let process = Process::start(&args, &[]);
    let client = dynamodb_client(&process.url);
    make_table(&client).await;
    for i in 0..50 {
        assert!(create(&client, &format!("item {i}"), "me").await);
    }
    process.kill();

    let process = Process::start(&args, &[]);
    let client = dynamodb_client(&process.url);
    for i in 0..50 {
        assert_eq!(read(&client, &format!("item {i}")).await.as_deref(), Some("me"), "item {i}");
    }
    assert!(!create(&client, "item 0", "another").await);
    // The emulator finishes what it serves; a client that keeps its connection does not hold it up.
    assert_eq!(process.terminate(), Some(0));
}

#[tokio::test]
async fn a_file_has_one_server_and_must_be_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { listen: ANY, store: Store::File(dir.path().join("t")) };
    let server = serve(config.clone()).await.unwrap();
    let refused = serve(config.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    server.shutdown().await;
    serve(config).await.unwrap().shutdown().await;

    std::fs::write(dir.path().join("u"), "this is not a database, and long enough to be looked at").unwrap();
    let refused = serve(Config { listen: ANY, store: Store::File(dir.path().join("u")) }).await;
    assert!(matches!(refused, Err(tercet_embedded::Error::Database { .. })), "{refused:?}");
}
