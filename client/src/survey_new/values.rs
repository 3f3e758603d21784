//! Values of an answer that may be the identity or a column.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tercet_evidence::json::{Document, NodeId, Value};
use tercet_mpc::decimal::{Notation, is_decimal};
use tercet_protocol::survey::source::{Comparison, Path, Scalar, Segment};

use super::quoted;

/// Most columns that a draft proposes.
const MAX_CANDIDATES: usize = 40;
/// Most elements of a list that are looked at.
const MAX_ELEMENTS: usize = 20;

/// Names of members that say who somebody is, best first.
const WHO: [&str; 11] = [
    "uid",
    "userid",
    "user_id",
    "accountid",
    "account_id",
    "customerid",
    "id",
    "sub",
    "login",
    "username",
    "email",
];

/// Names of members by whose values the elements of a list are told apart, the same for everybody.
const TELLING: [&str; 14] = [
    "asset",
    "currency",
    "currency_code",
    "currencycode",
    "coin",
    "symbol",
    "ticker",
    "type",
    "accounttype",
    "account_type",
    "kind",
    "category",
    "class",
    "unit",
];

/// A value of the answer.
struct Candidate<'a> {
    path: Path,
    name: String,
    text: &'a str,
    quoted: bool,
}

/// The draft's tables of identity and columns.
pub fn tables(document: &Document<'_>) -> String {
    let mut all = Vec::new();
    collect(document, Document::ROOT, &mut Path { segments: Vec::new() }, &mut all);
    let mut out = String::new();
    identity(&mut out, &all);
    columns(&mut out, &all);
    out
}

fn who(candidate: &Candidate<'_>) -> Option<usize> {
    WHO.iter().position(|n| candidate.name.eq_ignore_ascii_case(n))
}

fn identity(out: &mut String, all: &[Candidate<'_>]) {
    let mut ids: Vec<&Candidate<'_>> = all.iter().filter(|c| who(c).is_some()).collect();
    ids.sort_by_key(|c| (who(c), c.path.segments.len()));
    let Some(best) = ids.first() else {
        out.push_str("#? nothing in the answer looks like a person's id: without one, each session counts as a person\n");
        return;
    };
    let what = |c: &Candidate<'_>| if Scalar::from_number(c.text).is_ok() { "an integer" } else { "a text" };
    let _ = writeln!(
        out,
        "#? who it is: a value that every person has another one of, and cannot change\n[identity]\nat = {}   # {}",
        quoted(&best.path.to_string()),
        what(best)
    );
    for other in ids.iter().skip(1).take(5) {
        let _ = writeln!(out, "#at = {}   # {}", quoted(&other.path.to_string()), what(other));
    }
}

fn columns(out: &mut String, all: &[Candidate<'_>]) {
    let numbers: Vec<(&Candidate<'_>, Shape)> =
        all.iter().filter(|c| who(c).is_none()).filter_map(|c| Some((c, Shape::of(c)?))).collect();
    out.push_str("\n#? the values: keep what is asked for, take the # away, and delete the others\n");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (i, (c, shape)) in numbers.iter().take(MAX_CANDIDATES).enumerate() {
        let mark = if i == 0 { "" } else { "#" };
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let short: String = c.name.chars().take(56).map(plain).collect();
        let short = if short.is_empty() { "value".to_owned() } else { short };
        let n = seen.entry(short.clone()).or_default();
        *n += 1;
        let label = if *n == 1 { short } else { format!("{short}_{n}") };
        let _ = writeln!(
            out,
            "{mark}[[columns]]\n{mark}name = {}\n{mark}at = {}   # {}\n{mark}scale = {}\n{mark}bits = {}",
            quoted(&label),
            quoted(&c.path.to_string()),
            shape.words(c.quoted),
            shape.scale,
            shape.bits
        );
        for line in shape.notation() {
            let _ = writeln!(out, "{mark}{line}");
        }
        out.push('\n');
    }
    if numbers.len() > MAX_CANDIDATES {
        let _ = writeln!(out, "# and {} more numbers", numbers.len() - MAX_CANDIDATES);
    }
}

/// A number's notation, without the number.
struct Shape {
    notation: Notation,
    exponent: bool,
    scale: i64,
    bits: u8,
}

impl Shape {
    fn of(candidate: &Candidate<'_>) -> Option<Self> {
        let text = candidate.text;
        let plain = Notation { exponents: true, grouping: None, point: b'.' };
        let grouped = |grouping, point| Notation { exponents: false, grouping: Some(grouping), point };
        let pages = [
            grouped(b',', b'.'),
            grouped(b'.', b','),
            grouped(b'\'', b'.'),
            grouped(b' ', b','),
            grouped(b' ', b'.'),
        ];
        let notation = std::iter::once(plain)
            .chain(pages.into_iter().filter(|_| candidate.quoted))
            .find(|n| text.len() <= 64 && is_decimal(text.as_bytes(), *n))?;
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, _)) => (mantissa, true),
            None => (text, false),
        };
        let (whole, fraction) = mantissa.split_once(char::from(notation.point)).unwrap_or((mantissa, ""));
        let digits = |t: &str| t.bytes().filter(u8::is_ascii_digit).count() as i64;
        let (whole, fraction) = (digits(whole), digits(fraction));
        let scale = if exponent {
            8
        } else if whole > 18 {
            // More digits than 63 bits hold.
            18 - whole
        } else {
            // Numbers without quotes are written without their last zeros: others have more places.
            let places = if fraction == 1 && !candidate.quoted { 2 } else { fraction };
            places.min(18 - whole)
        };
        let bits = if exponent || whole + scale > 13 { 63 } else { 48 };
        Some(Self { notation, exponent, scale: scale.max(-18), bits })
    }

    fn words(&self, quoted: bool) -> String {
        let kind = match self.scale {
            _ if self.exponent => "a number with an exponent".to_owned(),
            1 => "a number with a decimal place".to_owned(),
            2.. => format!("a number with {} decimal places", self.scale),
            0 if quoted => "a whole number".to_owned(),
            0 => "a whole number: somebody else's may have decimal places".to_owned(),
            _ => "a whole number of many digits: the last ones are left out, and must be zeros".to_owned(),
        };
        if quoted { format!("{kind}, in quotes") } else { kind }
    }

    fn notation(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.exponent {
            out.push("exponents = true".to_owned());
        }
        if let Some(grouping) = self.notation.grouping {
            out.push(format!("grouping = \"{}\"", char::from(grouping)));
        }
        if self.notation.point != b'.' {
            out.push("point = \",\"".to_owned());
        }
        out
    }
}

/// All numbers and texts of a document.
fn collect<'a>(document: &'a Document<'_>, id: NodeId, path: &mut Path, out: &mut Vec<Candidate<'a>>) {
    let mut found = |text, quoted| {
        let name = match path.segments.last() {
            Some(Segment::Name(name)) => name.clone(),
            _ => String::new(),
        };
        out.push(Candidate { path: path.clone(), name, text, quoted });
    };
    match &document.node(id).value {
        Value::Number(at) => found(document.number(at), false),
        Value::Text(index) if !document.string(*index).is_empty() => found(document.string(*index), true),
        Value::Object(members) => {
            for (name, value) in members {
                path.segments.push(Segment::Name(document.string(*name).to_owned()));
                collect(document, *value, path, out);
                path.segments.pop();
            }
        }
        Value::Array(elements) => {
            let filters = filters(document, elements);
            for (i, element) in elements.iter().enumerate().take(MAX_ELEMENTS) {
                path.segments.push(filters.get(i).cloned().unwrap_or(Segment::Index(i)));
                collect(document, *element, path, out);
                path.segments.pop();
            }
        }
        _ => {}
    }
}

/// A filter for each element of a list, if they can be told apart by a member that means the same for everybody; else none.
fn filters(document: &Document<'_>, elements: &[NodeId]) -> Vec<Segment> {
    let member = |id: NodeId, wanted: &str| match &document.node(id).value {
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let name = document.string(*name);
            match &document.node(*value).value {
                Value::Text(index) if name.eq_ignore_ascii_case(wanted) => {
                    Some((name.to_owned(), document.string(*index)))
                }
                _ => None,
            }
        }),
        _ => None,
    };
    for wanted in TELLING {
        let found: Vec<(String, &str)> = elements.iter().filter_map(|e| member(*e, wanted)).collect();
        let distinct: std::collections::BTreeSet<&str> = found.iter().map(|(_, text)| *text).collect();
        if found.len() == elements.len()
            && distinct.len() == found.len()
            && found.iter().all(|(_, t)| is_word(t))
        {
            let filter = |(name, text): (String, &str)| {
                let value = Scalar::from_text(text).ok()?;
                Some(Segment::Filter(vec![Comparison { names: vec![name], value }]))
            };
            return found.into_iter().filter_map(filter).collect();
        }
    }
    Vec::new()
}

/// True if a text is a short name of something, as those of currencies are: no person's number.
fn is_word(text: &str) -> bool {
    (1..=24).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b' '))
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && text.bytes().filter(u8::is_ascii_digit).count() <= 3
}
