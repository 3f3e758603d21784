//! Requests that meet another writer, or a partition that has no units left, are tried again after a random wait.

use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tercet_protocol::keys::random;

/// Number of times that a request is tried. Twelve waits are two seconds on average, a fraction of the time that a
/// request may take.
pub(super) const ATTEMPTS: u32 = 12;
/// The first wait is at most this long; the bound doubles until it is 64 times as much.
const FIRST: Duration = Duration::from_millis(8);

/// Waits before the next attempt: any time up to a bound that doubles, so that those who met once do not meet again ("full
/// jitter": Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
pub(super) async fn pause(attempt: u32) {
    let bound = FIRST * (1_u32 << attempt.min(6));
    // Without randomness the wait is the longest one.
    let part = random().map_or(u32::MAX, u32::from_le_bytes);
    tokio::time::sleep(bound.mul_f64(f64::from(part) / f64::from(u32::MAX))).await;
}

/// True if an error code says that the same request may succeed in a moment.
pub(super) fn is_passing(code: &str) -> bool {
    ["Throttl", "LimitExceeded", "ThroughputExceeded", "Conflict", "TransactionInProgress"]
        .iter()
        .any(|part| code.contains(part))
}

/// Sends a request until it is answered otherwise than with an error that passes.
pub(super) async fn patiently<T, E, F>(send: impl Fn() -> F) -> Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let mut attempt = 0;
    loop {
        let answer = send().await;
        let passing = match &answer {
            Err(SdkError::ServiceError(e)) => e.err().code().is_some_and(is_passing),
            _ => false,
        };
        attempt += 1;
        if !passing || attempt == ATTEMPTS {
            return answer;
        }
        pause(attempt - 1).await;
    }
}
