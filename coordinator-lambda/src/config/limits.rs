//! Rates and bounds. One number, the submissions a second that a survey takes, decides all those that have to fit
//! together: the survey's rate, the number of counters that share its writes, the number of submissions that may be under
//! way, and the limits of API Gateway and Lambda. Terraform reads the same ratios from
//! `terraform/modules/coordinator/limits.json`.

use serde::Deserialize;
use tercet_protocol::submission::MAX_PENDING;

/// Submissions a second that one survey takes, where the configuration does not say otherwise.
const SUBMISSIONS_PER_SECOND: u32 = 500;
/// Requests of a survey for each submission that its rate lets through, in percent: the rest is for questions, notary
/// tickets, repetitions, and an uneven spread over the parts of the rate.
const SURVEY_PERCENT: u32 = 120;
/// Seconds that a submission is under way, from its ticket to its decision.
const SECONDS_UNDER_WAY: u32 = 20;
/// Submissions a second that one counter of unfinished submissions takes. Each is two transactions on the counter, which
/// cannot run at the same time and last some ten milliseconds: the counter is free five sixths of the time.
const PER_COUNTER: u32 = 4;
/// Requests a second that one part of a rate takes. Each writes the part's item up to three times, and a DynamoDB partition
/// takes 1,000 writes a second.
const PER_PART: f64 = 100.0;
/// Most parts of a rate.
const MAX_PARTS: u32 = 64;

/// A token bucket: `burst` requests at once, refilled at `per_second`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests that may come at once.
    pub burst: u32,
    /// Requests a second in the long run; fractions allowed (0.1: one in ten seconds).
    pub per_second: f64,
}

impl Rate {
    /// Into how many buckets of equal size it is divided, so that none of them is written more often than a partition of
    /// the table takes.
    pub fn parts(self) -> u32 {
        let wanted = (self.per_second / PER_PART).ceil();
        // A float becomes the nearest number that fits.
        (wanted as u32).clamp(1, MAX_PARTS.min(self.burst.max(1)))
    }

    /// One of its parts.
    pub fn part(self) -> Self {
        let parts = self.parts();
        Self { burst: (self.burst / parts).max(1), per_second: self.per_second / f64::from(parts) }
    }
}

/// Rates and bounds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(from = "LimitsSection")]
pub struct Limits {
    /// `POST` requests from one address (IPv6: one /64).
    pub address: Rate,
    /// Status requests from one address: they can make the coordinator ask the parties.
    pub status: Rate,
    /// `POST` requests to one survey, from everybody.
    pub survey: Rate,
    /// Admissions of one identity.
    pub identity: Rate,
    /// Questions of one address about one survey that were not asked before at its newest release point: nobody uses up
    /// what is there for everybody.
    pub asker: Rate,
    /// Questions about one survey that were not asked before at its newest release point, from everybody: each is
    /// computed by the parties and kept for a day.
    pub questions: Rate,
    /// Submissions of one survey that are admitted and not decided.
    pub max_unfinished: u32,
    /// Over how many counters `max_unfinished` is spread. More of them let more admissions happen at once.
    pub unfinished_shards: u16,
}

impl Limits {
    /// The set that belongs to this many submissions a second of one survey.
    pub fn of(submissions_per_second: u32) -> Self {
        let r = submissions_per_second.max(1);
        let survey = r.saturating_mul(SURVEY_PERCENT).div_ceil(100);
        // No more than a party holds: what is admitted may be uploaded, and must then have a place there.
        let holds = u32::try_from(MAX_PENDING).unwrap_or(u32::MAX);
        let max_unfinished = r.saturating_mul(SECONDS_UNDER_WAY).min(holds);
        let counters = r.div_ceil(PER_COUNTER).min(1_000).min(max_unfinished);
        Self {
            address: Rate { burst: 60, per_second: 2.0 },
            status: Rate { burst: 120, per_second: 10.0 },
            survey: Rate { burst: survey.saturating_mul(2), per_second: f64::from(survey) },
            identity: Rate { burst: 10, per_second: 0.1 },
            asker: Rate { burst: 20, per_second: 0.05 },
            questions: Rate { burst: 60, per_second: 0.5 },
            max_unfinished,
            unfinished_shards: u16::try_from(counters).unwrap_or(1_000),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(SUBMISSIONS_PER_SECOND)
    }
}

/// `[limits]` as written: a missing number follows from `submissions_per_second`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsSection {
    submissions_per_second: Option<u32>,
    address: RateSection,
    status: RateSection,
    survey: RateSection,
    identity: RateSection,
    asker: RateSection,
    questions: RateSection,
    max_unfinished: Option<u32>,
    unfinished_shards: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RateSection {
    burst: Option<u32>,
    per_second: Option<f64>,
}

impl RateSection {
    fn over(self, default: Rate) -> Rate {
        Rate {
            burst: self.burst.unwrap_or(default.burst),
            per_second: self.per_second.unwrap_or(default.per_second),
        }
    }
}

impl From<LimitsSection> for Limits {
    fn from(s: LimitsSection) -> Self {
        let d = Self::of(s.submissions_per_second.unwrap_or(SUBMISSIONS_PER_SECOND));
        Self {
            address: s.address.over(d.address),
            status: s.status.over(d.status),
            survey: s.survey.over(d.survey),
            identity: s.identity.over(d.identity),
            asker: s.asker.over(d.asker),
            questions: s.questions.over(d.questions),
            max_unfinished: s.max_unfinished.unwrap_or(d.max_unfinished),
            unfinished_shards: s.unfinished_shards.unwrap_or(d.unfinished_shards),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits that have to fit together do, for small surveys and large ones.
    #[test]
    fn one_number_gives_a_set_that_fits_together() {
        for r in [1, 7, 50, 500, 2_000] {
            let l = Limits::of(r);
            let rate = f64::from(r);
            assert!(l.survey.per_second >= rate, "{r}");
            assert!(
                l.max_unfinished as usize <= MAX_PENDING,
                "{r}: a party must have a place for each upload"
            );
            assert!(u32::from(l.unfinished_shards) <= l.max_unfinished, "{r}: no counter is always full");
            // Write units a second of one partition: DynamoDB takes 1,000.
            let part = l.survey.part();
            assert!(part.per_second * 3.0 <= 500.0, "{r}: the survey's rate");
            assert!(rate * 4.0 / f64::from(l.unfinished_shards) <= 500.0, "{r}: counters");
            assert!(
                rate * 4.0 / f64::from(crate::store::submissions::LISTS) <= 500.0,
                "{r}: the reaper's lists"
            );
        }
    }

    #[test]
    fn the_parts_of_a_rate_are_the_rate() {
        for rate in [Rate { burst: 3, per_second: 1.0 }, Rate { burst: 1_200, per_second: 600.0 }] {
            let (parts, part) = (rate.parts(), rate.part());
            assert!((part.per_second * f64::from(parts) - rate.per_second).abs() < 1e-9);
            assert!(part.burst * parts <= rate.burst && (part.burst + 1) * parts > rate.burst);
        }
        assert_eq!(Rate { burst: 2, per_second: 1e6 }.parts(), 2, "no part without a place");
    }

    /// Terraform multiplies the same number by these.
    #[test]
    fn terraform_has_the_same_number() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../terraform/modules/coordinator/limits.json");
        let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(file["submissions_per_second"], SUBMISSIONS_PER_SECOND);
        // A submission and its status, and half as much for everything else; the gateway never refuses what the survey's
        // rate would let through.
        let requests = file["gateway_requests_per_submission"].as_f64().unwrap();
        assert!(requests * 100.0 >= f64::from(SURVEY_PERCENT) + 100.0, "{requests}");
    }
}
