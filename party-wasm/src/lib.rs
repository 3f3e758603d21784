//! The engine as a WASI component: thin exports over `tercet-mpc`, for the interface in `protocol/wit`.
//!
//! Owns nothing but the translation between the interface's types and the engine's. Must never open a socket or a
//! file, read a clock or draw randomness: without `std` it cannot even import such a thing.

#![no_std]

extern crate alloc;

mod field;
mod hash;
mod memory;
mod order;

use alloc::string::ToString as _;
use alloc::vec::Vec;

use tercet_mpc::sharing::LANE_BYTES;
use tercet_mpc::{PartyId, RingShare, ShareHashes, Statement, Step};

mod bindings {
    #![expect(clippy::too_many_arguments, reason = "generated; one call of the engine's interface")]
    wit_bindgen::generate!({ path: "../protocol/wit", world: "engine" });
}

use bindings::tercet::engine::host;
use bindings::{
    Abort, AbortCode, AcceptedRow, Context, Guest, Reading, Reason, Rejection, Session, Submission, Verdict,
};

struct Engine;

/// Frames through the host.
struct Frames;

impl Frames {
    fn peer(peer: tercet_mpc::Peer) -> host::Peer {
        match peer {
            tercet_mpc::Peer::Next => host::Peer::Next,
            tercet_mpc::Peer::Prev => host::Peer::Previous,
        }
    }
}

impl tercet_mpc::compute::Host for Frames {
    type Vector = field::Remote;
    type Columns = field::RemoteColumns;
    type Stream = hash::RemoteStream;
    type Digest = hash::RemoteDigest;
}

const OVER: &str = "the host ended the session";

impl tercet_mpc::Transport for Frames {
    fn send(&mut self, to: tercet_mpc::Peer, step: Step, frame: Vec<u8>) -> Result<(), tercet_mpc::Abort> {
        match host::send(Self::peer(to), step as u32, &frame) {
            true => Ok(()),
            false => Err(lost(step)),
        }
    }

    fn recv(&mut self, from: tercet_mpc::Peer, step: Step) -> Result<Vec<u8>, tercet_mpc::Abort> {
        host::receive(Self::peer(from), step as u32).ok_or_else(|| lost(step))
    }
}

/// The host knows which peer it was and reports that itself.
fn lost(step: Step) -> tercet_mpc::Abort {
    tercet_mpc::Abort::Closed { step }
}

fn abort(code: AbortCode, detail: &str) -> Abort {
    Abort { code, detail: detail.to_string() }
}

fn stopped(e: tercet_mpc::Abort) -> Abort {
    use tercet_mpc::Abort as A;
    let code = match e {
        A::Transport { .. } => AbortCode::Transport,
        A::WrongFrame { .. } => AbortCode::WrongFrame,
        A::Malformed { .. } => AbortCode::Malformed,
        A::Disagreement { .. } => AbortCode::Disagreement,
        A::Inconsistent { .. } => AbortCode::Inconsistent,
        A::Multiplication { .. } => AbortCode::Multiplication,
        A::Altered { .. } => AbortCode::Altered,
        A::Closed { .. } => return abort(AbortCode::Closed, OVER),
    };
    abort(code, &e.to_string())
}

fn party_of(index: u8) -> Result<PartyId, Abort> {
    PartyId::from_index(index.into()).ok_or_else(|| abort(AbortCode::Input, "no such party"))
}

fn open_session(session: &Session) -> Result<tercet_mpc::Session, Abort> {
    let party = party_of(session.party)?;
    let id = <[u8; 32]>::try_from(&session.id[..])
        .map_err(|_| abort(AbortCode::Input, "a session id has 32 bytes"))?;
    Ok(tercet_mpc::Session::new(party, id))
}

/// A submission with its public fields read.
struct Parsed<'a> {
    statement: Statement,
    context: [u8; 32],
    hashes: ShareHashes,
    private: &'a [u8],
}

fn parse(submission: &Submission) -> Result<Parsed<'_>, Abort> {
    // The host derived all of this from the presentation: a fault here is the host's, not the provider's.
    let input = |what| move || abort(AbortCode::Input, what);
    Ok(Parsed {
        statement: Statement::decode(&submission.statement)
            .map_err(|_| abort(AbortCode::Input, "unreadable statement"))?,
        context: submission.context[..]
            .try_into()
            .map_err(|_| abort(AbortCode::Input, "a context has 32 bytes"))?,
        hashes: ShareHashes::decode(&submission.share_hashes).ok_or_else(input("unreadable share hashes"))?,
        private: &submission.private,
    })
}

impl Parsed<'_> {
    fn item(&self) -> tercet_mpc::Item<'_> {
        tercet_mpc::Item {
            statement: &self.statement,
            ctx: &self.context,
            public: &self.hashes,
            private: Some(self.private),
        }
    }
}

fn verdict(verdict: tercet_mpc::Verdict) -> Verdict {
    match verdict {
        tercet_mpc::Verdict::Accepted(accepted) => {
            let mut row = Vec::with_capacity(accepted.lanes().len() * LANE_BYTES);
            for lane in accepted.lanes() {
                row.extend(lane.to_lane());
            }
            Verdict::Accepted(AcceptedRow { row, keys: accepted.row_keys().as_flattened().to_vec() })
        }
        tercet_mpc::Verdict::Rejected { by, reason } => {
            Verdict::Rejected(Rejection { by: by.map(|p| p as u8), reason: reason_of(reason) })
        }
    }
}

fn reason_of(reason: tercet_mpc::Reject) -> Reason {
    use tercet_mpc::Reject as R;
    match reason {
        R::MissingPrivate => Reason::MissingPrivate,
        R::MalformedPrivate => Reason::MalformedPrivate,
        R::SeedHash => Reason::SeedHash,
        R::WitnessHash => Reason::WitnessHash,
        R::ProofHash => Reason::ProofHash,
        R::Unsatisfied => Reason::Unsatisfied,
        R::InvalidProof => Reason::InvalidProof,
        R::Binding => Reason::Binding,
        R::RowHash => Reason::RowHash,
    }
}

impl Guest for Engine {
    fn verify_batch(session: Session, batch: Vec<Submission>) -> Result<Vec<Verdict>, Abort> {
        let mut session = open_session(&session)?;
        let parsed: Vec<_> = batch.iter().map(parse).collect::<Result<_, _>>()?;
        let items: Vec<_> = parsed.iter().map(Parsed::item).collect();
        let verdicts = tercet_mpc::verify_batch(&mut session, &items, &mut Frames).map_err(stopped)?;
        Ok(verdicts.into_iter().map(verdict).collect())
    }

    fn check_private(party: u8, submission: Submission) -> Result<Option<Reason>, Abort> {
        let party = party_of(party)?;
        let checked = tercet_mpc::check_private(party, &parse(&submission)?.item());
        Ok(checked.err().map(reason_of))
    }

    fn open_sums(session: Session, lanes: u32, segments: Vec<Vec<u8>>) -> Result<Vec<u8>, Abort> {
        let mut session = open_session(&session)?;
        let sums = sum(lanes, &segments)?;
        let opened = tercet_mpc::open_sums(&mut session, &sums, &mut Frames).map_err(stopped)?;
        Ok(opened.into_iter().flat_map(u128::to_le_bytes).collect())
    }

    fn read_order(
        session: Session,
        context: Context,
        bits: u8,
        present: Option<u64>,
        segments: Vec<Vec<u8>>,
        request: Vec<u8>,
    ) -> Result<Reading, Abort> {
        order::read(&session, &context, (bits, present), segments, &request)
    }

    fn draw_noise(session: Session, context: Context, noise: Vec<Vec<u8>>) -> Result<Vec<u8>, Abort> {
        order::draw_noise(&session, &context, &noise)
    }

    fn at_least(
        session: Session,
        context: Context,
        counts: Vec<u8>,
        limits: Vec<u64>,
    ) -> Result<Vec<bool>, Abort> {
        order::at_least(&session, &context, &counts, &limits)
    }
}

/// The shared sums of all segments' rows.
fn sum(lanes: u32, segments: &[Vec<u8>]) -> Result<Vec<RingShare>, Abort> {
    let mut sums = alloc::vec![RingShare::default(); lanes as usize];
    for segment in segments {
        add_rows(&mut sums, segment)?;
    }
    Ok(sums)
}

/// Adds a segment's rows lane by lane.
fn add_rows(sums: &mut [RingShare], segment: &[u8]) -> Result<(), Abort> {
    let width = sums.len() * LANE_BYTES;
    if width == 0 || !segment.len().is_multiple_of(width) {
        return Err(abort(AbortCode::Input, "a segment does not hold whole rows"));
    }
    for row in segment.chunks_exact(width) {
        for (sum, lane) in sums.iter_mut().zip(row.as_chunks::<LANE_BYTES>().0) {
            *sum = *sum + RingShare::from_lane(lane);
        }
    }
    Ok(())
}

bindings::export!(Engine with_types_in bindings);
