//! `tercet survey try`: the values that a survey reads from an exchange that somebody saved, before anything is
//! notarized.

mod exchange;
mod hint;
mod own;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use tercet_evidence::plan::{self, Located};
use tercet_evidence::{
    Admitted, Binding, Bindings, Commitment, Data, Direction, Kind, Policy, Refusal, Transcript, http,
};
use tercet_mpc::statement::{Format, HashAlg, Said};
use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::{BodyFormat, SurveyError, SurveyManifest};

use crate::seen;

pub use exchange::{MAX_FILE, Saved, parse, saved};

/// The outcome. Serialises to the output of `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// True if a submission of this exchange would be taken.
    pub admitted: bool,
    /// The rule that refuses.
    pub rule: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
    /// The kind of evidence that was assumed: of a survey that takes several, the first one that is admitted.
    pub evidence: Option<String>,
    /// The identity of the person, by the survey's rules.
    pub identity: Option<String>,
    /// The revealed fields.
    pub fields: BTreeMap<String, String>,
    /// The hidden values.
    pub columns: BTreeMap<String, Column>,
    /// Hidden ranges of the response.
    pub hidden: Vec<[usize; 2]>,
    /// Hidden ranges of the request.
    pub hidden_sent: Vec<[usize; 2]>,
    /// The names of items that everybody will see and that may be private.
    pub warnings: Vec<String>,
    /// The exchange as coordinator and parties will see it.
    #[serde(skip)]
    pub seen: String,
}

/// A hidden value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its text, as it is written; `None` where there is publicly no value.
    pub text: Option<String>,
    /// The value that is computed with: a decimal, or a category's text; `None` if it is missing.
    pub value: Option<String>,
}

impl Outcome {
    fn refused(rule: &str, reason: String) -> Self {
        Self {
            admitted: false,
            rule: Some(rule.into()),
            reason: Some(reason),
            evidence: None,
            identity: None,
            fields: BTreeMap::new(),
            columns: BTreeMap::new(),
            hidden: Vec::new(),
            hidden_sent: Vec::new(),
            warnings: Vec::new(),
            seen: String::new(),
        }
    }

    /// A survey that nobody can take part in.
    pub fn bad_survey(error: &SurveyError) -> Self {
        Self::refused("survey", error.to_string())
    }

    /// The outcome for people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        match (&self.rule, &self.reason) {
            (Some(rule), Some(reason)) => out.push_str(&format!("refused ({rule}): {reason}\n")),
            _ => out.push_str("admitted\n"),
        }
        if let Some(kind) = &self.evidence {
            out.push_str(&format!("evidence  of the kind {kind}\n"));
        }
        if let Some(identity) = &self.identity {
            out.push_str(&format!("identity  {identity}\n"));
        }
        for (name, value) in &self.fields {
            out.push_str(&format!("field     {name}: {value}\n"));
        }
        for (name, column) in &self.columns {
            let value = column.value.as_deref().unwrap_or("no value");
            let text = column.text.as_ref().map(|t| format!(" (hidden: {t})")).unwrap_or_default();
            out.push_str(&format!("column    {name}: {value}{text}\n"));
        }
        for warning in &self.warnings {
            out.push_str(&format!("WARNING   {warning}\n"));
        }
        if !self.seen.is_empty() {
            out.push_str(&format!("\nWhat coordinator and parties will see:\n\n{}\n", self.seen));
        }
        out
    }
}

/// Tries a survey on an exchange, with each kind of evidence that the survey takes. Where the response marks nothing as hidden,
/// the ranges that the client would hide are hidden; likewise the request, where neither file marks anything.
pub fn attempt(manifest: &SurveyManifest, request: &Saved, response: &Saved) -> Result<Outcome, SurveyError> {
    let policy = Policy::new(SurveyId([0; 32]), manifest)?;
    if request.empty || response.empty {
        let reason = "there is nothing between ⟦ and ⟧: no hidden place is empty";
        return Ok(Outcome::refused(tercet_evidence::Rule::Hidden.code(), reason.to_owned()));
    }
    let takes = |kind| manifest.notaries.iter().any(|n| n.kind == kind);
    let first = attempt_with(&policy, manifest, request, response, !takes(Kind::Presentation));
    if first.admitted || !(takes(Kind::Presentation) && takes(Kind::Session)) {
        return Ok(first);
    }
    let second = attempt_with(&policy, manifest, request, response, true);
    Ok(if second.admitted { second } else { first })
}

/// Tries it as a proxied session, which can prove properties of hidden bytes, or as a presentation, which cannot.
fn attempt_with(
    policy: &Policy,
    manifest: &SurveyManifest,
    request: &Saved,
    response: &Saved,
    proxied: bool,
) -> Outcome {
    let (mut sent, mut received) = (data(request), data(response));
    let mut planned = Ok(());
    if request.hidden.is_empty() && response.hidden.is_empty() {
        sent.hidden = plan::credentials(policy.rules(), &request.bytes);
    }
    if response.hidden.is_empty() {
        match plan::locate(policy.rules(), &response.bytes) {
            Ok(located) => received.hidden = pieces(&located),
            Err(refusal) => planned = Err(refusal),
        }
        if proxied && planned.is_ok() {
            received.hidden = plan::everything(policy.rules(), &received);
        }
        blank(&mut sent);
        blank(&mut received);
    }
    let bindings = if proxied { Bindings::Keystream } else { Bindings::Hashes(commitments(&received)) };
    let kind = if proxied { Kind::Session } else { Kind::Presentation };
    let transcript = Transcript {
        kind,
        server: manifest.source.server_name.clone(),
        time: manifest.survey.opens.unix_timestamp().try_into().unwrap_or(0),
        session: vec![0; 32],
        sent,
        received,
        bindings,
    };
    let ranges = |hidden: &[Range<usize>]| hidden.iter().map(|r| [r.start, r.end]).collect();
    let mut outcome = match policy.admit(&transcript) {
        Ok(admitted) => match own::refused(&admitted, request, response) {
            Some((rule, reason)) => Outcome::refused(rule.code(), reason),
            None => read(manifest, &admitted, &response.bytes),
        },
        // The planner knows better why a column was not found than the policy, which then sees nothing hidden.
        Err(refusal) => Outcome::from(first(planned, refusal)),
    };
    if outcome.rule.as_deref() == Some(tercet_evidence::Rule::Response.code())
        && exchange::is_taken_apart(response)
    {
        let hint = "; the file has the body without its chunks, as curl writes it unless --raw is given";
        outcome.reason.iter_mut().for_each(|reason| reason.push_str(hint));
    }
    Outcome {
        evidence: Some(kind.to_string()),
        hidden: ranges(&transcript.received.hidden),
        hidden_sent: ranges(&transcript.sent.hidden),
        warnings: seen::warnings(policy.rules(), &transcript),
        seen: seen::text(&transcript),
        ..outcome
    }
}

/// The request that a survey asks for, without credentials. An open segment of the path stays open.
pub fn request(manifest: &SurveyManifest) -> Vec<u8> {
    let source = &manifest.source;
    let query: Vec<String> = source.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let mut text = format!(
        "{} {}{mark}{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        source.method,
        source.path,
        query.join("&"),
        source.server_name
    );
    let headers = source.required_headers();
    if !headers.keys().any(|name| name.eq_ignore_ascii_case("accept-encoding")) {
        text.push_str("Accept-Encoding: identity\r\n");
    }
    for (name, value) in &headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = source.request_body();
    if let Some(body) = body {
        let content_type = source.body_type().unwrap_or_default();
        text.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}

fn first(planned: Result<(), Refusal>, refusal: Refusal) -> Refusal {
    match (planned, refusal.rule) {
        (Err(planned), tercet_evidence::Rule::Column) => planned,
        _ => refusal,
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.rule.code(), refusal.detail)
    }
}

fn data(saved: &Saved) -> Data {
    let mut data = Data { bytes: saved.bytes.clone(), hidden: saved.hidden.clone() };
    blank(&mut data);
    data
}

/// Hidden bytes read as zero.
fn blank(data: &mut Data) {
    for range in &data.hidden {
        if let Some(bytes) = data.bytes.get_mut(range.clone()) {
            bytes.fill(0);
        }
    }
}

fn pieces(located: &[Located]) -> Vec<Range<usize>> {
    let mut all: Vec<_> = located.iter().flat_map(|l| l.pieces.clone()).collect();
    all.sort_by_key(|r| r.start);
    all.dedup();
    all
}

/// A commitment to each hidden place of the body, its pieces joined, as the client makes them.
fn commitments(received: &Data) -> Vec<Commitment> {
    let Ok(Some(response)) = http::read_response(received) else { return Vec::new() };
    let holes = response.holes(&received.hidden);
    let one =
        |hole| Commitment { ranges: response.on_wire(hole), algorithm: HashAlg::Blake3, digest: [0; 32] };
    holes.iter().map(one).collect()
}

/// Reads the values that the policy admits, as the proof will.
fn read(manifest: &SurveyManifest, admitted: &Admitted, response: &[u8]) -> Outcome {
    let mut outcome = Outcome::refused("", String::new());
    (outcome.admitted, outcome.rule, outcome.reason) = (true, None, None);
    outcome.identity = admitted.identity.as_ref().map(|i| i.as_str().to_owned());
    let fields = manifest.fields.iter().zip(&admitted.fields);
    outcome.fields = fields.map(|(f, value)| (f.name.clone(), value.clone())).collect();
    for (i, (name, column)) in manifest.hidden_names().into_iter().zip(&admitted.columns).enumerate() {
        let Some(format) = manifest.format(i, column.quoted) else { continue };
        let bytes: Vec<u8> =
            column.pieces.iter().flat_map(|p| response.get(p.clone()).unwrap_or_default()).copied().collect();
        let hidden = column.binding != Binding::Absent;
        let said = if hidden { format.read(&bytes) } else { Ok(format.absent()) };
        let text = hidden.then(|| String::from_utf8_lossy(&bytes).into_owned());
        let value = match said {
            Ok(Said::Number(None)) => None,
            Ok(Said::Number(Some(value))) => Some(decimal(value, scale(&format))),
            Ok(Said::Category(_)) => text.clone(),
            Err(problem) => {
                outcome.admitted = false;
                outcome.rule = Some("value".into());
                let quotes = !column.quoted && bytes.starts_with(b"\"");
                outcome.reason = Some(match quotes {
                    true => {
                        format!("column {name}: its quotes are hidden too: hide only the text inside them")
                    }
                    false => {
                        let pages = column.quoted || manifest.source.format == BodyFormat::Text;
                        let hint = hint::hint(&bytes, &format, pages);
                        let hint = hint.map(|keys| format!("; {keys} would admit it")).unwrap_or_default();
                        format!("column {name}: {problem}{hint}")
                    }
                });
                None
            }
        };
        outcome.columns.insert(name.to_owned(), Column { text, value });
    }
    let inert = admitted.inert.iter().filter(|i| i.direction == Direction::Received).count();
    if inert > 0 {
        tracing::debug!(inert, "hidden places besides the columns");
    }
    outcome
}

fn scale(format: &Format) -> i8 {
    match format {
        Format::Number(number) => number.scale,
        Format::Category(_) => 0,
    }
}

/// `value / 10^scale`, exactly.
pub fn decimal(value: i64, scale: i8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let magnitude = value.unsigned_abs();
    let Ok(places) = usize::try_from(scale) else {
        let zeros = if magnitude == 0 { 0 } else { usize::from(scale.unsigned_abs()) };
        return format!("{sign}{magnitude}{}", "0".repeat(zeros));
    };
    let digits = format!("{magnitude:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals_are_exact() {
        for (value, scale, text) in [
            (125_000, 2, "1250.00"),
            (-5, 3, "-0.005"),
            (7, 0, "7"),
            (12_500_000_000, -9, "12500000000000000000"),
            (0, -9, "0"),
            (i64::MIN, 18, "-9.223372036854775808"),
        ] {
            assert_eq!(decimal(value, scale), text);
        }
    }
}
