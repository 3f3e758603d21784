//! The exchange's answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, SERVER};
use http::{Method, Request, Response, StatusCode};
use ring::hmac;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{Account, SERVER_NAME};

const API_KEY: &str = "x-mbx-apikey";
const PATH: &str = "/api/v3/account";
/// Largest distance of a request's time from the exchange's, in milliseconds.
const LATE_MS: i64 = 300_000;
/// The date of HTTP: RFC 9110, section 5.6.7.
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// The accounts, found by API key.
pub(super) struct Book {
    pub accounts: Arc<[Account]>,
    /// Positions in `accounts`.
    pub by_key: HashMap<String, usize>,
}

impl Book {
    /// The answer to a request at a time. Bodies of requests are ignored: the only method is GET.
    pub fn respond<B>(&self, request: &Request<B>, now: SystemTime) -> Response<String> {
        let now = OffsetDateTime::from(now);
        let (status, body) = match self.account(request, now) {
            Ok(account) => {
                let zeros = request.uri().query().is_some_and(|q| q.contains("omitZeroBalances=false"));
                (StatusCode::OK, account_body(account, now, zeros))
            }
            Err((status, code, message)) => (status, format!(r#"{{"code":{code},"msg":"{message}"}}"#)),
        };
        response(status, body, now)
    }

    /// The account a request is about, or status, code and message of the refusal.
    fn account<B>(
        &self,
        request: &Request<B>,
        now: OffsetDateTime,
    ) -> Result<&Account, (StatusCode, i32, &'static str)> {
        let host = request.headers().get(HOST).and_then(|h| h.to_str().ok()).unwrap_or("");
        let host = host.split_once(':').map_or(host, |(name, _port)| name);
        if !host.eq_ignore_ascii_case(SERVER_NAME) {
            return Err((StatusCode::MISDIRECTED_REQUEST, -1000, "This server is api.exchange.test."));
        }
        if request.uri().path() != PATH {
            return Err((StatusCode::NOT_FOUND, -1000, "Not found."));
        }
        if request.method() != Method::GET {
            return Err((StatusCode::METHOD_NOT_ALLOWED, -1000, "Use GET."));
        }
        let query = Query::read(request.uri().query().unwrap_or_default())?;
        let malformed = (StatusCode::UNAUTHORIZED, -2014, "API-key format invalid.");
        let key = single(request.headers(), API_KEY).ok_or(malformed)?;
        if key.len() != 64 || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(malformed);
        }
        let unknown = (StatusCode::UNAUTHORIZED, -2015, "Invalid API-key, IP, or permissions for action.");
        let account = self.by_key.get(key).and_then(|&i| self.accounts.get(i)).ok_or(unknown)?;
        query.check(account, now)?;
        Ok(account)
    }
}

type Refused = (StatusCode, i32, &'static str);

/// The parameters of a request.
struct Query<'a> {
    /// The query before the signature, the time in it, and the signature.
    signed: Option<(&'a str, &'a str, &'a str)>,
}

impl<'a> Query<'a> {
    fn read(query: &'a str) -> Result<Self, Refused> {
        let unread = (StatusCode::BAD_REQUEST, -1104, "Not all sent parameters were read.");
        let (before, signature) = match query.split_once("&signature=") {
            Some((before, signature)) => (before, Some(signature)),
            None => (query, None),
        };
        let mut time = None;
        for parameter in before.split('&').filter(|p| !p.is_empty()) {
            match parameter.split_once('=') {
                Some(("omitZeroBalances", "true" | "false")) => {}
                Some(("timestamp", value)) if time.is_none() => time = Some(value),
                _ => return Err(unread),
            }
        }
        match (time, signature) {
            (None, None) => Ok(Self { signed: None }),
            (Some(time), Some(signature)) => Ok(Self { signed: Some((before, time, signature)) }),
            _ => Err((StatusCode::BAD_REQUEST, -1102, "timestamp and signature belong together.")),
        }
    }

    /// Checks time and signature where there are any.
    fn check(&self, account: &Account, now: OffsetDateTime) -> Result<(), Refused> {
        let Some((before, time, signature)) = self.signed else { return Ok(()) };
        let given: Option<i64> = time.parse().ok();
        let now = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
        if given.is_none_or(|t| now.saturating_sub(t).saturating_abs() > LATE_MS) {
            return Err((
                StatusCode::BAD_REQUEST,
                -1021,
                "Timestamp for this request is outside of the window.",
            ));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, account.api_secret.as_bytes());
        let given = hex::decode(signature).unwrap_or_default();
        hmac::verify(&key, before.as_bytes(), &given)
            .map_err(|_| (StatusCode::BAD_REQUEST, -1022, "Signature for this request is not valid."))
    }
}

/// A header's value if it is there exactly once and is text.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Assets that nobody has any of.
const ZEROS: [&str; 28] = [
    "ADA", "ALGO", "ATOM", "AVAX", "BCH", "DASH", "DOGE", "DOT", "EOS", "ETC", "FIL", "ICP", "IOTA", "KSM",
    "LINK", "LTC", "MATIC", "NEAR", "NEO", "QTUM", "SOL", "TRX", "UNI", "VET", "XLM", "XMR", "XRP", "ZEC",
];

/// The body for an account, with the zero balances of other assets if they are asked for: about 2 KB. ETH is shown even
/// when it is zero: "nothing" is a value that can be proven too.
fn account_body(account: &Account, now: OffsetDateTime, zeros: bool) -> String {
    let asked = if zeros { &ZEROS[..] } else { &[] };
    let zeros: String = asked
        .iter()
        .map(|asset| format!(r#",{{"asset":"{asset}","free":"0.00000000","locked":"0.00000000"}}"#))
        .collect();
    let update_time = now.unix_timestamp_nanos() / 1_000_000;
    let Account { uid, eth_free, bnb_free, .. } = account;
    format!(
        concat!(
            r#"{{"makerCommission":{},"takerCommission":15,"buyerCommission":0,"sellerCommission":0,"#,
            r#""canTrade":true,"canWithdraw":true,"canDeposit":true,"brokered":false,"#,
            r#""requireSelfTradePrevention":false,"preventSor":false,"updateTime":{},"#,
            r#""accountType":"SPOT","balances":[{{"asset":"BNB","free":"{}","locked":"0.00000000"}},"#,
            r#"{{"asset":"ETH","free":"{}","locked":"0.00000000"}}{}],"permissions":["SPOT"],"uid":{}}}"#,
        ),
        account.maker_commission(),
        update_time,
        bnb_free,
        eth_free,
        zeros,
        uid,
    )
}

/// The response with exactly these headers in this order. It closes the connection: an attested session holds
/// one request and one response.
fn response(status: StatusCode, body: String, now: OffsetDateTime) -> Response<String> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // The format has no part that can fail for a date; without the header the answer is still correct.
    if let Some(date) = now.format(HTTP_DATE).ok().and_then(|d| HeaderValue::try_from(d).ok()) {
        headers.insert(DATE, date);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(SERVER, HeaderValue::from_static("nginx"));
    response
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::exchange::accounts;

    fn ask(change: impl FnOnce(&mut Request<()>)) -> (u16, String) {
        let accounts: Arc<[Account]> = accounts::derive(2, 1).unwrap().into();
        let by_key = accounts.iter().enumerate().map(|(i, a)| (a.api_key.clone(), i)).collect();
        let book = Book { accounts: accounts.clone(), by_key };
        let mut request = Request::builder()
            .uri("/api/v3/account?omitZeroBalances=true")
            .header(HOST, SERVER_NAME)
            .header(API_KEY, &accounts[1].api_key)
            .body(())
            .unwrap();
        change(&mut request);
        let response = book.respond(&request, UNIX_EPOCH + Duration::from_millis(1_741_091_696_123));
        (response.status().as_u16(), response.into_body())
    }

    #[test]
    fn the_account_of_the_key_is_given() {
        let uid = accounts::derive(2, 1).unwrap()[1].uid;
        let (status, body) = ask(|_| ());
        assert_eq!(status, 200);
        assert!(body.ends_with(&format!("\"uid\":{uid}}}")), "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap();
        assert_eq!(ask(|r| *r.uri_mut() = "/api/v3/account".parse().unwrap()).0, 200);
    }

    #[test]
    fn a_signature_that_is_there_must_be_right() {
        let secret = accounts::derive(2, 1).unwrap()[1].api_secret.clone();
        let sign = |key: &str, text: &str| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
            hex::encode(hmac::sign(&key, text.as_bytes()))
        };
        let ask = |query: String| ask(|r| *r.uri_mut() = format!("/api/v3/account?{query}").parse().unwrap());
        let text = "omitZeroBalances=true&timestamp=1741091696000";
        assert_eq!(ask(format!("{text}&signature={}", sign(&secret, text))).0, 200);
        assert!(ask(format!("{text}&signature={}", sign("other", text))).1.contains("-1022"));
        assert!(ask(format!("{text}&signature=zz")).1.contains("-1022"));
        assert!(ask(text.into()).1.contains("-1102"));
        let late = "timestamp=1741081696000";
        assert!(ask(format!("{late}&signature={}", sign(&secret, late))).1.contains("-1021"));
        let more = format!("{text}&x=1");
        assert!(ask(format!("{more}&signature={}", sign(&secret, &more))).1.contains("-1104"));
    }

    #[test]
    fn everything_else_is_refused() {
        let unknown = HeaderValue::from_bytes(&[b'A'; 64]).unwrap();
        let (status, body) = ask(|r| drop(r.headers_mut().insert(API_KEY, unknown.clone())));
        assert_eq!(status, 401);
        assert_eq!(body, r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#);
        assert_eq!(ask(|r| drop(r.headers_mut().remove(API_KEY))).0, 401);
        assert_eq!(ask(|r| assert!(r.headers_mut().append(API_KEY, unknown.clone()))).0, 401);
        assert_eq!(ask(|r| drop(r.headers_mut().remove(HOST))).0, 421);
        assert_eq!(ask(|r| *r.uri_mut() = "/".parse().unwrap()).0, 404);
        assert_eq!(ask(|r| *r.method_mut() = Method::POST).0, 405);
        assert_eq!(ask(|r| *r.uri_mut() = "/api/v3/account?x=1".parse().unwrap()).0, 400);
    }
}
