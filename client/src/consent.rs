//! A survey in words that need no knowledge of statistics or cryptography: shown before anything is sent.

use tercet_protocol::kind::Kind;
use tercet_protocol::statistic::Family;
use tercet_protocol::survey::{Resubmission, SurveyManifest};
use time::format_description::well_known::Rfc3339;

use crate::coordinator::Deployment;

/// Width of the labels in front of the lines.
const LABEL: usize = 15;
/// Width of the text behind them.
const WIDTH: usize = 84;

/// The text that a provider who has evidence of this kind reads before anything is sent.
pub fn to_text(deployment: &Deployment, kind: Kind) -> String {
    let manifest = deployment.survey.manifest();
    let mut out = Lines::default();
    identity(deployment, &mut out);
    let numbers: Vec<String> = manifest.columns.iter().map(|c| named(&c.name, &c.unit)).collect();
    let texts: Vec<String> = manifest.categories.iter().map(|c| c.name.clone()).collect();
    let hidden = [numbers, texts].concat().join(", ");
    out.say(
        "stays hidden",
        &format!(
            "{hidden}. Nobody sees it: it is split into three shares, one for each operator above. Two of the three \
             operators together could put it together again; one alone cannot, and neither can anybody else."
        ),
    );
    let fields: Vec<&str> = manifest.fields.iter().map(|f| f.name.as_str()).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(", your {}", fields.join(", ")) };
    let who = match &manifest.identity {
        Some(_) => format!(", your account's identity there{fields}"),
        None => fields,
    };
    let server = &manifest.source.server_name;
    let rest = match kind {
        Kind::Presentation => format!(
            "whatever else of the page from {server} your presentation shows (tercet inspect prints it)"
        ),
        Kind::Session => format!(
            "whatever else of the answer from {server} your session shows: all that the survey does not hide (tercet \
             submit --dry-run prints it). The notary saw that you talked to {server}, when, and from which address, but \
             nothing of what was said"
        ),
    };
    out.say(
        "is seen",
        &format!("by the coordinator and the three operators: that you take part{who}, and {rest}."),
    );
    published(manifest, &mut out);
    leaving(manifest, &mut out);
    out.0
}

/// A survey's identity and rules, for somebody who uses it for the first time.
pub fn identity_text(deployment: &Deployment) -> String {
    let mut out = Lines::default();
    identity(deployment, &mut out);
    published(deployment.survey.manifest(), &mut out);
    out.0
}

fn identity(deployment: &Deployment, out: &mut Lines) {
    let s = &deployment.survey.manifest().survey;
    out.0.push_str(&format!("{}\n", s.title));
    out.say("survey", &deployment.survey.id().to_string());
    let unsaid = "the survey does not say";
    let owner = s.owner.as_deref().unwrap_or(unsaid);
    out.say(
        "asked by",
        &match &s.contact {
            Some(contact) => format!("{owner} (contact: {contact})"),
            None => format!("{owner} (contact: {unsaid})"),
        },
    );
    out.say("purpose", s.purpose.as_deref().unwrap_or(unsaid));
    out.say("kept for", s.retention.as_deref().unwrap_or(unsaid));
    let time = |t: time::OffsetDateTime| t.format(&Rfc3339).unwrap_or_else(|_| t.to_string());
    out.say("runs", &format!("from {} to {}", time(s.opens), time(s.closes)));
    for (i, p) in deployment.parties.iter().enumerate() {
        out.say(
            if i == 0 { "operators" } else { "" },
            &format!("{} ({}, {})", p.operator, p.url, p.identity),
        );
    }
}

fn published(manifest: &SurveyManifest, out: &mut Lines) {
    let s = &manifest.survey;
    let people = if manifest.identity.is_some() { "people" } else { "submissions" };
    out.say(
        "is published",
        &format!(
            "by the three operators together, to everybody, about all {people} who have entered: {}.",
            list(&statistics(manifest))
        ),
    );
    let shown = match s.smallest_set() > s.min_new {
        true => format!(" No answer about fewer than {} {people} is shown.", s.smallest_set()),
        false => String::new(),
    };
    out.say(
        "in groups of",
        &format!(
            "at least {} {people}, who enter together at a release point (every {}). A group is never split: whatever is asked, \
             sums tell about whole groups only.{shown}",
            s.min_new,
            interval(manifest.schedule().every)
        ),
    );
    let singles = single_values(manifest);
    match singles.is_empty() {
        true => out.say("single values", "none is published."),
        false => {
            for (i, single) in singles.iter().enumerate() {
                out.say(if i == 0 { "single values" } else { "" }, single);
            }
        }
    }
    if !manifest.noise.is_empty() {
        out.say("noise", "random noise is added to sums before anything of them is seen.");
    }
}

fn leaving(manifest: &SurveyManifest, out: &mut Lines) {
    out.say(
        "leaving",
        "at any time, with the receipt that you get: tercet withdraw --receipt FILE. Your shares are then deleted at all \
         three operators. If you were counted already, the sums of your group stay as they are; nothing is computed from \
         your value again.",
    );
    out.say(
        "again",
        match (manifest.identity.is_some(), s_replaces(manifest)) {
            (true, false) => "you can take part once.",
            (true, true) => {
                "a new proof takes the place of yours as long as it waits; once counted, it stays."
            }
            (false, _) => "the survey does not tell people apart: each proof counts.",
        },
    );
}

/// Seconds as people say them.
fn interval(seconds: u64) -> String {
    let (n, unit) = match seconds {
        s if s.is_multiple_of(86_400) => (s / 86_400, "days"),
        s if s.is_multiple_of(3_600) => (s / 3_600, "hours"),
        s if s.is_multiple_of(60) => (s / 60, "minutes"),
        s => (s, "seconds"),
    };
    if n == 1 { unit.trim_end_matches('s').to_owned() } else { format!("{n} {unit}") }
}

fn s_replaces(manifest: &SurveyManifest) -> bool {
    manifest.survey.resubmission == Resubmission::Replace
}

fn named(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name} (in {unit})") }
}

/// The listed statistics in words, each once.
fn statistics(manifest: &SurveyManifest) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for permit in manifest.permits() {
        let of = match permit.columns.as_slice() {
            [] => String::new(),
            columns => format!(" of {}", columns.join(" and ")),
        };
        let by = permit.group.as_ref().map(|g| format!(", for each {g}")).unwrap_or_default();
        let text = format!("{}{of}{by}", words(permit.family));
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}

fn words(family: Family) -> &'static str {
    match family {
        Family::Count => "how many there are",
        Family::Sum => "the sum",
        Family::Mean => "the average",
        Family::GeometricMean => "the geometric average",
        Family::HarmonicMean => "the harmonic average",
        Family::Variance | Family::VariancePopulation | Family::Stddev | Family::StddevPopulation => {
            "how widely the values are spread"
        }
        Family::Min => "the smallest value",
        Family::Max => "the largest value",
        Family::Mode => "the most frequent value",
        Family::Median => "the middle value",
        Family::Quantile | Family::QuantileNearest => "values that a given part of all lie below",
        Family::Iqr => "the distance between the lower and the upper quarter",
        Family::TrimmedMean => "the average without the smallest and largest",
        Family::Histogram => "how many lie in each of some ranges",
        Family::Lorenz => "what share of the whole the poorest have",
        Family::TopShare => "what share of the whole the richest have",
        Family::Gini => "how unequal the values are",
        Family::Covariance | Family::Correlation | Family::Regression => "how two numbers go together",
    }
}

/// The survey's releases that are somebody's own value.
fn single_values(manifest: &SurveyManifest) -> Vec<String> {
    let has = |families: &[Family]| manifest.permits().iter().any(|p| families.contains(&p.family));
    let mut out = Vec::new();
    for (family, name) in
        [(Family::Min, "smallest"), (Family::Max, "largest"), (Family::Mode, "most frequent")]
    {
        if has(&[family]) {
            out.push(format!(
                "this survey publishes the {name} value exactly; when it changes, it is seen that it came with the newest \
                 group."
            ));
        }
    }
    if has(&[Family::Median, Family::Quantile, Family::QuantileNearest, Family::Iqr]) {
        out.push(
            "this survey publishes values at given ranks, such as the middle one: each is the value of somebody, or lies \
             between those of two people, without a name."
                .into(),
        );
    }
    out
}

fn list(items: &[String]) -> String {
    match items {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Labelled lines, wrapped.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn say(&mut self, label: &str, text: &str) {
        let mut label = label;
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.push(label, &line);
                label = "";
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.push(label, &line);
    }

    fn push(&mut self, label: &str, line: &str) {
        let text = format!("{label:<LABEL$}{line}");
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }
}
