//! Asking for statistics, and checking that all three parties signed the answer.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use tercet_protocol::api::{QueryRequest, QueryState};
use tercet_protocol::ids::SurveyId;
use tercet_protocol::result::{ReleasedStatistics, SignedResult};
use tercet_protocol::statistic::{Statistic, permitted};
use tercet_protocol::survey::{MAX_SURVEY_BYTES, SurveyDescriptor};

use crate::coordinator::{COORDINATOR, Coordinator};
use crate::error::Error;

/// Largest result file accepted.
pub const MAX_RESULT_FILE: usize = 4 << 20;

/// A signed result together with the survey's descriptor, whose hash is the survey's id: all that a third party
/// needs to verify it offline, given that it knows the id. Written by `--json` and `--output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultFile {
    /// What was released.
    pub result: ReleasedStatistics,
    /// The parties' signatures, in party order.
    pub signatures: [tercet_protocol::ids::Signature; 3],
    /// The descriptor's exact bytes, base64.
    pub descriptor: String,
}

impl ResultFile {
    /// Puts together a file; the signatures must verify.
    pub fn new(signed: SignedResult, survey: &SurveyDescriptor) -> Result<Self, Error> {
        verify(&signed, survey)?;
        let SignedResult { result, signatures } = signed;
        Ok(Self { result, signatures, descriptor: BASE64.encode(survey.bytes()) })
    }

    /// Reads a file, without believing it yet.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json)
            .map_err(|e| Error::usage(format!("not a result file of tercet query: {e}")))
    }

    /// Verifies offline: the descriptor (the file's own, or the one given) hashes to the survey's id, and its
    /// three parties signed the result. With `expected`, the survey must be that one.
    pub fn verify(
        &self,
        expected: Option<SurveyId>,
        descriptor: Option<&[u8]>,
    ) -> Result<SurveyDescriptor, Error> {
        let bytes = match descriptor {
            Some(bytes) => bytes.to_vec(),
            None => {
                BASE64.decode(&self.descriptor).ok().filter(|b| b.len() <= MAX_SURVEY_BYTES).ok_or_else(
                    || Error::bad_answer("the file", "its descriptor is not base64, or too large"),
                )?
            }
        };
        let survey = SurveyDescriptor::from_bytes(bytes)?;
        if let Some(id) = expected
            && id != survey.id()
        {
            return Err(Error::bad_answer(
                "the file",
                format!("it is about survey {}, not {id}", survey.id()),
            ));
        }
        verify(&self.signed(), &survey)?;
        Ok(survey)
    }

    /// The signed result.
    pub fn signed(&self) -> SignedResult {
        SignedResult { result: self.result.clone(), signatures: self.signatures }
    }
}

/// Checks that a result is of this survey and signed by its three parties.
pub fn verify(signed: &SignedResult, survey: &SurveyDescriptor) -> Result<(), Error> {
    if signed.result.survey != survey.id() {
        return Err(Error::bad_answer(
            "the result",
            format!("it belongs to survey {}, not {}", signed.result.survey, survey.id()),
        ));
    }
    Ok(signed.verify(survey.parties())?)
}

/// How long to wait for the parties.
#[derive(Debug, Clone, Copy)]
pub struct QueryOptions {
    /// Give up after this.
    pub timeout: Duration,
    /// First pause between two looks at the status, unless the coordinator took as long to answer; grows to ten times
    /// as much.
    pub poll: Duration,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(600), poll: Duration::from_millis(150) }
    }
}

/// Asks the parties for statistics of all rows; see [`ask`].
pub async fn query(
    coordinator: &Coordinator,
    survey: &SurveyDescriptor,
    statistics: &[String],
    options: QueryOptions,
) -> Result<ResultFile, Error> {
    let request = QueryRequest { statistics: statistics.to_vec(), ..QueryRequest::default() };
    ask(coordinator, survey, &request, options).await
}

/// Asks the parties for statistics (none named: all that the survey lists with their parameters) and verifies the
/// answer.
pub async fn ask(
    coordinator: &Coordinator,
    survey: &SurveyDescriptor,
    request: &QueryRequest,
    options: QueryOptions,
) -> Result<ResultFile, Error> {
    let asked = asked(survey, request)?;
    let (location, mut status) = coordinator.start_query(survey.id(), request).await?;
    let id = status.query;
    let started = tokio::time::Instant::now();
    let mut wait = options.poll;
    let signed = loop {
        match status.state {
            QueryState::Done { result } => break result,
            QueryState::Refused { problem } => {
                return Err(Error::Refused { from: "the parties".into(), problem: Box::new(problem) });
            }
            QueryState::Running if started.elapsed() > options.timeout => {
                return Err(Error::TimedOut(format!(
                    "the parties did not finish query {id} within {} s; ask again later",
                    options.timeout.as_secs()
                )));
            }
            QueryState::Running => {}
        }
        let asked = tokio::time::Instant::now();
        status = coordinator.query(&location, id).await?;
        // One that does not wait is asked more and more seldom.
        if matches!(status.state, QueryState::Running) {
            tokio::time::sleep(wait.saturating_sub(asked.elapsed())).await;
            wait = (wait * 3 / 2).min(options.poll * 10);
        }
    };
    if signed.result.query != id {
        return Err(Error::bad_answer(COORDINATOR, "the result answers another query"));
    }
    if signed.result.filter != request.filter {
        return Err(Error::bad_answer("the parties", "the result is about other rows than asked"));
    }
    if let Some(missing) = asked.iter().find(|a| !signed.result.statistics.iter().any(|s| s.statistic == **a))
    {
        return Err(Error::bad_answer("the parties", format!("the result lacks the statistic {missing}")));
    }
    ResultFile::new(signed, survey)
}

/// The names that the answer must have, in their usual spelling.
fn asked(survey: &SurveyDescriptor, request: &QueryRequest) -> Result<Vec<String>, Error> {
    let manifest = survey.manifest();
    let listed = manifest.survey.statistics.join(", ");
    request.filter.check(manifest).map_err(Error::usage)?;
    if request.statistics.is_empty() {
        let all = manifest.statistics();
        if all.is_empty() {
            return Err(Error::usage(format!(
                "name the statistics, with their parameters, out of: {listed}"
            )));
        }
        return Ok(all.iter().map(ToString::to_string).collect());
    }
    let usual = |name: &String| match permitted(manifest, name) {
        Some(statistic) => Ok(statistic.to_string()),
        None => {
            let why = name.parse::<Statistic>().err().map(|e| format!(" ({e})")).unwrap_or_default();
            let name = name.escape_debug();
            Err(Error::usage(format!("the survey does not release \"{name}\"{why}; it releases: {listed}")))
        }
    };
    request.statistics.iter().map(usual).collect()
}

/// The newest published statistics, verified.
pub async fn published(coordinator: &Coordinator, survey: &SurveyDescriptor) -> Result<ResultFile, Error> {
    ResultFile::new(coordinator.published(survey.id()).await?, survey)
}
