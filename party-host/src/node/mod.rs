//! The party itself: takes uploads, leads or joins sessions, answers questions about both.
//!
//! | Files | Subject |
//! |---|---|
//! | `survey`, `roster` | one survey as this party runs it; all of them |
//! | `intake`, `pool` | uploads: checked alone, then waiting |
//! | `lead`, `timetable`, `jobs` | who starts sessions, and what each kind does |
//! | `session` | three parties introduce themselves and exchange frames |
//! | `agree` | an entry is prepared, locked, voted for and committed |
//! | `book`, `epochs`, `secret`, `renewal` | what the log amounts to |
//! | `batch`, `release`, `erase`, `refresh`, `abandon` | the kinds of entries |
//! | `units`, `stored`, `plan`, `query`, `engine`, `pair_secrets` | unit sums, questions and their answers |
//! | `shelf`, `catchup`, `supply`, `rebuild` | what a party lacks, and how it gets it from the two others |

mod abandon;
mod agree;
mod batch;
mod book;
mod catchup;
mod engine;
mod epochs;
mod erase;
mod intake;
mod jobs;
mod lead;
mod pair_secrets;
mod plan;
mod pool;
mod query;
mod rebuild;
mod refresh;
mod release;
mod renewal;
mod replay;
mod roster;
mod secret;
mod session;
mod shelf;
mod stored;
mod supply;
mod survey;
mod timetable;
mod units;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tercet_protocol::api::{
    PartySurveyStatus, Problem, ProblemKind, QueryState, QueryStatus, ReleaseNow, SubmissionState,
    SubmissionStatus,
};
use tercet_protocol::ids::{QueryId, Signature, SubmissionId, SurveyId};
use tercet_protocol::keys::{OpeningKey, SigningKey};
use tercet_protocol::operator::Federation;
use tercet_protocol::query_ticket::QueryTicket;
use tercet_protocol::result::SignedResult;
use tercet_protocol::submission::{Receipt, ShareUpload};
use tercet_protocol::withdrawal::Withdrawal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::measures;
use crate::peer::{PeerLinks, SessionId};
pub use batch::{ENGINE_BASE, ENGINE_EACH};
use pool::Outcome;
pub use replay::SurveyStartError;
pub use roster::RedeployError;
use roster::Roster;
pub use session::MAX_HELLO;
#[cfg(feature = "fault-injection")]
pub use session::{Fault, Step};
pub use survey::{Parts, SurveyNode};

/// Queries remembered.
const MAX_QUERIES: usize = 1024;

/// A running party.
pub struct Node {
    identity: Arc<SigningKey>,
    sealing: Vec<OpeningKey>,
    federation: RwLock<Arc<Federation>>,
    roster: Roster,
    links: PeerLinks,
    clock: Arc<dyn Clock>,
    queries: Mutex<HashMap<QueryId, watch::Sender<QueryState>>>,
    /// Channels of party 0 that wait at party 2 for party 1's, and the other way round.
    halves: Mutex<HashMap<SessionId, lead::Half>>,
    stop: watch::Sender<bool>,
    /// After [`Self::stop`]: no session runs any more.
    ended: CancellationToken,
    leading: tokio::sync::Mutex<tokio::task::JoinSet<()>>,
}

/// The parts of a party.
pub struct NodeParts {
    /// Signs receipts, entries and results.
    pub identity: Arc<SigningKey>,
    /// Open private parts: the published key first.
    pub sealing: Vec<OpeningKey>,
    /// The deployment.
    pub federation: Federation,
    /// Links to the other parties.
    pub links: PeerLinks,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Node {
    /// Starts answering peers. The party runs no survey yet: see [`Self::adopt`].
    pub fn start(parts: NodeParts) -> Arc<Self> {
        let NodeParts { identity, sealing, federation, links, clock } = parts;
        let node = Arc::new(Self {
            identity,
            sealing,
            federation: RwLock::new(Arc::new(federation)),
            roster: Roster::default(),
            links,
            clock,
            queries: Mutex::default(),
            halves: Mutex::default(),
            stop: watch::Sender::new(false),
            ended: CancellationToken::new(),
            leading: tokio::sync::Mutex::default(),
        });
        lead::answer_peers(&node);
        node
    }

    /// Takes no more uploads and leads no more sessions; running ones get until `patience` to end. Then uploads that
    /// still wait are handed back: their senders are told to send them again.
    pub async fn stop(&self, patience: Duration) {
        let deadline = tokio::time::Instant::now() + patience;
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.leading.lock().await);
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            tracing::warn!(
                "sessions still run at the end of the stop time; what has no receipt can be sent again"
            );
        }
        for s in self.running() {
            // A session led by another party ends here too before the process does.
            let _ended = tokio::time::timeout_at(deadline, s.session.lock()).await;
        }
        self.ended.cancel();
    }

    /// Closes the links to the other parties at once.
    pub fn disconnect(&self) {
        self.links.shutdown();
    }

    /// Checks the ticket at the start of an upload, before the rest of it is read.
    pub fn admits(&self, id: SubmissionId, head: &[u8]) -> Result<(), Problem> {
        let ticket = ShareUpload::ticket(head)
            .map_err(|e| Problem::new(ProblemKind::Malformed, format!("the upload's ticket: {e}")))?;
        intake::admitted(id, &ticket, &self.federation().coordinator.ticket_keys(), self.clock.now())
    }

    /// Takes an upload and waits for its decision, at most `patience`. The same upload again gets the same answer.
    pub async fn upload(
        self: &Arc<Self>,
        id: SubmissionId,
        body: Bytes,
        patience: Duration,
    ) -> Result<SubmissionStatus, Problem> {
        let ticketed =
            intake::ticketed(id, &body, &self.federation().coordinator.ticket_keys(), self.clock.now())?;
        let survey = self.survey(ticketed.public().survey)?;
        if erase::receipt(&survey, id).is_some() {
            let detail = "this submission was withdrawn: it cannot be sent again";
            return Err(Problem::new(ProblemKind::Withdrawn, detail));
        }
        if let Some(receipt) = self.receipt(&survey, id) {
            return Ok(accepted(&survey, id, receipt));
        }
        survey.book().open(self.clock.now())?;
        if *self.stop.borrow() {
            return Err(handed_back());
        }
        let waiting = match survey.pool.join(&id) {
            Some(waiting) => waiting,
            None => {
                let node = self.clone();
                let checked = survey.clone();
                // Signature and certificate checks: a millisecond of CPU, off the threads that serve I/O.
                let upload =
                    tokio::task::spawn_blocking(move || intake::verified(&checked, &node.sealing, ticketed))
                        .await
                        .map_err(|e| Problem::new(ProblemKind::Internal, format!("the check ended: {e}")))?;
                // A part that was sealed for this submission and is not the one whose hash is public: its provider made it
                // so. The coordinator hears of it when it asks, and the identity is free again at once.
                let upload = upload.inspect_err(|problem| {
                    if problem.known() == Some(ProblemKind::ShareMismatch) {
                        survey.pool.refuse(id, problem);
                    }
                })?;
                survey.pool.add(upload)?
            }
        };
        // Its entry may have become final while it was being checked, when the pool did not know of it yet: then nobody
        // would decide it any more.
        if let Some(receipt) = self.receipt(&survey, id) {
            survey.pool.decide(id, Outcome::Accepted);
            return Ok(accepted(&survey, id, receipt));
        }
        tokio::select! {
            biased;
            status = self.decision(&survey, id, waiting, patience) => Ok(status),
            () = self.ended.cancelled() => Err(handed_back()),
        }
    }

    async fn decision(
        &self,
        survey: &SurveyNode,
        id: SubmissionId,
        mut waiting: watch::Receiver<Option<Outcome>>,
        patience: Duration,
    ) -> SubmissionStatus {
        let outcome = match tokio::time::timeout(patience, waiting.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let state = match outcome {
            Some(Outcome::Accepted) => match self.receipt(survey, id) {
                Some(receipt) => SubmissionState::Accepted { receipts: vec![receipt] },
                None => SubmissionState::Pending,
            },
            Some(Outcome::Rejected(problem)) => SubmissionState::Rejected { problem },
            None => SubmissionState::Pending,
        };
        SubmissionStatus { submission: id, survey: survey.id(), state }
    }

    /// This party's receipt of an accepted submission.
    fn receipt(&self, survey: &SurveyNode, id: SubmissionId) -> Option<Receipt> {
        let (place, entry) = {
            let book = survey.book();
            let place = book.place(&id)?;
            (place, book.hash_at(place.height)?)
        };
        let receipt = Receipt {
            survey: survey.id(),
            submission: id,
            nullifier: place.nullifier,
            height: place.height,
            entry,
            party: survey.me(),
            signature: Signature([0; 64]),
        };
        Some(receipt.signed(&self.identity))
    }

    /// The state of a submission at this party.
    pub fn submission(&self, id: SubmissionId) -> Option<SubmissionStatus> {
        self.running().iter().find_map(|survey| {
            if let Some(receipt) = erase::receipt(survey, id) {
                let state = SubmissionState::Withdrawn { receipts: vec![receipt] };
                return Some(SubmissionStatus { submission: id, survey: survey.id(), state });
            }
            if let Some(receipt) = self.receipt(survey, id) {
                return Some(accepted(survey, id, receipt));
            }
            let state = match survey.pool.rejection(&id) {
                Some(problem) => SubmissionState::Rejected { problem },
                None => survey.pool.get(&id).map(|_| SubmissionState::Pending)?,
            };
            Some(SubmissionStatus { submission: id, survey: survey.id(), state })
        })
    }

    /// Takes a person's wish to leave. The answer says that the row is erased, or gives the state of the erasure, on which
    /// the parties agree led by party 0. The same wish again asks for the state.
    pub async fn withdraw(
        &self,
        id: SubmissionId,
        wish: Withdrawal,
        patience: Duration,
    ) -> Result<SubmissionStatus, Problem> {
        let survey = &self.survey(wish.survey)?;
        if wish.submission != id {
            let detail = "the withdrawal is of another submission than the address names";
            return Err(Problem::new(ProblemKind::Malformed, detail));
        }
        let status = |state| SubmissionStatus { submission: id, survey: survey.id(), state };
        let erased = || erase::receipt(survey, id).map(|r| SubmissionState::Withdrawn { receipts: vec![r] });
        if let Some(state) = erased() {
            return Ok(status(state));
        }
        let checked = erase::check(survey, &wish).await.map_err(|e| e.problem())?;
        // It may have been erased meanwhile.
        if let Some(state) = erased() {
            return Ok(status(state));
        }
        checked?;
        survey.withdraw(wish)?;
        let deadline = tokio::time::Instant::now() + patience;
        while tokio::time::Instant::now() < deadline {
            if let Some(state) = erased() {
                return Ok(status(state));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let receipt = self.receipt(survey, id);
        Ok(status(
            receipt.map_or(SubmissionState::Pending, |r| SubmissionState::Accepted { receipts: vec![r] }),
        ))
    }

    /// The listed statistics of a release point.
    pub async fn statistics(&self, survey: SurveyId, point: u64) -> Result<SignedResult, Problem> {
        let survey = &self.survey(survey)?;
        // Judged first: nobody makes this party look into its store for numbers of their own.
        let newest = survey.book().newest().map_or(0, |p| p.public.number);
        if point == 0 || point > newest {
            return Err(Problem::new(ProblemKind::NotFound, "the survey has no such release point"));
        }
        if let Some(answer) = survey.listed(point).await.map_err(|e| e.problem())? {
            return Ok(answer);
        }
        if point < newest {
            let detail = "nothing was published at this release point: too few people had taken part, or a party failed";
            return Err(Problem::new(ProblemKind::NotFound, detail));
        }
        query::judge(
            survey,
            &tercet_protocol::query_ticket::Question::listed(survey.descriptor().manifest()),
        )?;
        Err(Problem::new(ProblemKind::Busy, "the statistics of this release point are being computed")
            .retry_after(2))
    }

    /// A release point now, although none is due: parties that run for development do this.
    pub async fn release_now(self: &Arc<Self>, survey: SurveyId) -> Result<ReleaseNow, Problem> {
        let survey = self.survey(survey)?;
        timetable::now(self, &survey).await
    }

    /// The state of a survey's log.
    pub fn survey_status(&self, id: SurveyId) -> Option<PartySurveyStatus> {
        let survey = self.survey(id).ok()?;
        let book = survey.book();
        let (height, head) = book.head();
        // Not how many wait: that would tell when somebody came.
        let least = survey.descriptor().manifest().survey.min_new.max(1);
        let submissions = book.live() / least * least;
        let release = book.newest().map_or(0, |p| p.public.number);
        Some(PartySurveyStatus {
            survey: id,
            height,
            head,
            submissions,
            release,
            party: survey.me(),
            engine: survey.sandbox.digest(),
        })
    }

    fn queries(&self) -> MutexGuard<'_, HashMap<QueryId, watch::Sender<QueryState>>> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the query that a ticket admits, or gives its state if it is known. Party 0 leads. A question that the
    /// rules refuse is refused here, before any other party hears of it.
    pub fn start_query(self: &Arc<Self>, id: QueryId, ticket: QueryTicket) -> Result<QueryStatus, Problem> {
        let survey = self.survey(ticket.survey)?;
        if survey.me() != 0 {
            return Err(Problem::new(
                ProblemKind::Malformed,
                "queries are led by the survey's party 0: send it there",
            ));
        }
        ticket
            .verify(&self.federation().coordinator.ticket_keys(), self.clock.now())
            .map_err(|e| Problem::new(ProblemKind::TicketInvalid, e.to_string()))?;
        if ticket.query() != id {
            let detail = "the ticket is for another question than the address names";
            return Err(Problem::new(ProblemKind::Malformed, detail));
        }
        if let Some(result) = survey.answered(&id) {
            return Ok(QueryStatus { query: id, state: QueryState::Done { result } });
        }
        let newest = survey.book().newest().map_or(0, |p| p.public.number);
        if newest > 0 && ticket.release != newest {
            let detail = "the ticket is for another release point than the newest: ask for a new one";
            return Err(Problem::new(ProblemKind::TicketInvalid, detail).rule("release"));
        }
        query::judge(&survey, &ticket.question).inspect_err(|problem| {
            metrics::counter!(measures::REFUSALS).increment(1);
            tracing::info!(survey = %survey.id(), kind = problem.kind, detail = problem.detail, "query refused");
        })?;
        {
            let mut queries = self.queries();
            match queries.get(&id).map(|state| state.borrow().clone()) {
                None | Some(QueryState::Refused { .. }) => {}
                Some(state) => return Ok(QueryStatus { query: id, state }),
            }
            if queries.len() >= MAX_QUERIES {
                // Results live at the coordinator; those finished here have been fetched or can be asked again.
                queries.retain(|_, s| matches!(*s.borrow(), QueryState::Running));
                if queries.len() >= MAX_QUERIES {
                    return Err(Problem::new(ProblemKind::Busy, "too many queries run").retry_after(2));
                }
            }
            queries.insert(id, watch::Sender::new(QueryState::Running));
        }
        let node = self.clone();
        tokio::spawn(async move {
            let state = lead::query(&node, &survey, ticket).await;
            if let Some(running) = node.queries().get(&id) {
                running.send_replace(state);
            }
        });
        Ok(QueryStatus { query: id, state: QueryState::Running })
    }

    /// The state of a query.
    pub fn query(&self, id: QueryId) -> Option<QueryStatus> {
        let state = self.queries().get(&id)?.borrow().clone();
        Some(QueryStatus { query: id, state })
    }

    /// The same once it has ended, or its state after `patience` or when this party stops.
    pub async fn query_ended(&self, id: QueryId, patience: Duration) -> Option<QueryStatus> {
        let mut state = self.queries().get(&id)?.subscribe();
        let mut stop = self.stop.subscribe();
        tokio::select! {
            _ended = state.wait_for(|s| !matches!(s, QueryState::Running)) => {}
            _stopping = stop.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(patience) => {}
        }
        let state = state.borrow().clone();
        Some(QueryStatus { query: id, state })
    }
}

/// The answer to an upload that a stopping party does not decide any more.
fn handed_back() -> Problem {
    let detail = "the party is being restarted and has not taken this submission: send it again";
    Problem::new(ProblemKind::PartyUnavailable, detail).retry_after(5)
}

fn accepted(survey: &SurveyNode, id: SubmissionId, receipt: Receipt) -> SubmissionStatus {
    let state = SubmissionState::Accepted { receipts: vec![receipt] };
    SubmissionStatus { submission: id, survey: survey.id(), state }
}
