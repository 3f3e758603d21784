//! Submissions that wait for a place, because they came while the most that are admitted at a time were under way. The
//! line only tells each about how many wait before it, in the order of their first arrival; the next one that asks
//! takes a free place.
//!
//! There are several lines, so that a crowd does not meet at one partition of the table. Each is a sample of all who wait:
//! the place in one is multiplied by their number.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, Select};
use tercet_protocol::ids::{SubmissionId, SurveyId};

use super::item::{number, text};
use super::submissions::spread;
use super::{Item, Key, Store, StoreError, patiently, service};

/// Most that are counted in one line: beyond, the position is "at least".
const COUNTED: i32 = 250;
/// Most lines.
const LINES: u16 = 16;

impl Store {
    /// Notes that a submission waits until `until` (Unix seconds) unless it asks again, and says about how many wait before
    /// it: exactly, where one counter (`shards`) makes one line. `now` is in microseconds.
    pub async fn wait(
        &self,
        survey: SurveyId,
        id: SubmissionId,
        shards: u16,
        now: u64,
        until: u64,
    ) -> Result<u16, StoreError> {
        let lines = shards.clamp(1, LINES);
        let line = format!("waiting#{survey}#{}", spread(id, lines));
        let key = Key::new(&line, id.to_string());
        let since = match self.note_waiting(&key, now, until, true).await? {
            Some(since) => since,
            // It left the line: it begins anew.
            None => self.note_waiting(&key, now, until, false).await?.unwrap_or(now),
        };
        let count = self
            .db
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .filter_expression("since < :since AND expires_at > :seconds")
            .expression_attribute_values(":pk", text(&line))
            .expression_attribute_values(":since", number(since))
            .expression_attribute_values(":seconds", number(now / 1_000_000))
            .select(Select::Count)
            .limit(COUNTED);
        let counted =
            patiently(|| count.clone().send()).await.map_err(|e| service("count waiting submissions", &e))?;
        Ok(u16::try_from(counted.count()).unwrap_or(u16::MAX).saturating_mul(lines))
    }

    /// The time since which it waits; `None` if `stay` and its place has lapsed.
    async fn note_waiting(
        &self,
        key: &Key,
        now: u64,
        until: u64,
        stay: bool,
    ) -> Result<Option<u64>, StoreError> {
        const NAME: &str = "note waiting submission";
        let change = if stay { "since = if_not_exists(since, :now)" } else { "since = :now" };
        let mut update = self
            .db
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression(format!("SET {change}, expires_at = :until"))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":until", number(until))
            .return_values(ReturnValue::AllNew);
        if stay {
            update = update
                .condition_expression("attribute_not_exists(since) OR expires_at > :seconds")
                .expression_attribute_values(":seconds", number(now / 1_000_000));
        }
        match patiently(|| update.clone().send()).await {
            Ok(done) => Item::new(key, done.attributes.unwrap_or_default()).number("since").map(Some),
            Err(e) => match e.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(service(NAME, &e)),
            },
        }
    }
}
