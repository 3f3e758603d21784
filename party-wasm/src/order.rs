//! Computations with correlated randomness: from the interface's bytes to the engine's.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use tercet_mpc::compute::{self, Compute, ReadError, SharedColumn, Tuning};
use tercet_mpc::noise::Laplace;
use tercet_mpc::order::OrderRequest;
use tercet_mpc::prss::{Prss, SessionContext, SessionKeys};
use tercet_mpc::sharing::LANE_BYTES;
use tercet_mpc::{PartyId, RingShare};
use zeroize::Zeroizing;

use crate::bindings::tercet::engine::host::{self, Peer};
use crate::bindings::{Abort, AbortCode, Context, Reading, Session};
use crate::{Frames, abort, open_session, stopped};

fn bytes32(bytes: &[u8]) -> Result<[u8; 32], Abort> {
    bytes.try_into().map_err(|_| abort(AbortCode::Input, "ids, nonces and secrets have 32 bytes"))
}

fn three(list: &[Vec<u8>]) -> Result<[[u8; 32]; 3], Abort> {
    match list {
        [a, b, c] => Ok([bytes32(a)?, bytes32(b)?, bytes32(c)?]),
        _ => Err(abort(AbortCode::Input, "there are three parties")),
    }
}

fn secret(of: Peer) -> Result<Zeroizing<[u8; 32]>, Abort> {
    let secret = host::secret(of).ok_or_else(|| abort(AbortCode::Input, "the session shares no secrets"))?;
    Ok(Zeroizing::new(bytes32(&Zeroizing::new(secret))?))
}

/// The keys of a session's randomness.
fn keys(session: &Session, context: &Context, party: PartyId) -> Result<Prss, Abort> {
    let agreed = SessionContext {
        session: bytes32(&session.id)?,
        parties: three(&context.parties)?,
        survey: bytes32(&context.survey)?,
        engine: bytes32(&context.engine)?,
        nonces: three(&context.nonces)?,
    };
    SessionKeys::derive(party, &*secret(Peer::Previous)?, &*secret(Peer::Next)?, &agreed)
        .map(Prss::new)
        .map_err(|e| abort(AbortCode::Input, &e.to_string()))
}

fn tuning(context: &Context) -> Tuning {
    Tuning { exchange_ns: context.exchange_ns, ..Tuning::default() }
}

/// See `draw-noise` of the interface.
pub fn draw_noise(session: &Session, context: &Context, noise: &[Vec<u8>]) -> Result<Vec<u8>, Abort> {
    let mut open = open_session(session)?;
    let prss = keys(session, context, open.party())?;
    let read = |bytes: &Vec<u8>| Laplace::decode(bytes).map_err(|e| abort(AbortCode::Input, &e.to_string()));
    let noise = noise.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut frames = Frames;
    let mut computation = Compute::new(&mut open, prss, &mut frames, tuning(context));
    let drawn = compute::draw_noise(&mut computation, &noise).map_err(stopped)?;
    computation.finish().map_err(stopped)?;
    Ok(drawn.into_iter().flat_map(RingShare::to_lane).collect())
}

/// See `at-least` of the interface.
pub fn at_least(
    session: &Session,
    context: &Context,
    counts: &[u8],
    limits: &[u64],
) -> Result<Vec<bool>, Abort> {
    let mut open = open_session(session)?;
    let prss = keys(session, context, open.party())?;
    let (counts, rest) = counts.as_chunks::<LANE_BYTES>();
    if !rest.is_empty() || counts.len() != limits.len() {
        return Err(abort(AbortCode::Input, "a count has 32 bytes and a limit"));
    }
    let counts: Vec<RingShare> = counts.iter().map(RingShare::from_lane).collect();
    let mut frames = Frames;
    let mut computation = Compute::new(&mut open, prss, &mut frames, tuning(context));
    let decided = compute::at_least(&mut computation, &counts, limits).map_err(stopped)?;
    computation.finish().map_err(stopped)?;
    Ok(decided)
}

/// See `read-order` of the interface.
pub fn read(
    session: &Session,
    context: &Context,
    (bits, present): (u8, Option<u64>),
    segments: Vec<Vec<u8>>,
    request: &[u8],
) -> Result<Reading, Abort> {
    let mut open = open_session(session)?;
    let prss = keys(session, context, open.party())?;
    let request = OrderRequest::decode(request).map_err(|e| abort(AbortCode::Input, &e.to_string()))?;
    if !(1..=63).contains(&bits) {
        return Err(abort(AbortCode::Input, "a column has 1 to 63 bits"));
    }
    let lanes = if present.is_some() { 2 } else { 1 };
    let rows = segments.iter().map(|s| s.len() / (lanes * LANE_BYTES)).sum();
    let mut values = Vec::with_capacity(rows);
    let mut validity = Vec::with_capacity(if present.is_some() { rows } else { 0 });
    for segment in segments {
        if !segment.len().is_multiple_of(lanes * LANE_BYTES) {
            return Err(abort(AbortCode::Input, "a segment does not hold whole rows"));
        }
        for row in segment.as_chunks::<LANE_BYTES>().0.chunks_exact(lanes) {
            values.extend(row.first().map(RingShare::from_lane));
            validity.extend(row.get(1).map(RingShare::from_lane));
        }
    }
    if present.is_some_and(|n| n > values.len() as u64) {
        return Err(abort(AbortCode::Input, "more values than rows"));
    }
    let column =
        SharedColumn { values: &values, bits, present: present.map(|count| (validity.as_slice(), count)) };
    let mut frames = Frames;
    let mut computation = Compute::new(&mut open, prss, &mut frames, tuning(context));
    let answer = compute::answer(&mut computation, &column, &request).map_err(|e| match e {
        ReadError::Request(e) => abort(AbortCode::Input, &e.to_string()),
        ReadError::Abort(e) => stopped(e),
    })?;
    let gates = computation.gate_words() * 64;
    computation.finish().map_err(stopped)?;
    Ok(Reading { answer: answer.encode(), rounds: open.cost().rounds, gates })
}
