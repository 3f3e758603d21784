//! Queries, published results, and the refresh's lease.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use tercet_protocol::api::Problem;
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::{QueryId, SurveyId};
use tercet_protocol::result::SignedResult;

use super::item::{json, number, text};
use super::{Item, Key, Store, StoreError, service};

/// A query in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRecord {
    /// The query.
    pub query: QueryId,
    /// The survey.
    pub survey: SurveyId,
    /// Names of the statistics asked for.
    pub statistics: Vec<String>,
    /// Which rows count.
    pub filter: Filter,
    /// Unix seconds at which it was asked.
    pub asked_at: u64,
    /// What came of it; none while the parties compute.
    pub outcome: Option<QueryOutcome>,
}

/// What came of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryOutcome {
    /// Released, signatures verified.
    Done(Box<SignedResult>),
    /// Refused or stopped.
    Refused(Problem),
}

/// A survey's newest published result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The result as JSON text, as it was first stored.
    pub json: String,
    /// Height of the log it covers.
    pub height: u64,
    /// Unix seconds of its release.
    pub released_at: u64,
}

fn query_key(id: QueryId) -> Key {
    Key::new(format!("query#{id}"), "state")
}

fn survey_key(id: SurveyId, what: &str) -> Key {
    Key::new(format!("survey#{id}"), what)
}

impl Store {
    /// Enters a new query; it is forgotten at `expires_at`.
    pub async fn create_query(&self, record: &QueryRecord, expires_at: u64) -> Result<(), StoreError> {
        const NAME: &str = "create query";
        let mut item = query_key(record.query).attributes();
        item.extend([
            ("state".to_owned(), text("running")),
            ("survey".to_owned(), text(record.survey)),
            ("statistics".to_owned(), json(NAME, &record.statistics)?),
            ("where".to_owned(), json(NAME, &record.filter)?),
            ("asked_at".to_owned(), number(record.asked_at)),
            ("expires_at".to_owned(), number(expires_at)),
        ]);
        let put = self.db.put_item().table_name(&self.table).set_item(Some(item));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => Ok(()),
            Err(e) => match e.as_service_error() {
                // 128 random bits do not repeat: it is this request, sent again after a lost answer.
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(service(NAME, &e)),
            },
        }
    }

    /// Reads a query that has not expired at `now` (Unix seconds).
    pub async fn query(&self, id: QueryId, now: u64) -> Result<Option<QueryRecord>, StoreError> {
        let Some(item) = self.get(&query_key(id), true).await? else { return Ok(None) };
        if item.number::<u64>("expires_at")? <= now {
            return Ok(None);
        }
        let outcome = match item.text("state")? {
            "running" => None,
            "done" => Some(QueryOutcome::Done(item.json("result")?)),
            "refused" => Some(QueryOutcome::Refused(item.json("problem")?)),
            _ => return Err(item.corrupt("state")),
        };
        Ok(Some(QueryRecord {
            query: id,
            survey: item.parsed("survey")?,
            statistics: item.json("statistics")?,
            // Queries of before there were filters have none.
            filter: item.optional("where", Item::json)?.unwrap_or_default(),
            asked_at: item.number("asked_at")?,
            outcome,
        }))
    }

    /// Running becomes done or refused. False: it was not running.
    pub async fn finish_query(&self, id: QueryId, outcome: &QueryOutcome) -> Result<bool, StoreError> {
        const NAME: &str = "finish query";
        let (state, attribute, value) = match outcome {
            QueryOutcome::Done(result) => ("done", "result", json(NAME, result)?),
            QueryOutcome::Refused(problem) => ("refused", "problem", json(NAME, problem)?),
        };
        let sent = self
            .db
            .update_item()
            .table_name(&self.table)
            .set_key(Some(query_key(id).attributes()))
            .update_expression("SET #state = :state, #value = :value")
            .condition_expression("#state = :running")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#value", attribute)
            .expression_attribute_values(":state", text(state))
            .expression_attribute_values(":running", text("running"))
            .expression_attribute_values(":value", value)
            .send()
            .await;
        written(NAME, sent)
    }

    /// Makes a verified result the survey's published one if it is newer and answers at least as much.
    ///
    /// A narrower result (one statistic asked by one consumer) never replaces a wider one: the public would lose
    /// the others until the parties' release rules allow the next full release.
    pub async fn publish(&self, result: &SignedResult) -> Result<bool, StoreError> {
        const NAME: &str = "publish result";
        let released = &result.result;
        let width = i128::try_from(released.statistics.len()).map_err(|_| StoreError::Build(NAME))?;
        let sent = self
            .db
            .update_item()
            .table_name(&self.table)
            .set_key(Some(survey_key(released.survey, "published").attributes()))
            .update_expression("SET #result = :result, height = :height, released_at = :at, width = :width")
            .condition_expression(
                "attribute_not_exists(pk) OR (width <= :width \
                 AND (height < :height OR (height = :height AND released_at < :at)))",
            )
            .expression_attribute_names("#result", "result")
            .expression_attribute_values(":result", json(NAME, result)?)
            .expression_attribute_values(":height", number(released.height))
            .expression_attribute_values(":at", number(released.release.time))
            .expression_attribute_values(":width", number(width))
            .send()
            .await;
        written(NAME, sent)
    }

    /// The survey's newest published result.
    pub async fn published(&self, survey: SurveyId) -> Result<Option<Published>, StoreError> {
        // A read that lags by a moment is as good here, at half the price.
        let Some(item) = self.get(&survey_key(survey, "published"), false).await? else { return Ok(None) };
        Ok(Some(Published {
            json: item.text("result")?.to_owned(),
            height: item.number("height")?,
            released_at: item.number("released_at")?,
        }))
    }

    /// Takes the refresh's turn for a survey until `until`, unless another instance has it at `now` (Unix
    /// seconds).
    pub async fn lease_refresh(&self, survey: SurveyId, now: u64, until: u64) -> Result<bool, StoreError> {
        const NAME: &str = "lease refresh";
        let sent = self
            .db
            .update_item()
            .table_name(&self.table)
            .set_key(Some(survey_key(survey, "refresh").attributes()))
            .update_expression("SET leased_until = :until")
            .condition_expression("attribute_not_exists(leased_until) OR leased_until <= :now")
            .expression_attribute_values(":until", number(until))
            .expression_attribute_values(":now", number(now))
            .send()
            .await;
        written(NAME, sent)
    }

    /// Ends the turn and remembers the query that is still running, if any.
    pub async fn end_refresh(&self, survey: SurveyId, running: Option<QueryId>) -> Result<(), StoreError> {
        const NAME: &str = "end refresh";
        let update = self.db.update_item().table_name(&self.table);
        let update = update.set_key(Some(survey_key(survey, "refresh").attributes()));
        let update = match running {
            None => update.update_expression("REMOVE leased_until, running"),
            Some(id) => update
                .update_expression("SET running = :id REMOVE leased_until")
                .expression_attribute_values(":id", text(id)),
        };
        update.send().await.map(drop).map_err(|e| service(NAME, &e))
    }

    /// The query that an earlier refresh left running.
    pub async fn refresh_running(&self, survey: SurveyId) -> Result<Option<QueryId>, StoreError> {
        match self.get(&survey_key(survey, "refresh"), true).await? {
            None => Ok(None),
            Some(item) => item.optional("running", Item::parsed),
        }
    }
}

/// Whether a conditional update happened.
fn written<T>(
    operation: &'static str,
    sent: Result<T, aws_sdk_dynamodb::error::SdkError<UpdateItemError, super::HttpResponse>>,
) -> Result<bool, StoreError> {
    match sent {
        Ok(_) => Ok(true),
        Err(e) => match e.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(service(operation, &e)),
        },
    }
}
