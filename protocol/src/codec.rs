//! Length-capped binary encoding of everything that is hashed, signed or sent in bulk.
//!
//! Integers are little-endian; a byte string is a `u32` length and the bytes. There is exactly one encoding of
//! each value and trailing bytes are refused, so the hash of an encoding identifies the value.

/// Why bytes do not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The input ended early.
    #[error("the data ends early: it was cut off or is not of this format")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("{0} bytes follow the end of the data: remove them")]
    Trailing(usize),
    /// A length field exceeds its cap.
    #[error("{field} has length {len}, more than the {max} allowed")]
    TooLong {
        /// The field's name.
        field: &'static str,
        /// The content of the length field.
        len: usize,
        /// The largest length accepted.
        max: usize,
    },
    /// A fixed field has a value of no known meaning.
    #[error(
        "{0} has a value this version does not know: the sender runs another version, or the data is damaged"
    )]
    Unknown(&'static str),
}

/// Writes the encoding.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts an encoding under a domain separator, which keeps hashes and signatures of different kinds apart.
    pub fn tagged(domain: &str) -> Self {
        let mut w = Self::default();
        w.bytes(domain.as_bytes());
        w
    }

    /// One byte.
    pub fn u8(&mut self, v: u8) -> &mut Self {
        self.0.push(v);
        self
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self, v: u32) -> &mut Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self, v: u64) -> &mut Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    /// Bytes whose length the reader knows.
    pub fn array(&mut self, v: &[u8]) -> &mut Self {
        self.0.extend_from_slice(v);
        self
    }

    /// A length and the bytes. Lengths beyond `u32` do not occur: every producer caps its fields far below.
    pub fn bytes(&mut self, v: &[u8]) -> &mut Self {
        self.u32(u32::try_from(v.len()).unwrap_or(u32::MAX));
        self.array(v)
    }

    /// The encoding.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the encoding back, never allocating more than the input holds.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// True if nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], CodecError> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(CodecError::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    /// A fixed-size array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(CodecError::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length of at most `max` and as many bytes.
    pub fn bytes(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], CodecError> {
        let len = self.u32()? as usize;
        if len > max {
            return Err(CodecError::TooLong { field, len, max });
        }
        self.take(len)
    }

    /// A count of at most `max`, for a list that follows.
    pub fn count(&mut self, field: &'static str, max: usize) -> Result<usize, CodecError> {
        let len = self.u32()? as usize;
        if len > max { Err(CodecError::TooLong { field, len, max }) } else { Ok(len) }
    }

    /// Demands that nothing is left.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::Trailing(self.0.len())) }
    }
}
