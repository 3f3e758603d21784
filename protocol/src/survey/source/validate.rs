//! From a survey's tables to its rules: faults are refused here, in words.

mod json;
mod request;

use request::{body, guard, header_name, is_header, media_type, parameters, required_headers, server};

use super::{
    Absent, BodyFormat, DEFAULT_CREDENTIALS, Hidden, Path, PathTemplate, Pattern, Place, Rules,
    SourceSection, Wanted,
};
use crate::survey::{ColumnSection, FieldSection, MAX_LITERAL, SurveyError, SurveyManifest, inputs, invalid};

pub(super) fn rules(manifest: &SurveyManifest) -> Result<Rules, SurveyError> {
    let source = &manifest.source;
    server(source)?;
    let path = PathTemplate::parse(&source.path).map_err(|problem| invalid("source.path", problem))?;
    inputs::check(&source.inputs, &source.parameters, &source.request_headers)?;
    let mut credentials: Vec<String> = match &source.credentials {
        None => DEFAULT_CREDENTIALS.map(str::to_owned).to_vec(),
        Some(names) => {
            names.iter().map(|n| header_name("source.credentials", n)).collect::<Result<_, _>>()?
        }
    };
    for template in &source.request_headers {
        let name = header_name("source.request_headers", &template.name)?;
        if !credentials.contains(&name) {
            credentials.push(name);
        }
    }
    let others = source.other_headers.iter().map(|n| header_name("source.other_headers", n));
    let (query, mut other_query) = parameters(source)?;
    for template in &source.parameters {
        if query.iter().any(|(name, _)| *name == template.name) {
            return Err(invalid(
                "source.parameters",
                format!("{} is in source.query already", template.name),
            ));
        }
        if !other_query.contains(&template.name) {
            other_query.push(template.name.clone());
        }
    }
    let this = Rules {
        server_name: source.server_name.clone(),
        method: source.method.clone(),
        query,
        other_query,
        headers: required_headers(source)?,
        other_headers: others.collect::<Result<_, _>>()?,
        credentials,
        body: body(source)?,
        format: source.format,
        media_type: media_type(source)?,
        guard: guard(source)?,
        identity: identity(manifest, &path)?,
        committed: committed(manifest)?,
        fields: fields(manifest)?,
        path,
    };
    for key in ["content-length", "connection"] {
        if this.headers.iter().any(|(name, _)| name == key) {
            return Err(invalid("source.headers", format!("{key} is the client's own: leave it out")));
        }
    }
    Ok(this)
}

/// The rules of a table about a place.
struct Said<'a> {
    table: &'static str,
    name: &'a str,
    at: Option<&'a String>,
    prefix: Option<&'a String>,
    suffix: Option<&'a String>,
    header: Option<&'a String>,
}

impl Said<'_> {
    fn wrong(&self, key: &str, problem: impl std::fmt::Display) -> SurveyError {
        let of = if self.name.is_empty() { String::new() } else { format!("of \"{}\": ", self.name) };
        invalid(format!("{}.{key}", self.table), format!("{of}{problem}"))
    }

    fn place(&self, source: &SourceSection) -> Result<Place, SurveyError> {
        let said = [self.at.is_some(), self.prefix.is_some(), self.header.is_some()];
        match said.iter().filter(|s| **s).count() {
            1 => {}
            0 => return Err(self.wrong("at", "give its place, such as at = \"$.name\"")),
            _ => return Err(self.wrong("at", "give its place in one way: at, or prefix and suffix")),
        }
        if self.prefix.is_some() != self.suffix.is_some() {
            return Err(self.wrong("suffix", "prefix and suffix go together"));
        }
        if let Some(text) = self.at {
            if source.format == BodyFormat::Text {
                return Err(self.wrong("at", "is of JSON only: write prefix and suffix"));
            }
            return Ok(Place::Json(self.path("at", text)?));
        }
        if let Some(name) = self.header {
            let name = header_name(&format!("{}.header", self.table), name)?;
            return Ok(Place::Header(name));
        }
        let (prefix, suffix) = (self.prefix.map_or("", |p| p), self.suffix.map_or("", |s| s));
        for (key, text) in [("prefix", prefix), ("suffix", suffix)] {
            if text.is_empty() || text.len() > MAX_LITERAL || text.contains('\0') {
                return Err(self.wrong(key, format!("write 1 to {MAX_LITERAL} bytes")));
            }
        }
        match source.format {
            BodyFormat::Json => match Pattern::parse(prefix, suffix) {
                Ok(pattern) => Ok(Place::Tokens(pattern)),
                Err(_)
                    if prefix.trim_end_matches(['"', ' ']).strip_suffix(':').is_some_and(is_header)
                        && self.table != "columns" =>
                {
                    let name = prefix.split(':').next().unwrap_or_default();
                    Err(self.wrong(
                        "prefix",
                        format!("a header of the response is named by header = \"{name}\" alone"),
                    ))
                }
                Err(problem) => {
                    let behind = Pattern::parse(prefix, ",").is_ok();
                    Err(self.wrong(if behind { "suffix" } else { "prefix" }, problem))
                }
            },
            BodyFormat::Text => {
                text_prefix(source.media_type.as_deref().unwrap_or_default(), prefix)
                    .map_err(|problem| self.wrong("prefix", problem))?;
                Ok(Place::Text { prefix: prefix.into(), suffix: suffix.into() })
            }
        }
    }

    fn path(&self, key: &str, text: &str) -> Result<Path, SurveyError> {
        if text.len() > 1024 {
            return Err(self.wrong(key, "has more than 1024 bytes"));
        }
        Path::parse(text).map_err(|e| self.wrong(key, format!("\"{}\", {e}", text.escape_debug())))
    }
}

/// A prefix holds something that users of the site cannot write into its text.
fn text_prefix(media_type: &str, prefix: &str) -> Result<(), &'static str> {
    if media_type.contains("xml") || media_type.contains("html") {
        return if prefix.contains('<') {
            Ok(())
        } else {
            Err(
                "must contain a <, which text of users cannot: begin it with the tag, such as <span class=\"balance\">",
            )
        };
    }
    let quoted = prefix.bytes().enumerate().any(|(i, b)| b == b'"' && i > 0);
    if quoted || prefix.contains('\n') {
        Ok(())
    } else {
        Err(
            "must contain a line feed, or a quote that is not its first character, so that it cannot be forged inside text \
             that users write",
        )
    }
}

fn identity(manifest: &SurveyManifest, path: &PathTemplate) -> Result<Option<Wanted>, SurveyError> {
    let Some(id) = &manifest.identity else { return Ok(None) };
    let said = Said {
        table: "identity",
        name: "",
        at: id.at.as_ref(),
        prefix: id.prefix.as_ref(),
        suffix: id.suffix.as_ref(),
        header: id.header.as_ref(),
    };
    let place = match &id.path {
        None => said.place(&manifest.source)?,
        Some(_) if id.at.is_some() || id.prefix.is_some() || id.header.is_some() => {
            return Err(said.wrong("path", "give its place in one way"));
        }
        Some(name) => match path.open() {
            Some((open, super::Form::Name)) if open == name => {
                let problem = "a segment of the form \"name\" is no identity: a server may know one account under several names";
                return Err(said.wrong("path", problem));
            }
            Some((open, _)) if open == name => Place::PathSegment,
            _ => return Err(said.wrong("path", format!("source.path has no open segment {{{name}}}"))),
        },
    };
    Ok(Some(Wanted { place, within: None, missing: None, fold: id.fold.is_some() }))
}

fn fields(manifest: &SurveyManifest) -> Result<Vec<Wanted>, SurveyError> {
    manifest.fields.iter().map(|f| field(&manifest.source, f)).collect()
}

fn field(source: &SourceSection, f: &FieldSection) -> Result<Wanted, SurveyError> {
    let said = Said {
        table: "fields",
        name: &f.name,
        at: f.at.as_ref(),
        prefix: f.prefix.as_ref(),
        suffix: f.suffix.as_ref(),
        header: f.header.as_ref(),
    };
    let place = said.place(source)?;
    let within = f.within.as_ref().map(|w| within(&said, w, &place)).transpose()?;
    if within.is_some() && f.missing.is_none() {
        return Err(said.wrong("within", "goes with missing = \"..\", the group of those without a value"));
    }
    Ok(Wanted { place, within, missing: f.missing.clone(), fold: f.fold.is_some() })
}

/// The place that must exist where a value may be absent: the value's path goes on from it.
fn within(said: &Said<'_>, text: &str, place: &Place) -> Result<Path, SurveyError> {
    let path = said.path("within", text)?;
    match place {
        Place::Json(at) if at.continues(&path) => Ok(path),
        Place::Json(_) => Err(said.wrong("within", "must be the beginning of at, such as \"$.balances\"")),
        _ => Err(said.wrong("within", "goes with at = \"$..\": a literal that is not there says nothing")),
    }
}

fn committed(manifest: &SurveyManifest) -> Result<Vec<Hidden>, SurveyError> {
    let mut all = Vec::new();
    for c in &manifest.columns {
        all.push(column(&manifest.source, c)?);
    }
    for c in &manifest.categories {
        let said = Said {
            table: "categories",
            name: &c.name,
            at: c.at.as_ref(),
            prefix: c.prefix.as_ref(),
            suffix: c.suffix.as_ref(),
            header: None,
        };
        let place = said.place(&manifest.source)?;
        let marked = |v: &String| v.contains(['"', '\\']) || v.chars().any(char::is_control);
        if manifest.source.format == BodyFormat::Json && c.values.iter().any(marked) {
            let problem = "no value holds a quote, a backslash or a control character: the whole inside of a string is hidden";
            return Err(said.wrong("values", problem));
        }
        let name = c.name.clone();
        all.push(Hidden { name, place, absent: None, empty_is_missing: false, quoted: None });
    }
    Ok(all)
}

fn column(source: &SourceSection, c: &ColumnSection) -> Result<Hidden, SurveyError> {
    let said = Said {
        table: "columns",
        name: &c.name,
        at: c.at.as_ref(),
        prefix: c.prefix.as_ref(),
        suffix: c.suffix.as_ref(),
        header: None,
    };
    let place = said.place(source)?;
    let absent = match (c.absent, &c.within) {
        (None, None) => None,
        (Some(absent), Some(text)) => Some((within(&said, text, &place)?, absent)),
        (Some(_), None) => {
            let problem =
                "needs within = \"$..\", what must be there in every answer: an error page is no zero";
            return Err(said.wrong("absent", problem));
        }
        (None, Some(_)) => return Err(said.wrong("within", "goes with absent = \"missing\" or \"zero\"")),
    };
    if let Some((_, Absent::Zero)) = &absent
        && c.missing.is_some()
    {
        return Err(said.wrong(
            "absent",
            "\"zero\" beside missing would call one thing by two values: write \"missing\"",
        ));
    }
    numbers(&said, source, c)?;
    Ok(Hidden {
        name: c.name.clone(),
        place,
        absent,
        empty_is_missing: c.missing.as_deref() == Some(""),
        quoted: if source.format == BodyFormat::Text { None } else { c.quoted },
    })
}

fn numbers(said: &Said<'_>, source: &SourceSection, c: &ColumnSection) -> Result<(), SurveyError> {
    if !(-18..=18).contains(&c.scale) {
        return Err(said.wrong("scale", "must be -18 to 18"));
    }
    if c.bits == 0 || c.bits > 63 {
        return Err(said.wrong("bits", "must be 1 to 63"));
    }
    let (grouping, point) = (c.grouping.as_deref(), c.point.as_deref().unwrap_or("."));
    if !matches!(point, "." | ",") {
        return Err(said.wrong("point", "is \".\" or \",\""));
    }
    if !matches!(grouping, None | Some("," | "." | "'" | " " | "_")) {
        return Err(said.wrong("grouping", "is one of , . ' _ and the blank"));
    }
    if grouping.is_some() && c.exponents {
        return Err(said.wrong("exponents", "goes without grouping: pages for people write one or the other"));
    }
    if grouping == Some(point) {
        return Err(
            said.wrong("grouping", "is not the decimal point: write point = \",\" too, or another one")
        );
    }
    if (grouping.is_some() || point != ".") && c.quoted == Some(false) {
        return Err(said.wrong("quoted", "numbers of JSON without quotes have neither grouping nor a comma"));
    }
    if let Some(missing) = &c.missing
        && source.format == BodyFormat::Json
        && missing.contains(['"', '\\'])
    {
        return Err(said.wrong("missing", "holds a quote or a backslash: write the text inside the quotes"));
    }
    if source.format == BodyFormat::Text {
        let suffix = c.suffix.as_deref().unwrap_or_default();
        let first = suffix.chars().next().unwrap_or('0');
        let exponent = c.exponents && matches!(first, 'e' | 'E' | '+');
        let mark = grouping.is_some_and(|g| suffix.starts_with(g)) || suffix.starts_with(point);
        if first.is_ascii_digit() || matches!(first, '-' | '.') || exponent || mark {
            let problem =
                "begins with what may be part of a number, so a provider could choose where the number ends";
            return Err(said.wrong("suffix", problem));
        }
    }
    Ok(())
}

/// Two hidden values never have one place, whatever a response contains.
pub(super) fn distinct(rules: &Rules) -> Result<(), SurveyError> {
    for (i, a) in rules.committed.iter().enumerate() {
        if let Some(b) = rules.committed[..i].iter().find(|b| b.place == a.place) {
            let problem =
                format!("\"{}\" and \"{}\" have the same place, which is one value", b.name, a.name);
            return Err(invalid("columns.at", problem));
        }
    }
    Ok(())
}
