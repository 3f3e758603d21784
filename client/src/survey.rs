//! What a survey file means, in words: for owners who write one and operators who approve one.

use std::path::Path;

use tercet_protocol::ids::{EngineDigest, PublicKey, SurveyId};
use tercet_protocol::survey::source::Place;
use tercet_protocol::survey::{
    ExcessDigits, MAX_SURVEY_BYTES, Resubmission, SurveyDescriptor, SurveyManifest,
};
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::files;
use crate::operator::read_survey;

/// A survey read from a file: either the owner's TOML or an assembled descriptor.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The rules.
    pub manifest: SurveyManifest,
    /// Trust anchors, DER. Empty: Mozilla's.
    pub roots: Vec<Vec<u8>>,
    /// What only a descriptor has: its id, parties and engine.
    pub assembled: Option<(SurveyId, [PublicKey; 3], EngineDigest)>,
}

/// Reads and checks a survey file or a descriptor, told apart by their first character.
pub fn check(path: &Path) -> Result<Checked, Error> {
    let bytes = files::read(path, MAX_SURVEY_BYTES)?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        let (manifest, roots) = read_survey(path)?;
        return Ok(Checked { manifest, roots, assembled: None });
    }
    let descriptor = SurveyDescriptor::from_bytes(bytes.to_vec())?;
    let assembled = Some((descriptor.id(), *descriptor.parties(), descriptor.engine()));
    Ok(Checked { manifest: descriptor.manifest().clone(), roots: descriptor.root_certificates()?, assembled })
}

impl Checked {
    /// The meaning, for people.
    pub fn to_text(&self) -> String {
        let m = &self.manifest;
        let s = &m.survey;
        // A checked survey has rules.
        let rules = m.source_rules().ok();
        let hidden = |i: usize| rules.as_ref().and_then(|r| r.committed.get(i)).map(|h| &h.place);
        let mut out = format!("{} ({})\n", s.title, s.name);
        let mut line = |label: &str, text: String| {
            out.push_str(format!("{label:<14}{text}").trim_end());
            out.push('\n');
        };
        if let Some((id, parties, engine)) = &self.assembled {
            line("survey", id.to_string());
            for (i, key) in parties.iter().enumerate() {
                line(if i == 0 { "parties" } else { "" }, key.to_string());
            }
            line("engine", engine.to_string());
        }
        let time = |t: time::OffsetDateTime| t.format(&Rfc3339).unwrap_or_else(|_| t.to_string());
        line("data fetched", format!("between {} and {}", time(s.opens), time(s.closes)));
        let query: Vec<_> = m.source.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let request = format!(
            "{} https://{}{}{mark}{}",
            m.source.method,
            m.source.server_name,
            m.source.path,
            query.join("&")
        );
        line("request", request);
        line(
            "server roots",
            match self.roots.len() {
                0 => "Mozilla's".into(),
                n => format!("{n} of its own"),
            },
        );
        for (i, n) in m.notaries.iter().enumerate() {
            line(if i == 0 { "notaries" } else { "" }, format!("{} ({})", n.name, n.key));
        }
        line(
            "identity",
            match &m.identity {
                Some(_) => format!("shown {}", place(rules.as_ref().and_then(|r| r.identity.as_ref()).map(|w| &w.place))),
                None => "none: each TLS session counts as a person".into(),
            },
        );
        line(
            "second proof",
            match s.resubmission {
                Resubmission::Reject => "is refused".into(),
                Resubmission::Replace => "replaces the first".into(),
            },
        );
        for (i, c) in m.columns.iter().enumerate() {
            let excess = match c.excess_digits {
                ExcessDigits::Reject => "further digits are refused",
                ExcessDigits::Truncate => "further digits are dropped",
            };
            let largest = (1u64 << c.bits) - 1;
            line(
                "column",
                format!(
                    "{} {}",
                    c.name,
                    if c.unit.is_empty() { String::new() } else { format!("in {}", c.unit) }
                ),
            );
            line("", format!("hidden {}", place(hidden(i))));
            line(
                "",
                format!(
                    "{} decimal places, at most {} in size; {excess}",
                    c.scale,
                    decimal(largest, c.scale)
                ),
            );
            if let Some(missing) = &c.missing {
                line("", format!("or \"{missing}\": no value. The text's length is public"));
            }
        }
        for (i, c) in (m.columns.len()..).zip(&m.categories) {
            line("category", format!("{}: one of {}", c.name, c.values.join(", ")));
            line("", format!("hidden {}", place(hidden(i))));
            if c.values.iter().any(|v| v.len() != c.values[0].len()) {
                line("", "WARNING: a text's length is public, and these have different ones".into());
            }
        }
        for (i, f) in m.fields.iter().enumerate() {
            let values = if f.values.is_empty() { "any text".to_owned() } else { f.values.join(", ") };
            line("field", format!("{}: {values}", f.name));
            line("", format!("shown {}", place(rules.as_ref().and_then(|r| r.fields.get(i)).map(|w| &w.place))));
        }
        line("statistics", s.statistics.join(", "));
        line(
            "released",
            format!("over {} submissions or more, differing by {} or more", s.smallest_set(), s.min_new),
        );
        if let Some(budget) = s.budget {
            line("", format!("at most {budget} times in all"));
        }
        out
    }
}

/// Where a value stands, for people.
fn place(place: Option<&Place>) -> String {
    match place {
        Some(Place::Json(path)) => format!("at {path}"),
        Some(Place::Tokens(pattern)) => format!("in JSON behind {}", pattern.in_front()),
        Some(Place::Text { prefix, suffix }) => format!("between {prefix} and {suffix}"),
        Some(Place::Header(name)) => format!("in the response's header {name}"),
        Some(Place::PathSegment) => "in the request's path".into(),
        None => String::new(),
    }
}

/// `value / 10^scale`, exactly.
fn decimal(value: u64, scale: i8) -> String {
    let Ok(scale) = u8::try_from(scale) else {
        return format!("{value}{}", "0".repeat(usize::from(scale.unsigned_abs())));
    };
    let digits = format!("{value:0>width$}", width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal(123_456, 3), "123.456");
        assert_eq!(decimal(5, 3), "0.005");
        assert_eq!(decimal(5, 0), "5");
        assert_eq!(decimal(5, -3), "5000");
    }
}
