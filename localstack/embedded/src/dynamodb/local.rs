//! The engine in this process, without a server: a test can put its own clock, limits and failures around it.

use std::fmt;

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

/// Tables in memory, which are asked in the protocol's own JSON. Clones share the tables.
#[derive(Clone)]
pub struct Local {
    database: Database,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

/// An answer as the service would send it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: String,
    /// Read or write units that the operation used, as the engine counts them. 0 when it failed.
    pub units: f64,
}

impl Answer {
    /// A refusal with this name, such as `ThrottlingException`.
    pub fn refusal(name: &str, message: &str) -> Self {
        Self::refused(serde_json::json!({
            "__type": format!("com.amazonaws.dynamodb.v20120810#{name}"),
            "message": message,
        }))
    }

    /// A transaction that was cancelled, with one reason for each of its items: `None` or a code.
    pub fn cancelled(reasons: &[&str]) -> Self {
        let listed: Vec<Value> = reasons.iter().map(|code| serde_json::json!({ "Code": code })).collect();
        Self::refused(serde_json::json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": format!(
                "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
                reasons.join(", ")
            ),
            "CancellationReasons": listed,
        }))
    }

    fn refused(body: Value) -> Self {
        Self { status: 400, body: body.to_string(), units: 0.0 }
    }
}

impl Local {
    /// Without any table.
    ///
    /// # Errors
    /// The engine could not be opened.
    pub fn memory() -> Result<Self, Error> {
        let database = Database::memory()
            .map_err(|e| Error::Database { name: ":memory:".to_owned(), reason: format!("{e:?}") })?;
        Ok(Self { database })
    }

    /// Carries out `operation` (such as `PutItem`) with its JSON body.
    pub fn call(&self, operation: &str, body: &Value) -> Answer {
        let mut body = body.clone();
        let counted = !matches!(operation, "CreateTable" | "DescribeTable" | "UpdateTimeToLive");
        if let (Value::Object(fields), true) = (&mut body, counted) {
            fields.insert("ReturnConsumedCapacity".to_owned(), Value::from("TOTAL"));
        }
        let body = body.to_string();
        let db = &self.database;
        let done = match operation {
            "CreateTable" => run(&body, |r| db.create_table(r)),
            "DescribeTable" => run(&body, |r| db.describe_table(r)),
            "UpdateTimeToLive" => run(&body, |r| db.update_time_to_live(r)),
            "GetItem" => run(&body, |r| db.get_item(r)),
            "PutItem" => run(&body, |r| db.put_item(r)),
            "UpdateItem" => run(&body, |r| db.update_item(r)),
            "DeleteItem" => run(&body, |r| db.delete_item(r)),
            "Query" => run(&body, |r| db.query(r)),
            "Scan" => run(&body, |r| db.scan(r)),
            "TransactWriteItems" => run(&body, |r| db.transact_write_items(r)),
            other => Err(DynoxideError::SerializationException(format!("no operation {other} here"))),
        };
        match done {
            Ok(body) => Answer { status: 200, units: units(&body), body },
            Err(e) => Answer { status: e.status_code(), body: e.to_json(), units: 0.0 },
        }
    }
}

fn run<Q: DeserializeOwned, A: Serialize>(
    body: &str,
    act: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> dynoxide::Result<String> {
    let request =
        serde_json::from_str(body).map_err(|e| DynoxideError::SerializationException(e.to_string()))?;
    serde_json::to_string(&act(request)?).map_err(|e| DynoxideError::InternalServerError(e.to_string()))
}

/// The units in an answer: one report, or a list with one for each table.
fn units(answer: &str) -> f64 {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let of = |report: &Value| report["CapacityUnits"].as_f64().unwrap_or_default();
    match &answer["ConsumedCapacity"] {
        Value::Array(reports) => reports.iter().map(of).sum(),
        report => of(report),
    }
}
