//! Published release points. Each is written once and never changes.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::release_point::ReleasePoint;
use tercet_protocol::result::SignedResult;

use super::item::{json, text};
use super::{Item, Key, Store, StoreError, patiently, service};

/// A published release point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The release point.
    pub point: ReleasePoint,
    /// Name of the text of its signed statistics ([`Store::kept`]).
    pub result: String,
}

fn partition(survey: SurveyId) -> String {
    format!("release#{survey}")
}

fn release_key(survey: SurveyId, number: u64) -> Key {
    // Padded, so that the order of the texts is the order of the numbers.
    Key::new(partition(survey), format!("{number:020}"))
}

fn read(item: &Item) -> Result<Published, StoreError> {
    Ok(Published { point: item.json("point")?, result: item.text("result")?.to_owned() })
}

impl Store {
    /// Publishes verified statistics of a release point. False: they were there already, and stay as they are.
    pub async fn publish(&self, signed: &SignedResult) -> Result<bool, StoreError> {
        const NAME: &str = "publish release point";
        let body = serde_json::to_string(signed).map_err(|_| StoreError::Build(NAME))?;
        let result = self.keep(&body, None).await?;
        let point = &signed.result.release;
        let mut item = release_key(signed.result.survey, point.number).attributes();
        item.insert("point".to_owned(), json(NAME, point)?);
        item.insert("result".to_owned(), text(result));
        let put = self.db.put_item().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)");
        match patiently(|| put.clone().send()).await {
            Ok(_) => Ok(true),
            Err(e) => match e.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(service(NAME, &e)),
            },
        }
    }

    /// A published release point by its number.
    pub async fn release(&self, survey: SurveyId, number: u64) -> Result<Option<Published>, StoreError> {
        self.get(&release_key(survey, number), true).await?.as_ref().map(read).transpose()
    }

    /// The newest published release points, newest first, at most `limit`.
    pub async fn releases(&self, survey: SurveyId, limit: i32) -> Result<Vec<Published>, StoreError> {
        let query = self
            .db
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(limit)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition(survey)));
        let got = patiently(|| query.clone().send()).await.map_err(|e| service("list release points", &e))?;
        let key = Key::new(partition(survey), "");
        got.items.unwrap_or_default().into_iter().map(|i| read(&Item::new(&key, i))).collect()
    }

    /// The newest published release point.
    pub async fn newest(&self, survey: SurveyId) -> Result<Option<Published>, StoreError> {
        Ok(self.releases(survey, 1).await?.into_iter().next())
    }
}
