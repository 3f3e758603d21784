//! Every route with its possible answers and its name. The router is built from this list and the checked-in OpenAPI
//! document is compared with it.

use http::Method;
use tercet_protocol::api::ProblemKind;

macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $method:ident $path:literal, [$($success:literal),*], [$($kind:ident),*];)*) => {
        /// An operation of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation { $($(#[$doc])* $variant,)* }

        impl Operation {
            /// All operations.
            pub const ALL: &'static [Operation] = &[$(Operation::$variant,)*];

            /// The `operationId`, also the name in logs.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// The method.
            pub fn method(self) -> Method {
                match self { $(Self::$variant => Method::$method,)* }
            }

            /// The path, with `{parameters}`.
            pub fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)* }
            }

            /// Statuses other than problems.
            pub fn successes(self) -> &'static [u16] {
                match self { $(Self::$variant => &[$($success),*],)* }
            }

            /// Problems that it may answer with, besides [`EVERYWHERE`].
            pub fn problems(self) -> &'static [ProblemKind] {
                match self { $(Self::$variant => &[$(ProblemKind::$kind),*],)* }
            }
        }
    };
}

/// Problems that any operation may answer with: something failed inside, or the registry is too busy.
pub const EVERYWHERE: [ProblemKind; 2] = [ProblemKind::Internal, ProblemKind::Busy];

operations! {
    /// The process runs.
    Health = "health", GET "/healthz", [200], [];
    /// The process can serve: the table answers.
    Ready = "ready", GET "/readyz", [200], [];
    /// The OpenAPI document.
    Document = "document", GET "/openapi.json", [200], [];
    /// The operators' manifests and the coordinator's key.
    Federation = "federation", GET "/v1/federation", [200], [];
    /// The surveys served.
    Surveys = "surveys", GET "/v1/surveys", [200], [];
    /// A survey's descriptor, its exact bytes.
    Survey = "survey", GET "/v1/surveys/{survey}", [200, 304], [Malformed, NotFound];
    /// Admits a submission.
    Submit = "submit", POST "/v1/surveys/{survey}/submissions", [200, 201],
        [Malformed, NotFound, TooLarge, PresentationInvalid, PolicyViolated, IdentityUsed, IdentityPending,
         AlreadyCounted, Withdrawn,
         RateLimited, ShareInvalid, ShareMismatch, ProofInvalid, TicketInvalid];
    /// A ticket for a session with a notary.
    NotaryTicket = "notaryTicket", POST "/v1/surveys/{survey}/notary-tickets", [201],
        [Malformed, NotFound, TooLarge, RateLimited];
    /// Has a submission erased, as its provider wishes.
    Withdraw = "withdraw", POST "/v1/submissions/{submission}/withdraw", [200, 202],
        [Malformed, NotFound, TooLarge, RateLimited, PartyUnavailable, Aborted];
    /// The state of a submission.
    SubmissionStatus = "submissionStatus", GET "/v1/submissions/{submission}", [200],
        [Malformed, NotFound, RateLimited];
    /// Asks for statistics.
    Query = "query", POST "/v1/surveys/{survey}/queries", [200, 202],
        [Malformed, NotFound, TooLarge, StatisticNotPermitted, CohortTooSmall, TooFewNew, ResultTooLarge,
         TicketInvalid, NothingReleased, RateLimited, PartyUnavailable, Aborted];
    /// The state of a query.
    QueryStatus = "queryStatus", GET "/v1/queries/{query}", [200], [Malformed, NotFound, RateLimited];
    /// The release points whose statistics are published.
    Releases = "releases", GET "/v1/surveys/{survey}/releases", [200], [Malformed, NotFound];
    /// Makes a release point now, in a development deployment.
    ReleaseNow = "releaseNow", POST "/v1/surveys/{survey}/releases", [200],
        [Malformed, NotFound, DevelopmentOnly, RateLimited, PartyUnavailable, Aborted];
    /// The statistics of one release point.
    ReleaseStatistics = "releaseStatistics", GET "/v1/surveys/{survey}/releases/{release}/statistics", [200, 304],
        [Malformed, NotFound];
    /// The statistics of the newest release point.
    Statistics = "statistics", GET "/v1/surveys/{survey}/statistics", [200, 304],
        [Malformed, NotFound, NothingReleased];
}
