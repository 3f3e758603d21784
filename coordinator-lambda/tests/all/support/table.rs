//! The embedded DynamoDB under the SDK, in this process: every request is seen, may be the last that a function makes, and
//! may meet AWS's limits on the test's own clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use coordinator_lambda::aws;
use serde_json::Value;
use tercet_embedded::dynamodb::local::{Answer, Local};
use tercet_embedded::dynamodb::partitions::{Limits, Partitions, touched};

/// Duration of a request in the test's time. Measured durations of DynamoDB in one region are below these.
const ONE_WAY: Duration = Duration::from_millis(3);
const TRANSACTION: Duration = Duration::from_millis(15);

/// A request that was carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The operation and the kinds of items it touches, such as `UpdateItem bucket`.
    pub name: String,
    /// True if it writes.
    pub writes: bool,
    /// Read or write units; what a failed condition used is one for each item.
    pub units: f64,
    /// True if the service refused it.
    pub refused: bool,
}

/// The end of a function: at its write with this number, before or after the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    pub at: usize,
    pub after: bool,
}

#[derive(Debug)]
struct State {
    partitions: Option<Partitions>,
    started: tokio::time::Instant,
    calls: Vec<Call>,
    /// Refusals by the service's limits, by their name.
    limited: BTreeMap<String, usize>,
    death: Option<Death>,
    died: bool,
    writes: usize,
}

/// A table. Clones share it.
#[derive(Debug, Clone)]
pub struct Table {
    engine: Local,
    state: Arc<Mutex<State>>,
}

impl Table {
    /// Without limits.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// With AWS's limits. Needs a paused clock: requests take time.
    pub fn limited() -> Self {
        Self::with(Some(Partitions::new(Limits::default())))
    }

    fn with(partitions: Option<Partitions>) -> Self {
        let state = State {
            partitions,
            started: tokio::time::Instant::now(),
            calls: Vec::new(),
            limited: BTreeMap::new(),
            death: None,
            died: false,
            writes: 0,
        };
        Self { engine: Local::memory().unwrap(), state: Arc::new(Mutex::new(state)) }
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        let table = self.clone();
        let sdk = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url("http://table.invalid")
            .retry_config(aws::retries())
            .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(table.clone())))
            .build();
        Client::from_conf(sdk)
    }

    /// The requests since the last look.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// Number of refusals by AWS's limits, by the refusal's name.
    pub fn limited_by(&self) -> BTreeMap<String, usize> {
        self.state.lock().unwrap().limited.clone()
    }

    /// From now on writes are counted anew, and the function that makes this one panics there.
    pub fn die(&self, death: Option<Death>) {
        let mut state = self.state.lock().unwrap();
        state.death = death;
        state.died = false;
        state.writes = 0;
    }

    /// Number of writes that were begun since then; true if one of them was the last.
    pub fn lived(&self) -> (usize, bool) {
        let state = self.state.lock().unwrap();
        (state.writes, state.died)
    }

    async fn carry_out(&self, operation: &str, body: &Value) -> Answer {
        let number = self.count(operation);
        self.perhaps_die(number, false);
        let answer = self.answer(operation, body).await;
        self.perhaps_die(number, true);
        answer
    }

    /// The number of this write; none for a read.
    fn count(&self, operation: &str) -> Option<usize> {
        if !is_write(operation) {
            return None;
        }
        let mut state = self.state.lock().unwrap();
        state.writes += 1;
        Some(state.writes - 1)
    }

    fn perhaps_die(&self, number: Option<usize>, after: bool) {
        let mut state = self.state.lock().unwrap();
        if let (Some(at), Some(death)) = (number, state.death)
            && death == (Death { at, after })
        {
            state.died = true;
            drop(state);
            panic!("killed here, on purpose");
        }
    }

    async fn answer(&self, operation: &str, body: &Value) -> Answer {
        let limited = self.state.lock().unwrap().partitions.is_some();
        if !limited {
            let answer = self.engine.call(operation, body);
            self.note(operation, body, &answer);
            return answer;
        }
        tokio::time::sleep(ONE_WAY).await;
        let begun = {
            let mut state = self.state.lock().unwrap();
            let now = state.started.elapsed();
            state.partitions.as_mut().map(|p| p.begin(now, operation, body))
        };
        let answer = match begun {
            Some(Err(refusal)) => {
                let named: Value = serde_json::from_str(&refusal.body).unwrap();
                let name = named["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned();
                *self.state.lock().unwrap().limited.entry(name).or_default() += 1;
                refusal
            }
            Some(Ok(begun)) => {
                if operation == "TransactWriteItems" {
                    tokio::time::sleep(TRANSACTION).await;
                }
                let answer = self.engine.call(operation, body);
                let mut state = self.state.lock().unwrap();
                state.partitions.as_mut().unwrap().end(begun);
                answer
            }
            None => self.engine.call(operation, body),
        };
        self.note(operation, body, &answer);
        tokio::time::sleep(ONE_WAY).await;
        answer
    }

    fn note(&self, operation: &str, body: &Value, answer: &Answer) {
        let touched = touched(operation, body);
        let kinds: Vec<&str> =
            touched.iter().map(|t| t.partition.split('#').next().unwrap_or_default()).collect();
        let refused = answer.status != 200;
        let tried: f64 = touched.iter().map(|t| t.writes + t.reads).sum();
        let call = Call {
            name: format!("{operation} {}", kinds.join("+")).trim_end().to_owned(),
            writes: is_write(operation),
            units: if refused { tried } else { answer.units },
            refused,
        };
        self.state.lock().unwrap().calls.push(call);
    }
}

fn is_write(operation: &str) -> bool {
    matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems")
}

impl HttpConnector for Table {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or(b"{}")).unwrap();
        HttpConnectorFuture::new(async move {
            let answer = this.carry_out(&operation, &body).await;
            let status = StatusCode::try_from(answer.status).unwrap();
            Ok(HttpResponse::new(status, answer.body.into()))
        })
    }
}
