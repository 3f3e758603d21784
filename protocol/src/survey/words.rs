//! The faults of a survey file, in words of survey files, with line and column.

use std::ops::Range;

/// A syntax error in words: without types of this program, and with what to write instead.
pub(super) fn of_syntax(error: &toml::de::Error, text: &str) -> String {
    let message = said(error.message());
    match error.span() {
        Some(span) => format!("{}: {message}", place(text, &span)),
        None => message,
    }
}

/// Line and column of a position, counted from 1, and the key at that position.
fn place(text: &str, span: &Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    let here = text.lines().nth(line - 1).unwrap_or_default();
    let key = here.split('=').next().unwrap_or_default().trim();
    let named =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let key = if named && here.contains('=') { format!(", key {key}") } else { String::new() };
    format!("line {line}, column {column}{key}")
}

fn said(message: &str) -> String {
    let quoted = |text: &str| text.split('`').nth(1).map(str::to_owned);
    let first = message.lines().next().unwrap_or_default();
    if first.contains("OffsetDateTime")
        || first.contains("component could not be parsed")
        || first.contains("RFC3339")
    {
        return "write a time in quotes, with hours and zone, such as \"2026-01-31T00:00:00Z\"".into();
    }
    if first.contains("expected a sequence") {
        let table = first.contains("invalid type: map");
        return if table {
            "this may be there several times: write its name in two brackets, such as [[columns]]".into()
        } else {
            "write a list in brackets here, such as [\"mean\"]".into()
        };
    }
    if first.starts_with("invalid type: sequence") {
        return "one value is expected here, not a list".into();
    }
    if first.starts_with("invalid type") && first.contains("expected a string") {
        return "write a text in quotes here".into();
    }
    if first.starts_with("invalid type") && (first.contains("expected u") || first.contains("expected i")) {
        return "write a whole number here, without quotes".into();
    }
    if first.starts_with("invalid value") && (first.contains("expected u") || first.contains("expected i")) {
        return "this number is out of range".into();
    }
    if first.starts_with("invalid type") && first.contains("expected a boolean") {
        return "write true or false here, without quotes".into();
    }
    if first.starts_with("invalid type")
        && (first.contains("expected struct") || first.contains("expected a map"))
    {
        return "a table is expected here: its name in brackets on a line of its own, then key = value"
            .into();
    }
    if first.starts_with("unknown field") {
        let names: Vec<&str> = first.split('`').skip(1).step_by(2).collect();
        let (Some(given), known) = (names.first(), names.get(1..).unwrap_or_default()) else {
            return first.into();
        };
        let near = known.iter().min_by_key(|k| distance(given, k)).filter(|k| distance(given, k) <= 3);
        return match near {
            Some(near) => format!("the key \"{given}\" is unknown here; did you mean \"{near}\"?"),
            None => format!("the key \"{given}\" is unknown here; known are {}", known.join(", ")),
        };
    }
    if first.starts_with("missing field") {
        let name = quoted(first).unwrap_or_default();
        return match name.as_str() {
            "survey" | "source" => format!("the table [{name}] is missing"),
            "notaries" | "columns" => format!("the table [[{name}]] is missing: there is at least one"),
            _ => format!("the key \"{name}\" is missing"),
        };
    }
    if first.starts_with("unknown variant") {
        let names: Vec<&str> = first.split('`').skip(1).step_by(2).collect();
        let (Some(given), known) = (names.first(), names.get(1..).unwrap_or_default()) else {
            return first.into();
        };
        return format!("\"{given}\" is not one of: {}", known.join(", "));
    }
    if first.contains("duplicate key") {
        return "this key is there twice".into();
    }
    first.to_owned()
}

/// Letters to change, add or take away (Levenshtein), of short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut last = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (last + usize::from(x != *y)).min(above + 1).min(row[j] + 1);
            last = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::survey::SurveyManifest;

    #[test]
    fn errors_are_in_words_with_their_place() {
        let good = include_str!("../../../tests/fixtures/vectors/survey.toml");
        for (from, to, words) in [
            ("[[columns]]", "[columns]", "[[columns]]"),
            (
                "opens = \"2025-01-01T00:00:00Z\"",
                "opens = 2025-01-01T00:00:00Z",
                "line 6, column 9, key opens: write a time in quotes",
            ),
            ("opens = \"2025-01-01T00:00:00Z\"", "opens = \"2025-01-01\"", "write a time in quotes"),
            ("bits = 48", "bits = \"48\"", "write a whole number here, without quotes"),
            ("bits = 48", "bits = 4800", "out of range"),
            ("bits = 48", "bit = 48", "did you mean \"bits\"?"),
            ("name = \"exchange-eth-balance\"\n", "", "the key \"name\" is missing"),
            ("algorithm = \"secp256k1\"", "algorithm = \"rsa\"", "\"rsa\" is not one of"),
            ("[source]", "[sources]", "did you mean \"source\"?"),
            ("scale = 8", "scale = 8\nscale = 9", "this key is there twice"),
            ("method = \"GET\"", "method = GET", "line 1"),
            (
                "statistics = [\"count\", \"sum\", \"mean\", \"variance\", \"stddev\"]",
                "statistics = \"mean\"",
                "write a list in brackets",
            ),
        ] {
            assert!(good.contains(from), "{from}");
            let error = SurveyManifest::from_toml(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(words), "{to}: {error}");
            for type_name in ["u8", "OffsetDateTime", "struct", "expected a map", "sequence"] {
                assert!(!error.contains(type_name), "{error}");
            }
        }
    }
}
