//! Who starts sessions and who joins them: party 0's loop over its uploads, and the others' answers.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tercet_protocol::api::{Problem, ProblemKind, QueryState};
use tercet_protocol::keys::random;
use tercet_protocol::query_ticket::QueryTicket;
use tokio::sync::oneshot;

use super::jobs::{Done, perform};
use super::session::{self, Established, Hello, Introduction, Job, Opening, SessionError, Wire};
use super::{Node, SurveyNode, agree, batch, catchup, rebuild, timetable};
use crate::measures;
use crate::peer::{AbortReason, Channel, IncomingSession, SessionId};
use tercet_agreement::Task;

/// A party that knows of nothing that it lacks asks the others every so many seconds.
const LOOK_EVERY: u64 = 30;
/// A party that is locked or behind asks party 0 for a session every so many seconds.
const ASK_EVERY: u64 = 3;
/// Longest time for which a query lets uploads go first.
const YIELD: Duration = Duration::from_secs(2);
/// Longest time for which party 2 keeps one half of a session while it waits for the other.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// One of the two channels of a session at party 2.
pub(super) struct Half {
    deliver: oneshot::Sender<(u8, Hello, Channel)>,
}

/// Starts the loops: one per survey that this party leads, one that answers peers, one that keeps in step.
pub(super) fn spawn(node: &Arc<Node>) {
    let mut tasks = node.leading.try_lock().ok();
    for survey in node.surveys.values() {
        let batches = lead_batches(node.clone(), survey.clone());
        let timetable = timetable::run(node.clone(), survey.clone());
        match &mut tasks {
            Some(tasks) => {
                tasks.spawn(batches);
                tasks.spawn(timetable);
            }
            None => {
                tokio::spawn(batches);
                tokio::spawn(timetable);
            }
        }
    }
    let answering = node.clone();
    tokio::spawn(async move {
        while let Some(incoming) = answering.links.accept().await {
            tokio::spawn(join(answering.clone(), incoming));
        }
    });
}

async fn lead_batches(node: Arc<Node>, survey: Arc<SurveyNode>) {
    let mut stop = node.stop.subscribe();
    {
        let _turn = survey.session.lock().await;
        keep_up(&node, &survey).await;
    }
    if survey.me() != 0 {
        // Followers let go of uploads that nobody will propose any more. One that waits while no session runs may
        // be in the others' logs already: this party missed the end of its session.
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut ticks = 0u64;
        while !*stop.borrow() {
            tokio::select! {
                _ = tick.tick() => {
                    survey.pool.expire(node.clock.now());
                    let due = ticks.is_multiple_of(ASK_EVERY);
                    ticks += 1;
                    let behind = survey.unfinished() || survey.lag() > 0 || survey.lacks_rows();
                    // Now and then in any case: a party that could reach nobody at its start does not know how far it is.
                    if (survey.pool.len() > 0 || (due && behind) || ticks.is_multiple_of(LOOK_EVERY))
                        && let Ok(_turn) = survey.session.try_lock()
                    {
                        keep_up(&node, &survey).await;
                    }
                    if due && (survey.unfinished() || survey.lag() > 0) {
                        ask_to_finish(&node, &survey).await;
                    }
                }
                _ = stop.changed() => {}
            }
        }
        return;
    }
    let mut failures = 0u32;
    loop {
        let mut asked = survey.unfinished() || survey.lacks_rows();
        if !asked {
            tokio::select! {
                () = survey.pool.until_any() => {}
                () = survey.unfinished.notified() => asked = true,
                _ = stop.changed() => {}
            }
        }
        if *stop.borrow() {
            return;
        }
        if asked {
            let outcome = lead_nothing(&node, &survey).await;
            failures = if outcome.is_ok() { 0 } else { failures.saturating_add(1) };
            if let Err(e) = outcome {
                tracing::warn!(error = %e, code = e.code(), "what an earlier session left is not finished yet");
            }
            // Whoever asks again and again gets no more sessions than this.
            let pause = Duration::from_millis(50 << failures.min(7)).min(survey.patience);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => {}
            }
            continue;
        }
        if survey.pool.len() < survey.max_batch {
            tokio::time::sleep(survey.linger).await;
        }
        survey.pool.expire(node.clock.now());
        let submissions = survey.pool.oldest(survey.max_batch);
        if submissions.is_empty() {
            continue;
        }
        let all = submissions.len();
        match lead_batch(&node, &survey, submissions).await {
            Ok(summary) => {
                failures = 0;
                tracing::debug!(
                    accepted = summary.accepted,
                    rejected = summary.rejected,
                    missing = summary.missing.len(),
                    "batch"
                );
                if summary.missing.len() == all {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                survey.pool.postpone(&summary.missing);
            }
            Err(SessionError::Finished { .. }) => failures = 0,
            Err(e) => {
                failures = failures.saturating_add(1);
                let pause = Duration::from_millis(50 << failures.min(7)).min(survey.patience);
                tracing::warn!(error = %e, code = e.code(), retry_in_ms = pause.as_millis() as u64, "batch stopped");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn lead_batch(
    node: &Arc<Node>,
    survey: &Arc<SurveyNode>,
    submissions: Vec<tercet_protocol::ids::SubmissionId>,
) -> Result<batch::Summary, SessionError> {
    let _turn = turn(survey).await?;
    let job = Job::Batch { submissions, at: node.clock.now() };
    let session = lead(node, survey, &job).await?;
    match finish(node, survey, perform(node, survey, session, &job).await).await? {
        Done::Batch(summary) => Ok(summary),
        Done::Answer(_) | Done::Nothing => Ok(batch::Summary::default()),
    }
}

/// Opens a session without uploads, so that what an earlier one left is finished.
async fn lead_nothing(node: &Arc<Node>, survey: &Arc<SurveyNode>) -> Result<(), SessionError> {
    let _turn = turn(survey).await?;
    if survey.lacks_rows() {
        keep_up(node, survey).await;
    }
    match lead(node, survey, &Job::Finish).await {
        Ok(_) | Err(SessionError::Finished { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Tells party 0 that this party is locked or behind.
async fn ask_to_finish(node: &Node, survey: &SurveyNode) {
    let asking = async {
        let peers = node.peers(survey).map_err(|e| SessionError::Internal(e.to_string()))?;
        let opening = serde_json::to_vec(&Opening::Unfinished { survey: survey.id() })
            .map_err(|e| SessionError::Internal(e.to_string()))?;
        let id = SessionId(random().map_err(|e| SessionError::Internal(e.to_string()))?);
        let opened = node.links.open(peers[0].peer_key, id, Bytes::from(opening)).await;
        opened.map_err(|source| SessionError::Peer { party: 0, source })
    };
    if let Err(e) = asking.await {
        tracing::debug!(error = %e, "party 0 could not be asked to finish an entry");
    }
}

/// Leads a session of this job.
pub(super) async fn run(node: &Arc<Node>, survey: &Arc<SurveyNode>, job: &Job) -> Result<Done, SessionError> {
    let _turn = turn(survey).await?;
    // What an earlier session left is finished first.
    let session = match lead(node, survey, job).await {
        Err(SessionError::Finished { .. }) => lead(node, survey, job).await?,
        session => session?,
    };
    finish(node, survey, perform(node, survey, session, job).await).await
}

/// Runs a query as its leader, to the state that consumers see. Uploads that wait go first.
pub(super) async fn query(node: &Arc<Node>, survey: &Arc<SurveyNode>, ticket: QueryTicket) -> QueryState {
    survey.pool.until_none(YIELD.min(survey.patience)).await;
    let id = ticket.query();
    let job = Job::Query { release: ticket.release, ticket: Some(Box::new(ticket)) };
    match run(node, survey, &job).await {
        Ok(Done::Answer(result)) => QueryState::Done { result: *result },
        Ok(Done::Batch(_) | Done::Nothing) => {
            let problem = Problem::new(ProblemKind::Internal, "a query ended without an answer");
            QueryState::Refused { problem }
        }
        Err(e) => {
            tracing::warn!(error = %e, code = e.code(), query = %id, "query stopped");
            QueryState::Refused { problem: e.problem() }
        }
    }
}

/// The wire of a session, with the survey's injected fault in tests.
async fn wire(survey: &SurveyNode, next: Channel, previous: Channel) -> Wire {
    let wire = Wire::new(survey.me(), next, previous, survey.patience);
    #[cfg(feature = "fault-injection")]
    let wire = wire.with_fault(survey.fault.lock().await.clone());
    wire
}

async fn turn(survey: &SurveyNode) -> Result<tokio::sync::MutexGuard<'_, ()>, SessionError> {
    // Shorter than the others wait for our hello: a session whose turn comes later than that is dead already, and
    // would only hold up the next.
    tokio::time::timeout(survey.patience * 3 / 4, survey.session.lock())
        .await
        .map_err(|_| SessionError::Occupied)
}

/// Counts and handles a session's failure: a party that finds itself behind catches up at once.
async fn finish<T>(
    node: &Arc<Node>,
    survey: &Arc<SurveyNode>,
    outcome: Result<T, SessionError>,
) -> Result<T, SessionError> {
    if let Err(e) = &outcome {
        metrics::counter!(measures::SESSIONS_FAILED, "reason" => e.code()).increment(1);
        survey.failures.send_modify(|f| {
            f.count += 1;
            f.last = e.to_string();
        });
        match e {
            SessionError::Behind { party, theirs, .. } => {
                survey.behind(*theirs);
                catch_up_from(node, survey, *party).await;
            }
            // Whoever is ahead ends the session at once, and its hello may not arrive: the leader looks for itself.
            SessionError::Peer { .. } | SessionError::Late { .. } | SessionError::Disagreement { .. }
                if survey.me() == 0 =>
            {
                catch_up_from_all(node, survey).await;
            }
            _ => {}
        }
    }
    outcome
}

async fn catch_up_from(node: &Node, survey: &SurveyNode, party: u8) {
    let Ok(peers) = node.peers(survey) else { return };
    let key = peers[usize::from(party % 3)].peer_key;
    match catchup::catch_up(survey, &node.links, party, key).await {
        Ok(0) => {}
        Ok(added) => tracing::info!(party, added, "caught up"),
        Err(e) => tracing::warn!(party, error = %e, "could not catch up"),
    }
}

/// Takes what the others committed while this party was away. The caller holds the session lock.
async fn catch_up_from_all(node: &Node, survey: &SurveyNode) {
    for party in (0..3u8).filter(|p| *p != survey.me()) {
        catch_up_from(node, survey, party).await;
    }
}

/// Takes what the others committed while this party was away, and the rows that it lacks. The caller holds the session
/// lock.
async fn keep_up(node: &Node, survey: &SurveyNode) {
    catch_up_from_all(node, survey).await;
    if let Err(e) = rebuild::fill(node, survey).await {
        tracing::warn!(error = %e, code = e.code(), "rows are still lacking");
    }
}

/// Opens a session as party 0. The caller holds the session lock.
async fn lead(node: &Arc<Node>, survey: &Arc<SurveyNode>, job: &Job) -> Result<Established, SessionError> {
    let intro = introduction(survey).await?;
    let id = SessionId(random().map_err(|e| SessionError::Internal(e.to_string()))?);
    let ours = intro.hello(job, true)?;
    let next = open(node, survey, 1, id, &ours).await?;
    let previous = open(node, survey, 2, id, &ours).await?;
    let joined = wire(survey, next, previous).await;
    agreed(node, survey, session::establish(survey, &intro, joined, ours, [None, None], [true, true]).await)
        .await
}

/// This party's introduction at its current height.
async fn introduction(survey: &SurveyNode) -> Result<Introduction, SessionError> {
    if survey.lacks_rows() {
        return Err(SessionError::Lacking { party: survey.me() });
    }
    let standing = agree::begin(survey).await?;
    Ok(Introduction { survey: survey.id(), me: survey.me(), engine: survey.sandbox.digest(), standing })
}

async fn agreed(
    node: &Arc<Node>,
    survey: &Arc<SurveyNode>,
    result: Result<Established, (SessionError, Wire)>,
) -> Result<Established, SessionError> {
    match result {
        Ok(Established { task: Task::Finish(certificate), wire, .. }) => {
            survey.level();
            let finished = agree::finish(survey, wire, &certificate).await;
            let height = finish(node, survey, finished).await?.entry.height;
            Err(SessionError::Finished { height })
        }
        Ok(session) => {
            survey.level();
            Ok(session)
        }
        Err((e, wire)) => {
            wire.abort(&e);
            finish(node, survey, Err(e)).await
        }
    }
}

async fn open(
    node: &Node,
    survey: &SurveyNode,
    party: u8,
    id: SessionId,
    hello: &Hello,
) -> Result<Channel, SessionError> {
    let peers = node.peers(survey).map_err(|e| SessionError::Internal(e.to_string()))?;
    let bytes = serde_json::to_vec(&Opening::Session(Box::new(hello.clone())))
        .map_err(|e| SessionError::Internal(e.to_string()))?;
    node.links
        .open(peers[usize::from(party)].peer_key, id, Bytes::from(bytes))
        .await
        .map_err(|source| SessionError::Peer { party, source })
}

/// Answers what a peer opened.
async fn join(node: Arc<Node>, incoming: IncomingSession) {
    let IncomingSession { peer, session, hello, channel } = incoming;
    let refuse = |channel: Channel, what: &str| channel.abort(AbortReason::new("refused", what));
    match session::parse_opening(&hello) {
        None => refuse(channel, "the opening message cannot be read"),
        Some(Opening::CatchUp { survey, height }) => match node.surveys.get(&survey) {
            None => refuse(channel, "unknown survey"),
            Some(survey) => match node.index_of(survey, &peer) {
                None => refuse(channel, "not a party of this survey"),
                Some(party) => {
                    if let Err(e) = catchup::serve(survey, party, channel, height).await {
                        tracing::warn!(error = %e, "could not serve a peer that is behind");
                    }
                }
            },
        },
        Some(Opening::Supply { survey, heights }) => match node.surveys.get(&survey) {
            None => refuse(channel, "unknown survey"),
            Some(survey) => match node.index_of(survey, &peer) {
                None => refuse(channel, "not a party of this survey"),
                Some(party) => {
                    if let Err(e) = rebuild::serve(survey, party, channel, &heights).await {
                        tracing::warn!(error = %e, "could not send a peer the rows that it lacks");
                    }
                }
            },
        },
        Some(Opening::Unfinished { survey }) => {
            // Any party may ask; party 0's loop decides when. The channel is not needed.
            if let Some(survey) = node.surveys.get(&survey)
                && node.index_of(survey, &peer).is_some()
            {
                survey.unfinished.notify_one();
            }
        }
        Some(Opening::Session(hello)) => {
            let Some(survey) = node.surveys.get(&hello.survey).cloned() else {
                return refuse(channel, "unknown survey");
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
    let intro = introduction(survey).await?;
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

impl Node {
    /// Brings this party's log and rows up to the others', for an operator who waits for it. `tell` hears of the progress.
    pub async fn rebuild(&self, tell: impl Fn(String)) {
        for survey in self.surveys.values() {
            loop {
                {
                    let _turn = survey.session.lock().await;
                    keep_up(self, survey).await;
                }
                let (height, lacking) = (survey.book().head().0, survey.lacking().len());
                tell(format!(
                    "survey {}: height {height}, rows of {lacking} entries are lacking",
                    survey.id()
                ));
                if lacking == 0 && survey.lag() == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }

    /// A peer's index in a survey, by its link key.
    fn index_of(&self, survey: &SurveyNode, peer: &tercet_protocol::ids::PublicKey) -> Option<u8> {
        let peers = self.peers(survey).ok()?;
        (0u8..3).zip(peers).find_map(|(i, m)| (m.peer_key == *peer).then_some(i))
    }
}
