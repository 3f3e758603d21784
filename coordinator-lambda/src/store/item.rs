//! Keys and attributes of items.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

use super::StoreError;

/// A text attribute.
pub(super) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// A number attribute.
pub(super) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// An item's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pk: String,
    sk: String,
}

impl Key {
    pub(super) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// As the request wants it.
    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([("pk".to_owned(), text(&self.pk)), ("sk".to_owned(), text(&self.sk))])
    }
}

/// An item that was read. Missing or ill-formed attributes are errors that name the item.
pub(crate) struct Item {
    key: String,
    attributes: HashMap<String, AttributeValue>,
}

impl Item {
    pub(super) fn new(key: &Key, attributes: HashMap<String, AttributeValue>) -> Self {
        Self { key: format!("{}/{}", key.pk, key.sk), attributes }
    }

    pub(super) fn corrupt(&self, attribute: &'static str) -> StoreError {
        StoreError::Corrupt { key: self.key.clone(), attribute }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&str, StoreError> {
        self.attributes
            .get(name)
            .and_then(|v| v.as_s().ok())
            .map(String::as_str)
            .ok_or_else(|| self.corrupt(name))
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| self.corrupt(name))
    }

    pub(super) fn number<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        let digits = self.attributes.get(name).and_then(|v| v.as_n().ok());
        digits.and_then(|n| n.parse().ok()).ok_or_else(|| self.corrupt(name))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(self.text(name)?).map_err(|_| self.corrupt(name))
    }

    /// `None` if the attribute is missing.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        if self.has(name) { read(self, name).map(Some) } else { Ok(None) }
    }
}

/// JSON text of a value for an attribute.
pub(super) fn json<T: serde::Serialize>(
    operation: &'static str,
    value: &T,
) -> Result<AttributeValue, StoreError> {
    serde_json::to_string(value).map(AttributeValue::S).map_err(|_| StoreError::Build(operation))
}
