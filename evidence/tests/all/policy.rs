//! The source policy on hand-made transcripts: one honest, then one change for each thing that must be refused.

use std::ops::Range;

use tercet_evidence::{
    Admitted, Binding, Bindings, Commitment, Data, Kind, Policy, Refusal, Rule, Transcript,
};
use tercet_mpc::HashAlg;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::SurveyManifest;

use crate::SURVEY;

const SENT: &str = "GET /api/v3/account?omitZeroBalances=true HTTP/1.1\r\nHost: api.exchange.test\r\n\
                    Connection: close\r\nX-MBX-APIKEY: <secret-key>\r\n\r\n";
const BODY: &str = r#"{"balances":[{"asset":"BNB","free":"1.5","locked":"0"},{"asset":"ETH","free":"<12.5>","locked":"0"}],"uid":77}"#;

/// The transcript that a prover shows: `<…>` marks a hidden stretch; those of the response get a commitment each.
struct Shown {
    sent: String,
    received: String,
    time: u64,
    server: &'static str,
    session: [u8; 32],
    commitments: Option<Vec<Commitment>>,
}

fn with_body(body: &str) -> String {
    let length = body.replace(['<', '>'], "").len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn honest() -> Shown {
    let time = 1_741_091_696;
    Shown {
        sent: SENT.into(),
        received: with_body(BODY),
        time,
        server: "api.exchange.test",
        session: [1; 32],
        commitments: None,
    }
}

fn parse(marked: &str) -> (Vec<u8>, Vec<Range<usize>>) {
    let (mut bytes, mut hidden, mut start) = (Vec::new(), Vec::new(), None);
    for b in marked.bytes() {
        match b {
            b'<' => start = Some(bytes.len()),
            b'>' => hidden.push(start.take().unwrap()..bytes.len()),
            _ => bytes.push(if start.is_some() { 0 } else { b }),
        }
    }
    (bytes, hidden)
}

fn commitment(range: Range<usize>) -> Commitment {
    Commitment { ranges: vec![range], algorithm: HashAlg::Sha256, digest: [9; 32] }
}

fn check(survey: &str, shown: &Shown) -> Result<Admitted, Refusal> {
    let survey = SurveyManifest::from_toml(survey).unwrap();
    let (sent, sent_hidden) = parse(&shown.sent);
    let (received, received_hidden) = parse(&shown.received);
    let commitments = shown
        .commitments
        .clone()
        .unwrap_or_else(|| received_hidden.iter().cloned().map(commitment).collect());
    let transcript = Transcript {
        kind: Kind::Presentation,
        server: shown.server.into(),
        time: shown.time,
        session: shown.session.to_vec(),
        sent: Data { bytes: sent, hidden: sent_hidden },
        received: Data { bytes: received, hidden: received_hidden },
        bindings: Bindings::Hashes(commitments),
    };
    Policy::new(SurveyId([5; 32]), &survey).unwrap().admit(&transcript)
}

fn refused(shown: &Shown) -> Rule {
    match check(SURVEY, shown) {
        Err(refusal) => refusal.rule,
        Ok(_) => panic!("admitted:\n{}\n{}", shown.sent, shown.received),
    }
}

#[test]
fn the_honest_transcript_is_admitted() {
    let shown = honest();
    let admitted = check(SURVEY, &shown).unwrap();
    let at = parse(&shown.received).1[0].clone();
    assert_eq!(admitted.columns[0].pieces, [at]);
    assert_eq!(admitted.columns[0].binding, Binding::Hash { alg: HashAlg::Sha256, commitment: [9; 32] });
}

#[test]
fn requests_that_mean_something_else_are_refused() {
    let cases = [
        ("GET ", "POST ", Rule::RequestTarget),
        ("/api/v3/account", "/api/v3/demo", Rule::RequestTarget),
        ("omitZeroBalances=true", "omitZeroBalances=false", Rule::RequestQuery),
        ("?omitZeroBalances=true", "", Rule::RequestQuery),
        ("=true ", "=true&omitZeroBalances=true ", Rule::RequestQuery),
        ("=true ", "=true&%6fmitZeroBalances=true ", Rule::RequestQuery),
        ("=true ", "=true&limit=1 ", Rule::RequestQuery),
        ("=true ", "=true;limit=1 ", Rule::RequestQuery),
        ("=true ", "=true#x ", Rule::RequestTarget),
        ("?omitZero", "?<omitZero>", Rule::RequestTarget),
        ("Host: api.exchange.test", "Host: demo.exchange.test", Rule::RequestHost),
        ("Host: api.exchange.test", "Host: <api.exchange.test>", Rule::RequestHeader),
        ("Host: api.exchange.test\r\n", "", Rule::RequestHost),
        ("Connection: close", "Host: api.exchange.test", Rule::RequestHost),
        ("Connection: close", "Connection: upgrade", Rule::RequestHeader),
        ("Connection: close\r\n", "<Connection: close\r\n>", Rule::Request),
        ("Connection: close", "Connection: <close>", Rule::RequestHeader),
        ("Connection: close", "Transfer-Encoding: chunked", Rule::RequestHeader),
        ("Connection: close", "X-HTTP-Method-Override: PUT", Rule::RequestHeader),
        ("Connection: close", "X_HTTP_Method_Override: PUT", Rule::RequestHeader),
        ("Connection: close", "X-Forwarded-User: 78", Rule::RequestHeader),
        ("Connection: close", "X-Currency: JPY", Rule::RequestHeader),
        ("Connection: close", "Range: bytes=5-", Rule::RequestHeader),
        ("Connection: close", "Content-Length: 5", Rule::Request),
        ("HTTP/1.1", "HTTP/1.0", Rule::Request),
    ];
    for (from, to, rule) in cases {
        assert!(SENT.contains(from), "{from}");
        assert_eq!(refused(&Shown { sent: SENT.replacen(from, to, 1), ..honest() }), rule, "{to}");
    }
    let pipelined = format!("{SENT}GET /other HTTP/1.1\r\nHost: api.exchange.test\r\n\r\n");
    assert_eq!(refused(&Shown { sent: pipelined, ..honest() }), Rule::Request);
    assert_eq!(refused(&Shown { sent: format!("\r\n{SENT}"), ..honest() }), Rule::Request);
    assert_eq!(refused(&Shown { sent: SENT[..40].into(), ..honest() }), Rule::Request);
    let signed = Shown { sent: SENT.replace("=true", "=true&timestamp=1&signature=ab"), ..honest() };
    assert_eq!(refused(&signed), Rule::RequestQuery);
    let listed = SURVEY.replacen("method =", "other_query = ['timestamp', 'signature']\nmethod =", 1);
    assert!(check(&listed, &signed).is_ok());
}

#[test]
fn responses_that_are_not_exactly_one_are_refused() {
    let good = with_body(BODY);
    let cases = [
        ("HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", Rule::Response),
        ("HTTP/1.1 200 OK", "HTTP/2 200 OK", Rule::Response),
        ("HTTP/1.1 200 OK", "HTTP/1.1 206 Partial", Rule::Response),
        ("HTTP/1.1 200 OK", "HTTP/1.1 101 Switching Protocols", Rule::Response),
        ("Content-Type: application/json", "Content-Type: text/html", Rule::MediaType),
        ("Content-Type: application/json", "Content-Type: application/json; charset=utf-16", Rule::Response),
        ("Content-Type: application/json", "Content-Type: application/json\r\nAge: 7200", Rule::Response),
        (
            "Content-Type: application/json",
            "Content-Type: application/json\r\nSet-Cookie: <a=b>",
            Rule::Hidden,
        ),
        ("Content-Type: application/json", "Content-Type: <application/json>", Rule::Response),
        ("Content-Type: application/json", "Content-Encoding: gzip", Rule::Response),
        ("Content-Type: application/json", "Transfer-Encoding: chunked", Rule::Response),
        ("Content-Type: application/json", "Transfer-Encoding: gzip", Rule::Response),
        ("Content-Length: ", "Content-Length: +", Rule::Response),
        ("Content-Length: ", "X-Length: ", Rule::Response),
        ("Content-Length: ", "Content-Length: 9", Rule::Response),
    ];
    for (from, to, rule) in cases {
        assert!(good.contains(from), "{from}");
        assert_eq!(refused(&Shown { received: good.replacen(from, to, 1), ..honest() }), rule, "{to}");
    }
    assert_eq!(
        refused(&Shown { received: format!("{good}HTTP/1.1 200 OK\r\n\r\n"), ..honest() }),
        Rule::Response
    );
    assert_eq!(refused(&Shown { received: good[..good.len() - 1].into(), ..honest() }), Rule::Response);
}

fn chunked(chunks: &[&str], end: &str) -> String {
    let mut text =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for c in chunks {
        text += &format!("{:x}\r\n{c}\r\n", c.replace(['<', '>'], "").len());
    }
    text + end
}

#[test]
fn chunked_responses_are_read_as_their_body() {
    let middle = BODY.find("ETH").unwrap() + 1;
    let (a, b) = BODY.split_at(middle);
    let two = chunked(&[a, b], "0\r\n\r\n");
    assert!(
        check(SURVEY, &Shown { received: two.clone(), ..honest() }).is_ok(),
        "a literal may lie across chunks"
    );
    for end in ["0\r\nTrailer-Of-Mine: x\r\n\r\n", "0 ; ext=\"a\"\r\n\r\n", "000\r\n\r\n"] {
        assert!(check(SURVEY, &Shown { received: chunked(&[BODY], end), ..honest() }).is_ok(), "{end:?}");
    }
    for end in [
        "0\r\n",
        "",
        "0\r\nTrailer: x\r\n\r\n",
        "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "5;=\r\nhello\r\n0\r\n\r\n",
        "ffffffff\r\n",
    ] {
        let rule = refused(&Shown { received: chunked(&[BODY], end), ..honest() });
        assert_eq!(rule, Rule::Response, "{end:?}");
    }
}

#[test]
fn a_value_over_two_chunks_is_one_value() {
    // The value's bytes are hidden in both chunks under one commitment of two ranges.
    let at = BODY.find("<12.5>").unwrap();
    let first = format!("{}<12>", &BODY[..at]);
    let second = format!("<.5>{}", &BODY[at + 6..]);
    let received = chunked(&[&first, &second], "0\r\n\r\n");
    let (_, hidden) = parse(&received);
    let both = Commitment { ranges: hidden, algorithm: HashAlg::Sha256, digest: [9; 32] };
    let shown = Shown { received: received.clone(), commitments: Some(vec![both.clone()]), ..honest() };
    let admitted = check(SURVEY, &shown).unwrap();
    assert_eq!((admitted.columns[0].pieces.clone(), admitted.columns[0].length()), (both.ranges, 4));
    // Each piece under a commitment of its own is no value.
    assert_eq!(refused(&Shown { received, ..honest() }), Rule::Commitment);
}

#[test]
fn values_out_of_place_are_refused() {
    let cases = [
        (r#""asset":"ETH","free":"<12.5>""#, r#""asset":"BTC","free":"<12.5>""#, Rule::Column),
        ("<12.5>", "12.5", Rule::Column),
        ("<12.5>", "1<2.5>", Rule::Hidden),
        ("<12.5>", "<12.>5", Rule::Hidden),
        ("\"<12.5>\"", "-<5>", Rule::Hidden),
        ("\"<12.5>\"", "<5>e3", Rule::Hidden),
        ("\"<12.5>\"", "{\"<free>\":1}", Rule::Hidden),
        (r#"<12.5>","locked""#, r#"<12.5>","lock""#, Rule::Column),
        (r#""free":"1.5""#, r#""free":"<1.5>""#, Rule::Hidden),
        (r#"{"asset":"BNB","free":"1.5""#, r#"{"asset":"<BNB>","free":"1.5""#, Rule::Column),
        (r#"{"asset":"BNB","free":"1.5""#, r#"{"asset":"ETH","free":"1.5""#, Rule::Column),
        (r#""uid":77"#, r#""uid":<77>"#, Rule::Hidden),
        (r#""uid":77"#, r#""uid":"#, Rule::Json),
        (r#""uid":77"#, r#""uid":77,"uid":78"#, Rule::Json),
        (r#""uid":77"#, r#""a":{"uid":78},"uid":77"#, Rule::Identity),
        (r#""uid":77"#, r#""user":77"#, Rule::Identity),
        (r#""uid":77"#, r#""uid":77.5"#, Rule::Identity),
        (r#""uid":77"#, r#""uid":null"#, Rule::Identity),
        (r#""uid":77"#, r#""uid":true"#, Rule::Identity),
        (r#""uid":77"#, r#""uid":"""#, Rule::Identity),
        (r#""uid":77"#, r#""uid":1e40"#, Rule::Identity),
    ];
    for (from, to, rule) in cases {
        assert!(BODY.contains(from), "{from}");
        assert_eq!(
            refused(&Shown { received: with_body(&BODY.replacen(from, to, 1)), ..honest() }),
            rule,
            "{to}"
        );
    }
    let long = format!("<{}>", "1".repeat(65));
    assert_eq!(
        refused(&Shown { received: with_body(&BODY.replace("<12.5>", &long)), ..honest() }),
        Rule::Column
    );
}

#[test]
fn each_column_needs_exactly_one_commitment() {
    let at = parse(&honest().received).1[0].clone();
    let wider = commitment(at.start..at.end + 1);
    let cases = [
        vec![],
        vec![wider],
        vec![commitment(at.clone()), Commitment { digest: [8; 32], ..commitment(at.clone()) }],
    ];
    for commitments in cases {
        let n = commitments.len();
        assert_eq!(refused(&Shown { commitments: Some(commitments), ..honest() }), Rule::Commitment, "{n}");
    }
    // Commitments to other bytes do not matter.
    let others = vec![commitment(0..3), commitment(at)];
    assert!(check(SURVEY, &Shown { commitments: Some(others), ..honest() }).is_ok());
}

#[test]
fn server_and_time_must_be_the_surveys() {
    assert_eq!(refused(&Shown { server: "api.exchange.example", ..honest() }), Rule::ServerName);
    assert_eq!(refused(&Shown { time: 1, ..honest() }), Rule::Time);
    assert_eq!(refused(&Shown { time: u64::MAX, ..honest() }), Rule::Time);
}

#[test]
fn nullifiers_are_the_identitys() {
    let of = |shown: &Shown| check(SURVEY, shown).unwrap().nullifier;
    let first = of(&honest());
    let other_balance =
        Shown { received: with_body(&BODY.replace("12.5", "13.5")), session: [2; 32], ..honest() };
    assert_eq!(first, of(&other_balance), "the same person on another day");
    for spelling in ["77.0", "\"77\"", " 7.7e1", "\"\\u0037\\u0037\"", "770e-1"] {
        let same = Shown { received: with_body(&BODY.replace("77", spelling)), ..honest() };
        assert_eq!(first, of(&same), "{spelling}");
    }
    for other in ["78", "-77", "\"077\"", "\"77 \"", "\"+77\""] {
        assert_ne!(
            first,
            of(&Shown { received: with_body(&BODY.replace("77", other)), ..honest() }),
            "{other}"
        );
    }
    let other_person = Shown { received: with_body(&BODY.replace("77", "78")), ..honest() };
    // Without an identity, a session counts once.
    let start = SURVEY.find("[identity]").unwrap();
    let end = SURVEY.find("[[columns]]").unwrap();
    let anonymous = format!("{}{}", &SURVEY[..start], &SURVEY[end..]);
    let of = |shown: &Shown| check(&anonymous, shown).unwrap().nullifier;
    assert_eq!(of(&honest()), of(&other_person));
    assert_ne!(of(&honest()), of(&other_balance));
}

/// The cohort's survey with a second column and a field.
fn wide(statistics: &str) -> String {
    let column =
        SURVEY[SURVEY.find("[[columns]]").unwrap()..].replace("eth_free", "btc").replace("ETH", "BTC");
    let field = "[[fields]]\nname = \"country\"\nprefix = '\"country\":\"'\nsuffix = '\"'\nvalues = [\"DE\", \"FR\"]\n";
    format!("{}\n{field}{column}", SURVEY.replace("\"variance\", \"stddev\"]", &format!("{statistics}]")))
}

const WITH_FIELDS: &str = r#"{"balances":[{"asset":"BNB","free":"1.5","locked":"0"},{"asset":"ETH","free":"<12.5>","locked":"0"},{"asset":"BTC","free":"<1>","locked":"0"}],"country":"DE","uid":77}"#;

#[test]
fn fields_are_read_from_the_revealed_response() {
    let survey = wide("\"mean@country\"");
    let open = survey.replace("values = [\"DE\", \"FR\"]\n", "");
    let of = |survey: &str, body: &str| check(survey, &Shown { received: with_body(body), ..honest() });
    let admitted = of(&survey, WITH_FIELDS).unwrap();
    assert_eq!((admitted.fields, admitted.columns.len()), (vec!["DE".to_owned()], 2));
    for (from, to) in [
        (r#""country":"DE""#, r#""country":"IT""#),
        (r#""country":"DE""#, r#""country":"<DE>""#),
        (r#""country":"DE""#, r#""country":"""#),
        (r#""country":"DE""#, r#""land":"DE""#),
        (r#""country":"DE""#, r#""country":"DE","country":"DE""#),
        (r#""country":"DE""#, "\"country\":\"D\u{7}E\""),
        (r#""country":"DE""#, "\"country\":\"D\u{85}E\""),
    ] {
        let rule = of(&survey, &WITH_FIELDS.replace(from, to)).unwrap_err().rule;
        let first = if to.contains('<') { Rule::Hidden } else { Rule::Json };
        assert!(rule == Rule::Field || rule == first, "{to}: {rule:?}");
    }
    // Without a list any text is admitted, of bounded length.
    assert_eq!(of(&open, &WITH_FIELDS.replace("DE", "Österreich")).unwrap().fields, ["Österreich"]);
    let long = WITH_FIELDS.replace("\"DE\"", &format!("\"{}\"", "x".repeat(65)));
    assert_eq!(of(&open, &long).unwrap_err().rule, Rule::Field);
}
