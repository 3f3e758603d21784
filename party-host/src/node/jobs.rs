//! The tasks of a session, and their outcomes: the same for the party that leads and for those that join.

use tercet_protocol::query_ticket::{QueryTicket, Question};
use tercet_protocol::result::SignedResult;

use super::session::{CLOCK_SKEW, Established, Job, SessionError};
use super::{Node, SurveyNode, abandon, batch, erase, query, refresh, release};

/// The outcome of a session.
pub(super) enum Done {
    /// A batch.
    Batch(batch::Summary),
    /// The answer to a question.
    Answer(Box<SignedResult>),
    /// The task is done.
    Nothing,
}

/// Carries out the task of an agreed session.
pub(super) async fn perform(
    node: &Node,
    survey: &SurveyNode,
    session: Established,
    job: &Job,
) -> Result<Done, SessionError> {
    let now = node.clock.now();
    match job {
        Job::Batch { submissions, at } => {
            Job::dated(*at, now)?;
            batch::run(survey, session, submissions, *at).await.map(Done::Batch)
        }
        Job::Release { due, at } => {
            Job::dated(*at, now)?;
            release::run(survey, session, (*due, *at), now).await.map(|()| Done::Nothing)
        }
        Job::Erase { withdrawal, at } => {
            Job::dated(*at, now)?;
            erase::run(survey, session, withdrawal, *at).await.map(|()| Done::Nothing)
        }
        Job::Refresh { at } => {
            Job::dated(*at, now)?;
            refresh::run(survey, session, *at).await.map(|()| Done::Nothing)
        }
        Job::Abandon { abandonment, at } => {
            Job::dated(*at, now)?;
            abandon::run(survey, session, abandonment, *at).await.map(|()| Done::Nothing)
        }
        Job::Finish => Ok(Done::Nothing),
        Job::Query { release, ticket } => {
            let question = asked(node, survey, *release, ticket.as_deref())?;
            let answer = query::run(survey, session, &question, *release).await?;
            Ok(Done::Answer(Box::new(answer)))
        }
    }
}

/// The question of a query that the leader proposes: the survey's own, or one that the coordinator gave a ticket for.
fn asked(
    node: &Node,
    survey: &SurveyNode,
    release: u64,
    ticket: Option<&QueryTicket>,
) -> Result<Question, SessionError> {
    let Some(ticket) = ticket else { return Ok(Question::listed(survey.descriptor().manifest())) };
    // The leader has judged the expiry a moment ago.
    let then = node.clock.now().saturating_sub(CLOCK_SKEW);
    let valid = ticket.verify(&node.federation().coordinator.ticket_keys(), then).is_ok();
    if !valid || ticket.survey != survey.id() || ticket.release != release {
        let what = "proposes a query without the coordinator's ticket for it".into();
        return Err(SessionError::Disagreement { party: 0, what });
    }
    Ok(ticket.question.clone())
}
