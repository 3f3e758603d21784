//! `tercet survey new --from-har`: a draft of a survey from an exchange that a browser saved.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use tercet_protocol::survey::source::{
    DEFAULT_CREDENTIALS, ORDINARY_HEADERS, Path, REFUSED_HEADERS, Segment,
};

use crate::error::Error;
use crate::http::Url;
use crate::inspect::printable;

/// Largest HAR file, in bytes.
pub const MAX_HAR: usize = 256 << 20;
/// Most candidates that a draft lists.
const MAX_CANDIDATES: usize = 40;

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: HarRequest,
    response: HarResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<HarHeader>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct HarHeader {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct HarResponse {
    status: i64,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
    encoding: Option<String>,
}

/// The exchanges of a HAR file that a survey could be about: their addresses, in order.
pub fn exchanges(har: &[u8]) -> Result<Vec<String>, Error> {
    let har = parse(har)?;
    Ok(har.log.entries.iter().filter(|e| is_data(e)).map(|e| e.request.url.clone()).collect())
}

/// A draft of a survey about the exchange whose address contains `wanted`; the last such one.
pub fn draft(har: &[u8], wanted: Option<&str>) -> Result<String, Error> {
    let har = parse(har)?;
    let fits = |e: &&Entry| is_data(e) && wanted.is_none_or(|w| e.request.url.contains(w));
    let found: Vec<&Entry> = har.log.entries.iter().filter(fits).collect();
    let addresses = || {
        let list: Vec<_> =
            found.iter().take(20).map(|e| format!("  {}", printable(&e.request.url))).collect();
        list.join("\n")
    };
    match (found.as_slice(), wanted) {
        ([], _) => Err(Error::usage(
            "the file has no such exchange: an https request, answered with status 200 and JSON, XML, HTML or CSV. Save it \
             with its contents (\"Save all as HAR with content\")",
        )),
        ([_, _, ..], None) => Err(Error::usage(format!(
            "the file has {} exchanges with data; choose one with --url PART:\n{}",
            found.len(),
            addresses()
        ))),
        ([.., entry], _) => write(entry),
    }
}

fn parse(har: &[u8]) -> Result<Har, Error> {
    let har = har.strip_prefix(b"\xef\xbb\xbf").unwrap_or(har);
    serde_json::from_slice(har).map_err(|e| Error::usage(format!("this is no HAR file: {e}")))
}

fn is_data(entry: &Entry) -> bool {
    let media = entry.response.content.mime_type.to_ascii_lowercase();
    let data = ["json", "xml", "html", "csv", "text/plain"].iter().any(|m| media.contains(m));
    entry.response.status == 200 && entry.request.url.starts_with("https://") && data
}

fn quoted(text: &str) -> String {
    // A string of JSON is one of TOML too.
    serde_json::Value::from(text).to_string()
}

fn write(entry: &Entry) -> Result<String, Error> {
    let url =
        Url::parse(&entry.request.url).map_err(|e| Error::usage(format!("the request's address: {e}")))?;
    let host = url.host_str().unwrap_or_default();
    let json = entry.response.content.mime_type.to_ascii_lowercase().contains("json");
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
        quoted(&entry.request.method)
    );
    let _ = writeln!(out, "{}", path(url.path()));
    parameters(&mut out, &url);
    headers(&mut out, &entry.request.headers);
    body(&mut out, entry);
    if !json {
        let media = entry.response.content.mime_type.split(';').next().unwrap_or_default().trim();
        let _ = writeln!(out, "format = \"text\"\nmedia_type = {}", quoted(media));
    }
    out.push_str(
        "\n[[notaries]]\nname = \"a notary\"\n#? the notary's kind and public key\nkind = \"proxy\"\nalgorithm = \"ed25519\"\nkey = \"\"\n\n",
    );
    if json {
        candidates(&mut out, entry)?;
    } else {
        out.push_str(
            "#? what stands in front of the identity and behind it; begin with the tag\n[identity]\nprefix = ''\nsuffix = ''\n\n\
             #? the value\n[[columns]]\nname = \"value\"\nprefix = ''\nsuffix = ''\nscale = 2\nbits = 40\n",
        );
    }
    Ok(out)
}

/// The path, with a segment that looks like a person's id left open in a remark.
fn path(path: &str) -> String {
    let id = |segment: &str| {
        let hex =
            segment.len() >= 8 && segment.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        segment.len() >= 2 && segment.bytes().all(|b| b.is_ascii_digit()) || hex
    };
    let segments: Vec<&str> = path.split('/').collect();
    let Some(at) = segments.iter().position(|s| id(s)) else { return format!("path = {}", quoted(path)) };
    let segment = segments[at];
    let form = match segment {
        s if s.bytes().all(|b| b.is_ascii_digit()) => "",
        s if s.len() == 36 && s.contains('-') => ":uuid",
        _ => ":hex",
    };
    let mut open = segments.clone();
    let name = format!("{{id{form}}}");
    open[at] = &name;
    format!(
        "#? the path has what may be a person's id: everybody has another one there\npath = {}\n#path = {}",
        quoted(&open.join("/")),
        quoted(path)
    )
}

fn parameters(out: &mut String, url: &Url) {
    let Some(query) = url.query().filter(|q| !q.is_empty()) else { return };
    let varying = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["time", "nonce", "sign", "_t", "_", "cache", "rand", "token", "cb"]
            .iter()
            .any(|v| name == *v || (v.len() > 3 && name.contains(v)))
    };
    let (others, fixed): (Vec<_>, Vec<_>) =
        query.split('&').partition(|p| varying(p.split('=').next().unwrap_or_default()));
    if !fixed.is_empty() {
        let pairs: Vec<_> = fixed
            .iter()
            .map(|p| p.split_once('=').unwrap_or((p, "")))
            .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
            .collect();
        let _ = writeln!(
            out,
            "#? each parameter must be there with this value\nquery = {{ {} }}",
            pairs.join(", ")
        );
    }
    if !others.is_empty() {
        let names: Vec<_> = others.iter().map(|p| quoted(p.split('=').next().unwrap_or_default())).collect();
        let _ = writeln!(
            out,
            "#? these may have any value: none may change what the answer means\nother_query = [{}]",
            names.join(", ")
        );
    }
}

fn headers(out: &mut String, headers: &[HarHeader]) {
    let (mut secret, mut others) = (Vec::new(), Vec::new());
    for h in headers {
        let name = h.name.to_ascii_lowercase();
        let pseudo = name.starts_with(':');
        if pseudo
            || ORDINARY_HEADERS.contains(&name.as_str())
            || REFUSED_HEADERS.contains(&name.as_str())
            || name == "content-type"
        {
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
    if !secret.is_empty() {
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

fn body(out: &mut String, entry: &Entry) {
    let Some(data) = &entry.request.post_data else { return };
    if data.mime_type.to_ascii_lowercase().contains("json") {
        let _ = writeln!(
            out,
            "#? the body that everybody sends, compared as JSON\nbody_json = {}",
            quoted(&data.text)
        );
    } else {
        let _ = writeln!(
            out,
            "#? the body that everybody sends, byte by byte\nbody = {}\ncontent_type = {}",
            quoted(&data.text),
            quoted(&data.mime_type)
        );
    }
}

/// A value of the answer.
struct Candidate {
    path: Path,
    text: String,
    number: bool,
}

fn candidates(out: &mut String, entry: &Entry) -> Result<(), Error> {
    if entry.response.content.encoding.as_deref() == Some("base64") {
        return Err(Error::usage("the answer is binary in this HAR file: save it from another browser"));
    }
    let body: serde_json::Value = serde_json::from_str(&entry.response.content.text)
        .map_err(|e| Error::usage(format!("the answer is no JSON: {e}; save the HAR file with contents")))?;
    let mut all = Vec::new();
    collect(&body, &mut Path { segments: Vec::new() }, &mut all);
    let name = |c: &Candidate| match c.path.segments.last() {
        Some(Segment::Name(name)) => name.clone(),
        _ => String::new(),
    };
    let who = |c: &Candidate| {
        let name = name(c).to_ascii_lowercase();
        [
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
        ]
        .iter()
        .position(|n| name == *n)
    };
    let mut ids: Vec<&Candidate> = all.iter().filter(|c| who(c).is_some()).collect();
    ids.sort_by_key(|c| (who(c), c.path.segments.len()));
    match ids.first() {
        Some(best) => {
            let _ = writeln!(
                out,
                "#? who it is: a value that every person has another one of, and cannot change\n[identity]\nat = {}   # {}",
                quoted(&best.path.to_string()),
                sample(&best.text)
            );
            for other in ids.iter().skip(1).take(5) {
                let _ = writeln!(out, "#at = {}   # {}", quoted(&other.path.to_string()), sample(&other.text));
            }
        }
        None => out.push_str("#? nothing in the answer looks like a person's id: without one, each session counts as a person\n"),
    }
    let numbers: Vec<&Candidate> = all.iter().filter(|c| c.number && who(c).is_none()).collect();
    out.push_str("\n#? the values: keep what is asked for, take the # away, and delete the others\n");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (i, c) in numbers.iter().take(MAX_CANDIDATES).enumerate() {
        let mark = if i == 0 { "" } else { "#" };
        let short: String = name(c)
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let short = if short.is_empty() { "value".to_owned() } else { short };
        let n = seen.entry(short.clone()).or_default();
        *n += 1;
        let label = if *n == 1 { short } else { format!("{short}_{n}") };
        let (places, exponents) = shape(&c.text);
        let exponents = if exponents { format!("\n{mark}exponents = true") } else { String::new() };
        let _ = writeln!(
            out,
            "{mark}[[columns]]\n{mark}name = {}\n{mark}at = {}   # {}\n{mark}scale = {places}\n{mark}bits = 48{exponents}\n",
            quoted(&label),
            quoted(&c.path.to_string()),
            sample(&c.text)
        );
    }
    if numbers.len() > MAX_CANDIDATES {
        let _ = writeln!(out, "# and {} more numbers", numbers.len() - MAX_CANDIDATES);
    }
    Ok(())
}

/// Decimal places of a number's text, and whether it has an exponent.
fn shape(text: &str) -> (usize, bool) {
    let exponent = text.contains(['e', 'E']);
    let fraction = text.split_once('.').map_or(0, |(_, f)| f.bytes().take_while(u8::is_ascii_digit).count());
    (if exponent { 8 } else { fraction.min(18) }, exponent)
}

/// A value's text as a remark: short, and without characters that end a line.
fn sample(text: &str) -> String {
    let short: String = text.chars().take(24).collect();
    printable(&short).replace('\n', " ")
}

/// All numbers and texts of a document. Of lists, elements that have a text of their own to be told by are named by it.
fn collect(value: &serde_json::Value, path: &mut Path, out: &mut Vec<Candidate>) {
    match value {
        serde_json::Value::Number(n) => {
            out.push(Candidate { path: path.clone(), text: n.to_string(), number: true })
        }
        serde_json::Value::String(text) => {
            let number = text.parse::<f64>().is_ok_and(f64::is_finite)
                && text.len() <= 64
                && text.bytes().any(|b| b.is_ascii_digit());
            out.push(Candidate { path: path.clone(), text: text.clone(), number });
        }
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                path.segments.push(Segment::Name(name.clone()));
                collect(value, path, out);
                path.segments.pop();
            }
        }
        serde_json::Value::Array(elements) => {
            let key = key_of(elements);
            for (i, element) in elements.iter().enumerate().take(20) {
                path.segments.push(match key.as_ref().and_then(|k| filter(element, k)) {
                    Some(filter) => filter,
                    None => Segment::Index(i),
                });
                collect(element, path, out);
                path.segments.pop();
            }
        }
        _ => {}
    }
}

/// A member that all elements of a list have, as different texts.
fn key_of(elements: &[serde_json::Value]) -> Option<String> {
    let first = elements.first()?.as_object()?;
    let distinct = |name: &&String| {
        let texts: Vec<_> = elements.iter().filter_map(|e| e.get(name.as_str())?.as_str()).collect();
        let different: std::collections::BTreeSet<_> = texts.iter().collect();
        let plain = texts.iter().all(|t| !t.is_empty() && t.parse::<f64>().is_err() && t.len() <= 64);
        texts.len() == elements.len() && different.len() == texts.len() && plain
    };
    first.keys().find(distinct).cloned()
}

fn filter(element: &serde_json::Value, key: &str) -> Option<Segment> {
    use tercet_protocol::survey::source::{Comparison, Scalar};
    let value = Scalar::from_text(element.get(key)?.as_str()?).ok()?;
    Some(Segment::Filter(vec![Comparison { names: vec![key.to_owned()], value }]))
}

#[cfg(test)]
mod tests {
    use tercet_protocol::survey::SurveyManifest;

    use super::*;

    fn har(url: &str, body: &str, mime: &str) -> String {
        serde_json::json!({"log": {"entries": [
            {"request": {"method": "GET", "url": "https://x.example/app.js", "headers": []},
             "response": {"status": 200, "content": {"mimeType": "application/javascript", "text": "x"}}},
            {"request": {"method": "GET", "url": url, "headers": [
                {"name": ":authority", "value": "x"}, {"name": "Cookie", "value": "s=1"}, {"name": "X-Session-Token", "value": "1"},
                {"name": "User-Agent", "value": "f"}, {"name": "Accept", "value": "*/*"}]},
             "response": {"status": 200, "content": {"mimeType": mime, "text": body}}},
        ]}})
        .to_string()
    }

    #[test]
    fn a_draft_needs_a_key_and_is_then_a_survey() {
        let body = r#"{"uid":77,"email":"a@b.c","balances":[{"asset":"BTC","free":"1"},{"asset":"ETH","free":"12.50"}],"tiny":1e-7,"note":"x"}"#;
        let url = "https://api.exchange.test/v3/users/4711/account?currency=EUR&timestamp=1&signature=ab";
        let text = draft(har(url, body, "application/json; charset=utf-8").as_bytes(), None).unwrap();
        for part in [
            "server_name = \"api.exchange.test\"",
            "path = \"/v3/users/{id}/account\"",
            "currency",
            "other_query = [\"timestamp\", \"signature\"]",
            "credentials = [\"cookie\", \"x-session-token\"]",
            "#other_headers = [\"user-agent\"]",
            "at = \"$.uid\"",
            "$.balances[?@.asset=='ETH'].free",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("s=1"), "no secret is written");
        let keyed = text.replace("key = \"\"", &format!("key = \"{}\"", "ab".repeat(32)));
        let survey = SurveyManifest::from_toml(&keyed).unwrap_or_else(|e| panic!("{e}\n{keyed}"));
        assert_eq!(survey.columns.len(), 1);
    }

    #[test]
    fn what_is_no_use_is_said() {
        assert!(draft(b"{}", None).unwrap_err().to_string().contains("no HAR file"));
        let none = har("https://a.b/x", "x", "image/png");
        assert!(draft(none.as_bytes(), None).unwrap_err().to_string().contains("no such exchange"));
        let page = har("https://a.test/x", "<html>", "text/html; charset=utf-8");
        let text = draft(page.as_bytes(), Some("a.test")).unwrap();
        assert!(text.contains("format = \"text\"") && text.contains("media_type = \"text/html\""));
        assert_eq!(exchanges(page.as_bytes()).unwrap(), ["https://a.test/x"]);
    }
}
