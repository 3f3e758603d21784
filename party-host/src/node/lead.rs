//! The start of sessions: party 0's loop over its uploads, and the others' requests to finish an entry.

mod follow;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tercet_protocol::api::{Problem, ProblemKind, QueryState};
use tercet_protocol::keys::random;
use tercet_protocol::query_ticket::QueryTicket;

pub(super) use self::follow::Half;
use super::jobs::{Done, perform};
use super::session::{self, Established, Hello, Introduction, Job, Opening, SessionError, Wire};
use super::{Node, SurveyNode, abandon, agree, batch, catchup, rebuild, timetable};
use crate::measures;
use crate::peer::{Channel, SessionId};
use tercet_agreement::Task;

/// Seconds between two questions to the others by a party that knows of nothing that it lacks.
const LOOK_EVERY: u64 = 30;
/// Seconds between two requests for a session by a party that is locked or behind.
const ASK_EVERY: u64 = 3;
/// Longest time for which a query lets uploads go first.
const YIELD: Duration = Duration::from_secs(2);

/// Starts the loop that answers peers.
pub(super) fn answer_peers(node: &Arc<Node>) {
    let answering = node.clone();
    tokio::spawn(async move {
        while let Some(incoming) = answering.links.accept().await {
            tokio::spawn(follow::join(answering.clone(), incoming));
        }
    });
}

/// Starts a survey's loops: one leads this party's sessions and keeps in step with sessions that others lead; one
/// looks at the clock.
pub(super) async fn run_loops(node: &Arc<Node>, survey: Arc<SurveyNode>) {
    let mut tasks = node.leading.lock().await;
    tasks.spawn(lead_batches(node.clone(), survey.clone()));
    tasks.spawn(timetable::run(node.clone(), survey));
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
        let submissions = survey.pool.oldest(survey.max_batch, batch::room(survey.sandbox.memory()));
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

/// Opens a session without uploads, to finish an entry of an earlier one.
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
        let keys = node.link_keys(survey).map_err(|e| SessionError::Internal(e.to_string()))?;
        let opening = serde_json::to_vec(&Opening::Unfinished { survey: survey.id() })
            .map_err(|e| SessionError::Internal(e.to_string()))?;
        let id = SessionId(random().map_err(|e| SessionError::Internal(e.to_string()))?);
        let opened = node.links.open(keys[0], id, Bytes::from(opening)).await;
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
            SessionError::Store(e) => rebuild::mend(survey, e).await,
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
    let Ok(keys) = node.link_keys(survey) else { return };
    let key = keys[usize::from(party % 3)];
    match catchup::catch_up(survey, &node.links, party, key).await {
        Ok(0) => {}
        Ok(added) => tracing::info!(party, added, "caught up"),
        Err(e) => tracing::warn!(party, error = %e, "could not catch up"),
    }
}

/// Takes the entries that the others committed while this party was away. The caller holds the session lock.
async fn catch_up_from_all(node: &Node, survey: &SurveyNode) {
    for party in (0..3u8).filter(|p| *p != survey.me()) {
        catch_up_from(node, survey, party).await;
    }
}

/// Takes the entries that the others committed while this party was away, and the rows that it lacks. The caller holds
/// the session lock.
async fn keep_up(node: &Node, survey: &SurveyNode) {
    catch_up_from_all(node, survey).await;
    if let Err(e) = rebuild::fill(node, survey).await {
        tracing::warn!(error = %e, code = e.code(), "rows are still lacking");
    }
}

/// Opens a session as party 0. The caller holds the session lock.
async fn lead(node: &Arc<Node>, survey: &Arc<SurveyNode>, job: &Job) -> Result<Established, SessionError> {
    let intro = introduction(survey, job).await?;
    let id = SessionId(random().map_err(|e| SessionError::Internal(e.to_string()))?);
    let ours = intro.hello(job, true)?;
    let next = open(node, survey, 1, id, &ours).await?;
    let previous = open(node, survey, 2, id, &ours).await?;
    let joined = wire(survey, next, previous).await;
    agreed(node, survey, session::establish(survey, &intro, joined, ours, [None, None], [true, true]).await)
        .await
}

/// This party's introduction at its current height.
async fn introduction(survey: &SurveyNode, job: &Job) -> Result<Introduction, SessionError> {
    if let Job::Abandon { abandonment, .. } = job {
        abandon::take(survey, abandonment).await?;
    }
    if survey.lacks_rows() {
        return Err(SessionError::Lacking { party: survey.me() });
    }
    let standing = agree::begin(survey).await?;
    let (engine, holdings) = (survey.sandbox.digest(), survey.holdings());
    Ok(Introduction { survey: survey.id(), me: survey.me(), engine, standing, holdings })
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
    let keys = node.link_keys(survey).map_err(|e| SessionError::Internal(e.to_string()))?;
    let bytes = serde_json::to_vec(&Opening::Session(Box::new(hello.clone())))
        .map_err(|e| SessionError::Internal(e.to_string()))?;
    node.links
        .open(keys[usize::from(party)], id, Bytes::from(bytes))
        .await
        .map_err(|source| SessionError::Peer { party, source })
}

impl Node {
    /// Brings this party's log and rows up to the others', for an operator who waits for it. `tell` hears of the progress.
    pub async fn rebuild(&self, tell: impl Fn(String)) {
        for survey in &self.running() {
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
}

#[cfg(feature = "fault-injection")]
impl Node {
    /// Opens the session of a query as a leader does that judges nothing itself, and says no more in it. True if all three
    /// agreed on the session: then the others have to refuse its task.
    pub async fn propose_query(
        self: &Arc<Self>,
        survey: &Arc<SurveyNode>,
        release: u64,
        ticket: Option<QueryTicket>,
    ) -> bool {
        let Ok(_turn) = turn(survey).await else { return false };
        let job = Job::Query { release, ticket: ticket.map(Box::new) };
        lead(self, survey, &job).await.is_ok()
    }
}
