//! A session of three parties: two authenticated channels, one agreed job at one agreed height.
//!
//! Party 0 leads. It opens a channel to each of the others; party 1 opens one to party 2. On every channel both
//! sides say hello: survey, height, engine, a fresh nonce, and the job's digest. Only when all three said the
//! same does the session get its id, which every frame of the engine is bound to.

mod error;
mod hello;
mod wire;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tercet_agreement::Task;
use tercet_protocol::abandonment::Abandonment;
use tercet_protocol::ids::{SubmissionId, sha256};
use tercet_protocol::query_ticket::QueryTicket;
use tercet_protocol::withdrawal::Withdrawal;

pub use self::error::SessionError;
pub use self::hello::{Hello, Introduction, MAX_HELLO, Opening, parse_opening};
#[cfg(feature = "fault-injection")]
pub use self::wire::Fault;
pub use self::wire::{EngineWire, Wire};
use super::agree::Names;
use super::survey::SurveyNode;
use crate::sandbox::Direction;

/// Difference of clocks that a party puts up with when the leader dates an entry or a result, in seconds.
pub const CLOCK_SKEW: u64 = 300;

/// Steps of the sessions between hosts. The engine's own steps come after [`Step::ENGINE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// Both sides of a channel introduce themselves.
    Hello = 1,
    /// The proposed uploads that a party has.
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
        /// In the order of the log.
        submissions: Vec<SubmissionId>,
        /// Unix seconds, chosen by the leader: the entry's time.
        at: u64,
    },
    /// Finish the entry of an earlier session, if there is one.
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
    /// Give stored rows new shares: those that are next by the log.
    Refresh {
        /// Unix seconds, chosen by the leader: the entry's time.
        at: u64,
    },
    /// Give up an entry that two parties lost the rows of, by the three operators' word.
    Abandon {
        /// That word.
        abandonment: Abandonment,
        /// Unix seconds, chosen by the leader: the entry's time.
        at: u64,
    },
    /// Answer a question about the newest release point.
    Query {
        /// The release point's number.
        release: u64,
        /// The coordinator's ticket, with the question; `None` for the survey's own question, which needs none.
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

/// An agreed session. Its `Debug` does not show the nonces.
pub struct Established {
    /// Binds every frame of the engine.
    pub id: [u8; 32],
    /// The parties' nonces, in party order. Nobody but the three knows them: new shares are derived from them.
    pub nonces: [[u8; 32]; 3],
    /// The task of the session.
    pub task: Task<Names>,
    /// The channels.
    pub wire: Wire,
}

impl std::fmt::Debug for Established {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Established")
            .field("task", &self.task)
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
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
        first.holds_as(&ours, *a)?;
        second.holds_as(&ours, *b)?;
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
