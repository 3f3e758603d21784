//! The basis of correlated randomness in a session: a fresh secret for each pair of parties, and the pace of
//! exchanges.

use std::time::Duration;

use bytes::Bytes;
use tercet_protocol::ids::sha256;
use tercet_protocol::keys::random;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::session::{SessionError, Step, Wire};
use crate::sandbox::PairSecrets;

/// Slowest pace that is believed.
const MAX_PACE: Duration = Duration::from_secs(2);

/// Exchanges that are timed besides the one of the secrets.
const PROBES: usize = 2;

/// Agrees with both peers. Each side of a pair draws half of the pair's secret and sends it over the pair's own
/// channel, which is encrypted and authenticated by both keys: the third party learns nothing of it. The pace is the
/// slowest of the three parties' best exchanges, so that all choose the same circuits.
pub async fn agree(
    wire: &mut Wire,
    me: u8,
    session: &[u8; 32],
) -> Result<(PairSecrets, Duration), SessionError> {
    let draw = || random::<32>().map(Zeroizing::new).map_err(|e| SessionError::Internal(e.to_string()));
    let ours = [draw()?, draw()?];
    let began = Instant::now();
    let frames = ours.each_ref().map(|half| Bytes::copy_from_slice(&half[..]));
    let theirs = wire.exchange_each(Step::Secret, frames).await?;
    let mut quickest = began.elapsed();
    let secret = |(party, frame): &(u8, Bytes), ours: &[u8; 32]| -> Result<_, SessionError> {
        let theirs: &[u8; 32] = frame[..].try_into().map_err(|_| SessionError::Disagreement {
            party: *party,
            what: "sent a secret of another length".into(),
        })?;
        // The pair's order, the same at both ends: party i before party i + 1.
        let (first, second) = if (me + 1) % 3 == *party { (ours, theirs) } else { (theirs, ours) };
        Ok(Zeroizing::new(sha256(&[b"tercet pair secret v1", session, first, second])))
    };
    let secrets =
        PairSecrets { next: secret(&theirs[0], &ours[0])?, previous: secret(&theirs[1], &ours[1])? };
    // The first exchange may have waited for a party that began late. Whoever leaves one leaves it at about the same
    // time as the others, so the next ones tell how long an exchange takes.
    for _ in 0..PROBES {
        let began = Instant::now();
        wire.exchange(Step::Pace, micros(quickest).to_be_bytes().to_vec()).await?;
        quickest = quickest.min(began.elapsed());
    }
    let mut pace = micros(quickest);
    for (party, frame) in wire.exchange(Step::Pace, pace.to_be_bytes().to_vec()).await? {
        let theirs = <[u8; 4]>::try_from(&frame[..]).map_err(|_| SessionError::Disagreement {
            party,
            what: "sent a pace that cannot be read".into(),
        })?;
        pace = pace.max(u32::from_be_bytes(theirs));
    }
    Ok((secrets, Duration::from_micros(pace.into()).min(MAX_PACE)))
}

/// Whole microseconds, the same at all three.
fn micros(pace: Duration) -> u32 {
    u32::try_from(pace.as_micros()).unwrap_or(u32::MAX)
}
