//! The places of values: the source's rules as they are applied, checked and read once from the survey's tables.

mod advice;
mod literal;
mod path;
mod scalar;
mod sections;
mod target;
mod validate;

pub use literal::{Pattern, Token};
pub use path::{Comparison, Path, PathError, Segment};
pub use scalar::{MAX_TEXT, Scalar};
pub use sections::{
    Absent, BodyFormat, CategorySection, ColumnSection, ExcessDigits, FieldSection, Fold, IdentitySection,
    SourceSection,
};
pub use target::{Form, PathTemplate, query};

use super::{SurveyError, SurveyManifest};

/// Request headers whose values may be hidden where a survey does not say which.
pub const DEFAULT_CREDENTIALS: [&str; 9] = [
    "authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-mbx-apikey",
    "api-key",
];

/// Shown request headers that every request may have.
pub const ORDINARY_HEADERS: [&str; 6] =
    ["host", "accept", "accept-language", "accept-encoding", "connection", "content-length"];

/// Request headers that change the meaning of a request or its recipient: never admitted.
const REFUSED_HEADERS: [&str; 24] = [
    "transfer-encoding",
    "te",
    "trailer",
    "expect",
    "upgrade",
    "range",
    "if-range",
    "content-encoding",
    "content-range",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-method",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-rewrite-url",
    "x-host",
    "x-proxy-url",
    "http2-settings",
];

/// Beginnings of further such names.
const REFUSED_BEGINNINGS: [&str; 3] = ["x-forwarded-", "x-original-", "proxy-"];

/// True if a request header of this name is never admitted. Many servers take `X_Forwarded_Host` for `X-Forwarded-Host`, so
/// both are one.
pub fn is_refused_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    REFUSED_HEADERS.contains(&name.as_str()) || REFUSED_BEGINNINGS.iter().any(|b| name.starts_with(b))
}

/// All rules of a survey about request and response, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The server's DNS name.
    pub server_name: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: PathTemplate,
    /// The parameters that must be there, decoded.
    pub query: Vec<(String, String)>,
    /// Names of those that may be there too.
    pub other_query: Vec<String>,
    /// Required headers: names in lower case, values.
    pub headers: Vec<(String, String)>,
    /// Further headers that may be there, in lower case.
    pub other_headers: Vec<String>,
    /// Headers whose values may be hidden, in lower case.
    pub credentials: Vec<String>,
    /// The request's body.
    pub body: Option<Body>,
    /// The reading of the response's body.
    pub format: BodyFormat,
    /// The response's media type; `None`: the usual ones of JSON.
    pub media_type: Option<String>,
    /// The text in front of the JSON.
    pub guard: Option<String>,
    /// The identity.
    pub identity: Option<Wanted>,
    /// The hidden values: columns, then categories.
    pub committed: Vec<Hidden>,
    /// The revealed fields.
    pub fields: Vec<Wanted>,
}

/// A request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its bytes.
    pub text: String,
    /// True if it is compared as JSON, not byte by byte.
    pub json: bool,
}

/// The place of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the parsed body, by its path.
    Json(Path),
    /// In the parsed body, by the tokens around it.
    Tokens(Pattern),
    /// In the body, between two literals.
    Text {
        /// In front of it.
        prefix: String,
        /// Behind it.
        suffix: String,
    },
    /// In a header of the response, by its name in lower case.
    Header(String),
    /// In the open segment of the request's path.
    PathSegment,
}

/// A revealed value: the identity, or a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The place.
    pub place: Place,
    /// The place that must exist where the value may be absent.
    pub within: Option<Path>,
    /// The text that says that there is no value; `None`: such a text is refused.
    pub missing: Option<String>,
    /// True if ASCII letters count in either case.
    pub fold: bool,
}

/// A hidden value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Its column's or category's name.
    pub name: String,
    /// The place.
    pub place: Place,
    /// The place that must exist where the value may be absent, and the meaning of its absence.
    pub absent: Option<(Path, Absent)>,
    /// True if an empty text, which cannot be hidden, means that there is no value.
    pub empty_is_missing: bool,
    /// True if the value must stand in quotes, false if it must not; `None`: either way.
    pub quoted: Option<bool>,
}

impl Rules {
    /// The header names that a request may hold besides the ordinary ones, for messages.
    pub fn admits_header(&self, name: &str) -> bool {
        ORDINARY_HEADERS.contains(&name)
            || (name == "content-type" && self.body.is_some())
            || self.headers.iter().any(|(n, _)| n == name)
            || self.other_headers.iter().any(|n| n == name)
            || self.credentials.iter().any(|n| n == name)
    }
}

impl SurveyManifest {
    /// The source's rules, checked.
    pub fn source_rules(&self) -> Result<Rules, SurveyError> {
        validate::rules(self)
    }

    /// Two hidden values never have one place.
    pub(super) fn validate_places(&self) -> Result<(), SurveyError> {
        validate::distinct(&self.source_rules()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_change_a_request_are_refused_in_all_spellings() {
        for name in [
            "Range",
            "X-HTTP-Method-Override",
            "x_http_method_override",
            "X-Forwarded-User",
            "X_Original_URL",
            "TE",
        ] {
            assert!(is_refused_header(name), "{name}");
        }
        for name in ["Accept", "X-Requested-With", "Origin", "Referer", "X-Forward", "X-API-Key"] {
            assert!(!is_refused_header(name), "{name}");
        }
    }
}
