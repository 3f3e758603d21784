//! Answers a peer's message: a session to join, or a question of a party that is behind.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{agreed, finish, introduction, open, turn, wire};
use crate::node::jobs::perform;
use crate::node::roster::Unserved;
use crate::node::session::{self, Hello, Opening, SessionError};
use crate::node::{Node, SurveyNode, abandon, catchup, rebuild};
use crate::peer::{AbortReason, Channel, IncomingSession, SessionId};

/// Longest time for which party 2 keeps one half of a session while it waits for the other.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// One of the two channels of a session at party 2.
pub(in crate::node) struct Half {
    deliver: oneshot::Sender<(u8, Hello, Channel)>,
}

/// Answers a peer's message.
pub(super) async fn join(node: Arc<Node>, incoming: IncomingSession) {
    let IncomingSession { peer, session, hello, channel } = incoming;
    let refuse = |channel: Channel, what: &str| channel.abort(AbortReason::new("refused", what));
    match session::parse_opening(&hello) {
        None => refuse(channel, "the opening message cannot be read"),
        Some(Opening::CatchUp { survey, height }) => match node.served(&survey) {
            Err(why) => unserved(channel, &why),
            Ok(survey) => match node.index_of(&survey, &peer) {
                None => refuse(channel, "not a party of this survey"),
                Some(party) => {
                    if let Err(e) = catchup::serve(&survey, party, channel, height).await {
                        tracing::warn!(error = %e, "could not serve a peer that is behind");
                    }
                }
            },
        },
        Some(Opening::Supply { survey, rows }) => match node.served(&survey) {
            Err(why) => unserved(channel, &why),
            Ok(survey) => match node.index_of(&survey, &peer) {
                None => refuse(channel, "not a party of this survey"),
                Some(party) => {
                    if let Err(e) = rebuild::serve(&survey, party, channel, &rows).await {
                        tracing::warn!(error = %e, "could not send a peer the rows that it lacks");
                    }
                }
            },
        },
        Some(Opening::Unfinished { survey }) => {
            // Any party may ask; party 0's loop decides when. The channel is not needed.
            if let Ok(survey) = node.served(&survey)
                && node.index_of(&survey, &peer).is_some()
            {
                survey.unfinished.notify_one();
            }
        }
        Some(Opening::Abandon { abandonment }) => {
            if let Ok(survey) = node.served(&abandonment.abandoned.survey)
                && node.index_of(&survey, &peer).is_some()
                && let Err(e) = abandon::lead(&node, &survey, *abandonment).await
            {
                tracing::warn!(error = %e, "an entry is not given up yet");
            }
        }
        Some(Opening::Refresh { survey }) => {
            if let Ok(survey) = node.served(&survey)
                && node.index_of(&survey, &peer).is_some()
            {
                survey.ask_for_refresh();
            }
        }
        Some(Opening::Session(hello)) => {
            let survey = match node.served(&hello.survey) {
                Ok(survey) => survey,
                Err(why) => return unserved(channel, &why),
            };
            let from = node.index_of(&survey, &peer);
            if from != Some(hello.from) || hello.from >= survey.me() {
                return refuse(channel, "this party does not open this channel");
            }
            let outcome = follow(&node, &survey, session, *hello, channel).await;
            if let Err(e) = outcome
                && !matches!(e, SessionError::Finished { .. })
            {
                tracing::warn!(error = %e, code = e.code(), "session stopped");
            }
        }
    }
}

/// Tells a peer why this party has nothing to say about a survey.
fn unserved(channel: Channel, why: &Unserved) {
    channel.abort(match why {
        Unserved::Loading => {
            AbortReason::new("loading", "this party is starting, and reads the survey's log")
        }
        Unserved::Unknown => AbortReason::new("refused", "unknown survey"),
    });
}

/// Joins a session as party 1 or 2.
async fn follow(
    node: &Arc<Node>,
    survey: &Arc<SurveyNode>,
    id: SessionId,
    hello: Hello,
    channel: Channel,
) -> Result<(), SessionError> {
    let (lead_hello, lead_channel, other) = if survey.me() == 1 {
        (hello, channel, None)
    } else {
        match halves(node, id, hello.from, hello, channel).await? {
            None => return Ok(()),
            Some([(lead_hello, lead_channel), (hello, channel)]) => {
                (lead_hello, lead_channel, Some((hello, channel)))
            }
        }
    };
    let Some(job) = lead_hello.job.clone() else {
        return Err(SessionError::Disagreement { party: 0, what: "named no job".into() });
    };
    let _turn = turn(survey).await?;
    let intro = introduction(survey, &job).await?;
    let ours = intro.hello(&job, false)?;
    let (joined, heard, opened) = match other {
        // Party 1: next is party 2, previous is party 0.
        None => {
            let next = open(node, survey, 2, id, &ours).await?;
            (wire(survey, next, lead_channel).await, [None, Some(lead_hello)], [true, false])
        }
        // Party 2: next is party 0, previous is party 1.
        Some((hello, channel)) => {
            (wire(survey, lead_channel, channel).await, [Some(lead_hello), Some(hello)], [false, false])
        }
    };
    let session =
        agreed(node, survey, session::establish(survey, &intro, joined, ours, heard, opened).await).await?;
    let outcome = perform(node, survey, session, &job).await.map(|_| ());
    finish(node, survey, outcome).await
}

type Joined = [(Hello, Channel); 2];

/// Brings the channels of parties 0 and 1 together at party 2. The first to come waits; the second hands over
/// and is done (none).
async fn halves(
    node: &Node,
    id: SessionId,
    from: u8,
    hello: Hello,
    channel: Channel,
) -> Result<Option<Joined>, SessionError> {
    let (deliver, delivered) = oneshot::channel();
    let waiting = {
        let mut halves = node.halves.lock().unwrap_or_else(PoisonError::into_inner);
        match halves.remove(&id) {
            Some(half) => Some(half),
            None => {
                halves.insert(id, Half { deliver });
                None
            }
        }
    };
    if let Some(half) = waiting {
        // The waiter may have given up: then the channel is dropped, and its peer hears of it.
        let _late = half.deliver.send((from, hello, channel));
        return Ok(None);
    }
    let other = tokio::time::timeout(HALF_LIFE, delivered).await;
    node.halves.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    match other {
        Ok(Ok((other_from, other_hello, other_channel))) if other_from != from => Ok(Some(if from == 0 {
            [(hello, channel), (other_hello, other_channel)]
        } else {
            [(other_hello, other_channel), (hello, channel)]
        })),
        Ok(Ok(_)) => Err(SessionError::Disagreement { party: from, what: "opened one session twice".into() }),
        Ok(Err(_)) | Err(_) => Err(SessionError::Late { party: 1 - from.min(1) }),
    }
}
