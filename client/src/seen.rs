//! The view of others: the exchange as coordinator and parties get it, and the parts of it that may be private.

use std::collections::BTreeSet;

use tercet_evidence::json::{self, Document, Value};
use tercet_evidence::{Data, Transcript, http};
use tercet_protocol::survey::BodyFormat;
use tercet_protocol::survey::source::{Place, Rules};

use crate::inspect::printable;

/// Response headers whose values are credentials or tell something about the person.
const HEADERS: [&str; 8] = [
    "set-cookie",
    "set-cookie2",
    "authorization",
    "authentication-info",
    "www-authenticate",
    "x-csrf-token",
    "x-auth-token",
    "x-access-token",
];

/// Parts of the names of members whose values are usually private.
const MEMBERS: [&str; 23] = [
    "token",
    "secret",
    "password",
    "session",
    "cookie",
    "csrf",
    "jwt",
    "apikey",
    "api_key",
    "email",
    "mail",
    "phone",
    "mobile",
    "address",
    "street",
    "birth",
    "name",
    "iban",
    "account_number",
    "accountnumber",
    "ssn",
    "passport",
    "card",
];

/// The exchange with every hidden stretch as its length, for the terminal.
pub fn text(transcript: &Transcript) -> String {
    format!("{}\n{}", one(&transcript.sent), one(&transcript.received))
}

fn one(data: &Data) -> String {
    let mut out = String::new();
    let mut at = 0;
    for range in &data.hidden {
        out.push_str(&shown(data, at, range.start));
        out.push_str(&format!("⟦{} bytes⟧", range.len()));
        at = range.end;
    }
    out.push_str(&shown(data, at, data.bytes.len()));
    out
}

fn shown(data: &Data, from: usize, to: usize) -> String {
    let text = String::from_utf8_lossy(data.bytes.get(from..to).unwrap_or_default()).into_owned();
    printable(&text.replace("\r\n", "\n"))
}

/// The names of items that are shown besides what the survey asks for, and that may be private.
pub fn warnings(rules: &Rules, transcript: &Transcript) -> Vec<String> {
    let mut out = Vec::new();
    let Ok(Some(response)) = http::read_response(&transcript.received) else { return out };
    let names: BTreeSet<&str> = response
        .head
        .headers
        .iter()
        .filter(|h| HEADERS.contains(&h.name.as_str()) && transcript.received.is_shown(h.value.clone()))
        .map(|h| h.name.as_str())
        .collect();
    for name in names {
        out.push(format!(
            "the response's header {name} is shown to the coordinator and the three parties: whoever has it may be able to \
             act as you; log out after submitting, or use evidence that can keep it hidden"
        ));
    }
    if rules.format == BodyFormat::Json {
        let holes = response.holes(&transcript.received.hidden);
        let start = if response.body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let start = start + rules.guard.as_ref().map_or(0, String::len);
        if let Ok(document) = json::parse(&response.body, start, &holes) {
            out.extend(members(rules, &document));
        }
    }
    if rules.committed.iter().any(|c| c.absent.is_some() || c.empty_is_missing) {
        out.push("that you have no value in a column is public where the answer shows it".into());
    }
    out
}

fn members(rules: &Rules, document: &Document<'_>) -> Vec<String> {
    let mut asked = BTreeSet::new();
    for wanted in rules.identity.iter().chain(&rules.fields) {
        if let Place::Json(path) = &wanted.place
            && let Ok(json::Selection::One(id)) = json::select(document, path)
        {
            asked.insert(id);
        }
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![Document::ROOT];
    while let Some(id) = waiting.pop() {
        match &document.node(id).value {
            Value::Array(elements) => waiting.extend(elements),
            Value::Object(all) => {
                for (name, value) in all {
                    let name = document.string(*name);
                    let lower = name.to_ascii_lowercase();
                    let text = matches!(document.node(*value).value, Value::Text(_) | Value::Number(_));
                    if text && !asked.contains(value) && MEMBERS.iter().any(|m| lower.contains(m)) {
                        found.insert(name.to_owned());
                    }
                    waiting.push(*value);
                }
            }
            _ => {}
        }
    }
    let warn = |name: String| {
        format!(
            "the answer's member \"{}\" is shown to the coordinator and the three parties",
            printable(&name)
        )
    };
    found.into_iter().map(warn).collect()
}
