//! Submitting a value: check, prove, seal, upload, and collect the three parties' receipts.
//!
//! Sending again is always safe. The proof's randomness is derived from the evidence's own secrets, so the same
//! files give the same submission id on every run, without any state on disk; coordinator and parties know a
//! submission by its id and answer the second upload like the first. Only the sealing (HPKE) is fresh each time.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::Method;
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use serde::Serialize;
use tercet_evidence::{Kind, Secrets, SurveyVerifier, Witness};
use tercet_kernels::Cores;
use tercet_mpc::proof::{Progress, prove_on, prove_session};
use tercet_mpc::statement::{Binding, Statement};
use tercet_protocol::api::{Admission, Problem, ProblemKind, SubmissionState, SubmissionStatus};
use tercet_protocol::ids::{SubmissionId, SurveyId, sha256};
use tercet_protocol::keys::KeyError;
use tercet_protocol::submission::{
    MAX_EVIDENCE, PublicPart, Receipt, ShareHashes, ShareUpload, seal_private,
};
use tercet_protocol::survey::{PROTOCOL_VERSION, SurveyDescriptor};
use tokio::time::{Instant, sleep, timeout_at};
use zeroize::Zeroizing;

use crate::coordinator::{Admitted, COORDINATOR, Coordinator, Deployment, UPLOAD_TIMEOUT};
use crate::error::Error;
use crate::http::{OCTETS, Request, join};
use crate::seen;
use crate::withdraw::WithdrawalKey;

/// Submissions that one set of files can give: one, and as many again as were never completed.
const MAX_GENERATIONS: u32 = 16;
/// Tickets asked for in one run: an upload may outlast the first.
const MAX_TICKETS: u32 = 3;

/// A step of a submission, for a progress display.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// The presentation verifies and fits the survey; the secrets open its commitments.
    Checked,
    /// The proof is this far, 0 to 1.
    Proving(f32),
    /// The proof is done; upload begins.
    Uploading(SubmissionId),
    /// A party gave its receipt.
    Accepted(usize),
}

/// Called with each event; must be quick.
pub type OnEvent<'a> = &'a (dyn Fn(Event) + Sync);

/// The patience of an upload.
#[derive(Debug, Clone, Copy)]
pub struct SubmitOptions {
    /// Give up waiting for the parties' decision after this.
    pub timeout: Duration,
    /// First wait between two looks at a party's decision; grows to ten times as much.
    pub poll: Duration,
    /// Once one party failed for good, how long to wait for the others.
    pub grace: Duration,
}

impl Default for SubmitOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            poll: Duration::from_millis(300),
            grace: Duration::from_secs(5),
        }
    }
}

/// A submission ready to be uploaded. `Debug` shows the public part only.
pub struct Prepared {
    /// Public part.
    pub public: PublicPart,
    /// Its id.
    pub id: SubmissionId,
    /// The parties' private parts, not sealed yet.
    private: [Zeroizing<Vec<u8>>; 3],
    /// The private half of the public part's withdrawal key, if it was made here.
    withdrawal: Option<WithdrawalKey>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Prepared {
    /// A submission from its parts, however they were made: the parties judge it.
    pub fn from_parts(public: PublicPart, private: [Zeroizing<Vec<u8>>; 3]) -> Self {
        Self { id: public.id(), public, private, withdrawal: None }
    }
}

/// A submission that all three parties accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Submitted {
    /// The submission.
    pub submission: SubmissionId,
    /// The survey.
    pub survey: SurveyId,
    /// Always `accepted`.
    pub state: &'static str,
    /// The parties' receipts, verified, in party order.
    pub receipts: Vec<Receipt>,
    /// The key that withdraws it again; `None` if the submission was not made by [`prepare`].
    #[serde(skip)]
    pub withdrawal: Option<WithdrawalKey>,
}

/// Evidence that fits a survey, with the secrets that open its columns. `Debug` shows no secret.
pub struct Opened {
    kind: Kind,
    statement: Statement,
    witness: Witness,
    warnings: Vec<String>,
    seen: String,
}

impl Opened {
    /// The names of items that everybody will see and that may be private: to be told before anything is sent.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The exchange as coordinator and parties will see it.
    pub fn seen(&self) -> &str {
        &self.seen
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Checks everything that coordinator and parties will check of the evidence, and that the secrets open it to values
/// that the survey takes: evidence that would be refused is refused here, before anything leaves the machine.
pub fn check(survey: &SurveyDescriptor, evidence: &[u8], secrets: &Secrets) -> Result<Opened, Error> {
    if evidence.len() > MAX_EVIDENCE {
        return Err(Error::Value(format!(
            "the evidence has {} bytes; parties take {MAX_EVIDENCE} at most",
            evidence.len()
        )));
    }
    let (verified, admitted) = SurveyVerifier::new(survey)?.check(secrets.kind(), evidence)?;
    let statement = verified
        .statement(&admitted, survey.manifest())
        .map_err(|e| Error::Value(format!("the survey's columns cannot be proved: {e}")))?;
    let names = survey.manifest().hidden_names();
    let named = |column: usize, problem: String| {
        let name = names.get(column).copied().unwrap_or_default();
        Error::Value(format!("column {name}: {problem}"))
    };
    let witness = secrets
        .witness(survey.id(), &verified, &admitted, &statement)
        .map_err(|e| named(e.column, e.to_string()))?;
    let hidden = witness.texts().into_iter().zip(statement.columns()).enumerate();
    for (i, (text, column)) in hidden.filter(|(_, (_, c))| c.binding != Binding::Absent) {
        column.format.read(text).map_err(|e| named(i, e.to_string()))?;
    }
    let transcript = verified.transcript();
    let warnings = seen::warnings(&survey.manifest().source_rules()?, &transcript);
    let seen = seen::text(&transcript);
    Ok(Opened { kind: secrets.kind(), statement, witness, warnings, seen })
}

/// Proves and splits a checked value. `generation` counts submissions of the same files that ended incomplete:
/// such an id is spent, and the next generation gives a fresh one.
pub fn prepare(
    survey: &SurveyDescriptor,
    evidence: &[u8],
    opened: &Opened,
    generation: u32,
    on_event: OnEvent<'_>,
) -> Result<Prepared, Error> {
    let secrets = ProviderSecrets::of(survey.id(), evidence, &opened.witness)?;
    let withdrawal = secrets.withdrawal_key()?;
    let mut public = PublicPart {
        survey: survey.id(),
        kind: opened.kind,
        withdrawal_key: withdrawal.signing_key()?.public(),
        evidence: evidence.to_vec(),
        share_hashes: ShareHashes::default(),
    };
    let seed = secrets.proof_seed(generation)?;
    let mut progress = |p: Progress| on_event(Event::Proving(p.done as f32 / p.total.max(1) as f32));
    let context = public.proof_context();
    let (cores, statement) = (Cores::all(), &opened.statement);
    let proven = match &opened.witness {
        Witness::Columns(columns) => prove_on(&cores, statement, columns, &context, &seed, &mut progress),
        Witness::Session { secret, .. } => {
            prove_session(&cores, statement, secret, &context, &seed, &mut progress)
        }
    };
    let proven = proven.map_err(|e| Error::Value(format!("no proof can be made: {e}")))?;
    public.share_hashes = proven.public;
    Ok(Prepared { withdrawal: Some(withdrawal), ..Prepared::from_parts(public, proven.private) })
}

/// Everything random in a submission comes from here: HKDF-SHA256 of [`Witness::randomness`], which is uniform, known to
/// the provider alone and fresh for each notarization. So the same files give the same submission on every run.
struct ProviderSecrets {
    key: Prk,
    survey: SurveyId,
    evidence: [u8; 32],
}

impl ProviderSecrets {
    fn of(survey: SurveyId, evidence: &[u8], witness: &Witness) -> Result<Self, Error> {
        let salt =
            format!("tercet proof seed v1, protocol {PROTOCOL_VERSION}, {}", env!("CARGO_PKG_VERSION"));
        let key = Salt::new(HKDF_SHA256, salt.as_bytes()).extract(&witness.randomness());
        Ok(Self { key, survey, evidence: sha256(&[evidence]) })
    }

    /// The seed of all the proof's randomness. Everything that the proof depends on is in `info` or the salt, so one
    /// seed never serves two different proofs, whose masks would then cancel.
    fn proof_seed(&self, generation: u32) -> Result<Zeroizing<[u8; 32]>, Error> {
        self.expand(&[self.survey.as_ref(), &self.evidence, &generation.to_le_bytes()])
    }

    /// The key that withdraws the submission: the same for all generations, since at most one of them is accepted.
    fn withdrawal_key(&self) -> Result<WithdrawalKey, Error> {
        let info: [&[u8]; 3] = [self.survey.as_ref(), &self.evidence, b"tercet withdrawal key v1"];
        Ok(WithdrawalKey::from_seed(self.expand(&info)?))
    }

    fn expand(&self, info: &[&[u8]]) -> Result<Zeroizing<[u8; 32]>, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        self.key
            .expand(info, HKDF_SHA256)
            .and_then(|okm| okm.fill(seed.as_mut_slice()))
            .map_err(|_| KeyError::Invalid("a seed of HKDF's own length"))?;
        Ok(seed)
    }
}

/// Checks, proves, uploads and waits for the three receipts.
pub async fn submit(
    coordinator: &Coordinator,
    deployment: &Deployment,
    evidence: &[u8],
    secrets: &Secrets,
    options: SubmitOptions,
    on_event: OnEvent<'_>,
) -> Result<Submitted, Error> {
    let opened = check(&deployment.survey, evidence, secrets)?;
    on_event(Event::Checked);
    for generation in 0..MAX_GENERATIONS {
        let prepared = prepare(&deployment.survey, evidence, &opened, generation, on_event)?;
        on_event(Event::Uploading(prepared.id));
        match upload(coordinator, deployment, &prepared, options, on_event).await {
            Err(Error::Spent { .. }) => {
                tracing::info!(id = %prepared.id, "never completed; sending a fresh one")
            }
            other => return other,
        }
    }
    Err(Error::TimedOut("all earlier submissions of these files ended incomplete; notarize again".into()))
}

/// Uploads a prepared submission and waits for the three receipts.
pub async fn upload(
    coordinator: &Coordinator,
    deployment: &Deployment,
    prepared: &Prepared,
    options: SubmitOptions,
    on_event: OnEvent<'_>,
) -> Result<Submitted, Error> {
    let id = prepared.id;
    let mut tickets = 0;
    let error = loop {
        tickets += 1;
        let admission = match coordinator.admit(&prepared.public).await {
            Ok(Admitted::Ticket(admission)) => admission,
            Ok(Admitted::Known(status)) => return known(deployment, prepared, status),
            Err(Error::Refused { problem, .. }) if is_spent(&problem) => return Err(Error::Spent { id }),
            Err(e) => break e,
        };
        check_ticket(deployment, id, &admission)?;
        match deliver_all(coordinator, deployment, prepared, &admission, options, on_event).await {
            Ok(receipts) => return accepted(deployment, prepared, receipts),
            Err(Error::Refused { problem, .. })
                if problem.known() == Some(ProblemKind::TicketInvalid) && tickets < MAX_TICKETS =>
            {
                tracing::info!(%id, "the ticket ran out; asking for another");
            }
            Err(e) => break e,
        }
    };
    if !is_open(&error) {
        return Err(error);
    }
    // A party's answer may have got lost although all three accepted: the coordinator collects receipts too.
    match coordinator.submission(id).await {
        Ok(SubmissionStatus { state: SubmissionState::Accepted { receipts }, .. }) => {
            accepted(deployment, prepared, receipts)
        }
        _ => Err(Error::Unconfirmed { id, cause: Box::new(error) }),
    }
}

/// True if the submission may still become accepted.
fn is_open(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::TimedOut(_) => true,
        Error::Refused { problem, .. } => {
            problem.is_transient() || problem.known() == Some(ProblemKind::TicketInvalid)
        }
        _ => false,
    }
}

/// True if the id is spent without the value having been judged.
fn is_spent(problem: &Problem) -> bool {
    problem.known() == Some(ProblemKind::Incomplete)
}

fn known(deployment: &Deployment, prepared: &Prepared, status: SubmissionStatus) -> Result<Submitted, Error> {
    let id = prepared.id;
    if status.submission != id {
        return Err(Error::bad_answer(COORDINATOR, "it answered about another submission"));
    }
    match status.state {
        SubmissionState::Accepted { receipts } => accepted(deployment, prepared, receipts),
        // Ended for good, but not for anything that is wrong with the value.
        SubmissionState::Rejected { problem } if is_spent(&problem) || problem.is_transient() => {
            Err(Error::Spent { id })
        }
        SubmissionState::Rejected { problem } => {
            Err(Error::Refused { from: decider(deployment, &problem), problem: Box::new(problem) })
        }
        SubmissionState::Withdrawn { .. } => {
            Err(Error::Refused { from: COORDINATOR.into(), problem: Box::new(withdrawn()) })
        }
        SubmissionState::Pending => {
            let cause = Error::TimedOut("the coordinator calls it pending but gave no ticket".into());
            Err(Error::Unconfirmed { id, cause: Box::new(cause) })
        }
    }
}

fn withdrawn() -> Problem {
    let detail = "it was erased as its provider wished, and cannot be sent again";
    Problem::new(ProblemKind::Withdrawn, detail)
}

fn decider(deployment: &Deployment, problem: &Problem) -> String {
    problem.party.map_or_else(|| COORDINATOR.into(), |p| deployment.party_name(usize::from(p)))
}

fn accepted(
    deployment: &Deployment,
    prepared: &Prepared,
    mut receipts: Vec<Receipt>,
) -> Result<Submitted, Error> {
    receipts.sort_by_key(|r| r.party);
    deployment.verify_receipts(prepared.id, &receipts)?;
    Ok(Submitted {
        submission: prepared.id,
        survey: deployment.survey.id(),
        state: "accepted",
        receipts,
        withdrawal: prepared.withdrawal.clone(),
    })
}

/// Parties would refuse a wrong ticket; saying so here names the one at fault.
fn check_ticket(deployment: &Deployment, id: SubmissionId, admission: &Admission) -> Result<(), Error> {
    let t = &admission.ticket;
    if admission.submission != id || t.submission != id || t.survey != deployment.survey.id() {
        return Err(Error::bad_answer(COORDINATOR, "its ticket is for another submission"));
    }
    t.verify(&deployment.coordinator_key)
        .map_err(|_| Error::bad_answer(COORDINATOR, "its ticket is not signed by the key it published"))
}

async fn deliver_all(
    coordinator: &Coordinator,
    deployment: &Deployment,
    prepared: &Prepared,
    admission: &Admission,
    options: SubmitOptions,
    on_event: OnEvent<'_>,
) -> Result<Vec<Receipt>, Error> {
    let mut running: FuturesUnordered<_> = (0..3)
        .map(|party| async move {
            let receipt = deliver(coordinator, deployment, prepared, admission, party, options).await?;
            on_event(Event::Accepted(party));
            Ok(receipt)
        })
        .collect();
    let mut receipts = Vec::with_capacity(3);
    let mut failure: Option<Error> = None;
    let mut end = Instant::now() + options.timeout;
    loop {
        match timeout_at(end, running.next()).await {
            Ok(Some(Ok(receipt))) => receipts.push(receipt),
            Ok(Some(Err(e))) => {
                tracing::info!(error = %e, "a party gave no receipt");
                // A judgement outranks a party that merely could not be reached.
                if failure.as_ref().is_none_or(|f| is_open(f) && !is_open(&e)) {
                    failure = Some(e);
                }
                // After a judgement the others will only say the same.
                end = end.min(Instant::now() + options.grace);
            }
            Ok(None) => break,
            Err(_) if failure.is_some() => break,
            Err(_) => {
                let s = options.timeout.as_secs();
                failure = Some(Error::TimedOut(format!("the parties did not decide within {s} s")));
                break;
            }
        }
    }
    match failure {
        None => Ok(receipts),
        Some(e) => Err(e),
    }
}

/// Uploads one party's share and waits for its receipt.
async fn deliver(
    coordinator: &Coordinator,
    deployment: &Deployment,
    prepared: &Prepared,
    admission: &Admission,
    party: usize,
    options: SubmitOptions,
) -> Result<Receipt, Error> {
    let from = deployment.party_name(party);
    let http = coordinator.http();
    let id = prepared.id;
    let (manifest, private) = match (deployment.parties.get(party), prepared.private.get(party)) {
        (Some(m), Some(p)) => (m, p),
        _ => return Err(Error::bad_answer(from, "a survey has three parties")),
    };
    let base = http.base(&manifest.url)?;
    let sealed = seal_private(manifest.sealing, id, party as u8, private)?;
    let body =
        ShareUpload { public: prepared.public.encode(), ticket: admission.ticket.clone(), sealed }.encode();
    let mut put = Request::get(from.clone(), join(&base, &["v1", "submissions", &id.to_string(), "share"]))
        .with_body(Method::PUT, body, OCTETS);
    put.timeout = UPLOAD_TIMEOUT;
    let get = Request::get(from.clone(), join(&base, &["v1", "submissions", &id.to_string()]));

    let mut wait = options.poll;
    let mut next = &put;
    loop {
        let status = match http.send(next).await {
            Ok(answer) => answer.json::<SubmissionStatus>(&from)?,
            // The party restarted before it decided: it needs the share again.
            Err(Error::Refused { problem, .. })
                if std::ptr::eq(next, &get) && problem.known() == Some(ProblemKind::NotFound) =>
            {
                next = &put;
                sleep(wait).await;
                continue;
            }
            Err(e) => return Err(e),
        };
        if status.submission != id || status.survey != deployment.survey.id() {
            return Err(Error::bad_answer(from, "it answered about another submission"));
        }
        match status.state {
            SubmissionState::Accepted { receipts } => {
                let own = receipts.into_iter().find(|r| usize::from(r.party) == party);
                let receipt =
                    own.ok_or_else(|| Error::bad_answer(&*from, "it accepted without a receipt of its own"))?;
                deployment.verify_receipt(id, &receipt)?;
                return Ok(receipt);
            }
            SubmissionState::Rejected { problem } => {
                return Err(Error::Refused { from, problem: Box::new(problem) });
            }
            SubmissionState::Withdrawn { .. } => {
                return Err(Error::Refused { from, problem: Box::new(withdrawn()) });
            }
            SubmissionState::Pending => {}
        }
        next = &get;
        sleep(wait).await;
        wait = (wait * 3 / 2).min(options.poll * 10);
    }
}
