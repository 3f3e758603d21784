//! Replicated sharing among three parties, and opening with a check.
//!
//! `x = x0 + x1 + x2`; party i holds `x_i` and `x_(i+1)`. The ring is Z/2^128; bits and K share by XOR.

use alloc::vec::Vec;
use core::fmt;
use core::ops::{Add, Mul, Neg, Sub};

use crate::PartyId;
use crate::net::{Abort, Session, Step, Transport};

/// Values that can be shared: a group, with the encoding that crosses the network.
pub trait Shareable: Copy + Default + PartialEq + fmt::Debug {
    /// The group operation.
    fn plus(self, other: Self) -> Self;
    /// Its inverse.
    fn minus(self, other: Self) -> Self;
    /// From 16 bytes; every string is a value.
    fn from_bytes(bytes: [u8; 16]) -> Self;
    /// 16 bytes.
    fn to_bytes(self) -> [u8; 16];
}

/// An element of Z/2^128.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Ring(pub u128);

impl Shareable for Ring {
    fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
    fn minus(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
    fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
    fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

/// 128 bits under XOR.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Xor(pub u128);

impl Shareable for Xor {
    fn plus(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
    fn minus(self, other: Self) -> Self {
        self.plus(other)
    }
    fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
    fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

/// One party's two shares of a value. Its `Debug` shows neither.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Replicated<T> {
    /// The share of the party's own index.
    pub own: T,
    /// The share of the next party's index.
    pub next: T,
}

/// A share of a ring element.
pub type RingShare = Replicated<Ring>;
/// A share of 128 bits.
pub type XorShare = Replicated<Xor>;

impl<T> fmt::Debug for Replicated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replicated(..)")
    }
}

impl<T: Shareable> Replicated<T> {
    /// A share of a public constant, all of which is in share 0.
    pub fn constant(party: PartyId, value: T) -> Self {
        let part = |holder: PartyId| if holder == PartyId::P0 { value } else { T::default() };
        Self { own: part(party), next: part(party.next()) }
    }

    /// Adds a public constant.
    pub fn add_constant(self, party: PartyId, value: T) -> Self {
        self + Self::constant(party, value)
    }

    /// Applies a linear map to both shares.
    pub fn map<U>(self, f: impl Fn(T) -> U) -> Replicated<U> {
        Replicated { own: f(self.own), next: f(self.next) }
    }

    /// Splits a value with two masks into the shares of the parties 0, 1 and 2.
    pub fn split(value: T, masks: [T; 2]) -> [Self; 3] {
        let x = [masks[0], masks[1], value.minus(masks[0]).minus(masks[1])];
        PartyId::ALL.map(|p| Self { own: x[p.index()], next: x[p.next().index()] })
    }

    /// The value behind the three parties' shares; `None` if two holders of one share differ.
    pub fn reconstruct(shares: [Self; 3]) -> Option<T> {
        let consistent = PartyId::ALL.iter().all(|p| shares[p.index()].next == shares[p.next().index()].own);
        consistent.then(|| shares[0].own.plus(shares[1].own).plus(shares[2].own))
    }
}

impl<T: Shareable> Add for Replicated<T> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { own: self.own.plus(other.own), next: self.next.plus(other.next) }
    }
}

impl<T: Shareable> Sub for Replicated<T> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { own: self.own.minus(other.own), next: self.next.minus(other.next) }
    }
}

impl<T: Shareable> Neg for Replicated<T> {
    type Output = Self;
    fn neg(self) -> Self {
        Self::default() - self
    }
}

/// Bytes of a lane of a stored row: share i and share i + 1, 16 each, little-endian.
pub const LANE_BYTES: usize = 32;

impl RingShare {
    /// Reads a lane of a stored row; every string is a share.
    pub fn from_lane(lane: &[u8; LANE_BYTES]) -> Self {
        let [own, next] = [0, LANE_BYTES / 2].map(|at| core::array::from_fn(|i| lane[at + i]));
        Self { own: Ring::from_bytes(own), next: Ring::from_bytes(next) }
    }

    /// Writes it.
    pub fn to_lane(self) -> [u8; LANE_BYTES] {
        let (own, next) = (self.own.to_bytes(), self.next.to_bytes());
        core::array::from_fn(|i| if i < own.len() { own[i] } else { next[i - own.len()] })
    }
}

/// The product with a public factor.
impl Mul<u128> for RingShare {
    type Output = Self;
    fn mul(self, factor: u128) -> Self {
        self.map(|x| Ring(x.0.wrapping_mul(factor)))
    }
}

/// The sum of a lane over rows, from the columns of a party's own and next shares (16 little-endian bytes a row).
/// `None` unless both columns hold equally many whole rows.
pub fn sum_rows(own: &[u8], next: &[u8]) -> Option<RingShare> {
    let sum = |bytes: &[u8]| match bytes.as_chunks::<16>() {
        (rows, []) => {
            Some(Ring(rows.iter().fold(0, |sum: u128, row| sum.wrapping_add(u128::from_le_bytes(*row)))))
        }
        _ => None,
    };
    if own.len() != next.len() {
        return None;
    }
    Some(Replicated { own: sum(own)?, next: sum(next)? })
}

/// Opens sums of accepted rows: one exchange. Each party gets the share it lacks from one holder and its hash from
/// the other, and aborts if they differ.
///
/// Only for values that the release rules let out, and that are linear in shares of accepted submissions.
pub fn open_sums(
    session: &mut Session,
    sums: &[RingShare],
    net: &mut impl Transport,
) -> Result<Vec<u128>, Abort> {
    Ok(open(session, Step::OpenSums, sums, net)?.into_iter().map(|sum| sum.0).collect())
}

/// Opens shares: one exchange, see [`Session::third_share`]. The caller decides what may be opened.
pub(crate) fn open<T: Shareable>(
    session: &mut Session,
    step: Step,
    shares: &[Replicated<T>],
    net: &mut impl Transport,
) -> Result<Vec<T>, Abort> {
    let encode =
        |get: fn(&Replicated<T>) -> T| shares.iter().flat_map(|s| get(s).to_bytes()).collect::<Vec<_>>();
    let third = session.third_share(net, step, &encode(|s| s.own), &encode(|s| s.next))?;
    let third = third.as_chunks::<16>().0.iter().map(|bytes| T::from_bytes(*bytes));
    Ok(shares.iter().zip(third).map(|(s, x)| s.own.plus(s.next).plus(x)).collect())
}
