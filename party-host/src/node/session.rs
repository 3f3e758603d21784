//! A session of three parties: two authenticated channels, one agreed job at one agreed height.
//!
//! Party 0 leads. It opens a channel to each of the others; party 1 opens one to party 2. On every channel both
//! sides say hello: survey, height, engine, a fresh nonce, and the job's digest. Only when all three said the
//! same does the session get its id, which every frame of the engine is bound to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tercet_agreement::{Hello as Standing, Task};
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{EngineDigest, EntryHash, SubmissionId, SurveyId, sha256};
use tercet_protocol::keys::random;
use tercet_protocol::query_ticket::QueryTicket;
use tercet_protocol::survey::PROTOCOL_VERSION;
use tercet_protocol::withdrawal::Withdrawal;
use tokio::time::Instant;

use super::agree::{self, Names};
use super::survey::SurveyNode;
use crate::peer::{AbortReason, Channel, PeerError};
use crate::sandbox::{Direction, PeerIo, SandboxError, SessionOver};
use crate::store::StoreError;

/// Difference of clocks that a party puts up with when the leader dates an entry or a result, in seconds.
pub const CLOCK_SKEW: u64 = 300;
/// Largest opening message.
pub const MAX_HELLO: usize = 128 * 1024;

/// Steps of the sessions between hosts. The engine's own steps come after [`Step::ENGINE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// Both sides of a channel introduce themselves.
    Hello = 1,
    /// Which of the proposed uploads a party has.
    Have = 2,
    /// A party's signature of the log entry.
    Vote = 3,
    /// A party's signature of the released statistics.
    Result = 5,
    /// Entries for a party that is behind.
    Entries = 6,
    /// Each party's half of the secrets it shares with each other one.
    Secret = 7,
    /// The time of an exchange.
    Pace = 8,
    /// Commitments to the sums of units.
    Units = 9,
    /// Answers at earlier release points, for a party that lacks them.
    Earlier = 10,
    /// That a party is in this session; in one that finishes an entry, whether it has the entry's rows.
    Confirm = 12,
    /// A party's prepare of the log entry.
    Prepare = 13,
    /// Rows, and an entry, for a party that lacks them.
    Supply = 14,
}

impl Step {
    /// Most bytes of a frame of a step, the session's name included. More is refused before anything of it is kept.
    fn limit(step: u32) -> usize {
        const SMALL: usize = 4 << 10;
        const LARGE: usize = 64 << 20;
        match step {
            s if s == Self::Hello as u32 => MAX_HELLO,
            s if [
                Self::Have,
                Self::Vote,
                Self::Prepare,
                Self::Confirm,
                Self::Pace,
                Self::Result,
                Self::Secret,
            ]
            .iter()
            .any(|small| s == *small as u32) =>
            {
                SMALL
            }
            _ => LARGE,
        }
    }

    /// The engine's step 0 on the wire.
    pub const ENGINE: u32 = 1000;
}

/// The task of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Check these submissions and add the good ones to the log.
    Batch {
        /// In the order in which they will stand.
        submissions: Vec<SubmissionId>,
        /// Unix seconds, chosen by the leader: the entry's time.
        at: u64,
    },
    /// Finish what an earlier session left, if anything.
    Finish,
    /// Let waiting rows enter the statistics.
    Release {
        /// Unix seconds at which the release point was due.
        due: u64,
        /// Unix seconds, chosen by the leader: the entry's time.
        at: u64,
    },
    /// Delete one row's shares.
    Erase {
        /// The person's signed wish.
        withdrawal: Withdrawal,
        /// Unix seconds, chosen by the leader: the entry's time.
        at: u64,
    },
    /// Answer a question about the newest release point.
    Query {
        /// The release point's number.
        release: u64,
        /// The coordinator's ticket, with the question; none for the survey's own question, which needs none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<Box<QueryTicket>>,
    },
}

impl Job {
    /// The leader's time; an error if this party's clock shows another.
    pub fn dated(at: u64, now: u64) -> Result<(), SessionError> {
        if at.abs_diff(now) <= CLOCK_SKEW {
            return Ok(());
        }
        let what = "dates the session more than five minutes from this party's time: check the clocks".into();
        Err(SessionError::Disagreement { party: 0, what })
    }

    fn digest(&self) -> Result<[u8; 32], SessionError> {
        let bytes = serde_json::to_vec(self).map_err(|e| SessionError::Internal(e.to_string()))?;
        Ok(sha256(&[b"tercet job v1", &bytes]))
    }
}

/// The first message on a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opening {
    /// A session of three.
    Session(Box<Hello>),
    /// The opener is behind and asks for the entries above its height.
    CatchUp {
        /// The survey.
        survey: SurveyId,
        /// The opener's height.
        height: u64,
    },
    /// The opener lacks the rows of these entries.
    Supply {
        /// The survey.
        survey: SurveyId,
        /// The entries' heights.
        heights: Vec<u64>,
    },
    /// The opener is locked or behind, and asks party 0 for a session.
    Unfinished {
        /// The survey.
        survey: SurveyId,
    },
}

/// A party's introduction in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    protocol: u32,
    /// The survey.
    pub survey: SurveyId,
    /// The speaker's index in the survey.
    pub from: u8,
    height: u64,
    head: EntryHash,
    engine: EngineDigest,
    nonce: [u8; 32],
    job_digest: [u8; 32],
    /// The speaker's lock above its head, as [`agree::encode_certificate`] writes it, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    /// Its own latest prepare there, as [`agree::encode_prepare`] writes it, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latest: Option<String>,
    /// The job itself, from the leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// Why a session did not reach its end. Nothing was released.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A peer vanished, was late or broke the framing.
    #[error("party {party}: {source}")]
    Peer {
        /// The peer's index.
        party: u8,
        /// The fault.
        source: PeerError,
    },
    /// A peer says something else than it must.
    #[error("party {party} {what}")]
    Disagreement {
        /// The peer's index.
        party: u8,
        /// The part that differs.
        what: String,
    },
    /// A peer was late.
    #[error("party {party} did not join the session in time")]
    Late {
        /// The peer's index.
        party: u8,
    },
    /// A peer's log is shorter than ours.
    #[error("party {party} is at height {theirs}, this party at {ours}: it catches up")]
    PeerBehind {
        /// Who is behind.
        party: u8,
        /// Our height.
        ours: u64,
        /// Theirs.
        theirs: u64,
    },
    /// A party lacks the rows of an entry that is to be finished.
    #[error("party {party} lacks the rows of an entry that is to be finished")]
    Lacking {
        /// Who.
        party: u8,
    },
    /// Two locks stand against each other.
    #[error(
        "the parties show locks on two entries, and neither gives way: a party misbehaves, or two lost their state. If it \
         stays so, the operators compare their stores and abandon the entry"
    )]
    Split,
    /// The session finished the entry that an earlier one left, instead of its job.
    #[error("the session finished an entry that an earlier one had left, at height {height}")]
    Finished {
        /// The entry's height.
        height: u64,
    },
    /// A peer's log is longer than ours.
    #[error("this party is at height {ours}, party {party} at {theirs}: catching up")]
    Behind {
        /// Who is ahead.
        party: u8,
        /// Our height.
        ours: u64,
        /// Theirs.
        theirs: u64,
    },
    /// The engine stopped.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another session holds the survey.
    #[error("another session of this survey did not end in time")]
    Occupied,
    /// Something failed inside.
    #[error("internal: {0}")]
    Internal(String),
}

impl SessionError {
    /// Stable label for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Peer { .. } => "peer",
            Self::Disagreement { .. } => "disagreement",
            Self::Behind { .. } => "behind",
            Self::Late { .. } => "late",
            Self::PeerBehind { .. } => "peer-behind",
            Self::Lacking { .. } => "lacking",
            Self::Split => "split",
            Self::Finished { .. } => "finished",
            Self::Sandbox(SandboxError::Abort { .. }) => "engine-abort",
            Self::Sandbox(_) => "engine",
            Self::Store(_) => "store",
            Self::Occupied => "occupied",
            Self::Internal(_) => "internal",
        }
    }

    /// As consumers see it.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Peer { party, source } => {
                Problem::new(ProblemKind::PartyUnavailable, source.to_string()).party(*party).retry_after(2)
            }
            Self::Late { party } | Self::PeerBehind { party, .. } | Self::Lacking { party } => {
                Problem::new(ProblemKind::PartyUnavailable, self.to_string()).party(*party).retry_after(2)
            }
            Self::Behind { .. } | Self::Occupied | Self::Split | Self::Finished { .. } => {
                Problem::new(ProblemKind::PartyUnavailable, self.to_string()).retry_after(2)
            }
            Self::Disagreement { party, .. } => {
                Problem::new(ProblemKind::Aborted, self.to_string()).party(*party).retry_after(5)
            }
            Self::Sandbox(_) => Problem::new(ProblemKind::Aborted, self.to_string()).retry_after(5),
            Self::Store(_) | Self::Internal(_) => Problem::new(
                ProblemKind::Internal,
                "the party's store or a part of it failed; the operator's log says more",
            ),
        }
    }
}

/// This party's account of itself at the start of a session.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// The survey.
    pub survey: SurveyId,
    /// This party's index.
    pub me: u8,
    /// The engine.
    pub engine: EngineDigest,
    /// Where it stands in the log, and what it is locked on.
    pub standing: Standing<Names>,
}

impl Introduction {
    /// A hello with a fresh nonce.
    pub fn hello(&self, job: &Job, with_job: bool) -> Result<Hello, SessionError> {
        let Standing { height, head, lock, latest } = &self.standing;
        Ok(Hello {
            protocol: PROTOCOL_VERSION,
            survey: self.survey,
            from: self.me,
            height: *height,
            head: *head,
            engine: self.engine,
            nonce: random().map_err(|e| SessionError::Internal(e.to_string()))?,
            job_digest: job.digest()?,
            lock: lock.as_ref().map(|l| hex::encode(agree::encode_certificate(l))),
            latest: latest.as_ref().map(|p| hex::encode(agree::encode_prepare(p))),
            job: with_job.then(|| job.clone()),
        })
    }

    /// Checks the two others' hellos against ours and derives the session's id; gives the nonces too. Where the others
    /// stand in the log is for the agreement to judge.
    fn agree(
        &self,
        ours: &Hello,
        others: [(u8, &Hello); 2],
    ) -> Result<([u8; 32], [[u8; 32]; 3]), SessionError> {
        let mut all = [ours, ours, ours];
        for (party, h) in others {
            let differs = |what: &str| Err(SessionError::Disagreement { party, what: what.into() });
            if h.protocol != PROTOCOL_VERSION || h.survey != ours.survey || h.from != party {
                return differs("speaks of another protocol version, survey or party");
            }
            if h.engine != ours.engine {
                return differs("runs another engine: all three must run the approved release");
            }
            if h.job_digest != ours.job_digest {
                return differs("was given another job by the leader");
            }
            all[usize::from(party)] = h;
        }
        let nonces = all.map(|h| h.nonce);
        // A repeated nonce would be a repeated session; zero is what a broken generator gives.
        if nonces.contains(&[0; 32])
            || nonces[0] == nonces[1]
            || nonces[1] == nonces[2]
            || nonces[0] == nonces[2]
        {
            let party = others[0].0;
            return Err(SessionError::Disagreement { party, what: "gave no fresh nonce".into() });
        }
        let mut w = Writer::tagged("tercet session v2");
        w.u32(PROTOCOL_VERSION)
            .array(ours.survey.as_ref())
            .array(ours.engine.as_ref())
            .array(&ours.job_digest);
        all.iter().for_each(|h| h.write(&mut w));
        Ok((sha256(&[&w.finish()]), nonces))
    }
}

impl Hello {
    /// Writes what one party alone says: the session's name covers it, so that all three have seen the same.
    fn write(&self, w: &mut Writer) {
        w.array(&self.nonce).u64(self.height).array(self.head.as_ref());
        for shown in [&self.lock, &self.latest] {
            w.bytes(shown.as_deref().unwrap_or_default().as_bytes());
        }
    }

    /// Where the speaker stands. A lock or a prepare that cannot be read is none.
    fn standing(&self) -> Standing<Names> {
        let bytes = |text: &Option<String>| hex::decode(text.as_deref()?).ok();
        Standing {
            height: self.height,
            head: self.head,
            lock: bytes(&self.lock).and_then(|b| agree::decode_certificate(&b).ok()),
            latest: bytes(&self.latest).and_then(|b| agree::decode_prepare(&b).ok()),
        }
    }
}

/// Reads an opening message.
pub fn parse_opening(bytes: &[u8]) -> Option<Opening> {
    serde_json::from_slice(bytes).ok()
}

/// A fault to be injected into what this party sends: tests make a party misbehave with it.
#[cfg(feature = "fault-injection")]
pub trait Fault: Send + Sync + 'static {
    /// The fate of a frame for `party`; `None`: it is never sent.
    fn on_send(&self, party: u8, step: u32, frame: Bytes) -> Option<Bytes>;
}

/// The two channels of a session.
pub struct Wire {
    me: u8,
    next: Channel,
    previous: Channel,
    patience: Duration,
    /// The session's name, once it is known: the first frame in each direction carries it.
    name: Option<[u8; 32]>,
    /// On which of the two channels it was sent and seen.
    said: [bool; 2],
    heard: [bool; 2],
    /// All three have exchanged a frame since it is known.
    exchanged: bool,
    #[cfg(feature = "fault-injection")]
    fault: Option<Arc<dyn Fault>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("me", &self.me)
            .field("next", &self.next)
            .field("previous", &self.previous)
            .finish()
    }
}

impl Wire {
    /// Joins the channels to party `me` + 1 and `me` - 1.
    pub fn new(me: u8, next: Channel, previous: Channel, patience: Duration) -> Self {
        Self {
            me,
            next,
            previous,
            patience,
            name: None,
            said: [false; 2],
            heard: [false; 2],
            exchanged: false,
            #[cfg(feature = "fault-injection")]
            fault: None,
        }
    }

    /// Makes this party's frames pass through a fault.
    #[cfg(feature = "fault-injection")]
    pub fn with_fault(mut self, fault: Option<Arc<dyn Fault>>) -> Self {
        self.fault = fault;
        self
    }

    /// The frame as it leaves this party; none when a fault swallows it.
    #[cfg(feature = "fault-injection")]
    fn outgoing(&self, party: u8, step: u32, frame: Bytes) -> Option<Bytes> {
        match &self.fault {
            Some(fault) => fault.on_send(party, step, frame),
            None => Some(frame),
        }
    }

    #[cfg(not(feature = "fault-injection"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the twin with fault injection needs both"
    )]
    fn outgoing(&self, _party: u8, _step: u32, frame: Bytes) -> Option<Bytes> {
        Some(frame)
    }

    /// From here on the first frame in each direction carries the session's name.
    fn bind(&mut self, name: [u8; 32]) {
        self.name = Some(name);
    }

    /// The parties of which a frame came that is bound to this session.
    pub fn heard(&self) -> Vec<u8> {
        let parties = [(self.me + 1) % 3, (self.me + 2) % 3];
        parties.into_iter().zip(self.heard).filter_map(|(p, heard)| heard.then_some(p)).collect()
    }

    /// True if all three have exchanged a frame that is bound to this session. The three agree on it, since they take
    /// the same steps.
    pub fn exchanged(&self) -> bool {
        self.exchanged
    }

    /// The frame with the session's name, if it is the first one.
    fn named(&mut self, d: Direction, frame: Bytes) -> Bytes {
        let said = &mut self.said[usize::from(d == Direction::Previous)];
        match self.name {
            Some(name) if !std::mem::replace(said, true) => [&name[..], &frame[..]].concat().into(),
            _ => frame,
        }
    }

    /// The frame without the session's name, which the first one has to carry.
    fn unnamed(&mut self, d: Direction, party: u8, mut frame: Bytes) -> Result<Bytes, SessionError> {
        let heard = &mut self.heard[usize::from(d == Direction::Previous)];
        let Some(name) = self.name.filter(|_| !*heard) else { return Ok(frame) };
        if !frame.starts_with(&name) {
            let what = "is in another session than this party: it was told something else".into();
            return Err(SessionError::Disagreement { party, what });
        }
        *heard = true;
        Ok(frame.split_off(name.len()))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    fn channel(&mut self, d: Direction) -> (u8, &mut Channel) {
        match d {
            Direction::Next => ((self.me + 1) % 3, &mut self.next),
            Direction::Previous => ((self.me + 2) % 3, &mut self.previous),
        }
    }

    async fn send(&mut self, d: Direction, step: u32, frame: Bytes) -> Result<(), SessionError> {
        let deadline = self.deadline();
        let party = self.channel(d).0;
        let frame = self.named(d, frame);
        let Some(frame) = self.outgoing(party, step, frame) else { return Ok(()) };
        let (_, channel) = self.channel(d);
        channel.send(step, frame, deadline).await.map_err(|source| SessionError::Peer { party, source })
    }

    async fn receive(&mut self, d: Direction, step: u32) -> Result<Bytes, SessionError> {
        let deadline = self.deadline();
        let (party, channel) = self.channel(d);
        channel.limit(Step::limit(step));
        let frame =
            channel.recv(step, deadline).await.map_err(|source| SessionError::Peer { party, source })?;
        self.unnamed(d, party, frame)
    }

    /// Sends the same frame to both peers and returns what they sent: (next, previous).
    pub async fn exchange(&mut self, step: Step, frame: Vec<u8>) -> Result<[(u8, Bytes); 2], SessionError> {
        let frame = Bytes::from(frame);
        self.exchange_each(step, [frame.clone(), frame]).await
    }

    /// Sends a frame each to the next and the previous party and returns what they sent, in this order.
    pub async fn exchange_each(
        &mut self,
        step: Step,
        [to_next, to_previous]: [Bytes; 2],
    ) -> Result<[(u8, Bytes); 2], SessionError> {
        let step = step as u32;
        self.send(Direction::Next, step, to_next).await?;
        self.send(Direction::Previous, step, to_previous).await?;
        let next = self.receive(Direction::Next, step).await?;
        let previous = self.receive(Direction::Previous, step).await?;
        self.exchanged |= self.name.is_some();
        Ok([((self.me + 1) % 3, next), ((self.me + 2) % 3, previous)])
    }

    /// Tells both peers why this party stops.
    pub fn abort(self, error: &SessionError) {
        let reason = AbortReason::new(error.code(), "this party stopped the session");
        self.next.abort(reason.clone());
        self.previous.abort(reason);
    }
}

/// An agreed session.
#[derive(Debug)]
pub struct Established {
    /// Binds every frame of the engine.
    pub id: [u8; 32],
    /// The parties' nonces, in party order.
    pub nonces: [[u8; 32]; 3],
    /// The task of the session.
    pub task: Task<Names>,
    /// The channels.
    pub wire: Wire,
}

/// Says hello on both channels and agrees. `opened` says on which channels our hello went out as the opening.
pub async fn establish(
    survey: &SurveyNode,
    intro: &Introduction,
    mut wire: Wire,
    ours: Hello,
    heard: [Option<Hello>; 2],
    opened: [bool; 2],
) -> Result<Established, (SessionError, Wire)> {
    let result = async {
        let bytes =
            Bytes::from(serde_json::to_vec(&ours).map_err(|e| SessionError::Internal(e.to_string()))?);
        let directions = [Direction::Next, Direction::Previous];
        for (d, opened) in directions.into_iter().zip(opened) {
            if !opened {
                wire.send(d, Step::Hello as u32, bytes.clone()).await?;
            }
        }
        let mut hellos = Vec::with_capacity(2);
        for (d, heard) in directions.into_iter().zip(heard) {
            let (party, _) = wire.channel(d);
            let hello = match heard {
                Some(hello) => hello,
                None => {
                    let frame = wire.receive(d, Step::Hello as u32).await?;
                    serde_json::from_slice(&frame).map_err(|_| SessionError::Disagreement {
                        party,
                        what: "sent a hello that cannot be read".into(),
                    })?
                }
            };
            hellos.push((party, hello));
        }
        let [(a, first), (b, second)] = &hellos[..] else {
            return Err(SessionError::Internal("two peers expected".into()));
        };
        let (id, nonces) = intro.agree(&ours, [(*a, first), (*b, second)])?;
        let standing = [first.standing(), second.standing()];
        let others = [(*a, &standing[0]), (*b, &standing[1])];
        let task = survey.agreement().machine.bind(&survey.keys(), id, others)?;
        Ok((id, nonces, task))
    }
    .await;
    match result {
        Ok((id, nonces, task)) => {
            wire.bind(id);
            Ok(Established { id, nonces, task, wire })
        }
        Err(e) => Err((e, wire)),
    }
}

/// The wire as the engine's blocking thread uses it; the session gets it back afterwards.
#[derive(Clone, Debug)]
pub struct EngineWire(Arc<Mutex<Wire>>);

impl EngineWire {
    /// Lends the wire.
    pub fn new(wire: Wire) -> Self {
        Self(Arc::new(Mutex::new(wire)))
    }

    /// Takes the wire back; none while the engine still holds it.
    pub fn into_wire(self) -> Option<Wire> {
        Arc::into_inner(self.0).map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PeerIo for EngineWire {
    fn send(&mut self, to: Direction, step: u32, frame: Vec<u8>) -> Result<(), SessionOver> {
        let mut wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = wire.deadline();
        let party = wire.channel(to).0;
        let step = step.saturating_add(Step::ENGINE);
        let frame = wire.named(to, Bytes::from(frame));
        let Some(frame) = wire.outgoing(party, step, frame) else { return Ok(()) };
        let (_, channel) = wire.channel(to);
        channel.blocking_send(step, frame, deadline).map_err(|e| SessionOver(format!("party {party}: {e}")))
    }

    fn receive(&mut self, from: Direction, step: u32) -> Result<Vec<u8>, SessionOver> {
        let mut wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = wire.deadline();
        let (party, channel) = wire.channel(from);
        let step = step.saturating_add(Step::ENGINE);
        channel.limit(Step::limit(step));
        let frame =
            channel.blocking_recv(step, deadline).map_err(|e| SessionOver(format!("party {party}: {e}")))?;
        wire.unnamed(from, party, frame).map(Vec::from).map_err(|e| SessionOver(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intro(me: u8) -> Introduction {
        Introduction {
            survey: SurveyId([1; 32]),
            me,
            engine: EngineDigest([3; 32]),
            standing: Standing { height: 4, head: EntryHash([2; 32]), lock: None, latest: None },
        }
    }

    fn job() -> Job {
        Job::Batch { submissions: vec![SubmissionId([9; 32])], at: 7 }
    }

    fn hellos() -> [Hello; 3] {
        [0, 1, 2].map(|me| intro(me).hello(&job(), me == 0).unwrap())
    }

    fn agree(me: u8, h: &[Hello; 3]) -> Result<[u8; 32], SessionError> {
        let (next, previous) = ((me + 1) % 3, (me + 2) % 3);
        let at = |i: u8| &h[usize::from(i)];
        intro(me).agree(at(me), [(next, at(next)), (previous, at(previous))]).map(|(id, _)| id)
    }

    #[test]
    fn all_three_derive_one_id_and_a_restart_derives_another() {
        let first = hellos();
        let ids = [0, 1, 2].map(|me| agree(me, &first).unwrap());
        assert!(ids.iter().all(|id| *id == ids[0]));
        // The same parties, survey, height and job again, as after a restart: fresh nonces, another session.
        assert_ne!(agree(0, &hellos()).unwrap(), ids[0]);
        // One party's nonce alone makes the difference, so no two others can force a session to repeat.
        for fresh in 0..3 {
            let mut h = first.clone();
            h[fresh].nonce[0] ^= 1;
            assert_ne!(agree(0, &h).unwrap(), ids[0], "party {fresh}");
        }
    }

    #[test]
    fn a_session_without_three_fresh_nonces_is_refused() {
        for (from, nonce) in [(1, [0; 32]), (2, [0; 32])] {
            let mut h = hellos();
            h[from].nonce = nonce;
            assert!(matches!(agree(0, &h), Err(SessionError::Disagreement { .. })), "party {from}");
        }
        let mut h = hellos();
        h[1].nonce = h[0].nonce;
        assert!(agree(0, &h).is_err() && agree(2, &h).is_err(), "a nonce that was echoed");
    }

    #[test]
    fn whoever_differs_is_named() {
        type Change = fn(&mut Hello);
        let cases: [(Change, &str); 5] = [
            (|h| h.protocol += 1, "protocol"),
            (|h| h.survey = SurveyId([7; 32]), "survey"),
            (|h| h.from = 0, "party"),
            (|h| h.engine = EngineDigest([7; 32]), "engine"),
            (|h| h.job_digest[0] ^= 1, "job"),
        ];
        for (change, word) in cases {
            let mut h = hellos();
            change(&mut h[2]);
            match agree(0, &h) {
                Err(SessionError::Disagreement { party, what }) => {
                    assert_eq!(party, 2);
                    assert!(what.contains(word), "{what}");
                }
                other => panic!("{word}: {other:?}"),
            }
        }
    }

    /// Whatever a party says of itself is in the session's name: two parties that heard different things of a third are
    /// not in one session.
    #[test]
    fn the_name_covers_what_each_party_says() {
        let first = hellos();
        let id = agree(0, &first).unwrap();
        let changes: [fn(&mut Hello); 4] = [
            |h| h.height += 1,
            |h| h.head = EntryHash([7; 32]),
            |h| h.lock = Some(String::new() + "00"),
            |h| h.latest = Some(String::new() + "00"),
        ];
        for change in changes {
            let mut h = first.clone();
            change(&mut h[2]);
            assert_ne!(agree(0, &h).unwrap(), id);
        }
    }

    #[test]
    fn what_a_party_stands_on_comes_back() {
        let standing = Standing {
            lock: Some(tercet_agreement::Certificate {
                entry: EntryHash([1; 32]),
                session: [2; 32],
                numbers: [3, 4, 5],
                signatures: [tercet_protocol::ids::Signature([6; 64]); 3],
            }),
            latest: Some(tercet_agreement::Prepare {
                entry: EntryHash([1; 32]),
                session: [2; 32],
                number: 3,
                signature: tercet_protocol::ids::Signature([6; 64]),
            }),
            ..intro(0).standing
        };
        let intro = Introduction { standing: standing.clone(), ..intro(0) };
        assert_eq!(intro.hello(&job(), true).unwrap().standing(), standing);
    }
}
