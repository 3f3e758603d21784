//! A survey, a request and a response together: the result of the source rules, beside a parser that others wrote.

use std::ops::Range;

use serde_json::Value as Json;
use tercet_evidence::json::{self, Document, Value};
use tercet_evidence::{Bindings, Commitment, Data, Kind, Policy, Transcript, http, plan};
use tercet_mpc::HashAlg;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::SurveyManifest;

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
    document(&received);
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

/// A document without holes that we read, the other parser reads alike.
fn document(received: &Data) {
    let Ok(Some(response)) = http::read_response(received) else { return };
    if !response.holes(&received.hidden).is_empty() {
        return;
    }
    let Ok(ours) = json::parse(&response.body, 0, &[]) else { return };
    let theirs: Json =
        serde_json::from_slice(&response.body).expect("the other parser refuses what ours reads");
    assert!(same(&ours, Document::ROOT, &theirs), "two readings of one document");
}

fn same(d: &Document<'_>, id: usize, other: &Json) -> bool {
    match (&d.node(id).value, other) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        // Large ones become floating point there.
        (Value::Number(at), Json::Number(n)) => d.number(at).parse::<f64>().ok() == n.as_f64(),
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
    cases
        .into_iter()
        .map(|(survey, response)| {
            let length = |text: &str| u16::try_from(text.len()).unwrap().to_le_bytes();
            [
                &length(&survey)[..],
                &length(request),
                survey.as_bytes(),
                request.as_bytes(),
                response.as_bytes(),
            ]
            .concat()
        })
        .collect()
}
