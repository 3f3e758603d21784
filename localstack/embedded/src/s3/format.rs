//! The file of one object: a magic number, the length of the header (u32, little endian), the header as JSON,
//! the body. The header repeats the key and gives the body's length, so that the folder alone is the store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;

const MAGIC: [u8; 4] = *b"TS3\x01";
/// Magic number and header length.
const PREFIX: usize = 8;
/// Latest time of a header, end of the year 9999: the largest that a date of HTTP can show.
const MAX_MODIFIED_MS: u64 = 253_402_300_799_999;
/// Largest header: S3 allows 2 KB of user metadata and 1 KB of key; this leaves room for escapes.
const MAX_HEADER: usize = 64 * 1024;

/// Everything about an object but its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub key: String,
    /// Length of the body in bytes.
    pub length: u64,
    /// MD5 of the body in hex, as S3's ETag is.
    pub e_tag: String,
    /// Milliseconds since 1970.
    pub modified_ms: u64,
    /// HTTP headers to give back, such as `content-type`.
    #[serde(default)]
    pub fields: BTreeMap<Field, String>,
    /// The user's `x-amz-meta-` headers, without that prefix.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Checksums that the writer declared and that were checked, base64.
    #[serde(default)]
    pub checksums: BTreeMap<Algorithm, String>,
}

/// A stored HTTP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Field {
    ContentType,
    ContentEncoding,
    ContentDisposition,
    ContentLanguage,
    CacheControl,
}

/// A checksum of `x-amz-checksum-…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

impl Header {
    /// Writes header and body.
    pub fn write(&self, file: &mut File, body: &[u8]) -> io::Result<()> {
        let header = serde_json::to_vec(self)?;
        let length = u32::try_from(header.len()).ok().filter(|&n| n as usize <= MAX_HEADER);
        let length = length.ok_or_else(|| io::Error::other("the object's metadata is too large"))?;
        let mut start = Vec::with_capacity(PREFIX + header.len());
        start.extend_from_slice(&MAGIC);
        start.extend_from_slice(&length.to_le_bytes());
        start.extend_from_slice(&header);
        file.write_all(&start)?;
        file.write_all(body)
    }

    /// Reads the header of the file at `path` and checks the file's length against it. Also gives the offset
    /// of the body.
    pub fn read(path: &Path) -> Result<(Header, u64), Error> {
        let mut file = File::open(path).map_err(Error::file("opening", path))?;
        let whole = file.metadata().map_err(Error::file("reading", path))?.len();
        let damaged = |reason: &str| Error::Damaged { path: path.to_path_buf(), reason: reason.to_owned() };

        let mut prefix = [0; PREFIX];
        file.read_exact(&mut prefix).map_err(|_| damaged("too short"))?;
        let [m0, m1, m2, m3, l0, l1, l2, l3] = prefix;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(damaged("not an object file of this program"));
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_HEADER {
            return Err(damaged("impossible header length"));
        }
        let mut header = vec![0; length];
        file.read_exact(&mut header).map_err(|_| damaged("ends inside its header"))?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| damaged("malformed header"))?;
        if header.modified_ms > MAX_MODIFIED_MS {
            return Err(damaged("impossible time"));
        }
        let offset = (PREFIX + length) as u64;
        if offset.checked_add(header.length) != Some(whole) {
            return Err(damaged("its length is not the one in its header"));
        }
        Ok((header, offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            key: "a/b".into(),
            length: 5,
            e_tag: "5d41402abc4b2a76b9719d911017c592".into(),
            modified_ms: 1_741_091_696_123,
            fields: [(Field::ContentType, "text/plain".to_owned())].into(),
            metadata: [("x".to_owned(), "1".to_owned())].into(),
            checksums: [(Algorithm::Crc32, "NhCmhg==".to_owned())].into(),
        }
    }

    #[test]
    fn round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o");
        header().write(&mut File::create(&path).unwrap(), b"hello").unwrap();
        let (read, offset) = Header::read(&path).unwrap();
        assert_eq!(read, header());
        assert_eq!(&std::fs::read(&path).unwrap()[offset as usize..], b"hello");
    }

    #[test]
    fn every_truncation_and_any_appended_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o");
        header().write(&mut File::create(&path).unwrap(), b"hello").unwrap();
        let mut whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(Header::read(&path), Err(Error::Damaged { .. })), "length {length}");
        }
        whole.push(0);
        std::fs::write(&path, &whole).unwrap();
        assert!(matches!(Header::read(&path), Err(Error::Damaged { .. })));
    }
}
