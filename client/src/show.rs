//! Results for people and spreadsheets: tables, bars in the terminal, CSV.

use std::fmt::Write as _;

use tercet_protocol::result::{AddedNoise, Fraction, PartValue, ReleasedStatistics, StatisticValue};
use tercet_protocol::statistic::{Family, Statistic};
use tercet_protocol::survey::SurveyDescriptor;

use crate::error::Error;
use crate::inspect::{printable, utc};

/// Characters of the longest bar.
const BAR: usize = 40;

/// A result as tables and bars.
pub fn to_text(result: &ReleasedStatistics, survey: &SurveyDescriptor) -> String {
    let mut out = format!("{}\n", survey.manifest().survey.title);
    if !result.filter.is_empty() {
        let _ = writeln!(out, "where {}", result.filter);
    }
    let (whole, parted): (Vec<_>, Vec<_>) = result.statistics.iter().partition(|s| s.parts.is_empty());
    if !whole.is_empty() {
        out.push('\n');
        out.push_str(&table(&whole));
    }
    for bars in quantiles(&whole).into_iter().chain(parted.into_iter().map(Bars::of_parts)) {
        out.push('\n');
        bars.write(&mut out);
    }
    let noise = noises(result);
    if !noise.is_empty() {
        out.push_str("\nnoise was added before anything was opened:\n");
        noise.iter().for_each(|n| _ = writeln!(out, "  {n}"));
    }
    let point = &result.release;
    let _ = writeln!(
        out,
        "\n{} submissions at release point {} of {}",
        result.submissions,
        point.number,
        utc(point.time)
    );
    let erased = match point.erased_rows {
        0 => String::new(),
        n => format!(", of which {n} were erased since"),
    };
    let groups = if point.units == 1 { "one group".to_owned() } else { format!("{} groups", point.units) };
    let _ = writeln!(out, "all in all {} submissions in {groups}{erased}", point.rows);
    if let Some(n) = result.not_told_apart {
        let _ = writeln!(out, "{n} more entered without a field of the filter and are not covered");
    }
    for s in &result.statistics {
        if let Some(n) = s.not_told_apart {
            let _ = writeln!(out, "{}: {n} entered without that field and are in no group", s.statistic);
        }
        if let Some(number) = s.release {
            let _ = writeln!(out, "{}: as of release point {number}", s.statistic);
        }
        if let Some(why) = &s.undefined {
            let _ = writeln!(out, "{}", why_undefined(&s.statistic, s.column.as_deref(), "", why));
        }
        for p in &s.parts {
            if let Some(why) = &p.undefined {
                let _ = writeln!(out, "{}", why_undefined(&s.statistic, s.column.as_deref(), &p.label, why));
            }
        }
    }
    let _ = writeln!(out, "survey {}", survey.id());
    printable(&out)
}

/// Why a number is undefined, in one line.
fn why_undefined(statistic: &str, column: Option<&str>, label: &str, why: &str) -> String {
    let column = column.map(|c| format!(" of {c}")).unwrap_or_default();
    let label = if label.is_empty() { String::new() } else { format!(", {label}") };
    format!("{statistic}{column}{label}: {why}")
}

/// The noise that was added, each sum once.
fn noises(result: &ReleasedStatistics) -> Vec<String> {
    let mut lines: Vec<String> = result.statistics.iter().flat_map(|s| &s.noise).map(noise).collect();
    lines.sort();
    lines.dedup();
    lines
}

fn noise(n: &AddedNoise) -> String {
    let AddedNoise { sum, mechanism, epsilon, sensitivity, deviation } = n;
    format!(
        "sum of {sum}: {mechanism}, epsilon {epsilon}, sensitivity {sensitivity}, standard deviation {deviation}"
    )
}

fn table(statistics: &[&StatisticValue]) -> String {
    // How many have a value is shown where that is not everybody.
    let counted = statistics.iter().any(|s| s.submissions.is_some());
    let header = ["statistic", "column", "values", "value", "unit"].map(str::to_owned);
    let rows = statistics.iter().map(|s| {
        let value = s.value.clone().unwrap_or_else(|| "undefined".into());
        let values = s.submissions.map_or("-".into(), |n| n.to_string());
        [s.statistic.clone(), s.column.clone().unwrap_or_else(|| "-".into()), values, value, s.unit.clone()]
    });
    let table: Vec<[String; 5]> = std::iter::once(header).chain(rows).collect();
    let width = |i: usize| table.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let [a, b, n, c] = [width(0), width(1), width(2), width(3)];
    let mut out = String::new();
    for [statistic, column, values, value, unit] in &table {
        let values = if counted { format!("{values:>n$}  ") } else { String::new() };
        let line = format!("{statistic:<a$}  {column:<b$}  {values}{value:>c$}  {unit}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// One line of bars.
struct Line {
    label: String,
    value: String,
    unit: String,
}

/// Numbers with a bar each, from zero to the largest magnitude.
struct Bars {
    title: String,
    lines: Vec<Line>,
    /// The length of a full bar; `None`: the largest magnitude's.
    full: Option<f64>,
}

impl Bars {
    fn of_parts(statistic: &StatisticValue) -> Self {
        let family = statistic.statistic.parse::<Statistic>().ok().map(|s| s.family());
        let column = statistic.column.as_ref().map(|c| format!(" of {c}")).unwrap_or_default();
        let line = |p: &PartValue| {
            let name = if p.label.is_empty() { "all others together" } else { &p.label };
            let label = match (family, p.submissions) {
                (_, Some(n)) => format!("{name} ({n})"),
                (Some(Family::Lorenz), None) => format!("poorest {name}"),
                _ => name.to_owned(),
            };
            Line { label, value: p.value.clone().unwrap_or_else(|| "undefined".into()), unit: p.unit.clone() }
        };
        // A Lorenz curve's bars are shares of the whole.
        let full = (family == Some(Family::Lorenz)).then_some(1.0);
        Self {
            title: format!(
                "{}{column}{}",
                statistic.statistic,
                statistic.submissions.map(|n| format!(" ({n} with a value)")).unwrap_or_default()
            ),
            lines: statistic.parts.iter().map(line).collect(),
            full,
        }
    }

    fn write(&self, out: &mut String) {
        let _ = writeln!(out, "{}", self.title);
        let width = |text: fn(&Line) -> &String| {
            self.lines.iter().map(|l| text(l).chars().count()).max().unwrap_or(0)
        };
        let (labels, values, units) = (width(|l| &l.label), width(|l| &l.value), width(|l| &l.unit));
        // Only the bar is drawn from a rounded number.
        let number = |l: &Line| l.value.parse::<f64>().ok().filter(|v| v.is_finite());
        let largest = self.lines.iter().filter_map(number).map(f64::abs).fold(0.0, f64::max);
        let full = self.full.unwrap_or(largest);
        for line in &self.lines {
            let bar = number(line).filter(|_| full > 0.0).map(|v| bar(v / full)).unwrap_or_default();
            let (label, value, unit) = (&line.label, &line.value, &line.unit);
            let text = format!("  {label:<labels$}  {value:>values$}  {unit:<units$}  {bar}");
            out.push_str(text.trim_end());
            out.push('\n');
        }
    }
}

/// A bar of eighths of a character; one of a negative number is hollow.
fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.abs().min(1.0) * (BAR * 8) as f64).round() as usize;
    if share < 0.0 {
        return "░".repeat(eighths.div_ceil(8));
    }
    // What is not nothing is seen.
    let eighths = if share > 0.0 { eighths.max(1) } else { eighths };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// Two or more quantiles of one column, drawn together in ascending order.
fn quantiles(statistics: &[&StatisticValue]) -> Vec<Bars> {
    let mut bars: Vec<(String, Vec<(u32, Line)>)> = Vec::new();
    for s in statistics {
        let (Ok(parsed), Some(column), Some(value)) = (s.statistic.parse::<Statistic>(), &s.column, &s.value)
        else {
            continue;
        };
        let share = parsed.measure.shares().first().map(|p| p.billionths());
        let at = match parsed.family() {
            Family::Min => 0,
            Family::Median => 500_000_000,
            Family::Max => 1_000_000_000,
            Family::Quantile | Family::QuantileNearest => share.unwrap_or(0),
            _ => continue,
        };
        let line = Line { label: parsed.measure.to_string(), value: value.clone(), unit: s.unit.clone() };
        match bars.iter_mut().find(|(c, _)| c == column) {
            Some((_, lines)) => lines.push((at, line)),
            None => bars.push((column.clone(), vec![(at, line)])),
        }
    }
    bars.retain(|(_, lines)| lines.len() > 1);
    let sorted = |(column, mut lines): (String, Vec<(u32, Line)>)| {
        lines.sort_by_key(|(at, _)| *at);
        let lines = lines.into_iter().map(|(_, line)| line).collect();
        Bars { title: format!("quantiles of {column}"), lines, full: None }
    };
    bars.into_iter().map(sorted).collect()
}

/// A text that no spreadsheet takes for a formula (CWE-1236), and whose invisible characters are shown: a text that
/// begins with `=`, `+`, `-`, `@`, a tab or a carriage return, also behind blanks, gets an apostrophe in front.
fn no_formula(text: &str) -> String {
    let begins = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '|' | '%');
    let formula = text.trim_start().starts_with(begins) || text.starts_with(begins);
    // A tab or a line's end would be a cell's or a row's to some spreadsheets.
    let text = printable(text).replace('\t', "\\t").replace('\n', "\\n");
    if formula { format!("'{text}") } else { text }
}

/// A result as CSV (RFC 4180): one row for each number, with its exact fraction where it has one.
pub fn to_csv(result: &ReleasedStatistics) -> Result<String, Error> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| Error::usage(format!("the result is not CSV: {e}"));
    let header = [
        "statistic",
        "column",
        "part",
        "submissions",
        "value",
        "unit",
        "numerator",
        "denominator",
        "noise",
        "release",
        "release_time",
    ];
    let time = utc(result.release.time);
    csv.write_record(header).map_err(failed)?;
    let fraction =
        |f: Option<&Fraction>| f.map(|f| [f.numerator.clone(), f.denominator.clone()]).unwrap_or_default();
    for s in &result.statistics {
        let column = s.column.clone().unwrap_or_default();
        let added: Vec<String> = s.noise.iter().map(noise).collect();
        let added = added.join("; ");
        let release = s.release.unwrap_or(result.release.number).to_string();
        let mut row =
            |part: &str, n: Option<u64>, value: Option<&String>, unit: &str, exact: Option<&Fraction>| {
                let n = n.map(|n| n.to_string()).unwrap_or_default();
                let value = value.map(String::as_str).unwrap_or_default();
                let [numerator, denominator] = fraction(exact);
                let [column, part, unit] = [column.as_str(), part, unit].map(no_formula);
                csv.write_record([
                    &s.statistic,
                    &column,
                    &part,
                    &n,
                    value,
                    &unit,
                    &numerator,
                    &denominator,
                    &added,
                    &release,
                    &time,
                ])
                .map_err(failed)
            };
        if s.parts.is_empty() {
            row("", s.submissions.or(Some(result.submissions)), s.value.as_ref(), &s.unit, s.exact.as_ref())?;
        }
        for p in &s.parts {
            let n = p.submissions.or(s.submissions).unwrap_or(result.submissions);
            row(&p.label, Some(n), p.value.as_ref(), &p.unit, p.exact.as_ref())?;
        }
    }
    let bytes = csv.into_inner().map_err(|e| Error::usage(format!("the result is not CSV: {e}")))?;
    String::from_utf8(bytes).map_err(|e| Error::usage(format!("the result is not CSV: {e}")))
}

#[cfg(test)]
mod tests {
    use tercet_protocol::filter::Filter;
    use tercet_protocol::ids::{EngineDigest, EntryHash, PublicKey, QueryId, SurveyId};
    use tercet_protocol::release_point::ReleasePoint;
    use tercet_protocol::survey::SurveyManifest;

    use super::*;

    fn part(label: &str, submissions: Option<u64>, value: &str) -> PartValue {
        let exact = Some(Fraction { numerator: value.into(), denominator: "1".into() });
        PartValue {
            label: label.into(),
            submissions,
            release: None,
            unit: String::new(),
            value: Some(value.into()),
            exact,
            undefined: None,
        }
    }

    fn one(statistic: &str, value: &str) -> StatisticValue {
        StatisticValue {
            statistic: statistic.into(),
            column: Some("eth".into()),
            unit: "ETH".into(),
            value: Some(value.into()),
            ..StatisticValue::default()
        }
    }

    fn parts(statistic: &str, parts: Vec<PartValue>) -> StatisticValue {
        StatisticValue {
            statistic: statistic.into(),
            column: Some("eth".into()),
            parts,
            ..StatisticValue::default()
        }
    }

    fn added() -> AddedNoise {
        AddedNoise {
            sum: "eth".into(),
            mechanism: "discrete-laplace".into(),
            epsilon: "0.5".into(),
            sensitivity: "510".into(),
            deviation: "1442.5".into(),
        }
    }

    fn result() -> ReleasedStatistics {
        ReleasedStatistics {
            survey: SurveyId([1; 32]),
            query: QueryId([2; 16]),
            release: ReleasePoint { number: 2, time: 1_750_000_000, rows: 40, units: 3, erased_rows: 1 },
            height: 3,
            head: EntryHash([4; 32]),
            filter: Filter::default().or("country", "DE"),
            submissions: 24,
            not_told_apart: Some(6),
            statistics: vec![
                one("quantile:0.9", "20"),
                one("median", "-5"),
                StatisticValue { noise: vec![added()], ..one("mean", "1.5") },
                StatisticValue {
                    statistic: "gini".into(),
                    column: Some("eth".into()),
                    ..StatisticValue::default()
                },
                parts(
                    "histogram:0,1,10",
                    vec![part("below 0", None, "0"), part("[0, 1)", None, "14"), part("[1, 10]", None, "7")],
                ),
                parts("lorenz:0.5,1", vec![part("0.5", None, "0.25"), part("1", None, "1")]),
                parts("mean@country", vec![part("D,\"E\"", Some(12), "-3"), part("", Some(12), "6")]),
            ],
        }
    }

    #[test]
    fn tables_and_bars() {
        let toml = include_str!("../../tests/fixtures/vectors/survey.toml");
        let manifest = SurveyManifest::from_toml(toml).unwrap();
        let parties = [1, 2, 3].map(|i| PublicKey([i; 32]));
        let survey =
            SurveyDescriptor::assemble(manifest, &[vec![1]], parties, EngineDigest([7; 32])).unwrap();
        let text = to_text(&result(), &survey);
        let (full, half) = ("█".repeat(40), "█".repeat(20));
        for line in [
            "where country=DE".to_owned(),
            "statistic     column      value  unit".into(),
            "quantile:0.9  eth            20  ETH".into(),
            "gini          eth     undefined".into(),
            "quantiles of eth".into(),
            "  median        -5  ETH  ░░░░░░░░░░".into(),
            format!("  quantile:0.9  20  ETH  {full}"),
            "histogram:0,1,10 of eth".into(),
            "  below 0   0".into(),
            format!("  [0, 1)   14    {full}"),
            format!("  [1, 10]   7    {half}"),
            format!("  poorest 0.5  0.25    {}", "█".repeat(10)),
            format!("  D,\"E\" (12)                -3    {}", "░".repeat(20)),
            format!("  all others together (12)   6    {full}"),
            "noise was added before anything was opened:".into(),
            format!("  {}", noise(&added())),
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
        }
        let mut hostile = result();
        hostile.statistics[6].parts[0].label = "a\u{202e}b\u{1b}[2J".into();
        assert!(!to_text(&hostile, &survey).contains(['\u{202e}', '\u{1b}']));
    }

    #[test]
    fn how_many_have_a_value_is_shown_where_some_have_none() {
        let toml = include_str!("../../tests/fixtures/vectors/survey.toml");
        let manifest = SurveyManifest::from_toml(toml).unwrap();
        let parties = [1, 2, 3].map(|i| PublicKey([i; 32]));
        let survey =
            SurveyDescriptor::assemble(manifest, &[vec![1]], parties, EngineDigest([7; 32])).unwrap();
        let mut result = result();
        result.statistics[2].submissions = Some(17);
        result.statistics[4].submissions = Some(21);
        let text = to_text(&result, &survey);
        for line in [
            "statistic     column  values      value  unit",
            "median        eth          -         -5  ETH",
            "mean          eth         17        1.5  ETH",
            "histogram:0,1,10 of eth (21 with a value)",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
        }
        let csv = to_csv(&result).unwrap();
        let rows: Vec<_> = csv.lines().collect();
        assert!(rows[3].starts_with("mean,eth,,17,1.5,"));
        assert_eq!(rows[6], "\"histogram:0,1,10\",eth,\"[0, 1)\",21,14,,14,1,,2,2025-06-15T15:06:40Z");
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!(bar(1.0), "█".repeat(BAR));
        assert_eq!(bar(7.0), "█".repeat(BAR));
        assert_eq!((bar(0.0).as_str(), bar(1e-9).as_str()), ("", "▏"));
        assert_eq!(bar(1.5 / 40.0), "█▌");
    }

    #[test]
    fn texts_of_websites_are_no_formulas() {
        for (text, written) in [
            ("=2+5", "'=2+5"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-1+2", "'-1+2"),
            (" =1", "' =1"),
            ("+4", "'+4"),
            ("DE", "DE"),
            ("[0, 1)", "[0, 1)"),
        ] {
            assert_eq!(no_formula(text), written, "{text}");
        }
        for hidden in ["\tx", "\r=1", "a\u{202e}b"] {
            let text = no_formula(hidden);
            assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
        }
        let mut result = result();
        if let Some(part) = result.statistics.iter_mut().find_map(|s| s.parts.first_mut()) {
            part.label = "=cmd|' /C calc'!A0".into();
        }
        assert!(to_csv(&result).unwrap().contains("'=cmd"));
    }

    #[test]
    fn csv_has_every_number_quoted_as_needed() {
        let csv = to_csv(&result()).unwrap();
        let rows: Vec<_> = csv.lines().collect();
        assert_eq!(rows.len(), 1 + 4 + 3 + 2 + 2);
        assert_eq!(rows[1], "quantile:0.9,eth,,24,20,ETH,,,,2,2025-06-15T15:06:40Z");
        assert_eq!(rows[3], format!("mean,eth,,24,1.5,ETH,,,\"{}\",2,2025-06-15T15:06:40Z", noise(&added())));
        assert_eq!(rows[4], "gini,eth,,24,,,,,,2,2025-06-15T15:06:40Z");
        assert_eq!(rows[6], "\"histogram:0,1,10\",eth,\"[0, 1)\",24,14,,14,1,,2,2025-06-15T15:06:40Z");
        assert_eq!(rows[10], "mean@country,eth,\"D,\"\"E\"\"\",12,-3,,-3,1,,2,2025-06-15T15:06:40Z");
        // A group's label is text of a provider's page (field case A30): no spreadsheet may run it.
        for (label, shown) in [
            ("=2+5", "'=2+5"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-1+2", "'-1+2"),
            ("+1", "'+1"),
            ("\u{202e}x", "\\u{202e}x"),
        ] {
            let mut result = result();
            result.statistics[6].parts[0].label = label.into();
            let csv = to_csv(&result).unwrap();
            assert_eq!(csv.lines().nth(10).unwrap().split(',').nth(2), Some(shown));
        }
    }
}
