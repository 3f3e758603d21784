//! Asking for statistics, and checking that all three parties signed the answer.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use tercet_protocol::api::{ProblemKind, QueryRequest, QueryState, QueryStatus};
use tercet_protocol::ids::SurveyId;
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::{ReleasedStatistics, SignedResult};
use tercet_protocol::survey::{MAX_SURVEY_BYTES, SurveyDescriptor};

use crate::coordinator::{COORDINATOR, Coordinator};
use crate::error::Error;

/// Largest result file accepted: the largest result, its descriptor, and room for line breaks.
pub const MAX_RESULT_FILE: usize = 16 << 20;

/// A signed result together with the survey's descriptor, whose hash is the survey's id: all that a third party
/// needs to verify it offline, given that it knows the id. Written by `--json` and `--output`. The API's own answers,
/// which have no descriptor, are read too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultFile {
    /// The released statistics.
    pub result: ReleasedStatistics,
    /// The parties' signatures, in party order.
    pub signatures: [tercet_protocol::ids::Signature; 3],
    /// The descriptor's exact bytes, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<String>,
}

impl ResultFile {
    /// Puts together a file; the signatures must verify.
    pub fn new(signed: SignedResult, survey: &SurveyDescriptor) -> Result<Self, Error> {
        verify(&signed, survey)?;
        let SignedResult { result, signatures } = signed;
        Ok(Self { result, signatures, descriptor: Some(BASE64.encode(survey.bytes())) })
    }

    /// Reads a file of this program or an answer of the coordinator's API, without believing it yet.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let own: Result<Self, _> = serde_json::from_slice(json);
        let why = match own {
            Ok(this) => return Ok(this),
            Err(why) => why,
        };
        match serde_json::from_slice::<QueryStatus>(json) {
            Ok(QueryStatus { state: QueryState::Done { result }, .. }) => {
                Ok(Self { result: result.result, signatures: result.signatures, descriptor: None })
            }
            Ok(_) => Err(Error::usage("this is the status of a query that has no result: ask again for it")),
            Err(_) => Err(Error::usage(format!(
                "neither a result file of tercet query nor an answer of the coordinator about statistics: {why}"
            ))),
        }
    }

    /// The survey in the file; `None` for the API's own answers.
    pub fn own_descriptor(&self) -> Result<Option<SurveyDescriptor>, Error> {
        let Some(text) = &self.descriptor else { return Ok(None) };
        let bytes = BASE64.decode(text).ok().filter(|b| b.len() <= MAX_SURVEY_BYTES);
        let bytes = bytes
            .ok_or_else(|| Error::bad_answer("the file", "its descriptor is not base64, or too large"))?;
        Ok(Some(SurveyDescriptor::from_bytes(bytes)?))
    }

    /// Verifies offline: the descriptor (the file's own, or the one given) hashes to the survey's id, and its
    /// three parties signed the result. With `expected`, the survey must be that one.
    pub fn verify(
        &self,
        expected: Option<SurveyId>,
        descriptor: Option<&[u8]>,
    ) -> Result<SurveyDescriptor, Error> {
        let survey = match descriptor {
            Some(bytes) => SurveyDescriptor::from_bytes(bytes.to_vec())?,
            None => self.own_descriptor()?.ok_or_else(|| {
                Error::usage("the file has no survey descriptor: give the survey's with --descriptor")
            })?,
        };
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

/// Checks that a result is about this survey and signed by its three parties.
pub fn verify(signed: &SignedResult, survey: &SurveyDescriptor) -> Result<(), Error> {
    if signed.result.survey != survey.id() {
        return Err(Error::bad_answer(
            "the result",
            format!("it belongs to survey {}, not {}", signed.result.survey, survey.id()),
        ));
    }
    Ok(signed.verify(survey.parties())?)
}

/// The patience of a query.
#[derive(Debug, Clone, Copy)]
pub struct QueryOptions {
    /// Give up after this.
    pub timeout: Duration,
    /// First pause before a look at the status; grows to ten times as much.
    pub poll: Duration,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(600), poll: Duration::from_millis(100) }
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
    let question = Question::of(survey.manifest(), &request.statistics, request.filter.clone())
        .map_err(|e| Error::usage(e.to_string()))?;
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
        // Asked more and more seldom.
        tokio::time::sleep(wait).await;
        wait = (wait * 3 / 2).min(options.poll * 10);
        status = coordinator.query(&location, id).await?;
    };
    answers(&signed, survey, &question)?;
    ResultFile::new(signed, survey)
}

/// Checks that a result answers this question at the release point that it names.
fn answers(signed: &SignedResult, survey: &SurveyDescriptor, question: &Question) -> Result<(), Error> {
    let result = &signed.result;
    if result.filter != question.filter {
        return Err(Error::bad_answer("the parties", "the result is about other rows than asked"));
    }
    let has = |name: &&String| result.statistics.iter().any(|s| s.statistic == **name);
    if let Some(missing) = question.statistics.iter().find(|name| !has(name)) {
        return Err(Error::bad_answer("the parties", format!("the result lacks the statistic {missing}")));
    }
    if result.query != question.id(survey.id(), result.release.number) {
        return Err(Error::bad_answer(COORDINATOR, "the result answers another question"));
    }
    Ok(())
}

/// The statistics published at a release point, or at the newest, verified.
pub async fn published(
    coordinator: &Coordinator,
    survey: &SurveyDescriptor,
    release: Option<u64>,
) -> Result<ResultFile, Error> {
    let signed = match release {
        Some(number) => coordinator.published_at(survey.id(), number).await?,
        None => coordinator.published(survey.id()).await?,
    };
    answers(&signed, survey, &Question::listed(survey.manifest()))?;
    if let Some(number) = release
        && signed.result.release.number != number
    {
        return Err(Error::bad_answer(COORDINATOR, "it gave another release point's statistics"));
    }
    ResultFile::new(signed, survey)
}

/// The statistics of a release point that has just been made, verified, as soon as they are published.
pub async fn await_published(
    coordinator: &Coordinator,
    survey: &SurveyDescriptor,
    release: u64,
    patience: Duration,
) -> Result<ResultFile, Error> {
    let end = tokio::time::Instant::now() + patience;
    loop {
        match published(coordinator, survey, Some(release)).await {
            Err(Error::Refused { problem, .. })
                if problem.known() == Some(ProblemKind::NotFound) && tokio::time::Instant::now() < end =>
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            other => return other,
        }
    }
}
