//! Release points: fetching the statistics that the parties publish at each, and serving them for ever.
//!
//! The parties compute and sign a survey's listed statistics when a release point commits. The coordinator fetches them,
//! and only with three signatures: nobody who asks here can replace, widen or freeze anything.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use serde::Serialize;
use tercet_protocol::api::{Problem, ProblemKind, ReleaseNow};
use tercet_protocol::ids::SurveyId;
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::SignedResult;

use crate::admission::RateReport;
use crate::coordinator::Coordinator;
use crate::error::{Error, refuse};
use crate::parties::{PartyError, passed_on};
use crate::queries::{LEADER, believable};
use crate::store::releases::Published;
use crate::surveys::Survey;

/// Most release points that are fetched in one go, the newest first.
const AT_ONCE: u64 = 32;
/// Longest time that a release point on demand waits for its statistics before it is answered all the same.
const SIGNED_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// The outcome of a look for new release points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refreshed {
    /// The statistics of new release points are published, up to this one.
    Published {
        /// Its number.
        release: u64,
    },
    /// A party reports a newer release point, but no party has its signed statistics yet.
    Awaited {
        /// Its number.
        release: u64,
    },
    /// No party has a newer release point.
    Nothing,
    /// No party answered.
    Unreachable,
    /// The survey has not opened yet.
    Idle,
}

impl Coordinator {
    /// The newest published release point, or the problem that there is none yet.
    pub async fn newest(&self, survey: &Survey) -> Result<Published, Error> {
        match self.store.newest(survey.id()).await? {
            Some(published) => Ok(published),
            None => {
                let detail = "the survey has no release point yet: people enter its statistics in groups, at times that \
                              its file states; come back later";
                refuse(ProblemKind::NothingReleased, detail)
            }
        }
    }

    /// Fetches and publishes the statistics of release points that are not published yet. Safe to run any number of
    /// times at once.
    pub async fn fetch_releases(&self, survey: &Survey) -> Result<Refreshed, Error> {
        let known = self.store.newest(survey.id()).await?.map_or(0, |p| p.point.number);
        let mut claims = Vec::new();
        let urls = survey.party_urls.iter();
        let mut asked: FuturesUnordered<_> = urls.map(|url| self.parties.survey(url, survey.id())).collect();
        let mut answers = 0;
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(Some(status)) if status.survey == survey.id() => {
                    answers += 1;
                    claims.push(status.release);
                }
                Ok(_) => tracing::warn!(survey = %survey.id(), "a party does not run this survey"),
                Err(e) => {
                    tracing::warn!(survey = %survey.id(), error = %e, "a party does not say how far it is")
                }
            }
        }
        if answers == 0 {
            return Ok(Refreshed::Unreachable);
        }
        claims.retain(|n| *n > known);
        claims.sort_unstable();
        claims.dedup();
        let Some(&newest) = claims.last() else { return Ok(Refreshed::Nothing) };
        // A party may claim more than there is: what counts is the newest that has signatures.
        for number in claims.into_iter().rev() {
            if !self.fetch_release(survey, number).await? {
                continue;
            }
            for older in (known + 1..number).rev().take(AT_ONCE as usize) {
                self.fetch_release(survey, older).await?;
            }
            return Ok(Refreshed::Published { release: number });
        }
        Ok(Refreshed::Awaited { release: newest })
    }

    /// Fetches one release point's statistics from the first party that has them. False: none has.
    async fn fetch_release(&self, survey: &Survey, number: u64) -> Result<bool, Error> {
        let question = Question::listed(survey.descriptor.manifest());
        for (party, url) in survey.party_urls.iter().enumerate() {
            let signed = match self.parties.release(url, survey.id(), number).await {
                Ok(Some(signed)) => signed,
                Ok(None) => continue,
                Err(e) => {
                    tracing::warn!(party, number, error = %e, "a party did not give a release point's statistics");
                    continue;
                }
            };
            if let Err(why) = believable(survey, number, &question, &signed) {
                tracing::error!(
                    party,
                    number,
                    why,
                    "a party's statistics of a release point are not published"
                );
                continue;
            }
            let new = self.store.publish(&signed).await?;
            tracing::info!(survey = %survey.id(), number, new, "release point published");
            return Ok(true);
        }
        Ok(false)
    }

    /// The text of a published release point's statistics.
    pub async fn statistics(&self, published: &Published) -> Result<String, Error> {
        match self.store.kept(&published.result).await? {
            Some(text) => Ok(text),
            None => refuse(ProblemKind::Internal, "the text of a published release point is missing"),
        }
    }

    /// The same, read.
    pub(crate) async fn signed_statistics(&self, published: &Published) -> Result<SignedResult, Error> {
        let text = self.statistics(published).await?;
        match serde_json::from_str(&text) {
            Ok(signed) => Ok(signed),
            Err(_) => refuse(ProblemKind::Internal, "the text of a published release point cannot be read"),
        }
    }

    /// Asks the parties of a development deployment for a release point now, and publishes it.
    pub async fn release_now(
        &self,
        survey: SurveyId,
        address: &str,
        report: &mut RateReport,
    ) -> Result<ReleaseNow, Error> {
        let survey = self.survey(survey)?;
        self.limit("address", address, self.config.limits.address, report).await?;
        let url = &survey.party_urls[usize::from(LEADER)];
        let now = match self.parties.release_now(url, survey.id()).await {
            Ok(now) if now.survey == survey.id() => now,
            Ok(_) => return Err(no_answer("it answered about another survey").into()),
            Err(PartyError::Refused(problem)) => {
                return Err(passed_on(*problem, LEADER).unwrap_or_else(|| no_answer("it refused")).into());
            }
            Err(e) => return Err(no_answer(e).into()),
        };
        // The parties sign the point's statistics right after it: most often they are there at the next look.
        let end = tokio::time::Instant::now() + SIGNED_WITHIN;
        if now.release > 0 {
            while let Refreshed::Awaited { .. } = self.fetch_releases(&survey).await? {
                if tokio::time::Instant::now() >= end {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(now)
    }
}

fn no_answer(why: impl std::fmt::Display) -> Problem {
    let detail = format!("the leading party gave no usable answer: {why}");
    Problem::new(ProblemKind::PartyUnavailable, detail).party(LEADER).retry_after(5)
}
