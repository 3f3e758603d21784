//! What the exchange answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, SERVER};
use http::{Method, Request, Response, StatusCode};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{Account, SERVER_NAME};

const API_KEY: &str = "x-mbx-apikey";
const PATH: &str = "/api/v3/account";
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
        let (status, body) = match self.account(request) {
            Ok(account) => (StatusCode::OK, account_body(account, now)),
            Err((status, code, message)) => (status, format!(r#"{{"code":{code},"msg":"{message}"}}"#)),
        };
        response(status, body, now)
    }

    /// The account a request is about, or status, code and message of the refusal.
    fn account<B>(&self, request: &Request<B>) -> Result<&Account, (StatusCode, i32, &'static str)> {
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
        if !matches!(request.uri().query(), None | Some("omitZeroBalances=true")) {
            return Err((StatusCode::BAD_REQUEST, -1104, "Not all sent parameters were read."));
        }
        let malformed = (StatusCode::UNAUTHORIZED, -2014, "API-key format invalid.");
        let key = single(request.headers(), API_KEY).ok_or(malformed)?;
        if key.len() != 64 || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(malformed);
        }
        let unknown = (StatusCode::UNAUTHORIZED, -2015, "Invalid API-key, IP, or permissions for action.");
        self.by_key.get(key).and_then(|&i| self.accounts.get(i)).ok_or(unknown)
    }
}

/// A header's value if it is there exactly once and is text.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// The body for an account. ETH is shown even when it is zero: "nothing" is a value that can be proven too.
fn account_body(account: &Account, now: OffsetDateTime) -> String {
    let update_time = now.unix_timestamp_nanos() / 1_000_000;
    let Account { uid, eth_free, bnb_free, .. } = account;
    format!(
        concat!(
            r#"{{"makerCommission":{},"takerCommission":15,"buyerCommission":0,"sellerCommission":0,"#,
            r#""canTrade":true,"canWithdraw":true,"canDeposit":true,"brokered":false,"#,
            r#""requireSelfTradePrevention":false,"preventSor":false,"updateTime":{},"#,
            r#""accountType":"SPOT","balances":[{{"asset":"BNB","free":"{}","locked":"0.00000000"}},"#,
            r#"{{"asset":"ETH","free":"{}","locked":"0.00000000"}}],"permissions":["SPOT"],"uid":{}}}"#,
        ),
        account.maker_commission(),
        update_time,
        bnb_free,
        eth_free,
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
