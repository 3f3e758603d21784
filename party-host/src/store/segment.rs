//! The shares of one batch, as stored.

use std::fmt;

use tercet_protocol::codec::{CodecError, Reader, Writer};
use tercet_protocol::ids::{EntryHash, SubmissionId};
use zeroize::Zeroizing;

pub use tercet_mpc::sharing::LANE_BYTES;

use super::objects::MAX_OBJECT;

const TAG: &[u8] = b"tercet segment v2";
/// Bytes of the keys of a row's two commitments: of share i, then of share i + 1 of the party with index i.
pub const KEY_BYTES: usize = 64;
/// Most rows in a segment.
pub const MAX_ROWS: usize = 1 << 20;
/// Most lanes (shared numbers per row).
pub const MAX_LANES: usize = 1 << 12;
/// Most bytes of shares; leaves room for the rest within an object.
pub const MAX_SHARE_BYTES: usize = MAX_OBJECT - (1 << 20) - MAX_ROWS * (32 + KEY_BYTES);

/// Why rows are not a segment, or bytes not the encoding of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Not an encoding.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The shares do not fit rows and lanes.
    #[error("{rows} rows of {lanes} lanes need {LANE_BYTES} bytes of shares each, but there are {bytes}")]
    Shape {
        /// Rows.
        rows: usize,
        /// Lanes.
        lanes: usize,
        /// Bytes of shares.
        bytes: usize,
    },
    /// The keys do not fit the rows.
    #[error("{rows} rows need {KEY_BYTES} bytes of keys each, but there are {bytes}")]
    Keys {
        /// Rows.
        rows: usize,
        /// Bytes of keys.
        bytes: usize,
    },
    /// The segment belongs to another entry than its name says.
    #[error("the segment belongs to entry {0}")]
    Entry(EntryHash),
}

/// One party's shares of the rows of a log entry: of a batch of accepted submissions, or of the sums of units.
///
/// Each row has the keys of the commitments to its two shares beside it, by which another party that lost its own row can
/// check them.
///
/// Row r, lane l is the [`LANE_BYTES`] bytes at `(r * lanes + l) * LANE_BYTES`: share i, then share i+1 of the
/// party with index i, each a little-endian integer modulo 2^128. `Debug` shows the shape only; the shares are
/// wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    submissions: Vec<SubmissionId>,
    lanes: u32,
    shares: Zeroizing<Vec<u8>>,
    keys: Zeroizing<Vec<u8>>,
}

impl Segment {
    /// Checks the shape: as many bytes as rows and lanes need, within the caps.
    pub fn new(
        submissions: Vec<SubmissionId>,
        lanes: u32,
        shares: Zeroizing<Vec<u8>>,
        keys: Zeroizing<Vec<u8>>,
    ) -> Result<Self, SegmentError> {
        let (rows, bytes) = (submissions.len(), shares.len());
        if share_bytes(rows, lanes as usize)? != bytes {
            return Err(SegmentError::Shape { rows, lanes: lanes as usize, bytes });
        }
        if keys.len() != rows * KEY_BYTES {
            return Err(SegmentError::Keys { rows, bytes: keys.len() });
        }
        Ok(Self { submissions, lanes, shares, keys })
    }

    /// The same without one row, which is none of these if it is not there.
    pub fn without(&self, submission: &SubmissionId) -> Self {
        let width = self.lanes as usize * LANE_BYTES;
        let kept = self.submissions.len();
        let mut left = Self {
            submissions: Vec::with_capacity(kept),
            lanes: self.lanes,
            // Sized at once: growing would leave copies of shares behind.
            shares: Zeroizing::new(Vec::with_capacity(kept * width)),
            keys: Zeroizing::new(Vec::with_capacity(kept * KEY_BYTES)),
        };
        for (i, id) in self.submissions.iter().enumerate().filter(|(_, id)| *id != submission) {
            left.submissions.push(*id);
            left.shares.extend_from_slice(&self.shares[i * width..][..width]);
            left.keys.extend_from_slice(&self.keys[i * KEY_BYTES..][..KEY_BYTES]);
        }
        left
    }

    /// The submissions, in row order.
    pub fn submissions(&self) -> &[SubmissionId] {
        &self.submissions
    }

    /// Numbers per row.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// All rows' shares.
    pub fn shares(&self) -> &[u8] {
        &self.shares
    }

    /// The keys of one row's commitments, [`KEY_BYTES`] bytes.
    pub fn keys(&self, row: usize) -> Option<&[u8]> {
        self.keys.get(row * KEY_BYTES..(row + 1) * KEY_BYTES)
    }

    /// One row's shares, `lanes * LANE_BYTES` bytes.
    pub fn row(&self, row: usize) -> Option<&[u8]> {
        let width = self.lanes as usize * LANE_BYTES;
        (row < self.submissions.len()).then(|| self.shares.get(row * width..(row + 1) * width)).flatten()
    }

    /// Memory it takes, in bytes, near enough for a bound.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.submissions.len() * 32 + self.shares.len() + self.keys.len()
    }

    /// The encoding, which names the entry that the segment belongs to: a tag, the entry's hash, row and lane
    /// count (`u32` each), submission ids, shares, keys.
    pub fn encode(&self, entry: &EntryHash) -> Zeroizing<Vec<u8>> {
        let mut head = Writer::default();
        head.bytes(TAG).array(entry.as_ref());
        // The cap on rows is far below u32's.
        head.u32(u32::try_from(self.submissions.len()).unwrap_or(u32::MAX)).u32(self.lanes);
        let head = head.finish();
        // Exactly large enough: growing would leave copies of shares behind.
        let len = head.len() + self.submissions.len() * 32 + self.shares.len() + self.keys.len();
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        out.extend_from_slice(&head);
        for id in &self.submissions {
            out.extend_from_slice(id.as_ref());
        }
        out.extend_from_slice(&self.shares);
        out.extend_from_slice(&self.keys);
        out
    }

    /// Reads [`Self::encode`]'s bytes back, for the same entry.
    pub fn decode(entry: &EntryHash, bytes: &[u8]) -> Result<Self, SegmentError> {
        let mut r = Reader::new(bytes);
        if r.bytes("tag", TAG.len())? != TAG {
            return Err(CodecError::Unknown("the tag").into());
        }
        let named = EntryHash(r.array()?);
        if named != *entry {
            return Err(SegmentError::Entry(named));
        }
        let rows = r.count("rows", MAX_ROWS)?;
        let lanes = r.u32()?;
        let share_bytes = share_bytes(rows, lanes as usize)?;
        // Taken before anything is allocated: the input really holds them.
        let (ids, _) = r.take(rows * 32)?.as_chunks::<32>();
        let shares = Zeroizing::new(r.take(share_bytes)?.to_vec());
        let keys = Zeroizing::new(r.take(rows * KEY_BYTES)?.to_vec());
        r.finish()?;
        let submissions = ids.iter().map(|id| SubmissionId(*id)).collect();
        Ok(Self { submissions, lanes, shares, keys })
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} rows, {} lanes)", self.submissions.len(), self.lanes)
    }
}

/// Bytes of shares for this many rows and lanes, if within the caps.
fn share_bytes(rows: usize, lanes: usize) -> Result<usize, CodecError> {
    for (field, len, max) in [("rows", rows, MAX_ROWS), ("lanes", lanes, MAX_LANES)] {
        if len > max {
            return Err(CodecError::TooLong { field, len, max });
        }
    }
    // At most 2^20 * 2^12 * 2^5: no overflow in 64 bits.
    let len = rows * lanes * LANE_BYTES;
    if len > MAX_SHARE_BYTES {
        return Err(CodecError::TooLong { field: "shares", len, max: MAX_SHARE_BYTES });
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ENTRY: EntryHash = EntryHash([7; 32]);

    fn segments() -> impl Strategy<Value = Segment> {
        (0..12usize, 0..5usize)
            .prop_flat_map(|(rows, lanes)| {
                (
                    vec(any::<[u8; 32]>(), rows),
                    Just(lanes as u32),
                    vec(any::<u8>(), rows * lanes * LANE_BYTES),
                    vec(any::<u8>(), rows * KEY_BYTES),
                )
            })
            .prop_map(|(ids, lanes, shares, keys)| {
                let ids = ids.into_iter().map(SubmissionId).collect();
                Segment::new(ids, lanes, Zeroizing::new(shares), Zeroizing::new(keys)).unwrap()
            })
    }

    proptest! {
        #[test]
        fn round_trip(segment in segments()) {
            let bytes = segment.encode(&ENTRY);
            prop_assert_eq!(bytes.capacity(), bytes.len());
            prop_assert_eq!(Segment::decode(&ENTRY, &bytes), Ok(segment.clone()));
            for row in 0..segment.submissions().len() {
                let width = segment.lanes() as usize * LANE_BYTES;
                prop_assert_eq!(segment.row(row).unwrap(), &segment.shares()[row * width..][..width]);
            }
            prop_assert_eq!(segment.row(segment.submissions().len()), None);
        }

        #[test]
        fn one_encoding_each(segment in segments(), at: prop::sample::Index, flip in 1u8..) {
            // Whatever still decodes is another segment, so no two encodings mean the same.
            let mut bytes = segment.encode(&ENTRY);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(other) = Segment::decode(&ENTRY, &bytes) {
                prop_assert_ne!(&other, &segment);
                prop_assert_eq!(other.encode(&ENTRY), bytes);
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), shape: [u32; 2], valid_start: bool) {
            let mut input = Vec::new();
            if valid_start {
                let mut w = Writer::default();
                w.bytes(TAG).array(ENTRY.as_ref()).u32(shape[0]).u32(shape[1] >> 20);
                input = w.finish();
            }
            input.extend(bytes);
            if let Ok(segment) = Segment::decode(&ENTRY, &input) {
                prop_assert_eq!(&*segment.encode(&ENTRY), &input);
            }
        }
    }

    #[test]
    fn truncated_padded_and_misplaced_encodings_are_refused() {
        let ids = vec![SubmissionId([1; 32]), SubmissionId([2; 32])];
        let segment =
            Segment::new(ids, 3, Zeroizing::new(vec![9; 192]), Zeroizing::new(vec![8; 128])).unwrap();
        let bytes = segment.encode(&ENTRY);
        for cut in 0..bytes.len() {
            assert_eq!(
                Segment::decode(&ENTRY, &bytes[..cut]),
                Err(CodecError::Truncated.into()),
                "cut at {cut}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Segment::decode(&ENTRY, &longer), Err(CodecError::Trailing(1).into()));
        assert_eq!(Segment::decode(&EntryHash([8; 32]), &bytes), Err(SegmentError::Entry(ENTRY)));
    }

    #[test]
    fn shapes_are_checked() {
        let ids = |n: usize| vec![SubmissionId([1; 32]); n];
        let shares = |n: usize| Zeroizing::new(vec![0; n]);
        let keys = |n: usize| Zeroizing::new(vec![0; n * KEY_BYTES]);
        assert!(matches!(
            Segment::new(ids(2), 1, shares(63), keys(2)),
            Err(SegmentError::Shape { bytes: 63, .. })
        ));
        assert!(matches!(Segment::new(ids(2), 2, shares(64), keys(2)), Err(SegmentError::Shape { .. })));
        let many = Segment::new(ids(1), MAX_LANES as u32 + 1, shares(32), keys(1));
        assert!(matches!(many, Err(SegmentError::Codec(CodecError::TooLong { field: "lanes", .. }))));
        let keyless = Segment::new(ids(1), 1, shares(32), keys(0));
        assert!(matches!(keyless, Err(SegmentError::Keys { rows: 1, bytes: 0 })));
        let large = Segment::new(ids(1 << 12), MAX_LANES as u32, shares(0), keys(1 << 12));
        assert!(matches!(large, Err(SegmentError::Codec(CodecError::TooLong { field: "shares", .. }))));
    }

    #[test]
    fn a_row_that_leaves_takes_its_shares_and_keys_along() {
        let ids = [1, 2, 3].map(|n| SubmissionId([n; 32]));
        let bytes = |width: usize| Zeroizing::new([1, 2, 3].map(|n| vec![n; width]).concat());
        let segment = Segment::new(ids.to_vec(), 2, bytes(64), bytes(KEY_BYTES)).unwrap();
        let left = segment.without(&ids[1]);
        assert_eq!(left.submissions(), [ids[0], ids[2]]);
        assert_eq!((left.row(1).unwrap(), left.keys(1).unwrap()), (&[3; 64][..], &[3; KEY_BYTES][..]));
        assert!(!left.encode(&ENTRY)[100..].contains(&2), "nothing of it is left");
        assert_eq!(left.without(&ids[1]), left);
    }

    #[test]
    fn debug_shows_no_share() {
        let segment = Segment::new(
            vec![SubmissionId([1; 32])],
            1,
            Zeroizing::new(vec![0xab; 32]),
            Zeroizing::new(vec![0xcd; KEY_BYTES]),
        )
        .unwrap();
        assert_eq!(format!("{segment:?}"), "Segment(1 rows, 1 lanes)");
    }
}
