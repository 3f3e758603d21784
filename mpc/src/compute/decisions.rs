//! Decisions about shared counts: whether groups that nobody knows the sizes of are large enough.
//!
//! Nothing is opened but one bit for each decision, after every gate has been verified.

use alloc::vec::Vec;

use super::{Compute, Host};
use crate::net::Abort;
use crate::sharing::RingShare;
use crate::statement::MAX_ROWS_LOG2;

/// Bits of a count of rows.
const COUNT_BITS: u32 = MAX_ROWS_LOG2 + 1;

/// For each shared count, whether it is at least its limit. Counts are below 2^33; a count without a limit, or a limit without
/// a count, is not looked at.
pub fn at_least<H: Host>(
    compute: &mut Compute<'_, H>,
    counts: &[RingShare],
    limits: &[u64],
) -> Result<Vec<bool>, Abort> {
    let decisions = counts.len().min(limits.len());
    let (counts, limits) = (&counts[..decisions], &limits[..decisions]);
    if decisions == 0 {
        return Ok(Vec::new());
    }
    let counts = compute.bits_of(counts, COUNT_BITS)?;
    let most = (1 << COUNT_BITS) - 1;
    let limits: Vec<u128> = limits.iter().map(|limit| u128::from(*limit).min(most)).collect();
    let limits = compute.public(&limits, COUNT_BITS);
    let below = compute.open_less(&counts, &limits)?;
    Ok((0..decisions).map(|i| below.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 == 0)).collect())
}
