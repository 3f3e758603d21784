//! The registry: one DynamoDB table, keys `pk` and `sk`, time to live in `expires_at`.
//!
//! Every change of state is one conditional write (an `UpdateItem`, a `PutItem` or one transaction), so the outcome
//! is the same whether one instance runs, two run at once, or Lambda repeats an invocation. No backend deletes
//! expired items promptly, so every reader checks the expiry again.
//!
//! | `pk` | `sk` | What |
//! |---|---|---|
//! | `bucket#<scope>#<key>#<part>` | `bucket` | A part of a rate: theoretical arrival time in microseconds ([`bucket`]) |
//! | `identity#<survey>#<nullifier>` | `state` | `pending`, `accepted`: submissions of the identity |
//! | `submission#<id>` | `state` | A submission ([`submissions`]) |
//! | `pending#<survey>#<list>` | `<submission>` | What the reaper looks at |
//! | `unfinished#<survey>#<shard>` | `state` | `undecided`: admitted and undecided submissions |
//! | `waiting#<survey>#<line>` | `<submission>` | Who came when a survey was full, since when ([`waiting`]) |
//! | `query#<id>` | `state` | A question that is or was computed ([`queries`]) |
//! | `release#<survey>` | `<number>` | A published release point ([`releases`]) |
//! | `result#<hash>` | `<piece>` | The text of a result, in pieces ([`results`]) |
//! | `document` | `<name>` | `text`: the federation or a survey; `digest` changes with any of them (`documents`) |
//!
//! Whatever everybody writes is spread over *partition* keys, because DynamoDB takes 1,000 writes a second for each of them;
//! sort keys of one partition share them. How many there are follows from the submissions a second that a survey takes
//! ([`crate::config::Limits::of`]).

pub mod bucket;
mod documents;
mod item;
pub mod queries;
pub mod releases;
pub mod results;
mod retry;
pub mod submissions;
mod waiting;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification, TransactWriteItem,
};

use crate::config::Config;
pub(crate) use item::{Item, Key};
use retry::{ATTEMPTS, is_passing, patiently, pause};

/// The table failed or holds something this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The service refused or could not be reached.
    #[error("{operation} failed ({code}): {message}")]
    Service {
        /// Our name of the operation.
        operation: &'static str,
        /// The service's error code, or the kind of the failure.
        code: String,
        /// The service's text.
        message: String,
        /// True if the same request may succeed later.
        transient: bool,
    },
    /// Another writer won every race.
    #[error("{0}: other writers were faster each time")]
    Contention(&'static str),
    /// An item lacks an attribute or has one of another form.
    #[error("the item {key} has no readable \"{attribute}\": was it written by another version?")]
    Corrupt {
        /// The item's key.
        key: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// A value does not fit the request: an error of this program.
    #[error("{0}: the request could not be built")]
    Build(&'static str),
    /// The table did not become usable.
    #[error("the table {0} did not become active: look at it in the console")]
    NotActive(String),
}

impl StoreError {
    /// True if the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Service { transient, .. } => *transient,
            Self::Contention(_) => true,
            Self::Corrupt { .. } | Self::Build(_) | Self::NotActive(_) => false,
        }
    }
}

/// The registry. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    db: Client,
    table: String,
    /// Arrival times that this process has seen of busy buckets.
    arrivals: bucket::Arrivals,
    texts: results::Texts,
}

/// The outcome of a transaction.
enum Transacted {
    /// All of it is written.
    Written,
    /// Nothing is: the positions of the conditions that did not hold.
    Failed(Vec<usize>),
}

impl Store {
    /// Connects as configured and, if the configuration says so, makes the table.
    pub async fn connect(config: &Config, aws: &SdkConfig) -> Result<Self, StoreError> {
        let store = Self::new(client(config, aws), config.table.clone());
        if config.create_table {
            store.create_table().await?;
        }
        Ok(store)
    }

    /// Over an existing client.
    pub fn new(db: Client, table: String) -> Self {
        Self { db, table, arrivals: bucket::Arrivals::default(), texts: results::Texts::default() }
    }

    /// Makes the table if it is missing and waits until it is usable.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        const NAME: &str = "create table";
        let attribute = |name: &str| {
            AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .map_err(|_| StoreError::Build(NAME))
        };
        let key = |name: &str, kind: KeyType| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
                .map_err(|_| StoreError::Build(NAME))
        };
        let made = self
            .db
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk")?)
            .attribute_definitions(attribute("sk")?)
            .key_schema(key("pk", KeyType::Hash)?)
            .key_schema(key("sk", KeyType::Range)?)
            .send()
            .await;
        match made {
            Ok(_) => {}
            // Made before, or by another instance just now.
            Err(e) if e.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => return Ok(()),
            Err(e) => return Err(service(NAME, &e)),
        }
        for _ in 0..120 {
            let described = self.db.describe_table().table_name(&self.table).send().await;
            let described = described.map_err(|e| service("describe table", &e))?;
            if described.table().and_then(|t| t.table_status()) == Some(&TableStatus::Active) {
                return self.enable_ttl().await;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(StoreError::NotActive(self.table.clone()))
    }

    async fn enable_ttl(&self) -> Result<(), StoreError> {
        const NAME: &str = "enable time to live";
        let spec = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build();
        let spec = spec.map_err(|_| StoreError::Build(NAME))?;
        let sent = self
            .db
            .update_time_to_live()
            .table_name(&self.table)
            .time_to_live_specification(spec)
            .send()
            .await;
        sent.map(drop).map_err(|e| service(NAME, &e))
    }

    /// Checks that the table answers: reads a key that no item has.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.get(&Key::new("ready", "ready"), false).await.map(drop)
    }

    /// Reads one item.
    async fn get(&self, key: &Key, consistent: bool) -> Result<Option<Item>, StoreError> {
        let get = self
            .db
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(consistent);
        let got = patiently(|| get.clone().send()).await.map_err(|e| service("get item", &e))?;
        Ok(got.item.map(|attributes| Item::new(key, attributes)))
    }

    /// Writes all of `items` or none. A transaction that another one was in the way of is tried again.
    async fn transact(
        &self,
        operation: &'static str,
        items: &[TransactWriteItem],
    ) -> Result<Transacted, StoreError> {
        for attempt in 0..ATTEMPTS {
            let sent = self.db.transact_write_items().set_transact_items(Some(items.to_vec())).send().await;
            let Err(error) = sent else { return Ok(Transacted::Written) };
            let passing = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(e)) => {
                    let codes: Vec<&str> =
                        e.cancellation_reasons().iter().map(|r| r.code().unwrap_or_default()).collect();
                    let failed: Vec<usize> =
                        (0..codes.len()).filter(|&i| codes[i] == "ConditionalCheckFailed").collect();
                    if !failed.is_empty() {
                        return Ok(Transacted::Failed(failed));
                    }
                    codes.iter().any(|code| is_passing(code))
                }
                Some(other) => other.code().is_some_and(is_passing),
                None => false,
            };
            if !passing {
                return Err(service(operation, &error));
            }
            pause(attempt).await;
        }
        Err(StoreError::Contention(operation))
    }
}

/// Turns a client error into ours, keeping the service's code and text.
fn service<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::fmt::Debug + std::error::Error + 'static,
{
    let (code, transient) = match error {
        SdkError::ServiceError(e) => {
            let code = e.err().code().unwrap_or("unknown").to_owned();
            let transient = e.raw().status().as_u16() >= 500 || is_passing(&code);
            (code, transient)
        }
        SdkError::TimeoutError(_) => ("timeout".to_owned(), true),
        SdkError::DispatchFailure(_) => ("cannot connect".to_owned(), true),
        SdkError::ResponseError(_) => ("unreadable answer".to_owned(), true),
        _ => ("request not sent".to_owned(), false),
    };
    let mut message = error.message().map(str::to_owned).unwrap_or_default();
    if message.is_empty() {
        // The chain of causes says which address refused.
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(c) = cause {
            message = c.to_string();
            cause = c.source();
        }
    }
    StoreError::Service { operation, code, message, transient }
}

/// The client, at the configured address if there is one.
fn client(config: &Config, aws: &SdkConfig) -> Client {
    let mut builder = aws_sdk_dynamodb::config::Builder::from(aws);
    if let Some(endpoint) = &config.dynamodb_endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Client::from_conf(builder.build())
}
