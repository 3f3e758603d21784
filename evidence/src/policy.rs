//! Source policy: what makes a revealed transcript mean something.
//!
//! A valid presentation proves that a server sent certain bytes. This module decides whether those bytes answer
//! the survey's question: the right server and request, exactly one complete response, and the hidden value in
//! the one place that the survey names. Coordinator, parties and client all run it; each party decides for
//! itself. Bytes outside the columns must be revealed: hiding context would let a provider choose it.

use std::ops::Range;

use tercet_mpc::statement::{Column, HashAlg, Statement, StatementError};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{Nullifier, SurveyId, sha256};
use tercet_protocol::survey::{FieldSection, MAX_FIELD_VALUE, SurveyManifest};

use crate::http;
use crate::transcript::{Bindings, Transcript};

/// Longest committed value, in bytes.
pub const MAX_VALUE: usize = 64;
/// Longest identity, in bytes.
pub const MAX_IDENTITY: usize = 256;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $slug:literal;)*) => {
        /// A rule of the source policy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule { $($(#[$doc])* $variant,)* }
        impl Rule {
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
    /// The request is one well-formed request, with nothing but header values hidden.
    Request = "request";
    /// Method and path are the survey's.
    RequestTarget = "request-target";
    /// The required query parameters are there, once each.
    RequestQuery = "request-query";
    /// `Host` is the server's name.
    RequestHost = "request-host";
    /// The response is exactly one complete response of status 200.
    Response = "response";
    /// Only the columns' values are hidden.
    Hidden = "hidden";
    /// A column's literals stand once, around a hidden value.
    Column = "column";
    /// A column has exactly one usable commitment.
    Commitment = "commitment";
    /// The identity stands once, revealed.
    Identity = "identity";
    /// A field's value stands once, revealed, and is one that the survey admits.
    Field = "field";
}

/// Why a presentation does not fit a survey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The failing rule.
    pub rule: Rule,
    /// What is wrong, for people.
    pub detail: String,
}

pub(crate) fn refuse<T>(rule: Rule, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { rule, detail: detail.into() })
}

/// A presentation that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Admits the identity once.
    pub nullifier: Nullifier,
    /// The commitments of the columns, then of the categories, in the survey's order.
    pub columns: Vec<AdmittedColumn>,
    /// Values of the revealed fields, in the survey's order.
    pub fields: Vec<String>,
}

/// A hidden value, and how the engine can check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedColumn {
    /// Where the value stands in the received data: ranges in ascending order, whose bytes joined are its text. Their
    /// length is public.
    pub pieces: Vec<Range<usize>>,
    /// How it is tied to the transcript.
    pub binding: Binding,
}

impl AdmittedColumn {
    /// Bytes of the value's text.
    pub fn length(&self) -> usize {
        self.pieces.iter().map(ExactSizeIterator::len).sum()
    }
}

/// How the engine can check that a text is the one that the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// By a hash commitment.
    Hash {
        /// Hash function of the commitment.
        algorithm: HashAlg,
        /// `hash(value bytes || blinder)`.
        digest: [u8; 32],
    },
    /// By the session's ciphertext.
    Keystream,
}

impl Admitted {
    /// The statement about hash commitments.
    pub(crate) fn statement(&self, survey: &SurveyManifest) -> Result<Statement, StatementError> {
        let columns = survey.formats().into_iter().zip(&self.columns).map(|(format, c)| {
            let Binding::Hash { algorithm, digest } = c.binding else { return Err(StatementError::Encoding) };
            // At most MAX_VALUE bytes, by admission.
            Ok(Column { alg: algorithm, length: c.length().min(255) as u8, format, commitment: digest })
        });
        Statement::new(columns.collect::<Result<_, _>>()?, survey.outputs())
    }
}

/// Applies the survey's policy to a verified presentation.
pub fn admit(id: SurveyId, survey: &SurveyManifest, transcript: &Transcript) -> Result<Admitted, Refusal> {
    let source = &survey.source;
    if transcript.server != source.server_name {
        let (got, want) = (&transcript.server, &source.server_name);
        return refuse(Rule::ServerName, format!("the data is from {got}, the survey is about {want}"));
    }
    let (opens, closes) = (survey.survey.opens.unix_timestamp(), survey.survey.closes.unix_timestamp());
    if !i64::try_from(transcript.time).is_ok_and(|t| (opens..=closes).contains(&t)) {
        return refuse(Rule::Time, "the data was fetched outside the survey's opening times");
    }
    http::check_request(source, &transcript.sent)?;
    let body = http::response_body(&transcript.received)?;

    let committed = survey.committed();
    let mut claimed = Vec::with_capacity(committed.len());
    let mut columns = Vec::with_capacity(committed.len());
    for column in &committed {
        let name = column.name;
        let start = find_once(
            &body.bytes,
            column.prefix.as_bytes(),
            Rule::Column,
            &format!("column {name}: the prefix"),
        )?;
        let raw_start = body.raw_after(start);
        let Some(range) = transcript.received.hidden.iter().find(|h| Some(h.start) == raw_start).cloned()
        else {
            return refuse(
                Rule::Column,
                format!("column {name}: no hidden value begins right after the prefix"),
            );
        };
        if range.len() > MAX_VALUE {
            return refuse(
                Rule::Column,
                format!("column {name}: the value has {} bytes, more than {MAX_VALUE}", range.len()),
            );
        }
        let end = start + range.len();
        // Contiguous in the body as well as on the wire: a value split over chunks is not one value.
        if body.raw.get(end - 1) != Some(&(range.end - 1)) {
            return refuse(Rule::Column, format!("column {name}: the value is split over chunks"));
        }
        if !body.bytes[end..].starts_with(column.suffix.as_bytes()) {
            return refuse(
                Rule::Column,
                format!("column {name}: the suffix does not follow the hidden value"),
            );
        }
        let Bindings::Hashes(commitments) = &transcript.bindings else {
            return refuse(Rule::Commitment, "this kind of evidence cannot be checked yet");
        };
        let mut usable =
            commitments.iter().filter(|c| c.ranges.as_slice() == std::slice::from_ref(&range));
        let commitment = match (usable.next(), usable.next()) {
            (Some(c), None) => c,
            (None, _) => {
                return refuse(
                    Rule::Commitment,
                    format!(
                        "column {name}: the attestation has no hash commitment to exactly the hidden value"
                    ),
                );
            }
            (Some(_), Some(_)) => {
                return refuse(
                    Rule::Commitment,
                    format!("column {name}: several commitments to the value; there must be one"),
                );
            }
        };
        claimed.push(range.clone());
        let binding = Binding::Hash { algorithm: commitment.algorithm, digest: commitment.digest };
        columns.push(AdmittedColumn { pieces: vec![range], binding });
    }
    if let Some(h) = transcript.received.hidden.iter().find(|h| !claimed.contains(h)) {
        return refuse(
            Rule::Hidden,
            format!(
                "received bytes {}..{} are hidden but are no column's value: reveal them",
                h.start, h.end
            ),
        );
    }
    claimed.sort_by_key(|r| r.start);
    if claimed.windows(2).any(|w| w[0].end > w[1].start) {
        return refuse(Rule::Column, "two columns name the same value");
    }
    let fields = survey.fields.iter().map(|f| field(f, &body)).collect::<Result<_, _>>()?;
    Ok(Admitted { nullifier: nullifier(id, survey, transcript, &body)?, columns, fields })
}

/// The revealed text between two literals, of which the first stands once in the response.
fn between<'b>(
    body: &'b http::Body,
    (prefix, suffix): (&str, &str),
    max: usize,
    rule: Rule,
    what: &str,
) -> Result<&'b [u8], Refusal> {
    let start = find_once(&body.bytes, prefix.as_bytes(), rule, &format!("{what}'s prefix"))?;
    let rest = &body.bytes[start..];
    let Some(len) = find(rest, suffix.as_bytes()) else {
        return refuse(rule, format!("{what}'s suffix does not follow its prefix"));
    };
    let text = &rest[..len];
    // Hidden bytes read as zero, so this also refuses a hidden text.
    if text.is_empty() || len > max || text.iter().any(u8::is_ascii_control) {
        return refuse(rule, format!("{what} must be 1 to {max} revealed, printable bytes"));
    }
    Ok(text)
}

fn field(section: &FieldSection, body: &http::Body) -> Result<String, Refusal> {
    let what = format!("the field {}", section.name);
    let literals = (section.prefix.as_str(), section.suffix.as_str());
    let text = between(body, literals, MAX_FIELD_VALUE, Rule::Field, &what)?;
    let value = str::from_utf8(text).ok().filter(|t| !t.chars().any(char::is_control));
    let Some(value) = value else {
        return refuse(Rule::Field, format!("{what} must be printable text in UTF-8"));
    };
    if !section.values.is_empty() && !section.values.iter().any(|v| v == value) {
        return refuse(
            Rule::Field,
            format!("{what} is \"{}\", which the survey does not admit", value.escape_debug()),
        );
    }
    Ok(value.to_owned())
}

fn nullifier(
    id: SurveyId,
    survey: &SurveyManifest,
    transcript: &Transcript,
    body: &http::Body,
) -> Result<Nullifier, Refusal> {
    let mut w = Writer::tagged("tercet nullifier v2");
    w.array(id.as_ref());
    match &survey.identity {
        None => w.u8(transcript.kind.byte()).bytes(&transcript.session),
        Some(section) => {
            let literals = (section.prefix.as_str(), section.suffix.as_str());
            let identity = between(body, literals, MAX_IDENTITY, Rule::Identity, "the identity")?;
            // The same person with whatever kind of evidence: a byte that no kind has.
            w.u8(0).bytes(identity)
        }
    };
    Ok(Nullifier(sha256(&[&w.finish()])))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// The position right after the only occurrence of `needle`.
fn find_once(haystack: &[u8], needle: &[u8], rule: Rule, what: &str) -> Result<usize, Refusal> {
    let Some(first) = find(haystack, needle) else {
        return refuse(rule, format!("{what} does not stand in the response"));
    };
    if find(&haystack[first + 1..], needle).is_some() {
        return refuse(rule, format!("{what} stands more than once in the response: it must be unique"));
    }
    Ok(first + needle.len())
}
