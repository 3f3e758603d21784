//! Byte ranges of a transcript.

use core::{fmt, ops::Range};

use crate::{
    DecodeError,
    codec::{Decode, Encode, Reader, Result, Writer},
    limits::MAX_RANGES,
};

/// One of the two transcripts of a connection, as the prover saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the prover to the server: requests.
    Sent,
    /// From the server to the prover: responses.
    Received,
}

impl Direction {
    /// Both, in wire order.
    pub const ALL: [Self; 2] = [Self::Sent, Self::Received];

    /// `sent` or `received`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Encode for Direction {
    fn encode(&self, w: &mut Writer) {
        w.variant(match self {
            Self::Sent => 0,
            Self::Received => 1,
        });
    }
}

impl Decode for Direction {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(match r.variant(2, "a direction")? {
            0 => Self::Sent,
            _ => Self::Received,
        })
    }
}

/// Half-open byte ranges: sorted, disjoint, not adjacent, none empty.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RangeSet(Vec<Range<usize>>);

impl RangeSet {
    /// Exactly these ranges, if they are canonical.
    pub fn from_canonical(ranges: Vec<Range<usize>>) -> Option<Self> {
        let filled = ranges.iter().all(|r| r.start < r.end);
        let apart = ranges.windows(2).all(|w| w[0].end < w[1].start);
        (filled && apart).then_some(Self(ranges))
    }

    /// The union of any ranges; empty and reversed ones add nothing.
    pub fn union(ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|r| r.start < r.end).collect();
        ranges.sort_unstable_by_key(|r| (r.start, r.end));
        let mut out: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match out.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => out.push(range),
            }
        }
        Self(out)
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + '_ {
        self.0.iter().cloned()
    }

    /// The ranges in ascending order.
    pub fn as_slice(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Number of bytes covered.
    pub fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    /// True if nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// End of the last range, 0 if there is none.
    pub fn end(&self) -> usize {
        self.0.last().map_or(0, |r| r.end)
    }

    /// True if every byte of `range` is covered.
    pub fn contains(&self, range: &Range<usize>) -> bool {
        let at = self.0.partition_point(|r| r.end < range.end);
        range.start >= range.end || self.0.get(at).is_some_and(|r| r.start <= range.start)
    }

    /// True if every byte of `other` is covered.
    pub fn is_superset(&self, other: &Self) -> bool {
        other.0.iter().all(|r| self.contains(r))
    }

    /// The ranges of `0..len` that are not covered.
    pub fn complement(&self, len: usize) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut at = 0;
        for range in &self.0 {
            gaps.push(at..range.start.min(len));
            at = range.end;
        }
        gaps.push(at..len);
        Self::union(gaps)
    }

    /// The covered bytes of `data` in ascending order; `None` if `data` is too short.
    pub fn slices<'a>(&self, data: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        self.0.iter().map(|r| data.get(r.clone())).collect()
    }
}

impl From<Range<usize>> for RangeSet {
    fn from(range: Range<usize>) -> Self {
        Self::union([range])
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}..{}", range.start, range.end)?;
        }
        Ok(())
    }
}

impl Encode for RangeSet {
    fn encode(&self, w: &mut Writer) {
        w.len(self.0.len());
        for range in &self.0 {
            w.usize(range.start);
            w.usize(range.end);
        }
    }
}

impl Decode for RangeSet {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        // Transcript lengths are attested as u32, so larger bounds mean nothing.
        const BOUND: usize = u32::MAX as usize;
        let offset = r.position();
        let ranges = r.seq(MAX_RANGES, "the number of ranges", |r| {
            Ok(r.bounded(BOUND, "a range's start")?..r.bounded(BOUND, "a range's end")?)
        })?;
        Self::from_canonical(ranges).ok_or(DecodeError::RangesNotCanonical { offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_ranges_are_taken() {
        let take = |ranges: &[Range<usize>]| RangeSet::from_canonical(ranges.to_vec());
        assert!(take(&[]).is_some());
        assert!(take(&[0..2, 3..4]).is_some());
        assert!(take(&[0..2, 2..4]).is_none());
        assert!(take(&[3..4, 0..2]).is_none());
        assert!(take(&[0..3, 2..4]).is_none());
        assert!(take(&[0..1, 5..5]).is_none());
        assert!(take(&[Range { start: 2, end: 1 }]).is_none());
    }

    proptest::proptest! {
        #[test]
        fn sets_agree_with_bit_masks(
            a in proptest::collection::vec((0usize..40, 0usize..40), 0..6),
            b in proptest::collection::vec((0usize..40, 0usize..40), 0..6),
        ) {
            let set = |v: &[(usize, usize)]| RangeSet::union(v.iter().map(|&(s, e)| s..e));
            let mask = |v: &[(usize, usize)]| {
                v.iter().fold(0u64, |m, &(s, e)| (s..e).fold(m, |m, i| m | 1 << i))
            };
            let bits = |s: &RangeSet| s.iter().flatten().fold(0u64, |m, i| m | 1 << i);
            let (sa, sb, ma, mb) = (set(&a), set(&b), mask(&a), mask(&b));
            assert_eq!(bits(&sa), ma);
            assert_eq!(RangeSet::from_canonical(sa.as_slice().to_vec()), Some(sa.clone()));
            assert_eq!(sa.len(), ma.count_ones() as usize);
            assert_eq!(sa.is_superset(&sb), mb & !ma == 0);
            assert_eq!(bits(&sa.complement(40)), !ma & ((1 << 40) - 1));
            assert_eq!(bits(&sa.complement(7)), !ma & ((1 << 7) - 1));
        }
    }
}
