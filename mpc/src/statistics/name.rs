//! Names of statistics: `quantile:0.9(balance)@country`, in surveys, requests and results.
//!
//! A name is a family, its parameters behind `:`, its columns in parentheses (without: every column, or every pair),
//! and behind `@` the revealed field by which the rows are grouped. Each statistic has one text.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::family::{Family, Parameters};
use super::number::{Edge, NotADecimal, Share};

/// Longest name in bytes.
pub const MAX_NAME: usize = 2048;
/// Most parameters of one statistic.
pub const MAX_PARAMETERS: usize = 128;

/// The function that is computed, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Measure {
    family: Family,
    shares: Vec<Share>,
    edges: Vec<Edge>,
}

impl Measure {
    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its shares: one of a quantile, several of a Lorenz curve.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// Its only share, of a family that has one.
    pub(super) fn share(&self) -> Share {
        // A parsed measure has the parameters of its family.
        self.shares.first().copied().unwrap_or(Share::HALF)
    }

    /// A histogram's edges, ascending.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    fn new(family: Family, text: Option<&str>) -> Result<Self, StatisticError> {
        let wrong = |needs| StatisticError::Parameters { family, needs };
        let mut this = Self { family, shares: Vec::new(), edges: Vec::new() };
        let text = match (family.parameters(), text) {
            (Parameters::None, None) => return Ok(this),
            (Parameters::None, Some(_)) => return Err(wrong("none: leave out the colon")),
            (_, text) => text.unwrap_or_default(),
        };
        if text.split(',').count() > MAX_PARAMETERS {
            return Err(wrong("at most 128 numbers"));
        }
        let ascending =
            |fine| if fine { Ok(()) } else { Err(wrong("numbers in ascending order, each once")) };
        if family.parameters() == Parameters::Edges {
            this.edges = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
            ascending(this.edges.is_sorted_by(|a, b| a < b))?;
            return if this.edges.len() < 2 {
                Err(wrong("two or more edges: histogram:0,1,10"))
            } else {
                Ok(this)
            };
        }
        this.shares = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        ascending(this.shares.is_sorted_by(|a, b| a < b))?;
        let first = this.share();
        match family.parameters() {
            Parameters::Shares => Ok(this),
            _ if this.shares.len() != 1 => Err(wrong("one number")),
            Parameters::Cut if first >= Share::HALF => Err(wrong("a share below 0.5")),
            Parameters::Positive if first.billionths() == 0 => Err(wrong("a share above 0")),
            _ => Ok(this),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name())?;
        let texts: Vec<_> = self
            .shares
            .iter()
            .map(ToString::to_string)
            .chain(self.edges.iter().map(ToString::to_string))
            .collect();
        if texts.is_empty() { Ok(()) } else { write!(f, ":{}", texts.join(",")) }
    }
}

/// Why a name is no statistic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatisticError {
    /// No family has this name.
    #[error("no statistic is called {0:?}; known are {known}", known = known())]
    Unknown(String),
    /// The parameters are not the family's.
    #[error("the parameters of {family} must be {needs}")]
    Parameters {
        /// The family.
        family: Family,
        /// The rule that they break.
        needs: &'static str,
    },
    /// A parameter is no number.
    #[error(transparent)]
    Number(#[from] NotADecimal),
    /// The columns in parentheses are not those that the family takes.
    #[error("{family} takes {takes} in parentheses, or none for all: {family}{example}", takes = takes(*.family), example = example(*.family))]
    Columns {
        /// The family.
        family: Family,
    },
    /// The name of a column or field is none.
    #[error("{0:?} is not the name of a column or field: these have lower-case letters, digits, - and _")]
    Word(String),
    /// A statistic of several parts is grouped.
    #[error("{0} has several parts and cannot be grouped: ask for it with a filter for each group")]
    Grouped(Family),
    /// The name is longer than [`MAX_NAME`].
    #[error("the name of a statistic has at most {MAX_NAME} bytes")]
    TooLong,
}

fn known() -> String {
    let names: Vec<_> = Family::ALL.iter().map(|f| f.name()).collect();
    names.join(", ")
}

fn takes(family: Family) -> &'static str {
    match family.arity() {
        0 | 1 => "one column",
        _ => "two columns, different ones,",
    }
}

fn example(family: Family) -> &'static str {
    match family.arity() {
        0 | 1 => "(column)",
        _ => "(column,other)",
    }
}

/// The parts of a name: family, parameters, columns, group.
type Parsed<'a> = (Family, Option<&'a str>, Vec<String>, Option<String>);

fn word(text: &str) -> Result<String, StatisticError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        return Err(StatisticError::Word(text.chars().take(64).collect()));
    }
    Ok(text.to_string())
}

fn parse(text: &str) -> Result<Parsed<'_>, StatisticError> {
    if text.len() > MAX_NAME {
        return Err(StatisticError::TooLong);
    }
    let (head, group) = match text.split_once('@') {
        Some((head, field)) => (head, Some(word(field)?)),
        None => (text, None),
    };
    let (body, columns) = match head.split_once('(') {
        Some((body, rest)) => (body, Some(rest)),
        None => (head, None),
    };
    let (name, parameters) = match body.split_once(':') {
        Some((name, parameters)) => (name, Some(parameters)),
        None => (body, None),
    };
    let family =
        Family::named(name).ok_or_else(|| StatisticError::Unknown(name.chars().take(64).collect()))?;
    let columns: Vec<String> = match columns {
        None => Vec::new(),
        Some(list) => {
            let list = list.strip_suffix(')').ok_or(StatisticError::Columns { family })?;
            list.split(',').map(word).collect::<Result<_, _>>()?
        }
    };
    let distinct = columns.len() < 2 || columns.first() != columns.last();
    if !columns.is_empty() && (!family.takes(columns.len()) || !distinct) {
        return Err(StatisticError::Columns { family });
    }
    if group.is_some() && family.has_parts() {
        return Err(StatisticError::Grouped(family));
    }
    Ok((family, parameters, columns, group))
}

fn show(
    f: &mut fmt::Formatter<'_>,
    head: &dyn fmt::Display,
    columns: &[String],
    group: Option<&String>,
) -> fmt::Result {
    let columns = if columns.is_empty() { String::new() } else { format!("({})", columns.join(",")) };
    let group = group.map(|g| format!("@{g}")).unwrap_or_default();
    write!(f, "{head}{columns}{group}")
}

/// A statistic over the accepted submissions of a survey.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Statistic {
    /// The function that is computed.
    pub measure: Measure,
    /// Its columns; empty: every column, or every pair in the survey's order.
    pub columns: Vec<String>,
    /// The revealed field by which rows are grouped.
    pub group: Option<String>,
}

impl Statistic {
    /// Its family.
    pub fn family(&self) -> Family {
        self.measure.family
    }
}

impl FromStr for Statistic {
    type Err = StatisticError;

    fn from_str(text: &str) -> Result<Self, StatisticError> {
        let (family, parameters, columns, group) = parse(text)?;
        Ok(Self { measure: Measure::new(family, parameters)?, columns, group })
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.measure, &self.columns, self.group.as_ref())
    }
}

/// An entry of a survey's list of releases: a statistic, or a family with any parameters (`quantile`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permit {
    /// The family.
    pub family: Family,
    /// With these parameters only; `None`: with any.
    pub measure: Option<Measure>,
    /// With these columns only; empty: with all.
    pub columns: Vec<String>,
    /// Grouped by this field; `None`: not grouped.
    pub group: Option<String>,
}

impl Permit {
    /// True if `asked` may be released under this permit. The population form of a permitted sample variance or
    /// deviation says the same and is permitted with it.
    pub fn covers(&self, asked: &Statistic) -> bool {
        let family = self.family.includes(asked.family());
        let parameters = self
            .measure
            .as_ref()
            .is_none_or(|m| (&m.shares, &m.edges) == (&asked.measure.shares, &asked.measure.edges));
        // The number of submissions is not that of a column's values.
        let all = self.columns.is_empty() && self.family != Family::Count;
        let columns = all || self.columns == asked.columns;
        family && parameters && columns && self.group == asked.group
    }

    /// The statistic that it names; `None` for a family whose parameters are open.
    pub fn statistic(&self) -> Option<Statistic> {
        let measure = self.measure.clone()?;
        Some(Statistic { measure, columns: self.columns.clone(), group: self.group.clone() })
    }
}

impl FromStr for Permit {
    type Err = StatisticError;

    fn from_str(text: &str) -> Result<Self, StatisticError> {
        let (family, parameters, columns, group) = parse(text)?;
        let open = parameters.is_none() && family.parameters() != Parameters::None;
        let measure = if open { None } else { Some(Measure::new(family, parameters)?) };
        Ok(Self { family, measure, columns, group })
    }
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.measure {
            Some(measure) => show(f, measure, &self.columns, self.group.as_ref()),
            None => show(f, &self.family, &self.columns, self.group.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_in_one_spelling() {
        for (given, usual) in [
            ("count", "count"),
            ("count@country", "count@country"),
            ("count(a)", "count(a)"),
            ("mean(eth_free)@country", "mean(eth_free)@country"),
            ("quantile:0.90", "quantile:0.9"),
            ("quantile_nearest:1(a)", "quantile_nearest:1(a)"),
            ("lorenz:0.10,0.5,1", "lorenz:0.1,0.5,1"),
            ("histogram:-1.50,0,1.0,10", "histogram:-1.5,0,1,10"),
            ("trimmed_mean:0.499999999", "trimmed_mean:0.499999999"),
            ("covariance(a,b)@f", "covariance(a,b)@f"),
            ("regression", "regression"),
        ] {
            let statistic: Statistic = given.parse().unwrap();
            assert_eq!(statistic.to_string(), usual);
            assert_eq!(usual.parse(), Ok(statistic.clone()));
            assert!(usual.parse::<Permit>().unwrap().covers(&statistic), "{usual}");
            assert_eq!(usual.parse::<Permit>().unwrap().statistic(), Some(statistic));
        }
    }

    #[test]
    fn what_is_no_statistic_is_refused_by_its_reason() {
        for bad in [
            "",
            "Mean",
            "mean:",
            "mean:0.5",
            "quantile",
            "quantile:",
            "quantile:1.1",
            "quantile:0.1,0.2",
            "mean()",
            "mean(a",
            "mean(a)b",
            "mean(a,b)",
            "count(a,b)",
            "covariance(a)",
            "covariance(a,a)",
            "covariance(a,b,a)",
            "mean(A)",
            "mean@",
            "mean@a@b",
            "lorenz:0.5,0.5",
            "lorenz:0.5@f",
            "histogram:1",
            "histogram:2,1",
            "histogram:0,1@f",
            "regression@f",
            "trimmed_mean:0.5",
            "top_share:0",
            "mean (a)",
            "mean@f(a)",
        ] {
            assert!(bad.parse::<Statistic>().is_err(), "{bad}");
        }
        assert_eq!("x".repeat(MAX_NAME + 1).parse::<Statistic>(), Err(StatisticError::TooLong));
        let many = format!(
            "lorenz:{}",
            (0..=MAX_PARAMETERS).map(|i| format!("0.{i:03}")).collect::<Vec<_>>().join(",")
        );
        assert!(matches!(many.parse::<Statistic>(), Err(StatisticError::Parameters { .. })));
        let text = "medain".parse::<Statistic>().unwrap_err().to_string();
        assert!(text.contains("median"), "{text}");
    }

    #[test]
    fn a_permit_covers_what_it_says_and_nothing_more() {
        let covers =
            |permit: &str, asked: &str| permit.parse::<Permit>().unwrap().covers(&asked.parse().unwrap());
        for (permit, asked) in [
            ("quantile", "quantile:0.9"),
            ("quantile:0.5", "quantile:0.50"),
            ("mean", "mean(a)"),
            ("mean(a)", "mean(a)"),
            ("mean@f", "mean(a)@f"),
            ("variance", "variance_population"),
            ("stddev(a)", "stddev_population(a)"),
            ("histogram", "histogram:0,1(a)"),
        ] {
            assert!(covers(permit, asked), "{permit} {asked}");
        }
        for (permit, asked) in [
            ("quantile:0.5", "quantile:0.9"),
            ("quantile", "quantile_nearest:0.5"),
            ("mean(a)", "mean(b)"),
            ("mean(a)", "mean"),
            ("mean", "mean@f"),
            ("mean@f", "mean"),
            ("mean@f", "mean@g"),
            ("stddev", "variance"),
            ("variance_population", "variance"),
            ("covariance(a,b)", "covariance(b,a)"),
        ] {
            assert!(!covers(permit, asked), "{permit} {asked}");
        }
        assert_eq!("quantile(a)@f".parse::<Permit>().unwrap().to_string(), "quantile(a)@f");
        assert_eq!("quantile".parse::<Permit>().unwrap().statistic(), None);
    }
}
