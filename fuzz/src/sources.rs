//! A survey, a request and a response together: the result of the source rules, beside a parser that others wrote.

use std::ops::Range;

use serde_json::Value as Json;
use tercet_evidence::json::{self, Document, Selection, Value};
use tercet_evidence::{Bindings, Commitment, Data, Kind, Policy, Transcript, http, plan};
use tercet_mpc::HashAlg;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::SurveyManifest;
use tercet_protocol::survey::source::{Comparison, Path, Place, Rules, Scalar, Segment};

/// Two lengths (`u16`), the survey's file, the request, the response. Zero bytes are hidden.
pub fn exchange(data: &[u8]) {
    let Some((&[a, b, c, d], rest)) = data.split_first_chunk() else { return };
    let (survey, rest) = rest.split_at(rest.len().min(u16::from_le_bytes([a, b]).into()));
    let (sent, received) = rest.split_at(rest.len().min(u16::from_le_bytes([c, d]).into()));
    let Some(manifest) = str::from_utf8(survey).ok().and_then(|text| SurveyManifest::read(text).ok()) else {
        return;
    };
    let Ok(policy) = Policy::new(SurveyId([5; 32]), &manifest) else { return };
    let (sent, received) = (hidden(sent), hidden(received));
    document(policy.rules(), &received);
    let commitments = commitments(&received);
    for bindings in [Bindings::Hashes(commitments), Bindings::Keystream] {
        let transcript = Transcript {
            kind: Kind::Presentation,
            server: manifest.source.server_name.clone(),
            time: manifest.survey.opens.unix_timestamp().try_into().unwrap_or(0),
            session: vec![1; 32],
            sent: sent.clone(),
            received: received.clone(),
            bindings,
        };
        let Ok(admitted) = policy.admit(&transcript) else { continue };
        assert_eq!(admitted.columns.len(), manifest.hidden_names().len());
        // Every hidden byte of the response is a column's or inert, and none is both.
        let inert = admitted.inert.iter().filter(|i| i.direction == tercet_evidence::Direction::Received);
        let mut all: Vec<Range<usize>> = admitted.columns.iter().flat_map(|c| c.pieces.clone()).collect();
        all.extend(inert.flat_map(|i| i.pieces.clone()));
        all.sort_by_key(|r| r.start);
        assert_eq!(all, received.hidden);
        if let Some(identity) = &admitted.identity {
            assert!(!identity.as_str().is_empty() && identity.as_str().len() <= 256);
        }
        // Each column has a format, in quotes or not.
        let formats = admitted.columns.iter().enumerate().map(|(i, c)| manifest.format(i, c.quoted));
        assert!(formats.into_iter().all(|f| f.is_some()));
    }
    if received.hidden.is_empty()
        && let Ok(located) = plan::locate(policy.rules(), &received.bytes)
    {
        for value in located {
            assert!(!value.text.is_empty());
            let joined: Vec<u8> =
                value.pieces.iter().flat_map(|p| received.bytes[p.clone()].to_vec()).collect();
            assert_eq!(joined, value.text);
        }
    }
}

fn hidden(bytes: &[u8]) -> Data {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (i, _) in bytes.iter().enumerate().filter(|(_, b)| **b == 0) {
        match ranges.last_mut() {
            Some(run) if run.end == i => run.end += 1,
            _ => ranges.push(i..i + 1),
        }
    }
    Data { bytes: bytes.to_vec(), hidden: ranges }
}

fn commitments(received: &Data) -> Vec<Commitment> {
    let Ok(Some(response)) = http::read_response(received) else { return Vec::new() };
    let one =
        |hole| Commitment { ranges: response.on_wire(hole), algorithm: HashAlg::Blake3, digest: [9; 32] };
    response.holes(&received.hidden).iter().map(one).collect()
}

/// A document without holes that we read, the other parser reads alike, and what the survey's paths select in it is the same.
fn document(rules: &Rules, received: &Data) {
    let Ok(Some(response)) = http::read_response(received) else { return };
    if !response.holes(&received.hidden).is_empty() {
        return;
    }
    let Ok(ours) = json::parse(&response.body, 0, &[]) else { return };
    let theirs: Json = match serde_json::from_slice(&response.body) {
        Ok(theirs) => theirs,
        // It reads numbers as floating point only.
        Err(e) if e.to_string().contains("number out of range") => return,
        Err(e) => panic!("the other parser refuses what ours reads: {e}"),
    };
    assert!(same(&ours, Document::ROOT, &theirs), "two readings of one document");
    let places = rules.committed.iter().map(|c| &c.place);
    for place in places.chain(rules.identity.iter().chain(&rules.fields).map(|w| &w.place)) {
        let Place::Json(path) = place else { continue };
        let Some(expected) = selected(path, &theirs) else { continue };
        let found = json::select(&ours, path).expect("something is unknown where nothing is hidden");
        match (found, &expected[..]) {
            (Selection::Nothing, []) => {}
            (Selection::One(id), [one]) => assert!(same(&ours, id, one), "{path} selects another value"),
            (Selection::Several(n), several) => assert_eq!(n, several.len(), "{path}"),
            (found, expected) => panic!("{path} selects {found:?}, not {expected:?}"),
        }
    }
}

/// The reference of path evaluation, by RFC 9535. None where a filter reads what the other parser does not know exactly.
fn selected<'a>(path: &Path, root: &'a Json) -> Option<Vec<&'a Json>> {
    let children = |value: &'a Json| -> Vec<&'a Json> {
        match value {
            Json::Array(all) => all.iter().collect(),
            Json::Object(all) => all.values().collect(),
            _ => Vec::new(),
        }
    };
    let mut nodes = vec![root];
    for segment in &path.segments {
        let mut next = Vec::new();
        for node in nodes {
            match segment {
                Segment::Name(name) => next.extend(node.as_object().and_then(|o| o.get(name))),
                Segment::Index(index) => next.extend(node.as_array().and_then(|a| a.get(*index))),
                Segment::Wildcard => next.extend(children(node)),
                Segment::Filter(comparisons) => {
                    for child in children(node) {
                        let all: Option<Vec<bool>> = comparisons.iter().map(|c| holds(c, child)).collect();
                        next.extend(all?.into_iter().all(|holds| holds).then_some(child));
                    }
                }
            }
        }
        nodes = next;
    }
    Some(nodes)
}

fn holds(comparison: &Comparison, element: &Json) -> Option<bool> {
    let member = comparison.names.iter().try_fold(element, |at, name| at.as_object()?.get(name));
    let value = match member {
        Some(Json::String(text)) => Scalar::from_text(text),
        Some(Json::Number(n)) if n.is_f64() => return None,
        Some(Json::Number(n)) => Scalar::from_number(&n.to_string()),
        _ => return Some(false),
    };
    Some(value.is_ok_and(|value| value == comparison.value))
}

fn same(d: &Document<'_>, id: usize, other: &Json) -> bool {
    match (&d.node(id).value, other) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        // Large ones become floating point there, and not always the nearest one.
        (Value::Number(at), Json::Number(n)) => {
            let (a, b) = (d.number(at).parse::<f64>().unwrap(), n.as_f64().unwrap());
            (a - b).abs() <= (a.abs() * 1e-14).max(f64::MIN_POSITIVE)
        }
        (Value::Text(i), Json::String(text)) => d.string(*i) == text,
        (Value::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(d, *a, b))
        }
        (Value::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(n, v)| b.get(d.string(*n)).is_some_and(|b| same(d, *v, b)))
        }
        _ => false,
    }
}

/// Surveys of all kinds of places, each with an exchange that it admits.
pub fn exchange_seeds() -> Vec<Vec<u8>> {
    let survey = |source: &str, rest: &str| {
        format!(
            "[survey]\nname='s'\ntitle='s'\nopens='2025-01-01T00:00:00Z'\ncloses='2030-01-01T00:00:00Z'\nmin_cohort=10\nmin_new=5\n\
             statistics=['count','mean']\n[source]\nserver_name='a.test'\nmethod='GET'\npath='/u/{{id}}'\n{source}\n[[notaries]]\nname='n'\n\
             algorithm='secp256k1'\nkey='035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c'\n{rest}"
        )
    };
    let column = |place: &str| format!("[[columns]]\nname='v'\n{place}\nscale=2\nbits=40\n");
    let request = "GET /u/77?a=%31 HTTP/1.1\r\nHost: a.test\r\nCookie: \0\0\0\r\n\r\n";
    let plain = |media: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let json = "{\"u\":{\"id\":7.7e1},\"l\":[{\"k\":\"x\",\"v\":\"1\"},{\"k\":\"y\",\"v\":\"\0\0\0\0\"}],\"c\":null}";
    let (a, b) = json.split_at(40);
    let chunked = format!(
        "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x} ;x=\"y\"\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\nT: u\r\n\r\n",
        a.len(),
        b.len()
    );
    let by_path = "[identity]\nat='$.u.id'\n[[fields]]\nname='c'\nat='$.c'\nmissing='none'\n".to_owned()
        + &column("at=\"$.l[?@.k=='y'].v\"\nwithin='$.l'\nabsent='missing'");
    let by_tokens = "[identity]\npath='id'\n".to_owned() + &column("prefix='\"k\":\"y\",\"v\":'\nsuffix='}'");
    let text = "[identity]\nprefix='<u>'\nsuffix='<'\n".to_owned()
        + &column("prefix='<v>'\nsuffix='</v>'\ngrouping=','");
    let cases = [
        (survey("query={a='1'}", &by_path), plain("application/json", json)),
        (survey("other_query=['a']", &by_path), chunked.clone()),
        (survey("query={a='1'}", &by_tokens), chunked),
        (
            survey("other_query=['a']\nformat='text'\nmedia_type='text/html'", &text),
            plain("text/html", "<u>x</u><v>\0\0\0</v>"),
        ),
        (survey("query={a='1'}", &by_path), plain("application/json", &json.replace('\0', "7"))),
    ];
    let own = cases.into_iter().map(|(survey, response)| seed(&survey, request, &response));
    own.chain(tried()).collect()
}

fn seed(survey: &str, request: &str, response: &str) -> Vec<u8> {
    let length = |text: &str| u16::try_from(text.len()).unwrap().to_le_bytes();
    [&length(survey)[..], &length(request), survey.as_bytes(), request.as_bytes(), response.as_bytes()]
        .concat()
}

/// The exchanges of `tests/fixtures/exchanges.json`, whose parts that are not written there are the usual ones.
fn tried() -> Vec<Vec<u8>> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/exchanges.json");
    let cases: Vec<Json> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let one = |case: &Json| {
        let part = |name: &str, usual: &str| case["survey"][name].as_str().unwrap_or(usual).to_owned();
        let survey = format!(
            "[survey]\nname='s'\ntitle='s'\nopens='2025-01-01T00:00:00Z'\ncloses='2030-01-01T00:00:00Z'\nmin_cohort=1\nmin_new=1\n\
             statistics=['count']\n[source]\nserver_name='api.bank.test'\nmethod='{}'\npath='{}'\n{}\n[[notaries]]\nname='n'\n\
             algorithm='secp256k1'\nkey='035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c'\n{}{}{}",
            part("method", "GET"),
            part("path", "/v1/account"),
            part("source", ""),
            part("identity", "[identity]\nat='$.uid'\n"),
            part("column", "[[columns]]\nname='balance'\nat='$.balance'\nscale=2\nbits=48\n"),
            part("extra", ""),
        );
        let text = |name: &str, usual: &str| hide(case[name].as_str().unwrap_or(usual));
        let request = text("request", "GET /v1/account HTTP/1.1\r\nHost: api.bank.test\r\n\r\n");
        let response = text(
            "response",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n{\"uid\":77,\"balance\":\"⟦12.50⟧\"}",
        );
        seed(&survey, &request, &response)
    };
    cases.iter().map(one).collect()
}

/// Zeros for what stands between marks.
fn hide(marked: &str) -> String {
    let mut out = String::new();
    let mut hidden = false;
    for c in marked.chars() {
        match c {
            '⟦' => hidden = true,
            '⟧' => hidden = false,
            c if hidden => out.push_str(&"\0".repeat(c.len_utf8())),
            c => out.push(c),
        }
    }
    out
}
