use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value as Json, json};
use tercet_protocol::survey::SurveyManifest;

use super::*;

/// A file as Chrome writes it, with entries of other kinds around the exchange.
fn har(request: Json, answer: Json) -> String {
    json!({"log": {"version": "1.2", "creator": {"name": "WebInspector"}, "pages": [], "entries": [
        {"request": {"method": "GET", "url": "https://x.example/app.js", "headers": []},
         "response": {"status": 200, "content": {"mimeType": "application/javascript", "text": "x"}}},
        {"_webSocketMessages": [], "request": {"method": "GET"}},
        {"request": {"method": "GET", "url": "https://api.exchange.test/old", "headers": [], "httpVersion": "h3"},
         "response": {"status": 302, "redirectURL": "/v3", "content": {"size": 0, "mimeType": "x-unknown"}}},
        {"startedDateTime": "2026-01-01T00:00:00Z", "request": request, "response": {"status": 200, "content": answer}},
    ]}})
    .to_string()
}

const SECRETS: [&str; 9] = [
    "s3cr3t",
    "eyJhbGciOi",
    "4711",
    "jane",
    "12.50",
    "DE00123",
    "88123",
    "f00ba4f00ba4",
    "AbCdEfGh12345678IjKlMn",
];

fn request(url: &str) -> Json {
    json!({"method": "GET", "url": url, "httpVersion": "h2", "headers": [
        {"name": ":authority", "value": "x"}, {"name": ":path", "value": "/4711"}, {"name": "Cookie", "value": "sid=s3cr3t"},
        {"name": "X-Session-Token", "value": "s3cr3t"}, {"name": "User-Agent", "value": "f"}, {"name": "Accept", "value": "*/*"},
        {"name": "sec-ch-ua", "value": "\"Chromium\""}, {"name": "authorization", "value": "Bearer eyJhbGciOi"}],
        "cookies": [{"name": "sid", "value": "s3cr3t"}], "queryString": []})
}

fn answer(body: &str, mime: &str) -> Json {
    json!({"size": body.len(), "mimeType": mime, "text": body})
}

fn drafted(request: Json, answer: Json) -> String {
    let text = draft(har(request, answer).as_bytes(), None).unwrap();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    text
}

/// The draft with a key is a survey.
fn survey(text: &str) -> SurveyManifest {
    let keyed = text.replace("key = \"\"", &format!("key = \"{}\"", "ab".repeat(32)));
    SurveyManifest::from_toml(&keyed).unwrap_or_else(|e| panic!("{e}\n{keyed}"))
}

const BODY: &str = r#"{"uid":4711,"email":"jane@b.c","balances":[{"asset":"BTC","free":"1"},{"asset":"ETH","free":"12.50"}],"tiny":1e-7,
    "accounts":[{"iban":"DE00123","total":"1.234,56"},{"iban":"DE00124","total":"88123"}],"wei":123456789012345678901234567,"note":"x"}"#;

#[test]
fn a_draft_needs_a_key_and_is_then_a_survey_without_secrets() {
    let url = "https://api.exchange.test/v3/users/4711/account?currency=EUR&timestamp=1&signature=f00ba4f00ba4&api_key=s3cr3t&email=jane%40b.c";
    let text = drafted(request(url), answer(BODY, "application/json; charset=utf-8"));
    for part in [
        "server_name = \"api.exchange.test\"",
        "path = \"/v3/users/{id}/account\"",
        "query = { \"currency\" = \"EUR\" }",
        "other_query = [\"timestamp\", \"signature\", \"api_key\", \"email\"]",
        "api_key looks like a secret",
        "credentials = [\"cookie\", \"x-session-token\", \"authorization\"]",
        "#other_headers = [\"user-agent\", \"sec-ch-ua\"]",
        "at = \"$.uid\"   # an integer",
        "$.balances[?@.asset=='ETH'].free",
        "$.accounts[0].total",
        "#grouping = \".\"",
        "#exponents = true",
        "#scale = -9",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(survey(&text).columns.len(), 1);
    // With all columns that are proposed, too.
    let (head, columns) = text.split_once("#? the values").unwrap();
    let columns: String =
        columns.lines().skip(1).map(|l| l.strip_prefix('#').unwrap_or(l).to_owned() + "\n").collect();
    let all = format!("{head}\n{columns}");
    assert_eq!(survey(&all).columns.len(), 6);
}

#[test]
fn bodies_are_copied_without_what_is_private() {
    let post = |mime: &str, text: &str| {
        let mut request = request("https://api.exchange.test/graphql");
        request["method"] = "POST".into();
        request["postData"] = json!({"mimeType": mime, "text": text, "params": []});
        drafted(request, answer(r#"{"data":{"id":4711,"balance":12.50}}"#, "application/json"))
    };
    let text = post(
        "application/json",
        r#"{"operationName":"V","query":"query V { viewer { id balance } }","variables":{"userId":4711,"csrfToken":"s3cr3t","first":10}}"#,
    );
    let body = survey(&text).source.body_json.unwrap();
    assert_eq!(
        body,
        r#"{"operationName":"V","query":"query V { viewer { id balance } }","variables":{"userId":"LEFT-OUT","csrfToken":"LEFT-OUT","first":10}}"#
    );
    assert!(text.contains("(userId, csrfToken)"), "{text}");
    let text = post("application/x-www-form-urlencoded", "action=balance&password=s3cr3t&user=jane");
    let source = survey(&text).source;
    assert_eq!(source.body.unwrap(), "action=balance&password=LEFT-OUT&user=LEFT-OUT");
    assert_eq!(source.content_type.unwrap(), "application/x-www-form-urlencoded");
    assert!(post("multipart/form-data; boundary=x", "--x s3cr3t").contains("it is not copied here"));
}

#[test]
fn files_of_all_browsers_are_read() {
    let url = "https://api.exchange.test/me";
    let plain = r#"{"id":4711,"balance":12.50}"#;
    // Chrome, of what a service worker answered; Firefox, with nulls; a guard, a mark in front, another media type.
    let coded = json!({"mimeType": "application/json", "text": BASE64.encode(plain), "encoding": "base64"});
    assert!(drafted(request(url), coded).contains("at = \"$.balance\"   # a number with 2 decimal places"));
    let mut firefox = request(url);
    firefox["postData"] = Json::Null;
    let odd = json!({"mimeType": "text/plain", "text": format!("\u{feff})]}}',\n{plain}"), "encoding": null, "comment": null});
    let text = drafted(firefox, odd);
    assert!(text.contains("guard = \")]}',\\n\"") && text.contains("media_type = \"text/plain\""), "{text}");
    survey(&text);
    let mut sanitized = request(url);
    sanitized["headers"] = json!([{"name": "Accept", "value": "*/*"}]);
    assert!(drafted(sanitized, answer(plain, "application/hal+json")).contains("shows no credentials"));
}

#[test]
fn paths_keep_no_ids() {
    let of = |url: &str| {
        let text = drafted(request(url), answer("{}", "application/json"));
        text.lines().find(|l| l.starts_with("path")).unwrap().to_owned()
    };
    for (url, path) in [
        ("https://a.test/v3/me", "/v3/me"),
        ("https://a.test/users/4711/accounts/88123", "/users/{id}/accounts/LEFT-OUT"),
        ("https://a.test/u/123e4567-e89b-12d3-a456-426614174000", "/u/{id:uuid}"),
        ("https://a.test/u/0aff12bc/x", "/u/{id:hex}/x"),
        ("https://a.test/u/jane@b.c/x", "/u/LEFT-OUT/x"),
        ("https://a.test/u/AbCdEfGh12345678IjKlMn", "/u/LEFT-OUT"),
    ] {
        assert_eq!(of(url), format!("path = \"{path}\""));
    }
}

#[test]
fn what_is_no_use_is_said() {
    let refused = |har: &str| draft(har.as_bytes(), None).unwrap_err().to_string();
    assert!(refused("{}").contains("no HAR file"));
    assert!(refused(&har(request("https://a.b/x"), answer("x", "image/png"))).contains("no such exchange"));
    assert!(
        refused(&har(request("https://a.b/x"), json!({"mimeType": "application/json"})))
            .contains("without its answer")
    );
    assert!(
        refused(&har(request("https://a.b/x"), answer("{\"a\":1,\"a\":2}", "application/json")))
            .contains("two members of one name")
    );
    assert!(refused(&har(request("https://a.b:8443/x"), answer("{}", "application/json"))).contains("port"));
    let mut put = request("https://a.b/x");
    put["method"] = "PUT".into();
    assert!(refused(&har(put, answer("{}", "application/json"))).contains("GET and POST"));
    let page = har(request("https://a.test/x"), answer("<html>", "text/html; charset=utf-8"));
    let text = draft(page.as_bytes(), Some("a.test")).unwrap();
    assert!(text.contains("format = \"text\"") && text.contains("media_type = \"text/html\""));
    assert_eq!(exchanges(page.as_bytes()).unwrap(), ["https://a.test/x"]);
    // Of several exchanges, addresses are listed without their queries.
    let two = page
        .replace("https://api.exchange.test/old", "https://a.test/y?token=s3cr3t")
        .replace("302", "200")
        .replace("x-unknown", "text/csv");
    let error = refused(&two);
    assert!(
        error.contains("2 exchanges") && error.contains("https://a.test/y") && !error.contains("s3cr3t"),
        "{error}"
    );
}
