//! The two encodings of upstream: bincode 1.3 with its defaults (files) and BCS (everything hashed and signed). They
//! differ only in how lengths and enum variants are written, so one [`Encode`] per type serves both.

use crate::{DecodeError, WireVersion};

/// The encoding of lengths and enum variant indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lengths u64, variants u32, little-endian.
    Bincode,
    /// Lengths and variants in ULEB128.
    Bcs,
}

/// Reads the file encoding of one wire version from a bounded slice.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
    pub(crate) version: WireVersion,
}

pub(crate) type Result<T> = core::result::Result<T, DecodeError>;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], version: WireVersion) -> Self {
        Self { bytes, pos: 0, version }
    }

    /// Offset of the next byte.
    pub(crate) fn position(&self) -> usize {
        self.pos
    }

    pub(crate) fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let Some(out) = rest.get(..n) else {
            return Err(DecodeError::UnexpectedEnd { what, offset: self.pos });
        };
        self.pos += n;
        Ok(out)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A u64 that must be `limit` or less.
    pub(crate) fn bounded(&mut self, limit: usize, what: &'static str) -> Result<usize> {
        let offset = self.pos;
        let value = self.u64(what)?;
        match usize::try_from(value) {
            Ok(n) if n <= limit => Ok(n),
            _ => Err(DecodeError::TooLong { what, value, limit, offset }),
        }
    }

    /// Length-prefixed bytes.
    pub(crate) fn bytes(&mut self, limit: usize, what: &'static str) -> Result<&'a [u8]> {
        let n = self.bounded(limit, what)?;
        self.take(n, what)
    }

    pub(crate) fn string(&mut self, limit: usize, what: &'static str) -> Result<String> {
        let offset = self.pos;
        let bytes = self.bytes(limit, what)?;
        core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::NotUtf8 { what, offset })
    }

    /// A length-prefixed sequence; memory grows with the items that are really there.
    pub(crate) fn seq<T>(
        &mut self,
        limit: usize,
        what: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let n = self.bounded(limit, what)?;
        let mut out = Vec::new();
        for _ in 0..n {
            out.push(item(self)?);
        }
        Ok(out)
    }

    pub(crate) fn option<T>(
        &mut self,
        what: &'static str,
        item: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Option<T>> {
        let offset = self.pos;
        match self.u8(what)? {
            0 => Ok(None),
            1 => item(self).map(Some),
            tag => Err(DecodeError::InvalidTag { what, tag: tag.into(), offset }),
        }
    }

    /// An enum's variant index, below `count`.
    pub(crate) fn variant(&mut self, count: u32, what: &'static str) -> Result<u32> {
        let offset = self.pos;
        let tag = self.u32(what)?;
        if tag < count { Ok(tag) } else { Err(DecodeError::InvalidTag { what, tag, offset }) }
    }

    pub(crate) fn finish(&self) -> Result<()> {
        match self.bytes.len() - self.pos {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }
}

/// Writes either encoding of one wire version.
pub(crate) struct Writer {
    format: Format,
    pub(crate) version: WireVersion,
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(format: Format, version: WireVersion) -> Self {
        Self { format, version, out: Vec::new() }
    }

    /// A writer that does not move its buffer before `capacity` bytes: secrets leave no copies.
    pub(crate) fn with_capacity(version: WireVersion, capacity: usize) -> Self {
        Self { format: Format::Bincode, version, out: Vec::with_capacity(capacity) }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// A `usize` of upstream: always 64 bits.
    pub(crate) fn usize(&mut self, value: usize) {
        self.u64(value as u64);
    }

    pub(crate) fn len(&mut self, value: usize) {
        match self.format {
            Format::Bincode => self.usize(value),
            Format::Bcs => self.uleb(value as u64),
        }
    }

    pub(crate) fn variant(&mut self, index: u32) {
        match self.format {
            Format::Bincode => self.u32(index),
            Format::Bcs => self.uleb(index.into()),
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn seq<T: Encode>(&mut self, items: &[T]) {
        self.len(items.len());
        for item in items {
            item.encode(self);
        }
    }

    pub(crate) fn option<T: Encode>(&mut self, item: Option<&T>) {
        self.u8(item.is_some().into());
        if let Some(item) = item {
            item.encode(self);
        }
    }

    fn uleb(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

/// A type of the wire format.
pub(crate) trait Encode {
    fn encode(&self, w: &mut Writer);

    /// The bytes that upstream hashes and signs.
    fn to_bcs(&self, version: WireVersion) -> Vec<u8> {
        let mut w = Writer::new(Format::Bcs, version);
        self.encode(&mut w);
        w.into_bytes()
    }

    /// The bytes that upstream writes to files.
    fn to_bincode(&self, version: WireVersion) -> Vec<u8> {
        let mut w = Writer::new(Format::Bincode, version);
        self.encode(&mut w);
        w.into_bytes()
    }
}

/// A type of the wire format, read from a file.
pub(crate) trait Decode: Sized {
    fn decode(r: &mut Reader<'_>) -> Result<Self>;

    /// The whole of `bytes` as one value; on failure also how far reading got, by which the more
    /// telling of two attempts is chosen.
    fn from_bincode(bytes: &[u8], version: WireVersion) -> core::result::Result<Self, (usize, DecodeError)> {
        if bytes.len() > crate::limits::MAX_FILE {
            let error = DecodeError::FileTooLarge { size: bytes.len(), limit: crate::limits::MAX_FILE };
            return Err((0, error));
        }
        let mut r = Reader::new(bytes, version);
        let out = Self::decode(&mut r).and_then(|out| r.finish().map(|()| out));
        out.map_err(|error| (r.position(), error))
    }
}
