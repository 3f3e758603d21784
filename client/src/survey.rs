//! A survey file in words: for owners who write one and operators who approve one.

use std::path::Path;

use tercet_protocol::ids::{EngineDigest, PublicKey, SurveyId};
use tercet_protocol::kind::Kind;
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
    /// The additions of a descriptor: its id, parties and engine.
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
        for (label, text) in [
            ("owner", &s.owner),
            ("contact", &s.contact),
            ("purpose", &s.purpose),
            ("retention", &s.retention),
        ] {
            if let Some(text) = text {
                line(label, text.clone());
            }
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
        for (i, input) in m.source.inputs.iter().enumerate() {
            let secret = if input.secret { ", typed unseen" } else { "" };
            line(if i == 0 { "asks for" } else { "" }, format!("{} ({}{secret})", input.label, input.name));
        }
        let templates = [("parameter", &m.source.parameters), ("header", &m.source.request_headers)];
        for (what, all) in templates {
            for (i, template) in all.iter().enumerate() {
                line(if i == 0 { what } else { "" }, format!("{} = {}", template.name, template.value));
            }
        }
        line(
            "server roots",
            match self.roots.len() {
                0 => "Mozilla's".into(),
                n => format!("{n} of its own"),
            },
        );
        for (i, n) in m.notaries.iter().enumerate() {
            let signs = match n.kind {
                Kind::Presentation => "TLSNotary presentations",
                Kind::Session => "TLS 1.3 sessions",
            };
            line(if i == 0 { "notaries" } else { "" }, format!("{} signs {signs} ({})", n.name, n.key));
        }
        line(
            "identity",
            match &m.identity {
                Some(_) => format!(
                    "shown {}",
                    place(rules.as_ref().and_then(|r| r.identity.as_ref()).map(|w| &w.place))
                ),
                None => "none: each TLS session counts as a person".into(),
            },
        );
        line(
            "second proof",
            match s.resubmission {
                Resubmission::Reject => "is refused".into(),
                Resubmission::Replace => "replaces the first, while that waits to be counted".into(),
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
                match c.scale {
                    0.. => format!(
                        "{} decimal places, at most {} in size; {excess}",
                        c.scale,
                        decimal(largest, c.scale)
                    ),
                    below => format!(
                        "at most {} in size; the last {} digits are left out{}",
                        decimal(largest, c.scale),
                        below.unsigned_abs(),
                        if c.excess_digits == ExcessDigits::Reject { ": they must be zeros" } else { "" }
                    ),
                },
            );
            if let Some(missing) = &c.missing {
                line("", format!("or \"{missing}\": no value. The text's length is public"));
            }
        }
        for (i, c) in (m.columns.len()..).zip(&m.categories) {
            line("category", format!("{}: one of {}", c.name, c.values.join(", ")));
            line("", format!("hidden {}", place(hidden(i))));
        }
        for (i, f) in m.fields.iter().enumerate() {
            let values = if f.values.is_empty() { "any text".to_owned() } else { f.values.join(", ") };
            line("field", format!("{}: {values}", f.name));
            line(
                "",
                format!("shown {}", place(rules.as_ref().and_then(|r| r.fields.get(i)).map(|w| &w.place))),
            );
        }
        line("statistics", s.statistics.join(", "));
        let schedule = m.schedule();
        line(
            "counted",
            format!(
                "in groups of {} or more that are never split, every {}",
                s.min_new,
                words(schedule.every)
            ),
        );
        if !m.fields.is_empty() {
            line("", format!("a rare combination of fields gives up one after {}", words(schedule.patience)));
        }
        line(
            "shown",
            format!("answers about {} people or more; two answers may tell of {}", s.min_cohort, s.min_new),
        );
        for (i, note) in m.order_notes().into_iter().enumerate() {
            line(if i == 0 { "in order" } else { "" }, note);
        }
        let missing = s.missing_about();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            line(
                "WARNING",
                format!("[survey] does not say {missing}: providers are told so before they agree"),
            );
        }
        let about_source = m.source_warnings(time::OffsetDateTime::now_utc());
        for warning in m.warnings().into_iter().chain(about_source) {
            line("WARNING", warning);
        }
        out
    }
}

/// The place of a value, for people.
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

/// A duration in its largest whole unit.
fn words(seconds: u64) -> String {
    let units = [("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1)];
    let (name, of) = units.into_iter().find(|(_, of)| seconds.is_multiple_of(*of)).unwrap_or(("seconds", 1));
    match seconds / of {
        1 => name.trim_end_matches('s').to_owned(),
        n => format!("{n} {name}"),
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
    use super::{decimal, words};

    #[test]
    fn durations_have_their_largest_whole_unit() {
        assert_eq!(
            [86_400, 90_000, 345_600, 60, 61].map(words),
            ["day", "25 hours", "4 days", "minute", "61 seconds"]
        );
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal(123_456, 3), "123.456");
        assert_eq!(decimal(5, 3), "0.005");
        assert_eq!(decimal(5, 0), "5");
        assert_eq!(decimal(5, -3), "5000");
    }
}
