//! The policy's rules, by name, and refusals.

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $slug:literal;)*) => {
        /// A rule of the source policy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule { $($(#[$doc])* $variant,)* }
        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Rule::$variant,)*];

            /// The rule's stable code.
            pub fn code(self) -> &'static str {
                match self { $(Rule::$variant => $slug,)* }
            }
        }
    };
}

rules! {
    /// The server is the survey's.
    ServerName = "server-name";
    /// The connection time is within the survey's window.
    Time = "time";
    /// The notary's key counted at the time of the connection.
    NotaryTime = "notary-time";
    /// The request is one well-formed request, with nothing but credentials' values hidden.
    Request = "request";
    /// Method and path are the survey's.
    RequestTarget = "request-target";
    /// The query parameters are the survey's, once each, and no others are there.
    RequestQuery = "request-query";
    /// `Host` is the server's name.
    RequestHost = "request-host";
    /// The headers are those that the survey admits.
    RequestHeader = "request-header";
    /// The body is the survey's.
    RequestBody = "request-body";
    /// The response is exactly one complete response of status 200.
    Response = "response";
    /// The response has the survey's media type.
    MediaType = "media-type";
    /// The body is JSON, which two readers cannot read in two ways.
    Json = "json";
    /// Hidden bytes are whole values, and nothing is hidden that must be shown.
    Hidden = "hidden";
    /// A column's place is there once, and holds a hidden value.
    Column = "column";
    /// A column has exactly one usable commitment.
    Commitment = "commitment";
    /// The identity occurs once, shown, and has one form.
    Identity = "identity";
    /// A field's value occurs once, shown, and the survey admits it.
    Field = "field";
}

/// Why evidence does not fit a survey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The failing rule.
    pub rule: Rule,
    /// The fault, for people.
    pub detail: String,
}

pub(crate) fn refuse<T>(rule: Rule, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { rule, detail: detail.into() })
}
