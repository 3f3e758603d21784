//! The deployment as a client sees it: the coordinator's API, the survey and its pinned parties.

use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;
use tercet_protocol::api::{
    Admission, FederationInfo, QueryRequest, QueryStatus, ReleaseList, ReleaseNow, SubmissionStatus,
    SurveySummary,
};
use tercet_protocol::ids::{PublicKey, QueryId, SubmissionId, SurveyId};
use tercet_protocol::operator::{CoordinatorInfo, Federation, OperatorManifest};
use tercet_protocol::result::SignedResult;
use tercet_protocol::submission::{PublicPart, Receipt};
use tercet_protocol::survey::SurveyDescriptor;
use tercet_protocol::withdrawal::Withdrawal;

use crate::error::Error;
use crate::http::{Answer, Http, HttpOptions, JSON, OCTETS, Request, Url, join};

/// The coordinator's name in error texts.
pub const COORDINATOR: &str = "the coordinator";

/// A coordinator.
#[derive(Debug, Clone)]
pub struct Coordinator {
    http: Http,
    base: Url,
}

/// A survey with the operators that its descriptor pins.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The survey; its id is the hash of its bytes.
    pub survey: SurveyDescriptor,
    /// Signs tickets. Trusted for availability only.
    pub coordinator_key: PublicKey,
    /// The parties' operators in the survey's party order, each manifest signed by the key that the survey pins.
    pub parties: [OperatorManifest; 3],
}

/// Answer to a submission's public part.
pub enum Admitted {
    /// To be uploaded to the parties.
    Ticket(Admission),
    /// Known from before, and decided.
    Known(SubmissionStatus),
}

impl Coordinator {
    /// A coordinator at a base address.
    pub fn new(url: &str, options: HttpOptions) -> Result<Self, Error> {
        let http = Http::new(options)?;
        let base = http.base(url)?;
        Ok(Self { http, base })
    }

    /// The HTTP client, for the parties.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The base address.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// Lists the surveys.
    pub async fn surveys(&self) -> Result<Vec<SurveySummary>, Error> {
        self.get(&["v1", "surveys"]).await
    }

    /// Fetches a survey's descriptor, whose hash must be the id.
    pub async fn survey(&self, id: SurveyId) -> Result<SurveyDescriptor, Error> {
        let url = join(&self.base, &["v1", "surveys", &id.to_string()]);
        let answer = self.http.send(&Request::get(COORDINATOR, url)).await?;
        let survey = SurveyDescriptor::from_bytes(answer.body)?;
        if survey.id() != id {
            return Err(Error::bad_answer(COORDINATOR, format!("it gave survey {} for {id}", survey.id())));
        }
        Ok(survey)
    }

    /// Finds the survey's operators and checks their manifests against the keys that the survey pins.
    pub async fn deployment(&self, survey: SurveyDescriptor) -> Result<Deployment, Error> {
        let info: FederationInfo = self.get(&["v1", "federation"]).await?;
        let mut parties = Vec::with_capacity(3);
        for key in survey.parties() {
            // Several manifests of one operator may be about; the newest that is really signed counts.
            let newest = info
                .operators
                .iter()
                .filter(|m| m.identity == *key && m.verify().is_ok())
                .max_by_key(|m| m.issued)
                .ok_or_else(|| {
                    Error::bad_answer(
                        COORDINATOR,
                        format!("it has no manifest signed by the survey's party {key}"),
                    )
                })?;
            parties.push(newest.clone());
        }
        let operators = <[OperatorManifest; 3]>::try_from(parties)
            .map_err(|_| Error::bad_answer(COORDINATOR, "a survey has three parties"))?;
        let coordinator =
            CoordinatorInfo { url: self.base.to_string(), key: info.coordinator_key, next_key: None };
        let federation = Federation { coordinator, operators };
        federation.verify()?;
        for m in &federation.operators {
            self.http.base(&m.url)?;
        }
        Ok(Deployment { survey, coordinator_key: info.coordinator_key, parties: federation.operators })
    }

    /// Sends a submission's public part. The same bytes may be sent any number of times.
    pub async fn admit(&self, public: &PublicPart) -> Result<Admitted, Error> {
        let url = join(&self.base, &["v1", "surveys", &public.survey.to_string(), "submissions"]);
        let request = Request::get(COORDINATOR, url).with_body(Method::POST, public.encode(), OCTETS);
        let answer = self.http.send(&request).await?;
        Ok(match answer.status {
            201 => Admitted::Ticket(answer.json(COORDINATOR)?),
            _ => Admitted::Known(answer.json(COORDINATOR)?),
        })
    }

    /// The state of a submission.
    pub async fn submission(&self, id: SubmissionId) -> Result<SubmissionStatus, Error> {
        let status: SubmissionStatus = self.get(&["v1", "submissions", &id.to_string()]).await?;
        if status.submission != id {
            return Err(Error::bad_answer(COORDINATOR, "the status is another submission's"));
        }
        Ok(status)
    }

    /// Starts a query; gives the address of its status and the status.
    pub async fn start_query(
        &self,
        survey: SurveyId,
        query: &QueryRequest,
    ) -> Result<(Url, QueryStatus), Error> {
        let url = join(&self.base, &["v1", "surveys", &survey.to_string(), "queries"]);
        let body = serde_json::to_vec(query).map_err(|e| Error::usage(e.to_string()))?;
        // The same question again has the same answer.
        let request = Request::get(COORDINATOR, url.clone()).with_body(Method::POST, body, JSON);
        let answer: Answer = self.http.send(&request).await?;
        let status: QueryStatus = answer.json(COORDINATOR)?;
        let location = match &answer.location {
            Some(l) => {
                url.join(l).map_err(|_| Error::bad_answer(COORDINATOR, "its Location is no address"))?
            }
            None => join(&self.base, &["v1", "queries", &status.query.to_string()]),
        };
        if location.origin() != self.base.origin() {
            return Err(Error::bad_answer(
                COORDINATOR,
                format!("its Location leads elsewhere, to {location}"),
            ));
        }
        Ok((location, status))
    }

    /// The state of a query.
    pub async fn query(&self, location: &Url, id: QueryId) -> Result<QueryStatus, Error> {
        let answer = self.http.send(&Request::get(COORDINATOR, location.clone())).await?;
        let status: QueryStatus = answer.json(COORDINATOR)?;
        if status.query != id {
            return Err(Error::bad_answer(COORDINATOR, "the status is another query's"));
        }
        Ok(status)
    }

    /// The newest published statistics.
    pub async fn published(&self, survey: SurveyId) -> Result<SignedResult, Error> {
        self.get(&["v1", "surveys", &survey.to_string(), "statistics"]).await
    }

    /// The statistics published at a release point.
    pub async fn published_at(&self, survey: SurveyId, release: u64) -> Result<SignedResult, Error> {
        let release = release.to_string();
        self.get(&["v1", "surveys", &survey.to_string(), "releases", &release, "statistics"]).await
    }

    /// The release points whose statistics are published, newest first.
    pub async fn releases(&self, survey: SurveyId) -> Result<ReleaseList, Error> {
        self.get(&["v1", "surveys", &survey.to_string(), "releases"]).await
    }

    /// Wishes for a release point now, which only a development deployment makes.
    pub async fn release_now(&self, survey: SurveyId) -> Result<ReleaseNow, Error> {
        let url = join(&self.base, &["v1", "surveys", &survey.to_string(), "releases"]);
        let request = Request::get(COORDINATOR, url).with_body(Method::POST, Vec::new(), JSON);
        self.http.send(&request).await?.json(COORDINATOR)
    }

    /// Hands over a wish to leave. The same wish may be sent any number of times.
    pub async fn withdraw(&self, wish: &Withdrawal) -> Result<SubmissionStatus, Error> {
        let url = join(&self.base, &["v1", "submissions", &wish.submission.to_string(), "withdraw"]);
        let body = serde_json::to_vec(wish).map_err(|e| Error::usage(e.to_string()))?;
        let request = Request::get(COORDINATOR, url).with_body(Method::POST, body, JSON);
        let status: SubmissionStatus = self.http.send(&request).await?.json(COORDINATOR)?;
        if status.submission != wish.submission {
            return Err(Error::bad_answer(COORDINATOR, "the status is another submission's"));
        }
        Ok(status)
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        self.http.send(&Request::get(COORDINATOR, join(&self.base, path))).await?.json(COORDINATOR)
    }
}

impl Deployment {
    /// A party's name in error texts.
    pub fn party_name(&self, index: usize) -> String {
        match self.parties.get(index) {
            Some(m) => format!("party {index} ({})", m.operator),
            None => format!("party {index}"),
        }
    }

    /// Checks that three receipts, one of each party, confirm one submission in one log entry.
    pub fn verify_receipts(&self, id: SubmissionId, receipts: &[Receipt]) -> Result<(), Error> {
        let [first, ..] = receipts else {
            return Err(Error::bad_answer(
                COORDINATOR,
                "the submission is called accepted, without receipts",
            ));
        };
        for (i, _) in self.parties.iter().enumerate() {
            let from = self.party_name(i);
            let mut own = receipts.iter().filter(|r| usize::from(r.party) == i);
            let (Some(receipt), None) = (own.next(), own.next()) else {
                return Err(Error::bad_answer(COORDINATOR, format!("there must be one receipt of {from}")));
            };
            self.verify_receipt(id, receipt)?;
            if (receipt.height, receipt.entry, receipt.nullifier)
                != (first.height, first.entry, first.nullifier)
            {
                return Err(Error::bad_answer(from, "its receipt names another log entry than the others'"));
            }
        }
        Ok(())
    }

    /// Checks one receipt's signature and its subject.
    pub fn verify_receipt(&self, id: SubmissionId, receipt: &Receipt) -> Result<(), Error> {
        let from = || self.party_name(usize::from(receipt.party));
        if receipt.survey != self.survey.id() || receipt.submission != id {
            return Err(Error::bad_answer(from(), "its receipt is for another submission"));
        }
        receipt.verify(self.survey.parties()).map_err(|_| {
            Error::bad_answer(from(), "its receipt is not signed by the key that the survey pins")
        })
    }
}

/// Time for one upload: a party answers within about 25 seconds.
pub(crate) const UPLOAD_TIMEOUT: Duration = Duration::from_secs(45);
