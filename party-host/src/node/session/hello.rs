//! The first message on a channel, and how three parties that introduced themselves agree on a session's name.

use serde::{Deserialize, Serialize};
use tercet_agreement::Hello as Standing;
use tercet_protocol::abandonment::Abandonment;
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{EngineDigest, EntryHash, SurveyId, sha256};
use tercet_protocol::keys::random;
use tercet_protocol::survey::PROTOCOL_VERSION;

use super::{Job, SessionError};
use crate::node::agree::{self, Names};
use crate::node::shelf::Holdings;

/// Largest opening message.
pub const MAX_HELLO: usize = 128 * 1024;

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
        /// Heights and names of the rows.
        rows: Vec<(u64, EntryHash)>,
    },
    /// The opener is locked or behind, and asks party 0 for a session.
    Unfinished {
        /// The survey.
        survey: SurveyId,
    },
    /// The three operators give an entry up; party 0 leads that.
    Abandon {
        /// Their word.
        abandonment: Box<Abandonment>,
    },
    /// The opener's operator wants new shares of all rows; party 0 leads that.
    Refresh {
        /// The survey.
        survey: SurveyId,
    },
}

/// A party's introduction in a session. Its `Debug` does not show the nonce.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Fresh, and known to the three parties alone: it names the session, and new shares are derived from it.
    nonce: [u8; 32],
    job_digest: [u8; 32],
    /// The rows that it holds beside the log.
    holdings: Holdings,
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

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Hello");
        shown.field("survey", &self.survey).field("from", &self.from).field("height", &self.height);
        shown.field("job", &self.job).finish_non_exhaustive()
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
    /// Its height in the log, and its lock.
    pub standing: Standing<Names>,
    /// The rows that it holds beside the log.
    pub holdings: Holdings,
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
            holdings: self.holdings,
            lock: lock.as_ref().map(|l| hex::encode(agree::encode_certificate(l))),
            latest: latest.as_ref().map(|p| hex::encode(agree::encode_prepare(p))),
            job: with_job.then(|| job.clone()),
        })
    }

    /// Checks the two others' hellos against ours and derives the session's id; gives the nonces too. The agreement
    /// judges the others' heights in the log.
    pub(super) fn agree(
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
    /// Checks that the speaker, who is at the same height of the same log, holds the same rows beside it as this party.
    pub(super) fn holds_as(&self, ours: &Self, party: u8) -> Result<(), SessionError> {
        if self.holdings == ours.holdings {
            return Ok(());
        }
        let what = "holds other rows than this party beside the same log, or shares of another epoch: start it again, \
                    so that it looks which ones it has";
        Err(SessionError::Disagreement { party, what: what.into() })
    }

    /// Writes what one party alone says: the session's name covers it, so that all three have seen the same.
    fn write(&self, w: &mut Writer) {
        w.array(&self.nonce).u64(self.height).array(self.head.as_ref());
        self.holdings.write(w);
        for shown in [&self.lock, &self.latest] {
            w.bytes(shown.as_deref().unwrap_or_default().as_bytes());
        }
    }

    /// The speaker's standing: height and lock. A lock or a prepare that cannot be read counts as none.
    pub(super) fn standing(&self) -> Standing<Names> {
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

#[cfg(test)]
mod tests {
    use tercet_protocol::ids::SubmissionId;

    use super::*;

    fn intro(me: u8) -> Introduction {
        Introduction {
            survey: SurveyId([1; 32]),
            me,
            engine: EngineDigest([3; 32]),
            standing: Standing { height: 4, head: EntryHash([2; 32]), lock: None, latest: None },
            holdings: Holdings { epoch: 1, entries: 3, digest: [5; 32] },
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
        let changes: [fn(&mut Hello); 7] = [
            |h| h.holdings.epoch += 1,
            |h| h.holdings.entries += 1,
            |h| h.holdings.digest[0] ^= 1,
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
    fn whoever_holds_other_rows_is_named() {
        let [ours, _, theirs] = hellos();
        assert!(theirs.holds_as(&ours, 2).is_ok());
        let changes: [fn(&mut Holdings); 3] = [|h| h.epoch -= 1, |h| h.entries -= 1, |h| h.digest[31] ^= 1];
        for change in changes {
            let mut other = theirs.clone();
            change(&mut other.holdings);
            assert!(matches!(other.holds_as(&ours, 2), Err(SessionError::Disagreement { party: 2, .. })));
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
