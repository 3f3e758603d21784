//! The tables of a survey file that give the places of values, as their author writes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tercet_mpc::decimal::Notation;

use crate::survey::inputs::{InputSection, TemplateSection};

/// `[source]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    /// The server's DNS name, also demanded in the `Host` header.
    pub server_name: String,
    /// Trust anchors: files beside a survey file, base64 DER in a descriptor. Empty: Mozilla's roots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root_certificates: Vec<String>,
    /// Networks (CIDR) in which the server's address must lie, of sessions that a notary forwards. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The request's method.
    pub method: String,
    /// The request's path. One segment may be open: `{name}`, `{name:form}`.
    pub path: String,
    /// Query parameters that the request must have, each exactly once; percent-encoded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Names of further query parameters that the request may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_query: Vec<String>,
    /// Request headers that must be there, with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Names of further request headers that may be there, shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_headers: Vec<String>,
    /// Names of the request headers whose values may be hidden. Without it: the usual ones, `DEFAULT_CREDENTIALS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<String>>,
    /// The request's body, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The request's body, compared as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_json: Option<String>,
    /// The body's `Content-Type`. Of `body_json`, without it: `application/json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The reading of the response's body.
    #[serde(default, skip_serializing_if = "BodyFormat::is_default")]
    pub format: BodyFormat,
    /// The response's media type: of JSON, without it, `application/json` or any with `+json`; `none`: no `Content-Type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// A text in front of the JSON, such as `)]}',` and a line feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// The questions to the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputSection>,
    /// Templates of query parameters behind the required ones, in order. The request may have them without being
    /// listed in `other_query`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<TemplateSection>,
    /// Templates of request headers. Their values may be hidden without being listed in `credentials`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<TemplateSection>,
}

impl SourceSection {
    /// The request's body.
    pub fn request_body(&self) -> Option<&str> {
        self.body.as_deref().or(self.body_json.as_deref())
    }

    /// The body's `Content-Type`: `content_type`, or the required header of that name; of `body_json`, without either,
    /// `application/json`.
    pub fn body_type(&self) -> Option<&str> {
        let header = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let usual = self.body_json.as_ref().map(|_| "application/json");
        self.content_type.as_deref().or(header.map(|(_, value)| value.as_str())).or(usual)
    }

    /// The required headers, without the `Content-Type` of a body.
    pub fn required_headers(&self) -> BTreeMap<String, String> {
        let mut headers = self.headers.clone();
        headers.retain(|name, _| self.request_body().is_none() || !name.eq_ignore_ascii_case("content-type"));
        headers
    }
}

/// The reading of a response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// As JSON: it is parsed.
    #[default]
    Json,
    /// As text in which literals are looked for: XML, HTML, CSV.
    Text,
}

impl BodyFormat {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[identity]`: its place, given in one of four ways.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySection {
    /// Literal in front of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Literal behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// Its JSONPath in the response's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The open segment of the request's path that is it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The response header whose value is it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The treatment of upper and lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
}

/// Spellings that are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fold {
    /// ASCII letters in either case.
    Ascii,
}

/// `[[fields]]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSection {
    /// Short name: lower-case letters, digits, hyphens and underscores.
    pub name: String,
    /// Literal in front of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Literal behind the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// Its JSONPath in the response's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The response header whose value it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The place that must exist where the value may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// The group of those without a value: `null`, an empty text, or, with `within`, no value at all. Without it they are
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// The treatment of upper and lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// The admitted values; empty: any text of 1 to 64 printable bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// `[[columns]]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSection {
    /// Short name: lower-case letters, digits, hyphens and underscores.
    pub name: String,
    /// The unit, for people.
    #[serde(default)]
    pub unit: String,
    /// Literal in front of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Literal behind the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The value's JSONPath in the response's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The place that must exist where the value may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// The meaning of an absent value. Without it, the submission is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absent>,
    /// The integer computed with is value * 10^scale (-18 to 18).
    pub scale: i8,
    /// The integer's magnitude is below 2^bits (1 to 63).
    pub bits: u8,
    /// The treatment of non-zero digits beyond the scale.
    #[serde(default, skip_serializing_if = "ExcessDigits::is_default")]
    pub excess_digits: ExcessDigits,
    /// True if numbers with exponents (`1.5e-7`) are admitted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exponents: bool,
    /// The character between groups of three digits, in quoted values: `,` in 1,234.56.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grouping: Option<String>,
    /// The decimal point: `.`, or `,` in quoted values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// True if the value is in quotes, false if it is not. Without it: either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<bool>,
    /// The text that means that there is no value (`null`, or empty). Without it, every submission has a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl ColumnSection {
    /// Decimal places of the integers in computations; 0 where the scale is below zero.
    pub fn places(&self) -> u8 {
        self.scale.try_into().unwrap_or(0)
    }

    /// The spelling of its numbers, in quotes or in text.
    pub fn notation(&self) -> Notation {
        let first = |text: &Option<String>| text.as_ref().and_then(|t| t.bytes().next());
        Notation {
            exponents: self.exponents,
            grouping: first(&self.grouping),
            point: first(&self.point).unwrap_or(b'.'),
        }
    }

    /// True if a submission may have no value in it.
    pub fn may_be_missing(&self) -> bool {
        self.missing.is_some() || self.absent == Some(Absent::Missing)
    }
}

/// The meaning of an absent value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Absent {
    /// There is no value.
    Missing,
    /// The value is zero.
    Zero,
}

/// `[[categories]]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategorySection {
    /// Short name: lower-case letters, digits, hyphens and underscores.
    pub name: String,
    /// Literal in front of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Literal behind the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The value's JSONPath in the response's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// All values, 2 to 16. If several are too rare to be shown alone, the last ones are put together first.
    pub values: Vec<String>,
}

/// The treatment of non-zero digits beyond the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExcessDigits {
    /// The submission is refused.
    #[default]
    Reject,
    /// They are dropped (toward zero).
    Truncate,
}

impl ExcessDigits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
