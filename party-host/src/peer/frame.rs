//! Frames: `[step u32][length u32][payload]`, both numbers big-endian.

use bytes::{Buf, Bytes, BytesMut};

use super::error::PeerError;

/// Bytes before the payload.
pub(super) const HEADER: usize = 8;
/// The opening message's step number. Numbers from here on are the link's own.
pub(super) const HELLO_STEP: u32 = u32::MAX;
/// First memory set aside for a frame that arrives in pieces; more only as its bytes really come.
const FIRST_CHUNK: usize = 64 << 10;

/// A frame's header.
pub(super) fn header(step: u32, len: u32) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..4].copy_from_slice(&step.to_be_bytes());
    out[4..].copy_from_slice(&len.to_be_bytes());
    out
}

/// Cuts a byte stream into frames. Holds at most one frame and the last piece pushed, and never sets aside
/// more than a small multiple of the bytes that really came, whatever a header claims.
#[derive(Debug)]
pub struct FrameDecoder {
    max: usize,
    piece: Bytes,
    head: [u8; HEADER],
    head_len: usize,
    body: BytesMut,
}

impl FrameDecoder {
    /// Refuses payloads longer than `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, piece: Bytes::new(), head: [0; HEADER], head_len: 0, body: BytesMut::new() }
    }

    /// Changes the limit for the frames that follow.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Adds the next piece of the stream. Copies only when the one before is not used up.
    pub fn push(&mut self, piece: Bytes) {
        self.piece = if self.piece.is_empty() { piece } else { [&self.piece[..], &piece].concat().into() };
    }

    /// The next whole frame: step and payload. `None` asks for another piece; after an error the stream is
    /// useless.
    pub fn decode(&mut self) -> Result<Option<(u32, Bytes)>, PeerError> {
        let n = self.piece.len().min(HEADER - self.head_len);
        self.piece.copy_to_slice(&mut self.head[self.head_len..self.head_len + n]);
        self.head_len += n;
        if self.head_len < HEADER {
            return Ok(None);
        }
        let [a, b, c, d, e, f, g, h] = self.head;
        let step = u32::from_be_bytes([a, b, c, d]);
        let len = usize::try_from(u32::from_be_bytes([e, f, g, h])).unwrap_or(usize::MAX);
        if len > self.max {
            return Err(PeerError::FrameTooLarge { step, len, max: self.max });
        }
        let payload = if self.body.is_empty() && self.piece.len() >= len {
            // The usual case: the frame lies in one piece and needs no copy.
            self.piece.split_to(len)
        } else {
            let missing = len - self.body.len();
            let part = self.piece.split_to(self.piece.len().min(missing));
            let room = self.body.capacity() - self.body.len();
            if room < part.len() {
                let doubled = (2 * self.body.capacity()).max(FIRST_CHUNK).max(self.body.len() + part.len());
                self.body.reserve(doubled.min(len) - self.body.len());
            }
            self.body.extend_from_slice(&part);
            if self.body.len() < len {
                return Ok(None);
            }
            std::mem::take(&mut self.body).freeze()
        };
        self.head_len = 0;
        Ok(Some((step, payload)))
    }

    /// True if the stream so far ends within a frame.
    pub fn mid_frame(&self) -> bool {
        self.head_len > 0 || !self.piece.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1 << 20;

    fn encode(frames: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (step, payload) in frames {
            out.extend(header(*step, payload.len() as u32));
            out.extend(payload);
        }
        out
    }

    type Frames = Vec<(u32, Vec<u8>)>;

    /// Feeds `wire` in pieces whose lengths cycle through `cuts`.
    fn decode(wire: &[u8], cuts: &[usize], max: usize) -> (Frames, Result<bool, PeerError>) {
        let (mut decoder, mut out, mut rest) = (FrameDecoder::new(max), Vec::new(), wire);
        let mut cuts = cuts.iter().cycle();
        loop {
            loop {
                match decoder.decode() {
                    Ok(Some((step, payload))) => out.push((step, payload.to_vec())),
                    Ok(None) => break,
                    Err(e) => return (out, Err(e)),
                }
                let seen = wire.len() - rest.len();
                assert!(decoder.body.capacity() <= (2 * seen).max(2 * FIRST_CHUNK), "over-allocated");
            }
            if rest.is_empty() {
                return (out, Ok(decoder.mid_frame()));
            }
            let (piece, tail) = rest.split_at((*cuts.next().unwrap_or(&1)).clamp(1, rest.len()));
            decoder.push(Bytes::copy_from_slice(piece));
            rest = tail;
        }
    }

    #[test]
    fn a_lying_header_allocates_nothing() {
        let (frames, end) = decode(&header(3, u32::MAX), &[8], MAX);
        assert!(frames.is_empty());
        assert_eq!(end, Err(PeerError::FrameTooLarge { step: 3, len: u32::MAX as usize, max: MAX }));
        // Within the limit but never sent: only what came is kept.
        let mut decoder = FrameDecoder::new(usize::MAX);
        decoder.push(Bytes::copy_from_slice(&[&header(1, 1 << 31)[..], &[0; 100]].concat()));
        assert_eq!(decoder.decode(), Ok(None));
        assert!(decoder.body.capacity() <= 2 * FIRST_CHUNK && decoder.mid_frame());
    }

    #[test]
    fn the_limit_is_exact() {
        for (len, ok) in [(10, true), (11, false)] {
            let (frames, end) = decode(&encode(&[(1, vec![7; len])]), &[3], 10);
            assert_eq!((frames.len() == 1, end.is_ok()), (ok, ok), "{len}");
        }
    }

    #[test]
    fn pieces_may_come_faster_than_frames_are_taken() {
        let mut decoder = FrameDecoder::new(MAX);
        for byte in encode(&[(1, vec![5]), (2, vec![6, 7])]) {
            decoder.push(Bytes::copy_from_slice(&[byte]));
        }
        assert_eq!(decoder.decode(), Ok(Some((1, Bytes::from_static(&[5])))));
        assert_eq!(decoder.decode(), Ok(Some((2, Bytes::from_static(&[6, 7])))));
        assert_eq!(decoder.decode(), Ok(None));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            frames in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..300)), 0..12),
            big in prop::collection::vec(any::<u8>(), 0..200_000),
            cuts in prop::collection::vec(1usize..70_000, 1..8),
        ) {
            let mut frames = frames;
            frames.push((9, big));
            let (got, end) = decode(&encode(&frames), &cuts, MAX);
            prop_assert_eq!(got, frames);
            prop_assert_eq!(end, Ok(false));
        }

        #[test]
        fn a_cut_stream_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
            let wire = encode(&[(5, payload)]);
            let at = at.index(wire.len());
            let (got, end) = decode(&wire[..at], &[7], MAX);
            prop_assert!(got.is_empty());
            prop_assert_eq!(end, Ok(at > 0));
        }

        #[test]
        fn garbage_never_panics(wire in prop::collection::vec(any::<u8>(), 0..4000), cuts in prop::collection::vec(1usize..500, 1..5), max in 0usize..5000) {
            let (got, _) = decode(&wire, &cuts, max);
            prop_assert!(got.iter().all(|(_, p)| p.len() <= max));
        }
    }
}
