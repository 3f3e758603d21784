//! The authenticated part of a transcript.

use core::{fmt, ops::Range};

use crate::{Direction, RangeSet, wire::transcript::Revealed};

/// One direction of the connection: authenticated bytes with gaps between them.
#[derive(Clone, PartialEq, Eq)]
pub struct PartialData {
    bytes: Vec<u8>,
    revealed: RangeSet,
}

/// A stretch of [`PartialData`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Authenticated bytes and their position.
    Revealed(Range<usize>, &'a [u8]),
    /// Bytes that the prover keeps to itself.
    Hidden(Range<usize>),
}

impl PartialData {
    /// Bytes of the whole transcript, hidden ones included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if the transcript has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The authenticated ranges.
    pub fn revealed(&self) -> &RangeSet {
        &self.revealed
    }

    /// The ranges that are not authenticated.
    pub fn hidden(&self) -> RangeSet {
        self.revealed.complement(self.bytes.len())
    }

    /// The bytes of `range`, if all of them are authenticated.
    pub fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.start < range.end && !self.revealed.contains(&range) {
            return None;
        }
        self.bytes.get(range)
    }

    /// Revealed and hidden stretches in order, together the whole transcript.
    pub fn segments(&self) -> Vec<Segment<'_>> {
        let revealed = self.revealed.iter().filter_map(|range| {
            let bytes = self.bytes.get(range.clone())?;
            Some((range.start, Segment::Revealed(range, bytes)))
        });
        let hidden = self.hidden();
        let hidden = hidden.iter().map(|r| (r.start, Segment::Hidden(r)));
        let mut all: Vec<_> = revealed.chain(hidden).collect();
        all.sort_by_key(|(start, _)| *start);
        all.into_iter().map(|(_, segment)| segment).collect()
    }

    /// Spreads decoded bytes over their places; hidden places stay zero and unreachable.
    pub(crate) fn expand(revealed: &Revealed) -> Self {
        let mut bytes = vec![0; revealed.total];
        let mut rest = &revealed.data[..];
        for range in revealed.ranges.iter() {
            // Unwrap-free: decoding has checked lengths and bounds, a mismatch would copy nothing.
            if let (Some(place), Some((head, tail))) =
                (bytes.get_mut(range.clone()), rest.split_at_checked(range.len()))
            {
                place.copy_from_slice(head);
                rest = tail;
            }
        }
        Self { bytes, revealed: revealed.ranges.clone() }
    }

    pub(crate) fn slices(&self, ranges: &RangeSet) -> Option<Vec<&[u8]>> {
        if !self.revealed.is_superset(ranges) {
            return None;
        }
        ranges.slices(&self.bytes)
    }
}

impl fmt::Debug for PartialData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartialData({} of {} bytes: {})", self.revealed.len(), self.len(), self.revealed)
    }
}

/// Both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialTranscript {
    /// The bytes that the prover sent.
    pub sent: PartialData,
    /// The bytes that the prover received.
    pub received: PartialData,
}

impl PartialTranscript {
    /// One of the two.
    pub fn direction(&self, direction: Direction) -> &PartialData {
        match direction {
            Direction::Sent => &self.sent,
            Direction::Received => &self.received,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stay_closed() {
        let data = PartialData::expand(&Revealed {
            data: b"abefg".to_vec(),
            ranges: RangeSet::union([0..2, 4..7]),
            total: 9,
        });
        assert_eq!(data.len(), 9);
        assert_eq!(data.get(0..2), Some(&b"ab"[..]));
        assert_eq!(data.get(5..7), Some(&b"fg"[..]));
        assert_eq!(data.get(3..3), Some(&b""[..]));
        for closed in [1..3, 2..4, 6..8, 7..9, 8..9, 8..12] {
            assert_eq!(data.get(closed), None);
        }
        assert_eq!(
            data.segments(),
            [
                Segment::Revealed(0..2, b"ab"),
                Segment::Hidden(2..4),
                Segment::Revealed(4..7, b"efg"),
                Segment::Hidden(7..9),
            ]
        );
    }
}
