//! Decisions about shared counts: whether groups that nobody knows the sizes of are large enough.
//!
//! Nothing is opened but one bit for each decision, after every gate has been verified.

use alloc::vec::Vec;

use super::planes::{Numbers, planes_of};
use super::{Bits, Compute, Host};
use crate::net::Abort;
use crate::sharing::{Ring, RingShare};
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

/// That there are enough rows of one kind, or none of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enough {
    /// How many rows there are.
    pub count: RingShare,
    /// How many there must be.
    pub at_least: u64,
    /// If there are none of these, it holds all the same.
    pub or_none: Option<RingShare>,
}

/// For each check, whether everything that it asks for holds. Counts are below 2^33.
pub fn decide<H: Host>(compute: &mut Compute<'_, H>, checks: &[Vec<Enough>]) -> Result<Vec<bool>, Abort> {
    let longest = checks.iter().map(Vec::len).max().unwrap_or_default();
    if longest == 0 {
        return Ok(alloc::vec![true; checks.len()]);
    }
    // The first of every check, then the second of every check, and so on; each lot in words of its own. What a
    // shorter check has not holds: zero is at least zero.
    let words = checks.len().div_ceil(64);
    let party = compute.session.party();
    let one = RingShare::constant(party, Ring(1));
    let (mut counts, mut others, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..longest {
        counts.resize(i * words * 64, RingShare::default());
        others.resize(i * words * 64, RingShare::default());
        limits.resize(i * words * 64, 0);
        for check in checks {
            let enough = check.get(i);
            counts.push(enough.map_or(RingShare::default(), |e| e.count));
            others.push(enough.map_or(one, |e| e.or_none.unwrap_or(one)));
            limits.push(enough.map_or(0, |e| u128::from(e.at_least).min((1 << COUNT_BITS) - 1)));
        }
    }
    let all = longest * words * 64;
    counts.resize(all, RingShare::default());
    others.resize(all, RingShare::default());
    limits.resize(all, 0);
    counts.append(&mut others);
    limits.resize(2 * all, 1);
    let counts = compute.bits_of(&counts, COUNT_BITS)?;
    let limits = planes_of(&limits, COUNT_BITS).into_iter().map(|plane| Bits::public(party, plane));
    let less = compute.less(&counts, &Numbers { planes: limits.collect() })?;
    let (few, none) = (less.slice(0, longest * words), less.slice(longest * words, longest * words));
    let fails = compute.and(&few, &none.not(party))?;
    let holds = compute.all(fails.split(words).iter().map(|fails| fails.not(party)).collect())?;
    let opened = compute.open(&holds)?;
    Ok((0..checks.len()).map(|i| opened[i / 64] >> (i % 64) & 1 == 1).collect())
}
