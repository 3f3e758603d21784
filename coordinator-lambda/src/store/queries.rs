//! Questions that are being answered or were, each under its own id.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use tercet_protocol::api::Problem;
use tercet_protocol::ids::{QueryId, SurveyId};
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::SignedResult;

use super::item::{json, number, text};
use super::{Key, Store, StoreError, patiently, service};

/// A question in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRecord {
    /// Its id.
    pub query: QueryId,
    /// The survey.
    pub survey: SurveyId,
    /// The release point that it is about.
    pub release: u64,
    /// The question.
    pub question: Question,
    /// Unix seconds at which it was handed to the parties.
    pub asked_at: u64,
    /// The outcome; `None` while the parties compute.
    pub outcome: Option<QueryOutcome>,
}

/// The outcome of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryOutcome {
    /// Answered, signatures verified.
    Done(Box<SignedResult>),
    /// Refused or stopped.
    Refused(Problem),
}

fn query_key(id: QueryId) -> Key {
    Key::new(format!("query#{id}"), "state")
}

impl Store {
    /// Enters a question that the parties compute at `now` (Unix seconds); it is forgotten at `expires_at`. One that is
    /// there already stays, unless it was refused or has expired.
    pub async fn create_query(
        &self,
        record: &QueryRecord,
        now: u64,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        const NAME: &str = "create query";
        let mut item = query_key(record.query).attributes();
        item.extend([
            ("state".to_owned(), text("running")),
            ("survey".to_owned(), text(record.survey)),
            ("release".to_owned(), number(record.release)),
            ("question".to_owned(), json(NAME, &record.question)?),
            ("asked_at".to_owned(), number(record.asked_at)),
            ("expires_at".to_owned(), number(expires_at)),
        ]);
        let put = self
            .db
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now OR #state = :refused")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":refused", text("refused"));
        match patiently(|| put.clone().send()).await {
            Ok(_) => Ok(()),
            Err(e) => match e.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(service(NAME, &e)),
            },
        }
    }

    /// Reads a question that has not expired at `now` (Unix seconds).
    pub async fn query(&self, id: QueryId, now: u64) -> Result<Option<QueryRecord>, StoreError> {
        let Some(item) = self.get(&query_key(id), true).await? else { return Ok(None) };
        if item.number::<u64>("expires_at")? <= now {
            return Ok(None);
        }
        let outcome = match item.text("state")? {
            "running" => None,
            "done" => match self.kept(item.text("result")?).await? {
                Some(body) => {
                    let signed = serde_json::from_str(&body).map_err(|_| item.corrupt("result"))?;
                    Some(QueryOutcome::Done(signed))
                }
                // Cleared away a moment before the question itself.
                None => return Ok(None),
            },
            "refused" => Some(QueryOutcome::Refused(item.json("problem")?)),
            _ => return Err(item.corrupt("state")),
        };
        Ok(Some(QueryRecord {
            query: id,
            survey: item.parsed("survey")?,
            release: item.number("release")?,
            question: item.json("question")?,
            asked_at: item.number("asked_at")?,
            outcome,
        }))
    }

    /// Running becomes done or refused, and is forgotten at `expires_at`. False: it was not running.
    pub async fn finish_query(
        &self,
        id: QueryId,
        outcome: &QueryOutcome,
        expires_at: u64,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "finish query";
        let (state, attribute, value) = match outcome {
            QueryOutcome::Done(result) => {
                let body = serde_json::to_string(result).map_err(|_| StoreError::Build(NAME))?;
                // Longer than the item that names it, so that whoever reads the name finds the text.
                ("done", "result", text(self.keep(&body, Some(expires_at.saturating_add(3_600))).await?))
            }
            QueryOutcome::Refused(problem) => ("refused", "problem", json(NAME, problem)?),
        };
        let update = self
            .db
            .update_item()
            .table_name(&self.table)
            .set_key(Some(query_key(id).attributes()))
            .update_expression("SET #state = :state, #value = :value, expires_at = :end")
            .condition_expression("#state = :running")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#value", attribute)
            .expression_attribute_values(":state", text(state))
            .expression_attribute_values(":running", text("running"))
            .expression_attribute_values(":value", value)
            .expression_attribute_values(":end", number(expires_at));
        match patiently(|| update.clone().send()).await {
            Ok(_) => Ok(true),
            Err(e) => match e.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(service(NAME, &e)),
            },
        }
    }
}
