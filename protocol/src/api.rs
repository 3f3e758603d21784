//! JSON bodies of the coordinator's and the parties' APIs, and problem details (RFC 9457).

use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::ids::{EngineDigest, EntryHash, PublicKey, QueryId, SubmissionId, SurveyId};
use crate::operator::OperatorManifest;
use crate::release_point::ReleasePoint;
use crate::result::SignedResult;
use crate::submission::{Receipt, Ticket};
use crate::withdrawal::ErasureReceipt;

/// Media type of problem details.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Header with which a client says how it would like to be served (RFC 7240).
pub const PREFER: &str = "prefer";

/// The seconds of a `Prefer: wait=N`: the time for which the answer about a query may be held back until the query
/// ends.
///
/// `None` without such a preference, and if it is malformed: preferences may be ignored.
pub fn preferred_wait(prefer: &str) -> Option<u64> {
    let preferences = prefer.split(',').filter_map(|p| p.split(';').next()?.trim().split_once('='));
    let mut waits = preferences.filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
    waits.next()?.1.trim().trim_matches('"').parse().ok()
}

macro_rules! problems {
    ($($(#[$doc:meta])* $variant:ident = $slug:literal, $status:literal, $title:literal;)*) => {
        /// Every kind of refusal, with a stable type URN, status and title. `docs/problems.md` says what to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemKind { $($(#[$doc])* $variant,)* }

        impl ProblemKind {
            /// All kinds.
            pub const ALL: &'static [ProblemKind] = &[$(ProblemKind::$variant,)*];

            /// The last part of the type URN.
            pub fn slug(self) -> &'static str {
                match self { $(ProblemKind::$variant => $slug,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(ProblemKind::$variant => $status,)* }
            }

            /// The title.
            pub fn title(self) -> &'static str {
                match self { $(ProblemKind::$variant => $title,)* }
            }
        }
    };
}

problems! {
    /// The body or a parameter does not parse.
    Malformed = "malformed", 400, "The request cannot be read";
    /// Unknown path or id.
    NotFound = "not-found", 404, "Nothing has this address";
    /// The method is not allowed here.
    MethodNotAllowed = "method-not-allowed", 405, "This address does not take this method";
    /// The body did not arrive in time.
    TooSlow = "too-slow", 408, "The body did not arrive in time";
    /// The body is larger than allowed.
    TooLarge = "too-large", 413, "The body is too large";
    /// The presentation does not verify.
    PresentationInvalid = "presentation-invalid", 422, "The presentation does not verify";
    /// The presentation verifies but breaks the survey's source policy.
    PolicyViolated = "policy-violated", 422, "The presentation does not fit the survey";
    /// The identity has an accepted submission.
    IdentityUsed = "identity-used", 409, "This identity has already taken part";
    /// The identity has another submission under way.
    IdentityPending = "identity-pending", 409, "This identity has a submission under way";
    /// The ticket is not the coordinator's, is expired or is for another submission.
    TicketInvalid = "ticket-invalid", 403, "The ticket is not valid";
    /// The sealed part does not open or does not decode.
    ShareInvalid = "share-invalid", 422, "The share cannot be used";
    /// A share is not the one whose hash everybody saw.
    ShareMismatch = "share-mismatch", 422, "The share differs from its published hash";
    /// The proof is wrong: the value is not the attested one, or it breaks the column's format or range.
    ProofInvalid = "proof-invalid", 422, "The proof does not hold";
    /// Not all parties received their part before the ticket ran out.
    Incomplete = "incomplete", 422, "Not every party received its part in time";
    /// The survey does not release this statistic.
    StatisticNotPermitted = "statistic-not-permitted", 403, "The survey does not release this statistic";
    /// Fewer submissions than the minimum cohort.
    CohortTooSmall = "cohort-too-small", 403, "Too few submissions for a release";
    /// Too few have entered since the statistic was computed last.
    TooFewNew = "too-few-new", 403, "Too few have entered since this was computed last";
    /// The identity is in a unit already, and nobody is counted a second time.
    AlreadyCounted = "already-counted", 409, "This identity has already been counted";
    /// The submission was withdrawn: it cannot be sent again.
    Withdrawn = "withdrawn", 409, "This submission was withdrawn";
    /// The survey has no release point yet.
    NothingReleased = "nothing-released", 404, "Nothing has been released yet";
    /// The answer would be larger than anybody can store.
    ResultTooLarge = "result-too-large", 403, "The answer would be too large";
    /// Only parties that run with the development switch do this.
    DevelopmentOnly = "development-only", 403, "Only a development deployment does this";
    /// Rate limited.
    RateLimited = "rate-limited", 429, "Too many requests";
    /// Too much work under way.
    Busy = "busy", 503, "Too much work under way";
    /// A party cannot be reached or is behind.
    PartyUnavailable = "party-unavailable", 503, "A party is not available";
    /// The parties stopped a computation because one of them misbehaved or vanished.
    Aborted = "aborted", 502, "The parties stopped the computation";
    /// Something broke inside.
    Internal = "internal", 500, "Something failed inside";
}

impl ProblemKind {
    /// The type URN.
    pub fn urn(self) -> String {
        format!("urn:tercet:problem:{}", self.slug())
    }

    /// The kind with this type URN.
    pub fn from_urn(urn: &str) -> Option<Self> {
        let slug = urn.strip_prefix("urn:tercet:problem:")?;
        Self::ALL.iter().copied().find(|k| k.slug() == slug)
    }
}

/// Problem details (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable type URN ([`ProblemKind::urn`]).
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The fault in this case, and the way out.
    pub detail: String,
    /// Stable code of the failing rule, where the kind has several (a policy rule, a verification error).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The party that refused, where it was a party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<u8>,
    /// Seconds to wait before trying again, where trying again can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The place in the line of those who wait, from 1, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u16>,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.urn(),
            title: kind.title().into(),
            status: kind.status(),
            detail: detail.into(),
            rule: None,
            party: None,
            retry_after: None,
            position: None,
        }
    }

    /// With the failing rule's code.
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// With the refusing party.
    pub fn party(mut self, party: u8) -> Self {
        self.party = Some(party);
        self
    }

    /// With a waiting time in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// With the place in the line of those who wait.
    pub fn position(mut self, position: u16) -> Self {
        self.position = Some(position);
        self
    }

    /// The kind, if this version knows it.
    pub fn known(&self) -> Option<ProblemKind> {
        ProblemKind::from_urn(&self.kind)
    }

    /// True if the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        use ProblemKind::{Aborted, Busy, Internal, PartyUnavailable, RateLimited};
        match self.known() {
            Some(k) => matches!(k, RateLimited | Busy | PartyUnavailable | Aborted | Internal),
            None => self.status >= 500,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

/// The state of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum SubmissionState {
    /// Admitted or uploaded, not decided yet.
    Pending,
    /// In the log for good.
    Accepted {
        /// At a party: its own receipt. At the coordinator: all three.
        receipts: Vec<Receipt>,
    },
    /// Refused for good.
    Rejected {
        /// Why.
        problem: Problem,
    },
    /// Erased at its provider's wish.
    Withdrawn {
        /// At a party: its own word. At the coordinator: all three.
        receipts: Vec<ErasureReceipt>,
    },
}

/// `GET /v1/submissions/{id}` at the coordinator and at a party, and the answer to
/// `POST /v1/submissions/{id}/withdraw` with a [`crate::withdrawal::Withdrawal`]: `withdrawn` once the submission is
/// erased (status 200), its earlier state while the parties have not agreed on that yet (status 202).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionStatus {
    /// The submission.
    pub submission: SubmissionId,
    /// The survey.
    pub survey: SurveyId,
    /// Its state.
    #[serde(flatten)]
    pub state: SubmissionState,
}

/// Answer to `POST /v1/surveys/{id}/submissions` at the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The submission.
    pub submission: SubmissionId,
    /// To be shown to the parties.
    pub ticket: Ticket,
}

/// Body of `POST /v1/surveys/{id}/queries` at the coordinator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRequest {
    /// Names of the wanted statistics; empty: all that the survey lists with their parameters.
    #[serde(default)]
    pub statistics: Vec<String>,
    /// The rows that count.
    #[serde(default, rename = "where", skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
}

/// The state of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "queries are few, and hold their state one at a time")]
pub enum QueryState {
    /// The parties are computing.
    Running,
    /// Released.
    Done {
        /// The signed result.
        result: SignedResult,
    },
    /// Refused or stopped.
    Refused {
        /// Why.
        problem: Problem,
    },
}

/// `GET /v1/queries/{id}` at the coordinator and at a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryStatus {
    /// The query.
    pub query: QueryId,
    /// Its state.
    #[serde(flatten)]
    pub state: QueryState,
}

/// One line of `GET /v1/surveys` at the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveySummary {
    /// The survey's id; `GET /v1/surveys/{id}` gives the descriptor's exact bytes.
    pub id: SurveyId,
    /// Its short name.
    pub name: String,
    /// Its title.
    pub title: String,
}

/// `GET /v1/surveys/{id}` at a party: how far its log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartySurveyStatus {
    /// The survey.
    pub survey: SurveyId,
    /// The log's height; 0 when empty.
    pub height: u64,
    /// Hash of the head entry; zero when empty.
    pub head: EntryHash,
    /// Submissions that count now.
    pub submissions: u64,
    /// Number of the newest release point; 0 before the first.
    #[serde(default)]
    pub release: u64,
    /// This party's index in the survey.
    pub party: u8,
    /// The engine it runs.
    pub engine: EngineDigest,
}

/// `GET /v1/surveys/{id}/releases` at the coordinator: the release points whose statistics are published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseList {
    /// The survey.
    pub survey: SurveyId,
    /// Newest first. `GET /v1/surveys/{id}/releases/{number}/statistics` gives one's statistics.
    pub releases: Vec<ReleasePoint>,
}

/// Answer to `POST /v1/surveys/{id}/releases`, at a party and at the coordinator of a development deployment: a release
/// point now, although none is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseNow {
    /// The survey.
    pub survey: SurveyId,
    /// Number of the newest release point; 0 if there is none.
    pub release: u64,
    /// True if this request made it. False: nothing would have entered, so that there is none to make.
    pub made: bool,
}

/// `GET /v1/federation` at the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationInfo {
    /// The key that signs tickets.
    pub coordinator_key: PublicKey,
    /// The operators' signed manifests.
    pub operators: Vec<OperatorManifest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_as_rfc_7240_writes_them() {
        for (prefer, wait) in [
            ("wait=10", Some(10)),
            ("respond-async, Wait=\"100\"", Some(100)),
            ("respond-async, wait = 3; x=1, wait=9", Some(3)),
            ("wait", None),
            ("wait=-1", None),
            ("wait=soon", None),
            ("", None),
        ] {
            assert_eq!(preferred_wait(prefer), wait, "{prefer}");
        }
    }

    #[test]
    fn problem_kinds_are_stable_and_distinct() {
        let mut seen = std::collections::BTreeSet::new();
        for &k in ProblemKind::ALL {
            assert!(seen.insert(k.slug()), "{} twice", k.slug());
            assert_eq!(ProblemKind::from_urn(&k.urn()), Some(k));
            assert!((400..600).contains(&k.status()));
        }
    }

    #[test]
    fn states_have_the_documented_json_form() {
        let status = SubmissionStatus {
            submission: SubmissionId([1; 32]),
            survey: SurveyId([2; 32]),
            state: SubmissionState::Rejected { problem: Problem::new(ProblemKind::ProofInvalid, "no") },
        };
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["state"], "rejected");
        assert_eq!(json["problem"]["type"], "urn:tercet:problem:proof-invalid");
        assert_eq!(serde_json::from_value::<SubmissionStatus>(json).unwrap(), status);
    }
}
