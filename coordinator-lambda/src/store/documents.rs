//! The coordinator's public documents in the table: the federation and the surveys, as Terraform puts them there. They hold
//! no secret, and the functions have no right to write them.

use super::item::text;
use super::{Item, Key, Store, StoreError, patiently, service};

/// The partition of all documents.
const PARTITION: &str = "document";
/// The item that changes whenever a document does; it is written last.
const DIGEST: &str = "digest";

impl Store {
    /// A text that changes whenever a document does; none while there are no documents.
    pub async fn documents_digest(&self) -> Result<Option<String>, StoreError> {
        let item = self.get(&Key::new(PARTITION, DIGEST), true).await?;
        item.map(|item| item.text("text").map(str::to_owned)).transpose()
    }

    /// All documents: name and text, in order of their names.
    pub async fn documents(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let query = self
                .db
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(PARTITION));
            let page = patiently(|| query.clone().send()).await.map_err(|e| service("read documents", &e))?;
            for attributes in page.items.unwrap_or_default() {
                let item = Item::new(&Key::new(PARTITION, ""), attributes);
                let name = item.text("sk")?;
                if name != DIGEST {
                    found.push((name.to_owned(), item.text("text")?.to_owned()));
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }
}
