//! The three parties.

use core::fmt;

/// One of the three parties; arithmetic on indices is modulo 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PartyId {
    /// Party 0: holds shares 0 and 1.
    P0,
    /// Party 1: holds shares 1 and 2.
    P1,
    /// Party 2: holds shares 2 and 0.
    P2,
}

impl PartyId {
    /// All parties in order.
    pub const ALL: [Self; 3] = [Self::P0, Self::P1, Self::P2];

    /// 0, 1 or 2: also the index of the party's first share.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// From 0, 1 or 2.
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// The party after this one; its index is that of this party's second share.
    pub const fn next(self) -> Self {
        match self {
            Self::P0 => Self::P1,
            Self::P1 => Self::P2,
            Self::P2 => Self::P0,
        }
    }

    /// The party before this one; its index is that of the share that this party lacks.
    pub const fn prev(self) -> Self {
        self.next().next()
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "party {}", self.index())
    }
}
