//! The limits that AWS's DynamoDB has and an engine on one machine has not, on whatever clock the caller gives.
//!
//! - A partition takes 1,000 write units and 3,000 read units a second ("Best practices for designing and using partition
//!   keys effectively", Amazon DynamoDB Developer Guide). Each partition key has one partition here, which is stricter than
//!   AWS: there a hot partition may be split, and units of the last minutes may be lent, but neither is promised.
//! - Of two transactions on one item at the same time one is cancelled with `TransactionConflict`; a plain write that meets
//!   a transaction fails with `TransactionConflictException` ("Managing complex workflows with DynamoDB transactions", same
//!   guide).
//! - A write uses its units also when its condition fails; a transaction uses twice as many.
//!
//! The model reads requests of tables whose keys are named `pk` and `sk`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::local::Answer;

/// Units that one partition takes in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// For writing: one for each kilobyte of an item.
    pub write_units: f64,
    /// For reading: one for each four kilobytes, read consistently.
    pub read_units: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { write_units: 1_000.0, read_units: 3_000.0 }
    }
}

/// An item that a request touches.
#[derive(Debug, Clone, PartialEq)]
pub struct Touch {
    /// Its partition key.
    pub partition: String,
    /// Its sort key; none when the request is about several.
    pub sort: Option<String>,
    /// Write units.
    pub writes: f64,
    /// Read units.
    pub reads: f64,
}

/// The items that a request touches, in the order in which it names them. A request without items, such as one about the
/// table, touches none.
pub fn touched(operation: &str, body: &Value) -> Vec<Touch> {
    let read = if body["ConsistentRead"] == true { 1.0 } else { 0.5 };
    match operation {
        "GetItem" => vec![touch(&body["Key"], 0.0, read)],
        "Query" => {
            // The condition begins with the partition key: "pk = :name".
            let condition = body["KeyConditionExpression"].as_str().unwrap_or_default();
            let name = condition.split_whitespace().find(|word| word.starts_with(':')).unwrap_or_default();
            let partition = body["ExpressionAttributeValues"][name]["S"].as_str().unwrap_or_default();
            vec![Touch { partition: partition.to_owned(), sort: None, writes: 0.0, reads: read }]
        }
        "PutItem" => vec![touch(&body["Item"], kilobytes(&body["Item"]), 0.0)],
        "UpdateItem" => vec![touch(&body["Key"], kilobytes(&body["ExpressionAttributeValues"]), 0.0)],
        "DeleteItem" => vec![touch(&body["Key"], 1.0, 0.0)],
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().flat_map(|item| item.as_object().into_iter().flatten()).map(part).collect()
        }
        _ => Vec::new(),
    }
}

fn part((kind, part): (&String, &Value)) -> Touch {
    match kind.as_str() {
        "Put" => touch(&part["Item"], 2.0 * kilobytes(&part["Item"]), 0.0),
        "Update" => touch(&part["Key"], 2.0 * kilobytes(&part["ExpressionAttributeValues"]), 0.0),
        _ => touch(&part["Key"], 2.0, 0.0),
    }
}

fn touch(key: &Value, writes: f64, reads: f64) -> Touch {
    let text = |name: &str| key[name]["S"].as_str().unwrap_or_default().to_owned();
    Touch { partition: text("pk"), sort: Some(text("sk")), writes, reads }
}

fn kilobytes(value: &Value) -> f64 {
    (value.to_string().len() as f64 / 1_024.0).ceil()
}

/// The rest of a partition's units.
#[derive(Debug, Clone, Copy)]
struct Left {
    writes: f64,
    reads: f64,
    at: Duration,
}

/// A table's partitions, and the items that are being written.
#[derive(Debug, Default)]
pub struct Partitions {
    limits: Limits,
    left: HashMap<String, Left>,
    /// Items in a transaction that has begun and not ended.
    locked: HashSet<(String, String)>,
}

/// A request that was let in. A transaction's items stay locked until it is given to [`Partitions::end`].
#[derive(Debug)]
#[must_use = "a transaction must be ended"]
pub struct Begun {
    locked: Vec<(String, String)>,
}

impl Partitions {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Lets a request in at `now`, or gives the service's refusal. The clock must not go back.
    ///
    /// # Errors
    /// The answer that AWS would send: throttled, or in conflict with a transaction.
    pub fn begin(&mut self, now: Duration, operation: &str, body: &Value) -> Result<Begun, Answer> {
        let touched = touched(operation, body);
        let transaction = operation == "TransactWriteItems";
        let spent: Vec<bool> = touched.iter().map(|t| self.is_spent(now, t)).collect();
        if spent.contains(&true) {
            if !transaction {
                let text = "Throughput exceeds the current capacity of one or more shards";
                return Err(Answer::refusal("ProvisionedThroughputExceededException", text));
            }
            let reason = |spent: &bool| if *spent { "ThrottlingError" } else { "None" };
            return Err(Answer::cancelled(&spent.iter().map(reason).collect::<Vec<_>>()));
        }
        for t in &touched {
            self.spend(t);
        }
        let writes = |t: &&Touch| t.writes > 0.0;
        let items: Vec<(String, String)> = touched
            .iter()
            .filter(writes)
            .filter_map(|t| t.sort.clone().map(|sort| (t.partition.clone(), sort)))
            .collect();
        let conflicts: Vec<bool> = items.iter().map(|i| self.locked.contains(i)).collect();
        if conflicts.contains(&true) {
            if !transaction {
                let text = "Transaction is ongoing for the item";
                return Err(Answer::refusal("TransactionConflictException", text));
            }
            let reason = |met: &bool| if *met { "TransactionConflict" } else { "None" };
            return Err(Answer::cancelled(&conflicts.iter().map(reason).collect::<Vec<_>>()));
        }
        if !transaction {
            return Ok(Begun { locked: Vec::new() });
        }
        self.locked.extend(items.iter().cloned());
        Ok(Begun { locked: items })
    }

    /// The request has been carried out.
    pub fn end(&mut self, begun: Begun) {
        for item in begun.locked {
            self.locked.remove(&item);
        }
    }

    fn is_spent(&mut self, now: Duration, t: &Touch) -> bool {
        let Limits { write_units, read_units } = self.limits;
        let full = Left { writes: write_units, reads: read_units, at: now };
        let left = self.left.entry(t.partition.clone()).or_insert(full);
        let passed = now.saturating_sub(left.at).as_secs_f64();
        left.writes = (left.writes + passed * write_units).min(write_units);
        left.reads = (left.reads + passed * read_units).min(read_units);
        left.at = now;
        left.writes < t.writes || left.reads < t.reads
    }

    fn spend(&mut self, t: &Touch) {
        if let Some(left) = self.left.get_mut(&t.partition) {
            left.writes -= t.writes;
            left.reads -= t.reads;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(pk: &str, sk: &str) -> Value {
        json!({ "Item": { "pk": { "S": pk }, "sk": { "S": sk } } })
    }

    fn transact(pk: &str, sk: &str) -> Value {
        json!({ "TransactItems": [{ "Put": put(pk, sk) }, { "Delete": { "Key": put("other", sk)["Item"] } }] })
    }

    #[test]
    fn a_partition_key_takes_a_thousand_writes_a_second_whatever_the_sort_key() {
        let mut table = Partitions::default();
        let write = |table: &mut Partitions, ms: u64, i: usize| {
            table.begin(Duration::from_millis(ms), "PutItem", &put("hot", &i.to_string())).is_ok()
        };
        let passed = (0..1_500).filter(|i| write(&mut table, 5, *i)).count();
        assert_eq!(passed, 1_000);
        let passed = (0..1_500).filter(|i| write(&mut table, 505, *i)).count();
        assert_eq!(passed, 500);
        assert!(table.begin(Duration::from_millis(505), "PutItem", &put("cold", "0")).is_ok());
    }

    #[test]
    fn transactions_on_one_item_get_in_each_others_way() {
        let (mut table, now) = (Partitions::default(), Duration::ZERO);
        let first = table.begin(now, "TransactWriteItems", &transact("a", "1")).unwrap();
        let refused = table.begin(now, "TransactWriteItems", &transact("b", "1")).unwrap_err();
        assert!(refused.body.contains(r#"[{"Code":"None"},{"Code":"TransactionConflict"}]"#), "{refused:?}");
        let refused = table.begin(now, "PutItem", &put("a", "1")).unwrap_err();
        assert!(refused.body.contains("TransactionConflictException"), "{refused:?}");
        let other = table.begin(now, "TransactWriteItems", &transact("a", "2")).unwrap();
        table.end(first);
        let third = table.begin(now, "TransactWriteItems", &transact("b", "1")).unwrap();
        table.end(third);
        table.end(other);
    }

    #[test]
    fn a_query_is_counted_at_the_partition_it_names() {
        let body = json!({
            "KeyConditionExpression": "pk = :pk AND sk > :after", "ConsistentRead": true,
            "ExpressionAttributeValues": { ":pk": { "S": "list" }, ":after": { "S": "x" } },
        });
        let touched = touched("Query", &body);
        assert_eq!(touched, [Touch { partition: "list".into(), sort: None, writes: 0.0, reads: 1.0 }]);
    }
}
