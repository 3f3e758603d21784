//! `tercet survey new --from-har`: a draft of a survey from an exchange that a browser saved.
//!
//! A draft gives the places of values, never the values: it is made to be passed on.

mod har;
mod private;
mod values;

use std::fmt::Write as _;

use tercet_evidence::json::{self, Document, Value};
use tercet_protocol::survey::source::{DEFAULT_CREDENTIALS, ORDINARY_HEADERS, is_refused_header, query};

use crate::error::Error;
use crate::http::Url;
use crate::inspect::printable;
use har::{Entry, Request};
use private::{Kind, kind};

/// Largest HAR file, in bytes.
pub const MAX_HAR: usize = 256 << 20;
/// Longest text in front of JSON that is taken for a guard, in bytes.
const MAX_GUARD: usize = 64;
/// Replaces a text that a draft does not copy.
const LEFT_OUT: &str = "LEFT-OUT";

/// The exchanges of a HAR file that a survey could be about: their addresses, in order.
pub fn exchanges(har: &[u8]) -> Result<Vec<String>, Error> {
    Ok(har::read(har)?.into_iter().filter(Entry::is_data).map(|e| e.request.url).collect())
}

/// A draft of a survey about the exchange whose address contains `wanted`; the last such one.
pub fn draft(har: &[u8], wanted: Option<&str>) -> Result<String, Error> {
    let all = har::read(har)?;
    let fits = |e: &&Entry| e.is_data() && wanted.is_none_or(|w| e.request.url.contains(w));
    let found: Vec<&Entry> = all.iter().filter(fits).collect();
    match (found.as_slice(), wanted) {
        ([], _) => Err(Error::usage(
            "the file has no such exchange: an https request, answered with status 200 and JSON, XML, HTML or CSV. Save it \
             with its contents (\"Save all as HAR with content\")",
        )),
        ([_, _, ..], None) => {
            // Without their queries, which may hold secrets.
            let address =
                |e: &&Entry| format!("  {}", printable(e.request.url.split('?').next().unwrap_or_default()));
            let list: Vec<_> = found.iter().take(20).map(address).collect();
            let more = if found.len() > 20 { "\n  and more" } else { "" };
            Err(Error::usage(format!(
                "the file has {} exchanges with data; choose one with --url PART:\n{}{more}",
                found.len(),
                list.join("\n")
            )))
        }
        ([.., entry], _) => write(entry),
    }
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    // A string of JSON is one of TOML too, up to a character that JSON leaves as it is.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// The answer, read by its format.
enum Answer<'a> {
    /// JSON, and the text in front of it.
    Json { document: Document<'a>, guard: &'a str },
    /// A page.
    Page,
}

fn write(entry: &Entry) -> Result<String, Error> {
    let request = &entry.request;
    let url = Url::parse(&request.url).map_err(|e| Error::usage(format!("the request's address: {e}")))?;
    let host = url.host_str().unwrap_or_default();
    if !matches!(request.method.as_str(), "GET" | "POST") {
        return Err(Error::usage(format!(
            "the request is a {}: surveys are about GET and POST",
            printable(&request.method)
        )));
    }
    if url.port().is_some() {
        return Err(Error::usage(
            "the server has a port of its own: surveys are about servers at the usual port 443",
        ));
    }
    let body = entry.answer()?;
    let answer = answer(entry, &body)?;
    let mut out = String::new();
    let _ = write!(
        out,
        "# A draft. Lines that begin with #? need a decision; then try it: tercet survey try FILE --request .. --response ..\n\n\
         [survey]\nname = \"my-survey\"\ntitle = {}\n\
         #? opens and closes: between which the data may be fetched\n\
         opens = \"2026-01-01T00:00:00Z\"\ncloses = \"2027-01-01T00:00:00Z\"\n\
         min_cohort = 10\nmin_new = 5\nstatistics = [\"count\", \"mean\"]\n\n[source]\nserver_name = {}\nmethod = {}\n",
        quoted(&format!("Data of {host}")),
        quoted(host),
        quoted(&request.method)
    );
    path(&mut out, url.path());
    parameters(&mut out, url.query().unwrap_or_default());
    headers(&mut out, request);
    request_body(&mut out, request);
    let media = entry.media_type();
    let usual =
        media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"));
    match &answer {
        Answer::Json { guard, .. } => {
            if !usual {
                let _ = writeln!(out, "media_type = {}", quoted(&media));
            }
            if !guard.is_empty() {
                let _ = writeln!(out, "guard = {}", quoted(guard));
            }
        }
        Answer::Page => {
            let _ = writeln!(out, "format = \"text\"\nmedia_type = {}", quoted(&media));
        }
    }
    out.push_str(
        "\n[[notaries]]\nname = \"a notary\"\n#? the notary's kind and public key\nkind = \"proxy\"\nalgorithm = \"ed25519\"\nkey = \"\"\n\n",
    );
    match &answer {
        Answer::Json { document, .. } => out.push_str(&values::tables(document)),
        Answer::Page => out.push_str(
            "#? what stands in front of the identity and behind it; begin with the tag\n[identity]\nprefix = ''\nsuffix = ''\n\n\
             #? the value\n[[columns]]\nname = \"value\"\nprefix = ''\nsuffix = ''\nscale = 2\nbits = 40\n",
        ),
    }
    Ok(out)
}

fn answer<'a>(entry: &Entry, body: &'a [u8]) -> Result<Answer<'a>, Error> {
    let mark = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let failure = match json::parse(body, mark, &[]) {
        Ok(document) => return Ok(Answer::Json { document, guard: "" }),
        Err(failure) => failure,
    };
    // Behind a text that keeps scripts from reading it.
    let text = body.get(mark..).unwrap_or_default();
    let start = text.iter().take(MAX_GUARD + 1).position(|b| matches!(b, b'{' | b'['));
    if let Some(start) = start.filter(|s| *s > 0)
        && let Ok(guard) = std::str::from_utf8(&text[..start])
        && let Ok(document) = json::parse(body, mark + start, &[])
    {
        return Ok(Answer::Json { document, guard });
    }
    if entry.media_type().contains("json") {
        return Err(Error::usage(format!(
            "no survey could read this answer as JSON: at its byte {}, {}",
            failure.at, failure.problem
        )));
    }
    Ok(Answer::Page)
}

/// The path, with a segment that may be a person's id left open.
fn path(out: &mut String, path: &str) {
    let mut open = false;
    let mut left_out = false;
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| {
            let form = match segment {
                s if !private::segment(s) => return s.to_owned(),
                s if s.bytes().all(|b| b.is_ascii_digit()) && !s.starts_with('0') => "",
                s if private::is_hex(s) && s.len() == 36 && s.contains('-') => ":uuid",
                s if private::is_hex(s) && !s.contains('-') => ":hex",
                _ => "?",
            };
            if open || form == "?" {
                left_out = true;
                return LEFT_OUT.to_owned();
            }
            open = true;
            format!("{{id{form}}}")
        })
        .collect();
    if open {
        out.push_str("#? a segment may be a person's id, so it is left open; if it is the same for everybody, write it out\n");
    }
    if left_out {
        let _ = writeln!(
            out,
            "#? the path has what may be yours alone, left out here as {LEFT_OUT}; one segment may be open"
        );
    }
    let _ = writeln!(out, "path = {}", quoted(&segments.join("/")));
}

/// Parts of the names of parameters that change with each request.
fn is_varying(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["time", "nonce", "sign", "_t", "_", "t", "ts", "cache", "rand", "cb", "recvwindow"]
        .iter()
        .any(|v| name == *v || (v.len() > 3 && name.contains(v)))
}

fn parameters(out: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Err(problem) = query(text) {
        let _ = writeln!(out, "#? no survey takes such a query: {}", printable(&problem.replace(text, "..")));
        return;
    }
    let (mut fixed, mut others, mut remarks) = (Vec::new(), Vec::new(), Vec::new());
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let remark = match kind(name, value) {
            _ if is_varying(name) => None,
            Kind::Common => {
                fixed.push(format!("{} = {}", quoted(name), quoted(value)));
                continue;
            }
            Kind::Secret => Some("looks like a secret, and the coordinator and the parties see the query"),
            Kind::Personal => Some(
                "may say whose data is shown: everybody has another value there, so read the identity from the answer",
            ),
        };
        others.push(quoted(name));
        remarks.extend(remark.map(|remark| format!("#? the parameter {} {remark}", printable(name))));
    }
    if !fixed.is_empty() {
        let _ = writeln!(
            out,
            "#? each parameter must be there with this value\nquery = {{ {} }}",
            fixed.join(", ")
        );
    }
    if !others.is_empty() {
        remarks.iter().for_each(|remark| _ = writeln!(out, "{remark}"));
        let _ = writeln!(
            out,
            "#? these may have any value: none may change what the answer means\nother_query = [{}]",
            others.join(", ")
        );
    }
}

fn headers(out: &mut String, request: &Request) {
    let (mut secret, mut others) = (Vec::new(), Vec::new());
    for name in request.header_names() {
        let token = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let client = ORDINARY_HEADERS.contains(&name.as_str()) || name == "content-type";
        if !token || client || is_refused_header(&name) {
            continue;
        }
        let credential = DEFAULT_CREDENTIALS.contains(&name.as_str())
            || ["token", "auth", "key", "secret", "session", "csrf"].iter().any(|part| name.contains(part));
        let list = if credential { &mut secret } else { &mut others };
        if !list.contains(&name) {
            list.push(name);
        }
    }
    let list = |names: &[String]| names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ");
    if secret.is_empty() {
        out.push_str(
            "#? the file shows no credentials (Chrome leaves them out of a \"sanitized\" file): the usual headers may be hidden\n",
        );
    } else {
        let _ =
            writeln!(out, "#? request headers whose values stay hidden\ncredentials = [{}]", list(&secret));
    }
    if !others.is_empty() {
        let _ = writeln!(
            out,
            "#? the browser also sent these; list those that the server needs, and none that changes what the answer means\n#other_headers = [{}]",
            list(&others)
        );
    }
}

fn request_body(out: &mut String, request: &Request) {
    let Some((media, text)) = request.body() else { return };
    let lower = media.to_ascii_lowercase();
    if lower.contains("json")
        && let Ok(document) = json::parse(text.as_bytes(), 0, &[])
    {
        let (text, left_out) = without_private(text, &document);
        out.push_str(
            "#? the body that everybody sends, compared as JSON: nothing in it may be yours alone\n",
        );
        remark(out, &left_out);
        let _ = writeln!(out, "body_json = {}", quoted(&text));
    } else if lower.starts_with("application/x-www-form-urlencoded") {
        let mut left_out = Vec::new();
        let pairs = text.split('&').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if kind(name, value) == Kind::Common {
                return pair.to_owned();
            }
            left_out.push(name.to_owned());
            format!("{name}={LEFT_OUT}")
        });
        let text = pairs.collect::<Vec<_>>().join("&");
        out.push_str("#? the body that everybody sends, byte by byte: nothing in it may be yours alone\n");
        remark(out, &left_out);
        let _ = writeln!(out, "body = {}", quoted(&text));
    } else {
        out.push_str("#? the body that everybody sends, byte by byte: it is not copied here\nbody = \"\"\n");
    }
    if !media.is_empty() && !media.eq_ignore_ascii_case("application/json") {
        let _ = writeln!(out, "content_type = {}", quoted(media));
    }
}

fn remark(out: &mut String, left_out: &[String]) {
    if !left_out.is_empty() {
        let names: Vec<_> = left_out.iter().map(|n| printable(n).replace(['\n', '\t'], " ")).collect();
        let _ = writeln!(
            out,
            "#? what may be secret or yours alone is left out here ({}): a body with it is another one for everybody",
            names.join(", ")
        );
    }
}

/// A body's text without the values that may be secret or a person's own, and the names of these.
fn without_private(text: &str, document: &Document<'_>) -> (String, Vec<String>) {
    let mut cut = Vec::new();
    let mut names = Vec::new();
    for id in 0..document.len() {
        let Value::Object(members) = &document.node(id).value else { continue };
        for (name, value) in members {
            let name = document.string(*name);
            let node = document.node(*value);
            let given = match &node.value {
                Value::Text(index) => document.string(*index),
                Value::Number(at) => document.number(at),
                _ => continue,
            };
            // GraphQL's own members are everybody's.
            if !matches!(name, "query" | "operationName") && kind(name, given) != Kind::Common {
                cut.push(node.span.clone());
                names.push(name.to_owned());
            }
        }
    }
    cut.sort_by_key(|range| range.start);
    let mut out = String::new();
    let mut at = 0;
    for range in cut {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push_str(&quoted(LEFT_OUT));
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, names)
}

#[cfg(test)]
mod tests;
