//! Token buckets that any number of instances share.
//!
//! Stored is one number, the *theoretical arrival time* of the generic cell rate algorithm (ITU-T I.371, there
//! "virtual scheduling"; equal to a token bucket): the time at which the bucket will be full again. A request
//! adds one interval to it and is refused when it lies more than the burst ahead of now. Because an
//! `UpdateItem` can do that addition itself under a condition, a bucket costs one or two writes and no read, and
//! concurrent requests never make one another fail: nothing is lost or counted twice, so the rate is exact. A bucket
//! also remembers the last requests that it let pass: one that is repeated counts once.
//!
//! A high rate is divided into buckets of equal size ([`Rate::parts`]), of which a request takes the one that its token
//! names: a partition of the table takes 1,000 writes a second. A bucket's arrival time never goes back, so a process that
//! has seen one need not ask the table again before that time has come: a flood of refused requests writes nothing.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::item::number;
use super::{ATTEMPTS, Item, Key, Store, StoreError, patiently, service};
use crate::config::Rate;
use crate::token::RequestToken;

/// A bucket's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// True if the request may go on.
    pub allowed: bool,
    /// Number of further requests that may come at once.
    pub remaining: u32,
    /// Time until the bucket takes a request again (refused) or is full again (allowed).
    pub reset: Duration,
}

/// A rate in whole microseconds.
#[derive(Debug, Clone, Copy)]
struct Interval {
    /// Between two requests in the long run.
    one: u64,
    /// Between empty and full.
    full: u64,
}

impl Interval {
    fn of(rate: Rate) -> Self {
        // The configuration admits 0.0001 to 1000000 a second: 1 to 10^10 microseconds.
        let one = ((1e6 / rate.per_second).round() as u64).max(1);
        Self { one, full: one * u64::from(rate.burst) }
    }

    /// The answer to a request that moved the arrival time to `tat`.
    fn allowed(self, tat: u64, now: u64) -> Taken {
        let left = (now + self.full).saturating_sub(tat) / self.one;
        let remaining = u32::try_from(left).unwrap_or(u32::MAX);
        Taken { allowed: true, remaining, reset: Duration::from_micros(tat.saturating_sub(now)) }
    }

    /// The answer to a request that met the arrival time `tat`, or none if it need not be refused.
    fn refused(self, tat: u64, now: u64) -> Option<Taken> {
        let wait = (tat + self.one).checked_sub(now + self.full).filter(|w| *w > 0)?;
        Some(Taken { allowed: false, remaining: 0, reset: Duration::from_micros(wait) })
    }
}

/// One way of taking a token: an update and the condition under which it may happen.
#[derive(Clone, Copy)]
struct Way {
    change: &'static str,
    condition: &'static str,
    values: &'static [&'static str],
}

/// A full bucket starts counting from now.
const IDLE: Way = Way {
    change: "SET tat = :next, expires_at = :expires, seen = :token",
    condition: "(attribute_not_exists(tat) OR tat <= :now) AND NOT contains(seen, :id)",
    values: &[":next", ":expires", ":token", ":now", ":id"],
};
/// A partly used one adds to the rest.
const USED: Way = Way {
    change: "SET tat = tat + :one, expires_at = :expires ADD seen :token",
    condition: "tat > :now AND tat <= :limit AND NOT contains(seen, :id) \
                AND (attribute_not_exists(seen) OR size(seen) < :room)",
    values: &[":one", ":expires", ":token", ":now", ":limit", ":id", ":room"],
};
/// Like [`USED`], forgetting which requests it has seen: the item stays small.
const FORGET: Way = Way {
    change: "SET tat = tat + :one, expires_at = :expires, seen = :token",
    condition: "tat > :now AND tat <= :limit AND NOT contains(seen, :id) AND size(seen) >= :room",
    values: &[":one", ":expires", ":token", ":now", ":limit", ":id", ":room"],
};

/// Number of requests that a bucket remembers, so that one that is repeated counts once. Eight bytes each keep the
/// item below the kilobyte that one write unit pays for.
const REMEMBERED: u32 = 64;

/// Most buckets whose arrival times a process remembers.
const KNOWN: usize = 4_096;

/// The newest arrival times that this process has seen, by bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<HashMap<String, u64>>>);

impl Arrivals {
    fn of(&self, bucket: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).copied()
    }

    fn note(&self, bucket: &str, tat: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN && !known.contains_key(bucket) {
            known.clear();
        }
        let newest = known.entry(bucket.to_owned()).or_default();
        *newest = tat.max(*newest);
    }
}

/// The table's answer to an attempt.
enum Attempt {
    /// The token is taken; the new arrival time.
    Taken(u64),
    /// The condition did not hold; the item's arrival time, if there is one.
    Failed(Option<u64>),
    /// This very request has its token already; the arrival time.
    Repeated(u64),
}

impl Store {
    /// Takes one token from the bucket `key` of `scope`. The same `token` again (an invocation that Lambda repeats,
    /// a write whose answer was lost) takes nothing, as long as the bucket remembers it.
    pub async fn take(
        &self,
        scope: &str,
        key: &str,
        rate: Rate,
        now: Duration,
        token: RequestToken,
    ) -> Result<Taken, StoreError> {
        let (parts, part) = (rate.parts(), rate.part());
        let [a, b, c, d] = [token.0[8], token.0[9], token.0[10], token.0[11]];
        let index = u32::from_le_bytes([a, b, c, d]) % parts;
        let bucket = format!("bucket#{scope}#{key}#{index}");
        let taken = self.take_from(&bucket, Interval::of(part), now, token).await?;
        // The other parts are about as full.
        Ok(Taken { remaining: taken.remaining.saturating_mul(parts), ..taken })
    }

    async fn take_from(
        &self,
        bucket: &str,
        interval: Interval,
        now: Duration,
        token: RequestToken,
    ) -> Result<Taken, StoreError> {
        const NAME: &str = "take token";
        let now = u64::try_from(now.as_micros()).map_err(|_| StoreError::Build(NAME))?;
        let known = self.arrivals.of(bucket).filter(|tat| *tat > now);
        if let Some(refused) = known.and_then(|tat| interval.refused(tat, now)) {
            return Ok(refused);
        }
        let at = Key::new(bucket, "bucket");
        let id = Blob::new(&token.0[..8]);
        let values = HashMap::from([
            (":now", number(now)),
            (":next", number(now + interval.one)),
            (":limit", number(now + interval.full - interval.one)),
            (":one", number(interval.one)),
            // Long enough that the item outlives its meaning; then DynamoDB clears it away.
            (":expires", number((now + interval.full) / 1_000_000 + 3_600)),
            (":room", number(REMEMBERED)),
            (":token", AttributeValue::Bs(vec![id.clone()])),
            (":id", AttributeValue::B(id)),
        ]);
        // The way that is most likely to be open comes first: each that is not costs a write.
        let ways = if known.is_some() { [USED, FORGET, IDLE] } else { [IDLE, USED, FORGET] };
        for _ in 0..ATTEMPTS {
            for way in ways {
                match self.attempt(&at, way, &values).await? {
                    Attempt::Taken(tat) | Attempt::Repeated(tat) => {
                        self.arrivals.note(bucket, tat);
                        return Ok(interval.allowed(tat, now));
                    }
                    Attempt::Failed(tat) => {
                        let Some(tat) = tat else { continue };
                        self.arrivals.note(bucket, tat);
                        if let Some(refused) = interval.refused(tat, now) {
                            return Ok(refused);
                        }
                    }
                }
            }
        }
        Err(StoreError::Contention(NAME))
    }

    /// One conditional update.
    async fn attempt(
        &self,
        key: &Key,
        way: Way,
        values: &HashMap<&'static str, AttributeValue>,
    ) -> Result<Attempt, StoreError> {
        const NAME: &str = "take token";
        let id = values.get(":id");
        // The service refuses values that the expressions do not use.
        let values =
            way.values.iter().filter_map(|v| Some(((*v).to_owned(), values.get(v)?.clone()))).collect();
        let update = self
            .db
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression(way.change)
            .condition_expression(way.condition)
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match patiently(|| update.clone().send()).await {
            Ok(done) => {
                let item = Item::new(key, done.attributes.unwrap_or_default());
                return Ok(Attempt::Taken(item.number("tat")?));
            }
            Err(error) => error,
        };
        let Some(UpdateItemError::ConditionalCheckFailedException(e)) = error.as_service_error() else {
            return Err(service(NAME, &error));
        };
        let Some(old) = e.item() else { return Ok(Attempt::Failed(None)) };
        let tat = Item::new(key, old.clone()).number("tat")?;
        let seen = match (old.get("seen"), id) {
            (Some(AttributeValue::Bs(seen)), Some(AttributeValue::B(id))) => seen.contains(id),
            _ => false,
        };
        Ok(if seen { Attempt::Repeated(tat) } else { Attempt::Failed(Some(tat)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The algorithm without the table, against a plain token bucket in exact integers.
    #[test]
    fn equals_a_token_bucket() {
        for seed in 0..200_u64 {
            let rate = Rate { burst: 1 + (seed % 7) as u32, per_second: 1.0 + (seed % 5) as f64 };
            let interval = Interval::of(rate);
            let (mut tat, mut now, mut x) = (0, 1_000_000_000, seed + 1);
            // Tokens in units of one microsecond of refill.
            let (mut tokens, mut at) = (interval.full, now);
            for step in 0..300 {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                now += (x >> 33) % (interval.one * 2);
                tokens = (tokens + now - at).min(interval.full);
                at = now;
                let expected = tokens >= interval.one;
                let refused = if tat > now { interval.refused(tat, now) } else { None };
                assert_eq!(refused.is_none(), expected, "seed {seed} step {step}");
                if let Some(refused) = refused {
                    assert_eq!(
                        refused.reset.as_micros() as u64,
                        interval.one - tokens,
                        "seed {seed} step {step}"
                    );
                    continue;
                }
                tokens -= interval.one;
                tat = tat.max(now) + interval.one;
                let taken = interval.allowed(tat, now);
                assert_eq!(u64::from(taken.remaining), tokens / interval.one, "seed {seed} step {step}");
            }
        }
    }
}
