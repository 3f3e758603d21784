//! The result of every kind of evidence: the bytes of one connection, some of them hidden.

use std::ops::Range;

use tercet_mpc::statement::HashAlg;
use tercet_protocol::kind::Kind;

/// One connection with a server, as far as its provider shows it. That the server sent these bytes is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The kind of evidence that proves it.
    pub kind: Kind,
    /// The server's name: lower case, without a dot at the end.
    pub server: String,
    /// When the connection was made: attested, in seconds since the Unix epoch.
    pub time: u64,
    /// Bytes that no other session of this kind has.
    pub session: Vec<u8>,
    /// The provider's bytes.
    pub sent: Data,
    /// The server's answer.
    pub received: Data,
    /// The ways in which the engine can check hidden bytes of `received`.
    pub bindings: Bindings,
}

impl Transcript {
    /// True if the engine can check properties of hidden bytes that are no values.
    pub fn proves_inert(&self) -> bool {
        matches!(self.bindings, Bindings::Keystream)
    }
}

/// One direction of a transcript.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// All bytes of the direction. Hidden ones are zero.
    pub bytes: Vec<u8>,
    /// The hidden ranges: sorted, disjoint, not empty, within `bytes`.
    pub hidden: Vec<Range<usize>>,
}

impl Data {
    /// True if no byte of the range is hidden.
    pub fn is_shown(&self, range: Range<usize>) -> bool {
        let at = self.hidden.partition_point(|h| h.end <= range.start);
        self.hidden.get(at).is_none_or(|h| range.end <= h.start) || range.is_empty()
    }
}

/// The ways in which hidden bytes that the server sent can be tied to a proof about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bindings {
    /// Hash commitments that were not opened. Only bytes that one of them covers can be proven, and nothing can be
    /// proven about other hidden bytes.
    Hashes(Vec<Commitment>),
    /// The session's ciphertext: any of its bytes can be proven, and so can the property that a place demands.
    Keystream,
}

/// A hash commitment to received bytes that was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitment {
    /// The committed ranges of the received data, in ascending order.
    pub ranges: Vec<Range<usize>>,
    /// Hash function over bytes and blinder.
    pub algorithm: HashAlg,
    /// The hash.
    pub digest: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_ranges_touch_no_hidden_one() {
        let data = Data { bytes: vec![0; 20], hidden: vec![3..5, 5..6, 10..12] };
        for (range, shown) in [
            (0..3, true),
            (2..4, false),
            (4..5, false),
            (6..10, true),
            (11..20, false),
            (12..20, true),
            (4..4, true),
        ] {
            assert_eq!(data.is_shown(range.clone()), shown, "{range:?}");
        }
    }
}
