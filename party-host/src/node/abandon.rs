//! An entry whose rows two parties have lost stands in the way of everything that comes after it. The three operators can give
//! it up by hand: each signs a consent, on their own party, and with all three signatures another entry takes its height.
//!
//! A party keeps the three signatures before it acts on them. From then on it takes no lock on the entry for one, and never
//! commits it, no matter who shows votes for it. The entry that takes its place needs the votes of all three, so two honest
//! parties never have different ones.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tercet_protocol::abandonment::{Abandoned, Abandonment, Consent};
use tercet_protocol::ids::{EntryHash, SurveyId};
use tercet_protocol::keys::random;

use super::agree::{self, Staged};
use super::session::{Established, Job, Opening, SessionError};
use super::survey::SurveyNode;
use super::{Node, lead};
use crate::peer::SessionId;

/// Takes the three operators' word, if it is about the height that this party works on. Where it is not, the session tells who is
/// behind. The caller holds the survey's session lock.
pub async fn take(survey: &SurveyNode, abandonment: &Abandonment) -> Result<(), SessionError> {
    verify(survey, abandonment)?;
    let Abandoned { height, previous, entry, .. } = abandonment.abandoned;
    let head = survey.book().head();
    if (height, previous) != (head.0 + 1, head.1) {
        return Ok(());
    }
    let bytes = serde_json::to_vec(abandonment).map_err(|e| SessionError::Internal(e.to_string()))?;
    survey.certain(survey.store.put_abandonment(survey.id(), height, &bytes).await)?;
    survey.agreement().machine.abandon(entry);
    tracing::warn!(height, %entry, "the three operators gave this entry up");
    Ok(())
}

fn verify(survey: &SurveyNode, abandonment: &Abandonment) -> Result<(), SessionError> {
    let signed = abandonment.verify(survey.parties()).is_ok();
    if signed && abandonment.abandoned.survey == survey.id() {
        return Ok(());
    }
    let what = "proposes to give an entry up without the word of all three operators".into();
    Err(SessionError::Disagreement { party: 0, what })
}

/// Runs an agreed session that puts another entry in the place of the one given up, to its commit. The caller holds the survey's
/// session lock.
pub async fn run(
    survey: &SurveyNode,
    session: Established,
    abandonment: &Abandonment,
    at: u64,
) -> Result<(), SessionError> {
    verify(survey, abandonment)?;
    let (head, previous) = survey.book().head();
    if (abandonment.abandoned.height, abandonment.abandoned.previous) != (head + 1, previous) {
        let what = "proposes to give an entry up at another height than the log's next one".into();
        return Err(SessionError::Disagreement { party: 0, what });
    }
    agree::commit(survey, session.wire, abandonment.entry(at), Staged::Nothing).await?;
    Ok(())
}

/// Leads the session as party 0.
pub async fn lead(
    node: &Arc<Node>,
    survey: &Arc<SurveyNode>,
    abandonment: Abandonment,
) -> Result<(), SessionError> {
    verify(survey, &abandonment)?;
    if survey.me() != 0 || survey.book().head().0 >= abandonment.abandoned.height {
        return Ok(());
    }
    let job = Job::Abandon { abandonment, at: node.clock.now() };
    lead::run(node, survey, &job).await.map(|_| ())
}

impl Node {
    /// This operator's consent to give up the entry at which the survey's log has stopped: the one named, or the one that this
    /// party is locked on. The text of an error says what is in the way.
    pub fn consent(&self, survey: SurveyId, entry: Option<EntryHash>) -> Result<Consent, String> {
        let survey = self.survey(survey).map_err(|p| p.detail)?;
        let locked = survey.agreement().locked();
        let entry = entry.or(locked).ok_or(
            "this party is not locked on any entry: name the one to be given up, which an operator whose party is locked on it \
             knows from running the same command",
        )?;
        let (height, previous) = survey.book().head();
        if entry == previous {
            return Err(format!("the entry {entry} is final at this party, and can never be given up"));
        }
        let abandoned = Abandoned { survey: survey.id(), height: height + 1, previous, entry };
        Ok(Consent::sign(&self.identity, abandoned))
    }

    /// Gives an entry up with the three operators' consents, and waits until that is in the log. `tell` hears of the progress.
    pub async fn abandon(
        self: &Arc<Self>,
        consents: &[Consent],
        tell: impl Fn(String),
    ) -> Result<(), String> {
        let id = consents.first().map(|c| c.abandoned.survey).ok_or("there are no consents")?;
        let survey = self.survey(id).map_err(|p| p.detail)?;
        let abandonment = Abandonment::of(survey.parties(), consents).map_err(|e| e.to_string())?;
        let height = abandonment.abandoned.height;
        while survey.book().head().0 < height {
            let outcome = match survey.me() {
                0 => lead(self, &survey, abandonment.clone()).await,
                _ => self.pass_on(&survey, &abandonment).await,
            };
            if let Err(e) = outcome {
                tell(format!("not yet: {e}"));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let committed = survey.store.get_entry(id, height).await.map_err(|e| e.to_string())?;
        match committed.as_ref().and_then(|c| Abandonment::shown(&c.entry)) {
            Some(shown) if shown == abandonment => {
                tell(format!("height {height} holds the word of the three operators: the survey goes on"));
                Ok(())
            }
            _ => Err(format!("height {height} holds another entry: nothing was given up")),
        }
    }

    async fn pass_on(&self, survey: &SurveyNode, abandonment: &Abandonment) -> Result<(), SessionError> {
        let internal = |e: String| SessionError::Internal(e);
        let keys = self.link_keys(survey).map_err(|e| internal(e.to_string()))?;
        let opening = Opening::Abandon { abandonment: Box::new(abandonment.clone()) };
        let opening = serde_json::to_vec(&opening).map_err(|e| internal(e.to_string()))?;
        let session = SessionId(random().map_err(|e| internal(e.to_string()))?);
        let opened = self.links.open(keys[0], session, Bytes::from(opening)).await;
        opened.map(|_| ()).map_err(|source| SessionError::Peer { party: 0, source })
    }
}
