//! Requests in all their spellings, and requests and frames with one byte changed: what is admitted says what it said before.

use proptest::prelude::*;
use tercet_evidence::{Admitted, Bindings, Commitment, Data, Kind, Policy, Refusal, Transcript, http};
use tercet_mpc::HashAlg;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::SurveyManifest;

const SURVEY: &str = concat!(
    survey_head!(),
    r#"[source]
server_name = "a.example"
method = "GET"
path = "/v1/account"
query = { account = "own", q = "a%20b%2F%C3%A9%25" }
other_query = ["timestamp"]
[[notaries]]
name = "n"
algorithm = "secp256k1"
key = "035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c"
[identity]
at = "$.id"
[[fields]]
name = "land"
at = "$.land"
[[columns]]
name = "v"
at = "$.v"
scale = 2
bits = 20
"#
);

const REQUEST: &str = "GET /v1/account?account=own&q=a+b/%C3%A9%25&timestamp=17 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\
                       Accept-Language: de\r\nConnection: close\r\n\r\n";

/// `0` bytes are hidden: the value, over two chunks.
const RESPONSE: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\
                        Age: 12\r\nX-Note: y\r\nTransfer-Encoding: chunked\r\n\r\n1b;a=\"b\"\r\n{\"id\":77,\"land\":\"DE\",\"v\":\"\0\r\n\
                        5 ;x\r\n\0\0\0\"}\r\n0\r\nServer-Timing: db;dur=3\r\n\r\n";

fn policy() -> Policy {
    Policy::new(SurveyId([5; 32]), &SurveyManifest::from_toml(SURVEY).unwrap()).unwrap()
}

fn admit(policy: &Policy, request: &[u8], response: &[u8]) -> Result<Admitted, Refusal> {
    let mut hidden: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, _) in RESPONSE.bytes().enumerate().filter(|(_, b)| *b == 0) {
        match hidden.last_mut() {
            Some(run) if run.end == i => run.end += 1,
            _ => hidden.push(i..i + 1),
        }
    }
    policy.admit(&Transcript {
        kind: Kind::Presentation,
        server: "a.example".into(),
        time: 1_741_091_696,
        session: vec![1; 32],
        sent: Data { bytes: request.to_vec(), hidden: Vec::new() },
        received: Data { bytes: response.to_vec(), hidden: hidden.clone() },
        bindings: Bindings::Hashes(vec![Commitment {
            ranges: hidden,
            algorithm: HashAlg::Blake3,
            digest: [9; 32],
        }]),
    })
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A server's reading of a request, written apart from ours: method, path and version, parameters, headers.
fn meaning(request: &[u8]) -> Option<(String, Pairs, Pairs)> {
    let text = String::from_utf8_lossy(request);
    let (line, rest) = text.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let (path, query) = target.split_once('?')?;
    let decode = |text: &str| -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut at = 0;
        while let Some(b) = text.as_bytes().get(at) {
            at += 1;
            match b {
                b'%' => {
                    out.push(u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?);
                    at += 2;
                }
                b'+' => out.push(b' '),
                b => out.push(*b),
            }
        }
        Some(out)
    };
    let mut parameters = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.push((decode(name)?, decode(value)?));
    }
    // Free ones do not choose anything: their values do not count.
    parameters.iter_mut().filter(|(name, _)| name == b"timestamp").for_each(|(_, value)| value.clear());
    parameters.sort();
    let mut headers = Vec::new();
    for line in rest.strip_suffix("\r\n\r\n")?.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        headers
            .push((name.to_ascii_lowercase().into_bytes(), value.trim().to_ascii_lowercase().into_bytes()));
    }
    // These choose no answer of another person.
    headers.retain(|(name, _)| !name.starts_with(b"accept"));
    headers.sort();
    Some((format!("{method} {path} {version}"), parameters, headers))
}

fn spelled(text: &str, dice: &mut impl FnMut(u8) -> u8) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        let plain = b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
        match dice(3) {
            0 if plain => out.push(char::from(b)),
            0 if b == b' ' => out.push('+'),
            1 => out.push_str(&format!("%{b:02X}")),
            _ => out.push_str(&format!("%{b:02x}")),
        }
    }
    out
}

#[test]
fn the_exchange_is_admitted() {
    let admitted = admit(&policy(), REQUEST.as_bytes(), RESPONSE.as_bytes()).unwrap();
    assert_eq!((admitted.fields.as_slice(), admitted.columns[0].length()), (&["DE".to_owned()][..], 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn spellings_of_one_request_are_one(seed in prop::collection::vec(any::<u8>(), 64), turned: bool) {
        let mut rolls = seed.iter().cycle();
        let mut dice = |n: u8| rolls.next().unwrap() % n;
        let mut pairs: Vec<String> = [("account", "own"), ("q", "a b/é%"), ("timestamp", "17")]
            .map(|(name, value)| format!("{}={}", spelled(name, &mut dice), spelled(value, &mut dice)))
            .to_vec();
        let by = usize::from(dice(3));
        pairs.rotate_left(by);
        if turned {
            pairs.reverse();
        }
        let request = format!("GET /v1/account?{} HTTP/1.1\r\nhOST: A.example\r\n\r\n", pairs.join("&"));
        admit(&policy(), request.as_bytes(), RESPONSE.as_bytes()).unwrap();
    }

    #[test]
    fn a_changed_request_is_refused_or_means_the_same(at: prop::sample::Index, to: u8) {
        let mut request = REQUEST.as_bytes().to_vec();
        let at = at.index(request.len());
        request[at] = to;
        if admit(&policy(), &request, RESPONSE.as_bytes()).is_ok() {
            let (before, after) = (meaning(REQUEST.as_bytes()), meaning(&request));
            prop_assert!(after.is_some() && before == after, "{}", String::from_utf8_lossy(&request));
        }
    }

    #[test]
    fn a_request_with_more_in_it_is_refused_or_means_the_same(
        at: prop::sample::Index,
        more in prop::sample::select(vec![
            "\r\n", "\n", " ", "&", "?", "#", ";", "/", "%", "\0", "&q=x", "\r\nHost: b", "\r\nX-User: 5", "\t", "..", "\r", "+", "%00",
        ]),
    ) {
        let mut request = REQUEST.to_owned();
        request.insert_str(at.index(request.len() + 1), more);
        if admit(&policy(), request.as_bytes(), RESPONSE.as_bytes()).is_ok() {
            prop_assert_eq!(meaning(REQUEST.as_bytes()), meaning(request.as_bytes()), "{}", request);
        }
    }

    #[test]
    fn a_changed_frame_is_refused_or_says_the_same(at: prop::sample::Index, to: u8) {
        let policy = policy();
        let honest = admit(&policy, REQUEST.as_bytes(), RESPONSE.as_bytes()).unwrap();
        let whole = |bytes: &[u8]| {
            http::read_response(&Data { bytes: bytes.to_vec(), hidden: Vec::new() }).ok().flatten().map(|r| r.body)
        };
        let body = whole(RESPONSE.as_bytes()).unwrap();
        let mut response = RESPONSE.as_bytes().to_vec();
        let at = at.index(response.len());
        // What stands in the chunks, and what is hidden, is the server's.
        let read = http::read_response(&Data { bytes: response.clone(), hidden: Vec::new() }).unwrap().unwrap();
        prop_assume!(read.pieces.iter().all(|p| !p.contains(&at)));
        response[at] = to;
        if let Ok(admitted) = admit(&policy, REQUEST.as_bytes(), &response) {
            prop_assert_eq!(admitted, honest);
            prop_assert_eq!(whole(&response), Some(body));
        }
    }
}
