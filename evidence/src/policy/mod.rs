//! Source policy: the rules that give a transcript its meaning.
//!
//! Evidence proves that a server sent certain bytes. The policy decides whether those bytes answer the survey's question:
//! the right server and request, exactly one complete response, and each value in the one place that the survey names. It
//! knows nothing of kinds of evidence; it only asks a transcript how hidden bytes can be proven.

mod hidden;
mod rule;
mod values;

use std::ops::Range;

pub use tercet_mpc::statement::Binding;
use tercet_mpc::statement::{Column, Statement, StatementError};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{Nullifier, SurveyId, sha256};
use tercet_protocol::survey::source::{BodyFormat, Rules, Scalar};
use tercet_protocol::survey::{SurveyError, SurveyManifest};

use crate::http::{self, Response};
use crate::json::{self, Document};
use crate::transcript::Transcript;

pub(crate) use rule::refuse;
pub use rule::{Refusal, Rule};

/// Longest hidden value, in bytes.
pub const MAX_VALUE: usize = 64;

/// Evidence that fits a survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Admits the identity once.
    pub nullifier: Nullifier,
    /// The identity itself, as the survey's rules read it; `None` in a survey without.
    pub identity: Option<Scalar>,
    /// The hidden values: the columns, then the categories, in the survey's order.
    pub columns: Vec<AdmittedColumn>,
    /// Values of the revealed fields, in the survey's order.
    pub fields: Vec<String>,
    /// Hidden bytes that are no values: the proof must show that they keep the property of their place.
    pub inert: Vec<Inert>,
}

/// A hidden value, and how the engine can check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedColumn {
    /// The value's position in the received data: ranges in ascending order, whose joined bytes are its text. Their
    /// length is public. Empty where there is publicly no value.
    pub pieces: Vec<Range<usize>>,
    /// True if it is in quotes.
    pub quoted: bool,
    /// The tie between the value and the evidence.
    pub binding: Binding,
}

impl AdmittedColumn {
    /// Bytes of the value's text.
    pub fn length(&self) -> usize {
        self.pieces.iter().map(ExactSizeIterator::len).sum()
    }
}

/// A direction of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the provider to the server.
    Sent,
    /// From the server.
    Received,
}

/// Hidden bytes that the provider keeps to itself, and the property that must be proven of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inert {
    /// The direction of the data that contain them.
    pub direction: Direction,
    /// The position: ranges in ascending order, joined one place.
    pub pieces: Vec<Range<usize>>,
    /// The property that they must keep.
    pub place: InertPlace,
}

/// The property that inert bytes must keep, so that nothing around them changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InertPlace {
    /// Part of a header's value: no CR, LF or NUL.
    Header,
    /// The whole inside of a string: nothing that ends it. No quote, backslash or control character; or, with escapes,
    /// backslashes that are paired with the characters that they escape.
    Text,
    /// A whole number: nothing but `0`-`9`, `+`, `-`, `.`, `e`, `E`.
    Number,
}

impl Admitted {
    /// The engine's columns.
    pub(crate) fn engine_columns(&self, survey: &SurveyManifest) -> Result<Vec<Column>, StatementError> {
        let column = |(i, c): (usize, &AdmittedColumn)| {
            let format = survey.format(i, c.quoted).ok_or(StatementError::Encoding)?;
            // At most MAX_VALUE bytes, by admission.
            let length = c.length().min(255) as u8;
            Ok(Column { length, format, binding: c.binding })
        };
        self.columns.iter().enumerate().map(column).collect()
    }

    /// The statement about hash commitments, and about columns that are publicly without a value. A session's columns
    /// are part of the session's own statement: here they are refused.
    pub(crate) fn statement(&self, survey: &SurveyManifest) -> Result<Statement, StatementError> {
        Statement::new(self.engine_columns(survey)?, survey.outputs())
    }
}

/// A survey's policy: its rules, read once.
#[derive(Debug, Clone)]
pub struct Policy {
    survey: SurveyId,
    opens: i64,
    closes: i64,
    listed: Vec<Vec<String>>,
    rules: Rules,
}

/// A response as the rules look at it.
struct Page<'a> {
    transcript: &'a Transcript,
    response: &'a Response,
    /// The hidden ranges of the body, in its own positions.
    holes: &'a [Range<usize>],
    /// The body, of surveys whose format is JSON.
    document: Option<Document<'a>>,
    /// The text of the path's open segment.
    segment: String,
}

impl Policy {
    /// Prepares a survey's rules.
    pub fn new(survey: SurveyId, manifest: &SurveyManifest) -> Result<Self, SurveyError> {
        Ok(Self {
            survey,
            opens: manifest.survey.opens.unix_timestamp(),
            closes: manifest.survey.closes.unix_timestamp(),
            listed: manifest.fields.iter().map(|f| f.values.clone()).collect(),
            rules: manifest.source_rules()?,
        })
    }

    /// The source's rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Applies the policy to a transcript.
    pub fn admit(&self, transcript: &Transcript) -> Result<Admitted, Refusal> {
        let wanted = &self.rules.server_name;
        if transcript.server != *wanted {
            return refuse(
                Rule::ServerName,
                format!("the data is from {}, the survey is about {wanted}", transcript.server),
            );
        }
        if !i64::try_from(transcript.time).is_ok_and(|t| (self.opens..=self.closes).contains(&t)) {
            return refuse(Rule::Time, "the data was fetched outside the survey's opening times");
        }
        let request = http::check_request(&self.rules, &transcript.sent)?;
        let Some(response) = http::read_response(&transcript.received)? else {
            return refuse(Rule::Response, "the response is not complete");
        };
        if response.end != transcript.received.bytes.len() {
            return refuse(Rule::Response, "something follows the response");
        }
        self.media_type(&response)?;
        let holes = response.holes(&transcript.received.hidden);
        let document = match self.rules.format {
            BodyFormat::Json => Some(self.parse(&response, &holes)?),
            BodyFormat::Text => None,
        };
        let page =
            Page { transcript, response: &response, holes: &holes, document, segment: request.segment };
        let (columns, claimed) = self.columns(&page)?;
        let mut inert = hidden::inert(&page, &claimed, &self.rules)?;
        if transcript.proves_inert() {
            inert.extend(request.hidden.into_iter().map(|range| Inert {
                direction: Direction::Sent,
                pieces: vec![range],
                place: InertPlace::Header,
            }));
        }
        let fields = self.rules.fields.iter().zip(&self.listed);
        let fields = fields.enumerate().map(|(i, (f, listed))| values::field(&page, i, f, listed));
        let fields = fields.collect::<Result<_, _>>()?;
        let identity =
            self.rules.identity.as_ref().map(|wanted| values::identity(&page, wanted)).transpose()?;
        let nullifier = self.nullifier(transcript, identity.as_ref());
        Ok(Admitted { nullifier, identity, columns, fields, inert })
    }

    fn media_type(&self, response: &Response) -> Result<(), Refusal> {
        let given = response.media_type.as_deref();
        let json =
            |t: &str| t == "application/json" || (t.starts_with("application/") && t.ends_with("+json"));
        let fits = match self.rules.media_type.as_deref() {
            // One that is not stated contradicts nothing: the body is parsed whole.
            None => given.is_none_or(json),
            Some("none") => given.is_none(),
            Some(wanted) => given == Some(wanted),
        };
        if fits {
            return Ok(());
        }
        let wanted = self.rules.media_type.as_deref().unwrap_or("application/json");
        refuse(
            Rule::MediaType,
            format!(
                "the response is {}, not {wanted}: media_type under [source] says which counts",
                given.map_or("of no stated media type".into(), |t| t.escape_debug().to_string())
            ),
        )
    }

    fn parse<'a>(&self, response: &'a Response, holes: &[Range<usize>]) -> Result<Document<'a>, Refusal> {
        let body = &response.body[..];
        let mut start = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        if let Some(guard) = &self.rules.guard {
            let end = start + guard.len();
            let shown = holes.iter().all(|h| h.start >= end);
            if body.get(start..end) != Some(guard.as_bytes()) || !shown {
                return refuse(Rule::Json, "the survey's guard is not in front of the JSON");
            }
            start = end;
        }
        json::parse(body, start, holes).map_err(|failure| {
            let at = failure.at;
            if failure.hidden {
                let on_wire = response.on_wire(&(at..at + 1)).first().map_or(at, |r| r.start);
                Refusal {
                    rule: Rule::Hidden,
                    detail: format!("at received byte {on_wire}: {}", failure.problem),
                }
            } else {
                Refusal {
                    rule: Rule::Json,
                    detail: format!("the body is no JSON, at its byte {at}: {}", failure.problem),
                }
            }
        })
    }

    fn columns(&self, page: &Page<'_>) -> Result<(Vec<AdmittedColumn>, Vec<usize>), Refusal> {
        let mut claimed = Vec::new();
        let mut columns = Vec::new();
        for wanted in &self.rules.committed {
            let (column, hole) = hidden::column(page, wanted)?;
            if let Some(hole) = hole {
                if claimed.contains(&hole) {
                    return refuse(Rule::Column, "two columns name the same value");
                }
                claimed.push(hole);
            }
            columns.push(column);
        }
        Ok((columns, claimed))
    }

    fn nullifier(&self, transcript: &Transcript, identity: Option<&Scalar>) -> Nullifier {
        let mut w = Writer::tagged("tercet nullifier v2");
        w.array(self.survey.as_ref());
        match identity {
            // A session is one of its kind's.
            None => w.u8(transcript.kind.byte()).bytes(&transcript.session),
            // A person is the same one with whatever kind of evidence: a byte that no kind has.
            Some(identity) => w.u8(0).bytes(&identity.encode()),
        };
        Nullifier(sha256(&[&w.finish()]))
    }
}
