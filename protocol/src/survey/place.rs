//! The positions of keys in a survey file: errors about values give line and column, as the parser's errors do.

use super::SurveyError;

impl SurveyError {
    /// The same, of the table of this name: there may be several.
    pub(super) fn of(self, name: &str) -> Self {
        match self {
            Self::Invalid { key, problem } if !problem.starts_with("of \"") => {
                Self::Invalid { key, problem: format!("of \"{}\": {problem}", name.escape_debug()) }
            }
            other => other,
        }
    }

    /// The same, with the place in this file, if it can be found.
    pub(super) fn placed(self, text: &str) -> Self {
        match self {
            Self::Invalid { key, problem } => {
                let problem = match place(text, &key, &problem) {
                    Some((line, column)) => format!("{problem} (line {line}, column {column})"),
                    None => problem,
                };
                Self::Invalid { key, problem }
            }
            other => other,
        }
    }
}

/// Line and column, from 1, of a key as errors name it (`survey.min_new`). A problem that begins with a quoted text is at that
/// text. `None` if several tables could be meant.
fn place(text: &str, key: &str, problem: &str) -> Option<(usize, usize)> {
    let (table, name) = key.split_once('.').unwrap_or((key, ""));
    let headers: Vec<usize> =
        text.lines().enumerate().filter(|(_, line)| header(line) == Some(table)).map(|(i, _)| i).collect();
    let start = match headers[..] {
        [start] => start,
        _ => named(text, &headers, problem)?,
    };
    let end = text
        .lines()
        .skip(start + 1)
        .position(|line| header(line).is_some())
        .map_or(usize::MAX, |n| start + 1 + n);
    let inside = || text.lines().enumerate().filter(move |(i, _)| (start + 1..end).contains(i));
    let is_key = |line: &str| {
        line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let Some((line, content)) = inside().find(|(_, line)| !name.is_empty() && is_key(line)) else {
        return Some((start + 1, 1));
    };
    let quoted =
        problem.strip_prefix('"').and_then(|rest| rest.split('"').next()).filter(|quoted| !quoted.is_empty());
    let value = quoted.and_then(|quoted| {
        let marks = [format!("\"{quoted}\""), format!("'{quoted}'")];
        // A list may go on in the lines below.
        inside()
            .filter(|(i, _)| *i >= line)
            .find_map(|(i, content)| Some((i, marks.iter().find_map(|m| content.find(m.as_str()))?)))
    });
    let (line, byte) = value.unwrap_or((line, content.len() - content.trim_start().len()));
    let before = text.lines().nth(line)?.get(..byte)?;
    Some((line + 1, before.chars().count() + 1))
}

/// The table, of several, whose name a problem gives, as in `of "eth_free": ..`; if a problem begins with a text that several
/// have, as in `"eth_free" is used twice`, the last of that name.
fn named(text: &str, headers: &[usize], problem: &str) -> Option<usize> {
    let (rest, last) = match problem.strip_prefix("of \"") {
        Some(rest) => (rest, false),
        None => (problem.strip_prefix('"')?, true),
    };
    let name = rest.split('"').next()?;
    let lines: Vec<&str> = text.lines().collect();
    let is_it = |start: &usize| {
        let inside = lines.iter().skip(start + 1).take_while(|line| header(line).is_none());
        inside.filter_map(|line| own_name(line)).any(|value| value == name)
    };
    let mut found = headers.iter().copied().filter(is_it);
    if last { found.next_back() } else { found.next() }
}

/// The name that a line gives its table: a text under `name`, or under `statistic` where tables have no name.
fn own_name(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = line.strip_prefix("name").or_else(|| line.strip_prefix("statistic"))?;
    let value = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split(quote).next()
}

/// The name of the table that begins in this line.
fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    line.starts_with('[').then(|| line.trim_start_matches('[').split(']').next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::place;

    const FILE: &str = "# ä\n[survey]\nmin_new = 1\n  statistics = [\"mean\", 'max',\n    \"mode\"]\n[[columns]]\nbits = 4\n[[fields]]\n\
                        [[fields]]\n[releases]\n";

    #[test]
    fn one_of_several_tables_is_found_by_its_name() {
        let file = "[[columns]]\nname = \"a\"\nbits = 1\n[[columns]]\nname = 'ab' # b\nbits = 2\n[[columns]]\nname=\"a\"\nbits = 3\n\
                    [[noise]]\nstatistic = \"mean\"\nepsilon = \"0\"\n[[noise]]\nstatistic = \"sum\"\nepsilon = \"x\"\n";
        for (key, problem, expected) in [
            ("columns.bits", "of \"ab\": too many", Some((6, 1))),
            ("columns.bits", "of \"a\": too many", Some((3, 1))),
            ("columns.name", "\"a\" is used twice", Some((8, 6))),
            ("columns.name", "of \"b\": no", None),
            ("noise.epsilon", "of \"sum\": no", Some((15, 1))),
            ("noise.statistic", "\"mean\": no", Some((11, 13))),
        ] {
            assert_eq!(place(file, key, problem), expected, "{key} {problem}");
        }
    }

    #[test]
    fn keys_and_values_are_found() {
        for (key, problem, expected) in [
            ("survey.min_new", "too few", Some((3, 1))),
            ("survey.statistics", "name one", Some((4, 3))),
            ("survey.statistics", "\"max\": no", Some((4, 25))),
            ("survey.statistics", "\"mode\": no", Some((5, 5))),
            ("survey.statistics", "\"gini\": no", Some((4, 3))),
            ("survey.exposes", "\"max\": no", Some((2, 1))),
            ("columns.bits", "", Some((7, 1))),
            ("columns", "", Some((6, 1))),
            ("releases.every", "", Some((10, 1))),
            // One of several tables: which, the error does not say.
            ("fields.name", "", None),
            ("noise.epsilon", "", None),
        ] {
            assert_eq!(place(FILE, key, problem), expected, "{key} {problem}");
        }
    }
}
