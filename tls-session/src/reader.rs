//! Reading of TLS's presentation language (RFC 8446, section 3): big-endian integers and length-prefixed vectors.

use alloc::vec::Vec;

use crate::Refusal;

/// Reads from the front of a slice. Every failure is the refusal that the reader was made with.
#[derive(Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    syntax: Refusal,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; a text that does not fit is refused as `syntax`.
    pub fn new(bytes: &'a [u8], syntax: Refusal) -> Self {
        Self { rest: bytes, syntax }
    }

    /// `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Refusal> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(self.syntax)?;
        self.rest = tail;
        Ok(head)
    }

    /// An array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(self.syntax)?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Refusal> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Refusal> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Refusal> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Refusal> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A vector behind a length of `prefix` bytes.
    pub fn vector(&mut self, prefix: usize) -> Result<&'a [u8], Refusal> {
        let length = self.take(prefix)?.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        self.take(length)
    }

    /// A reader of a vector behind a length of `prefix` bytes.
    pub fn inner(&mut self, prefix: usize) -> Result<Self, Refusal> {
        Ok(Self { rest: self.vector(prefix)?, syntax: self.syntax })
    }

    /// A vector of two-byte integers, not empty, behind a length of `prefix` bytes.
    pub fn u16s(&mut self, prefix: usize) -> Result<Vec<u16>, Refusal> {
        let bytes = self.vector(prefix)?;
        let (pairs, rest) = bytes.as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return Err(self.syntax);
        }
        Ok(pairs.iter().map(|p| u16::from_be_bytes(*p)).collect())
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Demands that nothing is left.
    pub fn finish(&self) -> Result<(), Refusal> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.syntax) }
    }
}

/// The extensions of one message. No type occurs twice.
pub struct Extensions<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Extensions<'a> {
    /// Reads the list with its length in front.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        let mut list = reader.inner(2)?;
        let mut all: Vec<(u16, &[u8])> = Vec::new();
        while !list.is_empty() {
            let kind = list.u16()?;
            let body = list.vector(2)?;
            if all.iter().any(|(k, _)| *k == kind) {
                return Err(Refusal::RepeatedExtension);
            }
            all.push((kind, body));
        }
        Ok(Self(all))
    }

    /// The types, in order.
    pub fn kinds(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().map(|(k, _)| *k)
    }

    /// The body of one.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|(k, _)| *k == kind).map(|(_, body)| *body)
    }
}
