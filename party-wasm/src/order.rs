//! Order statistics: from the interface's bytes to the engine's computation.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use tercet_mpc::RingShare;
use tercet_mpc::compute::{self, Compute, ReadError, Tuning};
use tercet_mpc::order::OrderRequest;
use tercet_mpc::prss::{Prss, SessionContext, SessionKeys};
use tercet_mpc::sharing::LANE_BYTES;
use zeroize::Zeroizing;

use crate::bindings::tercet::engine::host::{self, Peer};
use crate::bindings::{Abort, Context, Reading, Session};
use crate::{Frames, abort, open_session, stopped};

fn bytes32(bytes: &[u8]) -> Result<[u8; 32], Abort> {
    bytes.try_into().map_err(|_| abort("input", "ids, nonces and secrets have 32 bytes"))
}

fn three(list: &[Vec<u8>]) -> Result<[[u8; 32]; 3], Abort> {
    match list {
        [a, b, c] => Ok([bytes32(a)?, bytes32(b)?, bytes32(c)?]),
        _ => Err(abort("input", "there are three parties")),
    }
}

fn secret(of: Peer) -> Result<Zeroizing<[u8; 32]>, Abort> {
    Ok(Zeroizing::new(bytes32(&Zeroizing::new(host::secret(of)))?))
}

/// See `read-order` of the interface.
pub fn read(
    session: &Session,
    context: &Context,
    bits: u8,
    segments: Vec<Vec<u8>>,
    request: &[u8],
) -> Result<Reading, Abort> {
    let mut open = open_session(session)?;
    let agreed = SessionContext {
        session: bytes32(&session.id)?,
        parties: three(&context.parties)?,
        survey: bytes32(&context.survey)?,
        engine: bytes32(&context.engine)?,
        nonces: three(&context.nonces)?,
    };
    let keys = SessionKeys::derive(open.party(), &*secret(Peer::Previous)?, &*secret(Peer::Next)?, &agreed)
        .map_err(|e| abort("input", &e.to_string()))?;
    let request = OrderRequest::decode(request).map_err(|e| abort("input", &e.to_string()))?;
    if !(1..=63).contains(&bits) {
        return Err(abort("input", "a column has 1 to 63 bits"));
    }
    let mut values = Vec::with_capacity(segments.iter().map(|s| s.len() / LANE_BYTES).sum());
    for segment in segments {
        let (rows, rest) = segment.as_chunks::<LANE_BYTES>();
        if !rest.is_empty() {
            return Err(abort("input", "a segment does not hold whole rows"));
        }
        values.extend(rows.iter().map(RingShare::from_lane));
    }
    let tuning = Tuning { exchange_ns: context.exchange_ns, ..Tuning::default() };
    let mut frames = Frames;
    let mut computation = Compute::new(&mut open, Prss::new(keys), &mut frames, tuning);
    let answer = compute::answer(&mut computation, &values, bits, &request).map_err(|e| match e {
        ReadError::Request(e) => abort("input", &e.to_string()),
        ReadError::Abort(e) => stopped(e),
    })?;
    let gates = computation.gate_words() * 64;
    computation.finish().map_err(stopped)?;
    Ok(Reading { answer: answer.encode(), rounds: open.cost().rounds, gates })
}
