//! Warnings to an author about the source: rules that are valid and may be weak.

use time::OffsetDateTime;

use super::{BodyFormat, Form, Place, Rules};
use crate::survey::SurveyManifest;

/// Parts of parameter names that usually change the meaning of an answer.
const CHOOSING: [&str; 14] = [
    "limit", "offset", "page", "cursor", "currency", "unit", "date", "as_of", "from", "until", "lang",
    "locale", "account", "filter",
];

impl SurveyManifest {
    /// Warnings about the source, in whole sentences; `now` tells whether the survey can still be taken part in.
    pub fn source_warnings(&self, now: OffsetDateTime) -> Vec<String> {
        let mut all = Vec::new();
        if self.survey.closes < now {
            all.push(
                "the survey is closed: no data that is fetched from now on counts (survey.closes)".into(),
            );
        }
        if self.notaries.iter().all(|n| n.valid_until.is_some_and(|until| until < now)) {
            all.push("no notary's key counts any more (notaries.valid_until): nobody can take part".into());
        }
        let Ok(rules) = self.source_rules() else { return all };
        identity(&rules, &mut all);
        for name in &rules.other_query {
            let lower = name.to_ascii_lowercase();
            if CHOOSING.iter().any(|part| lower.contains(part)) {
                all.push(format!(
                    "the parameter {name} may have any value, and by its name it may choose what the answer shows: state its value in \
                     query instead of other_query"
                ));
            }
        }
        if rules.credentials.iter().any(|n| n == "cookie") {
            all.push(
                "a hidden cookie may hold a currency or choose an account: ask for a shown value of the answer that tells, as a field \
                 with one admitted value; or, if the site needs no cookie, list the credentials without it"
                    .into(),
            );
        }
        if rules.format == BodyFormat::Text {
            all.push(
                "with format = \"text\" the author must know the page: users of the site must not be able to write a prefix into their \
                 own text, and each prefix must stand once in everybody's answer"
                    .into(),
            );
        }
        for (hidden, column) in rules.committed.iter().zip(&self.columns) {
            if hidden.absent.is_some() || hidden.empty_is_missing {
                all.push(format!(
                    "that a person has nothing in {} is public: the answer shows it",
                    column.name
                ));
            }
            let literal = column.missing.as_deref().is_some_and(|m| matches!(m, "null" | "true" | "false"));
            if literal && column.quoted.is_none() && rules.format == BodyFormat::Json {
                all.push(format!(
                    "if the source writes {} as \"12.50\" or null, the quotes are seen, and so is who has no value",
                    column.name
                ));
            }
        }
        all
    }
}

fn identity(rules: &Rules, all: &mut Vec<String>) {
    let Some(identity) = &rules.identity else { return };
    match (&identity.place, rules.path.open()) {
        (Place::PathSegment, Some((_, Form::Digits))) | (Place::PathSegment, None) => all.push(
            "a server may answer about one account under several paths (old and new ids): each would count as a person".into(),
        ),
        (Place::PathSegment, Some(_)) => all.push(
            "a server may know one account under several ids, or ids in other spellings: each would count as a person".into(),
        ),
        _ if !identity.fold => all.push(
            "if the identity is a text: can its owner change it, or its capitals? Then one person counts several times. Take a number \
             that never changes, or fold = \"ascii\" where the site does not tell capitals apart"
                .into(),
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURVEY: &str = include_str!("../../../../tests/fixtures/vectors/survey.toml");

    #[test]
    fn what_is_weak_is_said() {
        let now = |year: i64| OffsetDateTime::from_unix_timestamp((year - 1970) * 31_557_600).unwrap();
        let of =
            |text: &str, year| SurveyManifest::from_toml(text).unwrap().source_warnings(now(year)).join("\n");
        let with = |from: &str, to: &str| of(&SURVEY.replacen(from, to, 1), 2026);
        for (text, says) in [
            (of(SURVEY, 2040), "closed"),
            (of(SURVEY, 2026), "can its owner change it"),
            (with("method =", "other_query = ['page']\nmethod ="), "the parameter page"),
            (with("method =", "credentials = ['Cookie']\nmethod ="), "a hidden cookie"),
            (of(SURVEY, 2026), "a hidden cookie"),
            (with("bits = 48", "bits = 48\nmissing = 'null'"), "the quotes are seen"),
            (with("bits = 48", "bits = 48\nmissing = ''"), "is public"),
            (
                with("method =", "format = 'text'\nmedia_type = 'application/json'\nmethod ="),
                "must know the page",
            ),
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(!of(SURVEY, 2026).contains("closed"));
        assert!(!with("method =", "credentials = ['X-API-Key']\nmethod =").contains("cookie"));
    }
}
